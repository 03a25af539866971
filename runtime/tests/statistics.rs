//! Statistics of the training labels: what tasks scale and weigh by, before training begins and out of checkpoints.

mod common;

use std::path::Path;

use common::{session, with_task, write_table};
use mgx_data::{Part, Values};
use mgx_diag::Diagnostic;
use mgx_runtime::{RunFolder, Session, Strictness};
use mgx_weights::Checkpoint;

const TRAIN: &str = "epochs = 2\n    batch_size = 8";

/// The numbers of the training rows.
fn training_numbers(session: &Session) -> Vec<f64> {
    let Values::Real(numbers) = &session.data().table().column("number").expect("numbers").values else { panic!("no numbers") };
    session.data().split().train.iter().map(|row| numbers.value(*row as usize)).collect()
}

/// A state of a run's parameters.
fn state(run: &Path, name: &str, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    Checkpoint::open_file(&run.join("model.safetensors")).unwrap().read_f32(name, &mut values).unwrap();
    values
}

fn fit(folder: &Path, text: &str) -> Session {
    let (mut session, _) = session(folder, text, "small");
    let run = RunFolder::create(&folder.join("run"), session.plan(), text).unwrap();
    session.fit(&run, false).unwrap();
    session
}

#[test]
fn labels_are_scaled_by_the_training_rows_and_predictions_are_in_their_units() {
    check_scaled(&with_task(1, "scaled_regression(values, table.number)", TRAIN));
}

#[test]
fn labels_are_scaled_behind_a_frozen_network() {
    let text =
        with_task(1, "scaled_regression(values, table.number)", TRAIN).replace("|> dna_onehot |>", "|> aido_dna_debug(frozen = true) |>");
    check_scaled(&format!("use std::backbones::aido_dna_debug\n{text}"));
}

fn check_scaled(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), 60);
    let mut trained = fit(folder.path(), text);
    let numbers = training_numbers(&trained);
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let deviation = (numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / numbers.len() as f64).sqrt();
    let run = folder.path().join("run");
    for (name, value) in [("task.number.mean", mean), ("task.number.deviation", deviation)] {
        assert!((f64::from(state(&run, name, 1)[0]) - value).abs() < 1e-6, "{name}");
    }
    let evaluation = trained.evaluate(Part::Train).unwrap();
    let mse = evaluation.metrics.get("mse").unwrap();
    // The loss is in units of the deviation; no value of these rows is cut at 0.
    let loss = evaluation.metrics.loss.unwrap();
    assert!((loss - mse / (deviation * deviation)).abs() < 1e-4 * loss, "{loss} for {mse}");
    assert!(evaluation.predictions.outputs.iter().all(|output| output.flat().iter().all(|value| *value >= 0.0)));
    // Another session takes them from the checkpoint, whatever its own rows are.
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    write_table(&other, 20);
    let (mut fresh, _) = session(&other, text, "small");
    fresh.restore(&run, Strictness::Strict).unwrap();
    let rows = [0, 1, 2, 3];
    assert_eq!(trained.predict(&rows).unwrap().outputs, fresh.predict(&rows).unwrap().outputs);
}

/// The loss and the probabilities of the validation rows before training, with the classes.
fn untrained(folder: &Path, task: &str) -> Result<(f64, Vec<(f32, i32)>), Diagnostic> {
    let (mut session, _) = session(folder, &with_task(2, task, TRAIN), "small");
    let evaluation = session.evaluate(Part::Valid)?;
    let Values::Class(classes) = &session.data().table().column("label").expect("labels").values else { panic!("no classes") };
    let probability = &evaluation.predictions.outputs.iter().find(|output| output.name == "probability").expect("probabilities").rows;
    let own = evaluation.predictions.rows.iter().zip(probability).map(|(row, probability)| {
        let class = classes.value(*row as usize);
        (probability[class as usize], class)
    });
    Ok((evaluation.metrics.loss.unwrap(), own.collect()))
}

#[test]
fn weighted_losses_are_divided_by_the_sum_of_weights() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), 60);
    let (session, _) = session(folder.path(), &with_task(2, "classification(values, table.label)", TRAIN), "small");
    let Values::Class(classes) = &session.data().table().column("label").expect("labels").values else { panic!("no classes") };
    let train = &session.data().split().train;
    let count = |class: i32| train.iter().filter(|row| classes.value(**row as usize) == class).count() as f64;
    let balanced = [0, 1].map(|class| train.len() as f64 / (2.0 * count(class)));
    assert!(balanced[0] != balanced[1], "the table has as many of either class");
    for (options, weights) in [("", [1.0, 1.0]), (", balanced = true", balanced), (", weights = [1, 2.5]", [1.0, 2.5])] {
        let (loss, rows) = untrained(folder.path(), &format!("classification(values, table.label{options})")).unwrap();
        let weight = |class: i32| weights[class as usize];
        let sum: f64 = rows.iter().map(|(probability, class)| -f64::from(*probability).ln() * weight(*class)).sum();
        let expected = sum / rows.iter().map(|(_, class)| weight(*class)).sum::<f64>();
        assert!((loss - expected).abs() < 1e-5, "{options}: {loss} for {expected}");
    }
    let text = with_task(2, "classification(values, table.label, balanced = true)", TRAIN);
    fit(folder.path(), &text);
    let kept = state(&folder.path().join("run"), "task.label.balance", 2);
    assert!(kept.iter().zip(balanced).all(|(found, wanted)| (f64::from(*found) - wanted).abs() < 1e-6), "{kept:?} for {balanced:?}");
}

#[test]
fn weights_of_several_labels_multiply_their_losses() {
    let folder = tempfile::tempdir().unwrap();
    let rows = ["ACGT\t1\t0", "GGCA\t0\t0", "TTAC\t1\t1", "CAGT\t0\t1", "GATC\t1\t0", "CCAT\t0\t1"];
    std::fs::write(folder.path().join("table.tsv"), format!("sequence\tp\tq\n{}\n", rows.join("\n"))).unwrap();
    let losses = |options: &str| {
        let text = with_task(2, &format!("multilabel_classification(values, table.several{options})"), TRAIN);
        let columns =
            ["  id:       text\n", "  label:    class(\"less\", \"more\")\n", "  split = random(train = 0.6, valid = 0.2, test = 0.2)\n"];
        let text = columns.iter().fold(text, |text, column| text.replace(column, ""));
        let text = text.replace("  number:   real\n", "  several: labels(\"p\", \"q\") at [\"p\", \"q\"]\n");
        let (mut session, _) = session(folder.path(), &text, "small");
        let evaluation = session.evaluate(Part::Test).unwrap();
        let outputs = &evaluation.predictions.outputs;
        let probability = outputs.iter().find(|output| output.name == "probability").unwrap().rows.clone();
        (evaluation.metrics.loss.unwrap(), evaluation.predictions.rows, probability)
    };
    for (options, weights) in [("", [1.0, 1.0]), (", weights = [3, 0.5]", [3.0, 0.5])] {
        let (loss, order, probability) = losses(options);
        let mut sum = 0.0;
        for (row, probability) in order.iter().zip(&probability) {
            let labels: Vec<&str> = rows[*row as usize].split('\t').skip(1).collect();
            for ((label, probability), weight) in labels.iter().zip(probability).zip(weights) {
                let probability = f64::from(*probability);
                sum -= weight * if *label == "1" { probability.ln() } else { (1.0 - probability).ln() };
            }
        }
        assert!((loss - sum / 12.0).abs() < 1e-5, "{options}: {loss} for {}", sum / 12.0);
    }
}

#[test]
fn labels_that_nothing_follows_from_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), 60);
    let path = folder.path().join("table.tsv");
    let table = std::fs::read_to_string(&path).unwrap();
    let code = |text: &str| {
        let (mut session, _) = session(folder.path(), text, "small");
        let found = session.prepare().unwrap_err();
        assert!(mgx_diag::explain(found.code.0).is_some(), "{} has no page", found.code.0);
        found.code.0
    };
    let constant: String = table
        .lines()
        .map(|line| match line.rsplit_once('\t') {
            Some((rest, number)) if number != "number" => format!("{rest}\t0.1\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&path, constant).unwrap();
    assert_eq!(code(&with_task(1, "scaled_regression(values, table.number)", TRAIN)), "E0584");
    std::fs::write(&path, &table).unwrap();
    let three = with_task(3, "classification(values, table.label, balanced = true)", TRAIN).replace("\"more\")", "\"more\", \"none\")");
    assert_eq!(code(&three), "E0585");
}
