//! `mgxc explain`.

use std::process::ExitCode;

use crate::cli::ExplainOptions;
use crate::report;

/// Prints the page of a code, or the list of codes.
pub fn run(options: &ExplainOptions) -> ExitCode {
    let Some(code) = &options.code else {
        for code in mgx_diag::codes() {
            let title = mgx_diag::explain(code).and_then(|page| page.lines().next()).unwrap_or(code);
            report::line(format_args!("{}", title.trim_start_matches("# ")));
        }
        return ExitCode::SUCCESS;
    };
    match mgx_diag::explain(code) {
        Some(page) => {
            report::page(page);
            ExitCode::SUCCESS
        }
        None => {
            let near = mgx_diag::nearest(code, mgx_diag::codes());
            report::note(format_args!(
                "there is no code `{code}`{}",
                near.map(|near| format!("; did you mean {near}?")).unwrap_or_default()
            ));
            ExitCode::FAILURE
        }
    }
}
