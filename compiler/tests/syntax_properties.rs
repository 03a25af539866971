//! What holds for every text: the parser never panics, the tree gives the text back, and what stands before a mistake is still read.

mod syntax_text;

use mgx_compiler::syntax::ast::{Experiment, File, Item, ItemKind};
use mgx_compiler::syntax::scan::next_token;
use mgx_compiler::syntax::tree::{TokenKind, Tree};
use mgx_compiler::syntax::{MAX_DEPTH, parse, parse_expr};
use mgx_diag::{FileId, SourceMap, render};
use proptest::prelude::*;

const FILE: FileId = FileId(0);

/// Every input of the snapshot tests.
const SAMPLES: [&str; 9] = [
    include_str!("syntax/everything.mgx"),
    include_str!("syntax/values.mgx"),
    include_str!("syntax/types.mgx"),
    include_str!("syntax/names.mgx"),
    include_str!("syntax/broken_lines.mgx"),
    include_str!("syntax/broken_lists.mgx"),
    include_str!("syntax/broken_blocks.mgx"),
    include_str!("syntax/broken_text.mgx"),
    include_str!("syntax/unclosed.mgx"),
];

fn text_of(tree: &Tree) -> String {
    tree.tokens().iter().map(|token| tree.slice(token.span)).collect()
}

/// Reads a text and checks what must hold for any.
fn check(text: &str) -> mgx_compiler::syntax::Parsed {
    let parsed = parse(FILE, text);
    assert_eq!(text_of(&parsed.tree), text, "the tree lost text");
    let mut sources = SourceMap::default();
    sources.add("a.mgx", text);
    for diagnostic in &parsed.diagnostics {
        assert!(!diagnostic.labels.is_empty(), "{diagnostic:?} has no place");
        assert!(mgx_diag::explain(diagnostic.code.0).is_some(), "{} has no page", diagnostic.code);
        for label in &diagnostic.labels {
            assert!(text.get(label.span.start as usize..label.span.end as usize).is_some(), "{diagnostic:?} is outside the text");
        }
    }
    if parsed.diagnostics.is_empty() {
        let read = parsed.tree.tokens().iter().filter(|token| token.kind == TokenKind::Unknown).count();
        assert_eq!(read, 0, "an unknown character was not reported");
    } else {
        assert!(!render(&parsed.diagnostics, &sources, false).is_empty());
    }
    parsed
}

/// Everything in a file that ends before an offset, as text.
fn things_before(file: &File, end: u32) -> Vec<String> {
    let mut out = Vec::new();
    for item in &file.items {
        if item.span.end < end {
            out.push(item_text(item));
        }
        match &item.kind {
            ItemKind::Module(module) => {
                let members = module.members.iter().filter(|member| member.span.end < end);
                out.extend(members.map(|member| format!("{}.{}", item.name.text, syntax_text::member_text(member))));
            }
            ItemKind::Experiment(Experiment { body, .. }) | ItemKind::Tokenizer(body) => {
                let fields = body.fields.iter().filter(|field| field.span.end < end);
                out.extend(fields.map(|field| format!("{}.{} {:?}", item.name.text, field.name.text, field.kind)));
            }
            _ => {}
        }
    }
    out
}

fn item_text(item: &Item) -> String {
    syntax_text::file(&File { uses: Vec::new(), items: vec![item.clone()] })
}

/// The offset after the last token that must be followed by something else before it is surely complete.
fn last_sure_offset(prefix: &str) -> u32 {
    let (mut at, mut before_last, mut last) = (0, 0, 0);
    while let Some((kind, length)) = next_token(&prefix[at..]) {
        if !kind.is_trivia() {
            (before_last, last) = (last, at);
        }
        at += length;
    }
    before_last.min(last) as u32
}

#[test]
fn every_prefix_keeps_what_stands_before_its_end() {
    for sample in &SAMPLES[..4] {
        let whole = check(sample);
        assert!(whole.diagnostics.is_empty(), "{:?}", whole.diagnostics);
        for end in (0..sample.len()).filter(|end| sample.is_char_boundary(*end)) {
            let prefix = &sample[..end];
            let parsed = check(prefix);
            let sure = last_sure_offset(prefix);
            let (expected, found) = (things_before(&whole.file, sure), things_before(&parsed.file, sure));
            for thing in expected {
                assert!(found.contains(&thing), "cut at {end}, lost:\n{thing}\nof\n{prefix}\nleft: {found:#?}");
            }
        }
    }
}

#[test]
fn every_prefix_keeps_the_diagnostics_before_its_end() {
    for sample in &SAMPLES[4..8] {
        let whole = check(sample).diagnostics;
        let lines: Vec<usize> = sample.match_indices("\n").map(|(at, _)| at + 1).collect();
        for end in lines {
            let parsed = check(&sample[..end]).diagnostics;
            for diagnostic in &whole {
                // Two lines later nothing that follows can change what a line means.
                let surely_noticed = sample[..end].match_indices('\n').rev().nth(2).map_or(0, |(at, _)| at as u32);
                if diagnostic.labels.iter().all(|label| label.span.end < surely_noticed) {
                    assert!(parsed.contains(diagnostic), "cut at {end}, lost {diagnostic:?}");
                }
            }
        }
    }
}

#[test]
fn an_item_with_an_open_brace_keeps_the_next_ones() {
    for opening in ["module A(x: int) {\n  a = f(", "experiment a {\n  train {\n    b = [1", "fn a(x: int) { if x {", "data a = t( {"] {
        let text = format!("{opening}\n\nexperiment z {{ epochs = 1 }}\nfn y(x: int) -> int {{ x }}\n");
        let names: Vec<String> = check(&text).file.items.into_iter().map(|item| item.name.text).collect();
        assert_eq!(names, ["a", "z", "y"].map(|name| if name == "a" && opening.starts_with("module") { "A" } else { name }), "{text}");
    }
}

fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

/// Brackets, branches and mistakes in each other, up to the limit: no time that doubles with each, and a small stack is enough.
#[test]
fn deep_nesting_is_fast_and_fits_a_small_stack() {
    let expressions = [
        nested("(", "1", ")", 60),
        nested("[", "1", "]", 60),
        nested("f(a, b = ", "1", ")", 60),
        nested("x[", "1", "]", 60),
        nested("if a { ", "1", " } else { 2 }", 30),
        nested("if a { let x = ", "1", "\n x } else { 2 }", 30),
        nested("match a { b => { ", "1", " }, _ => c }", 30),
        nested("if (", "1", ") { 2 } else { 3 }", 60),
        nested("(", "1", "", 60),
        nested("[f(", "?", "", 30),
        nested("f(x y, ", "1", ")", 60),
        nested("{", "", "", 60),
        nested("if ", "", "", 60),
        nested("(", "1", ")", 20_000),
        nested("if ", "1", "", 20_000),
        nested("-", "1", "", 20_000),
        nested("1 + ", "1", "", 20_000),
        nested("a.", "b", "", 20_000),
        nested("if a { 1 } else ", "{ 2 }", "", 10_000),
        nested("f(", "?", "", 20_000),
        nested("{ (", "?", "", 20_000),
    ];
    for expression in expressions {
        let text = format!("experiment a {{ x = {expression}\n}}\nfn b(x: int) -> int {{ {expression} }}\nexperiment c {{ y = 1 }}\n");
        let started = std::time::Instant::now();
        let names = on_small_stack(move || check_without_rendering(&text));
        assert!(started.elapsed().as_secs() < 10, "{:?} for {:.60}…", started.elapsed(), expression);
        assert!(names.contains(&"c".to_owned()), "{names:?} for {expression:.60}…");
    }
}

fn check_without_rendering(text: &str) -> Vec<String> {
    let parsed = parse(FILE, text);
    assert_eq!(text_of(&parsed.tree), text);
    parsed.file.items.iter().map(|item| item.name.text.clone()).collect()
}

fn on_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(work).expect("a thread can be started");
    thread.join().expect("the work does not panic")
}

#[test]
fn too_deep_is_said_once_and_costs_one_declaration() {
    let text = format!("experiment a {{ x = {} }}\nexperiment b {{ y = 1 }}\n", nested("(", "1", ")", MAX_DEPTH + 1));
    let parsed = check(&text);
    assert_eq!(parsed.diagnostics.iter().map(|one| one.code.0).collect::<Vec<_>>(), ["E0118"]);
    assert_eq!(parsed.file.items.len(), 1);
    let fits = format!("experiment a {{ x = {} }}\n", nested("(", "1", ")", MAX_DEPTH - 1));
    assert!(check(&fits).diagnostics.is_empty());
}

#[test]
fn lone_expressions() {
    let read = |text: &str| {
        let (expr, diagnostics) = parse_expr(FILE, text);
        (expr.as_ref().map_or_else(String::new, syntax_text::expr), diagnostics.iter().map(|one| one.code.0).collect::<Vec<_>>())
    };
    assert_eq!(read("bf16"), ("bf16".to_owned(), vec![]));
    assert_eq!(read(" adamw(lr = 1e-3) "), ("adamw(lr=0.001)".to_owned(), vec![]));
    assert_eq!(read(""), (String::new(), vec!["E0104"]));
    assert_eq!(read("1 2"), ("1".to_owned(), vec!["E0101"]));
    assert_eq!(read("f(1"), ("f(1)".to_owned(), vec!["E0102"]));
    assert_eq!(read("\"x"), ("<error>".to_owned(), vec!["E0103"]));
}

fn word() -> impl Strategy<Value = String> {
    let words = [
        "module",
        "adapter",
        "task",
        "data",
        "experiment",
        "backbone",
        "tokenizer",
        "use",
        "fn",
        "let",
        "if",
        "else",
        "match",
        "with",
        "at",
        "param",
        "state",
        "output",
        "metric",
        "repeat",
        "where",
        "true",
        "none",
        "x",
        "y1",
        "_",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "::",
        "=",
        "==",
        "=>",
        "->",
        "|>",
        "+",
        "-",
        "*",
        "/",
        "%",
        "<",
        ">",
        "!",
        "&&",
        "||",
        ".",
        "..",
        "?",
        "1",
        "2.5e-3",
        "16GiB",
        "\"s\"",
        "\"",
        "\\",
        "//c\n",
        "///d\n",
        "\n",
        "\n  ",
        " ",
        "\t",
        "\r\n",
        "é",
        "“",
        "\u{feff}",
        "\u{1F9EC}",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC*") {
        check(&text);
    }

    #[test]
    fn any_words(words in prop::collection::vec(word(), 0..60)) {
        check(&words.concat());
        check(&words.join(" "));
    }

    #[test]
    fn changed_samples(sample in prop::sample::select(SAMPLES.to_vec()), from in 0.0..1.0f64, length in 0usize..30, with in prop::collection::vec(word(), 0..4)) {
        let boundary = |mut at: usize| { while !sample.is_char_boundary(at) { at -= 1; } at };
        let from = boundary((from * sample.len() as f64) as usize);
        let to = boundary((from + length).min(sample.len())).max(from);
        check(&format!("{}{}{}", &sample[..from], with.concat(), &sample[to..]));
    }
}
