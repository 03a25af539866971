//! The rows of a case as a table that is read from a file, as users' are.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use mgx_data::Table;
use mgx_ir::plan::DataSpec;
use mgx_tests::golden::{Case, strings};
use mgx_tests::{Outcome, shown};
use serde_json::Value as Json;

use super::program::{Program, ROWS};

/// The samples of a batch: their rows in the table.
pub type Rows = Vec<u64>;

/// The rows of all batches of a case, those that are trained on first.
pub struct RowTable {
    header: Vec<String>,
    lines: Vec<Vec<String>>,
}

impl RowTable {
    /// Columns with their names, as many values in each.
    pub fn of_columns(columns: &[(&str, &[String])]) -> Self {
        let header = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        let line = |row: usize| columns.iter().map(|(_, values)| values.get(row).cloned().unwrap_or_default()).collect();
        Self { header, lines: (0..rows).map(line).collect() }
    }

    /// The names of the columns.
    pub fn header(&self) -> Vec<String> {
        self.header.clone()
    }

    /// Takes the rows of all batches; gives which belong to each batch of training and of evaluation.
    pub fn new(case: &Case, program: &Program) -> Outcome<(Self, Vec<Rows>, Vec<Rows>)> {
        let mut table = Self { header: program.header(), lines: Vec::new() };
        let spec = &case.spec["spec"];
        let train = table.take_all(&spec["batches"], program)?;
        let evaluation = table.take_all(&spec["eval_batches"], program)?;
        Ok((table, train, evaluation))
    }

    fn take_all(&mut self, batches: &Json, program: &Program) -> Outcome<Vec<Rows>> {
        batches.as_array().ok_or("the case has no batches")?.iter().map(|batch| self.take(batch, program)).collect()
    }

    fn take(&mut self, batch: &Json, program: &Program) -> Outcome<Rows> {
        let columns = program.sequences.iter().map(|key| strings(&batch[key])).collect::<Outcome<Vec<_>>>()?;
        let labels = batch[program.label].as_array().ok_or("a batch has no labels")?;
        let first = self.lines.len() as u64;
        for (row, label) in labels.iter().enumerate() {
            let text = |column: &Vec<String>| column.get(row).cloned().ok_or_else(|| format!("a batch has no sequence {row}"));
            let mut line = columns.iter().map(text).collect::<Outcome<Vec<_>>>()?;
            line.push(written(label, &line[0]));
            self.lines.push(line);
        }
        Ok((first..self.lines.len() as u64).collect())
    }

    /// The texts of a column, for some rows.
    pub fn texts(&self, column: usize, rows: &[u64]) -> Vec<String> {
        rows.iter().map(|row| self.lines[*row as usize][column].clone()).collect()
    }

    /// Writes the file and reads it as the specification says.
    pub fn read(&self, spec: &DataSpec) -> Outcome<Table> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("rows-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let lines = std::iter::once(&self.header).chain(&self.lines).map(|line| line.join("\t") + "\n");
        std::fs::write(folder.join(ROWS), lines.collect::<String>()).map_err(failed)?;
        let table = Table::read(spec, &folder).map_err(|diagnostic| shown(&diagnostic));
        std::fs::remove_dir_all(&folder).map_err(failed)?;
        table
    }
}

/// A label as a file has it: a number as it is, several between commas, those of letters without what stands for padding, and of matrices the pairs that are 1.
fn written(label: &Json, sequence: &str) -> String {
    let is_pair = |row: &Json| row.is_array();
    match label {
        Json::Array(items) if items.len() == 1 => written(&items[0], sequence),
        Json::Array(items) if items.iter().any(is_pair) => {
            let columns =
                |row: &Json| row.as_array().map_or_else(Vec::new, |row| (0..row.len()).filter(|column| row[*column] == 1).collect());
            let pairs =
                items.iter().enumerate().flat_map(|(row, line)| columns(line).into_iter().map(move |column| format!("[{row}, {column}]")));
            format!("[{}]", pairs.collect::<Vec<_>>().join(", "))
        }
        Json::Array(items) => {
            let padding = items.iter().rev().take_while(|item| **item == -100).count();
            let kept = if padding > 0 { sequence.len() } else { items.len() };
            items.iter().take(kept).map(|item| written(item, sequence)).collect::<Vec<_>>().join(",")
        }
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
