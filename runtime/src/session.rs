//! A session: one plan with its data, memory and compiled programs.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use mgx_cpu::{Executable, Memory};
use mgx_data::statistic;
use mgx_diag::Diagnostic;
use mgx_ir::plan::{self, Init, ParamSpec, Plan};
use mgx_weights::{Checkpoint, CheckpointStore, LoadReport, load_opened, parameter_slices};
use serde::Serialize;

use crate::data::Data;
use crate::frozen::{Cache, Frozen};
use crate::identity::identity;
use crate::init::init;
use crate::interrupt::Interrupt;
use crate::memory::{allocate, classes, fault};
use crate::params::MODEL;
use crate::predictions::Predictions;
use crate::programs::Programs;
use crate::progress::ProgressMode;
use crate::restore::{RestoreReport, Strictness, restore};
use crate::run::CHECKPOINTS;

/// What a session is told besides the plan and the data.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The folder of the experiment's file, where relative paths start.
    pub folder: PathBuf,
    /// Where each of the plan's weights are, if not at their folder relative to `folder` (weights of the hub, in its cache).
    pub weights: Option<Vec<PathBuf>>,
    pub progress: ProgressMode,
    pub interrupt: Interrupt,
    /// Where the values of frozen parts are kept; nowhere without it.
    pub cache: Option<Cache>,
}

/// Where the values in the parameter memory come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Source {
    /// Initial values and loaded weights.
    Start,
    /// A training step of this session.
    Training { step: u64 },
    /// A checkpoint of a run: its name and whether it is the best one.
    Checkpoint { name: String, step: u64, best: bool },
    /// A file of parameters.
    File { path: PathBuf },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("the parameters as loaded"),
            Self::Training { step } => write!(f, "the parameters after step {step}"),
            Self::Checkpoint { name, best: true, .. } => write!(f, "the best checkpoint, {name}"),
            Self::Checkpoint { name, .. } => write!(f, "the last checkpoint, {name}"),
            Self::File { path } => write!(f, "{}", path.display()),
        }
    }
}

/// An experiment that is being run.
pub struct Session {
    pub(crate) plan: Plan,
    pub(crate) data: Data,
    pub(crate) memory: Memory,
    pub(crate) programs: Programs,
    pub(crate) frozen: Frozen,
    pub(crate) progress: ProgressMode,
    pub(crate) interrupt: Interrupt,
    pub(crate) identity: String,
    /// The folder of the experiment's file.
    pub(crate) folder: PathBuf,
    weight_folders: Vec<PathBuf>,
    source: Option<Source>,
    load_report: LoadReport,
    restore_report: Option<RestoreReport>,
    /// Where the optimizer of a run that begins goes on: the steps that each of its groups has done.
    pub(crate) optimizer_steps: Vec<u64>,
    /// A run that is resumed begins its optimizer and its schedule anew.
    pub(crate) resets_optimizer: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("experiment", &self.plan.name).field("parameters", &self.source).finish_non_exhaustive()
    }
}

impl Session {
    /// Allocates all memory of the plan. Parameters get their values when they are first needed ([`Session::prepare`]) or from a
    /// checkpoint; programs are compiled when they are first run.
    ///
    /// # Errors
    /// E0940 if the machine does not have the memory; E0941 if the plan contradicts itself.
    pub fn new(plan: Plan, data: Data, settings: Settings) -> Result<Self, Diagnostic> {
        let memory = allocate(&plan)?;
        let weight_folders =
            settings.weights.unwrap_or_else(|| plan.weights.iter().map(|weights| settings.folder.join(&weights.folder)).collect());
        Ok(Self {
            identity: identity(&plan),
            plan,
            data,
            memory,
            programs: Programs::default(),
            frozen: Frozen::new(settings.cache),
            progress: settings.progress,
            interrupt: settings.interrupt,
            folder: settings.folder,
            weight_folders,
            source: None,
            load_report: LoadReport::default(),
            restore_report: None,
            optimizer_steps: Vec::new(),
            resets_optimizer: false,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The data.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Bytes that are allocated, by class; `inputs` is the share that batches keep to.
    pub fn memory(&self) -> plan::Memory {
        plan::Memory { inputs: self.plan.memory.inputs, ..classes(&self.memory) }
    }

    /// SHA-256 of the plan without its places in the source: what a resumed run must have in common with the run it resumes.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The account of the weights that [`Session::prepare`] loaded; empty before, or where a checkpoint was restored instead.
    pub fn load_report(&self) -> &LoadReport {
        &self.load_report
    }

    /// The account of the checkpoint that [`Session::restore`] has read; none before.
    pub fn restore_report(&self) -> Option<&RestoreReport> {
        self.restore_report.as_ref()
    }

    /// Where the parameters come from; none as long as they have no values.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Gives the parameters their first values, if they have none yet: their weights, and initial ones where there are none.
    ///
    /// # Errors
    /// E0900 to E0917 of the weights; E0584 to E0586 of statistics of the training labels.
    pub fn prepare(&mut self) -> Result<(), Diagnostic> {
        if self.source.is_some() {
            return Ok(());
        }
        self.frozen.forget();
        self.load()?;
        let fitted = self.fit_states();
        if fitted.is_err() {
            self.source = None;
        }
        fitted
    }

    /// Gives the states that are statistics of the training labels their values.
    fn fit_states(&mut self) -> Result<(), Diagnostic> {
        for (param, slice) in self.plan.params.iter().zip(parameter_slices(&self.plan.params, &mut self.memory.params)?) {
            let Init::Fitted { fit } = param.init else { continue };
            let spec = self.plan.fits.get(fit as usize).ok_or_else(|| fault(format_args!("it has no statistic {fit}")))?;
            let Some(column) = self.data.tables().get(spec.data as usize).and_then(|table| table.column(&spec.column)) else {
                let message = format!("the labels `{}` of training scale or weigh what is predicted, and they were not read", spec.column);
                return Err(Diagnostic::error("E0586", message).help("predict with the parameters of a run: `--checkpoint runs/NAME`"));
            };
            let values = statistic(column, &self.data.split().train, spec.statistic)?;
            for (bytes, value) in slice.as_chunks_mut::<4>().0.iter_mut().zip(values) {
                *bytes = (value as f32).to_ne_bytes();
            }
        }
        Ok(())
    }

    /// The first values of all parameters but statistics.
    fn load(&mut self) -> Result<(), Diagnostic> {
        let checkpoints = self.open_weights()?;
        self.load_report = load_opened(&self.plan.params, &self.plan.weights, &checkpoints, &mut self.memory.params)?;
        let loaded: HashSet<&str> =
            self.load_report.weights.iter().flat_map(|report| &report.used).map(|used| used.path.as_str()).collect();
        init(&self.plan.params, self.plan.seed, &|param| !loaded.contains(param.path.as_str()), &mut self.memory.params)?;
        if let Some(start) = &self.plan.start {
            Executable::new(start)?.run(&mut self.memory, &plan::Batch::default())?;
        }
        self.source = Some(Source::Start);
        Ok(())
    }

    /// Gives the parameters that checkpoints do not keep their values, before others are read from one.
    pub(crate) fn prepare_frozen(&mut self) -> Result<(), Diagnostic> {
        if self.source.is_some() || self.plan.params.iter().all(ParamSpec::is_kept) { Ok(()) } else { self.load() }
    }

    /// The checkpoints that the plan's weights name.
    pub(crate) fn open_weights(&self) -> Result<Vec<Checkpoint>, Diagnostic> {
        self.weight_folders.iter().map(|folder| Checkpoint::open(folder)).collect()
    }

    /// Takes the parameters of a finished or unfinished run: its best checkpoint if it has one, else the last, else its `model.safetensors`.
    /// `path` may also be a folder with such a file (a single checkpoint) or the file itself, which may be a checkpoint of the reference.
    ///
    /// # Errors
    /// E0951 if there is none; E0954 if it is of another network and must not be, E0958 if nothing of it fits; E0926 if it is damaged; E0900 to E0911.
    pub fn restore(&mut self, path: &Path, strictness: Strictness) -> Result<&Source, Diagnostic> {
        let (file, source) = located(path)?;
        if !file.exists() {
            return Err(Diagnostic::error("E0951", format!("`{}` holds no checkpoint", path.display()))
                .help("name the folder of a run, or a file of its parameters (`model.safetensors`)"));
        }
        match strictness {
            Strictness::Strict => self.prepare_frozen()?,
            Strictness::Relaxed => self.prepare()?,
        }
        self.frozen.forget();
        self.restore_report = Some(restore(&file, &self.plan.params, &self.plan.weights, strictness, &mut self.memory.params)?);
        Ok(self.source.insert(source))
    }

    /// Takes the optimizer's state of a checkpoint that [`Session::restore`] takes the parameters of: a run that begins in this session goes on with it.
    ///
    /// # Errors
    /// E0959 if there is none, or if it is not of what is trained here; E0926, E0956 and E0900 to E0911 if it cannot be read.
    pub fn restore_optimizer(&mut self, path: &Path) -> Result<(), Diagnostic> {
        let (file, _) = located(path)?;
        self.optimizer_steps = self.read_optimizer(file.parent().unwrap_or(Path::new("")))?;
        Ok(())
    }

    /// Lets [`Session::fit`], where it resumes a run, begin the optimizer's state and the schedule anew. Parameters and the run's place are kept.
    pub fn reset_optimizer(&mut self) {
        self.resets_optimizer = true;
    }

    pub(crate) fn set_source(&mut self, source: Source) {
        self.source = Some(source);
    }

    /// Writes predictions of this session's rows into a folder; see [`Predictions::write`].
    ///
    /// # Errors
    /// As there.
    pub fn write_predictions(&self, predictions: &Predictions, folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
        predictions.write(&self.plan, self.data.table(), folder)
    }
}

/// The file of parameters that a path names.
fn located(path: &Path) -> Result<(PathBuf, Source), Diagnostic> {
    if path.is_dir() { in_folder(path) } else { Ok((path.to_owned(), Source::File { path: path.to_owned() })) }
}

/// The file of a folder's parameters: the best checkpoint's of a run, or its last one's, or the folder's own.
fn in_folder(folder: &Path) -> Result<(PathBuf, Source), Diagnostic> {
    let store = folder.join(CHECKPOINTS);
    let best = CheckpointStore::resolve(&store, BEST)?;
    let is_best = best.is_some();
    let Some(saved) = best.map_or_else(|| CheckpointStore::latest_in(&store), |best| Ok(Some(best)))? else {
        let file = folder.join(MODEL);
        return Ok((file.clone(), Source::File { path: file }));
    };
    saved.manifest.verify(&saved.path)?;
    Ok((saved.path.join(MODEL), Source::Checkpoint { name: saved.name, step: saved.manifest.step, best: is_best }))
}

/// The pointer to the best checkpoint of a run.
pub(crate) const BEST: &str = "best";
