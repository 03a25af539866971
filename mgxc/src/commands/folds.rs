//! Cross-validation: a run for each fold, in folders beside each other, and what they come to together.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use mgx_diag::Diagnostic;
use mgx_ir::plan::SplitSpec;
use mgx_runtime::{Metrics, RunFolder};
use serde_json::{Map, Value, json};

use super::prepare::Prepared;
use super::run::{Ended, folder_of_runs, prepared, run_stages};
use crate::cli::{RunOptions, Stage};
use crate::report;

/// The file with what all folds came to.
const FOLDS: &str = "folds.json";

/// How many folds the data of an experiment has; none where it is split otherwise.
pub fn count(prepared: &Prepared) -> Option<u64> {
    prepared.plan.data.iter().find_map(|data| match &data.split {
        SplitSpec::Folds(spec) => Some(spec.count),
        _ => None,
    })
}

/// Runs all folds, one after another.
pub fn run(options: &RunOptions, first: Prepared, count: u64) -> Result<Ended, Diagnostic> {
    if !matches!(options.stage, None | Some(Stage::Fit)) {
        return Err(Diagnostic::error("E0568", format!("the experiment has {count} folds, and this stage is of one of them"))
            .help("choose it with `--fold 0`, and its run with `--out RUN/fold-0`"));
    }
    let folder = folder_of_runs(options, &first, "fold-0")?;
    let mut next = Some(first);
    let mut tests = Vec::new();
    for fold in 0..count {
        report::line(format_args!("fold {fold} of {count}"));
        let prepared = match next.take().map_or_else(|| prepared(options, Some(fold)), Ok) {
            Ok(prepared) => prepared,
            Err(code) => return Ok(Ended { code, test: Map::new() }),
        };
        let out = folder.join(format!("fold-{fold}"));
        // Of an interrupted run later folds have not begun.
        let own = RunOptions { resume: options.resume && RunFolder::open(&out).is_ok(), fold: Some(fold), ..options.clone() };
        let done = run_stages(&own, prepared, Some(&out))?;
        if done.code != ExitCode::SUCCESS {
            report::note(format_args!("to go on with all folds, name `{}` by --out with --resume, without --fold", folder.display()));
            return Ok(Ended { code: done.code, test: Map::new() });
        }
        tests.extend(done.test);
    }
    let test = if tests.len() as u64 == count { summarize(&tests, &folder)? } else { Map::new() };
    report::line(format_args!("all folds are in {}", folder.display()));
    Ok(Ended { code: ExitCode::SUCCESS, test })
}

/// Prints and writes mean and standard deviation (of a sample) of each metric over the folds. Gives the means.
fn summarize(tests: &[Metrics], folder: &std::path::Path) -> Result<Map<String, Value>, Diagnostic> {
    let names: Vec<String> = tests.first().map(|metrics| metrics.to_json().keys().cloned().collect()).unwrap_or_default();
    let mut table = BTreeMap::new();
    let mut means = Map::new();
    for name in &names {
        let values: Vec<f64> = tests.iter().filter_map(|metrics| metrics.get(name)).collect();
        let (mean, deviation) = moments(&values);
        means.insert(name.clone(), mean.into());
        table.insert(name.clone(), json!({ "mean": mean, "sd": deviation, "folds": values }));
        let each: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
        report::line(format_args!("test {name}: {mean:.4} ± {deviation:.4}  ({})", each.join(", ")));
    }
    let text = json!({ "folds": tests.len(), "metrics": table });
    mgx_data::write_atomically(&folder.join(FOLDS), |file| {
        serde_json::to_writer_pretty(&mut *file, &text)?;
        writeln!(file)
    })?;
    Ok(means)
}

fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::moments;

    #[test]
    fn deviations_are_those_of_a_sample() {
        let (mean, deviation) = moments(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert!((mean - 5.0).abs() < 1e-12 && (deviation - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
    }
}
