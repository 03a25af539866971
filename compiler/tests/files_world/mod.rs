//! Files for the checker that stand in a test's own text: sources, tables and folders of weights by their paths.

use std::collections::BTreeMap;

use mgx_compiler::check::World;
use mgx_diag::Diagnostic;
use mgx_ir::plan::FileFormat;

/// The header of every table that a test does not give itself.
const USUAL_HEADER: &str = "sequence,other,label,value";

/// Files by their paths.
#[derive(Clone, Debug, Default)]
pub struct Files(pub BTreeMap<String, String>);

impl World for Files {
    fn source(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }

    fn table_header(&self, path: &str, format: FileFormat) -> Result<Vec<String>, Diagnostic> {
        let separator = if format == FileFormat::Tsv && self.0.contains_key(path) { '\t' } else { ',' };
        let text = self.0.get(path).map_or(USUAL_HEADER, |text| text.lines().next().unwrap_or_default());
        Ok(text.split(separator).map(str::to_owned).collect())
    }

    fn folder_text(&self, folder: &str, file: &str) -> Result<Option<String>, Diagnostic> {
        let prefix = format!("{folder}/");
        if !self.0.keys().any(|path| path.starts_with(&prefix)) {
            return Err(Diagnostic::error("E0901", format!("there is no folder `{folder}`")));
        }
        Ok(self.0.get(&format!("{prefix}{file}")).cloned())
    }
}
