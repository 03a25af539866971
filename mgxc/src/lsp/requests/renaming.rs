//! Giving a name another one.

use std::collections::HashMap;

use lsp_types::*;
use mgx_compiler::syntax::scan::{RESERVED, is_word_char};
use mgx_ide::{NoRename, can_rename};

use super::navigation::everywhere;
use super::{Answer, place};
use crate::lsp::server::Session;

fn reason(no: NoRename) -> String {
    match no {
        NoRename::NoName => "there is no name here".to_owned(),
        NoRename::NotOwn => "it is a name of the language or of its library, which keeps its names".to_owned(),
    }
}

pub fn prepare(session: &Session, params: TextDocumentPositionParams) -> Answer<Option<PrepareRenameResponse>> {
    let Some((opened, offset)) = place(session, &params) else { return Ok(None) };
    let (_, span) = can_rename(&opened.program(), offset).map_err(reason)?;
    Ok(Some(PrepareRenameResponse::RangeWithPlaceholder {
        range: opened.range(session, span),
        placeholder: opened.program().slice(span).to_owned(),
    }))
}

#[expect(clippy::mutable_key_type, reason = "the protocol's map of changes has URIs for keys, which nothing changes")]
pub fn rename(session: &Session, params: RenameParams) -> Answer<Option<WorkspaceEdit>> {
    let Some((opened, offset)) = place(session, &params.text_document_position) else { return Ok(None) };
    let (declared, span) = can_rename(&opened.program(), offset).map_err(reason)?;
    let name = params.new_name.trim();
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.chars().all(is_word_char) || RESERVED.contains(&name) || name == "_" {
        return Err(format!("`{name}` is no name: names are written with the letters a–z and A–Z, digits and `_`"));
    }
    let old = opened.program().slice(span).to_owned();
    let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
    for (file, places) in everywhere(session, &opened, declared) {
        // Where an import gives it another name, the places that use that one stay as they are.
        let same =
            places.iter().filter(|place| file.program().slice(place.span) == old && place.alias.is_none_or(|alias| alias == declared));
        let mut edits: Vec<TextEdit> = same.map(|place| TextEdit::new(file.range(session, place.span), name.to_owned())).collect();
        if let Some(end) = mgx_ide::stored_here(&file.program(), &places) {
            edits.push(TextEdit::new(file.range(session, end), format!(" at \"{old}\"")));
        }
        if let Some(uri) = session.uri(&file.path) {
            changes.insert(uri, edits);
        }
    }
    Ok(Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }))
}
