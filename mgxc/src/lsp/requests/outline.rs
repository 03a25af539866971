//! What files declare, and what of them folds.

use lsp_types::*;
use mgx_compiler::check::library_files;
use mgx_ide::{NameKind, Symbol, folds as folds_of, symbols};

use super::{Answer, Opened};
use crate::lsp::convert;
use crate::lsp::server::Session;

fn kind(kind: NameKind) -> SymbolKind {
    match kind {
        NameKind::Namespace => SymbolKind::NAMESPACE,
        NameKind::Module | NameKind::Adapter | NameKind::Backbone | NameKind::Rewrite => SymbolKind::CLASS,
        NameKind::Task | NameKind::Optimizer | NameKind::Schedule | NameKind::Tokenizer => SymbolKind::OBJECT,
        NameKind::Function | NameKind::Builtin => SymbolKind::FUNCTION,
        NameKind::Table => SymbolKind::STRUCT,
        NameKind::Column | NameKind::Member => SymbolKind::FIELD,
        NameKind::Experiment => SymbolKind::EVENT,
        NameKind::Binding | NameKind::Local | NameKind::Parameter | NameKind::Axis => SymbolKind::VARIABLE,
        NameKind::Setting => SymbolKind::PROPERTY,
        NameKind::Choice => SymbolKind::ENUM_MEMBER,
        NameKind::Type => SymbolKind::TYPE_PARAMETER,
    }
}

pub fn document(session: &Session, params: DocumentSymbolParams) -> Answer<Option<DocumentSymbolResponse>> {
    let Some(opened) = Opened::of(session, &params.text_document.uri) else { return Ok(None) };
    let found = symbols(opened.program().syntax()).into_iter().map(|symbol| nested(session, &opened, symbol));
    Ok(Some(DocumentSymbolResponse::Nested(found.collect())))
}

fn nested(session: &Session, opened: &Opened, symbol: Symbol) -> DocumentSymbol {
    #[expect(deprecated, reason = "the type has no other way to be made than with all its fields")]
    DocumentSymbol {
        name: symbol.name,
        detail: None,
        kind: kind(symbol.kind),
        tags: None,
        deprecated: None,
        range: opened.range(session, symbol.span),
        selection_range: opened.range(session, symbol.name_span),
        children: Some(symbol.children.into_iter().map(|child| nested(session, opened, child)).collect()),
    }
}

/// Declarations whose names have the letters of the query in their order: of the user's files and of the library.
pub fn workspace(session: &Session, params: WorkspaceSymbolParams) -> Answer<Option<WorkspaceSymbolResponse>> {
    let query = params.query.to_lowercase();
    let mut found = Vec::new();
    for path in session.own_files() {
        let opened = Opened { analysis: session.analysis(&path), path };
        if opened.analysis.root.is_none() {
            continue;
        }
        for symbol in symbols(opened.program().syntax()).into_iter().filter(|symbol| matches(&symbol.name, &query)) {
            let location = session.location(&opened.path, &opened.analysis, symbol.name_span);
            found.extend(location.map(|location| information(symbol, location, None)));
        }
    }
    for file in library_files() {
        let wanted: Vec<Symbol> = symbols(&file.syntax()).into_iter().filter(|symbol| matches(&symbol.name, &query)).collect();
        if wanted.is_empty() {
            continue;
        }
        let Some(uri) = session.library.path_of(file.module).and_then(|path| session.uri(&path)) else { continue };
        let lines = mgx_diag::LineIndex::new(file.text);
        for symbol in wanted {
            let at = |offset| convert::position(&lines, file.text, offset, session.encoding);
            let range = Range::new(at(symbol.name_span.start), at(symbol.name_span.end));
            found.push(information(symbol, Location::new(uri.clone(), range), Some(file.module.to_owned())));
        }
    }
    Ok(Some(WorkspaceSymbolResponse::Flat(found)))
}

fn information(symbol: Symbol, location: Location, container_name: Option<String>) -> SymbolInformation {
    #[expect(deprecated, reason = "the type has no other way to be made than with all its fields")]
    SymbolInformation { name: symbol.name, kind: kind(symbol.kind), tags: None, deprecated: None, location, container_name }
}

fn matches(name: &str, query: &str) -> bool {
    let name = name.to_lowercase();
    let mut letters = name.chars();
    query.chars().all(|wanted| letters.any(|letter| letter == wanted))
}

pub fn folds(session: &Session, params: FoldingRangeParams) -> Answer<Option<Vec<FoldingRange>>> {
    let Some(opened) = Opened::of(session, &params.text_document.uri) else { return Ok(None) };
    let fold = |fold: mgx_ide::Fold| {
        let (start, end) = (opened.position(session, fold.start), opened.position(session, fold.end));
        let kind = if fold.is_comment { Some(FoldingRangeKind::Comment) } else { fold.is_imports.then_some(FoldingRangeKind::Imports) };
        // The line of a closing bracket stays in sight.
        let end_line = if kind.is_none() { end.line.saturating_sub(1) } else { end.line };
        FoldingRange { start_line: start.line, end_line, kind, ..FoldingRange::default() }
    };
    Ok(Some(folds_of(opened.program().text()).into_iter().map(fold).filter(|fold| fold.start_line < fold.end_line).collect()))
}
