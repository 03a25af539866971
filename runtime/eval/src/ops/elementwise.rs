//! Functions of one element of each operand. I32 arithmetic is exact, then wraps to 32 bits.

use mgx_ir::graph::{BinaryOp, DType, UnaryOp, round_to_bf16};

/// `op(x)` for an element of type `dtype`.
///
/// # Panics
/// Where the operation is not defined for the type.
pub(super) fn unary(op: UnaryOp, dtype: DType, x: f64) -> f64 {
    match (op, dtype) {
        (UnaryOp::Neg, DType::I32) => wrap(-(x as i64)),
        (UnaryOp::Abs, DType::I32) => wrap((x as i64).abs()),
        (UnaryOp::Not, DType::Bool) => bool_of(x == 0.0),
        (UnaryOp::Neg, DType::F32) => -x,
        (UnaryOp::Abs, DType::F32) => x.abs(),
        (UnaryOp::Exp, DType::F32) => x.exp(),
        (UnaryOp::Log, DType::F32) => x.ln(),
        (UnaryOp::Sqrt, DType::F32) => x.sqrt(),
        (UnaryOp::Rsqrt, DType::F32) => 1.0 / x.sqrt(),
        (UnaryOp::Tanh, DType::F32) => x.tanh(),
        (UnaryOp::Erf, DType::F32) => libm::erf(x),
        (UnaryOp::Sin, DType::F32) => x.sin(),
        (UnaryOp::Cos, DType::F32) => x.cos(),
        (UnaryOp::Floor, DType::F32) => x.floor(),
        (UnaryOp::Bf16, DType::F32) => round_to_bf16(x),
        (op, dtype) => panic!("{} of {dtype:?}", op.name()),
    }
}

/// `op(x, y)` for elements of type `dtype`.
///
/// # Panics
/// Where the operation is not defined for the type.
pub(super) fn binary(op: BinaryOp, dtype: DType, x: f64, y: f64) -> f64 {
    match op {
        BinaryOp::Eq => return bool_of(x == y),
        BinaryOp::Ne => return bool_of(x != y),
        BinaryOp::Lt => return bool_of(x < y),
        BinaryOp::Le => return bool_of(x <= y),
        BinaryOp::Gt => return bool_of(x > y),
        BinaryOp::Ge => return bool_of(x >= y),
        _ => {}
    }
    match dtype {
        DType::F32 => binary_float(op, x, y),
        DType::I32 => wrap(binary_integer(op, x as i64, y as i64)),
        DType::Bool => match op {
            BinaryOp::And => bool_of(x != 0.0 && y != 0.0),
            BinaryOp::Or => bool_of(x != 0.0 || y != 0.0),
            op => panic!("{} of Bool", op.name()),
        },
    }
}

fn binary_float(op: BinaryOp, x: f64, y: f64) -> f64 {
    match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div => x / y,
        BinaryOp::Rem => x - (x / y).floor() * y,
        BinaryOp::Max => max(x, y),
        BinaryOp::Min => min(x, y),
        BinaryOp::Pow => x.powf(y),
        op => panic!("{} of F32", op.name()),
    }
}

fn binary_integer(op: BinaryOp, x: i64, y: i64) -> i64 {
    match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div if y == 0 => 0,
        BinaryOp::Rem if y == 0 => 0,
        BinaryOp::Div => floor_div(x, y),
        BinaryOp::Rem => x - floor_div(x, y) * y,
        BinaryOp::Max => x.max(y),
        BinaryOp::Min => x.min(y),
        op => panic!("{} of I32", op.name()),
    }
}

fn floor_div(x: i64, y: i64) -> i64 {
    let quotient = x / y;
    if x % y != 0 && (x < 0) != (y < 0) { quotient - 1 } else { quotient }
}

/// To another element type: to I32 toward zero (saturating, NaN gives 0), to Bool `!= 0`.
pub(super) fn cast(x: f64, to: DType) -> f64 {
    match to {
        DType::F32 => x,
        DType::I32 => f64::from(x as i32),
        DType::Bool => bool_of(x != 0.0),
    }
}

/// The greater; NaN where either is.
pub(super) fn max(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) }
}

/// The lesser; NaN where either is.
pub(super) fn min(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() { f64::NAN } else { x.min(y) }
}

/// The low 32 bits, as a signed number.
pub(super) fn wrap(x: i64) -> f64 {
    f64::from(x as i32)
}

fn bool_of(x: bool) -> f64 {
    if x { 1.0 } else { 0.0 }
}
