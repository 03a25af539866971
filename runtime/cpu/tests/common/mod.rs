//! Running programs on the CPU in tests.

use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_eval::ProgramMemory;
use mgx_ir::plan::{Batch, InputData, Program};

/// Memory for a program, with these bytes in parameters, gradients and state; the arena is poisoned with NaN.
#[allow(dead_code, reason = "each test file uses what it needs")]
pub fn memory(program: &Program, from: &ProgramMemory) -> Memory {
    let copy = |bytes: &[u8]| {
        let mut copy = AlignedBytes::new(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    };
    let mut arena = AlignedBytes::new(program.arena_bytes as usize);
    arena.fill(0xFF);
    Memory {
        params: copy(&from.params),
        gradients: copy(&from.gradients),
        state: from.state.iter().map(|state| copy(state)).collect(),
        arena,
    }
}

/// Compiles and runs a program, and returns its outputs by name.
#[allow(dead_code, reason = "each test file uses what it needs")]
pub fn run(program: &Program, from: &ProgramMemory, batch: &Batch) -> Vec<(String, InputData)> {
    let executable = Executable::new(program).unwrap_or_else(|error| panic!("{error:#?}"));
    run_compiled(&executable, program, from, batch)
}

/// Runs a compiled program, and returns its outputs by name.
#[allow(dead_code, reason = "each test file uses what it needs")]
pub fn run_compiled(executable: &Executable, program: &Program, from: &ProgramMemory, batch: &Batch) -> Vec<(String, InputData)> {
    let mut memory = memory(program, from);
    executable.run(&mut memory, batch).unwrap_or_else(|error| panic!("{error:#?}"));
    let output = |name: &str| executable.output(&memory, batch, name).unwrap_or_else(|error| panic!("{error:#?}"));
    program.outputs.iter().map(|named| (named.name.clone(), output(&named.name))).collect()
}

/// Elements as f64.
#[allow(dead_code, reason = "each test file uses what it needs")]
pub fn numbers(data: &InputData) -> Vec<f64> {
    match data {
        InputData::F32(data) => data.iter().copied().map(f64::from).collect(),
        InputData::I32(data) => data.iter().copied().map(f64::from).collect(),
    }
}

/// Elements as bits.
#[allow(dead_code, reason = "each test file uses what it needs")]
pub fn bits(data: &InputData) -> Vec<u32> {
    match data {
        InputData::F32(data) => data.iter().map(|element| element.to_bits()).collect(),
        InputData::I32(data) => data.iter().map(|element| *element as u32).collect(),
    }
}

/// Do the elements agree? Errors are relative to the greatest element, at least 1.
#[allow(dead_code, reason = "each test file uses what it needs")]
pub fn close(found: &[f64], expected: &[f64], tolerance: f64) -> Result<(), String> {
    let largest = expected.iter().filter(|element| element.is_finite()).fold(1.0_f64, |largest, element| largest.max(element.abs()));
    let near = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance * largest;
    if found.len() != expected.len() {
        return Err(format!("{} elements, expected {}", found.len(), expected.len()));
    }
    match found.iter().zip(expected).position(|(x, y)| !near(*x, *y)) {
        Some(at) => Err(format!("element {at} is {}, expected {}", found[at], expected[at])),
        None => Ok(()),
    }
}

/// Seeds of the cases to look at: `MGX_CASES` of them, where that is set, for a longer search.
#[allow(dead_code, reason = "each test file uses what it needs")]
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    0..std::env::var("MGX_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}
