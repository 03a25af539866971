//! Findings as an editor shows them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use lsp_types::{Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Range, Uri};
use mgx_compiler::check::Analysis;
use mgx_diag::{Severity, Span};

use super::convert;
use super::server::Session;

impl Session {
    /// The findings of a program by the files they are in; that of the program itself is always there, so that what was mended goes away.
    pub fn findings(&self, root: &std::path::Path, analysis: &Analysis) -> BTreeMap<PathBuf, Vec<Diagnostic>> {
        let mut by_file: BTreeMap<PathBuf, Vec<Diagnostic>> = BTreeMap::from([(root.to_owned(), Vec::new())]);
        for found in &analysis.diagnostics {
            let place = found.labels.first().map(|label| label.span);
            let file = place.and_then(|span| self.file_of(root, analysis, span)).filter(|file| !self.library.contains(file));
            let range = match (&file, place) {
                (Some(_), Some(span)) => convert::range(&analysis.sources, span, self.encoding),
                _ => Range::default(),
            };
            let shown = self.finding(root, analysis, found, range);
            by_file.entry(file.unwrap_or_else(|| root.to_owned())).or_default().push(shown);
        }
        by_file
    }

    /// One finding.
    pub fn finding(&self, root: &std::path::Path, analysis: &Analysis, found: &mgx_diag::Diagnostic, range: Range) -> Diagnostic {
        let notes = found.notes.iter().map(|note| format!("\nnote: {note}"));
        let help = found.help.iter().map(|help| format!("\nhelp: {help}"));
        let related = found.labels.iter().filter_map(|label| {
            Some(DiagnosticRelatedInformation { location: self.location(root, analysis, label.span)?, message: label.text.clone() })
        });
        let related: Vec<_> = related.collect();
        Diagnostic {
            range,
            severity: Some(match found.severity {
                Severity::Error => DiagnosticSeverity::ERROR,
                Severity::Warning => DiagnosticSeverity::WARNING,
            }),
            code: Some(NumberOrString::String(found.code.to_string())),
            source: Some("mgx".to_owned()),
            message: format!("{}{}{}", found.message, notes.collect::<String>(), help.collect::<String>()),
            related_information: (related.len() > 1).then_some(related),
            ..Diagnostic::default()
        }
    }

    /// The file on disk that a span lies in.
    pub fn file_of(&self, root: &std::path::Path, analysis: &Analysis, span: Span) -> Option<PathBuf> {
        let file = &analysis.files[analysis.file_of(span.file)?];
        if file.is_std {
            return self.library.path_of(&file.path);
        }
        let folder = root.parent().unwrap_or(std::path::Path::new(""));
        Some(convert::normal(&folder.join(&file.path)))
    }

    /// A span as the protocol names it.
    pub fn location(&self, root: &std::path::Path, analysis: &Analysis, span: Span) -> Option<Location> {
        let path = self.file_of(root, analysis, span)?;
        Some(Location::new(self.uri(&path)?, convert::range(&analysis.sources, span, self.encoding)))
    }

    /// The URI of a file: as the editor gave it where the file is open.
    pub fn uri(&self, path: &std::path::Path) -> Option<Uri> {
        match self.documents.0.get(path) {
            Some(document) => Uri::from_str(document.uri.as_str()).ok(),
            None => convert::uri_of(path),
        }
    }
}
