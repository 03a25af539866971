//! An experiment small enough to look at: a backbone of some numbers for each letter, sized by its checkpoint.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Files of a folder or repository.
pub type FilesByName = BTreeMap<String, Vec<u8>>;

/// A safetensors file of `f32` tensors.
pub fn tensors(named: &[(&str, &[usize])]) -> Vec<u8> {
    let (mut entries, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in named {
        let begin = data.len();
        let count: usize = shape.iter().product();
        data.extend((0..count).flat_map(|number| (number as f32).to_le_bytes()));
        entries.insert((*name).to_owned(), serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] }));
    }
    let header = serde_json::Value::Object(entries).to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// Two shards with their index.
pub fn sharded() -> FilesByName {
    let index = serde_json::json!({ "weight_map": { "table.weight": "model-1.safetensors", "scale": "model-2.safetensors" } });
    BTreeMap::from([
        ("config.json".to_owned(), br#"{"width": 2}"#.to_vec()),
        ("model.safetensors.index.json".to_owned(), index.to_string().into_bytes()),
        ("model-1.safetensors".to_owned(), tensors(&[("table.weight", &[4, 2])])),
        ("model-2.safetensors".to_owned(), tensors(&[("scale", &[2])])),
        ("README.md".to_owned(), b"not needed".to_vec()),
    ])
}

/// A folder with an experiment, beside a home of Hugging Face.
pub struct Workspace(pub tempfile::TempDir);

impl Workspace {
    pub fn new(weights: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = format!(
            r#"
use std::tasks::embed

tokenizer letters {{
  kind       = greedy
  vocabulary = ["A", "C", "G", "T"]
  unknown    = error
}}

module Letters(width: dim, letters: dim = 4) {{
  weight: param f[letters, width] = normal(1.0) at "table.weight"
  scale: param f[width] = ones at "scale"
  fn forward(ids: i[seq]) -> f[seq, width] {{ gather(weight, ids, over = letters) * scale }}
}}

backbone letters_of: Letters(width = config("width")) {{
  input     = dna
  tokenizer = letters
}}

data rows = table("rows.tsv") {{
  sequence: dna
}}

experiment embedding {{
  encoder = letters_of(weights = {weights})
  hidden  = rows.sequence |> encoder
  task    = embed(hidden)
}}
"#
        );
        fs::write(folder.path().join("embedding.mgx"), program).expect("a file");
        fs::write(folder.path().join("rows.tsv"), "sequence\nACGT\nTT\n").expect("a file");
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn command(&self, arguments: &[&str], endpoint: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mgxc"));
        command.args(arguments).current_dir(self.0.path());
        for name in ["HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        command.env("HF_HOME", self.path("hf")).env("HF_ENDPOINT", endpoint);
        command
    }

    pub fn mgxc(&self, arguments: &[&str], endpoint: &str) -> Output {
        self.command(arguments, endpoint).output().expect("mgxc starts")
    }
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn assert_passed(output: &Output) {
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), errors(output));
}

/// Exit code 1, this code, its page, no panic, nothing written.
pub fn assert_refused(workspace: &Workspace, output: &Output, code: &str, texts: &[&str]) {
    let text = errors(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains("panicked") && text.contains(&format!("[{code}]")), "{code} is not in:\n{text}");
    for part in texts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert!(!workspace.path("runs").exists(), "a run that cannot start leaves no folder");
}
