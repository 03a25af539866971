//! What files mean, as text beside them: `syntax/NAME.mgx` and `syntax/NAME.txt`, which holds the syntax read from it and the
//! diagnostics with the text they point at. `MGX_BLESS=1` writes the expected texts anew; read the difference as a user would.

mod syntax_text;

use std::fs;
use std::path::Path;

use mgx_compiler::syntax::parse;
use mgx_diag::{Diagnostic, SourceMap};

/// The syntax of a text and its diagnostics, as a reader would want to compare them.
fn snapshot(name: &str, text: &str) -> String {
    let mut sources = SourceMap::default();
    let file = sources.add(name, text);
    let parsed = parse(file, text);
    let mut out = syntax_text::file(&parsed.file);
    if !parsed.diagnostics.is_empty() {
        out.push_str("\n----\n");
        out.extend(parsed.diagnostics.iter().map(|one| diagnostic(one, &sources)));
    }
    out
}

/// A diagnostic with its places as `line:column`, independent of how it is drawn.
fn diagnostic(one: &Diagnostic, sources: &SourceMap) -> String {
    let mut out = format!("{} {}\n", one.code, one.message);
    for label in &one.labels {
        let at = sources.line_column(label.span.file, label.span.start);
        let place = sources.slice(label.span).lines().next().unwrap_or_default();
        out.push_str(&format!("  {}:{} `{place}`: {}\n", at.line, at.column, label.text));
    }
    out.extend(one.notes.iter().map(|note| format!("  note: {note}\n")));
    out.extend(one.help.iter().map(|help| format!("  help: {help}\n")));
    out
}

#[test]
fn files_mean_what_is_written_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntax");
    let bless = std::env::var_os("MGX_BLESS").is_some();
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .expect("the folder exists")
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mgx"))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 9, "only {} inputs found", inputs.len());
    let mut differences = Vec::new();
    for input in inputs {
        let text = fs::read_to_string(&input).expect("the input is readable");
        let name = input.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let found = snapshot(&name, &text);
        let expected_path = input.with_extension("txt");
        if bless {
            fs::write(&expected_path, &found).expect("the expected text is writable");
        } else if fs::read_to_string(&expected_path).unwrap_or_default() != found {
            differences.push(format!("==== {name}, found:\n{found}"));
        }
    }
    assert!(differences.is_empty(), "{}\nMGX_BLESS=1 writes the expected texts anew", differences.join("\n"));
}
