//! Sources and places in them. Offsets are bytes everywhere; [`SourceMap`] is the one place that converts.

use serde::{Deserialize, Serialize};

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

/// A place for people: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LineColumn {
    pub line: u32,
    pub column: u32,
}

/// All sources of one compilation, by [`FileId`].
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: String,
    line_starts: Vec<u32>,
}

impl SourceMap {
    /// Adds a source under the name it is shown with.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at as u32 + 1)).collect::<Vec<_>>();
        self.files.push(Source { name: name.into(), text, line_starts });
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

    /// The line and column of a byte offset; an offset past the end is the end.
    pub fn line_column(&self, file: FileId, offset: u32) -> LineColumn {
        let source = &self.files[file.0 as usize];
        let offset = (offset as usize).min(source.text.len());
        let line = source.line_starts.partition_point(|start| *start as usize <= offset) - 1;
        let start = source.line_starts[line] as usize;
        let column = source.text[start..].char_indices().take_while(|(at, _)| start + at < offset).count();
        LineColumn { line: line as u32 + 1, column: column as u32 + 1 }
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
