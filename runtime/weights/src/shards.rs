//! The index of a checkpoint that is spread over several files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use mgx_diag::Diagnostic;

use crate::report::cannot_read;
use crate::tensor::TensorInfo;

/// `model.safetensors.index.json` or `pytorch_model.bin.index.json`.
#[derive(serde::Deserialize)]
pub(crate) struct ShardIndex {
    /// File name by key.
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// Reads an index. `E0904` if it is not one, or names files outside its folder.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        let text = std::fs::read(path).map_err(|error| cannot_read(path, &error))?;
        let index: Self = serde_json::from_slice(&text).map_err(|error| bad_index(path, &format!("it is not an index: {error}")))?;
        if index.weight_map.is_empty() {
            return Err(bad_index(path, "it lists no tensors"));
        }
        for file in index.weight_map.values() {
            let mut parts = Path::new(file).components();
            if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
                return Err(bad_index(path, &format!("`{file}` is not the name of a file beside it")));
            }
        }
        Ok(index)
    }

    /// The files, in the order of their names.
    pub fn files(&self) -> Vec<&str> {
        self.weight_map.values().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Is every key in the file the index gives? `tensors` number their file by its place in [`files`](Self::files). `E0904` if not.
    pub fn check(&self, path: &Path, tensors: &[TensorInfo]) -> Result<(), Diagnostic> {
        let files = self.files();
        let found: BTreeMap<&str, &str> =
            tensors.iter().filter_map(|tensor| Some((tensor.key.as_str(), *files.get(tensor.file)?))).collect();
        for (key, file) in &self.weight_map {
            match found.get(key.as_str()) {
                Some(actual) if actual == file => {}
                Some(actual) => return Err(bad_index(path, &format!("tensor `{key}` is in `{actual}` and not in `{file}`"))),
                None => return Err(bad_index(path, &format!("tensor `{key}` is not in `{file}`"))),
            }
        }
        Ok(())
    }
}

fn bad_index(path: &Path, what: &str) -> Diagnostic {
    Diagnostic::error("E0904", format!("the shard index `{}` does not fit its files: {what}", path.display()))
        .help("the folder is incomplete or mixes two checkpoints: fetch all its files again")
}
