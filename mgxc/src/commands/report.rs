//! `mgxc report`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mgx_diag::{Diagnostic, SourceMap};

use crate::cli::ReportOptions;
use crate::report;

/// The page's name where none is given.
const PAGE: &str = "report.html";

/// Writes the page of some runs and says where it is.
pub fn run(options: &ReportOptions) -> ExitCode {
    match write(options) {
        Ok(path) => {
            report::line(format_args!("wrote {}", path.display()));
            ExitCode::SUCCESS
        }
        Err(diagnostic) => report::fail(&diagnostic, &SourceMap::default()),
    }
}

fn write(options: &ReportOptions) -> Result<PathBuf, Diagnostic> {
    let runs = mgx_report::find(&options.runs)?;
    let path = match (&options.out, runs.as_slice()) {
        (Some(path), _) => path.clone(),
        (None, [run]) => run.join(PAGE),
        (None, _) => Path::new(PAGE).to_owned(),
    };
    let page = mgx_report::page(&runs);
    mgx_data::write_atomically(&path, |file| file.write_all(page.as_bytes()))?;
    Ok(path)
}
