//! What a file declares, for an outline and for finding a declaration by its name.

use mgx_compiler::syntax::ast::{Body, Field, FieldKind, File, Item, ItemKind, MemberKind};
use mgx_diag::Span;

use crate::names::{NameKind, item_kind};

/// The kinds of [`Symbol`]s are those of names.
pub type SymbolKind = NameKind;

/// A declaration with what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    pub kind: SymbolKind,
    /// All of it.
    pub span: Span,
    /// Its name.
    pub name_span: Span,
    pub children: Vec<Symbol>,
}

/// The declarations of a file, in order.
pub fn symbols(file: &File) -> Vec<Symbol> {
    file.items.iter().map(symbol).collect()
}

fn symbol(item: &Item) -> Symbol {
    let children = match &item.kind {
        ItemKind::Module(module) => {
            let kind = |kind: &MemberKind| if let MemberKind::Function(_) = kind { NameKind::Function } else { NameKind::Member };
            let members = module.members.iter();
            members.map(|member| leaf(&member.name.text, kind(&member.kind), member.span, member.name.span)).collect()
        }
        ItemKind::Data(data) => fields(&data.body, |field| match field.kind {
            FieldKind::Typed { .. } => NameKind::Column,
            _ => NameKind::Setting,
        }),
        ItemKind::Experiment(experiment) => fields(&experiment.body, |field| match field.kind {
            FieldKind::Value(_) if !crate::names::is_setting(&field.name.text) => NameKind::Binding,
            _ => NameKind::Setting,
        }),
        ItemKind::Backbone(backbone) => fields(&backbone.body, |_| NameKind::Setting),
        ItemKind::Tokenizer(body) => fields(body, |_| NameKind::Setting),
        ItemKind::Function(_) => Vec::new(),
    };
    Symbol { name: item.name.text.clone(), kind: item_kind(item), span: item.span.to(item.name.span), name_span: item.name.span, children }
}

fn leaf(name: &str, kind: SymbolKind, span: Span, name_span: Span) -> Symbol {
    Symbol { name: name.to_owned(), kind, span: span.to(name_span), name_span, children: Vec::new() }
}

fn fields(body: &Body, kind: fn(&Field) -> SymbolKind) -> Vec<Symbol> {
    let field = |field: &Field| {
        let mut symbol = leaf(&field.name.text, kind(field), field.span, field.name.span);
        if let FieldKind::Block(inner) = &field.kind {
            symbol.children = fields(inner, |_| NameKind::Setting);
        }
        symbol
    };
    body.fields.iter().map(field).collect()
}
