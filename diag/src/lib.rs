//! Diagnostics: what every stage of mgx says when something is wrong.
//!
//! One type, [`Diagnostic`], goes from the parser to the runtime: a stable code, a severity, labelled places, notes,
//! a help line and changes that mend it. A place is a [`Span`] in a source of the [`SourceMap`], or free text in the message for data files. Rendering (with `ariadne`) and
//! the JSON form are here and nowhere else. A code is documented by `docs/errors/CODE.md`, which is also what
//! `mgxc explain CODE` prints; [`explain`] finds it.

mod fix;
mod line_index;
mod render;
mod source;

pub use fix::{Edit, EditData, Fix, FixData};
pub use line_index::{Encoding, LineColumn, LineIndex, Position};
pub use render::render;
pub use source::{FileId, SourceMap, Span};

use serde::Serialize;

/// A stable code such as `E0401`; codes that begin with `W` are warnings. Never reused for another cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Code(pub &'static str);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// How bad it is. Errors end the command with exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// A place in a source and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// One finding. The first label is the place; further labels say who expected otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// The fact, in one line, without a full stop.
    pub message: String,
    pub labels: Vec<Label>,
    pub notes: Vec<String>,
    /// What would fix it, if that is mechanical.
    pub help: Option<String>,
    /// Changes of the text any of which mends it.
    pub fixes: Vec<Fix>,
}

impl Diagnostic {
    /// A new error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A new warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self { code: Code(code), severity, message: message.into(), labels: Vec::new(), notes: Vec::new(), help: None, fixes: Vec::new() }
    }

    /// Adds a labelled place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds a note below the source.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Sets the help line.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Is it an error (and not a warning)?
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The diagnostic as plain data for `--json`: spans as file, line, column (1-based, in characters) and byte range.
    pub fn to_data(&self, sources: &SourceMap) -> DiagnosticData {
        DiagnosticData {
            code: self.code,
            severity: self.severity,
            message: self.message.clone(),
            labels: self
                .labels
                .iter()
                .map(|label| {
                    let start = sources.line_column(label.span.file, label.span.start);
                    let end = sources.line_column(label.span.file, label.span.end);
                    LabelData {
                        file: sources.name(label.span.file).to_owned(),
                        start_byte: label.span.start,
                        end_byte: label.span.end,
                        start,
                        end,
                        text: label.text.clone(),
                    }
                })
                .collect(),
            notes: self.notes.clone(),
            help: self.help.clone(),
            fixes: self.fixes.iter().map(|fix| fix.to_data(sources)).collect(),
        }
    }
}

/// [`Diagnostic`] as it is written by `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct DiagnosticData {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    pub labels: Vec<LabelData>,
    pub notes: Vec<String>,
    pub help: Option<String>,
    pub fixes: Vec<FixData>,
}

/// [`Label`] as it is written by `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct LabelData {
    pub file: String,
    pub start_byte: u32,
    pub end_byte: u32,
    pub start: LineColumn,
    pub end: LineColumn,
    pub text: String,
}

const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The page of a code (`docs/errors/CODE.md`), if there is such a code. Case does not matter.
pub fn explain(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(name, _)| name.eq_ignore_ascii_case(code)).map(|(_, page)| *page)
}

/// All codes that have a page, in order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(code, _)| *code)
}

/// No name that is meant for people has more letters.
const MOST_LETTERS: usize = 200;

/// The candidate nearest to `name`, when one is near enough to be meant: at most a third of its letters (and at least
/// one edit) away, by Damerau–Levenshtein distance (adjacent letters swapped count once).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        // The distance is at least the difference in length; this also keeps names without end from taking time without end.
        .filter(|candidate| length <= MOST_LETTERS && candidate.chars().count().abs_diff(length) <= allowed)
        // Of names that are equally near, one that begins alike: few mistakes are in the first letter.
        .map(|candidate| (edit_distance(name, candidate), candidate.chars().next() != name.chars().next(), candidate))
        .filter(|(distance, _, candidate)| *distance <= allowed && *distance < length && !candidate.is_empty())
        .min()
        .map(|(.., candidate)| candidate)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_suggests_only_near_names() {
        let names = ["dropout", "hidden", "outputs"];
        assert_eq!(nearest("droput", names), Some("dropout"));
        assert_eq!(nearest("hiddne", names), Some("hidden"));
        assert_eq!(nearest("rat", ["at", "rate"]), Some("rate"));
        assert_eq!(nearest("lr", names), None);
        assert_eq!(nearest("x", ["y", "z"]), None, "not a letter of it is right");
    }

    #[test]
    fn pages_begin_with_their_code() {
        for (code, page) in PAGES {
            assert!(page.starts_with(&format!("# {code} ")), "{code}: the page must begin with `# {code} slug`");
        }
    }
}
