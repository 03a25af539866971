//! Random moves of elements, right for samples of every length.

use mgx_ir::graph::{AxisId, DType, Extent, NodeId, SizeExpr, Window};

use super::Maker;

pub(super) fn any(maker: &mut Maker) -> Option<NodeId> {
    if maker.once_in(10) {
        return iota_or_random(maker);
    }
    let dtype = if maker.once_in(6) { DType::I32 } else { DType::F32 };
    let x = maker.value(dtype, |graph, id| !graph.ty(id).axes.is_empty())?;
    let axes = maker.axes(x);
    let axis = maker.pick(&axes)?;
    match maker.below(11) {
        0 => broadcast(maker, x),
        1 => permute(maker, x),
        2 => rename(maker, x),
        3 => split(maker, x, axis),
        4 => merge(maker, x, axis),
        5 => slice(maker, x, axis),
        6 => pad(maker, x, axis),
        7 => concat(maker, x, axis),
        8 => window(maker, x, axis),
        9 => after(maker, x),
        _ => fold(maker, x, axis),
    }
}

/// A value that waits for any other.
fn after(maker: &mut Maker, x: NodeId) -> Option<NodeId> {
    let other = maker.float()?;
    Some(maker.builder.after(x, other))
}

fn size(value: u64) -> Box<SizeExpr> {
    Box::new(SizeExpr::Const(value))
}

/// A size that is `expr` where that can be said, with constants computed.
fn folded(expr: SizeExpr) -> SizeExpr {
    let fixed = match &expr {
        SizeExpr::Add(a, b)
        | SizeExpr::Sub(a, b)
        | SizeExpr::Mul(a, b)
        | SizeExpr::Div(a, b)
        | SizeExpr::CeilDiv(a, b)
        | SizeExpr::Min(a, b) => {
            matches!((&**a, &**b), (SizeExpr::Const(_), SizeExpr::Const(_)))
        }
        SizeExpr::Length(_) | SizeExpr::Const(_) => false,
    };
    if fixed { SizeExpr::Const(expr.eval(&[])) } else { expr }
}

fn without(axes: &[AxisId], axis: AxisId) -> Vec<AxisId> {
    axes.iter().copied().filter(|other| *other != axis).collect()
}

/// An order of axes at random.
fn shuffled(maker: &mut Maker, mut axes: Vec<AxisId>) -> Vec<AxisId> {
    maker.random.shuffle(&mut axes);
    axes
}

fn iota_or_random(maker: &mut Maker) -> Option<NodeId> {
    let x = maker.float()?;
    let axes = maker.axes(x);
    if maker.once_in(2) {
        let site = maker.builder.graph.nodes.len() as u32;
        let axes = shuffled(maker, axes);
        let per_sample = maker.per_sample(x);
        return Some(maker.builder.random(site, &axes, per_sample));
    }
    let axis = maker.pick(&axes)?;
    Some(maker.builder.iota(axis))
}

fn broadcast(maker: &mut Maker, x: NodeId) -> Option<NodeId> {
    let like = maker.float()?;
    let mut axes = maker.axes(x);
    for axis in maker.axes(like) {
        if !axes.contains(&axis) {
            axes.push(axis);
        }
    }
    let axes = shuffled(maker, axes);
    let per_sample = maker.per_sample(x) || maker.per_sample(like);
    Some(maker.builder.broadcast(x, &axes, per_sample))
}

fn permute(maker: &mut Maker, x: NodeId) -> Option<NodeId> {
    let axes = maker.axes(x);
    let axes = shuffled(maker, axes);
    Some(maker.builder.permute(x, &axes))
}

fn rename(maker: &mut Maker, x: NodeId) -> Option<NodeId> {
    let axes = maker.axes(x);
    let mut taken = axes.clone();
    let mut pairs = Vec::new();
    for axis in axes {
        if !maker.once_in(3) {
            let extent = maker.builder.graph.extent(axis).clone();
            let to = maker.axis_like(extent, &taken);
            taken.push(to);
            pairs.push((axis, to));
        }
    }
    Some(maker.builder.rename(x, &pairs))
}

fn split(maker: &mut Maker, x: NodeId, axis: AxisId) -> Option<NodeId> {
    let mut taken = maker.axes(x);
    let extents = match maker.builder.graph.extent(axis).clone() {
        Extent::Static(total) => {
            let divisors: Vec<u64> = (1..=total).filter(|part| total % part == 0).collect();
            let part = maker.pick(&divisors)?;
            [Extent::Static(part), Extent::Static(total / part)]
        }
        Extent::Ragged(SizeExpr::Mul(a, b)) => [a, b].map(|part| match *part {
            SizeExpr::Const(size) => Extent::Static(size),
            expr => Extent::Ragged(expr),
        }),
        ragged => {
            if maker.once_in(2) {
                [ragged, Extent::Static(1)]
            } else {
                [Extent::Static(1), ragged]
            }
        }
    };
    let into = extents.map(|extent| {
        let part = maker.axis_like(extent, &taken);
        taken.push(part);
        part
    });
    Some(maker.builder.split(x, axis, &into))
}

fn merge(maker: &mut Maker, x: NodeId, axis: AxisId) -> Option<NodeId> {
    let axes = maker.axes(x);
    let other = maker.pick(&without(&axes, axis))?;
    let product = folded(SizeExpr::Mul(Box::new(maker.expr(axis)), Box::new(maker.expr(other))));
    let into = maker.axis_of(product, &axes);
    Some(maker.builder.merge(x, &[axis, other], into))
}

fn slice(maker: &mut Maker, x: NodeId, axis: AxisId) -> Option<NodeId> {
    let all = Box::new(maker.expr(axis));
    let few = 1 + maker.below(3);
    let (start, count, step) = match maker.below(4) {
        // All but the first few and the last.
        0 => (SizeExpr::Const(few), SizeExpr::Sub(all, size(few + 1)), 1),
        // Every second or third.
        1 => (SizeExpr::Const(0), SizeExpr::CeilDiv(all, size(few)), few),
        // The first few.
        2 => (SizeExpr::Const(0), SizeExpr::Min(all, size(few)), 1),
        // The last few.
        _ => {
            let last = folded(SizeExpr::Min(all.clone(), size(few)));
            (SizeExpr::Sub(all, Box::new(last.clone())), last, 1)
        }
    };
    let taken = maker.axes(x);
    let into = maker.axis_of(folded(count), &taken);
    Some(maker.builder.slice(x, axis, into, folded(start), step))
}

fn pad(maker: &mut Maker, x: NodeId, axis: AxisId) -> Option<NodeId> {
    let (before, after) = (maker.below(3), maker.below(3));
    let total = folded(SizeExpr::Add(Box::new(maker.expr(axis)), size(before + after)));
    let taken = maker.axes(x);
    let into = maker.axis_of(total, &taken);
    let fill = fill(maker, x);
    Some(maker.builder.pad(x, axis, into, SizeExpr::Const(before), fill))
}

/// A number that the element type of `x` holds exactly.
fn fill(maker: &mut Maker, x: NodeId) -> f64 {
    let dtype = maker.builder.ty(x).dtype;
    if dtype == DType::F32 && maker.once_in(2) { 0.5 } else { maker.below(2) as f64 }
}

/// `x` with another value (or itself) that has the same axes besides `axis`.
fn concat(maker: &mut Maker, x: NodeId, axis: AxisId) -> Option<NodeId> {
    let rest = without(&maker.axes(x), axis);
    let dtype = maker.builder.ty(x).dtype;
    let own = rest.clone();
    let fits = move |graph: &mgx_ir::graph::Graph, id: NodeId| {
        let axes = &graph.ty(id).axes;
        axes.len() == own.len() + 1 && own.iter().all(|axis| axes.contains(axis))
    };
    let mut parts = vec![(x, axis)];
    for _ in 0..1 + maker.below(2) {
        let y = maker.value(dtype, &fits)?;
        let along = maker.axes(y).into_iter().find(|other| !rest.contains(other))?;
        parts.push((y, along));
    }
    let total = parts.iter().map(|(_, axis)| maker.expr(*axis)).reduce(|sum, part| folded(SizeExpr::Add(Box::new(sum), Box::new(part))))?;
    let into = maker.axis_of(total, &rest);
    Some(maker.builder.concat(&parts, into))
}

fn arbitrary_window(maker: &mut Maker, fill: f64) -> Window {
    Window { stride: 1 + maker.below(2), dilation: 1 + maker.below(2), before: maker.below(3), fill }
}

fn window(maker: &mut Maker, x: NodeId, axis: AxisId) -> Option<NodeId> {
    let (x, _) = windows(maker, x, axis);
    Some(x)
}

/// Windows along an axis, and the axis of their taps.
pub(super) fn windows(maker: &mut Maker, x: NodeId, axis: AxisId) -> (NodeId, AxisId) {
    let fill = fill(maker, x);
    let window = arbitrary_window(maker, fill);
    let all = Box::new(maker.expr(axis));
    let count = if maker.once_in(4) { SizeExpr::Const(3) } else { folded(SizeExpr::CeilDiv(all, size(window.stride))) };
    let mut taken = maker.axes(x);
    let into = maker.axis_of(count, &taken);
    taken.push(into);
    let taps = 1 + maker.below(3);
    let tap = maker.axis_like(Extent::Static(taps), &taken);
    (maker.builder.window(x, axis, into, tap, window), tap)
}

fn fold(maker: &mut Maker, x: NodeId, into: AxisId) -> Option<NodeId> {
    if maker.builder.ty(x).dtype != DType::F32 {
        return None;
    }
    let axes = maker.axes(x);
    let fixed: Vec<AxisId> = without(&axes, into).into_iter().filter(|axis| maker.is_static(*axis)).collect();
    let tap = maker.pick(&fixed)?;
    let window = arbitrary_window(maker, 0.0);
    let length = folded(SizeExpr::Mul(Box::new(maker.expr(into)), size(window.stride)));
    let axis = maker.axis_of(length, &axes);
    Some(maker.builder.fold(x, into, tap, axis, window))
}
