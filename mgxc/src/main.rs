//! `mgxc`: checks, plans and runs mgx experiments.
//!
//! Exit codes: 0 all is well, 1 errors were found (and printed), 2 the command line itself is wrong.

mod cache;
mod cli;
mod commands;
mod hub;
mod lsp;
mod prose;
mod report;
mod world;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    report::set_color(arguments.color);
    match arguments.command {
        cli::Command::Check(options) => commands::check::run(&options),
        cli::Command::Plan(options) => commands::plan::run(&options),
        cli::Command::Run(options) => commands::run::run(&options),
        cli::Command::Report(options) => commands::report::run(&options),
        cli::Command::Fmt(options) => commands::fmt::run(&options),
        cli::Command::List(options) => commands::list::run(&options),
        cli::Command::Doc(options) => commands::doc::run(&options),
        cli::Command::Explain(options) => commands::explain::run(&options),
        cli::Command::New(options) => commands::new::run(&options),
        cli::Command::Completions(options) => commands::completions::run(&options),
        cli::Command::Lsp(_) => lsp::run(),
    }
}
