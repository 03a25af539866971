//! One optimizer step: the gradients of some batches, their norm, and the update.

use mgx_diag::Diagnostic;
use mgx_eval::eval_scalars;
use mgx_ir::plan::Batch;
use mgx_ir::random::{derive, derive_name};

use super::state::Sums;
use crate::exact::Exact;
use crate::memory::fault;
use crate::programs::{Stage, scalar, set_scalar, spans_of};
use crate::session::{Session, Source};

/// Added to the norm before dividing by it, as PyTorch's `clip_grad_norm_` does.
const CLIP_EPSILON: f64 = 1e-6;
/// Rows that an error names.
const SHOWN_ROWS: usize = 8;

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepResult {
    pub sums: Sums,
    /// The global norm of the gradient, before clipping.
    pub gradient_norm: f64,
}

/// What a step is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepOrder<'a> {
    /// Number of the step, from 1.
    pub step: u64,
    /// The rows of its batches.
    pub batches: &'a [Vec<u64>],
    /// Batches before these, since the start.
    pub batches_before: u64,
    pub learning_rate: f64,
    pub accumulate: u64,
    pub clip_norm: Option<f64>,
    /// For each group of the optimizer that is trained now, the number of its own step, from 1: the first, then those that were frozen at first.
    pub groups: &'a [u64],
}

impl Session {
    /// Does one optimizer step. Each batch's mean loss counts `1 / accumulate`, also in the last, smaller group of an epoch.
    ///
    /// # Errors
    /// E0943 for a loss, E0944 for a gradient that is not finite: parameters and optimizer state are those of the step before then.
    pub(crate) fn train_step(&mut self, order: &StepOrder) -> Result<StepResult, Diagnostic> {
        self.memory.gradients.as_f32_mut().fill(0.0);
        let key = derive_name(self.plan.seed, "dropout");
        let mut sums = Sums::default();
        for (number, rows) in order.batches.iter().enumerate() {
            let mut batch = self.batch(rows, derive(key, order.batches_before + number as u64))?;
            let weight = rows.len() as f64 * order.accumulate as f64;
            set_scalar(&mut batch, "loss_scale", 1.0 / weight);
            let executable = self.programs.get(&self.plan, Stage::Gradient)?;
            executable.run(&mut self.memory, &batch)?;
            let loss = scalar(executable, &self.memory, &batch, "loss")?;
            if !loss.is_finite() {
                return Err(self.loss_not_finite(order.step, rows, loss));
            }
            let tokens = rows.iter().map(|row| self.data.cost(*row)).sum();
            sums.add(&Sums { loss: Exact(loss * weight), samples: rows.len() as u64, tokens });
        }
        let (first, later) = order.groups.split_first().ok_or_else(|| fault("its optimizer has no group"))?;
        let gradient_norm = self.gradient_norm(later.len())?;
        if !gradient_norm.is_finite() {
            return Err(self.gradient_not_finite(order, gradient_norm));
        }
        let scale = order.clip_norm.map_or(1.0, |limit| (limit / (gradient_norm + CLIP_EPSILON)).min(1.0));
        let batch = self.update_inputs(order.learning_rate, *first, scale);
        self.programs.get(&self.plan, Stage::Update)?.run(&mut self.memory, &batch)?;
        for (group, step) in later.iter().enumerate() {
            let batch = self.update_inputs(order.learning_rate, *step, scale);
            let [_, update] = self.programs.later(&self.plan, group)?;
            update.run(&mut self.memory, &batch)?;
        }
        self.set_source(Source::Training { step: order.step });
        Ok(StepResult { sums, gradient_norm })
    }

    /// The scalars of an update.
    fn update_inputs(&self, learning_rate: f64, step: u64, gradient_scale: f64) -> Batch {
        let mut batch = Batch::default();
        if let Some(optimizer) = &self.plan.optimizer {
            for (name, value) in eval_scalars(&optimizer.scalars, &[("learning_rate", learning_rate), ("step", step as f64)]) {
                set_scalar(&mut batch, &name, value);
            }
        }
        set_scalar(&mut batch, "gradient_scale", gradient_scale);
        batch
    }

    /// The norm of the gradient of what is trained now: of the first group, and of so many later ones.
    fn gradient_norm(&mut self, later: usize) -> Result<f64, Diagnostic> {
        let batch = Batch::default();
        let executable = self.programs.get(&self.plan, Stage::Norm)?;
        executable.run(&mut self.memory, &batch)?;
        let mut norm = scalar(executable, &self.memory, &batch, "norm")?;
        for group in 0..later {
            let [executable, _] = self.programs.later(&self.plan, group)?;
            executable.run(&mut self.memory, &batch)?;
            norm = norm.hypot(scalar(executable, &self.memory, &batch, "norm")?);
        }
        Ok(norm)
    }

    fn loss_not_finite(&mut self, step: u64, rows: &[u64], loss: f64) -> Diagnostic {
        let rows = &self.own_rows(rows);
        let culprits = self.rows_without_loss(rows);
        let which = match culprits.as_slice() {
            [] => format!("the batch of rows {}", numbers(rows)),
            [row] => format!("row {}", row + 1),
            rows => format!("rows {}", numbers(rows)),
        };
        let found = Diagnostic::error("E0943", format!("the loss of step {step} is {loss}, from {which}"));
        self.with_place_of_loss(found, culprits.first().or(rows.first()))
    }

    fn gradient_not_finite(&self, order: &StepOrder, norm: f64) -> Diagnostic {
        let rows: Vec<u64> = self.own_rows(&order.batches.concat());
        let message = format!("the norm of the gradient of step {} is {norm}, from the rows {}", order.step, numbers(&rows));
        self.with_place_of_loss(Diagnostic::error("E0944", message), rows.first())
    }

    /// The rows of the table that some numbers are, which may be those of copies.
    fn own_rows(&self, numbers: &[u64]) -> Vec<u64> {
        numbers.iter().map(|number| self.data.inputs().row_of(*number)).collect()
    }

    fn with_place_of_loss(&self, found: Diagnostic, row: Option<&u64>) -> Diagnostic {
        let mut found = found.note("the step was not taken: parameters and checkpoints are those from before it");
        if let Some(row) = row {
            found = found.note(format!("the first is {}", self.data.table().places().describe(*row)));
        }
        // The most specific place of the computation is often in a library: the experiment's own comes first.
        if let Some(span) = self.plan.train.as_ref().and_then(|train| train.loss_span) {
            found = found.label(span, "this loss");
        }
        let programs = [self.plan.evaluate.as_ref(), self.plan.gradient.as_ref()];
        if let Some(span) = programs.into_iter().flatten().find_map(|program| spans_of(program, "loss").last()) {
            found = found.label(*span, "computed here");
        }
        found.help("lower the learning rate, add warm-up to the schedule or `clip_norm = 1.0`, and look at these rows")
    }

    /// Which of these rows have a loss that is not finite, without dropout; none if that is not the cause.
    fn rows_without_loss(&mut self, rows: &[u64]) -> Vec<u64> {
        let Ok(batch) = self.batch(rows, 0) else { return Vec::new() };
        let Ok(executable) = self.programs.get(&self.plan, Stage::Evaluate) else { return Vec::new() };
        if executable.run(&mut self.memory, &batch).is_err() {
            return Vec::new();
        }
        match executable.output(&self.memory, &batch, "loss") {
            Ok(mgx_ir::plan::InputData::F32(losses)) => {
                rows.iter().zip(losses).filter(|(_, loss)| !loss.is_finite()).map(|(row, _)| *row).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// `3, 17, 20` (numbers from 1, as in written files), at most a few.
fn numbers(rows: &[u64]) -> String {
    let mut text = rows.iter().take(SHOWN_ROWS).map(|row| (row + 1).to_string()).collect::<Vec<_>>().join(", ");
    if rows.len() > SHOWN_ROWS {
        text.push_str(&format!(" and {} more", rows.len() - SHOWN_ROWS));
    }
    text
}
