//! Fused steps: their nodes are operations of the graph, evaluated one after another.

use mgx_ir::graph::Op;
use mgx_ir::plan::{FusedInput, FusedStep};

use super::check;
use super::memory::Machine;
use crate::tensor::Value;

/// Evaluates all nodes, then stores. That this gives what one pass over the space gives is what `check::fused` makes sure of.
pub(super) fn run(machine: &mut Machine<'_>, step: &FusedStep) {
    check::fused(machine, step);
    let mut values: Vec<Value> = Vec::with_capacity(step.nodes.len());
    for node in &step.nodes {
        let operands: Vec<Value> = node
            .inputs
            .iter()
            .map(|input| match input {
                FusedInput::Node(number) => values[*number as usize].clone(),
                FusedInput::Buffer(buffer) => machine.read(*buffer),
            })
            .collect();
        let operands: Vec<&Value> = operands.iter().collect();
        let value = match &node.op {
            // A read takes the axes in the node's order: the same elements by name.
            None => machine.scope().apply(&Op::Permute, &node.ty, &operands),
            Some(op) => machine.scope().apply(op, &node.ty, &operands),
        };
        values.push(value);
    }
    for store in &step.stores {
        machine.write(store.buffer, &values[store.node as usize], store.accumulate);
    }
}
