//! Greatest elements that are subtracted only to keep exponentials finite.
//!
//! `exp(x − m) / Σ exp(x − m)` with `m = max x` does not depend on `m`. Its gradient by `m` is zero, and computing it would
//! look for the greatest element again and sum what cancels. This finds such `m`: every way from it must end where the change
//! of `m` by the same amount has no effect any more. An index that looks up an element of `x − m` is taken to be inside its axis, as
//! labels are; elements that are masked out afterwards do not count.

use std::collections::{BTreeMap, BTreeSet};

use mgx_ir::graph::{AxisId, BinaryOp, Graph, NodeId, Op, ReduceOp, UnaryOp};

/// How a value changes when `m` grows by `d`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    /// It grows by `d` times this (−1 for `x − m`).
    Shift(i8),
    /// It is multiplied by `exp(d)` to this power.
    Scale(i8),
}

/// For each node: is it a greatest element (a [`ReduceOp::Max`]) by which none of `losses` changes?
pub(super) fn stabilisers(graph: &Graph, losses: &[NodeId]) -> Vec<bool> {
    let mut consumers: Vec<Vec<NodeId>> = vec![Vec::new(); graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        for input in &node.inputs {
            consumers[input.0 as usize].push(NodeId(index as u32));
        }
    }
    let is_stabiliser = |id: NodeId| match &graph.node(id).op {
        Op::Reduce { op: ReduceOp::Max, batch: false, .. } => cancels(graph, &consumers, losses, id),
        _ => false,
    };
    (0..graph.nodes.len() as u32).map(|id| is_stabiliser(NodeId(id))).collect()
}

/// Does every change of `m` end without effect?
fn cancels(graph: &Graph, consumers: &[Vec<NodeId>], losses: &[NodeId], m: NodeId) -> bool {
    let kept = &graph.ty(m).axes;
    let mut changes = BTreeMap::from([(m, Change::Shift(1))]);
    if losses.contains(&m) {
        return false;
    }
    // Consumers come later in the graph, so one sweep in order sees all changed inputs of a node.
    let mut open: BTreeSet<NodeId> = consumers[m.0 as usize].iter().copied().collect();
    while let Some(id) = open.pop_first() {
        let node = graph.node(id);
        let inputs: Vec<Option<Change>> = node.inputs.iter().map(|input| changes.get(input).copied()).collect();
        match outcome(&node.op, &inputs, kept) {
            Outcome::None => {}
            Outcome::Unknown => return false,
            Outcome::Changed(_) if losses.contains(&id) => return false,
            Outcome::Changed(change) => {
                changes.insert(id, change);
                open.extend(&consumers[id.0 as usize]);
            }
        }
    }
    true
}

enum Outcome {
    None,
    Changed(Change),
    Unknown,
}

fn outcome(op: &Op, inputs: &[Option<Change>], kept: &[AxisId]) -> Outcome {
    use Change::{Scale, Shift};
    let shift = |by: i8| if by == 0 { Outcome::None } else { Outcome::Changed(Shift(by)) };
    let scale = |by: i8| if by == 0 { Outcome::None } else { Outcome::Changed(Scale(by)) };
    let free = |over: &[AxisId]| !over.iter().any(|axis| kept.contains(axis));
    match (op, inputs) {
        (Op::Binary(BinaryOp::Add), [a, b]) => match (a, b) {
            (Some(Shift(a)), Some(Shift(b))) => shift(a + b),
            (Some(Shift(a)), None) | (None, Some(Shift(a))) => shift(*a),
            (Some(Scale(a)), Some(Scale(b))) if a == b => scale(*a),
            _ => Outcome::Unknown,
        },
        (Op::Binary(BinaryOp::Sub), [a, b]) => match (a, b) {
            (Some(Shift(a)), Some(Shift(b))) => shift(a - b),
            (Some(Shift(a)), None) => shift(*a),
            (None, Some(Shift(b))) => shift(-b),
            (Some(Scale(a)), Some(Scale(b))) if a == b => scale(*a),
            _ => Outcome::Unknown,
        },
        (Op::Binary(BinaryOp::Mul), [a, b]) => match (a, b) {
            (Some(Scale(a)), Some(Scale(b))) => scale(a + b),
            (Some(Scale(a)), None) | (None, Some(Scale(a))) => scale(*a),
            _ => Outcome::Unknown,
        },
        (Op::Binary(BinaryOp::Div), [a, b]) => match (a, b) {
            (Some(Scale(a)), Some(Scale(b))) => scale(a - b),
            (Some(Scale(a)), None) => scale(*a),
            (None, Some(Scale(b))) => scale(-b),
            _ => Outcome::Unknown,
        },
        (Op::Unary(UnaryOp::Neg), [Some(change)]) => match change {
            Shift(by) => shift(-by),
            Scale(by) => scale(*by),
        },
        (Op::Unary(UnaryOp::Exp), [Some(Shift(by))]) => scale(*by),
        (Op::Unary(UnaryOp::Log), [Some(Scale(by))]) => shift(*by),
        (Op::Reduce { op: ReduceOp::Sum, over, batch: false }, [Some(Scale(by))]) if free(over) => scale(*by),
        (Op::Contract { over, batch: false }, [a, b]) if free(over) => match (a, b) {
            (Some(Scale(a)), None) | (None, Some(Scale(a))) => scale(*a),
            _ => Outcome::Unknown,
        },
        (Op::Gather { axis }, [Some(change), None]) if free(&[*axis]) => Outcome::Changed(*change),
        (Op::Broadcast | Op::Permute, [Some(change)]) => Outcome::Changed(*change),
        _ => Outcome::Unknown,
    }
}
