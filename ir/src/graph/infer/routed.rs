//! Products whose rows choose their matrix by an index.

use super::{AxisId, DType, Graph, Type, aligned, arity, f32_only, has_all, name, same_axes, without};

/// `Σ_over x · w_index`.
pub(super) fn contract(graph: &Graph, inputs: &[&Type], over: &[AxisId]) -> Result<Type, String> {
    let [x, index, first, rest @ ..] = inputs else { return Err(format!("takes 3 inputs or more and has {}", inputs.len())) };
    f32_only("routed_contract", &[x, first])?;
    f32_only("routed_contract", rest)?;
    is_index(index)?;
    for matrix in rest {
        same_axes(graph, &first.axes, &matrix.axes, "a matrix")?;
    }
    if inputs[2..].iter().any(|matrix| matrix.per_sample) {
        return Err("the matrices are the same for all samples".into());
    }
    has_all(graph, x, over)?;
    has_all(graph, first, over)?;
    rows_of(graph, x, index, over)?;
    if let Some(axis) = first.axes.iter().find(|axis| index.axes.contains(axis)) {
        return Err(format!("the index has the axis {} of the matrices", name(graph, *axis)));
    }
    let own = Type { axes: without(&first.axes, over), ..(*first).clone() };
    let rows = Type { axes: without(&x.axes, over), ..(*x).clone() };
    Ok(Type { dtype: DType::F32, ..aligned(&[index, &rows, &own]) })
}

/// `Σ x · y` where the index is one number.
pub(super) fn outer(graph: &Graph, inputs: &[&Type]) -> Result<Type, String> {
    let [x, y, index] = arity(inputs)?;
    f32_only("routed_outer", &inputs[..2])?;
    is_index(index)?;
    let mut axes = without(&x.axes, &index.axes);
    let own = without(&y.axes, &index.axes);
    if let Some(axis) = own.iter().find(|axis| axes.contains(axis)) {
        return Err(format!("both values have the axis {}, which the index has not", name(graph, *axis)));
    }
    axes.extend(own);
    Ok(Type { dtype: DType::F32, axes, per_sample: false })
}

/// Are the axes of `x` that are not summed axes of the index?
fn rows_of(graph: &Graph, x: &Type, index: &Type, over: &[AxisId]) -> Result<(), String> {
    match without(&x.axes, over).iter().find(|axis| !index.axes.contains(axis)) {
        Some(axis) => Err(format!("the value has the axis {}, which the index has not", name(graph, *axis))),
        None => Ok(()),
    }
}

fn is_index(index: &Type) -> Result<(), String> {
    if index.dtype == DType::I32 { Ok(()) } else { Err(format!("the index is {:?} and must be I32", index.dtype)) }
}
