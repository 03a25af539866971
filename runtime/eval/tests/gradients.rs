//! The compiler's gradients of random graphs agree with finite differences.

mod common;

use mgx_compiler::passes::gradient;
use mgx_eval::arbitrary::{Case, case, network};
use mgx_eval::{DifferenceOptions, DifferenceReport, check_gradient};
use mgx_ir::graph::{DType, GraphBuilder, NodeId, Op, UnaryOp, verify};

use common::{check, seeds};

/// Adds `Σ sin(x)` over all float outputs: a scalar that depends on every element of theirs, and differently.
fn add_loss(case: &Case) -> Option<(GraphBuilder, NodeId)> {
    let mut graph = case.graph.clone();
    for node in &mut graph.nodes {
        // Its gradient is that of what it rounds, not of its steps.
        if node.op == Op::Unary(UnaryOp::Bf16) {
            node.op = Op::Permute;
        }
    }
    let mut b = GraphBuilder::from_graph(graph);
    let mut loss = None;
    for (_, node) in case.outputs().filter(|(_, node)| case.graph.ty(*node).dtype == DType::F32) {
        let bounded = b.unary(UnaryOp::Sin, node);
        let axes = b.ty(node).axes.clone();
        let sum = b.sum(bounded, &axes);
        loss = Some(loss.map_or(sum, |loss| b.add2(loss, sum)));
    }
    Some((b, loss?))
}

fn differences(case: &Case) -> Result<DifferenceReport, String> {
    let Some((mut b, loss)) = add_loss(case) else { return Ok(DifferenceReport::default()) };
    let seed = b.constant(1.0);
    let source = |node: &NodeId| matches!(case.graph.node(*node).op, Op::Param(_) | Op::Input { .. });
    let floats = (0..case.graph.nodes.len() as u32).map(NodeId).filter(|node| case.graph.ty(*node).dtype == DType::F32);
    let wrt: Vec<NodeId> = floats.filter(|node| source(node) || node.0 % 7 == 3).collect();
    let mut graph = b.finish();
    let found = match gradient(&mut graph, &[(loss, seed)], &wrt) {
        Err(diagnostic) if diagnostic.code == mgx_diag::Code("E0600") => return Ok(DifferenceReport::default()),
        found => found.map_err(|diagnostic| diagnostic.message)?,
    };
    let broken = verify(&graph);
    if !broken.is_empty() {
        return Err(format!("the gradient breaks the graph: {broken:?}"));
    }
    let pairs: Vec<_> = wrt.into_iter().zip(found).collect();
    let options = DifferenceOptions { probes: 3, ..DifferenceOptions::default() };
    let report = check_gradient(&graph, loss, &pairs, &case.params, &case.batch, options);
    match report.failures.first() {
        Some(failure) => Err(failure.clone()),
        None => Ok(report),
    }
}

#[test]
fn gradients_agree_with_differences() {
    let (mut compared, mut skipped) = (0, 0);
    for seed in seeds(60) {
        let report = check(seed, &case(seed, 10), differences);
        compared += report.compared;
        skipped += report.skipped;
    }
    assert!(compared > 500 && skipped * 10 < compared, "{compared} compared, {skipped} skipped");
}

#[test]
fn gradients_of_networks_agree_with_differences() {
    let (mut compared, mut skipped) = (0, 0);
    for seed in seeds(3) {
        let report = check(seed, &network(seed), differences);
        compared += report.compared;
        skipped += report.skipped;
    }
    assert!(compared > 90 && skipped * 20 < compared, "{compared} compared, {skipped} skipped");
}
