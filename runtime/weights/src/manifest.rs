//! The manifest of a saved checkpoint: what is in its folder.

use std::path::Path;

use mgx_diag::Diagnostic;
use serde::{Deserialize, Serialize};

use crate::hash::file_hash;
use crate::report::{cannot_read, cannot_write};

/// Its name in the folder.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The version that is written; another is refused.
const VERSION: u32 = 1;

/// What a checkpoint folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    /// The optimizer step after which it was saved.
    pub step: u64,
    /// By name.
    pub files: Vec<ManifestFile>,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    pub name: String,
    pub bytes: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Lists and hashes the files of a folder. `E0920` to `E0922` as for any write: it is part of one.
    pub(crate) fn of(folder: &Path, step: u64) -> Result<Self, Diagnostic> {
        let failed = |error| cannot_write(folder, &error);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let bytes = entry.metadata().map_err(failed)?.len();
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push(ManifestFile { name, bytes, sha256: file_hash(&entry.path())? });
        }
        files.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Self { version: VERSION, step, files })
    }

    /// Reads the manifest of a folder and checks that all files are there in full length; contents are checked by [`verify`](Self::verify).
    /// `E0926` if not.
    pub(crate) fn read(folder: &Path) -> Result<Self, Diagnostic> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => damaged(folder, &format!("it has no `{MANIFEST}`")),
            _ => cannot_read(&path, &error),
        })?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| damaged(folder, &format!("`{MANIFEST}`: {error}")))?;
        if manifest.version != VERSION {
            return Err(damaged(folder, &format!("its version is {}, this mgx reads {VERSION}", manifest.version)));
        }
        for file in &manifest.files {
            match std::fs::metadata(folder.join(&file.name)) {
                Ok(metadata) if metadata.len() == file.bytes => {}
                Ok(metadata) => return Err(damaged(folder, &format!("`{}` has {} of {} bytes", file.name, metadata.len(), file.bytes))),
                Err(error) => return Err(damaged(folder, &format!("`{}`: {error}", file.name))),
            }
        }
        Ok(manifest)
    }

    /// Checks the contents of all files of a folder against their hashes. `E0926` if one differs.
    pub fn verify(&self, folder: &Path) -> Result<(), Diagnostic> {
        for file in &self.files {
            if file_hash(&folder.join(&file.name))? != file.sha256 {
                return Err(damaged(folder, &format!("the contents of `{}` have changed", file.name)));
            }
        }
        Ok(())
    }
}

fn damaged(folder: &Path, what: &str) -> Diagnostic {
    Diagnostic::error("E0926", format!("the checkpoint `{}` is damaged: {what}", folder.display()))
        .help("files of a checkpoint must not be changed; remove this folder to go on from the one before it")
}
