//! Operations against other operations: composites and their decompositions, moves and their transposes, gradients and differences.

use mgx_eval::{DifferenceOptions, check_gradient, eval_graph};
use mgx_ir::graph::{AxisId, BinaryOp, DType, Graph, GraphBuilder, NodeId, ReduceOp, SizeExpr, UnaryOp, Window, verify};
use mgx_ir::plan::{Batch, InputData, Sample};
use mgx_ir::random::Stream;

/// A batch of samples with these lengths; every length of a sample is the same list.
fn batch(lengths: &[&[u64]]) -> Batch {
    let samples = lengths.iter().enumerate().map(|(key, lengths)| Sample { key: key as u64, lengths: lengths.to_vec() });
    Batch { samples: samples.collect(), ..Batch::default() }
}

/// Adds a per-sample input of numbers in [−1, 1).
fn input(b: &mut GraphBuilder, batch: &mut Batch, random: &mut Stream, axes: &[AxisId]) -> NodeId {
    let extents = |sample: &Sample| axes.iter().map(|axis| b.graph.extent(*axis).eval(&sample.lengths)).product::<u64>();
    let count: u64 = batch.samples.iter().map(extents).sum();
    let name = format!("input{}", batch.inputs.len());
    let values = (0..count).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect();
    batch.inputs.insert(name.clone(), InputData::F32(values));
    b.input(name, DType::F32, axes, true)
}

/// Adds a per-sample input of integers in `-1..=bound`.
fn index(b: &mut GraphBuilder, batch: &mut Batch, random: &mut Stream, axes: &[AxisId], bound: u64) -> NodeId {
    let extents = |sample: &Sample| axes.iter().map(|axis| b.graph.extent(*axis).eval(&sample.lengths)).product::<u64>();
    let count: u64 = batch.samples.iter().map(extents).sum();
    let name = format!("input{}", batch.inputs.len());
    let values = (0..count).map(|_| random.below(bound + 2) as i32 - 1).collect();
    batch.inputs.insert(name.clone(), InputData::I32(values));
    b.input(name, DType::I32, axes, true)
}

fn elements(graph: &Graph, batch: &Batch, node: NodeId) -> Vec<f64> {
    assert_eq!(verify(graph), Vec::<String>::new());
    eval_graph(graph, &[], batch).get(node).flatten()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }
}

/// Axes query (length 0), key (length 1), heads, dim, value, and q, k, v over them.
struct AttentionGraph {
    b: GraphBuilder,
    batch: Batch,
    axes: [AxisId; 4],
    heads: AxisId,
    q: NodeId,
    k: NodeId,
    v: NodeId,
}

fn attention_graph(seed: u64) -> AttentionGraph {
    let mut random = Stream::new(seed);
    let mut batch = batch(&[&[3, 4], &[1, 1], &[2, 7], &[0, 2], &[5, 2]]);
    let mut b = GraphBuilder::new();
    let (n, m) = (b.length("n"), b.length("m"));
    let (query, key) = (b.ragged_axis("query", SizeExpr::Length(n)), b.ragged_axis("key", SizeExpr::Length(m)));
    let (heads, dim, value) = (b.axis("heads", 2), b.axis("dim", 3), b.axis("value", 4));
    let q = input(&mut b, &mut batch, &mut random, &[query, heads, dim]);
    let k = input(&mut b, &mut batch, &mut random, &[key, heads, dim]);
    let v = input(&mut b, &mut batch, &mut random, &[key, heads, value]);
    AttentionGraph { b, batch, axes: [query, key, dim, value], heads, q, k, v }
}

#[test]
fn attention_is_its_decomposition() {
    let AttentionGraph { mut b, batch, axes, heads, q, k, v } = attention_graph(1);
    let [query, key, dim, value] = axes;
    let whole = b.attention([q, k, v], axes, 0.7);
    let whole_lse = b.attention_lse([q, k], [query, key, dim], 0.7);
    let scores = b.contract(q, k, &[dim], false);
    let scores = b.binary_const(BinaryOp::Mul, scores, 0.7);
    let greatest = b.reduce(ReduceOp::Max, scores, &[key], false);
    let shifted = b.sub(scores, greatest);
    let weights = b.unary(UnaryOp::Exp, shifted);
    let total = b.sum(weights, &[key]);
    let probabilities = b.div(weights, total);
    let parts = b.contract(probabilities, v, &[key], false);
    let parts = b.permute(parts, &[query, heads, value]);
    let log = b.unary(UnaryOp::Log, total);
    let lse = b.add2(log, greatest);
    close(&elements(&b.graph, &batch, whole), &elements(&b.graph, &batch, parts));
    close(&elements(&b.graph, &batch, whole_lse), &elements(&b.graph, &batch, lse));
}

#[test]
fn attention_gradients_agree_with_differences() {
    let AttentionGraph { mut b, mut batch, axes, heads, q, k, v } = attention_graph(2);
    let [query, key, dim, value] = axes;
    let mut random = Stream::new(3);
    let dout = input(&mut b, &mut batch, &mut random, &[query, heads, value]);
    let out = b.attention([q, k, v], axes, 0.7);
    let loss = b.contract(out, dout, &[query, heads, value], false);
    let lse = b.attention_lse([q, k], [query, key, dim], 0.7);
    let inputs = [q, k, v, out, lse, dout];
    let gradients = [q, k, v].iter().zip(0..).map(|(of, wrt)| (*of, Some(b.attention_grad(inputs, axes, 0.7, wrt)))).collect::<Vec<_>>();
    assert_eq!(verify(&b.graph), Vec::<String>::new());
    let options = DifferenceOptions { probes: 40, ..DifferenceOptions::default() };
    let report = check_gradient(&b.graph, loss, &gradients, &[], &batch, options);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!((report.compared, report.skipped), (120, 0));
    let wrong = [(q, gradients[0].1), (k, None), (v, gradients[2].1)];
    let report = check_gradient(&b.graph, loss, &wrong, &[], &batch, options);
    assert!(report.failures.len() > 30, "a missing gradient is found: {}", report.failures.len());
}

/// `Σ (A x) · y` and `Σ x · (A' y)` over all elements of all samples.
fn inner_products(b: &mut GraphBuilder, batch: &Batch, [ax, y]: [NodeId; 2], [x, aty]: [NodeId; 2]) -> (f64, f64) {
    let mut product = |x: NodeId, y: NodeId| {
        let axes = b.ty(x).axes.clone();
        let total = b.contract(x, y, &axes, true);
        elements(&b.graph, batch, total)[0]
    };
    (product(ax, y), product(x, aty))
}

#[test]
fn fold_is_the_transpose_of_window() {
    for seed in 0..40 {
        let mut random = Stream::new(seed);
        let mut batch = batch(&[&[7], &[1], &[0], &[4]]);
        let mut b = GraphBuilder::new();
        let n = b.length("n");
        let seq = b.ragged_axis("seq", SizeExpr::Length(n));
        let windows = b.ragged_axis("windows", SizeExpr::CeilDiv(Box::new(SizeExpr::Length(n)), Box::new(SizeExpr::Const(2))));
        let (tap, width) = (b.axis("tap", 1 + random.below(4)), b.axis("width", 2));
        let window = Window { stride: 1 + random.below(3), dilation: 1 + random.below(3), before: random.below(4), fill: 0.0 };
        let x = input(&mut b, &mut batch, &mut random, &[seq, width]);
        let y = input(&mut b, &mut batch, &mut random, &[windows, tap, width]);
        let ax = b.window(x, seq, windows, tap, window);
        let aty = b.fold(y, windows, tap, seq, window);
        let (one, other) = inner_products(&mut b, &batch, [ax, y], [x, aty]);
        assert!((one - other).abs() < 1e-12, "{one} and {other} for {window:?}");
        assert!(one != 0.0, "{window:?}");
    }
}

#[test]
fn scatter_add_is_the_transpose_of_gather() {
    for seed in 0..20 {
        let mut random = Stream::new(seed);
        let mut batch = batch(&[&[7], &[1], &[0], &[4]]);
        let mut b = GraphBuilder::new();
        let n = b.length("n");
        let seq = b.ragged_axis("seq", SizeExpr::Length(n));
        let (rows, width) = (b.axis("rows", 3), b.axis("width", 2));
        let places = index(&mut b, &mut batch, &mut random, &[seq], 3);
        let x = input(&mut b, &mut batch, &mut random, &[rows, width]);
        let y = input(&mut b, &mut batch, &mut random, &[seq, width]);
        let ax = b.gather(x, rows, places);
        let aty = b.scatter_add(y, places, rows, &[seq], false);
        let (one, other) = inner_products(&mut b, &batch, [ax, y], [x, aty]);
        assert!((one - other).abs() < 1e-12, "{one} and {other}");
        let over_batch = b.scatter_add(y, places, rows, &[seq], true);
        let summed = b.reduce(ReduceOp::Sum, aty, &[], true);
        close(&elements(&b.graph, &batch, over_batch), &elements(&b.graph, &batch, summed));
    }
}

#[test]
fn kinks_are_skipped_and_smooth_places_are_not() {
    let mut batch = batch(&[&[]]);
    let mut b = GraphBuilder::new();
    let axis = b.axis("axis", 3);
    batch.inputs.insert("x".into(), InputData::F32(vec![0.0, 1.0, -2.0]));
    let x = b.input("x", DType::F32, &[axis], true);
    let size = b.unary(UnaryOp::Abs, x);
    let loss = b.sum(size, &[axis]);
    let zero = b.constant(0.0);
    let sign = b.binary(BinaryOp::Gt, x, zero);
    let sign = b.cast(sign, DType::F32);
    let sign = b.binary_const(BinaryOp::Mul, sign, 2.0);
    let gradient = b.binary_const(BinaryOp::Sub, sign, 1.0);
    let report = check_gradient(&b.graph, loss, &[(x, Some(gradient))], &[], &batch, DifferenceOptions::default());
    assert_eq!((report.compared, report.skipped, report.failures.len()), (2, 1, 0));
}
