//! Which values kernels compute once and keep, and which are computed again wherever they are used.
//!
//! Kept are the values that a step or the outside reads, the results of reductions, and what would cost more to compute again
//! than to read: see [`Chooser::worth_keeping`]. Kernels that are merged later keep a value in a register; whether it goes to memory
//! at all is decided after that.

use std::collections::BTreeSet;

use mgx_ir::graph::{BinaryOp, NodeId, Op, ReduceOp, UnaryOp};

use super::canonical::{Canonical, is_heavy, is_source};
use super::layout;

/// The values that kernels compute for others.
pub(crate) struct Targets {
    pub(crate) kept: BTreeSet<NodeId>,
}

/// The most operations that are computed in one go for one kept value.
const MOST_NODES: usize = 48;

impl Targets {
    /// The value in memory that a value can be read from: itself, or what it is a view of.
    pub(crate) fn base(&self, canonical: &Canonical, id: NodeId) -> Option<NodeId> {
        base(canonical, &self.kept, id)
    }
}

fn base(canonical: &Canonical, kept: &BTreeSet<NodeId>, id: NodeId) -> Option<NodeId> {
    let mut id = id;
    loop {
        let node = canonical.graph.node(id);
        if kept.contains(&id) || is_heavy(&node.op) || is_source(&node.op) {
            return Some(id);
        }
        let is_view = layout::may_be_view(&node.op) && layout::view(&node.op, &canonical.layout(node.inputs[0])).is_some();
        if !is_view {
            return None;
        }
        id = node.inputs[0];
    }
}

/// Chooses what is kept.
pub(crate) fn choose(canonical: &Canonical) -> Targets {
    let mut kept: BTreeSet<NodeId> = BTreeSet::new();
    for (index, node) in canonical.graph.nodes.iter().enumerate() {
        let id = NodeId(index as u32);
        if matches!(node.op, Op::Reduce { .. }) && !canonical.is_short(id) {
            kept.insert(id);
        }
    }
    for id in &canonical.demanded {
        if base(canonical, &kept, *id).is_none() {
            kept.insert(canonical.root(*id));
        }
    }
    for destination in &canonical.destinations {
        if base(canonical, &kept, destination.node).is_none() {
            kept.insert(destination.node);
        }
    }
    let consumers = consumers(canonical);
    // Keeping a value makes others cheap to compute again; a second look sees what the first has kept.
    for _ in 0..2 {
        let chooser = Chooser { canonical, consumers: &consumers, owners: owners(canonical, &kept, &consumers) };
        chooser.sweep(&mut kept);
    }
    Targets { kept }
}

fn consumers(canonical: &Canonical) -> Vec<Vec<NodeId>> {
    let mut consumers: Vec<Vec<NodeId>> = vec![Vec::new(); canonical.graph.nodes.len()];
    for (index, node) in canonical.graph.nodes.iter().enumerate() {
        for input in &node.inputs {
            let list = &mut consumers[input.0 as usize];
            if list.last() != Some(&NodeId(index as u32)) {
                list.push(NodeId(index as u32));
            }
        }
    }
    consumers
}

/// For each value that is not kept, up to two of the kept values that it is computed for.
fn owners(canonical: &Canonical, kept: &BTreeSet<NodeId>, consumers: &[Vec<NodeId>]) -> Vec<BTreeSet<NodeId>> {
    let mut owners: Vec<BTreeSet<NodeId>> = vec![BTreeSet::new(); consumers.len()];
    for index in (0..consumers.len()).rev() {
        let mut own = BTreeSet::new();
        for consumer in &consumers[index] {
            if kept.contains(consumer) {
                own.insert(*consumer);
            } else if !is_heavy(&canonical.graph.node(*consumer).op) {
                own.extend(owners[consumer.0 as usize].iter().copied());
            }
        }
        owners[index] = own.into_iter().take(2).collect();
    }
    owners
}

struct Chooser<'a> {
    canonical: &'a Canonical,
    consumers: &'a [Vec<NodeId>],
    owners: Vec<BTreeSet<NodeId>>,
}

impl Chooser<'_> {
    fn sweep(&self, kept: &mut BTreeSet<NodeId>) {
        let nodes = &self.canonical.graph.nodes;
        let mut cones: Vec<BTreeSet<NodeId>> = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let id = NodeId(index as u32);
            let mut cone = BTreeSet::from([id]);
            if base(self.canonical, kept, id).is_none() {
                cone.extend(node.inputs.iter().flat_map(|input| &cones[input.0 as usize]));
                if !matches!(node.op, Op::Const(_) | Op::Iota(_)) && self.worth_keeping(id, &cone, kept) {
                    kept.insert(id);
                    cone = BTreeSet::from([id]);
                }
            }
            cones.push(cone);
        }
    }

    /// Would computing the value again cost more than keeping it? `cone` is what it is computed from, down to values in memory.
    fn worth_keeping(&self, id: NodeId, cone: &BTreeSet<NodeId>, kept: &BTreeSet<NodeId>) -> bool {
        let graph = &self.canonical.graph;
        let ty = graph.ty(id);
        let in_memory = |node: &NodeId| base(self.canonical, kept, *node).is_some();
        let computed = || cone.iter().filter(|node| !in_memory(node));
        let costly = computed().filter(|node| is_costly(&graph.node(**node).op)).count();
        let slow = costly > 0 || computed().any(|node| is_slow(&graph.node(*node).op));
        let full = cone.iter().filter(|node| in_memory(node) && graph.ty(**node).axes.len() >= ty.axes.len()).count();
        let shared = self.owners[id.0 as usize].len() > 1;
        let mut repeated = false;
        let mut moved = 0;
        let mut expanded = false;
        let (mut searched, mut compared) = (false, false);
        for consumer in &self.consumers[id.0 as usize] {
            let other = graph.node(*consumer);
            match &other.op {
                Op::Window { .. } | Op::Fold { .. } => repeated = true,
                Op::Gather { .. } if other.inputs[0] == id => repeated = true,
                Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } => moved += 1,
                op if is_heavy(op) => {}
                Op::Reduce { op, .. } => searched |= *op != ReduceOp::Sum,
                Op::Binary(BinaryOp::Eq) => compared = true,
                _ => expanded |= other.ty.axes.len() > ty.axes.len() || (other.ty.per_sample && !ty.per_sample),
            }
        }
        // Who looks for the greatest element and then for those equal to it must see the same bits both times.
        let identified = searched && compared;
        identified
            || cone.len() > MOST_NODES
            || (expanded && slow)
            || (repeated && (costly > 0 || full > 1))
            || (moved > 0 && self.consumers[id.0 as usize].len() > 1 && (costly > 0 || full > 1))
            || (shared && (full > 1 || costly > 2))
    }
}

/// Much more work than reading a number.
fn is_costly(op: &Op) -> bool {
    match op {
        Op::Unary(op) => {
            matches!(op, UnaryOp::Exp | UnaryOp::Log | UnaryOp::Tanh | UnaryOp::Erf | UnaryOp::Sin | UnaryOp::Cos)
        }
        Op::Binary(BinaryOp::Pow) | Op::Random { .. } | Op::Fold { .. } | Op::Gather { .. } => true,
        _ => false,
    }
}

/// More work than reading a number that is in the cache anyway.
fn is_slow(op: &Op) -> bool {
    matches!(op, Op::Unary(UnaryOp::Sqrt | UnaryOp::Rsqrt) | Op::Binary(BinaryOp::Div | BinaryOp::Rem))
}
