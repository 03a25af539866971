//! Random small networks of the usual kinds: embeddings, norms, attention with rotary positions, gated layers, convolutions, pooling and
//! cross entropy. They hold the patterns that fusion looks for.

use mgx_ir::graph::{AxisId, BinaryOp, DType, NodeId, ReduceOp, SizeExpr, UnaryOp, Window};
use mgx_ir::plan::{InputData, Sample};

use super::{Case, Maker};

/// A random network on token ids and a class for each sample. Its outputs are `states` (per token), `logits`, `probabilities` and `loss`
/// (per sample).
pub fn network(seed: u64) -> Case {
    sized_network(seed, 1)
}

/// As [`network`], with widths and lengths up to `scale` times as large: for what only large sizes show. Its values are not kept in bounds.
pub fn sized_network(seed: u64, scale: u64) -> Case {
    let mut maker = Maker::new(seed);
    let count = 1 + maker.below(4);
    for _ in 0..count {
        let length = if maker.once_in(6) { 1 } else { 1 + maker.below(9 * scale) };
        let key = maker.below(1 << 40);
        maker.batch.samples.push(Sample { key, lengths: vec![length] });
    }
    let mut net = Net::new(&mut maker, scale);
    let mut x = net.embedding();
    for _ in 0..1 + net.maker.below(2) {
        x = net.layer(x);
    }
    let states = net.norm(x);
    let logits = net.classify(states);
    let shifted = net.shifted(logits, net.classes);
    let weights = net.unary(UnaryOp::Exp, shifted);
    let total = net.maker.builder.sum(weights, &[net.classes]);
    let probabilities = net.maker.builder.div(weights, total);
    let log_total = net.unary(UnaryOp::Log, total);
    let label = net.integers(&[], net.classes);
    let chosen = net.maker.builder.gather(shifted, net.classes, label);
    let loss = net.maker.builder.sub(log_total, chosen);
    for (name, node) in [("states", states), ("logits", logits), ("probabilities", probabilities), ("loss", loss)] {
        maker.builder.output(name, node);
    }
    Case { graph: maker.builder.finish(), params: maker.params, batch: maker.batch }
}

/// The axes of a network.
struct Net<'a> {
    maker: &'a mut Maker,
    seq: AxisId,
    vocab: AxisId,
    hidden: AxisId,
    heads: AxisId,
    dim: AxisId,
    wide: AxisId,
    classes: AxisId,
}

impl<'a> Net<'a> {
    fn new(maker: &'a mut Maker, scale: u64) -> Self {
        let length = maker.builder.length("n");
        let seq = maker.builder.ragged_axis("seq", SizeExpr::Length(length));
        let (heads, half) = (1 + maker.below(3), 1 + maker.below(3 * scale));
        let vocab = 3 + maker.below(5);
        let vocab = maker.builder.axis("vocab", vocab);
        let hidden = maker.builder.axis("hidden", heads * half * 2);
        let heads = maker.builder.axis("heads", heads);
        let dim = maker.builder.axis("dim", half * 2);
        let wide = 1 + maker.below(9 * scale);
        let wide = maker.builder.axis("wide", wide);
        let classes = 2 + maker.below(3);
        let classes = maker.builder.axis("classes", classes);
        Self { maker, seq, vocab, hidden, heads, dim, wide, classes }
    }

    fn unary(&mut self, op: UnaryOp, x: NodeId) -> NodeId {
        self.maker.builder.unary(op, x)
    }

    fn scaled(&mut self, x: NodeId, by: f64) -> NodeId {
        self.maker.builder.binary_const(BinaryOp::Mul, x, by)
    }

    fn param(&mut self, axes: &[AxisId]) -> NodeId {
        let count = axes.iter().map(|axis| self.maker.builder.graph.extent(*axis).eval(&[])).product::<u64>();
        let elements = (0..count).map(|_| f64::from((self.maker.random.uniform() * 2.0 - 1.0) as f32)).collect();
        let path = format!("param{}", self.maker.params.len());
        self.maker.params.push(elements);
        let id = self.maker.builder.declare_param(path, axes, true);
        self.maker.builder.param(id)
    }

    /// Positions along an axis, for each sample.
    fn integers(&mut self, axes: &[AxisId], along: AxisId) -> NodeId {
        let bound = self.maker.builder.graph.extent(along).eval(&[]);
        let elements = (0..self.maker.elements(axes)).map(|_| self.maker.below(bound) as i32).collect();
        let name = format!("input{}", self.maker.batch.inputs.len());
        self.maker.batch.inputs.insert(name.clone(), InputData::I32(elements));
        self.maker.builder.input(name, DType::I32, axes, true)
    }

    /// The same size under another name.
    fn twin(&mut self, axis: AxisId, name: &str) -> AxisId {
        let extent = self.maker.builder.graph.extent(axis).clone();
        self.maker.builder.graph.add_axis(name, extent)
    }

    fn embedding(&mut self) -> NodeId {
        let tokens = self.integers(&[self.seq], self.vocab);
        let table = self.param(&[self.vocab, self.hidden]);
        self.maker.builder.gather(table, self.vocab, tokens)
    }

    /// `x · weight + bias` from one axis to another.
    fn linear(&mut self, x: NodeId, from: AxisId, to: &[AxisId]) -> NodeId {
        let turned = self.maker.once_in(2);
        let axes = if turned { [&[from], to].concat() } else { [to, &[from]].concat() };
        let weight = self.param(&axes);
        let y = self.maker.builder.contract(x, weight, &[from], false);
        if self.maker.once_in(3) {
            return y;
        }
        let bias = self.param(to);
        self.maker.builder.add2(y, bias)
    }

    /// The mean over `hidden`.
    fn moment(&mut self, x: NodeId) -> NodeId {
        self.maker.builder.mean(x, &[self.hidden])
    }

    /// LayerNorm or RMSNorm, with weight and bias.
    fn norm(&mut self, x: NodeId) -> NodeId {
        let mut centred = x;
        if self.maker.once_in(2) {
            let mean = self.moment(x);
            centred = self.maker.builder.sub(x, mean);
        }
        let square = self.maker.builder.mul(centred, centred);
        let variance = self.moment(square);
        let variance = self.maker.builder.binary_const(BinaryOp::Add, variance, 0.1);
        let scale = self.unary(UnaryOp::Rsqrt, variance);
        let y = self.maker.builder.mul(centred, scale);
        let weight = self.param(&[self.hidden]);
        let y = self.maker.builder.mul(y, weight);
        let bias = self.param(&[self.hidden]);
        self.maker.builder.add2(y, bias)
    }

    /// Attention or a convolution, then a gated or plain pair of linear layers, each with its norm and its residual.
    fn layer(&mut self, x: NodeId) -> NodeId {
        let y = self.norm(x);
        let y = if self.maker.once_in(4) { self.convolution(y) } else { self.attention(y) };
        let y = if self.maker.once_in(3) { self.dropout(y) } else { y };
        let x = self.maker.builder.add2(x, y);
        let y = self.norm(x);
        let y = self.feed_forward(y);
        self.maker.builder.add2(x, y)
    }

    /// `x` where a random number is at least a quarter, made larger to keep the mean.
    fn dropout(&mut self, x: NodeId) -> NodeId {
        let axes = self.maker.axes(x);
        let site = self.maker.builder.graph.nodes.len() as u32;
        let draw = self.maker.builder.random(site, &axes, true);
        let kept = self.maker.builder.binary_const(BinaryOp::Ge, draw, 0.25);
        let larger = self.scaled(x, 1.0 / 0.75);
        let zero = self.maker.builder.constant(0.0);
        self.maker.builder.select(kept, larger, zero)
    }

    fn attention(&mut self, x: NodeId) -> NodeId {
        let key = self.twin(self.seq, "key");
        let split = self.maker.once_in(2);
        let [q, k, v] = [(); 3].map(|()| match split {
            true => {
                let width = self.twin(self.hidden, "width");
                let y = self.linear(x, self.hidden, &[width]);
                self.maker.builder.split(y, width, &[self.heads, self.dim])
            }
            false => self.linear(x, self.hidden, &[self.heads, self.dim]),
        });
        let (mut q, mut k) = (q, k);
        if self.maker.once_in(2) {
            q = self.rotary(q);
            k = self.rotary(k);
        }
        let [k, v] = [k, v].map(|y| self.maker.builder.rename(y, &[(self.seq, key)]));
        let y = self.maker.builder.attention([q, k, v], [self.seq, key, self.dim, self.dim], 0.6);
        let width = self.twin(self.hidden, "merged");
        let y = self.maker.builder.merge(y, &[self.heads, self.dim], width);
        self.linear(y, width, &[self.hidden])
    }

    /// `x · cos + (−x₂, x₁) · sin` with angles of position and frequency (Su et al. 2021), by halves.
    fn rotary(&mut self, x: NodeId) -> NodeId {
        let size = self.maker.builder.graph.extent(self.dim).eval(&[]) / 2;
        let half = self.maker.builder.axis("half", size);
        let b = &mut self.maker.builder;
        let first = b.slice(x, self.dim, half, SizeExpr::Const(0), 1);
        let second = b.slice(x, self.dim, half, SizeExpr::Const(size), 1);
        let negative = b.unary(UnaryOp::Neg, second);
        let turned = b.concat(&[(negative, half), (first, half)], self.dim);
        let positions = b.iota(self.seq);
        let positions = b.cast(positions, DType::F32);
        let frequencies = b.iota(half);
        let frequencies = b.cast(frequencies, DType::F32);
        let frequencies = b.binary_const(BinaryOp::Mul, frequencies, -0.7);
        let frequencies = b.unary(UnaryOp::Exp, frequencies);
        let angles = b.mul(positions, frequencies);
        let angles = b.concat(&[(angles, half), (angles, half)], self.dim);
        let (cos, sin) = (b.unary(UnaryOp::Cos, angles), b.unary(UnaryOp::Sin, angles));
        let (one, other) = (b.mul(x, cos), b.mul(turned, sin));
        b.add2(one, other)
    }

    /// A convolution of three taps along the sequence, keeping its length.
    fn convolution(&mut self, x: NodeId) -> NodeId {
        let dilation = 1 + self.maker.below(2);
        let tap = self.maker.builder.axis("tap", 3);
        let windows = self.twin(self.seq, "windows");
        let window = Window { stride: 1, dilation, before: dilation, fill: 0.0 };
        let y = self.maker.builder.window(x, self.seq, windows, tap, window);
        let width = self.twin(self.hidden, "channels");
        let weight = self.param(&[width, self.hidden, tap]);
        let y = self.maker.builder.contract(y, weight, &[self.hidden, tap], false);
        self.maker.builder.rename(y, &[(windows, self.seq), (width, self.hidden)])
    }

    fn feed_forward(&mut self, x: NodeId) -> NodeId {
        let up = self.linear(x, self.hidden, &[self.wide]);
        let y = match self.maker.below(3) {
            0 => self.gelu(up),
            1 => {
                let gate = self.linear(x, self.hidden, &[self.wide]);
                let gate = self.silu(gate);
                self.maker.builder.mul(gate, up)
            }
            _ => self.maker.builder.binary_const(BinaryOp::Max, up, 0.0),
        };
        self.linear(y, self.wide, &[self.hidden])
    }

    /// `½ x (1 + erf(x / √2))`.
    fn gelu(&mut self, x: NodeId) -> NodeId {
        let scaled = self.scaled(x, std::f64::consts::FRAC_1_SQRT_2);
        let erf = self.unary(UnaryOp::Erf, scaled);
        let share = self.maker.builder.binary_const(BinaryOp::Add, erf, 1.0);
        let half = self.scaled(x, 0.5);
        self.maker.builder.mul(half, share)
    }

    /// `x / (1 + exp(−x))`.
    fn silu(&mut self, x: NodeId) -> NodeId {
        let negative = self.unary(UnaryOp::Neg, x);
        let exp = self.unary(UnaryOp::Exp, negative);
        let below = self.maker.builder.binary_const(BinaryOp::Add, exp, 1.0);
        self.maker.builder.div(x, below)
    }

    /// Logits of the first token, or of the mean, the maximum or a weighted mean over the tokens.
    fn classify(&mut self, x: NodeId) -> NodeId {
        let pooled = match self.maker.below(4) {
            0 => {
                let one = self.maker.builder.axis("first", 1);
                let first = self.maker.builder.slice(x, self.seq, one, SizeExpr::Const(0), 1);
                self.maker.builder.sum(first, &[one])
            }
            1 => self.maker.builder.mean(x, &[self.seq]),
            2 => self.maker.builder.reduce(ReduceOp::Max, x, &[self.seq], false),
            _ => {
                let score = self.param(&[self.hidden]);
                let score = self.maker.builder.contract(x, score, &[self.hidden], false);
                let shifted = self.shifted(score, self.seq);
                let weight = self.unary(UnaryOp::Exp, shifted);
                let total = self.maker.builder.sum(weight, &[self.seq]);
                let share = self.maker.builder.div(weight, total);
                self.maker.builder.contract(share, x, &[self.seq], false)
            }
        };
        let logits = self.linear(pooled, self.hidden, &[self.classes]);
        self.unary(UnaryOp::Tanh, logits)
    }

    /// `x - max x` along an axis.
    fn shifted(&mut self, x: NodeId, axis: AxisId) -> NodeId {
        let greatest = self.maker.builder.reduce(ReduceOp::Max, x, &[axis], false);
        self.maker.builder.sub(x, greatest)
    }
}
