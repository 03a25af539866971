//! Text for people, through `ariadne`.

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, Source};

use crate::{Diagnostic, FileId, Severity, SourceMap, Span};

/// Renders diagnostics as text, in order; `color` adds terminal colours.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, color: bool) -> String {
    let mut out = Vec::new();
    let mut cache = Cache { sources, parsed: Vec::new() };
    for diagnostic in diagnostics {
        match diagnostic.labels.first() {
            Some(first) => report(diagnostic, first.span, color).write(&mut cache, &mut out).expect("writing to memory does not fail"),
            None => plain(diagnostic, &mut out),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn report(diagnostic: &Diagnostic, at: Span, color: bool) -> Report<'_, AriadneSpan> {
    let (kind, main_color) = match diagnostic.severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
    };
    let config = Config::default().with_color(color).with_index_type(IndexType::Byte).with_char_set(CharSet::Unicode);
    let mut builder = Report::build(kind, AriadneSpan(at)).with_config(config).with_code(diagnostic.code).with_message(&diagnostic.message);
    // In the order of the text, so that a source is shown once; the first label stays the place that the heading names.
    let mut labels: Vec<(usize, &crate::Label)> = diagnostic.labels.iter().enumerate().collect();
    labels.sort_by_key(|(_, label)| (label.span.file != at.file, label.span.file, label.span.start));
    for (order, (index, label)) in labels.into_iter().enumerate() {
        let label_color = if index == 0 { main_color } else { Color::Blue };
        builder = builder
            .with_label(Label::new(AriadneSpan(label.span)).with_message(&label.text).with_color(label_color).with_order(order as i32));
    }
    for note in &diagnostic.notes {
        builder = builder.with_note(note);
    }
    if let Some(help) = &diagnostic.help {
        builder = builder.with_help(help);
    }
    builder.finish()
}

/// A finding with no place in a source (a data file, the run folder) is said in plain lines.
fn plain(diagnostic: &Diagnostic, out: &mut Vec<u8>) {
    let kind = match diagnostic.severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    };
    let mut text = format!("[{}] {kind}: {}\n", diagnostic.code, diagnostic.message);
    for note in &diagnostic.notes {
        text.push_str(&format!("  Note: {note}\n"));
    }
    if let Some(help) = &diagnostic.help {
        text.push_str(&format!("  Help: {help}\n"));
    }
    out.extend_from_slice(text.as_bytes());
}

#[derive(Clone, Copy, PartialEq)]
struct AriadneSpan(Span);

impl ariadne::Span for AriadneSpan {
    type SourceId = FileId;

    fn source(&self) -> &FileId {
        &self.0.file
    }

    fn start(&self) -> usize {
        self.0.start as usize
    }

    fn end(&self) -> usize {
        self.0.end as usize
    }
}

struct Cache<'a> {
    sources: &'a SourceMap,
    parsed: Vec<Option<Source<&'a str>>>,
}

impl<'a> ariadne::Cache<FileId> for &mut Cache<'a> {
    type Storage = &'a str;

    fn fetch(&mut self, id: &FileId) -> Result<&Source<&'a str>, impl std::fmt::Debug> {
        let index = id.0 as usize;
        if self.parsed.len() <= index {
            self.parsed.resize_with(index + 1, || None);
        }
        let sources = self.sources;
        Ok::<_, std::convert::Infallible>(self.parsed[index].get_or_insert_with(|| Source::from(sources.text(*id))))
    }

    fn display<'b>(&self, id: &'b FileId) -> Option<impl std::fmt::Display + 'b> {
        Some(self.sources.name(*id).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_both_places_with_non_ascii_text() {
        let mut sources = SourceMap::default();
        let file = sources.add("a.mgx", "// größe\nencoder = esm2(x)\n");
        let span = |start, end| Span { file, start, end };
        let diagnostic = Diagnostic::error("E0301", "a protein backbone cannot read DNA")
            .label(span(21, 25), "reads protein")
            .label(span(26, 27), "is dna")
            .help("use a DNA backbone");
        let text = render(&[diagnostic], &sources, false);
        for part in ["E0301", "a.mgx:2:11", "reads protein", "is dna", "use a DNA backbone"] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }
}
