//! Mixed precision: products of bfloat16 numbers, and everything else in f32, as automatic mixed precision of PyTorch has it.
//!
//! What goes into a matrix product, a convolution or an attention is rounded to bfloat16 and summed in f32. What comes out is rounded where it is
//! per sample (an activation, or the gradient of one); gradients of parameters are sums over the batch and stay f32, like the
//! parameters. Norms, softmax, losses and other elementwise work read and give f32: a chain of it is rounded once, where it enters a product.

use std::collections::BTreeSet;

use mgx_ir::graph::{DType, Graph, Node, NodeId, Op, UnaryOp, Window, round_to_bf16};

use super::check;
use super::rewrite::Rewriter;

/// Rounds what goes into the products of a graph and what comes out. Run it after [`differentiate`](super::differentiate), so that the products of
/// the backward pass are rounded as well. Returns where each node went.
///
/// # Panics
/// Where the graph breaks its promises (debug builds).
pub fn round_products(graph: &mut Graph) -> Vec<NodeId> {
    let folded = folded(graph);
    let mut mixed = Mixed { rewriter: Rewriter::new(graph), map: Vec::with_capacity(graph.nodes.len()), shared: BTreeSet::new() };
    for (index, node) in graph.nodes.iter().enumerate() {
        mixed.rewriter.b.spans.clone_from(&node.spans);
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| mixed.map[input.0 as usize]).collect();
        let id = mixed.node(node, &inputs, folded.contains(&NodeId(index as u32)));
        mixed.rewriter.name(id, node.path.as_ref());
        mixed.map.push(id);
    }
    let Mixed { rewriter, map, .. } = mixed;
    let outputs = std::mem::take(&mut graph.outputs);
    *graph = rewriter.b.finish();
    graph.outputs = outputs;
    for output in &mut graph.outputs {
        output.node = map[output.node.0 as usize];
    }
    check(graph, "mixed precision");
    map
}

/// Contractions whose windows are folded: with the fold they are one convolution, whose result alone is rounded.
fn folded(graph: &Graph) -> BTreeSet<NodeId> {
    let folds = graph.nodes.iter().filter(|node| matches!(node.op, Op::Fold { .. })).flat_map(|node| &node.inputs);
    folds.copied().filter(|input| matches!(graph.node(*input).op, Op::Contract { .. })).collect()
}

struct Mixed {
    rewriter: Rewriter,
    map: Vec<NodeId>,
    /// Values that are the same for all samples (parameters, above all) and were rounded for a product.
    shared: BTreeSet<NodeId>,
}

impl Mixed {
    fn node(&mut self, node: &Node, inputs: &[NodeId], is_folded: bool) -> NodeId {
        if node.op == Op::Unary(UnaryOp::Bf16) && self.is_rounded(inputs[0]) {
            return inputs[0];
        }
        // What an attention gives besides its result is not rounded: the backward pass takes exponentials of it.
        let operands = match node.op {
            Op::Contract { .. } | Op::RoutedContract { .. } | Op::RoutedOuter { .. } => inputs.len(),
            Op::Attention { .. } | Op::AttentionLse { .. } | Op::AttentionGrad { .. } => inputs.len(),
            _ => 0,
        };
        let is_lse = |place: usize| matches!(node.op, Op::AttentionGrad { .. }) && place == 4;
        let trigger = inputs.iter().copied().find(|input| self.rewriter.b.ty(*input).per_sample);
        let inputs: Vec<NodeId> = inputs
            .iter()
            .enumerate()
            .map(|(place, input)| if place < operands && !is_lse(place) { self.operand(*input, trigger) } else { *input })
            .collect();
        let id = self.rewriter.copy(node, &inputs);
        let is_product = operands > 0 && !is_folded && !matches!(node.op, Op::AttentionLse { .. })
            || matches!(node.op, Op::Fold { .. }) && matches!(self.rewriter.b.graph.node(inputs[0]).op, Op::Contract { .. });
        if is_product && node.ty.per_sample { self.rounded(id) } else { id }
    }

    /// An operand, rounded. What is the same for all samples is rounded anew for each product, once `trigger` is there: else all weights would be kept rounded
    /// from the forward pass to the backward pass.
    fn operand(&mut self, id: NodeId, trigger: Option<NodeId>) -> NodeId {
        let again = !self.is_rounded(id) && !self.rewriter.b.ty(id).per_sample && !self.shared.insert(id);
        match trigger.filter(|_| again) {
            Some(trigger) => {
                let later = self.rewriter.add(Op::After, &[id, trigger], None);
                self.rounded(later)
            }
            None => self.rounded(id),
        }
    }

    /// The value rounded to bfloat16: itself where its numbers are of that type already.
    fn rounded(&mut self, id: NodeId) -> NodeId {
        if self.is_rounded(id) {
            return id;
        }
        // Views are taken of rounded values, so that products find them as they were: windows, above all, are never in memory.
        let node = self.rewriter.b.graph.node(id).clone();
        match node.op {
            Op::Window { axis, into, tap, window } => {
                let x = self.rounded(node.inputs[0]);
                let window = Window { fill: round_to_bf16(window.fill), ..window };
                self.rewriter.add(Op::Window { axis, into, tap, window }, &[x], None)
            }
            Op::Rename { .. } | Op::Split { .. } | Op::Merge { .. } => {
                let x = self.rounded(node.inputs[0]);
                self.rewriter.copy(&node, &[x])
            }
            _ => self.rewriter.add(Op::Unary(UnaryOp::Bf16), &[id], None),
        }
    }

    /// Are the numbers of a value, which another type does not have, already of bfloat16?
    fn is_rounded(&self, id: NodeId) -> bool {
        let mut id = id;
        loop {
            let node = self.rewriter.b.graph.node(id);
            match node.op {
                _ if node.ty.dtype != DType::F32 => return true,
                Op::Unary(UnaryOp::Bf16) => return true,
                Op::Const(number) => return round_to_bf16(number) == f64::from(number as f32),
                Op::Rename { .. } | Op::Split { .. } | Op::Merge { .. } | Op::Permute | Op::Slice { .. } | Op::Broadcast | Op::After => {
                    id = node.inputs[0];
                }
                Op::Window { window, .. } if round_to_bf16(window.fill) == f64::from(window.fill as f32) => id = node.inputs[0],
                _ => return false,
            }
        }
    }
}
