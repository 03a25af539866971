//! What could stand at a place, and what the call there takes.

use lsp_types::*;
use mgx_ide::{NameKind, completions, signature as signature_at};

use super::{Answer, Opened, place};
use crate::lsp::server::Session;
use crate::lsp::world::Open;

fn kind(kind: NameKind) -> CompletionItemKind {
    match kind {
        NameKind::Namespace => CompletionItemKind::MODULE,
        NameKind::Module
        | NameKind::Adapter
        | NameKind::Task
        | NameKind::Optimizer
        | NameKind::Schedule
        | NameKind::Rewrite
        | NameKind::Backbone
        | NameKind::Tokenizer => CompletionItemKind::CLASS,
        NameKind::Function | NameKind::Builtin => CompletionItemKind::FUNCTION,
        NameKind::Table | NameKind::Experiment => CompletionItemKind::STRUCT,
        NameKind::Column | NameKind::Member => CompletionItemKind::FIELD,
        NameKind::Binding | NameKind::Local | NameKind::Axis => CompletionItemKind::VARIABLE,
        NameKind::Parameter | NameKind::Setting => CompletionItemKind::PROPERTY,
        NameKind::Choice => CompletionItemKind::ENUM_MEMBER,
        NameKind::Type => CompletionItemKind::TYPE_PARAMETER,
    }
}

pub fn completion(session: &Session, params: CompletionParams) -> Answer<Option<CompletionResponse>> {
    let Some((opened, offset)) = place(session, &params.text_document_position) else { return Ok(None) };
    let (world, _) = Open::of(&opened.path, &session.documents, &session.tables);
    let headers = |path: &str| world.header_of(path);
    let (word, found) = completions(&opened.program(), offset, &headers);
    let range = opened.range(session, word);
    let items = found.into_iter().map(|found| item(session, &opened, found, range));
    Ok(Some(CompletionResponse::Array(items.collect())))
}

fn item(session: &Session, opened: &Opened, found: mgx_ide::Completion, range: Range) -> CompletionItem {
    let has_cursor = found.insert.contains("$0") && session.snippets;
    let text = if has_cursor { found.insert.replace('}', "\\}") } else { found.insert.replace("$0", "") };
    let imports = found.import.map(|edit| vec![TextEdit::new(opened.range(session, edit.span), edit.text)]);
    CompletionItem {
        sort_text: Some(format!("{:02}{}", found.rank, found.label)),
        filter_text: Some(found.label.clone()),
        kind: Some(kind(found.kind)),
        detail: found.detail,
        documentation: found
            .doc
            .map(|doc| Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value: doc.trim().to_owned() })),
        insert_text_format: Some(if has_cursor { InsertTextFormat::SNIPPET } else { InsertTextFormat::PLAIN_TEXT }),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit::new(range, text))),
        additional_text_edits: imports,
        label: found.label,
        ..CompletionItem::default()
    }
}

pub fn signature(session: &Session, params: SignatureHelpParams) -> Answer<Option<SignatureHelp>> {
    let Some((opened, offset)) = place(session, &params.text_document_position_params) else { return Ok(None) };
    let Some(found) = signature_at(&opened.program(), offset) else { return Ok(None) };
    let label = &found.label;
    // Offsets in a label are UTF-16 units, whatever was agreed on for texts.
    let units = |at: u32| label[..at as usize].encode_utf16().count() as u32;
    let options = found.options.iter().map(|(start, end)| ParameterInformation {
        label: ParameterLabel::LabelOffsets([units(*start), units(*end)]),
        documentation: None,
    });
    let information = SignatureInformation {
        parameters: Some(options.collect()),
        active_parameter: found.active,
        documentation: found
            .doc
            .map(|doc| Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value: doc.trim().to_owned() })),
        label: found.label,
    };
    Ok(Some(SignatureHelp { signatures: vec![information], active_signature: Some(0), active_parameter: found.active }))
}
