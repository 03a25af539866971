//! How far training goes: the rows, their batches, and the number of steps.

use mgx_data::{Batching, Part, check_training_classes};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{BatchSpec, TrainSpec};

use crate::session::Session;

/// How far training goes.
pub(super) struct Epochs {
    batching: Batching,
    /// With their copies, which are numbered on from the rows of the table.
    rows: Vec<u64>,
    pub valid_rows: Vec<u64>,
    /// Steps of the whole run, as far as is known without forming all batches.
    pub total_steps: u64,
}

impl Session {
    /// The rows and how they are batched.
    ///
    /// # Errors
    /// E0522 without training rows, E0521 with one class only, and those of [`Session::check_monitor`].
    pub(super) fn epochs(&self, spec: &TrainSpec) -> Result<Epochs, Diagnostic> {
        let rows = self.data.rows(Part::Train)?.to_vec();
        check_training_classes(self.data.table(), &rows)?;
        let inputs = self.data.inputs();
        let copies = (0..inputs.copies()).map(|copy| copy * inputs.rows());
        let rows: Vec<u64> = copies.flat_map(|first| rows.iter().map(move |row| first + row)).collect();
        let valid_rows = self.data.split().valid.clone();
        self.check_monitor(spec, &valid_rows)?;
        let batching = Batching { spec: self.plan.batch, seed: self.plan.seed, shuffle: spec.shuffle };
        let mut plan = Epochs { batching, rows, valid_rows, total_steps: 0 };
        let first = self.steps_of(spec, &plan, 0);
        let by_epochs = spec.epochs.map(|epochs| epochs.saturating_mul(first));
        plan.total_steps = by_epochs.into_iter().chain(spec.max_steps).min().unwrap_or(first);
        Ok(plan)
    }

    /// The batches of an epoch, from 0.
    pub(super) fn batches(&self, plan: &Epochs, epoch: u64) -> Vec<Vec<u64>> {
        plan.batching.epoch(&plan.rows, |row| self.data.cost(row), epoch)
    }

    /// Steps of an epoch.
    fn steps_of(&self, spec: &TrainSpec, plan: &Epochs, epoch: u64) -> u64 {
        plan.batching.count(&plan.rows, |row| self.data.cost(row), epoch..epoch + 1).div_ceil(spec.accumulate.max(1))
    }

    /// Steps of the whole run, exactly. Where the number of batches differs from epoch to epoch, all epochs are formed.
    pub(super) fn total_steps(&self, spec: &TrainSpec, plan: &Epochs) -> u64 {
        let Some(epochs) = spec.epochs else { return plan.total_steps };
        let varies = matches!(plan.batching.spec, BatchSpec::Tokens(_)) && plan.batching.shuffle;
        if !varies {
            return plan.total_steps;
        }
        let mut total = 0;
        for epoch in 0..epochs {
            total += self.steps_of(spec, plan, epoch);
            if spec.max_steps.is_some_and(|max_steps| total >= max_steps) {
                break;
            }
        }
        total.min(spec.max_steps.unwrap_or(u64::MAX))
    }
}
