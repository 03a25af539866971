//! What a user sees: `tests/ui/NAME.mgx` is a broken experiment, `NAME.txt` what `mgxc check` prints about it. `MGX_BLESS=1` writes the printed texts
//! anew; read the difference as a user would.
//!
//! The program itself says what has to be found, and where: a comment below a line has carets under the place and the code,
//!
//! ```text
//!   encoder = aido_dna_degub
//!   //        ^^^^^^^^^^^^^^ E0204
//! ```
//!
//! where carets in the first two columns or a finding without a place in the file are written `//! E0512 file.mgx:3:1-4` or `//! E0517`. The first
//! label of a finding is its place; of one that spans several lines, carets stand under the first. `//! --set train.epochs=0` is an argument. Files
//! named `five_…` hold five mistakes that have nothing to do with each other. A comment that begins with `// Report:` names where a user, or a quirk of
//! the reference, first made the mistake.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// As many programs, and as many of them after reports of users, belong to the corpus.
const LEAST_PROGRAMS: usize = 100;
const LEAST_REPORTS: usize = 30;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ui")
}

/// A code, and the place it is at as a person counts: `file.mgx:line:column-column`; nothing where it has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    code: String,
    place: String,
}

impl Finding {
    fn at(code: &str, file: &str, line: usize, columns: (usize, usize)) -> Self {
        Self { code: code.to_owned(), place: format!("{file}:{line}:{}-{}", columns.0, columns.1) }
    }
}

/// What a program says about itself.
#[derive(Default)]
struct Intended {
    findings: Vec<Finding>,
    arguments: Vec<String>,
    report: bool,
}

fn intended(name: &str, text: &str) -> Intended {
    let mut intended = Intended::default();
    // The last line that is no mark, from 1.
    let mut marked = 0;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("// Report:") {
            intended.report = true;
        }
        if let Some(directive) = line.strip_prefix("//! ") {
            if directive.starts_with("--") {
                intended.arguments.extend(directive.splitn(2, ' ').map(str::to_owned));
            } else {
                let (code, place) = directive.split_once(' ').unwrap_or((directive, ""));
                intended.findings.push(Finding { code: code.to_owned(), place: place.to_owned() });
            }
        } else if let Some((columns, code)) = mark(line) {
            intended.findings.push(Finding::at(code, name, marked, columns));
        } else {
            marked = number;
        }
    }
    intended.findings.sort();
    intended
}

/// The columns, from 1 and the last one included, and the code of a line of carets.
fn mark(line: &str) -> Option<((usize, usize), &str)> {
    let rest = line.trim_start().strip_prefix("//")?.trim_start();
    let carets = rest.len() - rest.trim_start_matches('^').len();
    let code = rest[carets..].trim();
    let start = line.chars().count() - rest.chars().count();
    (carets > 0 && code.len() == 5).then_some(((start + 1, start + carets), code))
}

/// Runs `mgxc check` on a program of the folder, without network and in a home of its own.
fn check(name: &str, arguments: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mgxc"));
    command.current_dir(folder()).arg("check").args(arguments).arg(name);
    command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", folder().join("no_hub")).env_remove("HF_HUB_CACHE").env("NO_COLOR", "1");
    command.output().expect("mgxc starts")
}

/// The findings of `--json`, and those of them that are errors without a way to mend them.
fn found(output: &Output, text: &str) -> (Vec<Finding>, Vec<String>) {
    let (mut findings, mut helpless) = (Vec::new(), Vec::new());
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
        let Some(code) = value["code"].as_str() else { continue };
        let label = &value["labels"][0];
        let number = |at: &Value| at.as_u64().unwrap_or(0) as usize;
        let place = label["file"].as_str().map(|file| {
            let (line, column) = (number(&label["start"]["line"]), number(&label["start"]["column"]));
            let width = text.lines().nth(line.saturating_sub(1)).map_or(0, |line| line.chars().count());
            let last = if number(&label["end"]["line"]) == line { number(&label["end"]["column"]) - 1 } else { width };
            Finding::at(code, file, line, (column, last.max(column)))
        });
        findings.push(place.unwrap_or_else(|| Finding { code: code.to_owned(), place: String::new() }));
        if value["help"].is_null() {
            helpless.push(code.to_owned());
        }
    }
    findings.sort();
    (findings, helpless)
}

/// What is wrong with the findings of a program; nothing if all is as it says.
fn differences(path: &Path, bless: bool) -> Vec<String> {
    let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(path).expect("the program is readable");
    let intended = intended(&name, &text);
    let mut differences = Vec::new();
    let data = check(&name, &[&intended.arguments[..], &["--json".to_owned()]].concat());
    let (findings, helpless) = found(&data, &text);
    if findings != intended.findings {
        differences.push(format!("{name}: intended {:#?}\nfound {findings:#?}", intended.findings));
    }
    if !helpless.is_empty() {
        differences.push(format!("{name}: no help with {}", helpless.join(", ")));
    }
    for finding in &findings {
        if mgx_diag::explain(&finding.code).is_none() {
            differences.push(format!("{name}: {} has no page", finding.code));
        }
    }
    let fails = findings.iter().any(|finding| finding.code.starts_with('E'));
    let shown = check(&name, &intended.arguments);
    if shown.status.code() != Some(i32::from(fails)) || data.status != shown.status {
        differences.push(format!("{name}: exit code {:?} for {} findings", shown.status.code(), findings.len()));
    }
    // Ariadne pads lines with blanks.
    let rendered: String = String::from_utf8_lossy(&shown.stderr).lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let expected = path.with_extension("txt");
    if bless {
        fs::write(&expected, &rendered).expect("the expected text is writable");
    } else if fs::read_to_string(&expected).unwrap_or_default() != rendered {
        differences.push(format!("==== {name}, printed:\n{rendered}"));
    }
    differences
}

fn programs() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the folder exists");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mgx"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_mistake_is_found_where_it_is_made() {
    let bless = std::env::var_os("MGX_BLESS").is_some();
    let programs = programs();
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(path) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let differences = differences(path, bless);
                    all.lock().unwrap_or_else(PoisonError::into_inner).extend(differences);
                }
            });
        }
    });
    let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(all.is_empty(), "{}\nMGX_BLESS=1 writes the printed texts anew", all.join("\n"));
}

#[test]
fn the_corpus_is_what_it_is_meant_to_be() {
    let programs = programs();
    let mut reports = 0;
    for path in &programs {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let intended = intended(&name, &fs::read_to_string(path).expect("the program is readable"));
        reports += usize::from(intended.report);
        assert!(!intended.findings.is_empty(), "{name} says of no mistake");
        let mistakes = intended.findings.iter().filter(|finding| finding.code.starts_with('E')).count();
        assert!(!name.starts_with("five_") || mistakes == 5, "{name} has {mistakes} mistakes");
    }
    assert!(programs.len() >= LEAST_PROGRAMS, "{} programs", programs.len());
    assert!(reports >= LEAST_REPORTS, "{reports} programs after reports");
}
