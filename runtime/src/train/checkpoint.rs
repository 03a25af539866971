//! Checkpoints of a training run: parameters, optimizer state and [`TrainState`] in one folder that is there in full or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use mgx_diag::Diagnostic;
use mgx_ir::plan::{Monitor, TrainSpec};
use mgx_weights::{CheckpointStore, SavedCheckpoint};

use super::state::TrainState;
use crate::params::{self, MODEL};
use crate::run::other_experiment;
use crate::session::{BEST, Session, Source};

/// The file of the optimizer's state: `STATE.PATH` for each state vector and each trainable parameter.
const OPTIMIZER: &str = "optimizer.safetensors";

impl Session {
    /// Writes a checkpoint, makes it the best one where it is, and removes those that are neither the last nor among the best that the experiment keeps.
    pub(crate) fn save_checkpoint(
        &self,
        store: &CheckpointStore,
        state: &TrainState,
        spec: &TrainSpec,
        is_best: bool,
    ) -> Result<SavedCheckpoint, Diagnostic> {
        let label = state.monitored.map(|value| format!("{}={:.4}", spec.monitor, value.0));
        let saved = store.commit(state.step, label.as_deref(), |folder| {
            self.write_params(&folder.join(MODEL))?;
            self.write_optimizer(&folder.join(OPTIMIZER))?;
            state.write(folder)
        })?;
        if is_best {
            store.point(BEST, &saved.name)?;
        }
        store.keep(1, &best_names(store, spec)?)?;
        Ok(saved)
    }

    /// Writes the parameters that checkpoints keep under their paths: what is trained, and states.
    ///
    /// # Errors
    /// E0920 to E0923.
    pub fn write_params(&self, path: &Path) -> Result<(), Diagnostic> {
        let memory: &[u8] = &self.memory.params;
        // What Transformers looks for in its own files.
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let kept = self.plan.params.iter().filter(|param| param.is_kept());
        params::write(path, kept.map(|param| (param, param.path.clone(), memory)), &metadata)
    }

    fn state_names(&self) -> &[String] {
        self.plan.optimizer.as_ref().map_or(&[], |optimizer| &optimizer.state)
    }

    fn write_optimizer(&self, path: &Path) -> Result<(), Diagnostic> {
        let trainable = || self.plan.params.iter().filter(|param| param.trainable);
        let slots = self.state_names().iter().zip(&self.memory.state);
        let tensors = slots.flat_map(|(name, slot)| trainable().map(move |param| (param, format!("{name}.{}", param.path), &**slot)));
        params::write(path, tensors, &BTreeMap::new())
    }

    /// Reads the optimizer's state of a checkpoint's folder; gives the steps that each group of the optimizer has done.
    ///
    /// # Errors
    /// E0959 if there is none, or if it is not of what is trained here; E0956 and E0900 to E0911 if it cannot be read.
    pub(crate) fn read_optimizer(&mut self, folder: &Path) -> Result<Vec<u64>, Diagnostic> {
        let path = folder.join(OPTIMIZER);
        if !path.exists() {
            return Err(Diagnostic::error("E0959", format!("`{}` holds no state of an optimizer", folder.display()))
                .help("name a run of mgx that trained, or a folder in its `checkpoints`; or leave out `--with-optimizer`"));
        }
        self.read_slots(&path).map_err(|found| match found.code.0 {
            "E0954" => Diagnostic::error("E0959", "the optimizer's state is not of what is trained here")
                .note(found.message)
                .help("leave out `--with-optimizer`: the optimizer then begins anew"),
            _ => found,
        })?;
        Ok(TrainState::read(folder)?.optimizer_steps())
    }

    fn read_slots(&mut self, path: &Path) -> Result<(), Diagnostic> {
        let trainable: Vec<_> = self.plan.params.iter().filter(|param| param.trainable).cloned().collect();
        let names = self.state_names().to_vec();
        for (name, slot) in names.iter().zip(&mut self.memory.state) {
            params::read(path, &trainable, &format!("{name}."), slot)?;
        }
        Ok(())
    }

    /// Takes parameters, optimizer state (unless that begins anew) and the run's state from a checkpoint.
    ///
    /// # Errors
    /// E0926 if it is damaged; E0952 if it is of another experiment; E0954, E0956 and E0900 to E0911 if it cannot be read.
    pub(crate) fn load_checkpoint(&mut self, saved: &SavedCheckpoint) -> Result<TrainState, Diagnostic> {
        saved.manifest.verify(&saved.path)?;
        let mut state = TrainState::read(&saved.path)?;
        if state.identity != self.identity {
            let run = saved.path.ancestors().nth(2).unwrap_or(&saved.path);
            return Err(other_experiment(run, &[format!("the checkpoint `{}` was written by another program", saved.name)]));
        }
        self.prepare_frozen()?;
        self.frozen.forget();
        params::read(&saved.path.join(MODEL), &self.plan.params, "", &mut self.memory.params)?;
        if self.resets_optimizer {
            self.memory.state.iter_mut().for_each(|slot| slot.fill(0));
            state.restart_optimizer();
        } else {
            self.read_slots(&saved.path.join(OPTIMIZER))?;
        }
        self.set_source(Source::Checkpoint { name: saved.name.clone(), step: state.step, best: false });
        Ok(state)
    }

    /// Takes the parameters of the best checkpoint of a store, if it has one.
    pub(crate) fn load_best(&mut self, folder: &Path) -> Result<Option<SavedCheckpoint>, Diagnostic> {
        let Some(saved) = CheckpointStore::resolve(folder, BEST)? else { return Ok(None) };
        if !matches!(self.source(), Some(Source::Training { step } | Source::Checkpoint { step, .. }) if *step == saved.manifest.step) {
            params::read(&saved.path.join(MODEL), &self.plan.params, "", &mut self.memory.params)?;
        }
        self.set_source(Source::Checkpoint { name: saved.name.clone(), step: saved.manifest.step, best: true });
        Ok(Some(saved))
    }
}

/// The checkpoints with the best evaluations, as many as the experiment keeps; of equal ones the earlier.
fn best_names(store: &CheckpointStore, spec: &TrainSpec) -> Result<Vec<String>, Diagnostic> {
    let mut evaluated = Vec::new();
    for name in store.names()? {
        // A checkpoint that cannot be read is none of the best; loading it would say why.
        let monitored = TrainState::read(&store.path(&name)).ok().and_then(|state| state.monitored);
        evaluated.extend(monitored.filter(|value| !value.0.is_nan()).map(|value| (value.0, name)));
    }
    evaluated.sort_by(|(a, _), (b, _)| match spec.mode {
        Monitor::Min => a.total_cmp(b),
        Monitor::Max => b.total_cmp(a),
    });
    Ok(evaluated.into_iter().take(usize::try_from(spec.keep).unwrap_or(usize::MAX)).map(|(_, name)| name).collect())
}

/// After a checkpoint that its process was killed before pointing to as the best: points to it.
pub(crate) fn repair_best(store: &CheckpointStore, saved: &SavedCheckpoint, state: &TrainState) -> Result<(), Diagnostic> {
    let Some(best) = state.best else { return Ok(()) };
    // A state in which an epoch has just ended was written after that epoch's evaluation.
    let just_evaluated = state.batch == 0 && best.step == state.step;
    if just_evaluated {
        store.point(BEST, &saved.name)?;
    }
    Ok(())
}
