//! Parameters as files: every tensor under its path in the program.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use mgx_diag::Diagnostic;
use mgx_ir::plan::{ParamSpec, Precision};
use mgx_weights::{Checkpoint, TensorData, parameter_slices, read_into, save};

use crate::memory::fault;

/// The file of the parameters in a checkpoint and in a run's folder.
pub(crate) const MODEL: &str = "model.safetensors";

/// The elements of a parameter in a memory that is laid out like the parameter memory.
pub(crate) fn values<'m>(param: &ParamSpec, memory: &'m [u8]) -> Result<TensorData<'m>, Diagnostic> {
    let outside = || fault(format_args!("parameter `{}` is outside its memory", param.path));
    let start = param.offset as usize;
    let bytes = memory.get(start..start.saturating_add(param.bytes() as usize)).ok_or_else(outside)?;
    match param.precision {
        Precision::F32 => bytemuck::try_cast_slice(bytes).map(TensorData::F32).map_err(|_| outside()),
        Precision::Bf16 => bytemuck::try_cast_slice(bytes).map(TensorData::Bf16).map_err(|_| outside()),
    }
}

/// Writes parameters, or optimizer state laid out like them, as safetensors, each under its name.
///
/// # Errors
/// E0920 to E0923.
pub(crate) fn write<'p>(
    path: &Path,
    params: impl IntoIterator<Item = (&'p ParamSpec, String, &'p [u8])>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), Diagnostic> {
    let tensors = params
        .into_iter()
        .map(|(param, name, memory)| Ok((name, param.shape.clone(), values(param, memory)?)))
        .collect::<Result<Vec<_>, Diagnostic>>()?;
    save(path, tensors, metadata).map(|_| ())
}

/// Reads all tensors of a file that [`write`] made into `memory`; `prefix` stands before each path, and other tensors are left alone if
/// there is one. Parameters that checkpoints do not keep may be missing.
///
/// # Errors
/// E0954 if the file is not of these parameters; E0900 to E0911 if it cannot be read.
pub(crate) fn read(path: &Path, params: &[ParamSpec], prefix: &str, memory: &mut [u8]) -> Result<(), Diagnostic> {
    let file = Checkpoint::open_file(path)?;
    let own: HashSet<&str> = params.iter().map(|param| param.path.as_str()).collect();
    let stranger = file.tensors().iter().find(|tensor| !own.contains(tensor.key.as_str()));
    if let Some(stranger) = stranger.filter(|_| prefix.is_empty()) {
        return Err(does_not_fit(path, format_args!("it has `{}`, which the network does not", stranger.key)));
    }
    let mut keys: Vec<Option<String>> = Vec::with_capacity(params.len());
    for param in params {
        let key = format!("{prefix}{}", param.path);
        keys.push(match file.get(&key) {
            None if prefix.is_empty() && !param.is_kept() => None,
            None => return Err(does_not_fit(path, format_args!("it lacks `{key}`"))),
            Some(tensor) if tensor.shape != param.shape => {
                let message = format_args!("`{}` is {:?} in the file and {:?} in the network", tensor.key, tensor.shape, param.shape);
                return Err(does_not_fit(path, message));
            }
            Some(_) => Some(key),
        });
    }
    for ((param, key), slice) in params.iter().zip(keys).zip(parameter_slices(params, memory)?) {
        if let Some(key) = key {
            read_into(&file, &key, param.precision, slice)?;
        }
    }
    Ok(())
}

fn does_not_fit(path: &Path, what: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error("E0954", format!("`{}` is not a checkpoint of this network: {what}", path.display()))
        .help("use the program that the checkpoint was made with: it stands beside the checkpoints as `experiment.mgx`")
}
