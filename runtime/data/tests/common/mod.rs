//! Specifications and files that several tests use.
#![allow(dead_code, reason = "each test file uses some of them")]

use std::path::{Path, PathBuf};

use mgx_ir::plan::{Alphabet, ColumnKind, ColumnSpec, DataSpec, EmptyPolicy, FileFormat, SplitSpec};

pub fn column(name: &str, kind: ColumnKind) -> ColumnSpec {
    ColumnSpec { name: name.into(), header: name.into(), kind }
}

pub fn sequence(alphabet: Alphabet) -> ColumnKind {
    ColumnKind::Sequence { alphabet, length: None, empty: EmptyPolicy::Error }
}

pub fn class(names: &[&str]) -> ColumnKind {
    ColumnKind::Class { names: names.iter().map(|name| (*name).to_owned()).collect() }
}

pub fn data(path: &str, format: FileFormat, columns: Vec<ColumnSpec>) -> DataSpec {
    DataSpec { name: "table".into(), path: path.into(), format, columns, split: SplitSpec::None }
}

/// The folder of the project's example data.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data")
}
