//! `predictions.tsv` against the labels beside them: a confusion matrix for classes, points for numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use csv::StringRecord;

use crate::chart::{Chart, Series};
use crate::html::escape;
use crate::numbers::grouped;
use crate::record::{OutputRecord, Record};

const FILE: &str = "predictions.tsv";
/// Classes of a matrix that is shown; of more, those with the most rows.
const CLASSES: usize = 40;
/// Points of a cloud, spread evenly over the rows.
const POINTS: usize = 2000;
/// Outputs of one task that are shown.
const OUTPUTS: usize = 6;

/// A column of numbers or classes against its label: the places of both in the file.
struct Pair {
    title: String,
    kind: Kind,
    predicted: usize,
    label: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Classes,
    Numbers,
}

/// The figures of a run's predictions, and what cannot be shown.
pub fn figures(record: &Record) -> (String, Vec<String>) {
    let path = record.folder.join(FILE);
    if !path.is_file() {
        return (String::new(), Vec::new());
    }
    let mut notes = Vec::new();
    let mut html = String::new();
    let reader = csv::ReaderBuilder::new().delimiter(b'\t').from_path(&path);
    let read = reader.and_then(|mut reader| {
        let header = reader.headers()?.clone();
        let pairs = pairs(record, &header);
        if pairs.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<Vec<(String, String)>> = pairs.iter().map(|_| Vec::new()).collect();
        for row in reader.records() {
            let row = row?;
            for (pair, rows) in pairs.iter().zip(&mut rows) {
                rows.push((row.get(pair.label).unwrap_or_default().to_owned(), row.get(pair.predicted).unwrap_or_default().to_owned()));
            }
        }
        for (pair, rows) in pairs.iter().zip(&rows) {
            match pair.kind {
                Kind::Classes => html.push_str(&confusion(&pair.title, rows)),
                Kind::Numbers => html.push_str(&cloud(&pair.title, rows)),
            }
        }
        Ok(())
    });
    if let Err(error) = read {
        notes.push(format!("{FILE} is damaged: {error}"));
    }
    (html, notes)
}

/// What of the outputs has a label: by the task's metrics, which compare the two.
fn pairs(record: &Record, header: &StringRecord) -> Vec<Pair> {
    let place = |name: &str| header.iter().position(|column| column == name);
    let mut pairs = Vec::new();
    let several = record.plan.outputs.iter().filter(|output| names(output).is_some()).count() > 1;
    for output in &record.plan.outputs {
        let Some(metric) = record.plan.metrics.iter().find(|metric| metric.prediction == output.name) else { continue };
        let label = record.header(&metric.target);
        if output.kind.get("Probabilities").is_some() {
            let predicted = if several { format!("{}.predicted", output.name) } else { "predicted".to_owned() };
            if let (Some(predicted), Some(label)) = (place(&predicted).or_else(|| place(&format!("output.{predicted}"))), place(label)) {
                pairs.push(Pair { title: output.name.clone(), kind: Kind::Classes, predicted, label });
            }
        } else if output.kind == "Values" {
            if let (Some(predicted), Some(label)) =
                (place(&output.name).or_else(|| place(&format!("output.{}", output.name))), place(label))
            {
                pairs.push(Pair { title: output.name.clone(), kind: Kind::Numbers, predicted, label });
                continue;
            }
            // Several outputs: `NAME.0`, `NAME.1`, … against `LABEL.FIRST`, `LABEL.SECOND`, …, in the same order.
            let below = |name: &str| -> Vec<usize> {
                let prefix = format!("{name}.");
                header.iter().enumerate().filter(|(_, column)| column.starts_with(&prefix)).map(|(place, _)| place).collect()
            };
            let (predicted, labels) = (below(&output.name), below(&metric.target));
            if predicted.len() == labels.len() {
                pairs.extend(predicted.into_iter().zip(labels).take(OUTPUTS).map(|(predicted, label)| Pair {
                    title: header.get(label).unwrap_or(&output.name).to_owned(),
                    kind: Kind::Numbers,
                    predicted,
                    label,
                }));
            }
        }
    }
    pairs
}

/// The names of an output's classes or labels.
fn names(output: &OutputRecord) -> Option<&serde_json::Value> {
    output.kind.get("Probabilities").or_else(|| output.kind.get("Labels"))
}

/// Rows by true and predicted class.
fn confusion(title: &str, rows: &[(String, String)]) -> String {
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (label, predicted) in rows {
        *classes.entry(label).or_default() += 1;
        classes.entry(predicted).or_default();
        *counts.entry((label, predicted)).or_default() += 1;
    }
    let mut order: Vec<(&str, usize)> = classes.into_iter().collect();
    let all = order.len();
    if all > CLASSES {
        order.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        order.truncate(CLASSES);
        order.sort_unstable();
    }
    let mut html = format!(
        "<figure class=\"matrix\"><figcaption>Confusion matrix of {} ({} rows)</figcaption><div class=\"wide\"><table><thead><tr><th class=\"corner\">true ↓ predicted →</th>",
        escape(title),
        grouped(&rows.len().to_string())
    );
    for (class, _) in &order {
        let _ = write!(html, "<th>{}</th>", escape(class));
    }
    html.push_str("<th>rows</th><th>recall</th></tr></thead><tbody>");
    for (label, total) in &order {
        let _ = write!(html, "<tr><th>{}</th>", escape(label));
        for (predicted, _) in &order {
            let count = counts.get(&(*label, *predicted)).copied().unwrap_or(0);
            let share = count as f64 / (*total).max(1) as f64 * 100.0;
            let right = if label == predicted { " right" } else { "" };
            let _ = write!(
                html,
                "<td class=\"cell{right}\" style=\"--share:{share:.0}%\" title=\"{share:.1} % of {}\">{count}</td>",
                escape(label)
            );
        }
        let hits = counts.get(&(*label, *label)).copied().unwrap_or(0);
        let recall = if *total > 0 { format!("{:.3}", hits as f64 / *total as f64) } else { "–".to_owned() };
        let _ = write!(html, "<td>{total}</td><td>{recall}</td></tr>");
    }
    html.push_str("</tbody></table></div>");
    if all > order.len() {
        let _ = write!(html, "<p class=\"note\">The {} classes with the most rows of {all}.</p>", order.len());
    }
    html.push_str("</figure>\n");
    html
}

fn cloud(title: &str, rows: &[(String, String)]) -> String {
    let points: Vec<(f64, f64)> =
        rows.iter().filter_map(|(label, predicted)| Some((label.parse().ok()?, predicted.parse().ok()?))).collect();
    let every = points.len().div_ceil(POINTS).max(1);
    let shown: Vec<(f64, f64)> = points.iter().step_by(every).copied().collect();
    let of = if every > 1 {
        format!("{} of {}", grouped(&shown.len().to_string()), grouped(&points.len().to_string()))
    } else {
        grouped(&points.len().to_string())
    };
    Chart {
        title: format!("Predicted and true {title} ({of} rows)"),
        x: "true".to_owned(),
        y: "predicted".to_owned(),
        series: vec![Series { name: title.to_owned(), points: shown, colour: 0 }],
        cloud: true,
        ..Chart::default()
    }
    .figure()
}
