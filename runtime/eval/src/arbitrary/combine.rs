//! Random operations that sum or look up: reductions, contractions, gather, scatter, attention.

use mgx_ir::graph::{AxisId, BinaryOp, DType, Extent, NodeId, ReduceOp, UnaryOp};

use super::{MOST_TERMS, Maker, moves, sources};

pub(super) fn any(maker: &mut Maker) -> Option<NodeId> {
    match maker.below(16) {
        0..3 => reduce(maker),
        3..6 => contract(maker),
        6 => gather(maker),
        7 => scatter_add(maker),
        8 => softmax(maker),
        9 => norm(maker),
        10 => attention(maker),
        11 => convolution(maker),
        12 => depthwise(maker),
        13 => routed_contract(maker),
        14 => routed_outer(maker),
        _ => linear(maker),
    }
}

/// Each axis with a chance of one in two.
fn some(maker: &mut Maker, axes: &[AxisId]) -> Vec<AxisId> {
    axes.iter().copied().filter(|_| maker.once_in(2)).collect()
}

/// May a result that all samples share have the axes that are left?
fn shareable(maker: &Maker, axes: &[AxisId], over: &[AxisId]) -> bool {
    axes.iter().all(|axis| over.contains(axis) || maker.is_static(*axis))
}

/// A reduction; a greatest or least number of nothing is bounded again.
fn reduce(maker: &mut Maker) -> Option<NodeId> {
    let x = maker.float()?;
    let op = maker.pick(&[ReduceOp::Sum, ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min])?;
    let axes = maker.axes(x);
    let over = some(maker, &axes);
    let batch = maker.once_in(3) && maker.per_sample(x) && shareable(maker, &axes, &over);
    let result = maker.builder.reduce(op, x, &over, batch);
    Some(match op {
        ReduceOp::Sum => result,
        ReduceOp::Max => maker.builder.binary_const(BinaryOp::Max, result, -9.5),
        ReduceOp::Min => maker.builder.binary_const(BinaryOp::Min, result, 9.5),
    })
}

fn contract(maker: &mut Maker) -> Option<NodeId> {
    let x = maker.value(DType::F32, |graph, id| !graph.ty(id).axes.is_empty())?;
    let own = maker.axes(x);
    let y = maker.value(DType::F32, |graph, id| graph.ty(id).axes.iter().any(|axis| own.contains(axis)))?;
    let shared: Vec<AxisId> = maker.axes(y).into_iter().filter(|axis| own.contains(axis)).collect();
    let over = some(maker, &shared);
    let mut all = own;
    all.extend(maker.axes(y).into_iter().filter(|axis| !shared.contains(axis)));
    if maker.elements(&all) > MOST_TERMS {
        return None;
    }
    let per_sample = maker.per_sample(x) || maker.per_sample(y);
    let batch = per_sample && maker.once_in(3) && shareable(maker, &all, &over);
    Some(maker.builder.contract(x, y, &over, batch))
}

/// A linear layer: a value and a parameter that share an axis.
fn linear(maker: &mut Maker) -> Option<NodeId> {
    let x = maker.value(DType::F32, |graph, id| graph.ty(id).per_sample && !graph.ty(id).axes.is_empty())?;
    let own = maker.axes(x);
    let weight = maker.value(DType::F32, |graph, id| {
        let ty = graph.ty(id);
        !ty.per_sample && ty.axes.iter().filter(|axis| own.contains(axis)).count() == 1
    })?;
    let over: Vec<AxisId> = maker.axes(weight).into_iter().filter(|axis| own.contains(axis)).collect();
    Some(maker.builder.contract(x, weight, &over, false))
}

/// Windows along an axis, contracted with a kernel over the taps and all other axes.
fn convolution(maker: &mut Maker) -> Option<NodeId> {
    let (x, axis) = windowed(maker)?;
    let channels: Vec<AxisId> = maker.axes(x).into_iter().filter(|own| *own != axis).collect();
    let (y, tap) = moves::windows(maker, x, axis);
    let over = [&[tap], channels.as_slice()].concat();
    let width = Extent::Static(1 + maker.below(4));
    let taken = maker.axes(y);
    let out = maker.axis_like(width, &taken);
    let mut order = [over.as_slice(), &[out]].concat();
    maker.random.shuffle(&mut order);
    let kernel = sources::param(maker, &order);
    Some(if maker.once_in(2) { maker.builder.contract(y, kernel, &over, false) } else { maker.builder.contract(kernel, y, &over, false) })
}

/// Windows along an axis, each channel weighted by taps of its own.
fn depthwise(maker: &mut Maker) -> Option<NodeId> {
    let (x, axis) = windowed(maker)?;
    let (y, tap) = moves::windows(maker, x, axis);
    let channels: Vec<AxisId> = maker.axes(x).into_iter().filter(|own| *own != axis).collect();
    let kernel = sources::param(maker, &[channels.as_slice(), &[tap]].concat());
    Some(maker.builder.contract(y, kernel, &[tap], false))
}

/// A value and an axis besides which all of its axes are static.
fn windowed(maker: &mut Maker) -> Option<(NodeId, AxisId)> {
    let x = maker.value(DType::F32, |graph, id| {
        let ragged = |axis: &&AxisId| graph.extent(**axis).as_static().is_none();
        !graph.ty(id).axes.is_empty() && graph.ty(id).axes.iter().filter(ragged).count() <= 1
    })?;
    let axes = maker.axes(x);
    let ragged = axes.iter().copied().find(|axis| !maker.is_static(*axis));
    let axis = ragged.or(maker.pick(&axes))?;
    Some((x, axis))
}

fn gather(maker: &mut Maker) -> Option<NodeId> {
    let x = maker.value(DType::F32, |graph, id| !graph.ty(id).axes.is_empty())?;
    let axes = maker.axes(x);
    let axis = maker.pick(&axes)?;
    let index = maker.value(DType::I32, |graph, id| !graph.ty(id).axes.contains(&axis))?;
    Some(maker.builder.gather(x, axis, index))
}

fn scatter_add(maker: &mut Maker) -> Option<NodeId> {
    let index = maker.value(DType::I32, |_, _| true)?;
    let over = maker.axes(index);
    let x = maker.value(DType::F32, |graph, id| over.iter().all(|axis| graph.ty(id).axes.contains(axis)))?;
    let axes = maker.axes(x);
    let size = 1 + maker.below(4);
    let axis = maker.axis_like(Extent::Static(size), &axes);
    let per_sample = maker.per_sample(x) || maker.per_sample(index);
    let batch = per_sample && maker.once_in(2) && shareable(maker, &axes, &over);
    Some(maker.builder.scatter_add(x, index, axis, &over, batch))
}

/// A value whose rows choose among some matrices that all samples share.
fn routed_contract(maker: &mut Maker) -> Option<NodeId> {
    let x = maker.value(DType::F32, |graph, id| !graph.ty(id).axes.is_empty())?;
    let own = maker.axes(x);
    let first = maker.value(DType::F32, |graph, id| {
        let ty = graph.ty(id);
        !ty.per_sample && ty.axes.iter().any(|axis| own.contains(axis))
    })?;
    let axes = maker.axes(first);
    let over: Vec<AxisId> = axes.iter().copied().filter(|axis| own.contains(axis)).collect();
    let rows: Vec<AxisId> = own.iter().copied().filter(|axis| !over.contains(axis)).collect();
    let index = maker.value(DType::I32, |graph, id| {
        let ty = &graph.ty(id).axes;
        rows.iter().all(|axis| ty.contains(axis)) && !ty.iter().any(|axis| axes.contains(axis))
    })?;
    let all = [maker.axes(index), axes].concat();
    if maker.elements(&all) > MOST_TERMS {
        return None;
    }
    let mut matrices = vec![first];
    for _ in 0..maker.below(3) {
        let next = maker.builder.unary(UnaryOp::Sin, matrices[matrices.len() - 1]);
        matrices.push(next);
    }
    Some(maker.builder.routed_contract(x, index, &matrices, &over))
}

/// The sum of products of two values over the rows of one choice.
fn routed_outer(maker: &mut Maker) -> Option<NodeId> {
    let index = maker.value(DType::I32, |_, _| true)?;
    let rows = maker.axes(index);
    let own = |axes: Vec<AxisId>| axes.into_iter().filter(|axis| !rows.contains(axis)).collect::<Vec<_>>();
    let fixed = |graph: &mgx_ir::graph::Graph, id: NodeId| {
        graph.ty(id).axes.iter().all(|axis| rows.contains(axis) || graph.extent(*axis).as_static().is_some())
    };
    let x = maker.value(DType::F32, fixed)?;
    let m = own(maker.axes(x));
    let y = maker.value(DType::F32, |graph, id| fixed(graph, id) && !graph.ty(id).axes.iter().any(|axis| m.contains(axis)))?;
    let all = [rows.clone(), m, own(maker.axes(y))].concat();
    if maker.elements(&all) > MOST_TERMS {
        return None;
    }
    let of = 3;
    let choice = maker.below(of) as u32;
    Some(maker.builder.routed_outer([x, y], index, choice, of as u32))
}

/// `exp(x - max) / Σ exp(x - max)` along an axis.
fn softmax(maker: &mut Maker) -> Option<NodeId> {
    let x = maker.value(DType::F32, |graph, id| !graph.ty(id).axes.is_empty())?;
    let axes = maker.axes(x);
    let axis = maker.pick(&axes)?;
    let greatest = maker.builder.reduce(ReduceOp::Max, x, &[axis], false);
    let shifted = maker.builder.sub(x, greatest);
    let weights = maker.builder.unary(UnaryOp::Exp, shifted);
    let total = maker.builder.sum(weights, &[axis]);
    Some(maker.builder.div(weights, total))
}

/// `(x - mean) · rsqrt(variance + ε)` along a static axis.
fn norm(maker: &mut Maker) -> Option<NodeId> {
    let fixed = |graph: &mgx_ir::graph::Graph, axis: &AxisId| graph.extent(*axis).as_static().is_some_and(|size| size > 0);
    let x = maker.value(DType::F32, |graph, id| graph.ty(id).axes.iter().any(|axis| fixed(graph, axis)))?;
    let candidates: Vec<AxisId> = maker.axes(x).into_iter().filter(|axis| fixed(&maker.builder.graph, axis)).collect();
    let axis = maker.pick(&candidates)?;
    let mean = maker.builder.mean(x, &[axis]);
    let centred = maker.builder.sub(x, mean);
    let square = maker.builder.mul(centred, centred);
    let variance = maker.builder.mean(square, &[axis]);
    let variance = maker.builder.binary_const(BinaryOp::Add, variance, 0.1);
    let scale = maker.builder.unary(UnaryOp::Rsqrt, variance);
    Some(maker.builder.mul(centred, scale))
}

/// Attention of a value to itself, or to another value that has the same heads and width over other positions; or its log-sum-exp.
fn attention(maker: &mut Maker) -> Option<NodeId> {
    let q = maker.value(DType::F32, |graph, id| (2..5).contains(&graph.ty(id).axes.len()))?;
    let axes = maker.axes(q);
    let query = maker.pick(&axes)?;
    let fixed: Vec<AxisId> = axes.iter().copied().filter(|axis| *axis != query && maker.is_static(*axis)).collect();
    let dim = maker.pick(&fixed)?;
    let rest: Vec<AxisId> = axes.iter().copied().filter(|axis| *axis != query).collect();
    let like = rest.clone();
    let other = maker.value(DType::F32, move |graph, id| {
        let axes = &graph.ty(id).axes;
        axes.len() == like.len() + 1 && like.iter().all(|axis| axes.contains(axis))
    })?;
    let own = maker.axes(other).into_iter().find(|axis| !rest.contains(axis))?;
    let extent = maker.builder.graph.extent(own).clone();
    let key = maker.axis_like(extent, &[&axes[..], &[own]].concat());
    let other = maker.builder.rename(other, &[(own, key)]);
    let k = maker.builder.unary(UnaryOp::Sin, other);
    let mut value = dim;
    let mut v = maker.builder.unary(UnaryOp::Tanh, other);
    if maker.once_in(2) {
        let extent = maker.builder.graph.extent(dim).clone();
        value = maker.axis_like(extent, &[&axes[..], &[key]].concat());
        v = maker.builder.rename(v, &[(dim, value)]);
    }
    if maker.once_in(8) && !empty(maker, key) {
        return Some(maker.builder.attention_lse([q, k], [query, key, dim], 0.5));
    }
    Some(maker.builder.attention([q, k, v], [query, key, dim, value], 0.5))
}

/// Does any sample have no position along the axis?
fn empty(maker: &Maker, axis: AxisId) -> bool {
    let extent = maker.builder.graph.extent(axis);
    maker.batch.samples.iter().any(|sample| extent.eval(&sample.lengths) == 0)
}
