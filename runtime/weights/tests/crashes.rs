//! A process that is killed at any moment leaves the last complete checkpoint.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mgx_diag::Diagnostic;
use mgx_weights::{Checkpoint, CheckpointStore, TensorData, save};

const FOLDER: &str = "MGX_TEST_CRASH_FOLDER";
const WHAT: &str = "MGX_TEST_CRASH_WHAT";

/// A file whose every number is `value`.
fn save_value(path: &Path, value: u64, elements: usize) -> Result<(), Diagnostic> {
    let values = vec![value as f32; elements];
    save(path, [("w".to_owned(), vec![elements as u64], TensorData::F32(&values))], &BTreeMap::new()).map(|_| ())
}

/// The value of such a file; fails if it is not whole.
fn value_of(path: &Path) -> u64 {
    let checkpoint = Checkpoint::open(path).unwrap();
    let mut values = vec![f32::NAN; checkpoint.get("w").unwrap().elements() as usize];
    checkpoint.read_f32("w", &mut values).unwrap();
    assert!(values.iter().all(|value| *value == values[0]), "half of one and half of another");
    values[0] as u64
}

/// The process that is killed: saves for ever, and says each step when that is done.
#[test]
#[ignore = "run by the tests below"]
fn saver() {
    let (Ok(folder), Ok(what)) = (std::env::var(FOLDER), std::env::var(WHAT)) else { return };
    let folder = Path::new(&folder);
    let done = |step: u64| {
        println!("saved {step}");
        std::io::stdout().flush().unwrap();
    };
    if what == "file" {
        // Large, so that writing it takes a good part of the time.
        let path = folder.join("single.safetensors");
        let first = if path.exists() { value_of(&path) + 1 } else { 1 };
        for step in first.. {
            save_value(&path, step, 3_000_000).unwrap();
            done(step);
        }
    }
    let store = CheckpointStore::open(folder).unwrap();
    let first = store.latest().unwrap().map_or(0, |saved| saved.manifest.step) + 1;
    for step in first.. {
        let write = |temporary: &Path| {
            save_value(&temporary.join("model.safetensors"), step, 20_000)?;
            save_value(&temporary.join("optimizer.safetensors"), step, 20_000)
        };
        store.commit(step, None, write).unwrap();
        done(step);
        store.keep(2, &[]).unwrap();
    }
}

/// Starts a saver, lets it save once, kills it after `delay` more, and gives the last step that it said was saved.
fn run_and_kill(folder: &Path, what: &str, delay: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "saver", "--ignored", "--nocapture"])
        .envs([(FOLDER, folder.as_os_str()), (WHAT, what.as_ref())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut steps = lines.map_while(Result::ok).filter_map(|line| line.rsplit_once("saved ")?.1.parse::<u64>().ok());
    let first = steps.next().expect("the saver saves");
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    steps.last().unwrap_or(first)
}

/// Delays spread over `longest`, in no order (steps of the golden ratio).
fn delays(rounds: u32, longest: Duration) -> impl Iterator<Item = Duration> {
    (0..rounds).map(move |round| longest.mul_f64(f64::from(round) * 0.618_034 % 1.0))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_whole_whenever_its_writer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("single.safetensors");
    for delay in delays(14, Duration::from_millis(30)) {
        let saved = run_and_kill(folder.path(), "file", delay);
        assert!(value_of(&path) >= saved);
    }
    save_value(&path, 0, 1).unwrap();
    assert_eq!(names(folder.path()), ["single.safetensors"], "what the killed ones left is gone");
}

#[test]
fn the_last_checkpoint_is_whole_whenever_its_writer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for delay in delays(14, Duration::from_millis(60)) {
        let committed = run_and_kill(folder.path(), "store", delay);
        let saved = CheckpointStore::latest_in(folder.path()).unwrap().expect("there is a checkpoint");
        // A checkpoint may be committed and its line not written.
        assert!(saved.manifest.step >= committed && committed > last, "step {}, said {committed}, before {last}", saved.manifest.step);
        saved.manifest.verify(&saved.path).unwrap();
        for file in ["model.safetensors", "optimizer.safetensors"] {
            assert_eq!(value_of(&saved.path.join(file)), saved.manifest.step);
        }
        last = committed;
    }
    let store = CheckpointStore::open(folder.path()).unwrap();
    // The last saver may have been killed after its checkpoint had its name and before `latest` pointed to it: then both stay.
    let pointed = CheckpointStore::latest_in(folder.path()).unwrap().expect("there is a checkpoint").name;
    let kept = if store.names().unwrap().last() == Some(&pointed) { 1 } else { 2 };
    store.keep(1, &[]).unwrap();
    assert!(names(folder.path()).iter().all(|name| !name.contains("tmp")), "{:?}", names(folder.path()));
    assert_eq!(names(folder.path()).iter().filter(|name| name.starts_with("step-")).count(), kept);
}
