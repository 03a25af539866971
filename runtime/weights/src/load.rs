//! Loading weights into the parameter memory.

use std::path::Path;

use mgx_diag::Diagnostic;
use mgx_ir::plan::{ParamSpec, Precision, WeightsSpec};
use rayon::prelude::*;

use crate::checkpoint::Checkpoint;
use crate::matching::{LoadReport, assign};
use crate::memory::parameter_slices;

/// Opens the checkpoint of each of the plan's weights. Relative folders start at `base`. Errors as [`Checkpoint::open`].
pub fn open_all(weights: &[WeightsSpec], base: &Path) -> Result<Vec<Checkpoint>, Diagnostic> {
    weights.iter().map(|spec| Checkpoint::open(&base.join(&spec.folder))).collect()
}

/// Fills every parameter that has weights from its checkpoint; the others, and optional ones that are not stored, are left as they are.
/// `memory` is the parameter memory: each parameter at its offset, row-major, in its precision. Relative folders start at the working directory.
///
/// # Errors
/// As [`Checkpoint::open`]; `E0915`: a tensor is missing; `E0916`: one has another shape; `E0911`: one has a type that cannot be read;
/// `E0917`: the memory is not the plan's. Nothing is written to `memory` on any of these.
pub fn load(params: &[ParamSpec], weights: &[WeightsSpec], memory: &mut [u8]) -> Result<LoadReport, Diagnostic> {
    load_opened(params, weights, &open_all(weights, Path::new(""))?, memory)
}

/// [`load`] from checkpoints that are open already, one for each of `weights`.
pub fn load_opened(
    params: &[ParamSpec],
    weights: &[WeightsSpec],
    checkpoints: &[Checkpoint],
    memory: &mut [u8],
) -> Result<LoadReport, Diagnostic> {
    let (assignment, report) = assign(params, weights, checkpoints)?;
    let slices = parameter_slices(params, memory)?;
    let work: Vec<_> = params
        .iter()
        .zip(&assignment)
        .zip(slices)
        .filter_map(|((param, key), slice)| Some((checkpoints.get(param.weights? as usize)?, key.as_deref()?, param.precision, slice)))
        .collect();
    work.into_par_iter().try_for_each(|(checkpoint, key, precision, slice)| read_into(checkpoint, key, precision, slice))?;
    Ok(report)
}

/// Reads a tensor into the bytes of a parameter, in the precision in which it is stored there.
///
/// # Errors
/// As [`Checkpoint::read_f32`]; `E0917` if the bytes are not aligned.
pub fn read_into(checkpoint: &Checkpoint, key: &str, precision: Precision, bytes: &mut [u8]) -> Result<(), Diagnostic> {
    let misaligned = |_| {
        Diagnostic::error("E0917", "the parameter memory is not aligned to its numbers")
            .help("this is a fault of mgx: please report it with the program")
    };
    match precision {
        Precision::F32 => checkpoint.read_f32(key, bytemuck::try_cast_slice_mut(bytes).map_err(misaligned)?),
        Precision::Bf16 => checkpoint.read_bf16(key, bytemuck::try_cast_slice_mut(bytes).map_err(misaligned)?),
    }
}

/// What [`load`] would do, from the headers of the files alone. Same report, same errors.
pub fn check(params: &[ParamSpec], weights: &[WeightsSpec]) -> Result<LoadReport, Diagnostic> {
    check_opened(params, weights, &open_all(weights, Path::new(""))?)
}

/// [`check`] of checkpoints that are open already, one for each of `weights`.
pub fn check_opened(params: &[ParamSpec], weights: &[WeightsSpec], checkpoints: &[Checkpoint]) -> Result<LoadReport, Diagnostic> {
    assign(params, weights, checkpoints).map(|(_, report)| report)
}
