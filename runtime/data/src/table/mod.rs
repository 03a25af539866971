//! Tables: files of rows, read into typed Arrow columns.
//!
//! A format's reader gives raw columns ([`raw::RawTable`]); [`typed`] checks every value against the column's declared type.
//! Only the columns that the specification names are kept. A value that is wrong stops the reading with a diagnostic that says
//! where it is, in the words of the file (row, line, column, position).

mod aligned;
mod contain;
mod conversion;
mod counts;
mod delimited;
mod fasta;
mod header;
mod letters;
mod lists;
mod parquet;
mod places;
mod raw;
mod structures;
mod structures_folder;
mod tokens;
mod typed;
mod windows;

use std::path::{Path, PathBuf};

use arrow::array::{Array, Float64Array, Int32Array, LargeStringArray};
use mgx_diag::{Diagnostic, nearest};
use mgx_ir::plan::{ColumnKind, ColumnSpec, DataSpec, FileFormat};

pub use counts::Counts;
pub use header::{format_of, header};
pub use lists::Numbers;
pub use places::Places;
pub use structures_folder::structure_files;
pub(crate) use tokens::NO_LABEL;
pub use tokens::{Contacts, TokenLabels};

pub(crate) use raw::shown;
use raw::{Form, Wanted};
pub(crate) use structures::Structures;

/// The checked values of a column, one per row.
#[derive(Clone, Debug)]
pub enum Values {
    /// Of a `Sequence` or `Text` column. A missing value that is allowed is the empty text.
    Text(LargeStringArray),
    /// Of an `Alignment` column.
    Alignment(Box<Alignments>),
    /// Of a `Class` column: places in its list of names.
    Class(Int32Array),
    /// Of a `Real` column; finite.
    Real(Float64Array),
    /// Of a `Counts` column.
    Counts(Box<Counts>),
    /// Of a `Reals` or `Labels` column; finite.
    Numbers(Numbers),
    /// Of a `TokenClass` column.
    TokenLabels(TokenLabels),
    /// Of a `Contacts` column.
    Contacts(Contacts),
}

/// The alignments of a column, one per row.
#[derive(Clone, Debug)]
pub struct Alignments {
    /// As the table has them: rows with `|` between them, or paths of files.
    pub(crate) texts: LargeStringArray,
    /// What the files hold, as rows with `|` between them.
    files: Option<LargeStringArray>,
    /// What is known of the residues of each query.
    pub(crate) structures: Option<Structures>,
}

impl Alignments {
    /// The rows of an alignment with `|` between them.
    pub fn rows(&self, row: usize) -> &str {
        self.files.as_ref().unwrap_or(&self.texts).value(row)
    }

    /// The rows of all alignments.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.texts.len()).map(|row| self.rows(row))
    }
}

/// A column of a [`Table`].
#[derive(Clone, Debug)]
pub struct Column {
    pub spec: ColumnSpec,
    pub values: Values,
}

impl Column {
    /// The text of a row; empty for columns of classes and numbers.
    pub fn text(&self, row: u64) -> &str {
        match &self.values {
            Values::Text(values) => values.value(row as usize),
            Values::Alignment(alignments) => alignments.texts.value(row as usize),
            Values::Class(_) | Values::Real(_) | Values::Counts(_) | Values::Numbers(_) | Values::TokenLabels(_) | Values::Contacts(_) => {
                ""
            }
        }
    }

    /// The value of a row as it would stand in a file: the text, the class's name, the number.
    pub fn display(&self, row: u64) -> String {
        match (&self.values, &self.spec.kind) {
            (Values::Text(values), _) => values.value(row as usize).to_owned(),
            (Values::Alignment(alignments), _) => alignments.texts.value(row as usize).to_owned(),
            (Values::Class(values), ColumnKind::Class { names }) => {
                names.get(values.value(row as usize) as usize).cloned().unwrap_or_default()
            }
            (Values::Class(values), _) => values.value(row as usize).to_string(),
            (Values::Real(values), _) => values.value(row as usize).to_string(),
            (Values::TokenLabels(labels), ColumnKind::TokenClass { names, .. }) => spelled(labels.row(row).iter().copied(), names),
            (Values::TokenLabels(_), _) => String::new(),
            (Values::Contacts(contacts), _) => {
                let pairs: Vec<String> = contacts.row(row).iter().map(|[a, b]| format!("[{a}, {b}]")).collect();
                format!("[{}]", pairs.join(", "))
            }
            (Values::Numbers(numbers), _) => numbers.row(row).iter().map(f64::to_string).collect::<Vec<_>>().join(","),
            (Values::Counts(_), _) => String::new(),
        }
    }

    /// Is it a column of sequences?
    pub fn is_sequence(&self) -> bool {
        matches!(self.spec.kind, ColumnKind::Sequence { .. } | ColumnKind::Alignment { .. })
    }
}

/// Classes of letters as a file has them: letters where all names are, else names between commas. A letter without a class is `-`.
pub(crate) fn spelled(classes: impl Iterator<Item = i32>, names: &[String]) -> String {
    let separator = if names.iter().all(|name| name.chars().count() == 1) { "" } else { "," };
    let name = |class: i32| usize::try_from(class).ok().and_then(|class| names.get(class)).map_or("-", String::as_str);
    classes.map(name).collect::<Vec<_>>().join(separator)
}

/// A file of rows, read and checked.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub path: PathBuf,
    pub format: FileFormat,
    rows: u64,
    columns: Vec<Column>,
    /// The column that the split reads, if it reads one.
    split_values: Option<LargeStringArray>,
    places: Places,
}

impl Table {
    /// Reads and checks all columns of the specification; `folder` is what its path is relative to.
    ///
    /// # Errors
    /// E0510 (no such file) to E0528; see `docs/errors`.
    pub fn read(spec: &DataSpec, folder: &Path) -> Result<Table, Diagnostic> {
        Self::read_columns(spec, folder, |_| true)
    }

    /// Like [`Table::read`], for some of the columns: those that are not `wanted` need not be in the file. (Prediction wants no
    /// labels.) The column of a split by column is read if the specification has one.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn read_columns(spec: &DataSpec, folder: &Path, wanted: impl Fn(&ColumnSpec) -> bool) -> Result<Table, Diagnostic> {
        let path = folder.join(&spec.path);
        let kept: Vec<&ColumnSpec> = spec.columns.iter().filter(|column| wanted(column)).collect();
        let request = |column: &&ColumnSpec| match &column.kind {
            ColumnKind::Counts { source, neighbors } => counts::wanted(&column.header, source, neighbors.as_ref()),
            ColumnKind::Alignment { structure, .. } => {
                let structure = structure.iter().map(|spec| Wanted { header: spec.header.clone(), form: Form::Lists });
                std::iter::once(Wanted { header: column.header.clone(), form: Form::Text }).chain(structure).collect()
            }
            kind if !lists::headers(kind).is_empty() => {
                lists::headers(kind).iter().map(|header| Wanted { header: header.clone(), form: Form::Numbers }).collect()
            }
            kind => {
                let form = match kind {
                    ColumnKind::Real => Form::Numbers,
                    ColumnKind::Reals { .. } | ColumnKind::Labels { .. } | ColumnKind::TokenClass { .. } | ColumnKind::Contacts { .. } => {
                        Form::ListText
                    }
                    _ => Form::Text,
                };
                vec![Wanted { header: column.header.clone(), form }]
            }
        };
        let mut requests: Vec<Wanted> = kept.iter().flat_map(request).collect();
        if let Some(header) = spec.split.header() {
            requests.push(Wanted { header: header.to_owned(), form: Form::Text });
        }
        let read = |requests: &[Wanted]| match spec.format {
            FileFormat::Csv => delimited::read(&path, b',', requests),
            FileFormat::Tsv => delimited::read(&path, b'\t', requests),
            FileFormat::Parquet => parquet::read(&path, requests),
            FileFormat::Fasta => fasta::read(&path, requests),
            FileFormat::Structures => structures_folder::read(&path, spec.letters, requests),
        };
        let raw = match &spec.windows {
            None => read(&requests)?,
            Some(windows) => windows::read(&requests, windows, folder, read)?,
        };
        if raw.rows == 0 {
            return Err(Diagnostic::error("E0520", format!("{} has no rows", path.display()))
                .help("the file has a header or nothing at all; check that it was written to the end"));
        }
        let mut raw_columns = raw.columns.into_iter();
        let mut columns = Vec::with_capacity(kept.len());
        let place = counts::Place { path: &path, format: spec.format, folder, places: &raw.places };
        for column in kept {
            let values = match &column.kind {
                ColumnKind::Counts { source, neighbors } => counts::read(column, source, neighbors.as_ref(), &mut raw_columns, &place)?,
                // Checked against their sequences below.
                ColumnKind::TokenClass { .. } | ColumnKind::Contacts { .. } => {
                    let texts = raw_columns.next().and_then(raw::RawColumn::into_text);
                    Values::Text(texts.ok_or_else(|| not_read(&column.header))?)
                }
                ColumnKind::Reals { .. } | ColumnKind::Labels { .. } => {
                    Values::Numbers(lists::read(column, &mut raw_columns, &raw.places)?)
                }
                kind => {
                    let values = match raw_columns.next() {
                        Some(values) => read_plain(column, values, &raw.places)?,
                        None => return Err(not_read(&column.header)),
                    };
                    match (kind, values) {
                        (ColumnKind::Alignment { files, structure, empty }, Values::Text(texts)) => {
                            let beside = path.parent().unwrap_or(Path::new(""));
                            let at = (&raw.places, column.header.as_str());
                            let files = files.map(|format| aligned::read(&texts, format, *empty, beside, at)).transpose()?;
                            let structures = match structure {
                                None => None,
                                Some(spec) => {
                                    let values = raw_columns.next().ok_or_else(|| not_read(&spec.header))?;
                                    Some(Structures::read(values, spec, beside, &raw.places)?)
                                }
                            };
                            Values::Alignment(Box::new(Alignments { texts, files, structures }))
                        }
                        (_, values) => values,
                    }
                }
            };
            columns.push(Column { spec: column.clone(), values });
        }
        check_token_labels(&mut columns, &raw.places)?;
        let split_values = raw_columns.next().and_then(raw::RawColumn::into_text);
        Ok(Table { name: spec.name.clone(), path, format: spec.format, rows: raw.rows, columns, split_values, places: raw.places })
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns that were read, in the order of the specification.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// A column by its name in the program.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.spec.name == name)
    }

    /// The text of the column that divides the rows, where the specification names one.
    pub fn split_values(&self) -> Option<&LargeStringArray> {
        self.split_values.as_ref()
    }

    /// Where a row is, for people.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// A column by its name in the program, or the diagnostic that it is not there.
    pub(crate) fn require(&self, name: &str) -> Result<&Column, Diagnostic> {
        self.column(name).ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|column| column.spec.name.as_str()).collect();
            let found = Diagnostic::error("E0512", format!("table `{}` has no column `{name}`", self.name))
                .note(format!("its columns are {}", names.join(", ")));
            match nearest(name, names.iter().copied()) {
                Some(near) => found.help(format!("did you mean `{near}`?")),
                None => found,
            }
        })
    }
}

/// Checks the values of a column, and converts those that are made of them.
fn read_plain(column: &ColumnSpec, values: raw::RawColumn, places: &Places) -> Result<Values, Diagnostic> {
    let Some(made) = &column.conversion else { return typed::check(column, values, places) };
    match typed::check(&conversion::source(column, made), values, places)? {
        Values::Text(values) => Ok(Values::Text(conversion::convert(column, made, &values, places)?)),
        other => Ok(other),
    }
}

fn not_read(header: &str) -> Diagnostic {
    Diagnostic::error("E0512", format!("the column `{header}` was not read"))
}

/// Reads what was left as text: labels of letters, which are as many as letters of their sequences.
fn check_token_labels(columns: &mut [Column], places: &Places) -> Result<(), Diagnostic> {
    for index in 0..columns.len() {
        let column = &columns[index];
        let (Some(each), Values::Text(texts)) = (tokens::sequence_of(&column.spec.kind), &column.values) else { continue };
        let sequences = columns.iter().find(|other| other.spec.name == each);
        let sequences = sequences.ok_or_else(|| Diagnostic::error("E0512", format!("the column `{each}` was not read")))?;
        columns[index].values = tokens::read(&column.spec, texts, sequences, places)?;
    }
    Ok(())
}

/// A table made in memory, for tests of what comes after reading.
#[cfg(test)]
pub(crate) fn table_of(columns: Vec<Column>) -> Table {
    let rows = columns.first().map_or(0, |column| match &column.values {
        Values::Text(values) => values.len(),
        Values::Alignment(alignments) => alignments.texts.len(),
        Values::Class(values) => values.len(),
        Values::Real(values) => values.len(),
        Values::Counts(counts) => counts.rows(),
        Values::Numbers(numbers) => numbers.values.len() / numbers.width.max(1),
        Values::TokenLabels(labels) => labels.rows(),
        Values::Contacts(contacts) => contacts.rows(),
    });
    Table {
        name: "table".to_owned(),
        path: PathBuf::from("table.tsv"),
        format: FileFormat::Tsv,
        rows: rows as u64,
        columns,
        split_values: None,
        places: Places::rows("table.tsv"),
    }
}
