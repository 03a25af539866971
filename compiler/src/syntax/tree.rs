//! The lossless tree: every byte of a file is in exactly one token of it.
//!
//! Nodes carry the rule of the grammar that made them; the rules that stand for errors are nodes like all others. Joining the tokens in
//! order gives back the text, whatever the text is. The abstract syntax is read from it, and so are formatting and the editor's answers.

use mgx_diag::{FileId, Span};
use mgx_grammar::{Event, Rule};

pub use super::scan::TokenKind;
use super::scan::next_token;

/// The tree of one file, with the text it was made from.
#[derive(Clone, Debug)]
pub struct Tree {
    pub root: Node,
    text: Box<str>,
    has_errors: bool,
}

/// A part of the text with its parts.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Rule,
    pub span: Span,
    pub children: Vec<Element>,
}

/// A child of a node.
#[derive(Clone, Debug)]
pub enum Element {
    Node(Node),
    Token(Token),
}

/// A piece of text without parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

impl Tree {
    /// The text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a place in this file.
    pub fn slice(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// Does any node or token stand for text that is not mgx?
    pub fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// All tokens in order, white space and comments included.
    pub fn tokens(&self) -> Vec<Token> {
        let mut tokens = Vec::new();
        self.root.collect_tokens(&mut tokens);
        tokens
    }

    /// The tree of what the grammar found. `events` may be those of a text in which parts of `text` are blanked out (of the same length).
    pub(super) fn from_events(file: FileId, text: &str, events: impl Iterator<Item = Event>) -> Self {
        let mut builder = Builder { file, text, at: 0, open: Vec::new(), done: None, has_errors: false };
        for Event { rule, begins, at } in events {
            if begins {
                builder.start(rule, at);
            } else {
                builder.end(rule, at);
            }
        }
        let has_errors = builder.has_errors || builder.done.is_none();
        let root = builder.done.unwrap_or_else(|| Self::plain_root(file, text));
        Self { root, text: text.into(), has_errors }
    }

    /// A tree of tokens only, for a text that could not be parsed at all.
    pub(super) fn of_tokens(file: FileId, text: &str) -> Self {
        Self { root: Self::plain_root(file, text), text: text.into(), has_errors: true }
    }

    fn plain_root(file: FileId, text: &str) -> Node {
        let mut root = Node { kind: Rule::file, span: Span { file, start: 0, end: text.len() as u32 }, children: Vec::new() };
        push_tokens(&mut root.children, file, text, 0, text.len(), true);
        root
    }
}

impl Node {
    /// The children that are nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.children.iter().filter_map(|child| match child {
            Element::Node(node) => Some(node),
            Element::Token(_) => None,
        })
    }

    /// The children that are tokens, without white space and comments.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        self.children.iter().filter_map(|child| match child {
            Element::Token(token) if !token.kind.is_trivia() => Some(*token),
            _ => None,
        })
    }

    /// The first child node of a kind.
    pub fn child(&self, kind: Rule) -> Option<&Node> {
        self.nodes().find(|node| node.kind == kind)
    }

    fn collect_tokens(&self, out: &mut Vec<Token>) {
        for child in &self.children {
            match child {
                Element::Node(node) => node.collect_tokens(out),
                Element::Token(token) => out.push(*token),
            }
        }
    }
}

/// The kind of token that a rule is; `None` for rules that are nodes.
fn token_kind(rule: Rule) -> Option<TokenKind> {
    Some(match rule {
        Rule::doc => TokenKind::Doc,
        Rule::ident | Rule::wildcard => TokenKind::Name,
        Rule::number => TokenKind::Number,
        Rule::string => TokenKind::String,
        Rule::unterminated_string => TokenKind::UnterminatedString,
        Rule::literal | Rule::role | Rule::storage => TokenKind::Keyword,
        Rule::operator | Rule::minus | Rule::unary | Rule::rest | Rule::comma => TokenKind::Punctuation,
        _ => return None,
    })
}

/// Does the rule hold text that is not mgx? Its words are then not taken for keywords.
fn holds_stray_text(rule: Rule) -> bool {
    use Rule::{error_arm, error_header, error_in_list, error_item, error_line, error_rest};
    matches!(rule, error_arm | error_header | error_in_list | error_item | error_line | error_rest)
}

/// Does a node of this kind stand for a mistake?
pub(super) fn is_error(kind: Rule) -> bool {
    use Rule::{
        bare_assign, loose_args, loose_params, missing_assign, missing_body, missing_colon, missing_else, missing_expr, missing_name,
        missing_params, missing_storage, missing_type, missing_with, stray_assign, unclosed,
    };
    let is_missing = matches!(
        kind,
        missing_assign
            | missing_body
            | missing_colon
            | missing_else
            | missing_expr
            | missing_name
            | missing_params
            | missing_storage
            | missing_type
            | missing_with
            | unclosed
    );
    is_missing || holds_stray_text(kind) || matches!(kind, bare_assign | stray_assign | loose_args | loose_params)
}

struct Builder<'a> {
    file: FileId,
    text: &'a str,
    /// Where the text that has no token yet begins.
    at: usize,
    open: Vec<Node>,
    done: Option<Node>,
    has_errors: bool,
}

impl Builder<'_> {
    fn start(&mut self, rule: Rule, pos: usize) {
        self.has_errors |= is_error(rule) || rule == Rule::unterminated_string;
        // The outermost rule begins after a byte order mark at the latest; the text before it is its own.
        if !self.open.is_empty() {
            self.fill(pos);
        }
        if token_kind(rule).is_none() && rule != Rule::EOI {
            let span = Span { file: self.file, start: pos as u32, end: pos as u32 };
            self.open.push(Node { kind: rule, span, children: Vec::new() });
        }
    }

    fn end(&mut self, rule: Rule, pos: usize) {
        if rule == Rule::EOI {
            return;
        }
        if let Some(kind) = token_kind(rule) {
            let span = Span { file: self.file, start: self.at as u32, end: pos as u32 };
            self.at = pos;
            if let Some(parent) = self.open.last_mut() {
                parent.children.push(Element::Token(Token { kind, span }));
            }
            return;
        }
        self.fill(pos);
        let Some(mut node) = self.open.pop() else { return };
        node.span.end = pos as u32;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Element::Node(node)),
            None => self.done = Some(node),
        }
    }

    /// Puts the text up to `pos` as tokens into the innermost open node.
    fn fill(&mut self, pos: usize) {
        if let Some(parent) = self.open.last_mut() {
            let stray = holds_stray_text(parent.kind);
            push_tokens(&mut parent.children, self.file, self.text, self.at, pos, stray);
            self.at = pos;
        }
    }
}

fn push_tokens(out: &mut Vec<Element>, file: FileId, text: &str, mut at: usize, end: usize, stray: bool) {
    while let Some((kind, length)) = next_token(&text[at..end]) {
        let kind = if kind == TokenKind::Name && !stray { TokenKind::Keyword } else { kind };
        let span = Span { file, start: at as u32, end: (at + length) as u32 };
        out.push(Element::Token(Token { kind, span }));
        at += length;
    }
}
