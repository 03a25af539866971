//! `metrics.jsonl`: what happened in a run, one JSON object a line; and its other forms, which are made of it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use mgx_diag::Diagnostic;
use mgx_ir::plan::{LogFormat, Plan};
use serde_json::{Map, Value};

use super::cannot_write;
use super::csv_log::CsvLog;
use super::tensorboard::BoardLog;

/// Its name in the run's folder.
pub(crate) const EVENTS: &str = "metrics.jsonl";

/// The file, open at its end.
#[derive(Debug)]
pub(crate) struct Events {
    folder: PathBuf,
    file: File,
    bytes: u64,
    table: Option<CsvLog>,
    board: Option<BoardLog>,
}

impl Events {
    /// Opens or makes the files of a run's folder. `keep`: only the first so many bytes stay, the events before the checkpoint that is resumed from (a
    /// killed process leaves later ones, the last perhaps in part). Otherwise all whole lines stay. The other forms are made anew of what stays.
    ///
    /// # Errors
    /// E0955.
    pub fn open(folder: &Path, keep: Option<u64>, plan: &Plan) -> Result<Self, Diagnostic> {
        let path = folder.join(EVENTS);
        let open = || {
            let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let bytes = keep.map_or(whole, |keep| whole.min(usize::try_from(keep).unwrap_or(usize::MAX)));
            file.set_len(bytes as u64)?;
            file.seek(SeekFrom::Start(bytes as u64))?;
            text.truncate(bytes);
            Ok((file, text))
        };
        let (file, text) = open().map_err(|error| cannot_write(&path, &error))?;
        let mut events = Self { folder: folder.to_owned(), file, bytes: text.len() as u64, table: None, board: None };
        let formats = plan.train.as_ref().map_or(&[][..], |train| &train.log);
        if !formats.is_empty() {
            let past: Vec<Map<String, Value>> =
                text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
            let metrics: Vec<String> = plan.metrics.iter().map(|metric| metric.name.clone()).collect();
            events.add_forms(formats, &metrics, &past).map_err(|error| cannot_write(folder, &error))?;
        }
        Ok(events)
    }

    fn add_forms(&mut self, formats: &[LogFormat], metrics: &[String], past: &[Map<String, Value>]) -> std::io::Result<()> {
        if formats.contains(&LogFormat::Csv) {
            self.table = Some(CsvLog::create(&self.folder, metrics, past)?);
        }
        if formats.contains(&LogFormat::Tensorboard) {
            self.board = Some(BoardLog::create(&self.folder, past)?);
        }
        Ok(())
    }

    /// Adds an event, with the time (seconds since 1970).
    ///
    /// # Errors
    /// E0955.
    pub fn write(
        &mut self,
        kind: &str,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
        more: Map<String, Value>,
    ) -> Result<(), Diagnostic> {
        let mut event = Map::new();
        event.insert("kind".to_owned(), kind.into());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        event.insert("time".to_owned(), (now.as_millis() as f64 / 1e3).into());
        event.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        event.extend(more);
        self.append(event).map_err(|error| cannot_write(&self.folder, &error))
    }

    fn append(&mut self, event: Map<String, Value>) -> std::io::Result<()> {
        if let Some(table) = &mut self.table {
            table.write(&event)?;
        }
        if let Some(board) = &mut self.board {
            board.write(&event)?;
        }
        let line = format!("{}\n", Value::Object(event));
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Brings all events to the disk; gives the length of the file.
    ///
    /// # Errors
    /// E0955.
    pub fn sync(&mut self) -> Result<u64, Diagnostic> {
        self.file.sync_data().map_err(|error| cannot_write(&self.folder.join(EVENTS), &error))?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan that logs in all forms.
    fn plan() -> Plan {
        let text = r#"{"version": 0, "name": "a", "seed": 0, "data": [], "tokenizers": [], "lengths": [], "inputs": [], "params": [],
            "weights": [], "gradient": null, "optimizer": null, "evaluate": null, "predict": PROGRAM, "outputs": [],
            "metrics": [{"name": "accuracy", "kind": "accuracy", "prediction": "p", "target": "t"}],
            "train": {"epochs": 1, "max_steps": null, "learning_rate": 1, "schedule": GRAPH, "clip_norm": null, "accumulate": 1, "shuffle": true,
            "monitor": "valid_loss", "mode": "min", "early_stop": null, "log_every": 1, "log": ["csv", "tensorboard"], "checkpoint_every": null, "keep": 1,
            "loss_span": null}, "batch": {"Samples": 1}, "memory": MEMORY, "flops_forward": 0, "flops_step": 0}"#;
        let json = |value: Value| value.to_string();
        let program = json(serde_json::to_value(mgx_ir::plan::Program::default()).unwrap());
        let graph = json(serde_json::to_value(mgx_ir::graph::Graph::default()).unwrap());
        let memory = json(serde_json::to_value(mgx_ir::plan::Memory::default()).unwrap());
        serde_json::from_str(&text.replace("PROGRAM", &program).replace("GRAPH", &graph).replace("MEMORY", &memory)).unwrap()
    }

    #[test]
    fn resuming_cuts_what_came_after_the_checkpoint_in_all_forms() {
        let folder = tempfile::tempdir().unwrap();
        let (path, plan) = (folder.path().join(EVENTS), plan());
        let open = |keep| Events::open(folder.path(), keep, &plan).unwrap();
        let mut events = open(Some(0));
        events.write("train", [("step", 1.into())], Map::new()).unwrap();
        let kept = events.sync().unwrap();
        events.write("train", [("step", 2.into())], Map::new()).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"tr").unwrap();
        let mut events = open(Some(kept));
        events.write("valid", [("step", 2.into()), ("loss", f64::NAN.into())], Map::new()).unwrap();
        // The line that a killed process leaves half written is not gone on with.
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"te").unwrap();
        open(None).write("test", [("step", 2.into())], Map::new()).unwrap();
        let lines: Vec<Value> = std::fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<&str> = lines.iter().filter_map(|line| line["kind"].as_str()).collect();
        assert_eq!(kinds, ["train", "valid", "test"]);
        assert_eq!((&lines[1]["step"], &lines[1]["loss"]), (&2.into(), &Value::Null));
        let table = std::fs::read_to_string(folder.path().join("metrics.csv")).unwrap();
        let kinds: Vec<&str> = table.lines().map(|line| line.split_once(',').unwrap().0).collect();
        assert_eq!(kinds, ["kind", "train", "valid", "test"]);
    }
}
