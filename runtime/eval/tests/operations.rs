//! Every operation against results computed by hand.

use mgx_eval::{Tensor, Value, eval_graph};
use mgx_ir::graph::{AxisId, BinaryOp, DType, Extent, Graph, LengthId, Node, NodeId, Op, ReduceOp, SizeExpr, Type, UnaryOp, Window};
use mgx_ir::plan::{Batch, InputData, Sample};
use mgx_ir::random;

/// A graph under construction, with the batch that it is evaluated on.
#[derive(Default)]
struct Bench {
    graph: Graph,
    batch: Batch,
}

impl Bench {
    fn axis(&mut self, size: u64) -> AxisId {
        let name = format!("axis{}", self.graph.axes.len());
        self.graph.add_axis(name, Extent::Static(size))
    }

    fn node(&mut self, op: Op, inputs: &[NodeId], dtype: DType, axes: &[AxisId], per_sample: bool) -> NodeId {
        let ty = Type { dtype, axes: axes.to_vec(), per_sample };
        self.graph.add_node(Node { op, inputs: inputs.to_vec(), ty, path: None, spans: vec![] })
    }

    fn floats(&mut self, axes: &[AxisId], values: &[f32]) -> NodeId {
        self.input(axes, DType::F32, InputData::F32(values.to_vec()), false)
    }

    fn integers(&mut self, axes: &[AxisId], values: &[i32]) -> NodeId {
        self.input(axes, DType::I32, InputData::I32(values.to_vec()), false)
    }

    fn input(&mut self, axes: &[AxisId], dtype: DType, data: InputData, per_sample: bool) -> NodeId {
        let name = format!("input{}", self.graph.nodes.len());
        self.batch.inputs.insert(name.clone(), data);
        self.node(Op::Input { name }, &[], dtype, axes, per_sample)
    }

    fn value(&self, node: NodeId) -> Value {
        eval_graph(&self.graph, &[], &self.batch).get(node).clone()
    }

    fn elements(&self, node: NodeId) -> Vec<f64> {
        self.value(node).flatten()
    }
}

fn close(found: &[f64], expected: &[f64]) {
    let same = |(x, y): (&f64, &f64)| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() < 1e-12 * (1.0 + y.abs());
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(same), "{found:?}, expected {expected:?}");
}

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

#[test]
fn unary_functions() {
    let cases: &[(UnaryOp, &[f32], &[f64])] = &[
        (UnaryOp::Neg, &[1.5, -2.0], &[-1.5, 2.0]),
        (UnaryOp::Abs, &[1.5, -2.0], &[1.5, 2.0]),
        (UnaryOp::Exp, &[0.0, 1.0], &[1.0, std::f64::consts::E]),
        (UnaryOp::Log, &[1.0, 0.0, -1.0], &[0.0, -INF, NAN]),
        (UnaryOp::Sqrt, &[9.0, 2.0, -1.0], &[3.0, std::f64::consts::SQRT_2, NAN]),
        (UnaryOp::Rsqrt, &[4.0, 0.0], &[0.5, INF]),
        (UnaryOp::Tanh, &[0.0, 0.5], &[0.0, 0.462_117_157_260_009_75]),
        (UnaryOp::Erf, &[0.0, 0.5, -1.0], &[0.0, 0.520_499_877_813_046_5, -0.842_700_792_949_714_9]),
        (UnaryOp::Sin, &[0.0, 0.5], &[0.0, 0.479_425_538_604_203]),
        (UnaryOp::Cos, &[0.0, 0.5], &[1.0, 0.877_582_561_890_372_7]),
        (UnaryOp::Floor, &[1.5, -1.5, 2.0], &[1.0, -2.0, 2.0]),
        // 8 bits: 257 and 259 lie half way and go to the even one.
        (UnaryOp::Bf16, &[257.0, -259.0, 1.5], &[256.0, -260.0, 1.5]),
    ];
    for (op, x, expected) in cases {
        let mut bench = Bench::default();
        let axis = bench.axis(x.len() as u64);
        let input = bench.floats(&[axis], x);
        let result = bench.node(Op::Unary(*op), &[input], DType::F32, &[axis], false);
        close(&bench.elements(result), expected);
    }
    let mut bench = Bench::default();
    let axis = bench.axis(3);
    let x = bench.integers(&[axis], &[5, -7, i32::MIN]);
    for (op, expected) in [(UnaryOp::Neg, [-5.0, 7.0, -2_147_483_648.0]), (UnaryOp::Abs, [5.0, 7.0, -2_147_483_648.0])] {
        let result = bench.node(Op::Unary(op), &[x], DType::I32, &[axis], false);
        close(&bench.elements(result), &expected);
    }
    let truth = bench.node(Op::Cast, &[x], DType::Bool, &[axis], false);
    let result = bench.node(Op::Unary(UnaryOp::Not), &[truth], DType::Bool, &[axis], false);
    close(&bench.elements(result), &[0.0, 0.0, 0.0]);
}

/// The operation, its operands, and the result.
type BinaryCase<T, const N: usize> = (BinaryOp, [T; N], [T; N], [f64; N]);

#[test]
fn binary_functions_of_floats() {
    let nan = f32::NAN;
    let cases: &[BinaryCase<f32, 3>] = &[
        (BinaryOp::Add, [1.0, 2.0, nan], [0.5, -2.0, 1.0], [1.5, 0.0, NAN]),
        (BinaryOp::Sub, [1.0, 2.0, 3.0], [0.5, -2.0, 3.0], [0.5, 4.0, 0.0]),
        (BinaryOp::Mul, [1.0, 2.0, 3.0], [0.5, -2.0, 0.0], [0.5, -4.0, 0.0]),
        (BinaryOp::Div, [1.0, 2.0, 0.0], [0.0, -4.0, 0.0], [INF, -0.5, NAN]),
        (BinaryOp::Rem, [7.0, -7.0, 7.5], [3.0, 3.0, -2.0], [1.0, 2.0, -0.5]),
        (BinaryOp::Max, [1.0, nan, 3.0], [2.0, 1.0, nan], [2.0, NAN, NAN]),
        (BinaryOp::Min, [1.0, nan, 3.0], [2.0, 1.0, nan], [1.0, NAN, NAN]),
        (BinaryOp::Pow, [2.0, 9.0, -2.0], [3.0, 0.5, 2.0], [8.0, 3.0, 4.0]),
        (BinaryOp::Eq, [1.0, nan, 3.0], [1.0, nan, 2.0], [1.0, 0.0, 0.0]),
        (BinaryOp::Ne, [1.0, nan, 3.0], [1.0, nan, 2.0], [0.0, 1.0, 1.0]),
        (BinaryOp::Lt, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [1.0, 0.0, 0.0]),
        (BinaryOp::Le, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [1.0, 1.0, 0.0]),
        (BinaryOp::Gt, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [0.0, 0.0, 1.0]),
        (BinaryOp::Ge, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [0.0, 1.0, 1.0]),
    ];
    for (op, x, y, expected) in cases {
        let mut bench = Bench::default();
        let axis = bench.axis(3);
        let x = bench.floats(&[axis], x);
        let y = bench.floats(&[axis], y);
        let dtype = if op.is_comparison() { DType::Bool } else { DType::F32 };
        let result = bench.node(Op::Binary(*op), &[x, y], dtype, &[axis], false);
        close(&bench.elements(result), expected);
    }
}

#[test]
fn binary_functions_of_integers_and_truth_values() {
    let cases: &[BinaryCase<i32, 4>] = &[
        (BinaryOp::Add, [1, i32::MAX, 0, -3], [2, 1, 0, 4], [3.0, -2_147_483_648.0, 0.0, 1.0]),
        (BinaryOp::Sub, [1, i32::MIN, 0, -3], [2, 1, 0, 4], [-1.0, 2_147_483_647.0, 0.0, -7.0]),
        (BinaryOp::Mul, [3, 65_536, 0, -3], [2, 65_536, 5, 4], [6.0, 0.0, 0.0, -12.0]),
        (BinaryOp::Div, [7, -7, 7, 7], [2, 2, -2, 0], [3.0, -4.0, -4.0, 0.0]),
        (BinaryOp::Rem, [7, -7, 7, 7], [3, 3, -3, 0], [1.0, 2.0, -2.0, 0.0]),
        (BinaryOp::Max, [1, 2, -3, 0], [2, 1, -4, 0], [2.0, 2.0, -3.0, 0.0]),
        (BinaryOp::Min, [1, 2, -3, 0], [2, 1, -4, 0], [1.0, 1.0, -4.0, 0.0]),
        (BinaryOp::Lt, [1, 2, -3, 0], [2, 1, -4, 0], [1.0, 0.0, 0.0, 0.0]),
    ];
    for (op, x, y, expected) in cases {
        let mut bench = Bench::default();
        let axis = bench.axis(4);
        let x = bench.integers(&[axis], x);
        let y = bench.integers(&[axis], y);
        let dtype = if op.is_comparison() { DType::Bool } else { DType::I32 };
        let result = bench.node(Op::Binary(*op), &[x, y], dtype, &[axis], false);
        close(&bench.elements(result), expected);
    }
    let mut bench = Bench::default();
    let axis = bench.axis(4);
    let x = bench.input(&[axis], DType::Bool, InputData::I32(vec![0, 0, 1, 1]), false);
    let y = bench.input(&[axis], DType::Bool, InputData::I32(vec![0, 1, 0, 1]), false);
    for (op, expected) in [(BinaryOp::And, [0.0, 0.0, 0.0, 1.0]), (BinaryOp::Or, [0.0, 1.0, 1.0, 1.0])] {
        let result = bench.node(Op::Binary(op), &[x, y], DType::Bool, &[axis], false);
        close(&bench.elements(result), &expected);
    }
}

#[test]
fn operands_align_by_name() {
    let mut bench = Bench::default();
    let (rows, columns) = (bench.axis(2), bench.axis(3));
    let x = bench.floats(&[rows, columns], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let y = bench.floats(&[columns, rows], &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
    let row = bench.floats(&[rows], &[100.0, 200.0]);
    let sum = bench.node(Op::Binary(BinaryOp::Add), &[x, y], DType::F32, &[rows, columns], false);
    close(&bench.elements(sum), &[11.0, 32.0, 53.0, 24.0, 45.0, 66.0]);
    let shifted = bench.node(Op::Binary(BinaryOp::Add), &[x, row], DType::F32, &[rows, columns], false);
    close(&bench.elements(shifted), &[101.0, 102.0, 103.0, 204.0, 205.0, 206.0]);
    let broad = bench.node(Op::Broadcast, &[row], DType::F32, &[columns, rows], false);
    close(&bench.elements(broad), &[100.0, 200.0, 100.0, 200.0, 100.0, 200.0]);
    let turned = bench.node(Op::Permute, &[x], DType::F32, &[columns, rows], false);
    close(&bench.elements(turned), &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let choice = bench.input(&[columns], DType::Bool, InputData::I32(vec![1, 0, 1]), false);
    let chosen = bench.node(Op::Select, &[choice, x, row], DType::F32, &[rows, columns], false);
    close(&bench.elements(chosen), &[1.0, 100.0, 3.0, 4.0, 200.0, 6.0]);
}

#[test]
fn constants_iota_and_casts() {
    let mut bench = Bench::default();
    let axis = bench.axis(4);
    let third = bench.node(Op::Const(1.0 / 3.0), &[], DType::F32, &[], false);
    close(&bench.elements(third), &[1.0 / 3.0]);
    let whole = bench.node(Op::Const(3.0), &[], DType::I32, &[], false);
    close(&bench.elements(whole), &[3.0]);
    let iota = bench.node(Op::Iota(axis), &[], DType::I32, &[axis], false);
    close(&bench.elements(iota), &[0.0, 1.0, 2.0, 3.0]);
    let x = bench.floats(&[axis], &[-1.9, f32::NAN, 1e20, 0.0]);
    let integer = bench.node(Op::Cast, &[x], DType::I32, &[axis], false);
    close(&bench.elements(integer), &[-1.0, 0.0, 2_147_483_647.0, 0.0]);
    let truth = bench.node(Op::Cast, &[x], DType::Bool, &[axis], false);
    close(&bench.elements(truth), &[1.0, 1.0, 1.0, 0.0]);
    let number = bench.node(Op::Cast, &[truth], DType::F32, &[axis], false);
    close(&bench.elements(number), &[1.0, 1.0, 1.0, 0.0]);
}

#[test]
fn reductions_and_what_they_give_for_nothing() {
    let mut bench = Bench::default();
    let (rows, columns, none) = (bench.axis(2), bench.axis(3), bench.axis(0));
    let x = bench.floats(&[rows, columns], &[1.0, -2.0, 3.0, 4.0, 5.0, -6.0]);
    let empty = bench.floats(&[none], &[]);
    let cases: &[(ReduceOp, [f64; 2], [f64; 3], f64)] = &[
        (ReduceOp::Sum, [2.0, 3.0], [5.0, 3.0, -3.0], 0.0),
        (ReduceOp::Max, [3.0, 5.0], [4.0, 5.0, 3.0], -INF),
        (ReduceOp::Min, [-2.0, -6.0], [1.0, -2.0, -6.0], INF),
    ];
    for (op, along_columns, along_rows, of_nothing) in cases {
        let mut reduce = |input, over: AxisId, axes: &[AxisId]| {
            let node = bench.node(Op::Reduce { op: *op, over: vec![over], batch: false }, &[input], DType::F32, axes, false);
            bench.elements(node)
        };
        close(&reduce(x, columns, &[rows]), along_columns);
        close(&reduce(x, rows, &[columns]), along_rows);
        close(&reduce(empty, none, &[]), &[*of_nothing]);
    }
    let integers = bench.integers(&[none], &[]);
    let greatest = bench.node(Op::Reduce { op: ReduceOp::Max, over: vec![none], batch: false }, &[integers], DType::I32, &[], false);
    close(&bench.elements(greatest), &[f64::from(i32::MIN)]);
}

#[test]
fn contractions() {
    let mut bench = Bench::default();
    let (m, k, n) = (bench.axis(2), bench.axis(3), bench.axis(2));
    let x = bench.floats(&[m, k], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let y = bench.floats(&[k, n], &[1.0, 0.0, 0.0, 1.0, 2.0, -1.0]);
    let product = bench.node(Op::Contract { over: vec![k], batch: false }, &[x, y], DType::F32, &[m, n], false);
    close(&bench.elements(product), &[7.0, -1.0, 16.0, -1.0]);
    let turned = bench.node(Op::Contract { over: vec![k], batch: false }, &[x, y], DType::F32, &[n, m], false);
    close(&bench.elements(turned), &[7.0, 16.0, -1.0, -1.0]);
    // `m` is shared and stays: a product for each row.
    let rows = bench.node(Op::Contract { over: vec![k], batch: false }, &[x, x], DType::F32, &[m], false);
    close(&bench.elements(rows), &[14.0, 77.0]);
    let outer = bench.node(Op::Contract { over: vec![], batch: false }, &[rows, y], DType::F32, &[m, k, n], false);
    close(&bench.elements(outer), &[14.0, 0.0, 0.0, 14.0, 28.0, -14.0, 77.0, 0.0, 0.0, 77.0, 154.0, -77.0]);
}

#[test]
fn moves_of_elements() {
    let mut bench = Bench::default();
    let (six, two, three, also_two, also_three) = (bench.axis(6), bench.axis(2), bench.axis(3), bench.axis(2), bench.axis(3));
    let (four, five) = (bench.axis(4), bench.axis(5));
    let x = bench.floats(&[six], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let table = bench.node(Op::Split { axis: six, into: vec![two, three] }, &[x], DType::F32, &[three, two], false);
    close(&bench.elements(table), &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    let merged = bench.node(Op::Merge { axes: vec![two, three], into: six }, &[table], DType::F32, &[six], false);
    close(&bench.elements(merged), &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let other = bench.node(Op::Merge { axes: vec![three, two], into: six }, &[table], DType::F32, &[six], false);
    close(&bench.elements(other), &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    let pairs = vec![(two, also_two), (three, also_three)];
    let renamed = bench.node(Op::Rename { pairs }, &[table], DType::F32, &[also_three, also_two], false);
    close(&bench.elements(renamed), &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    let slice = |start, step| Op::Slice { axis: six, into: three, start: SizeExpr::Const(start), step };
    let odd = bench.node(slice(1, 2), &[x], DType::F32, &[three], false);
    close(&bench.elements(odd), &[1.0, 3.0, 5.0]);
    let pad = Op::Pad { axis: three, into: six, before: SizeExpr::Const(1), fill: -1.0 };
    let padded = bench.node(pad, &[odd], DType::F32, &[six], false);
    close(&bench.elements(padded), &[-1.0, 1.0, 3.0, 5.0, -1.0, -1.0]);
    let pair = bench.floats(&[two], &[8.0, 9.0]);
    let joined = bench.node(Op::Concat { axes: vec![two, three], into: five }, &[pair, odd], DType::F32, &[five], false);
    close(&bench.elements(joined), &[8.0, 9.0, 1.0, 3.0, 5.0]);
    let window = Window { stride: 2, dilation: 3, before: 1, fill: -1.0 };
    let windows = bench.node(Op::Window { axis: six, into: four, tap: two, window }, &[x], DType::F32, &[four, two], false);
    close(&bench.elements(windows), &[-1.0, 2.0, 1.0, 4.0, 3.0, -1.0, 5.0, -1.0]);
    let taps = bench.floats(&[four, two], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let folded = bench.node(Op::Fold { into: four, tap: two, axis: six, window }, &[taps], DType::F32, &[six], false);
    close(&bench.elements(folded), &[0.0, 3.0, 2.0, 5.0, 4.0, 7.0]);
    let pooling = Window { stride: 1, dilation: 1, before: 0, fill: 0.0 };
    let overlapping = bench.node(Op::Fold { into: four, tap: two, axis: five, window: pooling }, &[taps], DType::F32, &[five], false);
    close(&bench.elements(overlapping), &[1.0, 5.0, 9.0, 13.0, 8.0]);
}

#[test]
fn gather_and_scatter() {
    let mut bench = Bench::default();
    let (rows, width, places) = (bench.axis(3), bench.axis(2), bench.axis(4));
    let table = bench.floats(&[rows, width], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let index = bench.integers(&[places], &[2, 0, -1, 3]);
    let gathered = bench.node(Op::Gather { axis: rows }, &[table, index], DType::F32, &[places, width], false);
    close(&bench.elements(gathered), &[5.0, 6.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    let updates = bench.floats(&[places, width], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let index = bench.integers(&[places], &[2, 0, 2, 3]);
    let scatter = Op::ScatterAdd { axis: rows, over: vec![places], batch: false };
    let scattered = bench.node(scatter, &[updates, index], DType::F32, &[rows, width], false);
    close(&bench.elements(scattered), &[3.0, 4.0, 0.0, 0.0, 6.0, 8.0]);
}

#[test]
fn attention_of_two_keys() {
    let mut bench = Bench::default();
    let (query, key, dim, value) = (bench.axis(1), bench.axis(2), bench.axis(1), bench.axis(2));
    let q = bench.floats(&[query, dim], &[2.0]);
    let k = bench.floats(&[key, dim], &[0.0, 1.0]);
    let v = bench.floats(&[key, value], &[1.0, 0.0, 0.0, 1.0]);
    let attention = Op::Attention { query, key, dim, value, scale: 0.5 };
    let out = bench.node(attention, &[q, k, v], DType::F32, &[query, value], false);
    let e = std::f64::consts::E;
    close(&bench.elements(out), &[1.0 / (1.0 + e), e / (1.0 + e)]);
    let lse = bench.node(Op::AttentionLse { query, key, dim, scale: 0.5 }, &[q, k], DType::F32, &[query], false);
    close(&bench.elements(lse), &[(1.0 + e).ln()]);
}

/// Two samples of lengths 3 and 1 with keys 5 and 9.
fn ragged() -> (Bench, AxisId) {
    let mut bench = Bench::default();
    bench.graph.lengths.push(mgx_ir::graph::Length { name: "seq".into() });
    let seq = bench.graph.add_axis("seq", Extent::Ragged(SizeExpr::Length(LengthId(0))));
    bench.batch.samples = vec![Sample { key: 5, lengths: vec![3] }, Sample { key: 9, lengths: vec![1] }];
    bench.batch.random = 77;
    (bench, seq)
}

#[test]
fn samples_have_their_own_lengths() {
    let (mut bench, seq) = ragged();
    let x = bench.input(&[seq], DType::F32, InputData::F32(vec![1.0, 2.0, 3.0, 10.0]), true);
    let sum = Op::Reduce { op: ReduceOp::Sum, over: vec![seq], batch: false };
    let own = bench.node(sum, &[x], DType::F32, &[], true);
    close(&bench.elements(own), &[6.0, 10.0]);
    let all = bench.node(Op::Reduce { op: ReduceOp::Sum, over: vec![seq], batch: true }, &[x], DType::F32, &[], false);
    assert_eq!(bench.value(all).tensors().len(), 1);
    close(&bench.elements(all), &[16.0]);
    let greatest = bench.node(Op::Reduce { op: ReduceOp::Max, over: vec![], batch: true }, &[own], DType::F32, &[], false);
    close(&bench.elements(greatest), &[10.0]);
    let squares = bench.node(Op::Contract { over: vec![seq], batch: true }, &[x, x], DType::F32, &[], false);
    close(&bench.elements(squares), &[114.0]);
    let iota = bench.node(Op::Iota(seq), &[], DType::I32, &[seq], true);
    close(&bench.elements(iota), &[0.0, 1.0, 2.0, 0.0]);
    let one = bench.node(Op::Const(1.0), &[], DType::F32, &[], false);
    let ones = bench.node(Op::Broadcast, &[one], DType::F32, &[seq], true);
    let count = bench.node(Op::Reduce { op: ReduceOp::Sum, over: vec![seq], batch: true }, &[ones], DType::F32, &[], false);
    close(&bench.elements(count), &[4.0]);
    let rows = bench.axis(3);
    let places = bench.input(&[seq], DType::I32, InputData::I32(vec![0, 2, 0, 2]), true);
    let scatter = Op::ScatterAdd { axis: rows, over: vec![seq], batch: true };
    let scattered = bench.node(scatter, &[x, places], DType::F32, &[rows], false);
    close(&bench.elements(scattered), &[4.0, 0.0, 12.0]);
}

#[test]
fn empty_batches_and_samples_reduce_to_the_identity() {
    let (mut bench, seq) = ragged();
    let x = bench.input(&[seq], DType::F32, InputData::F32(vec![]), true);
    let own = bench.node(Op::Reduce { op: ReduceOp::Max, over: vec![seq], batch: false }, &[x], DType::F32, &[], true);
    let all = bench.node(Op::Reduce { op: ReduceOp::Sum, over: vec![seq], batch: true }, &[x], DType::F32, &[], false);
    bench.batch.samples = vec![Sample { key: 1, lengths: vec![0] }];
    close(&bench.elements(own), &[-INF]);
    close(&bench.elements(all), &[0.0]);
    bench.batch.samples.clear();
    close(&bench.elements(own), &[]);
    close(&bench.elements(all), &[0.0]);
}

#[test]
fn attention_without_keys_is_zero() {
    let (mut bench, key) = ragged();
    let (query, dim) = (bench.axis(2), bench.axis(1));
    bench.batch.samples = vec![Sample { key: 1, lengths: vec![0] }, Sample { key: 2, lengths: vec![1] }];
    let q = bench.input(&[query, dim], DType::F32, InputData::F32(vec![1.0, 2.0, 3.0, 4.0]), true);
    let k = bench.input(&[key, dim], DType::F32, InputData::F32(vec![0.5]), true);
    let v = bench.input(&[key, dim], DType::F32, InputData::F32(vec![7.0]), true);
    let out = bench.node(Op::Attention { query, key, dim, value: dim, scale: 1.0 }, &[q, k, v], DType::F32, &[query, dim], true);
    close(&bench.elements(out), &[0.0, 0.0, 7.0, 7.0]);
    let lse = bench.node(Op::AttentionLse { query, key, dim, scale: 1.0 }, &[q, k], DType::F32, &[query], true);
    close(&bench.elements(lse), &[-INF, -INF, 1.5, 2.0]);
}

#[test]
fn random_numbers_depend_on_sample_and_element_alone() {
    let (mut bench, seq) = ragged();
    let x = bench.node(Op::Random { site: 3 }, &[], DType::F32, &[seq], true);
    let expected = |key, index| f64::from(random::uniform(random::site_key(77, 3, key), index));
    let packed = bench.elements(x);
    close(&packed, &[expected(5, 0), expected(5, 1), expected(5, 2), expected(9, 0)]);
    bench.batch.samples.remove(0);
    close(&bench.elements(x), &packed[3..]);
    let axis = bench.axis(2);
    let shared = bench.node(Op::Random { site: 4 }, &[], DType::F32, &[axis], false);
    let key = random::site_key(77, 4, 0);
    close(&bench.elements(shared), &[random::uniform(key, 0), random::uniform(key, 1)].map(f64::from));
}

#[test]
fn indices_outside_stop_the_evaluation() {
    let mut bench = Bench::default();
    let (four, three) = (bench.axis(4), bench.axis(3));
    let x = bench.floats(&[four], &[0.0; 4]);
    let slice = Op::Slice { axis: four, into: three, start: SizeExpr::Const(2), step: 1 };
    let node = bench.node(slice, &[x], DType::F32, &[three], false);
    assert!(std::panic::catch_unwind(|| bench.elements(node)).is_err());
}

#[test]
fn tensors_are_read_by_axis() {
    let (a, b) = (AxisId(0), AxisId(1));
    let tensor = Tensor { dtype: DType::F32, axes: vec![a, b], shape: vec![2, 2], data: vec![1.0, 2.0, 3.0, 4.0] };
    assert_eq!(tensor.permuted(&[b, a]).data, [1.0, 3.0, 2.0, 4.0]);
    assert_eq!(tensor.strides(&[b, a, AxisId(2)]), [1, 2, 0]);
}
