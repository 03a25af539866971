//! The floating point operations of a program.

use mgx_ir::graph::AxisId;
use mgx_ir::plan::{BatchRole, BufferId, FusedInput, FusedStep, Program, StepKind};

/// Floating point operations of a program on a batch, given by the lengths of each sample.
///
/// A matrix product counts `2 m n k`, also where each row chooses its matrix; attention `2 q k (d + v)` for each head, its gradients `2 q k (3 d + 2 v)`; an elementwise operation or
/// a reduction 1 for each element; moves nothing.
pub fn flops(program: &Program, batch: &[Vec<u64>]) -> u64 {
    program.steps.iter().map(|step| step_flops(program, &step.kind, batch)).fold(0, u64::saturating_add)
}

fn step_flops(program: &Program, step: &StepKind, batch: &[Vec<u64>]) -> u64 {
    match step {
        StepKind::Fused(step) => fused(program, step, batch),
        StepKind::Contract(step) => {
            let axes = [&step.group, &step.m, &step.n, &step.k].into_iter().flatten().copied().collect::<Vec<_>>();
            2 * elements(program, &axes, step.batch != BatchRole::None, batch)
        }
        StepKind::Attention(step) => {
            let scores = [&[step.query, step.key], step.heads.as_slice()].concat();
            2 * with(program, &scores, &[(step.dim, 1), (step.value, 1)], batch)
        }
        StepKind::AttentionGrad(step) => {
            let scores = [&[step.query, step.key], step.heads.as_slice()].concat();
            2 * with(program, &scores, &[(step.dim, 3), (step.value, 2)], batch)
        }
        StepKind::Routed(step) => {
            let index = &program.buffers[step.index.0 as usize].ty;
            2 * elements(program, &[index.axes.as_slice(), &step.n, &step.k].concat(), index.per_sample, batch)
        }
        // Of all rows, on average as many as there are matrices have chosen each.
        StepKind::RoutedOuter(step) => {
            let index = &program.buffers[step.index.0 as usize].ty;
            2 * elements(program, &[index.axes.as_slice(), &step.m, &step.n].concat(), index.per_sample, batch) / u64::from(step.of.max(1))
        }
        StepKind::Scatter(step) => buffer_elements(program, step.updates, batch),
    }
}

/// Elements over `axes`, times the weighted sum of some more axes' sizes.
fn with(program: &Program, axes: &[AxisId], more: &[(AxisId, u64)], batch: &[Vec<u64>]) -> u64 {
    more.iter().map(|(axis, weight)| weight * elements(program, &[axes, &[*axis]].concat(), true, batch)).fold(0, u64::saturating_add)
}

fn elements(program: &Program, axes: &[AxisId], per_sample: bool, batch: &[Vec<u64>]) -> u64 {
    let of = |lengths: &[u64]| axes.iter().map(|axis| program.axes[axis.0 as usize].extent.eval(lengths)).fold(1, u64::saturating_mul);
    if per_sample { batch.iter().map(|lengths| of(lengths)).fold(0, u64::saturating_add) } else { of(&[]) }
}

fn buffer_elements(program: &Program, id: BufferId, batch: &[Vec<u64>]) -> u64 {
    let ty = &program.buffers[id.0 as usize].ty;
    elements(program, &ty.axes, ty.per_sample, batch)
}

fn fused(program: &Program, step: &FusedStep, batch: &[Vec<u64>]) -> u64 {
    use mgx_ir::graph::Op;
    let mut total: u64 = 0;
    for node in &step.nodes {
        let ty = match (&node.op, node.inputs.first()) {
            (Some(Op::Unary(_) | Op::Binary(_) | Op::Select), _) => &node.ty,
            (Some(Op::Reduce { .. } | Op::Fold { .. }), Some(FusedInput::Node(operand))) => &step.nodes[*operand as usize].ty,
            _ => continue,
        };
        total = total.saturating_add(elements(program, &ty.axes, ty.per_sample, batch));
    }
    total
}
