//! Changes that mend findings of the checker, where they depend on the text around.

use mgx_diag::{Edit, FileId, Span};

use super::library::Library;
use crate::syntax::ast::{Body, ExprKind, Use};
use crate::syntax::walk::each_expr;

impl Library<'_> {
    /// Adds a line `use …` (written without its line end) to the user's file that `at` is in: after its last one, or at its beginning.
    pub fn add_import(&self, at: Span, import: &str) -> Option<Edit> {
        if self.is_std_source(at.file) {
            return None;
        }
        let file = self.files.iter().find(|file| file.source == at.file)?;
        Some(import_edit(self.sources.text(at.file), &file.ast.uses, at.file, import))
    }

    /// Deletes an argument or a value of a list together with the comma that parts it from its neighbour.
    pub fn without_argument(&self, span: Span) -> Edit {
        let text = self.sources.text(span.file);
        let after = text[span.end as usize..].trim_start();
        if let Some(rest) = after.strip_prefix(',') {
            return Edit::delete(Span { end: (text.len() - rest.trim_start().len()) as u32, ..span });
        }
        let before = text[..span.start as usize].trim_end();
        match before.strip_suffix(',') {
            Some(rest) => Edit::delete(Span { start: rest.len() as u32, ..span }),
            None => Edit::delete(span),
        }
    }

    /// Deletes a field or a member with its line.
    pub fn without_line(&self, span: Span) -> Edit {
        let text = self.sources.text(span.file);
        let before = text[..span.start as usize].trim_end_matches([' ', '\t']);
        let after = &text[span.end as usize..];
        let alone = after.trim_start_matches([' ', '\t', '\r']).strip_prefix('\n');
        match alone.filter(|_| before.is_empty() || before.ends_with('\n')) {
            Some(rest) => Edit::delete(Span { start: before.len() as u32, end: (text.len() - rest.len()) as u32, ..span }),
            None => Edit::delete(span),
        }
    }

    /// The value of an option, where the declaration that `inside` is in sets one of this name to this number, and only once.
    pub fn option_with(&self, inside: Span, option: &str, number: i64) -> Option<Span> {
        let items = self.files.iter().flat_map(|file| &file.ast.items);
        let item = items.into_iter().find(|item| item.span.contains(inside))?;
        let mut found = Vec::new();
        each_expr(item, &mut |expr| {
            let ExprKind::Call(_, args) = &expr.kind else { return };
            let named = args.iter().filter(|arg| arg.name.as_ref().is_some_and(|name| name.text == option));
            found.extend(named.filter(|arg| arg.value.kind == ExprKind::Int(number)).map(|arg| arg.value.span));
        });
        match found.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// Adds a field at the end of a block; `None` where its closing brace is missing.
    pub fn add_field(&self, body: &Body, field: &str) -> Option<Edit> {
        let text = self.sources.text(body.span.file);
        let inside = self.sources.slice(body.span).strip_suffix('}')?;
        let brace = body.span.end - 1;
        if let Some(last) = body.fields.last() {
            let line = text[..last.span.start as usize].rsplit('\n').next().unwrap_or_default();
            let indentation: String = line.chars().take_while(|c| c.is_whitespace()).collect();
            return Some(Edit::after(last.span, format!("\n{indentation}{field}")));
        }
        let space = if inside.ends_with([' ', '\n']) { "" } else { " " };
        Some(Edit::replace(Span { start: brace, end: brace, ..body.span }, format!("{space}{field} ")))
    }
}

/// Adds a line `use …` to a file with these imports.
pub fn import_edit(text: &str, uses: &[Use], source: FileId, import: &str) -> Edit {
    match uses.iter().max_by_key(|item| item.span.end) {
        Some(last) => Edit::after(last.span, format!("\n{import}")),
        None => {
            let start = header_end(text);
            Edit::replace(Span { file: source, start, end: start }, format!("{import}\n\n"))
        }
    }
}

/// Where the comment at the head of a file ends that does not belong to a declaration.
fn header_end(text: &str) -> u32 {
    let mut end = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    for line in text[end..].split_inclusive('\n') {
        let is_header = line.trim().is_empty() || line.starts_with("//") && !line.starts_with("///");
        if !is_header {
            break;
        }
        end += line.len();
    }
    end as u32
}
