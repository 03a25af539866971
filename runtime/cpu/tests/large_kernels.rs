//! Kernels on sizes at which vectors, tiles, chunks and threads come into play: they agree with the interpreter, a sample does not depend on
//! its batch, and nothing depends on the number of threads.

mod common;
#[path = "common/kernels.rs"]
#[allow(dead_code, reason = "shared with the speed measurement")]
mod kernels;

use common::{bits, close, memory, numbers};
use kernels::{SEQ, TOKENS};
use mgx_cpu::{Executable, Memory};
use mgx_eval::{ProgramMemory, run_program_outputs};
use mgx_ir::plan::{Batch, BufferId, InputData, Program, ProgramInput, Sample, Storage};
use mgx_ir::random::uniform;

/// What a kernel reads from the arena is brought by the host instead, so that both sides begin with the same numbers.
fn with_inputs(mut program: Program) -> Program {
    let written: Vec<BufferId> = program.outputs.iter().map(|output| output.buffer).collect();
    for number in 0..program.buffers.len() {
        let id = BufferId(number as u32);
        if matches!(program.buffers[number].storage, Storage::Arena { .. }) && !written.contains(&id) {
            program.buffers[number].storage = Storage::Input;
            program.inputs.push(ProgramInput { name: format!("in{number}"), buffer: id });
        }
    }
    program
}

fn batch(program: &Program, samples: &[(u64, u64)]) -> Batch {
    let mut inputs = std::collections::BTreeMap::new();
    for input in &program.inputs {
        let mut elements = Vec::new();
        for (key, length) in samples {
            let extent = |axis: &mgx_ir::graph::AxisId| program.axes[axis.0 as usize].extent.eval(&[*length]);
            let count: u64 = program.buffers[input.buffer.0 as usize].ty.axes.iter().map(extent).product();
            elements.extend((0..count).map(|number| uniform(*key * 77 + u64::from(input.buffer.0), number as u32) * 4.0 - 2.0));
        }
        inputs.insert(input.name.clone(), InputData::F32(elements));
    }
    let samples = samples.iter().map(|(key, length)| Sample { key: *key, lengths: vec![*length] }).collect();
    Batch { samples, inputs, random: 11 }
}

fn params(bytes: u64) -> ProgramMemory {
    let elements = (0..bytes as u32 / 4).map(|number| uniform(5, number) * 2.0 - 1.0);
    ProgramMemory { params: elements.flat_map(f32::to_le_bytes).collect(), ..ProgramMemory::default() }
}

fn outputs(executable: &Executable, memory: &mut Memory, program: &Program, batch: &Batch) -> Vec<InputData> {
    executable.run(memory, batch).unwrap_or_else(|error| panic!("{error:#?}"));
    program
        .outputs
        .iter()
        .map(|output| executable.output(memory, batch, &output.name).unwrap_or_else(|error| panic!("{error:#?}")))
        .collect()
}

fn check(name: &str, (program, bytes): (Program, u64), samples: &[(u64, u64)]) {
    assert!(samples.iter().map(|(_, length)| length).sum::<u64>() <= TOKENS, "the arena has room for {TOKENS} tokens");
    let program = with_inputs(program);
    let executable = Executable::new(&program).unwrap_or_else(|error| panic!("{name}: {error:#?}"));
    let from = params(bytes);
    let whole = batch(&program, samples);
    let found = outputs(&executable, &mut memory(&program, &from), &program, &whole);
    let expected = run_program_outputs(&program, &mut from.clone(), &whole);
    for (data, (output, value)) in found.iter().zip(&expected) {
        close(&numbers(data), &value.flatten(), 3e-5).unwrap_or_else(|error| panic!("{name}, {output}, {samples:?}: {error}"));
    }
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let serial = one.install(|| outputs(&executable, &mut memory(&program, &from), &program, &whole));
    for (parallel, serial) in found.iter().zip(&serial) {
        assert!(bits(parallel) == bits(serial), "{name}: one thread gives other bits");
    }
    let alone: Vec<Vec<InputData>> =
        samples.iter().map(|sample| outputs(&executable, &mut memory(&program, &from), &program, &batch(&program, &[*sample]))).collect();
    for (number, output) in program.outputs.iter().enumerate() {
        if program.buffers[output.buffer.0 as usize].ty.per_sample {
            let parts: Vec<u32> = alone.iter().flat_map(|outputs| bits(&outputs[number])).collect();
            assert!(parts == bits(&found[number]), "{name}: a sample alone has other bits");
        }
    }
}

fn check_all(name: &str, kernel: fn(u64) -> (Program, u64), hidden: &[u64]) {
    assert_eq!(SEQ.0, 0);
    for hidden in hidden {
        for samples in [vec![(1, 3), (9, 0), (4, 301), (2, 1), (3, 17)], vec![(7, 1)], vec![(8, 40), (5, 262)], vec![]] {
            check(name, kernel(*hidden), &samples);
        }
    }
}

#[test]
fn elementwise() {
    check_all("gelu", kernels::gelu, &[1, 3, 37, 64]);
    check_all("dropout", kernels::dropout, &[1, 37, 64]);
    check_all("transposed", kernels::transposed, &[1, 5, 36]);
}

#[test]
fn rows() {
    check_all("layer norm", kernels::layer_norm, &[1, 3, 37, 64, 600]);
    check_all("softmax", kernels::softmax, &[1, 3, 37, 300]);
    check_all("cross entropy", kernels::cross_entropy, &[1, 3, 37, 300]);
}

#[test]
fn sums_over_rows() {
    check_all("column sums", kernels::column_sum, &[1, 3, 37, 320]);
    check_all("norm", kernels::norm, &[1, 37, 600]);
    check_all("weighted pool", kernels::weighted_pool, &[1, 3, 37, 300]);
}

#[test]
fn moves() {
    check_all("rotary", kernels::rotary, &[16, 64]);
    check_all("windows", kernels::windows, &[1, 3, 37]);
    check_all("folded", kernels::folded, &[1, 3, 37]);
    check_all("joined", kernels::joined, &[1, 3, 37]);
    check_all("embedding", kernels::embedding, &[1, 3, 37, 64]);
}

/// Many chunks of a long reduction, and columns in several blocks.
#[test]
fn long_reductions() {
    check("norm", kernels::norm(600), &[(1, 700), (2, 30)]);
    check("column sums", kernels::column_sum(9000), &[(1, 40), (2, 1)]);
    check("column sums", kernels::column_sum(500), &[(1, 600), (2, 100)]);
}
