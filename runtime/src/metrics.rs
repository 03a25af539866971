//! The loss and the metrics of a stage.

use mgx_data::{CONFIDENCE, Column, Comparison, Interval, Metric, RESAMPLES, Resamples, Targets, TokenLabels, Undefined, Values};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{ColumnKind, MetricKind, MetricSpec};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::filling::Filled;
use crate::memory::fault;
use crate::outputs::Collected;
use crate::session::Session;

/// A metric over the samples of a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The metric's name; of one label or output of several `NAME_LABEL`.
    pub name: String,
    /// Is it of one label or output of several?
    pub is_part: bool,
    /// None where it is not defined.
    pub value: Option<f64>,
    /// The bootstrap's interval of 95 %, where it was asked for and there is one.
    pub interval: Option<Interval>,
    /// Why it is not defined, or what counts by convention.
    pub note: Option<String>,
}

/// The loss and the metrics of a part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Mean over the rows, by what they count for; none where the task has no loss.
    pub loss: Option<f64>,
    /// In the order of the task; those of single labels and outputs after all others.
    pub values: Vec<Score>,
    pub rows: u64,
    pub seconds: f64,
}

impl Metrics {
    /// `loss` or a metric; not a number where it is not defined.
    pub fn get(&self, name: &str) -> Option<f64> {
        if name == "loss" {
            return self.loss;
        }
        self.values.iter().find(|score| score.name == name).map(|score| score.value.unwrap_or(f64::NAN))
    }

    /// `loss 0.1234  accuracy 0.9000 (0.8712 to 0.9263)`, for people: the metrics of the task, without those of single labels.
    pub fn line(&self) -> String {
        let mut line = self.loss.map_or_else(String::new, |loss| format!("loss {loss:.4}"));
        for Score { name, value, interval, note, .. } in self.values.iter().filter(|score| !score.is_part) {
            line.push_str(&match (value, interval, note) {
                (Some(value), Some([low, high]), _) => format!("  {name} {value:.4} ({low:.4} to {high:.4})"),
                (Some(value), None, _) => format!("  {name} {value:.4}"),
                (None, _, note) => format!("  {name} not defined ({})", note.as_deref().unwrap_or("no value")),
            });
        }
        line.trim_start().to_owned()
    }

    /// The loss and the metrics as JSON; `null` where one is not defined.
    pub fn to_json(&self) -> Map<String, Value> {
        let loss = self.loss.map(|loss| ("loss".to_owned(), loss.into()));
        loss.into_iter().chain(self.values.iter().map(|score| (score.name.clone(), score.value.into()))).collect()
    }

    /// The intervals of the metrics with what they are, and what is to be known of metrics that are not defined or are by convention.
    pub fn details(&self) -> Map<String, Value> {
        let intervals: Map<String, Value> =
            self.values.iter().filter_map(|score| Some((score.name.clone(), json!(score.interval?)))).collect();
        let notes: Map<String, Value> =
            self.values.iter().filter_map(|score| Some((score.name.clone(), json!(score.note.as_ref()?)))).collect();
        let mut details = Map::new();
        if !intervals.is_empty() {
            let about = json!({ "confidence": CONFIDENCE, "resamples": RESAMPLES, "method": "percentile bootstrap over samples" });
            details.insert("interval".to_owned(), about);
            details.insert("intervals".to_owned(), Value::Object(intervals));
        }
        if !notes.is_empty() {
            details.insert("notes".to_owned(), Value::Object(notes));
        }
        details
    }
}

/// A metric on its way to a score.
struct Entry {
    name: String,
    is_part: bool,
    metric: Result<Metric, Undefined>,
    note: Option<String>,
}

impl Session {
    /// The task's metrics over some rows; `in_full` with those of each label or output, and with intervals.
    pub(crate) fn metrics(
        &self,
        rows: &[u64],
        outputs: &[Collected],
        filled: Option<&Filled>,
        in_full: bool,
    ) -> Result<Vec<Score>, Diagnostic> {
        let mut entries = Vec::new();
        let mut parts = Vec::new();
        for spec in &self.plan.metrics {
            if spec.kind == MetricKind::Ratio {
                entries.push(Entry { name: spec.name.clone(), is_part: false, metric: of_sums(spec, outputs)?, note: None });
                continue;
            }
            if spec.kind == MetricKind::Recovered {
                let filled = filled.ok_or_else(|| fault(format_args!("metric `{}` is of what nothing fills in", spec.name)))?;
                let (shares, rows) = filled.recovered();
                entries.push(Entry { name: spec.name.clone(), is_part: false, metric: mean_of(&shares, &rows), note: None });
                continue;
            }
            let column = self.data.table().column(&spec.target);
            let column = column.ok_or_else(|| fault(format_args!("metric `{}` is of `{}`, which was not read", spec.name, spec.target)))?;
            let metric = match &column.values {
                Values::Contacts(contacts) if spec.kind.is_of_structures() => {
                    self.structure_metric(spec, contacts, rows, output_of(spec, outputs)?)?
                }
                _ => prepare(spec, column, rows, outputs)?,
            };
            let note = metric.as_ref().ok().and_then(|metric| by_convention(metric, column));
            if let (true, Ok(metric)) = (in_full, &metric) {
                let named = metric.each().into_iter().zip(column.spec.value_names());
                parts.extend(named.map(|(part, name)| Entry {
                    name: format!("{}_{name}", spec.name),
                    is_part: true,
                    metric: Ok(part),
                    note: None,
                }));
            }
            entries.push(Entry { name: spec.name.clone(), is_part: false, metric, note });
        }
        entries.extend(parts);
        let known: Vec<&Metric> = entries.iter().filter_map(|entry| entry.metric.as_ref().ok()).collect();
        let intervals = if in_full { Resamples::new(self.plan.seed).intervals(&known) } else { vec![None; known.len()] };
        let mut intervals = intervals.into_iter();
        let score = |Entry { name, is_part, metric, note }: &Entry| {
            let interval = if metric.is_ok() { intervals.next().flatten() } else { None };
            let (value, note) = match metric.as_ref().map_err(Clone::clone).and_then(Metric::value) {
                Ok(value) => (Some(value), note.clone()),
                Err(Undefined(reason)) => (None, Some(reason)),
            };
            Score { name: name.clone(), is_part: *is_part, value, interval: interval.filter(|_| value.is_some()), note }
        };
        Ok(entries.iter().map(score).collect())
    }
}

/// Why a metric has no value for these predictions; none where it has one.
pub(crate) fn undefined(spec: &MetricSpec, column: &Column, rows: &[u64], output: Collected) -> Result<Option<String>, Diagnostic> {
    let metric = prepare(spec, column, rows, &[output])?;
    Ok(metric.and_then(|metric| metric.value()).err().map(|Undefined(reason)| reason))
}

/// The ratio of two numbers that the program gives for each sample.
fn of_sums(spec: &MetricSpec, outputs: &[Collected]) -> Result<Result<Metric, Undefined>, Diagnostic> {
    let values = |name: &String| {
        let found = outputs.iter().find(|output| output.name == *name);
        found.map(Collected::flat).ok_or_else(|| fault(format_args!("metric `{}` is of `{name}`, which was not computed", spec.name)))
    };
    let (sums, counts) = (values(&spec.prediction)?, values(&spec.target)?);
    let counts: Vec<f64> = counts.into_iter().map(f64::from).collect();
    Ok(mean_of(&sums, &counts))
}

/// The sum of a number of each sample, divided by the sum of what each counts.
fn mean_of(sums: &[f32], counts: &[f64]) -> Result<Metric, Undefined> {
    Metric::new(MetricKind::Ratio, &Comparison { values: sums, width: 1, targets: Targets::Real(counts), items: None })
}

/// The output that a metric is of.
fn output_of<'a>(spec: &MetricSpec, outputs: &'a [Collected]) -> Result<&'a Collected, Diagnostic> {
    let output = outputs.iter().find(|output| output.name == spec.prediction);
    output.ok_or_else(|| fault(format_args!("metric `{}` is of `{}`, which is no output", spec.name, spec.prediction)))
}

/// The comparison of an output with a column.
fn prepare(spec: &MetricSpec, column: &Column, rows: &[u64], outputs: &[Collected]) -> Result<Result<Metric, Undefined>, Diagnostic> {
    let output = output_of(spec, outputs)?;
    let values = output.flat();
    let items: Vec<usize> = output.rows.iter().map(|row| row.len() / output.width.max(1)).collect();
    let own = output.per_token.then_some(items.as_slice());
    let compare = |targets| Metric::new(spec.kind, &Comparison { values: &values, width: output.width, targets, items: own });
    Ok(match &column.values {
        Values::Class(classes) => {
            let targets: Vec<i32> = rows.iter().map(|row| classes.value(*row as usize)).collect();
            compare(Targets::Classes(&targets))
        }
        Values::Real(numbers) => {
            let targets: Vec<f64> = rows.iter().map(|row| numbers.value(*row as usize)).collect();
            compare(Targets::Real(&targets))
        }
        Values::Numbers(numbers) => {
            let targets: Vec<f64> = rows.iter().flat_map(|row| numbers.row(*row)).copied().collect();
            compare(if matches!(column.spec.kind, ColumnKind::Labels { .. }) { Targets::Labels(&targets) } else { Targets::Real(&targets) })
        }
        Values::TokenLabels(labels) => return Ok(of_letters(spec, output, rows, labels)),
        Values::Contacts(contacts) => {
            let targets: Vec<i32> = rows.iter().zip(&items).flat_map(|(row, pairs)| matrix(contacts.row(*row), pairs.isqrt())).collect();
            compare(Targets::Contacts(&targets))
        }
        Values::Text(_) | Values::Alignment(_) | Values::Counts(_) => {
            return Err(fault(format_args!("metric `{}` compares with what is no label", spec.name)));
        }
    })
}

/// The comparison of the letters that have a label; an output has those of the first letters, as many as tokens were read.
fn of_letters(spec: &MetricSpec, output: &Collected, rows: &[u64], labels: &TokenLabels) -> Result<Metric, Undefined> {
    let width = output.width.max(1);
    let (mut values, mut targets, mut items) = (Vec::new(), Vec::new(), Vec::new());
    for (row, predicted) in rows.iter().zip(&output.rows) {
        let own = labels.row(*row);
        let before = targets.len();
        if predicted.len() / width > own.len() {
            return Err(Undefined("the output has positions that are no letters".to_owned()));
        }
        for (scores, label) in predicted.chunks_exact(width).zip(own).filter(|(_, label)| **label >= 0) {
            values.extend_from_slice(scores);
            targets.push(*label);
        }
        items.push(targets.len() - before);
    }
    Metric::new(spec.kind, &Comparison { values: &values, width, targets: Targets::Classes(&targets), items: Some(&items) })
}

/// The contacts among the first `side` letters, row after row.
fn matrix(pairs: &[[u32; 2]], side: usize) -> Vec<i32> {
    let mut all = vec![0; side * side];
    for [a, b] in pairs.iter().map(|pair| pair.map(|letter| letter as usize)).filter(|[_, last]| *last < side) {
        all[a * side + b] = 1;
        all[b * side + a] = 1;
    }
    all
}

/// Which classes or labels count 0 in a mean because all, or none, of the rows have them.
fn by_convention(metric: &Metric, column: &Column) -> Option<String> {
    let names = match &column.spec.kind {
        ColumnKind::Class { names } | ColumnKind::TokenClass { names, .. } | ColumnKind::Labels { names, .. } => names,
        _ => return None,
    };
    let one_sided: Vec<String> =
        metric.by_convention().into_iter().filter_map(|number| Some(format!("`{}`", names.get(number)?))).collect();
    (!one_sided.is_empty()).then(|| format!("counts 0 in the mean, since all rows or none have it: {}", one_sided.join(", ")))
}
