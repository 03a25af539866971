//! The pages of the error codes (`docs/errors`) tell the truth: every code that is raised has a page, every page is of a code that is raised, and the examples of
//! what the parser and the checker say are run.
//!
//! On such a page the first block of mgx gives the code of the page and no other; the second is clean. See `fenced` for what stands after ```` ```mgx ````.

mod fenced;
mod files_world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fenced::{Block, blocks, files, findings};
use files_world::Files;
use mgx_compiler::syntax::parse;
use mgx_diag::{Diagnostic, SourceMap, render};

/// Checks a block as `mgxc` would; examples of what the parser says are only read.
fn run(code: &str, block: &Block, files: &Files) -> (SourceMap, Vec<Diagnostic>) {
    if code.starts_with("E01") {
        let mut sources = SourceMap::default();
        let file = sources.add("example.mgx", block.text.as_str());
        let diagnostics = parse(file, &block.text).diagnostics;
        return (sources, diagnostics);
    }
    findings(block, files)
}

fn pages() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors");
    let mut pages: Vec<(String, String)> = fs::read_dir(folder)
        .expect("the folder of the pages")
        .map(|entry| entry.expect("a readable folder").path())
        .map(|path| {
            (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), fs::read_to_string(&path).expect("a readable page"))
        })
        .collect();
    pages.sort();
    pages
}

/// The codes of the parser and the checker, but for those that they share with the reading of data (E0510 to E0549), whose examples are data files.
fn runnable_codes() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["src/syntax", "src/check"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let texts: Vec<String> = files.iter().map(|path| fs::read_to_string(path).expect("a readable source")).collect();
    let codes = texts.iter().flat_map(|text| codes_in(text)).map(str::to_owned);
    codes.filter(|code| !("E0510"..="E0549").contains(&code.as_str())).collect()
}

#[test]
fn examples_of_pages_fail_and_pass_as_they_say() {
    let mut wrong = Vec::new();
    let mut count = 0;
    let runnable = runnable_codes();
    for (code, page) in pages().iter().filter(|(code, _)| runnable.contains(code)) {
        let blocks = blocks(page);
        let files = files(&blocks);
        let programs: Vec<&Block> = blocks.iter().filter(|block| block.language == "mgx" && !block.words.contains_key("file")).collect();
        let [failing, fixed, ..] = programs.as_slice() else {
            // A file of 16 MiB or sixty brackets is no example.
            if !["E0118", "E0123"].contains(&code.as_str()) {
                wrong.push(format!("{code} has no two examples"));
            }
            continue;
        };
        count += 1;
        let (sources, found) = run(code, failing, &files);
        let codes: BTreeSet<&str> = found.iter().map(|diagnostic| diagnostic.code.0).collect();
        if codes != BTreeSet::from([code.as_str()]) {
            wrong.push(format!("{code}: the failing example gives {codes:?}\n{}", render(&found, &sources, false)));
        }
        let (sources, found) = run(code, fixed, &files);
        if !found.is_empty() {
            wrong.push(format!("{code}: the fixed example is not clean\n{}", render(&found, &sources, false)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 60, "only {count} pages have examples that run");
}

/// Every Rust source of the project that is not a test's.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "tests", "benches", "examples", "shared"].contains(&name.as_str()) && !name.starts_with('.') {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The codes in quotes of a source, up to its own tests.
fn codes_in(text: &str) -> impl Iterator<Item = &str> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.split('"').filter(|word| {
        let digits = word.strip_prefix(['E', 'W']).unwrap_or_default();
        digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut files);
    let mut raised = BTreeMap::new();
    for path in &files {
        let text = fs::read_to_string(path).expect("a readable source");
        for code in codes_in(&text) {
            raised.entry(code.to_owned()).or_insert_with(|| path.display().to_string());
        }
    }
    let documented: BTreeSet<String> = pages().into_iter().map(|(code, _)| code).collect();
    let without: Vec<_> = raised.iter().filter(|(code, _)| !documented.contains(*code)).collect();
    let unused: Vec<_> = documented.iter().filter(|code| !raised.contains_key(*code)).collect();
    assert!(without.is_empty(), "raised without a page: {without:?}");
    assert!(unused.is_empty(), "pages of codes that nothing raises: {unused:?}");
}

#[test]
fn every_code_is_in_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", "docs", "goldens", "shared", "node_modules"].contains(&name.as_str()) && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if [".rs", ".txt", ".mgx"].iter().any(|ending| name.ends_with(ending)) {
                let text = fs::read_to_string(&path).expect("a readable file");
                let in_tests = path.components().any(|part| part.as_os_str() == "tests");
                let own = if in_tests { Some(text.as_str()) } else { text.split_once("#[cfg(test)]").map(|(_, tests)| tests) };
                // This file names codes that are not of its tests.
                texts.extend(own.filter(|_| name != "error_pages.rs").map(str::to_owned));
            }
        }
    }
    let runnable = runnable_codes();
    let is_tested = |code: &str| runnable.contains(code) || texts.iter().any(|text| text.contains(code));
    let untested: Vec<String> = pages().into_iter().map(|(code, _)| code).filter(|code| !is_tested(code)).collect();
    assert!(untested.is_empty(), "no test has {untested:?}");
}
