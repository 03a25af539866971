//! The texts that are open in the editor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lsp_types::{TextDocumentContentChangeEvent, Uri};
use mgx_diag::{Encoding, LineIndex};

use super::convert;

/// An open text: what the editor shows, whatever is on the disk.
pub struct Document {
    pub uri: Uri,
    pub text: String,
    pub version: i32,
}

impl Document {
    /// Puts in what was typed.
    pub fn change(&mut self, changes: Vec<TextDocumentContentChangeEvent>, encoding: Encoding) {
        for change in changes {
            let Some(range) = change.range else {
                self.text = change.text;
                continue;
            };
            let lines = LineIndex::new(&self.text);
            let start = convert::offset(&lines, &self.text, range.start, encoding) as usize;
            let end = convert::offset(&lines, &self.text, range.end, encoding) as usize;
            self.text.replace_range(start..end.max(start), &change.text);
        }
    }
}

/// All open texts, by their files.
#[derive(Default)]
pub struct Documents(pub BTreeMap<PathBuf, Document>);

impl Documents {
    pub fn text(&self, path: &Path) -> Option<&str> {
        self.0.get(path).map(|document| document.text.as_str())
    }
}
