//! `mgxc completions`.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Arguments, CompletionsOptions};
use crate::report;

/// Prints a script with which a shell completes commands and options.
pub fn run(options: &CompletionsOptions) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "mgxc", &mut script);
    report::text(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
