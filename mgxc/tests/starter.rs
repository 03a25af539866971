//! `mgxc new`: a project that checks and runs as it is written.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn mgxc(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mgxc"));
    command.current_dir(folder).args(args).env("HF_HUB_OFFLINE", "1").env("MGX_CACHE", "off").output().expect("mgxc starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_new_project_runs_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = mgxc(folder.path(), &["new", "study/first"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    assert!(text(&made.stdout).contains("mgxc run boxes.mgx"), "{}", text(&made.stdout));
    let project = folder.path().join("study/first");
    assert_eq!(fs::read_to_string(project.join(".gitignore")).expect("the file"), "/runs/\n");
    for args in [["check", "boxes.mgx"].as_slice(), &["fmt", "--check", "."]] {
        let output = mgxc(&project, args);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{args:?}");
    }
    let run = mgxc(&project, &["run", "boxes.mgx"]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let metrics = fs::read_to_string(project.join("runs/boxes/1/test.json")).expect("the metrics");
    let metrics: serde_json::Value = serde_json::from_str(&metrics).expect("JSON");
    let accuracy = metrics["metrics"]["accuracy"].as_f64().or_else(|| metrics["accuracy"].as_f64()).expect("an accuracy");
    assert!(accuracy > 0.9, "it learns nothing: {metrics}");
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("notes.md"), "mine").expect("a file");
    for (named, what) in [(".", "has something in it"), ("notes.md", "is a file")] {
        let refused = mgxc(folder.path(), &["new", named]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains("[E0972]") && text(&refused.stderr).contains(what), "{}", text(&refused.stderr));
    }
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    assert_eq!(mgxc(folder.path(), &["new", "empty"]).status.code(), Some(0));
}
