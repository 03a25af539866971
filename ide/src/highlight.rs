//! The meaning of every word, for colours.

use std::collections::HashMap;

use mgx_compiler::syntax::parse;
use mgx_compiler::syntax::scan::TokenKind;
use mgx_diag::Span;

use crate::Program;
use crate::names::{NameKind, Occurrence, Target, occurrences};

/// What a word is coloured as. The order of [`HIGHLIGHTS`] is their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HighlightKind {
    Comment,
    Keyword,
    String,
    Number,
    Operator,
    Namespace,
    Type,
    /// Modules, adapters, tasks, backbones and their like.
    Class,
    Function,
    Variable,
    Parameter,
    Property,
    EnumMember,
}

/// All kinds, with the names that editors know them by.
pub const HIGHLIGHTS: [(HighlightKind, &str); 13] = [
    (HighlightKind::Comment, "comment"),
    (HighlightKind::Keyword, "keyword"),
    (HighlightKind::String, "string"),
    (HighlightKind::Number, "number"),
    (HighlightKind::Operator, "operator"),
    (HighlightKind::Namespace, "namespace"),
    (HighlightKind::Type, "type"),
    (HighlightKind::Class, "class"),
    (HighlightKind::Function, "function"),
    (HighlightKind::Variable, "variable"),
    (HighlightKind::Parameter, "parameter"),
    (HighlightKind::Property, "property"),
    (HighlightKind::EnumMember, "enumMember"),
];

/// A coloured word; never over the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Highlight {
    pub span: Span,
    pub kind: HighlightKind,
    /// The name is declared here.
    pub declares: bool,
    /// It is of the library or of the language.
    pub is_library: bool,
    /// Documentation, among comments.
    pub is_documentation: bool,
}

/// All words of the file, in order.
pub fn highlights(program: &Program<'_>) -> Vec<Highlight> {
    let names: HashMap<Span, Occurrence> = occurrences(program).into_iter().map(|name| (name.span, name)).collect();
    let tokens = parse(program.source(), program.text()).tree.tokens();
    let mut found = Vec::new();
    for token in tokens {
        let kind = match token.kind {
            TokenKind::Comment | TokenKind::Doc => HighlightKind::Comment,
            TokenKind::Keyword => HighlightKind::Keyword,
            TokenKind::String | TokenKind::UnterminatedString => HighlightKind::String,
            TokenKind::Number => HighlightKind::Number,
            TokenKind::Punctuation if is_operator(program.slice(token.span)) => HighlightKind::Operator,
            TokenKind::Name => match names.get(&token.span) {
                Some(name) => kind_of(name.kind),
                None => HighlightKind::Variable,
            },
            TokenKind::Punctuation | TokenKind::Space | TokenKind::Unknown => continue,
        };
        let name = names.get(&token.span).filter(|_| token.kind == TokenKind::Name);
        found.push(Highlight {
            span: token.span,
            kind,
            declares: name.is_some_and(Occurrence::declares),
            is_library: name.is_some_and(|name| is_library(program, name)),
            is_documentation: token.kind == TokenKind::Doc,
        });
    }
    found
}

fn is_operator(text: &str) -> bool {
    !matches!(text, "(" | ")" | "[" | "]" | "{" | "}" | "," | ":" | "::" | ".")
}

fn is_library(program: &Program<'_>, name: &Occurrence) -> bool {
    match name.target {
        Target::Language => true,
        Target::Declared(span) => {
            program.analysis.file_of(span.file).is_some_and(|file| program.analysis.files[file].is_std && file != program.file)
        }
    }
}

fn kind_of(kind: NameKind) -> HighlightKind {
    match kind {
        NameKind::Namespace => HighlightKind::Namespace,
        NameKind::Module
        | NameKind::Adapter
        | NameKind::Task
        | NameKind::Optimizer
        | NameKind::Schedule
        | NameKind::Rewrite
        | NameKind::Backbone
        | NameKind::Tokenizer
        | NameKind::Table
        | NameKind::Experiment => HighlightKind::Class,
        NameKind::Function | NameKind::Builtin => HighlightKind::Function,
        NameKind::Column | NameKind::Member | NameKind::Setting => HighlightKind::Property,
        NameKind::Binding | NameKind::Local | NameKind::Axis => HighlightKind::Variable,
        NameKind::Parameter => HighlightKind::Parameter,
        NameKind::Choice => HighlightKind::EnumMember,
        NameKind::Type => HighlightKind::Type,
    }
}
