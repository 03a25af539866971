//! Attention of one sample, and its gradient. `h` stands for every axis of the queries besides `dim` (the query itself and the heads),
//! `i` for a key, `d` for `dim` and `e` for `value`; `s[h, i] = scale · Σ_d q[h, d] · k[h, i, d]` are the scores.

use mgx_ir::graph::AxisId;

use super::Result;
use crate::tensor::{Index, Tensor, for_each_index};

/// The axes that attention sums over or brings in.
#[derive(Clone, Copy)]
pub(super) struct Axes {
    pub key: AxisId,
    pub dim: AxisId,
    pub value: AxisId,
}

/// `result[h, e] = Σ_i softmax_i(s[h, i]) · v[h, i, e]`; no keys give 0.
pub(super) fn attention(axes: Axes, scale: f64, q: &Tensor, k: &Tensor, v: &Tensor, result: Result<'_>) -> Tensor {
    let keys = v.extent(axes.key);
    result.at_each(|index| {
        let scores = scores(index, axes.key, axes.dim, scale, q, k);
        let lse = lse(&scores);
        (0..keys).map(|key| (scores[key] - lse).exp() * v.at(&index.with(axes.key, key))).sum()
    })
}

/// `result[h] = ln Σ_i exp(s[h, i])`; no keys give −∞.
pub(super) fn log_sum_exp(key: AxisId, dim: AxisId, scale: f64, q: &Tensor, k: &Tensor, result: Result<'_>) -> Tensor {
    result.at_each(|index| lse(&scores(index, key, dim, scale, q, k)))
}

/// What the gradient is computed from: the operands, the result, its log-sum-exp, and the gradient of the result.
#[derive(Clone, Copy)]
pub(super) struct GradientInputs<'a> {
    pub q: &'a Tensor,
    pub k: &'a Tensor,
    pub v: &'a Tensor,
    pub out: &'a Tensor,
    pub lse: &'a Tensor,
    pub dout: &'a Tensor,
}

/// With `p[h, i] = exp(s[h, i] - lse[h])` and `ds[h, i] = p[h, i] · (Σ_e dout[h, e] · v[h, i, e] - Σ_e dout[h, e] · out[h, e])`:
/// `dq[h, d] = scale · Σ_i ds · k`, `dk[i, d] = scale · Σ_h ds · q`, `dv[i, e] = Σ_h p · dout` (Dao et al. 2022, appendix B).
///
/// # Panics
/// Where `wrt` is none of 0, 1 and 2.
pub(super) fn gradient(axes: Axes, scale: f64, wrt: u8, inputs: GradientInputs<'_>, result: Result<'_>) -> Tensor {
    let GradientInputs { q, k, v, out, lse, dout } = inputs;
    let mut total = result.zeros();
    for_each_index(&Index::default(), &lse.axes, &lse.shape, |index| {
        let scores = scores(index, axes.key, axes.dim, scale, q, k);
        let values = || (0..v.extent(axes.value)).map(|e| index.with(axes.value, e));
        let delta: f64 = values().map(|at| dout.at(&at) * out.at(&at)).sum();
        for (key, score) in scores.iter().enumerate() {
            let p = (score - lse.at(index)).exp();
            let dp: f64 = values().map(|at| dout.at(&at) * v.at(&at.with(axes.key, key))).sum();
            let ds = scale * p * (dp - delta);
            let dims = (0..q.extent(axes.dim)).map(|d| index.with(axes.key, key).with(axes.dim, d));
            match wrt {
                0 => dims.for_each(|at| total.add(&at, ds * k.at(&at))),
                1 => dims.for_each(|at| total.add(&at, ds * q.at(&at))),
                2 => values().for_each(|at| total.add(&at.with(axes.key, key), p * dout.at(&at))),
                wrt => panic!("the gradient of input {wrt} of attention"),
            }
        }
    });
    total
}

/// The scores of all keys for one query and head.
fn scores(index: &Index, key: AxisId, dim: AxisId, scale: f64, q: &Tensor, k: &Tensor) -> Vec<f64> {
    let score = |number| {
        let at = |d| index.with(key, number).with(dim, d);
        scale * (0..q.extent(dim)).map(|d| q.at(&at(d)) * k.at(&at(d))).sum::<f64>()
    };
    (0..k.extent(key)).map(score).collect()
}

/// `ln Σ exp(scores)`, without overflow.
fn lse(scores: &[f64]) -> f64 {
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if greatest == f64::NEG_INFINITY {
        return greatest;
    }
    greatest + scores.iter().map(|score| (score - greatest).exp()).sum::<f64>().ln()
}
