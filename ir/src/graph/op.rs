//! The operations of the graph.
//!
//! `axes(x)` below is the set of axes of a value. "Aligned by name" means: an operand lacking one of the result's axes
//! is repeated along it, and an operand that is not per sample is repeated for every sample.

use serde::{Deserialize, Serialize};

use super::{AxisId, ParamId, SizeExpr};

/// Element types. All take four bytes in memory; a `Bool` is stored as the integer 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DType {
    F32,
    I32,
    Bool,
}

/// Elementwise functions of one operand. All but `Not` (Bool), `Neg` and `Abs` (also I32) take and give F32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UnaryOp {
    Neg,
    Abs,
    Exp,
    Log,
    Sqrt,
    Rsqrt,
    Tanh,
    /// The error function.
    Erf,
    Sin,
    Cos,
    Floor,
    /// To the nearest number that bfloat16 has, ties to even; its gradient passes unchanged, as that of a cast.
    Bf16,
    Not,
}

/// Elementwise functions of two operands of the same type. Comparisons give Bool; `And` and `Or` take Bool.
/// I32 arithmetic wraps; `Div` rounds toward negative infinity and `Rem` has the sign of the divisor; both are 0 for a divisor of 0.
/// F32 `Rem` is `x - floor(x / y) * y`. `Max` and `Min` (and the reductions of that name) give NaN where an operand is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Max,
    Min,
    Pow,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

/// What a reduction combines with. The sum of nothing is 0, the maximum of nothing −∞ (F32) or the least I32; the minimum the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReduceOp {
    Sum,
    Max,
    Min,
}

/// Windows along an axis: tap `t` of window `w` is position `w * stride + t * dilation - before` of the axis; positions
/// outside read `fill` (or take no part in [`Op::Fold`]).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    pub stride: u64,
    pub dilation: u64,
    pub before: u64,
    pub fill: f64,
}

/// An operation. In the comments `x`, `y`, … are the inputs in order, and the result's type follows from the rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// A value that the host brings for each sample (token ids, labels, a mask of residues) or, when the type is not
    /// per sample, for each step (learning rate, step number, the scale of the loss).
    Input { name: String },
    /// A parameter, with the axes of its [`GraphParam`](super::GraphParam).
    Param(ParamId),
    /// The same number everywhere; no axes. Stored as f64, rounded to the type's element type.
    Const(f64),
    /// `0, 1, 2, …` along an axis: I32 over exactly that axis; per sample where the axis is ragged.
    Iota(AxisId),
    /// Uniform numbers in [0, 1), counter-based: a function of the run's seed, the step, `site`, the sample and the element's
    /// index in the sample (row-major in the order of the axes) alone.
    Random { site: u32 },
    /// Elementwise.
    Unary(UnaryOp),
    /// Elementwise, aligned by name.
    Binary(BinaryOp),
    /// `x ? y : z` elementwise, aligned by name; `x` is Bool.
    Select,
    /// To the result's element type: F32 to I32 rounds toward zero (beyond the range to its end, NaN to 0), Bool is 0 or 1, to Bool is
    /// `!= 0`. No gradient flows through it: from F32 to F32 it is the number as a constant.
    Cast,
    /// Repeats `x` along the result's axes that it lacks (and per sample, where the result is).
    Broadcast,
    /// Combines over the axes `over`; with `batch` also over all samples.
    Reduce { op: ReduceOp, over: Vec<AxisId>, batch: bool },
    /// Sum over `over` (and over all samples with `batch`) of `x * y`, aligned by name: an einsum. Every axis of `over` is
    /// an axis of both.
    Contract { over: Vec<AxisId>, batch: bool },
    /// The same elements in another storage order of the same axes.
    Permute,
    /// `x`, but not before `y` is there: nothing that is computed from the result is the same as what is computed from `x`, and no step
    /// that reads the result runs before `y` is computed. So a value is computed again later and not kept until then.
    After,
    /// The same elements under other axes: `pairs` of (axis of `x`, axis of the result) with equal extents.
    Rename { pairs: Vec<(AxisId, AxisId)> },
    /// One axis of `x` as several, row-major: their sizes multiply to its extent.
    Split { axis: AxisId, into: Vec<AxisId> },
    /// Several axes of `x` as one, row-major in the order given.
    Merge { axes: Vec<AxisId>, into: AxisId },
    /// Positions `start, start + step, …` of `axis`, as many as `into` is long.
    Slice { axis: AxisId, into: AxisId, start: SizeExpr, step: u64 },
    /// `x` along `axis` between `before` and as many positions of `fill` as `into` has left.
    Pad { axis: AxisId, into: AxisId, before: SizeExpr, fill: f64 },
    /// The inputs one after another: input `i` along `axes[i]`, the result along `into`.
    Concat { axes: Vec<AxisId>, into: AxisId },
    /// `axis` of `x` becomes the windows `into` and the taps `tap`.
    Window { axis: AxisId, into: AxisId, tap: AxisId, window: Window },
    /// The transpose of [`Op::Window`]: sums what windows `into` and taps `tap` of `x` hold for each position of `axis`.
    Fold { into: AxisId, tap: AxisId, axis: AxisId, window: Window },
    /// `x[.., axis = y, ..]`: the result has the axes of the index `y` (I32) first and then those of `x` without `axis`
    /// that `y` lacks; axes that both have are aligned by name. An index outside the axis reads 0.
    Gather { axis: AxisId },
    /// The transpose of [`Op::Gather`]: sums the rows of `x` that have the same index `y` along a new `axis`. With `batch` also over all samples.
    /// `over` are axes of both, which are summed away; other axes are aligned by name. An index outside the axis is left out.
    /// The result's first axis is `axis`, then those of `x` and of `y` that remain.
    ScatterAdd { axis: AxisId, over: Vec<AxisId>, batch: bool },
    /// Inputs x, an index (I32) and matrices w₀, w₁, …, all of the same axes and the same for all samples: `Σ_over x · w_index`, each row by the
    /// matrix that the index chooses for it. `over` are axes of x and the matrices; x's other axes are axes of the index, which has none
    /// of the matrices' axes. The result has the axes of the index first and then those of the matrices that remain. An index beyond the
    /// matrices gives 0.
    RoutedContract { over: Vec<AxisId> },
    /// The gradient of [`Op::RoutedContract`] by matrix number `choice`. Inputs x, y and the index: `Σ x · y` over all axes of the index
    /// and over all samples, where the index is `choice`. Each axis of x and y is one of the index's, or of that operand alone. The result
    /// has x's own axes first. `of` is the number of matrices, by which its work is estimated.
    RoutedOuter { choice: u32, of: u32 },
    /// Composite. Inputs q, k, v: softmax over `key` of `scale * contract(q, k, over = dim)`, contracted with `v` over `key`.
    /// `query` is an axis of q alone, `key` of k and v alone; what q, k and v share besides (`heads`) goes along; v's own axis
    /// (`value`) takes the place of `dim` in the result. No keys give 0.
    Attention { query: AxisId, key: AxisId, dim: AxisId, value: AxisId, scale: f64 },
    /// Composite. Inputs q, k: the natural logarithm of the sum over `key` of the exponentials in [`Op::Attention`]; axes of q
    /// without `dim`. No keys give −∞.
    AttentionLse { query: AxisId, key: AxisId, dim: AxisId, scale: f64 },
    /// Composite. Inputs q, k, v, the attention's result, its log-sum-exp, and the gradient of the result: the gradient of
    /// input `wrt` (0 = q, 1 = k, 2 = v).
    AttentionGrad { query: AxisId, key: AxisId, dim: AxisId, value: AxisId, scale: f64, wrt: u8 },
}

impl Op {
    /// The name in the text form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Param(_) => "param",
            Self::Const(_) => "const",
            Self::Iota(_) => "iota",
            Self::Random { .. } => "random",
            Self::Unary(op) => op.name(),
            Self::Binary(op) => op.name(),
            Self::Select => "select",
            Self::Cast => "cast",
            Self::Broadcast => "broadcast",
            Self::Reduce { op, .. } => match op {
                ReduceOp::Sum => "sum",
                ReduceOp::Max => "reduce_max",
                ReduceOp::Min => "reduce_min",
            },
            Self::Contract { .. } => "contract",
            Self::Permute => "permute",
            Self::After => "after",
            Self::Rename { .. } => "rename",
            Self::Split { .. } => "split",
            Self::Merge { .. } => "merge",
            Self::Slice { .. } => "slice",
            Self::Pad { .. } => "pad",
            Self::Concat { .. } => "concat",
            Self::Window { .. } => "window",
            Self::Fold { .. } => "fold",
            Self::Gather { .. } => "gather",
            Self::ScatterAdd { .. } => "scatter_add",
            Self::RoutedContract { .. } => "routed_contract",
            Self::RoutedOuter { .. } => "routed_outer",
            Self::Attention { .. } => "attention",
            Self::AttentionLse { .. } => "attention_lse",
            Self::AttentionGrad { .. } => "attention_grad",
        }
    }
}

impl UnaryOp {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Neg,
        Self::Abs,
        Self::Exp,
        Self::Log,
        Self::Sqrt,
        Self::Rsqrt,
        Self::Tanh,
        Self::Erf,
        Self::Sin,
        Self::Cos,
        Self::Floor,
        Self::Bf16,
        Self::Not,
    ];

    /// The name in the text form and in the language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Neg => "neg",
            Self::Abs => "abs",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Rsqrt => "rsqrt",
            Self::Tanh => "tanh",
            Self::Erf => "erf",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Floor => "floor",
            Self::Bf16 => "bf16",
            Self::Not => "not",
        }
    }
}

impl BinaryOp {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Rem,
        Self::Max,
        Self::Min,
        Self::Pow,
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::And,
        Self::Or,
    ];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Rem => "rem",
            Self::Max => "max",
            Self::Min => "min",
            Self::Pow => "pow",
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::And => "and",
            Self::Or => "or",
        }
    }

    /// Does it give Bool for operands of any type?
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }
}

/// The nearest number that bfloat16 has (8 bits of precision, ties to even) to `x` as an f32: [`UnaryOp::Bf16`].
pub fn round_to_bf16(x: f64) -> f64 {
    let x = x as f32;
    if x.is_nan() {
        return f64::from(x);
    }
    let bits = x.to_bits();
    // Half of what is dropped, less one where the kept part is even. It may carry into the exponent: that is right, up to infinity.
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
    f64::from(f32::from_bits(rounded))
}
