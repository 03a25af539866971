//! Reverse-mode differentiation of a graph.
//!
//! [`gradient`] appends nodes and changes none. A gradient has the axes of its value (in any order) and is per sample exactly
//! where the value is: what flows from the values of a sample into a value that is the same for all samples is summed over the
//! samples. Only F32 values have gradients.

mod rules;
mod shift;

use std::collections::BTreeMap;

use mgx_diag::Diagnostic;
use mgx_ir::graph::{DType, Graph, GraphBuilder, NodeId, Op, ReduceOp, Type};

/// Appends the gradient of `Σ seed · loss` by each value of `wrt`.
///
/// `outputs` are pairs (loss, seed); a seed is repeated along what its loss has and it lacks. All nodes that read the same
/// parameter are one value. The gradient is `None` for a value that no loss depends on differentiably.
///
/// # Errors
/// `E0600` where an operation on the way has no gradient (the gradient of attention itself).
pub fn gradient(graph: &mut Graph, outputs: &[(NodeId, NodeId)], wrt: &[NodeId]) -> Result<Vec<Option<NodeId>>, Diagnostic> {
    differentiate(graph, outputs, wrt).map(|found| found.gradients)
}

/// What [`differentiate`] has found and appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differentiated {
    /// The gradient by each value of `wrt`.
    pub gradients: Vec<Option<NodeId>>,
    /// For each node that was appended, in order: the node to whose gradients of inputs it belongs; `None` for a seed.
    pub origins: Vec<Option<NodeId>>,
}

/// As [`gradient`], and says where each node that it appends comes from.
///
/// # Errors
/// As there.
pub fn differentiate(graph: &mut Graph, outputs: &[(NodeId, NodeId)], wrt: &[NodeId]) -> Result<Differentiated, Diagnostic> {
    let leaves = Leaves::new(graph, wrt);
    let losses: Vec<NodeId> = outputs.iter().map(|(loss, _)| *loss).collect();
    let active = active(graph, &leaves, &shift::stabilisers(graph, &losses));
    let mut reverse =
        Reverse { b: GraphBuilder::from_graph(std::mem::take(graph)), gradients: BTreeMap::new(), active, origins: Vec::new() };
    let result = reverse.run(outputs, &leaves);
    *graph = reverse.b.graph;
    result?;
    super::check(graph, "gradient");
    let Reverse { gradients, origins, .. } = reverse;
    Ok(Differentiated { gradients: wrt.iter().map(|node| gradients.get(&leaves.canonical(*node)).copied()).collect(), origins })
}

/// The values that gradients are asked of; the first node that reads a parameter stands for all that read it.
struct Leaves {
    canonical: BTreeMap<NodeId, NodeId>,
}

impl Leaves {
    fn new(graph: &Graph, wrt: &[NodeId]) -> Self {
        let mut canonical: BTreeMap<NodeId, NodeId> = wrt.iter().map(|node| (*node, *node)).collect();
        let mut first = BTreeMap::new();
        for node in wrt {
            if let Op::Param(id) = graph.node(*node).op {
                canonical.insert(*node, *first.entry(id).or_insert(*node));
            }
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            if let Op::Param(id) = node.op
                && let Some(leaf) = first.get(&id)
            {
                canonical.insert(NodeId(index as u32), *leaf);
            }
        }
        Self { canonical }
    }

    fn canonical(&self, node: NodeId) -> NodeId {
        self.canonical.get(&node).copied().unwrap_or(node)
    }

    fn contains(&self, node: NodeId) -> bool {
        self.canonical.contains_key(&node)
    }
}

/// Does a gradient flow through each node? Those of F32 that are leaves or depend on one by F32 values alone, but not conversions, nor what only
/// keeps exponentials finite.
fn active(graph: &Graph, leaves: &Leaves, stabilisers: &[bool]) -> Vec<bool> {
    let mut active = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let from_inputs = node.inputs.iter().any(|input| active[input.0 as usize]);
        let passes = !stabilisers[index] && node.op != Op::Cast;
        let flows = (from_inputs && passes) || leaves.contains(NodeId(index as u32));
        active.push(node.ty.dtype == DType::F32 && flows);
    }
    active
}

pub(crate) struct Reverse {
    pub(crate) b: GraphBuilder,
    gradients: BTreeMap<NodeId, NodeId>,
    active: Vec<bool>,
    /// See [`Differentiated::origins`].
    origins: Vec<Option<NodeId>>,
}

impl Reverse {
    fn run(&mut self, outputs: &[(NodeId, NodeId)], leaves: &Leaves) -> Result<(), Diagnostic> {
        let first = self.b.graph.nodes.len();
        for (loss, seed) in outputs {
            if self.is_active(*loss) {
                self.flow(leaves.canonical(*loss), *seed);
            }
        }
        self.origins.resize(self.b.graph.nodes.len() - first, None);
        let Some(last) = self.gradients.keys().next_back().copied() else { return Ok(()) };
        for index in (0..=last.0).rev() {
            let id = NodeId(index);
            let Some(gradient) = self.gradients.get(&id).copied() else { continue };
            let node = self.b.graph.node(id).clone();
            self.b.spans.clone_from(&node.spans);
            for (input, contribution) in rules::contributions(self, id, &node, gradient)? {
                self.flow(leaves.canonical(input), contribution);
            }
            self.origins.resize(self.b.graph.nodes.len() - first, Some(id));
        }
        Ok(())
    }

    /// Is a gradient wanted for this value?
    pub(crate) fn is_active(&self, node: NodeId) -> bool {
        self.active[node.0 as usize]
    }

    /// Adds a contribution to the gradient of a value.
    fn flow(&mut self, to: NodeId, contribution: NodeId) {
        let ty = self.b.ty(to).clone();
        let contribution = self.fit(contribution, &ty);
        let sum = match self.gradients.get(&to) {
            Some(gradient) => self.b.add2(*gradient, contribution),
            None => contribution,
        };
        self.gradients.insert(to, sum);
    }

    /// The transpose of repeating: sums over what `ty` lacks; and repeats along what the contribution lacks.
    fn fit(&mut self, contribution: NodeId, ty: &Type) -> NodeId {
        let own = self.b.ty(contribution).clone();
        let over: Vec<_> = own.axes.iter().copied().filter(|axis| !ty.axes.contains(axis)).collect();
        let batch = own.per_sample && !ty.per_sample;
        let mut fitted = contribution;
        if !over.is_empty() || batch {
            fitted = self.b.reduce(ReduceOp::Sum, fitted, &over, batch);
        }
        let own = self.b.ty(fitted);
        if own.axes.len() < ty.axes.len() || (ty.per_sample && !own.per_sample) {
            fitted = self.b.broadcast(fitted, &ty.axes, ty.per_sample);
        }
        fitted
    }
}
