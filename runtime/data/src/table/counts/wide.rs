//! A row for each cell, a column for each gene.

use std::collections::HashSet;

use arrow::array::{Array, AsArray, Float64Array};
use arrow::datatypes::Float64Type;
use mgx_diag::Diagnostic;
use mgx_ir::plan::FileFormat;

use super::super::header::header;
use super::super::{delimited, parquet};
use super::{Builder, Counts, Place, check, parse};

/// All columns of the file that have one of the names, in its order.
pub(super) fn read(genes: &[String], table: &Place<'_>) -> Result<Counts, Diagnostic> {
    let headers = header(table.path, table.format)?;
    let names: HashSet<&str> = genes.iter().map(String::as_str).collect();
    let columns: Vec<usize> = (0..headers.len()).filter(|index| names.contains(headers[*index].as_str())).collect();
    let found: HashSet<&str> = columns.iter().map(|index| headers[*index].as_str()).collect();
    if let Some(missing) = genes.iter().find(|gene| !found.contains(gene.as_str())) {
        return Err(Diagnostic::error("E0512", format!("{} has no column `{missing}` any more", table.path.display()))
            .help("it had one when the program was checked: run again"));
    }
    let mut builder = Builder::new(columns.iter().map(|index| headers[*index].clone()).collect());
    let place = |row: usize, gene: usize| format!("{}, column `{}`", table.places.describe(row as u64), headers[columns[gene]]);
    match table.format {
        FileFormat::Parquet => parquet::each_batch(table.path, &columns, &mut |first, arrays| {
            let arrays: Vec<&Float64Array> = arrays.iter().map(|array| array.as_primitive::<Float64Type>()).collect();
            for row in 0..arrays.first().map_or(0, |array| array.len()) {
                for (gene, array) in arrays.iter().enumerate() {
                    let place = || place(first + row, gene);
                    if array.is_null(row) {
                        return Err(parse(b"", place).err().unwrap_or_else(|| Diagnostic::error("E0517", place())));
                    }
                    builder.push(gene as u32, check(array.value(row), place)?);
                }
                builder.end_row();
            }
            Ok(())
        })?,
        format => {
            let delimiter = if format == FileFormat::Csv { b',' } else { b'\t' };
            delimited::each_record(table.path, delimiter, &mut |row, record| {
                for (gene, column) in columns.iter().enumerate() {
                    builder.push(gene as u32, parse(record.get(*column).unwrap_or_default(), || place(row, gene))?);
                }
                builder.end_row();
                Ok(())
            })?;
        }
    }
    Ok(builder.counts)
}
