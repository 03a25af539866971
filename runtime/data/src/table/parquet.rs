//! Parquet: wanted columns only, cast to text or numbers.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use mgx_diag::Diagnostic;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::contain::contained;
use super::places::Places;
use super::raw::{Form, RawColumn, RawTable, Wanted, damaged, locate, open};

pub(super) fn header(path: &Path) -> Result<Vec<String>, Diagnostic> {
    contained(|| read_header(path)).unwrap_or_else(|| Err(corrupt(path, &"its footer does not make sense")))
}

pub(super) fn read(path: &Path, wanted: &[Wanted]) -> Result<RawTable, Diagnostic> {
    contained(|| read_columns(path, wanted)).unwrap_or_else(|| Err(corrupt(path, &"its content does not make sense")))
}

fn read_header(path: &Path) -> Result<Vec<String>, Diagnostic> {
    let metadata = ArrowReaderMetadata::load(&open(path)?, ArrowReaderOptions::new()).map_err(|error| corrupt(path, &error))?;
    Ok(metadata.schema().fields().iter().map(|field| field.name().clone()).collect())
}

fn read_columns(path: &Path, wanted: &[Wanted]) -> Result<RawTable, Diagnostic> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(open(path)?).map_err(|error| corrupt(path, &error))?;
    let headers: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let indices = locate(path, &headers, wanted)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), indices.iter().copied());
    let reader = builder.with_projection(mask).build().map_err(|error| corrupt(path, &error))?;

    let mut rows = 0;
    let mut chunks: Vec<Vec<ArrayRef>> = wanted.iter().map(|_| Vec::new()).collect();
    for batch in reader {
        let batch = batch.map_err(|error| corrupt(path, &error))?;
        rows += batch.num_rows() as u64;
        for (wanted, chunks) in wanted.iter().zip(&mut chunks) {
            if let Some(values) = batch.column_by_name(&wanted.header) {
                chunks.push(convert(path, wanted, values)?);
            }
        }
    }
    let mut columns = Vec::with_capacity(wanted.len());
    for chunks in chunks {
        let parts: Vec<&dyn Array> = chunks.iter().map(AsRef::as_ref).collect();
        if parts.is_empty() {
            continue;
        }
        let values = concat(&parts).map_err(|error| corrupt(path, &error))?;
        columns.push(match values.data_type() {
            DataType::LargeList(_) => RawColumn::Lists(values.as_list::<i64>().clone()),
            DataType::Float64 => RawColumn::Number(values.as_primitive::<Float64Type>().clone()),
            _ => RawColumn::Text(values.as_string::<i64>().clone()),
        });
    }
    Ok(RawTable { rows, columns, places: Places::rows(path) })
}

/// Takes the columns of a batch whose first row has the number.
pub(super) type TakeBatch<'a> = dyn FnMut(usize, &[ArrayRef]) -> Result<(), Diagnostic> + 'a;

/// Gives the batches of some columns as numbers, each with the number of its first row.
pub(super) fn each_batch(path: &Path, columns: &[usize], take: &mut TakeBatch) -> Result<(), Diagnostic> {
    contained(|| batches(path, columns, take)).unwrap_or_else(|| Err(corrupt(path, &"its content does not make sense")))
}

fn batches(path: &Path, columns: &[usize], take: &mut TakeBatch) -> Result<(), Diagnostic> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(open(path)?).map_err(|error| corrupt(path, &error))?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
    let reader = builder.with_projection(mask).build().map_err(|error| corrupt(path, &error))?;
    let mut first = 0;
    for batch in reader {
        let batch = batch.map_err(|error| corrupt(path, &error))?;
        let schema = batch.schema();
        let number = |(column, field): (&ArrayRef, &FieldRef)| {
            let wanted = Wanted { header: field.name().clone(), form: Form::Numbers };
            let values = convert(path, &wanted, column)?;
            if values.data_type() == &DataType::Float64 {
                return Ok(values);
            }
            Err(Diagnostic::error("E0518", format!("column `{}` of {} holds text, not counts", wanted.header, path.display()))
                .help("a column of a gene holds counts; a column of something else is declared with its own type"))
        };
        let values: Vec<ArrayRef> = batch.columns().iter().zip(schema.fields()).map(number).collect::<Result<_, _>>()?;
        take(first, &values)?;
        first += batch.num_rows();
    }
    Ok(())
}

/// Numbers as f64 where numbers are wanted, everything else as text. Text stays text, so that a wrong number can be shown.
fn convert(path: &Path, wanted: &Wanted, values: &ArrayRef) -> Result<ArrayRef, Diagnostic> {
    let is_list = |kind: &DataType| matches!(kind, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..));
    if wanted.form == Form::Lists && is_list(values.data_type()) {
        return lists(path, &wanted.header, values);
    }
    let target = if wanted.form == Form::Numbers && values.data_type().is_numeric() { DataType::Float64 } else { DataType::LargeUtf8 };
    let refuse = || {
        Diagnostic::error(
            "E0528",
            format!("column `{}` of {} holds {}, which is neither text nor numbers", wanted.header, path.display(), values.data_type()),
        )
        .help("write one value per row, as text or as a number")
    };
    if wanted.form == Form::ListText && is_list(values.data_type()) {
        let formatter = ArrayFormatter::try_new(values.as_ref(), &FormatOptions::default()).map_err(|_| refuse())?;
        let text = |row: usize| (!values.is_null(row)).then(|| formatter.value(row).to_string());
        return Ok(Arc::new((0..values.len()).map(text).collect::<LargeStringArray>()));
    }
    if values.data_type().is_nested() || matches!(values.data_type(), DataType::Binary | DataType::LargeBinary | DataType::BinaryView) {
        return Err(refuse());
    }
    cast(values, &target).map_err(|_| refuse())
}

/// Lists of lists of numbers, whatever kinds of lists and numbers they are.
fn lists(path: &Path, header: &str, values: &ArrayRef) -> Result<ArrayRef, Diagnostic> {
    let list = |inner: DataType| DataType::LargeList(Arc::new(Field::new("item", inner, true)));
    cast(values, &list(list(DataType::Float32))).map_err(|_| {
        let message = format!("column `{header}` of {} holds {}, not lists of lists of numbers", path.display(), values.data_type());
        Diagnostic::error("E0544", message).help("write for each row a list with a list of numbers for every residue")
    })
}

fn corrupt(path: &Path, error: &dyn std::fmt::Display) -> Diagnostic {
    damaged(path, "Parquet", error).help("write or copy the file again; a Parquet file that was cut off has lost its last part, the footer")
}
