//! What could stand at a place: by what the word there follows and the braces and calls around it.

mod expressions;
mod fields;
mod imports;
mod members;

use mgx_compiler::check::words;
use mgx_diag::{Edit, Span};

use crate::Program;
use crate::cursor::{Before, Cursor, Frame};
use crate::names::NameKind;

/// The kinds of [`Completion`]s are those of names.
pub type CompletionKind = NameKind;

/// Something that could stand at the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    pub label: String,
    pub kind: CompletionKind,
    /// What it is, in a few words.
    pub detail: Option<String>,
    pub doc: Option<String>,
    /// What is written; `$0` is where the cursor comes to stand.
    pub insert: String,
    /// The line `use …` that it needs.
    pub import: Option<Edit>,
    /// What fits better stands first: 0 is best.
    pub rank: u8,
}

impl Completion {
    fn new(label: &str, kind: CompletionKind, rank: u8) -> Self {
        Self { label: label.to_owned(), kind, detail: None, doc: None, insert: label.to_owned(), import: None, rank }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    fn insert(mut self, insert: impl Into<String>) -> Self {
        self.insert = insert.into();
        self
    }
}

/// How a table's columns are found by its path as it is written; the names in its header, none where it cannot be read.
pub type Headers<'h> = &'h dyn Fn(&str) -> Vec<String>;

/// A place that is to be completed.
struct Place<'p, 'a> {
    program: &'p Program<'a>,
    cursor: &'p Cursor,
    offset: u32,
    headers: Headers<'p>,
}

/// What could stand at an offset of the file, and the word that it would take the place of.
pub fn completions(program: &Program<'_>, offset: u32, headers: Headers<'_>) -> (Span, Vec<Completion>) {
    let cursor = Cursor::at(program.text(), offset);
    let place = Place { program, cursor: &cursor, offset, headers };
    let mut found = place.all();
    found.sort_by(|a, b| (a.rank, &a.label).cmp(&(b.rank, &b.label)));
    found.dedup_by(|a, b| a.label == b.label);
    (program.span(cursor.word.0, cursor.word.1), found)
}

impl Place<'_, '_> {
    fn all(&self) -> Vec<Completion> {
        match &self.cursor.before {
            Before::Comment => Vec::new(),
            Before::Text(follows_at) => self.header_names(*follows_at),
            Before::Path(segments) => self.imports(segments),
            Before::Dot(names) => self.members(names),
            Before::Line => self.line(),
            Before::Colon(name) => self.types(name),
            Before::With => self.of_kinds(&[NameKind::Rewrite]),
            Before::Pipe(names) => self.pipe_targets(names),
            Before::Equals(name) => self.values(name),
            Before::Open | Before::Other => self.arguments(),
        }
    }

    /// The words of the innermost braces.
    fn head(&self) -> Vec<&str> {
        self.cursor.block().unwrap_or_default().iter().map(String::as_str).collect()
    }

    fn is_in_experiment(&self) -> bool {
        self.cursor.declaration().and_then(|head| head.first()).is_some_and(|word| word == "experiment")
    }

    /// At the beginning of a line: a declaration, a field, a member.
    fn line(&self) -> Vec<Completion> {
        match self.head().as_slice() {
            [] => fields::declarations(),
            ["data", ..] => self.data_fields(),
            [word @ ("experiment" | "backbone" | "tokenizer" | "train" | "predict"), ..] => self.block_fields(word),
            ["sweep", ..] => self.swept_fields(),
            ["module" | "adapter" | "task" | "optimizer" | "schedule" | "rewrite", ..] => fields::members(),
            _ => self.expressions(),
        }
    }

    /// After `name =`.
    fn values(&self, name: &str) -> Vec<Completion> {
        if let Some(Frame::Call { callee, .. }) = self.cursor.frames.last() {
            return self.option_values(callee, name);
        }
        let head = self.head();
        let chosen = self.field_choices(head.first().copied().unwrap_or_default(), name);
        if !chosen.is_empty() {
            return chosen;
        }
        match (head.first().copied().unwrap_or_default(), name) {
            ("train", "optimizer") => self.of_kinds(&[NameKind::Optimizer]),
            ("train", "schedule") => self.of_kinds(&[NameKind::Schedule]),
            ("experiment", "task") => self.of_kinds(&[NameKind::Task]),
            ("backbone", "tokenizer") => self.of_kinds(&[NameKind::Tokenizer]),
            ("data", "split") => fields::calls(&["random", "folds"]),
            ("data", _) => fields::calls(&words().sources),
            ("", _) => fields::calls(&words().sources),
            _ => self.expressions(),
        }
    }

    /// Between the brackets of a call, a list or a block, or after an operator.
    fn arguments(&self) -> Vec<Completion> {
        if self.cursor.before == Before::Open
            && let [.., Frame::Call { callee, argument: Some(argument), .. }, Frame::List] = self.cursor.frames.as_slice()
        {
            return self.option_values(callee, argument);
        }
        match self.cursor.frames.last() {
            Some(Frame::Call { callee, argument: None, .. }) if self.cursor.before == Before::Open => {
                let mut found = self.options(callee);
                found.extend(self.positional(callee));
                found
            }
            _ => self.expressions(),
        }
    }
}
