//! The plan of an experiment: its programs for training, evaluation and prediction, with everything the runtime needs around them.

mod frozen;
mod optimizer;
mod summary;

pub use summary::{Summary, summarize};

use std::collections::{BTreeMap, BTreeSet};

use mgx_diag::Diagnostic;
use mgx_ir::graph::{BinaryOp, DType, Graph, GraphBuilder, NodeId, Op, Output, ParamId, ReduceOp};
use mgx_ir::plan::{
    AdapterSpec, InputSpec, Memory, OptimizerSpec, PLAN_VERSION, ParamSpec, Plan, Precision, Program, Storage, TrainSpec, WeightsSpec,
};

use crate::check::{Adapter, Elaborated, Network, ParamInfo, TrainSettings};
use crate::passes::lower::{LowerOptions, lower};
use crate::passes::{differentiate, recompute, round_products, simplify};
use optimizer::Group;

/// Parameters and their gradients begin at multiples of this many bytes.
const ALIGNMENT: u64 = 64;

/// The largest batches: for each, the lengths of each sample.
pub type Capacity = [Vec<Vec<u64>>];

/// Makes the plan. `evaluation` is the experiment without dropout, `training` with it, where it trains.
///
/// # Errors
/// `E0600` where something on the way to the loss has no gradient.
pub fn build(evaluation: &Elaborated, training: Option<&Elaborated>, capacity: &Capacity) -> Result<Plan, Diagnostic> {
    let (params, groups, param_bytes) = place_params(evaluation);
    let trainable_bytes = groups.last().map_or(0, |group| group.end);
    let offsets: Vec<u64> = params.iter().map(|param| param.offset).collect();
    let bf16: Vec<bool> = params.iter().map(|param| param.precision == Precision::Bf16).collect();
    let memory = LowerOptions { params: &offsets, bf16: &bf16, capacity, ..LowerOptions::default() };
    let parts = training.and_then(|training| frozen::part(evaluation, training, &memory));
    let (evaluation, training) = match &parts {
        Some(parts) => (&parts.evaluation, Some(&parts.training)),
        None => (evaluation, training),
    };
    let mut plan = Plan {
        version: PLAN_VERSION,
        name: evaluation.name.clone(),
        seed: evaluation.seed,
        data: evaluation.data.clone(),
        tokenizers: evaluation.tokenizers.clone(),
        lengths: evaluation.lengths.clone(),
        inputs: evaluation.inputs.clone(),
        params,
        fits: evaluation.fits.clone(),
        weights: evaluation.networks.iter().map(weights).collect(),
        adapters: evaluation.adapters.iter().map(adapter).collect(),
        gradient: None,
        optimizer: None,
        evaluate: None,
        predict: output_program(evaluation, false, &memory),
        frozen: parts.as_ref().map(|parts| parts.spec.clone()),
        start: (!evaluation.starts.is_empty()).then(|| start_program(evaluation, &memory)),
        outputs: evaluation.task.outputs.clone(),
        metrics: evaluation.task.metrics.clone(),
        train: None,
        batch: evaluation.batch,
        memory: Memory { params: param_bytes, ..Memory::default() },
        flops_forward: 0,
        flops_step: 0,
    };
    if evaluation.task.loss.is_some() || !evaluation.task.metrics.is_empty() {
        plan.evaluate = Some(output_program(evaluation, true, &memory));
    }
    if let Some((training, settings)) = training.and_then(|training| training.train.as_ref().map(|settings| (training, settings))) {
        debug_assert_eq!(training.params.len(), evaluation.params.len(), "the mode does not change the parameters");
        plan.gradient = Some(gradient_program(training, &memory)?);
        let optimizer = optimizer::build(settings, &groups);
        plan.memory.gradients = trainable_bytes;
        plan.memory.optimizer = trainable_bytes * optimizer.state.len() as u64;
        plan.optimizer = Some(optimizer);
        plan.train = Some(TrainSpec { loss_span: training.task.loss_span, ..train_spec(settings) });
    }
    plan.memory.activations = programs(&plan).map(|program| program.arena_bytes).max().unwrap_or(0);
    let kept = |samples: &[Vec<u64>]| plan.frozen.as_ref().map_or(0, |frozen| frozen::value_bytes(frozen, samples));
    plan.memory.inputs = capacity.iter().map(|samples| input_bytes(&plan.inputs, samples) + kept(samples)).max().unwrap_or(0);
    // The frozen part counts with every use: this is what a batch costs that was not seen before.
    let frozen = plan.frozen.as_ref().map_or(0, |frozen| largest_flops(&frozen.program, capacity));
    plan.flops_forward = frozen + largest_flops(&plan.predict, capacity);
    plan.flops_step = plan.gradient.as_ref().map_or(0, |program| frozen + largest_flops(program, capacity));
    Ok(plan)
}

fn programs(plan: &Plan) -> impl Iterator<Item = &Program> {
    let optimizer = plan.optimizer.iter().flat_map(OptimizerSpec::programs);
    let frozen = plan.frozen.iter().map(|frozen| &frozen.program);
    plan.gradient.iter().chain(plan.evaluate.iter()).chain([&plan.predict]).chain(plan.start.iter()).chain(frozen).chain(optimizer)
}

/// Trainable parameters first, so that the optimizer sees them as one vector, in the order in which their training begins. Gives the groups of those, and the
/// bytes of all.
fn place_params(experiment: &Elaborated) -> (Vec<ParamSpec>, Vec<Group>, u64) {
    let params = &experiment.params;
    let is_trained = |param: &ParamInfo| param.trainable && experiment.train.is_some();
    let precision = |param: &ParamInfo| if param.state || is_trained(param) { Precision::F32 } else { experiment.precision };
    let begins = |param: &ParamInfo| param.trainable.then_some(param.from_epoch);
    let mut offset = 0;
    let mut offsets = vec![0; params.len()];
    let mut place = |wanted: Option<u64>| {
        let start = offset;
        for (param, place) in params.iter().zip(&mut offsets).filter(|(param, _)| begins(param) == wanted) {
            *place = offset;
            offset += (param.shape.iter().product::<u64>() * precision(param).bytes()).next_multiple_of(ALIGNMENT);
        }
        (start, offset)
    };
    let epochs: BTreeSet<u64> = params.iter().filter_map(begins).chain([0]).collect();
    let groups = epochs.into_iter().map(|from_epoch| {
        let (start, end) = place(Some(from_epoch));
        Group { from_epoch, start, end }
    });
    let groups: Vec<Group> = groups.collect();
    place(None);
    let specs = params
        .iter()
        .zip(offsets)
        .map(|(param, offset)| ParamSpec {
            path: param.path.clone(),
            axes: param.axes.clone(),
            shape: param.shape.clone(),
            key: param.key.clone(),
            init: param.init,
            trainable: param.trainable,
            state: param.state,
            precision: precision(param),
            offset,
            chosen: param.chosen,
            weights: param.network.map(|index| index as u32),
            adapter: param.adapter.map(|index| index as u32),
            from_epoch: param.from_epoch,
        })
        .collect();
    (specs, groups, offset)
}

fn weights(network: &Network) -> WeightsSpec {
    WeightsSpec {
        folder: network.weights.tensors(),
        root: network.root.clone(),
        prefixes: network.prefixes.clone(),
        aliases: network.aliases.clone(),
        ignore: network.ignore.clone(),
        optional: network.optional.clone(),
    }
}

fn adapter(adapter: &Adapter) -> AdapterSpec {
    AdapterSpec { root: adapter.root.clone(), config: adapter.config.clone() }
}

/// The task's outputs for a batch, with the loss of each sample (if the task has one) and what metrics are of where they are wanted.
fn output_program(experiment: &Elaborated, with_loss: bool, memory: &LowerOptions<'_>) -> Program {
    let mut graph = experiment.graph.clone();
    if with_loss {
        let task = &experiment.task;
        graph.outputs.extend(task.loss.map(|node| Output { name: "loss".to_owned(), node }));
        graph.outputs.extend(task.weight.map(|node| Output { name: "weight".to_owned(), node }));
        graph.outputs.extend(task.measured.iter().map(|(name, node)| Output { name: name.clone(), node: *node }));
    }
    cleaned(&mut graph, &[], experiment.products);
    lower(&graph, memory)
}

/// Simplifies a graph, with its products as they are to be computed. Returns where each node went, as [`simplify`] does.
fn cleaned(graph: &mut Graph, keep: &[NodeId], products: Precision) -> Vec<Option<NodeId>> {
    let moved = simplify(graph, keep);
    if products == Precision::F32 {
        return moved;
    }
    let rounded = round_products(graph);
    moved.into_iter().map(|node| node.map(|node| rounded[node.0 as usize])).collect()
}

/// The first values of parameters that start from others.
fn start_program(experiment: &Elaborated, memory: &LowerOptions<'_>) -> Program {
    let mut graph = experiment.graph.clone();
    graph.outputs.clear();
    let nodes: Vec<NodeId> = experiment.starts.iter().map(|(_, node)| *node).collect();
    let moved = simplify(&mut graph, &nodes);
    let store =
        |(param, node): &(ParamId, NodeId)| Some((moved[node.0 as usize]?, Storage::Param { offset: memory.params[param.0 as usize] }));
    let stores: Vec<(NodeId, Storage)> = experiment.starts.iter().filter_map(store).collect();
    lower(&graph, &LowerOptions { stores: &stores, capacity: &[Vec::new()], ..*memory })
}

/// The gradients of the batch, added to the gradient memory, and the batch's loss: the sum of the losses times `loss_scale`. Where samples have weights, each
/// loss counts by its sample's, as a share of the batch's mean weight.
fn gradient_program(experiment: &Elaborated, memory: &LowerOptions<'_>) -> Result<Program, Diagnostic> {
    let Some(loss) = experiment.task.loss else { return Ok(Program::default()) };
    let mut graph = experiment.graph.clone();
    graph.outputs.clear();
    let mut builder = GraphBuilder::from_graph(graph);
    let scale = builder.input("loss_scale", DType::F32, &[], false);
    let scale = match experiment.task.weight {
        None => scale,
        Some(weight) => {
            let share = share_of_mean(&mut builder, weight);
            builder.binary(BinaryOp::Mul, share, scale)
        }
    };
    let scaled = builder.binary(BinaryOp::Mul, loss, scale);
    let total = builder.reduce(ReduceOp::Sum, scaled, &[], true);
    builder.output("loss", total);
    let mut graph = builder.finish();
    let wrt = trainable_nodes(&graph);
    let nodes: Vec<NodeId> = wrt.iter().map(|(_, node)| *node).collect();
    let differentiated = differentiate(&mut graph, &[(loss, scale)], &nodes)?;
    let mut gradients = differentiated.gradients.clone();
    if experiment.train.as_ref().is_some_and(|train| train.gradient_checkpointing.is_some()) {
        let places = recompute(&mut graph, &experiment.layers, &differentiated);
        for gradient in gradients.iter_mut().flatten() {
            *gradient = places[gradient.0 as usize];
        }
    }
    let (named, nodes): (Vec<ParamId>, Vec<NodeId>) =
        wrt.iter().zip(gradients).filter_map(|((param, _), gradient)| gradient.map(|gradient| (*param, gradient))).unzip();
    let updates = experiment.updates.iter().map(|(_, node)| *node);
    let kept: Vec<NodeId> = nodes.iter().copied().chain(updates).collect();
    let moved = cleaned(&mut graph, &kept, experiment.products);
    let gradients: Vec<(ParamId, NodeId)> =
        named.into_iter().zip(&nodes).filter_map(|(param, node)| moved[node.0 as usize].map(|node| (param, node))).collect();
    // The states that the step leaves behind stand among the parameters.
    let stores: Vec<(NodeId, Storage)> = experiment
        .updates
        .iter()
        .filter_map(|(param, node)| Some((moved[node.0 as usize]?, Storage::Param { offset: memory.params[param.0 as usize] })))
        .collect();
    Ok(lower(&graph, &LowerOptions { gradients: &gradients, stores: &stores, ..*memory }))
}

/// A number of each sample, divided by its mean over the batch; 0 where all are.
fn share_of_mean(builder: &mut GraphBuilder, weight: NodeId) -> NodeId {
    let total = builder.reduce(ReduceOp::Sum, weight, &[], true);
    let one = builder.constant(1.0);
    let one = builder.broadcast(one, &[], true);
    let count = builder.reduce(ReduceOp::Sum, one, &[], true);
    let total = builder.binary_const(BinaryOp::Max, total, f64::from(f32::MIN_POSITIVE));
    let mean = builder.binary(BinaryOp::Div, total, count);
    builder.binary(BinaryOp::Div, weight, mean)
}

/// The first node that reads each trainable parameter.
fn trainable_nodes(graph: &Graph) -> Vec<(ParamId, NodeId)> {
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

fn train_spec(settings: &TrainSettings) -> TrainSpec {
    TrainSpec {
        epochs: settings.epochs,
        max_steps: settings.max_steps,
        learning_rate: settings.learning_rate,
        schedule: settings.schedule.clone(),
        clip_norm: settings.clip_norm,
        accumulate: settings.accumulate,
        shuffle: settings.shuffle,
        monitor: settings.monitor.clone(),
        mode: settings.mode,
        early_stop: settings.early_stop.clone(),
        log_every: settings.log_every,
        log: settings.log.clone(),
        checkpoint_every: settings.checkpoint_every,
        keep: settings.keep,
        loss_span: Some(settings.span),
    }
}

/// Bytes of the host's inputs for a batch of samples with these lengths.
pub fn input_bytes(inputs: &[InputSpec], samples: &[Vec<u64>]) -> u64 {
    inputs.iter().flat_map(|input| samples.iter().map(|lengths| input.source.elements(lengths) * 4)).sum()
}

fn largest_flops(program: &Program, capacity: &Capacity) -> u64 {
    capacity.iter().map(|samples| crate::passes::flops(program, samples)).max().unwrap_or(0)
}
