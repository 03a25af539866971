//! Programs: the batched, fused and memory-planned steps of one stage.

use mgx_diag::Span;
use serde::{Deserialize, Serialize};

use crate::graph::{Axis, AxisId, Op, Type, Window};

/// A buffer of a [`Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BufferId(pub u32);

/// Where a buffer's bytes are. Offsets and sizes are bytes; offsets are multiples of 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storage {
    /// In the program's arena, `bytes` reserved (enough for every batch that the plan's capacity allows).
    Arena { offset: u64, bytes: u64 },
    /// In the parameter memory. All trainable parameters come first, so that the optimizer sees them as one vector.
    Param { offset: u64 },
    /// In the parameter memory as bfloat16, two bytes for each element, of type F32 to all who read it. Never written.
    ParamBf16 { offset: u64 },
    /// In the gradient memory, laid out like the trainable part of the parameter memory.
    Gradient { offset: u64 },
    /// In one of the optimizer's state memories, laid out like the gradient memory.
    State { slot: u32, offset: u64 },
    /// Brought by the host for the batch or the step: the program's `inputs` say what.
    Input,
    /// The same bytes as another buffer (whose storage is not an alias) under other axes.
    Alias(BufferId),
}

/// A tensor in memory, stored as `crate::graph` describes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    /// For people: the path of the value or the parameter.
    pub name: String,
    pub ty: Type,
    pub storage: Storage,
}

/// What the host brings: a per-sample input by its name in `Plan::inputs`, or a scalar of the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramInput {
    pub name: String,
    pub buffer: BufferId,
}

/// A sequence of steps over buffers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub axes: Vec<Axis>,
    pub buffers: Vec<Buffer>,
    pub inputs: Vec<ProgramInput>,
    pub steps: Vec<Step>,
    /// Results by name.
    pub outputs: Vec<ProgramInput>,
    /// Size of the arena in bytes.
    pub arena_bytes: u64,
}

/// One kernel launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub kind: StepKind,
    /// The source of everything computed here.
    pub spans: Vec<Span>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StepKind {
    Fused(FusedStep),
    Contract(ContractStep),
    Attention(AttentionStep),
    AttentionGrad(AttentionGradStep),
    Scatter(ScatterStep),
    Routed(RoutedStep),
    RoutedOuter(RoutedOuterStep),
}

/// A generated kernel: elementwise work, moves of elements and at most one kind of reduction, in one pass over its space.
///
/// The space is `outer × inner` for each sample (if `per_sample`). Nodes are in topological order; a node whose axes are
/// those of the space (in any order) is *full*; reductions sum away part of the space as [`ReduceSpace`] says, and what is
/// computed from their results has fewer axes. Moves (`Rename`, `Split`, `Merge`, `Slice`, `Pad`, `Concat`, `Window`, `Fold`, `Gather`, `Permute`,
/// `Broadcast`) compute nothing: they change at which index their input is read.
///
/// A reduction that is not the space's (see [`ReduceSpace`]) is *short*: over static axes of at most [`SHORT`] elements together. It is
/// computed term by term wherever its result is needed. (Pooling over few positions, depthwise convolutions.)
///
/// What is stored has, in whatever order, the axes of the space (`None`), of the space or of `outer` (`Inner`), or of `inner` (`Outer`).
/// Stores share no bytes with each other. A store may go over bytes that the step reads (in place) only where `reduce` is `None`, both
/// buffers have the same place, size and order of axes, and only elementwise nodes depend on that read. Other kinds of steps never store
/// over what they read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FusedStep {
    pub nodes: Vec<FusedNode>,
    pub stores: Vec<Store>,
    pub per_sample: bool,
    pub outer: Vec<AxisId>,
    pub inner: Vec<AxisId>,
    pub reduce: ReduceSpace,
}

/// The most terms of a short reduction.
pub const SHORT: u64 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReduceSpace {
    /// No reduction of the space.
    None,
    /// Every reduction that is not short is over exactly `inner`, once for each element of `outer`: a row. (Norms, softmax, cross entropy.)
    Inner,
    /// Every reduction that is not short is over exactly `outer` (and over all samples when `batch`), for each element of `inner`; all stores
    /// are of what is computed from the results. (Pooling, gradients of biases and norm weights, norms of the gradient.)
    Outer { batch: bool },
}

/// A value within a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FusedNode {
    /// `None`: reads the buffer `inputs[0]`. Never a contraction, an attention or a scatter.
    pub op: Option<Op>,
    pub inputs: Vec<FusedInput>,
    pub ty: Type,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FusedInput {
    /// A node of the same kernel, by index.
    Node(u32),
    Buffer(BufferId),
}

/// Writes a node's value to a buffer with the same axes (in the buffer's order).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Store {
    pub node: u32,
    pub buffer: BufferId,
    /// Add to what is there instead of replacing it.
    pub accumulate: bool,
}

/// What the batch is in a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchRole {
    /// No operand is per sample.
    None,
    /// `lhs` and the result are per sample, `rhs` is not: samples are rows, before the axes `m`.
    Rows,
    /// Both operands are per sample and so is the result: a product for each sample.
    Each,
    /// Both operands are per sample and the result is not: summed over the samples, before the axes `k`.
    Sum,
}

/// `out[g, m, n] (+)= Σ_k lhs[g, m, k] · rhs[g, n, k]`: a matrix product. Each of `m`, `n`, `k` is a list of axes that stand
/// next to each other, in this order, in every operand that has them, so that each is one strided dimension; any of them may be
/// empty. The groups `g` are independent products.
///
/// With `windows`, one operand is windows of what its buffer holds: that of `lhs` where `m` is the windows' axis `into` (a convolution; `k` are
/// the tap and the axes of a position), that of `rhs` where `k` is (the gradient of its kernel; `n` are the tap and the axes of a position).
/// The buffer has the axis `axis` first and then those of a position, in the order of `k` or `n`; there are no groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContractStep {
    pub lhs: BufferId,
    pub rhs: BufferId,
    pub out: BufferId,
    pub m: Vec<AxisId>,
    pub n: Vec<AxisId>,
    pub k: Vec<AxisId>,
    pub group: Vec<AxisId>,
    pub batch: BatchRole,
    pub accumulate: bool,
    pub windows: Option<StepWindows>,
}

/// `Op::Window` of an operand of a [`ContractStep`], which is never in memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepWindows {
    pub axis: AxisId,
    pub into: AxisId,
    pub tap: AxisId,
    pub window: Window,
}

/// `Op::Attention` with its log-sum-exp. All buffers are per sample. Storage: q `[query, heads.., dim]`,
/// k `[key, heads.., dim]`, v `[key, heads.., value]`, out `[query, heads.., value]`, lse `[query, heads..]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttentionStep {
    pub q: BufferId,
    pub k: BufferId,
    pub v: BufferId,
    pub out: BufferId,
    /// Written where the backward pass needs it.
    pub lse: Option<BufferId>,
    pub query: AxisId,
    pub key: AxisId,
    pub heads: Vec<AxisId>,
    pub dim: AxisId,
    pub value: AxisId,
    pub scale: f64,
}

/// The gradients of [`AttentionStep`]; those that are `None` are not wanted. Storage as there; `dq` like `q`, and so on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttentionGradStep {
    pub q: BufferId,
    pub k: BufferId,
    pub v: BufferId,
    pub out: BufferId,
    pub lse: BufferId,
    pub dout: BufferId,
    pub dq: Option<BufferId>,
    pub dk: Option<BufferId>,
    pub dv: Option<BufferId>,
    pub query: AxisId,
    pub key: AxisId,
    pub heads: Vec<AxisId>,
    pub dim: AxisId,
    pub value: AxisId,
    pub scale: f64,
}

/// `Op::ScatterAdd`. Storage: index `[over..]`, updates `[over.., rest..]`, out `[axis, rest..]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScatterStep {
    pub updates: BufferId,
    pub index: BufferId,
    pub out: BufferId,
    pub axis: AxisId,
    pub over: Vec<AxisId>,
    pub batch: bool,
    /// Add to what is there; otherwise the result is cleared first.
    pub accumulate: bool,
}

/// `Op::RoutedContract`. Storage: index `[rows.., rest..]`, x `[rows.., k..]`, out `[rows.., rest.., n..]`; in every matrix `n` stands together
/// in this order, and so does `k`. x, index and out are all per sample or none is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutedStep {
    pub x: BufferId,
    pub index: BufferId,
    pub matrices: Vec<BufferId>,
    pub out: BufferId,
    pub n: Vec<AxisId>,
    pub k: Vec<AxisId>,
}

/// `Op::RoutedOuter`. Storage: the axes of the index that x has stand first in the index and in x, before x's own axes `m`; so do
/// those that y has, before y's own `n`. In the result, which is the same for all samples, `m` stands together and so does `n`. x, y and index
/// are all per sample or none is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutedOuterStep {
    pub x: BufferId,
    pub y: BufferId,
    pub index: BufferId,
    pub out: BufferId,
    pub m: Vec<AxisId>,
    pub n: Vec<AxisId>,
    pub choice: u32,
    /// The number of choices.
    pub of: u32,
    /// Add to what is there; otherwise replace it.
    pub accumulate: bool,
}
