//! The standard library and the examples check without a finding.

use mgx_compiler::check::{World, check};
use mgx_diag::Diagnostic;
use mgx_ir::plan::FileFormat;

struct Examples;

impl World for Examples {
    fn source(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(format!("../examples/{path}")).map_err(|error| error.to_string())
    }

    fn table_header(&self, path: &str, format: FileFormat) -> Result<Vec<String>, Diagnostic> {
        let text = std::fs::read_to_string(format!("../examples/{path}")).expect("bundled data");
        let separator = if format == FileFormat::Csv { ',' } else { '\t' };
        Ok(text.lines().next().unwrap_or_default().split(separator).map(str::to_owned).collect())
    }

    fn folder_text(&self, _: &str, _: &str) -> Result<Option<String>, Diagnostic> {
        Ok(None)
    }
}

#[test]
fn examples_are_clean() {
    for (name, experiments) in [
        ("splice.mgx", 1),
        ("peptides.mgx", 1),
        ("cells.mgx", 1),
        ("isoforms.mgx", 2),
        ("leaderboard.mgx", 1),
        ("lora.mgx", 1),
        ("pretraining.mgx", 2),
        ("antiberty.mgx", 1),
    ] {
        let checked = check(&Examples, name, &[]);
        assert!(checked.diagnostics.is_empty(), "{name}:\n{}", mgx_diag::render(&checked.diagnostics, &checked.sources, false));
        assert_eq!(checked.experiments.len(), experiments);
        for experiment in &checked.experiments {
            let problems = mgx_ir::graph::verify(&experiment.graph);
            assert!(problems.is_empty(), "{name}: {problems:#?}");
        }
    }
}

/// The page that builds a backbone shows what stands in its file, apart from the program that uses it.
#[test]
fn the_tutorial_shows_its_file() {
    let checked = check(&Examples, "prot_t5.mgx", &[]);
    assert!(checked.diagnostics.is_empty(), "{}", mgx_diag::render(&checked.diagnostics, &checked.sources, false));
    let file = include_str!("../../examples/prot_t5.mgx");
    let page = include_str!("../../docs/new-backbone.md");
    let blocks: Vec<&str> = page.split("```mgx\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    let (last, parts) = blocks.split_last().expect("the page has examples");
    assert!(parts.len() >= 6, "only {} examples", parts.len());
    for part in parts {
        assert!(file.contains(part), "not in the file:\n{part}");
    }
    assert!(mgx_compiler::syntax::parse(mgx_diag::FileId(0), last).diagnostics.is_empty(), "{last}");
}

/// Files of the standard library, read as if they were a user's.
struct Library;

impl World for Library {
    fn source(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(format!("../stdlib/{path}")).map_err(|error| error.to_string())
    }

    fn table_header(&self, path: &str, _: FileFormat) -> Result<Vec<String>, Diagnostic> {
        Err(Diagnostic::error("E0501", format!("the standard library reads no table, but {path}")))
    }

    fn folder_text(&self, _: &str, _: &str) -> Result<Option<String>, Diagnostic> {
        Ok(None)
    }
}

#[test]
fn every_module_of_the_library_checks_by_itself() {
    let mut folders = vec![std::path::PathBuf::from("../stdlib")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the library") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "mgx") {
                continue;
            }
            let name = path.strip_prefix("../stdlib").expect("below it").to_string_lossy().into_owned();
            let checked = check(&Library, &name, &[]);
            assert!(checked.diagnostics.is_empty(), "{name}:\n{}", mgx_diag::render(&checked.diagnostics, &checked.sources, false));
            count += 1;
        }
    }
    assert!(count > 10, "only {count} files were found");
}
