//! What `mgxc plan` tells of a plan.

use std::fmt;

use mgx_ir::plan::{Memory, OutputKind, ParamSpec, Plan, ProgramInput, StepKind};
use serde::Serialize;

/// The figures of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub experiment: String,
    pub parameters_total: u64,
    pub parameters_trainable: u64,
    /// Those that a token's result is computed with: of parts among which is chosen, as many as are.
    pub parameters_active: u64,
    /// Floating point operations of the largest batch: forward, and a training step's forward and backward.
    pub flops_forward: u64,
    pub flops_step: u64,
    pub memory: Memory,
    pub memory_total: u64,
    /// Forecast of the process's largest resident size: the memory above, the plan and its kernels, the data, and the program itself.
    pub process_peak: u64,
    /// Bytes that a run writes: checkpoints (best and last), the final weights.
    pub bytes_written: u64,
    pub kernels: Vec<ProgramSummary>,
}

/// The steps of a program by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramSummary {
    pub program: &'static str,
    pub fused: usize,
    pub products: usize,
    pub attention: usize,
    pub scatter: usize,
    pub arena_bytes: u64,
}

/// Bytes of the program itself, its threads and their scratch memory, as measured on the examples with two threads.
const PROGRAM_BYTES: u64 = 50 << 20;
/// Bytes that the compiler and the runtime keep for a step of a program: the graph, the plan, the kernel.
const STEP_BYTES: u64 = 8 << 10;
/// Bytes that a byte of a data file takes as table, tokens and predictions.
const DATA_FACTOR: u64 = 6;
/// Copies of all predictions on the way to files: as they were gathered, as columns, and encoded in two forms.
const OUTPUT_COPIES: u64 = 4;
/// Bytes of the values of a frozen part that wait to be written, and on their way.
const FROZEN_BYTES: u64 = 2 * (16 << 20);

/// Counts. `data_bytes` is the size of the data files; `predicted` are the lengths of the rows that are predicted.
pub fn summarize(plan: &Plan, data_bytes: u64, predicted: &[Vec<u64>]) -> Summary {
    let parameters_total = plan.params.iter().filter(|param| !param.state).map(|param| param.elements()).sum();
    let parameters_trainable = plan.params.iter().filter(|param| param.trainable).map(|param| param.elements()).sum();
    let parameters_active = active(plan);
    let mut kernels = Vec::new();
    let named = [
        ("gradient", plan.gradient.as_ref()),
        ("update", plan.optimizer.as_ref().map(|optimizer| &optimizer.update)),
        ("evaluate", plan.evaluate.as_ref()),
        ("predict", Some(&plan.predict)),
        ("frozen", plan.frozen.as_ref().map(|frozen| &frozen.program)),
    ];
    for (program, steps) in named {
        let Some(steps) = steps else { continue };
        let count = |wanted: fn(&StepKind) -> bool| steps.steps.iter().filter(|step| wanted(&step.kind)).count();
        kernels.push(ProgramSummary {
            program,
            fused: count(|kind| matches!(kind, StepKind::Fused(_))),
            products: count(|kind| matches!(kind, StepKind::Contract(_) | StepKind::Routed(_) | StepKind::RoutedOuter(_))),
            attention: count(|kind| matches!(kind, StepKind::Attention(_) | StepKind::AttentionGrad(_))),
            scatter: count(|kind| matches!(kind, StepKind::Scatter(_))),
            arena_bytes: steps.arena_bytes,
        });
    }
    let steps = super::programs(plan).map(|program| program.steps.len() as u64).sum::<u64>();
    let kept: u64 = plan.params.iter().filter(|param| param.is_kept()).map(ParamSpec::bytes).sum();
    let adapters: u64 = plan.params.iter().filter(|param| param.adapter.is_some()).map(ParamSpec::bytes).sum();
    let bytes_written = if plan.train.is_some() { 2 * (kept + plan.memory.optimizer) + kept + adapters } else { 0 };
    Summary {
        experiment: plan.name.clone(),
        parameters_total,
        parameters_trainable,
        parameters_active,
        flops_forward: plan.flops_forward,
        flops_step: plan.flops_step,
        memory: plan.memory,
        memory_total: plan.memory.total(),
        process_peak: plan.memory.total()
            + PROGRAM_BYTES
            + steps * STEP_BYTES
            + data_bytes * DATA_FACTOR
            + output_bytes(plan, predicted) * OUTPUT_COPIES
            + plan.frozen.as_ref().map_or(0, |_| FROZEN_BYTES),
        bytes_written,
        kernels,
    }
}

/// Parameters that a token's result is computed with.
fn active(plan: &Plan) -> u64 {
    let mut of_choices: std::collections::BTreeMap<(u64, u64), u64> = std::collections::BTreeMap::new();
    for param in &plan.params {
        *of_choices.entry(param.chosen.unwrap_or((1, 1))).or_default() += param.elements();
    }
    of_choices.into_iter().map(|((chosen, of), elements)| elements / of.max(1) * chosen).sum()
}

/// Bytes of the predictions of rows with these lengths. Of what fills in masks the scores are not kept.
fn output_bytes(plan: &Plan, rows: &[Vec<u64>]) -> u64 {
    let program = &plan.predict;
    let fills = |name: &str| plan.outputs.iter().any(|output| output.name == name && matches!(output.kind, OutputKind::Filled(_)));
    let kept: Vec<&ProgramInput> = program.outputs.iter().filter(|output| !fills(&output.name)).collect();
    let elements = |output: &ProgramInput, lengths: &[u64]| -> u64 {
        let axes = &program.buffers[output.buffer.0 as usize].ty.axes;
        axes.iter().map(|axis| program.axes[axis.0 as usize].extent.eval(lengths)).fold(1, u64::saturating_mul)
    };
    rows.iter().flat_map(|lengths| kept.iter().map(move |output| 4 * elements(output, lengths))).fold(0, u64::saturating_add)
}

/// `1,234,567`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1.5 GiB`.
fn bytes(value: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value} B") } else { format!("{scaled:.1} {}", units[unit]) }
}

/// `1.5 GFLOP`.
fn flops(value: u64) -> String {
    let units = ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 1000.0 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", units[unit])
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "experiment {}", self.experiment)?;
        writeln!(f, "  parameters   {} in all, {} trainable", grouped(self.parameters_total), grouped(self.parameters_trainable))?;
        if self.parameters_active < self.parameters_total {
            writeln!(f, "    active     {} for each token", grouped(self.parameters_active))?;
        }
        writeln!(f, "  largest batch")?;
        writeln!(f, "    forward    {}", flops(self.flops_forward))?;
        if self.flops_step > 0 {
            writeln!(f, "    training   {} (forward and backward)", flops(self.flops_step))?;
        }
        writeln!(f, "  memory       {}", bytes(self.memory_total))?;
        let Memory { params, gradients, optimizer, activations, inputs } = self.memory;
        for (name, value) in
            [("parameters", params), ("gradients", gradients), ("optimizer", optimizer), ("activations", activations), ("inputs", inputs)]
        {
            writeln!(f, "    {name:<12} {:>10}  ({} bytes)", bytes(value), grouped(value))?;
        }
        writeln!(f, "  process      {} at most, with the program, its kernels and the data", bytes(self.process_peak))?;
        writeln!(f, "  writes       {}", bytes(self.bytes_written))?;
        for program in &self.kernels {
            writeln!(
                f,
                "  {:<10} {} fused kernels, {} matrix products, {} attention, {} scatter, arena {}",
                program.program,
                program.fused,
                program.products,
                program.attention,
                program.scatter,
                bytes(program.arena_bytes)
            )?;
        }
        Ok(())
    }
}
