//! `mgxc plan`.

use std::process::ExitCode;

use mgx_compiler::check::Override;

use super::prepare::{Labels, prepare};
use super::sweeps;
use crate::cli::PlanOptions;
use crate::report;

/// Prints what a run takes.
pub fn run(options: &PlanOptions) -> ExitCode {
    let overrides: Vec<Override> =
        options.overrides.iter().cloned().chain(options.member.map(|member| sweeps::choice(options.experiment.as_ref(), member))).collect();
    let prepared = match prepare(&options.file, options.experiment.as_deref(), &overrides, Labels::Needed, None) {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let summary = prepared.summary();
    if options.json {
        report::json(serde_json::json!({ "summary": summary, "plan": prepared.plan }));
    } else {
        report::line(format_args!("{}", summary.to_string().trim_end()));
        if let Some(sweep) = prepared.sweep.filter(|_| options.member.is_none()) {
            report::line(format_args!("  sweep        {} members; this is the first (--member NUMBER shows another)", sweep.members.len()));
        }
    }
    ExitCode::SUCCESS
}
