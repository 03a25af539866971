//! Random programs agree with the interpreter of programs; a sample's values do not depend on its batch, nor any value on the number of
//! threads.

mod common;

use common::{bits, close, numbers, run, run_compiled, seeds};
use mgx_cpu::Executable;
use mgx_eval::arbitrary::{Case, case, minimal, network, plain_program};
use mgx_eval::{ProgramMemory, run_program_outputs};

const TOLERANCE: f64 = 2e-5;

fn agrees(case: &Case) -> Result<(), String> {
    let Some((program, offsets)) = plain_program(case, 5) else { return Ok(()) };
    let from = ProgramMemory::with_params(&case.params, &offsets);
    let expected = run_program_outputs(&program, &mut from.clone(), &case.batch);
    for (name, data) in run(&program, &from, &case.batch) {
        let due = expected.iter().find(|output| output.0 == name).map(|output| output.1.flatten()).ok_or("no such output")?;
        close(&numbers(&data), &due, TOLERANCE).map_err(|error| format!("{name}: {error}\n{:#?}", program.steps))?;
    }
    Ok(())
}

/// Stops with the smallest case that breaks the property, if this one does.
fn check(seed: u64, case: &Case, property: fn(&Case) -> Result<(), String>) {
    let outcome = |case: &Case| {
        let run = std::panic::AssertUnwindSafe(|| property(case));
        std::panic::catch_unwind(run)
            .unwrap_or_else(|payload| Err(payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "panics".into())))
    };
    if outcome(case).is_err() {
        let smallest = minimal(case, |case| outcome(case).is_err());
        panic!("seed {seed}: {}\n{:?}", outcome(&smallest).err().unwrap_or_default(), smallest.batch);
    }
}

#[test]
fn operations_agree() {
    for seed in seeds(400) {
        check(seed, &case(seed, 14), agrees);
    }
}

#[test]
fn networks_agree() {
    for seed in seeds(60) {
        check(seed, &network(seed), agrees);
    }
}

/// Outputs that depend on their own sample alone have the same bits when the sample is a batch of its own.
fn samples_stand_alone(case: &Case) -> Result<(), String> {
    let Some((program, offsets)) = plain_program(case, 5) else { return Ok(()) };
    let from = ProgramMemory::with_params(&case.params, &offsets);
    let executable = Executable::new(&program).map_err(|error| format!("{error:?}"))?;
    let together = run_compiled(&executable, &program, &from, &case.batch);
    let alone: Vec<_> =
        (0..case.batch.samples.len()).map(|sample| run_compiled(&executable, &program, &from, &case.single(sample))).collect();
    let independent = case.independent();
    for (number, (name, data)) in together.iter().enumerate() {
        let Some((_, node)) = case.outputs().find(|(output, _)| output == name) else { continue };
        if !independent[node.0 as usize] || !case.graph.ty(node).per_sample {
            continue;
        }
        let parts: Vec<u32> = alone.iter().flat_map(|outputs| bits(&outputs[number].1)).collect();
        if parts != bits(data) {
            return Err(format!("{name} differs alone and in a batch"));
        }
    }
    Ok(())
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    for seed in seeds(200) {
        check(seed, &case(seed, 14), samples_stand_alone);
    }
    for seed in seeds(40) {
        check(seed, &network(seed), samples_stand_alone);
    }
}
