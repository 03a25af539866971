//! A run that is interrupted and resumed ends with the same bits; a run is resumed only as what it was.

mod common;

use std::path::Path;
use std::time::Duration;

use common::{classifier, compile, events, masked_language_model, normed_classifier, session, tuned_classifier, write_table};
use mgx_data::Part;
use mgx_runtime::{FitReport, RunFolder, Stop};

const TRAIN: &str = "epochs = 4\n    batch_size = 6\n    accumulate = 2\n    log_every = 1\n    checkpoint_every = 3\n    \
    schedule = cosine(warmup = 0.2)\n    clip_norm = 0.5\n    monitor = valid_accuracy";

fn train(data: &Path, run: &Path, text: &str) -> FitReport {
    let (mut session, _) = session(data, text, "small");
    let run = RunFolder::create(run, session.plan(), text).unwrap();
    session.fit(&run, false).unwrap()
}

/// Resumes with a request to stop as soon as the process has made a step.
fn train_a_little(data: &Path, run: &Path, text: &str) -> FitReport {
    let (mut session, interrupt) = session(data, text, "small");
    let run = RunFolder::open(run).unwrap();
    let path = run.path().join("metrics.jsonl");
    let length = move || std::fs::metadata(&path).map_or(0, |data| data.len());
    let before = length();
    let watcher = std::thread::spawn(move || {
        // Until there is a new event, or the run has ended and nobody listens any more.
        for _ in 0..20_000 {
            if length() > before {
                break;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        interrupt.request();
    });
    let report = session.fit(&run, true).unwrap();
    watcher.join().unwrap();
    report
}

fn same_files(left: &Path, right: &Path, names: &[&str]) {
    for name in names {
        assert!(std::fs::read(left.join(name)).unwrap() == std::fs::read(right.join(name)).unwrap(), "{name} differs");
    }
}

#[test]
fn interrupted_runs_end_with_the_same_bits() {
    // Running statistics, dropout and the optimizer go on where they stood.
    same_bits(&normed_classifier(TRAIN));
}

/// The frozen weights are not in the checkpoints.
#[test]
fn interrupted_fine_tuning_ends_with_the_same_bits() {
    same_bits(&tuned_classifier("hidden = 8, ffn = 8, layers = 1", "lora(rank = 2, targets = [query, value])", TRAIN));
}

#[test]
fn interrupted_mixed_precision_ends_with_the_same_bits() {
    let text = tuned_classifier("hidden = 8, ffn = 8, layers = 1", "", TRAIN);
    same_bits(&text.replace("  seed   = 3\n", "  seed   = 3\n  precision = mixed\n"));
}

/// Parts that are unfrozen later count their own steps.
#[test]
fn interrupted_unfreezing_ends_with_the_same_bits() {
    let train = format!("{TRAIN}\n    unfreeze = [(1, [\"layer.0\"]), (2, [embeddings])]");
    same_bits(&tuned_classifier("hidden = 8, ffn = 8, layers = 1", "", &train));
}

/// Which tokens are hidden goes on where it stood, and is the same in every evaluation.
#[test]
fn interrupted_masked_training_ends_with_the_same_bits() {
    let text = masked_language_model(TRAIN);
    same_bits(&text);
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), 120);
    let (mut session, _) = session(folder.path(), &text, "small");
    let first = session.evaluate(Part::Test).unwrap().metrics;
    let second = session.evaluate(Part::Test).unwrap().metrics;
    assert_eq!((first.loss, first.values), (second.loss, second.values));
    let run = RunFolder::create(&folder.path().join("run"), session.plan(), &text).unwrap();
    let report = session.fit(&run, false).unwrap();
    assert!(report.valid.unwrap().loss < first.loss, "it learns which letters there are");
}

/// So does the noise of each copy of a row.
#[test]
fn interrupted_diffusion_ends_with_the_same_bits() {
    let text = masked_language_model(&TRAIN.replace("batch_size = 6", "batch_size = 18"));
    let text = text.replace("mask_tokens()", "noise_tokens(copies = 3)");
    let text = text.replace("masked_lm(values, table.sequence)", "diffusion(values, table.sequence, steps = 2)");
    same_bits(&text.replace("std::tasks::masked_lm", "std::tasks::diffusion"));
}

fn same_bits(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 120);
    let whole = data.join("whole");
    let report = train(data, &whole, text);
    // 72 rows in 12 batches, two to a step.
    assert_eq!((report.stop, report.steps, report.epochs), (Stop::Finished, 24, 4));

    let parts = data.join("parts");
    let (plan, _) = compile(data, text, "small");
    RunFolder::create(&parts, &plan, text).unwrap();
    let mut interruptions = 0;
    let last = loop {
        let report = train_a_little(data, &parts, text);
        if report.stop != Stop::Interrupted {
            break report;
        }
        assert!(report.checkpoint.is_some());
        interruptions += 1;
        assert!(interruptions < 100, "every process makes at least one step");
    };
    assert!(interruptions >= 2, "only {interruptions} interruptions");
    assert_eq!((last.steps, last.best.clone()), (report.steps, report.best.clone()));
    same_files(&whole, &parts, &["model.safetensors", "lock.json", "plan.json"]);
    let name = report.checkpoint.as_deref().and_then(Path::file_name).unwrap();
    let of_whole = whole.join("checkpoints").join(name);
    let of_parts = last.checkpoint.unwrap();
    same_files(&of_whole, &of_parts, &["model.safetensors", "optimizer.safetensors"]);
    assert_eq!(events(&whole), events(&parts), "the logs differ in more than speed");
}

#[test]
fn a_run_is_resumed_only_as_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (data, text) = (folder.path(), classifier("epochs = 1"));
    write_table(data, 60);
    let run = data.join("run");
    train(data, &run, &text);
    let resume = |text: &str| {
        let (mut session, _) = session(data, text, "small");
        session.fit(&RunFolder::open(&run).unwrap(), true)
    };
    assert_eq!(resume(&text).unwrap().stop, Stop::Finished, "a finished run stays as it is");
    assert!(resume(&format!("// A comment changes nothing.\n{text}")).is_ok());

    let other = text.replace("epochs = 1", "epochs = 2");
    let found = resume(&other).unwrap_err();
    assert_eq!(found.code.0, "E0952");
    assert!(found.notes.iter().any(|note| note == "train.epochs: 1, now 2"), "{:?}", found.notes);

    let (plan, _) = compile(data, &text, "small");
    assert_eq!(RunFolder::create(&run, &plan, &text).unwrap_err().code.0, "E0950");
    assert_eq!(RunFolder::open(&data.join("none")).unwrap_err().code.0, "E0951");
    let (mut session, _) = session(data, &text, "small");
    assert_eq!(session.fit(&RunFolder::open(&run).unwrap(), false).unwrap_err().code.0, "E0950", "a run is not mixed with another");

    write_table(data, 61);
    assert_eq!(resume(&text).unwrap_err().code.0, "E0953");
}

#[test]
fn a_damaged_checkpoint_is_not_resumed_from() {
    let folder = tempfile::tempdir().unwrap();
    let (data, text) = (folder.path(), classifier("epochs = 1"));
    write_table(data, 60);
    let run = data.join("run");
    let checkpoint = train(data, &run, &text).checkpoint.unwrap();
    let path = checkpoint.join("optimizer.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (mut session, _) = session(data, &text, "small");
    assert_eq!(session.fit(&RunFolder::open(&run).unwrap(), true).unwrap_err().code.0, "E0926");
}
