//! The rules of the attention composites.

use super::{AxisId, DType, Graph, Type, arity, f32_only, has_all, same_axes, without};

/// The rule that q and k share, and the axes they share besides `dim`.
fn attention_heads(graph: &Graph, q: &Type, k: &Type, [query, key, dim]: [AxisId; 3]) -> Result<Vec<AxisId>, String> {
    f32_only("attention", &[q, k])?;
    has_all(graph, q, &[query, dim])?;
    has_all(graph, k, &[key, dim])?;
    if q.axes.contains(&key) || k.axes.contains(&query) {
        return Err("the query axis is an axis of q alone, and the key axis of k and v alone".into());
    }
    let heads = without(&q.axes, &[query, dim]);
    same_axes(graph, &heads, &without(&k.axes, &[key, dim]), "k")?;
    Ok(heads)
}

pub(super) fn attention(graph: &Graph, inputs: &[&Type], [query, key, dim, value]: [AxisId; 4]) -> Result<Type, String> {
    let [q, k, v] = arity(inputs)?;
    f32_only("attention", inputs)?;
    let heads = attention_heads(graph, q, k, [query, key, dim])?;
    has_all(graph, v, &[key, value])?;
    same_axes(graph, &heads, &without(&v.axes, &[key, value]), "v")?;
    let axes = q.axes.iter().map(|axis| if *axis == dim { value } else { *axis }).collect();
    Ok(Type { dtype: DType::F32, axes, per_sample: inputs.iter().any(|x| x.per_sample) })
}

pub(super) fn attention_lse(graph: &Graph, inputs: &[&Type], [query, key, dim]: [AxisId; 3]) -> Result<Type, String> {
    let [q, k] = arity(inputs)?;
    attention_heads(graph, q, k, [query, key, dim])?;
    Ok(Type { dtype: DType::F32, axes: without(&q.axes, &[dim]), per_sample: q.per_sample || k.per_sample })
}

pub(super) fn attention_grad(graph: &Graph, inputs: &[&Type], axes: [AxisId; 4], wrt: u8) -> Result<Type, String> {
    let [q, k, v, out, lse, dout] = arity(inputs)?;
    let result = attention(graph, &[q, k, v], axes)?;
    for (what, x) in [("the result", out), ("the gradient of the result", dout)] {
        f32_only("attention_grad", &[x])?;
        same_axes(graph, &result.axes, &x.axes, what)?;
    }
    same_axes(graph, &without(&q.axes, &[axes[2]]), &lse.axes, "the log-sum-exp")?;
    let wanted = inputs[..3].get(usize::from(wrt)).ok_or_else(|| format!("attention_grad of input {wrt}: there are 0, 1 and 2"))?;
    Ok(Type { per_sample: inputs.iter().any(|x| x.per_sample), ..(*wanted).clone() })
}
