//! Predictions: one line per row, with its number, what identifies it, what is true and what was predicted.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, LargeStringArray, ListArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema, UInt64Type};
use arrow::record_batch::RecordBatch;
use mgx_diag::Diagnostic;
use mgx_ir::plan::{ColumnKind, OutputKind, OutputSpec};

use super::filled::{FilledColumns, listed};
use super::write_parquet;
use crate::metrics::greatest;
use crate::table::{Column, Table, Values, spelled};

/// The values of an output for the rows of a stage.
#[derive(Clone, Copy, Debug)]
pub struct OutputValues<'a> {
    pub spec: &'a OutputSpec,
    /// `width` numbers per row, the rows in the order of the stage's row list.
    pub values: &'a [f32],
    pub width: usize,
    /// How many times `width` numbers each row has, where it has not one: an item for each token, or for each two.
    pub items: Option<&'a [usize]>,
}

/// The table of predictions, in ascending order of rows.
#[derive(Clone, Debug)]
pub struct PredictionColumns {
    batch: RecordBatch,
}

/// Lays out the predictions for `rows` (in any order): `row` (from 1), the text columns, the true values of class and real columns, then
/// for each output `NAME.CLASS` per class and `predicted` (`NAME.predicted` where several outputs have classes), or `NAME` (`NAME.0`,
/// `NAME.1`, … for several values). Of several labels `NAME.LABEL` for each, and `predicted` has the names of those above one half. Embeddings are left out. Masks that were `filled` in come after them, see [`FilledColumns`], and `texts` last, each by its name with a value for each of `rows`. A name that is taken gets `output.` before it.
///
/// # Errors
/// E0542 if the number of values does not fit rows and width, or the width the number of classes.
pub fn prediction_columns(
    table: &Table,
    rows: &[u64],
    outputs: &[OutputValues],
    filled: Option<&FilledColumns>,
    texts: &[(String, Vec<String>)],
) -> Result<PredictionColumns, Diagnostic> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|index| rows[*index]);
    let sorted = UInt64Array::from_iter_values(order.iter().map(|index| rows[*index]));

    let mut layout = Layout::default();
    layout.push("row", Arc::new(UInt64Array::from_iter_values(sorted.values().iter().map(|row| row + 1))));
    let is_text = |column: &&Column| matches!(column.spec.kind, ColumnKind::Text);
    let is_label = |column: &&Column| column.spec.kind.is_label();
    for column in table.columns().iter().filter(is_text).chain(table.columns().iter().filter(is_label)) {
        match &column.values {
            Values::Numbers(numbers) => {
                for (place, name) in column.spec.value_names().iter().enumerate() {
                    let own = sorted.values().iter().map(|row| numbers.row(*row)[place]);
                    layout.push(&format!("{}.{name}", column.spec.name), Arc::new(Float64Array::from_iter_values(own)));
                }
            }
            _ => layout.push(&column.spec.header, of_rows(column, &sorted)?),
        }
    }
    let several =
        outputs.iter().filter(|output| matches!(output.spec.kind, OutputKind::Probabilities { .. } | OutputKind::Labels { .. })).count()
            > 1;
    for output in outputs {
        let name = &output.spec.name;
        let width = output.width;
        if let Some(items) = output.items {
            let several = if several { Some(name.as_str()) } else { None };
            ItemColumns { output, items, order: &order }.push(&mut layout, several)?;
            continue;
        }
        if output.values.len() != rows.len() * width {
            let message = format!("output `{name}` has {} values, not {} rows of {width}", output.values.len(), rows.len());
            return Err(Diagnostic::error("E0542", message));
        }
        let column = |place: usize| -> ArrayRef {
            Arc::new(Float32Array::from_iter_values(order.iter().map(|index| output.values[index * width + place])))
        };
        match &output.spec.kind {
            OutputKind::Embedding | OutputKind::Filled(_) | OutputKind::Structure(_) => {}
            OutputKind::Values if width == 1 => layout.push(name, column(0)),
            OutputKind::Values => (0..width).for_each(|place| layout.push(&format!("{name}.{place}"), column(place))),
            OutputKind::Probabilities { names } | OutputKind::Labels { names } if names.len() != width || width == 0 => {
                let message = format!("output `{name}` has {width} values per row, and there are {} classes", names.len());
                return Err(Diagnostic::error("E0542", message));
            }
            OutputKind::Labels { names } => {
                for (place, label) in names.iter().enumerate() {
                    layout.push(&format!("{name}.{label}"), column(place));
                }
                let holding = |index: &usize| {
                    let own = output.values[index * width..][..width].iter().zip(names);
                    own.filter(|(value, _)| **value > 0.5).map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(",")
                };
                let predicted = if several { format!("{name}.predicted") } else { "predicted".to_owned() };
                layout.push(&predicted, Arc::new(LargeStringArray::from_iter_values(order.iter().map(holding))));
            }
            OutputKind::Probabilities { names } => {
                for (place, class) in names.iter().enumerate() {
                    layout.push(&format!("{name}.{class}"), column(place));
                }
                let best = order.iter().map(|index| names[greatest(&output.values[index * width..][..width])].as_str());
                let predicted = if several { format!("{name}.predicted") } else { "predicted".to_owned() };
                layout.push(&predicted, Arc::new(LargeStringArray::from_iter_values(best)));
            }
        }
    }
    for (name, column) in filled.map(|filled| filled.columns(&order)).transpose()?.unwrap_or_default() {
        layout.push(&name, column);
    }
    for (name, values) in texts {
        let own = order.iter().map(|index| values.get(*index).map_or("", String::as_str));
        layout.push(name, Arc::new(LargeStringArray::from_iter_values(own)));
    }
    layout.finish()
}

/// An output with items: lists of numbers, and of classes also the greatest of each item.
struct ItemColumns<'a> {
    output: &'a OutputValues<'a>,
    items: &'a [usize],
    /// The rows in the order in which they are written.
    order: &'a [usize],
}

impl ItemColumns<'_> {
    /// `prefix` comes before `predicted` where several outputs have classes.
    fn push(&self, layout: &mut Layout, prefix: Option<&str>) -> Result<(), Diagnostic> {
        let OutputValues { spec, values, width, .. } = *self.output;
        let total: usize = self.items.iter().sum();
        let names = match &spec.kind {
            OutputKind::Probabilities { names } => Some(names).filter(|names| names.len() == width),
            _ => None,
        };
        if values.len() != total * width || width == 0 || (names.is_none() && matches!(spec.kind, OutputKind::Probabilities { .. })) {
            let message = format!("output `{}` has {} values, not {total} items of {width}", spec.name, values.len());
            return Err(Diagnostic::error("E0542", message));
        }
        let starts: Vec<usize> = self.items.iter().scan(0, |end, items| Some(std::mem::replace(end, *end + items * width))).collect();
        let own = |row: usize| &values[starts[row]..starts[row] + self.items[row] * width];
        let Some(names) = names else {
            layout.push(&spec.name, self.lists(self.order.iter().map(|row| own(*row).to_vec()))?);
            return Ok(());
        };
        for (place, class) in names.iter().enumerate() {
            let of_class = |row: &usize| own(*row).iter().skip(place).step_by(width).copied().collect();
            layout.push(&format!("{}.{class}", spec.name), self.lists(self.order.iter().map(of_class))?);
        }
        let best = |row: &usize| spelled(own(*row).chunks_exact(width).map(|scores| greatest(scores) as i32), names);
        let predicted = prefix.map_or_else(|| "predicted".to_owned(), |name| format!("{name}.predicted"));
        layout.push(&predicted, Arc::new(LargeStringArray::from_iter_values(self.order.iter().map(best))));
        Ok(())
    }

    fn lists(&self, rows: impl Iterator<Item = Vec<f32>>) -> Result<ArrayRef, Diagnostic> {
        let rows: Vec<Vec<f32>> = rows.collect();
        let values = Float32Array::from_iter_values(rows.iter().flatten().copied());
        let field = Arc::new(Field::new("item", DataType::Float32, false));
        let lists = ListArray::try_new(field, OffsetBuffer::from_lengths(rows.iter().map(Vec::len)), Arc::new(values), None);
        lists
            .map(|lists| Arc::new(lists) as ArrayRef)
            .map_err(|error| Diagnostic::error("E0542", format!("output `{}` makes no lists: {error}", self.output.spec.name)))
    }
}

/// The values of a column for some rows: classes by name.
fn of_rows(column: &Column, rows: &UInt64Array) -> Result<ArrayRef, Diagnostic> {
    let taken = match &column.values {
        Values::Text(values) => take(values, rows, None),
        Values::Alignment(alignments) => take(&alignments.texts, rows, None),
        Values::Real(values) => take(values, rows, None),
        Values::Class(_) | Values::Counts(_) | Values::Numbers(_) | Values::TokenLabels(_) | Values::Contacts(_) => {
            return Ok(Arc::new(LargeStringArray::from_iter_values(rows.values().iter().map(|row| column.display(*row)))));
        }
    };
    taken.map_err(|error| Diagnostic::error("E0542", format!("column `{}`: {error}", column.spec.header)))
}

#[derive(Default)]
struct Layout {
    names: BTreeSet<String>,
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
}

impl Layout {
    fn push(&mut self, name: &str, values: ArrayRef) {
        let mut name = name.to_owned();
        while !self.names.insert(name.clone()) {
            name = format!("output.{name}");
        }
        self.fields.push(Field::new(name, values.data_type().clone(), false));
        self.columns.push(values);
    }

    fn finish(self) -> Result<PredictionColumns, Diagnostic> {
        let batch = RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.columns)
            .map_err(|error| Diagnostic::error("E0542", format!("the predictions make no table: {error}")))?;
        Ok(PredictionColumns { batch })
    }
}

impl PredictionColumns {
    /// The table in Arrow's form.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Writes the table as Parquet.
    ///
    /// # Errors
    /// E0540, E0541.
    pub fn write_parquet(&self, path: &Path) -> Result<(), Diagnostic> {
        write_parquet(path, &self.batch.schema(), std::iter::once(Ok(self.batch.clone())))
    }

    /// Writes the table as TSV with a header. Numbers have as many digits as it takes to read the same number back.
    ///
    /// # Errors
    /// E0540, E0541.
    pub fn write_tsv(&self, path: &Path) -> Result<(), Diagnostic> {
        super::write_atomically(path, |file| {
            let mut writer = csv::WriterBuilder::new().delimiter(b'\t').from_writer(file);
            let schema = self.batch.schema();
            writer.write_record(schema.fields().iter().map(|field| field.name())).map_err(csv_to_io)?;
            let mut text = Vec::new();
            for row in 0..self.batch.num_rows() {
                for column in self.batch.columns() {
                    text.clear();
                    cell(column, row, &mut text)?;
                    writer.write_field(&text).map_err(csv_to_io)?;
                }
                writer.write_record(None::<&[u8]>).map_err(csv_to_io)?;
            }
            writer.flush()
        })
    }
}

fn csv_to_io(error: csv::Error) -> std::io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => std::io::Error::other(format!("{other:?}")),
    }
}

fn cell(column: &ArrayRef, row: usize, text: &mut Vec<u8>) -> std::io::Result<()> {
    match column.data_type() {
        DataType::UInt64 => write!(text, "{}", column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => write!(text, "{}", column.as_primitive::<Float32Type>().value(row)),
        DataType::List(_) => {
            let list = listed(&column.as_list::<i32>().value(row));
            write!(text, "{}", list.ok_or_else(|| std::io::Error::other("a list of what has no text"))?)
        }
        DataType::Float64 => write!(text, "{}", column.as_primitive::<Float64Type>().value(row)),
        _ => text.write_all(column.as_string::<i64>().value(row).as_bytes()),
    }
}
