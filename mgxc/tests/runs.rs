//! The binary as a user runs it: bad input, and runs that are killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A folder that goes when the test ends.
struct Workspace(tempfile::TempDir);

impl Workspace {
    /// With the files given by name.
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mgxc"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    fn mgxc(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("mgxc starts")
    }
}

/// What it printed on standard error.
fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that a command failed as it should: exit code 1, this code, these texts, no panic.
fn assert_refused(output: &Output, code: &str, texts: &[&str]) {
    let text = errors(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    assert!(text.contains(&format!("[{code}]")), "{code} is not in:\n{text}");
    for part in texts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

/// A small experiment on `data.tsv`.
const EXPERIMENT: &str = r#"
use std::adapters::conv_pool
use std::backbones::dna_onehot
use std::optimizers::adamw
use std::tasks::classification

data rows = table("data.tsv") {
  sequence: dna
  label:    class("even", "odd")
  split = random(train = 0.6, valid = 0.2, test = 0.2, stratify = label)
}

experiment parity_of_length {
  encoder = dna_onehot
  logits  = rows.sequence |> encoder |> conv_pool(outputs = 2, channels = 8, hidden = 8, width = 3)
  task    = classification(logits, rows.label)

  train {
    epochs           = 4
    batch_size       = 4
    optimizer        = adamw(lr = 1e-3)
    checkpoint_every = 3
  }
}
"#;

/// Sequences of lengths from 3 up, labelled by their parity.
fn rows(count: usize) -> String {
    let letters = ["A", "C", "G", "T", "N"];
    let mut text = String::from("sequence\tlabel\n");
    for row in 0..count {
        let length = 3 + row % 11;
        let sequence: String = (0..length).map(|at| letters[(row * 7 + at * (row % 3 + 1)) % 5]).collect();
        text.push_str(&format!("{sequence}\t{}\n", if length % 2 == 0 { "even" } else { "odd" }));
    }
    text
}

fn workspace(table: &str) -> Workspace {
    Workspace::new(&[("run.mgx", EXPERIMENT), ("data.tsv", table)])
}

#[test]
fn a_run_leaves_what_its_documentation_says() {
    let work = workspace(&rows(60));
    let output = work.mgxc(&["run", "run.mgx", "--out", "out"]);
    assert!(output.status.success(), "{}", errors(&output));
    for file in [
        "experiment.mgx",
        "plan.json",
        "lock.json",
        "metrics.jsonl",
        "model.safetensors",
        "test.json",
        "predictions.tsv",
        "predictions.parquet",
    ] {
        assert!(work.path("out").join(file).exists(), "{file} is missing");
    }
    let predictions = fs::read_to_string(work.path("out/predictions.tsv")).expect("predictions");
    assert_eq!(predictions.lines().count(), 1 + 12, "one row for each row of the test part");
    // The resolved experiment runs again and gives the same.
    fs::copy(work.path("out/experiment.mgx"), work.path("again.mgx")).expect("a copy");
    let output = work.mgxc(&["run", "again.mgx", "--out", "out2"]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_same(&work, "out", "out2");
}

#[test]
fn values_from_the_command_line_are_kept_in_the_resolved_experiment() {
    let work = workspace(&rows(60));
    let set = ["--set", "train.epochs=1", "--set", "seed=5", "--set", "encoder.max_length=9"];
    let output = work.mgxc(&[&["run", "run.mgx", "--out", "out"][..], &set[..]].concat());
    assert!(output.status.success(), "{}", errors(&output));
    let resolved = fs::read_to_string(work.path("out/experiment.mgx")).expect("the resolved experiment");
    for part in ["epochs           = 1", "seed = 5", "dna_onehot(max_length = 9)"] {
        assert!(resolved.contains(part), "`{part}` is not in:\n{resolved}");
    }
    let output = work.mgxc(&["run", "out/experiment.mgx", "--out", "out2"]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_same(&work, "out", "out2");
}

fn assert_same(work: &Workspace, a: &str, b: &str) {
    for file in ["model.safetensors", "predictions.tsv"] {
        let read = |folder: &str| fs::read(work.path(folder).join(file)).expect("a file of the run");
        assert!(read(a) == read(b), "{file} differs between {a} and {b}");
    }
}

#[test]
fn killed_at_any_moment_and_resumed_a_run_ends_the_same() {
    let work = workspace(&rows(120));
    let arguments = ["run", "run.mgx", "--set", "train.epochs=12", "--out"];
    let start = std::time::Instant::now();
    let output = work.mgxc(&[&arguments[..], &["whole"]].concat());
    assert!(output.status.success(), "{}", errors(&output));
    let whole = start.elapsed();
    for kill in 0..10u32 {
        let out = format!("killed{kill}");
        let mut resume = false;
        // Killed once or twice, at moments spread over the whole run.
        for moment in [whole * (kill * 2 + 1) / 21, whole * (21 - kill) / 42] {
            let mut command = work.command(&[&arguments[..], &[&out]].concat());
            if resume {
                command.arg("--resume");
            }
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mgxc starts");
            std::thread::sleep(moment.max(Duration::from_millis(1)));
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
            resume = work.path(&out).join("plan.json").exists();
            if !resume {
                fs::remove_dir_all(work.path(&out)).ok();
            }
        }
        let mut command = work.command(&[&arguments[..], &[&out]].concat());
        if resume {
            command.arg("--resume");
        }
        let output = command.output().expect("mgxc starts");
        assert!(output.status.success(), "kill {kill}: {}", errors(&output));
        assert_same(&work, "whole", &out);
    }
}

#[test]
fn metrics_are_written_in_the_forms_that_are_asked_for() {
    let work = workspace(&rows(60));
    let output = work.mgxc(&["run", "run.mgx", "--out", "out", "--set", "train.log=[csv, tensorboard]", "--set", "train.log_every=2"]);
    assert!(output.status.success(), "{}", errors(&output));
    let lines = fs::read_to_string(work.path("out/metrics.jsonl")).expect("events");
    let table = fs::read_to_string(work.path("out/metrics.csv")).expect("a table");
    let mut rows = table.lines();
    let header: Vec<&str> = rows.next().expect("a header").split(',').collect();
    assert_eq!(rows.clone().count(), lines.lines().count());
    for (row, line) in rows.zip(lines.lines()) {
        let event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).expect("an object");
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells.len(), header.len());
        for (name, value) in event {
            let at = header.iter().position(|column| *column == name).unwrap_or_else(|| panic!("no column `{name}` in {header:?}"));
            let text = value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned);
            assert_eq!(cells[at], text);
        }
    }
    let boards = fs::read_dir(work.path("out")).expect("the run").flatten();
    let boards: Vec<_> = boards.filter(|entry| entry.file_name().to_string_lossy().starts_with("events.out.tfevents.")).collect();
    assert_eq!(boards.len(), 1);
    assert!(boards[0].metadata().expect("a file").len() > 1000);
    assert_refused(&work.mgxc(&["check", "run.mgx", "--set", "train.log=[cvs]"]), "E0313", &["`csv`"]);
}

#[test]
fn mistakes_in_the_data_name_the_row_and_a_fix() {
    let good = rows(30);
    let with = |row: &str| format!("{good}{row}\n");
    let cases: &[(String, &str, &[&str])] = &[
        (with("ACGUA\todd"), "E0513", &["row 31", "U"]),
        (with("\todd"), "E0514", &["row 31"]),
        (with("ACGTA\tOdd"), "E0516", &["row 31", "Odd"]),
        (with("ACGTA\todd\tmore"), "E0519", &["31"]),
        (good.replace("sequence\t", "seq\t"), "E0512", &["sequence", "seq"]),
        (good.replace("\teven", "\todd"), "E0521", &["odd"]),
        ("sequence\tlabel\n".to_owned(), "E0520", &[]),
    ];
    for (table, code, texts) in cases {
        let work = workspace(table);
        let output = work.mgxc(&["run", "run.mgx", "--out", "out"]);
        assert_refused(&output, code, texts);
    }
}

#[test]
fn a_missing_table_or_program_is_an_error() {
    let work = Workspace::new(&[("run.mgx", EXPERIMENT)]);
    assert_refused(&work.mgxc(&["check", "run.mgx"]), "E0510", &["data.tsv"]);
    assert_refused(&work.mgxc(&["run", "nothing.mgx"]), "E0201", &["nothing.mgx"]);
    assert_eq!(work.mgxc(&["run"]).status.code(), Some(2));
}

#[test]
fn a_folder_with_a_run_is_not_written_over() {
    let work = workspace(&rows(40));
    let first = work.mgxc(&["run", "run.mgx", "--out", "out", "--set", "train.epochs=1"]);
    assert!(first.status.success(), "{}", errors(&first));
    let before = fs::read(work.path("out/model.safetensors")).expect("parameters");
    assert_refused(&work.mgxc(&["run", "run.mgx", "--out", "out"]), "E0950", &["--resume"]);
    assert_eq!(fs::read(work.path("out/model.safetensors")).expect("parameters"), before);
    // Another experiment cannot go on with it.
    assert_refused(&work.mgxc(&["run", "run.mgx", "--out", "out", "--resume", "--set", "train.batch_size=5"]), "E0952", &[]);
}

#[test]
fn checkpoints_of_other_experiments_are_loaded_on_purpose_alone() {
    let work = workspace(&rows(60));
    let first = work.mgxc(&["run", "run.mgx", "--out", "first", "--set", "train.epochs=1"]);
    assert!(first.status.success(), "{}", errors(&first));
    assert!(!work.path("first/loading.json").exists(), "nothing was loaded");
    let run = |out: &str, more: &[&str]| work.mgxc(&[&["run", "run.mgx", "--set", "train.epochs=1", "--out", out], more].concat());
    let wider = ["--set", "logits.conv_pool.hidden=9"];
    let refused = run("refused", &[&["--checkpoint", "first"], &wider[..]].concat());
    assert_refused(&refused, "E0954", &["of another shape", "--relaxed"]);
    assert!(!work.path("refused").exists(), "nothing is left behind");

    let output = run("relaxed", &[&["--checkpoint", "first", "--relaxed"], &wider[..]].concat());
    assert!(output.status.success(), "{}", errors(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("of another shape, stored and wanted ("), "{text}");
    let loading: serde_json::Value =
        serde_json::from_slice(&fs::read(work.path("relaxed/loading.json")).expect("the account")).expect("JSON");
    let count = |list: &str| loading["checkpoint"][list].as_array().map_or(0, Vec::len);
    assert!(count("used") > 0 && count("misshapen") > 0 && count("missing") == 0 && count("unexpected") == 0, "{loading}");

    let output = run("again", &["--checkpoint", "first", "--with-optimizer"]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_refused(&run("none", &["--checkpoint", "first/model.safetensors", "--with-optimizer"]), "E0959", &["--with-optimizer"]);
    for wrong in [&["--relaxed"][..], &["--with-optimizer"], &["--reset-optimizer"], &["--checkpoint", "first", "--resume"]] {
        assert_eq!(run("wrong", wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn tables_without_labels_are_predicted_as_a_whole() {
    let work = workspace(&rows(60));
    let first = work.mgxc(&["run", "run.mgx", "--out", "out", "--set", "train.epochs=1"]);
    assert!(first.status.success(), "{}", errors(&first));
    let with_labels = fs::read_to_string(work.path("out/predictions.tsv")).expect("predictions");
    // The same rows as the run, without the labels that this stage does not read.
    let again = work.mgxc(&["run", "run.mgx", "--out", "out", "--stage", "predict"]);
    assert!(again.status.success(), "{}", errors(&again));
    let values = |text: &str| -> Vec<String> { text.lines().map(|line| line.rsplit('\t').take(3).collect::<Vec<_>>().join(" ")).collect() };
    assert_eq!(values(&fs::read_to_string(work.path("out/predictions.tsv")).expect("predictions")), values(&with_labels));

    let unlabelled: String = rows(25).lines().map(|line| format!("{}\n", line.split('\t').next().unwrap_or_default())).collect();
    fs::write(work.path("new.tsv"), unlabelled).expect("a table");
    let new = ["run", "run.mgx", "--set", "rows.path=\"new.tsv\"", "--checkpoint", "out", "--out"];
    let output = work.mgxc(&[&new[..], &["new", "--stage", "predict"]].concat());
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("new.tsv is not split"), "{}", errors(&output));
    let predictions = fs::read_to_string(work.path("new/predictions.tsv")).expect("predictions");
    let numbers: Vec<&str> = predictions.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(numbers, (1..=25).map(|row| row.to_string()).collect::<Vec<_>>(), "a row for each row, in their order");
    assert_refused(&work.mgxc(&[&new[..], &["other"]].concat()), "E0512", &["label"]);
}

#[test]
fn a_place_that_cannot_be_written_is_an_error() {
    let work = workspace(&rows(40));
    fs::write(work.path("file"), "").expect("a file");
    let output = work.mgxc(&["run", "run.mgx", "--out", "file/out"]);
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("file/out") && text.contains("[E09") && !text.contains("panicked"), "{text}");
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_checkpoint() {
    let work = workspace(&rows(60));
    let output = work.mgxc(&["run", "run.mgx", "--out", "out", "--set", "train.optimizer.lr=1e30", "--set", "train.checkpoint_every=1"]);
    assert_refused(&output, "E0943", &["step"]);
    assert!(has_checkpoint(&work.path("out/checkpoints")), "the last checkpoint stays");
}

fn has_checkpoint(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| entry.path().join("model.safetensors").exists()))
}

#[test]
fn explain_and_json_work() {
    let work = workspace(&rows(20));
    let page = work.mgxc(&["explain", "e0501"]);
    assert!(String::from_utf8_lossy(&page.stdout).starts_with("# E0501"));
    let output = work.mgxc(&["check", "run.mgx", "--json", "--set", "logits.conv_pool.outputs=3"]);
    assert_eq!(output.status.code(), Some(1));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(line["code"], "E0501");
}
