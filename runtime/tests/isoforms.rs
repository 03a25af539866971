//! The examples that fuse three networks: what is frozen stays, what is trained changes, and every row gets a prediction.

mod common;

use std::collections::BTreeMap;

use common::{compile, examples};
use mgx_runtime::{ProgressMode, RunFolder, Session, Settings};
use mgx_weights::Checkpoint;

/// Trains an experiment for one step of few samples; gives which parameters changed, by path.
fn changed(experiment: &str) -> Vec<(String, bool)> {
    let folder = examples();
    let text = std::fs::read_to_string(folder.join("isoforms.mgx")).unwrap().replace("epochs     = 3", "max_steps = 4");
    let out = tempfile::tempdir().unwrap();
    let (plan, data) = compile(&folder, &text, experiment);
    let run = RunFolder::create_numbered(out.path(), &plan, &text).unwrap();
    let settings = Settings { folder, progress: ProgressMode::Quiet, ..Settings::default() };
    let mut session = Session::new(plan, data, settings).unwrap();
    session.prepare().unwrap();
    let before = parameters(&session);
    session.fit(&run, false).unwrap();
    let after = parameters(&session);
    let rows = session.data().all_rows();
    let predictions = session.predict(&rows).unwrap();
    session.write_predictions(&predictions, run.path()).unwrap();
    let table = std::fs::read_to_string(run.path().join("predictions.tsv")).unwrap();
    assert_eq!(table.lines().count(), rows.len() + 1);
    before.into_iter().zip(after).map(|((path, before), (_, after))| (path, before != after)).collect()
}

/// All parameters by name.
fn parameters(session: &Session) -> BTreeMap<String, Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parameters.safetensors");
    session.write_params(&path).unwrap();
    let file = Checkpoint::open_file(&path).unwrap();
    let values = |key: &str, elements: u64| {
        let mut values = vec![0.0; elements as usize];
        file.read_f32(key, &mut values).unwrap();
        values
    };
    file.tensors().iter().map(|tensor| (tensor.key.clone(), values(&tensor.key, tensor.elements()))).collect()
}

/// The parameters of a part that a checkpoint holds, and whether they changed.
fn of_part<'a>(changed: &'a [(String, bool)], part: &str) -> Vec<&'a (String, bool)> {
    changed.iter().filter(|(path, _)| path.starts_with(&format!("{part}."))).collect()
}

#[test]
fn attention_trains_one_of_three_networks() {
    let changed = changed("isoforms_by_attention");
    for part in ["rna", "protein"] {
        assert!(of_part(&changed, part).is_empty(), "`{part}` is frozen: {changed:?}");
    }
    for part in ["dna", "cross_attention", "mlp_pool"] {
        assert!(of_part(&changed, part).iter().any(|(_, changed)| *changed), "`{part}` is trained: {changed:?}");
    }
}

#[test]
fn concatenation_trains_three_networks() {
    let changed = changed("isoforms_by_concatenation");
    assert!(of_part(&changed, "dna").iter().all(|(_, changed)| *changed), "{changed:?}");
    for part in ["dna", "rna", "protein"] {
        assert!(!of_part(&changed, part).is_empty(), "`{part}` is trained: {changed:?}");
    }
    for part in ["rna", "protein"] {
        assert!(
            of_part(&changed, part).iter().all(|(path, changed)| *changed && (path.contains(".query.") || path.contains(".value."))),
            "what LoRA added alone: {changed:?}"
        );
    }
}
