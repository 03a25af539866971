//! Attention in primitive operations, where no step takes it whole: when none of its operands is per sample, and for a
//! log-sum-exp without its attention.

use mgx_ir::graph::{AxisId, BinaryOp, NodeId, Op, ReduceOp, UnaryOp};

use super::canonical::Maker;
use super::contract;

fn scores(maker: &mut Maker, q: NodeId, k: NodeId, dim: AxisId, scale: f64) -> NodeId {
    let product = contract::add(maker, [q, k], &[dim], false);
    let scale = maker.constant(scale);
    binary(maker, BinaryOp::Mul, product, scale)
}

fn binary(maker: &mut Maker, op: BinaryOp, x: NodeId, y: NodeId) -> NodeId {
    maker.add(Op::Binary(op), &[x, y], None)
}

fn reduce(maker: &mut Maker, op: ReduceOp, x: NodeId, over: AxisId) -> NodeId {
    maker.add(Op::Reduce { op, over: vec![over], batch: false }, &[x], None)
}

/// `Σ_key softmax(scale q·k) v`; 0 where there are no keys, because the sum of nothing is 0 and so is the weight.
pub(super) fn attention(maker: &mut Maker, inputs: &[NodeId], [_, key, dim, _]: [AxisId; 4], scale: f64) -> NodeId {
    let s = scores(maker, inputs[0], inputs[1], dim, scale);
    let greatest = reduce(maker, ReduceOp::Max, s, key);
    let shifted = binary(maker, BinaryOp::Sub, s, greatest);
    let e = maker.add(Op::Unary(UnaryOp::Exp), &[shifted], None);
    let total = reduce(maker, ReduceOp::Sum, e, key);
    let weights = binary(maker, BinaryOp::Div, e, total);
    contract::add(maker, [weights, inputs[2]], &[key], false)
}

/// `max + ln Σ exp(s − max)`; −∞ where there are no keys.
pub(super) fn attention_lse(maker: &mut Maker, inputs: &[NodeId], [_, key, dim]: [AxisId; 3], scale: f64) -> NodeId {
    let s = scores(maker, inputs[0], inputs[1], dim, scale);
    let greatest = reduce(maker, ReduceOp::Max, s, key);
    let shifted = binary(maker, BinaryOp::Sub, s, greatest);
    let e = maker.add(Op::Unary(UnaryOp::Exp), &[shifted], None);
    let total = reduce(maker, ReduceOp::Sum, e, key);
    let log = maker.add(Op::Unary(UnaryOp::Log), &[total], None);
    binary(maker, BinaryOp::Add, log, greatest)
}

/// With `p = exp(s − lse)` and `ds = p (dout·v − Σ dout out) scale`: `dq = ds k`, `dk = dsᵀ q`, `dv = pᵀ dout`.
pub(super) fn attention_grad(maker: &mut Maker, inputs: &[NodeId], axes: [AxisId; 4], scale: f64, wrt: u8) -> NodeId {
    let [query, key, dim, value] = axes;
    let [q, k, v, out, lse, dout] = inputs else { unreachable!("the verifier has counted the inputs") };
    let s = scores(maker, *q, *k, dim, scale);
    let shifted = binary(maker, BinaryOp::Sub, s, *lse);
    let p = maker.add(Op::Unary(UnaryOp::Exp), &[shifted], None);
    if wrt == 2 {
        return contract::add(maker, [p, *dout], &[query], false);
    }
    let dp = contract::add(maker, [*dout, *v], &[value], false);
    let along = binary(maker, BinaryOp::Mul, *dout, *out);
    let delta = reduce(maker, ReduceOp::Sum, along, value);
    let centred = binary(maker, BinaryOp::Sub, dp, delta);
    let weighted = binary(maker, BinaryOp::Mul, p, centred);
    let factor = maker.constant(scale);
    let ds = binary(maker, BinaryOp::Mul, weighted, factor);
    match wrt {
        0 => contract::add(maker, [ds, *k], &[key], false),
        _ => contract::add(maker, [ds, *q], &[query], false),
    }
}
