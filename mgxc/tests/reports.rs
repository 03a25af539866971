//! Runs of several folds, and the page that tells of runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Class names that would be code in a page that does not escape them.
const EXPERIMENT: &str = r#"
use std::adapters::conv_pool
use std::backbones::dna_onehot
use std::optimizers::adamw
use std::tasks::{classification, regression}

data rows = table("data.tsv") {
  sequence: dna
  label:    class("<script>alert(1)</script>", "b & \"c\"")
  share:    real at "share of <b>G</b>"
  split = folds(k = 3, stratify = label)
}

experiment classes {
  logits = rows.sequence |> dna_onehot |> conv_pool(outputs = 2, channels = 8, hidden = 8, width = 3)
  task   = classification(logits, rows.label)
  train { epochs = 2  batch_size = 8  optimizer = adamw(lr = 1e-2)  log_every = 1  keep_best = 2 }
}

experiment numbers {
  value = rows.sequence |> dna_onehot |> conv_pool(outputs = 1, channels = 8, hidden = 8, width = 3)
  task  = regression(value, rows.share)
  train { epochs = 2  batch_size = 8  optimizer = adamw(lr = 1e-2)  log_every = 1 }
}
"#;

fn table(count: usize) -> String {
    let letters = ["A", "C", "G", "T"];
    let mut text = String::from("sequence\tlabel\tshare of <b>G</b>\n");
    for row in 0..count {
        let sequence: String = (0..8 + row % 5).map(|at| letters[(row * 7 + at * (row % 3 + 1)) % 4]).collect();
        let share = sequence.matches('G').count() as f64 / sequence.len() as f64;
        let label = if share > 0.25 { "<script>alert(1)</script>" } else { "\"b & \"\"c\"\"\"" };
        text.push_str(&format!("{sequence}\t{label}\t{share}\n"));
    }
    text
}

fn workspace(rows: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("run.mgx"), EXPERIMENT).expect("a program");
    fs::write(folder.path().join("data.tsv"), table(rows)).expect("a table");
    folder
}

fn mgxc(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mgxc")).args(arguments).current_dir(folder).output().expect("mgxc starts")
}

fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = mgxc(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(folder: &Path, arguments: &[&str], code: &str) {
    let output = mgxc(folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && text.contains(&format!("[{code}]")) && !text.contains("panicked"), "{text}");
}

/// Checks that every element is closed in its order, that nothing is fetched, and that the only script is the page's own. Gives the names of the elements.
fn elements(page: &str) -> Vec<String> {
    let (mut open, mut all): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if rest.starts_with('!') {
            continue;
        }
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(!name.is_empty(), "`<{tag}` is no tag");
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_ref(), Some(&name), "`<{tag}>` closes another element");
            continue;
        }
        all.push(name.clone());
        if name == "script" || name == "style" {
            let close = format!("</{name}>");
            let length = rest.find(&close).expect("it is closed");
            rest = &rest[length + close.len()..];
        } else if !tag.ends_with('/') && !["meta", "br"].contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page fetches something: {outside}");
    }
    assert_eq!(all.iter().filter(|name| *name == "script").count(), 1);
    all
}

#[test]
fn all_folds_are_run_and_reported() {
    let folder = workspace(36);
    let folder = folder.path();
    let told = succeeds(folder, &["run", "run.mgx", "--experiment", "classes", "--out", "cv"]);
    for part in ["parameters: ", "forecast: ", "measured: ", "fold 2 of 3", "test accuracy: ", " ± "] {
        assert!(told.contains(part), "`{part}` is not in:\n{told}");
    }
    let mut rows: Vec<u64> = Vec::new();
    let mut accuracies = Vec::new();
    for fold in 0..3 {
        let run = folder.join(format!("cv/fold-{fold}"));
        let table = fs::read_to_string(run.join("predictions.tsv")).expect("predictions");
        rows.extend(table.lines().skip(1).map(|line| line.split('\t').next().and_then(|row| row.parse::<u64>().ok()).expect("a row")));
        let test: serde_json::Value = serde_json::from_str(&fs::read_to_string(run.join("test.json")).expect("a test")).expect("JSON");
        accuracies.push(test["metrics"]["accuracy"].as_f64().expect("an accuracy"));
    }
    rows.sort_unstable();
    assert!(rows.into_iter().eq(1..=36), "every row is tested once");
    let text = fs::read_to_string(folder.join("cv/folds.json")).expect("what they came to");
    let together: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mean = together["metrics"]["accuracy"]["mean"].as_f64().expect("a mean");
    assert!((mean - accuracies.iter().sum::<f64>() / 3.0).abs() < 1e-12);

    // One fold by itself is the same run.
    succeeds(folder, &["run", "run.mgx", "--experiment", "classes", "--out", "one", "--fold", "1"]);
    let read = |name: &str| fs::read(folder.join(name)).expect("predictions");
    assert!(read("one/predictions.tsv") == read("cv/fold-1/predictions.tsv"));
    refused(folder, &["run", "run.mgx", "--experiment", "classes", "--fold", "3"], "E0568");
    refused(folder, &["run", "run.mgx", "--experiment", "classes", "--set", "rows.split=folds(k = 37)"], "E0567");
    refused(
        folder,
        &["run", "run.mgx", "--experiment", "classes", "--set", "rows.split=random(train = 0.8, valid = 0.1, test = 0.1)", "--fold", "0"],
        "E0568",
    );

    // Two evaluations, both among the best two: their names tell step and value.
    let names = fs::read_dir(folder.join("one/checkpoints")).expect("checkpoints").flatten();
    let names: Vec<String> =
        names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.starts_with("step-")).collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.contains("-valid_loss=")), "{names:?}");

    // Another run of the same experiment, with another setting.
    succeeds(folder, &["run", "run.mgx", "--experiment", "classes", "--out", "cv/slow", "--fold", "1", "--set", "train.optimizer.lr=1e-4"]);
    assert_eq!(succeeds(folder, &["report", "cv"]).trim(), "wrote report.html");
    let page = fs::read_to_string(folder.join("report.html")).expect("a page");
    let names = elements(&page);
    let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    // A table over the runs; a matrix and bars of memory for each.
    assert_eq!((count("details"), count("table")), (4, 1 + 4 * 2));
    assert!(count("figure") >= 4 * 5, "{}", count("figure"));
    for part in [
        "Confusion matrix",
        "Learning rate",
        "Throughput",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "what differs",
        "peak memory",
        "prefers-color-scheme",
    ] {
        assert!(page.contains(part), "`{part}` is not in the page");
    }
}

#[test]
fn damaged_and_missing_files_are_said_in_the_page() {
    let folder = workspace(30);
    let folder = folder.path();
    succeeds(folder, &["run", "run.mgx", "--experiment", "numbers", "--out", "run", "--fold", "0"]);
    succeeds(folder, &["report", "run", "--out", "page.html"]);
    let page = fs::read_to_string(folder.join("page.html")).expect("a page");
    elements(&page);
    assert!(page.contains("Predicted and true") && !page.contains("class=\"note warn\""), "nothing is amiss");

    let file = |name: &str| -> PathBuf { folder.join("run").join(name) };
    fs::write(file("test.json"), "{\"rows\": ").expect("a file");
    fs::write(file("metrics.jsonl"), "{\"kind\": \"train\", \"step\": 1, \"loss\": 0.5}\nnot JSON\n").expect("a file");
    let mut predictions = fs::read(file("predictions.tsv")).expect("predictions");
    predictions.extend(b"\xff\xff\t2\n");
    fs::write(file("predictions.tsv"), predictions).expect("a file");
    fs::remove_file(file("experiment.mgx")).expect("it goes");
    succeeds(folder, &["report", "run"]);
    let page = fs::read_to_string(file("report.html")).expect("a page");
    elements(&page);
    for part in ["test.json is damaged", "1 lines of metrics.jsonl", "predictions.tsv is damaged", "experiment.mgx is missing"] {
        assert!(page.contains(part), "`{part}` is not in the page");
    }
    fs::write(file("plan.json"), "[]").expect("a file");
    succeeds(folder, &["report", "run"]);
    refused(folder, &["report", "nothing"], "E0957");
    fs::create_dir(folder.join("empty")).expect("a folder");
    refused(folder, &["report", "empty"], "E0957");
}
