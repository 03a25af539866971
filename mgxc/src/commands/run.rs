//! `mgxc run`.

use std::path::PathBuf;
use std::process::ExitCode;

use mgx_data::Part;
use mgx_diag::Diagnostic;
use mgx_ir::plan::Plan;
use mgx_runtime::{FitReport, Interrupt, ProgressMode, RunFolder, Session, Settings, Stop};

use super::prepare::{Labels, Prepared, prepare};
use crate::cli::{RunOptions, Stage};
use crate::report;

/// Where runs go that are not given a folder.
const RUNS: &str = "runs";
/// The exit code after an interrupt, as shells have it.
const INTERRUPTED: u8 = 130;

/// Trains, evaluates and predicts as the experiment says.
pub fn run(options: &RunOptions) -> ExitCode {
    let labels = if options.stage == Some(Stage::Predict) { Labels::Ignored } else { Labels::Needed };
    let prepared = match prepare(&options.file, options.experiment.as_deref(), &options.overrides, labels) {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let sources = prepared.sources.clone();
    match run_stages(options, prepared) {
        Ok(code) => code,
        Err(diagnostic) => report::fail(&diagnostic, &sources),
    }
}

fn run_stages(options: &RunOptions, prepared: Prepared) -> Result<ExitCode, Diagnostic> {
    let trains = prepared.plan.train.is_some();
    let on = prepared.experiment.predict.on.clone();
    let stage = options.stage;
    let fits = trains && matches!(stage, None | Some(Stage::Fit));
    let weights = Some(prepared.weight_folders()?);
    let resolved = prepared.resolved;
    let settings = Settings { folder: prepared.folder, weights, progress: ProgressMode::Auto, interrupt: Interrupt::on_signals()? };
    let mut session = Session::new(prepared.plan, prepared.data, settings)?;
    if !options.resume && options.checkpoint.is_none() && (fits || !trains) {
        // Before there is a folder, so that weights that cannot be loaded leave nothing behind.
        session.prepare()?;
        report::print(&session.load_report().warnings(), &prepared.sources);
    }
    let run = run_folder(options, session.plan(), &resolved, fits)?;
    if !fits && !trains {
        run.write_lock(&session.lock()?)?;
    }
    if let Some(path) = &options.checkpoint {
        let source = session.restore(path)?;
        report::line(format_args!("parameters: {source}"));
    }
    if fits {
        let report = session.fit(&run, options.resume)?;
        if report.stop == Stop::Interrupted {
            print_interrupted(options, &report, &run);
            return Ok(ExitCode::from(INTERRUPTED));
        }
        print_fit(&report);
    } else if trains && options.checkpoint.is_none() {
        let source = session.restore(run.path())?;
        report::line(format_args!("parameters: {source}"));
    }
    if stage == Some(Stage::Validate) {
        let evaluation = session.evaluate(Part::Valid)?;
        report::line(format_args!("valid: {}", evaluation.metrics.line()));
    }
    let has_labels = session.plan().evaluate.is_some();
    if has_labels && (stage == Some(Stage::Test) || (stage.is_none() && !session.data().split().test.is_empty())) {
        let evaluation = session.test(&run)?;
        report::line(format_args!("test: {}", evaluation.metrics.line()));
    }
    if matches!(stage, None | Some(Stage::Predict)) {
        let rows = prediction_rows(&session, on.as_deref())?;
        let predictions = session.predict(&rows)?;
        for file in session.write_predictions(&predictions, run.path())? {
            report::line(format_args!("wrote {}", file.display()));
        }
    }
    report::line(format_args!("results are in {}", run.path().display()));
    Ok(ExitCode::SUCCESS)
}

/// The rows to predict: those that the experiment names, else the test part, else all.
fn prediction_rows(session: &Session, on: Option<&str>) -> Result<Vec<u64>, Diagnostic> {
    let split = session.data().split();
    let part = match on {
        Some("train") => Part::Train,
        Some("valid") => Part::Valid,
        Some("test") => Part::Test,
        Some(_) => return Ok(session.data().all_rows()),
        None if split.test.is_empty() => return Ok(session.data().all_rows()),
        None => Part::Test,
    };
    Ok(session.data().rows(part)?.to_vec())
}

/// The folder of the run: a new one for training, an existing one to go on with or to take the parameters from.
fn run_folder(options: &RunOptions, plan: &Plan, program: &str, fits: bool) -> Result<RunFolder, Diagnostic> {
    let base = PathBuf::from(RUNS);
    let existing = options.resume || (plan.train.is_some() && !fits && options.checkpoint.is_none());
    match (&options.out, existing) {
        (Some(path), true) => RunFolder::open(path),
        (Some(path), false) => RunFolder::create(path, plan, program),
        (None, true) => RunFolder::open(&RunFolder::newest(&base, &plan.name)?),
        (None, false) => RunFolder::create_numbered(&base, plan, program),
    }
}

fn print_fit(report: &FitReport) {
    let speed = if report.seconds > 0.0 { report.samples as f64 / report.seconds } else { 0.0 };
    report::line(format_args!(
        "trained {} steps, {} epochs in {:.1} s ({speed:.0} samples/s)",
        report.steps, report.epochs, report.seconds
    ));
    if let Some(best) = &report.best {
        report::line(format_args!("best: {} {:.4} in epoch {}", best.monitor, best.value, best.epoch));
    }
}

fn print_interrupted(options: &RunOptions, report: &FitReport, run: &RunFolder) {
    let file = options.file.display();
    let sets: String = options.overrides.iter().map(|change| format!(" --set {}={}", change.path, change.value)).collect();
    report::note(format_args!(
        "stopped after step {}; go on with: mgxc run {file}{sets} --out {} --resume",
        report.steps,
        run.path().display()
    ));
}
