//! Files of `torch.save`: a zip archive with a pickle and one entry for each storage (since PyTorch 1.6), or the older layout of
//! five pickles followed by the storages. Both give the same list of tensors.

use std::collections::HashMap;
use std::io::Cursor;

use mgx_diag::Diagnostic;
use zip::{CompressionMethod, ZipArchive};

use crate::pickle::{MAX_PICKLE_BYTES, Machine, Node, Pickled, Stored, named_tensors};
use crate::tensor::{TensorInfo, strides_are_contiguous};

/// How a zip archive begins.
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
/// `torch.serialization.MAGIC_NUMBER`, the first pickle of the older layout, as the bytes of its LONG1.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// `torch.serialization.PROTOCOL_VERSION`, the second pickle.
const LEGACY_VERSION: i64 = 1001;

/// Does a file begin as one of `torch.save` does?
pub(crate) fn is_torch_file(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP_MAGIC) || bytes.starts_with(&[0x80, 2, 0x8a, 10])
}

/// Lists the tensors of a whole file. `file` numbers the tensors' file, `name` is for messages.
/// `E0905`: the container is damaged; `E0906` to `E0909`: see [`crate::pickle`].
pub(crate) fn read_torch(bytes: &[u8], file: usize, name: &str) -> Result<Vec<TensorInfo>, Diagnostic> {
    if bytes.starts_with(ZIP_MAGIC) { read_zip(bytes, file, name) } else { read_legacy(bytes, file, name) }
}

/// A range of the file: first byte and length.
type Range = (u64, u64);

fn read_zip(bytes: &[u8], file: usize, name: &str) -> Result<Vec<TensorInfo>, Diagnostic> {
    let entries = zip_entries(bytes, name)?;
    let mut pickles = entries.iter().filter_map(|(entry, range)| Some((entry.strip_suffix("data.pkl")?, *range)));
    let Some((folder, (start, length))) = pickles.next() else {
        return Err(damaged(name, "the archive has no `data.pkl`"));
    };
    if pickles.next().is_some() {
        return Err(damaged(name, "the archive has more than one `data.pkl`"));
    }
    if let Some((start, length)) = entries.get(&format!("{folder}byteorder"))
        && part(bytes, *start, *length) != Some(b"little")
    {
        return Err(damaged(name, "it was written on a machine with another byte order")
            .help("load and save it again with PyTorch on this machine"));
    }
    let Some(pickle) = part(bytes, start, length) else {
        return Err(damaged(name, "`data.pkl` is not within the file"));
    };
    if pickle.len() > MAX_PICKLE_BYTES {
        let message = format!("`{name}`: the pickle has {} bytes; at most {MAX_PICKLE_BYTES} are read", pickle.len());
        return Err(Diagnostic::error("E0908", message).help("save the state dict as safetensors"));
    }
    let pickled = Machine::run(name, pickle, 0)?;
    let mut starts = Vec::with_capacity(pickled.storages.len());
    for storage in &pickled.storages {
        match entries.get(&format!("{folder}data/{}", storage.key)) {
            Some((start, length)) if *length >= storage.bytes => starts.push(*start),
            Some((_, length)) => {
                let what = format!("storage `{}` should have {} bytes and has {length}", storage.key, storage.bytes);
                return Err(damaged(name, &what));
            }
            None => return Err(damaged(name, &format!("storage `{}` is not in the archive", storage.key))),
        }
    }
    tensors(&pickled, &starts, file, name)
}

/// The entries of an archive by name. All lie uncompressed within the file, as `torch.save` writes them.
fn zip_entries(bytes: &[u8], name: &str) -> Result<HashMap<String, Range>, Diagnostic> {
    let zip_error = |error: zip::result::ZipError| damaged(name, &error.to_string());
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(zip_error)?;
    let mut entries = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(zip_error)?;
        let entry_name = entry.name().map_err(zip_error)?.into_owned();
        if entry.is_dir() {
            continue;
        }
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() || entry.compressed_size() != entry.size() {
            return Err(damaged(name, &format!("entry `{entry_name}` is compressed or encrypted")));
        }
        let range = entry.data_start().map(|start| (start, entry.size())).filter(|(start, size)| part(bytes, *start, *size).is_some());
        let Some(range) = range else {
            return Err(damaged(name, &format!("entry `{entry_name}` is not within the file")));
        };
        if entries.insert(entry_name, range).is_some() {
            return Err(damaged(name, "two entries have the same name"));
        }
    }
    Ok(entries)
}

fn part(bytes: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// The older layout: magic number, version, system, object, list of storage keys; then for each key the number of
/// elements (8 bytes) and the elements.
fn read_legacy(bytes: &[u8], file: usize, name: &str) -> Result<Vec<TensorInfo>, Diagnostic> {
    let magic = Machine::run(name, bytes, 0)?;
    let version = Machine::run(name, bytes, magic.end)?;
    if !matches!(magic.root(), Node::BigInt(magic) if *magic == LEGACY_MAGIC) || !matches!(version.root(), Node::Int(LEGACY_VERSION)) {
        return Err(damaged(name, "it is a pickle, but not one that torch.save wrote"));
    }
    let system = Machine::run(name, bytes, version.end)?;
    if !is_little_endian(&system) {
        return Err(damaged(name, "it was written on a machine with another byte order"));
    }
    let pickled = Machine::run(name, bytes, system.end)?;
    let keys = Machine::run(name, bytes, pickled.end)?;
    let Node::List(key_ids) = keys.root() else {
        return Err(damaged(name, "it has no list of storages"));
    };
    let by_key: HashMap<&str, usize> = pickled.storages.iter().enumerate().map(|(index, storage)| (storage.key, index)).collect();
    let mut starts = vec![None; pickled.storages.len()];
    let mut position = keys.end as u64;
    for id in key_ids {
        let Node::Text(key) = keys.node(*id) else {
            return Err(damaged(name, "a storage's key is not text"));
        };
        let Some(storage) = by_key.get(key).and_then(|index| pickled.storages.get(*index)) else {
            return Err(damaged(name, &format!("storage `{key}` belongs to no tensor")));
        };
        let count = part(bytes, position, 8).and_then(|count| count.try_into().ok()).map(u64::from_le_bytes);
        let start = position + 8;
        if count.and_then(|count| count.checked_mul(storage.element_bytes)) != Some(storage.bytes)
            || part(bytes, start, storage.bytes).is_none()
        {
            return Err(damaged(name, &format!("storage `{key}` is cut off or has another size than its tensors say")));
        }
        starts[by_key[key]] = Some(start);
        position = start + storage.bytes;
    }
    let starts: Option<Vec<u64>> = starts.into_iter().collect();
    tensors(&pickled, &starts.ok_or_else(|| damaged(name, "a storage is missing"))?, file, name)
}

fn is_little_endian(system: &Pickled<'_>) -> bool {
    let Node::Dict(items) = system.root() else { return false };
    items.iter().any(|(key, value)| matches!((system.node(*key), system.node(*value)), (Node::Text("little_endian"), Node::Bool(true))))
}

/// Places the tensors of a pickle in the file, given where each storage begins.
fn tensors(pickled: &Pickled<'_>, starts: &[u64], file: usize, name: &str) -> Result<Vec<TensorInfo>, Diagnostic> {
    let named = named_tensors(name, pickled)?;
    let mut tensors = Vec::with_capacity(named.len());
    for found in named {
        let raw = match found.value {
            Stored::Tensor(raw) => raw,
            Stored::Number(number) => {
                tensors.push(TensorInfo::number(found.key, number, file));
                continue;
            }
        };
        // Storages were checked to lie within the file and tensors within their storage, so the sum is within it too.
        let offset = starts.get(raw.storage).copied().unwrap_or(u64::MAX).saturating_add(raw.byte_offset);
        let strides = (!strides_are_contiguous(&raw.shape, &raw.strides)).then(|| raw.strides.clone());
        tensors.push(TensorInfo { key: found.key, dtype: raw.dtype, shape: raw.shape.clone(), file, offset, strides, number: None });
    }
    Ok(tensors)
}

fn damaged(name: &str, what: &str) -> Diagnostic {
    Diagnostic::error("E0905", format!("`{name}` is not a complete file of torch.save: {what}"))
        .help("the file is damaged or was cut off while it was copied: fetch or export it again")
}
