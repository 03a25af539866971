//! The store of a run's checkpoints: pointers, repeats, removal, and what it says when files were changed.

use std::path::Path;

use mgx_diag::Diagnostic;
use mgx_weights::{CheckpointStore, write_atomically};

fn write(text: &'static str) -> impl Fn(&Path) -> Result<(), Diagnostic> {
    use std::io::Write as _;
    move |folder| write_atomically(&folder.join("state.txt"), |writer| writer.write_all(text.as_bytes()))
}

#[test]
fn the_latest_is_the_last_one_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/checkpoints");
    assert_eq!(CheckpointStore::latest_in(&path).unwrap(), None);
    let store = CheckpointStore::open(&path).unwrap();
    assert_eq!(store.latest().unwrap(), None);
    store.commit(20, None, write("first")).unwrap();
    store.commit(10, None, write("resumed from an earlier one")).unwrap();
    let saved = store.latest().unwrap().unwrap();
    assert_eq!((saved.manifest.step, saved.name.as_str()), (10, "step-0000000010"));
    assert_eq!(std::fs::read_to_string(saved.path.join("state.txt")).unwrap(), "resumed from an earlier one");
    assert_eq!(saved.manifest.files.len(), 1);
    std::fs::remove_file(path.join("latest")).unwrap();
    assert_eq!(store.latest().unwrap().unwrap().manifest.step, 20, "without the pointer, the greatest step");
}

#[test]
fn a_step_that_is_saved_again_never_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path()).unwrap();
    for text in ["one", "two", "three"] {
        store.commit(5, None, write(text)).unwrap();
    }
    let latest = store.latest().unwrap().unwrap();
    assert_eq!(latest.name, "step-0000000005-2");
    assert_eq!(std::fs::read_to_string(latest.path.join("state.txt")).unwrap(), "three");
    assert_eq!(store.keep(1, &[]).unwrap(), ["step-0000000005", "step-0000000005-1"]);
}

#[test]
fn pointed_checkpoints_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path()).unwrap();
    let names: Vec<String> = (1..=5).map(|step| store.commit(step, None, write("x")).unwrap().name).collect();
    store.point("best", &names[1]).unwrap();
    assert_eq!(store.keep(2, &[]).unwrap(), [names[0].clone(), names[2].clone()]);
    let best = CheckpointStore::resolve(folder.path(), "best").unwrap().unwrap();
    assert_eq!(best.manifest.step, 2);
    assert_eq!(CheckpointStore::resolve(folder.path(), "worst").unwrap(), None);
}

#[test]
fn an_error_while_saving_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path()).unwrap();
    store.commit(1, None, write("good")).unwrap();
    let failing = |temporary: &Path| {
        write("half")(temporary)?;
        Err(Diagnostic::error("E0921", "full"))
    };
    assert_eq!(store.commit(2, None, failing).unwrap_err().code.0, "E0921");
    assert_eq!(store.latest().unwrap().unwrap().manifest.step, 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "the checkpoint, the pointer and the lock");
}

#[test]
fn one_process_writes_and_clears_what_a_killed_one_left() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(".step-0000000001.tmp-77-0")).unwrap();
    std::fs::write(folder.path().join(".step-0000000001.tmp-77-0/model.safetensors"), "half").unwrap();
    std::fs::write(folder.path().join(".latest.tmp-77-1"), "").unwrap();
    let store = CheckpointStore::open(folder.path()).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the lock alone");
    assert_eq!(CheckpointStore::open(folder.path()).unwrap_err().code.0, "E0925");
    drop(store);
    CheckpointStore::open(folder.path()).unwrap();
}

#[test]
fn changed_files_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path()).unwrap();
    let saved = store.commit(1, None, write("text")).unwrap();
    saved.manifest.verify(&saved.path).unwrap();
    std::fs::write(saved.path.join("state.txt"), "tex.").unwrap();
    assert_eq!(saved.manifest.verify(&saved.path).unwrap_err().code.0, "E0926");
    std::fs::write(saved.path.join("state.txt"), "te").unwrap();
    assert_eq!(store.latest().unwrap_err().code.0, "E0926");
    std::fs::remove_file(saved.path.join("state.txt")).unwrap();
    assert_eq!(store.latest().unwrap_err().code.0, "E0926");
    std::fs::remove_file(saved.path.join("manifest.json")).unwrap();
    assert_eq!(store.latest().unwrap_err().code.0, "E0926");
}
