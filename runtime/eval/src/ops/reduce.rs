//! Reductions and contractions of one sample.

use mgx_ir::graph::{AxisId, DType, ReduceOp};

use super::{Result, elementwise};
use crate::tensor::{Tensor, for_each_index};

/// What a reduction of nothing gives.
pub(crate) fn identity(op: ReduceOp, dtype: DType) -> f64 {
    match (op, dtype) {
        (ReduceOp::Sum, _) => 0.0,
        (ReduceOp::Max, DType::I32) => f64::from(i32::MIN),
        (ReduceOp::Min, DType::I32) => f64::from(i32::MAX),
        (ReduceOp::Max, _) => f64::NEG_INFINITY,
        (ReduceOp::Min, _) => f64::INFINITY,
    }
}

/// One step of a reduction.
pub(crate) fn combine(op: ReduceOp, dtype: DType, x: f64, y: f64) -> f64 {
    match (op, dtype) {
        (ReduceOp::Sum, DType::I32) => elementwise::wrap(x as i64 + y as i64),
        (ReduceOp::Sum, _) => x + y,
        (ReduceOp::Max, _) => elementwise::max(x, y),
        (ReduceOp::Min, _) => elementwise::min(x, y),
    }
}

/// `result[i] = op over o of x[i, o]`.
pub(super) fn reduce(op: ReduceOp, over: &[AxisId], x: &Tensor, result: Result<'_>) -> Tensor {
    let dtype = result.ty.dtype;
    let over_shape = result.scope.shape(over);
    result.at_each(|index| {
        let mut total = identity(op, dtype);
        for_each_index(index, over, &over_shape, |full| total = combine(op, dtype, total, x.at(full)));
        total
    })
}

/// `result[i] = Σ over o of x[i, o] · y[i, o]`. The offsets of the summed terms are the same for every `i` but for where they start.
pub(super) fn contract(over: &[AxisId], x: &Tensor, y: &Tensor, result: Result<'_>) -> Tensor {
    let over_shape = result.scope.shape(over);
    let x_terms = offsets(&x.strides(over), &over_shape);
    let y_terms = offsets(&y.strides(over), &over_shape);
    let x_starts = offsets(&x.strides(&result.ty.axes), result.shape);
    let y_starts = offsets(&y.strides(&result.ty.axes), result.shape);
    let mut data = Vec::with_capacity(x_starts.len());
    for (x_start, y_start) in x_starts.iter().zip(&y_starts) {
        let terms = x_terms.iter().zip(&y_terms).map(|(i, j)| x.data[x_start + i] * y.data[y_start + j]);
        data.push(terms.sum());
    }
    Tensor { dtype: result.ty.dtype, axes: result.ty.axes.clone(), shape: result.shape.to_vec(), data }
}

/// `Σ index · strides` for every index over `shape`, the last dimension fastest.
fn offsets(strides: &[usize], shape: &[usize]) -> Vec<usize> {
    let mut all = vec![0];
    for (stride, extent) in strides.iter().zip(shape) {
        all = all.iter().flat_map(|start| (0..*extent).map(move |position| start + position * stride)).collect();
    }
    all
}
