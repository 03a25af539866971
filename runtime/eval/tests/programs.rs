//! The interpreter of programs on programs written by hand: what it computes, and what it refuses.

use mgx_eval::{ProgramMemory, run_program, run_program_outputs};
use mgx_ir::graph::{Axis, AxisId, BinaryOp, DType, Extent, LengthId, Op, ReduceOp, SizeExpr, Type, UnaryOp};
use mgx_ir::plan::{
    AttentionGradStep, AttentionStep, Batch, BatchRole, Buffer, BufferId, ContractStep, FusedInput, FusedNode, FusedStep, InputData,
    Program, ProgramInput, ReduceSpace, Sample, ScatterStep, Step, StepKind, Storage, Store,
};

const SEQ: AxisId = AxisId(0);
const WIDTH: AxisId = AxisId(1);
const OUT: AxisId = AxisId(2);

/// A program over `seq` (ragged), `width` (2) and `out` (3), on samples of lengths 2 and 1.
struct Bench {
    program: Program,
    batch: Batch,
    memory: ProgramMemory,
}

impl Bench {
    fn new() -> Self {
        let axis = |name: &str, extent| Axis { name: name.into(), extent };
        let seq = Extent::Ragged(SizeExpr::Length(LengthId(0)));
        let axes = vec![axis("seq", seq), axis("width", Extent::Static(2)), axis("out", Extent::Static(3))];
        let samples = vec![Sample { key: 0, lengths: vec![2] }, Sample { key: 1, lengths: vec![1] }];
        Self {
            program: Program { axes, ..Program::default() },
            batch: Batch { samples, ..Batch::default() },
            memory: ProgramMemory::default(),
        }
    }

    fn buffer(&mut self, ty: Type, storage: Storage) -> BufferId {
        let name = format!("buffer{}", self.program.buffers.len());
        self.program.buffers.push(Buffer { name, ty, storage });
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    /// A buffer in the arena after all others, 64 bytes.
    fn arena(&mut self, ty: Type) -> BufferId {
        let offset = self.program.arena_bytes;
        self.program.arena_bytes += 64;
        self.buffer(ty, Storage::Arena { offset, bytes: 64 })
    }

    fn input(&mut self, ty: Type, data: InputData) -> BufferId {
        let buffer = self.buffer(ty, Storage::Input);
        let name = format!("input{}", buffer.0);
        self.batch.inputs.insert(name.clone(), data);
        self.program.inputs.push(ProgramInput { name, buffer });
        buffer
    }

    fn step(&mut self, kind: StepKind) {
        self.program.steps.push(Step { kind, spans: vec![] });
    }

    /// Runs and reads a buffer as the last step would: as an output.
    fn output(&mut self, buffer: BufferId) -> Vec<f64> {
        self.program.outputs = vec![ProgramInput { name: "out".into(), buffer }];
        run_program_outputs(&self.program, &mut self.memory, &self.batch)[0].1.flatten()
    }

    /// Runs a program that must be refused, and returns what is wrong.
    fn refusal(mut self) -> String {
        let run = std::panic::AssertUnwindSafe(|| run_program(&self.program, &mut self.memory, &self.batch));
        let payload = std::panic::catch_unwind(run).expect_err("the program breaks a rule");
        payload.downcast_ref::<String>().expect("a message").clone()
    }
}

fn ty(axes: &[AxisId], per_sample: bool) -> Type {
    Type { dtype: DType::F32, axes: axes.to_vec(), per_sample }
}

fn floats(values: &[f32]) -> InputData {
    InputData::F32(values.to_vec())
}

fn read(buffer: BufferId, ty: Type) -> FusedNode {
    FusedNode { op: None, inputs: vec![FusedInput::Buffer(buffer)], ty }
}

fn node(op: Op, inputs: &[u32], ty: Type) -> FusedNode {
    FusedNode { op: Some(op), inputs: inputs.iter().map(|input| FusedInput::Node(*input)).collect(), ty }
}

fn store(node: u32, buffer: BufferId) -> Store {
    Store { node, buffer, accumulate: false }
}

/// `out = x + x` over `seq × width`.
fn doubling(x: BufferId, out: BufferId) -> FusedStep {
    let full = ty(&[SEQ, WIDTH], true);
    let nodes = vec![read(x, full.clone()), node(Op::Binary(BinaryOp::Add), &[0, 0], full)];
    FusedStep { nodes, stores: vec![store(1, out)], per_sample: true, outer: vec![SEQ], inner: vec![WIDTH], reduce: ReduceSpace::None }
}

fn six() -> InputData {
    floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
}

#[test]
fn buffers_hold_samples_one_after_another_in_the_order_of_their_axes() {
    let mut bench = Bench::new();
    let x = bench.input(ty(&[SEQ, WIDTH], true), six());
    let turned = bench.arena(ty(&[WIDTH, SEQ], true));
    bench.step(StepKind::Fused(doubling(x, turned)));
    assert_eq!(bench.output(turned), [2.0, 6.0, 4.0, 8.0, 10.0, 12.0]);
    let words: Vec<f32> = bench.memory.arena[..24].as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
    assert_eq!(words, [2.0, 6.0, 4.0, 8.0, 10.0, 12.0]);
    assert!(bench.memory.arena[24..].iter().all(|byte| *byte == 0xFF), "what is not written stays poisoned");
}

#[test]
fn aliases_are_the_same_bytes_under_other_axes() {
    let mut bench = Bench::new();
    let flat = bench.program.axes.len() as u32;
    let expr = SizeExpr::Mul(Box::new(SizeExpr::Length(LengthId(0))), Box::new(SizeExpr::Const(2)));
    bench.program.axes.push(Axis { name: "flat".into(), extent: Extent::Ragged(expr) });
    let x = bench.input(ty(&[SEQ, WIDTH], true), six());
    let stored = bench.arena(ty(&[SEQ, WIDTH], true));
    let alias = bench.buffer(ty(&[AxisId(flat)], true), Storage::Alias(stored));
    let sums = bench.arena(ty(&[], true));
    bench.step(StepKind::Fused(doubling(x, stored)));
    let nodes = vec![
        read(alias, ty(&[AxisId(flat)], true)),
        node(Op::Reduce { op: ReduceOp::Sum, over: vec![AxisId(flat)], batch: false }, &[0], ty(&[], true)),
    ];
    bench.step(StepKind::Fused(FusedStep {
        nodes,
        stores: vec![store(1, sums)],
        per_sample: true,
        outer: vec![],
        inner: vec![AxisId(flat)],
        reduce: ReduceSpace::Inner,
    }));
    assert_eq!(bench.output(sums), [20.0, 22.0]);
}

#[test]
fn sums_over_the_batch_add_to_the_gradients() {
    let mut bench = Bench::new();
    bench.memory.gradients = [10.0_f32, 20.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let x = bench.input(ty(&[SEQ, WIDTH], true), six());
    let gradient = bench.buffer(ty(&[WIDTH], false), Storage::Gradient { offset: 0 });
    let reduce = Op::Reduce { op: ReduceOp::Sum, over: vec![SEQ], batch: true };
    let nodes = vec![read(x, ty(&[SEQ, WIDTH], true)), node(reduce, &[0], ty(&[WIDTH], false))];
    bench.step(StepKind::Fused(FusedStep {
        nodes,
        stores: vec![Store { node: 1, buffer: gradient, accumulate: true }],
        per_sample: true,
        outer: vec![SEQ],
        inner: vec![WIDTH],
        reduce: ReduceSpace::Outer { batch: true },
    }));
    assert_eq!(bench.output(gradient), [19.0, 32.0]);
}

/// `lhs [seq, width] · rhs` in each role of the batch.
#[test]
fn contractions_in_every_role() {
    let product = |batch_role, rhs: Type, rhs_data, out: Type, [m, n, k]: [&[AxisId]; 3]| {
        let mut bench = Bench::new();
        let lhs_ty = ty(&[SEQ, WIDTH], true);
        let lhs = bench.input(lhs_ty, six());
        let rhs = bench.input(rhs, rhs_data);
        let out = bench.arena(out);
        let [m, n, k] = [m, n, k].map(<[AxisId]>::to_vec);
        bench.step(StepKind::Contract(ContractStep {
            lhs,
            rhs,
            out,
            m,
            n,
            k,
            group: vec![],
            batch: batch_role,
            accumulate: false,
            windows: None,
        }));
        bench.output(out)
    };
    let weight = floats(&[1.0, 0.0, 0.0, 1.0, 1.0, -1.0]);
    let rows = product(BatchRole::Rows, ty(&[OUT, WIDTH], false), weight.clone(), ty(&[SEQ, OUT], true), [&[SEQ], &[OUT], &[WIDTH]]);
    assert_eq!(rows, [1.0, 2.0, -1.0, 3.0, 4.0, -1.0, 5.0, 6.0, -1.0]);
    let per_sample = floats(&[1.0, 0.0, 0.0, 1.0, 1.0, -1.0, 2.0, 0.0, 0.0, 2.0, 2.0, -2.0]);
    let each = product(BatchRole::Each, ty(&[OUT, WIDTH], true), per_sample, ty(&[SEQ, OUT], true), [&[SEQ], &[OUT], &[WIDTH]]);
    assert_eq!(each, [1.0, 2.0, -1.0, 3.0, 4.0, -1.0, 10.0, 12.0, -2.0]);
    let sum = product(BatchRole::Sum, ty(&[SEQ], true), floats(&[1.0, 10.0, 100.0]), ty(&[WIDTH], false), [&[WIDTH], &[], &[SEQ]]);
    assert_eq!(sum, [531.0, 642.0]);
}

#[test]
fn attention_and_its_gradient() {
    let mut bench = Bench::new();
    let key = AxisId(bench.program.axes.len() as u32);
    let seq = bench.program.axes[0].extent.clone();
    bench.program.axes.push(Axis { name: "key".into(), extent: seq });
    let q = bench.input(ty(&[SEQ, WIDTH], true), floats(&[0.0; 6]));
    let k = bench.input(ty(&[key, WIDTH], true), six());
    let v = bench.input(ty(&[key, WIDTH], true), six());
    let dout = bench.input(ty(&[SEQ, WIDTH], true), floats(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]));
    let out = bench.arena(ty(&[SEQ, WIDTH], true));
    let lse = bench.arena(ty(&[SEQ], true));
    let [dq, dk, dv] = [SEQ, key, key].map(|axis| bench.arena(ty(&[axis, WIDTH], true)));
    let (query, dim, value, heads) = (SEQ, WIDTH, WIDTH, vec![]);
    let forward = AttentionStep { q, k, v, out, lse: Some(lse), query, key, heads: heads.clone(), dim, value, scale: 1.0 };
    bench.step(StepKind::Attention(forward));
    let [some_dq, some_dk, some_dv] = [dq, dk, dv].map(Some);
    let backward =
        AttentionGradStep { q, k, v, out, lse, dout, dq: some_dq, dk: some_dk, dv: some_dv, query, key, heads, dim, value, scale: 1.0 };
    bench.step(StepKind::AttentionGrad(backward));
    // Equal scores: means of the values, ln of the number of keys.
    assert_eq!(bench.output(out), [2.0, 3.0, 2.0, 3.0, 5.0, 6.0]);
    let ln2 = f64::from(2.0_f32.ln());
    assert_eq!(bench.output(lse), [ln2, ln2, 0.0]);
    let near = |found: Vec<f64>, expected: [f64; 6]| {
        assert!(found.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-6), "{found:?}, expected {expected:?}");
    };
    // ds = p (v·dout - out·dout) = ½ (1 - 2), ½ (3 - 2) for the first query; dq = Σ ds k; dk = 0 as q = 0; dv = Σ p dout.
    near(bench.output(dq), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    near(bench.output(dk), [0.0; 6]);
    near(bench.output(dv), [0.5, 0.0, 0.5, 0.0, 1.0, 0.0]);
}

#[test]
fn scatter_clears_or_adds() {
    let mut bench = Bench::new();
    let integers = Type { dtype: DType::I32, ..ty(&[SEQ], true) };
    let index = bench.input(integers, InputData::I32(vec![2, 0, 2]));
    let updates = bench.input(ty(&[SEQ, WIDTH], true), six());
    let out = bench.arena(ty(&[OUT, WIDTH], false));
    for accumulate in [false, true] {
        bench.step(StepKind::Scatter(ScatterStep { updates, index, out, axis: OUT, over: vec![SEQ], batch: true, accumulate }));
    }
    assert_eq!(bench.output(out), [6.0, 8.0, 0.0, 0.0, 12.0, 16.0]);
}

#[test]
fn reads_of_what_was_never_written_are_refused() {
    let mut bench = Bench::new();
    let x = bench.arena(ty(&[SEQ, WIDTH], true));
    let out = bench.arena(ty(&[SEQ, WIDTH], true));
    bench.step(StepKind::Fused(doubling(x, out)));
    let refusal = bench.refusal();
    assert!(refusal.starts_with("step 0 (fused to `buffer1` (buffer 1))") && refusal.contains("never written"), "{refusal}");
}

#[test]
fn reads_of_what_was_overwritten_are_refused() {
    let mut bench = Bench::new();
    let x = bench.input(ty(&[SEQ, WIDTH], true), six());
    let first = bench.arena(ty(&[SEQ, WIDTH], true));
    let second = bench.buffer(ty(&[SEQ, WIDTH], true), Storage::Arena { offset: 0, bytes: 64 });
    let out = bench.arena(ty(&[SEQ, WIDTH], true));
    for (from, to) in [(x, first), (x, second), (first, out)] {
        bench.step(StepKind::Fused(doubling(from, to)));
    }
    let refusal = bench.refusal();
    assert!(refusal.starts_with("step 2") && refusal.contains("overwritten by `buffer2`"), "{refusal}");
}

#[test]
fn elementwise_steps_may_write_in_place_and_others_may_not() {
    let in_place = |target: Type, change: Change| {
        let mut bench = Bench::new();
        let x = bench.input(ty(&[SEQ, WIDTH], true), six());
        let first = bench.arena(ty(&[SEQ, WIDTH], true));
        let over = bench.buffer(target, Storage::Arena { offset: 0, bytes: 64 });
        bench.step(StepKind::Fused(doubling(x, first)));
        let mut step = doubling(first, over);
        change(&mut step);
        bench.step(StepKind::Fused(step));
        (bench, over)
    };
    let (mut fine, over) = in_place(ty(&[SEQ, WIDTH], true), |_| {});
    assert_eq!(fine.output(over), [4.0, 8.0, 12.0, 16.0, 20.0, 24.0]);
    let turned = in_place(ty(&[WIDTH, SEQ], true), |_| {}).0.refusal();
    assert!(turned.contains("their layouts differ"), "{turned}");
    let moved = in_place(ty(&[SEQ, WIDTH], true), |step| step.nodes[1] = node(Op::Broadcast, &[0], ty(&[SEQ, WIDTH], true))).0.refusal();
    assert!(moved.contains("moves it"), "{moved}");
}

#[test]
fn broken_buffers_are_refused() {
    let refused = |storage, axes: &[AxisId], per_sample| {
        let mut bench = Bench::new();
        bench.program.arena_bytes = 64;
        bench.buffer(ty(axes, per_sample), storage);
        bench.refusal()
    };
    let cases = [
        (refused(Storage::Arena { offset: 64, bytes: 64 }, &[], true), "leaves the arena"),
        (refused(Storage::Arena { offset: 4, bytes: 4 }, &[], true), "no multiple of 64"),
        (refused(Storage::Arena { offset: 0, bytes: 16 }, &[SEQ, WIDTH], true), "takes 24 bytes and has 16"),
        (refused(Storage::Arena { offset: 0, bytes: 64 }, &[SEQ], false), "ragged axis"),
        (refused(Storage::Param { offset: 0 }, &[WIDTH], false), "takes 8 bytes and has 0"),
        (refused(Storage::Alias(BufferId(0)), &[WIDTH], false), "alias of an alias"),
    ];
    for (refusal, expected) in cases {
        assert!(refusal.contains(expected), "{refusal}");
    }
}

type Change = fn(&mut FusedStep);

#[test]
fn broken_steps_are_refused() {
    let refused = |change: Change| {
        let mut bench = Bench::new();
        let x = bench.input(ty(&[SEQ, WIDTH], true), six());
        let out = bench.arena(ty(&[SEQ, WIDTH], true));
        let mut step = doubling(x, out);
        change(&mut step);
        bench.step(StepKind::Fused(step));
        bench.refusal()
    };
    let cases: [(Change, &str); 5] = [
        (|step| step.inner = vec![], "stores node 1 of axes"),
        (|step| step.nodes[1].inputs[0] = FusedInput::Node(1), "reads a node after it"),
        (|step| step.nodes[1].op = Some(Op::Reduce { op: ReduceOp::Sum, over: vec![SEQ], batch: false }), "reduces over"),
        (|step| step.per_sample = false, "is per sample"),
        (|step| step.nodes[1].op = Some(Op::Contract { over: vec![], batch: false }), "is contract"),
    ];
    for (change, expected) in cases {
        let refusal = refused(change);
        assert!(refusal.contains(expected), "{refusal}");
    }
    let mut bench = Bench::new();
    let x = bench.input(ty(&[SEQ, WIDTH], true), six());
    let weight = bench.input(ty(&[WIDTH, OUT], false), six());
    let out = bench.arena(ty(&[SEQ, OUT], true));
    let (m, n, k) = (vec![SEQ], vec![OUT], vec![WIDTH]);
    bench.step(StepKind::Contract(ContractStep {
        lhs: x,
        rhs: weight,
        out,
        m,
        n,
        k,
        group: vec![],
        batch: BatchRole::Each,
        accumulate: false,
        windows: None,
    }));
    let refusal = bench.refusal();
    assert!(refusal.contains("Each with operands"), "{refusal}");
}

#[test]
fn results_are_rounded_to_f32() {
    let mut bench = Bench::new();
    let x = bench.input(ty(&[], false), floats(&[1.0]));
    let out = bench.arena(ty(&[], false));
    let nodes = vec![read(x, ty(&[], false)), node(Op::Unary(UnaryOp::Exp), &[0], ty(&[], false))];
    let stores = vec![store(1, out)];
    bench.step(StepKind::Fused(FusedStep { nodes, stores, per_sample: false, outer: vec![], inner: vec![], reduce: ReduceSpace::None }));
    assert_eq!(bench.output(out), [f64::from(std::f32::consts::E)]);
}
