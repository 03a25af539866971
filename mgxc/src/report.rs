//! Printing findings.

use std::io::IsTerminal;
use std::process::ExitCode;

use mgx_diag::{Diagnostic, SourceMap};

/// Prints findings to standard error, in colour on a terminal.
pub fn print(diagnostics: &[Diagnostic], sources: &SourceMap) {
    eprint!("{}", mgx_diag::render(diagnostics, sources, std::io::stderr().is_terminal()));
}

/// Prints one finding and gives the exit code of a failure.
pub fn fail(diagnostic: &Diagnostic, sources: &SourceMap) -> ExitCode {
    print(std::slice::from_ref(diagnostic), sources);
    ExitCode::FAILURE
}

/// Prints findings as JSON lines to standard output.
pub fn print_json(diagnostics: &[Diagnostic], sources: &SourceMap) {
    for diagnostic in diagnostics {
        match serde_json::to_string(&diagnostic.to_data(sources)) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("cannot write a finding as JSON: {error}"),
        }
    }
}
