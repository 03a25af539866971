//! What is written for the rows of a stage: predictions as Parquet and TSV, embeddings as Parquet and safetensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mgx_data::{Embeddings, OutputValues, Table, prediction_columns, write_embeddings};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{OutputKind, OutputSpec, Plan};
use mgx_weights::{TensorData, save};

use crate::filling::Filled;
use crate::outputs::Collected;
use crate::structures::Structures;

/// The task's outputs for some rows.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Row numbers, from 0.
    pub rows: Vec<u64>,
    pub outputs: Vec<Collected>,
    /// Masks that were filled in, where the task does that.
    pub filled: Option<Filled>,
    /// Structures that follow from outputs.
    pub structures: Vec<Structures>,
}

impl Predictions {
    /// Writes `predictions.parquet` and `predictions.tsv` (row, text columns, labels that were read, the outputs of the plan's task), and for each embedding
    /// `embeddings.parquet` and `embeddings.safetensors` (`embeddings.NAME.…` where there are several). Rows are in ascending order, whatever
    /// order they were computed in. A structure is a column of pairs, and a file for each row in the folder `structures`. Gives the files.
    ///
    /// The safetensors file holds the vectors under the output's name, `[rows, width]`, and `rows`, their numbers from 1; with a vector for
    /// each token it is `[tokens, width]`, and the tokens of the `i`-th row are `offsets[i]..offsets[i + 1]`.
    ///
    /// # Errors
    /// E0948 for an output that differs in length from row to row and is no embedding; E0540 to E0542, E0920 to E0923.
    pub fn write(&self, plan: &Plan, table: &Table, folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
        let mut files = Vec::new();
        let named = |spec: &OutputSpec| self.outputs.iter().find(|output| output.name == spec.name);
        let mut columns = Vec::new();
        let mut embeddings = Vec::new();
        for spec in &plan.outputs {
            let Some(output) = named(spec) else { continue };
            match spec.kind {
                OutputKind::Embedding => embeddings.push(output),
                OutputKind::Structure(_) => {}
                OutputKind::Labels { .. } if output.per_token => return Err(no_column(&output.name)),
                _ => {
                    let items: Vec<usize> = output.rows.iter().map(|row| row.len() / output.width.max(1)).collect();
                    columns.push((spec, output.width, output.flat(), output.per_token.then_some(items)));
                }
            }
        }
        let filled = self.filled.as_ref().map(|filled| filled.columns(plan)).transpose()?;
        let structures: Vec<(String, Vec<String>)> = self.structures.iter().map(|own| (own.output.clone(), own.texts())).collect();
        for own in &self.structures {
            files.push(own.write(&self.rows, table, folder)?);
        }
        if !columns.is_empty() || filled.is_some() || !structures.is_empty() {
            let values: Vec<OutputValues> = columns
                .iter()
                .map(|(spec, width, values, items)| OutputValues { spec, values, width: *width, items: items.as_deref() })
                .collect();
            let layout = prediction_columns(table, &self.rows, &values, filled.as_ref(), &structures)?;
            let (parquet, tsv) = (folder.join("predictions.parquet"), folder.join("predictions.tsv"));
            layout.write_parquet(&parquet)?;
            layout.write_tsv(&tsv)?;
            files.extend([parquet, tsv]);
        }
        for output in &embeddings {
            let stem = if embeddings.len() == 1 { "embeddings".to_owned() } else { format!("embeddings.{}", output.name) };
            let (parquet, tensors) = (folder.join(format!("{stem}.parquet")), folder.join(format!("{stem}.safetensors")));
            let rows = self.rows.iter().copied().zip(output.rows.iter().cloned()).collect();
            let (name, width, per_token) = (output.name.clone(), output.width, output.per_token);
            write_embeddings(&parquet, table, &Embeddings { name, width, per_token, rows })?;
            self.write_tensors(&tensors, output)?;
            files.extend([parquet, tensors]);
        }
        Ok(files)
    }

    fn write_tensors(&self, path: &Path, output: &Collected) -> Result<(), Diagnostic> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|place| self.rows[*place]);
        let numbers: Vec<u64> = order.iter().map(|place| self.rows[*place] + 1).collect();
        let values: Vec<f32> = order.iter().filter_map(|place| output.rows.get(*place)).flatten().copied().collect();
        let width = output.width.max(1);
        let offsets: Vec<u64> = std::iter::once(0)
            .chain(order.iter().scan(0, |end, place| {
                *end += output.rows.get(*place).map_or(0, |row| (row.len() / width) as u64);
                Some(*end)
            }))
            .collect();
        let vectors = (values.len() / width) as u64;
        let mut tensors = vec![
            (output.name.clone(), vec![vectors, output.width as u64], TensorData::F32(&values)),
            (free_name("rows", &output.name), vec![numbers.len() as u64], TensorData::U64(&numbers)),
        ];
        if output.per_token {
            tensors.push((free_name("offsets", &output.name), vec![offsets.len() as u64], TensorData::U64(&offsets)));
        }
        save(path, tensors, &BTreeMap::new()).map(|_| ())
    }
}

/// A name beside the output's own.
fn free_name(name: &str, output: &str) -> String {
    if name == output { format!("{name}.index") } else { name.to_owned() }
}

fn no_column(name: &str) -> Diagnostic {
    Diagnostic::error("E0948", format!("output `{name}` has a value for every token and cannot be a column"))
        .note("a column of the predictions has as many numbers in every row")
        .help("reduce it over the sequence, or write it with the task `embed`")
}
