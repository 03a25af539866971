//! `lock.json`: what a run depends on outside the program.

use std::path::{Path, PathBuf};

use mgx_diag::Diagnostic;
use mgx_weights::file_hash;
use serde::{Deserialize, Serialize};

use super::cannot_read;

/// The files, the seed and the version that a run was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// `mgx 0.1.0`.
    pub tool: String,
    /// [`Session::identity`](crate::Session::identity).
    pub plan: String,
    pub seed: u64,
    pub data: Vec<FileLock>,
    pub weights: Vec<FileLock>,
}

/// A file and its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLock {
    /// As the program names it, or below the folder that it names.
    pub path: String,
    pub bytes: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// What is needed to make a lock, apart from the session, so that it can be made on another thread.
#[derive(Clone, Debug)]
pub(crate) struct LockRequest {
    pub plan: String,
    pub seed: u64,
    /// Name and place of each file.
    pub data: Vec<(String, PathBuf)>,
    pub weights: Vec<(String, PathBuf)>,
}

impl LockRequest {
    /// Hashes all files.
    ///
    /// # Errors
    /// E0900, E0956 if one cannot be read.
    pub fn make(&self) -> Result<Lock, Diagnostic> {
        Ok(Lock {
            tool: concat!("mgx ", env!("CARGO_PKG_VERSION")).to_owned(),
            plan: self.plan.clone(),
            seed: self.seed,
            data: lock_files(&self.data)?,
            weights: lock_files(&self.weights)?,
        })
    }

    /// Checks that the data is what a run was locked to. Weights are not compared: their values are in the checkpoint.
    ///
    /// # Errors
    /// E0953 if a file has changed; as [`LockRequest::make`].
    pub fn check_data(&self, lock: &Lock, run: &Path) -> Result<(), Diagnostic> {
        for file in lock_files(&self.data)? {
            if let Some(before) = lock.data.iter().find(|before| before.path == file.path)
                && *before != file
            {
                return Err(Diagnostic::error(
                    "E0953",
                    format!("`{}` has changed since the run in `{}` was started", file.path, run.display()),
                )
                .note(format!("it had {} bytes with SHA-256 {}", before.bytes, before.sha256))
                .note(format!("it has {} bytes with SHA-256 {}", file.bytes, file.sha256))
                .help("restore the file, or start a new run"));
            }
        }
        Ok(())
    }
}

fn lock_files(files: &[(String, PathBuf)]) -> Result<Vec<FileLock>, Diagnostic> {
    files
        .iter()
        .map(|(name, path)| {
            let bytes = std::fs::metadata(path).map_err(|error| cannot_read(path, &error))?.len();
            Ok(FileLock { path: name.clone(), bytes, sha256: file_hash(path)? })
        })
        .collect()
}
