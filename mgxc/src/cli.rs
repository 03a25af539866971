//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mgx_compiler::check::Override;

use crate::commands::list::Listing;
use crate::report::Color;

/// Checks, plans and runs experiments on biological foundation models.
#[derive(Debug, Parser)]
#[command(name = "mgxc", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    /// When output is in colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Finds mistakes without loading anything
    Check(CheckOptions),
    /// Shows what a run takes: parameters, operations, memory, bytes written
    Plan(PlanOptions),
    /// Trains, evaluates and predicts as the experiment says
    Run(RunOptions),
    /// Writes what runs came to as one HTML page
    Report(ReportOptions),
    /// Writes files in the one style of mgx
    Fmt(FmtOptions),
    /// Lists what the standard library and the language have
    List(ListOptions),
    /// Shows a name of the standard library or the language, as in `mgxc doc adamw` or `mgxc doc lora.rank`
    Doc(DocOptions),
    /// Explains a code, as in `mgxc explain E0401`
    Explain(ExplainOptions),
    /// Makes a folder with an experiment and its data, to begin with
    New(NewOptions),
    /// Prints a script that completes commands and options in a shell
    Completions(CompletionsOptions),
    /// Answers an editor: a language server over standard input and output
    Lsp(LspOptions),
}

#[derive(Debug, Args)]
pub struct LspOptions {
    /// Over standard input and output, which is the only way: editors give this option by habit
    #[arg(long)]
    pub stdio: bool,
}

#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The .mgx files
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Put a value in: seed=1, train.batch_size=16, encoder.max_length=128
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    pub overrides: Vec<Override>,
    /// Write the findings as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct PlanOptions {
    /// The .mgx file
    pub file: PathBuf,
    /// The experiment, where the file has several
    #[arg(long)]
    pub experiment: Option<String>,
    /// Put a value in: seed=1, train.batch_size=16, encoder.max_length=128
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    pub overrides: Vec<Override>,
    /// The member of a sweep, from 0 (default: the first)
    #[arg(long, value_name = "NUMBER")]
    pub member: Option<u64>,
    /// Write the whole plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// What of an experiment is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    Fit,
    Validate,
    Test,
    Predict,
}

#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// The .mgx file
    pub file: PathBuf,
    /// The experiment, where the file has several
    #[arg(long)]
    pub experiment: Option<String>,
    /// Run this stage alone
    #[arg(long)]
    pub stage: Option<Stage>,
    /// Run this member of a sweep alone, from 0 (default: all, one after another)
    #[arg(long, value_name = "NUMBER")]
    pub member: Option<u64>,
    /// Run this fold alone, from 0, where the data is split into folds (default: all, one after another)
    #[arg(long, value_name = "NUMBER")]
    pub fold: Option<u64>,
    /// Start from the parameters of this checkpoint: a run, one of its checkpoints, or a file
    #[arg(long, value_name = "PATH", conflicts_with = "resume")]
    pub checkpoint: Option<PathBuf>,
    /// Load what of the checkpoint fits the network, and say what does not
    #[arg(long, requires = "checkpoint")]
    pub relaxed: bool,
    /// Take the optimizer's state from the checkpoint as well
    #[arg(long, requires = "checkpoint")]
    pub with_optimizer: bool,
    /// Put a value in: seed=1, train.batch_size=16, encoder.max_length=128
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    pub overrides: Vec<Override>,
    /// The folder of the run (default: runs/EXPERIMENT/NUMBER)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the run in the folder given by --out, or with the last one
    #[arg(long)]
    pub resume: bool,
    /// Begin the optimizer's state and the schedule anew where the run is gone on with
    #[arg(long, requires = "resume")]
    pub reset_optimizer: bool,
}

#[derive(Debug, Args)]
pub struct ReportOptions {
    /// Folders of runs, or folders with runs in them
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The page (default: report.html in the folder of the one run, or here for several)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct FmtOptions {
    /// The .mgx files, folders with such files, or - for standard input
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Write nothing; list the files that are not formatted
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Args)]
pub struct ListOptions {
    /// Names of this kind alone
    pub what: Option<Listing>,
    /// Write the names as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DocOptions {
    /// A name, std::path::name, name.option, block.setting, or a code
    pub name: String,
    /// Write the pages as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct NewOptions {
    /// The folder, which is new or empty
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// The shell, as in `mgxc completions bash > ~/.local/share/bash-completion/completions/mgxc`
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ExplainOptions {
    /// A code such as E0401; without one, all codes are listed
    pub code: Option<String>,
}

fn parse_override(text: &str) -> Result<Override, String> {
    match text.split_once('=') {
        Some((path, value)) if !path.trim().is_empty() && !value.trim().is_empty() => {
            Ok(Override { path: path.trim().to_owned(), value: value.trim().to_owned() })
        }
        _ => Err("write KEY=VALUE, for example train.batch_size=16".to_owned()),
    }
}
