//! The random graphs are well formed, are what their seed says, and hold every operation.

use std::collections::BTreeMap;

use mgx_eval::arbitrary::case;
use mgx_eval::eval_graph;
use mgx_ir::graph::{DType, verify};

#[test]
fn random_graphs_are_well_formed_and_benign() {
    let mut operations: BTreeMap<&str, usize> = BTreeMap::new();
    let mut outputs = 0;
    for seed in 0..300 {
        let case = case(seed, 12);
        assert_eq!(verify(&case.graph), Vec::<String>::new(), "seed {seed}");
        let values = eval_graph(&case.graph, &case.params, &case.batch);
        for (name, node) in case.outputs() {
            outputs += 1;
            let elements = values.get(node).flatten();
            assert!(elements.iter().all(|element| element.is_finite()), "seed {seed}, {name}: {elements:?}");
            assert_ne!(case.graph.ty(node).dtype, DType::Bool);
        }
        for node in &case.graph.nodes {
            *operations.entry(node.op.name()).or_default() += 1;
        }
    }
    assert!(outputs > 600, "{outputs} outputs");
    for name in [
        "input",
        "param",
        "const",
        "iota",
        "random",
        "select",
        "cast",
        "broadcast",
        "sum",
        "reduce_max",
        "reduce_min",
        "contract",
        "permute",
        "after",
        "rename",
        "split",
        "merge",
        "slice",
        "pad",
        "concat",
        "window",
        "fold",
        "gather",
        "scatter_add",
        "attention",
        "attention_lse",
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "tanh",
        "erf",
        "sin",
        "cos",
        "floor",
        "bf16",
        "not",
        "neg",
        "abs",
        "add",
        "sub",
        "mul",
        "div",
        "rem",
        "max",
        "min",
        "pow",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and",
        "or",
    ] {
        assert!(operations.get(name).copied().unwrap_or(0) >= 3, "{name}: {operations:?}");
    }
}

#[test]
fn a_case_is_a_function_of_its_seed() {
    let (one, again, other) = (case(7, 20), case(7, 20), case(8, 20));
    assert_eq!(one.graph, again.graph);
    assert_eq!((&one.params, &one.batch), (&again.params, &again.batch));
    assert_ne!(one.graph, other.graph);
}

/// What a sample gives does not depend on the batch it is in, for every node that looks at its sample alone.
#[test]
fn samples_are_independent() {
    let mut compared = 0;
    for seed in 0..100 {
        let case = case(seed, 10);
        let packed = eval_graph(&case.graph, &case.params, &case.batch);
        let alone = case.independent();
        for sample in 0..case.batch.samples.len() {
            let single = eval_graph(&case.graph, &case.params, &case.single(sample));
            for number in (0..alone.len()).filter(|number| alone[*number]) {
                let node = mgx_ir::graph::NodeId(number as u32);
                assert_eq!(single.get(node).of_sample(0), packed.get(node).of_sample(sample), "seed {seed}, node {number}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}
