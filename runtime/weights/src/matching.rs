//! Which stored tensor belongs to which parameter, and the account of all of them.

use std::collections::HashSet;

use mgx_diag::{Diagnostic, nearest};
use mgx_ir::plan::{ParamSpec, WeightsSpec};
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::dtype::Dtype;
use crate::tensor::{TensorInfo, shape_text};
use crate::wrapped::Unwrapped;

/// Every tensor of every checkpoint, and every parameter that has weights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// By the index in `Plan::weights`.
    pub weights: Vec<WeightsReport>,
}

/// The account of one checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WeightsReport {
    pub folder: String,
    /// In the order of the parameters.
    pub used: Vec<UsedTensor>,
    /// Stored keys that are not used, as the program says they may be.
    pub ignored: Vec<String>,
    /// Paths of parameters that are not stored, as the program says they may be: they keep their initial value.
    pub missing: Vec<String>,
    /// Stored keys that nothing asks for.
    pub unexpected: Vec<String>,
}

/// A stored tensor and the parameter it fills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsedTensor {
    /// Path of the parameter in the program.
    pub path: String,
    /// Key in the checkpoint, with its prefix.
    pub key: String,
    pub dtype: Dtype,
    /// As stored. Axes of extent 1 may differ from the parameter's: they do not change the order of the elements.
    pub shape: Vec<u64>,
}

impl LoadReport {
    /// One warning (`W0918`) for each checkpoint with tensors that nothing asks for.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        const SHOWN: usize = 5;
        let with_rest = self.weights.iter().filter(|report| !report.unexpected.is_empty());
        with_rest
            .map(|report| {
                let count = report.unexpected.len();
                let names: Vec<String> = report.unexpected.iter().take(SHOWN).map(|key| format!("`{key}`")).collect();
                let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
                Diagnostic::warning("W0918", format!("{count} tensors of `{}` are not used: {}{more}", report.folder, names.join(", ")))
                    .help("if that is right, list them under `ignore`; if not, the program and the checkpoint are not of the same network")
            })
            .collect()
    }

    /// Number of tensors that fill a parameter.
    pub fn used(&self) -> usize {
        self.weights.iter().map(|report| report.used.len()).sum()
    }
}

/// The key of each parameter's tensor in its checkpoint, by parameter; none where it keeps its initial value.
pub(crate) type Assignment = Vec<Option<String>>;

/// Finds the tensor of each parameter that has weights and accounts for all others. Reads no data.
///
/// # Errors
/// `E0915`: a parameter that is not optional has no tensor; `E0916`: a tensor has another shape; `E0911`: its type cannot be read;
/// `E0917`: a parameter names weights that the plan does not have.
pub(crate) fn assign(
    params: &[ParamSpec],
    weights: &[WeightsSpec],
    checkpoints: &[Checkpoint],
) -> Result<(Assignment, LoadReport), Diagnostic> {
    let mut report = LoadReport {
        weights: weights.iter().map(|spec| WeightsReport { folder: spec.folder.clone(), ..WeightsReport::default() }).collect(),
    };
    let mut assignment = vec![None; params.len()];
    let mut missing = Vec::new();
    let mut misshapen = Vec::new();
    let mut unreadable = Vec::new();
    let mut taken: Vec<HashSet<&str>> = vec![HashSet::new(); weights.len()];
    let wrapped: Vec<Unwrapped<'_>> = checkpoints.iter().map(Unwrapped::new).collect();
    for (param, assigned) in params.iter().zip(&mut assignment) {
        let Some(number) = param.weights else { continue };
        let number = number as usize;
        let (Some(spec), Some(checkpoint)) = (weights.get(number), checkpoints.get(number)) else {
            let message = format!("parameter `{}` names weights {number}, and the plan has {}", param.path, weights.len());
            return Err(Diagnostic::error("E0917", message).help("this is a fault of mgx: please report it with the program"));
        };
        let found = find(&param.key, spec, checkpoint).or_else(|| checkpoint.get(wrapped[number].of_network(&param.key)?));
        let Some(tensor) = found else {
            if spec.optional.iter().any(|pattern| matches(pattern, &param.key)) {
                report.weights[number].missing.push(param.path.clone());
            } else {
                missing.push((param, spec, checkpoint));
            }
            continue;
        };
        taken[number].insert(tensor.key.as_str());
        if !same_shape(&param.shape, &tensor.shape) {
            misshapen.push((param, tensor, checkpoint));
            continue;
        }
        if !tensor.dtype.is_readable() {
            unreadable.push((tensor, checkpoint));
            continue;
        }
        *assigned = Some(tensor.key.clone());
        let (path, key, shape) = (param.path.clone(), tensor.key.clone(), tensor.shape.clone());
        report.weights[number].used.push(UsedTensor { path, key, dtype: tensor.dtype, shape });
    }
    // What is trained whole beside a frozen network may be stored with the adapter: the network's own checkpoint has it as well.
    for param in params.iter().filter(|param| param.adapter.is_some()) {
        let Some(own) = param.weights.and_then(|own| weights.get(own as usize)) else { continue };
        for (number, (spec, checkpoint)) in weights.iter().zip(checkpoints).enumerate().filter(|(_, (spec, _))| spec.root == own.root) {
            taken[number].extend(find(&param.key, spec, checkpoint).map(|tensor| tensor.key.as_str()));
        }
    }
    if !missing.is_empty() {
        return Err(missing_tensors(&missing, misshapen.len()));
    }
    if !misshapen.is_empty() {
        return Err(wrong_shapes(&misshapen));
    }
    if let Some((tensor, checkpoint)) = unreadable.first() {
        checkpoint.check_readable(tensor).map_err(|diagnostic| {
            listed(
                diagnostic,
                "types that cannot be read",
                unreadable.iter().map(|(tensor, _)| format!("`{}` ({})", tensor.key, tensor.dtype)),
            )
        })?;
    }
    for (((spec, checkpoint), report), taken) in weights.iter().zip(checkpoints).zip(&mut report.weights).zip(&taken) {
        account_for_rest(spec, checkpoint, taken, report);
    }
    Ok((assignment, report))
}

fn account_for_rest(spec: &WeightsSpec, checkpoint: &Checkpoint, taken: &HashSet<&str>, report: &mut WeightsReport) {
    for tensor in checkpoint.tensors() {
        let key = tensor.key.as_str();
        if taken.contains(key) {
            continue;
        }
        let list = if is_listed(key, &spec.prefixes, &spec.ignore) { &mut report.ignored } else { &mut report.unexpected };
        list.push(key.to_owned());
    }
}

/// Does a key, or what is left of it without one of the prefixes, match one of these patterns? A star stands for any text.
pub fn is_listed(key: &str, prefixes: &[String], patterns: &[String]) -> bool {
    let stripped = prefixes.iter().filter_map(|prefix| key.strip_prefix(prefix.as_str()));
    std::iter::once(key).chain(stripped).any(|name| patterns.iter().any(|pattern| matches(pattern, name)))
}

/// The tensor of a key: with each prefix in order, then without one; then the same of its other names.
fn find<'c>(key: &str, spec: &WeightsSpec, checkpoint: &'c Checkpoint) -> Option<&'c TensorInfo> {
    candidates(key, spec).into_iter().find_map(|candidate| checkpoint.get(&candidate))
}

fn candidates(key: &str, spec: &WeightsSpec) -> Vec<String> {
    let others = spec.aliases.iter().filter_map(|(own, stored)| renamed(key, own, stored));
    let mut all: Vec<String> = Vec::new();
    for name in std::iter::once(key.to_owned()).chain(others) {
        for candidate in spec.prefixes.iter().map(|prefix| format!("{prefix}{name}")).chain([name.clone()]) {
            if !all.contains(&candidate) {
                all.push(candidate);
            }
        }
    }
    all
}

/// A key under its other name: what it begins with, or with a star first what it ends with, is another text.
fn renamed(key: &str, own: &str, stored: &str) -> Option<String> {
    match (own.strip_prefix('*'), stored.strip_prefix('*')) {
        (Some(own), Some(stored)) => Some(format!("{}{stored}", key.strip_suffix(own)?)),
        _ => Some(format!("{stored}{}", key.strip_prefix(own)?)),
    }
}

/// Axes of extent 1 do not change the order of the elements, so `[4, 1]` fills `[4]`.
pub fn same_shape(wanted: &[u64], stored: &[u64]) -> bool {
    let long = |shape: &[u64]| shape.iter().copied().filter(|extent| *extent != 1).collect::<Vec<_>>();
    long(wanted) == long(stored)
}

/// Does a text match a pattern in which `*` stands for any text, also none?
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the text does not fit: the last star takes one more byte.
    let mut retry = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == text.get(t) {
            p += 1;
            t += 1;
        } else if let Some((after_star, start)) = retry {
            retry = Some((after_star, start + 1));
            p = after_star;
            t = start + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Names that a note lists at most.
const LISTED: usize = 10;

/// Adds a note with all of several names, or the first of them.
fn listed(diagnostic: Diagnostic, what: &str, names: impl ExactSizeIterator<Item = String>) -> Diagnostic {
    let count = names.len();
    if count < 2 {
        return diagnostic;
    }
    let shown: Vec<String> = names.take(LISTED).collect();
    let more = if count > LISTED { format!(" and {} more", count - LISTED) } else { String::new() };
    diagnostic.note(format!("{what}: {}{more}", shown.join(", ")))
}

/// `missing` has at least one element.
fn missing_tensors(missing: &[(&ParamSpec, &WeightsSpec, &Checkpoint)], misshapen: usize) -> Diagnostic {
    let (param, spec, checkpoint) = missing[0];
    let others = missing.len() - 1;
    let shown = checkpoint.path().display();
    let and_others = if others == 0 { String::new() } else { format!(" (and none for {others} other parameters)") };
    let tried: Vec<String> = candidates(&param.key, spec).iter().map(|key| format!("`{key}`")).collect();
    let mut diagnostic = Diagnostic::error("E0915", format!("`{shown}` has no tensor for parameter `{}`{and_others}", param.path))
        .note(format!("looked for {}", tried.join(", ")));
    diagnostic = listed(diagnostic, "missing keys", missing.iter().map(|(param, ..)| format!("`{}`", param.key)));
    if misshapen > 0 {
        diagnostic = diagnostic.note(format!("{misshapen} tensors that were found have another shape"));
    }
    let keys = || checkpoint.tensors().iter().map(|tensor| tensor.key.as_str());
    if let Some(prefix) = keys().find_map(|key| key.strip_suffix(&param.key).filter(|prefix| prefix.ends_with('.'))) {
        return diagnostic.help(format!("the checkpoint has `{prefix}{}`: add `{prefix}` to the prefixes of the weights", param.key));
    }
    if let Some(near) = candidates(&param.key, spec).iter().find_map(|key| nearest(key, keys())) {
        return diagnostic.help(format!("did you mean `{near}`? The key is what `at \"…\"` says"));
    }
    diagnostic.help("check that the checkpoint is of this network, or list the key under `optional`")
}

/// `misshapen` has at least one element.
fn wrong_shapes(misshapen: &[(&ParamSpec, &TensorInfo, &Checkpoint)]) -> Diagnostic {
    let (param, tensor, checkpoint) = misshapen[0];
    let others = misshapen.len() - 1;
    let and_others = if others == 0 { String::new() } else { format!(", and {others} other tensors differ too") };
    let message = format!(
        "tensor `{}` of `{}` is {}, and parameter `{}` is {}{and_others}",
        tensor.key,
        checkpoint.path().display(),
        shape_text(&tensor.shape),
        param.path,
        shape_text(&param.shape)
    );
    let axes: Vec<String> = param.axes.iter().zip(&param.shape).map(|(axis, extent)| format!("{axis} = {extent}")).collect();
    let diagnostic = Diagnostic::error("E0916", message).note(format!("the parameter's axes are {}", axes.join(", ")));
    let differ = |(param, tensor, _): &(&ParamSpec, &TensorInfo, &Checkpoint)| {
        format!("`{}` {} for {}", tensor.key, shape_text(&tensor.shape), shape_text(&param.shape))
    };
    listed(diagnostic, "stored and wanted shapes", misshapen.iter().map(differ))
        .help("give the network the sizes of this checkpoint (its config.json has them), or use the checkpoint that fits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("*.inv_freq", "layer.0.rotary.inv_freq", true),
            ("*.inv_freq", "inv_freq", false),
            ("lm_head.*", "lm_head.dense.weight", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("*", "", true),
            ("", "x", false),
            ("exact", "exact", true),
            ("**x", "x", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn other_names_are_beginnings_or_ends() {
        assert_eq!(renamed("stem.0.weight", "stem.", "_trunk.1."), Some("_trunk.1.0.weight".to_owned()));
        assert_eq!(renamed("a.stem.weight", "stem.", "_trunk.1."), None);
        assert_eq!(renamed("norm.weight", "*.weight", "*.gamma"), Some("norm.gamma".to_owned()));
        assert_eq!(renamed("norm.weights", "*.weight", "*.gamma"), None);
    }

    #[test]
    fn only_unit_axes_may_differ() {
        assert!(same_shape(&[4, 3], &[4, 3, 1]));
        assert!(same_shape(&[], &[1]));
        assert!(!same_shape(&[4, 3], &[3, 4]));
        assert!(!same_shape(&[4, 3], &[12]));
    }
}
