//! How long a run will take: a few of its batches are computed and timed before it begins.

use std::collections::BTreeSet;
use std::time::Instant;

use mgx_data::evaluation_batches;
use mgx_diag::Diagnostic;
use mgx_ir::plan::Batch;

use crate::programs::{Stage, set_scalar};
use crate::session::Session;

/// Batches that are computed at most, and seconds after which there are enough.
const BATCHES: usize = 6;
const ENOUGH: f64 = 0.5;
/// A batch is computed for the forecast alone only where this many are ahead, or where it is no more work than this: it must not cost what it foretells.
const AHEAD: u64 = 20;
const LITTLE_FLOPS: u64 = 2_000_000_000;

/// What a run is expected to take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Training, the evaluations in it, the test part and the predictions.
    pub seconds: f64,
    /// Optimizer steps that are left.
    pub steps: u64,
}

impl Session {
    /// Measures batches of the training and of the evaluation, or of the prediction where nothing is trained, and reckons by tokens what all of them take.
    /// An update of the parameters is reckoned by the time of reading their gradients once. Nothing changes but the gradients, which a step begins by
    /// clearing. `done`: steps that an earlier process did; `predicted`: the rows to predict. None where there are so few and so large batches that
    /// measuring one would be much of the work.
    ///
    /// # Errors
    /// As [`Session::fit`] and [`Session::predict`].
    pub fn forecast(&mut self, done: u64, predicted: &[u64]) -> Result<Option<Forecast>, Diagnostic> {
        let Some(spec) = self.plan.train.clone() else {
            let ahead = evaluation_batches(self.plan.batch, predicted, |row| self.data.cost(row)).len() as u64;
            if ahead < AHEAD && self.plan.flops_forward > LITTLE_FLOPS {
                return Ok(None);
            }
            let rate = self.seconds_per_token(Stage::Predict, predicted)?;
            return Ok(Some(Forecast { seconds: rate * self.tokens(predicted) as f64, steps: 0 }));
        };
        let plan = self.epochs(&spec)?;
        let steps = plan.total_steps.saturating_sub(done);
        if steps * spec.accumulate.max(1) < AHEAD && self.plan.flops_step > LITTLE_FLOPS {
            return Ok(None);
        }
        let batches = self.batches(&plan, 0);
        let rows: Vec<u64> = batches.iter().flatten().copied().collect();
        let per_epoch = (batches.len() as u64).div_ceil(spec.accumulate.max(1)).max(1);
        let epochs = steps as f64 / per_epoch as f64;
        let states = self.states();
        let train = self.timed(Stage::Gradient, &batches);
        self.restore_states(&states);
        let train = train? * self.tokens(&rows) as f64 * epochs;
        let test = self.data.split().test.clone();
        let evaluated = self.tokens(&plan.valid_rows) as f64 * epochs.ceil() + self.tokens(&test) as f64 + self.tokens(predicted) as f64;
        let sample = [&plan.valid_rows, &test].into_iter().find(|rows| !rows.is_empty()).cloned().unwrap_or_default();
        let evaluate = self.seconds_per_token(Stage::Evaluate, &sample)? * evaluated;
        let update = self.update_seconds()? * steps as f64;
        let frozen = match self.frozen_report() {
            Some(report) if report.computed > 0 => {
                let all: BTreeSet<u64> = [&rows, &plan.valid_rows, &test].into_iter().flatten().chain(predicted).copied().collect();
                let all: u64 = all.iter().map(|row| self.data.cost(*row)).sum();
                report.seconds / report.tokens.max(1) as f64 * all.saturating_sub(report.tokens) as f64
            }
            _ => 0.0,
        };
        Ok(Some(Forecast { seconds: train + evaluate + update + frozen, steps }))
    }

    fn tokens(&self, rows: &[u64]) -> u64 {
        rows.iter().map(|row| self.data.cost(*row)).sum()
    }

    fn seconds_per_token(&mut self, stage: Stage, rows: &[u64]) -> Result<f64, Diagnostic> {
        let batches = evaluation_batches(self.plan.batch, rows, |row| self.data.cost(row));
        // Where masks are filled in, each batch is computed several times.
        let times = self.plan.filling().map_or(1, |(_, spec)| spec.steps);
        Ok(self.timed(stage, &batches)? * times as f64)
    }

    /// Seconds for a token, of batches spread over these; 0 where there are none.
    fn timed(&mut self, stage: Stage, batches: &[Vec<u64>]) -> Result<f64, Diagnostic> {
        if batches.is_empty() {
            return Ok(0.0);
        }
        self.programs.get(&self.plan, stage)?;
        let (mut tokens, mut seconds) = (0, 0.0);
        for number in 0..BATCHES {
            // The middle ones first: the longest rows of an evaluation come first.
            let rows = &batches[(batches.len() / 2 + number * batches.len() / BATCHES) % batches.len()];
            let start = Instant::now();
            let frozen = self.frozen_report().map_or(0.0, |report| report.seconds);
            let mut batch = self.batch(rows, 0)?;
            if stage == Stage::Gradient {
                set_scalar(&mut batch, "loss_scale", 1.0);
            }
            self.programs.get(&self.plan, stage)?.run(&mut self.memory, &batch)?;
            // What is frozen is computed once, and reckoned by itself.
            let frozen = self.frozen_report().map_or(0.0, |report| report.seconds) - frozen;
            let took = start.elapsed().as_secs_f64() - frozen;
            // The first one touches all memory for the first time, which counts only where it is long.
            if number > 0 || took > ENOUGH {
                tokens += self.tokens(rows);
                seconds += took;
            }
            if seconds > ENOUGH {
                break;
            }
        }
        Ok(seconds / tokens.max(1) as f64)
    }

    /// An update reads parameters, gradients and states and writes all but the gradients; the norm reads the gradients alone.
    fn update_seconds(&mut self) -> Result<f64, Diagnostic> {
        let vectors = 3 + 2 * self.plan.optimizer.as_ref().map_or(0, |optimizer| optimizer.state.len());
        self.programs.get(&self.plan, Stage::Norm)?;
        let mut best = f64::INFINITY;
        for _ in 0..2 {
            let start = Instant::now();
            self.programs.get(&self.plan, Stage::Norm)?.run(&mut self.memory, &Batch::default())?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best * vectors as f64)
    }

    /// The bytes of what a training step changes besides the optimizer.
    fn states(&self) -> Vec<(usize, Vec<u8>)> {
        let memory: &[u8] = &self.memory.params;
        let states = self.plan.params.iter().filter(|param| param.state);
        states
            .filter_map(|param| {
                let start = param.offset as usize;
                Some((start, memory.get(start..start + param.bytes() as usize)?.to_vec()))
            })
            .collect()
    }

    fn restore_states(&mut self, states: &[(usize, Vec<u8>)]) {
        let memory: &mut [u8] = &mut self.memory.params;
        for (start, bytes) in states {
            memory[*start..start + bytes.len()].copy_from_slice(bytes);
        }
    }
}
