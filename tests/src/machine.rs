//! Runs graphs: compiled for the CPU backend, and on the reference evaluator.

use std::collections::BTreeMap;

use mgx_compiler::passes::lower::{LowerOptions, lower};
use mgx_compiler::passes::{gradient, round_products, simplify};
use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_eval::{Value, eval_graph};
use mgx_ir::graph::{DType, Graph, GraphBuilder, NodeId, Op, Output, ParamId, ReduceOp};
use mgx_ir::plan::{Batch, InputData};

use crate::network::Network;
use crate::{Outcome, shown};

/// The scalar input that multiplies the loss.
pub const SCALE: &str = "loss_scale";
/// The output that is the batch's loss, where there is one: the sum of the samples' losses, times the scale.
pub const LOSS: &str = "loss";

/// What is to be computed of a network.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Values by name.
    pub outputs: Vec<(String, NodeId)>,
    /// The loss of a sample, a number: the gradients of all trainable parameters are computed.
    pub loss: Option<NodeId>,
    /// Values whose gradients are outputs, by the name of the output.
    pub gradients: Vec<(String, NodeId)>,
    /// In mixed precision?
    pub mixed: bool,
}

/// Results of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// By name, the elements of each sample; one list where the value is not per sample.
    pub outputs: BTreeMap<String, Vec<Vec<f64>>>,
    /// By the index of the parameter, in the order of its axes.
    pub gradients: BTreeMap<usize, Vec<f64>>,
}

impl Results {
    /// The elements of an output for each sample.
    ///
    /// # Errors
    /// Where there is no such output.
    pub fn output(&self, name: &str) -> Outcome<&[Vec<f64>]> {
        self.outputs.get(name).map(Vec::as_slice).ok_or_else(|| format!("no output `{name}` was computed"))
    }

    /// The batch's loss.
    ///
    /// # Errors
    /// Where none was computed.
    pub fn loss(&self) -> Outcome<f64> {
        self.output(LOSS)?.first().and_then(|values| values.first().copied()).ok_or_else(|| "the loss has no element".to_owned())
    }
}

/// A request, compiled.
pub struct Machine {
    /// Outputs and gradients as they were asked for, before the clean-up.
    graph: Graph,
    outputs: Vec<(String, NodeId)>,
    gradients: Vec<(ParamId, NodeId)>,
    executable: Executable,
    arena_bytes: u64,
    gradient_bytes: u64,
}

impl Machine {
    /// Compiles a request for batches up to these.
    ///
    /// # Errors
    /// What the compiler or the backend refuses.
    pub fn compile(network: &Network, graph: Graph, request: &Request, batches: &[&Batch]) -> Outcome<Self> {
        let mut graph = graph;
        graph.outputs.clear();
        let mut outputs = request.outputs.clone();
        let mut gradients = Vec::new();
        if let Some(loss) = request.loss {
            let scale;
            (graph, scale) = with_loss(graph, loss, &mut outputs);
            let params = first_reads(&graph);
            let wrt: Vec<NodeId> = params.iter().map(|(_, node)| *node).chain(request.gradients.iter().map(|(_, node)| *node)).collect();
            let found = gradient(&mut graph, &[(loss, scale)], &wrt).map_err(|diagnostic| shown(&diagnostic))?;
            let (of_params, of_values) = found.split_at(params.len());
            gradients = params.iter().zip(of_params).filter_map(|((param, _), node)| Some((*param, (*node)?))).collect();
            for ((name, _), node) in request.gradients.iter().zip(of_values) {
                outputs.push((name.clone(), node.ok_or_else(|| format!("the loss does not depend on `{name}`"))?));
            }
        }
        if request.mixed {
            let places = round_products(&mut graph);
            for node in outputs.iter_mut().map(|(_, node)| node).chain(gradients.iter_mut().map(|(_, node)| node)) {
                *node = places[node.0 as usize];
            }
        }
        graph.outputs = outputs.iter().map(|(name, node)| Output { name: name.clone(), node: *node }).collect();
        let (program, gradient_bytes) = lowered(network, &graph, &gradients, batches)?;
        let executable = Executable::new(&program).map_err(|diagnostic| shown(&diagnostic))?;
        Ok(Self { graph, outputs, gradients, executable, arena_bytes: program.arena_bytes, gradient_bytes })
    }

    /// Runs a batch on the CPU backend. The arena is full of NaN before.
    ///
    /// # Errors
    /// What the backend refuses.
    pub fn run(&self, network: &Network, batch: &Batch) -> Outcome<Results> {
        let mut arena = AlignedBytes::new(self.arena_bytes as usize);
        arena.fill(0xFF);
        let gradients = AlignedBytes::new(self.gradient_bytes as usize);
        let mut memory = Memory { params: network.memory.clone(), gradients, state: Vec::new(), arena };
        self.executable.run(&mut memory, batch).map_err(|diagnostic| shown(&diagnostic))?;
        let mut results = Results::default();
        for (name, node) in &self.outputs {
            let data = self.executable.output(&memory, batch, name).map_err(|diagnostic| shown(&diagnostic))?;
            results.outputs.insert(name.clone(), self.by_sample(*node, batch, &elements(&data))?);
        }
        for (param, _) in &self.gradients {
            let spec = &network.params[param.0 as usize];
            let start = spec.offset as usize / 4;
            let own = &memory.gradients.as_f32()[start..start + spec.elements() as usize];
            results.gradients.insert(param.0 as usize, own.iter().map(|value| f64::from(*value)).collect());
        }
        Ok(results)
    }

    /// Evaluates a batch in f64, on the graph before it was cleaned up and lowered.
    pub fn evaluate(&self, network: &Network, batch: &Batch) -> Results {
        let values = eval_graph(&self.graph, &network.values(), batch);
        let lists = |value: &Value| value.tensors().iter().map(|tensor| tensor.data.clone()).collect();
        let outputs = self.outputs.iter().map(|(name, node)| (name.clone(), lists(values.get(*node)))).collect();
        let of_param = |(param, node): &(ParamId, NodeId)| {
            let axes = &self.graph.params[param.0 as usize].axes;
            (param.0 as usize, values.get(*node).of_sample(0).permuted(axes).data)
        };
        Results { outputs, gradients: self.gradients.iter().map(of_param).collect() }
    }

    /// The elements of a value for each sample.
    fn by_sample(&self, node: NodeId, batch: &Batch, all: &[f64]) -> Outcome<Vec<Vec<f64>>> {
        let ty = self.graph.ty(node);
        if !ty.per_sample {
            return Ok(vec![all.to_vec()]);
        }
        let mut rest = all;
        let mut lists = Vec::new();
        for sample in &batch.samples {
            let count: u64 = ty.axes.iter().map(|axis| self.graph.extent(*axis).eval(&sample.lengths)).product();
            let (own, after) = rest.split_at_checked(count as usize).ok_or("an output has too few elements")?;
            lists.push(own.to_vec());
            rest = after;
        }
        if rest.is_empty() { Ok(lists) } else { Err(format!("an output has {} elements too many", rest.len())) }
    }
}

/// Adds the batch's loss; gives the graph and the scale.
fn with_loss(graph: Graph, loss: NodeId, outputs: &mut Vec<(String, NodeId)>) -> (Graph, NodeId) {
    let mut builder = GraphBuilder::from_graph(graph);
    let scale = builder.input(SCALE, DType::F32, &[], false);
    let scaled = builder.mul(loss, scale);
    outputs.push((LOSS.to_owned(), builder.reduce(ReduceOp::Sum, scaled, &[], true)));
    (builder.finish(), scale)
}

/// Each trainable parameter with the first node that reads it.
fn first_reads(graph: &Graph) -> Vec<(ParamId, NodeId)> {
    let mut nodes = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        if let Op::Param(id) = node.op
            && graph.params[id.0 as usize].trainable
        {
            nodes.entry(id).or_insert(NodeId(index as u32));
        }
    }
    nodes.into_iter().collect()
}

/// Cleans a graph up and lowers it; gives the program and the size of the gradient memory.
fn lowered(network: &Network, graph: &Graph, gradients: &[(ParamId, NodeId)], batches: &[&Batch]) -> Outcome<(mgx_ir::plan::Program, u64)> {
    let mut graph = graph.clone();
    let keep: Vec<NodeId> = gradients.iter().map(|(_, node)| *node).collect();
    let places = simplify(&mut graph, &keep);
    let moved = |(param, node): &(ParamId, NodeId)| places[node.0 as usize].map(|node| (*param, node));
    let gradients: Vec<(ParamId, NodeId)> = gradients.iter().map(moved).collect::<Option<_>>().ok_or("a gradient was cleaned away")?;
    let offsets: Vec<u64> = network.params.iter().map(|param| param.offset).collect();
    let capacity: Vec<Vec<Vec<u64>>> =
        batches.iter().map(|batch| batch.samples.iter().map(|sample| sample.lengths.clone()).collect()).collect();
    let options = LowerOptions { params: &offsets, gradients: &gradients, capacity: &capacity, ..LowerOptions::default() };
    let program = lower(&graph, &options);
    let ends = network.params.iter().filter(|param| param.trainable).map(|param| param.offset + 4 * param.elements());
    Ok((program, ends.max().unwrap_or(0)))
}

fn elements(data: &InputData) -> Vec<f64> {
    match data {
        InputData::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        InputData::I32(values) => values.iter().map(|value| f64::from(*value)).collect(),
    }
}

/// Losses that recorded gradients are of.
pub mod losses {
    use super::{Graph, GraphBuilder, NodeId, ReduceOp};
    use mgx_ir::graph::UnaryOp;

    /// Adds the sum of the squares of a value's elements.
    pub fn squares(graph: Graph, x: NodeId) -> (Graph, NodeId) {
        let mut b = GraphBuilder::from_graph(graph);
        let axes = b.ty(x).axes.clone();
        let square = b.mul(x, x);
        let loss = b.sum(square, &axes);
        (b.finish(), loss)
    }

    /// Adds the sum over all positions of the cross entropy of logits [.., classes] against class numbers [..].
    pub fn cross_entropy(graph: Graph, logits: NodeId, target: NodeId) -> (Graph, NodeId) {
        let mut b = GraphBuilder::from_graph(graph);
        let positions = b.ty(target).axes.clone();
        let classes = b.ty(logits).axes.iter().copied().filter(|axis| !positions.contains(axis)).collect::<Vec<_>>();
        let greatest = b.reduce(ReduceOp::Max, logits, &classes, false);
        let centred = b.sub(logits, greatest);
        let exponentials = b.unary(UnaryOp::Exp, centred);
        let sum = b.sum(exponentials, &classes);
        let log = b.unary(UnaryOp::Log, sum);
        let own = b.gather(centred, classes[0], target);
        let entropy = b.sub(log, own);
        let loss = b.sum(entropy, &positions);
        (b.finish(), loss)
    }
}
