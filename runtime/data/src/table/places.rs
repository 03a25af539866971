//! Where a row is in its file, in the words a person would use.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Describes rows for messages. Row numbers count from 0 in the API and from 1 in the text.
#[derive(Clone, Debug)]
pub struct Places {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The file has no lines that a person would count (Parquet).
    Rows,
    /// The byte at which the reader began to look for each row. The line is counted only when a message needs it.
    Offsets(Vec<u64>),
    /// Records with their identifiers (FASTA).
    Records(Vec<String>),
}

impl Places {
    /// Rows without lines.
    pub fn rows(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), kind: Kind::Rows }
    }

    pub(super) fn offsets(path: &Path, offsets: Vec<u64>) -> Self {
        Self { path: path.to_owned(), kind: Kind::Offsets(offsets) }
    }

    pub(super) fn records(path: &Path, ids: Vec<String>) -> Self {
        Self { path: path.to_owned(), kind: Kind::Records(ids) }
    }

    /// The file's name without its folders.
    pub fn file(&self) -> String {
        self.path.file_name().map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// "row 7 (line 8) of splice.tsv".
    pub fn describe(&self, row: u64) -> String {
        let file = self.file();
        match &self.kind {
            Kind::Rows => format!("row {} of {file}", row + 1),
            Kind::Offsets(offsets) => match offsets.get(row as usize).and_then(|offset| line_at(&self.path, *offset)) {
                Some(line) => format!("row {} (line {line}) of {file}", row + 1),
                None => format!("row {} of {file}", row + 1),
            },
            Kind::Records(ids) => match ids.get(row as usize) {
                Some(id) => format!("record {} (`{id}`) of {file}", row + 1),
                None => format!("record {} of {file}", row + 1),
            },
        }
    }
}

/// The line (from 1) of the first byte at or after `offset` that is not a line end. `None` if the file cannot be read any more.
pub(super) fn line_at(path: &Path, offset: u64) -> Option<u64> {
    let mut reader = BufReader::new(File::open(path).ok()?);
    let mut line = 1;
    let mut before = reader.by_ref().take(offset);
    let mut block = vec![0; 1 << 16];
    loop {
        let count = before.read(&mut block).ok()?;
        if count == 0 {
            break;
        }
        line += block[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    for byte in reader.bytes() {
        match byte.ok()? {
            b'\n' => line += 1,
            b'\r' => {}
            _ => break,
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_skip_line_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a,b\r\n1,2\r\n\r\n3,4\r\n").unwrap();
        assert_eq!(line_at(&path, 0), Some(1));
        assert_eq!(line_at(&path, 4), Some(2), "the offset is at the line feed that ends line 1");
        assert_eq!(line_at(&path, 9), Some(4), "the empty line 3 is skipped");
    }
}
