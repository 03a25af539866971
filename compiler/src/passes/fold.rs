//! Folding of constants.
//!
//! F32 constants are folded in f64 and not rounded in between, as the reference evaluator computes them; I32 exactly.

use mgx_ir::graph::{BinaryOp, DType, Graph, NodeId, Op, UnaryOp, round_to_bf16};

/// The number that a node is everywhere, if its inputs are constants (perhaps repeated) and it can be known now.
pub(crate) fn constant(graph: &Graph, op: &Op, inputs: &[NodeId], dtype: DType) -> Option<f64> {
    let numbers: Vec<f64> = inputs.iter().map(|input| number(graph, *input)).collect::<Option<_>>()?;
    let of = inputs.first().map(|input| graph.ty(*input).dtype);
    match (op, numbers.as_slice(), of) {
        (Op::Unary(op), [x], Some(of)) => unary(*op, *x, of),
        (Op::Binary(op), [x, y], Some(DType::F32)) => float(*op, *x, *y),
        (Op::Binary(op), [x, y], Some(DType::I32)) => integer(*op, *x as i32, *y as i32),
        (Op::Binary(op), [x, y], Some(DType::Bool)) => boolean(*op, *x != 0.0, *y != 0.0),
        (Op::Cast, [x], Some(from)) if from != DType::F32 || dtype != DType::I32 => {
            Some(if dtype == DType::Bool { flag(*x != 0.0) } else { *x })
        }
        (Op::Cast, [x], _) if x.is_finite() && x.abs() < f64::from(i32::MAX) => Some(x.trunc()),
        _ => None,
    }
}

fn number(graph: &Graph, id: NodeId) -> Option<f64> {
    match &graph.node(id).op {
        Op::Const(value) => Some(*value),
        _ => None,
    }
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn unary(op: UnaryOp, x: f64, of: DType) -> Option<f64> {
    Some(match op {
        UnaryOp::Neg if of == DType::I32 => f64::from((x as i32).wrapping_neg()),
        UnaryOp::Abs if of == DType::I32 => f64::from((x as i32).wrapping_abs()),
        UnaryOp::Neg => -x,
        UnaryOp::Abs => x.abs(),
        UnaryOp::Exp => x.exp(),
        UnaryOp::Log => x.ln(),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Rsqrt => 1.0 / x.sqrt(),
        UnaryOp::Tanh => x.tanh(),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Floor => x.floor(),
        UnaryOp::Bf16 => round_to_bf16(x),
        UnaryOp::Not => flag(x == 0.0),
        // The standard library has no error function; the kernels have.
        UnaryOp::Erf => return None,
    })
}

fn float(op: BinaryOp, x: f64, y: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div => x / y,
        BinaryOp::Rem => x - y * (x / y).floor(),
        BinaryOp::Max if x.is_nan() || y.is_nan() => f64::NAN,
        BinaryOp::Min if x.is_nan() || y.is_nan() => f64::NAN,
        BinaryOp::Max => x.max(y),
        BinaryOp::Min => x.min(y),
        BinaryOp::Pow => x.powf(y),
        _ => return compare(op, x, y),
    })
}

fn compare(op: BinaryOp, x: f64, y: f64) -> Option<f64> {
    Some(flag(match op {
        BinaryOp::Eq => x == y,
        BinaryOp::Ne => x != y,
        BinaryOp::Lt => x < y,
        BinaryOp::Le => x <= y,
        BinaryOp::Gt => x > y,
        BinaryOp::Ge => x >= y,
        _ => return None,
    }))
}

fn integer(op: BinaryOp, x: i32, y: i32) -> Option<f64> {
    Some(f64::from(match op {
        BinaryOp::Add => x.wrapping_add(y),
        BinaryOp::Sub => x.wrapping_sub(y),
        BinaryOp::Mul => x.wrapping_mul(y),
        // Euclidean and floor division agree for positive divisors; others are left to the kernels.
        BinaryOp::Div if y > 0 => x.div_euclid(y),
        BinaryOp::Div if y == 0 => 0,
        BinaryOp::Rem if y > 0 => x.rem_euclid(y),
        BinaryOp::Rem if y == 0 => 0,
        BinaryOp::Max => x.max(y),
        BinaryOp::Min => x.min(y),
        _ => return compare(op, f64::from(x), f64::from(y)),
    }))
}

fn boolean(op: BinaryOp, x: bool, y: bool) -> Option<f64> {
    match op {
        BinaryOp::And => Some(flag(x && y)),
        BinaryOp::Or => Some(flag(x || y)),
        _ => compare(op, flag(x), flag(y)),
    }
}
