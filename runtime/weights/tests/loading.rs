//! Loading fills the parameters, accounts for every tensor, and says what does not fit.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{param, weights};
use mgx_weights::{TensorData, check, load, save};

/// A parameter memory, aligned as the runtime's.
fn memory(floats: usize) -> Vec<f32> {
    vec![-1.0; floats]
}

fn save_bert(folder: &Path) {
    let tensors = [
        ("bert.embed", vec![2, 2], TensorData::F32(&[1.0, 2.0, 3.0, 4.0])),
        ("bert.layer.0.w", vec![2, 1], TensorData::I32(&[5, 6])),
        ("head.w", vec![1], TensorData::F32(&[7.0])),
        ("bert.layer.0.inv_freq", vec![1], TensorData::F32(&[8.0])),
        ("lm.bias", vec![1], TensorData::F32(&[9.0])),
    ];
    let tensors = tensors.map(|(name, shape, data)| (name.to_owned(), shape, data));
    save(&folder.join("model.safetensors"), tensors, &BTreeMap::new()).unwrap();
}

#[test]
fn parameters_are_filled_and_every_tensor_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    save_bert(folder.path());
    let mut untouched = param("own", &[2], 80);
    untouched.weights = None;
    let params =
        [param("head.w", &[1], 64), param("embed", &[2, 2], 0), param("layer.0.w", &[2], 16), param("pooler.b", &[1], 72), untouched];
    let spec = [weights(folder.path(), &["model.", "bert."], &["*.inv_freq"], &["pooler.*"])];
    let mut floats = memory(22);
    let report = load(&params, &spec, bytemuck::cast_slice_mut(&mut floats)).unwrap();
    let mut expected = memory(22);
    expected[..6].copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    expected[16] = 7.0;
    assert_eq!(floats, expected);
    let account = &report.weights[0];
    let used: Vec<(&str, &str)> = account.used.iter().map(|used| (used.path.as_str(), used.key.as_str())).collect();
    assert_eq!(used, [("head.w", "head.w"), ("embed", "bert.embed"), ("layer.0.w", "bert.layer.0.w")]);
    assert_eq!(account.ignored, ["bert.layer.0.inv_freq"]);
    assert_eq!(account.missing, ["pooler.b"]);
    assert_eq!(account.unexpected, ["lm.bias"]);
    let warnings = report.warnings();
    assert!(warnings.len() == 1 && warnings[0].code.0 == "W0918" && !warnings[0].is_error() && warnings[0].message.contains("`lm.bias`"));
    assert_eq!(check(&params, &spec).unwrap(), report, "the headers alone give the same account");
}

#[test]
fn prefixes_are_tried_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = [("a.w", [1.0]), ("b.w", [2.0]), ("w", [3.0])];
    let tensors = tensors.each_ref().map(|(name, value)| ((*name).to_owned(), vec![1], TensorData::F32(value)));
    save(&folder.path().join("model.safetensors"), tensors, &BTreeMap::new()).unwrap();
    for (prefixes, expected) in [(&["b.", "a."][..], 2.0), (&["a.", "b."], 1.0), (&["c."], 3.0), (&[], 3.0)] {
        let mut floats = memory(1);
        load(&[param("w", &[1], 0)], &[weights(folder.path(), prefixes, &[], &[])], bytemuck::cast_slice_mut(&mut floats)).unwrap();
        assert_eq!(floats, [expected], "{prefixes:?}");
    }
}

#[test]
fn ignored_keys_are_matched_with_and_without_prefix() {
    let folder = tempfile::tempdir().unwrap();
    save_bert(folder.path());
    for pattern in ["bert.layer.*", "layer.*"] {
        let report = check(&[], &[weights(folder.path(), &["bert."], &[pattern], &[])]).unwrap();
        assert_eq!(report.weights[0].ignored, ["bert.layer.0.inv_freq", "bert.layer.0.w"], "{pattern}");
    }
}

#[test]
fn what_is_missing_or_misshapen_is_named_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    save_bert(folder.path());
    let mut floats = memory(40);
    let bert = [weights(folder.path(), &["bert."], &[], &[])];
    let params = [param("embed", &[2, 3], 0), param("layer.0.w", &[3], 64), param("head.w", &[1], 128)];
    let error = load(&params, &bert, bytemuck::cast_slice_mut(&mut floats)).unwrap_err();
    assert_eq!(error.code.0, "E0916");
    for part in ["`bert.embed`", "[2, 2]", "[2, 3]", "1 other"] {
        assert!(error.message.contains(part), "{part} is not in {}", error.message);
    }
    assert_eq!(floats, memory(40), "nothing is written on an error");

    let params = [param("layer.1.w", &[2], 0), param("layer.2.w", &[2], 8)];
    let error = check(&params, &bert).unwrap_err();
    assert_eq!(error.code.0, "E0915");
    assert!(error.message.contains("`layer.1.w`") && error.message.contains("1 other"), "{}", error.message);
    assert!(error.notes[0].contains("`bert.layer.1.w`, `layer.1.w`"), "{:?}", error.notes);
    assert!(error.help.unwrap().contains("`bert.layer.0.w`"));

    let error = check(&[param("embed", &[2, 2], 0)], &[weights(folder.path(), &[], &[], &[])]).unwrap_err();
    assert!(error.help.unwrap().contains("add `bert.` to the prefixes"));
}

#[test]
fn a_memory_that_is_not_the_plan_s_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    save_bert(folder.path());
    let mut floats = memory(2);
    let spec = [weights(folder.path(), &["bert."], &[], &[])];
    let error = load(&[param("embed", &[2, 2], 0)], &spec, bytemuck::cast_slice_mut(&mut floats)).unwrap_err();
    assert_eq!(error.code.0, "E0917");
    let mut other = param("embed", &[2, 2], 0);
    other.weights = Some(3);
    assert_eq!(check(&[other], &spec).unwrap_err().code.0, "E0917");
}

#[test]
fn a_key_is_found_by_its_other_name() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = [("_trunk.1.w", [2.0]), ("m.tower.w", [3.0]), ("_trunk.2.w", [4.0])];
    let tensors = tensors.each_ref().map(|(name, value)| ((*name).to_owned(), vec![1], TensorData::F32(value)));
    save(&folder.path().join("model.safetensors"), tensors, &BTreeMap::new()).unwrap();
    let spec = mgx_ir::plan::WeightsSpec {
        aliases: vec![("stem.".to_owned(), "_trunk.1.".to_owned()), ("tower.".to_owned(), "_trunk.2.".to_owned())],
        ..weights(folder.path(), &["m."], &["_trunk.*"], &[])
    };
    let mut floats = memory(17);
    let report = load(&[param("stem.w", &[1], 0), param("tower.w", &[1], 64)], &[spec], bytemuck::cast_slice_mut(&mut floats)).unwrap();
    assert_eq!((floats[0], floats[16]), (2.0, 3.0), "the other name only where its own is not stored");
    assert_eq!(report.weights[0].ignored, ["_trunk.2.w"]);
}
