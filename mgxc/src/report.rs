//! Printing findings and results.

use std::fmt::Arguments;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::ValueEnum;
use mgx_diag::{Diagnostic, SourceMap};

use crate::prose;

/// When output is in colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

static COLOR: OnceLock<Color> = OnceLock::new();

/// Decides on colour for the rest of the process; the first call counts.
pub fn set_color(color: Color) {
    let _ = COLOR.set(color);
}

/// Is output to a stream in colour?
fn is_coloured(is_terminal: bool) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match COLOR.get().copied().unwrap_or_default() {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb"),
    }
}

/// Prints a page of Markdown to standard output: as it is, or where there is colour without its markup.
pub fn page(page: &str) {
    if is_coloured(std::io::stdout().is_terminal()) {
        text(&prose::terminal(page));
    } else {
        line(format_args!("{}", page.trim_end()));
    }
}

/// Prints findings to standard error, in colour where it is wanted.
pub fn print(diagnostics: &[Diagnostic], sources: &SourceMap) {
    let text = mgx_diag::render(diagnostics, sources, is_coloured(std::io::stderr().is_terminal()));
    if !text.is_empty() {
        note(format_args!("{}", text.trim_end_matches('\n')));
    }
}

/// Prints a line of the result to standard output.
pub fn line(text: Arguments) {
    self::text(&format!("{text}\n"));
}

/// Prints a text to standard output as it is.
pub fn text(text: &str) {
    if let Err(error) = write(&mut std::io::stdout(), text) {
        note(format_args!("cannot write to standard output: {error}"));
    }
}

/// Prints a line to standard error. Where even that fails there is nobody to tell.
pub fn note(text: Arguments) {
    let _ = write(&mut std::io::stderr(), &format!("{text}\n"));
}

/// Writes to a stream that may have no reader any more (`mgxc plan … | head`): that is no error, and a run goes on.
fn write(stream: &mut impl Write, text: &str) -> std::io::Result<()> {
    match stream.write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Prints one finding and gives the exit code of a failure.
pub fn fail(diagnostic: &Diagnostic, sources: &SourceMap) -> ExitCode {
    print(std::slice::from_ref(diagnostic), sources);
    ExitCode::FAILURE
}

/// The version of what `--json` writes: it grows when something that was there changes its meaning or goes. New keys may come at any time.
const JSON_VERSION: u32 = 1;

/// Prints an object as a line of JSON to standard output, with the version of its form.
pub fn json(mut object: serde_json::Value) {
    if let Some(keys) = object.as_object_mut() {
        keys.insert("version".to_owned(), JSON_VERSION.into());
    }
    line(format_args!("{object}"));
}

/// Prints findings as JSON lines to standard output.
pub fn print_json(diagnostics: &[Diagnostic], sources: &SourceMap) {
    for diagnostic in diagnostics {
        match serde_json::to_value(diagnostic.to_data(sources)) {
            Ok(object) => json(object),
            Err(error) => note(format_args!("cannot write a finding as JSON: {error}")),
        }
    }
}
