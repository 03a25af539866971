//! What the checker sees from an editor: open texts before files, and of the hub only what is in its cache.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mgx_compiler::check::World;
use mgx_diag::Diagnostic;
use mgx_ir::plan::FileFormat;

use super::convert::normal;
use super::documents::Documents;
use crate::hub::Hub;
use crate::world::Folder;

/// Headers of tables, as long as their files stay as they are.
pub type HeaderCache = RefCell<HashMap<(PathBuf, FileFormat), (Stamp, Result<Vec<String>, Diagnostic>)>>;

/// When a file was changed last, and its size; none if there is no such file.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

/// The surroundings of one file.
pub struct Open<'a> {
    folder: Folder,
    documents: &'a Documents,
    headers: &'a HeaderCache,
}

impl<'a> Open<'a> {
    /// The folder of a file, and the file's name in it.
    pub fn of(path: &Path, documents: &'a Documents, headers: &'a HeaderCache) -> (Self, String) {
        let (mut folder, name) = Folder::of(path);
        folder.hub = Hub::cached_only();
        (Self { folder, documents, headers }, name)
    }

    fn path(&self, path: &str) -> PathBuf {
        normal(&self.folder.root.join(path))
    }

    /// The columns of a table whose format its name tells; none where it cannot be read.
    pub fn header_of(&self, path: &str) -> Vec<String> {
        let format = match path.rsplit('.').next().unwrap_or_default() {
            "csv" => FileFormat::Csv,
            "tsv" | "tab" => FileFormat::Tsv,
            "parquet" | "pq" => FileFormat::Parquet,
            _ => return Vec::new(),
        };
        self.table_header(path, format).unwrap_or_default()
    }
}

impl World for Open<'_> {
    fn source(&self, path: &str) -> Result<String, String> {
        match self.documents.text(&self.path(path)) {
            Some(text) => Ok(text.to_owned()),
            None => self.folder.source(path),
        }
    }

    fn table_header(&self, path: &str, format: FileFormat) -> Result<Vec<String>, Diagnostic> {
        let file = self.path(path);
        let now = stamp(&file);
        let key = (file, format);
        if let Some((then, known)) = self.headers.borrow().get(&key)
            && *then == now
        {
            return known.clone();
        }
        let header = self.folder.table_header(path, format);
        self.headers.borrow_mut().insert(key, (now, header.clone()));
        header
    }

    fn absolute(&self, path: &str) -> String {
        self.folder.absolute(path)
    }

    fn folder_text(&self, folder: &str, file: &str) -> Result<Option<String>, Diagnostic> {
        self.folder.folder_text(folder, file).map_err(|found| match found.code.0 {
            "E0553" => {
                Diagnostic::error("E0553", format!("`{file}` of `{folder}` is not in the cache of the hub, and an editor fetches nothing"))
                    .help("fetch it once: `mgxc check` with this file")
            }
            _ => found,
        })
    }
}
