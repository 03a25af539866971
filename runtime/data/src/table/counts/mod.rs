//! Columns of counts by gene: a sparse matrix of cells and genes, from a wide table (a column for each gene) or from triples.

mod long;
mod neighbors;
mod wide;

use std::path::Path;

use arrow::array::Float64Array;
use mgx_diag::Diagnostic;
use mgx_ir::plan::{ColumnKind, ColumnSpec, CountSource, FileFormat, NeighborSpec};

use super::places::Places;
use super::raw::{Form, RawColumn, Wanted, shown};
use super::{Values, typed};
use neighbors::Neighbors;

/// How often each gene was counted in each cell. What is not stored is zero.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Names of genes as the file has them; a name may stand there twice.
    genes: Vec<String>,
    /// Where each cell begins, and the end of the last one.
    starts: Vec<u64>,
    index: Vec<u32>,
    count: Vec<f32>,
    neighbors: Option<Neighbors>,
}

impl Counts {
    /// Number of cells.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Names of the genes as the file has them.
    pub fn genes(&self) -> &[String] {
        &self.genes
    }

    /// The genes of a cell (by their place in [`Counts::genes`], ascending) with their counts, all above zero.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (u32, f32)> {
        let range = self.starts[row] as usize..self.starts[row + 1] as usize;
        self.index[range.clone()].iter().copied().zip(self.count[range].iter().copied())
    }

    /// The rows of the cells nearest to a cell, the nearest first.
    pub fn neighbors(&self, row: usize) -> &[u32] {
        self.neighbors.as_ref().map_or(&[], |neighbors| neighbors.of(row))
    }

    /// Where a cell lies; (0, 0) in a table without coordinates.
    pub fn coordinates(&self, row: usize) -> (f64, f64) {
        self.neighbors.as_ref().map_or((0.0, 0.0), |neighbors| neighbors.coordinates(row))
    }
}

/// Counts in the making, cell after cell.
struct Builder {
    counts: Counts,
}

impl Builder {
    fn new(genes: Vec<String>) -> Self {
        Self { counts: Counts { genes, starts: vec![0], ..Counts::default() } }
    }

    fn push(&mut self, gene: u32, count: f32) {
        if count != 0.0 {
            self.counts.index.push(gene);
            self.counts.count.push(count);
        }
    }

    fn end_row(&mut self) {
        self.counts.starts.push(self.counts.index.len() as u64);
    }
}

/// What a column of counts wants of the table's own columns besides those of its genes.
pub(super) fn wanted(header: &str, source: &CountSource, neighbors: Option<&NeighborSpec>) -> Vec<Wanted> {
    let id = matches!(source, CountSource::Long { .. }).then(|| Wanted { header: header.to_owned(), form: Form::Text });
    let number = |header: &String| Wanted { header: header.clone(), form: Form::Numbers };
    let coordinates = neighbors.into_iter().flat_map(|spec| [number(&spec.x), number(&spec.y)]);
    id.into_iter().chain(coordinates).collect()
}

/// The table that a column of counts stands in.
pub(super) struct Place<'a> {
    pub path: &'a Path,
    pub format: FileFormat,
    /// What paths of the program are relative to.
    pub folder: &'a Path,
    pub places: &'a Places,
}

/// Reads a column of counts; `raw` gives what [`wanted`] asked for.
///
/// # Errors
/// E0512 for a gene or header that is not in the file, E0517, E0518 and E0536 for values that are no counts, E0538 for triples that do not
/// fit the cells.
pub(super) fn read(
    spec: &ColumnSpec,
    source: &CountSource,
    neighbors: Option<&NeighborSpec>,
    raw: &mut impl Iterator<Item = RawColumn>,
    table: &Place<'_>,
) -> Result<Values, Diagnostic> {
    let mut counts = match source {
        CountSource::Wide { genes } => wide::read(genes, table)?,
        CountSource::Long { .. } => {
            let cells = raw.next().and_then(RawColumn::into_text);
            let cells = cells.ok_or_else(|| Diagnostic::error("E0512", format!("the column `{}` was not read", spec.header)))?;
            long::read(source, &cells, &spec.header, table)?
        }
    };
    if let Some(neighbors) = neighbors {
        let mut coordinate = |header: &String| -> Result<Float64Array, Diagnostic> {
            let column = ColumnSpec { name: header.clone(), header: header.clone(), kind: ColumnKind::Real, conversion: None };
            let raw = raw.next().ok_or_else(|| Diagnostic::error("E0512", format!("the column `{header}` was not read")))?;
            match typed::check(&column, raw, table.places)? {
                Values::Real(values) => Ok(values),
                _ => Err(Diagnostic::error("E0518", format!("the column `{header}` holds no numbers"))),
            }
        };
        let (x, y) = (coordinate(&neighbors.x)?, coordinate(&neighbors.y)?);
        counts.neighbors = Some(Neighbors::new(x.values(), y.values(), neighbors.count));
    }
    Ok(Values::Counts(Box::new(counts)))
}

/// A count as it stands in a text file. `place` says where.
fn parse(text: &[u8], place: impl Fn() -> String) -> Result<f32, Diagnostic> {
    if text == b"0" {
        return Ok(0.0);
    }
    let text = std::str::from_utf8(text).unwrap_or("\u{FFFD}").trim();
    match text.parse::<f64>() {
        Ok(number) => check(number, place),
        Err(_) if text.is_empty() => {
            Err(Diagnostic::error("E0517", format!("{}: the count is missing", place())).help("write 0 where a gene was not counted"))
        }
        Err(_) => Err(Diagnostic::error("E0518", format!("{}: `{}` is not a number", place(), shown(text)))
            .help("a column of a gene holds counts; a column of something else is declared with its own type")),
    }
}

/// Is it a count?
fn check(number: f64, place: impl Fn() -> String) -> Result<f32, Diagnostic> {
    let count = number as f32;
    if count.is_finite() && count >= 0.0 {
        return Ok(count);
    }
    let what = if number < 0.0 { "is negative" } else { "is not finite" };
    Err(Diagnostic::error("E0536", format!("{}: the count {number} {what}", place()))
        .help("give counts as they were measured, not scaled or centred; remove cells whose counts are not known"))
}
