//! States of modules: a training step leaves them where the program says, once for each batch.

mod common;

use std::path::Path;

use common::{normed_classifier, session, write_table};
use mgx_runtime::RunFolder;
use mgx_weights::Checkpoint;

/// Trains for an epoch on all 60 rows; gives the running average, the running variance and the number of batches.
fn after_an_epoch(folder: &Path, train: &str) -> (Vec<f32>, Vec<f32>, f32) {
    write_table(folder, 60);
    let text = normed_classifier(train).replace("  split = random(train = 0.6, valid = 0.2, test = 0.2)\n", "");
    let (mut session, _) = session(folder, &text, "small");
    let run = RunFolder::create(&folder.join("run"), session.plan(), &text).unwrap();
    session.fit(&run, false).unwrap();
    let file = Checkpoint::open_file(&folder.join("run/model.safetensors")).unwrap();
    let read = |name: &str, count: usize| {
        let mut values = vec![0.0; count];
        file.read_f32(&format!("normed.norm.{name}"), &mut values).unwrap();
        values
    };
    (read("running_mean", 16), read("running_var", 16), read("num_batches_tracked", 1)[0])
}

/// How often each of the 16 tokens stands in the table, of all tokens with the one at the end of every row.
fn shares(folder: &Path) -> (Vec<f64>, f64) {
    let text = std::fs::read_to_string(folder.join("table.tsv")).unwrap();
    let mut counts = [0.0; 16];
    for row in text.lines().skip(1) {
        let letters = row.split('\t').nth(1).unwrap();
        letters.chars().for_each(|letter| counts["....[AGCTUN".find(letter).unwrap()] += 1.0);
        counts[3] += 1.0;
    }
    let all: f64 = counts.iter().sum();
    (counts.iter().map(|count| count / all).collect(), all)
}

#[test]
fn a_batch_moves_the_running_statistics_by_a_tenth() {
    let folder = tempfile::tempdir().unwrap();
    let (averages, variances, batches) = after_an_epoch(folder.path(), "epochs = 1\n    batch_size = 60");
    assert_eq!(batches, 1.0);
    let (shares, count) = shares(folder.path());
    for (token, share) in shares.iter().enumerate() {
        let variance = share * (1.0 - share) * count / (count - 1.0);
        assert!((f64::from(averages[token]) - 0.1 * share).abs() < 1e-6, "token {token}: {} of {share}", averages[token]);
        assert!((f64::from(variances[token]) - (0.9 + 0.1 * variance)).abs() < 1e-6, "token {token}: {} of {variance}", variances[token]);
    }
}

#[test]
fn every_batch_of_a_step_that_accumulates_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, batches) = after_an_epoch(folder.path(), "epochs = 1\n    batch_size = 15\n    accumulate = 4");
    assert_eq!(batches, 4.0);
}
