//! Changes of the text that would mend what a diagnostic says.

use serde::Serialize;

use crate::{Diagnostic, LineColumn, SourceMap, Span};

/// A change that mends a finding: an editor offers it, and puts it in as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, in the imperative, for a menu: "Change to `dropout`".
    pub title: String,
    /// Of places that do not overlap.
    pub edits: Vec<Edit>,
}

/// The text that stands at a place is replaced; an empty place is where something is put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub span: Span,
    pub text: String,
}

impl Edit {
    /// Replaces what stands at a place.
    pub fn replace(span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into() }
    }

    /// Deletes what stands at a place.
    pub fn delete(span: Span) -> Self {
        Self::replace(span, "")
    }

    /// Puts text in before a place.
    pub fn before(span: Span, text: impl Into<String>) -> Self {
        Self::replace(Span { end: span.start, ..span }, text)
    }

    /// Puts text in after a place.
    pub fn after(span: Span, text: impl Into<String>) -> Self {
        Self::replace(Span { start: span.end, ..span }, text)
    }
}

impl Diagnostic {
    /// Adds a change that mends it.
    #[must_use]
    pub fn fix(self, title: impl Into<String>, edit: Edit) -> Self {
        self.fix_all(title, vec![edit])
    }

    /// Adds a change of several places that mends it.
    #[must_use]
    pub fn fix_all(mut self, title: impl Into<String>, edits: Vec<Edit>) -> Self {
        self.fixes.push(Fix { title: title.into(), edits });
        self
    }

    /// Adds a change that mends it, where there is one.
    #[must_use]
    pub fn fix_if(self, title: impl Into<String>, edit: Option<Edit>) -> Self {
        match edit {
            Some(edit) => self.fix(title, edit),
            None => self,
        }
    }

    /// Suggests the name that was probably meant in place of the one at `span`: the help line and the change.
    #[must_use]
    pub fn did_you_mean(self, span: Span, near: &str) -> Self {
        self.help(format!("did you mean `{near}`?")).change_to(span, near)
    }

    /// Adds the change of what stands at `span` into `text`.
    #[must_use]
    pub fn change_to(self, span: Span, text: &str) -> Self {
        self.fix(format!("Change to `{text}`"), Edit::replace(span, text))
    }
}

/// [`Fix`] as it is written by `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct FixData {
    pub title: String,
    pub edits: Vec<EditData>,
}

/// [`Edit`] as it is written by `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct EditData {
    pub file: String,
    pub start_byte: u32,
    pub end_byte: u32,
    pub start: LineColumn,
    pub end: LineColumn,
    pub text: String,
}

impl Fix {
    /// The change as plain data.
    pub(crate) fn to_data(&self, sources: &SourceMap) -> FixData {
        let edit = |edit: &Edit| EditData {
            file: sources.name(edit.span.file).to_owned(),
            start_byte: edit.span.start,
            end_byte: edit.span.end,
            start: sources.line_column(edit.span.file, edit.span.start),
            end: sources.line_column(edit.span.file, edit.span.end),
            text: edit.text.clone(),
        };
        FixData { title: self.title.clone(), edits: self.edits.iter().map(edit).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileId;

    #[test]
    fn a_suggested_name_is_a_change_of_the_place() {
        let span = Span { file: FileId(0), start: 4, end: 10 };
        let found = Diagnostic::error("E0206", "no such option").label(span, "unknown").did_you_mean(span, "dropout");
        assert_eq!(found.help.as_deref(), Some("did you mean `dropout`?"));
        assert_eq!(found.fixes, [Fix { title: "Change to `dropout`".to_owned(), edits: vec![Edit::replace(span, "dropout")] }]);
    }

    #[test]
    fn json_has_the_places_of_a_change() {
        let mut sources = SourceMap::default();
        let file = sources.add("a.mgx", "é = 1\nx = 2\n");
        let found = Diagnostic::error("E0101", "x").fix("Write `y`", Edit::replace(Span { file, start: 7, end: 8 }, "y"));
        let data = serde_json::to_value(found.to_data(&sources)).expect("plain data");
        let edit = &data["fixes"][0]["edits"][0];
        assert_eq!((&edit["start"]["line"], &edit["start"]["column"], &edit["text"]), (&2.into(), &1.into(), &"y".into()));
    }
}
