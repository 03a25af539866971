//! Speed of generated kernels: elements per second of the fused steps that transformers spend their time in.
//!
//! `cargo run --release -p mgx-cpu --example fused_speed`; set `RAYON_NUM_THREADS` for the number of threads.

use std::error::Error;
use std::time::Instant;

use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_ir::graph::{Axis, AxisId, BinaryOp, DType, Extent, LengthId, Op, ReduceOp, SizeExpr, Type, UnaryOp};
use mgx_ir::plan::{
    Batch, Buffer, BufferId, FusedInput, FusedNode, FusedStep, Program, ProgramInput, ReduceSpace, Sample, Step, StepKind, Storage, Store,
};

const SEQ: AxisId = AxisId(0);
const HIDDEN: AxisId = AxisId(1);
const HALF: AxisId = AxisId(2);
const HEADS: AxisId = AxisId(3);
const DIM: AxisId = AxisId(4);

/// A program of one fused step, built node by node.
struct Kernel {
    program: Program,
    step: FusedStep,
    params: u64,
}

impl Kernel {
    fn new(hidden: u64, outer: &[AxisId], inner: &[AxisId], reduce: ReduceSpace) -> Self {
        let axis = |name: &str, extent| Axis { name: name.into(), extent };
        let axes = vec![
            axis("seq", Extent::Ragged(SizeExpr::Length(LengthId(0)))),
            axis("hidden", Extent::Static(hidden)),
            axis("half", Extent::Static(8)),
            axis("heads", Extent::Static(hidden / 16)),
            axis("dim", Extent::Static(16)),
        ];
        let step =
            FusedStep { nodes: Vec::new(), stores: Vec::new(), per_sample: true, outer: outer.to_vec(), inner: inner.to_vec(), reduce };
        Self { program: Program { axes, ..Program::default() }, step, params: 0 }
    }

    fn buffer(&mut self, axes: &[AxisId], per_sample: bool, storage: Storage) -> BufferId {
        let ty = Type { dtype: DType::F32, axes: axes.to_vec(), per_sample };
        self.program.buffers.push(Buffer { name: format!("b{}", self.program.buffers.len()), ty, storage });
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    /// Elements of a buffer in a batch of 4096 tokens.
    fn bytes(&self, axes: &[AxisId]) -> u64 {
        let extent = |axis: &AxisId| self.program.axes[axis.0 as usize].extent.as_static().unwrap_or(TOKENS);
        (axes.iter().map(extent).product::<u64>() * 4).next_multiple_of(64)
    }

    fn arena(&mut self, axes: &[AxisId]) -> BufferId {
        let (offset, bytes) = (self.program.arena_bytes, self.bytes(axes));
        self.program.arena_bytes += bytes;
        self.buffer(axes, true, Storage::Arena { offset, bytes })
    }

    fn param(&mut self, axes: &[AxisId]) -> BufferId {
        let offset = self.params;
        self.params += self.bytes(axes);
        self.buffer(axes, false, Storage::Param { offset })
    }

    fn node(&mut self, op: Option<Op>, inputs: Vec<FusedInput>, axes: &[AxisId], per_sample: bool) -> FusedInput {
        self.step.nodes.push(FusedNode { op, inputs, ty: Type { dtype: DType::F32, axes: axes.to_vec(), per_sample } });
        FusedInput::Node(self.step.nodes.len() as u32 - 1)
    }

    fn read(&mut self, buffer: BufferId) -> FusedInput {
        let ty = self.program.buffers[buffer.0 as usize].ty.clone();
        self.node(None, vec![FusedInput::Buffer(buffer)], &ty.axes, ty.per_sample)
    }

    fn constant(&mut self, value: f64) -> FusedInput {
        self.node(Some(Op::Const(value)), Vec::new(), &[], false)
    }

    fn unary(&mut self, op: UnaryOp, x: FusedInput, axes: &[AxisId]) -> FusedInput {
        self.node(Some(Op::Unary(op)), vec![x], axes, true)
    }

    fn binary(&mut self, op: BinaryOp, x: FusedInput, y: FusedInput, axes: &[AxisId]) -> FusedInput {
        self.node(Some(Op::Binary(op)), vec![x, y], axes, true)
    }

    fn sum(&mut self, x: FusedInput, over: &[AxisId], axes: &[AxisId], batch: bool) -> FusedInput {
        let op = Op::Reduce { op: ReduceOp::Sum, over: over.to_vec(), batch };
        self.node(Some(op), vec![x], axes, !batch)
    }

    fn store(&mut self, node: FusedInput, buffer: BufferId) {
        if let FusedInput::Node(node) = node {
            self.step.stores.push(Store { node, buffer, accumulate: false });
        }
    }

    fn finish(mut self) -> (Program, u64) {
        self.program.steps.push(Step { kind: StepKind::Fused(self.step), spans: Vec::new() });
        let last = BufferId(self.program.buffers.len() as u32 - 1);
        self.program.outputs.push(ProgramInput { name: "out".into(), buffer: last });
        (self.program, self.params)
    }
}

const TOKENS: u64 = 4096;

fn gelu(hidden: u64) -> (Program, u64) {
    use BinaryOp::{Add, Mul};
    let full = [SEQ, HIDDEN];
    let mut k = Kernel::new(hidden, &full, &[], ReduceSpace::None);
    let (x, bias) = (k.arena(&full), k.param(&[HIDDEN]));
    let (x, bias) = (k.read(x), k.read(bias));
    let x = k.binary(Add, x, bias, &full);
    let (root, one, half) = (k.constant(std::f64::consts::FRAC_1_SQRT_2), k.constant(1.0), k.constant(0.5));
    let scaled = k.binary(Mul, x, root, &full);
    let erf = k.unary(UnaryOp::Erf, scaled, &full);
    let gate = k.binary(Add, erf, one, &full);
    let gate = k.binary(Mul, gate, half, &full);
    let y = k.binary(Mul, x, gate, &full);
    let out = k.arena(&full);
    k.store(y, out);
    k.finish()
}

fn layer_norm(hidden: u64) -> (Program, u64) {
    use BinaryOp::{Add, Mul, Sub};
    let full = [SEQ, HIDDEN];
    let mut k = Kernel::new(hidden, &[SEQ], &[HIDDEN], ReduceSpace::Inner);
    let (x, residual, weight, bias) = (k.arena(&full), k.arena(&full), k.param(&[HIDDEN]), k.param(&[HIDDEN]));
    let (x, residual, weight, bias) = (k.read(x), k.read(residual), k.read(weight), k.read(bias));
    let x = k.binary(Add, x, residual, &full);
    let (scale, eps) = (k.constant(1.0 / hidden as f64), k.constant(1e-5));
    let sum = k.sum(x, &[HIDDEN], &[SEQ], false);
    let mean = k.binary(Mul, sum, scale, &[SEQ]);
    let centred = k.binary(Sub, x, mean, &full);
    let square = k.binary(Mul, centred, centred, &full);
    let sum = k.sum(square, &[HIDDEN], &[SEQ], false);
    let variance = k.binary(Mul, sum, scale, &[SEQ]);
    let variance = k.binary(Add, variance, eps, &[SEQ]);
    let rstd = k.unary(UnaryOp::Rsqrt, variance, &[SEQ]);
    let y = k.binary(Mul, centred, rstd, &full);
    let y = k.binary(Mul, y, weight, &full);
    let y = k.binary(Add, y, bias, &full);
    let out = k.arena(&full);
    k.store(y, out);
    k.finish()
}

fn softmax(hidden: u64) -> (Program, u64) {
    let full = [SEQ, HIDDEN];
    let mut k = Kernel::new(hidden, &[SEQ], &[HIDDEN], ReduceSpace::Inner);
    let x = k.arena(&full);
    let x = k.read(x);
    let largest = k.node(Some(Op::Reduce { op: ReduceOp::Max, over: vec![HIDDEN], batch: false }), vec![x], &[SEQ], true);
    let shifted = k.binary(BinaryOp::Sub, x, largest, &full);
    let exp = k.unary(UnaryOp::Exp, shifted, &full);
    let sum = k.sum(exp, &[HIDDEN], &[SEQ], false);
    let y = k.binary(BinaryOp::Div, exp, sum, &full);
    let out = k.arena(&full);
    k.store(y, out);
    k.finish()
}

fn column_sum(hidden: u64) -> (Program, u64) {
    let full = [SEQ, HIDDEN];
    let mut k = Kernel::new(hidden, &[SEQ], &[HIDDEN], ReduceSpace::Outer { batch: true });
    let (x, y) = (k.arena(&full), k.arena(&full));
    let (x, y) = (k.read(x), k.read(y));
    let product = k.binary(BinaryOp::Mul, x, y, &full);
    let (sum, weight) = (k.sum(x, &[SEQ], &[HIDDEN], true), k.sum(product, &[SEQ], &[HIDDEN], true));
    let (first, second) = (k.param(&[HIDDEN]), k.param(&[HIDDEN]));
    k.store(sum, first);
    k.store(weight, second);
    k.finish()
}

fn norm(hidden: u64) -> (Program, u64) {
    let full = [SEQ, HIDDEN];
    let mut k = Kernel::new(hidden, &full, &[], ReduceSpace::Outer { batch: true });
    let x = k.arena(&full);
    let x = k.read(x);
    let square = k.binary(BinaryOp::Mul, x, x, &full);
    let sum = k.sum(square, &full, &[], true);
    let out = k.param(&[]);
    k.store(sum, out);
    k.finish()
}

/// `x · cos + rotated(x) · sin`, the rotation a concatenation of halves.
fn rotary(hidden: u64) -> (Program, u64) {
    use BinaryOp::{Add, Mul};
    let full = [SEQ, HEADS, DIM];
    let mut k = Kernel::new(hidden, &full, &[], ReduceSpace::None);
    let (x, cos, sin) = (k.arena(&full), k.arena(&[SEQ, DIM]), k.arena(&[SEQ, DIM]));
    let (x, cos, sin) = (k.read(x), k.read(cos), k.read(sin));
    let part = [SEQ, HEADS, HALF];
    let slice = |start| Some(Op::Slice { axis: DIM, into: HALF, start: SizeExpr::Const(start), step: 1 });
    let (low, high) = (k.node(slice(0), vec![x], &part, true), k.node(slice(8), vec![x], &part, true));
    let minus = k.unary(UnaryOp::Neg, high, &part);
    let rotated = k.node(Some(Op::Concat { axes: vec![HALF, HALF], into: DIM }), vec![minus, low], &full, true);
    let (a, b) = (k.binary(Mul, x, cos, &full), k.binary(Mul, rotated, sin, &full));
    let y = k.binary(Add, a, b, &full);
    let out = k.arena(&full);
    k.store(y, out);
    k.finish()
}

fn measure(name: &str, hidden: u64, (program, params): (Program, u64)) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let executable = Executable::new(&program).map_err(|error| format!("{error:?}"))?;
    let compile = start.elapsed();
    let mut memory = Memory { params: AlignedBytes::new(params as usize), ..Memory::default() };
    memory.arena = AlignedBytes::new(program.arena_bytes as usize);
    for (number, element) in memory.arena.as_f32_mut().iter_mut().enumerate() {
        *element = (number % 1013) as f32 * 0.004 - 2.0;
    }
    let lengths = [700, 100, 1020, 276, 500, 500, 900, 100];
    let samples = lengths.iter().enumerate().map(|(key, length)| Sample { key: key as u64, lengths: vec![*length] });
    let batch = Batch { samples: samples.collect(), ..Batch::default() };
    let mut best = f64::INFINITY;
    for _ in 0..30 {
        let start = Instant::now();
        executable.run(&mut memory, &batch).map_err(|error| format!("{error:?}"))?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let elements = (TOKENS * hidden) as f64;
    let compile = compile.as_secs_f64() * 1e3;
    println!(
        "{name:12} [{TOKENS}, {hidden:5}]  {:6.2} Gelem/s  {:8.3} ms  compiled in {compile:.1} ms",
        elements / best * 1e-9,
        best * 1e3
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    for hidden in [320, 1280] {
        measure("bias + gelu", hidden, gelu(hidden))?;
        measure("layer norm", hidden, layer_norm(hidden))?;
        measure("softmax", hidden, softmax(hidden))?;
        measure("column sums", hidden, column_sum(hidden))?;
        measure("norm", hidden, norm(hidden))?;
        measure("rotary", hidden, rotary(hidden))?;
    }
    Ok(())
}
