//! `mgxc run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use mgx_compiler::check::Override;
use mgx_data::Part;
use mgx_diag::Diagnostic;
use mgx_ir::plan::{Plan, TrainSpec};
use mgx_runtime::{FitReport, Interrupt, Metrics, ProgressMode, RunFolder, Session, Settings, Stop, Strictness};
use serde_json::{Map, Value};

use super::prepare::{Labels, Prepared, prediction_rows, prepare};
use super::{folds, resources, sweeps};
use crate::cache::cache;
use crate::cli::{RunOptions, Stage};
use crate::report;

/// Where runs go that are not given a folder.
const RUNS: &str = "runs";
/// The exit code after an interrupt, as shells have it.
const INTERRUPTED: u8 = 130;

/// Trains, evaluates and predicts as the experiment says.
pub fn run(options: &RunOptions) -> ExitCode {
    let prepared = match prepared(options, options.fold) {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let sources = prepared.sources.clone();
    let result = match prepared.sweep.clone() {
        Some(sweep) if options.member.is_none() => sweeps::run(options, prepared, &sweep),
        None if options.member.is_some() => Err(Diagnostic::error("E0217", format!("`{}` is no sweep", prepared.plan.name))
            .help("leave out `--member`, or write `sweep { seed = [0, 1, 2] }` in the experiment")),
        _ => run_one(options, prepared).map(|done| done.code),
    };
    result.unwrap_or_else(|diagnostic| report::fail(&diagnostic, &sources))
}

/// The experiment, with one of its folds if it has some, and the member of its sweep that the options name.
pub fn prepared(options: &RunOptions, fold: Option<u64>) -> Result<Prepared, ExitCode> {
    let labels = if options.stage == Some(Stage::Predict) { Labels::Ignored } else { Labels::Needed };
    let overrides: Vec<Override> =
        options.overrides.iter().cloned().chain(options.member.map(|member| sweeps::choice(options.experiment.as_ref(), member))).collect();
    prepare(&options.file, options.experiment.as_deref(), &overrides, labels, fold)
}

/// How an experiment, or all folds of it, ended.
pub struct Ended {
    pub code: ExitCode,
    /// The metrics of the test part, where it was evaluated; their means over the folds.
    pub test: Map<String, Value>,
}

/// Runs one experiment: all of its folds if it has some and none is chosen.
pub fn run_one(options: &RunOptions, prepared: Prepared) -> Result<Ended, Diagnostic> {
    match folds::count(&prepared) {
        Some(count) if options.fold.is_none() => folds::run(options, prepared, count),
        _ => {
            let done = run_stages(options, prepared, options.out.as_deref())?;
            Ok(Ended { code: done.code, test: done.test.map(|test| test.to_json()).unwrap_or_default() })
        }
    }
}

/// How a run ended.
pub struct Done {
    pub code: ExitCode,
    /// The metrics of the test part, where it was evaluated.
    pub test: Option<Metrics>,
}

/// Runs what the options name, in the folder `out` or a new one.
pub fn run_stages(options: &RunOptions, prepared: Prepared, out: Option<&Path>) -> Result<Done, Diagnostic> {
    // The plan of prediction alone does not say how to train.
    let trains = prepared.experiment.train.is_some();
    let on = prepared.experiment.predict.on.clone();
    let stage = options.stage;
    let fits = trains && matches!(stage, None | Some(Stage::Fit));
    let weights = Some(prepared.weight_folders()?);
    let summary = prepared.summary();
    let (resolved, imported) = (prepared.resolved, prepared.imported);
    let settings =
        Settings { folder: prepared.folder, weights, progress: ProgressMode::Auto, interrupt: Interrupt::on_signals()?, cache: cache()? };
    let mut session = Session::new(prepared.plan, prepared.data, settings)?;
    if !options.resume && options.checkpoint.is_none() && (fits || !trains) {
        // Before there is a folder, so that weights that cannot be loaded leave nothing behind.
        session.prepare()?;
        report::print(&session.load_report().warnings(), &prepared.sources);
    }
    if let Some(path) = &options.checkpoint {
        restore(&mut session, path, options)?;
        report::print(&session.load_report().warnings(), &prepared.sources);
    }
    if options.reset_optimizer {
        session.reset_optimizer();
    }
    let existing = options.resume || (trains && !fits && options.checkpoint.is_none());
    let run = run_folder(out, session.plan(), &resolved, existing)?;
    if !existing {
        run.write_imports(&imported)?;
        run.write_loading(session.load_report(), session.restore_report())?;
    }
    if !fits && !existing {
        run.write_lock(&session.lock()?)?;
    }
    let predicted = if matches!(stage, None | Some(Stage::Predict)) { prediction_rows(session.data(), on.as_deref())? } else { Vec::new() };
    // The other stages only read a run, whose own figures stay.
    let whole = fits || !trains;
    let forecast = if whole {
        let done = if options.resume { run.steps_done()? } else { 0 };
        session.forecast(done, &predicted)?
    } else {
        None
    };
    let mut resources = resources::print_forecast(&summary, forecast.as_ref());
    let started = Instant::now();
    if fits {
        let report = session.fit(&run, options.resume)?;
        if report.stop == Stop::Interrupted {
            print_interrupted(options, &report, &run);
            return Ok(Done { code: ExitCode::from(INTERRUPTED), test: None });
        }
        print_fit(&report, session.plan().train.as_ref());
        resources.samples_per_s = (report.samples > 0).then(|| report.samples as f64 / report.seconds.max(1e-9));
    } else if trains && options.checkpoint.is_none() {
        let source = session.restore(run.path(), Strictness::Strict)?;
        report::line(format_args!("parameters: {source}"));
    }
    if stage == Some(Stage::Validate) {
        let evaluation = session.evaluate(Part::Valid)?;
        report::line(format_args!("valid: {}", evaluation.metrics.line()));
    }
    let has_labels = session.plan().evaluate.is_some();
    let mut test = None;
    if has_labels && (stage == Some(Stage::Test) || (stage.is_none() && !session.data().split().test.is_empty())) {
        let evaluation = session.test(&run)?;
        report::line(format_args!("test: {}", evaluation.metrics.line()));
        test = Some(evaluation.metrics);
    }
    if matches!(stage, None | Some(Stage::Predict)) {
        let predictions = session.predict(&predicted)?;
        for file in session.write_predictions(&predictions, run.path())? {
            report::line(format_args!("wrote {}", file.display()));
        }
    }
    resources::print_measured(&mut resources, started.elapsed());
    if let Some(frozen) = session.frozen_report() {
        resources::print_frozen(frozen);
    }
    if whole {
        run.write_resources(&resources)?;
    }
    report::line(format_args!("results are in {}", run.path().display()));
    Ok(Done { code: ExitCode::SUCCESS, test })
}

/// Takes parameters from a checkpoint, and the optimizer's state where that is wanted, and says what was found.
fn restore(session: &mut Session, path: &Path, options: &RunOptions) -> Result<(), Diagnostic> {
    let strictness = if options.relaxed { Strictness::Relaxed } else { Strictness::Strict };
    let source = session.restore(path, strictness)?;
    report::line(format_args!("parameters: {source}"));
    if let Some(found) = session.restore_report().filter(|found| !found.fits()) {
        report::line(format_args!("  {} tensors are loaded", found.used.len()));
        for line in found.lines() {
            report::line(format_args!("  {line}"));
        }
    }
    if options.with_optimizer {
        session.restore_optimizer(path)?;
    }
    Ok(())
}

/// The folder that several runs of an experiment stand in, the first of them in its folder `first`: `--out`, or a new one.
///
/// # Errors
/// E0951 where runs are to be gone on with and it is not said which; those of [`RunFolder::free_numbered`].
pub fn folder_of_runs(options: &RunOptions, prepared: &Prepared, first: &str) -> Result<PathBuf, Diagnostic> {
    match &options.out {
        Some(path) => Ok(path.clone()),
        None if options.resume => Err(Diagnostic::error("E0951", "which runs are to be gone on with is not said")
            .help(format!("name the folder that holds `{first}` by `--out`"))),
        None => RunFolder::free_numbered(Path::new(RUNS), &prepared.plan.name),
    }
}

/// The folder of the run: a new one for training, an existing one to go on with or to take the parameters from.
fn run_folder(out: Option<&Path>, plan: &Plan, program: &str, existing: bool) -> Result<RunFolder, Diagnostic> {
    let base = PathBuf::from(RUNS);
    match (out, existing) {
        (Some(path), true) => RunFolder::open(path),
        (Some(path), false) => RunFolder::create(path, plan, program),
        (None, true) => RunFolder::open(&RunFolder::newest(&base, &plan.name)?),
        (None, false) => RunFolder::create_numbered(&base, plan, program),
    }
}

fn print_fit(report: &FitReport, spec: Option<&TrainSpec>) {
    let speed = if report.seconds > 0.0 { report.samples as f64 / report.seconds } else { 0.0 };
    report::line(format_args!(
        "trained {} steps, {} epochs in {:.1} s ({speed:.0} samples/s)",
        report.steps, report.epochs, report.seconds
    ));
    let monitor = spec.map_or("", |spec| spec.monitor.as_str());
    if let (Stop::EarlyStop, Some(rule)) = (report.stop, spec.and_then(|spec| spec.early_stop.as_ref())) {
        report::line(format_args!("stopped early: {monitor} has not improved for {} epochs", rule.patience));
    }
    if let Some(best) = &report.best {
        report::line(format_args!("best: {} {:.4} in epoch {}", best.monitor, best.value, best.epoch));
    } else if report.valid.is_some() {
        report::line(format_args!("{monitor} was not defined after any epoch: the parameters are the last"));
    }
}

fn print_interrupted(options: &RunOptions, report: &FitReport, run: &RunFolder) {
    let file = options.file.display();
    let sets: String = options.overrides.iter().map(|change| format!(" --set {}={}", change.path, change.value)).collect();
    let member = options.member.map_or_else(String::new, |member| format!(" --member {member}"));
    let fold = options.fold.map_or_else(String::new, |fold| format!(" --fold {fold}"));
    report::note(format_args!(
        "stopped after step {}; go on with: mgxc run {file}{sets}{member}{fold} --out {} --resume",
        report.steps,
        run.path().display()
    ));
}
