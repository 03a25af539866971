//! What the tests of the whole pipeline share: programs written in the language, compiled by the real compiler, run on the CPU backend and
//! on the reference evaluator.
//!
//! [`world`] gives the compiler its files, [`network`] is a checked program with the values of its parameters, [`machine`] runs graphs,
//! [`golden`] reads recorded cases and [`compare`] holds results against them. Everything returns `Result<_, String>`: a test fails with the
//! text, whatever it was that went wrong.

pub mod compare;
pub mod golden;
pub mod machine;
pub mod network;
pub mod world;

use mgx_diag::Diagnostic;

/// A result whose error is for people.
pub type Outcome<T> = Result<T, String>;

/// A finding without a source, as text.
pub fn shown(diagnostic: &Diagnostic) -> String {
    let help = diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!(
        "{}: {}{help}{}",
        diagnostic.code,
        diagnostic.message,
        diagnostic.notes.iter().map(|note| format!("; {note}")).collect::<String>()
    )
}
