//! Evaluation and prediction: one program over all rows of a stage.

use std::time::Instant;

use mgx_data::{Part, evaluation_batches};
use mgx_diag::Diagnostic;
use mgx_ir::plan::MetricKind;

use crate::interrupt::interrupted;
use crate::memory::{check_inputs, fault};
use crate::metrics::Metrics;
use crate::outputs::{Collected, Collector, places};
use crate::predictions::Predictions;
use crate::programs::Stage;
use crate::progress::{Progress, rate};
use crate::session::Session;

/// The output of each sample's loss, where the task has one.
const LOSS: &str = "loss";
/// The output of how much each sample's loss counts, where not all count alike.
const WEIGHT: &str = "weight";

/// What evaluating a part gives.
#[derive(Clone, Debug)]
pub struct Evaluation {
    pub part: Part,
    pub metrics: Metrics,
    /// The task's outputs for the part's rows.
    pub predictions: Predictions,
}

/// Which outputs of a stage are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those that a metric needs.
    Metrics,
    /// All of the task's; metrics come with those of each label or output, and with their intervals.
    All,
}

impl Session {
    /// Loss, metrics and outputs of a part, with the parameters as they are (as [`Session::prepare`] leaves them at first).
    ///
    /// # Errors
    /// E0522 if the part has no rows, E0942 if the task has neither a loss nor a metric, E0947 if it is interrupted, and those of loading and running.
    pub fn evaluate(&mut self, part: Part) -> Result<Evaluation, Diagnostic> {
        self.prepare()?;
        let stage = match part {
            Part::Train => "train",
            Part::Valid => "validation",
            Part::Test => "test",
        };
        let rows = self.data.rows(part)?.to_vec();
        let (metrics, predictions) = self.score(&rows, stage, Keep::All)?.ok_or_else(|| interrupted(stage))?;
        Ok(Evaluation { part, metrics, predictions })
    }

    /// The task's outputs for some rows, which need no labels.
    ///
    /// # Errors
    /// E0947 if it is interrupted, and those of loading and running.
    pub fn predict(&mut self, rows: &[u64]) -> Result<Predictions, Diagnostic> {
        self.prepare()?;
        let names: Vec<String> = self.plan.outputs.iter().map(|output| output.name.clone()).collect();
        let outputs = self.run_stage(Stage::Predict, rows, &names, "predict")?.ok_or_else(|| interrupted("prediction"))?;
        Ok(Predictions { rows: rows.to_vec(), outputs })
    }

    /// Loss, metrics and the kept outputs of some rows; nothing if it was interrupted.
    pub(crate) fn score(&mut self, rows: &[u64], label: &str, keep: Keep) -> Result<Option<(Metrics, Predictions)>, Diagnostic> {
        let start = Instant::now();
        let measured = self.plan.metrics.iter().flat_map(|metric| match metric.kind {
            MetricKind::Ratio => vec![metric.prediction.clone(), metric.target.clone()],
            _ => vec![metric.prediction.clone()],
        });
        let mut names: Vec<String> = match keep {
            Keep::All => self.plan.outputs.iter().map(|output| output.name.clone()).chain(measured).collect(),
            Keep::Metrics => measured.collect(),
        };
        names.sort();
        names.dedup();
        let has = |name: &str| Ok(Stage::Evaluate.program(&self.plan)?.outputs.iter().any(|output| output.name == name));
        let (has_loss, weighted) = (has(LOSS)?, has(WEIGHT)?);
        names.extend(has_loss.then(|| LOSS.to_owned()));
        names.extend(weighted.then(|| WEIGHT.to_owned()));
        let Some(mut outputs) = self.run_stage(Stage::Evaluate, rows, &names, label)? else { return Ok(None) };
        let weights = if weighted { outputs.pop() } else { None };
        let losses = if has_loss { outputs.pop() } else { None };
        // Summed in the order of the rows, so that the batches do not matter.
        let flat = |output: &Collected| output.rows.iter().flatten().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let weights = weights.as_ref().map_or_else(|| vec![1.0; rows.len()], flat);
        let loss = losses.as_ref().map(|losses| {
            let total: f64 = flat(losses).iter().zip(&weights).map(|(loss, weight)| loss * weight).sum();
            total / weights.iter().sum::<f64>()
        });
        let metrics = Metrics {
            loss,
            values: self.metrics(rows, &outputs, keep == Keep::All)?,
            rows: rows.len() as u64,
            seconds: start.elapsed().as_secs_f64(),
        };
        Ok(Some((metrics, Predictions { rows: rows.to_vec(), outputs })))
    }

    /// Runs a program over rows and keeps some outputs, in the order of `names`; nothing if it was interrupted.
    fn run_stage(&mut self, stage: Stage, rows: &[u64], names: &[String], label: &str) -> Result<Option<Vec<Collected>>, Diagnostic> {
        let program = stage.program(&self.plan)?;
        let mut collectors: Vec<Collector> =
            names.iter().map(|name| Collector::new(program, name, rows.len())).collect::<Result<_, _>>()?;
        let executable = self.programs.get(&self.plan, stage)?;
        let place_of = places(rows);
        let progress = Progress::start(self.progress, label, rows.len() as u64);
        let start = Instant::now();
        let mut done = 0;
        for batch_rows in evaluation_batches(self.plan.batch, rows, |row| self.data.cost(row)) {
            if self.interrupt.is_requested() {
                return Ok(None);
            }
            let batch = self.data.inputs().batch(&batch_rows, 0);
            check_inputs(&self.plan, &batch)?;
            executable.run(&mut self.memory, &batch)?;
            let batch_places: Vec<usize> = batch_rows.iter().filter_map(|row| place_of.get(row).copied()).collect();
            for collector in &mut collectors {
                let values = executable.output(&self.memory, &batch, collector.name())?;
                collector.take(&values, &batch.samples, &batch_places)?;
            }
            done += batch_rows.len() as u64;
            progress.advance(done, || rate(done, start.elapsed().as_secs_f64()));
        }
        Ok(Some(collectors.into_iter().map(Collector::finish).collect()))
    }
}
