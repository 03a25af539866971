//! Answers for editors, in plain data: what is at a place, what could stand there, where it is declared and used.
//!
//! Everything here is asked of a [`Program`], a file with what the compiler found out about it; nothing is checked a second time. Offsets are bytes of the
//! file's text, which need not be whole: half-typed text is answered from what of it can be read. Nothing touches the file system, and no type of an editor's
//! protocol appears.

mod completion;
mod cursor;
mod folding;
mod highlight;
mod hover;
mod inlay;
mod names;
mod options;
mod signature;
mod symbols;
mod targets;
mod usage;

pub use completion::{Completion, CompletionKind, Headers, completions};
pub use folding::{Fold, folds};
pub use highlight::{HIGHLIGHTS, Highlight, HighlightKind, highlights};
pub use hover::{Hover, hover};
pub use inlay::{Inlay, inlays};
pub use names::{NameKind, Occurrence, Target, declaration, occurrences};
pub use signature::{Signature, signature};
pub use symbols::{Symbol, SymbolKind, symbols};
pub use usage::{NoRename, can_rename, name_at, stored_here, uses};

use mgx_compiler::check::Analysis;
use mgx_compiler::syntax::ast;
use mgx_diag::{FileId, Span};

/// A file of a program.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    pub analysis: &'a Analysis,
    /// Which of its files is meant.
    pub file: usize,
}

impl<'a> Program<'a> {
    /// The file that was checked; none if it could not be read.
    pub fn of(analysis: &'a Analysis) -> Option<Self> {
        Some(Self { analysis, file: analysis.root? })
    }

    pub fn source(&self) -> FileId {
        self.analysis.files[self.file].source
    }

    pub fn text(&self) -> &'a str {
        self.analysis.sources.text(self.source())
    }

    pub fn syntax(&self) -> &'a ast::File {
        &self.analysis.files[self.file].syntax
    }

    /// The text of a place in any file of the program.
    pub fn slice(&self, span: Span) -> &'a str {
        self.analysis.sources.slice(span)
    }

    /// The span of some bytes of this file.
    pub fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.source(), start: start as u32, end: end as u32 }
    }
}
