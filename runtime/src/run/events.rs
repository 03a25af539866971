//! `metrics.jsonl`: what happened in a run, one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use mgx_diag::Diagnostic;
use serde_json::{Map, Value};

use super::cannot_write;

/// The file, open at its end.
#[derive(Debug)]
pub(crate) struct Events {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Events {
    /// Opens or makes the file. `keep`: only its first so many bytes stay, the events before the checkpoint that is resumed from (a killed
    /// process leaves later ones, the last perhaps in part). Otherwise everything stays.
    ///
    /// # Errors
    /// E0955.
    pub fn open(path: &Path, keep: Option<u64>) -> Result<Self, Diagnostic> {
        let open = || {
            let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            let mut bytes = file.metadata()?.len();
            if let Some(keep) = keep.filter(|keep| *keep < bytes) {
                file.set_len(keep)?;
                bytes = keep;
            }
            file.seek(SeekFrom::Start(bytes))?;
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(|error| cannot_write(path, &error))?;
        Ok(Self { path: path.to_owned(), file, bytes })
    }

    /// Adds an event.
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
        event.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        event.extend(more);
        let line = format!("{}\n", Value::Object(event));
        self.file.write_all(line.as_bytes()).map_err(|error| cannot_write(&self.path, &error))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Brings all events to the disk; gives the length of the file.
    ///
    /// # Errors
    /// E0955.
    pub fn sync(&mut self) -> Result<u64, Diagnostic> {
        self.file.sync_data().map_err(|error| cannot_write(&self.path, &error))?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resuming_cuts_what_came_after_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut events = Events::open(&path, None).unwrap();
        events.write("train", [("step", 1.into())], Map::new()).unwrap();
        let kept = events.sync().unwrap();
        events.write("train", [("step", 2.into())], Map::new()).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"tr").unwrap();
        let mut events = Events::open(&path, Some(kept)).unwrap();
        events.write("valid", [("step", 2.into()), ("loss", f64::NAN.into())], Map::new()).unwrap();
        let lines: Vec<Value> = std::fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[1]["kind"], &lines[1]["step"], &lines[1]["loss"]), (&"valid".into(), &2.into(), &Value::Null));
    }
}
