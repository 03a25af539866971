//! Writes a [`Doc`] as lines.

use super::doc::{Doc, Kind};

/// How far the lines within brackets and braces are indented.
pub(super) const INDENT: usize = 2;

/// A line of the result; the comment that ends it stands apart, as comments of neighbouring lines are aligned.
#[derive(Default)]
struct Line {
    code: String,
    /// The comment, and the column it began at in the text that is formatted.
    comment: Option<(String, usize)>,
}

pub(super) struct Printer {
    /// The longest line, in characters.
    width: usize,
    lines: Vec<Line>,
    current: Line,
    column: usize,
    /// Nothing is on the current line yet; text on it will be indented so far.
    line_indent: Option<usize>,
    /// The line ends with a comment of its own: no more text.
    is_full: bool,
    wants_blank: bool,
}

/// Lays out a document within `width` characters a line.
pub(super) fn print(doc: &Doc, width: usize) -> String {
    let mut printer =
        Printer { width, lines: Vec::new(), current: Line::default(), column: 0, line_indent: Some(0), is_full: false, wants_blank: false };
    printer.doc(doc, true, 0, 0);
    printer.end_line(0);
    printer.finish()
}

impl Printer {
    /// `after` is how many characters follow on the line of the document's end, up to the next line end.
    fn doc(&mut self, doc: &Doc, broken: bool, indent: usize, after: usize) {
        match &doc.kind {
            Kind::Text(text) => self.text(text, indent),
            Kind::IfBroken(text) if broken => self.text(text, indent),
            Kind::Line if !broken => self.text(&" ".repeat(doc.width), indent),
            Kind::Line | Kind::Hard => self.end_line(indent),
            Kind::Blank => self.wants_blank |= broken,
            Kind::IfBroken(_) => {}
            Kind::Concat(parts) => self.concat(parts, broken, indent, after),
            Kind::Indent(inner) => self.doc(inner, broken, indent + INDENT, after),
            Kind::Group(inner) => {
                let fits = !doc.is_forced && self.column_at(indent) + doc.width + after <= self.width;
                self.doc(inner, !fits, indent, after);
            }
            Kind::Fill(parts) => self.fill(parts, broken, indent),
            Kind::Trailing(comment, column) => {
                if self.current.comment.is_some() {
                    self.end_line(indent);
                    self.own_line(comment, indent);
                } else {
                    self.current.comment = Some((comment.clone(), *column));
                }
            }
            Kind::OwnLine(comment) => self.own_line(comment, indent),
        }
    }

    fn concat(&mut self, parts: &[Doc], broken: bool, indent: usize, after: usize) {
        // What follows each part, from the last one on.
        let mut following = vec![after; parts.len()];
        let mut width = after;
        for (at, part) in parts.iter().enumerate().rev() {
            following[at] = width;
            width = match if broken { part.head() } else { (part.width, false) } {
                (head, true) => head,
                (head, false) => head + width,
            };
        }
        for (part, after) in parts.iter().zip(following) {
            self.doc(part, broken, indent, after);
        }
    }

    fn fill(&mut self, parts: &[Doc], broken: bool, indent: usize) {
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.text(",", indent);
                let is_full = broken && self.column_at(indent) + 1 + part.width + 1 > self.width;
                if is_full { self.end_line(indent) } else { self.text(" ", indent) }
            }
            self.doc(part, false, indent, 1);
        }
    }

    fn column_at(&self, indent: usize) -> usize {
        if self.is_full { indent } else { self.line_indent.unwrap_or(self.column) }
    }

    fn text(&mut self, text: &str, indent: usize) {
        if text.is_empty() {
            return;
        }
        if self.is_full {
            self.end_line(indent);
        }
        if let Some(indent) = self.line_indent.take() {
            if text.trim().is_empty() {
                self.line_indent = Some(indent);
                return;
            }
            self.current.code = " ".repeat(indent);
            self.column = indent;
        }
        self.current.code.push_str(text);
        self.column += text.chars().count();
    }

    fn own_line(&mut self, comment: &str, indent: usize) {
        if self.line_indent.is_none() || self.is_full || self.current.comment.is_some() {
            self.end_line(indent);
        }
        self.text(comment, indent);
        self.is_full = true;
    }

    fn end_line(&mut self, next_indent: usize) {
        let is_empty = self.line_indent.is_some() && self.current.comment.is_none();
        if !is_empty {
            self.lines.push(std::mem::take(&mut self.current));
        }
        let begins = self.lines.is_empty() || self.lines.last().is_some_and(|line| line.code.is_empty() && line.comment.is_none());
        if self.wants_blank && !begins {
            self.lines.push(Line::default());
        }
        self.wants_blank = false;
        self.is_full = false;
        self.line_indent = Some(next_indent);
    }

    /// The lines as text; comments that ended neighbouring lines in one column do so again.
    fn finish(self) -> String {
        let mut out = String::new();
        let mut at = 0;
        while at < self.lines.len() {
            let column = self.lines[at].comment.as_ref().map(|(_, column)| *column);
            let same = |line: &&Line| column.is_some() && line.comment.as_ref().map(|(_, column)| *column) == column;
            let count = self.lines[at..].iter().take_while(same).count().max(1);
            let run = &self.lines[at..at + count];
            let width = run.iter().map(|line| line.code.trim_end().chars().count()).max().unwrap_or(0);
            for line in run {
                let code = line.code.trim_end();
                out.push_str(code);
                if let Some((comment, _)) = &line.comment {
                    let blanks = if width == 0 { 0 } else { width - code.chars().count() + 2 };
                    out.push_str(&" ".repeat(blanks));
                    out.push_str(comment);
                }
                out.push('\n');
            }
            at += count;
        }
        out
    }
}
