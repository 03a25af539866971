//! What `plan` and `run` have in common: from the command line to a plan, with the data at hand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mgx_compiler::check::{Elaborated, Override, Sweep, Template, check, elaborate};
use mgx_compiler::plan::{self, Summary};
use mgx_data::{Part, Truncation};
use mgx_diag::{Diagnostic, Label, SourceMap};
use mgx_ir::plan::{DataSpec, Plan, SplitSpec, WeightsSpec};
use mgx_runtime::{Data, DataSource};

use crate::hub::Hub;
use crate::report;
use crate::world::Folder;

/// An experiment that is ready to run.
pub struct Prepared {
    pub sources: SourceMap,
    /// The folder of the experiment's file.
    pub folder: PathBuf,
    pub hub: Hub,
    pub experiment: Elaborated,
    /// The program as it is run.
    pub resolved: String,
    /// The files that it imports: paths and texts.
    pub imported: Vec<(String, String)>,
    pub plan: Plan,
    pub data: Data,
    /// The sweep that it is a member of.
    pub sweep: Option<Sweep>,
}

impl Prepared {
    /// The folder of each of the plan's weights; those of the hub are fetched if they are not in its cache.
    ///
    /// # Errors
    /// As [`Hub::weights`], with the place in the program.
    pub fn weight_folders(&self) -> Result<Vec<PathBuf>, Diagnostic> {
        let folder = |(index, weights): (usize, &WeightsSpec)| {
            if !Hub::names(&weights.folder) {
                return Ok(self.folder.join(&weights.folder));
            }
            self.hub.weights(&weights.folder).map_err(|mut diagnostic| {
                let span = self.experiment.networks.get(index).map(|network| network.span);
                diagnostic.labels.extend(span.map(|span| Label { span, text: "these weights".to_owned() }));
                diagnostic
            })
        };
        self.plan.weights.iter().enumerate().map(folder).collect()
    }

    /// What a run takes. Where the part to predict has no rows, which running says, nothing is predicted.
    pub fn summary(&self) -> Summary {
        let predicted = prediction_rows(&self.data, self.experiment.predict.on.as_deref()).unwrap_or_default();
        let lengths: Vec<Vec<u64>> = predicted.iter().map(|row| self.data.inputs().lengths(*row)).collect();
        plan::summarize(&self.plan, self.data_bytes(), &lengths)
    }

    /// Size of the data files.
    fn data_bytes(&self) -> u64 {
        self.plan.data.iter().map(|spec| mgx_data::bytes_of(spec, &self.folder)).sum()
    }
}

/// The rows to predict: those that the experiment names, else the test part, else all.
///
/// # Errors
/// E0522 for a part without rows.
pub fn prediction_rows(data: &Data, on: Option<&str>) -> Result<Vec<u64>, Diagnostic> {
    let split = data.split();
    let part = match on {
        Some("train") => Part::Train,
        Some("valid") => Part::Valid,
        Some("test") => Part::Test,
        Some(_) => return Ok(data.all_rows()),
        None if split.test.is_empty() => return Ok(data.all_rows()),
        None => Part::Test,
    };
    Ok(data.rows(part)?.to_vec())
}

/// Whether labels are needed: they are not for prediction alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    Needed,
    Ignored,
}

/// Checks a file and makes the plan of an experiment of it, with `fold` of its folds. Findings are printed.
///
/// # Errors
/// The exit code, after an error was printed.
pub fn prepare(
    file: &Path,
    experiment: Option<&str>,
    overrides: &[Override],
    labels: Labels,
    fold: Option<u64>,
) -> Result<Prepared, ExitCode> {
    let (mut world, name) = Folder::of(file);
    world.labels = labels == Labels::Needed;
    let checked = check(&world, &name, overrides);
    report::print(&checked.diagnostics, &checked.sources);
    if !checked.is_ok() {
        return Err(ExitCode::FAILURE);
    }
    let (sources, resolved, imported, sweeps) = (checked.sources, checked.resolved, checked.imported, checked.sweeps);
    let mut evaluation = choose(checked.experiments, &checked.names, &checked.templates, experiment, file)
        .map_err(|diagnostic| report::fail(&diagnostic, &sources))?;
    let training = if evaluation.train.is_some() && labels == Labels::Needed {
        Some(elaborate(&world, &name, overrides, &evaluation.name, true).map_err(|(sources, diagnostics)| {
            report::print(&diagnostics, &sources);
            ExitCode::FAILURE
        })?)
    } else {
        None
    };
    let fail = |diagnostic: Diagnostic| report::fail(&diagnostic, &sources);
    if let Some(fold) = fold {
        choose_fold(&mut evaluation.data, fold).map_err(fail)?;
    }
    let sweep = sweeps.into_iter().find(|sweep| sweep.experiment == evaluation.name);
    let inputs = if labels == Labels::Needed { evaluation.inputs.clone() } else { evaluation.prediction_inputs() };
    let source = DataSource {
        data: &evaluation.data,
        tokenizers: &evaluation.tokenizers,
        lengths: &evaluation.lengths,
        inputs: &inputs,
        folder: &world.root,
        labels: labels == Labels::Needed,
    };
    let data = Data::read(&source).map_err(fail)?;
    report::print(data.warnings(), &sources);
    if let Some(file) = data.whole() {
        report::note(format_args!("{file} is not split, without its labels: all its rows are predicted"));
    }
    report::print(&truncations(&data, &evaluation), &sources);
    let plan = plan::build(&evaluation, training.as_ref(), &data.capacity(evaluation.batch)).map_err(fail)?;
    Ok(Prepared { sources, folder: world.root, hub: world.hub, experiment: evaluation, resolved, imported, plan, data, sweep })
}

/// Makes a fold the one that is tested.
fn choose_fold(data: &mut [DataSpec], fold: u64) -> Result<(), Diagnostic> {
    let mut found = false;
    for data in data {
        if let SplitSpec::Folds(spec) = &mut data.split {
            if fold >= spec.count {
                return Err(Diagnostic::error("E0568", format!("there is no fold {fold} among the {} of `{}`", spec.count, data.name))
                    .help(format!("folds are counted from 0: 0 to {}", spec.count - 1)));
            }
            spec.fold = fold;
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    Err(Diagnostic::error("E0568", "the data of this experiment is not split into folds")
        .help("leave out `--fold`, or write `split = folds(k = 5)` in the data"))
}

/// How many sequences are cut to what a backbone takes.
fn truncations(data: &Data, experiment: &Elaborated) -> Vec<Diagnostic> {
    let warning = |cut: &Truncation| {
        let message = format!(
            "{} of {} sequences in `{}` are longer than the backbone takes and are cut",
            cut.rows,
            data.all_rows().len(),
            cut.length
        );
        let mut diagnostic = Diagnostic::warning("W0551", message)
            .note(format!("the longest has {} tokens; `max_length` is {}", cut.longest, cut.max_length))
            .help("raise `max_length`, or say `too_long = error`");
        let span = experiment.length_spans.get(cut.index);
        diagnostic.labels.extend(span.map(|span| Label { span: *span, text: "this backbone".to_owned() }));
        diagnostic
    };
    data.truncations().iter().map(warning).collect()
}

/// Reads the rows of a sound experiment as a run would, where they are read in a moment: tokens that are not known, sequences that are too long.
pub fn check_tokens(world: &Folder, experiment: &Elaborated) -> Vec<Diagnostic> {
    let bytes: u64 = experiment.data.iter().map(|spec| mgx_data::bytes_of(spec, &world.root)).sum();
    if bytes > mgx_data::MOST_BYTES_CHECKED {
        return Vec::new();
    }
    let source = DataSource {
        data: &experiment.data,
        tokenizers: &experiment.tokenizers,
        lengths: &experiment.lengths,
        inputs: &experiment.inputs,
        folder: &world.root,
        labels: true,
    };
    match Data::read(&source) {
        Ok(data) => data.warnings().iter().cloned().chain(truncations(&data, experiment)).collect(),
        Err(mut diagnostic) => {
            let span = experiment.length_spans.first();
            diagnostic.labels.extend(span.map(|span| Label { span: *span, text: "found for this backbone".to_owned() }));
            vec![diagnostic]
        }
    }
}

fn choose(
    experiments: Vec<Elaborated>,
    names: &[String],
    templates: &[Template],
    wanted: Option<&str>,
    file: &Path,
) -> Result<Elaborated, Diagnostic> {
    let template = templates.iter().find(|template| wanted.map_or(experiments.is_empty(), |name| template.name.text == name));
    if let Some(template) = template {
        return Err(template.cannot_run());
    }
    match wanted {
        Some(name) => experiments.into_iter().find(|experiment| experiment.name == name).ok_or_else(|| {
            let diagnostic = Diagnostic::error("E0213", format!("`{}` has no experiment `{name}`", file.display()));
            match mgx_diag::nearest(name, names.iter().map(String::as_str)) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!("its experiments are: {}", names.join(", "))),
            }
        }),
        None if experiments.len() > 1 => Err(Diagnostic::error("E0214", format!("`{}` has several experiments", file.display()))
            .help(format!("choose one with --experiment: {}", names.join(", ")))),
        None => experiments.into_iter().next().ok_or_else(|| {
            Diagnostic::error("E0213", format!("`{}` has no experiment", file.display())).help("declare one: `experiment name { … }`")
        }),
    }
}

/// Makes the tokenizers of the experiment, so that a definition that the library refuses is found without data.
pub fn check_tokenizers(experiment: &Elaborated) -> Vec<Diagnostic> {
    // Lists of genes have been checked with the program.
    let texts = experiment.tokenizers.iter().filter(|spec| !matches!(spec.kind, mgx_ir::plan::TokenizerKind::Genes { .. }));
    texts.filter_map(|spec| mgx_data::Tokenizer::new(spec).err()).collect()
}

/// Compares names and shapes with the headers of the checkpoints that the experiment names.
pub fn check_weights(world: &Folder, experiment: &Elaborated) -> Vec<Diagnostic> {
    if experiment.networks.is_empty() {
        return Vec::new();
    }
    let Ok(plan) = plan::build(experiment, None, &[]) else { return Vec::new() };
    let mut findings = Vec::new();
    for (index, network) in experiment.networks.iter().enumerate() {
        let mut weights = plan.weights[index].clone();
        let label = |mut diagnostic: Diagnostic| {
            diagnostic.labels.insert(0, Label { span: network.span, text: "these weights".to_owned() });
            diagnostic
        };
        // Weights are not fetched to be checked: those of the hub are compared once they are in the cache.
        let folder = if Hub::names(&weights.folder) {
            world.hub.cached_weights(&weights.folder).transpose()
        } else {
            Some(Ok(world.root.join(&weights.folder)))
        };
        match folder {
            None => continue,
            Some(Ok(folder)) => weights.folder = folder.to_string_lossy().into_owned(),
            Some(Err(diagnostic)) => {
                findings.push(label(diagnostic));
                continue;
            }
        }
        let params: Vec<_> = plan
            .params
            .iter()
            .filter(|param| param.weights == Some(index as u32))
            .cloned()
            .map(|mut param| {
                param.weights = Some(0);
                param
            })
            .collect();
        let result = mgx_weights::check(&params, &[weights]);
        let found = match result {
            Ok(report) => report.warnings(),
            Err(diagnostic) => vec![diagnostic],
        };
        findings.extend(found.into_iter().map(label));
    }
    findings
}
