//! What a run left in its folder, as far as it can be read.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The parts of a plan that a report tells of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PlanRecord {
    pub name: String,
    pub seed: u64,
    pub data: Vec<DataRecord>,
    pub outputs: Vec<OutputRecord>,
    pub metrics: Vec<MetricRecord>,
    pub train: Option<TrainRecord>,
    pub memory: MemoryRecord,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DataRecord {
    pub columns: Vec<ColumnRecord>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ColumnRecord {
    pub name: String,
    pub header: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OutputRecord {
    pub name: String,
    /// `{"Probabilities": {"names": […]}}`, `"Values"`, …
    pub kind: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MetricRecord {
    pub name: String,
    pub kind: String,
    pub prediction: String,
    pub target: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TrainRecord {
    pub monitor: String,
    pub mode: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MemoryRecord {
    pub params: u64,
    pub gradients: u64,
    pub optimizer: u64,
    pub activations: u64,
    pub inputs: u64,
}

/// `test.json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TestRecord {
    pub rows: u64,
    pub metrics: Map<String, Value>,
    /// The ends of each metric's interval.
    pub intervals: Map<String, Value>,
    /// How the intervals were made.
    pub interval: Map<String, Value>,
}

/// `resources.json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResourceRecord {
    pub parameters: u64,
    pub trainable: u64,
    pub forecast_memory: Option<f64>,
    pub forecast_seconds: Option<f64>,
    pub memory: Option<f64>,
    pub seconds: Option<f64>,
    pub samples_per_s: Option<f64>,
}

/// A run.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Its folder, as it was given.
    pub name: String,
    pub plan: PlanRecord,
    pub program: Option<String>,
    pub events: Vec<Map<String, Value>>,
    pub test: Option<TestRecord>,
    pub resources: Option<ResourceRecord>,
    /// The version of mgx that ran it.
    pub tool: Option<String>,
    /// What could not be read, for people.
    pub notes: Vec<String>,
    pub folder: std::path::PathBuf,
}

impl Record {
    /// Reads what there is.
    pub fn read(folder: &Path) -> Self {
        let mut record = Self { name: folder.display().to_string(), folder: folder.to_owned(), ..Self::default() };
        record.plan = record.json("plan.json", true).unwrap_or_default();
        if record.plan.name.is_empty() {
            record.plan.name = "unknown".to_owned();
        }
        record.program = record.text("experiment.mgx", true);
        record.test = record.json("test.json", false);
        record.resources = record.json("resources.json", false);
        record.tool = record.json::<Value>("lock.json", false).and_then(|lock| Some(lock.get("tool")?.as_str()?.to_owned()));
        let trained = record.plan.train.is_some();
        if let Some(text) = record.text("metrics.jsonl", trained) {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let parsed: Vec<Option<Map<String, Value>>> = lines.map(|line| serde_json::from_str(line).ok()).collect();
            let broken = parsed.iter().filter(|event| event.is_none()).count();
            if broken > 0 {
                record.notes.push(format!("{broken} lines of metrics.jsonl cannot be read and are left out"));
            }
            record.events = parsed.into_iter().flatten().collect();
        }
        record
    }

    fn text(&mut self, name: &str, expected: bool) -> Option<String> {
        match std::fs::read(self.folder.join(name)) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                self.note_error(name, expected, &error);
                None
            }
        }
    }

    fn json<T: DeserializeOwned>(&mut self, name: &str, expected: bool) -> Option<T> {
        match File::open(self.folder.join(name)) {
            Ok(file) => match serde_json::from_reader(BufReader::new(file)) {
                Ok(value) => return Some(value),
                Err(error) => self.notes.push(format!("{name} is damaged: {error}")),
            },
            Err(error) => self.note_error(name, expected, &error),
        }
        None
    }

    fn note_error(&mut self, name: &str, expected: bool, error: &std::io::Error) {
        if error.kind() != ErrorKind::NotFound {
            self.notes.push(format!("{name} cannot be read: {error}"));
        } else if expected {
            self.notes.push(format!("{name} is missing"));
        }
    }

    /// The points of a field over the steps, from the events of a kind.
    pub fn curve(&self, kind: &str, field: &str) -> Vec<(f64, f64)> {
        let events = self.events.iter().filter(|event| event.get("kind").and_then(Value::as_str) == Some(kind));
        events
            .filter_map(|event| {
                let value = event.get(field)?;
                Some((event.get("step")?.as_f64()?, value.as_f64().unwrap_or(f64::NAN)))
            })
            .collect()
    }

    /// The best evaluation: its step and the monitored value.
    pub fn best(&self) -> Option<(f64, f64)> {
        let name = self.monitored()?;
        let best = self.events.iter().rev().find(|event| event.get("best").and_then(Value::as_bool) == Some(true))?;
        Some((best.get("step")?.as_f64()?, best.get(name)?.as_f64()?))
    }

    /// What decides the best checkpoint, as evaluations call it: `loss`, `accuracy`.
    pub fn monitored(&self) -> Option<&str> {
        let monitor = self.plan.train.as_ref()?.monitor.as_str();
        Some(monitor.strip_prefix("valid_").unwrap_or(monitor))
    }

    /// The header in the table, and in the predictions, of a column of the program.
    pub fn header<'r>(&'r self, column: &'r str) -> &'r str {
        let columns = self.plan.data.iter().flat_map(|data| &data.columns);
        columns.into_iter().find(|known| known.name == column).map_or(column, |known| known.header.as_str())
    }
}

/// Is less better? Of a loss or an error it is.
pub fn less_is_better(metric: &str, kind: &str) -> bool {
    metric == "loss" || matches!(kind, "mse" | "mae")
}
