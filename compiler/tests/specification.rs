//! The specification (`docs/language.md`) tells the truth and leaves nothing out: its programs are run, and each rule of the grammar, word, type, field, option and
//! function of the language stands in one of them.
//!
//! ```` ```mgx ```` is text that is read without a finding, ```` ```mgx clean ```` a program that is checked without one, and ```` ```mgx error=E0402 ```` a program with
//! this finding and no other (`times=2`: as many). See `fenced` for other words.

mod fenced;
mod files_world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use fenced::{Block, blocks, files, findings};
use mgx_compiler::check::words;
use mgx_compiler::syntax::ast::ItemKind;
use mgx_compiler::syntax::parse;
use mgx_compiler::syntax::tree::{Element, Node, TokenKind, Tree};
use mgx_diag::{Diagnostic, FileId, SourceMap, codes, explain, render};
use mgx_grammar::{GRAMMAR, Rule, parse_file};

/// A page of the documentation.
fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).expect("a page of the documentation")
}

/// The programs of the specification, with its files.
fn programs() -> (Vec<Block>, files_world::Files) {
    let blocks = blocks(&page("language.md"));
    let files = files(&blocks);
    (blocks.into_iter().filter(|block| block.language == "mgx" && !block.words.contains_key("file")).collect(), files)
}

/// The programs without a finding.
fn valid_programs() -> Vec<Block> {
    programs().0.into_iter().filter(|block| !block.words.contains_key("error")).collect()
}

#[test]
fn programs_are_as_they_say() {
    let (programs, files) = programs();
    let mut wrong = String::new();
    let mut checked = 0;
    for block in &programs {
        let (sources, found) = if block.words.contains_key("clean") || block.words.contains_key("error") {
            checked += 1;
            findings(block, &files)
        } else {
            read(&block.text)
        };
        // An example of a word need not make use of it.
        let found: Vec<Diagnostic> = found.into_iter().filter(|diagnostic| !diagnostic.code.0.starts_with("W02")).collect();
        let codes: BTreeSet<&str> = found.iter().map(|diagnostic| diagnostic.code.0).collect();
        let times = match block.words.get("times") {
            Some(times) => times.parse().expect("a number"),
            None => usize::from(block.words.contains_key("error")),
        };
        if codes != block.words.get("error").map(String::as_str).into_iter().collect() || found.len() != times {
            wrong.push_str(&format!("found {codes:?} in\n{}\n{}\n", block.text, render(&found, &sources, false)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(checked >= 35, "only {checked} programs are checked");
}

fn read(text: &str) -> (SourceMap, Vec<Diagnostic>) {
    let mut sources = SourceMap::default();
    let file = sources.add("example.mgx", text);
    let diagnostics = parse(file, text).diagnostics;
    (sources, diagnostics)
}

/// The rules of the grammar with their bodies, as far as they make something: those that begin with `_{` do not.
fn rules() -> BTreeMap<&'static str, &'static str> {
    let definitions = GRAMMAR.split('\n').filter(|line| !line.starts_with("//"));
    let mut rules = BTreeMap::new();
    let mut current = "";
    for line in definitions {
        if let Some((name, body)) = line.split_once(" = ").filter(|(name, _)| !name.starts_with(' ')) {
            current = if body.starts_with("_{") { "" } else { name };
        }
        if !current.is_empty() {
            // The body as one slice of the grammar: from its first line on.
            let start = rules.get(current).map_or(line.as_ptr() as usize, |body: &&str| body.as_ptr() as usize) - GRAMMAR.as_ptr() as usize;
            let end = line.as_ptr() as usize + line.len() - GRAMMAR.as_ptr() as usize;
            rules.insert(current, &GRAMMAR[start..end]);
        }
    }
    rules
}

/// Does the rule stand for text that is not mgx, or for something that is not there?
fn is_of_mistakes(rule: &str) -> bool {
    ["error_", "loose_", "missing_"].iter().any(|prefix| rule.starts_with(prefix))
        || ["unclosed", "unterminated_string", "bare_assign", "stray_assign"].contains(&rule)
}

fn rules_in<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in texts {
        for pair in parse_file(text).expect("shallow text").flatten() {
            found.insert(format!("{:?}", pair.as_rule()));
        }
    }
    found
}

#[test]
fn every_rule_of_the_grammar_has_an_example() {
    let programs = valid_programs();
    let found = rules_in(programs.iter().map(|block| block.text.as_str()));
    let values = [Rule::lone_expr].map(|rule| format!("{rule:?}"));
    let rules = rules();
    assert!(rules.len() > 60, "only {} rules found", rules.len());
    let missing: Vec<_> =
        rules.keys().filter(|rule| !is_of_mistakes(rule) && !found.contains(**rule) && !values.contains(&(**rule).to_owned())).collect();
    assert!(missing.is_empty(), "rules of the grammar without an example in docs/language.md: {missing:?}");
}

#[test]
fn every_rule_for_mistakes_has_an_example() {
    let pages = codes().filter(|code| code.starts_with("E01")).filter_map(explain);
    let mut failing: Vec<String> = pages.flat_map(blocks).filter(|block| block.language == "mgx").map(|block| block.text).collect();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntax")).expect("a folder of this crate") {
        failing.push(fs::read_to_string(entry.expect("an entry").path()).expect("a text"));
    }
    let found = rules_in(failing.iter().map(String::as_str));
    let missing: Vec<_> = rules().into_keys().filter(|rule| is_of_mistakes(rule) && !found.contains(*rule)).collect();
    assert!(missing.is_empty(), "rules for mistakes without an example in docs/errors or tests/syntax: {missing:?}");
}

#[test]
fn every_word_and_sign_of_the_grammar_has_an_example() {
    let mut tokens = BTreeSet::new();
    for block in valid_programs() {
        let tree = parse(FileId(0), &block.text).tree;
        tokens.extend(tree.tokens().into_iter().map(|token| tree.slice(token.span).to_owned()));
    }
    let mut missing = BTreeSet::new();
    for (rule, body) in rules() {
        if is_of_mistakes(rule) || ["number", "string", "doc", "ident"].contains(&rule) {
            continue;
        }
        let literals = body.split('"').skip(1).step_by(2).filter(|literal| !literal.contains(['\\', ' ']) && !literal.is_empty());
        missing.extend(literals.filter(|literal| !tokens.contains(*literal)).map(|literal| format!("{literal} of {rule}")));
    }
    assert!(missing.is_empty(), "without an example in docs/language.md: {missing:?}");
}

/// What programs use, by the places of [`words`].
#[derive(Default)]
struct Uses {
    /// (kind of braces, field)
    fields: BTreeSet<(String, String)>,
    /// (call or type, option)
    options: BTreeSet<(String, String)>,
    /// (field or option, its value where that is one word)
    choices: BTreeSet<(String, String)>,
    types: BTreeSet<String>,
    tensor_types: BTreeSet<String>,
    columns: BTreeSet<String>,
    calls: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Uses {
    fn walk(&mut self, tree: &Tree, node: &Node, place: &str) {
        let first = node.tokens().find(|token| token.kind == TokenKind::Name).map(|token| tree.slice(token.span).to_owned());
        let first = first.unwrap_or_default();
        let mut inside = place.to_owned();
        match node.kind {
            Rule::experiment_item => "experiment".clone_into(&mut inside),
            Rule::tokenizer_item => "tokenizer".clone_into(&mut inside),
            Rule::backbone_item => "backbone".clone_into(&mut inside),
            Rule::data_item => "data".clone_into(&mut inside),
            Rule::value_field | Rule::block_field => {
                self.fields.insert((place.to_owned(), first.clone()));
                if node.kind == Rule::block_field {
                    inside.clone_from(&first);
                } else if let Some(value) = node.child(Rule::expr) {
                    self.choices.insert((first.clone(), tree.slice(value.span).trim().to_owned()));
                }
            }
            Rule::typed_field => "column".clone_into(&mut inside),
            Rule::named_type => {
                if node.child(Rule::axes).is_some() {
                    self.tensor_types.insert(first.clone());
                } else if place == "column" {
                    self.columns.insert(first.clone());
                } else {
                    self.types.insert(first.clone());
                }
                self.arguments(tree, node, &first);
            }
            Rule::operand => self.calls_of(tree, node),
            Rule::repeat => self.arguments(tree, node, "repeat"),
            _ => {}
        }
        for child in &node.children {
            match child {
                Element::Node(child) => self.walk(tree, child, &inside),
                Element::Token(token) if token.kind == TokenKind::Name => {
                    self.names.insert(tree.slice(token.span).to_owned());
                }
                Element::Token(_) => {}
            }
        }
    }

    /// `name(…)` in an operand.
    fn calls_of(&mut self, tree: &Tree, operand: &Node) {
        let mut callee = String::new();
        for child in &operand.children {
            match child {
                Element::Token(token) if token.kind == TokenKind::Name => tree.slice(token.span).clone_into(&mut callee),
                Element::Node(args) if args.kind == Rule::args && !callee.is_empty() => {
                    self.calls.insert(callee.clone());
                    self.arguments_in(tree, args, &callee);
                    callee.clear();
                }
                _ => {}
            }
        }
    }

    fn arguments(&mut self, tree: &Tree, node: &Node, of: &str) {
        if let Some(args) = node.child(Rule::args) {
            self.arguments_in(tree, args, of);
        }
    }

    fn arguments_in(&mut self, tree: &Tree, args: &Node, of: &str) {
        for arg in args.nodes().filter(|arg| arg.kind == Rule::arg) {
            let Some(name) = arg.tokens().find(|token| token.kind == TokenKind::Name) else { continue };
            let name = tree.slice(name.span).to_owned();
            if let Some(value) = arg.child(Rule::expr) {
                self.choices.insert((name.clone(), tree.slice(value.span).trim().to_owned()));
            }
            self.options.insert((of.to_owned(), name));
        }
    }
}

#[test]
fn every_word_of_the_language_has_an_example_that_is_checked() {
    let mut uses = Uses::default();
    for block in programs().0.iter().filter(|block| block.words.contains_key("clean")) {
        let tree = parse(FileId(0), &block.text).tree;
        uses.walk(&tree, &tree.root, "");
    }
    let words = words();
    let mut missing = Vec::new();
    for (place, own) in &words.fields {
        missing.extend(
            own.iter()
                .filter(|word| !uses.fields.contains(&((*place).to_owned(), (**word).to_owned())))
                .map(|word| format!("{place} {{ {word} }}")),
        );
    }
    for (call, own) in &words.options {
        // Options of every backbone and every rewrite are those of calls under many names.
        let anywhere = ["backbone", "rewrite"].contains(call);
        let used = |word: &str| uses.options.iter().any(|(of, option)| option == word && (anywhere || of == call));
        missing.extend(own.iter().filter(|word| !used(word)).map(|word| format!("{call}({word} = …)")));
    }
    for (place, own) in &words.choices {
        let used = |word: &str| uses.choices.iter().any(|(field, value)| field == place && value == word);
        missing.extend(own.iter().filter(|word| !used(word)).map(|word| format!("{place} = {word}")));
    }
    let lists = [
        ("type", &words.types, &uses.types),
        ("tensor", &words.tensor_types, &uses.tensor_types),
        ("column", &words.columns, &uses.columns),
        ("source", &words.sources, &uses.calls),
        ("metric", &words.metrics, &uses.calls),
        ("constant", &words.constants, &uses.names),
        ("function", &words.functions, &uses.calls),
    ];
    for (what, own, used) in lists {
        missing.extend(own.iter().filter(|word| !used.contains(**word)).map(|word| format!("{what} {word}")));
    }
    assert!(missing.is_empty(), "without a checked example in docs/language.md:\n{}", missing.join("\n"));
}

/// The words between backquotes and in examples of a chapter.
fn chapter_words(title: &str) -> BTreeSet<String> {
    let page = page("language.md");
    let chapter = page.split(&format!("\n## {title}\n")).nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the chapter");
    chapter.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect()
}

#[test]
fn the_chapter_on_functions_names_every_function() {
    let named = chapter_words("Functions of the language");
    let mut missing: Vec<String> = words().functions.iter().map(|name| (*name).to_owned()).filter(|name| !named.contains(name)).collect();
    let named = chapter_words("Functions of the library");
    missing.extend(declared("prelude.mgx", true).into_iter().filter(|name| !named.contains(name)));
    assert!(missing.is_empty(), "not in the chapters: {missing:?}");
}

/// The names that a file or folder of the standard library declares, with its `functions` or without.
fn declared(path: &str, functions: bool) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib").join(path);
    let paths = if path.is_dir() {
        fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("a file").path()).collect()
    } else {
        vec![path]
    };
    let mut names = Vec::new();
    for path in paths {
        let parsed = parse(FileId(0), &fs::read_to_string(path).expect("a file of the library"));
        let items = parsed.file.items.into_iter().filter(|item| functions || !matches!(item.kind, ItemKind::Function(_)));
        names.extend(items.map(|item| item.name.text));
    }
    names
}

#[test]
fn tables_name_everything_of_the_library_that_experiments_use() {
    for (title, path) in [
        ("Tasks", "tasks"),
        ("Optimizers and schedules", "optimizers.mgx"),
        ("Optimizers and schedules", "schedules.mgx"),
        ("Backbones", "rewrites.mgx"),
        ("Adapters", "fusion"),
    ] {
        let named = chapter_words(title);
        let missing: Vec<_> =
            declared(path, false).into_iter().filter(|name| name.starts_with(char::is_lowercase) && !named.contains(name)).collect();
        assert!(missing.is_empty(), "the chapter `{title}` does not name {missing:?}");
    }
}

#[test]
fn every_word_is_described_beside_its_example() {
    let page = page("language.md");
    let prose: String = page.split("\n```").step_by(2).collect();
    let quoted: BTreeSet<&str> =
        prose.split('`').skip(1).step_by(2).flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_')).collect();
    let words = words();
    let mut missing: BTreeSet<String> = BTreeSet::new();
    for (place, own) in words.fields.iter().chain(&words.options).chain(&words.choices) {
        missing.extend(own.iter().filter(|word| !quoted.contains(**word)).map(|word| format!("{word} of {place}")));
    }
    for own in [&words.types, &words.tensor_types, &words.columns, &words.sources, &words.metrics, &words.constants, &words.functions] {
        missing.extend(own.iter().filter(|word| !quoted.contains(**word)).map(|word| (*word).to_owned()));
    }
    assert!(missing.is_empty(), "not described in docs/language.md: {missing:?}");
}
