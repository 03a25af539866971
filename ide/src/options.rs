//! What a declaration takes when it is called.

use mgx_compiler::check::ItemRef;
use mgx_compiler::syntax::ast::{ExprKind, ItemKind, Param};

use crate::Program;

/// Options that every backbone has, with what they take.
pub const BACKBONE_OPTIONS: [(&str, &str); 6] = [
    ("max_length", "int?"),
    ("too_long", "enum(truncate, window, error)"),
    ("frozen", "bool"),
    ("from_scratch", "bool"),
    ("weights", "weights?"),
    ("hidden_states", "[int]"),
];

/// Options that every rewrite has, with what they take.
pub const REWRITE_OPTIONS: [(&str, &str); 3] = [("targets", "[name]"), ("save", "[name]"), ("weights", "weights?")];

/// The parameters of a declaration; of a backbone, its own and those of its network.
pub fn params<'a>(program: &Program<'a>, item: ItemRef) -> Vec<&'a Param> {
    match &program.analysis.item(item).kind {
        ItemKind::Module(module) => module.params.iter().collect(),
        ItemKind::Function(function) => function.params.iter().collect(),
        ItemKind::Backbone(backbone) => {
            let network = network(program, item).map_or_else(Vec::new, |network| params(program, network));
            backbone.params.iter().chain(network).collect()
        }
        ItemKind::Experiment(experiment) => experiment.params.iter().collect(),
        ItemKind::Tokenizer(_) | ItemKind::Data(_) => Vec::new(),
    }
}

/// The module that a backbone is made of.
pub fn network(program: &Program<'_>, item: ItemRef) -> Option<ItemRef> {
    let ItemKind::Backbone(backbone) = &program.analysis.item(item).kind else { return None };
    let ExprKind::Call(callee, _) = &backbone.network.kind else { return None };
    let ExprKind::Name(name) = &callee.kind else { return None };
    let network = program.analysis.lookup(item.file, name)?;
    matches!(program.analysis.item(network).kind, ItemKind::Module(_)).then_some(network)
}

/// Options that a declaration has beside its parameters, with what they take.
pub fn common_options(program: &Program<'_>, item: ItemRef) -> &'static [(&'static str, &'static str)] {
    use mgx_compiler::syntax::ast::ModuleRole;
    match &program.analysis.item(item).kind {
        ItemKind::Backbone(_) => &BACKBONE_OPTIONS,
        ItemKind::Module(module) if module.role == ModuleRole::Rewrite => &REWRITE_OPTIONS,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mgx_compiler::check::words;

    #[test]
    fn these_are_the_options_that_the_checker_knows() {
        let names = |options: &[(&'static str, &str)]| options.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let known = words().options;
        assert_eq!(names(&BACKBONE_OPTIONS), known["backbone"]);
        assert_eq!(names(&REWRITE_OPTIONS), known["rewrite"]);
    }
}
