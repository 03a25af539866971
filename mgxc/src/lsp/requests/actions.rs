//! Changes that mend findings, as an editor's quick fixes.

use std::collections::HashMap;

use lsp_types::*;
use mgx_diag::Fix;

use super::{Answer, Opened};
use crate::lsp::server::Session;

pub fn actions(session: &Session, params: CodeActionParams) -> Answer<Option<CodeActionResponse>> {
    let Some(opened) = Opened::of(session, &params.text_document.uri) else { return Ok(None) };
    let wanted = params
        .context
        .only
        .as_ref()
        .is_none_or(|only| only.iter().any(|kind| CodeActionKind::QUICKFIX.as_str().starts_with(kind.as_str())));
    if !wanted {
        return Ok(Some(Vec::new()));
    }
    let source = opened.program().source();
    let mut found = Vec::new();
    for diagnostic in &opened.analysis.diagnostics {
        let own: Vec<Range> =
            diagnostic.labels.iter().filter(|label| label.span.file == source).map(|label| opened.range(session, label.span)).collect();
        let Some(range) = own.first().copied() else { continue };
        if !own.iter().any(|range| range.start <= params.range.end && params.range.start <= range.end) {
            continue;
        }
        for fix in &diagnostic.fixes {
            let Some(edit) = edit(session, &opened, fix) else { continue };
            found.push(CodeActionOrCommand::CodeAction(CodeAction {
                title: fix.title.clone(),
                kind: Some(CodeActionKind::QUICKFIX),
                diagnostics: Some(vec![session.finding(&opened.path, &opened.analysis, diagnostic, range)]),
                edit: Some(edit),
                is_preferred: Some(diagnostic.fixes.len() == 1),
                ..CodeAction::default()
            }));
        }
    }
    Ok(Some(found))
}

#[expect(clippy::mutable_key_type, reason = "the protocol's map of changes has URIs for keys, which nothing changes")]
fn edit(session: &Session, opened: &Opened, fix: &Fix) -> Option<WorkspaceEdit> {
    let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
    for edit in &fix.edits {
        let uri = session.uri(&session.file_of(&opened.path, &opened.analysis, edit.span)?)?;
        changes.entry(uri).or_default().push(TextEdit::new(opened.range(session, edit.span), edit.text.clone()));
    }
    Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() })
}
