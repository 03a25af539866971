//! Weights of a folder, through the binary: what does not fit is said before anything is written, and how parameters are stored.

mod letters;

use std::fs;

use letters::{FilesByName, Workspace, assert_passed, assert_refused, errors, sharded, tensors};

const FOLDER: &str = r#"folder("model")"#;
/// Nothing is there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A workspace with these files as its folder of weights.
fn with_model(files: &FilesByName) -> Workspace {
    let workspace = Workspace::new(FOLDER);
    fs::create_dir(workspace.path("model")).expect("a folder");
    for (name, bytes) in files {
        fs::write(workspace.path("model").join(name), bytes).expect("a file");
    }
    workspace
}

fn single(bytes: Vec<u8>) -> FilesByName {
    FilesByName::from([("config.json".to_owned(), br#"{"width": 2}"#.to_vec()), ("model.safetensors".to_owned(), bytes)])
}

/// The same files with one of them changed.
fn changed(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> FilesByName {
    let mut files = sharded();
    change(files.get_mut(file).expect("a file of the model"));
    files
}

#[test]
fn weights_that_do_not_fit_are_refused_before_anything_is_written() {
    let mut without_shard = sharded();
    without_shard.remove("model-2.safetensors");
    let mut swapped = sharded();
    swapped.insert("model-1.safetensors".to_owned(), sharded()["model-2.safetensors"].clone());
    swapped.insert("model-2.safetensors".to_owned(), sharded()["model-1.safetensors"].clone());
    let mut complex = tensors(&[("table.weight", &[8, 2]), ("scale", &[2])]);
    let (floats, numbers) = (br#""F32","shape":[8,2]"#, br#""C64","shape":[4,2]"#);
    let place = complex.windows(floats.len()).position(|part| part == floats).expect("the type in the header");
    complex[place..place + floats.len()].copy_from_slice(numbers);
    let cases: [(&str, FilesByName, &str, &[&str]); 8] = [
        ("two missing", single(tensors(&[("other", &[2])])), "E0915", &["`table.weight`", "`scale`", "missing keys"]),
        (
            "two other shapes",
            single(tensors(&[("table.weight", &[5, 2]), ("scale", &[3])])),
            "E0916",
            &["[5, 2] for [4, 2]", "[3] for [2]"],
        ),
        ("a type without numbers", single(complex), "E0911", &["`table.weight`", "C64"]),
        ("a shard that is cut off", changed("model-1.safetensors", |bytes| bytes.truncate(bytes.len() - 1)), "E0903", &["table.weight"]),
        ("a shard of which the header is cut off", changed("model-1.safetensors", |bytes| bytes.truncate(20)), "E0902", &["model-1"]),
        ("an index that names an absent file", without_shard, "E0900", &["model-2.safetensors"]),
        ("an index that names the wrong file", swapped, "E0904", &["model.safetensors.index.json"]),
        ("an index that is none", changed("model.safetensors.index.json", |bytes| bytes.truncate(9)), "E0904", &["index"]),
    ];
    for (what, files, code, texts) in cases {
        let workspace = with_model(&files);
        for command in ["check", "run"] {
            println!("{what}, {command}");
            assert_refused(&workspace, &workspace.mgxc(&[command, "embedding.mgx"], NOWHERE), code, texts);
        }
    }
}

#[test]
fn tensors_that_nothing_asks_for_are_named() {
    let workspace = with_model(&single(tensors(&[("table.weight", &[4, 2]), ("scale", &[2]), ("lm_head.bias", &[4])])));
    for command in ["check", "run"] {
        let output = workspace.mgxc(&[command, "embedding.mgx"], NOWHERE);
        assert_passed(&output);
        assert!(errors(&output).contains("W0918") && errors(&output).contains("lm_head.bias"), "{}", errors(&output));
    }
}

/// The tests' numbers are whole and small: bfloat16 holds them all.
#[test]
fn precision_changes_the_memory_and_not_numbers_that_it_can_hold() {
    let workspace = with_model(&sharded());
    let predictions = |set: &str, out: &str| {
        assert_passed(&workspace.mgxc(&["run", "embedding.mgx", "--set", set, "--out", out], NOWHERE));
        let mut files: Vec<_> = fs::read_dir(workspace.path(out)).expect("a run").flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("embed")));
        files.sort();
        assert!(!files.is_empty(), "the run wrote no embeddings");
        files.iter().map(|path| fs::read(path).expect("a file")).collect::<Vec<_>>()
    };
    assert!(predictions("precision=f32", "whole") == predictions("precision=bf16", "half"), "other numbers");
    let bytes = |set: &str| {
        let output = workspace.mgxc(&["plan", "embedding.mgx", "--json", "--set", set], NOWHERE);
        assert_passed(&output);
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        plan["plan"]["params"].as_array().expect("parameters").iter().map(|param| param["precision"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(bytes("precision=f32"), ["f32", "f32"]);
    assert_eq!(bytes("precision=bf16"), ["bf16", "bf16"]);
    let refused = workspace.mgxc(&["check", "embedding.mgx", "--set", "precision=f16"], NOWHERE);
    assert!(!refused.status.success() && errors(&refused).contains("bf16"), "{}", errors(&refused));
}
