//! What a task knows of the labels of the training rows, and numbers along the axis of classes.

use mgx_diag::Diagnostic;
use mgx_ir::graph::{BinaryOp, DType, NodeId, Op};
use mgx_ir::plan::{FitSpec, Init, InputSource, Statistic};

use super::super::expr::Scope;
use super::super::value::{AxisRef, Tensor, Value};
use super::super::{Checker, ParamInfo};
use super::{Given, lists, tensor, wrong};

/// `training_mean(target)`, `training_deviation(target)`: of each number of a label; `training_balance(target, over = classes)`: for each class. The value is a state of the
/// experiment, which the labels of the training rows give before training begins, and checkpoints keep.
pub fn of_training(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let label = tensor(checker, given, 0, DType::F32)?;
    let found = column_of(checker, &label);
    let (statistic, wanted) = match given.name {
        "training_mean" => (Statistic::Mean, "a label of numbers"),
        "training_deviation" => (Statistic::Deviation, "a label of numbers"),
        _ => (Statistic::Balance, "a label of one of several classes"),
    };
    let (data, column) = match (found, statistic) {
        (Some((InputSource::Class { data, column }, _)), Statistic::Balance) => (data, column),
        (
            Some((InputSource::Real { data, column } | InputSource::Numbers { data, column, .. }, _)),
            Statistic::Mean | Statistic::Deviation,
        ) => (data, column),
        _ => return wrong(checker, given, &format!("{wanted}, as the task is given it")),
    };
    let axes = match statistic {
        Statistic::Balance => vec![over(checker, given, scope)?],
        Statistic::Mean | Statistic::Deviation => label.axes,
    };
    Some(Value::Tensor(checker.fitted(FitSpec { data, column, statistic }, axes)?))
}

/// `numbers([1, 2.5], over = classes)`: a list along an axis of its length.
pub fn numbers(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let Ok(items) = lists::list(checker, given)? else { return wrong(checker, given, "a list of numbers") };
    let axis = over(checker, given, scope)?;
    let size = checker.axis_size(axis);
    if size.as_constant() != Some(items.len() as i64) {
        let message = format!("{} numbers along an axis of {size}", items.len());
        let diagnostic = Diagnostic::error("E0401", message).label(given.span, "in this call");
        checker.report(diagnostic.help(format!("give {size} numbers, one for each of `{}`", checker.axis(axis).name)));
        return None;
    }
    let place = checker.positions(axis);
    let mut found: Option<Tensor> = None;
    for (index, item) in items.iter().enumerate() {
        let Some(number) = checker.as_number(item) else { return wrong(checker, given, "a list of numbers") };
        let own = checker.constant(number, DType::F32);
        found = Some(match found {
            None => own,
            Some(before) => {
                let index = checker.constant(index as f64, DType::I32);
                let here = checker.binary(BinaryOp::Eq, &place, &index);
                checker.select(&here, &own, &before)
            }
        });
    }
    match found {
        Some(found) if found.axes.is_empty() => Some(Value::Tensor(checker.emit(Op::Broadcast, &[&found], DType::F32, vec![axis], false))),
        Some(found) => Some(Value::Tensor(found)),
        None => wrong(checker, given, "a list of numbers"),
    }
}

/// The axis that `over` names.
fn over(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<AxisRef> {
    let Some(arg) = given.take("over") else {
        wrong(checker, given, "the axis: `over = classes`");
        return None;
    };
    match checker.eval(&arg.value, scope) {
        Value::Int { axis: Some(axis), .. } => Some(axis),
        Value::Error => None,
        other => {
            let diagnostic = Diagnostic::error("E0403", format!("an axis is wanted, not {}", other.describe()));
            checker.report(diagnostic.label(arg.value.span, "not an axis"));
            None
        }
    }
}

/// The input that a label is, as it is or repeated along an axis.
fn column_of(checker: &Checker<'_>, label: &Tensor) -> Option<(InputSource, NodeId)> {
    let graph = &checker.emission.as_ref()?.graph;
    let mut node = label.node?;
    while let Op::Broadcast = graph.node(node).op {
        node = *graph.node(node).inputs.first()?;
    }
    let Op::Input { name } = &graph.node(node).op else { return None };
    let input = checker.experiment.inputs.iter().find(|input| input.name == *name)?;
    Some((input.source.clone(), node))
}

impl Checker<'_> {
    /// The state that holds a statistic.
    fn fitted(&mut self, spec: FitSpec, axes: Vec<AxisRef>) -> Option<Tensor> {
        if let Some((_, state)) = self.experiment.fits.iter().find(|(other, _)| *other == spec) {
            return Some(state.clone());
        }
        // With the keys under which the reference's tasks store them.
        let (word, key) = match spec.statistic {
            Statistic::Mean => ("mean", "scaler._mean"),
            Statistic::Deviation => ("deviation", "scaler._std"),
            Statistic::Balance => ("balance", "loss.weight"),
        };
        let path = format!("task.{}.{word}", spec.column);
        let sizes: Option<Vec<u64>> =
            axes.iter().map(|axis| self.axis_size(*axis).as_constant().and_then(|size| u64::try_from(size).ok())).collect();
        let graph_axes: Vec<_> = axes.iter().map(|axis| self.graph_axis(*axis)).collect();
        let names = axes.iter().map(|axis| self.axis(*axis).name.clone()).collect();
        let fit = self.experiment.fits.len() as u32;
        let param = ParamInfo { axes: names, shape: sizes?, ..ParamInfo::state_of_task(path, key, Init::Fitted { fit }) };
        let id = self.add_task_state(param, graph_axes)?;
        let state = self.emit(Op::Param(id), &[], DType::F32, axes, false);
        self.experiment.fits.push((spec, state.clone()));
        Some(state)
    }
}
