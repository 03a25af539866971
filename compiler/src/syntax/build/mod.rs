//! Reads the abstract syntax out of the lossless tree.
//!
//! Error nodes are left out or become [`ExprKind::Error`]; `report` speaks about those. What only becomes visible here (a number that is
//! too large, a block without a result) is reported here.

mod block;
mod expr;
mod items;
mod literal;
mod types;

use mgx_diag::{Diagnostic, Span};
use mgx_grammar::Rule;

use super::ast::{Expr, ExprKind, File, Name};
use super::tree::{Element, Node, Token, TokenKind, Tree};

/// How deeply the parts of an expression may lie in each other; operators in a row count, as each holds all before it.
pub(super) const MAX_LEVEL: usize = 256;

/// The abstract syntax of a file, and what was found wrong while reading it.
pub(super) fn file(tree: &Tree) -> (File, Vec<Diagnostic>) {
    let mut builder = Builder { tree, diagnostics: Vec::new() };
    let mut file = File::default();
    for node in tree.root.nodes() {
        match node.kind {
            Rule::use_item => file.uses.push(builder.use_item(node)),
            Rule::item => file.items.extend(builder.item(node)),
            _ => {}
        }
    }
    (file, builder.diagnostics)
}

/// The expression of a tree made from a single expression.
pub(super) fn lone_expr(tree: &Tree) -> (Option<Expr>, Vec<Diagnostic>) {
    let mut builder = Builder { tree, diagnostics: Vec::new() };
    let expr = tree.root.child(Rule::expr).map(|node| builder.expr(node, 0));
    (expr, builder.diagnostics)
}

struct Builder<'a> {
    tree: &'a Tree,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn text(&self, span: Span) -> &'a str {
        self.tree.slice(span)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn name_of(&self, token: Token) -> Name {
        Name { text: self.text(token.span).to_owned(), span: token.span }
    }

    /// The first name directly in `node`; an empty name where one is missing.
    fn name(&self, node: &Node) -> Name {
        self.maybe_name(node).unwrap_or_else(|| {
            let at = node.child(Rule::missing_name).map_or(node.span, |missing| missing.span);
            Name { text: String::new(), span: at }
        })
    }

    fn maybe_name(&self, node: &Node) -> Option<Name> {
        node.tokens().find(|token| token.kind == TokenKind::Name).map(|token| self.name_of(token))
    }

    /// The documentation in front of a declaration: its lines without slashes and the blank after them.
    fn doc(&self, node: &Node) -> Option<String> {
        let mut lines = Vec::new();
        for child in &node.children {
            match child {
                Element::Token(token) if token.kind == TokenKind::Doc => {
                    let line = self.text(token.span).trim_start_matches('/').trim_end();
                    lines.push(line.strip_prefix(' ').unwrap_or(line));
                }
                Element::Token(token) if token.kind.is_trivia() => {}
                _ => break,
            }
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// The place of a node without the documentation and comments in front of it.
fn bare_span(node: &Node) -> Span {
    let first = node.children.iter().find_map(|child| match child {
        Element::Node(node) => Some(node.span),
        Element::Token(token) if !token.kind.is_trivia() => Some(token.span),
        Element::Token(_) => None,
    });
    first.map_or(node.span, |first| first.to(node.span_end()))
}

impl Node {
    fn span_end(&self) -> Span {
        Span { start: self.span.end, ..self.span }
    }
}

fn error_expr(span: Span) -> Expr {
    Expr { kind: ExprKind::Error, span }
}
