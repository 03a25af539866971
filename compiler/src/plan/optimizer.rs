//! The optimizer's programs: the update of the whole trainable memory, and the norm of the gradient.

use std::collections::BTreeMap;

use mgx_ir::graph::{BinaryOp, DType, Extent, Graph, GraphBuilder, Node, NodeId, Op, ReduceOp, UnaryOp};
use mgx_ir::plan::{OptimizerGroup, OptimizerSpec, Program, Storage};

use crate::check::TrainSettings;
use crate::passes::lower::{LowerOptions, lower};
use crate::passes::simplify;

/// The one batch that an optimizer's programs run on: they look at no sample.
const NO_SAMPLES: [Vec<Vec<u64>>; 1] = [Vec::new()];

/// Trainable parameters whose training begins together: bytes from..to of the trainable memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub from_epoch: u64,
    pub start: u64,
    pub end: u64,
}

/// Lowers the optimizer for the groups of the trainable memory, of which the first is trained from the beginning.
pub fn build(settings: &TrainSettings, groups: &[Group]) -> OptimizerSpec {
    let (first, later) = groups.split_first().map_or((Group::default(), groups), |(first, later)| (*first, later));
    let (scalars, first_update) = update(settings, first);
    let group = |group: &Group| OptimizerGroup { from_epoch: group.from_epoch, update: update(settings, *group).1, norm: norm(*group) };
    OptimizerSpec {
        name: settings.optimizer_name.clone(),
        scalars,
        update: first_update,
        norm: norm(first),
        state: settings.states.clone(),
        later: later.iter().map(group).collect(),
    }
}

/// The scalars of the update, and the update itself.
fn update(settings: &TrainSettings, group: Group) -> (Graph, Program) {
    let Group { start, end, .. } = group;
    let mut graph = scaled_gradient(&settings.optimizer);
    for axis in &mut graph.axes {
        axis.extent = Extent::Static((end - start) / 4);
    }
    let state =
        |name: &str| settings.states.iter().position(|state| state == name).map(|slot| Storage::State { slot: slot as u32, offset: start });
    simplify(&mut graph, &[]);
    let (scalars, mut graph) = split_scalars(&graph);
    simplify(&mut graph, &[]);
    let outputs = std::mem::take(&mut graph.outputs);
    let stores: Vec<(NodeId, Storage)> = outputs
        .iter()
        .filter_map(|output| {
            let storage = if output.name == "param" { Some(Storage::Param { offset: start }) } else { state(&output.name) };
            storage.map(|storage| (output.node, storage))
        })
        .collect();
    let mut memory =
        vec![("param".to_owned(), Storage::Param { offset: start }), ("gradient".to_owned(), Storage::Gradient { offset: start })];
    memory.extend(settings.states.iter().filter_map(|name| state(name).map(|storage| (name.clone(), storage))));
    let program = lower(&graph, &LowerOptions { stores: &stores, memory: &memory, capacity: &NO_SAMPLES, ..LowerOptions::default() });
    (scalars, program)
}

/// Takes what is the same for all elements and steers the step (the learning rate, the step's number and what follows from them) out of a graph:
/// gives a graph of it, whose outputs are inputs of the same names in the rest.
fn split_scalars(graph: &Graph) -> (Graph, Graph) {
    let steers = |op: &Op| matches!(op, Op::Input { name } if name == "learning_rate" || name == "step");
    let mut scalar: Vec<bool> = Vec::new();
    let mut steered: Vec<bool> = Vec::new();
    for node in &graph.nodes {
        let all = |of: &[bool]| node.inputs.iter().all(|input| of[input.0 as usize]);
        let any = |of: &[bool]| node.inputs.iter().any(|input| of[input.0 as usize]);
        let known = if node.inputs.is_empty() { steers(&node.op) || matches!(node.op, Op::Const(_)) } else { all(&scalar) };
        let is_scalar = node.ty.axes.is_empty() && known;
        steered.push(is_scalar && (steers(&node.op) || any(&steered)));
        scalar.push(is_scalar);
    }
    let mut scalars = GraphBuilder::new();
    let mut rest = GraphBuilder::from_graph(Graph {
        lengths: graph.lengths.clone(),
        axes: graph.axes.clone(),
        params: graph.params.clone(),
        ..Graph::default()
    });
    let mut in_scalars: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let mut in_rest: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let copy = |builder: &mut GraphBuilder, places: &BTreeMap<NodeId, NodeId>, node: &Node| {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| places[input]).collect();
        builder.add(node.op.clone(), &inputs, Some(node.ty.clone()))
    };
    for (number, node) in graph.nodes.iter().enumerate() {
        let id = NodeId(number as u32);
        if scalar[number] {
            in_scalars.insert(id, copy(&mut scalars, &in_scalars, node));
        }
        if steered[number] {
            let used = graph.nodes.iter().enumerate().any(|(user, node)| !scalar[user] && node.inputs.contains(&id));
            if used || graph.outputs.iter().any(|output| output.node == id) {
                let name = format!("scalar.{number}");
                scalars.output(name.clone(), in_scalars[&id]);
                in_rest.insert(id, rest.input(name, node.ty.dtype, &[], false));
            }
        } else {
            in_rest.insert(id, copy(&mut rest, &in_rest, node));
        }
    }
    for output in &graph.outputs {
        rest.output(output.name.clone(), in_rest[&output.node]);
    }
    (scalars.finish(), rest.finish())
}

/// The graph with `gradient` multiplied by the input `gradient_scale`, by which the driver clips.
fn scaled_gradient(graph: &Graph) -> Graph {
    let mut out = Graph { lengths: graph.lengths.clone(), axes: graph.axes.clone(), params: graph.params.clone(), ..Graph::default() };
    let mut builder = GraphBuilder::from_graph(std::mem::take(&mut out));
    let mut renumbered: Vec<NodeId> = Vec::new();
    for node in &graph.nodes {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| renumbered[input.0 as usize]).collect();
        let mut id = builder.add(node.op.clone(), &inputs, Some(node.ty.clone()));
        if matches!(&node.op, Op::Input { name } if name == "gradient") {
            let scale = builder.input("gradient_scale", DType::F32, &[], false);
            id = builder.binary(BinaryOp::Mul, id, scale);
        }
        renumbered.push(id);
    }
    for output in &graph.outputs {
        builder.output(output.name.clone(), renumbered[output.node.0 as usize]);
    }
    builder.finish()
}

fn norm(group: Group) -> Program {
    let mut builder = GraphBuilder::new();
    let axis = builder.axis("n", (group.end - group.start) / 4);
    let gradient = builder.input("gradient", DType::F32, &[axis], false);
    let squares = builder.binary(BinaryOp::Mul, gradient, gradient);
    let sum = builder.reduce(ReduceOp::Sum, squares, &[axis], false);
    let norm = builder.unary(UnaryOp::Sqrt, sum);
    builder.output("norm", norm);
    let graph = builder.finish();
    let memory = [("gradient".to_owned(), Storage::Gradient { offset: group.start })];
    lower(&graph, &LowerOptions { memory: &memory, capacity: &NO_SAMPLES, ..LowerOptions::default() })
}

#[cfg(test)]
mod tests {
    use mgx_eval::eval_scalars;

    use super::*;

    #[test]
    fn what_follows_from_the_step_is_taken_out_and_keeps_its_digits() {
        let mut builder = GraphBuilder::new();
        let n = builder.axis("n", 4);
        let [param, gradient] = ["param", "gradient"].map(|name| builder.input(name, DType::F32, &[n], false));
        let [rate, step] = ["learning_rate", "step"].map(|name| builder.input(name, DType::F32, &[], false));
        let beta = builder.constant(0.999);
        let power = builder.binary(BinaryOp::Pow, beta, step);
        let one = builder.constant(1.0);
        let correction = builder.sub(one, power);
        let scale = builder.div(rate, correction);
        let scaled = builder.mul(gradient, scale);
        let next = builder.sub(param, scaled);
        builder.output("param", next);
        let graph = builder.finish();
        let (scalars, rest) = split_scalars(&graph);
        let values = eval_scalars(&scalars, &[("learning_rate", 1e-3), ("step", 1.0)]);
        let [(name, value)] = values.as_slice() else { panic!("{values:?}") };
        assert!((value - 1.0).abs() < 1e-12, "{value}");
        let inputs: Vec<&str> =
            rest.nodes.iter().filter_map(|node| if let Op::Input { name } = &node.op { Some(name.as_str()) } else { None }).collect();
        assert_eq!(inputs, ["param", "gradient", name]);
        assert!(!rest.nodes.iter().any(|node| matches!(node.op, Op::Binary(BinaryOp::Pow))));
    }
}
