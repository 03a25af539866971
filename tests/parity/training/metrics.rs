//! Metrics of a stage against those that were recorded.

use mgx_data::{Predictions, Targets, Values, metric};
use mgx_ir::plan::MetricSpec;
use mgx_tests::Outcome;
use mgx_tests::compare::{Account, Tolerance};
use serde_json::Value as Json;

use super::real;
use super::rows::Rows;
use super::steps::Training;

/// Every metric that was recorded under `prefix`, over all rows of some batches. The loss is the mean over the samples, as the reference weighs
/// batches by their samples.
pub fn check_metrics(
    account: &mut Account,
    what: &str,
    recorded: &Json,
    prefix: &str,
    training: &mut Training,
    batches: &[Rows],
    tolerance: Tolerance,
) -> Outcome<()> {
    let recorded = recorded.as_object().ok_or_else(|| format!("no metrics of {what} were recorded"))?;
    let specs = training.plan.metrics.clone();
    for (name, value) in recorded {
        let own = name.strip_prefix(prefix).unwrap_or(name);
        let found = if own == "loss" {
            let samples: usize = batches.iter().map(Vec::len).sum();
            let mut total = 0.0;
            for rows in batches {
                total += training.loss(rows)? * rows.len() as f64;
            }
            total / samples as f64
        } else {
            let spec = specs.iter().find(|spec| spec.name == own).ok_or_else(|| format!("the task has no metric `{own}`"))?;
            of_rows(spec, training, batches)?
        };
        account.close(&format!("{what}: {name}"), &[found], &[real(value)?], tolerance);
    }
    Ok(())
}

fn of_rows(spec: &MetricSpec, training: &mut Training, batches: &[Rows]) -> Outcome<f64> {
    let mut values = Vec::new();
    for rows in batches {
        values.extend(training.evaluate(rows, &[&spec.prediction])?.remove(0).into_iter().map(|value| value as f32));
    }
    let rows: Vec<u64> = batches.concat();
    let predictions = Predictions { values: &values, width: values.len() / rows.len().max(1) };
    let column = training.table.column(&spec.target).ok_or("the labels were not read")?;
    Ok(match &column.values {
        Values::Class(classes) => {
            let targets: Vec<i32> = rows.iter().map(|row| classes.value(*row as usize)).collect();
            metric(spec.kind, predictions, Targets::Classes(&targets))
        }
        Values::Real(numbers) => {
            let targets: Vec<f64> = rows.iter().map(|row| numbers.value(*row as usize)).collect();
            metric(spec.kind, predictions, Targets::Real(&targets))
        }
        _ => return Err(format!("`{}` is no label", spec.target)),
    })
}
