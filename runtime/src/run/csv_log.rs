//! `metrics.csv`: the events of `metrics.jsonl` as a table, a column for each field.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value};

const NAME: &str = "metrics.csv";
/// Columns of every run, in this order; those of the task's metrics follow.
const COLUMNS: [&str; 12] =
    ["kind", "time", "step", "epoch", "rows", "loss", "train_loss", "best", "lr", "grad_norm", "samples_per_s", "tokens_per_s"];

/// The file, open at its end.
#[derive(Debug)]
pub(super) struct CsvLog {
    file: File,
    columns: Vec<String>,
}

impl CsvLog {
    /// Makes the table of a run's folder anew, with the events so far.
    pub fn create(folder: &Path, metrics: &[String], events: &[Map<String, Value>]) -> io::Result<Self> {
        let mut columns: Vec<String> = COLUMNS.map(str::to_owned).to_vec();
        for metric in metrics {
            if !columns.contains(metric) {
                columns.push(metric.clone());
            }
        }
        let mut log = Self { file: File::create(folder.join(NAME))?, columns };
        let header: Vec<String> = log.columns.iter().map(|name| quoted(name)).collect();
        log.line(&header)?;
        events.iter().try_for_each(|event| log.write(event))?;
        Ok(log)
    }

    /// Adds a row. What the table has no column for (metrics of single labels) is left out.
    pub fn write(&mut self, event: &Map<String, Value>) -> io::Result<()> {
        let cells: Vec<String> = self
            .columns
            .iter()
            .map(|name| match event.get(name) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => quoted(text),
                Some(value) => value.to_string(),
            })
            .collect();
        self.line(&cells)
    }

    /// In one write, so that a reader never sees half a row.
    fn line(&mut self, cells: &[String]) -> io::Result<()> {
        self.file.write_all(format!("{}\n", cells.join(",")).as_bytes())
    }
}

/// As RFC 4180 has it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_what_its_event_says_and_nothing_where_a_value_is_not_defined() {
        let folder = tempfile::tempdir().unwrap();
        let event = |value: Value| value.as_object().unwrap().clone();
        let before = event(json!({"kind": "train", "time": 1.5, "step": 1, "loss": 0.25}));
        let mut log = CsvLog::create(folder.path(), &["f1".to_owned(), "a,b".to_owned()], &[before]).unwrap();
        log.write(&event(json!({"kind": "valid", "step": 2, "best": true, "f1": null, "a,b": 1.0, "f1_x": 3}))).unwrap();
        let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("samples_per_s,tokens_per_s,f1,\"a,b\""), "{text}");
        assert_eq!(lines[1..], ["train,1.5,1,,,0.25,,,,,,,,", "valid,,2,,,,,true,,,,,,1.0"]);
    }
}
