//! Do two texts say the same? Compares trees without places, and comments without their indentation.

use mgx_diag::Span;
use mgx_grammar::Rule;

use crate::syntax::tree::{Element, Node, TokenKind, Tree};

/// What a text says, in order: the parts it is made of, their documentation and the words in them. Commas are left out, as the parts that
/// they separate are in.
#[derive(PartialEq)]
enum Event<'a> {
    Start(Rule),
    End,
    Word(&'a str),
}

/// Where the second tree begins to differ from the first, as a place in the first; `None` if they say the same.
pub(super) fn difference(first: &Tree, second: &Tree) -> Option<Span> {
    if second.has_errors() {
        return Some(first.root.span);
    }
    let differs = |events: [Vec<(Event<'_>, Span)>; 2]| {
        let [before, after] = events;
        let same = before.iter().zip(&after).take_while(|(one, other)| one.0 == other.0).count();
        (same < before.len().max(after.len())).then(|| before.get(same).map_or(first.root.span, |(_, span)| *span))
    };
    differs([events(first), events(second)]).or_else(|| differs([comments(first), comments(second)]))
}

fn events(tree: &Tree) -> Vec<(Event<'_>, Span)> {
    let mut out = Vec::new();
    collect(tree, &tree.root, &mut out);
    out
}

fn collect<'t>(tree: &'t Tree, node: &Node, out: &mut Vec<(Event<'t>, Span)>) {
    out.push((Event::Start(node.kind), node.span));
    if matches!(node.kind, Rule::item | Rule::member | Rule::field) {
        let before = node.children.iter().map_while(|child| match child {
            Element::Token(token) if token.kind.is_trivia() => Some(token),
            _ => None,
        });
        let docs = before.filter(|token| token.kind == TokenKind::Doc);
        out.extend(docs.map(|token| (Event::Word(tree.slice(token.span).trim_end()), token.span)));
    }
    for child in &node.children {
        match child {
            Element::Node(child) => collect(tree, child, out),
            Element::Token(token) if token.kind.is_trivia() || tree.slice(token.span) == "," => {}
            Element::Token(token) => out.push((Event::Word(tree.slice(token.span)), token.span)),
        }
    }
    out.push((Event::End, node.span));
}

/// All comments, each by its text.
fn comments(tree: &Tree) -> Vec<(Event<'_>, Span)> {
    let is_comment = |kind| matches!(kind, TokenKind::Comment | TokenKind::Doc);
    let comments = tree.tokens().into_iter().filter(|token| is_comment(token.kind));
    comments.map(|token| (Event::Word(tree.slice(token.span).trim_end()), token.span)).collect()
}
