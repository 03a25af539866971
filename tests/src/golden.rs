//! Recorded cases: `case.json`, `expected.safetensors` and `expected.json` of a folder.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;

use crate::Outcome;
use crate::compare::Tolerance;

/// A stored tensor; whole numbers are exact up to 2⁵³.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Stored {
    /// The elements below position `index` of the first axis.
    ///
    /// # Errors
    /// Where the tensor has no such position.
    pub fn row(&self, index: usize) -> Outcome<&[f64]> {
        let width: usize = self.shape.get(1..).map_or(0, |rest| rest.iter().product());
        self.data.get(index * width..(index + 1) * width).ok_or_else(|| format!("no row {index} in a tensor of shape {:?}", self.shape))
    }

    /// The elements as f32.
    pub fn f32(&self) -> Vec<f32> {
        self.data.iter().map(|value| *value as f32).collect()
    }
}

/// The tensors of a file, which keeps count of those that were asked for.
#[derive(Debug, Default)]
pub struct Tensors {
    name: String,
    tensors: BTreeMap<String, Stored>,
    asked: RefCell<BTreeSet<String>>,
}

impl Tensors {
    /// Reads a safetensors file.
    ///
    /// # Errors
    /// Where it cannot be read, or holds other elements than f32, i64, u8 and bool.
    pub fn read(path: &Path) -> Outcome<Self> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut tensors = BTreeMap::new();
        for (key, view) in file.iter() {
            let data = match view.dtype() {
                Dtype::F32 => view.data().as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
                Dtype::I64 => view.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect(),
                Dtype::U8 | Dtype::BOOL => view.data().iter().map(|byte| f64::from(*byte)).collect(),
                other => return Err(format!("{}: `{key}` is stored as {other}", path.display())),
            };
            tensors.insert(key.to_owned(), Stored { shape: view.shape().to_vec(), data });
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, tensors, asked: RefCell::default() })
    }

    /// A tensor that must be there.
    ///
    /// # Errors
    /// Where it is not.
    pub fn get(&self, key: &str) -> Outcome<&Stored> {
        self.find(key).ok_or_else(|| format!("{} has no `{key}`", self.name))
    }

    /// A tensor that may be there.
    pub fn find(&self, key: &str) -> Option<&Stored> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.tensors.get(key)
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Keys that begin with `prefix`, without it.
    pub fn below(&self, prefix: &str) -> Vec<&str> {
        self.keys().filter_map(|key| key.strip_prefix(prefix)).collect()
    }

    /// Marks tensors as looked at whose names begin with `prefix`.
    pub fn pass_over(&self, prefix: &str) {
        let found: Vec<String> = self.keys().filter(|key| key.starts_with(prefix)).map(str::to_owned).collect();
        self.asked.borrow_mut().extend(found);
    }

    /// Recorded tensors that nobody asked for: what a test has left out.
    pub fn forgotten(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        self.tensors.keys().filter(|key| !asked.contains(*key)).cloned().collect()
    }
}

/// A recorded case.
#[derive(Debug)]
pub struct Case {
    /// The folder's path below the folder of all cases.
    pub name: String,
    pub folder: PathBuf,
    pub spec: Json,
    pub tolerance: Tolerance,
}

impl Case {
    /// Reads `case.json` of a folder.
    ///
    /// # Errors
    /// Where it cannot be read or has no tolerance.
    pub fn read(name: String, folder: PathBuf) -> Outcome<Self> {
        let spec = read_json(&folder.join("case.json"))?;
        let number = |key: &str| spec.pointer(&format!("/tolerance/{key}")).and_then(Json::as_f64);
        // Families with a tolerance of their own (learning rates, metrics) say so in other words.
        let tolerance = Tolerance { absolute: number("atol").unwrap_or(0.0), relative: number("rtol").unwrap_or(0.0) };
        Ok(Self { name, folder, spec, tolerance })
    }

    /// A text of `case.json`.
    pub fn text(&self, pointer: &str) -> &str {
        self.spec.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }

    /// A list of `case.json`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn list(&self, pointer: &str) -> Outcome<&[Json]> {
        self.spec.pointer(pointer).and_then(Json::as_array).map(Vec::as_slice).ok_or_else(|| format!("case.json has no list at {pointer}"))
    }

    /// A JSON file of the case.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn json(&self, file: &str) -> Outcome<Json> {
        read_json(&self.folder.join(file))
    }

    /// A file of tensors of the case.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn tensors(&self, file: &str) -> Outcome<Tensors> {
        Tensors::read(&self.folder.join(file))
    }
}

/// All folders with a `case.json` below a folder, in order of their names. A case may hold no other case.
///
/// # Errors
/// Where a folder or a `case.json` cannot be read.
pub fn discover(root: &Path) -> Outcome<Vec<Case>> {
    let mut cases = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        let shown = |error: std::io::Error| format!("{}: {error}", folder.display());
        if folder.join("case.json").is_file() {
            let name = folder.strip_prefix(root).unwrap_or(&folder).to_string_lossy().into_owned();
            cases.push(Case::read(name, folder)?);
            continue;
        }
        for entry in std::fs::read_dir(&folder).map_err(shown)? {
            let path = entry.map_err(shown)?.path();
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// Strings of a JSON list.
///
/// # Errors
/// Where it is no list of strings.
pub fn strings(value: &Json) -> Outcome<Vec<String>> {
    let items = value.as_array().ok_or_else(|| format!("no list of texts: {value}"))?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| format!("no text: {item}"))).collect()
}

fn read_json(path: &Path) -> Outcome<Json> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}
