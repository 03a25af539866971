//! What a step does to the parameters, when training ends, and what it says when it cannot go on.

mod common;

use std::path::Path;

use common::{classifier, compile, descent, events, rooted_classifier, session, write_table};
use mgx_runtime::{FitReport, RunFolder, Session, Settings, Stop, Strictness};
use mgx_weights::Checkpoint;

fn fit(data: &Path, name: &str, text: &str) -> Result<(FitReport, Session), mgx_diag::Diagnostic> {
    let (mut session, _) = session(data, text, "small");
    let run = RunFolder::create(&data.join(name), session.plan(), text)?;
    session.fit(&run, false).map(|report| (report, session))
}

/// All parameters in a file, in the order of their names.
fn parameters(path: &Path) -> Vec<f64> {
    let file = Checkpoint::open_file(path).unwrap();
    let mut all = Vec::new();
    for tensor in file.tensors() {
        let mut values = vec![0.0; tensor.elements() as usize];
        file.read_f32(&tensor.key, &mut values).unwrap();
        all.extend(values.into_iter().map(f64::from));
    }
    all
}

fn distance(left: &[f64], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).powi(2)).sum::<f64>().sqrt()
}

/// The parameters before the first step.
fn first_parameters(data: &Path, text: &str) -> Vec<f64> {
    let (mut session, _) = session(data, text, "small");
    session.prepare().unwrap();
    let path = data.join("first.safetensors");
    session.write_params(&path).unwrap();
    parameters(&path)
}

#[test]
fn a_step_goes_down_the_gradient_as_far_as_its_norm_and_clipping_say() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let plain = descent("0.5", "max_steps = 1");
    let first = first_parameters(data, &plain);
    fit(data, "plain", &plain).unwrap();
    let norm = events(&data.join("plain"))[0]["grad_norm"].as_f64().unwrap();
    let moved = distance(&first, &parameters(&data.join("plain/model.safetensors")));
    assert!((moved / (0.5 * norm) - 1.0).abs() < 1e-4, "moved by {moved}, the gradient is {norm}");

    let limit = norm / 3.0;
    fit(data, "clipped", &descent("0.5", &format!("max_steps = 1\n    clip_norm = {limit}"))).unwrap();
    let moved = distance(&first, &parameters(&data.join("clipped/model.safetensors")));
    assert!((moved / (0.5 * limit) - 1.0).abs() < 1e-4, "moved by {moved}, clipped to {limit}");
    let logged = events(&data.join("clipped"))[0]["grad_norm"].as_f64().unwrap();
    assert_eq!(logged, norm, "the norm before clipping is logged");
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    // 36 training rows in their order: the groups are the same.
    let large = "epochs = 2\n    shuffle = false\n    batch_size = 12";
    let small = "epochs = 2\n    shuffle = false\n    batch_size = 4\n    accumulate = 3";
    let (report, _) = fit(data, "large", &descent("0.5", large)).unwrap();
    let (again, _) = fit(data, "small", &descent("0.5", small)).unwrap();
    assert_eq!((report.steps, again.steps), (6, 6));
    let large = parameters(&data.join("large/model.safetensors"));
    let apart = distance(&large, &parameters(&data.join("small/model.safetensors")));
    assert!(apart < 1e-5, "{apart} apart");
    assert!(distance(&large, &first_parameters(data, &descent("0.5", "epochs = 2"))) > 1e-2, "nothing was learned");
}

#[test]
fn the_rest_of_an_epoch_steps_too() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), 60);
    // 36 training rows: 8 batches, in groups of 3, 3 and 2.
    let text = classifier("epochs = 2\n    batch_size = 5\n    accumulate = 3");
    let (report, _) = fit(folder.path(), "run", &text).unwrap();
    assert_eq!(report.steps, 6);
}

#[test]
fn training_stops_early_and_keeps_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let text = descent("0.0", "epochs = 20\n    patience = 2");
    let (report, session) = fit(data, "run", &text).unwrap();
    assert_eq!((report.stop, report.epochs), (Stop::EarlyStop, 3), "nothing improves at a rate of zero");
    let best = report.best.unwrap();
    assert_eq!((best.epoch, best.monitor.as_str()), (1, "valid_loss"));
    let source = session.source().unwrap().to_string();
    let label = format!("valid_loss={:.4}", best.value);
    assert_eq!(source, format!("the best checkpoint, step-{:010}-{label}", best.step));
    let mut kept: Vec<String> = std::fs::read_dir(data.join("run/checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("step-"))
        .collect();
    kept.sort();
    let names = [best.step, report.steps].map(|step| format!("step-{step:010}-{label}"));
    assert_eq!(kept, names, "the best and the last are kept, with what was measured there");
}

#[test]
fn other_sessions_take_the_best_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let text = classifier("epochs = 3");
    let (_, mut trained) = fit(data, "run", &text).unwrap();
    let rows = trained.data().all_rows();
    let expected = trained.predict(&rows).unwrap().outputs;
    let (mut other, _) = session(data, &text, "small");
    assert_ne!(other.predict(&rows).unwrap().outputs, expected, "training changes something");
    for path in ["run", "run/model.safetensors"] {
        other.restore(&data.join(path), Strictness::Strict).unwrap();
        assert_eq!(other.predict(&rows).unwrap().outputs, expected, "{path}");
    }
    assert_eq!(other.restore(&data.join("nowhere"), Strictness::Strict).unwrap_err().code.0, "E0951");
    let narrow = text.replace("channels = 8", "channels = 4");
    let (mut narrow, _) = session(data, &narrow, "small");
    assert_eq!(narrow.restore(&data.join("run"), Strictness::Strict).unwrap_err().code.0, "E0954");
}

#[test]
fn a_loss_that_explodes_stops_the_run_before_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let text = descent("1e30", "epochs = 5\n    checkpoint_every = 1\n    batch_size = 4");
    let found = fit(data, "run", &text).unwrap_err();
    assert_eq!(found.code.0, "E0943", "{found:?}");
    assert!(found.message.contains("step 2") || found.message.contains("step 3"), "{}", found.message);
    assert_eq!(found.labels.iter().map(|label| label.text.as_str()).collect::<Vec<_>>(), ["this loss", "computed here"]);
    assert!(found.notes.iter().any(|note| note.contains("step-00000000")), "{:?}", found.notes);
    let (mut other, _) = session(data, &text, "small");
    other.restore(&data.join("run"), Strictness::Strict).unwrap();
}

#[test]
fn a_gradient_that_is_no_number_stops_the_run_before_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let found = fit(data, "run", &rooted_classifier("epochs = 1")).unwrap_err();
    assert_eq!(found.code.0, "E0944", "{found:?}");
    assert!(found.message.contains("step 1") && found.message.contains("NaN"), "{}", found.message);
}

#[test]
fn what_is_interrupted_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let (mut asked, interrupt) = session(data, &classifier("epochs = 1"), "small");
    let rows = asked.data().all_rows();
    interrupt.request();
    assert_eq!(asked.predict(&rows).unwrap_err().code.0, "E0947");
}

#[test]
fn the_row_without_a_loss_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let path = data.join("table.tsv");
    let table = std::fs::read_to_string(&path).unwrap();
    let text = descent("0.1", "epochs = 1\n    batch_size = 100");
    let (_, read) = compile(data, &text, "small");
    let row = read.split().train[7] as usize;
    let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
    let cut = lines[row + 1].rfind('\t').unwrap();
    lines[row + 1].replace_range(cut + 1.., "1e25");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let found = fit(data, "run", &text).unwrap_err();
    assert_eq!(found.code.0, "E0943", "{found:?}");
    assert!(found.message.ends_with(&format!("from row {}", row + 1)), "{}", found.message);
}

/// Said before the first step.
#[test]
fn what_is_monitored_must_be_measurable() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let without_valid = classifier("epochs = 1\n    monitor = valid_accuracy").replace("valid = 0.2, test = 0.2", "test = 0.4");
    assert_eq!(fit(data, "without", &without_valid).unwrap_err().code.0, "E0946");
    let path = data.join("table.tsv");
    let table = std::fs::read_to_string(&path).unwrap();
    let mut seen = 0;
    let lines = table.lines().enumerate().map(|(at, line)| {
        // Of one class eight rows are the validation part.
        seen += u64::from(line.contains("\tmore\t"));
        let part = if line.contains("\tmore\t") && seen <= 8 { "valid" } else { "train" };
        format!("{line}\t{}\n", if at == 0 { "part" } else { part })
    });
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    let split = |text: String| text.replace("random(train = 0.6, valid = 0.2, test = 0.2)", "column(\"part\")");
    let found = fit(data, "auroc", &split(classifier("epochs = 1\n    monitor = valid_auroc"))).unwrap_err();
    assert_eq!(found.code.0, "E0590");
    assert!(found.message.contains("one class"), "{}", found.message);
    assert!(fit(data, "accuracy", &split(classifier("epochs = 1\n    monitor = valid_accuracy"))).is_ok());
    let numbers = |monitor: &str| split(descent("0.1", &format!("max_steps = 1\n    monitor = {monitor}")));
    assert!(fit(data, "pearson", &numbers("valid_pearson")).is_ok());
    let table = std::fs::read_to_string(&path).unwrap();
    let constant = table.lines().map(|line| {
        let mut cells: Vec<&str> = line.split('\t').collect();
        if cells[4] == "valid" {
            cells[3] = "0.5";
        }
        cells.join("\t") + "\n"
    });
    let constant: String = constant.collect();
    std::fs::write(&path, constant).unwrap();
    assert_eq!(fit(data, "constant", &numbers("valid_pearson")).unwrap_err().code.0, "E0590");
    assert!(fit(data, "mse", &numbers("valid_mse")).is_ok());
}

#[test]
fn early_stopping_needs_validation_rows() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let without = |text: String| text.replace("train = 0.6, valid = 0.2", "train = 0.8, valid = 0.0");
    let found = fit(data, "a", &without(classifier("epochs = 1\n    patience = 2"))).unwrap_err();
    assert_eq!(found.code.0, "E0946");
    let (report, session) = fit(data, "b", &without(classifier("epochs = 2"))).unwrap();
    assert_eq!((report.stop, report.best), (Stop::Finished, None));
    assert_eq!(session.source().unwrap().to_string(), format!("the parameters after step {}", report.steps));
}

#[test]
fn token_budgets_and_schedules_agree_on_the_number_of_steps() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 120);
    let text = classifier("epochs = 3\n    batch_tokens = 60\n    log_every = 1\n    schedule = cosine()");
    let (report, _) = fit(data, "run", &text).unwrap();
    let rates: Vec<f64> = events(&data.join("run")).iter().filter_map(|event| event["lr"].as_f64()).collect();
    assert_eq!(rates.len() as u64, report.steps);
    let last = report.steps - 1;
    let expected = 1e-2 * 0.5 * (1.0 + (std::f64::consts::PI * last as f64 / report.steps as f64).cos());
    assert!((rates[rates.len() - 1] - expected).abs() < 1e-9, "{} for {expected}", rates[rates.len() - 1]);
}

#[test]
fn a_folder_that_cannot_be_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let file = data.join("file");
    std::fs::write(&file, "").unwrap();
    let text = classifier("epochs = 1");
    let (plan, _) = compile(data, &text, "small");
    assert_eq!(RunFolder::create(&file.join("run"), &plan, &text).unwrap_err().code.0, "E0955");
    assert_eq!(RunFolder::create_numbered(&file, &plan, &text).unwrap_err().code.0, "E0955");
}

#[test]
fn memory_that_no_machine_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), 60);
    let text = classifier("epochs = 1");
    let (mut plan, data) = compile(folder.path(), &text, "small");
    plan.memory.activations = 1 << 50;
    assert_eq!(Session::new(plan, data, Settings::default()).unwrap_err().code.0, "E0940");
    let (mut plan, data) = compile(folder.path(), &text, "small");
    plan.memory.optimizer += 64;
    assert_eq!(Session::new(plan, data, Settings::default()).unwrap_err().code.0, "E0941");
}
