//! Operations that move elements: at which index of the input is an element of the result?

use mgx_ir::graph::{AxisId, Window};

use super::Result;
use crate::tensor::{Index, Tensor, for_each_index};

/// `result[.., b = i] = x[.., a = i]` for every pair `(a, b)`.
pub(super) fn rename(pairs: &[(AxisId, AxisId)], x: &Tensor, result: Result<'_>) -> Tensor {
    result.at_each(|index| {
        // Read all positions before any is set: pairs may swap axes.
        let mut source = index.clone();
        for (from, to) in pairs {
            source.set(*from, index.get(*to));
        }
        x.at(&source)
    })
}

/// `result[.., into = (i, j, ..)] = x[.., axis = row-major number of (i, j, ..)]`.
pub(super) fn split(axis: AxisId, into: &[AxisId], x: &Tensor, result: Result<'_>) -> Tensor {
    let shape = result.scope.shape(into);
    assert_eq!(shape.iter().product::<usize>(), x.extent(axis), "split of axis {} into {shape:?}", axis.0);
    result.at_each(|index| {
        let number = into.iter().zip(&shape).fold(0, |number, (part, extent)| number * extent + index.get(*part));
        x.at(&index.with(axis, number))
    })
}

/// `result[.., into = row-major number of (i, j, ..)] = x[.., axes = (i, j, ..)]`.
pub(super) fn merge(axes: &[AxisId], into: AxisId, x: &Tensor, result: Result<'_>) -> Tensor {
    let size: usize = axes.iter().map(|axis| x.extent(*axis)).product();
    assert_eq!(result.scope.shape(&[into]), [size], "merge of {axes:?}");
    result.at_each(|index| {
        let mut number = index.get(into);
        let mut source = index.clone();
        for axis in axes.iter().rev() {
            source.set(*axis, number % x.extent(*axis));
            number /= x.extent(*axis);
        }
        x.at(&source)
    })
}

/// `result[.., into = i] = x[.., axis = start + i · step]`.
pub(super) fn slice(axis: AxisId, into: AxisId, start: usize, step: usize, x: &Tensor, result: Result<'_>) -> Tensor {
    result.at_each(|index| x.at(&index.with(axis, start + index.get(into) * step)))
}

/// `result[.., into = i] = x[.., axis = i - before]`, or `fill` where that is outside.
pub(super) fn pad(axis: AxisId, into: AxisId, before: usize, fill: f64, x: &Tensor, result: Result<'_>) -> Tensor {
    let extent = x.extent(axis);
    result.at_each(|index| match index.get(into).checked_sub(before) {
        Some(position) if position < extent => x.at(&index.with(axis, position)),
        _ => fill,
    })
}

/// `result[.., into = i]` is element `i` of the parts laid end to end, part `p` along `axes[p]`.
pub(super) fn concat(axes: &[AxisId], into: AxisId, parts: &[&Tensor], result: Result<'_>) -> Tensor {
    let extents: Vec<usize> = parts.iter().zip(axes).map(|(part, axis)| part.extent(*axis)).collect();
    assert_eq!(result.scope.shape(&[into]), [extents.iter().sum::<usize>()], "concat of {extents:?}");
    result.at_each(|index| {
        let mut position = index.get(into);
        let mut part = 0;
        while position >= extents[part] {
            position -= extents[part];
            part += 1;
        }
        parts[part].at(&index.with(axes[part], position))
    })
}

/// `result[.., into = w, tap = t] = x[.., axis = w · stride + t · dilation - before]`, or `fill` where that is outside.
pub(super) fn window(axis: AxisId, into: AxisId, tap: AxisId, window: &Window, x: &Tensor, result: Result<'_>) -> Tensor {
    let extent = x.extent(axis);
    result.at_each(|index| match position(window, index.get(into), index.get(tap)) {
        Some(position) if position < extent => x.at(&index.with(axis, position)),
        _ => window.fill,
    })
}

/// `result[.., axis = i] = Σ over (w, t) with w · stride + t · dilation - before = i of x[.., into = w, tap = t]`.
pub(super) fn fold(into: AxisId, tap: AxisId, axis: AxisId, window: &Window, x: &Tensor, result: Result<'_>) -> Tensor {
    let shape = [x.extent(into), x.extent(tap)];
    result.at_each(|index| {
        let mut total = 0.0;
        for_each_index(index, &[into, tap], &shape, |full| {
            if position(window, full.get(into), full.get(tap)) == Some(index.get(axis)) {
                total += x.at(full);
            }
        });
        total
    })
}

/// The position of a tap of a window; `None` before the start of the axis.
fn position(window: &Window, number: usize, tap: usize) -> Option<usize> {
    (number * window.stride as usize + tap * window.dilation as usize).checked_sub(window.before as usize)
}

/// `result[i, j] = x[axis = y[i], j]`, or 0 where `y[i]` is outside the axis.
pub(super) fn gather(axis: AxisId, x: &Tensor, y: &Tensor, result: Result<'_>) -> Tensor {
    let extent = x.extent(axis);
    result.at_each(|index| match row(y, index, extent) {
        Some(position) => x.at(&index.with(axis, position)),
        None => 0.0,
    })
}

/// `result[axis = a, j] = Σ over i in `over` with y[i] = a of x[i, j]`; an index outside the axis takes no part.
pub(super) fn scatter_add(axis: AxisId, over: &[AxisId], x: &Tensor, y: &Tensor, result: Result<'_>) -> Tensor {
    let extent = result.scope.shape(&[axis])[0];
    let rest: Vec<AxisId> = result.ty.axes.iter().copied().filter(|other| *other != axis).collect();
    let mut total = result.zeros();
    let mut every = over.to_vec();
    every.extend(&rest);
    let shape = result.scope.shape(&every);
    for_each_index(&Index::default(), &every, &shape, |index| {
        if let Some(position) = row(y, index, extent) {
            total.add(&index.with(axis, position), x.at(index));
        }
    });
    total
}

/// The row that an index points at; `None` outside `0..extent`.
fn row(y: &Tensor, index: &Index, extent: usize) -> Option<usize> {
    let position = usize::try_from(y.at(index) as i64).ok()?;
    (position < extent).then_some(position)
}
