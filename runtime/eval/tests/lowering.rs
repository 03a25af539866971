//! Random graphs and networks as the compiler lowers them, interpreted: they agree with the evaluation of the graph.

mod common;
#[path = "common/lowered.rs"]
mod lowered;

use mgx_eval::arbitrary::{Case, case, network};
use mgx_eval::{ProgramMemory, eval_graph, run_program_outputs};
use mgx_ir::graph::Op;
use mgx_ir::plan::{ContractStep, FusedNode, StepKind};

use common::{check, compare, seeds};
use lowered::{Lowered, forward, layers, recomputed, stored_as_bf16, with_gradients};

const TOLERANCE: f64 = 2e-5;

/// Runs on the whole batch and on each sample alone, with gradients that are there before.
fn agrees(lowered: &Lowered) -> Result<(), String> {
    let Lowered { case, program, .. } = lowered;
    let alone = (0..case.batch.samples.len()).map(|number| Case { batch: case.single(number), ..case.clone() });
    for case in std::iter::once(case.clone()).chain(alone) {
        let mut memory = ProgramMemory::with_params(&case.params, &lowered.offsets);
        memory.gradients = (0..lowered.bytes / 4).flat_map(|word| (word as f32 * 0.01).to_le_bytes()).collect();
        let params = memory.params.clone();
        let outputs = run_program_outputs(program, &mut memory, &case.batch);
        compare(&case, |name| outputs.iter().find(|output| output.0 == name).map(|output| output.1.flatten()), TOLERANCE)?;
        gradients_agree(lowered, &case, &memory)?;
        if memory.params != params {
            return Err("the parameters have changed".into());
        }
    }
    Ok(())
}

/// The gradient memory holds what was there before and the gradients on top.
fn gradients_agree(lowered: &Lowered, case: &Case, memory: &ProgramMemory) -> Result<(), String> {
    let values = eval_graph(&case.graph, &case.params, &case.batch);
    let words = memory.gradients.as_chunks::<4>().0.iter().map(|word| f64::from(f32::from_le_bytes(*word)));
    let mut expected: Vec<f64> = (0..lowered.bytes / 4).map(|word| f64::from(word as f32 * 0.01)).collect();
    for (param, node) in &lowered.gradients {
        let gradient = values.get(*node).of_sample(0).permuted(&case.graph.params[param.0 as usize].axes);
        let start = lowered.offsets[param.0 as usize] as usize / 4;
        for (sum, element) in expected[start..].iter_mut().zip(&gradient.data) {
            *sum += element;
        }
    }
    let largest = expected.iter().fold(1.0_f64, |largest, element| largest.max(element.abs()));
    for (word, (found, expected)) in words.zip(expected).enumerate() {
        if found.is_nan() || (found - expected).abs() > TOLERANCE * largest {
            let owner = lowered.offsets.iter().rposition(|offset| *offset as usize / 4 <= word);
            return Err(format!("word {word} of the gradients (parameter {owner:?}) is {found}, expected {expected}"));
        }
    }
    Ok(())
}

fn forward_agrees(case: &Case) -> Result<(), String> {
    agrees(&forward(case))
}

fn gradients_too(case: &Case) -> Result<(), String> {
    with_gradients(case).map_or(Ok(()), |lowered| agrees(&lowered))
}

#[test]
fn lowered_graphs_agree() {
    for seed in seeds(300) {
        check(seed, &case(seed, 14), forward_agrees);
    }
}

#[test]
fn lowered_gradients_agree() {
    for seed in seeds(200) {
        check(seed, &case(seed, 10), gradients_too);
    }
}

#[test]
fn lowered_networks_agree() {
    for seed in seeds(60) {
        check(seed, &network(seed), forward_agrees);
        check(seed, &network(seed), gradients_too);
    }
}

/// Gradients that compute layers again are those of a graph that keeps all values, to the last bit of the reference.
fn recomputing_changes_nothing(case: &Case, seed: u64) -> Result<(), String> {
    let (Some(kept), Some(again)) = (with_gradients(case), recomputed(case, &layers(case, seed))) else { return Ok(()) };
    let values = |lowered: &Lowered| -> Vec<Vec<u64>> {
        let values = eval_graph(&lowered.case.graph, &lowered.case.params, &lowered.case.batch);
        let gradients = lowered.gradients.iter().map(|(_, node)| values.get(*node).flatten());
        gradients.map(|gradient| gradient.into_iter().map(f64::to_bits).collect()).collect()
    };
    if values(&kept) != values(&again) {
        return Err("other gradients".into());
    }
    agrees(&again)
}

#[test]
fn recomputed_gradients_agree() {
    let mut copies = 0;
    for seed in seeds(150) {
        check(seed, &case(seed, 10), |case| recomputing_changes_nothing(case, seed));
        if seed % 3 == 0 {
            let case = network(seed);
            check(seed, &case, |case| recomputing_changes_nothing(case, seed));
            let again = recomputed(&case, &layers(&case, seed)).expect("networks can be differentiated");
            copies += again.case.graph.nodes.iter().filter(|node| node.op == Op::After).count();
        }
    }
    assert!(copies > 100, "{copies} values are read for recomputation");
}

/// A convolution, the gradient of its input and that of its kernel are products that read positions, and windows are stored nowhere.
#[test]
fn convolutions_do_not_store_windows() {
    let mut counts = [0; 3];
    for seed in 0..40 {
        let case = network(seed);
        let convolutions = case.graph.nodes.iter().filter(|node| matches!(node.op, Op::Window { .. })).count();
        let lowered = with_gradients(&case).expect("networks can be differentiated");
        let (mut forward, mut kernel) = (0, 0);
        for step in &lowered.program.steps {
            match &step.kind {
                StepKind::Contract(ContractStep { windows: Some(windows), m, .. }) if *m == [windows.into] => forward += 1,
                StepKind::Contract(ContractStep { windows: Some(_), .. }) => kernel += 1,
                StepKind::Fused(step) => {
                    let moves = |node: &FusedNode| matches!(node.op, Some(Op::Window { .. } | Op::Fold { .. }));
                    assert!(!step.nodes.iter().any(moves), "a kernel computes windows in seed {seed}");
                }
                _ => {}
            }
        }
        counts = [counts[0] + convolutions, counts[1] + forward, counts[2] + kernel];
    }
    let [convolutions, forward, kernel] = counts;
    assert!(convolutions > 5 && forward == 2 * convolutions && kernel == convolutions, "{counts:?}");
}

/// A network takes its attention whole, and its norms and losses in few kernels.
#[test]
fn networks_are_lowered_to_few_steps() {
    let mut kinds = [0; 3];
    for seed in 0..20 {
        for step in &forward(&network(seed)).program.steps {
            let kind = match step.kind {
                StepKind::Fused(_) => 0,
                StepKind::Contract(_) => 1,
                _ => 2,
            };
            kinds[kind] += 1;
        }
    }
    let [fused, contractions, others] = kinds;
    assert!(others >= 15 && contractions >= 100 && fused < 2 * contractions, "fused {fused}, contractions {contractions}, others {others}");
}

/// The interpreter reads parameters that are stored as bfloat16 as the numbers that they are.
#[test]
fn parameters_stored_as_bf16_are_the_same_numbers() {
    let agree = |case: &Case| {
        let (rounded, halved, params) = stored_as_bf16(&forward(case));
        let run =
            |program, params| run_program_outputs(program, &mut ProgramMemory { params, ..ProgramMemory::default() }, &rounded.case.batch);
        let whole = run(&rounded.program, ProgramMemory::with_params(&rounded.case.params, &rounded.offsets).params);
        let found = run(&halved, params);
        let words = |outputs: &[(String, mgx_eval::Value)]| -> Vec<u64> {
            outputs.iter().flat_map(|(_, value)| value.flatten()).map(f64::to_bits).collect()
        };
        if words(&found) == words(&whole) { Ok(()) } else { Err(String::from("other numbers")) }
    };
    for seed in seeds(40) {
        check(seed, &case(seed, 12), agree);
    }
}
