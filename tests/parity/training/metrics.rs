//! Metrics of a stage against those that were recorded.

use mgx_data::{Comparison, Metric, Targets, Values};
use mgx_ir::plan::{ColumnKind, MetricKind, MetricSpec};
use mgx_tests::Outcome;
use mgx_tests::compare::Tolerance;
use serde_json::Value as Json;

use super::numbers::Numbers;
use super::real;
use super::rows::Rows;
use super::steps::Training;

/// Every metric that was recorded under `prefix`, over all rows of some batches. The loss is the mean over the samples, as the reference weighs
/// batches by their samples.
pub fn measure(
    numbers: &mut Vec<Numbers>,
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
            let named = specs.iter().map(|spec| (spec, own.strip_prefix(spec.name.as_str()).unwrap_or("?")));
            let named = named.filter(|(_, rest)| rest.is_empty() || rest.starts_with('_'));
            let (spec, part) = named.max_by_key(|(spec, _)| spec.name.len()).ok_or_else(|| format!("the task has no metric `{own}`"))?;
            match spec.kind {
                MetricKind::Ratio => of_batches(spec, training, batches)?,
                _ => of_rows(spec, part.strip_prefix('_'), training, batches)?,
            }
        };
        numbers.push(Numbers { what: format!("{what}: {name}"), found: vec![found], recorded: vec![real(value)?], tolerance });
    }
    Ok(())
}

/// The average over the batches of a ratio of sums, as the reference's metrics that it averages itself.
fn of_batches(spec: &MetricSpec, training: &mut Training, batches: &[Rows]) -> Outcome<f64> {
    let mut total = 0.0;
    for rows in batches {
        let sums = training.evaluate(rows, &[&spec.prediction, &spec.target])?;
        total += sums[0].iter().sum::<f64>() / sums[1].iter().sum::<f64>();
    }
    Ok(total / batches.len() as f64)
}

/// A metric of the task, or its `part`: that of one label or output.
fn of_rows(spec: &MetricSpec, part: Option<&str>, training: &mut Training, batches: &[Rows]) -> Outcome<f64> {
    let mut values = Vec::new();
    for rows in batches {
        values.extend(training.evaluate(rows, &[&spec.prediction])?.remove(0).into_iter().map(|value| value as f32));
    }
    let rows: Vec<u64> = batches.concat();
    let column = training.table.column(&spec.target).ok_or("the labels were not read")?;
    if let Values::TokenLabels(_) | Values::Contacts(_) = &column.values {
        let value = of_letters(spec, &column.values, &rows, &values)?.value();
        return Ok(value.unwrap_or_else(|_| convention(spec.kind)));
    }
    let compare = |targets| {
        let width = values.len() / rows.len().max(1);
        Metric::new(spec.kind, &Comparison { values: &values, width, targets, items: None })
    };
    let metric = match &column.values {
        Values::Class(classes) => compare(Targets::Classes(&rows.iter().map(|row| classes.value(*row as usize)).collect::<Vec<_>>())),
        Values::Real(numbers) => compare(Targets::Real(&rows.iter().map(|row| numbers.value(*row as usize)).collect::<Vec<_>>())),
        Values::Numbers(numbers) => {
            let targets: Vec<f64> = rows.iter().flat_map(|row| numbers.row(*row)).copied().collect();
            let several = matches!(column.spec.kind, ColumnKind::Labels { .. });
            compare(if several { Targets::Labels(&targets) } else { Targets::Real(&targets) })
        }
        _ => return Err(format!("`{}` is no label", spec.target)),
    };
    let metric = metric.map_err(|reason| format!("`{}`: {reason}", spec.name))?;
    let value = match part {
        None => metric.value(),
        Some(part) => {
            let names = column.spec.value_names();
            let place = names.iter().position(|name| name == part).ok_or_else(|| format!("there is no output `{part}`"))?;
            metric.each().get(place).ok_or_else(|| format!("`{}` has no parts", spec.name))?.value()
        }
    };
    Ok(value.unwrap_or_else(|_| convention(spec.kind)))
}

/// A metric of the letters that have a label, or of all pairs of letters.
fn of_letters(spec: &MetricSpec, column: &Values, rows: &[u64], values: &[f32]) -> Outcome<Metric> {
    let (mut scores, mut targets, mut items) = (Vec::new(), Vec::new(), Vec::new());
    match column {
        Values::TokenLabels(labels) => {
            let all: Vec<i32> = rows.iter().flat_map(|row| labels.row(*row)).copied().collect();
            let width = values.len() / all.len().max(1);
            for (own, label) in values.chunks(width.max(1)).zip(&all).filter(|(_, label)| **label >= 0) {
                scores.extend_from_slice(own);
                targets.push(*label);
            }
            let metric = Metric::new(spec.kind, &Comparison { values: &scores, width, targets: Targets::Classes(&targets), items: None });
            metric.map_err(|reason| format!("`{}`: {reason}", spec.name))
        }
        Values::Contacts(contacts) => {
            for row in rows {
                let side = contacts.letters(*row) as usize;
                let mut own = vec![0; side * side];
                for [a, b] in contacts.row(*row).iter().map(|pair| pair.map(|letter| letter as usize)) {
                    own[a * side + b] = 1;
                    own[b * side + a] = 1;
                }
                targets.extend(own);
                items.push(side * side);
            }
            let comparison = Comparison { values, width: 1, targets: Targets::Contacts(&targets), items: Some(&items) };
            Metric::new(spec.kind, &comparison).map_err(|reason| format!("`{}`: {reason}", spec.name))
        }
        _ => Err(format!("`{}` is no label of letters", spec.target)),
    }
}

/// What torchmetrics gives where a metric is not defined.
pub fn convention(kind: MetricKind) -> f64 {
    if kind == MetricKind::Auroc { 0.0 } else { f64::NAN }
}
