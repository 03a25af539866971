//! The optimizer's programs: the update of the whole trainable memory, and the norm of the gradient.

use mgx_ir::graph::{BinaryOp, DType, Extent, Graph, GraphBuilder, NodeId, Op, ReduceOp, UnaryOp};
use mgx_ir::plan::{OptimizerSpec, Program, Storage};

use crate::check::TrainSettings;
use crate::passes::lower::{LowerOptions, lower};
use crate::passes::simplify;

/// The one batch that an optimizer's programs run on: they look at no sample.
const NO_SAMPLES: [Vec<Vec<u64>>; 1] = [Vec::new()];

/// Lowers the optimizer for so many bytes of trainable memory.
pub fn build(settings: &TrainSettings, trainable_bytes: u64) -> OptimizerSpec {
    OptimizerSpec {
        name: settings.optimizer_name.clone(),
        update: update(settings, trainable_bytes / 4),
        norm: norm(trainable_bytes / 4),
        state: settings.states.clone(),
    }
}

fn update(settings: &TrainSettings, elements: u64) -> Program {
    let mut graph = scaled_gradient(&settings.optimizer);
    for axis in &mut graph.axes {
        axis.extent = Extent::Static(elements);
    }
    let state =
        |name: &str| settings.states.iter().position(|state| state == name).map(|slot| Storage::State { slot: slot as u32, offset: 0 });
    simplify(&mut graph, &[]);
    let outputs = std::mem::take(&mut graph.outputs);
    let stores: Vec<(NodeId, Storage)> = outputs
        .iter()
        .filter_map(|output| {
            let storage = if output.name == "param" { Some(Storage::Param { offset: 0 }) } else { state(&output.name) };
            storage.map(|storage| (output.node, storage))
        })
        .collect();
    let mut memory = vec![("param".to_owned(), Storage::Param { offset: 0 }), ("gradient".to_owned(), Storage::Gradient { offset: 0 })];
    memory.extend(settings.states.iter().filter_map(|name| state(name).map(|storage| (name.clone(), storage))));
    lower(&graph, &LowerOptions { stores: &stores, memory: &memory, capacity: &NO_SAMPLES, ..LowerOptions::default() })
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

fn norm(elements: u64) -> Program {
    let mut builder = GraphBuilder::new();
    let axis = builder.axis("n", elements);
    let gradient = builder.input("gradient", DType::F32, &[axis], false);
    let squares = builder.binary(BinaryOp::Mul, gradient, gradient);
    let sum = builder.reduce(ReduceOp::Sum, squares, &[axis], false);
    let norm = builder.unary(UnaryOp::Sqrt, sum);
    builder.output("norm", norm);
    let graph = builder.finish();
    let memory = [("gradient".to_owned(), Storage::Gradient { offset: 0 })];
    lower(&graph, &LowerOptions { memory: &memory, capacity: &NO_SAMPLES, ..LowerOptions::default() })
}
