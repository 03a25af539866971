//! Sweeps: every member is checked, run, and gathered in a table; what is frozen is computed for the first of them alone.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = r#"
use std::adapters::mlp_pool
use std::backbones::aido_dna_debug
use std::optimizers::adamw
use std::tasks::classification

data rows = table("data.tsv") {
  sequence: dna
  label:    class("few", "many")
  split = random(train = 0.6, valid = 0.2, test = 0.2)
}

experiment heads {
  encoder = aido_dna_debug(frozen = true, layers = 1)
  logits  = rows.sequence |> encoder |> mlp_pool(outputs = 2)
  task    = classification(logits, rows.label)
  train { epochs = 2  batch_size = 8  optimizer = adamw(lr = 1e-2) }
  sweep {
    logits { hidden = [[4], [8], [16], [4, 4], [8, 8]] }
  }
}

experiment together {
  encoder = aido_dna_debug(frozen = true, layers = 1)
  logits  = rows.sequence |> encoder |> mlp_pool(outputs = 2, hidden = [4])
  task    = classification(logits, rows.label)
  train { epochs = 1  batch_size = 8  optimizer = adamw(lr = 1e-2) }
  sweep {
    cases = [(encoder = aido_dna_debug(layers = 1), seed = 1), (encoder = aido_dna_debug(layers = 2), seed = 2)]
    train { batch_size = [4, 8] }
  }
}
"#;

fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let letters = ["A", "C", "G", "T"];
    let mut table = String::from("sequence\tlabel\n");
    for row in 0..40 {
        let sequence: String = (0..8 + row % 5).map(|at| letters[(row * 7 + at * (row % 3 + 1)) % 4]).collect();
        let label = if sequence.matches('G').count() > 2 { "many" } else { "few" };
        table.push_str(&format!("{sequence}\t{label}\n"));
    }
    fs::write(folder.path().join("run.mgx"), PROGRAM).expect("a program");
    fs::write(folder.path().join("data.tsv"), table).expect("a table");
    folder
}

fn mgxc(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mgxc"))
        .args(arguments)
        .env("MGX_CACHE", folder.join("cache"))
        .current_dir(folder)
        .output()
        .expect("mgxc starts")
}

fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = mgxc(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(folder: &Path, arguments: &[&str], code: &str) -> String {
    let output = mgxc(folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && text.contains(&format!("[{code}]")) && !text.contains("panicked"), "{text}");
    text
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn five_heads_over_one_frozen_backbone_run_it_once() {
    let folder = workspace();
    let folder = folder.path();
    let told = succeeds(folder, &["run", "run.mgx", "--experiment", "heads", "--out", "all"]);
    let frozen: Vec<&str> = told.lines().filter(|line| line.starts_with("frozen network: ")).collect();
    assert_eq!(frozen.len(), 5, "{told}");
    // Of equal sequences one is computed, unless they stand in one batch.
    let counts: Vec<u64> = frozen[0].split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(counts[0] > 0 && counts[0] + counts[counts.len() - 1] == 40, "{told}");
    for line in &frozen[1..] {
        assert!(line.starts_with("frozen network: 0 rows computed (0 tokens, ") && line.ends_with(", 40 found in the cache"), "{line}");
    }
    let table = read(folder, "all/sweep.tsv");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 6, "{table}");
    assert_eq!(&rows[0][..2], ["member", "logits.hidden"]);
    assert!(rows[0].contains(&"accuracy") && rows[0].contains(&"loss"), "{table}");
    assert_eq!((rows[4][0], rows[4][1]), ("3", "[4, 4]"));
    let accuracy = rows[0].iter().position(|name| *name == "accuracy").expect("an accuracy");
    for member in 0..5 {
        let test: serde_json::Value = serde_json::from_str(&read(folder, &format!("all/member-{member}/test.json"))).expect("JSON");
        assert_eq!(test["metrics"]["accuracy"].as_f64(), rows[member + 1][accuracy].parse().ok(), "member {member}");
    }

    // A member by itself is the same run, and so is the program that it leaves.
    succeeds(folder, &["run", "run.mgx", "--experiment", "heads", "--member", "3", "--out", "one"]);
    assert_eq!(read(folder, "one/predictions.tsv"), read(folder, "all/member-3/predictions.tsv"));
    let resolved = read(folder, "one/experiment.mgx");
    assert!(resolved.contains("mlp_pool(outputs = 2, hidden = [4, 4])"), "{resolved}");
    fs::write(folder.join("again.mgx"), resolved).expect("a program");
    succeeds(folder, &["run", "again.mgx", "--experiment", "heads", "--out", "again"]);
    assert_eq!(read(folder, "again/predictions.tsv"), read(folder, "one/predictions.tsv"));

    let page = succeeds(folder, &["report", "all"]);
    assert!(page.contains("wrote report.html"), "{page}");
    let page = read(folder, "report.html");
    assert!((0..5).all(|member| page.contains(&format!("member-{member}"))));

    // Gone on with, what is done stays.
    let before = fs::metadata(folder.join("all/member-0/predictions.tsv")).and_then(|file| file.modified()).expect("a time");
    fs::remove_dir_all(folder.join("all/member-4")).expect("removed");
    let table_before = read(folder, "all/sweep.tsv");
    succeeds(folder, &["run", "run.mgx", "--experiment", "heads", "--out", "all", "--resume"]);
    assert_eq!(read(folder, "all/sweep.tsv"), table_before);
    assert!(fs::metadata(folder.join("all/member-0/predictions.tsv")).and_then(|file| file.modified()).expect("a time") >= before);
}

#[test]
fn settings_change_together_and_combine() {
    let folder = workspace();
    let folder = folder.path();
    succeeds(folder, &["run", "run.mgx", "--experiment", "together", "--out", "all"]);
    let members: serde_json::Value = serde_json::from_str(&read(folder, "all/sweep.json")).expect("JSON");
    let settings: Vec<[&str; 3]> = members
        .as_array()
        .expect("a list")
        .iter()
        .map(|member| ["encoder", "seed", "train.batch_size"].map(|name| member["settings"][name].as_str().unwrap_or_default()))
        .collect();
    let (small, large) = ("aido_dna_debug(layers = 1)", "aido_dna_debug(layers = 2)");
    assert_eq!(settings, [[small, "1", "4"], [small, "1", "8"], [large, "2", "4"], [large, "2", "8"]]);
    let last = read(folder, "all/member-3/experiment.mgx");
    assert!(
        last.contains("encoder = aido_dna_debug(layers = 2)") && last.contains("seed = 2") && last.contains("batch_size = 8"),
        "{last}"
    );
}

#[test]
fn every_member_is_checked_and_mistakes_are_found_where_they_stand() {
    let folder = workspace();
    let folder = folder.path();
    assert!(succeeds(folder, &["check", "run.mgx"]).contains("ok"));
    let changed = |old: &str, new: &str| {
        assert!(PROGRAM.contains(old));
        fs::write(folder.join("changed.mgx"), PROGRAM.replace(old, new)).expect("a program");
    };
    // The last member alone is wrong.
    changed("[8, 8]]", "\"wide\"]");
    let found = refused(folder, &["check", "changed.mgx"], "E0301");
    assert!(found.contains("\"wide\""), "{found}");
    assert!(refused(folder, &["run", "changed.mgx", "--experiment", "heads"], "E0301").contains("wide"));
    assert!(!folder.join("runs").exists(), "nothing is run before all members are known to be right");
    changed("hidden = [[4], [8], [16], [4, 4], [8, 8]]", "hiden = [[4]]");
    refused(folder, &["check", "changed.mgx"], "E0206");
    changed("sweep {\n    logits", "sweep {\n    nothing");
    refused(folder, &["check", "changed.mgx"], "E0212");
    changed("batch_size = [4, 8]", "batch_size = 4");
    refused(folder, &["check", "changed.mgx"], "E0216");
    changed("cases = [(encoder", "cases = [3, (encoder");
    refused(folder, &["check", "changed.mgx"], "E0216");
    let long = (0..1001).map(|seed| seed.to_string()).collect::<Vec<_>>().join(", ");
    changed("batch_size = [4, 8]", &format!("batch_size = [{long}]"));
    refused(folder, &["check", "changed.mgx"], "E0216");

    refused(folder, &["run", "run.mgx", "--experiment", "heads", "--member", "5"], "E0216");
    refused(folder, &["run", "run.mgx", "--experiment", "heads", "--stage", "predict"], "E0217");
    refused(folder, &["run", "run.mgx", "--experiment", "heads", "--resume"], "E0951");
    changed("  sweep {\n    logits { hidden = [[4], [8], [16], [4, 4], [8, 8]] }\n  }\n", "");
    refused(folder, &["run", "changed.mgx", "--experiment", "heads", "--member", "0"], "E0217");
}
