//! The language server, driven over pipes as an editor drives it.

mod lsp;

use std::path::Path;

use lsp::{Server, examples, position, uri};
use serde_json::json;

fn codes(findings: &serde_json::Value) -> Vec<String> {
    let found = findings.as_array().expect("a list").iter();
    found.map(|finding| finding["code"].as_str().expect("a code").to_owned()).collect()
}

#[test]
fn findings_come_with_the_text_and_go_when_it_is_mended() {
    let cache = tempfile::tempdir().expect("a folder");
    let path = examples().join("splice.mgx");
    let text = std::fs::read_to_string(&path).expect("the example");
    let mut server = Server::start(&examples(), cache.path(), &json!({}));
    server.open(&path, &text);
    assert_eq!(server.findings(&path), json!([]), "the example is right");
    let broken = text.replace("outputs = 3", "outputs = 4").replace("// Which", "// 🧬 Which");
    server.change(&path, 2, &broken);
    let found = server.findings(&path);
    assert_eq!(codes(&found), ["E0501"], "unsaved text is what is checked");
    let at = broken.find("logits, splice").expect("there");
    assert_eq!(found[0]["range"]["start"], position(&broken, at));
    server.change(&path, 3, &text);
    assert_eq!(server.findings(&path), json!([]));
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
