//! Random graphs as plain programs, interpreted: they agree with the evaluation of the graph.

mod common;

use mgx_eval::arbitrary::{Case, case, minimal, network, plain_program};
use mgx_eval::{ProgramMemory, run_program_outputs};
use mgx_ir::graph::{Op, UnaryOp};

use common::{check, compare, seeds};

fn plain_programs_agree(case: &Case) -> Result<(), String> {
    let Some((program, offsets)) = plain_program(case, 5) else { return Ok(()) };
    let mut memory = ProgramMemory::with_params(&case.params, &offsets);
    let outputs = run_program_outputs(&program, &mut memory, &case.batch);
    compare(case, |name| outputs.iter().find(|output| output.0 == name).map(|output| output.1.flatten()), 1e-5)
}

#[test]
fn plain_programs_agree_with_graphs() {
    for seed in seeds(400) {
        check(seed, &case(seed, 14), plain_programs_agree);
    }
}

/// A wrong result is found, and shown as the operation that is wrong.
#[test]
fn a_wrong_operation_is_found() {
    let exp_is_wrong = |case: &Case| {
        let wrong = case.graph.nodes.iter().any(|node| node.op == Op::Unary(UnaryOp::Exp));
        if wrong { Err(String::from("wrong")) } else { Ok(()) }
    };
    let seed = (0..).find(|seed| exp_is_wrong(&case(*seed, 14)).is_err()).expect("some graph has an exponential");
    let smallest = minimal(&case(seed, 14), |case| exp_is_wrong(case).is_err());
    assert!(smallest.graph.nodes.len() <= 2, "{:#?}", smallest.graph.nodes);
    assert_eq!(smallest.batch.samples.len(), 1);
    let shifted = compare(&smallest, |_| Some(vec![100.0]), 1e-5);
    assert!(shifted.is_err_and(|message| message.contains("expected")));
}

#[test]
fn networks_too() {
    for seed in seeds(60) {
        check(seed, &network(seed), plain_programs_agree);
    }
}
