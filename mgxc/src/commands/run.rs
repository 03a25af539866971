//! `mgxc run`.

use std::process::ExitCode;

use super::prepare::{Labels, prepare};
use crate::cli::{RunOptions, Stage};

/// Trains, evaluates and predicts as the experiment says.
pub fn run(options: &RunOptions) -> ExitCode {
    let labels = if options.stage == Some(Stage::Predict) { Labels::Ignored } else { Labels::Needed };
    match prepare(&options.file, options.experiment.as_deref(), &options.overrides, labels) {
        Ok(_) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}
