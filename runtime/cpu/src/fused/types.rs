//! Element types of elementwise operations: what they take and give.

use mgx_ir::graph::{BinaryOp, DType, UnaryOp};

/// The type of the result, where the operation takes this type.
pub(crate) fn unary(op: UnaryOp, x: DType) -> Option<DType> {
    let takes = match op {
        UnaryOp::Not => x == DType::Bool,
        UnaryOp::Neg | UnaryOp::Abs => x != DType::Bool,
        _ => x == DType::F32,
    };
    takes.then_some(x)
}

/// The type of the result, where the operation takes two operands of this type.
pub(crate) fn binary(op: BinaryOp, operands: DType) -> Option<DType> {
    match op {
        op if op.is_comparison() => Some(DType::Bool),
        BinaryOp::And | BinaryOp::Or => (operands == DType::Bool).then_some(operands),
        BinaryOp::Pow => (operands == DType::F32).then_some(operands),
        _ => (operands != DType::Bool).then_some(operands),
    }
}
