//! Interpretation of programs on their real bytes: every operation in f64, its result rounded to f32.
//!
//! It follows the documentation of `mgx_ir::plan` to the letter, and stops with a description of the step where a program reads bytes
//! that this run has not written (or that another buffer has taken since), leaves its buffers, or breaks a rule of a step: what passes
//! here may be relied on by a backend.

mod check;
mod fused;
mod memory;
mod steps;

use mgx_ir::plan::{Batch, Program, StepKind};

pub use memory::ProgramMemory;

use crate::tensor::Value;
use memory::Machine;

/// Runs a program on a batch.
///
/// # Panics
/// Where the program breaks the rules of `mgx_ir::plan`, with the step and what is wrong: this is a test oracle.
pub fn run_program(program: &Program, memory: &mut ProgramMemory, batch: &Batch) {
    run_program_outputs(program, memory, batch);
}

/// Runs a program on a batch and returns its outputs with their names, in the program's order.
pub fn run_program_outputs(program: &Program, memory: &mut ProgramMemory, batch: &Batch) -> Vec<(String, Value)> {
    let mut machine = Machine::new(program, memory, batch);
    check::buffers(&machine);
    for (number, step) in program.steps.iter().enumerate() {
        machine.doing = describe(program, number);
        match &step.kind {
            StepKind::Fused(step) => fused::run(&mut machine, step),
            StepKind::Contract(step) => steps::contract(&mut machine, step),
            StepKind::Attention(step) => steps::attention(&mut machine, step),
            StepKind::AttentionGrad(step) => steps::attention_grad(&mut machine, step),
            StepKind::Scatter(step) => steps::scatter(&mut machine, step),
            StepKind::Routed(step) => steps::routed(&mut machine, step),
            StepKind::RoutedOuter(step) => steps::routed_outer(&mut machine, step),
        }
    }
    machine.doing = String::from("outputs");
    program.outputs.iter().map(|output| (output.name.clone(), machine.read(output.buffer))).collect()
}

/// A step in words: its number, kind and where its results go.
fn describe(program: &Program, number: usize) -> String {
    let name = |buffer: &mgx_ir::plan::BufferId| {
        let known = program.buffers.get(buffer.0 as usize).map_or("?", |buffer| buffer.name.as_str());
        format!("`{known}` (buffer {})", buffer.0)
    };
    let (kind, results) = match &program.steps[number].kind {
        StepKind::Fused(step) => ("fused", step.stores.iter().map(|store| name(&store.buffer)).collect()),
        StepKind::Contract(step) => ("contract", vec![name(&step.out)]),
        StepKind::Attention(step) => ("attention", vec![name(&step.out)]),
        StepKind::AttentionGrad(step) => ("attention_grad", [step.dq, step.dk, step.dv].iter().flatten().map(name).collect()),
        StepKind::Scatter(step) => ("scatter", vec![name(&step.out)]),
        StepKind::Routed(step) => ("routed", vec![name(&step.out)]),
        StepKind::RoutedOuter(step) => ("routed_outer", vec![name(&step.out)]),
    };
    format!("step {number} ({kind} to {})", results.join(", "))
}
