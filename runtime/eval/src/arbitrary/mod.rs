//! Random well-formed graphs with parameters and a batch, for property tests: a case is a function of its seed and size.
//!
//! A case's values are benign: finite, of small magnitude, and away from where a rounding error would change a comparison, so that a
//! right implementation in f32 agrees with the f64 evaluator within a small tolerance.

mod combine;
mod elementwise;
mod minimal;
mod moves;
mod network;
mod program;
mod sources;

use mgx_ir::graph::{Axis, AxisId, DType, Extent, Graph, GraphBuilder, NodeId, ReduceOp, SizeExpr};
use mgx_ir::plan::{Batch, InputData, Sample};
use mgx_ir::random::Stream;

use crate::graph::{Values, eval_more};

pub use minimal::minimal;
pub use network::{network, sized_network};
pub use program::plain_program;

/// A graph with what it is evaluated on.
#[derive(Clone, Debug)]
pub struct Case {
    pub graph: Graph,
    /// The elements of each parameter.
    pub params: Vec<Vec<f64>>,
    pub batch: Batch,
}

impl Case {
    /// The batch that holds sample `number` of the case's batch alone.
    ///
    /// # Panics
    /// Where there is no such sample.
    pub fn single(&self, number: usize) -> Batch {
        single_sample(&self.graph, &self.batch, number)
    }

    /// Which nodes depend on their own sample alone, or on none: what they are does not change with the rest of the batch.
    pub fn independent(&self) -> Vec<bool> {
        let mut independent: Vec<bool> = Vec::with_capacity(self.graph.nodes.len());
        for node in &self.graph.nodes {
            let over_batch = !node.ty.per_sample && node.inputs.iter().any(|input| self.graph.ty(*input).per_sample);
            independent.push(!over_batch && node.inputs.iter().all(|input| independent[input.0 as usize]));
        }
        independent
    }

    /// The values of the case's graph that are outputs, as (name, node).
    pub fn outputs(&self) -> impl Iterator<Item = (&str, NodeId)> {
        self.graph.outputs.iter().map(|output| (output.name.as_str(), output.node))
    }
}

/// The batch that holds one sample of a batch alone, with its part of each per-sample input of the graph.
///
/// # Panics
/// Where the batch has no such sample or its inputs do not fit the graph.
pub fn single_sample(graph: &Graph, batch: &Batch, number: usize) -> Batch {
    let mut alone = Batch { samples: vec![batch.samples[number].clone()], ..batch.clone() };
    for node in &graph.nodes {
        let mgx_ir::graph::Op::Input { name } = &node.op else { continue };
        if node.ty.per_sample {
            let size =
                |sample: &Sample| node.ty.axes.iter().map(|axis| graph.extent(*axis).eval(&sample.lengths)).product::<u64>() as usize;
            let start: usize = batch.samples[..number].iter().map(size).sum();
            let range = start..start + size(&batch.samples[number]);
            let own = match &batch.inputs[name] {
                InputData::F32(values) => InputData::F32(values[range].to_vec()),
                InputData::I32(values) => InputData::I32(values[range].to_vec()),
            };
            alone.inputs.insert(name.clone(), own);
        }
    }
    alone
}

/// The greatest magnitude of a float.
const LARGEST: f64 = 12.0;
/// How near to a jump of a function a float may be.
const MARGIN: f64 = 1e-3;
/// The most elements of a value over the whole batch, and the most terms that an operation may sum over all its elements.
const MOST_ELEMENTS: u64 = 1500;
const MOST_TERMS: u64 = 20_000;

/// A random case with about `size` operations besides its sources. The outputs are what nothing else uses, and for some of those that are
/// per sample, sums over the batch.
pub fn case(seed: u64, size: usize) -> Case {
    let mut maker = Maker::new(seed);
    sources::all(&mut maker);
    let mut made = 0;
    for _ in 0..size * 20 {
        if made == size {
            break;
        }
        made += usize::from(maker.attempt());
    }
    maker.finish()
}

/// A case being made: the graph, and the values of its nodes as far as it is.
struct Maker {
    random: Stream,
    builder: GraphBuilder,
    params: Vec<Vec<f64>>,
    batch: Batch,
    values: Values,
    /// What operations take their operands from.
    pool: Vec<NodeId>,
}

impl Maker {
    fn new(seed: u64) -> Self {
        Self {
            random: Stream::new(mgx_ir::random::derive_name(seed, "arbitrary graph")),
            builder: GraphBuilder::new(),
            params: Vec::new(),
            batch: Batch { random: seed, ..Batch::default() },
            values: Values::default(),
            pool: Vec::new(),
        }
    }

    /// Uniform in `0..bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// True once in `times`.
    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of some, if there are any.
    fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        if items.is_empty() { None } else { Some(items[self.below(items.len() as u64) as usize].clone()) }
    }

    /// A value of an element type that satisfies a condition; newer ones are more likely.
    fn value(&mut self, dtype: DType, fits: impl Fn(&Graph, NodeId) -> bool) -> Option<NodeId> {
        let graph = &self.builder.graph;
        let fitting: Vec<NodeId> = self.pool.iter().copied().filter(|id| graph.ty(*id).dtype == dtype && fits(graph, *id)).collect();
        let newest = &fitting[fitting.len() - fitting.len().min(8)..];
        if self.once_in(2) { self.pick(newest) } else { self.pick(&fitting) }
    }

    /// Any F32 value.
    fn float(&mut self) -> Option<NodeId> {
        self.value(DType::F32, |_, _| true)
    }

    fn axes(&self, id: NodeId) -> Vec<AxisId> {
        self.builder.ty(id).axes.clone()
    }

    fn per_sample(&self, id: NodeId) -> bool {
        self.builder.ty(id).per_sample
    }

    fn expr(&self, axis: AxisId) -> SizeExpr {
        self.builder.graph.extent(axis).to_expr()
    }

    fn is_static(&self, axis: AxisId) -> bool {
        self.builder.graph.extent(axis).as_static().is_some()
    }

    /// An axis of this extent: one that is there and not among `taken`, or a new one.
    fn axis_like(&mut self, extent: Extent, taken: &[AxisId]) -> AxisId {
        let all = self.builder.graph.axes.iter().enumerate();
        let free: Vec<AxisId> = all
            .filter(|(_, axis)| axis.extent == extent)
            .map(|(number, _)| AxisId(number as u32))
            .filter(|axis| !taken.contains(axis))
            .collect();
        match self.pick(&free) {
            Some(axis) if !self.once_in(3) => axis,
            _ => {
                let name = format!("axis{}", self.builder.graph.axes.len());
                self.builder.graph.axes.push(Axis { name, extent });
                AxisId(self.builder.graph.axes.len() as u32 - 1)
            }
        }
    }

    /// An axis whose extent is an expression; a static one where the expression is a constant.
    fn axis_of(&mut self, expr: SizeExpr, taken: &[AxisId]) -> AxisId {
        let extent = match expr {
            SizeExpr::Const(size) => Extent::Static(size),
            expr => Extent::Ragged(expr),
        };
        self.axis_like(extent, taken)
    }

    /// How many elements axes have over the batch.
    fn elements(&self, axes: &[AxisId]) -> u64 {
        let size = |sample: &Sample| axes.iter().map(|axis| self.builder.graph.extent(*axis).eval(&sample.lengths)).product::<u64>();
        self.batch.samples.iter().map(size).sum()
    }

    /// All elements of a value.
    fn flat(&self, id: NodeId) -> Vec<f64> {
        self.values.get(id).flatten()
    }

    /// Evaluates what has been added since.
    fn evaluate(&mut self) {
        eval_more(&self.builder.graph, &mut self.values, &self.params, &self.batch);
    }

    /// Tries one random operation, and takes it back if it does not fit or its value is no good.
    fn attempt(&mut self) -> bool {
        let before = self.builder.graph.nodes.len();
        let made = match self.below(24) {
            0..6 => elementwise::any(self),
            6..14 => moves::any(self),
            14..24 => combine::any(self),
            _ => None,
        };
        let taken = made.and_then(|node| self.tame(node));
        match taken {
            Some(node) => {
                self.pool.push(node);
                true
            }
            None => {
                self.builder.graph.nodes.truncate(before);
                self.values.truncate(before);
                false
            }
        }
    }

    /// The value, or one made of it, if its size and numbers are benign.
    fn tame(&mut self, node: NodeId) -> Option<NodeId> {
        let graph = &self.builder.graph;
        let fresh = self.values.len()..graph.nodes.len();
        let sizes = fresh.map(|number| self.elements(&graph.nodes[number].ty.axes));
        if sizes.max().unwrap_or(0) > MOST_ELEMENTS || graph.ty(node).axes.len() > 5 {
            return None;
        }
        self.evaluate();
        let values = self.flat(node);
        if self.builder.ty(node).dtype != DType::F32 {
            return values.iter().all(|value| value.abs() < 1e6).then_some(node);
        }
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        if largest <= LARGEST {
            return Some(node);
        }
        let small = elementwise::squash(self, node, largest);
        self.evaluate();
        Some(small)
    }

    /// Declares the outputs.
    fn finish(mut self) -> Case {
        let mut used = vec![false; self.builder.graph.nodes.len()];
        for node in &self.builder.graph.nodes {
            for input in &node.inputs {
                used[input.0 as usize] = true;
            }
        }
        let unused = |id: &NodeId| !used[id.0 as usize] && self.builder.ty(*id).dtype != DType::Bool;
        let results: Vec<NodeId> = self.pool.iter().copied().filter(unused).rev().take(6).collect();
        for (number, node) in results.into_iter().enumerate() {
            self.builder.output(format!("out{number}"), node);
            let axes = self.axes(node);
            let summable = self.builder.ty(node).dtype == DType::F32 && self.per_sample(node);
            if summable && self.once_in(2) {
                let ragged: Vec<AxisId> = axes.into_iter().filter(|axis| !self.is_static(*axis)).collect();
                let sum = self.builder.reduce(ReduceOp::Sum, node, &ragged, true);
                self.builder.output(format!("total{number}"), sum);
            }
        }
        Case { graph: self.builder.finish(), params: self.params, batch: self.batch }
    }
}
