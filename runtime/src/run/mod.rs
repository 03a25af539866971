//! The folder of a run.
//!
//! ```text
//! runs/EXPERIMENT/1/
//!   experiment.mgx        the program with everything resolved, and beside it the files that it imports
//!   plan.json             what the compiler made of it
//!   lock.json             hashes of data and weights, seed, version
//!   loading.json          the account of weights and of a checkpoint that it began with
//!   metrics.jsonl         one event a line; metrics.csv, events.out.tfevents.* where they are asked for
//!   checkpoints/          see `mgx_weights::CheckpointStore`
//!   model.safetensors     the best parameters, when training is done
//!   adapters/             what was trained beside frozen networks, as PEFT stores it
//!   resources.json        time and memory, forecast and measured
//!   test.json, predictions.*, embeddings.*
//! ```

mod crc32c;
mod csv_log;
mod events;
mod lock;
mod tensorboard;

pub use lock::{FileLock, Lock};

pub(crate) use lock::LockRequest;

pub(crate) use events::{EVENTS, Events};

use std::io::Write;
use std::path::{Path, PathBuf};

use mgx_diag::Diagnostic;
use mgx_ir::plan::Plan;
use mgx_weights::{LoadReport, write_atomically};
use serde::Serialize;
use serde_json::{Value, json};

use crate::identity::differences;
use crate::resources::Resources;
use crate::restore::RestoreReport;

const PROGRAM: &str = "experiment.mgx";
const PLAN: &str = "plan.json";
const LOCK: &str = "lock.json";
const LOADING: &str = "loading.json";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// Differences that an error names.
const SHOWN: usize = 5;

/// A run's folder, made or found again.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the first of `base/EXPERIMENT/1`, `…/2`, … that is not there yet, for a new run.
    ///
    /// # Errors
    /// E0955 if it cannot be written; E0920 to E0922.
    pub fn create_numbered(base: &Path, plan: &Plan, program: &str) -> Result<Self, Diagnostic> {
        Self::create(&Self::free_numbered(base, &plan.name)?, plan, program)
    }

    /// Makes the first of the folders `base/EXPERIMENT/1`, `…/2`, … that is not there yet.
    ///
    /// # Errors
    /// E0955 if it cannot be written; E0956.
    pub fn free_numbered(base: &Path, experiment: &str) -> Result<PathBuf, Diagnostic> {
        let folder = base.join(experiment);
        std::fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, &error))?;
        let numbers = std::fs::read_dir(&folder).map_err(|error| cannot_read(&folder, &error))?;
        let taken = numbers.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok()).max();
        let mut number = taken.unwrap_or(0) + 1;
        loop {
            let path = folder.join(number.to_string());
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                // Another process was faster.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(cannot_write(&path, &error)),
            }
        }
    }

    /// Steps of the run's last checkpoint; 0 where there is none.
    ///
    /// # Errors
    /// E0900, E0926.
    pub fn steps_done(&self) -> Result<u64, Diagnostic> {
        Ok(mgx_weights::CheckpointStore::latest_in(&self.checkpoints())?.map_or(0, |saved| saved.manifest.step))
    }

    /// Writes `resources.json`.
    ///
    /// # Errors
    /// E0920 to E0922.
    pub fn write_resources(&self, resources: &Resources) -> Result<(), Diagnostic> {
        self.write_json("resources.json", resources)
    }

    /// Makes a folder for a new run, or takes one that holds no run, and writes the program and the plan into it.
    ///
    /// # Errors
    /// E0950 if it holds a run; E0955, E0920 to E0922 if it cannot be written.
    pub fn create(path: &Path, plan: &Plan, program: &str) -> Result<Self, Diagnostic> {
        if [PLAN, EVENTS, CHECKPOINTS, LOCK].iter().any(|name| path.join(name).exists()) {
            return Err(holds_a_run(path));
        }
        std::fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))?;
        let run = Self { path: path.to_owned() };
        run.write_text(PROGRAM, program)?;
        run.write_json(PLAN, plan)?;
        Ok(run)
    }

    /// Writes the files that the program imports, by their paths from its folder.
    ///
    /// # Errors
    /// E0955 where a path is taken by a file of the run, or cannot be written; E0920 to E0922.
    pub fn write_imports(&self, files: &[(String, String)]) -> Result<(), Diagnostic> {
        for (path, text) in files {
            let own = self.path.join(path);
            if own.exists() {
                let message = format!("the program imports `{path}`, and the folder of the run has a file of its own of that name");
                return Err(Diagnostic::error("E0955", message).help("give the imported file another name"));
            }
            if let Some(folder) = own.parent() {
                std::fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
            }
            self.write_text(path, text)?;
        }
        Ok(())
    }

    /// Finds the folder of a run again, to resume it or to add results to it.
    ///
    /// # Errors
    /// E0951 if it holds no run.
    pub fn open(path: &Path) -> Result<Self, Diagnostic> {
        if path.join(PLAN).exists() {
            return Ok(Self { path: path.to_owned() });
        }
        Err(Diagnostic::error("E0951", format!("`{}` holds no run", path.display()))
            .help("name the folder of the run by `--out`, or leave out `--resume` to start a new one"))
    }

    /// Checks that the run is of this experiment. E0952 if not, with what differs; E0956.
    pub(crate) fn check_plan(&self, plan: &Plan) -> Result<(), Diagnostic> {
        let Some(before) = self.read_json(PLAN)? else { return Ok(()) };
        // Through text, so that both sides have been read by the same parser.
        let now = serde_json::to_string(plan).and_then(|text| serde_json::from_str(&text)).unwrap_or(Value::Null);
        let differences = differences(&before, &now);
        if differences.is_empty() { Ok(()) } else { Err(other_experiment(&self.path, &differences)) }
    }

    /// The newest run of an experiment below `base`.
    ///
    /// # Errors
    /// E0951 if there is none; E0956.
    pub fn newest(base: &Path, experiment: &str) -> Result<PathBuf, Diagnostic> {
        let folder = base.join(experiment);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_run(&folder)),
            Err(error) => return Err(cannot_read(&folder, &error)),
        };
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
        let with_run = numbers.filter(|number| folder.join(number.to_string()).join(PLAN).exists());
        with_run.max().map(|number| folder.join(number.to_string())).ok_or_else(|| no_run(&folder))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// The events of the run, cut to `bytes` where a run is resumed.
    pub(crate) fn events(&self, bytes: Option<u64>, plan: &Plan) -> Result<Events, Diagnostic> {
        Events::open(&self.path, bytes, plan)
    }

    /// What the run was locked to; none if it was killed before that was known.
    ///
    /// # Errors
    /// E0956.
    pub fn lock(&self) -> Result<Option<Lock>, Diagnostic> {
        let path = self.path.join(LOCK);
        let Some(value) = self.read_json(LOCK)? else { return Ok(None) };
        serde_json::from_value(value).map(Some).map_err(|error| cannot_read(&path, &error.into()))
    }

    /// Writes the lock file.
    ///
    /// # Errors
    /// E0920 to E0922.
    pub fn write_lock(&self, lock: &Lock) -> Result<(), Diagnostic> {
        self.write_json(LOCK, lock)
    }

    /// Writes the account of what was loaded, where anything was.
    ///
    /// # Errors
    /// E0920 to E0922.
    pub fn write_loading(&self, weights: &LoadReport, checkpoint: Option<&RestoreReport>) -> Result<(), Diagnostic> {
        if weights.weights.is_empty() && checkpoint.is_none() {
            return Ok(());
        }
        self.write_json(LOADING, &json!({ "weights": weights.weights, "checkpoint": checkpoint }))
    }

    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Diagnostic> {
        write_atomically(&self.path.join(name), |writer| {
            serde_json::to_writer_pretty(&mut *writer, value)?;
            writeln!(writer)
        })
    }

    fn write_text(&self, name: &str, text: &str) -> Result<(), Diagnostic> {
        write_atomically(&self.path.join(name), |writer| writer.write_all(text.as_bytes()))
    }

    fn read_json(&self, name: &str) -> Result<Option<Value>, Diagnostic> {
        let path = self.path.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| cannot_read(&path, &error.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot_read(&path, &error)),
        }
    }
}

/// A new run is not mixed with an old one.
pub(crate) fn holds_a_run(path: &Path) -> Diagnostic {
    Diagnostic::error("E0950", format!("`{}` holds a run already", path.display()))
        .help("go on with it by `--resume`, or give this run another folder by `--out`")
}

fn no_run(folder: &Path) -> Diagnostic {
    Diagnostic::error("E0951", format!("`{}` holds no run", folder.display())).help("run the experiment first, or name the folder of a run")
}

/// The folder's run is of another experiment.
pub(crate) fn other_experiment(path: &Path, differences: &[String]) -> Diagnostic {
    let mut found = Diagnostic::error("E0952", format!("the run in `{}` is of another experiment", path.display()));
    for difference in differences.iter().take(SHOWN) {
        found = found.note(difference.clone());
    }
    if differences.len() > SHOWN {
        found = found.note(format!("and {} more differences", differences.len() - SHOWN));
    }
    found.help(format!("undo the change (the run's program is `{}`), or start a new run", path.join(PROGRAM).display()))
}

pub(crate) fn cannot_write(path: &Path, error: &std::io::Error) -> Diagnostic {
    use std::io::ErrorKind;
    let found = Diagnostic::error("E0955", format!("cannot write `{}`: {error}", path.display()))
        .note("checkpoints that were written before are complete");
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => found.help("free space on this disk, then go on by `--resume`"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => found.help("write to a folder of your own by `--out`"),
        _ => found.help("give the run another folder by `--out`"),
    }
}

pub(crate) fn cannot_read(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("E0956", format!("cannot read `{}`: {error}", path.display()))
        .help("files of a run must not be changed; start a new run if it cannot be repaired")
}
