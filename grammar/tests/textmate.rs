//! The highlighting of editors is made from the grammar: `editors/vscode/syntaxes/mgx.tmLanguage.json` has the words and operators of `mgx.pest`, and each word of the grammar has a place in it.
//! `MGX_BLESS=1 cargo test -p mgx-grammar` writes the file anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mgx_grammar::GRAMMAR;
use serde_json::{Value, json};

const IDENT: &str = "[A-Za-z_][A-Za-z0-9_]*";
/// No letter, digit or `_` follows.
const END: &str = "(?![A-Za-z0-9_])";
/// None stands before, nor the dot of a member.
const BEGIN: &str = "(?<![A-Za-z0-9_.])";

/// Words that have their meaning only where the grammar puts them: scope, word, and what follows.
const IN_PLACE: [(&str, &str, &str); 8] = [
    ("keyword.control.import.mgx", "use", "[ \\t]+[A-Za-z_]"),
    ("keyword.control.import.mgx", "as", "[ \\t]+[A-Za-z_]"),
    ("keyword.other.mgx", "of", "[ \\t]+[A-Za-z_]"),
    ("keyword.other.mgx", "where", "\\s+[A-Za-z0-9_(!\"-]"),
    ("keyword.other.mgx", "at", "\\s*[\"{\\[]|[ \\t]+[A-Za-z_]"),
    ("keyword.other.mgx", "repeat", "[ \\t]*\\("),
    ("storage.type.mgx", "output", "[ \\t]+[A-Za-z_][A-Za-z0-9_]*\\s*="),
    ("storage.type.mgx", "metric", "[ \\t]+[A-Za-z_][A-Za-z0-9_]*\\s*="),
];

/// The body of a rule of the grammar.
fn rule(name: &str) -> &'static str {
    let start = format!("\n{name} = ");
    let (_, rest) = GRAMMAR.split_once(&start).unwrap_or_else(|| panic!("the grammar has no rule `{name}`"));
    rest.split("\n\n").next().and_then(|text| text.split("\n///").next()).unwrap_or(rest)
}

/// The texts between quotation marks in a part of the grammar, without what must not follow (`!"="`) and characters that need an escape.
fn literals(text: &'static str) -> Vec<&'static str> {
    let lines = text.lines().filter(|line| !line.starts_with("//"));
    let quoted = lines.flat_map(|line| {
        let parts: Vec<&str> = line.split('"').collect();
        parts.chunks(2).filter(|pair| !pair[0].ends_with('!')).filter_map(|pair| pair.get(1).copied()).collect::<Vec<_>>()
    });
    quoted.filter(|literal| !literal.contains('\\') && !literal.is_empty()).collect()
}

fn is_word(literal: &str) -> bool {
    literal.len() > 1 && literal.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The words of a rule.
fn words(name: &str) -> Vec<&'static str> {
    literals(rule(name)).into_iter().filter(|literal| is_word(literal)).collect()
}

fn alternatives(words: &[&str]) -> String {
    words.join("|")
}

/// The signs of the rules for operators, the longest first, as a pattern.
fn operators() -> String {
    let mut signs: Vec<&str> =
        ["operator", "minus", "unary"].iter().flat_map(|name| literals(rule(name))).filter(|sign| !is_word(sign)).collect();
    signs.sort_by_key(|sign| (std::cmp::Reverse(sign.len()), *sign));
    signs.dedup();
    let escape =
        |sign: &&str| sign.chars().map(|c| if "|*+?.()[]{}^$".contains(c) { format!("\\{c}") } else { c.to_string() }).collect::<String>();
    // What begins like an operator and is none: `->`, `=>`.
    format!("(?!->|=>)(?:{})", signs.iter().map(escape).collect::<Vec<_>>().join("|"))
}

/// A pattern with names for its groups.
fn matching(pattern: String, groups: &[(usize, &str)]) -> Value {
    let captures: serde_json::Map<String, Value> =
        groups.iter().map(|(group, scope)| (group.to_string(), json!({ "name": scope }))).collect();
    json!({ "match": pattern, "captures": captures })
}

fn named(scope: &str, pattern: String) -> Value {
    json!({ "name": scope, "match": pattern })
}

fn text_patterns() -> Value {
    json!({
        "comments": { "patterns": [
            named("comment.line.documentation.mgx", "///(?!/).*$".to_owned()),
            named("comment.line.double-slash.mgx", "//.*$".to_owned()),
        ] },
        "strings": {
            "name": "string.quoted.double.mgx", "begin": "\"", "end": "\"|(?=$)",
            "patterns": [
                named("constant.character.escape.mgx", "\\\\[nt\"\\\\{}]".to_owned()),
                named("invalid.illegal.escape.mgx", "\\\\.".to_owned()),
                named("constant.other.placeholder.mgx", format!("\\{{\\s*{IDENT}\\s*\\}}")),
            ],
        },
        "numbers": matching(
            "(?<![A-Za-z0-9_])([0-9][0-9_]*(?:\\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9][0-9_]*)?)([A-Za-z0-9_]*)".to_owned(),
            &[(1, "constant.numeric.mgx"), (2, "keyword.other.unit.mgx")],
        ),
    })
}

fn keyword_patterns() -> Value {
    let reserved = words("reserved");
    let control: Vec<&str> =
        reserved.iter().copied().filter(|word| !["let", "fn"].contains(word) && !words("literal").contains(word)).collect();
    let in_place = IN_PLACE.iter().map(|(scope, word, next)| named(scope, format!("{BEGIN}{word}{END}(?={next})")));
    let mut patterns: Vec<Value> = vec![
        matching(format!("{BEGIN}(fn)[ \\t]+({IDENT})"), &[(1, "storage.type.function.mgx"), (2, "entity.name.function.mgx")]),
        named("storage.type.mgx", format!("{BEGIN}(?:let|fn){END}")),
        named("keyword.control.mgx", format!("{BEGIN}(?:{}){END}", alternatives(&control))),
        named("constant.language.mgx", format!("{BEGIN}(?:{}){END}", alternatives(&words("literal")))),
    ];
    patterns.extend(in_place);
    json!({ "patterns": patterns })
}

fn name_patterns() -> Value {
    let item_words: Vec<&str> = words("item_head").into_iter().filter(|word| !["use", "at"].contains(word)).collect();
    let name = format!("(?!(?:{}){END}){IDENT}", alternatives(&words("reserved")));
    json!({ "patterns": [
        // `data splice`: two words side by side are a declaration, and nothing else.
        matching(
            format!("{BEGIN}({})[ \\t]+(?!at{END})({IDENT})", alternatives(&item_words)),
            &[(1, "storage.type.mgx"), (2, "entity.name.type.mgx")],
        ),
        matching(format!("({IDENT})\\s*(::)"), &[(1, "entity.name.namespace.mgx"), (2, "punctuation.separator.namespace.mgx")]),
        matching(format!("(?:^|(?<=[{{}}]))\\s*({name})(?=[ \\t]*\\{{)"), &[(1, "entity.name.section.mgx")]),
        // `weight: param f[hidden]`, `x: f[seq]`, `-> f[seq]`.
        matching(
            format!("({name})\\s*(:)(?!:)(?:\\s*({}){END}(?=\\s+[A-Za-z_(\\[]))?(?:\\s*\\[*({IDENT}))?", alternatives(&words("storage"))),
            &[(1, "variable.parameter.mgx"), (2, "punctuation.separator.type.mgx"), (3, "storage.modifier.mgx"), (4, "support.type.mgx")],
        ),
        matching(format!("(->)\\s*(?:\\[*({IDENT}))?"), &[(1, "keyword.operator.arrow.mgx"), (2, "support.type.mgx")]),
        matching(format!("^\\s*({name})\\s*(=)(?![=>])"), &[(1, "variable.other.property.mgx"), (2, "keyword.operator.assignment.mgx")]),
        matching(format!("{BEGIN}({name})\\s*(=)(?![=>])"), &[(1, "variable.parameter.mgx"), (2, "keyword.operator.assignment.mgx")]),
        matching(format!("(\\|>)\\s*({name})"), &[(1, "keyword.operator.mgx"), (2, "entity.name.function.mgx")]),
        named("entity.name.type.mgx", format!("(?<![A-Za-z0-9_])[A-Z][A-Za-z0-9_]*{END}")),
        matching(format!("({name})(?=[ \\t]*\\()"), &[(1, "entity.name.function.mgx")]),
    ] })
}

/// The whole file.
fn textmate() -> Value {
    let mut repository = text_patterns();
    repository["keywords"] = keyword_patterns();
    repository["names"] = name_patterns();
    repository["operators"] = json!({ "patterns": [
        named("keyword.operator.arrow.mgx", "->|=>".to_owned()),
        named("keyword.operator.mgx", operators()),
        named("keyword.operator.assignment.mgx", "=".to_owned()),
        named("keyword.operator.rest.mgx", "\\.\\.".to_owned()),
        named("keyword.operator.optional.mgx", "\\?".to_owned()),
    ] });
    let parts = ["comments", "strings", "keywords", "names", "numbers", "operators"].map(|name| json!({ "include": format!("#{name}") }));
    json!({
        "information_for_contributors": ["Generated from grammar/src/mgx.pest: MGX_BLESS=1 cargo test -p mgx-grammar writes it anew."],
        "name": "mgx",
        "scopeName": "source.mgx",
        "fileTypes": ["mgx"],
        "patterns": parts,
        "repository": repository,
    })
}

#[test]
fn highlighting_is_that_of_the_grammar() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../editors/vscode/syntaxes/mgx.tmLanguage.json");
    let made = serde_json::to_string_pretty(&textmate()).expect("plain data") + "\n";
    if std::env::var_os("MGX_BLESS").is_some() {
        fs::write(&path, &made).expect("a file that can be written");
    }
    assert!(fs::read_to_string(&path).is_ok_and(|text| text == made), "not what the grammar gives; MGX_BLESS=1 writes it anew");
}

#[test]
fn every_word_of_the_grammar_is_highlighted() {
    let mut placed: BTreeSet<&str> = IN_PLACE.iter().map(|(_, word, _)| *word).collect();
    for name in ["reserved", "item_head", "role", "storage", "literal"] {
        placed.extend(words(name));
    }
    let all: BTreeSet<&str> = literals(GRAMMAR).into_iter().filter(|literal| is_word(literal)).collect();
    let missing: Vec<_> = all.difference(&placed).collect();
    assert!(missing.is_empty(), "words of the grammar without a place in the highlighting: {missing:?}");
    assert!(all.len() > 25, "only {all:?}");
}
