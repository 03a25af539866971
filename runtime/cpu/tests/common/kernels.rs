//! Programs of one fused step, as networks have them.

use mgx_ir::graph::{Axis, AxisId, BinaryOp, DType, Extent, LengthId, Op, ReduceOp, SizeExpr, Type, UnaryOp, Window};
use mgx_ir::plan::{
    Buffer, BufferId, FusedInput, FusedNode, FusedStep, Program, ProgramInput, ReduceSpace, Step, StepKind, Storage, Store,
};

pub const SEQ: AxisId = AxisId(0);
pub const HIDDEN: AxisId = AxisId(1);
pub const HALF: AxisId = AxisId(2);
pub const HEADS: AxisId = AxisId(3);
pub const DIM: AxisId = AxisId(4);

/// Most samples of a batch.
pub const MOST_SAMPLES: u64 = 16;

/// Tokens of the largest batch.
pub const TOKENS: u64 = 4096;

/// A program of one fused step, built node by node. Its axes: `seq` (ragged), `hidden`, `heads · dim = hidden` with `dim` of 16, and `half`
/// of `dim`.
pub struct Kernel {
    pub program: Program,
    pub step: FusedStep,
    /// Bytes of parameters.
    pub params: u64,
}

impl Kernel {
    pub fn new(hidden: u64, outer: &[AxisId], inner: &[AxisId], reduce: ReduceSpace) -> Self {
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

    pub fn buffer(&mut self, axes: &[AxisId], per_sample: bool, storage: Storage) -> BufferId {
        let ty = Type { dtype: DType::F32, axes: axes.to_vec(), per_sample };
        self.program.buffers.push(Buffer { name: format!("b{}", self.program.buffers.len()), ty, storage });
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    fn bytes(&self, axes: &[AxisId]) -> u64 {
        let extent = |axis: &AxisId| self.program.axes[axis.0 as usize].extent.as_static().unwrap_or(TOKENS);
        (axes.iter().map(extent).product::<u64>() * 4).next_multiple_of(64)
    }

    pub fn arena(&mut self, axes: &[AxisId]) -> BufferId {
        let (offset, bytes) = (self.program.arena_bytes, self.bytes(axes));
        self.program.arena_bytes += bytes;
        self.buffer(axes, true, Storage::Arena { offset, bytes })
    }

    pub fn param(&mut self, axes: &[AxisId]) -> BufferId {
        let offset = self.params;
        self.params += self.bytes(axes);
        self.buffer(axes, false, Storage::Param { offset })
    }

    pub fn node(&mut self, op: Option<Op>, inputs: Vec<FusedInput>, axes: &[AxisId], per_sample: bool) -> FusedInput {
        self.step.nodes.push(FusedNode { op, inputs, ty: Type { dtype: DType::F32, axes: axes.to_vec(), per_sample } });
        FusedInput::Node(self.step.nodes.len() as u32 - 1)
    }

    /// One more axis.
    pub fn axis(&mut self, name: &str, extent: Extent) -> AxisId {
        self.program.axes.push(Axis { name: name.into(), extent });
        AxisId(self.program.axes.len() as u32 - 1)
    }

    /// Room for `MOST_SAMPLES` samples of static axes.
    pub fn arena_per_sample(&mut self, axes: &[AxisId]) -> BufferId {
        let (offset, bytes) = (self.program.arena_bytes, self.bytes(axes) * MOST_SAMPLES);
        self.program.arena_bytes += bytes;
        self.buffer(axes, true, Storage::Arena { offset, bytes })
    }

    /// A node of another type than F32; per sample where it has axes that are ragged, or inputs that are.
    pub fn typed(&mut self, dtype: DType, op: Op, inputs: Vec<FusedInput>, axes: &[AxisId]) -> FusedInput {
        let ragged = axes.iter().any(|axis| self.program.axes[axis.0 as usize].extent.as_static().is_none());
        let ty = Type { dtype, axes: axes.to_vec(), per_sample: ragged };
        self.step.nodes.push(FusedNode { op: Some(op), inputs, ty });
        FusedInput::Node(self.step.nodes.len() as u32 - 1)
    }

    pub fn read(&mut self, buffer: BufferId) -> FusedInput {
        let ty = self.program.buffers[buffer.0 as usize].ty.clone();
        self.node(None, vec![FusedInput::Buffer(buffer)], &ty.axes, ty.per_sample)
    }

    pub fn constant(&mut self, value: f64) -> FusedInput {
        self.node(Some(Op::Const(value)), Vec::new(), &[], false)
    }

    pub fn unary(&mut self, op: UnaryOp, x: FusedInput, axes: &[AxisId]) -> FusedInput {
        self.node(Some(Op::Unary(op)), vec![x], axes, true)
    }

    pub fn binary(&mut self, op: BinaryOp, x: FusedInput, y: FusedInput, axes: &[AxisId]) -> FusedInput {
        self.node(Some(Op::Binary(op)), vec![x, y], axes, true)
    }

    pub fn sum(&mut self, x: FusedInput, over: &[AxisId], axes: &[AxisId], batch: bool) -> FusedInput {
        let op = Op::Reduce { op: ReduceOp::Sum, over: over.to_vec(), batch };
        self.node(Some(op), vec![x], axes, !batch)
    }

    pub fn store(&mut self, node: FusedInput, buffer: BufferId) {
        if let FusedInput::Node(node) = node {
            self.step.stores.push(Store { node, buffer, accumulate: false });
        }
    }

    pub fn finish(mut self) -> (Program, u64) {
        for (number, store) in self.step.stores.iter().enumerate() {
            self.program.outputs.push(ProgramInput { name: format!("out{number}"), buffer: store.buffer });
        }
        self.program.steps.push(Step { kind: StepKind::Fused(self.step), spans: Vec::new() });
        (self.program, self.params)
    }
}

pub fn gelu(hidden: u64) -> (Program, u64) {
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

pub fn layer_norm(hidden: u64) -> (Program, u64) {
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

pub fn softmax(hidden: u64) -> (Program, u64) {
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

pub fn column_sum(hidden: u64) -> (Program, u64) {
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

pub fn norm(hidden: u64) -> (Program, u64) {
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
pub fn rotary(hidden: u64) -> (Program, u64) {
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

/// `Σ over seq` of softmax-weighted values for each sample: reductions that build on each other, over rows of one sample.
pub fn weighted_pool(hidden: u64) -> (Program, u64) {
    let full = [SEQ, HIDDEN];
    let mut k = Kernel::new(hidden, &[SEQ], &[HIDDEN], ReduceSpace::Outer { batch: false });
    let x = k.arena(&full);
    let x = k.read(x);
    let largest = k.node(Some(Op::Reduce { op: ReduceOp::Max, over: vec![SEQ], batch: false }), vec![x], &[HIDDEN], true);
    let shifted = k.binary(BinaryOp::Sub, x, largest, &full);
    let exp = k.unary(UnaryOp::Exp, shifted, &full);
    let weighted = k.binary(BinaryOp::Mul, exp, x, &full);
    let (sum, total) = (k.sum(exp, &[SEQ], &[HIDDEN], false), k.sum(weighted, &[SEQ], &[HIDDEN], false));
    let y = k.binary(BinaryOp::Div, total, sum, &[HIDDEN]);
    let out = k.arena_per_sample(&[HIDDEN]);
    k.store(y, out);
    k.finish()
}

/// Dropout of a sum that is stored too, with an index and comparisons.
pub fn dropout(hidden: u64) -> (Program, u64) {
    let full = [SEQ, HIDDEN];
    let mut k = Kernel::new(hidden, &full, &[], ReduceSpace::None);
    let (x, y) = (k.arena(&full), k.arena(&full));
    let (x, y) = (k.read(x), k.read(y));
    let sum = k.binary(BinaryOp::Add, x, y, &full);
    let random = k.node(Some(Op::Random { site: 3 }), Vec::new(), &full, true);
    let rate = k.constant(0.3);
    let keep = k.typed(DType::Bool, Op::Binary(BinaryOp::Ge), vec![random, rate], &full);
    let position = k.typed(DType::I32, Op::Iota(SEQ), Vec::new(), &[SEQ]);
    let column = k.typed(DType::I32, Op::Iota(HIDDEN), Vec::new(), &[HIDDEN]);
    let lower = k.typed(DType::Bool, Op::Binary(BinaryOp::Le), vec![column, position], &full);
    let both = k.typed(DType::Bool, Op::Binary(BinaryOp::And), vec![keep, lower], &full);
    let zero = k.constant(0.0);
    let kept = k.node(Some(Op::Select), vec![both, sum, zero], &full, true);
    let (out, stored) = (k.arena(&full), k.arena(&full));
    k.store(kept, out);
    k.store(sum, stored);
    k.finish()
}

/// The windows of three positions around each, with zeros outside: what a convolution multiplies.
pub fn windows(hidden: u64) -> (Program, u64) {
    let mut k = Kernel::new(hidden, &[SEQ], &[], ReduceSpace::None);
    let (centre, tap) = (k.axis("centre", Extent::Ragged(SizeExpr::Length(LengthId(0)))), k.axis("tap", Extent::Static(3)));
    let full = [centre, tap, HIDDEN];
    k.step.outer = full.to_vec();
    let x = k.arena(&[SEQ, HIDDEN]);
    let x = k.read(x);
    let window = Window { stride: 1, dilation: 2, before: 2, fill: 0.25 };
    let windows = k.node(Some(Op::Window { axis: SEQ, into: centre, tap, window }), vec![x], &full, true);
    let y = k.unary(UnaryOp::Tanh, windows, &full);
    let out = k.arena(&full);
    k.store(y, out);
    k.finish()
}

/// The transpose of [`windows`], with eight taps.
pub fn folded(hidden: u64) -> (Program, u64) {
    let mut k = Kernel::new(hidden, &[SEQ, HIDDEN], &[], ReduceSpace::None);
    let (centre, tap) = (k.axis("centre", Extent::Ragged(SizeExpr::Length(LengthId(0)))), k.axis("tap", Extent::Static(8)));
    let x = k.arena(&[centre, tap, HIDDEN]);
    let x = k.read(x);
    let window = Window { stride: 2, dilation: 1, before: 3, fill: 0.0 };
    let y = k.node(Some(Op::Fold { into: centre, tap, axis: SEQ, window }), vec![x], &[SEQ, HIDDEN], true);
    let out = k.arena(&[SEQ, HIDDEN]);
    k.store(y, out);
    k.finish()
}

/// Parts of 5 and the rest joined along the columns, padded and scaled: conditions along the vectors.
pub fn joined(hidden: u64) -> (Program, u64) {
    let mut k = Kernel::new(hidden, &[], &[], ReduceSpace::None);
    let (five, wide, padded) =
        (k.axis("five", Extent::Static(5)), k.axis("wide", Extent::Static(hidden + 5)), k.axis("padded", Extent::Static(hidden + 16)));
    let full = [SEQ, padded];
    k.step.outer = full.to_vec();
    let (x, y, scale) = (k.arena(&[SEQ, five]), k.arena(&[SEQ, HIDDEN]), k.param(&[padded]));
    let (x, y, scale) = (k.read(x), k.read(y), k.read(scale));
    let exp = k.unary(UnaryOp::Exp, x, &[SEQ, five]);
    let joined = k.node(Some(Op::Concat { axes: vec![five, HIDDEN], into: wide }), vec![exp, y], &[SEQ, wide], true);
    let padding = Op::Pad { axis: wide, into: padded, before: SizeExpr::Const(7), fill: -1.0 };
    let y = k.node(Some(padding), vec![joined], &full, true);
    let y = k.binary(BinaryOp::Mul, y, scale, &full);
    let out = k.arena(&full);
    k.store(y, out);
    k.finish()
}

/// Stored in the other order of axes, with an integer quotient on the way.
pub fn transposed(hidden: u64) -> (Program, u64) {
    let mut k = Kernel::new(hidden, &[HIDDEN, SEQ], &[], ReduceSpace::None);
    let x = k.arena(&[SEQ, HIDDEN]);
    let x = k.read(x);
    let factor = k.constant(1000.0);
    let large = k.binary(BinaryOp::Mul, x, factor, &[SEQ, HIDDEN]);
    let number = k.typed(DType::I32, Op::Cast, vec![large], &[SEQ, HIDDEN]);
    let seven = k.typed(DType::I32, Op::Const(-7.0), Vec::new(), &[]);
    let quotient = k.typed(DType::I32, Op::Binary(BinaryOp::Div), vec![number, seven], &[SEQ, HIDDEN]);
    let rest = k.typed(DType::I32, Op::Binary(BinaryOp::Rem), vec![number, seven], &[SEQ, HIDDEN]);
    let both = k.typed(DType::I32, Op::Binary(BinaryOp::Add), vec![quotient, rest], &[SEQ, HIDDEN]);
    let y = k.node(Some(Op::Cast), vec![both], &[SEQ, HIDDEN], true);
    let y = k.binary(BinaryOp::Add, y, x, &[SEQ, HIDDEN]);
    let out = k.arena(&[HIDDEN, SEQ]);
    k.store(y, out);
    k.finish()
}

/// Cross entropy of rows of logits and the gradient of it: rows with results of both kinds.
pub fn cross_entropy(hidden: u64) -> (Program, u64) {
    use BinaryOp::{Add, Div, Sub};
    let full = [SEQ, HIDDEN];
    let mut k = Kernel::new(hidden, &[SEQ], &[HIDDEN], ReduceSpace::Inner);
    let x = k.arena(&full);
    let x = k.read(x);
    let (position, modulus) =
        (k.typed(DType::I32, Op::Iota(SEQ), Vec::new(), &[SEQ]), k.typed(DType::I32, Op::Const(hidden as f64), Vec::new(), &[]));
    let label = k.typed(DType::I32, Op::Binary(BinaryOp::Rem), vec![position, modulus], &[SEQ]);
    let largest = k.node(Some(Op::Reduce { op: ReduceOp::Max, over: vec![HIDDEN], batch: false }), vec![x], &[SEQ], true);
    let shifted = k.binary(Sub, x, largest, &full);
    let exp = k.unary(UnaryOp::Exp, shifted, &full);
    let sum = k.sum(exp, &[HIDDEN], &[SEQ], false);
    let log = k.unary(UnaryOp::Log, sum, &[SEQ]);
    let log = k.binary(Add, log, largest, &[SEQ]);
    let column = k.typed(DType::I32, Op::Iota(HIDDEN), Vec::new(), &[HIDDEN]);
    let hit = k.typed(DType::Bool, Op::Binary(BinaryOp::Eq), vec![column, label], &full);
    let hit = k.node(Some(Op::Cast), vec![hit], &full, true);
    let zero = k.constant(0.0);
    let is_label = k.typed(DType::Bool, Op::Binary(BinaryOp::Gt), vec![hit, zero], &full);
    let chosen = k.node(Some(Op::Select), vec![is_label, x, zero], &full, true);
    let own = k.sum(chosen, &[HIDDEN], &[SEQ], false);
    let loss = k.binary(Sub, log, own, &[SEQ]);
    let probability = k.binary(Div, exp, sum, &full);
    let gradient = k.binary(Sub, probability, hit, &full);
    let (out, losses) = (k.arena(&full), k.arena(&[SEQ]));
    k.store(gradient, out);
    k.store(loss, losses);
    k.finish()
}

/// Rows of a table by an index computed from the position; positions beyond the table read 0.
pub fn embedding(hidden: u64) -> (Program, u64) {
    let full = [SEQ, HIDDEN];
    let mut k = Kernel::new(hidden, &full, &[], ReduceSpace::None);
    let rows = k.axis("rows", Extent::Static(40));
    let table = k.param(&[rows, HIDDEN]);
    let table = k.read(table);
    let position = k.typed(DType::I32, Op::Iota(SEQ), Vec::new(), &[SEQ]);
    let three = k.typed(DType::I32, Op::Const(3.0), Vec::new(), &[]);
    let index = k.typed(DType::I32, Op::Binary(BinaryOp::Sub), vec![position, three], &[SEQ]);
    let y = k.node(Some(Op::Gather { axis: rows }), vec![table, index], &full, true);
    let y = k.unary(UnaryOp::Sin, y, &full);
    let out = k.arena(&full);
    k.store(y, out);
    k.finish()
}
