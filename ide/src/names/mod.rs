//! Which name means what: every name of a file that is declared in it, in another file or in the library, with the place of its declaration.
//!
//! Names are resolved as the checker does, by the blocks they stand in; what stands after a dot is resolved by what the checker found the value to be.

mod expressions;
mod resolve;

use mgx_compiler::check::ItemRef;
use mgx_compiler::syntax::ast::{ExprKind, Item, ItemKind, ModuleRole, TypeExpr, TypeExprKind};
use mgx_diag::Span;

use crate::Program;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    /// A module of the library or a folder, in `use`.
    Namespace,
    Module,
    Adapter,
    Task,
    Optimizer,
    Schedule,
    Rewrite,
    Backbone,
    Tokenizer,
    Function,
    /// A function of the language itself.
    Builtin,
    Table,
    Column,
    Experiment,
    /// A field of an experiment, to which its value is bound.
    Binding,
    Parameter,
    /// `let`, or the index of `repeat`.
    Local,
    /// A size that a type of the function brings in.
    Axis,
    /// A part, parameter, state, output or setting of a module.
    Member,
    /// A field that says something of what it stands in: `batch_size`.
    Setting,
    /// One of several words that can be chosen.
    Choice,
    Type,
}

/// Where the meaning of a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The name that stands at this place, in this or another file.
    Declared(Span),
    /// The language itself.
    Language,
}

/// A name at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    pub span: Span,
    pub kind: NameKind,
    pub target: Target,
    /// The name that an import gives it here, by which this place calls it.
    pub alias: Option<Span>,
}

impl Occurrence {
    /// Is it the declaration itself?
    pub fn declares(&self) -> bool {
        self.target == Target::Declared(self.span)
    }
}

/// All names of a file, in order.
pub fn occurrences(program: &Program<'_>) -> Vec<Occurrence> {
    let mut found = resolve::all(program);
    found.sort_by_key(|occurrence| (occurrence.span.start, occurrence.span.end));
    found.dedup_by_key(|occurrence| occurrence.span);
    found
}

/// The kind of a declaration.
pub fn item_kind(item: &Item) -> NameKind {
    match &item.kind {
        ItemKind::Module(module) => match module.role {
            ModuleRole::Module => NameKind::Module,
            ModuleRole::Adapter => NameKind::Adapter,
            ModuleRole::Task => NameKind::Task,
            ModuleRole::Optimizer => NameKind::Optimizer,
            ModuleRole::Schedule => NameKind::Schedule,
            ModuleRole::Rewrite => NameKind::Rewrite,
        },
        ItemKind::Function(_) => NameKind::Function,
        ItemKind::Backbone(_) => NameKind::Backbone,
        ItemKind::Tokenizer(_) => NameKind::Tokenizer,
        ItemKind::Data(_) => NameKind::Table,
        ItemKind::Experiment(_) => NameKind::Experiment,
    }
}

/// What is declared at a place: the file, the declaration that has or holds it, and the kind of the name.
pub fn declaration(program: &Program<'_>, declared: Span) -> Option<ItemRef> {
    let file = program.analysis.file_of(declared.file)?;
    let item = program.analysis.files[file].syntax.items.iter().position(|item| item.span.contains(declared))?;
    Some(ItemRef { file, item })
}

/// Fields of an experiment that are not bound to a name.
pub fn is_setting(field: &str) -> bool {
    ["seed", "precision", "task"].contains(&field)
}

/// The words that can be chosen for a parameter of a type.
pub fn choices(ty: &TypeExpr) -> Vec<&str> {
    match &ty.kind {
        TypeExprKind::Named { name, args, .. } if name.text == "enum" => {
            args.iter().filter_map(|arg| if let ExprKind::Name(word) = &arg.value.kind { Some(word.as_str()) } else { None }).collect()
        }
        TypeExprKind::Optional(inner) => choices(inner),
        _ => Vec::new(),
    }
}
