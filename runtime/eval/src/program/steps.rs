//! Contractions, attention and scatter: the operation of the graph that the step stands for, on buffers in the layout it promises.

use mgx_ir::graph::{AxisId, Op, Type};
use mgx_ir::plan::{
    AttentionGradStep, AttentionStep, BatchRole, BufferId, ContractStep, RoutedOuterStep, RoutedStep, ScatterStep, StepWindows,
};

use super::check::same_axes;
use super::memory::Machine;
use crate::tensor::Value;

/// `out[g, m, n] (+)= Σ_k lhs[g, m, k] · rhs[g, n, k]`.
pub(super) fn contract(machine: &mut Machine<'_>, step: &ContractStep) {
    let ContractStep { lhs, rhs, out, m, n, k, group, batch, accumulate, windows } = step;
    // Which operand is windows: the first for a convolution, the second for the gradient of its kernel.
    let convolution = windows.filter(|windows| *m == [windows.into]);
    match windows {
        None => {
            operand(machine, *lhs, &[group, m, k]);
            operand(machine, *rhs, &[group, n, k]);
        }
        Some(windows) => {
            let ((other, rows), (source, own, into)) =
                if convolution.is_some() { ((*rhs, n), (*lhs, k, m)) } else { ((*lhs, m), (*rhs, n, k)) };
            operand(machine, other, &[&Vec::new(), rows, k]);
            let order = machine.buffer(source).ty.axes == [&[windows.axis], own.get(1..).unwrap_or(&[])].concat();
            let fits = order && group.is_empty() && own.first() == Some(&windows.tap) && *into == [windows.into];
            machine.check(fits, || format!("`{}` is not stored as windows are read", machine.buffer(source).name));
        }
    }
    operand(machine, *out, &[group, m, n]);
    let per_sample = |id: &BufferId| machine.buffer(*id).ty.per_sample;
    let expected = match batch {
        BatchRole::None => [false, false, false],
        BatchRole::Rows => [true, false, true],
        BatchRole::Each => [true, true, true],
        BatchRole::Sum => [true, true, false],
    };
    let found = [per_sample(lhs), per_sample(rhs), per_sample(out)];
    machine.check(found == expected, || format!("{batch:?} with operands (lhs, rhs, out) per sample: {found:?}"));
    separate(machine, &[*lhs, *rhs], *out);
    let op = Op::Contract { over: k.clone(), batch: *batch == BatchRole::Sum };
    let mut operands = [machine.read(*lhs), machine.read(*rhs)];
    if let Some(StepWindows { axis, into, tap, window }) = *windows {
        let place = usize::from(convolution.is_none());
        let source = machine.buffer([*lhs, *rhs][place]);
        let axes = [&[into, tap], &source.ty.axes[1..]].concat();
        let op = Op::Window { axis, into, tap, window };
        operands[place] = machine.scope().apply(&op, &Type { axes, ..source.ty.clone() }, &[&operands[place]]);
    }
    let value = machine.scope().apply(&op, &machine.buffer(*out).ty.clone(), &[&operands[0], &operands[1]]);
    machine.write(*out, &value, *accumulate);
}

/// The operand has exactly these axes, and each list stands together in its order.
fn operand(machine: &Machine<'_>, id: BufferId, lists: &[&Vec<AxisId>]) {
    let buffer = machine.buffer(id);
    let all: Vec<AxisId> = lists.iter().flat_map(|list| list.iter().copied()).collect();
    machine.check(same_axes(&all, &buffer.ty.axes), || format!("`{}` has axes {:?}, not those of {lists:?}", buffer.name, buffer.ty.axes));
    for list in &lists[1..] {
        let together = list.is_empty() || buffer.ty.axes.windows(list.len()).any(|part| part == list.as_slice());
        machine.check(together, || format!("axes {list:?} of `{}` do not stand together in {:?}", buffer.name, buffer.ty.axes));
    }
}

/// Attention and, where wanted, its log-sum-exp.
pub(super) fn attention(machine: &mut Machine<'_>, step: &AttentionStep) {
    let AttentionStep { q, k, v, out, lse, query, key, heads, dim, value, scale } = step;
    order(machine, *q, &[&[*query], heads, &[*dim]]);
    order(machine, *k, &[&[*key], heads, &[*dim]]);
    order(machine, *v, &[&[*key], heads, &[*value]]);
    order(machine, *out, &[&[*query], heads, &[*value]]);
    separate(machine, &[*q, *k, *v], *out);
    if let Some(lse) = lse {
        order(machine, *lse, &[&[*query], heads]);
        separate(machine, &[*q, *k, *v, *out], *lse);
    }
    let op = Op::Attention { query: *query, key: *key, dim: *dim, value: *value, scale: *scale };
    store(machine, &op, &[*q, *k, *v], *out, false);
    if let Some(lse) = lse {
        store(machine, &Op::AttentionLse { query: *query, key: *key, dim: *dim, scale: *scale }, &[*q, *k], *lse, false);
    }
}

/// The gradients that are wanted.
pub(super) fn attention_grad(machine: &mut Machine<'_>, step: &AttentionGradStep) {
    let AttentionGradStep { q, k, v, out, lse, dout, query, key, heads, dim, value, scale, .. } = step;
    order(machine, *q, &[&[*query], heads, &[*dim]]);
    order(machine, *k, &[&[*key], heads, &[*dim]]);
    order(machine, *v, &[&[*key], heads, &[*value]]);
    order(machine, *out, &[&[*query], heads, &[*value]]);
    order(machine, *lse, &[&[*query], heads]);
    order(machine, *dout, &[&[*query], heads, &[*value]]);
    let inputs = [*q, *k, *v, *out, *lse, *dout];
    let results = [(step.dq, *q), (step.dk, *k), (step.dv, *v)];
    for (wrt, (result, like)) in results.into_iter().enumerate() {
        let Some(result) = result else { continue };
        let axes = &machine.buffer(like).ty.axes;
        let same = machine.buffer(result).ty.axes == *axes && machine.buffer(result).ty.per_sample;
        machine.check(same, || format!("the gradient of input {wrt} is not stored like the input"));
        separate(machine, &inputs, result);
        for (other, _) in results[..wrt].iter() {
            if let Some(other) = other {
                separate(machine, &[*other], result);
            }
        }
        let op = Op::AttentionGrad { query: *query, key: *key, dim: *dim, value: *value, scale: *scale, wrt: wrt as u8 };
        store(machine, &op, &inputs, result, false);
    }
}

/// The per-sample buffer has these axes in this order.
fn order(machine: &Machine<'_>, id: BufferId, lists: &[&[AxisId]]) {
    let buffer = machine.buffer(id);
    let expected: Vec<AxisId> = lists.concat();
    machine.check(buffer.ty.axes == expected, || format!("`{}` has axes {:?}, not {expected:?}", buffer.name, buffer.ty.axes));
    machine.check(buffer.ty.per_sample, || format!("`{}` is not per sample", buffer.name));
}

/// `out[axis = a, rest] (+)= Σ over `over` where index = a of updates[over, rest]`.
pub(super) fn scatter(machine: &mut Machine<'_>, step: &ScatterStep) {
    let ScatterStep { updates, index, out, axis, over, batch, accumulate } = step;
    let axes = |id: &BufferId| machine.buffer(*id).ty.axes.clone();
    machine.check(axes(index) == *over, || format!("the index has axes {:?}, not {over:?}", axes(index)));
    let rest = axes(updates).split_off(over.len().min(axes(updates).len()));
    machine.check(axes(updates).starts_with(over), || format!("the updates have axes {:?}, not {over:?} first", axes(updates)));
    let expected: Vec<AxisId> = std::iter::once(*axis).chain(rest).collect();
    machine.check(axes(out) == expected, || format!("the result has axes {:?}, not {expected:?}", axes(out)));
    let per_sample = |id: &BufferId| machine.buffer(*id).ty.per_sample;
    let expected = (per_sample(updates) || per_sample(index)) && !batch;
    machine.check(per_sample(out) == expected, || format!("the result is per sample: {}", per_sample(out)));
    separate(machine, &[*updates, *index], *out);
    store(machine, &Op::ScatterAdd { axis: *axis, over: over.clone(), batch: *batch }, &[*updates, *index], *out, *accumulate);
}

/// `out[rows, rest, n] = Σ_k x[rows, k] · matrices[index[rows, rest]][n, k]`.
pub(super) fn routed(machine: &mut Machine<'_>, step: &RoutedStep) {
    let RoutedStep { x, index, matrices, out, n, k } = step;
    let axes = |id: &BufferId| machine.buffer(*id).ty.axes.clone();
    for matrix in matrices {
        operand(machine, *matrix, &[&Vec::new(), n, k]);
    }
    let rows = axes(x).into_iter().take(axes(x).len().saturating_sub(k.len())).collect::<Vec<_>>();
    machine.check(axes(x) == [rows.as_slice(), k].concat(), || format!("x has axes {:?}, whose last are not {k:?}", axes(x)));
    machine.check(axes(index).starts_with(&rows), || format!("the index has axes {:?}, not {rows:?} first", axes(index)));
    machine.check(axes(out) == [axes(index).as_slice(), n].concat(), || format!("the result has axes {:?}", axes(out)));
    same_kind(machine, &[*x, *index, *out]);
    let inputs = [&[*x, *index], matrices.as_slice()].concat();
    separate(machine, &inputs, *out);
    store(machine, &Op::RoutedContract { over: k.clone() }, &inputs, *out, false);
}

/// `out[m, n] (+)= Σ x[.., m] · y[.., n]` over the rows whose index is `choice`.
pub(super) fn routed_outer(machine: &mut Machine<'_>, step: &RoutedOuterStep) {
    let RoutedOuterStep { x, y, index, out, m, n, choice, of, accumulate } = step;
    let axes = |id: &BufferId| machine.buffer(*id).ty.axes.clone();
    for (id, own) in [(x, m), (y, n)] {
        let rows = axes(id).into_iter().take(axes(id).len().saturating_sub(own.len())).collect::<Vec<_>>();
        let suits = axes(id) == [rows.as_slice(), own].concat() && axes(index).starts_with(&rows);
        machine.check(suits, || format!("an operand has axes {:?} where {:?} and {own:?} are due", axes(id), axes(index)));
    }
    operand(machine, *out, &[&Vec::new(), m, n]);
    same_kind(machine, &[*x, *y, *index]);
    machine.check(!machine.buffer(*out).ty.per_sample, || "the result is per sample".to_owned());
    separate(machine, &[*x, *y, *index], *out);
    store(machine, &Op::RoutedOuter { choice: *choice, of: *of }, &[*x, *y, *index], *out, *accumulate);
}

/// All are per sample, or none is.
fn same_kind(machine: &Machine<'_>, ids: &[BufferId]) {
    let kinds: Vec<bool> = ids.iter().map(|id| machine.buffer(*id).ty.per_sample).collect();
    machine.check(kinds.windows(2).all(|pair| pair[0] == pair[1]), || format!("operands of different kinds: per sample {kinds:?}"));
}

/// The result shares no bytes with an operand.
fn separate(machine: &Machine<'_>, inputs: &[BufferId], out: BufferId) {
    for input in inputs {
        let apart = !machine.place(*input).overlaps(&machine.place(out));
        machine.check(apart, || {
            format!("`{}` is stored over `{}`, which the step reads", machine.buffer(out).name, machine.buffer(*input).name)
        });
    }
}

/// Applies an operation to buffers and stores the result, typed as the buffer it goes to.
fn store(machine: &mut Machine<'_>, op: &Op, inputs: &[BufferId], out: BufferId, accumulate: bool) {
    let operands: Vec<Value> = inputs.iter().map(|input| machine.read(*input)).collect();
    let operands: Vec<&Value> = operands.iter().collect();
    let ty: Type = machine.buffer(out).ty.clone();
    let value = machine.scope().apply(op, &ty, &operands);
    machine.write(out, &value, accumulate);
}
