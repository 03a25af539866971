//! `mgxc fmt`: the one way to write a file.
//!
//! [`format`] reads the lossless tree, makes a document of it (`lists`, `exprs`, `items`, `bodies`) and lays it out (`print`). The style:
//!
//! - lines of at most [`WIDTH`] characters, two blanks of indentation, LF at the end of every line, no byte order mark;
//! - what stands in brackets is on one line if it fits, else one part a line with a comma after each; if all are plain words, numbers and texts,
//!   with names or without, each line is filled;
//! - braces are on one line where the author wrote them so and they fit; `let` always has its own line;
//! - in neighbouring fields, `=` stand below each other, and so do types;
//! - comments stay where they are, those behind neighbouring lines below each other if they were; of several empty lines one stays.
//!
//! The result is read again and compared with what was there, so that nothing but the layout can change.

mod bodies;
mod comments;
mod doc;
mod exprs;
mod items;
mod lists;
mod print;
mod same;

use mgx_diag::{Diagnostic, FileId, Span};
use mgx_grammar::Rule;

use crate::syntax::parse;
use crate::syntax::tree::{Element, Node, Token, Tree};
use comments::Comments;
use doc::{Doc, Kind};

/// The longest line, in characters. Comments and texts that are longer stay as they are.
pub const WIDTH: usize = 140;

/// A comment in the middle of an expression may have moved to the end of its line, and what is around it then fits; once more settles it.
const MOST_ROUNDS: usize = 4;

/// The text of a file in the one style. `Err` has what is wrong where the text is not mgx: such a text is not formatted.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(file, text);
    if !parsed.diagnostics.is_empty() || parsed.tree.has_errors() {
        return Err(parsed.diagnostics);
    }
    let mut tree = parsed.tree;
    let mut formatted = lay_out(&tree);
    for round in 0.. {
        let again = read_again(file, &tree, &formatted).map_err(|fault| vec![fault])?;
        let next = lay_out(&again);
        if next == formatted || round == MOST_ROUNDS {
            break;
        }
        (tree, formatted) = (again, next);
    }
    Ok(formatted)
}

/// The tree of a formatted text, which must say the same as the one that it was made from.
fn read_again(file: FileId, tree: &Tree, formatted: &str) -> Result<Tree, Diagnostic> {
    let again = parse(file, formatted).tree;
    same::difference(tree, &again).map_or(Ok(again), |place| Err(internal_fault(place)))
}

fn lay_out(tree: &Tree) -> String {
    let mut formatter = Formatter { tree, comments: Comments::new(tree), indent: 0 };
    print::print(&formatter.file(), WIDTH)
}

fn internal_fault(place: Span) -> Diagnostic {
    Diagnostic::error("E0971", "a fault in the formatter: its text would not say the same; the file stays as it is")
        .label(place, "from here on")
        .help("please report this file; formatting the declaration by hand avoids it")
}

struct Formatter<'a> {
    tree: &'a Tree,
    comments: Comments,
    /// How far the declaration or member at hand is indented.
    indent: usize,
}

/// A child that is no white space and no comment.
#[derive(Clone, Copy)]
enum Part<'a> {
    Node(&'a Node),
    Token(Token),
}

/// The children of a node without white space and comments.
fn parts(node: &Node) -> impl Iterator<Item = Part<'_>> {
    node.children.iter().filter_map(|child| match child {
        Element::Node(node) => Some(Part::Node(node)),
        Element::Token(token) if token.kind.is_trivia() => None,
        Element::Token(token) => Some(Part::Token(*token)),
    })
}

/// The first word or sign of a node.
fn first_token(node: &Node) -> Option<Token> {
    match parts(node).next()? {
        Part::Token(token) => Some(token),
        Part::Node(node) => first_token(node),
    }
}

fn begins_with_comment(doc: &Doc) -> bool {
    match &doc.kind {
        Kind::OwnLine(_) => true,
        Kind::Concat(parts) => parts.first().is_some_and(begins_with_comment),
        Kind::Group(inner) => begins_with_comment(inner),
        _ => false,
    }
}

impl<'a> Formatter<'a> {
    fn slice(&self, span: Span) -> &'a str {
        self.tree.slice(span)
    }

    fn is(&self, part: Part<'_>, text: &str) -> bool {
        matches!(part, Part::Token(token) if self.slice(token.span) == text)
    }

    /// A word or sign with the comments around it.
    fn token(&mut self, token: Token) -> Doc {
        let lead = self.comments.take_lead(token.span.start);
        let mut docs: Vec<Doc> = lead.comments.into_iter().map(|comment| Doc::own_line(comment.text)).collect();
        docs.push(Doc::text(self.slice(token.span)));
        docs.extend(self.trailing(token));
        Doc::concat(docs)
    }

    /// The comment behind a token.
    fn trailing(&mut self, token: Token) -> Option<Doc> {
        self.comments.take_trailing(token.span.end).map(|(text, column)| Doc::trailing(text, column))
    }

    /// What a comma that is written anew had around it: the comment behind it, and those for the lines after it.
    fn around_comma(&mut self, comma: Token) -> (Option<Doc>, Vec<String>) {
        let lead = self.comments.take_lead(comma.span.start);
        let before: Vec<String> = lead.comments.into_iter().map(|comment| comment.text).collect();
        if before.is_empty() {
            return (self.trailing(comma), before);
        }
        let behind = self.comments.take_trailing(comma.span.end).map(|(comment, _)| comment);
        (None, before.into_iter().chain(behind).collect())
    }

    fn part(&mut self, part: Part<'_>) -> Doc {
        match part {
            Part::Token(token) => self.token(token),
            Part::Node(node) => self.node(node),
        }
    }

    /// Any part of a declaration.
    fn node(&mut self, node: &Node) -> Doc {
        match node.kind {
            Rule::expr => self.expr(node),
            Rule::if_expr => self.if_expr(node),
            Rule::match_expr => self.match_expr(node),
            Rule::args | Rule::paren | Rule::list | Rule::params | Rule::record_type | Rule::key_record | Rule::use_group => {
                self.bracketed(node, true)
            }
            Rule::axes | Rule::type_args | Rule::list_type | Rule::index => self.bracketed(node, false),
            Rule::let_names if node.tokens().count() > 1 => self.bracketed(node, false),
            Rule::repeat => self.repeat(node),
            Rule::base => self.base(node),
            Rule::type_expr | Rule::named_type | Rule::type_arg | Rule::operand | Rule::access | Rule::pattern => self.joined(node),
            _ => self.spaced(node, None),
        }
    }

    /// The parts of a node without anything between them.
    fn joined(&mut self, node: &Node) -> Doc {
        Doc::concat(parts(node).map(|part| self.part(part)).collect())
    }

    /// The parts of a node with a blank between them, none before a colon. `padding` stands before the second part if that is `=` and
    /// after it if it is `:`, where the lines around it are broken.
    fn spaced(&mut self, node: &Node, padding: Option<usize>) -> Doc {
        let mut docs = Vec::new();
        for (at, part) in parts(node).enumerate() {
            let is_colon = self.is(part, ":");
            let pad = padding.filter(|_| at == 1).map(|count| Doc::if_broken(" ".repeat(count)));
            if is_colon {
                docs.push(self.part(part));
                docs.extend(pad);
                continue;
            }
            docs.extend(pad);
            if at > 0 {
                docs.push(Doc::text(" "));
            }
            let doc = self.part(part);
            // Only a comment can bring it to a line of its own.
            docs.push(if begins_with_comment(&doc) { Doc::indent(doc) } else { doc });
        }
        Doc::concat(docs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_says_something_else_is_a_fault() {
        let tree = parse(FileId(0), "experiment a { seed = 1 }\n").tree;
        assert!(read_again(FileId(0), &tree, "experiment a {\n  seed = 1\n}\n").is_ok());
        let fault = read_again(FileId(0), &tree, "experiment a {\n  seed = 2\n}\n").unwrap_err();
        assert_eq!(fault.code.0, "E0971");
    }
}
