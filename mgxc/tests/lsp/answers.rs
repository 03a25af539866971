//! Answers of the server as short text.

use serde_json::{Value, json};

use super::{Server, position, uri};
use std::path::Path;

/// Where an answer's positions are, as `line:column` from 1.
fn at(position: &Value) -> String {
    let number = |key: &str| position[key].as_u64().unwrap_or_default() + 1;
    format!("{}:{}", number("line"), number("character"))
}

/// The byte of a position of the protocol.
fn offset(text: &str, position: &Value) -> usize {
    let (line, unit) =
        (position["line"].as_u64().unwrap_or_default() as usize, position["character"].as_u64().unwrap_or_default() as usize);
    let start = if line == 0 { 0 } else { text.match_indices('\n').nth(line - 1).map_or(text.len(), |(at, _)| at + 1) };
    let mut units = 0;
    for (at, c) in text[start..].char_indices() {
        if units >= unit || c == '\n' {
            return start + at;
        }
        units += c.len_utf16();
    }
    text.len()
}

/// The text with the edits of an answer put in.
fn edited(text: &str, edits: &[Value]) -> String {
    let mut places: Vec<(usize, usize, &str)> = edits
        .iter()
        .map(|edit| {
            let range = &edit["range"];
            (offset(text, &range["start"]), offset(text, &range["end"]), edit["newText"].as_str().unwrap_or_default())
        })
        .collect();
    places.sort_by_key(|place| place.0);
    let mut text = text.to_owned();
    for (start, end, new) in places.into_iter().rev() {
        text.replace_range(start..end, new);
    }
    text
}

/// The lines that differ, as they are in the second text, with their numbers.
fn changed_lines(old: &str, new: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let same_end = old[same..].iter().rev().zip(new[same..].iter().rev()).take_while(|(a, b)| a == b).count();
    let lines = new[same..new.len() - same_end].iter().enumerate();
    lines.map(|(index, line)| format!("  {}: {line}\n", same + index + 1)).collect()
}

/// What a file of the server holds at a range.
fn place(location: &Value, folder: &Path, texts: &dyn Fn(&Path) -> String) -> String {
    let uri = location["uri"].as_str().unwrap_or_default();
    let path = uri.trim_start_matches("file://");
    let shown = path.strip_prefix(&*folder.to_string_lossy()).map_or_else(
        || path.rsplit_once("/std/").map_or_else(|| path.to_owned(), |(_, rest)| format!("std/{rest}")),
        |rest| rest.trim_start_matches('/').to_owned(),
    );
    let text = texts(Path::new(path));
    let start = offset(&text, &location["range"]["start"]);
    let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let whole = text[line..].lines().next().unwrap_or_default().trim();
    let word = &text[start..offset(&text, &location["range"]["end"])];
    // A line of the library says nothing by its number.
    if shown.starts_with("std/") {
        format!("{shown} `{word}`: {whole}\n")
    } else {
        format!("{shown}:{} `{word}`: {whole}\n", at(&location["range"]["start"]))
    }
}

/// A request by its short name, at a byte of an open text.
pub fn answer(server: &mut Server, folder: &Path, path: &Path, text: &str, cursor: usize, request: &str) -> String {
    let document = json!({ "uri": uri(path) });
    let here = json!({ "textDocument": document, "position": position(text, cursor) });
    let whole = json!({ "start": { "line": 0, "character": 0 }, "end": position(text, text.len()) });
    let texts = |file: &Path| if file == path { text.to_owned() } else { std::fs::read_to_string(file).unwrap_or_default() };
    let (name, argument) = request.split_once(' ').unwrap_or((request, ""));
    let mut ask = |method: &str, params: Value| {
        server.request(method, &params).map_err(|error| format!("refused: {}\n", error["message"].as_str().unwrap_or_default()))
    };
    let found = match name {
        "hover" => ask("textDocument/hover", here).map(|found| format!("{}\n", found["contents"]["value"].as_str().unwrap_or("nothing"))),
        "completion" => ask("textDocument/completion", here).map(|found| completions(text, &found, argument)),
        "signature" => ask("textDocument/signatureHelp", here).map(|found| signature(&found)),
        "definition" => ask("textDocument/definition", here)
            .map(|found| if found.is_null() { "nothing\n".to_owned() } else { place(&found, folder, &texts) }),
        "references" => {
            let mut params = here;
            params["context"] = json!({ "includeDeclaration": true });
            ask("textDocument/references", params).map(|found| list(&found).iter().map(|found| place(found, folder, &texts)).collect())
        }
        "highlights" => ask("textDocument/documentHighlight", here)
            .map(|found| list(&found).iter().map(|found| format!("{}\n", at(&found["range"]["start"]))).collect()),
        "rename" => {
            let mut params = here;
            params["newName"] = json!(argument);
            ask("textDocument/rename", params).map(|found| workspace_edit(&found, folder, &texts))
        }
        "prepare" => {
            ask("textDocument/prepareRename", here).map(|found| format!("{}\n", found["placeholder"].as_str().unwrap_or("nothing")))
        }
        "symbols" => ask("textDocument/documentSymbol", json!({ "textDocument": document })).map(|found| symbols(&found, 0)),
        "workspace" => ask("workspace/symbol", json!({ "query": argument }))
            .map(|found| list(&found).iter().map(|found| place(&found["location"], folder, &texts)).collect()),
        "tokens" => ask("textDocument/semanticTokens/full", json!({ "textDocument": document })).map(|found| tokens(text, &found["data"])),
        "inlays" => ask("textDocument/inlayHint", json!({ "textDocument": document, "range": whole })).map(|found| {
            list(&found)
                .iter()
                .map(|found| format!("{} {}\n", at(&found["position"]), found["label"].as_str().unwrap_or_default()))
                .collect()
        }),
        "folds" => {
            ask("textDocument/foldingRange", json!({ "textDocument": document })).map(|found| list(&found).iter().map(fold).collect())
        }
        "format" => ask("textDocument/formatting", json!({ "textDocument": document, "options": { "tabSize": 2, "insertSpaces": true } }))
            .map(|found| changed_lines(text, &edited(text, &list(&found)))),
        "actions" => {
            let range = json!({ "start": position(text, cursor), "end": position(text, cursor) });
            ask("textDocument/codeAction", json!({ "textDocument": document, "range": range, "context": { "diagnostics": [] } })).map(
                |found| {
                    let one = |action: &Value| {
                        format!("{}\n{}", action["title"].as_str().unwrap_or_default(), workspace_edit(&action["edit"], folder, &texts))
                    };
                    list(&found).iter().map(one).collect()
                },
            )
        }
        other => panic!("there is no request `{other}`"),
    };
    found.unwrap_or_else(|refused| refused)
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The best completions: as many as asked for, or 12; those of a word that is begun as an editor would show them.
fn completions(text: &str, found: &Value, argument: &str) -> String {
    let mut items = list(found);
    let wanted = argument.parse().unwrap_or(12);
    items.sort_by_key(|item| item["sortText"].as_str().unwrap_or_default().to_owned());
    let begun = |item: &Value| {
        let range = &item["textEdit"]["range"];
        text[offset(text, &range["start"])..offset(text, &range["end"])].to_owned()
    };
    items.retain(|item| item["label"].as_str().unwrap_or_default().starts_with(&begun(item)));
    let line = |item: &Value| {
        let import = list(&item["additionalTextEdits"])
            .first()
            .map_or_else(String::new, |edit| format!("  + {}", edit["newText"].as_str().unwrap_or_default().trim()));
        format!("{}  {}{import}\n", item["label"].as_str().unwrap_or_default(), item["detail"].as_str().unwrap_or_default())
    };
    items.iter().take(wanted).map(line).collect()
}

fn signature(found: &Value) -> String {
    let Some(signature) = list(&found["signatures"]).into_iter().next() else { return "nothing\n".to_owned() };
    let label: Vec<u16> = signature["label"].as_str().unwrap_or_default().encode_utf16().collect();
    let part = |range: std::ops::Range<usize>| String::from_utf16_lossy(&label[range]);
    let active = signature["activeParameter"].as_u64().and_then(|active| list(&signature["parameters"]).get(active as usize).cloned());
    let Some(active) = active else { return format!("{}\n", part(0..label.len())) };
    let bound = |index: usize| active["label"][index].as_u64().unwrap_or_default() as usize;
    format!("{}«{}»{}\n", part(0..bound(0)), part(bound(0)..bound(1)), part(bound(1)..label.len()))
}

fn workspace_edit(found: &Value, folder: &Path, texts: &dyn Fn(&Path) -> String) -> String {
    let mut changes: Vec<_> = found["changes"].as_object().into_iter().flatten().collect();
    changes.sort_by_key(|(uri, _)| (*uri).clone());
    let shown = |(uri, edits): (&String, &Value)| {
        let path = Path::new(uri.trim_start_matches("file://"));
        let text = texts(path);
        let name = path.strip_prefix(folder).unwrap_or(path).display();
        format!("{name}\n{}", changed_lines(&text, &edited(&text, &list(edits))))
    };
    changes.into_iter().map(shown).collect()
}

fn symbols(found: &Value, depth: usize) -> String {
    let one = |symbol: &Value| {
        let (name, kind) = (symbol["name"].as_str().unwrap_or_default(), symbol["kind"].as_u64().unwrap_or_default());
        format!("{}{name} {kind}\n{}", "  ".repeat(depth), symbols(&symbol["children"], depth + 1))
    };
    list(found).iter().map(one).collect()
}

fn fold(found: &Value) -> String {
    let line = |key: &str| found[key].as_u64().unwrap_or_default() + 1;
    format!("{}-{} {}\n", line("startLine"), line("endLine"), found["kind"].as_str().unwrap_or("region"))
}

const TOKENS: [&str; 13] = [
    "comment",
    "keyword",
    "string",
    "number",
    "operator",
    "namespace",
    "type",
    "class",
    "function",
    "variable",
    "parameter",
    "property",
    "enumMember",
];

fn tokens(text: &str, data: &Value) -> String {
    let numbers: Vec<u64> = list(data).iter().filter_map(Value::as_u64).collect();
    let (mut line, mut unit) = (0, 0);
    let mut out = String::new();
    for token in numbers.chunks(5) {
        unit = if token[0] == 0 { unit + token[1] } else { token[1] };
        line += token[0];
        let start = offset(text, &json!({ "line": line, "character": unit }));
        let end = offset(text, &json!({ "line": line, "character": unit + token[2] }));
        let modifiers: String = ["declaration", "library", "documentation"]
            .iter()
            .enumerate()
            .filter(|(bit, _)| token[4] >> bit & 1 == 1)
            .map(|(_, name)| format!(" {name}"))
            .collect();
        out.push_str(&format!("{} {}{modifiers}\n", &text[start..end], TOKENS[token[3] as usize]));
    }
    out
}
