//! Programs that nobody would write, and what must hold for the checker all the same. Shared by the property tests and the fuzzer.

#![allow(dead_code, reason = "each of the two programs that include this file uses its own part")]

use std::collections::BTreeSet;
use std::path::Path;

use mgx_compiler::check::{Override, World, check, elaborate};
use mgx_compiler::syntax::scan::next_token;
use mgx_diag::{Diagnostic, render};
use mgx_ir::plan::FileFormat;
use mgx_ir::random::Stream;

/// The main file of every run; a program that imports it imports itself.
pub const MAIN: &str = "main.mgx";

/// A world where the program is every file, every table has the usual columns and every folder a small configuration.
pub struct Everywhere(pub String);

impl World for Everywhere {
    fn source(&self, path: &str) -> Result<String, String> {
        // Folders would give a program as many files as it has imports.
        if path.matches('/').count() < 3 { Ok(self.0.clone()) } else { Err("no such file".to_owned()) }
    }

    fn table_header(&self, _: &str, _: FileFormat) -> Result<Vec<String>, Diagnostic> {
        Ok(["sequence", "label", "value", "x"].map(str::to_owned).to_vec())
    }

    fn folder_text(&self, _: &str, file: &str) -> Result<Option<String>, Diagnostic> {
        Ok(match file {
            "config.json" => Some(
                r#"{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 8, "vocab_size": 5}"#
                    .to_owned(),
            ),
            "vocab.txt" => Some("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned()),
            _ => None,
        })
    }
}

/// Checks a program and what must hold for any. Gives what the run was like: the findings without their names and numbers.
///
/// # Errors
/// What does not hold.
pub fn examine(text: &str, overrides: &[Override]) -> Result<BTreeSet<String>, String> {
    let world = Everywhere(text.to_owned());
    let checked = check(&world, MAIN, overrides);
    let mut features = BTreeSet::new();
    for diagnostic in &checked.diagnostics {
        if mgx_diag::explain(diagnostic.code.0).is_none() {
            return Err(format!("{} has no page", diagnostic.code));
        }
        for label in &diagnostic.labels {
            let source = checked.sources.text(label.span.file);
            if source.get(label.span.start as usize..label.span.end as usize).is_none() {
                return Err(format!("{diagnostic:?} is outside of its source"));
            }
        }
        features.insert(format!("{} {}", diagnostic.code, template(&diagnostic.message)));
    }
    // Rendering is the slowest part of all, and most findings are alike.
    let few = &checked.diagnostics[..checked.diagnostics.len().min(3)];
    if few.is_empty() == render(few, &checked.sources, false).contains('[') {
        return Err("the rendered text does not show the findings".to_owned());
    }
    if checked.is_ok() {
        if checked.experiments.len() != checked.names.len() {
            return Err("an experiment is neither evaluated nor wrong".to_owned());
        }
        for experiment in &checked.experiments {
            let problems = mgx_ir::graph::verify(&experiment.graph);
            if !problems.is_empty() {
                return Err(format!("the graph of `{}` is wrong: {problems:?}", experiment.name));
            }
            if experiment.train.is_some() && elaborate(&world, MAIN, overrides, &experiment.name, true).is_err() {
                return Err(format!("`{}` is right in evaluation and wrong in training", experiment.name));
            }
            features.insert("an experiment passes".to_owned());
        }
    }
    Ok(features)
}

/// A message without what stands in quotes, and without numbers.
fn template(message: &str) -> String {
    let outside: Vec<&str> = message.split('`').step_by(2).collect();
    outside.join("`").chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Every program of the examples, the standard library and the tests of messages, below the folder of this crate.
pub fn programs(crate_folder: &Path) -> Vec<String> {
    let mut folders: Vec<_> =
        ["../examples", "../stdlib", "tests/diagnostics", "tests/corpus"].map(|folder| crate_folder.join(folder)).into();
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "mgx") {
                texts.extend(std::fs::read_to_string(&path));
            }
        }
    }
    // The order of a folder's entries is the file system's.
    texts.sort();
    texts
}

/// Numbers at the ends of what can be counted.
const NUMBERS: [&str; 12] = [
    "0",
    "1",
    "2",
    "7",
    "1_000_000_000",
    "1000000000000000000",
    "9223372036854775807",
    "4611686018427387904",
    "0.5",
    "1e308",
    "1e-300",
    "-1",
];

/// Things that change the meaning of what stands around them.
const PIECES: [&str; 64] = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "=",
    "|>",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "&&",
    "..",
    ".",
    "?",
    "->",
    "\n",
    " if x > 0",
    " at \"k.{i}\"",
    "if a { b } else { c }",
    "let a = ",
    "let (a, b) = ",
    "match kind { relu => x, _ => y }",
    "repeat(3, index = i) ",
    "repeat(1_000_000_000) ",
    "where hidden % heads == 0",
    "param f[n]",
    "state f[n]",
    "fn forward(x: f[.., hidden]) -> f[.., hidden] { x }",
    "module A(n: dim) { a = A(n) }",
    "use main::A",
    "use std::layers::Linear",
    "sum(x, over = seq)",
    "rename(x, seq = hidden)",
    "split(x, hidden = (heads, heads))",
    "merge(x, hidden = (seq, hidden))",
    "concat(x, x, hidden = 2 * hidden)",
    "windows(x, seq = (seq, hidden), stride = 2)",
    "slice(x, seq = hidden, from = 3)",
    "attention(x, x, x, query = seq, key = seq, over = hidden)",
    "contract(x, x, over = hidden)",
    "gather(x, i(x), over = hidden)",
    "residues(x, over = seq)",
    "positions(seq)",
    "select(x > 0, x, 0)",
    "random(x)",
    "config(\"hidden_size\")",
    "folder(\"m\")",
    "file(\"vocab.txt\")",
    "none",
    "true",
    "\"text\"",
    "[1, 2, 3]",
    "head(sizes)",
    "tail(sizes)",
    "div(seq, 2)",
    "table(\"t.csv\")",
    "dna",
    "f(",
];

/// What may stand between two words: blanks, line ends and comments.
const GAPS: [&str; 12] = [
    " ",
    "   ",
    "\n",
    "\n\n\n",
    "\r\n",
    "\t",
    " // behind it\n",
    " // behind it \r\n  ",
    "\n  // on its own line\n",
    "\n\n// one\n\n\n// and another\n\n",
    " // behind it\n// and below\n",
    "\n/// documentation\n",
];

/// Words that have a meaning of their own at some places, so that a longer one is something else.
const WORDS: [&str; 24] = [
    "module",
    "adapter",
    "task",
    "optimizer",
    "schedule",
    "rewrite",
    "backbone",
    "tokenizer",
    "data",
    "experiment",
    "where",
    "param",
    "state",
    "output",
    "metric",
    "repeat",
    "index",
    "true",
    "false",
    "none",
    "else",
    "match",
    "with",
    "use",
];

/// A source of programs: pieces of known ones, put together wrongly.
pub struct Mutator {
    pub corpus: Vec<String>,
    stream: Stream,
}

impl Mutator {
    pub fn new(corpus: Vec<String>, seed: u64) -> Self {
        Self { corpus, stream: Stream::new(seed) }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.stream.below(bound.max(1) as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// The next program.
    pub fn program(&mut self) -> String {
        if self.below(8) == 0 {
            return self.soup();
        }
        let at = self.below(self.corpus.len());
        let text = self.corpus[at].clone();
        let mut tokens = tokens(&text);
        for _ in 0..=self.below(4) {
            self.change(&mut tokens);
        }
        tokens.concat()
    }

    /// A known program with line ends, comments and long names where its author had none. Not all of them are mgx.
    pub fn layout(&mut self) -> String {
        let at = self.below(self.corpus.len());
        let mut tokens = tokens(&self.corpus[at].clone());
        if self.below(3) == 0 {
            let rate = 2 + self.below(6);
            for token in &mut tokens {
                let is_name = token.len() > 3 && token.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                if is_name && !WORDS.contains(&token.as_str()) && self.below(rate) == 0 {
                    token.push_str(&"_and_more"[..self.below(10)].repeat(1 + self.below(4)));
                }
            }
        }
        for _ in 0..self.below(7) {
            let at = self.below(tokens.len());
            let gap = self.pick(&GAPS).to_owned();
            let is_space = tokens.get(at).is_some_and(|token| token.trim().is_empty());
            if is_space && self.below(4) > 0 { tokens[at] = gap } else { tokens.insert(at, gap) }
        }
        tokens.concat()
    }

    /// Values for paths that exist, and for some that do not.
    pub fn overrides(&mut self) -> Vec<Override> {
        const PATHS: [&str; 10] = [
            "seed",
            "train.epochs",
            "train.batch_size",
            "encoder.max_length",
            "logits.outputs",
            "logits.conv_pool.width",
            "task",
            "train",
            "a..b",
            "",
        ];
        (0..self.below(3)).map(|_| Override { path: self.pick(&PATHS).to_owned(), value: self.piece() }).collect()
    }

    fn piece(&mut self) -> String {
        match self.below(3) {
            0 => self.pick(&NUMBERS).to_owned(),
            _ => self.pick(&PIECES).to_owned(),
        }
    }

    /// Words that mean nothing together, where expressions, members and fields are expected.
    fn soup(&mut self) -> String {
        let length = self.below(24);
        let words: Vec<String> = (0..length).map(|_| if self.below(3) == 0 { self.known_word() } else { self.piece() }).collect();
        let soup = words.join(" ");
        match self.below(4) {
            0 => format!("fn g(x: f[seq, hidden], n: i[seq], sizes: [int]) -> f[seq, hidden] {{ {soup} }}"),
            1 => format!(
                "module M(hidden: dim, heads: dim, sizes: [int]) where hidden % heads == 0 {{\n  {soup}\n  fn forward(x: f[seq, hidden]) -> f[seq, hidden] {{ {soup} }}\n}}"
            ),
            2 => format!(
                "use std::tasks::embed\ndata t = table(\"t.csv\") {{ sequence: dna }}\nexperiment e {{\n  x = t.sequence |> {soup}\n  task = embed(x)\n}}"
            ),
            _ => soup,
        }
    }

    fn known_word(&mut self) -> String {
        let at = self.below(self.corpus.len());
        let text = self.corpus[at].clone();
        let words = tokens(&text);
        let word = self.below(words.len());
        words.get(word).cloned().unwrap_or_default()
    }

    /// One change of a program, at a random place.
    fn change(&mut self, tokens: &mut Vec<String>) {
        let at = self.below(tokens.len());
        let end = (at + 1 + self.below(12)).min(tokens.len());
        match self.below(9) {
            0 => drop(tokens.drain(at..end)),
            1 => {
                let copied = tokens[at..end].to_vec();
                let to = self.below(tokens.len());
                tokens.splice(to..to, copied);
            }
            2 | 3 => {
                let piece = self.piece();
                tokens.insert(at, piece);
            }
            4 => {
                let numbers: Vec<usize> = (0..tokens.len()).filter(|at| tokens[*at].starts_with(|c: char| c.is_ascii_digit())).collect();
                if let Some(at) = numbers.get(self.below(numbers.len())) {
                    self.pick(&NUMBERS).clone_into(&mut tokens[*at]);
                }
            }
            5 => {
                // A name for another: what is written stays grammatical.
                let names: Vec<usize> = (0..tokens.len()).filter(|at| tokens[*at].starts_with(char::is_alphabetic)).collect();
                let (from, to) = (self.below(names.len()), self.below(names.len()));
                if let (Some(from), Some(to)) = (names.get(from), names.get(to)) {
                    tokens[*to] = tokens[*from].clone();
                }
            }
            6 => {
                let to = self.below(tokens.len());
                if at < tokens.len() {
                    tokens.swap(at, to);
                }
            }
            7 => {
                let at = self.below(self.corpus.len());
                let other = self.corpus[at].clone();
                tokens.push(format!("\n{other}"));
            }
            _ => {
                let word = self.known_word();
                if let Some(token) = tokens.get_mut(at) {
                    *token = word;
                }
            }
        }
    }
}

/// The tokens of a text, blanks and comments included.
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some((_, length)) = next_token(rest) {
        let (token, after) = rest.split_at(length);
        tokens.push(token.to_owned());
        rest = after;
    }
    tokens
}
