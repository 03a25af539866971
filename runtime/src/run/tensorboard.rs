//! Event files of TensorBoard: records in TFRecord's framing, each an `Event` of `tensorflow/core/util/event.proto` as protocol buffers write it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::crc32c::crc32c;

/// What the name of every event file begins with; TensorBoard looks for it.
const NAME: &str = "events.out.tfevents.";
/// Added to checksums so that a checksum of what holds a checksum is a good one (`tensorflow/core/lib/hash/crc32c.h`).
const MASK: u32 = 0xA282_EAD8;
/// Fields that are no curve.
const NO_CURVES: [&str; 4] = ["step", "epoch", "time", "rows"];

/// An event file, open at its end.
#[derive(Debug)]
pub(super) struct BoardLog {
    file: File,
}

impl BoardLog {
    /// Makes the event file of a run's folder in the place of those that are there, with the events so far.
    pub fn create(folder: &Path, events: &[Map<String, Value>]) -> io::Result<Self> {
        for entry in std::fs::read_dir(folder)?.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(NAME)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut board = Self { file: File::create(folder.join(format!("{NAME}{:010}.mgx", now.as_secs())))? };
        let first = events.first().map_or(now.as_secs_f64(), time);
        let mut version = Vec::new();
        double(1, first, &mut version);
        bytes(3, b"brain.Event:2", &mut version);
        board.file.write_all(&record(&version))?;
        events.iter().try_for_each(|event| board.write(event))?;
        Ok(board)
    }

    /// Adds a scalar for each number of an event, `train/loss` for example.
    pub fn write(&mut self, event: &Map<String, Value>) -> io::Result<()> {
        let kind = event.get("kind").and_then(Value::as_str).unwrap_or_default();
        let mut summary = Vec::new();
        for (name, value) in event.iter().filter(|(name, _)| !NO_CURVES.contains(&name.as_str())) {
            let Some(value) = value.as_f64() else { continue };
            // The mean over an epoch's steps stands in the event of the evaluation after it.
            let kind = if name == "train_loss" { "epoch" } else { kind };
            let mut scalar = Vec::new();
            bytes(1, format!("{kind}/{name}").as_bytes(), &mut scalar);
            scalar.push(2 << 3 | 5);
            scalar.extend((value as f32).to_le_bytes());
            bytes(1, &scalar, &mut summary);
        }
        if summary.is_empty() {
            return Ok(());
        }
        let mut message = Vec::new();
        double(1, time(event), &mut message);
        message.push(2 << 3);
        varint(event.get("step").and_then(Value::as_u64).unwrap_or(0), &mut message);
        bytes(5, &summary, &mut message);
        self.file.write_all(&record(&message))
    }
}

fn time(event: &Map<String, Value>) -> f64 {
    event.get("time").and_then(Value::as_f64).unwrap_or(0.0)
}

/// Length, checksum of the length, data, checksum of the data.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked(data).to_le_bytes());
    record
}

fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(MASK)
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn double(field: u8, value: f64, out: &mut Vec<u8>) {
    out.push(field << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn bytes(field: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    varint(value.len() as u64, out);
    out.extend(value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Written by TensorBoard's `EventFileWriter` for `train/loss` = 0.5 at step 200 and wall time 12.5.
    #[test]
    fn records_are_those_of_tensorboard() {
        let folder = tempfile::tempdir().unwrap();
        let event = json!({"kind": "train", "time": 12.5, "step": 200, "epoch": 1, "loss": 0.5, "lr": null, "best": true});
        drop(BoardLog::create(folder.path(), &[event.as_object().unwrap().clone()]).unwrap());
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()).collect();
        assert_eq!(names.len(), 1);
        let hex: String = std::fs::read(&names[0]).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, RECORDED);
    }

    const RECORDED: &str = concat!(
        "1800000000000000a37f4b220900000000000029401a0d627261696e2e4576656e743a326394a44f",
        "2100000000000000017becf609000000000000294010c8012a130a110a0a747261696e2f6c6f7373150000003fc71f73a0",
    );
}
