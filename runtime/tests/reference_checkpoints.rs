//! Parameters under the names that the reference's tasks give them: `backbone.encoder.`, `adapter.`, PEFT's for LoRA, and what a task keeps itself.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{session, tuned_classifier, write_table};
use mgx_ir::plan::ParamSpec;
use mgx_runtime::{RunFolder, Session, Strictness};
use mgx_weights::{Checkpoint, TensorData, save};

const TRAIN: &str = "epochs = 1\n    batch_size = 12";
const LORA: &str = "lora(rank = 2, targets = [query, value], save = [\"encoder.ln\"])";

/// The reference's name of a parameter.
fn name(param: &ParamSpec) -> String {
    if param.state {
        return param.key.clone();
    }
    let Some(_) = param.path.strip_prefix("encoder.") else { return format!("adapter.{}", param.key) };
    let parts: Vec<&str> = param.key.split('.').collect();
    match parts.as_slice() {
        [path @ .., kind @ ("lora_A" | "lora_B"), "weight"] => {
            format!("backbone.encoder.base_model.model.{}.{kind}.default.weight", path.join("."))
        }
        ["encoder", "ln", "weight"] if param.adapter.is_some() => {
            "backbone.encoder.base_model.model.encoder.ln.modules_to_save.default.weight".to_owned()
        }
        _ => format!("backbone.encoder.{}", param.key),
    }
}

fn predictions(session: &mut Session) -> Vec<u32> {
    let rows = session.data().all_rows();
    session.predict(&rows).unwrap().outputs.iter().flat_map(|output| output.flat()).map(f32::to_bits).collect()
}

/// Trains, writes what is kept under the reference's names with some tensors more, and gives the session and its file.
fn trained(data: &Path, text: &str, more: &[&str]) -> (Session, std::path::PathBuf) {
    let (mut session, _) = session(data, text, "small");
    let run = RunFolder::create(&data.join("run"), session.plan(), text).unwrap();
    session.fit(&run, false).unwrap();
    let own = Checkpoint::open_file(&data.join("run/model.safetensors")).unwrap();
    let mut tensors: Vec<(String, Vec<u64>, Vec<f32>)> = Vec::new();
    for param in session.plan().params.iter().filter(|param| param.is_kept()) {
        let mut values = vec![0.0; param.elements() as usize];
        own.read_f32(&param.path, &mut values).unwrap();
        // The reference keeps single numbers as lists of one.
        let shape = if param.state && param.shape.is_empty() { vec![1] } else { param.shape.clone() };
        tensors.push((name(param), shape, values));
    }
    tensors.extend(more.iter().map(|key| ((*key).to_owned(), vec![1], vec![1.0])));
    let path = data.join("best_val.safetensors");
    save(&path, tensors.iter().map(|(key, shape, values)| (key.clone(), shape.clone(), TensorData::F32(values))), &BTreeMap::new())
        .unwrap();
    (session, path)
}

#[test]
fn adapters_of_a_frozen_network_are_found_by_peft_s_names() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let text = tuned_classifier("hidden = 16, ffn = 16, layers = 1", LORA, TRAIN);
    // PEFT keeps the original of what it trains whole; nobody asks for that.
    let original = "backbone.encoder.base_model.model.encoder.ln.original_module.weight";
    let (mut session, path) = trained(data, &text, &[original]);
    let mut other = common::session(data, &text, "small").0;
    assert_ne!(predictions(&mut other), predictions(&mut session));
    other.restore(&path, Strictness::Strict).unwrap();
    let report = other.restore_report().unwrap();
    assert_eq!(report.ignored, [original]);
    assert!(report.used.iter().any(|used| used.key.ends_with("query.lora_A.default.weight")), "{report:?}");
    assert_eq!(predictions(&mut other), predictions(&mut session));
}

#[test]
fn what_a_task_keeps_is_found_and_other_tensors_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let text = tuned_classifier("hidden = 16, ffn = 16, layers = 1", "", TRAIN)
        .replace("linear_mean_pool(outputs = 2)", "linear_mean_pool(outputs = 1)")
        .replace("classification(values, table.label)", "scaled_regression(values, table.number)")
        .replace("use std::tasks::regression", "use std::tasks::scaled_regression");
    let (mut session, path) = trained(data, &text, &["backbone.decoder.bias"]);
    let mut other = common::session(data, &text, "small").0;
    let found = other.restore(&path, Strictness::Strict).unwrap_err();
    assert_eq!(found.code.0, "E0954");
    assert!(
        found.notes.iter().any(|note| note.contains("tensors that no parameter asks for (1): `backbone.decoder.bias`")),
        "{:?}",
        found.notes
    );
    other.restore(&path, Strictness::Relaxed).unwrap();
    let report = other.restore_report().unwrap();
    for (key, path) in [("scaler._mean", "task.number.mean"), ("scaler._std", "task.number.deviation")] {
        assert!(report.used.iter().any(|used| used.key == key && used.path == path), "{key}: {report:?}");
    }
    assert_eq!(report.missing, Vec::<String>::new());
    assert_eq!(predictions(&mut other), predictions(&mut session));
}
