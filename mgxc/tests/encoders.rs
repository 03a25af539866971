//! Encoders from folders of Hugging Face, as a user meets them: too long texts, wrong options, damaged and foreign checkpoints.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const PROGRAM: &str = "use std::adapters::mean_pool\nuse std::backbones::huggingface\nuse std::tasks::embed\n\
    data t = table(\"t.csv\") {\n  sequence: text\n}\n\
    experiment e {\n  encoder = huggingface(weights = folder(\"model\"))\n  vectors = t.sequence |> encoder |> mean_pool\n  task    = embed(vectors)\n}\n";

/// A folder with a program, a table with one long and one short text, and a small BERT.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/huggingface_bert_masked_lm");
    fs::create_dir(folder.path().join("model")).expect("a folder");
    for file in ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"] {
        fs::copy(golden.join(file), folder.path().join("model").join(file)).expect("a copy");
    }
    fs::write(folder.path().join("e.mgx"), PROGRAM).expect("a file");
    fs::write(folder.path().join("t.csv"), format!("sequence\n{}\nAC GT\n", "A C ".repeat(100))).expect("a file");
    folder
}

/// Success, and all that was printed.
fn mgxc(folder: &TempDir, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mgxc")).args(arguments).current_dir(folder.path()).output().expect("mgxc starts");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn refused(folder: &TempDir, arguments: &[&str], code: &str) -> String {
    let (success, text) = mgxc(folder, arguments);
    assert!(!success && text.contains(code), "{text}");
    text
}

/// The network has learned positions: a longer text has none.
#[test]
fn texts_that_are_too_long_are_cut_or_refused() {
    let folder = folder();
    let (success, text) = mgxc(&folder, &["run", "e.mgx"]);
    assert!(success && text.contains("W0551"), "{text}");
    let (_, text) = mgxc(&folder, &["run", "e.mgx", "--set", "encoder.max_length=none"]);
    assert!(text.contains("W0551"), "{text}");
    refused(&folder, &["run", "e.mgx", "--set", "encoder.too_long=error"], "E0530");
    refused(&folder, &["check", "e.mgx", "--set", "encoder.max_length=1000"], "E0317");
}

#[test]
fn options_are_those_of_the_network_that_the_checkpoint_has() {
    let folder = folder();
    let text = refused(&folder, &["check", "e.mgx", "--set", "encoder.hiden_dropout=0.2"], "E0206");
    assert!(text.contains("did you mean `hidden_dropout`"), "{text}");
    // An option of ESM.
    refused(&folder, &["check", "e.mgx", "--set", "encoder.token_dropout=true"], "E0206");
    let (success, text) = mgxc(&folder, &["check", "e.mgx", "--set", "encoder.hidden_dropout=0.2"]);
    assert!(success, "{text}");
}

#[test]
fn damaged_and_foreign_checkpoints_are_refused() {
    let write = |folder: &TempDir, file: &str, text: &str| fs::write(folder.path().join("model").join(file), text).expect("a file");
    let damaged = folder();
    // JSON with a vocabulary, which the library refuses.
    write(&damaged, "tokenizer.json", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}}");
    refused(&damaged, &["check", "e.mgx"], "E0533");
    write(&damaged, "tokenizer.json", "version https://git-lfs.github.com/spec/v1");
    refused(&damaged, &["check", "e.mgx"], "E0326");
    let config = fs::read_to_string(damaged.path().join("model/config.json")).expect("a file");
    for (from, to, code) in [
        ("\"bert\"", "\"gpt2\"", "E0325"),
        ("\"absolute\"", "\"relative_key\"", "E0313"),
        ("\"gelu\"", "\"gelu_python\"", "E0313"),
        ("\"vocab_size\": 18", "\"vocab_size\": 4", "E0329"),
    ] {
        let foreign = folder();
        assert!(config.contains(from), "{config}");
        write(&foreign, "config.json", &config.replace(from, to));
        refused(&foreign, &["check", "e.mgx"], code);
    }
}
