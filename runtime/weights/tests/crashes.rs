//! A process that is killed at any moment leaves the last complete checkpoint.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mgx_diag::Diagnostic;
use mgx_weights::{Checkpoint, CheckpointStore, TensorData, save};

const FOLDER: &str = "MGX_TEST_CRASH_FOLDER";
const ELEMENTS: usize = 60_000;

/// A file whose every number is `value`.
fn save_value(path: &Path, value: u64) -> Result<(), Diagnostic> {
    let values = vec![value as f32; ELEMENTS];
    save(path, [("w".to_owned(), vec![ELEMENTS as u64], TensorData::F32(&values))], &BTreeMap::new()).map(|_| ())
}

/// The value of such a file; fails if it is not whole.
fn value_of(path: &Path) -> u64 {
    let checkpoint = Checkpoint::open(path).unwrap();
    let mut values = vec![f32::NAN; ELEMENTS];
    checkpoint.read_f32("w", &mut values).unwrap();
    assert!(values.iter().all(|value| *value == values[0]), "half of one and half of another");
    values[0] as u64
}

/// The process that is killed: saves for ever, and says each step when its checkpoint is committed.
#[test]
#[ignore = "run by the test below"]
fn saver() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let store = CheckpointStore::open(&folder.join("checkpoints")).unwrap();
    let first = store.latest().unwrap().map_or(0, |saved| saved.manifest.step) + 1;
    for step in first.. {
        let write = |temporary: &Path| {
            save_value(&temporary.join("model.safetensors"), step)?;
            save_value(&temporary.join("optimizer.safetensors"), step)
        };
        store.commit(step, write).unwrap();
        save_value(&folder.join("single.safetensors"), step).unwrap();
        store.keep(2).unwrap();
        println!("committed {step}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn killed_savers_leave_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = folder.path().join("checkpoints");
    let mut committed = 0;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "saver", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut steps = lines.map_while(Result::ok).filter_map(|line| line.rsplit_once("committed ")?.1.parse::<u64>().ok());
        committed = steps.next().expect("the saver commits");
        // Different fractions of the few milliseconds that one save takes.
        std::thread::sleep(Duration::from_micros(round * round * 173 % 9_000));
        child.kill().unwrap();
        child.wait().unwrap();
        committed = steps.last().unwrap_or(committed);

        let saved = CheckpointStore::latest_in(&checkpoints).unwrap().expect("there is a checkpoint");
        assert!(saved.manifest.step >= committed, "step {} after {committed} was committed", saved.manifest.step);
        saved.manifest.verify(&saved.path).unwrap();
        assert_eq!(value_of(&saved.path.join("model.safetensors")), saved.manifest.step);
        assert_eq!(value_of(&saved.path.join("optimizer.safetensors")), saved.manifest.step);
        assert!(value_of(&folder.path().join("single.safetensors")) >= committed);
    }
    let store = CheckpointStore::open(&checkpoints).unwrap();
    store.keep(1).unwrap();
    save_value(&folder.path().join("single.safetensors"), 0).unwrap();
    assert!(committed >= 12);
    let mut names: Vec<String> = [folder.path(), &checkpoints]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.iter().all(|name| !name.contains("tmp")), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("step-")).count(), 1, "{names:?}");
}
