//! What is at a place, where it is declared, and where it is used.

use lsp_types::*;
use mgx_diag::Span;
use mgx_ide::{Occurrence, Program, Target, hover as hover_at, name_at, uses};

use super::{Answer, Opened, place};
use crate::lsp::server::Session;

pub fn hover(session: &Session, params: HoverParams) -> Answer<Option<Hover>> {
    let Some((opened, offset)) = place(session, &params.text_document_position_params) else { return Ok(None) };
    let found = hover_at(&opened.program(), offset);
    Ok(found.map(|found| Hover {
        contents: HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value: found.markdown }),
        range: Some(opened.range(session, found.span)),
    }))
}

pub fn definition(session: &Session, params: GotoDefinitionParams) -> Answer<Option<GotoDefinitionResponse>> {
    let Some((opened, offset)) = place(session, &params.text_document_position_params) else { return Ok(None) };
    let Some(Occurrence { target: Target::Declared(declared), .. }) = name_at(&opened.program(), offset) else { return Ok(None) };
    Ok(session.location(&opened.path, &opened.analysis, declared).map(GotoDefinitionResponse::Scalar))
}

/// All places of what is declared at `declared` of a program, in every file of the user's that sees it: the files, and the places in them.
pub fn everywhere(session: &Session, opened: &Opened, declared: Span) -> Vec<(Opened, Vec<Occurrence>)> {
    let Some(file) = session.file_of(&opened.path, &opened.analysis, declared) else { return Vec::new() };
    let is_library = session.library.contains(&file);
    let programs = if is_library {
        session.own_files().into_iter().map(|path| (path.clone(), session.analysis(&path))).collect()
    } else {
        session.programs_with(&file)
    };
    let mut found = Vec::new();
    for (path, analysis) in programs {
        let other = Opened { path, analysis };
        if other.analysis.root.is_none() {
            continue;
        }
        // The same place in the other program's numbers of sources.
        let own = same_place(session, &other, &file, declared);
        let places = own.map_or_else(Vec::new, |declared| uses(&other.program(), declared));
        if !places.is_empty() {
            found.push((other, places));
        }
    }
    found
}

fn same_place(session: &Session, other: &Opened, file: &std::path::Path, declared: Span) -> Option<Span> {
    let sources = other.analysis.files.iter().map(|known| known.source);
    let mut places = sources.map(|source| Span { file: source, ..declared });
    places.find(|place| session.file_of(&other.path, &other.analysis, *place).as_deref() == Some(file))
}

pub fn references(session: &Session, params: ReferenceParams) -> Answer<Option<Vec<Location>>> {
    let Some((opened, offset)) = place(session, &params.text_document_position) else { return Ok(None) };
    let Some(Occurrence { target: Target::Declared(declared), .. }) = name_at(&opened.program(), offset) else { return Ok(None) };
    let mut found = Vec::new();
    for (file, places) in everywhere(session, &opened, declared) {
        let wanted = places.iter().filter(|place| params.context.include_declaration || !place.declares());
        found.extend(wanted.filter_map(|place| session.location(&file.path, &file.analysis, place.span)));
    }
    Ok(Some(found))
}

pub fn highlights(session: &Session, params: DocumentHighlightParams) -> Answer<Option<Vec<DocumentHighlight>>> {
    let Some((opened, offset)) = place(session, &params.text_document_position_params) else { return Ok(None) };
    let program: Program<'_> = opened.program();
    let Some(Occurrence { target: Target::Declared(declared), .. }) = name_at(&program, offset) else { return Ok(None) };
    let places = uses(&program, declared).into_iter().map(|place| DocumentHighlight {
        range: opened.range(session, place.span),
        kind: Some(if place.declares() { DocumentHighlightKind::WRITE } else { DocumentHighlightKind::READ }),
    });
    Ok(Some(places.collect()))
}
