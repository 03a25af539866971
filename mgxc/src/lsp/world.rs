//! What the checker sees from an editor: open texts before files, and of the hub only what is in its cache.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mgx_compiler::check::{RowPlace, World};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{DataSpec, FileFormat};

use super::convert::normal;
use super::documents::Documents;
use crate::hub::Hub;
use crate::world::Folder;

/// What was read of tables, as long as their files stay as they are.
#[derive(Default)]
pub struct TableCache {
    headers: RefCell<HashMap<(PathBuf, FileFormat), Header>>,
    /// Of the rows, by the folder and the declaration that they were checked for.
    rows: RefCell<HashMap<PathBuf, Vec<CheckedRows>>>,
}

/// The columns of a table, or why there are none, and when that was read.
type Header = (Stamp, Result<Vec<String>, Diagnostic>);

/// What was found in the rows of a table.
struct CheckedRows {
    table: DataSpec,
    stamp: Stamp,
    found: Vec<(RowPlace, Diagnostic)>,
}

/// Tables up to this size are read anew when their declaration is typed; larger ones by `mgxc check`.
const MOST_BYTES_WHILE_TYPING: u64 = 1 << 20;

/// Declarations of one table whose findings are kept: of one that is being typed, the last ones.
const KEPT_DECLARATIONS: usize = 8;

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
    tables: &'a TableCache,
}

impl<'a> Open<'a> {
    /// The folder of a file, and the file's name in it.
    pub fn of(path: &Path, documents: &'a Documents, tables: &'a TableCache) -> (Self, String) {
        let (mut folder, name) = Folder::of(path);
        folder.hub = Hub::cached_only();
        (Self { folder, documents, tables }, name)
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
        if let Some((then, known)) = self.tables.headers.borrow().get(&key)
            && *then == now
        {
            return known.clone();
        }
        let header = self.folder.table_header(path, format);
        self.tables.headers.borrow_mut().insert(key, (now, header.clone()));
        header
    }

    fn row_findings(&self, table: &DataSpec) -> Vec<(RowPlace, Diagnostic)> {
        let file = self.path(&table.path);
        // Of tables of several files, the folder does not tell that one of them is another now: `mgxc check` reads them.
        let now = stamp(&file);
        if !now.is_some_and(|(_, bytes)| bytes <= MOST_BYTES_WHILE_TYPING && file.is_file()) {
            return Vec::new();
        }
        if let Some(known) =
            self.tables.rows.borrow().get(&file).and_then(|all| all.iter().find(|known| known.table == *table && known.stamp == now))
        {
            return known.found.clone();
        }
        let found = self.folder.row_findings(table);
        let mut rows = self.tables.rows.borrow_mut();
        let kept = rows.entry(file).or_default();
        kept.retain(|known| known.stamp == now);
        if kept.len() >= KEPT_DECLARATIONS {
            kept.remove(0);
        }
        kept.push(CheckedRows { table: table.clone(), stamp: now, found: found.clone() });
        found
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
