//! Mixed precision of random networks: near what they are in f32, and the same by the interpreter and the CPU backend but for numbers that lie on
//! the edge between two of bfloat16.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod common;
#[path = "common/lowered.rs"]
mod lowered;

use mgx_compiler::passes::round_products;
use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_eval::arbitrary::network;
use mgx_eval::{ProgramMemory, eval_graph, run_program_outputs};
use mgx_ir::graph::{DType, Graph, NodeId, Op, UnaryOp};
use mgx_ir::plan::{ContractStep, FusedNode, InputData, StepKind};

use common::seeds;
use lowered::{Lowered, mixed, with_gradients};

/// The share of the largest number of a value by which roundings that fall the other way may change it.
const EDGE: f64 = 0.05;

fn norm(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.map(|number| number * number).sum::<f64>().sqrt()
}

/// The outputs and gradients of a lowered case by the reference, one list for each.
fn reference(lowered: &Lowered) -> Vec<Vec<f64>> {
    let values = eval_graph(&lowered.case.graph, &lowered.case.params, &lowered.case.batch);
    let outputs = lowered.case.graph.outputs.iter().map(|output| output.node);
    let gradients = lowered.gradients.iter().map(|(_, node)| *node);
    outputs.chain(gradients).map(|node| values.get(node).flatten()).collect()
}

fn assert_close(seed: u64, what: &str, found: &[f64], expected: &[f64], share: f64) {
    let largest = expected.iter().fold(1e-3_f64, |largest, number| largest.max(number.abs()));
    let worst = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |worst: f64, next| if next.is_nan() { next } else { worst.max(next) });
    assert!(found.len() == expected.len() && worst <= share * largest, "{what} of seed {seed} differs by {worst} of {largest}");
}

/// The value under renamed, split and other views of it.
fn viewed(graph: &Graph, mut id: NodeId) -> &Op {
    loop {
        let node = graph.node(id);
        match node.op {
            Op::Rename { .. } | Op::Split { .. } | Op::Merge { .. } | Op::Window { .. } | Op::Broadcast | Op::Permute => {
                id = node.inputs[0]
            }
            _ => return &node.op,
        }
    }
}

#[test]
fn products_take_rounded_numbers_and_parameters_get_f32_gradients() {
    let mut products = 0;
    for seed in seeds(40) {
        let lowered = mixed(&network(seed), true).expect("networks can be differentiated");
        let graph = &lowered.case.graph;
        for node in
            graph.nodes.iter().filter(|node| matches!(node.op, Op::Contract { .. } | Op::Attention { .. } | Op::RoutedContract { .. }))
        {
            products += 1;
            for input in node.inputs.iter().filter(|input| graph.ty(**input).dtype == DType::F32) {
                assert!(
                    matches!(viewed(graph, *input), Op::Unary(UnaryOp::Bf16) | Op::Const(_)),
                    "seed {seed}: {:?}",
                    viewed(graph, *input)
                );
            }
        }
        for (param, node) in &lowered.gradients {
            assert_ne!(graph.node(*node).op, Op::Unary(UnaryOp::Bf16), "the gradient of parameter {param:?} in seed {seed} is rounded");
        }
        let mut again = graph.clone();
        round_products(&mut again);
        assert_eq!(again.nodes.len(), graph.nodes.len(), "what is rounded is not rounded again (seed {seed})");
    }
    assert!(products > 200, "{products} products");
}

/// By norms: single numbers near zero may lose all their digits.
#[test]
fn results_are_near_those_of_f32() {
    let mut different = 0;
    for seed in seeds(40) {
        let (exact, rounded) = (reference(&with_gradients(&network(seed)).unwrap()), reference(&mixed(&network(seed), true).unwrap()));
        let all = norm(exact.iter().flatten().copied());
        let difference = norm(exact.iter().flatten().zip(rounded.iter().flatten()).map(|(a, b)| a - b));
        assert!(difference < 0.05 * all, "seed {seed} differs by {difference} of {all}");
        different += usize::from(difference > 0.0);
    }
    assert!(different > 30, "only {different} networks have other numbers");
}

#[test]
fn programs_compute_what_the_reference_does() {
    for seed in seeds(40) {
        for gradients in [false, true] {
            let lowered = mixed(&network(seed), gradients).unwrap();
            let expected = reference(&lowered);
            let case = &lowered.case;
            let mut memory = ProgramMemory::with_params(&case.params, &lowered.offsets);
            memory.gradients = vec![0; lowered.bytes as usize];
            let params = memory.params.clone();
            let interpreted = run_program_outputs(&lowered.program, &mut memory, &case.batch);
            let executable = Executable::new(&lowered.program).unwrap();
            let aligned = |bytes: &[u8]| {
                let mut memory = AlignedBytes::new(bytes.len());
                memory.copy_from_slice(bytes);
                memory
            };
            let mut compiled = Memory {
                params: aligned(&params),
                gradients: AlignedBytes::new(lowered.bytes as usize),
                state: Vec::new(),
                arena: aligned(&vec![0xFF; lowered.program.arena_bytes as usize]),
            };
            executable.run(&mut compiled, &case.batch).unwrap();
            for (output, expected) in case.graph.outputs.iter().zip(&expected) {
                let found = interpreted.iter().find(|found| found.0 == output.name).unwrap().1.flatten();
                assert_close(seed, &format!("interpreted `{}`", output.name), &found, expected, EDGE);
                if let InputData::F32(found) = executable.output(&compiled, &case.batch, &output.name).unwrap() {
                    let found: Vec<f64> = found.iter().map(|number| f64::from(*number)).collect();
                    assert_close(seed, &format!("compiled `{}`", output.name), &found, expected, EDGE);
                }
            }
            let words: Vec<f64> = memory.gradients.as_chunks::<4>().0.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect();
            let gradient: Vec<f64> = compiled.gradients.as_f32().iter().map(|number| f64::from(*number)).collect();
            if gradients {
                assert_close(seed, "the gradient", &gradient[..words.len()], &words, EDGE);
            }
        }
    }
}

/// Rounding stands before the windows, not between them and the product.
#[test]
fn convolutions_still_store_no_windows() {
    let mut found = 0;
    for seed in 0..40 {
        let lowered = mixed(&network(seed), true).unwrap();
        for step in &lowered.program.steps {
            match &step.kind {
                StepKind::Contract(ContractStep { windows: Some(_), .. }) => found += 1,
                StepKind::Fused(step) => {
                    let moves = |node: &FusedNode| matches!(node.op, Some(Op::Window { .. } | Op::Fold { .. }));
                    assert!(!step.nodes.iter().any(moves), "a kernel computes windows in seed {seed}");
                }
                _ => {}
            }
        }
    }
    assert!(found > 15, "{found} convolutions");
}
