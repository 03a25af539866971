//! Convolutions: contractions with windows, which are not stored. A product reads the positions themselves.
//!
//! A convolution contracts the taps and all else that a window holds with a kernel. The gradient of the kernel contracts the windows with the
//! gradient of the result. The gradient of the input folds windows that it contracts with the kernel; with a stride of 1
//! that is the convolution of the gradient with the kernel read backwards.

use std::collections::{BTreeMap, BTreeSet};

use mgx_ir::graph::{AxisId, BinaryOp, DType, Graph, NodeId, Op, Type, Window};
use mgx_ir::plan::{BatchRole, StepWindows};

use super::canonical::{Maker, Product};
use super::contract::{self, own_axes, suits};

/// The product of windows and something else, in either order, without the windows.
pub(super) fn product(maker: &mut Maker, [lhs, rhs]: [NodeId; 2], over: &[AxisId], batch: BatchRole) -> Option<NodeId> {
    convolution(maker, [lhs, rhs], over, batch).or_else(|| {
        // Where samples are rows, the operands cannot change places.
        let swapped = if batch == BatchRole::Rows { None } else { convolution(maker, [rhs, lhs], over, batch) };
        swapped.or_else(|| kernel_gradient(maker, [lhs, rhs], over, batch)).or_else(|| kernel_gradient(maker, [rhs, lhs], over, batch))
    })
}

/// The windows that a value is, what they are of, and the axes of a position of that.
fn windows(maker: &Maker, id: NodeId) -> Option<(StepWindows, NodeId, Vec<AxisId>)> {
    let node = maker.graph().node(id);
    let Op::Window { axis, into, tap, window } = node.op else { return None };
    let x = node.inputs[0];
    let channels = own_axes(maker, x, |own| *own != axis);
    Some((StepWindows { axis, into, tap, window }, x, channels))
}

/// `x` in memory with its positions first.
fn positions_first(maker: &mut Maker, x: NodeId, axis: AxisId, channels: &[AxisId]) -> NodeId {
    let order = [&[axis], channels].concat();
    maker.operand(x, |axes| axes == order, order.clone())
}

fn convolution(maker: &mut Maker, [lhs, rhs]: [NodeId; 2], over: &[AxisId], batch: BatchRole) -> Option<NodeId> {
    let (step, x, channels) = windows(maker, lhs)?;
    let apart = over.contains(&step.tap) && !over.contains(&step.into) && !maker.ty(rhs).axes.contains(&step.into);
    if batch == BatchRole::Sum || !apart || !channels.iter().all(|axis| over.contains(axis)) {
        return None;
    }
    let (m, k) = (vec![step.into], [&[step.tap], channels.as_slice()].concat());
    let n = own_axes(maker, rhs, |axis| !over.contains(axis));
    let x = positions_first(maker, x, step.axis, &channels);
    let kernel = maker.operand(rhs, |axes| suits(axes, &n, &k, batch, false), [n.as_slice(), &k].concat());
    let id = maker.add(Op::Contract { over: k.clone(), batch: false }, &[lhs, rhs], None);
    contract::enter(maker, id, Product { operands: [x, kernel], windows: Some(step), m, n, k, group: Vec::new(), batch });
    Some(id)
}

fn kernel_gradient(maker: &mut Maker, [lhs, rhs]: [NodeId; 2], over: &[AxisId], batch: BatchRole) -> Option<NodeId> {
    let (step, x, channels) = windows(maker, rhs)?;
    let shared = |axis: &AxisId| maker.ty(lhs).axes.contains(axis);
    if batch == BatchRole::Rows || over != [step.into] || shared(&step.tap) || channels.iter().any(shared) {
        return None;
    }
    let (n, k) = ([&[step.tap], channels.as_slice()].concat(), vec![step.into]);
    let m = own_axes(maker, lhs, |axis| !over.contains(axis));
    let x = positions_first(maker, x, step.axis, &channels);
    let wanted = if batch == BatchRole::Sum { [k.as_slice(), &m].concat() } else { [m.as_slice(), &k].concat() };
    let gradient = maker.operand(lhs, |axes| suits(axes, &m, &k, batch, false), wanted);
    let id = maker.add(Op::Contract { over: k.clone(), batch: batch == BatchRole::Sum }, &[lhs, rhs], None);
    contract::enter(maker, id, Product { operands: [gradient, x], windows: Some(step), m, n, k, group: Vec::new(), batch });
    Some(id)
}

/// Folds of contractions that are convolutions.
#[derive(Default)]
pub(super) struct Transposed {
    /// By the fold.
    pub(super) outer: BTreeMap<NodeId, Backwards>,
    /// The contractions, which nothing else uses.
    pub(super) inner: BTreeSet<NodeId>,
}

/// A convolution with a kernel read backwards.
pub(super) struct Backwards {
    /// The gradient of the windows' contraction, and the kernel.
    pub(super) inputs: Vec<NodeId>,
    over: Vec<AxisId>,
    into: AxisId,
    tap: AxisId,
    axis: AxisId,
    window: Window,
}

/// Finds them among the live nodes of a graph whose outside also uses `keep`.
pub(super) fn transposed(graph: &Graph, live: &[bool], keep: &[NodeId]) -> Transposed {
    let mut uses = vec![0_u32; graph.nodes.len()];
    let inner = graph.nodes.iter().enumerate().filter(|(index, _)| live[*index]).flat_map(|(_, node)| &node.inputs);
    for node in inner.chain(keep).chain(graph.outputs.iter().map(|output| &output.node)) {
        uses[node.0 as usize] += 1;
    }
    let mut found = Transposed::default();
    for (index, _) in graph.nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
        let fold = NodeId(index as u32);
        if let Some((contraction, backwards)) = backwards(graph, fold)
            && uses[contraction.0 as usize] == 1
        {
            found.outer.insert(fold, backwards);
            found.inner.insert(contraction);
        }
    }
    found
}

fn backwards(graph: &Graph, fold: NodeId) -> Option<(NodeId, Backwards)> {
    let node = graph.node(fold);
    let Op::Fold { into, tap, axis, window } = node.op else { return None };
    let contraction = node.inputs[0];
    let Op::Contract { over, batch: false } = &graph.node(contraction).op else { return None };
    let [x, y] = graph.node(contraction).inputs[..] else { return None };
    let has = |id: NodeId, axis: AxisId| graph.ty(id).axes.contains(&axis);
    let [windows, kernel] = if has(x, into) { [x, y] } else { [y, x] };
    let apart = has(windows, into) && has(kernel, tap) && !has(windows, tap) && !has(kernel, into);
    // The product of a convolution: the rest of the gradient is summed with the kernel.
    let rest = graph.ty(windows).axes.iter().all(|own| *own == into || over.contains(own));
    let reach = graph.extent(tap).as_static()?.checked_sub(1)?.checked_mul(window.dilation)?;
    let before = reach.checked_sub(window.before)?;
    let free = axis == into || !has(windows, axis);
    if !apart || !rest || !free || over.is_empty() || window.stride != 1 || !graph.ty(fold).axes.iter().any(|own| *own != axis) {
        return None;
    }
    let window = Window { before, fill: 0.0, ..window };
    Some((contraction, Backwards { inputs: vec![windows, kernel], over: over.clone(), into, tap, axis, window }))
}

impl Backwards {
    /// Adds `Σ_tap Σ_over x[axis + tap' · dilation − before] kernel[taps − 1 − tap']`.
    pub(super) fn add(&self, maker: &mut Maker, inputs: &[NodeId]) -> NodeId {
        let b = &mut maker.rewriter.b;
        let extent = b.graph.extent(self.tap).clone();
        let last = extent.as_static().map_or(0.0, |taps| taps as f64 - 1.0);
        let tap = b.graph.add_axis("tap", extent);
        let number = maker.add(Op::Iota(tap), &[], None);
        let last = maker.add(Op::Const(last), &[], Some(Type { dtype: DType::I32, axes: Vec::new(), per_sample: false }));
        let number = maker.add(Op::Binary(BinaryOp::Sub), &[last, number], None);
        let kernel = maker.add(Op::Gather { axis: self.tap }, &[inputs[1], number], None);
        let window = Op::Window { axis: self.into, into: self.axis, tap, window: self.window };
        let windows = maker.add(window, &[inputs[0]], None);
        contract::add(maker, [windows, kernel], &[self.over.as_slice(), &[tap]].concat(), false)
    }
}
