//! The canonical form: every operation as a step takes it.
//!
//! After this stage a contraction is a matrix product whose operands are in memory with adjacent axes (or it has become a
//! product and a sum); attention has its storage order and per-sample operands; a scatter has its rows first; permutations
//! are gone, except where a copy in another storage order is really needed. Every value has a storage order, used if it is stored.

use std::collections::{BTreeMap, BTreeSet};

use mgx_ir::graph::{AxisId, BinaryOp, DType, Graph, Node, NodeId, Op, ReduceOp, Type};
use mgx_ir::plan::{BatchRole, SHORT, StepWindows};

use super::attention::attention_key;
use super::{Destination, LowerOptions, contract, layout, roots, windows};
use crate::passes::rewrite::Rewriter;
use crate::passes::simplify::live;

/// The axes of a matrix product, as in `ContractStep`.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    /// What the operands are in memory: with `windows`, one is not the windows but what they are of.
    pub(crate) operands: [NodeId; 2],
    pub(crate) windows: Option<StepWindows>,
    pub(crate) m: Vec<AxisId>,
    pub(crate) n: Vec<AxisId>,
    pub(crate) k: Vec<AxisId>,
    pub(crate) group: Vec<AxisId>,
    pub(crate) batch: BatchRole,
}

/// A graph in canonical form.
pub(crate) struct Canonical {
    pub(crate) graph: Graph,
    /// The storage order of each value that is not a view; see [`Self::layout`].
    layouts: Vec<Vec<AxisId>>,
    /// Values that a step or the outside reads from memory.
    pub(crate) demanded: BTreeSet<NodeId>,
    pub(crate) products: BTreeMap<NodeId, Product>,
    /// Outputs of the program: name and value.
    pub(crate) outputs: Vec<(String, NodeId)>,
    /// Matrix products and scatters that write straight to another memory, by node.
    pub(crate) direct: BTreeMap<NodeId, Destination>,
    /// Values that kernels also store elsewhere.
    pub(crate) destinations: Vec<Destination>,
}

/// Does a step of its own compute it (and not a kernel)?
pub(crate) fn is_heavy(op: &Op) -> bool {
    matches!(
        op,
        Op::Contract { .. }
            | Op::Attention { .. }
            | Op::AttentionLse { .. }
            | Op::AttentionGrad { .. }
            | Op::ScatterAdd { .. }
            | Op::RoutedContract { .. }
            | Op::RoutedOuter { .. }
    )
}

/// Is it a reduction of so few elements that kernels compute it wherever they need it? Not along what is contiguous, which is a row.
pub(crate) fn is_short(graph: &Graph, op: &Op, input: &[AxisId]) -> bool {
    let Op::Reduce { over, batch: false, .. } = op else { return false };
    let terms = over.iter().try_fold(1, |terms: u64, axis| terms.checked_mul(graph.extent(*axis).as_static()?));
    let contiguous = input.last().is_some_and(|axis| over.contains(axis));
    terms.is_some_and(|terms| (1..=SHORT).contains(&terms)) && !contiguous && over.len() < input.len()
}

/// Is it in memory before the program starts?
pub(crate) fn is_source(op: &Op) -> bool {
    matches!(op, Op::Input { .. } | Op::Param(_))
}

impl Canonical {
    /// The storage order of a value: for a view it follows from what it is a view of.
    pub(crate) fn layout(&self, id: NodeId) -> Vec<AxisId> {
        layout_of(&self.graph, &self.layouts, id)
    }

    /// What a value is a view of, through all views.
    pub(crate) fn root(&self, id: NodeId) -> NodeId {
        root_of(&self.graph, &self.layouts, id)
    }

    /// See [`is_short`].
    pub(crate) fn is_short(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        matches!(node.op, Op::Reduce { .. }) && is_short(&self.graph, &node.op, &self.layout(node.inputs[0]))
    }
}

fn layout_of(graph: &Graph, layouts: &[Vec<AxisId>], id: NodeId) -> Vec<AxisId> {
    let node = graph.node(id);
    if layout::may_be_view(&node.op)
        && let Some(axes) = layout::view(&node.op, &layout_of(graph, layouts, node.inputs[0]))
    {
        return axes;
    }
    layouts[id.0 as usize].clone()
}

fn root_of(graph: &Graph, layouts: &[Vec<AxisId>], id: NodeId) -> NodeId {
    let node = graph.node(id);
    if layout::may_be_view(&node.op) && layout::view(&node.op, &layout_of(graph, layouts, node.inputs[0])).is_some() {
        return root_of(graph, layouts, node.inputs[0]);
    }
    id
}

/// Brings a graph into canonical form.
pub(crate) fn build(graph: &Graph, options: &LowerOptions<'_>) -> Canonical {
    let keep: Vec<NodeId> = options.gradients.iter().map(|(_, node)| *node).chain(options.stores.iter().map(|(node, _)| *node)).collect();
    let live = live(graph, &keep);
    let mut maker = Maker::new(graph, &live);
    let mut map: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
    let transposed = windows::transposed(graph, &live, &keep);
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
        if transposed.inner.contains(&NodeId(index as u32)) {
            continue;
        }
        let convolution = transposed.outer.get(&NodeId(index as u32));
        let inputs = convolution.map_or(&node.inputs, |convolution| &convolution.inputs);
        let inputs: Vec<NodeId> = inputs.iter().map(|input| map[input.0 as usize].expect("inputs of a live node are live")).collect();
        maker.rewriter.b.spans.clone_from(&node.spans);
        let id = match convolution {
            Some(convolution) => convolution.add(&mut maker, &inputs),
            None => maker.node(node, &inputs),
        };
        maker.rewriter.name(id, node.path.as_ref());
        map[index] = Some(id);
    }
    let map = |node: NodeId| map[node.0 as usize].expect("roots are live");
    roots::add(maker, graph, options, &map)
}

/// The canonical graph under construction.
pub(crate) struct Maker {
    pub(crate) rewriter: Rewriter,
    layouts: Vec<Vec<AxisId>>,
    /// Storage orders that something relies on.
    fixed: BTreeSet<NodeId>,
    pub(crate) demanded: BTreeSet<NodeId>,
    pub(crate) products: BTreeMap<NodeId, Product>,
    /// (q, k, axes, scale) of every attention, by which a log-sum-exp finds the step that can write it.
    attentions: BTreeSet<String>,
}

impl Maker {
    fn new(graph: &Graph, live: &[bool]) -> Self {
        let attentions = graph.nodes.iter().enumerate().filter(|(index, _)| live[*index]).filter_map(|(_, node)| match node.op {
            Op::Attention { query, key, dim, scale, .. } => Some(attention_key(&node.inputs, [query, key, dim], scale)),
            _ => None,
        });
        Self {
            attentions: attentions.collect(),
            rewriter: Rewriter::new(graph),
            layouts: Vec::new(),
            fixed: BTreeSet::new(),
            demanded: BTreeSet::new(),
            products: BTreeMap::new(),
        }
    }

    /// The graph so far.
    pub(crate) fn graph(&self) -> &Graph {
        &self.rewriter.b.graph
    }

    /// Finishes; the caller adds what belongs to the outside.
    pub(crate) fn finish(self) -> Canonical {
        Canonical {
            graph: self.rewriter.b.finish(),
            layouts: self.layouts,
            demanded: self.demanded,
            products: self.products,
            outputs: Vec::new(),
            direct: BTreeMap::new(),
            destinations: Vec::new(),
        }
    }

    /// Adds an operation; its storage order follows from its inputs' orders.
    pub(crate) fn add(&mut self, op: Op, inputs: &[NodeId], declared: Option<Type>) -> NodeId {
        let id = self.rewriter.add(op, inputs, declared);
        if self.layouts.len() < self.graph().nodes.len() {
            let axes = layout::natural(self.graph(), id, |input| self.layout(input));
            self.layouts.push(axes);
        }
        id
    }

    pub(crate) fn layout(&self, id: NodeId) -> Vec<AxisId> {
        layout_of(self.graph(), &self.layouts, id)
    }

    pub(crate) fn root(&self, id: NodeId) -> NodeId {
        root_of(self.graph(), &self.layouts, id)
    }

    pub(crate) fn ty(&self, id: NodeId) -> &Type {
        self.graph().ty(id)
    }

    /// Decides the storage order of a value that a step of its own computes, or that only that step's operand is.
    pub(crate) fn fix(&mut self, id: NodeId, axes: Vec<AxisId>) {
        debug_assert!(axes.len() == self.ty(id).axes.len() && axes.iter().all(|axis| self.ty(id).axes.contains(axis)));
        self.layouts[id.0 as usize] = axes;
        self.fixed.insert(id);
    }

    /// Chooses the storage order of a value, which may still be changed.
    pub(crate) fn set_order(&mut self, id: NodeId, axes: Vec<AxisId>) {
        self.layouts[id.0 as usize] = axes;
    }

    /// Can the storage order of this value still be chosen?
    pub(crate) fn flexible(&self, id: NodeId) -> bool {
        let op = &self.graph().node(id).op;
        !self.fixed.contains(&id) && !is_heavy(op) && !is_source(op) && self.root(id) == id
    }

    /// Has nothing relied on the storage order of this value yet?
    pub(crate) fn unfixed(&self, id: NodeId) -> bool {
        !self.fixed.contains(&id)
    }

    /// A value in memory whose storage order suits: `id` itself where it does, or `id` in the order `wanted`, or a copy.
    pub(crate) fn operand(&mut self, id: NodeId, suits: impl Fn(&[AxisId]) -> bool, wanted: Vec<AxisId>) -> NodeId {
        let root = self.root(id);
        if suits(&self.layout(id)) {
            self.fixed.insert(root);
            self.demanded.insert(id);
            return id;
        }
        let id = if self.flexible(id) { id } else { self.copy(id, &wanted) };
        self.fix(id, wanted);
        self.demanded.insert(id);
        id
    }

    /// A copy in another storage order.
    pub(crate) fn copy(&mut self, id: NodeId, axes: &[AxisId]) -> NodeId {
        let declared = Type { axes: axes.to_vec(), ..self.ty(id).clone() };
        self.add(Op::Permute, &[id], Some(declared))
    }

    /// The value repeated for every sample.
    pub(crate) fn per_sample(&mut self, id: NodeId) -> NodeId {
        if self.ty(id).per_sample {
            return id;
        }
        let declared = Type { axes: self.layout(id), per_sample: true, ..self.ty(id).clone() };
        self.add(Op::Broadcast, &[id], Some(declared))
    }

    fn node(&mut self, node: &Node, inputs: &[NodeId]) -> NodeId {
        match &node.op {
            Op::Permute => inputs[0],
            Op::Reduce { over, batch: false, .. } if over.is_empty() => inputs[0],
            Op::Contract { over, batch } => contract::add(self, [inputs[0], inputs[1]], over, *batch),
            Op::Attention { query, key, dim, value, scale } => self.attention(inputs, [*query, *key, *dim, *value], *scale),
            Op::AttentionLse { query, key, dim, scale } => {
                let whole = self.attentions.contains(&attention_key(&node.inputs, [*query, *key, *dim], *scale));
                self.attention_lse(inputs, [*query, *key, *dim], *scale, whole)
            }
            Op::AttentionGrad { query, key, dim, value, scale, wrt } => {
                self.attention_grad(inputs, [*query, *key, *dim, *value], *scale, *wrt)
            }
            Op::ScatterAdd { axis, over, batch } => self.scatter(inputs, *axis, over, *batch),
            Op::RoutedContract { over } => self.routed_contract(inputs, over),
            Op::RoutedOuter { choice, of } => self.routed_outer(inputs, *choice, *of),
            Op::After => {
                // What is kept until then must be in memory, and so must be what is waited for: it is a step that is waited for.
                let x = self.operand(inputs[0], |_| true, Vec::new());
                self.demanded.insert(inputs[1]);
                self.add(Op::After, &[x, inputs[1]], None)
            }
            Op::Rename { .. } | Op::Split { .. } | Op::Merge { .. } => {
                self.sink(&node.op, inputs[0], 4).unwrap_or_else(|| self.add(node.op.clone(), inputs, None))
            }
            _ => self.add(node.op.clone(), inputs, Rewriter::declared(node)),
        }
    }

    /// A view of elementwise work as elementwise work on views, so that it reads its inputs in storage order. Only through
    /// little work that ends at values in memory, because the work may be done twice.
    fn sink(&mut self, op: &Op, x: NodeId, depth: u32) -> Option<NodeId> {
        let node = self.graph().node(x).clone();
        let taken: Vec<AxisId> = match op {
            Op::Rename { pairs } => pairs.iter().map(|(from, _)| *from).collect(),
            Op::Split { axis, .. } => vec![*axis],
            Op::Merge { axes, .. } => axes.clone(),
            _ => return None,
        };
        let own = taken.iter().filter(|axis| node.ty.axes.contains(axis)).count();
        if own == 0 {
            return Some(x);
        }
        if own < taken.len() && !matches!(op, Op::Rename { .. }) || depth == 0 {
            return None;
        }
        if let Op::Rename { pairs } = op
            && own < taken.len()
        {
            let pairs: Vec<_> = pairs.iter().copied().filter(|(from, _)| node.ty.axes.contains(from)).collect();
            return self.sink(&Op::Rename { pairs }, x, depth);
        }
        let root = self.graph().node(self.root(x));
        if is_heavy(&root.op) || is_source(&root.op) {
            return layout::view(op, &self.layout(x)).map(|_| self.add(op.clone(), &[x], None));
        }
        let cheap = matches!(
            node.op,
            Op::Unary(mgx_ir::graph::UnaryOp::Neg) | Op::Binary(BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul) | Op::Select | Op::Cast
        );
        if !cheap || self.demanded.contains(&x) {
            return None;
        }
        let inputs = node.inputs.iter().map(|input| self.sink(op, *input, depth - 1)).collect::<Option<Vec<_>>>()?;
        let declared = (node.op == Op::Cast).then(|| Type { dtype: node.ty.dtype, ..self.ty(inputs[0]).clone() });
        Some(self.add(node.op.clone(), &inputs, declared))
    }

    fn scatter(&mut self, inputs: &[NodeId], axis: AxisId, over: &[AxisId], batch: bool) -> NodeId {
        let [mut x, mut index] = [inputs[0], inputs[1]];
        if self.ty(index).axes.len() != over.len() {
            return self.scatter_by_comparing([x, index], axis, over, batch);
        }
        if self.ty(x).per_sample || self.ty(index).per_sample {
            (x, index) = (self.per_sample(x), self.per_sample(index));
        }
        let index = self.operand(index, |_| true, Vec::new());
        let over = self.layout(index);
        let rest: Vec<AxisId> = self.layout(x).into_iter().filter(|own| !over.contains(own)).collect();
        let rows = [over.as_slice(), &rest].concat();
        let x = self.operand(x, |axes| axes.starts_with(&over), rows);
        let rest = self.layout(x)[over.len()..].to_vec();
        let id = self.add(Op::ScatterAdd { axis, over, batch }, &[x, index], None);
        self.fix(id, [&[axis], rest.as_slice()].concat());
        id
    }

    /// Where the index goes along with other axes: each position of `axis` against the index.
    fn scatter_by_comparing(&mut self, [x, index]: [NodeId; 2], axis: AxisId, over: &[AxisId], batch: bool) -> NodeId {
        let position = self.add(Op::Iota(axis), &[], None);
        let hit = self.add(Op::Binary(BinaryOp::Eq), &[position, index], None);
        let zero = self.constant(0.0);
        let spread = self.add(Op::Select, &[hit, x, zero], None);
        if over.is_empty() && !batch {
            return spread;
        }
        self.add(Op::Reduce { op: ReduceOp::Sum, over: over.to_vec(), batch }, &[spread], None)
    }

    /// An F32 number.
    pub(crate) fn constant(&mut self, value: f64) -> NodeId {
        self.add(Op::Const(value), &[], Some(Type { dtype: DType::F32, axes: Vec::new(), per_sample: false }))
    }
}
