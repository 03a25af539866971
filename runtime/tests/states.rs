//! States of modules: a training step leaves them where the program says, once for each batch.

mod common;

use std::path::Path;

use common::{classifier, normed_classifier, session, write_table};
use mgx_runtime::RunFolder;
use mgx_weights::Checkpoint;

/// One batch of all rows.
const WHOLE: &str = "epochs = 1\n    batch_size = 60";

/// Trains a program for an epoch on all 60 rows; gives what the batch normalisation `norm` of its adapter kept: the running average, the running variance and the number of batches.
fn after_an_epoch(folder: &Path, program: &str, norm: &str) -> (Vec<f32>, Vec<f32>, f32) {
    write_table(folder, 60);
    let text = program.replace("  split = random(train = 0.6, valid = 0.2, test = 0.2)\n", "");
    let (mut session, _) = session(folder, &text, "small");
    let run = RunFolder::create(&folder.join("run"), session.plan(), &text).unwrap();
    session.fit(&run, false).unwrap();
    let file = Checkpoint::open_file(&folder.join("run/model.safetensors")).unwrap();
    let read = |name: &str, count: usize| {
        let mut values = vec![0.0; count];
        file.read_f32(&format!("normed.{norm}.{name}"), &mut values).unwrap();
        values
    };
    (read("running_mean", 16), read("running_var", 16), read("num_batches_tracked", 1)[0])
}

/// How often each of the 16 tokens stands in each row of the table, with the one at the end of every row.
fn counts(folder: &Path) -> Vec<[f64; 16]> {
    let text = std::fs::read_to_string(folder.join("table.tsv")).unwrap();
    let row = |line: &str| {
        let mut counts = [0.0; 16];
        line.split('\t').nth(1).unwrap().chars().for_each(|letter| counts["....[AGCTUN".find(letter).unwrap()] += 1.0);
        counts[3] += 1.0;
        counts
    };
    text.lines().skip(1).map(row).collect()
}

/// After one batch the running average of a feature is a tenth of the batch's, the running variance nine tenths of 1 and a tenth of the batch's.
fn check(token: usize, found: (f32, f32), average: f64, variance: f64) {
    assert!((f64::from(found.0) - 0.1 * average).abs() < 1e-6, "token {token}: {} of {average}", found.0);
    assert!((f64::from(found.1) - (0.9 + 0.1 * variance)).abs() < 1e-6, "token {token}: {} of {variance}", found.1);
}

#[test]
fn a_batch_moves_the_running_statistics_by_a_tenth() {
    let folder = tempfile::tempdir().unwrap();
    let (averages, variances, batches) = after_an_epoch(folder.path(), &normed_classifier(WHOLE), "norm");
    assert_eq!(batches, 1.0);
    let rows = counts(folder.path());
    let count: f64 = rows.iter().flatten().sum();
    for token in 0..16 {
        let share = rows.iter().map(|row| row[token]).sum::<f64>() / count;
        check(token, (averages[token], variances[token]), share, share * (1.0 - share) * count / (count - 1.0));
    }
}

#[test]
fn one_vector_of_each_sample_is_normed_by_the_samples() {
    let adapter = r"
use std::layers::basic::Linear
use std::layers::norm::VectorBatchNorm

adapter normed(features: dim, outputs: dim) {
  norm = VectorBatchNorm(features)
  out  = Linear(features, outputs)

  fn forward(x: f[pos, features]) -> f[outputs] { out(norm(mean(x, over = pos))) }
}
";
    let text = classifier(WHOLE).replace("conv_pool(outputs = 2, channels = 8, hidden = 8)", "normed(outputs = 2)") + adapter;
    let folder = tempfile::tempdir().unwrap();
    let (averages, variances, batches) = after_an_epoch(folder.path(), &text, "norm.norm");
    assert_eq!(batches, 1.0);
    let rows = counts(folder.path());
    let count = rows.len() as f64;
    for token in 0..16 {
        let shares: Vec<f64> = rows.iter().map(|row| row[token] / row.iter().sum::<f64>()).collect();
        let average = shares.iter().sum::<f64>() / count;
        let variance = shares.iter().map(|share| (share - average).powi(2)).sum::<f64>() / (count - 1.0);
        check(token, (averages[token], variances[token]), average, variance);
    }
}

#[test]
fn every_batch_of_a_step_that_accumulates_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, batches) = after_an_epoch(folder.path(), &normed_classifier("epochs = 1\n    batch_size = 15\n    accumulate = 4"), "norm");
    assert_eq!(batches, 4.0);
}
