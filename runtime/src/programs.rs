//! The programs of a plan, compiled when they are first needed.

use mgx_cpu::{Executable, Memory};
use mgx_diag::{Diagnostic, Span};
use mgx_ir::plan::{Batch, BufferId, FusedStep, InputData, Plan, Program, StepKind, Storage};

use crate::memory::fault;

/// A program of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Gradient,
    Norm,
    Update,
    Evaluate,
    Predict,
    Frozen,
}

impl Stage {
    const COUNT: usize = 6;

    /// Its program.
    ///
    /// # Errors
    /// E0942 if the plan does not train; E0941 if it has no such program otherwise.
    pub fn program(self, plan: &Plan) -> Result<&Program, Diagnostic> {
        let optimizer = plan.optimizer.as_ref();
        let program = match self {
            Self::Gradient => plan.gradient.as_ref(),
            Self::Norm => optimizer.map(|optimizer| &optimizer.norm),
            Self::Update => optimizer.map(|optimizer| &optimizer.update),
            Self::Evaluate => plan.evaluate.as_ref(),
            Self::Predict => Some(&plan.predict),
            Self::Frozen => plan.frozen.as_ref().map(|frozen| &frozen.program),
        };
        program.ok_or_else(|| match self {
            Self::Evaluate => Diagnostic::error(
                "E0942",
                format!("the task of `{}` has neither a loss nor a metric, so there is nothing to evaluate", plan.name),
            )
            .help("predict instead, or give the experiment a task that compares with a label"),
            _ => Diagnostic::error("E0942", format!("experiment `{}` does not say how to train", plan.name))
                .help("add `train { epochs = 10, optimizer = adamw(lr = 1e-3) }`"),
        })
    }
}

/// Executables by stage, and those of what is trained only after some epochs: the norm and the update of each group.
#[derive(Default)]
pub(crate) struct Programs {
    stages: [Option<Executable>; Stage::COUNT],
    later: Vec<[Executable; 2]>,
}

impl Programs {
    /// The executable of a stage; compiled on the first call.
    ///
    /// # Errors
    /// As [`Stage::program`]; E0800 to E0802 if it cannot be compiled.
    pub fn get(&mut self, plan: &Plan, stage: Stage) -> Result<&Executable, Diagnostic> {
        let slot = &mut self.stages[stage as usize];
        match slot {
            Some(executable) => Ok(executable),
            None => Ok(slot.insert(Executable::new(stage.program(plan)?)?)),
        }
    }
}

impl Programs {
    /// The norm and the update of a group of the optimizer that is trained only after some epochs; compiled on the first call.
    ///
    /// # Errors
    /// E0941 if the plan has no such group; E0800 to E0802 if it cannot be compiled.
    pub fn later(&mut self, plan: &Plan, group: usize) -> Result<&[Executable; 2], Diagnostic> {
        let groups = plan.optimizer.as_ref().map(|optimizer| optimizer.later.as_slice()).unwrap_or_default();
        while let (true, Some(next)) = (self.later.len() <= group, groups.get(self.later.len())) {
            self.later.push([Executable::new(&next.norm)?, Executable::new(&next.update)?]);
        }
        self.later.get(group).ok_or_else(|| fault("it has no such group of parameters"))
    }
}

/// Brings a scalar of the step.
pub(crate) fn set_scalar(batch: &mut Batch, name: &str, value: f64) {
    batch.inputs.insert(name.to_owned(), InputData::F32(vec![value as f32]));
}

/// A scalar output after a run.
///
/// # Errors
/// E0808 if there is no such output; E0941 if it is not one number.
pub(crate) fn scalar(executable: &Executable, memory: &Memory, batch: &Batch, name: &str) -> Result<f64, Diagnostic> {
    match executable.output(memory, batch, name)? {
        InputData::F32(values) if values.len() == 1 => Ok(f64::from(values[0])),
        _ => Err(fault(format_args!("output `{name}` is not one number"))),
    }
}

/// Where a program's output comes from, most specific place first: the spans of the last step that writes it.
pub(crate) fn spans_of<'p>(program: &'p Program, output: &str) -> &'p [Span] {
    let root = |buffer: BufferId| match program.buffers.get(buffer.0 as usize).map(|buffer| buffer.storage) {
        Some(Storage::Alias(root)) => root,
        _ => buffer,
    };
    let Some(buffer) = program.outputs.iter().find(|candidate| candidate.name == output).map(|output| root(output.buffer)) else {
        return &[];
    };
    let writes = |kind: &StepKind| match kind {
        StepKind::Fused(FusedStep { stores, .. }) => stores.iter().any(|store| root(store.buffer) == buffer),
        StepKind::Contract(step) => root(step.out) == buffer,
        StepKind::Attention(step) => root(step.out) == buffer,
        StepKind::Scatter(step) => root(step.out) == buffer,
        StepKind::Routed(step) => root(step.out) == buffer,
        StepKind::RoutedOuter(step) => root(step.out) == buffer,
        StepKind::AttentionGrad(_) => false,
    };
    program.steps.iter().rev().find(|step| writes(&step.kind)).map_or(&[], |step| &step.spans)
}
