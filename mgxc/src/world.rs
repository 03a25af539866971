//! The compiler's view of the file system: everything is relative to the folder of the experiment's file.

use std::path::{Path, PathBuf};

use mgx_compiler::check::{RowPlace, World};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{DataSpec, FileFormat};

use crate::hub::Hub;

/// Files below a folder, and those of the hub's repositories.
pub struct Folder {
    pub root: PathBuf,
    pub hub: Hub,
    /// See [`World::needs_labels`].
    pub labels: bool,
}

impl Folder {
    /// The folder of a file, and the file's name in it.
    pub fn of(file: &Path) -> (Self, String) {
        let root = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = file.file_name().map_or_else(|| file.to_string_lossy().into_owned(), |name| name.to_string_lossy().into_owned());
        (Self { root, hub: Hub::from_env(), labels: true }, name)
    }
}

impl World for Folder {
    fn source(&self, path: &str) -> Result<String, String> {
        let bytes = std::fs::read(self.root.join(path)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "no such file".to_owned(),
            std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
            _ => error.to_string(),
        })?;
        String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned())
    }

    fn table_header(&self, path: &str, format: FileFormat) -> Result<Vec<String>, Diagnostic> {
        mgx_data::header(&self.root.join(path), format)
    }

    fn needs_labels(&self) -> bool {
        self.labels
    }

    fn absolute(&self, path: &str) -> String {
        let joined = self.root.join(path);
        std::path::absolute(&joined).unwrap_or(joined).to_string_lossy().into_owned()
    }

    fn folder_text(&self, folder: &str, file: &str) -> Result<Option<String>, Diagnostic> {
        if Hub::names(folder) {
            return self.hub.text(folder, file);
        }
        let folder = self.root.join(folder);
        if !folder.is_dir() {
            return Err(Diagnostic::error("E0900", format!("there is no folder `{}`", folder.display()))
                .help("give the folder that holds `config.json` and `model.safetensors`"));
        }
        match std::fs::read_to_string(folder.join(file)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Diagnostic::error("E0900", format!("cannot read `{}`: {error}", folder.join(file).display()))),
        }
    }

    fn row_findings(&self, table: &DataSpec) -> Vec<(RowPlace, Diagnostic)> {
        if mgx_data::bytes_of(table, &self.root) > mgx_data::MOST_BYTES_CHECKED {
            return Vec::new();
        }
        let place = |place| match place {
            mgx_data::Place::Column(name) => RowPlace::Column(name),
            mgx_data::Place::Split => RowPlace::Split,
            mgx_data::Place::Source => RowPlace::Source,
        };
        mgx_data::check_rows(table, &self.root).into_iter().map(|found| (place(found.place), found.diagnostic)).collect()
    }
}
