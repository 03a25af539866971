//! Where a training run is: everything that a resumed run needs besides tensors, in a checkpoint's `state.json`.

use std::path::Path;

use mgx_diag::Diagnostic;
use mgx_ir::plan::{EarlyStop, Monitor};
use mgx_weights::write_atomically;
use serde::{Deserialize, Serialize};

use crate::exact::Exact;
use crate::run::cannot_read;

/// Its file in a checkpoint.
pub(crate) const STATE: &str = "state.json";
const VERSION: u32 = 1;

/// Why training has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// All epochs or steps are done.
    Finished,
    /// The monitored metric has not improved for long enough.
    EarlyStop,
    /// The user or the system asked; the run can be resumed.
    Interrupted,
}

/// Sums over samples since some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub loss: Exact,
    pub samples: u64,
    pub tokens: u64,
}

impl Sums {
    pub fn add(&mut self, other: &Self) {
        self.loss.0 += other.loss.0;
        self.samples += other.samples;
        self.tokens += other.tokens;
    }

    /// Loss of a sample.
    pub fn mean(&self) -> f64 {
        self.loss.0 / self.samples as f64
    }
}

/// The best evaluation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BestSoFar {
    pub value: Exact,
    pub step: u64,
    /// From 1.
    pub epoch: u64,
}

/// The state of a run between two steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainState {
    version: u32,
    /// [`Session::identity`](crate::Session::identity).
    pub identity: String,
    /// Optimizer steps done.
    pub step: u64,
    /// The epoch that is being trained, from 0.
    pub epoch: u64,
    /// Batches of this epoch that are done.
    pub batch: u64,
    /// Batches done since the start: the counter of dropout's random numbers.
    pub batches: u64,
    /// Steps before each group of the optimizer that was frozen at first was trained, for those that are by now.
    #[serde(default)]
    pub unfrozen: Vec<u64>,
    /// Steps before the optimizer and the schedule began anew; 0 where they did not.
    #[serde(default)]
    pub restarted: u64,
    /// Steps that each group of the optimizer had done before the run, whose state it began with.
    #[serde(default)]
    pub optimizer_before: Vec<u64>,
    /// Since the last logged step.
    pub window: Sums,
    /// Since the epoch began.
    pub epoch_sums: Sums,
    pub best: Option<BestSoFar>,
    /// The monitored value of the evaluation just before this state; none in the middle of an epoch.
    #[serde(default)]
    pub monitored: Option<Exact>,
    /// What early stopping compares with, and evaluations since it improved.
    pub reference: Option<Exact>,
    pub waited: u64,
    /// Length of `metrics.jsonl`.
    pub events: u64,
    /// Set when there is nothing left to train.
    pub stop: Option<Stop>,
}

impl TrainState {
    /// Before the first step.
    pub fn new(identity: &str) -> Self {
        Self {
            version: VERSION,
            identity: identity.to_owned(),
            step: 0,
            epoch: 0,
            batch: 0,
            batches: 0,
            unfrozen: Vec::new(),
            restarted: 0,
            optimizer_before: Vec::new(),
            window: Sums::default(),
            epoch_sums: Sums::default(),
            best: None,
            monitored: None,
            reference: None,
            waited: 0,
            events: 0,
            stop: None,
        }
    }

    /// The steps that each group of the optimizer has done with its state: the first, then those that were frozen at first and are trained by now.
    pub fn optimizer_steps(&self) -> Vec<u64> {
        let begun = std::iter::once(self.restarted).chain(self.unfrozen.iter().copied());
        let before = self.optimizer_before.iter().copied().chain(std::iter::repeat(0));
        begun.zip(before).map(|(begun, before)| self.step - begun + before).collect()
    }

    /// The optimizer and the schedule begin anew with the next step.
    pub fn restart_optimizer(&mut self) {
        self.restarted = self.step;
        self.unfrozen.fill(self.step);
        self.optimizer_before.clear();
    }

    /// Takes note of an evaluation's monitored value; is it the best so far? A value that is not a number never is.
    pub fn monitor(&mut self, value: f64, mode: Monitor, early_stop: Option<&EarlyStop>) -> bool {
        self.monitored = Some(Exact(value));
        let better = |than: f64, by: f64| match mode {
            Monitor::Min => value < than - by,
            Monitor::Max => value > than + by,
        };
        let is_best = !value.is_nan() && self.best.is_none_or(|best| better(best.value.0, 0.0));
        if is_best {
            self.best = Some(BestSoFar { value: Exact(value), step: self.step, epoch: self.epoch + 1 });
        }
        if let Some(early_stop) = early_stop {
            if !value.is_nan() && self.reference.is_none_or(|reference| better(reference.0, early_stop.min_delta)) {
                self.reference = Some(Exact(value));
                self.waited = 0;
            } else {
                self.waited += 1;
                if self.waited >= early_stop.patience {
                    self.stop = Some(Stop::EarlyStop);
                }
            }
        }
        is_best
    }

    /// Writes the state into a checkpoint's folder. E0920 to E0922.
    pub fn write(&self, folder: &Path) -> Result<(), Diagnostic> {
        write_atomically(&folder.join(STATE), |writer| Ok(serde_json::to_writer_pretty(writer, self)?))
    }

    /// Reads the state of a checkpoint.
    ///
    /// # Errors
    /// E0956 if it cannot be read; E0954 if another version of mgx wrote it.
    pub fn read(folder: &Path) -> Result<Self, Diagnostic> {
        let path = folder.join(STATE);
        let failed = |error: std::io::Error| cannot_read(&path, &error);
        let bytes = std::fs::read(&path).map_err(failed)?;
        let state: Self = serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
        if state.version != VERSION {
            let message = format!("`{}` has version {}, and this mgx reads {VERSION}", path.display(), state.version);
            return Err(
                Diagnostic::error("E0954", message).help("resume with the version of mgx that started the run: `lock.json` names it")
            );
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_stopping_counts_evaluations_that_do_not_improve_enough() {
        let early_stop = EarlyStop { patience: 2, min_delta: 0.1 };
        let mut state = TrainState::new("");
        let mut monitor = |value| {
            let best = state.monitor(value, Monitor::Min, Some(&early_stop));
            (best, state.waited, state.stop)
        };
        assert_eq!(monitor(f64::NAN), (false, 1, None));
        assert_eq!(monitor(1.0), (true, 0, None));
        assert_eq!(monitor(0.95), (true, 1, None), "the best, but by less than min_delta");
        assert_eq!(monitor(0.85), (true, 0, None), "compared with the last that counted");
        assert_eq!(monitor(0.9), (false, 1, None));
        assert_eq!(monitor(f64::NAN), (false, 2, Some(Stop::EarlyStop)));
    }

    #[test]
    fn greater_can_be_better() {
        let mut state = TrainState::new("");
        assert!(state.monitor(0.5, Monitor::Max, None));
        assert!(!state.monitor(0.5, Monitor::Max, None), "equal is not better: the earlier one stays");
        assert!(state.monitor(0.6, Monitor::Max, None));
        assert_eq!((state.best.map(|best| best.value), state.stop), (Some(Exact(0.6)), None));
    }

    #[test]
    fn a_state_is_read_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = TrainState::new("abc");
        state.monitor(0.1 + 0.2, Monitor::Min, None);
        state.window = Sums { loss: Exact(1.0 / 3.0), samples: 7, tokens: 70 };
        state.write(folder.path()).unwrap();
        assert_eq!(TrainState::read(folder.path()).unwrap(), state);
        state.version = 9;
        state.write(folder.path()).unwrap();
        assert_eq!(TrainState::read(folder.path()).unwrap_err().code.0, "E0954");
    }
}
