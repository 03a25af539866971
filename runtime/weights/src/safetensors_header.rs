//! The header of a safetensors file, checked in full before a tensor is believed.
//!
//! The layout is eight bytes of header length (little-endian), the header as JSON, and the data:
//! <https://huggingface.co/docs/safetensors>. Read here and not with the `safetensors` crate because its checks do not say which tensor is
//! wrong, let a repeated key through, and overflow on hostile offsets; the crate is the oracle in the tests.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use mgx_diag::Diagnostic;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::dtype::Dtype;
use crate::tensor::{TensorInfo, checked_elements, shape_text};

/// The specification's limit on the header.
pub(crate) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What a header says.
pub(crate) struct Header {
    /// `__metadata__`: free text by name.
    pub metadata: BTreeMap<String, String>,
    /// In the order of their data.
    pub tensors: Vec<TensorInfo>,
}

/// Reads and checks the header of a whole file. `file` numbers the tensors' file, `name` is for messages.
/// `E0902`: the header cannot be read; `E0903`: a tensor's offsets, shape and type do not fit the file.
pub(crate) fn read_header(bytes: &[u8], file: usize, name: &str) -> Result<Header, Diagnostic> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| bad_header(name, "it is shorter than 8 bytes"))?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(bad_header(name, &format!("it announces a header of {length} bytes; the format allows {MAX_HEADER_BYTES}")));
    }
    let Some((json, data)) = rest.split_at_checked(length as usize) else {
        return Err(bad_header(name, &format!("it announces a header of {length} bytes, and {} follow", rest.len())));
    };
    let raw: RawHeader = serde_json::from_slice(json).map_err(|error| bad_header(name, &format!("its header is not valid: {error}")))?;
    if let Some(key) = raw.repeated {
        return Err(bad_header(name, &format!("`{key}` is in it twice")));
    }
    let data_start = 8 + length;
    let mut tensors = Vec::with_capacity(raw.tensors.len());
    for (key, entry) in raw.tensors {
        tensors.push((entry.data_offsets, check_tensor(key, &entry, file, data_start, data.len() as u64, name)?));
    }
    // Empty tensors sort before the tensor that begins where they are.
    tensors.sort_by(|(left, a), (right, b)| left.cmp(right).then_with(|| a.key.cmp(&b.key)));
    check_cover(&tensors, data.len() as u64, name)?;
    Ok(Header { metadata: raw.metadata, tensors: tensors.into_iter().map(|(_, tensor)| tensor).collect() })
}

fn check_tensor(key: String, entry: &Entry, file: usize, data_start: u64, data_bytes: u64, name: &str) -> Result<TensorInfo, Diagnostic> {
    let (begin, end) = entry.data_offsets;
    if begin > end || end > data_bytes {
        return Err(bad_tensor(name, &key, &format!("its bytes {begin}..{end} are not within the {data_bytes} bytes of data")));
    }
    let Some(dtype) = Dtype::from_name(&entry.dtype) else {
        return Err(bad_tensor(name, &key, &format!("its type `{}` is not one of the format", entry.dtype)));
    };
    let needed = checked_elements(&entry.shape).and_then(|elements| dtype.bytes_of(elements));
    if needed != Some(end - begin) {
        let needed = needed.map_or_else(|| "more than can be counted".to_owned(), |bytes| format!("{bytes} bytes"));
        let shape = shape_text(&entry.shape);
        return Err(bad_tensor(name, &key, &format!("{dtype} {shape} needs {needed}, and it has {} bytes", end - begin)));
    }
    Ok(TensorInfo { key, dtype, shape: entry.shape.clone(), file, offset: data_start + begin, strides: None, number: None })
}

/// The format's rule: the tensors cover the data, without overlap and without holes.
fn check_cover(tensors: &[((u64, u64), TensorInfo)], data_bytes: u64, name: &str) -> Result<(), Diagnostic> {
    let mut covered = 0;
    for ((begin, end), tensor) in tensors {
        if *begin != covered {
            let what = if *begin < covered { "overlaps the tensor before it" } else { "leaves a hole after the tensor before it" };
            return Err(bad_tensor(name, &tensor.key, &format!("it begins at byte {begin} and {what}, which ends at byte {covered}")));
        }
        covered = *end;
    }
    if covered != data_bytes {
        let message = format!("`{name}`: the tensors end at byte {covered} of {data_bytes} bytes of data");
        return Err(Diagnostic::error("E0903", message).help(REPLACE));
    }
    Ok(())
}

const REPLACE: &str = "the file is damaged or was cut off while it was copied: fetch or export it again";

fn bad_header(name: &str, what: &str) -> Diagnostic {
    Diagnostic::error("E0902", format!("`{name}` is not a safetensors file: {what}")).help(REPLACE)
}

fn bad_tensor(name: &str, key: &str, what: &str) -> Diagnostic {
    Diagnostic::error("E0903", format!("`{name}`: tensor `{key}`: {what}")).help(REPLACE)
}

#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header as it is written. By hand because a map would keep only the last of a repeated key.
#[derive(Default)]
struct RawHeader {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Entry)>,
    repeated: Option<String>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one entry for each tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut header = RawHeader::default();
                let mut seen = HashSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        header.repeated.get_or_insert_with(|| key.clone());
                    }
                    if key == "__metadata__" {
                        header.metadata = map.next_value()?;
                    } else {
                        let entry = map.next_value().map_err(|error| A::Error::custom(format!("tensor `{key}`: {error}")))?;
                        header.tensors.push((key, entry));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}
