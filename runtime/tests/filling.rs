//! Masks that are filled in: what is written, whatever the batches, and in how many steps.

mod common;

use std::fs;
use std::path::Path;

use common::session;
use mgx_data::Part;
use mgx_runtime::RunFolder;

/// A network whose best token for the place p of a sequence is the letter number p of its alphabet, and which is the surer the further up the place is.
const NETWORK: &str = r#"
use std::tasks::{fill_mask, masked_lm, token_probabilities}

tokenizer places {
  kind       = greedy
  vocabulary = ["[MASK]", "[CLS]", "A", "C", "G", "T"]
  prefix     = ["[CLS]"]
  special    = ["[MASK]", "[CLS]"]
  unknown    = error
}

module Places(letters: dim) {
  fn forward(ids: i[seq]) -> f[seq, letters] {
    let place = f(positions(seq))
    let distance = f(positions(letters)) - place - 1
    select(f(ids) >= 0, 0 - distance * distance * (1 + place), 0)
  }
}

backbone places_of: Places(letters = 6) {
  input     = dna
  tokenizer = places
}

data rows = table("rows.tsv") {
  id:     id
  hidden: dna
  whole:  dna
  split = column("part")
}
"#;

const ROWS: &str = "id\thidden\twhole\tpart\n\
    a\tA[MASK]GT\tACGT\ttest\n\
    b\t[MASK][MASK][MASK][MASK]\tAC[MASK]A\ttest\n\
    c\tTTT\tTTT\ttest\n\
    d\t[MASK]\tC\ttest\n";

fn experiment(task: &str, batch: u64) -> String {
    format!(
        "{NETWORK}\nexperiment e {{\n  logits = rows.hidden |> places_of\n  task = {task}\n  predict {{ on = all batch_size = {batch} }}\n}}\n"
    )
}

/// The lines of the predictions of a task.
fn predicted(folder: &Path, task: &str, batch: u64) -> Vec<Vec<String>> {
    fs::write(folder.join("rows.tsv"), ROWS).unwrap();
    let (mut session, _) = session(folder, &experiment(task, batch), "e");
    let out = tempfile::tempdir().unwrap();
    let run = RunFolder::create(&out.path().join("run"), session.plan(), "").unwrap();
    let rows = session.data().all_rows();
    let predictions = session.predict(&rows).unwrap();
    let files = session.write_predictions(&predictions, run.path()).unwrap();
    assert_eq!(files.len(), 2);
    let text = fs::read_to_string(run.path().join("predictions.tsv")).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn column<'a>(lines: &'a [Vec<String>], name: &str) -> Vec<&'a str> {
    let place = lines[0].iter().position(|other| other == name).unwrap_or_else(|| panic!("no column {name} in {:?}", lines[0]));
    lines[1..].iter().map(|line| line[place].as_str()).collect()
}

#[test]
fn each_mask_gets_its_best_tokens_and_the_sequence_is_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let lines = predicted(folder.path(), "fill_mask(logits, best = 2)", 2);
    let names = ["row", "id", "filled", "filled.place", "filled.token.1", "filled.score.1", "filled.token.2", "filled.score.2"];
    assert_eq!(lines[0], names);
    assert_eq!(column(&lines, "filled"), ["ACGT", "ACGT", "TTT", "A"]);
    assert_eq!(column(&lines, "filled.place"), ["1", "0,1,2,3", "", "0"]);
    assert_eq!(column(&lines, "filled.token.1"), ["C", "A C G T", "", "A"]);
    assert_eq!(column(&lines, "filled.token.2"), ["A", "C A C G", "", "C"]);
    let scores: Vec<Vec<f32>> = ["filled.score.1", "filled.score.2"]
        .into_iter()
        .map(|name| column(&lines, name)[1].split(',').map(|score| score.parse().unwrap()).collect())
        .collect();
    assert!(scores[0].is_sorted() && scores[0].iter().zip(&scores[1]).all(|(first, second)| first > second && first + second <= 1.0));
    assert_eq!(lines, predicted(folder.path(), "fill_mask(logits, best = 2)", 1), "whatever the batches");
}

#[test]
fn in_several_steps_the_surest_masks_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let lines = predicted(folder.path(), "fill_mask(logits, best = 0, steps = 3)", 4);
    assert_eq!(lines[0], ["row", "id", "filled", "filled.place", "filled.step"]);
    assert_eq!(column(&lines, "filled"), ["ACGT", "ACGT", "TTT", "A"]);
    // Two of four in each step.
    assert_eq!(column(&lines, "filled.step"), ["1", "2,2,1,1", "", "1"]);
}

#[test]
fn what_is_drawn_depends_on_the_row_alone() {
    let folder = tempfile::tempdir().unwrap();
    let task = "fill_mask(logits, temperature = 50, sample = true, steps = 2)";
    let drawn = predicted(folder.path(), task, 4);
    assert_eq!(drawn, predicted(folder.path(), task, 1));
    assert_ne!(column(&drawn, "filled")[1], "ACGT", "a temperature of 50 makes all letters about as likely");
    assert!(column(&drawn, "filled").iter().all(|text| !text.contains('[')), "special tokens are not drawn");
    let special = predicted(folder.path(), "fill_mask(logits, temperature = 50, sample = true, special = true)", 4);
    assert_ne!(column(&special, "filled"), column(&drawn, "filled"));
}

#[test]
fn hidden_tokens_are_compared_with_those_that_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let lines = predicted(folder.path(), "masked_lm(logits, rows.whole)", 3);
    assert_eq!(column(&lines, "filled"), ["ACGT", "ACGT", "TTT", "A"]);
    let (mut session, _) = session(folder.path(), &experiment("masked_lm(logits, rows.whole)", 3), "e");
    let evaluation = session.evaluate(Part::Test).unwrap();
    // Five of the six masks have a token that is known, and three are it: C of the first row, A and C of the second.
    assert_eq!(evaluation.metrics.get("accuracy"), Some(3.0 / 5.0));
    let own = r#"
task recovery(logits: f[seq, vocabulary], target: tokens[seq]) {
  loss = sum(cross_entropy(logits, target) * f(masked(seq)), over = seq)
  weight = min(sum(f(masked(seq)), over = seq), 1)
  output filled = refill(logits, over = vocabulary, steps = 2)
  metric recovered = recovered(filled, target)
}
"#;
    let text = experiment("recovery(logits, rows.whole)", 3) + own;
    let (mut session, _) = common::session(folder.path(), &text, "e");
    let evaluation = session.evaluate(Part::Test).unwrap();
    // The mean over the rows with masks.
    assert_eq!(evaluation.metrics.get("recovered").map(|value| (value * 9.0).round()), Some(5.0));
}

#[test]
fn probabilities_of_all_tokens_are_written_as_embeddings() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rows.tsv"), ROWS).unwrap();
    let (mut session, _) = session(folder.path(), &experiment("token_probabilities(logits)", 4), "e");
    let rows = session.data().all_rows();
    let predictions = session.predict(&rows).unwrap();
    assert!(predictions.filled.is_none());
    let output = &predictions.outputs[0];
    assert_eq!((output.name.as_str(), output.width, output.rows[1].len()), ("probability", 6, 5 * 6));
    for row in output.rows.iter().flat_map(|row| row.chunks(6)) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}
