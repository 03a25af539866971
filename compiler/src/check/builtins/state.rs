//! What a module keeps from step to step.

use mgx_diag::Diagnostic;
use mgx_ir::graph::{DType, Op};

use super::super::Checker;
use super::super::expr::Scope;
use super::super::value::{Tensor, Value};
use super::{Given, tensor, wrong};
use crate::syntax::ast::{Arg, ItemKind, MemberKind, Name};

/// `remember(y, running = value, …)` is `y`; a training step leaves each value in the module's state of that name.
pub fn remember(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let y = tensor(checker, given, 0, DType::F32)?;
    if given.named.is_empty() {
        return wrong(checker, given, "a tensor, and states with their values: `remember(y, running = value)`");
    }
    for arg in std::mem::take(&mut given.named) {
        let name = arg.name.as_ref()?;
        update(checker, name, arg, scope)?;
    }
    Some(Value::Tensor(y))
}

fn update(checker: &mut Checker<'_>, name: &Name, arg: &Arg, scope: &mut Scope) -> Option<()> {
    let Some(state) = state_of(checker, name, scope) else {
        checker.report(
            Diagnostic::error("E0215", format!("`{}` is not a state of this module", name.text))
                .label(name.span, "cannot be kept")
                .help(format!("declare it: `{}: state f[…]`", name.text)),
        );
        return None;
    };
    let value = checker.eval(&arg.value, scope);
    let value = checker.operand(&value, Some(DType::F32), arg.value.span)?;
    // Checked by itself, a function does not know whether what it is given differs between samples.
    let per_sample = value.per_sample && checker.emission.is_some();
    let same_axes = value.axes.len() == state.axes.len() && state.axes.iter().all(|axis| value.axes.contains(axis));
    if value.dtype != DType::F32 || per_sample || !same_axes {
        let whose = if per_sample { " of each sample" } else { "" };
        let mut diagnostic = Diagnostic::error("E0401", format!("the state `{}` is {}", name.text, checker.show_tensor(&state)))
            .label(arg.value.span, format!("is {}{whose}", checker.show_tensor(&value)));
        if per_sample {
            diagnostic = diagnostic.help("a state is the same for all samples: `sum(…, over = (batch, …))`");
        }
        checker.report(diagnostic);
        return None;
    }
    let value = checker.permute(&value, state.axes.clone());
    let (Some(emission), Some(old), Some(new)) = (checker.emission.as_mut().filter(|emission| emission.training), state.node, value.node)
    else {
        return Some(());
    };
    let found = match emission.graph.node(old).op {
        Op::Param(id) => Some(id),
        _ => emission.updates.iter().find(|(_, node)| **node == old).map(|(id, _)| *id),
    };
    if let (Some(id), Some(instance)) = (found, scope.instance.as_ref()) {
        emission.updates.insert(id, new);
        // A part that is used twice in a step goes on from what its first use left.
        instance.env.borrow_mut().set(&name.text, Value::Tensor(value));
    }
    Some(())
}

/// The state of a name of the module that is being evaluated.
fn state_of(checker: &Checker<'_>, name: &Name, scope: &Scope) -> Option<Tensor> {
    let instance = scope.instance.as_ref()?;
    let ItemKind::Module(module) = &checker.library.item(instance.item).kind else { return None };
    let declared = module.members.iter().any(|member| matches!(member.kind, MemberKind::State { .. }) && member.name.text == name.text);
    match instance.env.borrow().get(&name.text) {
        Some(Value::Tensor(tensor)) if declared => Some(tensor.clone()),
        _ => None,
    }
}
