//! Specifications and files that several tests use.
#![allow(dead_code, reason = "each test file uses some of them")]

use std::path::{Path, PathBuf};

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use mgx_data::Table;
use mgx_diag::Diagnostic;
use mgx_ir::plan::{Alphabet, ColumnKind, ColumnSpec, DataSpec, EmptyPolicy, FileFormat, SplitSpec};
use parquet::arrow::ArrowWriter;

pub fn column(name: &str, kind: ColumnKind) -> ColumnSpec {
    ColumnSpec { name: name.into(), header: name.into(), kind, conversion: None }
}

pub fn sequence(alphabet: Alphabet) -> ColumnKind {
    ColumnKind::Sequence { alphabet, length: None, empty: EmptyPolicy::Error }
}

pub fn class(names: &[&str]) -> ColumnKind {
    ColumnKind::Class { names: names.iter().map(|name| (*name).to_owned()).collect() }
}

pub fn data(path: &str, format: FileFormat, columns: Vec<ColumnSpec>) -> DataSpec {
    DataSpec { name: "table".into(), path: path.into(), format, columns, split: SplitSpec::None, windows: None, letters: None }
}

/// The folder of the project's example data.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data")
}

/// Reads a file of these bytes.
pub fn read_bytes(bytes: &[u8], format: FileFormat, columns: Vec<ColumnSpec>) -> Result<Table, Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.txt"), bytes).unwrap();
    Table::read(&data("data.txt", format, columns), folder.path())
}

/// The error of reading must have this code and say all of these things; its code must have a page.
#[track_caller]
pub fn assert_says(result: Result<Table, Diagnostic>, code: &str, parts: &[&str]) {
    let found = result.expect_err("an error was expected");
    let text = format!("{} | {} | {}", found.message, found.notes.join(" | "), found.help.clone().unwrap_or_default());
    assert_eq!(found.code.0, code, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(mgx_diag::explain(code).is_some(), "{code} has no page");
}

/// A Parquet file of columns.
pub fn parquet_bytes(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}
