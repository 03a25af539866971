//! Evaluation and prediction: one program over all rows of a stage.

use std::time::Instant;

use mgx_data::{Part, evaluation_batches};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{InputData, MetricKind, OutputKind};

use crate::filling::{Filled, Filling};
use crate::interrupt::interrupted;
use crate::memory::fault;
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
    /// Those that a metric needs; thresholds are tuned by them.
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
        let wanted = Wanted { names: self.output_names(), filled: self.plan.filling().is_some() };
        let Computed { outputs, filled, .. } =
            self.run_stage(Stage::Predict, rows, &wanted, "predict")?.ok_or_else(|| interrupted("prediction"))?;
        let structures = self.structures(rows, &outputs)?;
        Ok(Predictions { rows: rows.to_vec(), outputs, filled, structures })
    }

    /// The task's outputs, without one that fills in masks.
    fn output_names(&self) -> Vec<String> {
        let outputs = self.plan.outputs.iter().filter(|output| !matches!(output.kind, OutputKind::Filled(_)));
        outputs.map(|output| output.name.clone()).collect()
    }

    /// Loss, metrics and the kept outputs of some rows; nothing if it was interrupted.
    pub(crate) fn score(&mut self, rows: &[u64], label: &str, keep: Keep) -> Result<Option<(Metrics, Predictions)>, Diagnostic> {
        let start = Instant::now();
        let measured = self.plan.metrics.iter().flat_map(|metric| match metric.kind {
            MetricKind::Ratio => vec![metric.prediction.clone(), metric.target.clone()],
            MetricKind::Recovered => Vec::new(),
            _ => vec![metric.prediction.clone()],
        });
        let mut names: Vec<String> = match keep {
            Keep::All => self.output_names().into_iter().chain(measured).collect(),
            Keep::Metrics => measured.collect(),
        };
        names.sort();
        names.dedup();
        let recovers = self.plan.metrics.iter().any(|metric| metric.kind == MetricKind::Recovered);
        let filled = self.plan.filling().is_some_and(|(_, spec)| keep == Keep::All || recovers || spec.steps > 1);
        let wanted = Wanted { names, filled };
        let Some(Computed { outputs, losses, filled }) = self.run_stage(Stage::Evaluate, rows, &wanted, label)? else { return Ok(None) };
        if keep == Keep::Metrics {
            self.tune_thresholds(rows, &outputs)?;
        }
        let structures = if keep == Keep::All { self.structures(rows, &outputs)? } else { Vec::new() };
        let metrics = Metrics {
            loss: total(&losses),
            values: self.metrics(rows, &outputs, filled.as_ref(), keep == Keep::All)?,
            rows: rows.len() as u64,
            seconds: start.elapsed().as_secs_f64(),
        };
        Ok(Some((metrics, Predictions { rows: rows.to_vec(), outputs, filled, structures })))
    }

    /// Runs a program over rows; nothing if it was interrupted. Where masks are filled in, each batch is run again and again with what was filled in; outputs
    /// are those of the first time.
    fn run_stage(&mut self, stage: Stage, rows: &[u64], wanted: &Wanted, label: &str) -> Result<Option<Computed>, Diagnostic> {
        let program = stage.program(&self.plan)?;
        let mut collectors: Vec<Collector> =
            wanted.names.iter().map(|name| Collector::new(program, name, rows.len())).collect::<Result<_, _>>()?;
        let has = |name: &str| program.outputs.iter().any(|output| output.name == name);
        let (has_loss, is_weighted) = (has(LOSS), has(WEIGHT));
        let filling = self.plan.filling().filter(|_| wanted.filled).map(|(name, spec)| (name.to_owned(), spec.clone()));
        let mut filled = filling.as_ref().map(|(name, spec)| Filled::new(name, spec, rows.len()));
        let mut losses: Vec<Vec<Loss>> = Vec::new();
        let place_of = places(rows);
        let progress = Progress::start(self.progress, label, rows.len() as u64);
        let start = Instant::now();
        let mut done = 0;
        for batch_rows in evaluation_batches(self.plan.batch, rows, |row| self.data.cost(row)) {
            let mut batch = self.batch(&batch_rows, 0)?;
            let batch_places: Vec<usize> = batch_rows.iter().filter_map(|row| place_of.get(row).copied()).collect();
            let mut state = filling.as_ref().map(|(_, spec)| Filling::new(spec, &self.plan.inputs, &batch)).transpose()?;
            for step in 0.. {
                if self.interrupt.is_requested() {
                    return Ok(None);
                }
                let executable = self.programs.get(&self.plan, stage)?;
                executable.run(&mut self.memory, &batch)?;
                let value = |name: &str| executable.output(&self.memory, &batch, name);
                for collector in collectors.iter_mut().filter(|_| step == 0) {
                    collector.take(&value(collector.name())?, &batch.samples, &batch_places)?;
                }
                if has_loss {
                    let weights = if is_weighted { Some(value(WEIGHT)?) } else { None };
                    // After the first step only what still has masks counts.
                    let counted = state.as_ref().filter(|_| step > 0).map(Filling::masked);
                    losses.resize(losses.len().max(step + 1), vec![Loss::default(); rows.len()]);
                    take_losses(&mut losses[step], &value(LOSS)?, weights.as_ref(), counted.as_deref(), &batch_places)?;
                }
                let (Some(state), Some((name, _))) = (&mut state, &filling) else { break };
                let scores = value(name)?;
                if !state.step(&scores, &mut batch)? {
                    break;
                }
            }
            if let (Some(state), Some(filled)) = (state, &mut filled) {
                state.finish(&batch_places, filled);
            }
            done += batch_rows.len() as u64;
            progress.advance(done, || rate(done, start.elapsed().as_secs_f64()));
        }
        self.flush_frozen();
        Ok(Some(Computed { outputs: collectors.into_iter().map(Collector::finish).collect(), losses, filled }))
    }
}

/// What a stage keeps.
struct Wanted {
    /// Outputs of the program.
    names: Vec<String>,
    /// Are masks filled in?
    filled: bool,
}

/// What a stage comes to, in the order of its rows.
struct Computed {
    outputs: Vec<Collected>,
    /// For each step of filling in masks (one where none are) the loss of each row.
    losses: Vec<Vec<Loss>>,
    filled: Option<Filled>,
}

/// The loss of a row, and how much it counts.
#[derive(Clone, Copy, Default)]
struct Loss {
    value: f64,
    weight: f64,
}

/// Takes the losses of a batch, of the samples that are `counted`; all are where nothing is said.
fn take_losses(
    losses: &mut [Loss],
    values: &InputData,
    weights: Option<&InputData>,
    counted: Option<&[bool]>,
    places: &[usize],
) -> Result<(), Diagnostic> {
    let number = |data: &InputData, sample: usize| match data {
        InputData::F32(values) => values.get(sample).map(|value| f64::from(*value)),
        InputData::I32(_) => None,
    };
    for (sample, place) in places.iter().enumerate() {
        let weight = weights.map_or(Some(1.0), |weights| number(weights, sample));
        let (Some(value), Some(weight), Some(loss)) = (number(values, sample), weight, losses.get_mut(*place)) else {
            return Err(fault("its samples have no loss"));
        };
        if counted.is_none_or(|counted| counted.get(sample) == Some(&true)) {
            *loss = Loss { value, weight };
        }
    }
    Ok(())
}

/// The mean loss of each step, added up; nothing where the task has none. Summed in the order of the rows, so that the batches do not matter.
fn total(steps: &[Vec<Loss>]) -> Option<f64> {
    let mean = |losses: &Vec<Loss>| {
        let weight: f64 = losses.iter().map(|loss| loss.weight).sum();
        losses.iter().map(|loss| loss.value * loss.weight).sum::<f64>() / weight
    };
    let counts = |losses: &&Vec<Loss>| losses.iter().any(|loss| loss.weight != 0.0);
    Some(mean(steps.first()?) + steps.iter().skip(1).filter(counts).map(mean).sum::<f64>())
}
