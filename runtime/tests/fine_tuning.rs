//! Fine-tuning a part of a network: what is trained and kept, and adapters as other programs store them.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{compile, session, tuned_classifier, write_table};
use mgx_ir::plan::{ParamSpec, Plan, Storage};
use mgx_runtime::{RunFolder, Session, Strictness};
use mgx_weights::{Checkpoint, TensorData, save};

const LORA: &str = "lora(rank = 2, alpha = 4, dropout = 0.25, targets = [query, \"gate_proj\"], save = [\"encoder.ln\"])";
const TRAIN: &str = "epochs = 2\n    batch_size = 12";

fn trained(data: &Path, run: &str, text: &str) -> Session {
    let (mut session, _) = session(data, text, "small");
    let run = RunFolder::create(&data.join(run), session.plan(), text).unwrap();
    session.fit(&run, false).unwrap();
    session
}

fn tensors(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let file = Checkpoint::open_file(path).unwrap();
    let values = |key: &str, count: u64| {
        let mut values = vec![0.0; count as usize];
        file.read_f32(key, &mut values).unwrap();
        values
    };
    file.tensors().iter().map(|tensor| (tensor.key.clone(), values(&tensor.key, tensor.elements()))).collect()
}

fn probabilities(session: &mut Session) -> Vec<u32> {
    let rows = session.data().all_rows();
    session.predict(&rows).unwrap().outputs.iter().flat_map(|output| output.flat()).map(f32::to_bits).collect()
}

/// Writes a folder of weights for the encoder of a program: its initial values under their keys.
fn write_weights(data: &Path, text: &str) {
    let (mut session, _) = session(data, text, "small");
    session.prepare().unwrap();
    session.write_params(&data.join("initial.safetensors")).unwrap();
    let initial = tensors(&data.join("initial.safetensors"));
    std::fs::create_dir(data.join("model")).unwrap();
    let encoder = session.plan().params.iter().filter(|param| param.path.starts_with("encoder."));
    let named = encoder.map(|param| (param.key.clone(), param.shape.clone(), TensorData::F32(&initial[&param.path])));
    save(&data.join("model/model.safetensors"), named, &BTreeMap::new()).unwrap();
}

/// An encoder of a folder of weights, fine-tuned by [`LORA`].
fn tuned(data: &Path) -> String {
    write_table(data, 60);
    write_weights(data, &tuned_classifier("hidden = 16, ffn = 16", "", TRAIN));
    tuned_classifier("hidden = 16, ffn = 16, weights = folder(\"model\")", LORA, TRAIN)
}

fn trainable(plan: &Plan) -> BTreeSet<String> {
    plan.params.iter().filter(|param| param.trainable).map(|param| param.path.clone()).collect()
}

#[test]
fn only_what_is_trained_has_gradients_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let text = tuned(data);
    let (plan, _) = compile(data, &text, "small");
    let names = trainable(&plan);
    let of = |part: &str| names.iter().filter(|name| name.contains(part)).count();
    assert_eq!(
        (of(".query.down."), of(".query.up."), of(".gate.down."), of("norm_out"), of("linear_mean_pool")),
        (2, 2, 2, 1, 2),
        "{names:?}"
    );
    assert_eq!(names.len(), 2 * 4 + 1 + 2, "{names:?}");
    // Gradients are stored for the trained parameters alone, which come first, and so is the optimizer's state.
    let aligned = |param: &ParamSpec| param.bytes().next_multiple_of(64);
    let bytes: u64 = plan.params.iter().filter(|param| param.trainable).map(aligned).sum();
    assert_eq!((plan.memory.gradients, plan.memory.optimizer), (bytes, 2 * bytes));
    assert!(bytes < plan.memory.params / 4);
    let gradient = plan.gradient.as_ref().unwrap();
    let stored: BTreeSet<u64> = gradient
        .buffers
        .iter()
        .filter_map(|buffer| if let Storage::Gradient { offset } = buffer.storage { Some(offset) } else { None })
        .collect();
    assert_eq!(stored, plan.params.iter().filter(|param| param.trainable).map(|param| param.offset).collect());

    let mut session = trained(data, "run", &text);
    let after = probabilities(&mut session);
    let kept: BTreeSet<String> = tensors(&data.join("run/model.safetensors")).into_keys().collect();
    assert_eq!(kept, names);
    let checkpoints =
        std::fs::read_dir(data.join("run/checkpoints")).unwrap().flatten().map(|entry| entry.path().join("model.safetensors"));
    for checkpoint in checkpoints.filter(|path| path.is_file()) {
        assert_eq!(tensors(&checkpoint).into_keys().collect::<BTreeSet<_>>(), names);
    }
    for place in ["run", "run/model.safetensors"] {
        let (mut other, _) = common::session(data, &text, "small");
        other.restore(&data.join(place), Strictness::Strict).unwrap();
        assert_eq!(probabilities(&mut other), after, "{place}");
    }
}

#[test]
fn adapters_are_exchanged_in_the_layout_of_peft() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let text = tuned(data);
    trained(data, "run", &text);
    let adapter = data.join("run/adapters/encoder");
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(adapter.join("adapter_config.json")).unwrap()).unwrap();
    for (key, value) in [
        ("peft_type", serde_json::json!("LORA")),
        ("r", serde_json::json!(2)),
        ("lora_alpha", serde_json::json!(4.0)),
        ("lora_dropout", serde_json::json!(0.25)),
        ("use_rslora", serde_json::json!(false)),
        ("target_modules", serde_json::json!(["query", "gate_proj"])),
        ("modules_to_save", serde_json::json!(["encoder.ln"])),
        ("base_model_name_or_path", serde_json::json!("model")),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
    let stored = tensors(&adapter.join("adapter_model.safetensors"));
    let mut wanted = vec!["base_model.model.encoder.ln.weight".to_owned()];
    for layer in 0..2 {
        for part in ["attention.self.query.lora_A", "attention.self.query.lora_B", "mlp.gate_proj.lora_A", "mlp.gate_proj.lora_B"] {
            wanted.push(format!("base_model.model.encoder.layer.{layer}.{part}.weight"));
        }
    }
    wanted.sort();
    assert_eq!(stored.keys().cloned().collect::<Vec<_>>(), wanted);

    // Another program begins with it, and with nothing else of the run.
    let again = text.replace("lora(rank", "lora(weights = folder(\"run/adapters/encoder\"), rank");
    let (mut session, _) = common::session(data, &again, "small");
    session.prepare().unwrap();
    session.write_params(&data.join("again.safetensors")).unwrap();
    let (model, again) = (tensors(&data.join("run/model.safetensors")), tensors(&data.join("again.safetensors")));
    for (path, values) in &again {
        assert_eq!(model[path] == *values, path.starts_with("encoder."), "{path}");
    }
}

#[test]
fn parts_are_frozen_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let all = tuned_classifier("hidden = 16, ffn = 16", "", TRAIN);
    let some = tuned_classifier("hidden = 16, ffn = 16, frozen = [embeddings, \"layer.0\"]", "", TRAIN);
    let (all, some) = (trainable(&compile(data, &all, "small").0), trainable(&compile(data, &some, "small").0));
    let frozen: Vec<&String> = all.difference(&some).collect();
    assert!(frozen.iter().all(|path| path.starts_with("encoder.embeddings.") || path.starts_with("encoder.layer[0].")), "{frozen:?}");
    assert!(some.iter().all(|path| !path.starts_with("encoder.embeddings.") && !path.starts_with("encoder.layer[0].")), "{some:?}");
    assert!(some.iter().any(|path| path.starts_with("encoder.layer[1].")) && some.is_subset(&all));
}

/// One step an epoch, at a constant rate, without decay: the first step of AdamW moves every element that has a gradient by the learning rate.
#[test]
fn unfrozen_parts_are_trained_from_their_epoch_on_as_if_from_their_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 40);
    let text = |epochs: u64, unfreeze: &str| {
        let train = format!("epochs = {epochs}\n    batch_size = 40\n    optimizer = adamw(lr = 1e-3, weight_decay = 0)\n    {unfreeze}");
        tuned_classifier("hidden = 16, ffn = 16", "", &train).replace("random(train = 0.6, valid = 0.2, test = 0.2)", "random(train = 1.0)")
    };
    let schedule = "unfreeze = [(1, [embeddings, \"layer.0\"]), (3, [\"layer.1\"])]";
    let (mut first, _) = session(data, &text(1, schedule), "small");
    first.prepare().unwrap();
    first.write_params(&data.join("initial.safetensors")).unwrap();
    let mut states = vec![tensors(&data.join("initial.safetensors"))];
    for epochs in 1..=4 {
        trained(data, &format!("run{epochs}"), &text(epochs, schedule));
        states.push(tensors(&data.join(format!("run{epochs}/model.safetensors"))));
    }
    let begins = |path: &str| match path {
        path if path.starts_with("encoder.embeddings.") || path.starts_with("encoder.layer[0].") => 1,
        path if path.starts_with("encoder.layer[1].") => 3,
        _ => 0,
    };
    for path in states[0].keys() {
        for (epoch, pair) in states.windows(2).enumerate() {
            let moved: Vec<f32> = pair[0][path].iter().zip(&pair[1][path]).map(|(a, b)| (a - b).abs()).collect();
            let most = moved.iter().copied().fold(0.0, f32::max);
            match epoch.cmp(&begins(path)) {
                std::cmp::Ordering::Less => assert_eq!(most, 0.0, "{path} in epoch {epoch}"),
                // The bias of the keys has no gradient but rounding.
                std::cmp::Ordering::Equal if path.ends_with("key.offset") => {}
                std::cmp::Ordering::Equal => assert!((most - 1e-3).abs() < 2e-5, "{path} moved by {most} in epoch {epoch}"),
                std::cmp::Ordering::Greater => assert!(most > 0.0, "{path} in epoch {epoch}"),
            }
        }
    }
    // Until then the rest is trained as beside parts that are frozen for good.
    let frozen = text(1, "").replace("ffn = 16)", "ffn = 16, frozen = [embeddings, \"layer.0\", \"layer.1\"])");
    trained(data, "frozen", &frozen);
    let beside = tensors(&data.join("frozen/model.safetensors"));
    assert!(!beside.is_empty());
    for (path, values) in &beside {
        for (a, b) in values.iter().zip(&states[1][path]) {
            assert!((a - b).abs() < 1e-6, "{path}: {a} and {b}");
        }
    }
}

#[test]
fn vectors_of_ia3_scale_what_goes_in_or_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    write_table(data, 60);
    let text = tuned_classifier("hidden = 16, ffn = 24", "ia3(targets = [key, down_proj], feedforward = [down_proj])", TRAIN);
    trained(data, "run", &text);
    let adapter = Checkpoint::open_file(&data.join("run/adapters/encoder/adapter_model.safetensors")).unwrap();
    let shapes: Vec<(&str, &[u64])> = adapter.tensors().iter().map(|tensor| (tensor.key.as_str(), tensor.shape.as_slice())).collect();
    let wanted: [(&str, &[u64]); 4] = [
        ("base_model.model.encoder.layer.0.attention.self.key.ia3_l", &[16, 1]),
        ("base_model.model.encoder.layer.0.mlp.down_proj.ia3_l", &[1, 24]),
        ("base_model.model.encoder.layer.1.attention.self.key.ia3_l", &[16, 1]),
        ("base_model.model.encoder.layer.1.mlp.down_proj.ia3_l", &[1, 24]),
    ];
    assert_eq!(shapes, wanted);
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("run/adapters/encoder/adapter_config.json")).unwrap()).unwrap();
    assert_eq!((&config["peft_type"], &config["feedforward_modules"]), (&serde_json::json!("IA3"), &serde_json::json!(["down_proj"])));
}
