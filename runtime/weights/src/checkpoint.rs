//! A checkpoint: named tensors in one file or several, found by the Hugging Face layout of a folder.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use half::bf16;
use mgx_diag::{Diagnostic, nearest};

use crate::mapped::MappedFile;
use crate::report::cannot_read;
use crate::safetensors_header::read_header;
use crate::shards::ShardIndex;
use crate::tensor::{TensorInfo, shape_text};
use crate::torch::{is_torch_file, read_torch};

/// What a folder is searched for, in this order.
const LAYOUTS: [(&str, bool); 4] = [
    ("model.safetensors", false),
    ("model.safetensors.index.json", true),
    ("pytorch_model.bin", false),
    ("pytorch_model.bin.index.json", true),
];
/// Endings of a file that is taken when it is the only one of its kind in a folder without a standard name.
const ENDINGS: [&str; 5] = ["safetensors", "ckpt", "pt", "pth", "bin"];

/// An open checkpoint. Files are memory-mapped: opening reads headers only, and a tensor costs memory only while it is read.
#[derive(Debug)]
pub struct Checkpoint {
    /// What was opened: a folder or a file.
    path: PathBuf,
    files: Vec<MappedFile>,
    /// In the order of their keys.
    tensors: Vec<TensorInfo>,
    index: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens a folder in Hugging Face layout: `model.safetensors`, `pytorch_model.bin` (both formats of `torch.save`), or either
    /// one sharded with its index; else the one file of another name that holds tensors. A file is opened as [`open_file`](Self::open_file) does.
    ///
    /// # Errors
    /// `E0900`: unreadable; `E0901`: no checkpoint in the folder; `E0902`, `E0903`: damaged safetensors; `E0904`: the shard index does not fit;
    /// `E0905` to `E0909`: a damaged or refused file of `torch.save`.
    pub fn open(folder: &Path) -> Result<Self, Diagnostic> {
        if !std::fs::metadata(folder).map_err(|error| cannot_read(folder, &error))?.is_dir() {
            return Self::open_file(folder);
        }
        for (name, sharded) in LAYOUTS {
            let path = folder.join(name);
            if !path.is_file() {
                continue;
            }
            if !sharded {
                return Self::open_files(folder, &[path]);
            }
            let index = ShardIndex::read(&path)?;
            let files: Vec<PathBuf> = index.files().into_iter().map(|file| folder.join(file)).collect();
            let checkpoint = Self::open_files(folder, &files)?;
            index.check(&path, &checkpoint.tensors)?;
            return Ok(checkpoint);
        }
        Self::open_files(folder, &[only_tensor_file(folder)?])
    }

    /// Opens one file, safetensors or `torch.save`'s by its content. Errors as [`open`](Self::open).
    pub fn open_file(path: &Path) -> Result<Self, Diagnostic> {
        Self::open_files(path, &[path.to_owned()])
    }

    fn open_files(path: &Path, paths: &[PathBuf]) -> Result<Self, Diagnostic> {
        let mut files = Vec::with_capacity(paths.len());
        let mut tensors = Vec::new();
        let mut metadata = BTreeMap::new();
        for (number, path) in paths.iter().enumerate() {
            let file = MappedFile::open(path)?;
            if is_torch_file(file.bytes()) {
                tensors.append(&mut read_torch(file.bytes(), number, &file.name())?);
            } else {
                let mut header = read_header(file.bytes(), number, &file.name())?;
                tensors.append(&mut header.tensors);
                metadata.append(&mut header.metadata);
            }
            files.push(file);
        }
        tensors.sort_by(|left, right| left.key.cmp(&right.key));
        if let Some(pair) = tensors.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(Diagnostic::error("E0904", format!("`{}` has tensor `{}` twice", path.display(), pair[0].key))
                .help("the folder mixes two checkpoints or the file is damaged: fetch or export it again"));
        }
        let index = tensors.iter().enumerate().map(|(index, tensor)| (tensor.key.clone(), index)).collect();
        Ok(Self { path: path.to_owned(), files, tensors, index, metadata })
    }

    /// The folder or file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that hold the tensors.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// All tensors, in the order of their keys.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor with this key.
    pub fn get(&self, key: &str) -> Option<&TensorInfo> {
        self.tensors.get(*self.index.get(key)?)
    }

    /// The text that a safetensors file carries beside its tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Reads a tensor in row-major order as `f32`: 64-bit floats and integers beyond 2²⁴ are rounded to nearest, booleans are 0 and 1.
    ///
    /// # Errors
    /// `E0910`: no such tensor, or `out` has another number of elements; `E0911`: its type has no `f32` values (complex, 8-bit floats).
    pub fn read_f32(&self, key: &str, out: &mut [f32]) -> Result<(), Diagnostic> {
        self.read(key, out.len(), |tensor, file| tensor.read(file, out))
    }

    /// As [`read_f32`](Self::read_f32), rounded to bfloat16 (to nearest, ties to even).
    pub fn read_bf16(&self, key: &str, out: &mut [bf16]) -> Result<(), Diagnostic> {
        self.read(key, out.len(), |tensor, file| tensor.read_bf16(file, out))
    }

    fn read(
        &self,
        key: &str,
        elements: usize,
        read: impl FnOnce(&TensorInfo, &MappedFile) -> std::io::Result<()>,
    ) -> Result<(), Diagnostic> {
        let tensor = self.find(key)?;
        if tensor.elements() != elements as u64 {
            let message = format!("tensor `{key}` of `{}` is {}, not {elements} numbers", self.path.display(), shape_text(&tensor.shape));
            return Err(Diagnostic::error("E0910", message));
        }
        self.check_readable(tensor)?;
        let file = self.files.get(tensor.file).ok_or_else(|| self.outside(tensor))?;
        read(tensor, file).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.outside(tensor),
            _ => cannot_read(&file.path, &error),
        })
    }

    /// The stored bytes of a tensor, little-endian and row-major, without a copy.
    ///
    /// # Errors
    /// `E0910`: no such tensor, or its elements do not lie one after another.
    pub fn bytes(&self, key: &str) -> Result<&[u8], Diagnostic> {
        let tensor = self.find(key)?;
        if !tensor.is_contiguous() {
            let message = format!("the elements of tensor `{key}` of `{}` do not lie one after another", self.path.display());
            return Err(Diagnostic::error("E0910", message).help("read it as f32"));
        }
        self.files.get(tensor.file).and_then(|file| tensor.slice(file.bytes())).ok_or_else(|| self.outside(tensor))
    }

    /// The `config.json` beside the tensors. `E0912` if there is none or it is not JSON.
    pub fn config(&self) -> Result<serde_json::Value, Diagnostic> {
        let folder = if self.path.is_dir() { self.path.as_path() } else { self.path.parent().unwrap_or(Path::new(".")) };
        let path = folder.join("config.json");
        let shown = path.display();
        let bytes = std::fs::read(&path).map_err(|error| {
            Diagnostic::error("E0912", format!("cannot read `{shown}`: {error}"))
                .help("a checkpoint in Hugging Face layout has its sizes in `config.json`; fetch it too, or write the sizes in the program")
        })?;
        serde_json::from_slice(&bytes).map_err(|error| Diagnostic::error("E0912", format!("`{shown}` is not JSON: {error}")))
    }

    /// `E0911` if a tensor's type has no `f32` values.
    pub(crate) fn check_readable(&self, tensor: &TensorInfo) -> Result<(), Diagnostic> {
        if tensor.dtype.is_readable() {
            return Ok(());
        }
        let message =
            format!("tensor `{}` of `{}` has type {}, which cannot be read as f32", tensor.key, self.path.display(), tensor.dtype);
        Err(Diagnostic::error("E0911", message).help("convert it to F32, F16 or BF16, or add its key to `ignore` if it is not needed"))
    }

    fn find(&self, key: &str) -> Result<&TensorInfo, Diagnostic> {
        self.get(key).ok_or_else(|| {
            let diagnostic = Diagnostic::error("E0910", format!("`{}` has no tensor `{key}`", self.path.display()));
            match nearest(key, self.tensors.iter().map(|tensor| tensor.key.as_str())) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic,
            }
        })
    }

    fn outside(&self, tensor: &TensorInfo) -> Diagnostic {
        Diagnostic::error("E0909", format!("tensor `{}` of `{}` is not within its file", tensor.key, self.path.display()))
            .help("the file changed while it was open: try again")
    }
}

/// The file that the weights of a folder with these names are opened by, as [`Checkpoint::open`] chooses: a file of tensors, or the index
/// (`….json`) of several.
pub fn weight_file(names: &[String]) -> Option<&str> {
    let standard = LAYOUTS.iter().find_map(|(wanted, _)| names.iter().find(|name| name == wanted));
    let is_tensors = |name: &str| Path::new(name).extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
    let mut others = names.iter().filter(|name| !name.contains('/') && is_tensors(name));
    let only = || others.next().filter(|_| others.next().is_none());
    standard.or_else(only).map(String::as_str)
}

/// The names of the files that an index of shards lists. `E0900`, `E0904` as [`Checkpoint::open`].
pub fn shard_names(index: &Path) -> Result<Vec<String>, Diagnostic> {
    Ok(ShardIndex::read(index)?.files().into_iter().map(str::to_owned).collect())
}

/// The one file with tensors in a folder that has none of the standard names. `E0901` if there is none or more than one.
fn only_tensor_file(folder: &Path) -> Result<PathBuf, Diagnostic> {
    let read = |error| cannot_read(folder, &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.is_file() && path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending)) {
            found.push(path);
        }
    }
    found.sort();
    if found.len() == 1
        && let Some(path) = found.pop()
    {
        return Ok(path);
    }
    let names: Vec<String> = found.iter().filter_map(|path| Some(format!("`{}`", path.file_name()?.to_string_lossy()))).collect();
    let shown = folder.display();
    let diagnostic = Diagnostic::error("E0901", format!("`{shown}` holds no checkpoint under a standard name"))
        .help("expected model.safetensors or pytorch_model.bin (or one of them with .index.json), or the path of the file itself");
    Err(if names.is_empty() { diagnostic } else { diagnostic.note(format!("it could be any of {}", names.join(", "))) })
}
