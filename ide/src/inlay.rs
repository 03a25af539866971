//! What the text leaves unsaid: the types that names have, and how many parameters parts have.

use mgx_compiler::check::{Fact, FactKind, PartSize};
use mgx_diag::Span;

use crate::Program;
use crate::hover::{bound_value, shown_size};
use crate::names::{NameKind, occurrences};

/// A text that an editor shows after a place of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inlay {
    pub at: u32,
    pub text: String,
    /// Of parameters, and not a type.
    pub is_size: bool,
}

/// What is shown between two offsets of the file.
pub fn inlays(program: &Program<'_>, from: u32, to: u32) -> Vec<Inlay> {
    let mut found = Vec::new();
    for name in occurrences(program) {
        let wanted = matches!(name.kind, NameKind::Binding | NameKind::Local | NameKind::Member) && name.declares();
        if !wanted || name.span.start < from || name.span.end > to {
            continue;
        }
        let Some(fact) = bound_value(program, name.span).and_then(|value| program.analysis.facts.get(&value)) else { continue };
        if let Some(text) = shown_type(fact) {
            found.push(Inlay { at: name.span.end, text, is_size: false });
        }
    }
    let parts = program.analysis.facts.iter().filter(|(span, fact)| is_within(**span, program, from, to) && fact.size.is_some());
    // Where a part is made; a name that it is bound to has the same size.
    for (span, fact) in parts.filter(|(span, fact)| is_made_at(program, **span, fact)) {
        if let Some(size @ PartSize { parameters: 1.., .. }) = fact.size {
            found.push(Inlay { at: span.end, text: shown_size(size), is_size: true });
        }
    }
    found.sort_by_key(|inlay| inlay.at);
    found
}

fn is_within(span: Span, program: &Program<'_>, from: u32, to: u32) -> bool {
    span.file == program.source() && span.end >= from && span.end <= to
}

/// Is it the call, or the declaration's bare name, that makes a part, and not a name for one that is made elsewhere?
fn is_made_at(program: &Program<'_>, span: Span, fact: &Fact) -> bool {
    let text = program.slice(span);
    let declared = fact.item.map(|item| program.analysis.item(item).name.text.as_str());
    let called = text.split('(').next().unwrap_or_default().trim();
    let item = program.analysis.lookup(program.file, called);
    (item.is_some() && item == fact.item) || declared == Some(called)
}

fn shown_type(fact: &Fact) -> Option<String> {
    match fact.kind {
        FactKind::Tensor => Some(format!(": {}", fact.shown)),
        FactKind::Other if fact.shown.starts_with('(') && fact.shown.contains(": ") && fact.shown.len() <= 80 => {
            Some(format!(": {}", fact.shown))
        }
        _ => None,
    }
}
