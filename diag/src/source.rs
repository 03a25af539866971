//! Sources and places in them. Offsets are bytes everywhere; [`SourceMap`] is the one place that converts.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::line_index::{LineColumn, LineIndex};

/// A source of a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// A range of bytes of one source. Always on character boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The span from the start of `self` to the end of `other` (of the same source).
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Does the other lie within it?
    pub fn contains(self, other: Span) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }
}

/// All sources of one compilation, by [`FileId`]. A copy shares their texts.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<Arc<Source>>,
}

#[derive(Debug)]
struct Source {
    name: Cow<'static, str>,
    text: Cow<'static, str>,
    lines: OnceLock<LineIndex>,
}

impl SourceMap {
    /// Adds a source under the name it is shown with.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.push(Cow::Owned(name.into()), Cow::Owned(text.into()))
    }

    /// Adds a source that is part of the program that runs.
    pub fn add_static(&mut self, name: &'static str, text: &'static str) -> FileId {
        self.push(Cow::Borrowed(name), Cow::Borrowed(text))
    }

    fn push(&mut self, name: Cow<'static, str>, text: Cow<'static, str>) -> FileId {
        self.files.push(Arc::new(Source { name, text, lines: OnceLock::new() }));
        FileId(self.files.len() as u32 - 1)
    }

    /// The name a source is shown with.
    pub fn name(&self, file: FileId) -> &str {
        &self.files[file.0 as usize].name
    }

    /// The text of a source.
    pub fn text(&self, file: FileId) -> &str {
        &self.files[file.0 as usize].text
    }

    /// The text of a span.
    pub fn slice(&self, span: Span) -> &str {
        &self.text(span.file)[span.start as usize..span.end as usize]
    }

    /// All sources.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
        (0..self.files.len() as u32).map(FileId)
    }

    /// The lines of a source.
    pub fn lines(&self, file: FileId) -> &LineIndex {
        let source = &self.files[file.0 as usize];
        source.lines.get_or_init(|| LineIndex::new(&source.text))
    }

    /// The line and column of a byte offset; an offset past the end is the end.
    pub fn line_column(&self, file: FileId, offset: u32) -> LineColumn {
        self.lines(file).line_column(self.text(file), offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let mut sources = SourceMap::default();
        let file = sources.add("a.mgx", "α β\nγδ x");
        assert_eq!(sources.line_column(file, 0), LineColumn { line: 1, column: 1 });
        assert_eq!(sources.line_column(file, 3), LineColumn { line: 1, column: 3 });
        assert_eq!(sources.line_column(file, 11), LineColumn { line: 2, column: 4 });
        assert_eq!(sources.line_column(file, 99), LineColumn { line: 2, column: 5 });
    }
}
