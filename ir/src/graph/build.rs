//! Building a graph: one method per operation, each of which infers the type of its result.
//!
//! A method panics where the rule of the operation is broken: whoever builds has checked the program before. Use
//! [`GraphBuilder::try_add`] where a broken rule is to be reported.

use mgx_diag::Span;

use super::{AxisId, BinaryOp, DType, Extent, Graph, GraphParam, Length, LengthId, Node, NodeId, Op, Output, ParamId};
use super::{ReduceOp, SizeExpr, Type, UnaryOp, Window, infer};

/// A graph under construction.
#[derive(Clone, Debug, Default)]
pub struct GraphBuilder {
    pub graph: Graph,
    /// Given to every node that is added, most specific first.
    pub spans: Vec<Span>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on with a graph that exists.
    pub fn from_graph(graph: Graph) -> Self {
        Self { graph, spans: Vec::new() }
    }

    /// The graph.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// Adds a node whose type follows from the rule; `declared` where the rule leaves it open (see [`infer`]).
    ///
    /// # Errors
    /// What breaks the rule.
    pub fn try_add(&mut self, op: Op, inputs: &[NodeId], declared: Option<Type>) -> Result<NodeId, String> {
        let ty = infer(&self.graph, &op, inputs, declared.as_ref())?;
        Ok(self.graph.add_node(Node { op, inputs: inputs.to_vec(), ty, path: None, spans: self.spans.clone() }))
    }

    /// As [`Self::try_add`].
    ///
    /// # Panics
    /// If the rule of the operation is broken.
    pub fn add(&mut self, op: Op, inputs: &[NodeId], declared: Option<Type>) -> NodeId {
        let name = op.name();
        match self.try_add(op, inputs, declared) {
            Ok(node) => node,
            Err(error) => panic!("building the graph: {name}: {error}"),
        }
    }

    /// The type of a value.
    pub fn ty(&self, id: NodeId) -> &Type {
        self.graph.ty(id)
    }

    /// Adds a length that each sample brings.
    pub fn length(&mut self, name: impl Into<String>) -> LengthId {
        self.graph.lengths.push(Length { name: name.into() });
        LengthId(self.graph.lengths.len() as u32 - 1)
    }

    /// Adds an axis of the same size for all samples.
    pub fn axis(&mut self, name: impl Into<String>, size: u64) -> AxisId {
        self.graph.add_axis(name, Extent::Static(size))
    }

    /// Adds an axis whose size depends on the sample.
    pub fn ragged_axis(&mut self, name: impl Into<String>, size: SizeExpr) -> AxisId {
        self.graph.add_axis(name, Extent::Ragged(size))
    }

    /// Names a value by its path in the program.
    pub fn set_path(&mut self, node: NodeId, path: impl Into<String>) {
        self.graph.nodes[node.0 as usize].path = Some(path.into());
    }

    /// Makes a value a result of the graph.
    pub fn output(&mut self, name: impl Into<String>, node: NodeId) {
        self.graph.outputs.push(Output { name: name.into(), node });
    }

    /// A value that the host brings.
    pub fn input(&mut self, name: impl Into<String>, dtype: DType, axes: &[AxisId], per_sample: bool) -> NodeId {
        self.add(Op::Input { name: name.into() }, &[], Some(Type { dtype, axes: axes.to_vec(), per_sample }))
    }

    /// Declares a parameter without reading it.
    pub fn declare_param(&mut self, path: impl Into<String>, axes: &[AxisId], trainable: bool) -> ParamId {
        self.graph.params.push(GraphParam { path: path.into(), axes: axes.to_vec(), trainable });
        ParamId(self.graph.params.len() as u32 - 1)
    }

    /// The value of a declared parameter.
    pub fn param(&mut self, id: ParamId) -> NodeId {
        self.add(Op::Param(id), &[], None)
    }

    /// An F32 number.
    pub fn constant(&mut self, value: f64) -> NodeId {
        self.constant_of(DType::F32, value)
    }

    /// A number of an element type.
    pub fn constant_of(&mut self, dtype: DType, value: f64) -> NodeId {
        self.add(Op::Const(value), &[], Some(Type { dtype, axes: Vec::new(), per_sample: false }))
    }

    /// `0, 1, 2, …` along an axis (I32).
    pub fn iota(&mut self, axis: AxisId) -> NodeId {
        self.add(Op::Iota(axis), &[], None)
    }

    /// Uniform numbers in [0, 1).
    pub fn random(&mut self, site: u32, axes: &[AxisId], per_sample: bool) -> NodeId {
        self.add(Op::Random { site }, &[], Some(Type { dtype: DType::F32, axes: axes.to_vec(), per_sample }))
    }

    /// An elementwise function of one operand.
    pub fn unary(&mut self, op: UnaryOp, x: NodeId) -> NodeId {
        self.add(Op::Unary(op), &[x], None)
    }

    /// An elementwise function of two operands; the axes of `x`, then those of `y` that `x` lacks.
    pub fn binary(&mut self, op: BinaryOp, x: NodeId, y: NodeId) -> NodeId {
        self.add(Op::Binary(op), &[x, y], None)
    }

    /// `x op value` for an element type's own number.
    pub fn binary_const(&mut self, op: BinaryOp, x: NodeId, value: f64) -> NodeId {
        let value = self.constant_of(self.ty(x).dtype, value);
        self.binary(op, x, value)
    }

    /// `x + y`.
    pub fn add2(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.binary(BinaryOp::Add, x, y)
    }

    /// `x - y`.
    pub fn sub(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.binary(BinaryOp::Sub, x, y)
    }

    /// `x * y`.
    pub fn mul(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.binary(BinaryOp::Mul, x, y)
    }

    /// `x / y`.
    pub fn div(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.binary(BinaryOp::Div, x, y)
    }

    /// `condition ? x : y`.
    pub fn select(&mut self, condition: NodeId, x: NodeId, y: NodeId) -> NodeId {
        self.add(Op::Select, &[condition, x, y], None)
    }

    /// To another element type; `x` itself where it has that type.
    pub fn cast(&mut self, x: NodeId, dtype: DType) -> NodeId {
        if self.ty(x).dtype == dtype {
            return x;
        }
        let declared = Type { dtype, ..self.ty(x).clone() };
        self.add(Op::Cast, &[x], Some(declared))
    }

    /// Repeats along the axes that `x` lacks; `axes` is the storage order of the result and holds those of `x`.
    pub fn broadcast(&mut self, x: NodeId, axes: &[AxisId], per_sample: bool) -> NodeId {
        let declared = Type { dtype: self.ty(x).dtype, axes: axes.to_vec(), per_sample };
        self.add(Op::Broadcast, &[x], Some(declared))
    }

    /// Combines over axes, and over the samples with `batch`.
    pub fn reduce(&mut self, op: ReduceOp, x: NodeId, over: &[AxisId], batch: bool) -> NodeId {
        self.add(Op::Reduce { op, over: over.to_vec(), batch }, &[x], None)
    }

    /// The sum over axes within the sample.
    pub fn sum(&mut self, x: NodeId, over: &[AxisId]) -> NodeId {
        self.reduce(ReduceOp::Sum, x, over, false)
    }

    /// The size of an axis as an F32 number: a constant, or per sample where the axis is ragged.
    pub fn extent(&mut self, axis: AxisId) -> NodeId {
        if let Some(size) = self.graph.extent(axis).as_static() {
            return self.constant(size as f64);
        }
        let one = self.constant(1.0);
        let ones = self.broadcast(one, &[axis], true);
        self.sum(ones, &[axis])
    }

    /// The mean over axes within the sample; not a number where there is no element.
    pub fn mean(&mut self, x: NodeId, over: &[AxisId]) -> NodeId {
        let mut mean = self.sum(x, over);
        for axis in over {
            let size = self.extent(*axis);
            mean = self.div(mean, size);
        }
        mean
    }

    /// An einsum: the sum over `over` of `x * y`; the axes of `x` that remain, then those of `y` that `x` lacks.
    pub fn contract(&mut self, x: NodeId, y: NodeId, over: &[AxisId], batch: bool) -> NodeId {
        self.add(Op::Contract { over: over.to_vec(), batch }, &[x, y], None)
    }

    /// Another storage order of the same axes.
    pub fn permute(&mut self, x: NodeId, axes: &[AxisId]) -> NodeId {
        let declared = Type { axes: axes.to_vec(), ..self.ty(x).clone() };
        self.add(Op::Permute, &[x], Some(declared))
    }

    /// Other identities for axes, by pairs (axis of `x`, axis of the result).
    pub fn rename(&mut self, x: NodeId, pairs: &[(AxisId, AxisId)]) -> NodeId {
        self.add(Op::Rename { pairs: pairs.to_vec() }, &[x], None)
    }

    /// One axis as several, row-major.
    pub fn split(&mut self, x: NodeId, axis: AxisId, into: &[AxisId]) -> NodeId {
        self.add(Op::Split { axis, into: into.to_vec() }, &[x], None)
    }

    /// Several axes as one, row-major in the order given, at the place of the first of them.
    pub fn merge(&mut self, x: NodeId, axes: &[AxisId], into: AxisId) -> NodeId {
        self.add(Op::Merge { axes: axes.to_vec(), into }, &[x], None)
    }

    /// Positions `start, start + step, …` of an axis, as many as `into` is long.
    pub fn slice(&mut self, x: NodeId, axis: AxisId, into: AxisId, start: SizeExpr, step: u64) -> NodeId {
        self.add(Op::Slice { axis, into, start, step }, &[x], None)
    }

    /// `x` between `before` positions of `fill` and as many as `into` has left.
    pub fn pad(&mut self, x: NodeId, axis: AxisId, into: AxisId, before: SizeExpr, fill: f64) -> NodeId {
        self.add(Op::Pad { axis, into, before, fill }, &[x], None)
    }

    /// Values one after another: value and axis by pairs, the result along `into`, which stands where the axis of the first value stood.
    pub fn concat(&mut self, parts: &[(NodeId, AxisId)], into: AxisId) -> NodeId {
        let (values, axes): (Vec<_>, Vec<_>) = parts.iter().copied().unzip();
        self.add(Op::Concat { axes, into }, &values, None)
    }

    /// An axis as windows and taps.
    pub fn window(&mut self, x: NodeId, axis: AxisId, into: AxisId, tap: AxisId, window: Window) -> NodeId {
        self.add(Op::Window { axis, into, tap, window }, &[x], None)
    }

    /// The transpose of [`Self::window`].
    pub fn fold(&mut self, x: NodeId, into: AxisId, tap: AxisId, axis: AxisId, window: Window) -> NodeId {
        self.add(Op::Fold { into, tap, axis, window }, &[x], None)
    }

    /// The elements of `x` along `axis` at an index.
    pub fn gather(&mut self, x: NodeId, axis: AxisId, index: NodeId) -> NodeId {
        self.add(Op::Gather { axis }, &[x, index], None)
    }

    /// The transpose of [`Self::gather`].
    pub fn scatter_add(&mut self, x: NodeId, index: NodeId, axis: AxisId, over: &[AxisId], batch: bool) -> NodeId {
        self.add(Op::ScatterAdd { axis, over: over.to_vec(), batch }, &[x, index], None)
    }

    /// `Σ_over x · w` where the index says which of the matrices is `w`.
    pub fn routed_contract(&mut self, x: NodeId, index: NodeId, matrices: &[NodeId], over: &[AxisId]) -> NodeId {
        self.add(Op::RoutedContract { over: over.to_vec() }, &[&[x, index], matrices].concat(), None)
    }

    /// `Σ x · y` over the axes of the index and all samples, where the index is `choice`, one number `of` so many.
    pub fn routed_outer(&mut self, [x, y]: [NodeId; 2], index: NodeId, choice: u32, of: u32) -> NodeId {
        self.add(Op::RoutedOuter { choice, of }, &[x, y, index], None)
    }

    /// `x`, but not before `y` is there.
    pub fn after(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.add(Op::After, &[x, y], None)
    }

    /// Attention of q, k, v along `[query, key, dim, value]`; `value` may be `dim`.
    pub fn attention(&mut self, [q, k, v]: [NodeId; 3], [query, key, dim, value]: [AxisId; 4], scale: f64) -> NodeId {
        self.add(Op::Attention { query, key, dim, value, scale }, &[q, k, v], None)
    }

    /// The log-sum-exp of [`Self::attention`] of q and k along `[query, key, dim]`.
    pub fn attention_lse(&mut self, [q, k]: [NodeId; 2], [query, key, dim]: [AxisId; 3], scale: f64) -> NodeId {
        self.add(Op::AttentionLse { query, key, dim, scale }, &[q, k], None)
    }

    /// The gradient of [`Self::attention`] by its input `wrt`; inputs q, k, v, result, log-sum-exp, gradient of the result.
    pub fn attention_grad(&mut self, inputs: [NodeId; 6], [query, key, dim, value]: [AxisId; 4], scale: f64, wrt: u8) -> NodeId {
        self.add(Op::AttentionGrad { query, key, dim, value, scale, wrt }, &inputs, None)
    }
}
