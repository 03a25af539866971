//! A program of several files: what its run leaves behind is the same program, and runs again anywhere.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const BASE: &str = r#"use parts::narrow::Narrow
use std::backbones::dna_onehot
use std::optimizers::adamw
use std::tasks::classification

data rows = table("data.tsv") {
  sequence: dna
  label:    class("few", "many")
  split = random(train = 0.6, valid = 0.2, test = 0.2)
}

experiment base(rate: float) {
  logits = rows.sequence |> dna_onehot |> Narrow(outputs = 2)
  task   = classification(logits, rows.label)
  train { epochs = 2  batch_size = 8  optimizer = adamw(lr = rate) }
}
"#;

const NARROW: &str = r"use std::layers::Linear

/// Two linear layers over the mean of the tokens.
adapter Narrow(features: dim, outputs: dim, hidden: int = 3) {
  first = Linear(features, hidden)
  last  = Linear(hidden, outputs)

  fn forward(x: f[seq, features]) -> f[outputs] { last(tanh(first(mean(x, over = seq)))) }
}
";

const MAIN: &str = "use bases::base\n\nexperiment mine = base(rate = 1e-2) with { seed = 5 }\n";

fn mgxc(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mgxc")).args(arguments).env("MGX_CACHE", "off").current_dir(folder).output().expect("mgxc starts")
}

fn succeeds(folder: &Path, arguments: &[&str]) {
    let output = mgxc(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn table() -> String {
    let mut table = String::from("sequence\tlabel\n");
    for row in 0..40 {
        let sequence: String = (0..8 + row % 5).map(|at| ["A", "C", "G", "T"][(row * 7 + at * (row % 3 + 1)) % 4]).collect();
        let label = if sequence.matches('G').count() > 2 { "many" } else { "few" };
        table.push_str(&format!("{sequence}\t{label}\n"));
    }
    table
}

#[test]
fn the_program_of_a_run_stands_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let table = table();
    fs::create_dir(path.join("parts")).expect("a folder");
    for (name, text) in [("main.mgx", MAIN), ("bases.mgx", BASE), ("parts/narrow.mgx", NARROW), ("data.tsv", &table)] {
        fs::write(path.join(name), text).expect("a file");
    }
    succeeds(path, &["run", "main.mgx", "--out", "first", "--set", "train.epochs=3", "--set", "logits.hidden=4"]);

    // Elsewhere, and without the files that it was made from.
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    for name in ["main.mgx", "bases.mgx", "parts/narrow.mgx"] {
        fs::remove_file(path.join(name)).expect("the file was there");
    }
    let program = path.join("first/experiment.mgx");
    succeeds(elsewhere.path(), &["run", program.to_str().expect("a path in UTF-8"), "--out", "again"]);
    let read = |path: &Path| fs::read(path).expect("a file of the run");
    for file in ["model.safetensors", "predictions.tsv"] {
        assert_eq!(read(&path.join("first").join(file)), read(&elsewhere.path().join("again").join(file)), "{file}");
    }
    let text = fs::read_to_string(&program).expect("the program");
    assert!(text.contains("epochs = 3") && text.contains("hidden = 4"), "{text}");
}

#[test]
fn an_import_named_like_a_file_of_the_run_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    fs::write(path.join("data.tsv"), table()).expect("a table");
    fs::create_dir(path.join("parts")).expect("a folder");
    fs::write(path.join("parts/narrow.mgx"), NARROW).expect("a file");
    fs::write(path.join("experiment.mgx"), BASE).expect("a file");
    fs::write(path.join("main.mgx"), MAIN.replace("bases", "experiment")).expect("a file");
    let output = mgxc(path, &["run", "main.mgx", "--out", "run"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("E0955") && shown.contains("experiment.mgx"), "{shown}");
}
