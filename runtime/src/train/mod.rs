//! Training: epochs of optimizer steps, an evaluation after each, and checkpoints from which a run goes on bit for bit.
//!
//! Batches, dropout and the learning rate are functions of the seed and of counters, and the counters are in the checkpoint; so a run that is
//! killed and resumed ends with the same parameters as one that is not.

mod checkpoint;
mod epochs;
mod forecast;
mod log;
mod monitor;
mod schedule;
mod state;
mod step;

pub use forecast::Forecast;
pub use state::Stop;

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Instant;

use mgx_data::{Table, structure_files};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{DataSpec, FileFormat, TrainSpec};
use mgx_weights::{CheckpointStore, SavedCheckpoint};

use crate::memory::fault;
use crate::metrics::Metrics;
use crate::params::MODEL;
use crate::progress::{Progress, ProgressMode, rate};
use crate::run::{Events, Lock, LockRequest, RunFolder, holds_a_run};
use crate::session::Session;
use crate::stage::Keep;
use checkpoint::repair_best;
use epochs::Epochs;
use schedule::Schedule;
use state::{Sums, TrainState};
use step::{StepOrder, StepResult};

/// What a training run came to.
#[derive(Clone, Debug)]
pub struct FitReport {
    pub stop: Stop,
    /// Optimizer steps and whole epochs, those of resumed processes counted.
    pub steps: u64,
    pub epochs: u64,
    /// The step that this process started from, where it resumed.
    pub resumed_from: Option<u64>,
    pub best: Option<Best>,
    /// The last checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// The exported parameters: the best, or the last where nothing was evaluated. Written when training ends, not when it is interrupted.
    pub model: Option<PathBuf>,
    /// The last evaluation of this process.
    pub valid: Option<Metrics>,
    /// Samples trained on, and seconds, by this process.
    pub samples: u64,
    pub seconds: f64,
}

/// The best evaluation of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// What was monitored: `valid_loss` or `valid_` and a metric.
    pub monitor: String,
    pub value: f64,
    pub step: u64,
    /// From 1.
    pub epoch: u64,
}

/// A training run in progress.
struct Fit<'r> {
    run: &'r RunFolder,
    spec: TrainSpec,
    store: CheckpointStore,
    events: Events,
    state: TrainState,
    schedule: Schedule,
    plan: Epochs,
    progress: Progress,
    /// The lock file, while its hashes are being computed.
    lock: Option<JoinHandle<Result<Lock, Diagnostic>>>,
    /// The checkpoint that holds `state`, as long as no step was made since.
    saved: Option<SavedCheckpoint>,
    valid: Option<Metrics>,
    started: Instant,
    /// When the window of `state` began in this process, and its samples at that moment.
    window: (Instant, u64, u64),
    samples: u64,
}

impl Session {
    /// Trains until the plan says so, the run is interrupted, or an error; with `resume` from the run's last checkpoint (from the start if it
    /// was killed before its first). Afterwards the parameters are the best ones, or the last where nothing was evaluated or it was interrupted.
    ///
    /// # Errors
    /// E0942 if the plan does not train, E0943 to E0946 for numbers that make no sense, E0952 and E0953 if a resumed run is of another experiment or
    /// other data, E0955 if the folder cannot be written, and those of data, weights and checkpoints. The last checkpoint is complete whatever happens.
    pub fn fit(&mut self, run: &RunFolder, resume: bool) -> Result<FitReport, Diagnostic> {
        let mut fit = self.start_fit(run, resume)?;
        let resumed_from = (resume && fit.state.step > 0).then_some(fit.state.step);
        if let Some(step) = resumed_from {
            fit.progress.line(&match fit.state.stop {
                Some(_) => format!("nothing is left to train: the run ended after step {step}"),
                None if self.resets_optimizer => format!("resumed after step {step}, epoch {}, with a new optimizer", fit.state.epoch + 1),
                None => format!("resumed after step {step}, epoch {}", fit.state.epoch + 1),
            });
        }
        let stop = loop {
            if let Some(stop) = fit.state.stop {
                break stop;
            }
            if !self.train_epoch(&mut fit)? || !self.end_epoch(&mut fit)? {
                self.keep_state(&mut fit, false)?;
                break Stop::Interrupted;
            }
        };
        fit.finish_lock()?;
        let mut model = None;
        if stop != Stop::Interrupted {
            self.load_best(&run.checkpoints())?;
            let path = run.path().join(MODEL);
            self.write_params(&path)?;
            self.write_adapters(run.path())?;
            model = Some(path);
        }
        Ok(fit.report(stop, resumed_from, model))
    }

    /// Everything before the first step.
    fn start_fit<'r>(&mut self, run: &'r RunFolder, resume: bool) -> Result<Fit<'r>, Diagnostic> {
        let Some(spec) = self.plan.train.clone() else { return Err(self.not_trainable()) };
        let request = self.lock_request()?;
        let lock = if resume { run.lock()? } else { None };
        if resume {
            if let Some(lock) = &lock {
                request.check_data(lock, run.path())?;
            }
            run.check_plan(&self.plan)?;
        }
        let plan = self.epochs(&spec)?;
        let store = CheckpointStore::open(&run.checkpoints())?;
        let saved = store.latest()?;
        if saved.is_some() && !resume {
            return Err(holds_a_run(run.path()));
        }
        let state = match &saved {
            Some(saved) => {
                let state = self.load_checkpoint(saved)?;
                repair_best(&store, saved, &state)?;
                state
            }
            None => {
                self.prepare()?;
                let mut state = TrainState::new(&self.identity);
                state.optimizer_before = std::mem::take(&mut self.optimizer_steps);
                state
            }
        };
        let schedule = Schedule::new(&spec, || self.total_steps(&spec, &plan))?;
        let progress = Progress::start(self.progress, "", plan.total_steps);
        progress.resume(state.step);
        let window = (Instant::now(), state.window.samples, state.window.tokens);
        let events = run.events(Some(state.events), &self.plan)?;
        // Hashing large files takes seconds, in which training can begin.
        let lock = lock.is_none().then(|| std::thread::spawn(move || request.make()));
        let (valid, started) = (None, Instant::now());
        Ok(Fit { run, spec, store, events, state, schedule, plan, progress, lock, saved, valid, started, window, samples: 0 })
    }

    fn not_trainable(&self) -> Diagnostic {
        Diagnostic::error("E0942", format!("experiment `{}` does not say how to train", self.plan.name))
            .help("add `train { epochs = 10, optimizer = adamw(lr = 1e-3) }`, or predict with it")
    }

    /// The rest of an epoch's steps; false if it was interrupted.
    fn train_epoch(&mut self, fit: &mut Fit) -> Result<bool, Diagnostic> {
        let batches = self.batches(&fit.plan, fit.state.epoch);
        let accumulate = fit.spec.accumulate.max(1);
        fit.progress.stage(&fit.epoch_label());
        while let Some(rest) = batches.get(fit.state.batch as usize..).filter(|rest| !rest.is_empty()) {
            if fit.is_at_max_steps() {
                break;
            }
            if self.interrupt.is_requested() {
                return Ok(false);
            }
            let group = &rest[..rest.len().min(usize::try_from(accumulate).unwrap_or(usize::MAX))];
            let learning_rate = fit.schedule.learning_rate(fit.state.step - fit.state.restarted)?;
            let groups = self.group_steps(&mut fit.state);
            let order = StepOrder {
                step: fit.state.step + 1,
                batches: group,
                batches_before: fit.state.batches,
                learning_rate,
                accumulate,
                clip_norm: fit.spec.clip_norm,
                groups: &groups,
            };
            let result = self.train_step(&order).map_err(|found| fit.with_last_checkpoint(found))?;
            fit.advance(group.len() as u64, &result, learning_rate)?;
            let is_epoch_end = group.len() == rest.len() || fit.is_at_max_steps();
            let is_due = fit.spec.checkpoint_every.is_some_and(|every| fit.state.step.is_multiple_of(every.max(1)));
            if is_due && !is_epoch_end {
                self.keep_state(fit, false)?;
            }
        }
        Ok(true)
    }

    /// For each group of the optimizer that is trained in this epoch the number of its own next step, from 1.
    fn group_steps(&self, state: &mut TrainState) -> Vec<u64> {
        let groups = self.plan.optimizer.iter().flat_map(|optimizer| &optimizer.later);
        let count = groups.take_while(|group| group.from_epoch <= state.epoch).count();
        state.unfrozen.resize(count.max(state.unfrozen.len()), state.step);
        state.optimizer_steps().into_iter().map(|done| done + 1).collect()
    }

    /// Evaluates after an epoch, and writes a checkpoint; false if it was interrupted.
    fn end_epoch(&mut self, fit: &mut Fit) -> Result<bool, Diagnostic> {
        let mut is_best = false;
        let paused = Instant::now();
        if !fit.plan.valid_rows.is_empty() {
            let rows = std::mem::take(&mut fit.plan.valid_rows);
            // The bar of the training steps stays where it is.
            fit.progress.stage("valid");
            let mode = std::mem::replace(&mut self.progress, ProgressMode::Quiet);
            let scored = self.score(&rows, "valid", Keep::Metrics);
            self.progress = mode;
            fit.plan.valid_rows = rows;
            let Some((metrics, _)) = scored? else { return Ok(false) };
            let name = fit.spec.monitor.strip_prefix("valid_").unwrap_or(&fit.spec.monitor);
            let value =
                metrics.get(name).ok_or_else(|| fault(format_args!("it monitors `{}`, which is not measured", fit.spec.monitor)))?;
            is_best = fit.state.monitor(value, fit.spec.mode, fit.spec.early_stop.as_ref());
            fit.log_valid(&metrics, is_best)?;
            fit.valid = Some(metrics);
        } else {
            fit.log_epoch()?;
        }
        fit.state.epoch += 1;
        fit.state.batch = 0;
        fit.state.epoch_sums = Sums::default();
        if fit.is_at_max_steps() || fit.spec.epochs.is_some_and(|epochs| fit.state.epoch >= epochs) {
            fit.state.stop.get_or_insert(Stop::Finished);
        }
        fit.saved = None;
        self.keep_state(fit, is_best)?;
        // Evaluating and writing is not training: the speed leaves it out.
        fit.window.0 += paused.elapsed();
        Ok(true)
    }

    /// Writes a checkpoint of the state as it is, unless the last one holds it.
    fn keep_state(&mut self, fit: &mut Fit, is_best: bool) -> Result<(), Diagnostic> {
        if fit.saved.is_some() {
            return Ok(());
        }
        fit.finish_lock()?;
        fit.state.events = fit.events.sync()?;
        fit.saved = Some(self.save_checkpoint(&fit.store, &fit.state, &fit.spec, is_best)?);
        Ok(())
    }

    /// The files that a run of this session depends on.
    pub(crate) fn lock_request(&self) -> Result<LockRequest, Diagnostic> {
        let tables = self.plan.data.iter().zip(self.data.tables());
        let files = |(spec, table): (&DataSpec, &Table)| {
            if spec.format == FileFormat::Structures {
                let files = structure_files(&table.path)?;
                let name = |file: &PathBuf| format!("{}/{}", spec.path, file.strip_prefix(&table.path).unwrap_or(file).display());
                return Ok(files.into_iter().map(|file| (name(&file), file)).collect());
            }
            let genome = spec.windows.as_ref().map(|windows| (windows.genome.clone(), self.folder.join(&windows.genome)));
            Ok(std::iter::once((spec.path.clone(), table.path.clone())).chain(genome).collect())
        };
        let data: Vec<Vec<(String, PathBuf)>> = tables.map(files).collect::<Result<_, Diagnostic>>()?;
        let data = data.concat();
        let mut weights = Vec::new();
        for (spec, checkpoint) in self.plan.weights.iter().zip(self.open_weights()?) {
            for file in checkpoint.files() {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                weights.push((format!("{}/{name}", spec.folder), file.to_owned()));
            }
        }
        Ok(LockRequest { plan: self.identity.clone(), seed: self.plan.seed, data, weights })
    }

    /// What a run of this session depends on outside the program; reads all its files.
    ///
    /// # Errors
    /// E0900 to E0909, E0956 if one cannot be read.
    pub fn lock(&self) -> Result<Lock, Diagnostic> {
        self.lock_request()?.make()
    }
}

impl Fit<'_> {
    fn is_at_max_steps(&self) -> bool {
        self.spec.max_steps.is_some_and(|max_steps| self.state.step >= max_steps)
    }

    /// Takes note of a step.
    fn advance(&mut self, batches: u64, result: &StepResult, learning_rate: f64) -> Result<(), Diagnostic> {
        self.saved = None;
        self.state.monitored = None;
        self.state.step += 1;
        self.state.batch += batches;
        self.state.batches += batches;
        self.state.window.add(&result.sums);
        self.state.epoch_sums.add(&result.sums);
        self.samples += result.sums.samples;
        let loss = self.state.window.mean();
        let speed = (self.state.window.samples - self.window.1, self.window.0.elapsed().as_secs_f64());
        self.progress.advance(self.state.step, || format!("loss {loss:.4}  lr {learning_rate:.2e}  {}", rate(speed.0, speed.1)));
        let step = self.state.step;
        if step == 1 || step.is_multiple_of(self.spec.log_every.max(1)) || self.is_at_max_steps() {
            self.log_train(result, learning_rate)?;
        }
        Ok(())
    }

    /// Says where to go on after an error of a step.
    fn with_last_checkpoint(&self, found: Diagnostic) -> Diagnostic {
        match self.store.latest() {
            Ok(Some(saved)) => found.note(format!("the last checkpoint is `{}`", saved.path.display())),
            _ => found.note("there is no checkpoint yet"),
        }
    }

    /// Writes the lock file when its hashes are there. Before the first checkpoint, so that no run is resumed without it.
    fn finish_lock(&mut self) -> Result<(), Diagnostic> {
        let Some(handle) = self.lock.take() else { return Ok(()) };
        let lock = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        self.run.write_lock(&lock)
    }

    fn report(self, stop: Stop, resumed_from: Option<u64>, model: Option<PathBuf>) -> FitReport {
        let monitor = self.spec.monitor;
        FitReport {
            stop,
            steps: self.state.step,
            epochs: self.state.epoch,
            resumed_from,
            best: self.state.best.map(|best| Best { monitor, value: best.value.0, step: best.step, epoch: best.epoch }),
            checkpoint: self.saved.map(|saved| saved.path),
            model,
            valid: self.valid,
            samples: self.samples,
            seconds: self.started.elapsed().as_secs_f64(),
        }
    }
}
