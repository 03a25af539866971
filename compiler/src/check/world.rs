//! All outside access of the checker goes through one trait, so that checking does no I/O of its own and an editor can answer from unsaved text.

use mgx_diag::Diagnostic;
use mgx_ir::plan::{DataSpec, FileFormat};

/// What of a table's declaration a finding about its rows is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowPlace {
    /// The column of this name in the program.
    Column(String),
    Split,
    Source,
}

/// What the checker may ask of its surroundings. Paths are as written in the program; the implementation resolves them against the
/// folder of the experiment's file.
pub trait World {
    /// The text of a source file.
    ///
    /// # Errors
    /// The reason in a few words (`no such file`).
    fn source(&self, path: &str) -> Result<String, String>;

    /// The column names of a table, from its header alone.
    ///
    /// # Errors
    /// A diagnostic without a place; the checker adds it.
    fn table_header(&self, path: &str, format: FileFormat) -> Result<Vec<String>, Diagnostic>;

    /// Whether tables must have their columns of labels: prediction alone does without.
    fn needs_labels(&self) -> bool {
        true
    }

    /// A path of the program as one that holds from anywhere.
    fn absolute(&self, path: &str) -> String {
        path.to_owned()
    }

    /// The text of a file in a folder of weights (`config.json`, `vocab.txt`); `None` where there is no such file.
    ///
    /// # Errors
    /// A diagnostic without a place: the folder is missing, the file cannot be read.
    fn folder_text(&self, folder: &str, file: &str) -> Result<Option<String>, Diagnostic>;

    /// What is wrong with the rows of a table, as far as they can be read in a moment: diagnostics without a place, and what each is about.
    fn row_findings(&self, _table: &DataSpec) -> Vec<(RowPlace, Diagnostic)> {
        Vec::new()
    }
}
