//! What a run takes: told before it begins, and measured when it is done.

use std::time::Duration;

use mgx_compiler::plan::Summary;
use mgx_report::numbers::{bytes, duration, grouped};
use mgx_runtime::{Forecast, FrozenReport, Resources, peak_memory};

use crate::report;

/// Prints the parameters, and the memory and the time that are expected.
pub fn print_forecast(summary: &Summary, forecast: Option<&Forecast>) -> Resources {
    let shown = |count: u64| grouped(&count.to_string());
    report::line(format_args!("parameters: {} in all, {} trainable", shown(summary.parameters_total), shown(summary.parameters_trainable)));
    let memory = bytes(summary.process_peak as f64);
    match forecast {
        Some(Forecast { seconds, steps: 0 }) => {
            report::line(format_args!("forecast: {memory} of memory at most, about {}", duration(*seconds)))
        }
        Some(Forecast { seconds, steps }) => report::line(format_args!(
            "forecast: {memory} of memory at most, about {} for {} steps, evaluation and prediction",
            duration(*seconds),
            shown(*steps)
        )),
        None => report::line(format_args!("forecast: {memory} of memory at most")),
    }
    Resources {
        parameters: summary.parameters_total,
        trainable: summary.parameters_trainable,
        forecast_memory: summary.process_peak,
        forecast_seconds: forecast.map(|forecast| forecast.seconds),
        ..Resources::default()
    }
}

/// Prints what it took, and notes it.
pub fn print_measured(resources: &mut Resources, took: Duration) {
    resources.seconds = Some(took.as_secs_f64());
    resources.memory = peak_memory();
    let memory = resources.memory.map_or_else(String::new, |peak| format!("{} of memory at most, ", bytes(peak as f64)));
    report::line(format_args!("measured: {memory}{}", duration(took.as_secs_f64())));
}

/// Prints what became of the frozen part.
pub fn print_frozen(frozen: &FrozenReport) {
    let shown = |count: u64| grouped(&count.to_string());
    report::line(format_args!(
        "frozen network: {} rows computed ({} tokens, {}), {} found in the cache",
        shown(frozen.computed),
        shown(frozen.tokens),
        duration(frozen.seconds),
        shown(frozen.found)
    ));
    if let Some(note) = &frozen.note {
        report::line(format_args!("cache: {note}"));
    }
}
