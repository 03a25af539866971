//! Writing safetensors. By hand because the `safetensors` crate does not synchronise what it writes and orders metadata at random: here
//! equal tensors and metadata give equal bytes.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use half::bf16;
use mgx_diag::Diagnostic;
use serde_json::{Map, Value, json};

use crate::atomic::write_atomically;
use crate::dtype::Dtype;
use crate::safetensors_header::MAX_HEADER_BYTES;
use crate::tensor::{checked_elements, shape_text};

/// The elements of a tensor to be written, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TensorData<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U64(&'a [u64]),
}

impl<'a> TensorData<'a> {
    /// The type it is stored as.
    pub const fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::Bf16(_) => Dtype::BF16,
            Self::I32(_) => Dtype::I32,
            Self::I64(_) => Dtype::I64,
            Self::U8(_) => Dtype::U8,
            Self::U64(_) => Dtype::U64,
        }
    }

    /// Number of elements.
    pub const fn elements(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::U64(values) => values.len(),
        }
    }

    /// Its bytes, little-endian (as the machine's are).
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::F32(values) => bytemuck::cast_slice(values),
            Self::Bf16(values) => bytemuck::cast_slice(values),
            Self::I32(values) => bytemuck::cast_slice(values),
            Self::I64(values) => bytemuck::cast_slice(values),
            Self::U8(values) => values,
            Self::U64(values) => bytemuck::cast_slice(values),
        }
    }
}

/// Writes a safetensors file of (name, shape, elements) in full or not at all, as [`write_atomically`]. The order of the tensors in
/// the file is by size of element, then by name, whatever the order they come in. Gives the number of bytes written.
///
/// # Errors
/// `E0923`: two tensors have one name, or elements and shape do not agree; `E0920` to `E0922` as [`write_atomically`].
pub fn save<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Vec<u64>, TensorData<'a>)>,
    metadata: &BTreeMap<String, String>,
) -> Result<u64, Diagnostic> {
    let mut tensors: Vec<_> = tensors.into_iter().collect();
    tensors.sort_by(|(left_name, _, left), (right_name, _, right)| {
        right.dtype().bits().cmp(&left.dtype().bits()).then_with(|| left_name.cmp(right_name))
    });
    let header = header(path, &tensors, metadata)?;
    let data: u64 = tensors.iter().map(|(_, _, data)| data.bytes().len() as u64).sum();
    write_atomically(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        tensors.iter().try_for_each(|(_, _, data)| writer.write_all(data.bytes()))
    })?;
    Ok(8 + header.len() as u64 + data)
}

/// The header, padded with spaces so that the data begins at a multiple of 8 bytes.
fn header(path: &Path, tensors: &[(String, Vec<u64>, TensorData<'_>)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, Diagnostic> {
    let invalid = |what: String| Diagnostic::error("E0923", format!("cannot write `{}`: {what}", path.display()));
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut position = 0u64;
    for (name, shape, data) in tensors {
        if checked_elements(shape) != Some(data.elements() as u64) {
            return Err(invalid(format!("tensor `{name}` of shape {} has {} elements", shape_text(shape), data.elements())));
        }
        let end = position + data.bytes().len() as u64;
        let entry = json!({ "dtype": data.dtype().name(), "shape": shape, "data_offsets": [position, end] });
        if name == "__metadata__" || entries.insert(name.clone(), entry).is_some() {
            return Err(invalid(format!("the name `{name}` is taken")));
        }
        position = end;
    }
    let mut header = Value::Object(entries).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() as u64 > MAX_HEADER_BYTES {
        return Err(invalid(format!("its header would have {} bytes", header.len())));
    }
    Ok(header)
}
