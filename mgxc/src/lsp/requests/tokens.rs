//! Colours by meaning, and what the text leaves unsaid.

use lsp_types::*;
use mgx_ide::{HIGHLIGHTS, highlights, inlays as inlays_of};

use super::{Answer, Opened};
use crate::lsp::server::Session;

/// The modifiers, by the bits that stand for them.
const MODIFIERS: [SemanticTokenModifier; 3] =
    [SemanticTokenModifier::DECLARATION, SemanticTokenModifier::DEFAULT_LIBRARY, SemanticTokenModifier::DOCUMENTATION];

/// What the numbers of tokens mean.
pub fn options() -> SemanticTokensOptions {
    SemanticTokensOptions {
        legend: SemanticTokensLegend {
            token_types: HIGHLIGHTS.iter().map(|(_, name)| SemanticTokenType::new(name)).collect(),
            token_modifiers: MODIFIERS.to_vec(),
        },
        full: Some(SemanticTokensFullOptions::Bool(true)),
        ..SemanticTokensOptions::default()
    }
}

pub fn full(session: &Session, params: SemanticTokensParams) -> Answer<Option<SemanticTokensResult>> {
    let Some(opened) = Opened::of(session, &params.text_document.uri) else { return Ok(None) };
    let mut data = Vec::new();
    let mut last = Position::new(0, 0);
    for found in highlights(&opened.program()) {
        let (start, end) = (opened.position(session, found.span.start), opened.position(session, found.span.end));
        let token_type = HIGHLIGHTS.iter().position(|(kind, _)| *kind == found.kind).unwrap_or(0) as u32;
        let bits = u32::from(found.declares) | u32::from(found.is_library) << 1 | u32::from(found.is_documentation) << 2;
        let delta_line = start.line - last.line;
        let delta_start = if delta_line == 0 { start.character - last.character } else { start.character };
        let length = end.character.saturating_sub(start.character);
        data.push(SemanticToken { delta_line, delta_start, length, token_type, token_modifiers_bitset: bits });
        last = start;
    }
    Ok(Some(SemanticTokensResult::Tokens(SemanticTokens { result_id: None, data })))
}

pub fn inlays(session: &Session, params: InlayHintParams) -> Answer<Option<Vec<InlayHint>>> {
    let Some(opened) = Opened::of(session, &params.text_document.uri) else { return Ok(None) };
    let (from, to) = (opened.offset(session, params.range.start), opened.offset(session, params.range.end));
    let hint = |found: mgx_ide::Inlay| InlayHint {
        position: opened.position(session, found.at),
        label: InlayHintLabel::String(found.text),
        kind: (!found.is_size).then_some(InlayHintKind::TYPE),
        text_edits: None,
        tooltip: None,
        padding_left: Some(found.is_size),
        padding_right: None,
        data: None,
    };
    Ok(Some(inlays_of(&opened.program(), from, to).into_iter().map(hint).collect()))
}
