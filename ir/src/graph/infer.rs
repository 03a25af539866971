//! The rule of each operation: the type of its result from the types of its inputs.
//!
//! The builder and the verifier both use [`infer`], so they cannot disagree. Most results follow from the operation alone;
//! where a type is free in part (an input's axes, the element type of a cast, the order of a permutation) the declared type
//! fills that part, and the rule says whether it is allowed.

mod attention;
mod moves;
mod routed;

use super::{AxisId, BinaryOp, DType, Graph, NodeId, Op, Type, UnaryOp, sizes};
use attention::{attention, attention_grad, attention_lse};
use moves::{concat, merge, positive, rename, replace, split};

/// The type of `op` applied to `inputs`.
///
/// `declared` is what the node says its type is. It decides what the rule leaves open: the whole type of [`Op::Input`] and
/// [`Op::Random`], the element type of [`Op::Const`] and [`Op::Cast`], the axes of [`Op::Broadcast`] and their order for
/// [`Op::Permute`]. For all other operations it is not looked at.
///
/// # Errors
/// What breaks the rule, in a sentence.
pub fn infer(graph: &Graph, op: &Op, inputs: &[NodeId], declared: Option<&Type>) -> Result<Type, String> {
    let mut types = Vec::with_capacity(inputs.len());
    for input in inputs {
        types.push(&graph.nodes.get(input.0 as usize).ok_or_else(|| format!("input %{} does not exist", input.0))?.ty);
    }
    let ty = result_type(graph, op, &types, declared)?;
    well_formed(graph, &ty)?;
    Ok(ty)
}

/// Are the axes of a type distinct, known, and none of them ragged where there is one value for all samples?
fn well_formed(graph: &Graph, ty: &Type) -> Result<(), String> {
    for (at, axis) in ty.axes.iter().enumerate() {
        known(graph, *axis)?;
        if ty.axes[..at].contains(axis) {
            return Err(format!("the result would have the axis {} twice", name(graph, *axis)));
        }
        if !ty.per_sample && graph.extent(*axis).as_static().is_none() {
            return Err(format!("the ragged axis {} cannot be in a value that is the same for all samples", name(graph, *axis)));
        }
    }
    Ok(())
}

fn result_type(graph: &Graph, op: &Op, inputs: &[&Type], declared: Option<&Type>) -> Result<Type, String> {
    match op {
        Op::Input { .. } | Op::Random { .. } | Op::Const(_) | Op::Param(_) | Op::Iota(_) => {
            let [] = arity(inputs)?;
            source(graph, op, declared)
        }
        Op::Unary(op) => unary(*op, inputs),
        Op::Binary(op) => binary(*op, inputs),
        Op::Select => select(inputs),
        Op::Cast => {
            let [x] = arity(inputs)?;
            Ok(Type { dtype: need(declared)?.dtype, ..x.clone() })
        }
        Op::Broadcast => broadcast(inputs, need(declared)?),
        Op::Permute => permute(inputs, need(declared)?),
        Op::After => {
            let [x, _] = arity(inputs)?;
            Ok(x.clone())
        }
        Op::Reduce { over, batch, .. } => reduce(graph, inputs, over, *batch),
        Op::Contract { over, batch } => contract(graph, inputs, over, *batch),
        Op::Rename { pairs } => rename(graph, inputs, pairs),
        Op::Split { axis, into } => split(graph, inputs, *axis, into),
        Op::Merge { axes, into } => merge(graph, inputs, axes, *into),
        Op::Slice { axis, into, start, step } => {
            known(graph, *axis).and_then(|()| known(graph, *into))?;
            sizes::check_slice(graph, *axis, *into, start, *step)?;
            replace(graph, inputs, &[*axis], &[*into], sizes::reads_length(start))
        }
        Op::Pad { axis, into, before, .. } => {
            known(graph, *axis).and_then(|()| known(graph, *into))?;
            sizes::check_pad(graph, *axis, *into, before)?;
            replace(graph, inputs, &[*axis], &[*into], sizes::reads_length(before))
        }
        Op::Concat { axes, into } => concat(graph, inputs, axes, *into),
        Op::Window { axis, into, tap, window } => {
            positive(window)?;
            replace(graph, inputs, &[*axis], &[*into, *tap], false)
        }
        Op::Fold { into, tap, axis, window } => {
            positive(window)?;
            f32_only("fold", inputs)?;
            replace(graph, inputs, &[*into, *tap], &[*axis], false)
        }
        Op::Gather { axis } => gather(graph, inputs, *axis),
        Op::ScatterAdd { axis, over, batch } => scatter_add(graph, inputs, *axis, over, *batch),
        Op::RoutedContract { over } => routed::contract(graph, inputs, over),
        Op::RoutedOuter { .. } => routed::outer(graph, inputs),
        Op::Attention { query, key, dim, value, .. } => attention(graph, inputs, [*query, *key, *dim, *value]),
        Op::AttentionLse { query, key, dim, .. } => attention_lse(graph, inputs, [*query, *key, *dim]),
        Op::AttentionGrad { query, key, dim, value, wrt, .. } => attention_grad(graph, inputs, [*query, *key, *dim, *value], *wrt),
    }
}

fn source(graph: &Graph, op: &Op, declared: Option<&Type>) -> Result<Type, String> {
    match op {
        Op::Param(id) => {
            let param = graph.params.get(id.0 as usize).ok_or_else(|| format!("parameter {} does not exist", id.0))?;
            Ok(Type { dtype: DType::F32, axes: param.axes.clone(), per_sample: false })
        }
        Op::Const(_) => Ok(Type { dtype: need(declared)?.dtype, axes: Vec::new(), per_sample: false }),
        Op::Iota(axis) => {
            known(graph, *axis)?;
            Ok(Type { dtype: DType::I32, axes: vec![*axis], per_sample: graph.extent(*axis).as_static().is_none() })
        }
        Op::Random { .. } => Ok(Type { dtype: DType::F32, ..need(declared)?.clone() }),
        _ => Ok(need(declared)?.clone()),
    }
}

fn unary(op: UnaryOp, inputs: &[&Type]) -> Result<Type, String> {
    let [x] = arity(inputs)?;
    let allowed = match op {
        UnaryOp::Not => x.dtype == DType::Bool,
        UnaryOp::Neg | UnaryOp::Abs => x.dtype != DType::Bool,
        _ => x.dtype == DType::F32,
    };
    if allowed { Ok(x.clone()) } else { Err(format!("{} does not take {:?}", op.name(), x.dtype)) }
}

fn binary(op: BinaryOp, inputs: &[&Type]) -> Result<Type, String> {
    let [x, y] = arity(inputs)?;
    if x.dtype != y.dtype {
        return Err(format!("{} of {:?} and {:?}: the element types must be the same", op.name(), x.dtype, y.dtype));
    }
    let allowed = match op {
        BinaryOp::And | BinaryOp::Or => x.dtype == DType::Bool,
        BinaryOp::Eq | BinaryOp::Ne => true,
        BinaryOp::Pow => x.dtype == DType::F32,
        _ => x.dtype != DType::Bool,
    };
    if !allowed {
        return Err(format!("{} does not take {:?}", op.name(), x.dtype));
    }
    let dtype = if op.is_comparison() { DType::Bool } else { x.dtype };
    Ok(Type { dtype, ..aligned(&[x, y]) })
}

fn select(inputs: &[&Type]) -> Result<Type, String> {
    let [x, y, z] = arity(inputs)?;
    if x.dtype != DType::Bool {
        return Err(format!("the condition of select is {:?} and must be Bool", x.dtype));
    }
    if y.dtype != z.dtype {
        return Err(format!("select of {:?} and {:?}: the element types must be the same", y.dtype, z.dtype));
    }
    Ok(Type { dtype: y.dtype, ..aligned(&[x, y, z]) })
}

fn broadcast(inputs: &[&Type], declared: &Type) -> Result<Type, String> {
    let [x] = arity(inputs)?;
    if x.axes.iter().any(|axis| !declared.axes.contains(axis)) {
        return Err("broadcast cannot drop an axis".into());
    }
    if x.per_sample && !declared.per_sample {
        return Err("broadcast cannot make one value of the samples' values".into());
    }
    Ok(Type { dtype: x.dtype, ..declared.clone() })
}

fn permute(inputs: &[&Type], declared: &Type) -> Result<Type, String> {
    let [x] = arity(inputs)?;
    if x.axes.len() != declared.axes.len() || x.axes.iter().any(|axis| !declared.axes.contains(axis)) {
        return Err("permute keeps the axes and changes only their order".into());
    }
    Ok(Type { axes: declared.axes.clone(), ..x.clone() })
}

fn reduce(graph: &Graph, inputs: &[&Type], over: &[AxisId], batch: bool) -> Result<Type, String> {
    let [x] = arity(inputs)?;
    if x.dtype == DType::Bool {
        return Err("a reduction does not take Bool".into());
    }
    has_all(graph, x, over)?;
    if batch && !x.per_sample {
        return Err("a reduction over the samples needs a value per sample".into());
    }
    Ok(Type { dtype: x.dtype, axes: without(&x.axes, over), per_sample: x.per_sample && !batch })
}

fn contract(graph: &Graph, inputs: &[&Type], over: &[AxisId], batch: bool) -> Result<Type, String> {
    let [x, y] = arity(inputs)?;
    f32_only("contract", inputs)?;
    has_all(graph, x, over)?;
    has_all(graph, y, over)?;
    let both = aligned(&[x, y]);
    if batch && !both.per_sample {
        return Err("a contraction over the samples needs a value per sample".into());
    }
    Ok(Type { dtype: DType::F32, axes: without(&both.axes, over), per_sample: both.per_sample && !batch })
}

fn gather(graph: &Graph, inputs: &[&Type], axis: AxisId) -> Result<Type, String> {
    let [x, index] = arity(inputs)?;
    position(graph, x, axis)?;
    is_index(graph, index, axis)?;
    let rest = Type { axes: without(&x.axes, &[axis]), ..(*x).clone() };
    Ok(Type { dtype: x.dtype, ..aligned(&[index, &rest]) })
}

fn scatter_add(graph: &Graph, inputs: &[&Type], axis: AxisId, over: &[AxisId], batch: bool) -> Result<Type, String> {
    let [x, index] = arity(inputs)?;
    if x.dtype != DType::F32 {
        return Err(format!("scatter_add does not take {:?}", x.dtype));
    }
    known(graph, axis)?;
    is_index(graph, index, axis)?;
    has_all(graph, x, over)?;
    has_all(graph, index, over)?;
    let both = aligned(&[x, index]);
    if batch && !both.per_sample {
        return Err("scatter_add over the samples needs a value per sample".into());
    }
    let mut axes = vec![axis];
    axes.extend(without(&both.axes, over));
    let ragged = graph.extent(axis).as_static().is_none();
    Ok(Type { dtype: DType::F32, axes, per_sample: (both.per_sample && !batch) || ragged })
}

fn is_index(graph: &Graph, index: &Type, axis: AxisId) -> Result<(), String> {
    if index.dtype != DType::I32 {
        return Err(format!("the index is {:?} and must be I32", index.dtype));
    }
    if index.axes.contains(&axis) {
        return Err(format!("the index has the axis {} that it looks up", name(graph, axis)));
    }
    Ok(())
}

/// The axes of the operands in order of appearance; per sample where any operand is. The element type is the first one's.
pub(super) fn aligned(operands: &[&Type]) -> Type {
    let mut ty = operands[0].clone();
    for operand in &operands[1..] {
        ty.per_sample |= operand.per_sample;
        for axis in &operand.axes {
            if !ty.axes.contains(axis) {
                ty.axes.push(*axis);
            }
        }
    }
    ty
}

fn arity<'a, const N: usize>(inputs: &[&'a Type]) -> Result<[&'a Type; N], String> {
    inputs.try_into().map_err(|_| format!("takes {N} inputs and has {}", inputs.len()))
}

fn need(declared: Option<&Type>) -> Result<&Type, String> {
    declared.ok_or_else(|| "the type must be given".to_owned())
}

fn f32_only(what: &str, inputs: &[&Type]) -> Result<(), String> {
    match inputs.iter().find(|x| x.dtype != DType::F32) {
        Some(x) => Err(format!("{what} does not take {:?}", x.dtype)),
        None => Ok(()),
    }
}

fn has_all(graph: &Graph, x: &Type, axes: &[AxisId]) -> Result<(), String> {
    for (at, axis) in axes.iter().enumerate() {
        position(graph, x, *axis)?;
        if axes[..at].contains(axis) {
            return Err(format!("the axis {} is named twice", name(graph, *axis)));
        }
    }
    Ok(())
}

fn same_axes(graph: &Graph, expected: &[AxisId], found: &[AxisId], what: &str) -> Result<(), String> {
    if expected.len() == found.len() && expected.iter().all(|axis| found.contains(axis)) {
        return Ok(());
    }
    let list = |axes: &[AxisId]| axes.iter().map(|axis| name(graph, *axis)).collect::<Vec<_>>().join(", ");
    Err(format!("{what} has the axes [{}] where [{}] are needed", list(found), list(expected)))
}

fn position(graph: &Graph, x: &Type, axis: AxisId) -> Result<usize, String> {
    x.axes.iter().position(|own| *own == axis).ok_or_else(|| format!("the value has no axis {}", name(graph, axis)))
}

fn known(graph: &Graph, axis: AxisId) -> Result<(), String> {
    if (axis.0 as usize) < graph.axes.len() { Ok(()) } else { Err(format!("axis {} does not exist", axis.0)) }
}

fn name(graph: &Graph, axis: AxisId) -> String {
    graph.axes.get(axis.0 as usize).map_or_else(|| format!("#{}", axis.0), |found| format!("{}#{}", found.name, axis.0))
}

fn without(axes: &[AxisId], removed: &[AxisId]) -> Vec<AxisId> {
    axes.iter().copied().filter(|axis| !removed.contains(axis)).collect()
}
