//! Prediction without labels: embeddings of a whole table, as Parquet and as safetensors.

mod common;

use common::write_table;
use mgx_compiler::check::elaborate;
use mgx_compiler::plan::build;
use mgx_runtime::{Data, DataSource, ProgressMode, RunFolder, Session, Settings};
use mgx_weights::Checkpoint;

const PROGRAM: &str = r#"
use std::adapters::mean_pool
use std::backbones::dna_onehot
use std::tasks::embed

data table = table("table.tsv") {
  id:       text
  sequence: dna
}

experiment pooled {
  task = embed(table.sequence |> dna_onehot |> mean_pool(over = all))
}

experiment tokens {
  task = embed(table.sequence |> dna_onehot)
}
"#;

/// Embeds all rows; gives the widths of the rows in the order of the table, and the tensors that were written.
fn embed(folder: &std::path::Path, name: &str) -> (Vec<usize>, Checkpoint) {
    let world = common::Files { folder, text: PROGRAM };
    let experiment = elaborate(&world, "test.mgx", &[], name, false)
        .unwrap_or_else(|(sources, found)| panic!("{}", mgx_diag::render(&found, &sources, false)));
    let source = DataSource {
        data: &experiment.data,
        tokenizers: &experiment.tokenizers,
        lengths: &experiment.lengths,
        inputs: &experiment.prediction_inputs(),
        folder,
        labels: false,
    };
    let data = Data::read(&source).unwrap();
    let plan = build(&experiment, None, &data.capacity(experiment.batch)).unwrap();
    let run = RunFolder::create(&folder.join(name), &plan, PROGRAM).unwrap();
    let settings = Settings { folder: folder.to_owned(), progress: ProgressMode::Quiet, ..Settings::default() };
    let mut session = Session::new(plan, data, settings).unwrap();
    assert_eq!(session.fit(&run, false).unwrap_err().code.0, "E0942");
    let rows = session.data().all_rows();
    let predictions = session.predict(&rows).unwrap();
    let files = session.write_predictions(&predictions, run.path()).unwrap();
    assert_eq!(files, [run.path().join("embeddings.parquet"), run.path().join("embeddings.safetensors")]);
    assert!(files[0].is_file());
    let widths = predictions.outputs[0].rows.iter().map(Vec::len).collect();
    (widths, Checkpoint::open_file(&files[1]).unwrap())
}

fn values(file: &Checkpoint, key: &str) -> Vec<f32> {
    let mut values = vec![0.0; file.get(key).unwrap().elements() as usize];
    file.read_f32(key, &mut values).unwrap();
    values
}

#[test]
fn a_vector_for_each_row() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), 50);
    let (widths, file) = embed(folder.path(), "pooled");
    assert_eq!(widths, [16; 50]);
    assert_eq!(file.get("embedding").unwrap().shape, [50, 16]);
    assert_eq!(values(&file, "rows"), (1..=50).map(|row| row as f32).collect::<Vec<_>>());
    // The mean of unit vectors: the shares of the letters.
    for row in values(&file, "embedding").chunks(16) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
    }
}

#[test]
fn a_vector_for_each_token() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), 50);
    let (widths, file) = embed(folder.path(), "tokens");
    // The letters and an end token.
    let tokens: Vec<usize> = (0..50).map(|row| 9 + row % 9).collect();
    assert_eq!(widths, tokens.iter().map(|tokens| tokens * 16).collect::<Vec<_>>());
    let total: usize = tokens.iter().sum();
    assert_eq!(file.get("embedding").unwrap().shape, [total as u64, 16]);
    let offsets = values(&file, "offsets");
    assert_eq!((offsets.len(), offsets[0], offsets[1], offsets[50]), (51, 0.0, 9.0, total as f32));
    // Every token is one letter.
    for token in values(&file, "embedding").chunks(16) {
        assert_eq!(token.iter().filter(|value| **value == 1.0).count(), 1, "{token:?}");
    }
}
