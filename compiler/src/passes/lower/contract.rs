//! Contractions: as a matrix product where there is one in it, else as a product and a sum in a kernel.

use mgx_ir::graph::{AxisId, BinaryOp, NodeId, Op, ReduceOp};
use mgx_ir::plan::BatchRole;

use super::canonical::{Maker, Product, is_heavy, is_source};
use super::layout::{ragged_first, together};
use super::windows;

/// Adds `Σ_over x y` (and over the samples with `batch`).
pub(super) fn add(maker: &mut Maker, [x, y]: [NodeId; 2], over: &[AxisId], batch: bool) -> NodeId {
    let (x_each, y_each) = (maker.ty(x).per_sample, maker.ty(y).per_sample);
    if batch && x_each != y_each {
        // Σ_s x_s y = (Σ_s x_s) y. What y has is static, and so is what is summed or left of x.
        let sum = Op::Reduce { op: ReduceOp::Sum, over: Vec::new(), batch: true };
        let (x, y) = if x_each { (maker.add(sum, &[x], None), y) } else { (x, maker.add(sum, &[y], None)) };
        return add(maker, [x, y], over, false);
    }
    let [lhs, rhs] = if y_each && !x_each { [y, x] } else { [x, y] };
    let role = match (x_each || y_each, x_each && y_each) {
        (false, _) => BatchRole::None,
        (true, false) => BatchRole::Rows,
        (true, true) if batch => BatchRole::Sum,
        (true, true) => BatchRole::Each,
    };
    let only = |a: NodeId, b: NodeId| own_axes(maker, a, |axis| !maker.ty(b).axes.contains(axis));
    let (m, n) = (only(lhs, rhs), only(rhs, lhs));
    let is_product = !n.is_empty() && (!m.is_empty() || role == BatchRole::Rows) && (!over.is_empty() || role == BatchRole::Sum);
    if !is_product {
        let product = maker.add(Op::Binary(BinaryOp::Mul), &[x, y], None);
        if over.is_empty() && !batch {
            return product;
        }
        return maker.add(Op::Reduce { op: ReduceOp::Sum, over: over.to_vec(), batch }, &[product], None);
    }
    product(maker, [lhs, rhs], over, role)
}

/// The axes of a value in storage order, those that pass.
pub(super) fn own_axes(maker: &Maker, id: NodeId, keep: impl Fn(&AxisId) -> bool) -> Vec<AxisId> {
    maker.layout(id).into_iter().filter(|axis| keep(axis)).collect()
}

fn product(maker: &mut Maker, [lhs, rhs]: [NodeId; 2], over: &[AxisId], batch: BatchRole) -> NodeId {
    if let Some(id) = windows::product(maker, [lhs, rhs], over, batch) {
        return id;
    }
    let group = own_axes(maker, lhs, |axis| maker.ty(rhs).axes.contains(axis) && !over.contains(axis));
    let m = own_axes(maker, lhs, |axis| !maker.ty(rhs).axes.contains(axis));
    let n = own_axes(maker, rhs, |axis| !maker.ty(lhs).axes.contains(axis));
    let [k_of_lhs, k_of_rhs] = [lhs, rhs].map(|id| own_axes(maker, id, |axis| over.contains(axis)));
    let lhs_suits = |axes: &[AxisId], k: &[AxisId]| suits(axes, &m, k, batch, batch == BatchRole::Rows);
    let rhs_suits = |axes: &[AxisId], k: &[AxisId]| suits(axes, &n, k, batch, false);
    let cost = |k: &[AxisId]| price(maker, lhs, lhs_suits(&maker.layout(lhs), k)) + price(maker, rhs, rhs_suits(&maker.layout(rhs), k));
    let k = if cost(&k_of_lhs) <= cost(&k_of_rhs) { k_of_lhs } else { k_of_rhs };
    let wanted = |rows: &[AxisId]| match batch {
        BatchRole::Sum => [&k, group.as_slice(), rows].concat(),
        _ => [rows, group.as_slice(), &k].concat(),
    };
    let lhs = maker.operand(lhs, |axes| lhs_suits(axes, &k), wanted(&m));
    let rhs = maker.operand(rhs, |axes| rhs_suits(axes, &k), wanted(&n));
    let id = maker.add(Op::Contract { over: k.clone(), batch: batch == BatchRole::Sum }, &[lhs, rhs], None);
    enter(maker, id, Product { operands: [lhs, rhs], windows: None, m, n, k, group, batch });
    id
}

/// Keeps how a contraction is computed, and decides the storage order of its result.
pub(super) fn enter(maker: &mut Maker, id: NodeId, product: Product) {
    if maker.products.contains_key(&id) {
        return;
    }
    let natural = ragged_first(maker.graph(), &maker.ty(id).axes);
    let order = if result_suits(&product, &natural) { natural } else { [product.m.as_slice(), &product.group, &product.n].concat() };
    maker.set_order(id, order);
    maker.products.insert(id, product);
}

/// Are an operand's rows one strided dimension and its summed axes another? Where samples are rows or are summed over, these come first.
pub(super) fn suits(axes: &[AxisId], rows: &[AxisId], k: &[AxisId], batch: BatchRole, rows_first: bool) -> bool {
    together(axes, rows) && together(axes, k) && (!rows_first || axes.starts_with(rows)) && (batch != BatchRole::Sum || axes.starts_with(k))
}

/// Can the result of a product be stored in this order?
pub(super) fn result_suits(product: &Product, axes: &[AxisId]) -> bool {
    together(axes, &product.m) && together(axes, &product.n) && (product.batch != BatchRole::Rows || axes.starts_with(&product.m))
}

/// What it costs to have an operand as it must be, roughly: nothing, a choice, a small copy, a copy for every sample.
fn price(maker: &Maker, id: NodeId, suits: bool) -> u32 {
    let root = &maker.graph().node(maker.root(id)).op;
    match (suits, maker.flexible(id), maker.ty(id).per_sample) {
        (true, ..) => 0,
        (false, true, _) if !is_heavy(root) && !is_source(root) => 1,
        (false, _, false) => 2,
        (false, _, true) => 4,
    }
}
