//! Runs that begin with another run's checkpoint, with or without its optimizer, and what is said where it does not fit.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{descent, events, masked_language_model, session, tuned_classifier, write_table};
use mgx_runtime::{RestoreReport, RunFolder, Session, Stop, Strictness};

/// A regression by AdamW without anything drawn: a run depends on its parameters and the optimizer's state alone.
fn regression(train: &str) -> String {
    let text = descent("0.1", &format!("shuffle = false\n    batch_size = 9\n    {train}"));
    text.replace("optimizer = descent(lr = 0.1)", "optimizer = adamw(lr = 1e-2)")
}

/// Trains in a session that is prepared so; gives the folder of the last checkpoint.
fn fit(data: &Path, name: &str, text: &str, prepare: impl FnOnce(&mut Session)) -> PathBuf {
    let (mut session, _) = session(data, text, "small");
    prepare(&mut session);
    let run = RunFolder::create(&data.join(name), session.plan(), text).unwrap();
    session.fit(&run, false).unwrap().checkpoint.unwrap()
}

fn parameters(checkpoint: &Path) -> Vec<u8> {
    std::fs::read(checkpoint.join("model.safetensors")).unwrap()
}

#[test]
fn a_run_that_begins_with_parameters_and_optimizer_of_another_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let whole = fit(data, "whole", &regression("epochs = 5"), |_| {});
    let first = fit(data, "first", &regression("epochs = 2"), |_| {});
    let second = fit(data, "second", &regression("epochs = 1"), |session| {
        session.restore(&first, Strictness::Strict).unwrap();
        session.restore_optimizer(&first).unwrap();
    });
    // Once more: the steps of both count.
    let third = fit(data, "third", &regression("epochs = 2"), |session| {
        session.restore(&second, Strictness::Strict).unwrap();
        session.restore_optimizer(&second).unwrap();
    });
    assert!(parameters(&third) == parameters(&whole), "other bits than without an interruption");
    let anew = fit(data, "anew", &regression("epochs = 3"), |session| {
        session.restore(&first, Strictness::Strict).unwrap();
    });
    assert!(parameters(&anew) != parameters(&whole), "a new optimizer makes other steps");
    let events = |name: &str| events(&data.join(name));
    assert_eq!(events("anew")[0]["step"], 1, "steps are those of the run");

    let (mut other, _) = session(data, &regression("epochs = 1"), "small");
    assert_eq!(other.restore_optimizer(&data.join("whole/model.safetensors")).unwrap_err().code.0, "E0959");
    let other = tuned_classifier("hidden = 8, ffn = 8, layers = 1", "", "epochs = 1");
    let (mut other, _) = session(data, &other, "small");
    assert_eq!(other.restore_optimizer(&first).unwrap_err().code.0, "E0959");
}

#[test]
fn a_resumed_run_may_begin_its_optimizer_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 120);
    let text = regression("epochs = 40\n    log_every = 1\n    schedule = cosine(warmup = 0.5)");
    let run = data.join("run");
    let (mut first, interrupt) = session(data, &text, "small");
    let created = RunFolder::create(&run, first.plan(), &text).unwrap();
    let path = run.join("metrics.jsonl");
    let watcher = std::thread::spawn(move || {
        while std::fs::metadata(&path).map_or(0, |file| file.len()) == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
        interrupt.request();
    });
    let report = first.fit(&created, false).unwrap();
    watcher.join().unwrap();
    assert_eq!(report.stop, Stop::Interrupted);
    let stopped = report.steps;
    let copy = data.join("copy");
    copy_folder(&run, &copy);

    let resume = |path: &Path, reset: bool| {
        let (mut session, _) = session(data, &text, "small");
        if reset {
            session.reset_optimizer();
        }
        session.fit(&RunFolder::open(path).unwrap(), true).unwrap()
    };
    let (plain, reset) = (resume(&run, false), resume(&copy, true));
    assert_eq!((plain.steps, reset.steps), (320, 320), "the place in the run is kept");
    let rate = |run: &Path, step: u64| {
        let events = events(run);
        events.iter().find(|event| event["kind"] == "train" && event["step"] == step).unwrap()["lr"].as_f64().unwrap()
    };
    assert_eq!(rate(&copy, stopped + 1), rate(&run, 1), "the schedule begins anew");
    assert_eq!(rate(&copy, stopped + 2), rate(&run, 2));
    assert!(parameters(&plain.checkpoint.unwrap()) != parameters(&reset.checkpoint.clone().unwrap()));
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(reset.checkpoint.unwrap().join("state.json")).unwrap()).unwrap();
    assert_eq!(state["restarted"], stopped);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn relaxed(data: &Path, text: &str, checkpoint: &Path) -> RestoreReport {
    let (mut session, _) = session(data, text, "small");
    session.restore(checkpoint, Strictness::Relaxed).unwrap();
    session.restore_report().unwrap().clone()
}

/// From masked language modelling to a classifier with the same encoder and another head.
#[test]
fn what_fits_of_another_experiment_is_loaded_on_purpose_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let pretraining = masked_language_model("epochs = 1")
        .replace("aido_dna_debug(hidden = 16, ffn = 16, layers = 1)", "encoder")
        .replace("  values = ", "  encoder = aido_dna_debug(hidden = 16, ffn = 16, layers = 1)\n  values = ");
    let checkpoint = fit(data, "pretraining", &pretraining, |_| {});
    let text = tuned_classifier("hidden = 16, ffn = 16, layers = 1", "", "epochs = 1");
    let (mut strict, _) = session(data, &text, "small");
    let found = strict.restore(&checkpoint, Strictness::Strict).unwrap_err();
    assert_eq!(found.code.0, "E0954");
    let notes = found.notes.join("\n");
    assert!(notes.contains("parameters that it has no tensor for (2): `linear_mean_pool."), "{notes}");
    assert!(notes.contains("tensors that no parameter asks for (2): `linear."), "{notes}");

    let report = relaxed(data, &text, &checkpoint);
    let (plan, _) = common::compile(data, &text, "small");
    let of_encoder = plan.params.iter().filter(|param| param.path.starts_with("encoder.")).count();
    assert_eq!((report.used.len(), report.missing.len(), report.unexpected.len(), report.misshapen.len()), (of_encoder, 2, 2, 0));
    let mut loaded = session(data, &text, "small").0;
    loaded.restore(&checkpoint, Strictness::Relaxed).unwrap();
    loaded.write_params(&data.join("loaded.safetensors")).unwrap();
    let mut initial = session(data, &text, "small").0;
    initial.prepare().unwrap();
    initial.write_params(&data.join("initial.safetensors")).unwrap();
    let open = |path: &Path| mgx_weights::Checkpoint::open_file(path).unwrap();
    let (loaded, initial, stored) =
        (open(&data.join("loaded.safetensors")), open(&data.join("initial.safetensors")), open(&checkpoint.join("model.safetensors")));
    for tensor in loaded.tensors() {
        let values = |file: &mgx_weights::Checkpoint| {
            let mut values = vec![0.0; tensor.elements() as usize];
            file.read_f32(&tensor.key, &mut values).map(|()| values)
        };
        let source = if tensor.key.starts_with("encoder.") { &stored } else { &initial };
        assert_eq!(values(&loaded).unwrap(), values(source).unwrap(), "{}", tensor.key);
    }

    let wider = tuned_classifier("hidden = 16, ffn = 24, layers = 1", "", "epochs = 1");
    let report = relaxed(data, &wider, &checkpoint);
    let shapes: Vec<_> = report.misshapen.iter().map(|found| (found.stored.clone(), found.wanted.clone())).collect();
    assert!(shapes.contains(&(vec![16, 16], vec![24, 16])), "{shapes:?}");
    assert!(report.lines().iter().any(|line| line.contains("of another shape, stored and wanted (")), "{:?}", report.lines());

    let renamed = text.replace("encoder", "backbone");
    let (mut nothing, _) = session(data, &renamed, "small");
    let renamed = nothing.restore(&checkpoint, Strictness::Relaxed).unwrap_err();
    assert_eq!(renamed.code.0, "E0958");
}
