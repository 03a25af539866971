//! The compiler's clean-up of random graphs changes no value.

mod common;

use mgx_compiler::passes::simplify;
use mgx_eval::arbitrary::{Case, case, network};
use mgx_ir::graph::{Graph, Node, NodeId, Output, verify};

use common::{check, compare, seeds};

/// The case with every node twice, so that there is something to find in common, and with identities to remove.
fn repetitive(case: &Case) -> Graph {
    let mut graph = case.graph.clone();
    let first = graph.nodes.len() as u32;
    for node in &case.graph.nodes {
        let inputs = node.inputs.iter().map(|input| NodeId(input.0 + first)).collect();
        graph.add_node(Node { inputs, ..node.clone() });
    }
    let again = case.graph.outputs.iter();
    let again = again.map(|output| Output { name: format!("{} again", output.name), node: NodeId(output.node.0 + first) });
    graph.outputs.extend(again);
    graph
}

fn simplification_keeps_values(case: &Case) -> Result<[usize; 2], String> {
    let graph = repetitive(case);
    let mut simple = graph.clone();
    simplify(&mut simple, &[]);
    let broken = verify(&simple);
    if !broken.is_empty() {
        return Err(format!("the graph is broken: {broken:?}"));
    }
    let values = mgx_eval::eval_graph(&simple, &case.params, &case.batch);
    let result = |name: &str| {
        let node = simple.output(name)?;
        let wanted = graph.ty(graph.output(name)?);
        let tensors = values.get(node).tensors().iter();
        (wanted.per_sample == simple.ty(node).per_sample).then(|| tensors.flat_map(|tensor| tensor.permuted(&wanted.axes).data).collect())
    };
    compare(case, result, 1e-12)?;
    compare(case, |name| result(&format!("{name} again")), 1e-12)?;
    Ok([graph.nodes.len(), simple.nodes.len()])
}

#[test]
fn simplification_changes_no_value() {
    let (mut before, mut after) = (0, 0);
    for seed in seeds(300) {
        let [long, short] = check(seed, &case(seed, 14), simplification_keeps_values);
        before += long;
        after += short;
    }
    assert!(after * 2 < before, "what is there twice is there once: {before} nodes, then {after}");
}

#[test]
fn networks_too() {
    for seed in seeds(60) {
        check(seed, &network(seed), simplification_keeps_values);
    }
}
