//! The arena: how large each buffer is, how long it lives, what may be written over what, and where everything goes.

use std::collections::BTreeMap;

use mgx_ir::graph::{Axis, Op, Type};
use mgx_ir::plan::{BufferId, FusedInput, FusedStep, Program, ReduceSpace, StepKind, Storage};

/// Offsets are multiples of this many bytes.
const ALIGNMENT: u64 = 64;

/// Bytes of a value of this type for the largest batch.
pub(crate) fn bytes(axes: &[Axis], ty: &Type, capacity: &[Vec<Vec<u64>>]) -> u64 {
    let elements = |lengths: &[u64]| ty.axes.iter().map(|axis| axes[axis.0 as usize].extent.eval(lengths)).fold(1, u64::saturating_mul);
    let elements = if ty.per_sample {
        let batch = |batch: &Vec<Vec<u64>>| batch.iter().map(|lengths| elements(lengths)).fold(0, u64::saturating_add);
        capacity.iter().map(batch).max().unwrap_or(0)
    } else {
        elements(&[])
    };
    elements.saturating_mul(4)
}

/// Gives every arena buffer its place.
pub(crate) fn place(mut program: Program, capacity: &[Vec<Vec<u64>>]) -> Program {
    let lives = lives(&program);
    let mut blocks = blocks(&program, &lives, capacity);
    // Large ones first: small ones then fit into the gaps.
    blocks.sort_by_key(|block| (std::cmp::Reverse(block.bytes), block.first, block.members[0]));
    let mut placed: Vec<Block> = Vec::with_capacity(blocks.len());
    for mut block in blocks {
        let rivals = placed.iter().filter(|other| other.first <= block.last && block.first <= other.last && other.bytes > 0);
        let mut taken: Vec<(u64, u64)> = rivals.map(|other| (other.offset, other.offset + other.bytes)).collect();
        taken.sort_unstable();
        block.offset = best_gap(&taken, block.bytes);
        program.arena_bytes = program.arena_bytes.max(block.offset + block.bytes);
        for member in &block.members {
            program.buffers[member.0 as usize].storage = Storage::Arena { offset: block.offset, bytes: block.bytes };
        }
        placed.push(block);
    }
    program
}

/// The smallest gap that is large enough, else the end; the lowest where several are as small.
fn best_gap(taken: &[(u64, u64)], bytes: u64) -> u64 {
    let mut end = 0;
    let mut best: Option<(u64, u64)> = None;
    for (from, to) in taken {
        if *from > end && from - end >= bytes && best.is_none_or(|(size, _)| from - end < size) {
            best = Some((from - end, end));
        }
        end = end.max(*to);
    }
    best.map_or(end, |(_, offset)| offset)
}

/// Buffers that share bytes one after another, with the steps from the first write to the last use.
struct Block {
    members: Vec<BufferId>,
    first: usize,
    last: usize,
    bytes: u64,
    offset: u64,
}

fn root(program: &Program, id: BufferId) -> BufferId {
    match program.buffers[id.0 as usize].storage {
        Storage::Alias(root) => root,
        _ => id,
    }
}

/// First and last step that touches each arena buffer; outputs live to the end.
fn lives(program: &Program) -> BTreeMap<BufferId, (usize, usize)> {
    let mut lives: BTreeMap<BufferId, (usize, usize)> = BTreeMap::new();
    let mut touch = |id: BufferId, at: usize| {
        let root = root(program, id);
        if matches!(program.buffers[root.0 as usize].storage, Storage::Arena { .. }) {
            lives.entry(root).or_insert((at, at)).1 = at;
        }
    };
    for (at, step) in program.steps.iter().enumerate() {
        for id in touched(&step.kind) {
            touch(id, at);
        }
    }
    for output in &program.outputs {
        touch(output.buffer, program.steps.len());
    }
    lives
}

/// The buffers that a step reads or writes.
fn touched(step: &StepKind) -> Vec<BufferId> {
    match step {
        StepKind::Fused(step) => {
            let reads = step.nodes.iter().flat_map(|node| &node.inputs).filter_map(|input| match input {
                FusedInput::Buffer(id) => Some(*id),
                FusedInput::Node(_) => None,
            });
            reads.chain(step.stores.iter().map(|store| store.buffer)).collect()
        }
        StepKind::Contract(step) => vec![step.lhs, step.rhs, step.out],
        StepKind::Attention(step) => [step.q, step.k, step.v, step.out].into_iter().chain(step.lse).collect(),
        StepKind::AttentionGrad(step) => {
            let reads = [step.q, step.k, step.v, step.out, step.lse, step.dout];
            reads.into_iter().chain(step.dq).chain(step.dk).chain(step.dv).collect()
        }
        StepKind::Scatter(step) => vec![step.updates, step.index, step.out],
        StepKind::Routed(step) => [step.x, step.index, step.out].into_iter().chain(step.matrices.iter().copied()).collect(),
        StepKind::RoutedOuter(step) => vec![step.x, step.y, step.index, step.out],
    }
}

/// One block for each buffer, or for several that are written over each other.
fn blocks(program: &Program, lives: &BTreeMap<BufferId, (usize, usize)>, capacity: &[Vec<Vec<u64>>]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut block_of: BTreeMap<BufferId, usize> = BTreeMap::new();
    let mut by_start: Vec<(usize, BufferId)> = lives.iter().map(|(id, (first, _))| (*first, *id)).collect();
    by_start.sort_unstable();
    for (first, id) in by_start {
        let last = lives[&id].1;
        let bytes = bytes(&program.axes, &program.buffers[id.0 as usize].ty, capacity).next_multiple_of(ALIGNMENT);
        let over = overwritable(program, lives, first, id).into_iter().find(|other| {
            let block = &blocks[block_of[other]];
            block.last == first && block.bytes == bytes
        });
        if let Some(other) = over {
            let at = block_of[&other];
            blocks[at].members.push(id);
            blocks[at].last = last;
            block_of.insert(id, at);
        } else {
            block_of.insert(id, blocks.len());
            blocks.push(Block { members: vec![id], first, last, bytes, offset: 0 });
        }
    }
    blocks
}

/// The buffers that step `at` may write `target` over: last used there, stored alike, and read elementwise alone.
fn overwritable(program: &Program, lives: &BTreeMap<BufferId, (usize, usize)>, at: usize, target: BufferId) -> Vec<BufferId> {
    let Some(StepKind::Fused(step)) = program.steps.get(at).map(|step| &step.kind) else { return Vec::new() };
    if step.reduce != ReduceSpace::None || !step.stores.iter().any(|store| store.buffer == target && !store.accumulate) {
        return Vec::new();
    }
    let ty = &program.buffers[target.0 as usize].ty;
    let mut found = Vec::new();
    for node in &step.nodes {
        let (None, [FusedInput::Buffer(read)]) = (&node.op, node.inputs.as_slice()) else { continue };
        let root = root(program, *read);
        let dies = lives.get(&root).is_some_and(|(first, last)| *last == at && *first < at);
        if dies && !found.contains(&root) && read_elementwise(program, step, root, ty) {
            found.push(root);
        }
    }
    found
}

/// Is everything that reads `root` in this step stored as `ty` and used by elementwise operations alone?
fn read_elementwise(program: &Program, step: &FusedStep, root_buffer: BufferId, ty: &Type) -> bool {
    let mut tainted = vec![false; step.nodes.len()];
    for (at, node) in step.nodes.iter().enumerate() {
        for input in &node.inputs {
            match input {
                FusedInput::Buffer(read) if root(program, *read) == root_buffer => {
                    let own = &program.buffers[read.0 as usize].ty;
                    if own.axes != ty.axes || own.per_sample != ty.per_sample {
                        return false;
                    }
                    tainted[at] = true;
                }
                FusedInput::Node(other) if tainted[*other as usize] => {
                    if !matches!(node.op, Some(Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast | Op::Permute)) {
                        return false;
                    }
                    tainted[at] = true;
                }
                _ => {}
            }
        }
    }
    true
}
