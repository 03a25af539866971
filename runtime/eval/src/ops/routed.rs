//! Products whose rows choose their matrix by an index.

use mgx_ir::graph::AxisId;

use super::Result;
use crate::tensor::{Index, Tensor, for_each_index};

/// `result[i, j] = Σ over `over` of x[i, ..] · matrices[index[i]][j, ..]`, or 0 where there is no such matrix.
pub(super) fn contract(over: &[AxisId], x: &Tensor, index: &Tensor, matrices: &[&Tensor], result: Result<'_>) -> Tensor {
    let shape = result.scope.shape(over);
    result.at_each(|at| {
        let mut total = 0.0;
        if let Some(matrix) = usize::try_from(index.at(at) as i64).ok().and_then(|choice| matrices.get(choice)) {
            for_each_index(at, over, &shape, |full| total += x.at(full) * matrix.at(full));
        }
        total
    })
}

/// `result[i, j] = Σ over the index's axes, where the index is `choice`, of x[.., i] · y[.., j]`.
pub(super) fn outer(choice: u32, x: &Tensor, y: &Tensor, index: &Tensor, result: Result<'_>) -> Tensor {
    let rest = result.ty.axes.clone();
    let every = [index.axes.as_slice(), &rest].concat();
    let shape = result.scope.shape(&every);
    let mut total = result.zeros();
    for_each_index(&Index::default(), &every, &shape, |full| {
        if index.at(full) as i64 == i64::from(choice) {
            total.add(full, x.at(full) * y.at(full));
        }
    });
    total
}
