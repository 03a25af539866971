//! What is answered to each request: one row of [`dispatch`] for each.

use std::path::PathBuf;
use std::rc::Rc;

use lsp_server::{ErrorCode, Request, Response};
use lsp_types::request::{
    CodeActionRequest, Completion, DocumentHighlightRequest, DocumentSymbolRequest, FoldingRangeRequest, Formatting, GotoDefinition,
    HoverRequest, InlayHintRequest, PrepareRenameRequest, References, Rename, Request as LspRequest, SemanticTokensFullRequest,
    SignatureHelpRequest, WorkspaceSymbolRequest,
};
use lsp_types::*;
use mgx_compiler::check::Analysis;
use mgx_diag::{Encoding, LineIndex};
use mgx_ide::Program;

use super::convert;
use super::server::Session;

mod actions;
mod completion;
mod formatting;
mod navigation;
mod outline;
mod renaming;
mod tokens;

/// An answer, or why there is none in words for the user.
type Answer<T> = Result<T, String>;

/// What the server can do.
pub fn capabilities(encoding: Encoding) -> ServerCapabilities {
    ServerCapabilities {
        position_encoding: Some(match encoding {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
        }),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::Supported(true)),
            ..TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some([".", ":", ">", " ", "(", "[", ",", "=", "\""].map(str::to_owned).to_vec()),
            ..CompletionOptions::default()
        }),
        signature_help_provider: Some(SignatureHelpOptions {
            trigger_characters: Some(vec!["(".to_owned(), ",".to_owned()]),
            ..SignatureHelpOptions::default()
        }),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        document_highlight_provider: Some(OneOf::Left(true)),
        document_symbol_provider: Some(OneOf::Left(true)),
        workspace_symbol_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            ..CodeActionOptions::default()
        })),
        rename_provider: Some(OneOf::Right(RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: WorkDoneProgressOptions::default(),
        })),
        folding_range_provider: Some(FoldingRangeProviderCapability::Simple(true)),
        semantic_tokens_provider: Some(tokens::options().into()),
        document_formatting_provider: Some(OneOf::Left(true)),
        inlay_hint_provider: Some(OneOf::Left(true)),
        ..ServerCapabilities::default()
    }
}

/// Answers a request.
pub fn dispatch(session: &mut Session, request: Request) -> Response {
    let row = match request.method.as_str() {
        HoverRequest::METHOD => answer::<HoverRequest>(session, request, navigation::hover),
        GotoDefinition::METHOD => answer::<GotoDefinition>(session, request, navigation::definition),
        References::METHOD => answer::<References>(session, request, navigation::references),
        DocumentHighlightRequest::METHOD => answer::<DocumentHighlightRequest>(session, request, navigation::highlights),
        Completion::METHOD => answer::<Completion>(session, request, completion::completion),
        SignatureHelpRequest::METHOD => answer::<SignatureHelpRequest>(session, request, completion::signature),
        PrepareRenameRequest::METHOD => answer::<PrepareRenameRequest>(session, request, renaming::prepare),
        Rename::METHOD => answer::<Rename>(session, request, renaming::rename),
        DocumentSymbolRequest::METHOD => answer::<DocumentSymbolRequest>(session, request, outline::document),
        WorkspaceSymbolRequest::METHOD => answer::<WorkspaceSymbolRequest>(session, request, outline::workspace),
        FoldingRangeRequest::METHOD => answer::<FoldingRangeRequest>(session, request, outline::folds),
        SemanticTokensFullRequest::METHOD => answer::<SemanticTokensFullRequest>(session, request, tokens::full),
        InlayHintRequest::METHOD => answer::<InlayHintRequest>(session, request, tokens::inlays),
        Formatting::METHOD => answer::<Formatting>(session, request, formatting::formatting),
        CodeActionRequest::METHOD => answer::<CodeActionRequest>(session, request, actions::actions),
        _ => Err(Response::new_err(request.id, ErrorCode::MethodNotFound as i32, format!("there is no request `{}`", request.method))),
    };
    row.unwrap_or_else(|refusal| refusal)
}

fn answer<R: LspRequest>(
    session: &Session,
    request: Request,
    handler: fn(&Session, R::Params) -> Answer<R::Result>,
) -> Result<Response, Response> {
    let params = serde_json::from_value(request.params);
    let params: R::Params =
        params.map_err(|error| Response::new_err(request.id.clone(), ErrorCode::InvalidParams as i32, error.to_string()))?;
    Ok(match handler(session, params) {
        Ok(result) => Response::new_ok(request.id, result),
        Err(reason) => Response::new_err(request.id, ErrorCode::RequestFailed as i32, reason),
    })
}

/// A file of an editor with what is known of it.
struct Opened {
    path: PathBuf,
    analysis: Rc<Analysis>,
}

impl Opened {
    /// The file that a URI names; none if it cannot be read.
    fn of(session: &Session, uri: &Uri) -> Option<Self> {
        let path = convert::path_of(uri);
        let analysis = session.analysis(&path);
        analysis.root?;
        Some(Self { path, analysis })
    }

    fn program(&self) -> Program<'_> {
        Program { analysis: &self.analysis, file: self.analysis.root.unwrap_or(0) }
    }

    fn lines(&self) -> &LineIndex {
        self.analysis.sources.lines(self.program().source())
    }

    fn offset(&self, session: &Session, position: Position) -> u32 {
        convert::offset(self.lines(), self.program().text(), position, session.encoding)
    }

    fn position(&self, session: &Session, offset: u32) -> Position {
        convert::position(self.lines(), self.program().text(), offset, session.encoding)
    }

    fn range(&self, session: &Session, span: mgx_diag::Span) -> Range {
        convert::range(&self.analysis.sources, span, session.encoding)
    }
}

/// The file and the offset that a request asks about.
fn place(session: &Session, at: &TextDocumentPositionParams) -> Option<(Opened, u32)> {
    let opened = Opened::of(session, &at.text_document.uri)?;
    let offset = opened.offset(session, at.position);
    Some((opened, offset))
}
