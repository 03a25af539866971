//! Random elementwise operations, kept inside their domains and away from their jumps.

use mgx_ir::graph::{BinaryOp, DType, NodeId, UnaryOp, round_to_bf16};

use super::{MARGIN, Maker};

pub(super) fn any(maker: &mut Maker) -> Option<NodeId> {
    match maker.below(13) {
        0..3 => unary(maker),
        3..6 => binary(maker),
        6 | 7 => comparison(maker),
        8 | 9 => logic(maker),
        10 => select(maker),
        11 => cast(maker),
        _ => integer(maker),
    }
}

/// Brings numbers up to `largest` into a small range, by functions that do not blow up their errors.
pub(super) fn squash(maker: &mut Maker, x: NodeId, largest: f64) -> NodeId {
    if maker.once_in(3) {
        return maker.builder.unary(UnaryOp::Tanh, x);
    }
    maker.builder.binary_const(BinaryOp::Mul, x, 4.0 / largest.log2().ceil().exp2())
}

/// `|x| + at_least`: a positive number.
fn positive(maker: &mut Maker, x: NodeId, at_least: f64) -> NodeId {
    let size = maker.builder.unary(UnaryOp::Abs, x);
    maker.builder.binary_const(BinaryOp::Add, size, at_least)
}

fn unary(maker: &mut Maker) -> Option<NodeId> {
    let x = maker.float()?;
    let op = UnaryOp::ALL[maker.below(12) as usize];
    let x = match op {
        UnaryOp::Exp => maker.builder.binary_const(BinaryOp::Min, x, 2.0),
        UnaryOp::Log | UnaryOp::Sqrt | UnaryOp::Rsqrt => positive(maker, x, 0.5),
        UnaryOp::Floor => {
            let jumps = maker.flat(x).iter().any(|value| (value - value.round()).abs() < MARGIN);
            if jumps {
                return None;
            }
            x
        }
        // Backends that are off by their rounding must not come to the other neighbour.
        UnaryOp::Bf16 => {
            const OFF: f64 = MARGIN * 1e-2;
            let jump = |value: &f64| (round_to_bf16(value + OFF) - round_to_bf16(value - OFF)).abs() > 3.0 * OFF;
            if maker.flat(x).iter().any(jump) {
                return None;
            }
            x
        }
        _ => x,
    };
    Some(maker.builder.unary(op, x))
}

fn binary(maker: &mut Maker) -> Option<NodeId> {
    let (x, y) = (maker.float()?, maker.float()?);
    let op = maker.pick(&[BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Max, BinaryOp::Min, BinaryOp::Pow])?;
    let (x, y) = match op {
        BinaryOp::Div => (x, positive(maker, y, 0.5)),
        BinaryOp::Pow => (positive(maker, x, 0.5), maker.builder.unary(UnaryOp::Tanh, y)),
        _ => (x, y),
    };
    if maker.once_in(5) {
        let value = maker.below(7) as f64 / 2.0 - 1.25;
        return Some(maker.builder.binary_const(BinaryOp::Mul, x, value));
    }
    Some(maker.builder.binary(op, x, y))
}

const COMPARISONS: [BinaryOp; 6] = [BinaryOp::Eq, BinaryOp::Ne, BinaryOp::Lt, BinaryOp::Le, BinaryOp::Gt, BinaryOp::Ge];

/// A comparison of integers, or of a float with a number that none of its elements is near to.
fn comparison(maker: &mut Maker) -> Option<NodeId> {
    let op = maker.pick(&COMPARISONS)?;
    if maker.once_in(2) {
        let (x, y) = (maker.value(DType::I32, |_, _| true)?, maker.value(DType::I32, |_, _| true)?);
        return Some(maker.builder.binary(op, x, y));
    }
    let x = maker.float()?;
    let bound = maker.below(5) as f64 / 4.0 - 0.55;
    let near = maker.flat(x).iter().any(|value| (value - f64::from(bound as f32)).abs() < MARGIN);
    (!near).then(|| maker.builder.binary_const(op, x, bound))
}

/// A function of truth values.
fn logic(maker: &mut Maker) -> Option<NodeId> {
    let (x, y) = (maker.value(DType::Bool, |_, _| true)?, maker.value(DType::Bool, |_, _| true)?);
    let op = maker.pick(&[BinaryOp::And, BinaryOp::Or, BinaryOp::Eq, BinaryOp::Ne])?;
    let x = if maker.once_in(2) { maker.builder.unary(UnaryOp::Not, x) } else { x };
    Some(maker.builder.binary(op, x, y))
}

fn select(maker: &mut Maker) -> Option<NodeId> {
    let condition = match maker.value(DType::Bool, |_, _| true) {
        Some(condition) => condition,
        None => comparison(maker)?,
    };
    let dtype = if maker.once_in(4) { DType::I32 } else { DType::F32 };
    let (x, y) = (maker.value(dtype, |_, _| true)?, maker.value(dtype, |_, _| true)?);
    Some(maker.builder.select(condition, x, y))
}

fn cast(maker: &mut Maker) -> Option<NodeId> {
    let dtype = maker.pick(&[DType::I32, DType::I32, DType::Bool, DType::F32])?;
    let x = maker.value(dtype, |_, _| true)?;
    if dtype != DType::F32 {
        let to = if dtype == DType::I32 && maker.once_in(3) { DType::Bool } else { DType::F32 };
        return Some(maker.builder.cast(x, to));
    }
    let jumps = maker.flat(x).iter().any(|value| (value - value.round()).abs() < MARGIN);
    (!jumps).then(|| maker.builder.cast(x, DType::I32))
}

fn integer(maker: &mut Maker) -> Option<NodeId> {
    let x = maker.value(DType::I32, |_, _| true)?;
    match maker.below(4) {
        0 => {
            let op = maker.pick(&[UnaryOp::Neg, UnaryOp::Abs])?;
            Some(maker.builder.unary(op, x))
        }
        1 => {
            let y = maker.value(DType::I32, |_, _| true)?;
            let op =
                maker.pick(&[BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Max, BinaryOp::Min, BinaryOp::Div, BinaryOp::Rem])?;
            Some(maker.builder.binary(op, x, y))
        }
        _ => {
            let op = maker.pick(&[BinaryOp::Add, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Rem, BinaryOp::Max])?;
            let value = maker.below(7) as f64 - 3.0;
            Some(maker.builder.binary_const(op, x, value))
        }
    }
}
