//! What is frozen of a network is computed once for each row and found again by everything that it depends on, with the same bits as if it were computed.

mod common;

use std::fs;
use std::path::Path;

use common::{compile, events, write_table};
use mgx_data::Part;
use mgx_runtime::{Cache, FrozenReport, ProgressMode, RunFolder, Session, Settings};

const ROWS: u64 = 30;

/// An experiment on a frozen encoder; `changes` are texts of it and what stands there instead.
fn program(adapter: &str, changes: &[(&str, &str)]) -> String {
    let mut text = format!(
        r#"
use std::adapters::{{linear_cls, linear_max_pool, linear_mean_pool, mlp, mlp_pool}}
use std::backbones::aido_dna_debug
use std::optimizers::adamw
use std::tasks::classification

data table = table("table.tsv") {{
  id:       text
  sequence: dna
  label:    class("less", "more")
  split = random(train = 0.6, valid = 0.2, test = 0.2)
}}

experiment small {{
  seed      = 3
  precision = f32
  encoder = aido_dna_debug(frozen = true, max_length = 64)
  values  = table.sequence |> encoder |> {adapter}
  task    = classification(values, table.label)
  train {{ optimizer = adamw(lr = 1e-2)  epochs = 2  batch_size = 4 }}
}}
"#
    );
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    text
}

/// What a run leaves: its events, the test metrics' text, the predictions of all rows, and what became of the frozen part.
struct Ran {
    events: Vec<serde_json::Value>,
    test: String,
    predictions: Vec<Vec<f32>>,
    report: Option<FrozenReport>,
}

fn run(folder: &Path, text: &str, cache: Option<&Path>, limit: u64) -> Ran {
    let (plan, data) = compile(folder, text, "small");
    let out = tempfile::tempdir().unwrap();
    let run = RunFolder::create(&out.path().join("run"), &plan, text).unwrap();
    let cache = cache.map(|folder| Cache { folder: folder.to_owned(), limit });
    let settings = Settings { folder: folder.to_owned(), progress: ProgressMode::Quiet, cache, ..Settings::default() };
    let mut session = Session::new(plan, data, settings).unwrap();
    session.fit(&run, false).unwrap();
    let test = session.evaluate(Part::Test).unwrap().metrics.line();
    let rows = session.data().all_rows();
    let predictions = session.predict(&rows).unwrap().outputs.remove(0).rows;
    Ran { events: events(run.path()), test, predictions, report: session.frozen_report().cloned() }
}

/// Rows computed and rows found.
fn counted(ran: &Ran) -> (u64, u64) {
    let report = ran.report.as_ref().expect("it has a frozen part");
    assert_eq!(report.note, None);
    (report.computed, report.found)
}

#[test]
fn heads_on_one_frozen_backbone_compute_it_once_and_nothing_else_changes() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_table(folder.path(), ROWS as usize);
    let heads =
        ["linear_mean_pool(outputs = 2)", "linear_max_pool(outputs = 2)", "linear_cls(outputs = 2)", "mlp_pool(outputs = 2, hidden = [8])"];
    for (number, (head, precision)) in heads.into_iter().zip(["f32", "bf16", "mixed", "f32"]).enumerate() {
        let text = program(head, &[("precision = f32", &format!("precision = {precision}"))]);
        let kept = run(folder.path(), &text, Some(cache.path()), u64::MAX);
        let again = run(folder.path(), &text, Some(cache.path()), u64::MAX);
        let computed = run(folder.path(), &text, None, 0);
        for other in [&again, &computed] {
            assert_eq!(kept.events, other.events, "{head}");
            assert_eq!((&kept.test, &kept.predictions), (&other.test, &other.predictions), "{head}");
        }
        assert_eq!(counted(&again), (0, ROWS), "{head}");
        assert!(counted(&computed).0 > 2 * ROWS, "without a cache every epoch computes it");
        if number == 0 {
            assert_eq!(counted(&kept), (ROWS, 0));
        }
    }
}

#[test]
fn five_heads_that_read_the_same_values_run_the_backbone_once() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_table(folder.path(), ROWS as usize);
    let mut computed = Vec::new();
    for hidden in ["[4]", "[8]", "[16]", "[4, 4]", "[8, 4]"] {
        let text = program(&format!("mlp_pool(outputs = 2, hidden = {hidden})"), &[]);
        computed.push(run(folder.path(), &text, Some(cache.path()), u64::MAX).report.unwrap().tokens);
    }
    let (_, data) = compile(folder.path(), &program("linear_mean_pool(outputs = 2)", &[]), "small");
    let all: u64 = data.all_rows().iter().map(|row| data.cost(*row)).sum();
    assert_eq!(computed, [all, 0, 0, 0, 0], "tokens that went through the backbone");
}

#[test]
fn whatever_changes_is_computed_anew() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_table(folder.path(), ROWS as usize);
    let head = "linear_mean_pool(outputs = 2)";
    let of = |changes: &[(&str, &str)]| counted(&run(folder.path(), &program(head, changes), Some(cache.path()), u64::MAX));
    assert_eq!(of(&[]), (ROWS, 0));
    // What does not enter the frozen part changes nothing.
    for changes in [
        [("lr = 1e-2", "lr = 1e-3")],
        [("batch_size = 4", "batch_size = 5")],
        [("encoder", "trunk")],
        [("max_length = 64", "max_length = 63")],
    ] {
        let seen = of(&changes);
        // The seed and the name draw the first values of parameters without weights.
        let expected = if changes[0].0 == "encoder" { (ROWS, 0) } else { (0, ROWS) };
        assert_eq!(seen, expected, "{changes:?}");
    }
    let options = [
        [("seed      = 3", "seed      = 4")],
        [("precision = f32", "precision = bf16")],
        [("precision = f32", "precision = mixed")],
        [("frozen = true", "frozen = true, layers = 1")],
        [("frozen = true", "frozen = true, eps = 1e-6")],
        [("frozen = true", "frozen = true, heads = 2")],
        [("max_length = 64", "max_length = 9")],
    ];
    for changes in options {
        assert_eq!(of(&changes), (ROWS, 0), "{changes:?}");
        assert_eq!(of(&changes), (0, ROWS), "{changes:?}");
    }
    // Another layer.
    let layer = [
        ("frozen = true", "frozen = true, hidden_states = [1]"),
        ("values  = table.sequence |> encoder |>", "states  = table.sequence |> encoder\n  values  = states.hidden_states.layer_1 |>"),
    ];
    assert_eq!(of(&layer), (ROWS, 0));
    // One letter of one row.
    let path = folder.path().join("table.tsv");
    let table = fs::read_to_string(&path).unwrap();
    let (at, letter) = table.match_indices(['A', 'C', 'G', 'T']).next().unwrap();
    let other = if letter == "A" { "C" } else { "A" };
    fs::write(&path, format!("{}{other}{}", &table[..at], &table[at + 1..])).unwrap();
    assert_eq!(of(&[]), (1, ROWS - 1));
}

#[test]
fn a_cache_that_cannot_be_used_is_noted_and_nothing_fails() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_table(folder.path(), ROWS as usize);
    let text = program("linear_mean_pool(outputs = 2)", &[]);
    let small = run(folder.path(), &text, Some(cache.path()), 100);
    assert!(small.report.unwrap().note.unwrap().contains("the cache may have 100"));
    let file = cache.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let blocked = run(folder.path(), &text, Some(&file), u64::MAX);
    assert!(blocked.report.unwrap().note.unwrap().starts_with("nothing is kept"));
    assert_eq!((small.events, small.predictions), (blocked.events, blocked.predictions));
}

#[test]
fn what_is_trained_or_drawn_anew_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), ROWS as usize);
    let report = |changes: &[(&str, &str)]| {
        let (plan, data) = compile(folder.path(), &program("linear_mean_pool(outputs = 2)", changes), "small");
        Session::new(plan, data, Settings::default()).unwrap().frozen_report().cloned()
    };
    assert!(report(&[]).is_some());
    assert!(report(&[("frozen = true", "frozen = false")]).is_none());
    assert!(report(&[("frozen = true", "frozen = true, hidden_dropout = 0.1")]).is_none(), "other numbers in every epoch");
}
