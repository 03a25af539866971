//! Clean-up: dead code, common subexpressions, constants, algebra, and chains of axis moves.
//!
//! Values are preserved up to the rounding that algebraic identities such as `x * 1` and `x + 0` do not change. A random
//! value is what its site says: equal sites are one node, different ones never.

use mgx_ir::graph::{AxisId, BinaryOp, Graph, Node, NodeId, Op, Type, UnaryOp};

use super::rewrite::Rewriter;
use super::{check, fold};

/// Simplifies a graph. Returns where each old node went; `None` for nodes that nothing in `keep` or the outputs needs.
pub fn simplify(graph: &mut Graph, keep: &[NodeId]) -> Vec<Option<NodeId>> {
    let live = live(graph, keep);
    let mut rewriter = Rewriter::new(graph);
    let mut map: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| map[input.0 as usize].expect("a live node's inputs are live")).collect();
        rewriter.b.spans.clone_from(&node.spans);
        let id = rewrite(&mut rewriter, node, &inputs);
        rewriter.name(id, node.path.as_ref());
        map[index] = Some(id);
    }
    let outputs = std::mem::take(&mut graph.outputs);
    *graph = rewriter.b.finish();
    graph.outputs = outputs;
    for output in &mut graph.outputs {
        output.node = map[output.node.0 as usize].expect("outputs are live");
    }
    sweep(graph, keep, &mut map);
    check(graph, "simplify");
    map
}

/// Which nodes the outputs and `keep` need.
pub(crate) fn live(graph: &Graph, keep: &[NodeId]) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    for root in graph.outputs.iter().map(|output| &output.node).chain(keep) {
        live[root.0 as usize] = true;
    }
    for index in (0..graph.nodes.len()).rev() {
        if live[index] {
            for input in &graph.nodes[index].inputs {
                live[input.0 as usize] = true;
            }
        }
    }
    live
}

/// Drops what rewriting has left without a use.
fn sweep(graph: &mut Graph, keep: &[NodeId], map: &mut [Option<NodeId>]) {
    let keep: Vec<NodeId> = keep.iter().filter_map(|node| map[node.0 as usize]).collect();
    let live = live(graph, &keep);
    let mut moved = vec![None; graph.nodes.len()];
    let mut nodes: Vec<Node> = Vec::with_capacity(graph.nodes.len());
    for (index, mut node) in std::mem::take(&mut graph.nodes).into_iter().enumerate() {
        if live[index] {
            for input in &mut node.inputs {
                *input = moved[input.0 as usize].expect("a live node's inputs are live");
            }
            moved[index] = Some(NodeId(nodes.len() as u32));
            nodes.push(node);
        }
    }
    graph.nodes = nodes;
    for output in &mut graph.outputs {
        output.node = moved[output.node.0 as usize].expect("outputs are live");
    }
    for entry in map.iter_mut() {
        *entry = entry.and_then(|node| moved[node.0 as usize]);
    }
}

/// The simplest equal of a node whose inputs are rewritten.
fn rewrite(r: &mut Rewriter, node: &Node, inputs: &[NodeId]) -> NodeId {
    if let Some(value) = fold::constant(&r.b.graph, &node.op, inputs, node.ty.dtype) {
        let scalar = r.add(Op::Const(value), &[], Some(Type { dtype: node.ty.dtype, axes: Vec::new(), per_sample: false }));
        return like(r, scalar, &node.ty);
    }
    let simpler = match &node.op {
        Op::Unary(op) => unary(r, *op, inputs[0]),
        Op::Binary(op) => binary(r, *op, inputs[0], inputs[1]),
        Op::Select => select(r, inputs),
        Op::Cast if r.b.ty(inputs[0]).dtype == node.ty.dtype => Some(inputs[0]),
        Op::Broadcast => broadcast(r, inputs[0], &node.ty),
        Op::Permute => permute(r, inputs[0], &node.ty),
        Op::Reduce { over, batch: false, .. } if over.is_empty() => Some(inputs[0]),
        Op::Rename { pairs } => rename(r, inputs[0], pairs),
        Op::Split { axis, into } => split(r, inputs[0], *axis, into),
        Op::Merge { axes, into } => merge(r, inputs[0], axes, *into),
        Op::Slice { axis, into, start, step } => {
            let whole = *step == 1 && *start == mgx_ir::graph::SizeExpr::Const(0) && same_size(r, *axis, *into);
            whole.then(|| {
                rename(r, inputs[0], &[(*axis, *into)]).unwrap_or_else(|| r.add(Op::Rename { pairs: vec![(*axis, *into)] }, inputs, None))
            })
        }
        _ => None,
    };
    match simpler {
        // A simpler value may have fewer axes (`x * 1` where only the 1 was repeated) or others in order.
        Some(id) if r.b.ty(id).dtype == node.ty.dtype => like(r, id, &node.ty),
        _ => {
            let id = r.copy(node, inputs);
            like(r, id, &node.ty)
        }
    }
}

fn same_size(r: &Rewriter, a: AxisId, b: AxisId) -> bool {
    r.b.graph.extent(a) == r.b.graph.extent(b)
}

/// `id` with the axes that a type says.
fn like(r: &mut Rewriter, id: NodeId, ty: &Type) -> NodeId {
    let own = r.b.ty(id);
    if own == ty {
        return id;
    }
    if own.axes.len() < ty.axes.len() || own.per_sample != ty.per_sample {
        return r.add(Op::Broadcast, &[id], Some(ty.clone()));
    }
    r.add(Op::Permute, &[id], Some(ty.clone()))
}

fn node(r: &Rewriter, id: NodeId) -> &Node {
    r.b.graph.node(id)
}

/// The number that a value is everywhere, looking through repetition.
fn number(r: &Rewriter, id: NodeId) -> Option<f64> {
    match &node(r, id).op {
        Op::Const(value) => Some(*value),
        Op::Broadcast => number(r, node(r, id).inputs[0]),
        _ => None,
    }
}

fn unary(r: &Rewriter, op: UnaryOp, x: NodeId) -> Option<NodeId> {
    match (op, &node(r, x).op) {
        (UnaryOp::Neg, Op::Unary(UnaryOp::Neg)) | (UnaryOp::Not, Op::Unary(UnaryOp::Not)) => Some(node(r, x).inputs[0]),
        (UnaryOp::Abs, Op::Unary(UnaryOp::Abs)) => Some(x),
        _ => None,
    }
}

fn binary(r: &mut Rewriter, op: BinaryOp, x: NodeId, y: NodeId) -> Option<NodeId> {
    let (left, right) = (number(r, x), number(r, y));
    match op {
        BinaryOp::Add if left == Some(0.0) => Some(y),
        BinaryOp::Add | BinaryOp::Sub if right == Some(0.0) => Some(x),
        BinaryOp::Sub if left == Some(0.0) => Some(r.add(Op::Unary(UnaryOp::Neg), &[y], None)),
        BinaryOp::Mul if left == Some(1.0) => Some(y),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Pow if right == Some(1.0) => Some(x),
        BinaryOp::Mul if left == Some(-1.0) => Some(r.add(Op::Unary(UnaryOp::Neg), &[y], None)),
        BinaryOp::Mul if right == Some(-1.0) => Some(r.add(Op::Unary(UnaryOp::Neg), &[x], None)),
        BinaryOp::Pow if right == Some(2.0) => Some(r.add(Op::Binary(BinaryOp::Mul), &[x, x], None)),
        BinaryOp::And | BinaryOp::Or if x == y => Some(x),
        BinaryOp::Add => match (&node(r, x).op, &node(r, y).op) {
            (_, Op::Unary(UnaryOp::Neg)) => {
                let positive = node(r, y).inputs[0];
                Some(r.add(Op::Binary(BinaryOp::Sub), &[x, positive], None))
            }
            _ => unrepeat(r, op, x, y),
        },
        _ => unrepeat(r, op, x, y),
    }
}

/// A repeated operand is as good as what it repeats, as long as the result's type stays.
fn unrepeat(r: &mut Rewriter, op: BinaryOp, x: NodeId, y: NodeId) -> Option<NodeId> {
    let strip = |r: &Rewriter, id: NodeId| if node(r, id).op == Op::Broadcast { node(r, id).inputs[0] } else { id };
    let (bare_x, bare_y) = (strip(r, x), strip(r, y));
    if (bare_x, bare_y) == (x, y) {
        return None;
    }
    Some(r.add(Op::Binary(op), &[bare_x, bare_y], None))
}

fn select(r: &Rewriter, inputs: &[NodeId]) -> Option<NodeId> {
    match number(r, inputs[0]) {
        Some(condition) => Some(if condition != 0.0 { inputs[1] } else { inputs[2] }),
        None => (inputs[1] == inputs[2]).then_some(inputs[1]),
    }
}

fn broadcast(r: &Rewriter, x: NodeId, ty: &Type) -> Option<NodeId> {
    if r.b.ty(x) == ty {
        return Some(x);
    }
    // Repeating what is repeated is repeating once: `like` adds the one.
    (node(r, x).op == Op::Broadcast).then(|| node(r, x).inputs[0])
}

fn permute(r: &Rewriter, x: NodeId, ty: &Type) -> Option<NodeId> {
    if r.b.ty(x) == ty {
        return Some(x);
    }
    matches!(node(r, x).op, Op::Permute | Op::Broadcast).then(|| node(r, x).inputs[0])
}

fn rename(r: &mut Rewriter, x: NodeId, pairs: &[(AxisId, AxisId)]) -> Option<NodeId> {
    let inner = match &node(r, x).op {
        Op::Rename { pairs } => pairs.clone(),
        _ => Vec::new(),
    };
    let source = if inner.is_empty() { x } else { node(r, x).inputs[0] };
    let mut joined: Vec<(AxisId, AxisId)> =
        inner.iter().map(|(from, to)| (*from, pairs.iter().find(|(middle, _)| middle == to).map_or(*to, |(_, last)| *last))).collect();
    joined.extend(pairs.iter().filter(|(from, _)| !inner.iter().any(|(_, to)| to == from)));
    joined.retain(|(from, to)| from != to);
    if joined.is_empty() {
        return Some(source);
    }
    if source == x && joined.len() == pairs.len() {
        return None;
    }
    Some(r.add(Op::Rename { pairs: joined }, &[source], None))
}

fn split(r: &mut Rewriter, x: NodeId, axis: AxisId, into: &[AxisId]) -> Option<NodeId> {
    if let [only] = into {
        return Some(rename(r, x, &[(axis, *only)]).unwrap_or_else(|| r.add(Op::Rename { pairs: vec![(axis, *only)] }, &[x], None)));
    }
    let Op::Merge { axes, into: merged } = &node(r, x).op else { return None };
    let sizes_agree = axes.len() == into.len() && axes.iter().zip(into).all(|(a, b)| same_size(r, *a, *b));
    if *merged != axis || !sizes_agree {
        return None;
    }
    let pairs: Vec<_> = axes.iter().copied().zip(into.iter().copied()).collect();
    let source = node(r, x).inputs[0];
    Some(rename(r, source, &pairs).unwrap_or_else(|| r.add(Op::Rename { pairs }, &[source], None)))
}

fn merge(r: &mut Rewriter, x: NodeId, axes: &[AxisId], into: AxisId) -> Option<NodeId> {
    if let [only] = axes {
        return Some(rename(r, x, &[(*only, into)]).unwrap_or_else(|| r.add(Op::Rename { pairs: vec![(*only, into)] }, &[x], None)));
    }
    let Op::Split { axis, into: parts } = &node(r, x).op else { return None };
    if parts != axes || !same_size(r, *axis, into) {
        return None;
    }
    let (axis, source) = (*axis, node(r, x).inputs[0]);
    Some(rename(r, source, &[(axis, into)]).unwrap_or_else(|| r.add(Op::Rename { pairs: vec![(axis, into)] }, &[source], None)))
}
