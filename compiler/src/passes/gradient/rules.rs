//! One rule per operation: what a gradient of the result contributes to the gradients of the inputs.
//!
//! A contribution may have more or fewer axes than its input; the caller sums and repeats.

use mgx_diag::Diagnostic;
use mgx_ir::graph::{AxisId, BinaryOp, DType, Extent, Node, NodeId, Op, ReduceOp, SizeExpr, UnaryOp, Window};

use super::Reverse;

type Contributions = Vec<(NodeId, NodeId)>;

/// The contributions of the gradient `g` of node `id` to those inputs whose gradient is wanted.
pub(super) fn contributions(r: &mut Reverse, id: NodeId, node: &Node, g: NodeId) -> Result<Contributions, Diagnostic> {
    if !node.inputs.iter().any(|input| r.is_active(*input)) {
        return Ok(Vec::new());
    }
    let x = node.inputs.first().copied().unwrap_or(id);
    Ok(match &node.op {
        Op::Input { .. } | Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Random { .. } => Vec::new(),
        Op::Unary(op) => unary(r, *op, x, id, g).map(|dx| (x, dx)).into_iter().collect(),
        Op::Binary(op) => binary(r, *op, [x, node.inputs[1]], id, g),
        Op::Select => select(r, &node.inputs, g),
        Op::Cast => Vec::new(),
        Op::Broadcast | Op::Permute | Op::After => vec![(x, g)],
        Op::Reduce { op: ReduceOp::Sum, .. } => vec![(x, repeat_like(r, g, x))],
        Op::Reduce { over, batch, .. } => vec![(x, extremum(r, x, id, over, *batch, g))],
        Op::Contract { .. } => contract(r, [x, node.inputs[1]], g),
        Op::Rename { pairs } => {
            let back: Vec<_> = pairs.iter().map(|(from, to)| (*to, *from)).collect();
            vec![(x, r.b.rename(g, &back))]
        }
        Op::Split { axis, into } => vec![(x, r.b.merge(g, into, *axis))],
        Op::Merge { axes, into } => vec![(x, r.b.split(g, *into, axes))],
        Op::Slice { axis, into, start, step } => vec![(x, slice(r, *axis, *into, start, *step, g))],
        Op::Pad { axis, into, before, .. } => vec![(x, r.b.slice(g, *into, *axis, before.clone(), 1))],
        Op::Concat { axes, into } => concat(r, &node.inputs, axes, *into, g),
        Op::Window { axis, into, tap, window } => vec![(x, r.b.fold(g, *into, *tap, *axis, *window))],
        Op::Fold { into, tap, axis, window } => {
            vec![(x, r.b.window(g, *axis, *into, *tap, Window { fill: 0.0, ..*window }))]
        }
        Op::Gather { axis } => vec![(x, gather(r, x, node.inputs[1], *axis, g))],
        Op::ScatterAdd { axis, .. } => vec![(x, r.b.gather(g, *axis, node.inputs[1]))],
        Op::RoutedContract { over } => routed(r, &node.inputs, over, g),
        Op::Attention { query, key, dim, value, scale } => attention(r, &node.inputs, id, [*query, *key, *dim, *value], *scale, g),
        Op::RoutedOuter { .. } | Op::AttentionLse { .. } | Op::AttentionGrad { .. } => return Err(not_differentiable(node)),
    })
}

fn not_differentiable(node: &Node) -> Diagnostic {
    let mut error =
        Diagnostic::error("E0600", format!("`{}` has no gradient, and the loss depends on a parameter through it", node.op.name()))
            .help("use a value that does not go through the gradient or the log-sum-exp of an attention");
    if let Some(span) = node.spans.first() {
        error = error.label(*span, "this value would need a gradient");
    }
    error
}

fn unary(r: &mut Reverse, op: UnaryOp, x: NodeId, y: NodeId, g: NodeId) -> Option<NodeId> {
    let b = &mut r.b;
    Some(match op {
        UnaryOp::Neg => b.unary(UnaryOp::Neg, g),
        UnaryOp::Abs => {
            let zero = b.constant(0.0);
            let minus = b.unary(UnaryOp::Neg, g);
            let below = b.binary(BinaryOp::Lt, x, zero);
            let above = b.binary(BinaryOp::Gt, x, zero);
            let rest = b.select(below, minus, zero);
            b.select(above, g, rest)
        }
        UnaryOp::Exp => b.mul(g, y),
        UnaryOp::Log => b.div(g, x),
        UnaryOp::Sqrt => {
            let half = b.binary_const(BinaryOp::Mul, g, 0.5);
            b.div(half, y)
        }
        UnaryOp::Rsqrt => {
            // (x^-1/2)' = -1/2 x^-3/2
            let square = b.mul(y, y);
            let cube = b.mul(square, y);
            let slope = b.binary_const(BinaryOp::Mul, cube, -0.5);
            b.mul(g, slope)
        }
        UnaryOp::Tanh => {
            let one = b.constant(1.0);
            let square = b.mul(y, y);
            let slope = b.sub(one, square);
            b.mul(g, slope)
        }
        UnaryOp::Erf => {
            let square = b.mul(x, x);
            let minus = b.unary(UnaryOp::Neg, square);
            let bell = b.unary(UnaryOp::Exp, minus);
            let slope = b.binary_const(BinaryOp::Mul, bell, std::f64::consts::FRAC_2_SQRT_PI);
            b.mul(g, slope)
        }
        UnaryOp::Sin => {
            let slope = b.unary(UnaryOp::Cos, x);
            b.mul(g, slope)
        }
        UnaryOp::Cos => {
            let sin = b.unary(UnaryOp::Sin, x);
            let slope = b.unary(UnaryOp::Neg, sin);
            b.mul(g, slope)
        }
        UnaryOp::Bf16 => g,
        UnaryOp::Floor | UnaryOp::Not => return None,
    })
}

fn binary(r: &mut Reverse, op: BinaryOp, [x, y]: [NodeId; 2], out: NodeId, g: NodeId) -> Contributions {
    let mut found = Vec::new();
    if r.is_active(x)
        && let Some(dx) = binary_left(r, op, [x, y], g)
    {
        found.push((x, dx));
    }
    if r.is_active(y)
        && let Some(dy) = binary_right(r, op, [x, y], out, g)
    {
        found.push((y, dy));
    }
    found
}

fn binary_left(r: &mut Reverse, op: BinaryOp, [x, y]: [NodeId; 2], g: NodeId) -> Option<NodeId> {
    let b = &mut r.b;
    Some(match op {
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Rem => g,
        BinaryOp::Mul => b.mul(g, y),
        BinaryOp::Div => b.div(g, y),
        BinaryOp::Max => chosen(r, BinaryOp::Gt, [x, y], g),
        BinaryOp::Min => chosen(r, BinaryOp::Lt, [x, y], g),
        BinaryOp::Pow => {
            // y x^(y-1); zero where y is zero, also at x = 0.
            let less = b.binary_const(BinaryOp::Sub, y, 1.0);
            let power = b.binary(BinaryOp::Pow, x, less);
            let slope = b.mul(y, power);
            let product = b.mul(g, slope);
            let zero = b.constant(0.0);
            let none = b.binary(BinaryOp::Eq, y, zero);
            b.select(none, zero, product)
        }
        _ => return None,
    })
}

fn binary_right(r: &mut Reverse, op: BinaryOp, [x, y]: [NodeId; 2], out: NodeId, g: NodeId) -> Option<NodeId> {
    let b = &mut r.b;
    Some(match op {
        BinaryOp::Add => g,
        BinaryOp::Sub => b.unary(UnaryOp::Neg, g),
        BinaryOp::Mul => b.mul(g, x),
        BinaryOp::Div => {
            let ratio = b.div(out, y);
            let minus = b.unary(UnaryOp::Neg, ratio);
            b.mul(g, minus)
        }
        BinaryOp::Rem => {
            let ratio = b.div(x, y);
            let whole = b.unary(UnaryOp::Floor, ratio);
            let minus = b.unary(UnaryOp::Neg, whole);
            b.mul(g, minus)
        }
        BinaryOp::Max => chosen(r, BinaryOp::Gt, [y, x], g),
        BinaryOp::Min => chosen(r, BinaryOp::Lt, [y, x], g),
        BinaryOp::Pow => {
            // x^y ln x; zero where x is zero, whose logarithm is not finite.
            let log = b.unary(UnaryOp::Log, x);
            let slope = b.mul(out, log);
            let product = b.mul(g, slope);
            let zero = b.constant(0.0);
            let none = b.binary(BinaryOp::Eq, x, zero);
            b.select(none, zero, product)
        }
        _ => return None,
    })
}

/// `g` where `x` wins over `y`, half of it where they are equal.
fn chosen(r: &mut Reverse, wins: BinaryOp, [x, y]: [NodeId; 2], g: NodeId) -> NodeId {
    let b = &mut r.b;
    let zero = b.constant(0.0);
    let half = b.binary_const(BinaryOp::Mul, g, 0.5);
    let equal = b.binary(BinaryOp::Eq, x, y);
    let rest = b.select(equal, half, zero);
    let won = b.binary(wins, x, y);
    b.select(won, g, rest)
}

fn select(r: &mut Reverse, inputs: &[NodeId], g: NodeId) -> Contributions {
    let zero = r.b.constant(0.0);
    let mut found = Vec::new();
    if r.is_active(inputs[1]) {
        found.push((inputs[1], r.b.select(inputs[0], g, zero)));
    }
    if r.is_active(inputs[2]) {
        found.push((inputs[2], r.b.select(inputs[0], zero, g)));
    }
    found
}

fn repeat_like(r: &mut Reverse, g: NodeId, x: NodeId) -> NodeId {
    let ty = r.b.ty(x).clone();
    r.b.broadcast(g, &ty.axes, ty.per_sample)
}

/// The gradient of a greatest or least element, in equal parts to all that are equal to it.
fn extremum(r: &mut Reverse, x: NodeId, y: NodeId, over: &[AxisId], batch: bool, g: NodeId) -> NodeId {
    let b = &mut r.b;
    let hit = b.binary(BinaryOp::Eq, x, y);
    let hit = b.cast(hit, DType::F32);
    let count = b.reduce(ReduceOp::Sum, hit, over, batch);
    let share = b.div(g, count);
    b.mul(hit, share)
}

/// `dx = Σ g y` over the axes that `y` has and `x` has not; they are axes of `g`, because only shared axes were summed.
fn contract(r: &mut Reverse, [x, y]: [NodeId; 2], g: NodeId) -> Contributions {
    let mut found = Vec::new();
    for (wanted, other) in [(x, y), (y, x)] {
        if !r.is_active(wanted) {
            continue;
        }
        let own = r.b.ty(wanted).clone();
        let over: Vec<_> = r.b.ty(other).axes.iter().copied().filter(|axis| !own.axes.contains(axis)).collect();
        let batch = !own.per_sample && (r.b.ty(g).per_sample || r.b.ty(other).per_sample);
        found.push((wanted, r.b.contract(g, other, &over, batch)));
    }
    found
}

/// The transpose of taking positions `start, start + step, …`: spread by `step`, then put behind `start` zeros.
fn slice(r: &mut Reverse, axis: AxisId, into: AxisId, start: &SizeExpr, step: u64, g: NodeId) -> NodeId {
    let b = &mut r.b;
    // A slice of nothing may start beyond the end.
    let start = &match (b.graph.extent(axis), start) {
        (Extent::Static(size), SizeExpr::Const(start)) => SizeExpr::Const(*size.min(start)),
        (_, start) => start.clone(),
    };
    if step == 1 {
        return b.pad(g, into, axis, start.clone(), 0.0);
    }
    let name = b.graph.axis(axis).name.clone();
    let rest = match (b.graph.extent(axis).clone(), start) {
        (Extent::Static(size), SizeExpr::Const(start)) => Extent::Static(size.saturating_sub(*start)),
        (extent, start) => Extent::Ragged(SizeExpr::Sub(Box::new(extent.to_expr()), Box::new(start.clone()))),
    };
    let tail = b.graph.add_axis(name, rest);
    let windows = b.graph.add_axis(b.graph.axis(into).name.clone(), b.graph.extent(into).clone());
    let tap = b.axis("tap", 1);
    let split = b.split(g, into, &[windows, tap]);
    let spread = b.fold(split, windows, tap, tail, Window { stride: step, dilation: 1, before: 0, fill: 0.0 });
    b.pad(spread, tail, axis, start.clone(), 0.0)
}

fn concat(r: &mut Reverse, inputs: &[NodeId], axes: &[AxisId], into: AxisId, g: NodeId) -> Contributions {
    let mut found = Vec::new();
    let mut start = SizeExpr::Const(0);
    for (input, axis) in inputs.iter().zip(axes) {
        if r.is_active(*input) {
            found.push((*input, r.b.slice(g, into, *axis, start.clone(), 1)));
        }
        start = add_sizes(start, r.b.graph.extent(*axis).to_expr());
    }
    found
}

fn add_sizes(a: SizeExpr, b: SizeExpr) -> SizeExpr {
    match (a, b) {
        (SizeExpr::Const(a), SizeExpr::Const(b)) => SizeExpr::Const(a + b),
        (SizeExpr::Const(0), b) => b,
        (a, b) => SizeExpr::Add(Box::new(a), Box::new(b)),
    }
}

/// Sums rows by index; where the index is one number (for each aligned element) and nothing is summed over samples, comparing positions
/// with it is elementwise and therefore cheaper.
fn gather(r: &mut Reverse, x: NodeId, index: NodeId, axis: AxisId, g: NodeId) -> NodeId {
    let own = r.b.ty(x).clone();
    let over: Vec<_> = r.b.ty(index).axes.iter().copied().filter(|axis| !own.axes.contains(axis)).collect();
    let batch = r.b.ty(g).per_sample && !own.per_sample;
    if !over.is_empty() || batch {
        return r.b.scatter_add(g, index, axis, &over, batch);
    }
    let position = r.b.iota(axis);
    let hit = r.b.binary(BinaryOp::Eq, position, index);
    let zero = r.b.constant(0.0);
    r.b.select(hit, g, zero)
}

/// `dx` by the same matrices over their other axes; `dw` of each matrix from the rows that chose it.
fn routed(r: &mut Reverse, inputs: &[NodeId], over: &[AxisId], g: NodeId) -> Contributions {
    let (x, index, matrices) = (inputs[0], inputs[1], &inputs[2..]);
    let mut found = Vec::new();
    if r.is_active(x) {
        let own: Vec<_> = r.b.ty(matrices[0]).axes.iter().copied().filter(|axis| !over.contains(axis)).collect();
        found.push((x, r.b.routed_contract(g, index, matrices, &own)));
    }
    for (choice, matrix) in matrices.iter().enumerate() {
        if r.is_active(*matrix) {
            found.push((*matrix, r.b.routed_outer([x, g], index, choice as u32, matrices.len() as u32)));
        }
    }
    found
}

fn attention(r: &mut Reverse, inputs: &[NodeId], out: NodeId, axes: [AxisId; 4], scale: f64, g: NodeId) -> Contributions {
    let [query, key, dim, _] = axes;
    let lse = r.b.attention_lse([inputs[0], inputs[1]], [query, key, dim], scale);
    let mut found = Vec::new();
    for (wrt, input) in inputs.iter().enumerate() {
        if r.is_active(*input) {
            let dx = r.b.attention_grad([inputs[0], inputs[1], inputs[2], out, lse, g], axes, scale, wrt as u8);
            found.push((*input, dx));
        }
    }
    found
}
