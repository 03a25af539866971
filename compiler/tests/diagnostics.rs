//! What the checker says, as text beside the programs: `diagnostics/NAME.mgx` and `diagnostics/NAME.txt`, the rendered findings. `MGX_BLESS=1` writes the
//! expected texts anew; read the difference as a user would.
//!
//! A program ends at the first line `//// file: PATH`; what follows such a line is that file, which the program may import or name as data. A line
//! `//// set: PATH=VALUE` is a value from the command line. Tables that are not given have the columns sequence, other, label and value.

mod files_world;

use std::fs;
use std::path::{Path, PathBuf};

use files_world::Files;
use mgx_compiler::check::{Override, check};
use mgx_diag::render;

fn read(name: &str, text: &str) -> (Files, Vec<Override>) {
    let mut files = Files::default();
    let mut overrides = Vec::new();
    let mut path = name.to_owned();
    for line in text.split_inclusive('\n') {
        if let Some(rest) = line.strip_prefix("//// file: ") {
            rest.trim_end().clone_into(&mut path);
        } else if let Some((path, value)) = line.strip_prefix("//// set: ").and_then(|rest| rest.trim_end().split_once('=')) {
            overrides.push(Override { path: path.to_owned(), value: value.to_owned() });
        } else {
            files.0.entry(path.clone()).or_default().push_str(line);
        }
    }
    (files, overrides)
}

fn rendered(name: &str, text: &str) -> String {
    let (files, overrides) = read(name, text);
    let checked = check(&files, name, &overrides);
    for diagnostic in &checked.diagnostics {
        assert!(mgx_diag::explain(diagnostic.code.0).is_some(), "{name}: {} has no page", diagnostic.code);
    }
    // Ariadne pads lines with blanks.
    render(&checked.diagnostics, &checked.sources, false).lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn programs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let entries = fs::read_dir(folder).expect("the folder exists");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "mgx"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn findings_are_what_is_written_beside_the_programs() {
    let bless = std::env::var_os("MGX_BLESS").is_some();
    let programs = programs();
    assert!(programs.len() > 20, "only {} programs found", programs.len());
    let mut differences = Vec::new();
    for path in programs {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let found = rendered(&name, &fs::read_to_string(&path).expect("the program is readable"));
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &found).expect("the expected text is writable");
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            differences.push(format!("==== {name}, found:\n{found}"));
        }
        if found.is_empty() {
            differences.push(format!("==== {name} has no findings"));
        }
    }
    assert!(differences.is_empty(), "{}\nMGX_BLESS=1 writes the expected texts anew", differences.join("\n"));
}
