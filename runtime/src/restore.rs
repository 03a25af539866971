//! Parameters from a checkpoint that another experiment, or the reference, may have written: what of it is used, and the account of the rest.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use mgx_diag::Diagnostic;
use mgx_ir::plan::{ParamSpec, WeightsSpec};
use mgx_weights::{Checkpoint, TensorInfo, Unwrapped, UsedTensor, is_listed, parameter_slices, read_into, same_shape};
use serde::Serialize;

/// How well a checkpoint must fit the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strictness {
    /// It has a tensor of the right shape for every parameter that checkpoints keep, and no other tensors.
    #[default]
    Strict,
    /// What fits is loaded. Parameters that it has no tensor for keep the values that they have.
    Relaxed,
}

/// The account of a checkpoint: each of its tensors, and each parameter that checkpoints keep, is in one of these lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    pub file: PathBuf,
    pub strictness: Strictness,
    /// Tensors that filled a parameter, in the order of the parameters.
    pub used: Vec<UsedTensor>,
    /// Paths of parameters that have no tensor.
    pub missing: Vec<String>,
    /// Parameters whose tensor has another shape.
    pub misshapen: Vec<Misshapen>,
    /// Keys that no parameter asks for.
    pub unexpected: Vec<String>,
    /// Keys that are passed over: those that the program's backbones list under `ignore`, and originals of parts of which a trained copy is stored.
    pub ignored: Vec<String>,
}

/// A parameter and a tensor of its name with another shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misshapen {
    /// Path of the parameter in the program.
    pub path: String,
    pub key: String,
    pub stored: Vec<u64>,
    pub wanted: Vec<u64>,
}

/// Names that a line lists at most.
const LISTED: usize = 10;

impl RestoreReport {
    /// Is every parameter filled, and every tensor used?
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty() && self.unexpected.is_empty()
    }

    /// A line for each kind of what does not fit.
    pub fn lines(&self) -> Vec<String> {
        let misshapen = self.misshapen.iter().map(|found| format!("`{}` {:?} for {:?}", found.key, found.stored, found.wanted));
        [
            ("parameters that it has no tensor for", quoted(&self.missing)),
            ("tensors that no parameter asks for", quoted(&self.unexpected)),
            ("tensors of another shape, stored and wanted", misshapen.collect()),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| {
            let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
            format!("{what} ({}): {}{more}", names.len(), names[..names.len().min(LISTED)].join(", "))
        })
        .collect()
    }
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("`{name}`")).collect()
}

/// Reads a file of parameters into `memory`: one that mgx wrote by the paths in the program, one of the reference by the names that it gives.
///
/// # Errors
/// E0954 if it does not fit and must; E0958 if nothing of it fits; E0900 to E0911 if it cannot be read. Nothing is written then.
pub(crate) fn restore(
    path: &Path,
    params: &[ParamSpec],
    weights: &[WeightsSpec],
    strictness: Strictness,
    memory: &mut [u8],
) -> Result<RestoreReport, Diagnostic> {
    let file = Checkpoint::open_file(path)?;
    let names = Names::new(&file, params);
    let mut report = RestoreReport {
        file: path.to_owned(),
        strictness,
        used: Vec::new(),
        missing: Vec::new(),
        misshapen: Vec::new(),
        unexpected: Vec::new(),
        ignored: Vec::new(),
    };
    let found: Vec<Option<&TensorInfo>> = params.iter().map(|param| fit(param, names.tensor(param), &mut report)).collect();
    names.account_for_rest(params, weights, &mut report);
    if report.used.is_empty() {
        return Err(nothing_fits(&report));
    }
    if strictness == Strictness::Strict && !report.fits() {
        return Err(does_not_fit(&report));
    }
    for ((param, tensor), slice) in params.iter().zip(found).zip(parameter_slices(params, memory)?) {
        if let Some(tensor) = tensor {
            read_into(&file, &tensor.key, param.precision, slice)?;
        }
    }
    Ok(report)
}

/// Enters a parameter and its tensor into the account; gives the tensor where it can be read.
fn fit<'c>(param: &ParamSpec, tensor: Option<&'c TensorInfo>, report: &mut RestoreReport) -> Option<&'c TensorInfo> {
    let path = || param.path.clone();
    match tensor {
        // What checkpoints do not keep comes from its weights, or from the seed, again.
        None if !param.is_kept() => {}
        None => report.missing.push(path()),
        Some(tensor) if !same_shape(&param.shape, &tensor.shape) => {
            let (key, stored, wanted) = (tensor.key.clone(), tensor.shape.clone(), param.shape.clone());
            report.misshapen.push(Misshapen { path: path(), key, stored, wanted });
        }
        Some(tensor) => {
            report.used.push(UsedTensor { path: path(), key: tensor.key.clone(), dtype: tensor.dtype, shape: tensor.shape.clone() });
            return Some(tensor);
        }
    }
    None
}

/// The names of a file's tensors.
struct Names<'c> {
    file: &'c Checkpoint,
    /// Where the reference wrote it.
    unwrapped: Option<Unwrapped<'c>>,
}

impl<'c> Names<'c> {
    fn new(file: &'c Checkpoint, params: &[ParamSpec]) -> Self {
        let is_own = params.iter().any(|param| file.get(&param.path).is_some());
        let unwrapped = (!is_own).then(|| Unwrapped::new(file)).filter(|unwrapped| !unwrapped.is_empty());
        Self { file, unwrapped }
    }

    fn tensor(&self, param: &ParamSpec) -> Option<&'c TensorInfo> {
        let Some(unwrapped) = &self.unwrapped else { return self.file.get(&param.path) };
        let (network, head) = (|| unwrapped.of_network(&param.key), || unwrapped.of_head(&param.key));
        // A network without weights and what stands on it are not told apart by the plan. What a task keeps has its own name.
        let of_network = param.weights.is_some() || param.adapter.is_some();
        let key = if of_network { network() } else { head().or_else(network).or(Some(param.key.as_str())) };
        self.file.get(key?)
    }

    /// Enters the tensors that no parameter has taken.
    fn account_for_rest(&self, params: &[ParamSpec], weights: &[WeightsSpec], report: &mut RestoreReport) {
        let taken: HashSet<&str> = params.iter().filter_map(|param| self.tensor(param)).map(|tensor| tensor.key.as_str()).collect();
        let rest = self.file.tensors().iter().map(|tensor| tensor.key.as_str()).filter(|key| !taken.contains(key));
        let (ignored, unexpected) = rest.map(str::to_owned).partition(|key| self.is_ignored(key, weights));
        (report.ignored, report.unexpected) = (ignored, unexpected);
    }

    fn is_ignored(&self, key: &str, weights: &[WeightsSpec]) -> bool {
        let Some(unwrapped) = &self.unwrapped else { return false };
        let names = unwrapped.names(key);
        names.is_empty() || names.iter().any(|name| weights.iter().any(|spec| is_listed(name, &spec.prefixes, &spec.ignore)))
    }
}

fn does_not_fit(report: &RestoreReport) -> Diagnostic {
    let message = format!("`{}` is not a checkpoint of this network: {} of its tensors fit", report.file.display(), report.used.len());
    let found = report.lines().into_iter().fold(Diagnostic::error("E0954", message), Diagnostic::note);
    found.help("use the program that it was made with (of a run: `experiment.mgx`), or load what fits: `--relaxed`")
}

fn nothing_fits(report: &RestoreReport) -> Diagnostic {
    let message = format!("nothing of `{}` fits this network", report.file.display());
    let found = report.lines().into_iter().fold(Diagnostic::error("E0958", message), Diagnostic::note);
    found.help("parameters are found by their paths: name the parts of the experiment as in the program that the checkpoint was made with")
}
