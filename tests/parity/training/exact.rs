//! The same training in doubles, by the reference evaluator: where steps amplify what is rounded, the recording, which was made with floats, may be
//! farther from the exact numbers than the tolerance allows.

use std::collections::BTreeMap;

use mgx_compiler::check::{Elaborated, TrainSettings};
use mgx_compiler::passes::{differentiate, simplify};
use mgx_eval::{Tensor, Value, eval_graph, eval_graph_given, eval_scalars};
use mgx_ir::graph::{DType, Extent, Graph, GraphBuilder, NodeId, Op, ParamId};
use mgx_ir::plan::Batch;
use mgx_tests::Outcome;
use mgx_tests::compare::norm;
use mgx_tests::shown;

use super::steps::{Step, loss_of};

/// A training at some step.
pub struct Exact {
    settings: TrainSettings,
    /// Computes the loss of each sample and the gradients of their sum.
    graph: Graph,
    loss: NodeId,
    weight: Option<NodeId>,
    /// The trained parameters, each with its gradient.
    gradients: Vec<(ParamId, NodeId)>,
    /// The elements of every parameter.
    params: Vec<Vec<f64>>,
    /// The optimizer's states, each along all trained parameters.
    states: Vec<Vec<f64>>,
}

impl Exact {
    /// The training of an experiment, which is evaluated as in training, from these parameters. There is none where a step changes states of the network.
    pub fn new(experiment: &Elaborated, params: Vec<Vec<f64>>) -> Outcome<Self> {
        let task = &experiment.task;
        let settings = experiment.train.clone().ok_or("the experiment does not train")?;
        let loss = task.loss.ok_or("the task has no loss")?;
        if !experiment.updates.is_empty() {
            return Err("a step changes states of the network".to_owned());
        }
        let mut graph = experiment.graph.clone();
        graph.outputs.clear();
        let mut first = BTreeMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            if let Op::Param(id) = node.op
                && experiment.params[id.0 as usize].trainable
            {
                first.entry(id).or_insert(NodeId(index as u32));
            }
        }
        let (ids, nodes): (Vec<ParamId>, Vec<NodeId>) = first.into_iter().unzip();
        let mut builder = GraphBuilder::from_graph(graph);
        let seed = task.weight.unwrap_or_else(|| builder.constant(1.0));
        let mut graph = builder.finish();
        let found = differentiate(&mut graph, &[(loss, seed)], &nodes).map_err(|diagnostic| shown(&diagnostic))?.gradients;
        let kept: Vec<NodeId> = found.iter().flatten().copied().chain([loss]).chain(task.weight).collect();
        let moved = simplify(&mut graph, &kept);
        let place = |node: NodeId| moved[node.0 as usize].ok_or("a node that is kept is gone");
        let gradients =
            ids.iter().zip(found).filter_map(|(id, node)| node.map(|node| Ok((*id, place(node)?)))).collect::<Outcome<Vec<_>>>()?;
        let elements: usize = gradients.iter().map(|(id, _)| params[id.0 as usize].len()).sum();
        let states = vec![vec![0.0; elements]; settings.states.len()];
        Ok(Self { loss: place(loss)?, weight: task.weight.map(place).transpose()?, graph, gradients, params, states, settings })
    }

    /// The elements of every parameter.
    pub fn params(&self) -> &Vec<Vec<f64>> {
        &self.params
    }

    /// One optimizer step, numbered from 0.
    pub fn step(&mut self, number: usize, batches: &[Batch]) -> Outcome<Step> {
        let accumulate = self.settings.accumulate as f64;
        let total_steps = self.settings.max_steps.unwrap_or_default() as f64;
        let factor = eval_scalars(&self.settings.schedule, &[("step", number as f64), ("total_steps", total_steps)]);
        let learning_rate = self.settings.learning_rate * factor.first().ok_or("the schedule has no factor")?.1;
        let mut gradient = vec![0.0; self.states.first().map_or(0, Vec::len)];
        let mut losses = Vec::new();
        for batch in batches {
            let values = eval_graph(&self.graph, &self.params, batch);
            let of_samples = values.get(self.loss).flatten();
            let weights = self.weight.map_or(vec![1.0; of_samples.len()], |weight| values.get(weight).flatten());
            losses.push(loss_of(&of_samples, &weights) / accumulate);
            let scale = 1.0 / (weights.iter().sum::<f64>() * accumulate);
            let elements = self.gradients.iter().flat_map(|(id, node)| ordered(&self.graph, *id, values.get(*node)));
            gradient.iter_mut().zip(elements).for_each(|(sum, element)| *sum += scale * element);
        }
        let norm = norm(gradient.iter().copied());
        let clipped = self.settings.clip_norm.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0));
        gradient.iter_mut().for_each(|element| *element *= clipped);
        self.update(&gradient, learning_rate, number as f64 + 1.0)?;
        Ok(Step { losses, learning_rate, norm })
    }

    /// The optimizer's update of all trained parameters as one vector.
    fn update(&mut self, gradient: &[f64], learning_rate: f64, step: f64) -> Outcome<()> {
        let mut graph = self.settings.optimizer.clone();
        for axis in &mut graph.axes {
            axis.extent = Extent::Static(gradient.len() as u64);
        }
        let param: Vec<f64> = self.gradients.iter().flat_map(|(id, _)| self.params[id.0 as usize].iter().copied()).collect();
        let mut given = BTreeMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            let Op::Input { name } = &node.op else { continue };
            let state = self.settings.states.iter().position(|state| state == name);
            let data = match (name.as_str(), state) {
                ("param", _) => param.clone(),
                ("gradient", _) => gradient.to_vec(),
                ("learning_rate", _) => vec![learning_rate],
                ("step", _) => vec![step],
                (_, Some(slot)) => self.states[slot].clone(),
                (other, None) => return Err(format!("the optimizer reads `{other}`")),
            };
            let shape = if node.ty.axes.is_empty() { Vec::new() } else { vec![data.len()] };
            given.insert(NodeId(index as u32), Value::Single(Tensor { dtype: DType::F32, axes: node.ty.axes.clone(), shape, data }));
        }
        let values = eval_graph_given(&graph, &[], &Batch::default(), &given);
        let output = |name: &str| graph.output(name).map(|node| values.get(node).flatten());
        for (slot, name) in self.settings.states.iter().enumerate() {
            self.states[slot] = output(name).ok_or("the optimizer leaves a state out")?;
        }
        let mut rest = output("param").ok_or("the optimizer has no result")?.into_iter();
        for (id, _) in &self.gradients {
            self.params[id.0 as usize].iter_mut().zip(&mut rest).for_each(|(old, new)| *old = new);
        }
        Ok(())
    }
}

/// The elements of a gradient in the order of its parameter's axes.
fn ordered(graph: &Graph, id: ParamId, gradient: &Value) -> Vec<f64> {
    gradient.tensors().iter().flat_map(|tensor| tensor.permuted(&graph.params[id.0 as usize].axes).data).collect()
}
