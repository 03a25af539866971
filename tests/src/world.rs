//! The files of a test: an experiment's text in memory, and folders of weights on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mgx_compiler::check::World;
use mgx_diag::Diagnostic;
use mgx_ir::plan::FileFormat;

/// The name of the program in a [`TestWorld`].
pub const PROGRAM: &str = "test.mgx";

/// The compiler's view of a test.
#[derive(Clone, Debug, Default)]
pub struct TestWorld {
    /// The program's text.
    pub program: String,
    /// Files beside the program that it may import, by name: `prot_t5.mgx`.
    pub sources: BTreeMap<String, String>,
    /// Column names of every table.
    pub header: Vec<String>,
    /// Where folders of weights are found.
    pub root: PathBuf,
    /// Texts that stand in for files of the folders of weights, by file name.
    pub replaced: BTreeMap<String, String>,
}

impl World for TestWorld {
    fn source(&self, path: &str) -> Result<String, String> {
        if path == PROGRAM { Ok(self.program.clone()) } else { self.sources.get(path).cloned().ok_or_else(|| "no such file".to_owned()) }
    }

    fn table_header(&self, _: &str, _: FileFormat) -> Result<Vec<String>, Diagnostic> {
        Ok(self.header.clone())
    }

    fn folder_text(&self, folder: &str, file: &str) -> Result<Option<String>, Diagnostic> {
        if let Some(text) = self.replaced.get(file) {
            return Ok(Some(text.clone()));
        }
        let path = self.root.join(folder).join(file);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Diagnostic::error("E0900", format!("cannot read `{}`: {error}", path.display()))),
        }
    }
}
