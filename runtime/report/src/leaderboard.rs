//! Several runs beside each other: a table with their test metrics, best first, and the curves of what they monitor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use crate::chart::{Chart, Series, whisker};
use crate::html::escape;
use crate::numbers::{Axis, bytes, duration, grouped, number};
use crate::record::{Record, less_is_better};
use crate::section::interval;

/// Curves of one chart: more cannot be told apart.
const CURVES: usize = 8;
/// Lines of a program that tell a run from the others.
const LINES: usize = 4;

/// The table and the charts of all runs.
pub fn leaderboard(records: &[Record]) -> String {
    let metrics = metrics(records);
    let mut order: Vec<usize> = (0..records.len()).collect();
    if let Some((first, kind)) = metrics.first() {
        let sign = if less_is_better(first, kind) { 1.0 } else { -1.0 };
        let key = |index: &usize| test(&records[*index], first).map_or(f64::INFINITY, |value| sign * value);
        order.sort_by(|a, b| key(a).total_cmp(&key(b)));
    }
    let mut html = String::from("<section><h2>Runs</h2><div class=\"wide\"><table class=\"board\"><thead><tr><th>run</th>");
    let differing = differing(records);
    let differ = differing.iter().any(|lines| !lines.is_empty());
    if differ {
        html.push_str("<th>what differs</th>");
    }
    for (metric, kind) in &metrics {
        let arrow = if less_is_better(metric, kind) { "↓" } else { "↑" };
        let _ = write!(html, "<th>test {} {arrow}</th>", escape(metric));
    }
    html.push_str("<th>best valid</th><th>trainable</th><th>time</th><th>peak memory</th></tr></thead><tbody>\n");
    let axes: Vec<Axis> = metrics.iter().map(|(metric, _)| axis(records, metric)).collect();
    for index in order {
        let record = &records[index];
        let _ = write!(html, "<tr><td data-sort=\"{index}\"><a href=\"#run{index}\">{}</a></td>", escape(&record.name));
        if differ {
            let lines = differing[index].iter().map(|line| format!("<code>{}</code>", escape(line))).collect::<String>();
            let _ = write!(html, "<td class=\"lines\">{lines}</td>");
        }
        for ((metric, _), axis) in metrics.iter().zip(&axes) {
            html.push_str(&cell(record, metric, axis));
        }
        let best = record.best().map(|(_, value)| value);
        html.push_str(&plain(best, |value| format!("{} {}", record.monitored().unwrap_or_default(), number(value))));
        let resources = record.resources.as_ref();
        html.push_str(&plain(resources.map(|resources| resources.trainable as f64), |value| grouped(&format!("{value:.0}"))));
        html.push_str(&plain(resources.and_then(|resources| resources.seconds), duration));
        html.push_str(&plain(resources.and_then(|resources| resources.memory), bytes));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>");
    html.push_str(&curves(records));
    html.push_str("</section>\n");
    html
}

/// The metrics of all runs' tests with their kinds, in the order of the first that has them; the loss last.
fn metrics(records: &[Record]) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    for record in records {
        for metric in &record.plan.metrics {
            if test_value(record, &metric.name).is_some() && names.iter().all(|(name, _)| *name != metric.name) {
                names.push((metric.name.clone(), metric.kind.clone()));
            }
        }
    }
    if records.iter().any(|record| test_value(record, "loss").is_some()) {
        names.push(("loss".to_owned(), String::new()));
    }
    names
}

fn test_value<'r>(record: &'r Record, metric: &str) -> Option<&'r Value> {
    record.test.as_ref()?.metrics.get(metric)
}

fn test(record: &Record, metric: &str) -> Option<f64> {
    test_value(record, metric)?.as_f64()
}

/// A scale that holds a metric of all runs, with its intervals.
fn axis(records: &[Record], metric: &str) -> Axis {
    let ends = |record: &Record| {
        let interval = interval(record.test.as_ref().and_then(|test| test.intervals.get(metric)));
        [test(record, metric), interval.map(|ends| ends.0), interval.map(|ends| ends.1)]
    };
    let values: Vec<f64> = records.iter().flat_map(ends).flatten().collect();
    Axis::new(values.into_iter(), 4, false)
}

fn cell(record: &Record, metric: &str, axis: &Axis) -> String {
    let Some(value) = test(record, metric) else { return plain(None, number) };
    let interval = interval(record.test.as_ref().and_then(|test| test.intervals.get(metric)));
    let text = interval.map_or_else(String::new, |(low, high)| format!("<small>{} to {}</small>", number(low), number(high)));
    format!("<td class=\"metric\" data-sort=\"{value}\"><b>{}</b> {text}{}</td>", number(value), whisker(value, interval, axis))
}

fn plain(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "<td>–</td>".to_owned(), |value| format!("<td data-sort=\"{value}\">{}</td>", escape(&show(value))))
}

/// The lines of each run's program that not all programs have.
fn differing(records: &[Record]) -> Vec<Vec<String>> {
    let lines = |record: &Record| -> Vec<String> {
        let program = record.program.as_deref().unwrap_or_default().lines();
        let lines = program.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("use ")).collect()
    };
    let all: Vec<Vec<String>> = records.iter().map(lines).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for lines in &all {
        for line in lines.iter().map(String::as_str).collect::<BTreeSet<_>>() {
            *counts.entry(line).or_default() += 1;
        }
    }
    let own = |lines: &Vec<String>| -> Vec<String> {
        let mut own: Vec<String> = lines.iter().filter(|line| counts.get(line.as_str()) != Some(&records.len())).cloned().collect();
        if own.len() > LINES {
            let more = own.len() - LINES;
            own.truncate(LINES);
            own.push(format!("and {more} more lines"));
        }
        own
    };
    all.iter().map(own).collect()
}

/// What the runs monitor, and their losses, over the steps.
fn curves(records: &[Record]) -> String {
    let trained: Vec<(usize, &Record)> = records.iter().enumerate().filter(|(_, record)| !record.events.is_empty()).collect();
    if trained.len() < 2 {
        return String::new();
    }
    let mut fields: Vec<(&str, &str, String)> = vec![("train", "loss", "Training loss".to_owned())];
    for (_, record) in &trained {
        let Some(name) = record.monitored() else { continue };
        if fields.iter().all(|(kind, field, _)| (*kind, *field) != ("valid", name)) {
            fields.push(("valid", name, format!("Validation {name}")));
        }
    }
    let figures: String = fields
        .iter()
        .map(|(kind, field, title)| {
            let curve = |(number, (_, record)): (usize, &(usize, &Record))| Series {
                name: record.name.clone(),
                points: record.curve(kind, field),
                colour: number,
            };
            let series: Vec<Series> =
                trained.iter().enumerate().map(curve).filter(|series| !series.points.is_empty()).take(CURVES).collect();
            Chart { title: title.clone(), x: "step".to_owned(), y: (*field).to_owned(), series, ..Chart::default() }.figure()
        })
        .collect();
    let more = trained.len().saturating_sub(CURVES);
    let note = if more > 0 {
        format!("<p class=\"note\">Curves of the first {CURVES} runs; {more} more are in the table.</p>")
    } else {
        String::new()
    };
    format!("<div class=\"charts\">{figures}</div>{note}")
}
