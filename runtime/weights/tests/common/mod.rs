//! What the tests share: fixtures, files made by hand, readers of results.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use mgx_diag::Diagnostic;
use mgx_ir::plan::{Init, ParamSpec, Precision, WeightsSpec};
use mgx_weights::Checkpoint;

/// A file written by PyTorch: see `fixtures/make_fixtures.py`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Shape and values of a tensor.
pub fn tensor(checkpoint: &Checkpoint, key: &str) -> (Vec<u64>, Vec<f32>) {
    let info = checkpoint.get(key).unwrap_or_else(|| panic!("no tensor {key}"));
    let mut values = vec![f32::NAN; info.elements() as usize];
    checkpoint.read_f32(key, &mut values).unwrap();
    (info.shape.clone(), values)
}

/// Reads every tensor, as far as its size allows; what a program does with a file.
pub fn read_all(checkpoint: &Checkpoint) -> Result<(), Diagnostic> {
    for info in checkpoint.tensors() {
        if info.elements() < 1 << 20 {
            checkpoint.read_f32(&info.key, &mut vec![0.0; info.elements() as usize])?;
        }
    }
    Ok(())
}

/// A safetensors file with this header and data.
pub fn safetensors_bytes(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// An archive as `torch.save` writes it, around a pickle and storages.
pub fn torch_zip(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let entries = [("data.pkl".to_owned(), pickle), ("byteorder".to_owned(), b"little".as_slice())]
        .into_iter()
        .chain(storages.iter().map(|(key, bytes)| (format!("data/{key}"), *bytes)));
    for (name, bytes) in entries {
        writer.start_file(format!("archive/{name}"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Opens a file with these bytes.
pub fn open_bytes(bytes: &[u8]) -> Result<Checkpoint, Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.bin");
    std::fs::write(&path, bytes).unwrap();
    Checkpoint::open_file(&path)
}

/// The code of the error that opening these bytes gives; its message names the file.
pub fn code_of(bytes: &[u8]) -> &'static str {
    let error = open_bytes(bytes).err().unwrap_or_else(|| panic!("it opened"));
    assert!(error.message.contains("file.bin"), "{}", error.message);
    assert!(error.help.is_some(), "{}", error.message);
    assert!(mgx_diag::explain(error.code.0).is_some(), "{} has no page", error.code);
    error.code.0
}

/// A parameter that is loaded from weights 0 under its path as key.
pub fn param(path: &str, shape: &[u64], offset: u64) -> ParamSpec {
    ParamSpec {
        path: path.to_owned(),
        axes: (0..shape.len()).map(|axis| format!("axis{axis}")).collect(),
        shape: shape.to_vec(),
        key: path.to_owned(),
        init: Init::Constant(0.0),
        trainable: true,
        state: false,
        precision: Precision::F32,
        offset,
        chosen: None,
        weights: Some(0),
        adapter: None,
        from_epoch: 0,
    }
}

/// Weights in a folder, with these prefixes, patterns of ignored and of optional keys.
pub fn weights(folder: &Path, prefixes: &[&str], ignore: &[&str], optional: &[&str]) -> WeightsSpec {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    WeightsSpec {
        folder: folder.to_str().unwrap().to_owned(),
        root: String::new(),
        prefixes: owned(prefixes),
        aliases: Vec::new(),
        ignore: owned(ignore),
        optional: owned(optional),
    }
}
