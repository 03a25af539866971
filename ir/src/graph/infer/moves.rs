//! The rules of the moves of axes.

use super::{arity, has_all, known, name, position, without};
use crate::graph::{AxisId, Graph, Type, Window, sizes};

pub(super) fn rename(graph: &Graph, inputs: &[&Type], pairs: &[(AxisId, AxisId)]) -> Result<Type, String> {
    let [x] = arity(inputs)?;
    let mut axes = x.axes.clone();
    let mut renamed = vec![false; axes.len()];
    for (from, to) in pairs {
        known(graph, *to)?;
        let at = position(graph, x, *from)?;
        if std::mem::replace(&mut renamed[at], true) {
            return Err(format!("rename takes the axis {} twice", name(graph, *from)));
        }
        sizes::check_equal(graph, &[*from], &[*to])?;
        axes[at] = *to;
    }
    Ok(Type { axes, ..x.clone() })
}

pub(super) fn split(graph: &Graph, inputs: &[&Type], axis: AxisId, into: &[AxisId]) -> Result<Type, String> {
    into.iter().try_for_each(|part| known(graph, *part))?;
    known(graph, axis)?;
    sizes::check_equal(graph, &[axis], into)?;
    replace(graph, inputs, &[axis], into, false)
}

pub(super) fn merge(graph: &Graph, inputs: &[&Type], axes: &[AxisId], into: AxisId) -> Result<Type, String> {
    if axes.is_empty() {
        return Err("merge of no axes".into());
    }
    axes.iter().chain([&into]).try_for_each(|part| known(graph, *part))?;
    sizes::check_equal(graph, axes, &[into])?;
    replace(graph, inputs, axes, &[into], false)
}

/// The axes `from` of the only input give way to `to`, at the place of the first of them.
pub(super) fn replace(graph: &Graph, inputs: &[&Type], from: &[AxisId], to: &[AxisId], reads_length: bool) -> Result<Type, String> {
    let [x] = arity(inputs)?;
    to.iter().try_for_each(|axis| known(graph, *axis))?;
    has_all(graph, x, from)?;
    let mut axes = Vec::with_capacity(x.axes.len() + to.len());
    for axis in &x.axes {
        if *axis == from[0] {
            axes.extend_from_slice(to);
        } else if !from.contains(axis) {
            axes.push(*axis);
        }
    }
    let ragged = to.iter().any(|axis| graph.extent(*axis).as_static().is_none());
    Ok(Type { dtype: x.dtype, axes, per_sample: x.per_sample || ragged || reads_length })
}

pub(super) fn concat(graph: &Graph, inputs: &[&Type], axes: &[AxisId], into: AxisId) -> Result<Type, String> {
    let Some(first) = inputs.first() else { return Err("concat of nothing".into()) };
    if inputs.len() != axes.len() {
        return Err(format!("concat of {} values along {} axes", inputs.len(), axes.len()));
    }
    let rest = without(&first.axes, &axes[..1]);
    for (x, axis) in inputs.iter().zip(axes) {
        position(graph, x, *axis)?;
        if x.dtype != first.dtype {
            return Err(format!("concat of {:?} and {:?}: the element types must be the same", first.dtype, x.dtype));
        }
        let own = without(&x.axes, &[*axis]);
        if own.len() != rest.len() || own.iter().any(|axis| !rest.contains(axis)) {
            return Err("the values of concat must have the same axes besides the one they are joined along".into());
        }
    }
    known(graph, into)?;
    sizes::check_concat(graph, axes, into)?;
    let mut ty = replace(graph, &inputs[..1], &axes[..1], &[into], false)?;
    ty.per_sample |= inputs.iter().any(|x| x.per_sample);
    Ok(ty)
}

pub(super) fn positive(window: &Window) -> Result<(), String> {
    if window.stride == 0 || window.dilation == 0 { Err("stride and dilation of windows are at least 1".into()) } else { Ok(()) }
}
