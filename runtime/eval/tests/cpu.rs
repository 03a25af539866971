//! The CPU backend on random programs: it agrees with the evaluation of the graph, and a sample's results have the same bits whatever batch
//! it is in and however many threads compute it.

mod common;
#[path = "common/lowered.rs"]
mod lowered;

use std::collections::BTreeMap;

use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_eval::ProgramMemory;
use mgx_eval::arbitrary::{Case, case, network, plain_program, sized_network};
use mgx_eval::eval_graph;
use mgx_ir::plan::{Batch, InputData, Program};

use common::{check, compare, seeds};
use lowered::{Lowered, forward, layers, recomputed, stored_as_bf16, with_gradients};

const TOLERANCE: f64 = 2e-4;

fn aligned(bytes: &[u8]) -> AlignedBytes {
    let mut memory = AlignedBytes::new(bytes.len());
    memory.copy_from_slice(bytes);
    memory
}

/// The memory for a program, with a poisoned arena.
fn memory(program: &Program, params: &[Vec<f64>], offsets: &[u64], gradient_bytes: u64) -> Memory {
    Memory {
        params: aligned(&ProgramMemory::with_params(params, offsets).params),
        gradients: AlignedBytes::new(gradient_bytes as usize),
        state: Vec::new(),
        arena: aligned(&vec![0xFF; program.arena_bytes as usize]),
    }
}

/// The outputs of a program, by name.
fn outputs(case: &Case, executable: &Executable, memory: &mut Memory, batch: &Batch) -> Result<BTreeMap<String, InputData>, String> {
    executable.run(memory, batch).map_err(|diagnostic| format!("{diagnostic:?}"))?;
    let read = |name: &str| executable.output(memory, batch, name).map_err(|diagnostic| format!("{diagnostic:?}"));
    case.outputs().map(|(name, _)| Ok((name.to_owned(), read(name)?))).collect()
}

fn floats(data: &InputData) -> Vec<f64> {
    match data {
        InputData::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        InputData::I32(values) => values.iter().map(|value| f64::from(*value)).collect(),
    }
}

fn bits(data: &InputData) -> Vec<u32> {
    match data {
        InputData::F32(values) => values.iter().map(|value| value.to_bits()).collect(),
        InputData::I32(values) => values.iter().map(|value| *value as u32).collect(),
    }
}

/// The outputs for the whole batch are right, and have the same bits with one thread and for each sample alone.
fn agrees(case: &Case, program: &Program, offsets: &[u64]) -> Result<(), String> {
    let packed = same_bits(case, program, offsets)?;
    compare(case, |name| packed.get(name).map(floats), TOLERANCE)
}

/// The outputs for the whole batch, which must have the same bits with one thread and for each sample alone.
fn same_bits(case: &Case, program: &Program, offsets: &[u64]) -> Result<BTreeMap<String, InputData>, String> {
    let executable = Executable::new(program).map_err(|diagnostic| format!("{diagnostic:?}"))?;
    let run = |batch: &Batch| outputs(case, &executable, &mut memory(program, &case.params, offsets, 0), batch);
    let packed = run(&case.batch)?;
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| error.to_string())?;
    let alike = |one: &BTreeMap<String, InputData>| packed.iter().all(|(name, data)| bits(data) == bits(&one[name]));
    if !alike(&one.install(|| run(&case.batch))?) {
        return Err("one thread gives other bits".into());
    }
    let independent = case.independent();
    let mut starts: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in 0..case.batch.samples.len() {
        let alone = run(&case.single(sample))?;
        for (name, node) in case.outputs().filter(|(_, node)| independent[node.0 as usize]) {
            let start = if case.graph.ty(node).per_sample { starts.entry(name).or_default() } else { &mut 0 };
            let single = bits(&alone[name]);
            let own = bits(&packed[name])[*start..*start + single.len()].to_vec();
            *start += single.len();
            if single != own {
                let differing = single.iter().zip(&own).filter(|(single, own)| single != own).count();
                return Err(format!("{differing} of {} elements of {name} of sample {sample} differ when it is alone", own.len()));
            }
        }
    }
    Ok(packed)
}

fn plain(case: &Case) -> Result<(), String> {
    plain_program(case, 11).map_or(Ok(()), |(program, offsets)| agrees(case, &program, &offsets))
}

fn lowered_forward(case: &Case) -> Result<(), String> {
    let Lowered { case, program, offsets, .. } = forward(case);
    agrees(&case, &program, &offsets)
}

/// Gradients on top of zero, twice: the second batch adds to the first.
fn lowered_gradients(case: &Case) -> Result<(), String> {
    let Some(Lowered { case, program, offsets, bytes, gradients }) = with_gradients(case) else { return Ok(()) };
    let executable = Executable::new(&program).map_err(|diagnostic| format!("{diagnostic:?}"))?;
    let mut memory = memory(&program, &case.params, &offsets, bytes);
    let values = eval_graph(&case.graph, &case.params, &case.batch);
    for run in [1.0, 2.0] {
        let found = outputs(&case, &executable, &mut memory, &case.batch)?;
        compare(&case, |name| found.get(name).map(floats), TOLERANCE)?;
        for (param, node) in &gradients {
            let expected = values.get(*node).of_sample(0).permuted(&case.graph.params[param.0 as usize].axes).data;
            let start = offsets[param.0 as usize] as usize / 4;
            let largest = expected.iter().fold(1.0_f64, |largest, element| largest.max(element.abs()));
            for (element, expected) in expected.iter().enumerate() {
                let found = f64::from(memory.gradients.as_f32()[start + element]);
                if (found - expected * run).abs() > TOLERANCE * largest || found.is_nan() {
                    return Err(format!("the gradient of parameter {} at {element} is {found}, expected {}", param.0, expected * run));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn plain_programs() {
    for seed in seeds(150) {
        check(seed, &case(seed, 14), plain);
    }
    for seed in seeds(30) {
        check(seed, &network(seed), plain);
    }
}

#[test]
fn lowered_graphs() {
    for seed in seeds(150) {
        check(seed, &case(seed, 14), lowered_forward);
    }
}

#[test]
fn lowered_networks() {
    for seed in seeds(30) {
        check(seed, &network(seed), lowered_forward);
    }
}

#[test]
fn gradients() {
    for seed in seeds(60) {
        check(seed, &case(seed, 10), lowered_gradients);
    }
    for seed in seeds(10) {
        check(seed, &network(seed), lowered_gradients);
    }
}

/// Sizes at which kernels run on vectors, in tiles and in chunks.
#[test]
fn large_networks_have_the_same_bits_in_every_batch() {
    for seed in seeds(12) {
        let Lowered { case, program, offsets, .. } = forward(&sized_network(seed, 14));
        let packed = same_bits(&case, &program, &offsets).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let finite = packed.values().flat_map(floats).filter(|value| value.is_finite()).count();
        assert!(finite > 0, "seed {seed}: no number is finite");
    }
}

/// Gradients do not depend on the number of threads.
#[test]
fn gradients_of_large_networks_have_the_same_bits_with_every_number_of_threads() {
    for seed in seeds(6) {
        let Some(Lowered { case, program, offsets, bytes, .. }) = with_gradients(&sized_network(seed, 14)) else { continue };
        let executable = Executable::new(&program).unwrap_or_else(|diagnostic| panic!("seed {seed}: {diagnostic:?}"));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap_or_else(|error| panic!("{error}"));
            let mut memory = memory(&program, &case.params, &offsets, bytes);
            pool.install(|| outputs(&case, &executable, &mut memory, &case.batch)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            memory.gradients.to_vec()
        };
        let one = run(1);
        for threads in [2, 3] {
            assert!(run(threads) == one, "seed {seed}: {threads} threads give other bits than one");
        }
        assert!(one.iter().any(|byte| *byte != 0), "seed {seed}: all gradients are zero");
    }
}

/// The outputs and the gradient memory after a batch, as bits.
fn trained_bits(lowered: &Lowered) -> Result<(Vec<Vec<u32>>, Vec<u8>), String> {
    let Lowered { case, program, offsets, bytes, .. } = lowered;
    let executable = Executable::new(program).map_err(|diagnostic| format!("{diagnostic:?}"))?;
    let mut memory = memory(program, &case.params, offsets, *bytes);
    let found = outputs(case, &executable, &mut memory, &case.batch)?;
    Ok((found.values().map(bits).collect(), memory.gradients.to_vec()))
}

/// Gradients that compute layers again have the bits of those that keep all values.
#[test]
fn computing_layers_again_changes_no_bits() {
    let agree = |case: &Case, seed: u64| {
        let (Some(kept), Some(again)) = (with_gradients(case), recomputed(case, &layers(case, seed))) else { return Ok(()) };
        let (left, right) = (trained_bits(&kept)?, trained_bits(&again)?);
        let word = |bytes: &[u8], at: usize| f32::from_le_bytes([bytes[at * 4], bytes[at * 4 + 1], bytes[at * 4 + 2], bytes[at * 4 + 3]]);
        match (0..left.1.len() / 4).find(|at| word(&left.1, *at).to_bits() != word(&right.1, *at).to_bits()) {
            Some(at) => {
                let owner = kept.offsets.iter().rposition(|offset| *offset as usize / 4 <= at);
                Err(format!("word {at} of the gradients (parameter {owner:?}) is {}, {} without", word(&right.1, at), word(&left.1, at)))
            }
            None if left.0 != right.0 => Err("other outputs".into()),
            None => Ok(()),
        }
    };
    for seed in seeds(10) {
        check(seed, &network(seed), |case| agree(case, seed));
    }
    for seed in seeds(4) {
        agree(&sized_network(seed, 14), seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

/// Parameters that are stored as bfloat16 give the bits, also of gradients, that the same numbers give when they are stored as f32.
#[test]
fn parameters_stored_as_bf16_change_no_bits() {
    let agree = |lowered: &Lowered| {
        let (rounded, halved, params) = stored_as_bf16(lowered);
        let run = |program: &Program, params: AlignedBytes| -> Result<_, String> {
            let executable = Executable::new(program).map_err(|diagnostic| format!("{diagnostic:?}"))?;
            let mut memory = Memory { params, ..memory(program, &[], &[], rounded.bytes) };
            let found = outputs(&rounded.case, &executable, &mut memory, &rounded.case.batch)?;
            Ok((found.iter().map(|(name, data)| (name.clone(), bits(data))).collect::<BTreeMap<_, _>>(), memory.gradients.to_vec()))
        };
        let whole = run(&rounded.program, aligned(&ProgramMemory::with_params(&rounded.case.params, &rounded.offsets).params))?;
        if run(&halved, aligned(&params))? == whole { Ok(()) } else { Err(String::from("other bits")) }
    };
    let forward_agrees = |case: &Case| agree(&forward(case));
    let gradients_agree = |case: &Case| with_gradients(case).map_or(Ok(()), |lowered| agree(&lowered));
    for seed in seeds(60) {
        check(seed, &case(seed, 14), forward_agrees);
    }
    for seed in seeds(20) {
        check(seed, &network(seed), forward_agrees);
        check(seed, &network(seed), gradients_agree);
    }
    for seed in seeds(4) {
        agree(&forward(&sized_network(seed, 14))).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}
