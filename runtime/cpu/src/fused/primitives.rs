//! The functions that generated code calls, and the numbers reductions start with.

use mgx_ir::graph::{BinaryOp, DType, ReduceOp, UnaryOp};
use mgx_kernels::vmath;

/// A function on a tile: `f(operand, …, result, count)`. The result may stand where the first operand stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Primitive {
    /// Its address.
    pub address: usize,
    pub operands: usize,
}

/// The function of a unary operation that has one.
pub(crate) fn unary(op: UnaryOp) -> Option<Primitive> {
    let transcendental = matches!(op, UnaryOp::Exp | UnaryOp::Log | UnaryOp::Tanh | UnaryOp::Erf | UnaryOp::Sin | UnaryOp::Cos);
    let function = vmath::unary(op.name()).filter(|_| transcendental)?;
    Some(Primitive { address: function as usize, operands: 1 })
}

/// The function of a binary operation that has one.
pub(crate) fn binary(op: BinaryOp, dtype: DType) -> Option<Primitive> {
    let function = vmath::binary(op.name()).filter(|_| op == BinaryOp::Pow && dtype == DType::F32)?;
    Some(Primitive { address: function as usize, operands: 2 })
}

/// The bits of the reduction of nothing.
pub(crate) fn identity(op: ReduceOp, dtype: DType) -> u32 {
    match (op, dtype) {
        (ReduceOp::Sum, _) => 0,
        (ReduceOp::Max, DType::F32) => f32::NEG_INFINITY.to_bits(),
        (ReduceOp::Max, _) => i32::MIN as u32,
        (ReduceOp::Min, DType::F32) => f32::INFINITY.to_bits(),
        (ReduceOp::Min, _) => i32::MAX as u32,
    }
}

/// One step of a reduction, on bits.
pub(crate) fn combine(op: ReduceOp, dtype: DType, a: u32, b: u32) -> u32 {
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    match (op, dtype) {
        (ReduceOp::Sum, DType::F32) => (x + y).to_bits(),
        (ReduceOp::Sum, _) => a.wrapping_add(b),
        (_, DType::F32) if x.is_nan() || y.is_nan() => f32::NAN.to_bits(),
        (ReduceOp::Max, DType::F32) => x.max(y).to_bits(),
        (ReduceOp::Min, DType::F32) => x.min(y).to_bits(),
        (ReduceOp::Max, _) => (a as i32).max(b as i32) as u32,
        (ReduceOp::Min, _) => (a as i32).min(b as i32) as u32,
    }
}
