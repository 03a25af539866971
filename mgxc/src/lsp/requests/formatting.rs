//! The text as `mgxc fmt` writes it.

use lsp_types::*;

use super::{Answer, Opened};
use crate::lsp::server::Session;

/// Changes from the first line that differs to the last one, so that cursors elsewhere stay where they are.
pub fn formatting(session: &Session, params: DocumentFormattingParams) -> Answer<Option<Vec<TextEdit>>> {
    let Some(opened) = Opened::of(session, &params.text_document.uri) else { return Ok(None) };
    let program = opened.program();
    let text = program.text();
    let formatted = mgx_compiler::format::format(program.source(), text).map_err(|found| {
        found.first().map_or_else(|| "the file cannot be formatted".to_owned(), |first| format!("not formatted: {}", first.message))
    })?;
    if formatted == text {
        return Ok(Some(Vec::new()));
    }
    let same = text.split_inclusive('\n').zip(formatted.split_inclusive('\n')).take_while(|(old, new)| old == new);
    let start: usize = same.map(|(old, _)| old.len()).sum();
    let (old, new) = (&text[start..], &formatted[start..]);
    let same = old.split_inclusive('\n').rev().zip(new.split_inclusive('\n').rev()).take_while(|(old, new)| old == new);
    let kept: usize = same.map(|(old, _)| old.len()).sum();
    let range = opened.range(session, program.span(start, text.len() - kept));
    Ok(Some(vec![TextEdit::new(range, new[..new.len() - kept].to_owned())]))
}
