//! Damaged safetensors files give the error that says what is wrong; whole ones agree with the `safetensors` crate.

mod common;

use std::collections::BTreeMap;

use common::{code_of, open_bytes, safetensors_bytes, tensor};
use mgx_weights::{Checkpoint, TensorData, save};

#[test]
fn damaged_headers_are_named() {
    let valid = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    assert!(open_bytes(&safetensors_bytes(valid, &[0; 4])).is_ok());
    let longer = [1000u64.to_le_bytes().as_slice(), valid.as_bytes()].concat();
    let huge = [u64::MAX.to_le_bytes().as_slice(), valid.as_bytes()].concat();
    for (bytes, what) in [
        (b"".as_slice(), "empty"),
        (b"1234567", "seven bytes"),
        (&longer, "longer than the file"),
        (&huge, "of 2^64 bytes"),
        (&safetensors_bytes("{\"a\":", &[]), "half of JSON"),
        (&safetensors_bytes("[]", &[]), "a list"),
        (&safetensors_bytes("\u{1}\u{2}", &[]), "not JSON"),
        (&safetensors_bytes(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, &[0; 4]), "negative extent"),
        (&safetensors_bytes(r#"{"a":{"dtype":"F32","shape":[1]}}"#, &[0; 4]), "no offsets"),
        (&safetensors_bytes(&"[".repeat(100_000), &[]), "deep nesting"),
    ] {
        assert_eq!(code_of(bytes), "E0902", "{what}");
    }
    let twice = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    let error = open_bytes(&safetensors_bytes(twice, &[0; 2])).unwrap_err();
    assert!(error.code.0 == "E0902" && error.message.contains("`a` is in it twice"), "{}", error.message);
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let entry =
        |dtype: &str, shape: &str, begin: u64, end: u64| format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#);
    let max = u64::MAX;
    for (header, what) in [
        (format!(r#"{{"w":{}}}"#, entry("F32", "[2]", 0, 16)), "beyond the file"),
        (format!(r#"{{"w":{}}}"#, entry("F32", "[2]", 8, 0)), "end before begin"),
        (format!(r#"{{"w":{}}}"#, entry("F32", "[3]", 0, 8)), "shape and bytes differ"),
        (format!(r#"{{"w":{}}}"#, entry("F4", "[15]", 0, 8)), "half a byte"),
        (format!(r#"{{"w":{}}}"#, entry("F99", "[2]", 0, 8)), "unknown type"),
        (format!(r#"{{"w":{}}}"#, entry("F32", "[4611686018427387904,4]", 0, 8)), "overflow"),
        (format!(r#"{{"a":{},"w":{}}}"#, entry("U8", "[4]", 0, 4), entry("U8", "[6]", 2, 8)), "overlap"),
        (format!(r#"{{"a":{},"w":{}}}"#, entry("U8", "[2]", 0, 2), entry("U8", "[4]", 4, 8)), "hole"),
        (format!(r#"{{"w":{}}}"#, entry("U8", "[4]", max - 4, max)), "offsets near 2^64"),
    ] {
        let error = open_bytes(&safetensors_bytes(&header, &[0; 8])).unwrap_err();
        assert_eq!(error.code.0, "E0903", "{what}");
        assert!(error.message.contains("`w`") && error.message.contains("file.bin"), "{what}: {}", error.message);
    }
    let short = format!(r#"{{"w":{}}}"#, entry("U8", "[4]", 0, 4));
    assert_eq!(code_of(&safetensors_bytes(&short, &[0; 8])), "E0903", "data without a tensor");
}

#[test]
fn what_is_saved_is_what_the_safetensors_crate_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let metadata: BTreeMap<String, String> = (0..20).map(|i| (format!("key{i}"), "wert ü".to_owned())).collect();
    let tensors = || {
        [
            ("bytes".to_owned(), vec![3], TensorData::U8(&[1, 2, 3])),
            ("w".to_owned(), vec![2, 2], TensorData::F32(&[1.0, -0.0, f32::MIN_POSITIVE, 4.0])),
            ("n".to_owned(), vec![], TensorData::U64(&[u64::MAX])),
            ("i".to_owned(), vec![1, 2], TensorData::I32(&[-1, i32::MIN])),
            ("empty".to_owned(), vec![0, 4], TensorData::F32(&[])),
        ]
    };
    let written = save(&path, tensors(), &metadata).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(written, bytes.len() as u64);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap().len(), 20);
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let ours = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(ours.metadata(), &metadata);
    assert_eq!(theirs.len(), 5);
    for (name, shape, data) in tensors() {
        let view = theirs.tensor(&name).unwrap();
        assert_eq!(view.data(), data.bytes(), "{name}");
        assert_eq!(view.shape().iter().map(|extent| *extent as u64).collect::<Vec<_>>(), shape);
        assert_eq!(ours.bytes(&name).unwrap(), data.bytes());
    }
    assert_eq!(tensor(&ours, "i").1, [-1.0, -2_147_483_648.0]);
    let mut reversed = tensors();
    reversed.reverse();
    let again = folder.path().join("again.safetensors");
    save(&again, reversed, &metadata).unwrap();
    assert_eq!(std::fs::read(again).unwrap(), bytes, "the order of the tensors does not matter");
}

#[test]
fn what_cannot_be_read_back_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let w = |shape: &[u64]| ("w".to_owned(), shape.to_vec(), TensorData::U8(&[1, 2]));
    for tensors in [vec![w(&[3])], vec![w(&[2]), w(&[1, 2])], vec![w(&[u64::MAX, 2])]] {
        assert_eq!(save(&path, tensors, &BTreeMap::new()).unwrap_err().code.0, "E0923");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
