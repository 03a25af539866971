//! The rules of programs that no value shows when it is computed node by node: alignment, aliases, spaces of fused steps and writing in
//! place.

use mgx_ir::graph::{AxisId, Op};
use mgx_ir::plan::{BufferId, FusedInput, FusedStep, ReduceSpace, SHORT, Storage};

use super::memory::Machine;

/// Buffers: aligned, inside the arena, and an alias as large as its root, of the same kind.
pub(super) fn buffers(machine: &Machine<'_>) {
    for (number, buffer) in machine.program.buffers.iter().enumerate() {
        let id = BufferId(number as u32);
        let offset = match buffer.storage {
            Storage::Arena { offset, bytes } => {
                let inside = offset + bytes <= machine.program.arena_bytes;
                machine.check(inside, || format!("buffer `{}` leaves the arena", buffer.name));
                offset
            }
            Storage::Param { offset } | Storage::ParamBf16 { offset } | Storage::Gradient { offset } | Storage::State { offset, .. } => {
                offset
            }
            Storage::Input => 0,
            Storage::Alias(root) => {
                alias(machine, id, root);
                0
            }
        };
        machine.check(offset.is_multiple_of(64), || format!("buffer `{}` is at byte {offset}, no multiple of 64", buffer.name));
        for axis in buffer.ty.axes.iter().filter(|_| !buffer.ty.per_sample) {
            let fixed = machine.program.axes[axis.0 as usize].extent.as_static().is_some();
            machine.check(fixed, || format!("buffer `{}` is not per sample but has a ragged axis", buffer.name));
        }
        machine.place(id);
    }
}

fn alias(machine: &Machine<'_>, id: BufferId, root: BufferId) {
    let (buffer, target) = (machine.buffer(id), machine.buffer(root));
    let elements = |id| machine.extents(id).iter().map(|shape| shape.iter().product()).collect::<Vec<usize>>();
    let same = buffer.ty.dtype == target.ty.dtype && buffer.ty.per_sample == target.ty.per_sample && elements(id) == elements(root);
    machine.check(same, || format!("buffer `{}` is an alias of `{}` of another type or size", buffer.name, target.name));
}

/// A fused step: inputs stand before, reductions are those of the space, stores are of what the space has, and nothing is written over
/// what may still be read.
pub(super) fn fused(machine: &Machine<'_>, step: &FusedStep) {
    let space: Vec<AxisId> = step.outer.iter().chain(&step.inner).copied().collect();
    for (number, axis) in space.iter().enumerate() {
        machine.check(!space[..number].contains(axis), || format!("axis {} is twice in the space", axis.0));
    }
    for (number, node) in step.nodes.iter().enumerate() {
        let before = node.inputs.iter().all(|input| !matches!(input, FusedInput::Node(other) if *other as usize >= number));
        machine.check(before, || format!("node {number} reads a node after it"));
        machine.check(step.per_sample || !node.ty.per_sample, || format!("node {number} is per sample, the space is not"));
        operation(machine, step, number);
    }
    for (place, store) in step.stores.iter().enumerate() {
        stored_axes(machine, step, store.node, &space);
        for other in &step.stores[..place] {
            let apart = !machine.place(store.buffer).overlaps(&machine.place(other.buffer));
            machine.check(apart, || format!("buffers {} and {} are both stored to the same bytes", other.buffer.0, store.buffer.0));
        }
        for (number, node) in step.nodes.iter().enumerate() {
            for input in &node.inputs {
                if let FusedInput::Buffer(buffer) = input {
                    in_place(machine, step, number, *buffer, store.buffer);
                }
            }
        }
    }
}

/// Which operations a fused step may hold, and which reductions in which space.
fn operation(machine: &Machine<'_>, step: &FusedStep, number: usize) {
    let node = &step.nodes[number];
    match &node.op {
        None => {
            let reads = matches!(node.inputs[..], [FusedInput::Buffer(_)]);
            machine.check(reads, || format!("node {number} must read one buffer"));
        }
        Some(Op::Reduce { over, batch, .. }) => {
            let size = |axis: &AxisId| machine.program.axes[axis.0 as usize].extent.as_static().unwrap_or(u64::MAX);
            let short = !batch && over.iter().map(size).fold(1, u64::saturating_mul) <= SHORT;
            let exact = match step.reduce {
                ReduceSpace::None => false,
                ReduceSpace::Inner => same_axes(over, &step.inner) && !batch,
                ReduceSpace::Outer { batch: samples } => same_axes(over, &step.outer) && *batch == samples,
            };
            machine.check(exact || short, || {
                format!(
                    "node {number} reduces over {over:?} (batch: {batch}), the space is {:?} over {:?} × {:?}",
                    step.reduce, step.outer, step.inner
                )
            });
        }
        Some(
            Op::Input { .. }
            | Op::Param(_)
            | Op::Contract { .. }
            | Op::ScatterAdd { .. }
            | Op::RoutedContract { .. }
            | Op::RoutedOuter { .. }
            | Op::Attention { .. }
            | Op::AttentionLse { .. }
            | Op::AttentionGrad { .. },
        ) => machine.fail(format!("node {number} is {}", node.op.as_ref().map_or("?", Op::name))),
        Some(_) => {}
    }
}

/// What is stored has the axes that its space leaves: all of them, those of a row's result, or those of a column's.
fn stored_axes(machine: &Machine<'_>, step: &FusedStep, number: u32, space: &[AxisId]) {
    let ty = &step.nodes[number as usize].ty;
    let allowed = match step.reduce {
        ReduceSpace::None => same_axes(&ty.axes, space) && ty.per_sample == step.per_sample,
        ReduceSpace::Inner => (same_axes(&ty.axes, space) || same_axes(&ty.axes, &step.outer)) && ty.per_sample == step.per_sample,
        ReduceSpace::Outer { batch } => same_axes(&ty.axes, &step.inner) && ty.per_sample == (step.per_sample && !batch),
    };
    machine.check(allowed, || {
        format!("stores node {number} of axes {:?} from {:?} over {:?} × {:?}", ty.axes, step.reduce, step.outer, step.inner)
    });
}

/// A store may go over bytes that the step reads only where each element is read at no other place than where it is stored: the same
/// bytes in the same order of axes, and nothing but elementwise operations in between, in a space without reductions.
fn in_place(machine: &Machine<'_>, step: &FusedStep, reader: usize, read: BufferId, written: BufferId) {
    let (from, to) = (machine.place(read), machine.place(written));
    if !from.overlaps(&to) {
        return;
    }
    let (source, target) = (machine.buffer(read), machine.buffer(written));
    let problem = |why: &str| machine.fail(format!("stores `{}` over `{}`, which it reads: {why}", target.name, source.name));
    if from != to || source.ty.axes != target.ty.axes || source.ty.per_sample != target.ty.per_sample {
        problem("their layouts differ");
    }
    if step.reduce != ReduceSpace::None {
        problem("the step reduces");
    }
    if step.nodes[reader].op.is_some() {
        problem("an operation reads it directly");
    }
    let mut tainted = vec![false; step.nodes.len()];
    tainted[reader] = true;
    for (number, node) in step.nodes.iter().enumerate() {
        if node.inputs.iter().any(|input| matches!(input, FusedInput::Node(other) if tainted[*other as usize])) {
            tainted[number] = true;
            if !matches!(node.op, Some(Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast | Op::Permute)) {
                problem(&format!("node {number} moves it"));
            }
        }
    }
}

pub(super) fn same_axes(one: &[AxisId], other: &[AxisId]) -> bool {
    one.len() == other.len() && one.iter().all(|axis| other.contains(axis))
}
