//! Masked diffusion from a table of whole sequences: noise that is drawn, copies of rows, conditions, and what is restored.

mod common;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use common::{Files, session};
use mgx_compiler::check::elaborate;
use mgx_compiler::plan::build;
use mgx_data::Part;
use mgx_runtime::{Data, DataSource, ProgressMode, RunFolder, Session, Settings, Strictness};

/// Repeats of a letter, of two kinds, which a number tells apart.
fn write_repeats(folder: &Path, rows: usize) {
    let mut text = "sequence\tkind\tpart\n".to_owned();
    for row in 0..rows {
        let unit = if row % 2 == 0 { "A" } else { "G" };
        let part = ["train", "train", "train", "valid", "test"][row / 2 % 5];
        writeln!(text, "{}\t{}\t{part}", unit.repeat(8 + row % 3), 4 * (row % 2)).unwrap();
    }
    fs::write(folder.join("table.tsv"), text).unwrap();
}

fn program(flow: &str, task: &str, train: &str) -> String {
    format!(
        r#"
use std::adapters::conditional_lm
use std::adapters::linear
use std::backbones::aido_dna_debug
use std::optimizers::adamw
use std::tasks::diffusion
use std::tasks::fill_mask

data table = table("table.tsv") {{
  sequence: dna
  kind:     real
  split = column("part")
}}

experiment small {{
  seed   = 3
  hidden = table.sequence |> {flow} aido_dna_debug(hidden = 16, ffn = 16, layers = 1)
  logits = (hidden, table.kind) |> conditional_lm(outputs = 16, heads = 2, ffn = 16, layers = 1, dropout_rate = 0.1)
  task   = {task}
  {train}
}}
"#
    )
}

fn trained(train: &str) -> String {
    let train = format!("train {{\n    optimizer = adamw(lr = 1e-2)\n    shuffle = true\n    log_every = 1\n    {train}\n  }}");
    program("noise_tokens(copies = 3) |>", "diffusion(logits, table.sequence, steps = 3)", &train)
}

#[test]
fn sequences_are_restored_after_training_on_noise() {
    let folder = tempfile::tempdir().unwrap();
    write_repeats(folder.path(), 60);
    let text = trained("epochs = 30\n    batch_size = 6");
    let (mut session, _) = session(folder.path(), &text, "small");
    let before = session.evaluate(Part::Test).unwrap().metrics;
    let run = RunFolder::create(&folder.path().join("run"), session.plan(), &text).unwrap();
    let report = session.fit(&run, false).unwrap();
    assert_eq!((report.samples, report.steps), (36 * 3 * 30, 18 * 30), "every row three times in an epoch");
    let after = session.evaluate(Part::Test).unwrap().metrics;
    let accuracy = |metrics: &mgx_runtime::Metrics| metrics.get("accuracy").unwrap();
    assert!(after.loss < before.loss && accuracy(&after) > 0.9 && accuracy(&before) < 0.5, "{} {}", before.line(), after.line());
    assert_eq!(session.evaluate(Part::Test).unwrap().metrics.values, after.values, "noise is the same in every evaluation");

    // What was trained fills in what is all masked, as the condition says; the number is read, though it is no label here.
    let masks = "[MASK]".repeat(8);
    fs::write(folder.path().join("table.tsv"), format!("sequence\tkind\n{masks}\t0\n{masks}\t4\n")).unwrap();
    let text = program("", "fill_mask(logits, steps = 4, best = 2)", "").replace("  split = column(\"part\")\n", "");
    let world = Files { folder: folder.path(), text: &text };
    let experiment = elaborate(&world, "test.mgx", &[], "small", false)
        .unwrap_or_else(|(sources, found)| panic!("{}", mgx_diag::render(&found, &sources, false)));
    let inputs = experiment.prediction_inputs();
    let source = DataSource {
        data: &experiment.data,
        tokenizers: &experiment.tokenizers,
        lengths: &experiment.lengths,
        inputs: &inputs,
        folder: folder.path(),
        labels: false,
    };
    let data = Data::read(&source).unwrap();
    let plan = build(&experiment, None, &data.capacity(experiment.batch)).unwrap();
    let settings = Settings { folder: folder.path().to_owned(), progress: ProgressMode::Quiet, ..Settings::default() };
    let mut session = Session::new(plan, data, settings).unwrap();
    session.restore(run.path(), Strictness::Strict).unwrap();
    let predictions = session.predict(&[0, 1]).unwrap();
    session.write_predictions(&predictions, run.path()).unwrap();
    let written = fs::read_to_string(run.path().join("predictions.tsv")).unwrap();
    let filled: Vec<&str> = written.lines().skip(1).filter_map(|line| line.split('\t').nth(2)).collect();
    assert_eq!(filled, ["AAAAAAAA", "GGGGGGGG"], "{written}");
}

#[test]
fn importance_is_one_over_the_share_that_was_drawn() {
    let folder = tempfile::tempdir().unwrap();
    write_repeats(folder.path(), 20);
    let task = r#"
task shares(logits: f[seq, vocabulary]) {
  output level = noise_level(seq)
  output count = sum(f(masked(seq)), over = seq)
  output tokens = sum(f(positions(seq) >= 0), over = seq)
}
"#;
    let text = program("noise_tokens(copies = 4) |>", "shares(logits)", "") + task;
    let (mut session, _) = session(folder.path(), &text, "small");
    let rows = session.data().all_rows();
    let predictions = session.predict(&rows).unwrap();
    let column = |name: &str| predictions.outputs.iter().find(|output| output.name == name).unwrap().flat();
    let (levels, counts, tokens) = (column("level"), column("count"), column("tokens"));
    for ((level, count), tokens) in levels.iter().zip(&counts).zip(&tokens) {
        // A sequence has two special tokens.
        assert_eq!(*count, (level * (tokens - 2.0)).floor().max(1.0), "{level} of {tokens}");
    }
    assert!(levels.iter().any(|level| *level < 0.5) && levels.iter().any(|level| *level > 0.5), "outside training from the whole range");
}
