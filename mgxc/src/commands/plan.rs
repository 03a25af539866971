//! `mgxc plan`.

use std::process::ExitCode;

use super::prepare::{Labels, prepare};
use crate::cli::PlanOptions;
use crate::report;

/// Prints what a run takes.
pub fn run(options: &PlanOptions) -> ExitCode {
    let prepared = match prepare(&options.file, options.experiment.as_deref(), &options.overrides, Labels::Needed, None) {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let summary = mgx_compiler::plan::summarize(&prepared.plan, prepared.data_bytes());
    if options.json {
        let data = serde_json::json!({ "summary": summary, "plan": prepared.plan });
        report::line(format_args!("{data}"));
    } else {
        report::line(format_args!("{}", summary.to_string().trim_end()));
    }
    ExitCode::SUCCESS
}
