//! Folders in Hugging Face layout: which file is taken, shards, `config.json`.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{fixture, tensor};
use mgx_weights::{Checkpoint, TensorData, save};

fn save_one(path: &Path, name: &str, value: f32) {
    save(path, [(name.to_owned(), vec![1], TensorData::F32(&[value]))], &BTreeMap::new()).unwrap();
}

fn code(folder: &Path) -> &'static str {
    Checkpoint::open(folder).unwrap_err().code.0
}

#[test]
fn safetensors_go_before_pickles() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(code(folder.path()), "E0901");
    std::fs::copy(fixture("lightning.ckpt"), folder.path().join("pytorch_model.bin")).unwrap();
    assert!(Checkpoint::open(folder.path()).unwrap().get("net.w").is_some());
    save_one(&folder.path().join("model.safetensors"), "w", 2.0);
    assert_eq!(tensor(&Checkpoint::open(folder.path()).unwrap(), "w").1, [2.0]);
    assert_eq!(code(&folder.path().join("none")), "E0900");
}

#[test]
fn the_only_file_is_taken_and_several_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(fixture("sections.pt"), folder.path().join("models.ckpt")).unwrap();
    assert_eq!(Checkpoint::open(folder.path()).unwrap().tensors().len(), 3);
    std::fs::copy(fixture("mixed.pt"), folder.path().join("other.pt")).unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(error.code.0 == "E0901" && error.notes[0].contains("`models.ckpt`, `other.pt`"), "{error:?}");
}

#[test]
fn shards_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    save_one(&at("model-1.safetensors"), "a", 1.0);
    save_one(&at("model-2.safetensors"), "b", 2.0);
    let index =
        |map: &str| std::fs::write(at("model.safetensors.index.json"), format!(r#"{{"metadata":{{}},"weight_map":{map}}}"#)).unwrap();
    index(r#"{"a":"model-1.safetensors","b":"model-2.safetensors"}"#);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!((tensor(&checkpoint, "a").1, tensor(&checkpoint, "b").1), (vec![1.0], vec![2.0]));
    assert_eq!(checkpoint.files().count(), 2);
    for (map, expected) in [
        (r#"{"a":"model-2.safetensors","b":"model-1.safetensors"}"#, "E0904"),
        (r#"{"a":"model-1.safetensors","c":"model-2.safetensors"}"#, "E0904"),
        (r#"{"a":"../model-1.safetensors"}"#, "E0904"),
        (r#"{"a":"/etc/passwd"}"#, "E0904"),
        (r#"{"a":".."}"#, "E0904"),
        (r#"{"a":""}"#, "E0904"),
        (r#"{}"#, "E0904"),
        (r#"[]"#, "E0904"),
        (r#"{"a":"model-3.safetensors"}"#, "E0900"),
    ] {
        index(map);
        assert_eq!(code(folder.path()), expected, "{map}");
    }
    save_one(&at("model-2.safetensors"), "a", 2.0);
    index(r#"{"a":"model-1.safetensors","b":"model-2.safetensors"}"#);
    assert_eq!(code(folder.path()), "E0904", "one tensor in two shards");
}

#[test]
fn shards_of_the_older_format() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(fixture("mixed_legacy.bin"), folder.path().join("pytorch_model-1.bin")).unwrap();
    std::fs::copy(fixture("rebuild_v3.pt"), folder.path().join("pytorch_model-2.bin")).unwrap();
    let index = r#"{"weight_map":{"half":"pytorch_model-1.bin","u16":"pytorch_model-2.bin"}}"#;
    std::fs::write(folder.path().join("pytorch_model.bin.index.json"), index).unwrap();
    assert_eq!(tensor(&Checkpoint::open(folder.path()).unwrap(), "u16").1, [1.0, 2.0, 65535.0]);
}

#[test]
fn config_is_json_beside_the_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    save_one(&path, "w", 1.0);
    assert_eq!(Checkpoint::open(folder.path()).unwrap().config().unwrap_err().code.0, "E0912");
    std::fs::write(folder.path().join("config.json"), r#"{"hidden_size": 320}"#).unwrap();
    for opened in [Checkpoint::open(folder.path()), Checkpoint::open_file(&path)] {
        assert_eq!(opened.unwrap().config().unwrap()["hidden_size"], 320);
    }
    std::fs::write(folder.path().join("config.json"), "{").unwrap();
    assert_eq!(Checkpoint::open(folder.path()).unwrap().config().unwrap_err().code.0, "E0912");
}

#[test]
fn a_misspelt_key_gets_a_suggestion() {
    let checkpoint = Checkpoint::open_file(&fixture("lightning.ckpt")).unwrap();
    let error = checkpoint.read_f32("net.q", &mut [0.0]).unwrap_err();
    assert_eq!(error.code.0, "E0910");
    assert!(error.help.unwrap().contains("`net."));
    assert_eq!(checkpoint.read_f32("net.w", &mut [0.0; 3]).unwrap_err().code.0, "E0910");
}
