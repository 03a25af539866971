//! What stands after a dot or a pipe.

use mgx_compiler::check::{FactKind, ItemRef};
use mgx_compiler::syntax::ast::{Data, ExprKind, FieldKind, Item, ItemKind, MemberKind, TypeExprKind};

use super::imports::library_backbones;
use super::{Completion, Place};
use crate::names::NameKind;
use crate::options::network;

/// The alphabets and `counts`, that backbones read.
const READ: [&str; 6] = ["dna", "rna", "protein", "text", "alignment", "counts"];

impl Place<'_, '_> {
    /// After `a.b.`.
    pub(super) fn members(&self, names: &[String]) -> Vec<Completion> {
        let [base] = names else { return Vec::new() };
        if let Some(value) = self.bound(base) {
            let fact = self.program.analysis.facts.get(&value);
            let fields = fact.map(|fact| fact.members.clone()).unwrap_or_default();
            if !fields.is_empty() {
                return fields.iter().map(|(name, shown)| Completion::new(name, NameKind::Member, 0).detail(shown)).collect();
            }
            if let Some(item) = fact.and_then(|fact| fact.item) {
                return self.parts(item);
            }
        }
        match self.program.analysis.lookup(self.program.file, base) {
            Some(item) => self.parts(item),
            None => Vec::new(),
        }
    }

    /// Columns of a table, parts of a module or of a backbone's network.
    fn parts(&self, item: ItemRef) -> Vec<Completion> {
        match &self.program.analysis.item(item).kind {
            ItemKind::Data(data) => self.columns(data),
            ItemKind::Backbone(_) => network(self.program, item).map_or_else(Vec::new, |network| self.parts(network)),
            ItemKind::Module(module) => {
                let members = module.members.iter().filter(|member| !matches!(member.kind, MemberKind::Output(_) | MemberKind::Metric(_)));
                let kind = |kind: &MemberKind| if let MemberKind::Function(_) = kind { NameKind::Function } else { NameKind::Member };
                members.map(|member| Completion::new(&member.name.text, kind(&member.kind), 0)).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn columns(&self, data: &Data) -> Vec<Completion> {
        let typed = data.body.fields.iter().filter_map(|field| match &field.kind {
            FieldKind::Typed { ty, .. } => Some((field, ty)),
            _ => None,
        });
        typed.map(|(field, ty)| Completion::new(&field.name.text, NameKind::Column, 0).detail(self.program.slice(ty.span))).collect()
    }

    /// The place of the value that a field of the experiment at hand is bound to.
    pub(super) fn bound(&self, name: &str) -> Option<mgx_diag::Span> {
        let fields = &self.experiment()?.fields;
        let field = fields.iter().rfind(|field| field.name.text == name && field.span.start < self.offset)?;
        match &field.kind {
            FieldKind::Value(value) => Some(value.span),
            _ => None,
        }
    }

    /// The word of what a column holds that is named so: `splice.sequence`, or a name for it.
    fn alphabet(&self, names: &[String]) -> Option<String> {
        match names {
            [table, column] => {
                let item = self.program.analysis.lookup(self.program.file, table)?;
                let ItemKind::Data(data) = &self.program.analysis.item(item).kind else { return None };
                let field = data.body.fields.iter().find(|field| field.name.text == *column)?;
                let FieldKind::Typed { ty, .. } = &field.kind else { return None };
                match &ty.kind {
                    TypeExprKind::Named { name, .. } if READ.contains(&name.text.as_str()) => Some(name.text.clone()),
                    _ => None,
                }
            }
            [name] => {
                let fact = self.program.analysis.facts.get(&self.bound(name)?)?;
                let word = fact.shown.split('(').next().unwrap_or_default();
                (fact.kind == FactKind::Column && READ.contains(&word)).then(|| word.to_owned())
            }
            _ => None,
        }
    }

    /// After `… |>`: of a column, the backbones that read what it holds come first.
    pub(super) fn pipe_targets(&self, names: &[String]) -> Vec<Completion> {
        let Some(alphabet) = self.alphabet(names) else {
            let mut found = self.of_kinds(&[NameKind::Adapter, NameKind::Function]);
            found.extend(self.bindings(&[FactKind::Part]));
            found.extend(self.builtins(4));
            return found;
        };
        let mut found = self.bindings(&[FactKind::Backbone]);
        found.extend(self.of_kinds(&[NameKind::Backbone]));
        found.extend(["mask_tokens", "noise_tokens"].map(|name| Completion::new(name, NameKind::Builtin, 6).insert(format!("{name}($0)"))));
        let library = library_backbones();
        for completion in found.iter_mut().filter(|completion| matches!(completion.kind, NameKind::Backbone | NameKind::Binding)) {
            let reads = self
                .read_by(&completion.label)
                .or_else(|| library.iter().find(|(name, _)| *name == completion.label).map(|(_, reads)| reads.clone()));
            match reads {
                Some(reads) if reads == alphabet => completion.detail = Some(format!("reads {reads}")),
                Some(reads) => {
                    completion.detail = Some(format!("reads {reads}, not {alphabet}"));
                    completion.rank += 10;
                }
                None => completion.rank += 5,
            }
        }
        found
    }

    /// What a backbone of this name reads, or the backbone that the name is bound to.
    fn read_by(&self, name: &str) -> Option<String> {
        let bound = self.bound(name).and_then(|value| self.program.analysis.facts.get(&value)?.item);
        let item = bound.or_else(|| self.program.analysis.lookup(self.program.file, name))?;
        reads(self.program.analysis.item(item))
    }
}

/// What a backbone reads, where its declaration says it by a word.
pub fn reads(item: &Item) -> Option<String> {
    let ItemKind::Backbone(backbone) = &item.kind else { return None };
    let input = backbone.body.fields.iter().find(|field| field.name.text == "input")?;
    match &input.kind {
        FieldKind::Value(value) => match &value.kind {
            ExprKind::Name(word) if READ.contains(&word.as_str()) => Some(word.clone()),
            _ => None,
        },
        _ => None,
    }
}
