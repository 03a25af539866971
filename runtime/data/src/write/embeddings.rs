//! Embeddings: a vector, or one vector per token, for each row.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, FixedSizeListArray, Float32Array, ListArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use mgx_diag::Diagnostic;
use mgx_ir::plan::ColumnKind;

use super::write_parquet;
use crate::table::{Table, Values};

/// Rows per record batch: what is laid out a second time while it is written.
const BATCH_ROWS: usize = 1024;

/// The embeddings of a stage under one output's name.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// The output's and the column's name.
    pub name: String,
    /// Numbers per vector.
    pub width: usize,
    /// One vector per token and not one per row.
    pub per_token: bool,
    /// Row numbers with their vectors (axes: tokens if `per_token`, then width), in any order.
    pub rows: Vec<(u64, Vec<f32>)>,
}

/// Writes embeddings as Parquet: `row` (from 1), the table's text columns, and the embedding as a list of `width` numbers, or as a list of
/// such lists with one for each token.
///
/// # Errors
/// E0540, E0541; E0542 if a row has another number of values.
pub fn write_embeddings(path: &Path, table: &Table, embeddings: &Embeddings) -> Result<(), Diagnostic> {
    let width = embeddings.width;
    for (row, values) in &embeddings.rows {
        let fits = if embeddings.per_token { width > 0 && values.len() % width == 0 } else { values.len() == width };
        if !fits {
            let message = format!("embedding `{}` of row {} has {} values for a width of {width}", embeddings.name, row + 1, values.len());
            return Err(Diagnostic::error("E0542", message));
        }
    }
    let mut sorted: Vec<&(u64, Vec<f32>)> = embeddings.rows.iter().collect();
    sorted.sort_by_key(|(row, _)| *row);
    let schema = Arc::new(schema(table, embeddings)?);
    write_parquet(path, &schema, sorted.chunks(BATCH_ROWS).map(|rows| batch(table, embeddings, rows, &schema)))
}

fn schema(table: &Table, embeddings: &Embeddings) -> Result<Schema, Diagnostic> {
    let width = i32::try_from(embeddings.width)
        .map_err(|_| Diagnostic::error("E0542", format!("embedding `{}` is too wide to be written", embeddings.name)))?;
    let vector = DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float32, false)), width);
    let values = if embeddings.per_token { DataType::List(Arc::new(Field::new("item", vector, false))) } else { vector };
    let mut fields = vec![Field::new("row", DataType::UInt64, false)];
    fields.extend(texts(table).map(|(name, _)| Field::new(name, DataType::LargeUtf8, false)));
    let taken = fields.iter().any(|field| field.name() == &embeddings.name);
    let name = if taken { format!("output.{}", embeddings.name) } else { embeddings.name.clone() };
    fields.push(Field::new(name, values, false));
    Ok(Schema::new(fields))
}

/// The text columns that identify a row.
fn texts(table: &Table) -> impl Iterator<Item = (&str, &arrow::array::LargeStringArray)> {
    table.columns().iter().filter_map(|column| match (&column.spec.kind, &column.values) {
        (ColumnKind::Text, Values::Text(values)) if column.spec.header != "row" => Some((column.spec.header.as_str(), values)),
        _ => None,
    })
}

fn batch(table: &Table, embeddings: &Embeddings, rows: &[&(u64, Vec<f32>)], schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
    let numbers = UInt64Array::from_iter_values(rows.iter().map(|(row, _)| *row));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(row, _)| row + 1)))];
    for (_, values) in texts(table) {
        columns.push(take(values, &numbers, None)?);
    }
    let values = Float32Array::from_iter_values(rows.iter().flat_map(|(_, values)| values.iter().copied()));
    let width = embeddings.width as i32;
    let vectors = FixedSizeListArray::try_new(Arc::new(Field::new("item", DataType::Float32, false)), width, Arc::new(values), None)?;
    columns.push(if embeddings.per_token {
        let lengths = rows.iter().map(|(_, values)| values.len() / embeddings.width);
        let field = Arc::new(Field::new("item", vectors.data_type().clone(), false));
        Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), Arc::new(vectors), None)?)
    } else {
        Arc::new(vectors)
    });
    RecordBatch::try_new(schema.clone(), columns)
}
