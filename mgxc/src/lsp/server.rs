//! The session: what is open, what is known of it, and what is done with each message.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{
    Cancel, DidChangeTextDocument, DidChangeWatchedFiles, DidCloseTextDocument, DidOpenTextDocument, DidSaveTextDocument, LogMessage,
    Notification as _, PublishDiagnostics,
};
use lsp_types::{InitializeParams, LogMessageParams, MessageType, NumberOrString, PositionEncodingKind, PublishDiagnosticsParams};
use mgx_compiler::check::{Analysis, analyze};
use mgx_diag::Encoding;

use super::convert;
use super::documents::{Document, Documents};
use super::library::LibraryFolder;
use super::requests;
use super::world::{Open, TableCache};

/// What the server knows.
pub struct Session {
    pub encoding: Encoding,
    /// Does the editor take completions that say where the cursor comes to stand?
    pub snippets: bool,
    pub documents: Documents,
    pub library: LibraryFolder,
    /// Folders that the editor has open.
    pub folders: Vec<PathBuf>,
    pub tables: TableCache,
    /// Of open files, as long as nothing changes that they depend on.
    analyses: RefCell<HashMap<PathBuf, Rc<Analysis>>>,
    /// Open files whose findings are to be reported.
    stale: BTreeSet<PathBuf>,
    /// For each open file, the files that it has findings shown in.
    shown: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

/// Serves a connection until it ends.
///
/// # Errors
/// The connection broke, or the client does not speak the protocol.
pub fn serve(connection: &Connection) -> Result<(), String> {
    let (id, params) = connection.initialize_start().map_err(|error| error.to_string())?;
    let params: InitializeParams = serde_json::from_value(params).map_err(|error| error.to_string())?;
    let mut session = Session::new(&params);
    let result = serde_json::json!({
        "capabilities": requests::capabilities(session.encoding),
        "serverInfo": { "name": "mgxc", "version": env!("CARGO_PKG_VERSION") },
    });
    connection.initialize_finish(id, result).map_err(|error| error.to_string())?;
    while let Ok(first) = connection.receiver.recv() {
        let batch: Vec<Message> = std::iter::once(first).chain(connection.receiver.try_iter()).collect();
        let cancelled: HashSet<RequestId> = batch.iter().filter_map(cancelled).collect();
        for message in batch {
            let answers = match message {
                Message::Request(request) if request.method == "shutdown" => {
                    return if connection.handle_shutdown(&request).unwrap_or(true) {
                        Ok(())
                    } else {
                        Err("no exit after shutdown".to_owned())
                    };
                }
                Message::Notification(notification) if notification.method == "exit" => return Err("exit without shutdown".to_owned()),
                Message::Request(request) if cancelled.contains(&request.id) => {
                    let text = "the client has cancelled it".to_owned();
                    vec![Response::new_err(request.id, ErrorCode::RequestCanceled as i32, text).into()]
                }
                Message::Request(request) => session.answer(request),
                Message::Notification(notification) => session.take(notification),
                Message::Response(_) => Vec::new(),
            };
            send(connection, answers)?;
        }
        // Nothing more is waiting: say what the texts have come to.
        if connection.receiver.is_empty() {
            send(connection, session.report())?;
        }
    }
    Ok(())
}

fn send(connection: &Connection, messages: Vec<Message>) -> Result<(), String> {
    messages.into_iter().try_for_each(|message| connection.sender.send(message).map_err(|error| error.to_string()))
}

/// The request that a message cancels.
fn cancelled(message: &Message) -> Option<RequestId> {
    let Message::Notification(notification) = message else { return None };
    if notification.method != Cancel::METHOD {
        return None;
    }
    let params: lsp_types::CancelParams = serde_json::from_value(notification.params.clone()).ok()?;
    Some(match params.id {
        NumberOrString::Number(number) => number.into(),
        NumberOrString::String(text) => text.into(),
    })
}

impl Session {
    fn new(params: &InitializeParams) -> Self {
        let offered = params.capabilities.general.as_ref().and_then(|general| general.position_encodings.as_ref());
        let has_utf8 = offered.is_some_and(|offered| offered.contains(&PositionEncodingKind::UTF8));
        let completion = params.capabilities.text_document.as_ref().and_then(|text| text.completion.as_ref());
        let snippets = completion.and_then(|completion| completion.completion_item.as_ref()?.snippet_support).unwrap_or(false);
        let folders = params.workspace_folders.iter().flatten().map(|folder| convert::path_of(&folder.uri));
        Self {
            encoding: if has_utf8 { Encoding::Utf8 } else { Encoding::Utf16 },
            snippets,
            documents: Documents::default(),
            library: LibraryFolder::new(),
            folders: folders.collect(),
            tables: TableCache::default(),
            analyses: RefCell::default(),
            stale: BTreeSet::new(),
            shown: BTreeMap::new(),
        }
    }

    /// What is known of a file and all that it imports.
    pub fn analysis(&self, path: &Path) -> Rc<Analysis> {
        if let Some(known) = self.analyses.borrow().get(path) {
            return Rc::clone(known);
        }
        let (world, name) = Open::of(path, &self.documents, &self.tables);
        let analysis = Rc::new(analyze(&world, &name));
        self.analyses.borrow_mut().insert(path.to_owned(), Rc::clone(&analysis));
        analysis
    }

    /// Answers a request; a fault of ours ends the request and not the server.
    fn answer(&mut self, request: Request) -> Vec<Message> {
        let (id, method) = (request.id.clone(), request.method.clone());
        match catch_unwind(AssertUnwindSafe(|| requests::dispatch(self, request))) {
            Ok(response) => vec![response.into()],
            Err(fault) => {
                let text = format!("internal fault while answering {method}: {}", said(&*fault));
                vec![log(&text), Response::new_err(id, ErrorCode::InternalError as i32, text).into()]
            }
        }
    }

    /// Takes what the client says of its texts.
    fn take(&mut self, notification: Notification) -> Vec<Message> {
        let method = notification.method.clone();
        match catch_unwind(AssertUnwindSafe(|| self.note(notification))) {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(error)) => vec![log(&format!("{method} cannot be read: {error}"))],
            Err(fault) => vec![log(&format!("internal fault in {method}: {}", said(&*fault)))],
        }
    }

    fn note(&mut self, notification: Notification) -> Result<(), serde_json::Error> {
        let params = notification.params;
        match notification.method.as_str() {
            DidOpenTextDocument::METHOD => {
                let opened: lsp_types::DidOpenTextDocumentParams = serde_json::from_value(params)?;
                let path = convert::path_of(&opened.text_document.uri);
                let document = opened.text_document;
                self.documents.0.insert(path.clone(), Document { uri: document.uri, text: document.text, version: document.version });
                self.changed(&path);
            }
            DidChangeTextDocument::METHOD => {
                let change: lsp_types::DidChangeTextDocumentParams = serde_json::from_value(params)?;
                let path = convert::path_of(&change.text_document.uri);
                if let Some(document) = self.documents.0.get_mut(&path) {
                    document.change(change.content_changes, self.encoding);
                    document.version = change.text_document.version;
                    self.changed(&path);
                }
            }
            DidCloseTextDocument::METHOD => {
                let closed: lsp_types::DidCloseTextDocumentParams = serde_json::from_value(params)?;
                let path = convert::path_of(&closed.text_document.uri);
                self.documents.0.remove(&path);
                self.changed(&path);
            }
            // Files that are read besides open texts: tables, checkpoints, files that are imported.
            DidSaveTextDocument::METHOD | DidChangeWatchedFiles::METHOD => self.all_changed(),
            _ => {}
        }
        Ok(())
    }

    /// A text is another one now: everything that has read it is out of date.
    fn changed(&mut self, path: &Path) {
        self.stale.insert(path.to_owned());
        let analyses = std::mem::take(self.analyses.get_mut());
        let reads = |root: &Path, analysis: &Analysis| {
            let folder = root.parent().unwrap_or(Path::new(""));
            root == path || analysis.read.iter().any(|file| convert::normal(&folder.join(file)) == path)
        };
        for (root, analysis) in analyses {
            if reads(&root, &analysis) {
                self.stale.insert(root);
            } else {
                self.analyses.get_mut().insert(root, analysis);
            }
        }
    }

    fn all_changed(&mut self) {
        self.analyses.get_mut().clear();
        self.stale.extend(self.documents.0.keys().cloned());
    }

    /// Findings of the texts that were changed, where they are those of files of the user's.
    fn report(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        for path in std::mem::take(&mut self.stale) {
            match catch_unwind(AssertUnwindSafe(|| self.report_of(&path))) {
                Ok(found) => messages.extend(found),
                Err(fault) => messages.push(log(&format!("internal fault while checking {}: {}", path.display(), said(&*fault)))),
            }
        }
        messages
    }

    fn report_of(&mut self, path: &Path) -> Vec<Message> {
        let before = self.shown.remove(path).unwrap_or_default();
        let is_open = self.documents.0.contains_key(path) && !self.library.contains(path);
        let findings = if is_open { self.findings(path, &self.analysis(path)) } else { BTreeMap::new() };
        let mut messages = Vec::new();
        for (file, findings) in &findings {
            // An open file speaks for itself.
            if file == path || !self.documents.0.contains_key(file) {
                messages.extend(self.publish(file, findings.clone()));
            }
        }
        for gone in before.iter().chain(std::iter::once(&path.to_owned())).filter(|file| !findings.contains_key(*file)) {
            let elsewhere = self.shown.values().any(|files| files.contains(gone));
            if !elsewhere && (gone == path || !self.documents.0.contains_key(gone)) {
                messages.extend(self.publish(gone, Vec::new()));
            }
        }
        if is_open {
            self.shown.insert(path.to_owned(), findings.into_keys().collect());
        }
        messages
    }

    fn publish(&self, file: &Path, diagnostics: Vec<lsp_types::Diagnostic>) -> Option<Message> {
        let version = self.documents.0.get(file).map(|document| document.version);
        let params = PublishDiagnosticsParams { uri: self.uri(file)?, diagnostics, version };
        Some(Notification::new(PublishDiagnostics::METHOD.to_owned(), params).into())
    }
}

/// What a panic says.
fn said(fault: &(dyn std::any::Any + Send)) -> String {
    let text = fault.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| fault.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}

fn log(text: &str) -> Message {
    let params = LogMessageParams { typ: MessageType::ERROR, message: format!("{text}; please report it") };
    Notification::new(LogMessage::METHOD.to_owned(), params).into()
}
