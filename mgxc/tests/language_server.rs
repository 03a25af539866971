//! The language server, driven over pipes as an editor drives it.

mod lsp;

use std::path::Path;

use lsp::{Server, examples, position, uri};
use serde_json::json;

/// The codes of errors: the examples' data have rows to warn of.
fn codes(findings: &serde_json::Value) -> Vec<String> {
    let found = findings.as_array().expect("a list").iter().filter(|finding| finding["severity"] == 1);
    found.map(|finding| finding["code"].as_str().expect("a code").to_owned()).collect()
}

#[test]
fn findings_come_with_the_text_and_go_when_it_is_mended() {
    let cache = tempfile::tempdir().expect("a folder");
    let path = examples().join("splice.mgx");
    let text = std::fs::read_to_string(&path).expect("the example");
    let mut server = Server::start(&examples(), cache.path(), &json!({}));
    server.open(&path, &text);
    assert_eq!(codes(&server.findings(&path)), Vec::<String>::new(), "the example is right");
    let broken = text.replace("outputs = 3", "outputs = 4").replace("// Which", "// 🧬 Which");
    server.change(&path, 2, &broken);
    let found = server.findings(&path);
    assert_eq!(codes(&found), ["E0501"], "unsaved text is what is checked");
    let at = broken.find("logits, splice").expect("there");
    let error = found.as_array().and_then(|found| found.iter().find(|one| one["code"] == "E0501")).expect("the error");
    assert_eq!(error["range"]["start"], position(&broken, at));
    server.change(&path, 3, &text);
    assert_eq!(codes(&server.findings(&path)), Vec::<String>::new());
    assert!(server.stop());
}

#[test]
fn what_is_typed_arrives_as_changes_of_ranges() {
    let cache = tempfile::tempdir().expect("a folder");
    let path = cache.path().join("größe 🧬.mgx");
    let mut server = Server::start(cache.path(), cache.path(), &json!({}));
    let text = "// 🧬🧬 e\u{301}\nmodule A(n: dim) {\n  fn forward(x: f[n]) -> f[n] { y }\n}\n";
    server.open(&path, text);
    assert_eq!(codes(&server.findings(&path)), ["E0204"]);
    let at = position(text, text.find("y }").expect("there"));
    let mut end = at.clone();
    end["character"] = (at["character"].as_u64().expect("a number") + 1).into();
    let changes = json!([{ "range": { "start": at, "end": end }, "text": "x" }]);
    server.notify("textDocument/didChange", &json!({ "textDocument": { "uri": uri(&path), "version": 2 }, "contentChanges": changes }));
    assert_eq!(codes(&server.findings(&path)), Vec::<String>::new());
    assert!(server.stop());
}

#[test]
fn a_file_that_is_imported_is_the_open_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (main, other) = (folder.path().join("main.mgx"), folder.path().join("other.mgx"));
    std::fs::write(&other, "fn half(x: f[..]) -> f[..] { x * 0.5 }\n").expect("written");
    let mut server = Server::start(folder.path(), folder.path(), &json!({}));
    server.open(&main, "use other::half\nfn quarter(x: f[..]) -> f[..] { half(half(x)) }\n");
    assert_eq!(server.findings(&main), json!([]));
    server.open(&other, "fn halve(x: f[..]) -> f[..] { x * 0.5 }\n");
    assert_eq!(codes(&server.findings(&main)), ["E0203"], "the unsaved text of the other file counts");
    server.notify("textDocument/didClose", &json!({ "textDocument": { "uri": uri(&other) } }));
    assert_eq!(server.findings(&main), json!([]));
    assert!(server.stop());
}

#[test]
fn requests_that_cannot_be_answered_do_not_end_the_server() {
    let cache = tempfile::tempdir().expect("a folder");
    let path = cache.path().join("a.mgx");
    let mut server = Server::start(cache.path(), cache.path(), &json!({}));
    assert_eq!(server.request("textDocument/moniker", &json!({})).expect_err("not served")["code"], -32601);
    assert_eq!(server.request("textDocument/hover", &json!({ "textDocument": 3 })).expect_err("not a place")["code"], -32602);
    let nowhere = json!({ "textDocument": { "uri": uri(Path::new("/no/such/file.mgx")) }, "position": { "line": 3, "character": 9 } });
    assert_eq!(server.request("textDocument/hover", &nowhere), Ok(json!(null)));
    server.open(&path, "fn one(x: f[..]) -> f[..] { x }\n");
    assert_eq!(server.findings(&path), json!([]));
    assert!(server.stop());
}

/// A case: the request in the first line, the program with `<CURSOR>` in it, other files, and the answer after `//// answer`.
struct Case {
    request: String,
    program: String,
    files: Vec<(String, String)>,
    answer: String,
}

impl Case {
    fn read(text: &str) -> Self {
        let mut case = Self { request: String::new(), program: String::new(), files: Vec::new(), answer: String::new() };
        let mut in_answer = false;
        for line in text.split_inclusive('\n') {
            if let Some(request) = line.strip_prefix("//// request: ") {
                request.trim_end().clone_into(&mut case.request);
            } else if let Some(path) = line.strip_prefix("//// file: ") {
                case.files.push((path.trim_end().to_owned(), String::new()));
            } else if line.trim_end() == "//// answer" {
                in_answer = true;
            } else if in_answer {
                case.answer.push_str(line);
            } else {
                case.files.last_mut().map_or(&mut case.program, |(_, text)| text).push_str(line);
            }
        }
        case
    }
}

#[test]
fn answers_are_what_is_written_below_the_programs() {
    let bless = std::env::var_os("MGX_BLESS").is_some();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lsp/cases");
    let mut paths: Vec<_> = std::fs::read_dir(&cases).expect("the cases").map(|entry| entry.expect("a case").path()).collect();
    paths.sort();
    assert!(paths.len() >= 30, "only {} cases", paths.len());
    let mut differences = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a case");
        let case = Case::read(&text);
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a folder");
        for (name, text) in &case.files {
            let file = root.join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, text).expect("written");
        }
        let cursor = case.program.find("<CURSOR>").unwrap_or(0);
        let program = case.program.replace("<CURSOR>", "");
        let file = root.join("main.mgx");
        let cache = tempfile::tempdir().expect("a folder");
        let mut server = Server::start(&root, cache.path(), &json!({}));
        server.open(&file, &program);
        let found = lsp::answers::answer(&mut server, &root, &file, &program, cursor, &case.request);
        assert!(server.logged.is_empty(), "{}: {:?}", path.display(), server.logged);
        assert!(server.stop());
        if bless {
            let kept = text.split("//// answer\n").next().unwrap_or_default();
            std::fs::write(&path, format!("{kept}//// answer\n{found}")).expect("written");
        } else if found != case.answer {
            differences.push(format!("==== {}\n{found}---- instead of\n{}", path.display(), case.answer));
        }
    }
    assert!(differences.is_empty(), "{}\nMGX_BLESS=1 writes the expected answers anew", differences.join("\n"));
}

/// All parts of the examples from their beginnings, as they are when somebody types them.
#[test]
fn every_beginning_of_every_example_is_answered() {
    let cache = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(&examples(), cache.path(), &json!({}));
    // All of them take minutes in a release build.
    let all = std::env::var_os("MGX_EVERY_PREFIX").is_some();
    let (mut opened, mut answered) = (0, 0);
    for entry in std::fs::read_dir(examples()).expect("the examples") {
        let path = entry.expect("an example").path();
        if path.extension().is_none_or(|ending| ending != "mgx") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("an example");
        // A mistake that stands after the broken place is reported whatever stands before it.
        let after = "\nmodule Wrong(n: dim) {\n  fn forward(x: f[n]) -> f[n] { nothing_of_this_name }\n}\n";
        server.open(&path, "");
        server.findings(&path);
        for (version, (end, _)) in text.char_indices().enumerate() {
            let is_sampled = all || end % 7 == 3 || text[..end].ends_with(['(', '{', '.', '"', '=']);
            if !is_sampled {
                continue;
            }
            server.change(&path, version as i64 + 2, &format!("{}{after}", &text[..end]));
            let here = json!({ "textDocument": { "uri": uri(&path) }, "position": position(&text, end) });
            for method in ["textDocument/completion", "textDocument/hover", "textDocument/signatureHelp"] {
                answered += usize::from(server.request(method, &here).is_ok());
            }
            let document = json!({ "textDocument": { "uri": uri(&path) } });
            answered += usize::from(server.request("textDocument/semanticTokens/full", &document).is_ok());
            opened += 1;
            let found = server.last_findings(&path, version as i64 + 2);
            let says = found.as_array().is_some_and(|found| {
                found.iter().any(|one| one["message"].as_str().is_some_and(|text| text.contains("nothing_of_this_name")))
            });
            assert!(says, "{} up to {end}: {found}\n{}", path.display(), &text[..end]);
        }
    }
    assert!(opened > 1000 && answered == 4 * opened, "{answered} answers of {opened} beginnings");
    assert!(server.logged.is_empty(), "{:?}", server.logged);
    assert!(server.stop());
}

#[test]
fn places_count_bytes_where_the_client_offers_it() {
    let cache = tempfile::tempdir().expect("a folder");
    let path = cache.path().join("a.mgx");
    let mut server = Server::start(cache.path(), cache.path(), &json!({ "general": { "positionEncodings": ["utf-8", "utf-16"] } }));
    server.open(&path, "fn one(x: f[..]) -> f[..] { /* */ x }\n");
    server.findings(&path);
    let line = "fn one(x: f[..]) -> f[..] { x * \"🧬\" * y }";
    server.change(&path, 2, &format!("{line}\n"));
    let found = server.findings(&path);
    let wrong = found.as_array().and_then(|found| found.iter().find(|one| one["code"] == "E0204")).expect("a finding");
    assert_eq!(wrong["range"]["start"]["character"], line.find("y }").expect("there"), "{found}");
    assert!(server.stop());
}
