//! Triples of cell, gene and count in a file of their own.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, LargeStringArray};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{CountSource, FileFormat};

use super::super::places::Places;
use super::super::raw::{Form, RawColumn, RawTable, Wanted, shown};
use super::super::{delimited, parquet};
use super::{Builder, Counts, Place, check, parse};

/// The headers of the file of triples.
fn headers(source: &CountSource) -> Option<[&str; 3]> {
    match source {
        CountSource::Long { cell, gene, count, .. } => Some([cell, gene, count]),
        CountSource::Wide { .. } => None,
    }
}

/// The counts of cells by their names in the table's column `header`.
pub(super) fn read(source: &CountSource, cells: &LargeStringArray, header: &str, table: &Place<'_>) -> Result<Counts, Diagnostic> {
    let (CountSource::Long { path, format, .. }, Some(headers)) = (source, headers(source)) else { return Ok(Counts::default()) };
    let rows = rows_of(cells, header, table.places)?;
    let path = table.folder.join(path);
    let form = |at: usize| if at == 2 { Form::Numbers } else { Form::Text };
    let wanted: Vec<Wanted> = headers.iter().enumerate().map(|(at, name)| Wanted { header: (*name).to_owned(), form: form(at) }).collect();
    let raw = match format {
        FileFormat::Parquet => parquet::read(&path, &wanted),
        FileFormat::Csv => delimited::read(&path, b',', &wanted),
        _ => delimited::read(&path, b'\t', &wanted),
    }?;
    let triples = Triples::new(raw, headers[2])?;
    let mut genes: Vec<String> = Vec::new();
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut of_cells: Vec<BTreeMap<u32, f32>> = vec![BTreeMap::new(); cells.len()];
    let mut found = false;
    for triple in 0..triples.cells.len() {
        let Some(row) = rows.get(triples.cells.value(triple)) else { continue };
        found = true;
        let name = triples.genes.value(triple);
        let next = numbers.len() as u32;
        let gene = *numbers.entry(name).or_insert_with(|| {
            genes.push(name.to_owned());
            next
        });
        if let Some(count) = triples.count(triple, &mut of_cells[*row], gene)? {
            of_cells[*row].insert(gene, count);
        }
    }
    if !found {
        let example = if triples.cells.is_empty() { String::new() } else { shown(triples.cells.value(0)) };
        return Err(Diagnostic::error("E0538", format!("{} has no cell of the table", path.display()))
            .note(format!("its first cell is `{example}`; the first of the column `{header}` is `{}`", shown(cells.value(0))))
            .help(format!("`at \"…\"` names the column of the table that holds the cells' names of `{}`", headers[0])));
    }
    let mut builder = Builder::new(genes);
    for cell in of_cells {
        cell.into_iter().for_each(|(gene, count)| builder.push(gene, count));
        builder.end_row();
    }
    Ok(builder.counts)
}

/// The row of each cell's name.
fn rows_of<'a>(cells: &'a LargeStringArray, header: &str, places: &Places) -> Result<HashMap<&'a str, usize>, Diagnostic> {
    let mut rows = HashMap::with_capacity(cells.len());
    for (row, name) in cells.iter().enumerate() {
        let name = name.unwrap_or_default();
        if let Some(first) = rows.insert(name, row) {
            let place = places.describe(row as u64);
            return Err(Diagnostic::error("E0538", format!("{place}, column `{header}`: the cell `{}` stands there twice", shown(name)))
                .note(format!("first in {}", places.describe(first as u64)))
                .help("each row of the table is a cell of its own: give it a name of its own"));
        }
    }
    Ok(rows)
}

struct Triples<'a> {
    cells: LargeStringArray,
    genes: LargeStringArray,
    counts: RawColumn,
    places: Places,
    header: &'a str,
}

impl<'a> Triples<'a> {
    fn new(raw: RawTable, header: &'a str) -> Result<Self, Diagnostic> {
        let mut columns = raw.columns.into_iter();
        let (cells, genes, counts) = (columns.next(), columns.next(), columns.next());
        match (cells.and_then(RawColumn::into_text), genes.and_then(RawColumn::into_text), counts) {
            (Some(cells), Some(genes), Some(counts)) => Ok(Self { cells, genes, counts, places: raw.places, header }),
            _ => Err(Diagnostic::error("E0520", "the file of triples has no rows")),
        }
    }

    /// The count of a triple, unless the cell has one for the gene already.
    fn count(&self, triple: usize, cell: &mut BTreeMap<u32, f32>, gene: u32) -> Result<Option<f32>, Diagnostic> {
        let place = || format!("{}, column `{}`", self.places.describe(triple as u64), self.header);
        if cell.contains_key(&gene) {
            return Err(Diagnostic::error("E0538", format!("{}: the cell has a count for this gene already", place()))
                .help("write one triple for a cell and a gene"));
        }
        Ok(Some(match &self.counts {
            RawColumn::Text(texts) if texts.is_null(triple) => parse(b"", place)?,
            RawColumn::Text(texts) => parse(texts.value(triple).as_bytes(), place)?,
            RawColumn::Number(numbers) if numbers.is_null(triple) => parse(b"", place)?,
            RawColumn::Number(numbers) => check(numbers.value(triple), place)?,
            RawColumn::Lists(_) => parse(b"list", place)?,
        }))
    }
}
