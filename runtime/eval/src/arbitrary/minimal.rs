//! Making a failing case small, so that the message shows the few operations that matter.

use std::collections::BTreeMap;

use mgx_ir::graph::{DType, Graph, Node, NodeId, Op, Output};
use mgx_ir::plan::{Batch, InputData};

use super::{Case, single_sample};
use crate::eval_graph;
use crate::tensor::Value;

/// A smaller case that fails as well: one output, one sample where one is enough, and inputs in place of what need not be computed.
///
/// `fails` must be true of `case`, and may be called some hundred times.
pub fn minimal(case: &Case, fails: impl Fn(&Case) -> bool) -> Case {
    let mut best = case.clone();
    for number in 0..case.graph.nodes.len() as u32 {
        let shown = with_output(case, NodeId(number));
        if case.graph.ty(NodeId(number)).dtype != DType::Bool && fails(&shown) {
            best = shown;
            break;
        }
    }
    for sample in 0..best.batch.samples.len() {
        let alone = Case { batch: single_sample(&best.graph, &best.batch, sample), ..best.clone() };
        if fails(&alone) {
            best = alone;
            break;
        }
    }
    let mut number = 0;
    while number < best.graph.nodes.len() {
        match cut(&best, NodeId(number as u32)) {
            Some(smaller) if fails(&smaller) => {
                best = smaller;
                number = 0;
            }
            _ => number += 1,
        }
    }
    best
}

/// The case with one node as its only output, and nothing that this does not need.
fn with_output(case: &Case, node: NodeId) -> Case {
    let mut graph = case.graph.clone();
    graph.outputs = vec![Output { name: "out".into(), node }];
    pruned(Case { graph, ..case.clone() })
}

/// The case with an input in the place of a node that is computed.
fn cut(case: &Case, id: NodeId) -> Option<Case> {
    let node = case.graph.node(id);
    let source = matches!(node.op, Op::Input { .. } | Op::Param(_) | Op::Const(_));
    let output = case.graph.outputs.iter().any(|output| output.node == id);
    if source || output || node.ty.dtype == DType::Bool {
        return None;
    }
    let value = eval_graph(&case.graph, &case.params, &case.batch).get(id).clone();
    let mut smaller = case.clone();
    let name = (0..).map(|number| format!("value{number}")).find(|name| !smaller.batch.inputs.contains_key(name))?;
    smaller.batch.inputs.insert(name.clone(), as_input(&value, node.ty.dtype));
    let replaced = &mut smaller.graph.nodes[id.0 as usize];
    *replaced = Node { op: Op::Input { name }, inputs: Vec::new(), ..replaced.clone() };
    Some(pruned(smaller))
}

fn as_input(value: &Value, dtype: DType) -> InputData {
    let elements = value.flatten().into_iter();
    match dtype {
        DType::F32 => InputData::F32(elements.map(|element| element as f32).collect()),
        DType::I32 | DType::Bool => InputData::I32(elements.map(|element| element as i32).collect()),
    }
}

/// Drops the nodes that no output needs, and the inputs that no node reads.
fn pruned(case: Case) -> Case {
    let Case { graph, params, batch } = case;
    let mut needed = vec![false; graph.nodes.len()];
    for output in &graph.outputs {
        needed[output.node.0 as usize] = true;
    }
    for number in (0..graph.nodes.len()).rev().filter(|number| needed[*number]).collect::<Vec<_>>() {
        mark(&graph, number, &mut needed);
    }
    let mut numbers = BTreeMap::new();
    let mut kept = Graph { nodes: Vec::new(), ..graph.clone() };
    for (number, node) in graph.nodes.iter().enumerate().filter(|(number, _)| needed[*number]) {
        let inputs = node.inputs.iter().map(|input| numbers[input]).collect();
        numbers.insert(NodeId(number as u32), kept.add_node(Node { inputs, ..node.clone() }));
    }
    for output in &mut kept.outputs {
        output.node = numbers[&output.node];
    }
    let read = |name: &str| kept.nodes.iter().any(|node| matches!(&node.op, Op::Input { name: read } if read == name));
    let inputs = batch.inputs.iter().filter(|(name, _)| read(name)).map(|(name, data)| (name.clone(), data.clone())).collect();
    Case { params, batch: Batch { inputs, ..batch }, graph: kept }
}

fn mark(graph: &Graph, number: usize, needed: &mut [bool]) {
    for input in &graph.nodes[number].inputs {
        if !std::mem::replace(&mut needed[input.0 as usize], true) {
            mark(graph, input.0 as usize, needed);
        }
    }
}
