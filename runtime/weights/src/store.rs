//! The checkpoints of a training run: a folder in which the last complete one can always be loaded.
//!
//! ```text
//! checkpoints/
//!   step-0000000200/          complete from the moment it has this name
//!     manifest.json …         files, sizes, hashes
//!   step-0000000400-valid_loss=0.4321/   with what was measured there
//!   latest                    text: the name of the newest
//!   best                      text: the name of another one that is kept
//!   .lock                     held by the process that writes here
//! ```
//!
//! A checkpoint is written under a temporary name, brought to the disk and renamed; a pointer is a small file replaced by rename; a checkpoint
//! is removed by renaming it away first. So a process may be killed between any two system calls. Temporary names are removed when a
//! store is opened, which only one process at a time can do.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use mgx_diag::Diagnostic;

use crate::atomic::{is_temporary, sync_folder, temporary_path, write_atomically};
use crate::manifest::{MANIFEST, Manifest};
use crate::report::{cannot_read, cannot_write};

const LATEST: &str = "latest";
const LOCK: &str = ".lock";
const STEP: &str = "step-";

/// The folder of a run's checkpoints, open for writing. One process at a time.
#[derive(Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
    /// Keeps the lock until the store is dropped or the process ends.
    _lock: File,
}

/// A complete checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedCheckpoint {
    /// Its name in the store.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    pub manifest: Manifest,
}

impl CheckpointStore {
    /// Opens or creates a store, and removes what a killed process left half written.
    ///
    /// # Errors
    /// `E0925`: another process has it open; `E0920` to `E0922`: it cannot be written.
    pub fn open(folder: &Path) -> Result<Self, Diagnostic> {
        let failed = |error| cannot_write(folder, &error);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Diagnostic::error("E0925", format!("another process writes checkpoints to `{}`", folder.display()))
                    .help("wait for it to end, or give this run a folder of its own"));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if is_temporary(&entry.file_name()) {
                remove(&entry.path()).map_err(failed)?;
            }
        }
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// Saves a checkpoint: `write` puts its files (no folders) into the empty folder it is given; when it returns they are hashed, brought to the
    /// disk, and appear under a name with the step's number (and the label, `valid_loss=0.4321`) in one rename; then `latest` points to it. A second
    /// checkpoint of one step gets a name of its own, so the first stays until [`keep`](Self::keep) removes it.
    ///
    /// # Errors
    /// Those of `write`; `E0920` to `E0922`. After an error the store is as it was before.
    pub fn commit(
        &self,
        step: u64,
        label: Option<&str>,
        write: impl FnOnce(&Path) -> Result<(), Diagnostic>,
    ) -> Result<SavedCheckpoint, Diagnostic> {
        let name = self.free_name(step, label)?;
        let path = self.folder.join(&name);
        let temporary = temporary_path(&path);
        let result = std::fs::create_dir(&temporary).map_err(|error| cannot_write(&path, &error)).and_then(|()| {
            write(&temporary)?;
            let manifest = seal(&temporary, step)?;
            std::fs::rename(&temporary, &path).and_then(|()| sync_folder(&self.folder)).map_err(|error| cannot_write(&path, &error))?;
            Ok(manifest)
        });
        let manifest = result.inspect_err(|_| {
            // Best effort: the next start removes what is left.
            let _ = remove(&temporary);
        })?;
        self.point(LATEST, &name)?;
        Ok(SavedCheckpoint { name, path, manifest })
    }

    /// Makes a pointer (`best`) name a checkpoint of this store. `E0920` to `E0922`.
    pub fn point(&self, pointer: &str, name: &str) -> Result<(), Diagnostic> {
        write_atomically(&self.folder.join(pointer), |writer| writeln!(writer, "{name}"))
    }

    /// The names of all complete checkpoints, oldest first. `E0900`.
    pub fn names(&self) -> Result<Vec<String>, Diagnostic> {
        complete_names(&self.folder)
    }

    /// The folder of a checkpoint.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Removes all but the newest `count` checkpoints (at least one), those that a pointer names, and `others`. Gives the names that were
    /// removed.
    ///
    /// # Errors
    /// `E0900`, `E0920` to `E0922`.
    pub fn keep(&self, count: usize, others: &[String]) -> Result<Vec<String>, Diagnostic> {
        let names = complete_names(&self.folder)?;
        let mut pointed = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(|error| cannot_read(&self.folder, &error))?.flatten() {
            if entry.file_name() != LOCK && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                pointed.extend(std::fs::read_to_string(entry.path()).map(|text| text.trim().to_owned()));
            }
        }
        let older = names.len().saturating_sub(count.max(1));
        let mut removed = Vec::new();
        for name in names.into_iter().take(older).filter(|name| !pointed.contains(name) && !others.contains(name)) {
            let path = self.folder.join(&name);
            let temporary = temporary_path(&path);
            std::fs::rename(&path, &temporary).and_then(|()| remove(&temporary)).map_err(|error| cannot_write(&path, &error))?;
            removed.push(name);
        }
        Ok(removed)
    }

    /// The newest checkpoint of this store. As [`latest_in`](Self::latest_in).
    pub fn latest(&self) -> Result<Option<SavedCheckpoint>, Diagnostic> {
        Self::latest_in(&self.folder)
    }

    /// The newest checkpoint in a folder that need not be open for writing; none if there is none yet, or no folder.
    ///
    /// # Errors
    /// `E0900`: unreadable; `E0926`: its files are not those of its manifest.
    pub fn latest_in(folder: &Path) -> Result<Option<SavedCheckpoint>, Diagnostic> {
        if let Some(saved) = Self::resolve(folder, LATEST)? {
            return Ok(Some(saved));
        }
        // The process was killed between the first checkpoint and its pointer, or someone removed one of the two.
        complete_names(folder)?.pop().map(|name| open_saved(folder, name)).transpose()
    }

    /// The checkpoint that a pointer names; none if there is no such pointer or checkpoint. Errors as [`latest_in`](Self::latest_in).
    pub fn resolve(folder: &Path, pointer: &str) -> Result<Option<SavedCheckpoint>, Diagnostic> {
        let path = folder.join(pointer);
        let name = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot_read(&path, &error)),
        };
        if sort_key(&name).is_none() || !folder.join(&name).is_dir() {
            return Ok(None);
        }
        open_saved(folder, name).map(Some)
    }

    /// A name for a step that is not taken.
    fn free_name(&self, step: u64, label: Option<&str>) -> Result<String, Diagnostic> {
        let taken = complete_names(&self.folder)?;
        let repeats = taken.iter().filter_map(|name| sort_key(name)).filter(|(number, _)| *number == step).map(|(_, repeat)| repeat).max();
        let number = repeats.map_or_else(String::new, |repeat| format!("-{}", repeat + 1));
        let label = label.map_or_else(String::new, |label| format!("-{label}"));
        Ok(format!("{STEP}{step:010}{number}{label}"))
    }
}

/// Writes the manifest of a folder and brings all of it to the disk.
fn seal(folder: &Path, step: u64) -> Result<Manifest, Diagnostic> {
    let manifest = Manifest::of(folder, step)?;
    let failed = |error| cannot_write(folder, &error);
    for file in &manifest.files {
        File::open(folder.join(&file.name)).and_then(|file| file.sync_all()).map_err(failed)?;
    }
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| failed(error.into()))?;
    write_atomically(&folder.join(MANIFEST), |writer| writer.write_all(text.as_bytes()))?;
    Ok(manifest)
}

fn open_saved(folder: &Path, name: String) -> Result<SavedCheckpoint, Diagnostic> {
    let path = folder.join(&name);
    let manifest = Manifest::read(&path)?;
    Ok(SavedCheckpoint { name, path, manifest })
}

/// The names of all complete checkpoints, oldest first; none if there is no folder.
fn complete_names(folder: &Path) -> Result<Vec<String>, Diagnostic> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot_read(folder, &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| cannot_read(folder, &error))?.file_name();
        if let Some(name) = name.to_str()
            && let Some(key) = sort_key(name)
        {
            names.push((key, name.to_owned()));
        }
    }
    names.sort();
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

/// Step and repeat of a checkpoint's name. What follows them is for people.
fn sort_key(name: &str) -> Option<(u64, u64)> {
    let mut parts = name.strip_prefix(STEP)?.splitn(3, '-');
    let step = parts.next()?.parse().ok()?;
    match parts.next() {
        None => Some((step, 0)),
        Some(second) if second.starts_with(|first: char| first.is_ascii_digit()) => Some((step, second.parse().ok()?)),
        Some(_) => Some((step, 0)),
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}
