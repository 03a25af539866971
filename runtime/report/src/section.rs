//! The part of the page that tells of one run.

use std::fmt::Write;

use serde_json::Value;

use crate::chart::{Chart, Series};
use crate::highlight::highlight;
use crate::html::escape;
use crate::numbers::{bytes, duration, grouped, number};
use crate::predictions;
use crate::record::{MemoryRecord, Record};

/// A run: its figures, charts, predictions and program.
pub fn section(record: &Record, id: usize, open: bool) -> String {
    let mut html = format!(
        "<details class=\"run\" id=\"run{id}\"{}><summary><h2>{}</h2><span class=\"path\">{}</span></summary>\n",
        if open { " open" } else { "" },
        escape(&record.plan.name),
        escape(&record.name)
    );
    let (predictions, mut notes) = predictions::figures(record);
    notes.splice(0..0, record.notes.iter().cloned());
    for note in &notes {
        let _ = writeln!(html, "<p class=\"note warn\">{}</p>", escape(note));
    }
    html.push_str(&facts(record));
    let charts = charts(record);
    if !charts.is_empty() {
        let _ = writeln!(html, "<h3>Training</h3><div class=\"charts\">{charts}</div>");
    }
    if !predictions.is_empty() {
        let _ = writeln!(html, "<h3>Predictions</h3><div class=\"charts\">{predictions}</div>");
    }
    html.push_str(&memory(record));
    if let Some(program) = &record.program {
        let _ = writeln!(html, "<h3>Experiment</h3><pre class=\"program\"><code>{}</code></pre>", highlight(program));
    }
    html.push_str("</details>\n");
    html
}

/// The figures at the top.
fn facts(record: &Record) -> String {
    let mut facts: Vec<(String, String)> = Vec::new();
    if let Some(test) = &record.test {
        for (name, value) in &test.metrics {
            let value = value.as_f64().map_or_else(|| "not defined".to_owned(), number);
            let interval = interval(test.intervals.get(name)).map(|(low, high)| format!(" ({} to {})", number(low), number(high)));
            facts.push((format!("test {name}"), value + &interval.unwrap_or_default()));
        }
        facts.push(("test rows".to_owned(), grouped(&test.rows.to_string())));
    }
    if let (Some(name), Some((step, value))) = (record.monitored(), record.best()) {
        facts.push((format!("best valid {name}"), format!("{} at step {}", number(value), number(step))));
    }
    if let Some(resources) = &record.resources {
        let trainable = grouped(&resources.trainable.to_string());
        facts.push(("parameters".to_owned(), format!("{} in all, {trainable} trainable", grouped(&resources.parameters.to_string()))));
        let with_forecast = |measured: Option<f64>, forecast: Option<f64>, show: fn(f64) -> String| match (measured, forecast) {
            (Some(measured), Some(forecast)) => Some(format!("{} (forecast {})", show(measured), show(forecast))),
            (Some(measured), None) => Some(show(measured)),
            (None, Some(forecast)) => Some(format!("forecast {}", show(forecast))),
            (None, None) => None,
        };
        let time = with_forecast(resources.seconds, resources.forecast_seconds, duration);
        let memory = with_forecast(resources.memory, resources.forecast_memory, bytes);
        facts.extend(time.map(|time| ("time".to_owned(), time)));
        facts.extend(memory.map(|memory| ("peak memory".to_owned(), memory)));
        facts.extend(resources.samples_per_s.map(|speed| ("training speed".to_owned(), format!("{} samples/s", number(speed)))));
    }
    facts.push(("seed".to_owned(), record.plan.seed.to_string()));
    facts.extend(record.tool.iter().map(|tool| ("made by".to_owned(), tool.clone())));
    let rows: String =
        facts.iter().map(|(name, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value))).collect();
    let about = record.test.as_ref().and_then(|test| {
        let confidence = test.interval.get("confidence")?.as_f64()? * 100.0;
        let method = test.interval.get("method").and_then(Value::as_str).unwrap_or("bootstrap");
        Some(format!("<p class=\"note\">Intervals of {} %: {}.</p>", number(confidence), escape(method)))
    });
    format!("<dl class=\"facts\">{rows}</dl>{}\n", about.unwrap_or_default())
}

/// The ends of an interval.
pub fn interval(value: Option<&Value>) -> Option<(f64, f64)> {
    match value?.as_array()?.as_slice() {
        [low, high] => Some((low.as_f64()?, high.as_f64()?)),
        _ => None,
    }
}

fn charts(record: &Record) -> String {
    let mut html = String::new();
    let series = |name: &str, kind: &str, field: &str, colour| Series { name: name.to_owned(), points: record.curve(kind, field), colour };
    let chart = |title: &str, y: &str, series: Vec<Series>| Chart {
        title: title.to_owned(),
        x: "step".to_owned(),
        y: y.to_owned(),
        series: series.into_iter().filter(|series| !series.points.is_empty()).collect(),
        ..Chart::default()
    };
    let mark = |field: &str| {
        let (step, value) = record.best().filter(|_| record.monitored() == Some(field))?;
        Some((step, value, format!("best: {} at step {}", number(value), number(step))))
    };
    let loss = vec![series("train", "train", "loss", 0), series("valid", "valid", "loss", 1)];
    html.push_str(&Chart { mark: mark("loss"), ..chart("Loss", "loss", loss) }.figure());
    for metric in &record.plan.metrics {
        let name = &metric.name;
        html.push_str(
            &Chart { mark: mark(name), ..chart(&format!("Validation {name}"), name, vec![series(name, "valid", name, 1)]) }.figure(),
        );
    }
    html.push_str(&chart("Learning rate", "learning rate", vec![series("lr", "train", "lr", 2)]).figure());
    html.push_str(&Chart { log: true, ..chart("Norm of the gradient", "2-norm", vec![series("norm", "train", "grad_norm", 3)]) }.figure());
    html.push_str(
        &chart("Throughput", "samples/s", vec![series("train", "train", "samples_per_s", 0), series("valid", "valid", "samples_per_s", 1)])
            .figure(),
    );
    html.push_str(&chart("Throughput in tokens", "tokens/s", vec![series("train", "train", "tokens_per_s", 0)]).figure());
    html
}

/// The plan's memory by class as bars, with what the process really took.
fn memory(record: &Record) -> String {
    let MemoryRecord { params, gradients, optimizer, activations, inputs } = record.plan.memory;
    let mut bars: Vec<(&str, f64, usize)> = [
        ("parameters", params, 0),
        ("gradients", gradients, 1),
        ("optimizer", optimizer, 2),
        ("activations", activations, 3),
        ("inputs", inputs, 4),
    ]
    .map(|(name, value, colour)| (name, value as f64, colour))
    .to_vec();
    if let Some(resources) = &record.resources {
        bars.extend(resources.forecast_memory.map(|value| ("process, forecast", value, 7)));
        bars.extend(resources.memory.map(|value| ("process, measured", value, 5)));
    }
    let most = bars.iter().map(|(_, value, _)| *value).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let rows: String = bars
        .iter()
        .map(|(name, value, colour)| {
            let share = value / most * 100.0;
            let shown = bytes(*value);
            format!("<tr><th>{name}</th><td class=\"bar\"><span class=\"c{colour}\" style=\"width:{share:.2}%\"></span></td><td>{shown}</td></tr>")
        })
        .collect();
    format!("<h3>Memory</h3><table class=\"bars\">{rows}</table>\n")
}
