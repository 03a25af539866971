//! Expressions.

use mgx_grammar::Rule;

use super::doc::Doc;
use super::{Formatter, Part, parts};
use crate::syntax::tree::{Node, Token};

/// An operator between two values, and how tightly it binds.
#[derive(Clone, Copy)]
struct Infix {
    token: Token,
    strength: u8,
}

fn strength(operator: &str) -> u8 {
    match operator {
        "|>" => 1,
        "with" => 2,
        "||" => 3,
        "&&" => 4,
        "+" | "-" => 6,
        "*" | "/" | "%" => 7,
        _ => 5,
    }
}

impl Formatter<'_> {
    /// Values and operators in a row; too long a row is broken at the operators that bind least.
    pub(super) fn expr(&mut self, node: &Node) -> Doc {
        let mut operands = Vec::new();
        let mut operators = Vec::new();
        for part in parts(node) {
            match part {
                Part::Node(operand) => operands.push(operand),
                Part::Token(token) => operators.push(Infix { token, strength: strength(self.slice(token.span)) }),
            }
        }
        self.chain(&operands, &operators)
    }

    fn chain(&mut self, operands: &[&Node], operators: &[Infix]) -> Doc {
        let Some(loosest) = operators.iter().map(|infix| infix.strength).min() else {
            return Doc::concat(operands.iter().map(|operand| self.node(operand)).collect());
        };
        let mut first = None;
        let mut rest = Vec::new();
        let has_comments =
            operands.first().zip(operands.last()).is_some_and(|(first, last)| self.comments.any_in(first.span.end, last.span.start));
        let line = || if has_comments { Doc::hard() } else { Doc::line(1) };
        let mut from = 0;
        let mut before: Option<Infix> = None;
        for end in 0..=operators.len() {
            if operators.get(end).is_some_and(|infix| infix.strength != loosest) {
                continue;
            }
            // The operator comes before what follows it in the text, and so do its comments.
            let operator = before.map(|infix| self.operator(infix.token, line()));
            let value = self.chain(&operands[from..=end], &operators[from..end]);
            match operator {
                Some(operator) => rest.extend([operator, value]),
                None => first = Some(value),
            }
            before = operators.get(end).copied();
            from = end + 1;
        }
        let first = first.unwrap_or_else(Doc::nothing);
        Doc::group(Doc::concat(vec![first, Doc::indent(Doc::concat(rest))]))
    }

    /// An operator that begins a line, or `-`, which ends one: at the beginning it would begin another value.
    fn operator(&mut self, token: Token, line: Doc) -> Doc {
        if self.slice(token.span) == "-" {
            return Doc::concat(vec![Doc::text(" "), self.token(token), line]);
        }
        let lead = self.comments.take_lead(token.span.start);
        let behind = self.comments.take_trailing(token.span.end);
        let mut docs = Vec::new();
        match behind {
            Some((comment, column)) if lead.comments.is_empty() => docs.extend([Doc::trailing(comment, column), line]),
            behind => {
                docs.push(line);
                let comments = lead.comments.into_iter().map(|comment| comment.text).chain(behind.map(|(comment, _)| comment));
                docs.extend(comments.map(Doc::own_line));
            }
        }
        docs.extend([Doc::text(self.slice(token.span)), Doc::text(" ")]);
        Doc::concat(docs)
    }

    /// `repeat(12, index = i)`, which is not broken where the part behind it can be.
    pub(super) fn repeat(&mut self, node: &Node) -> Doc {
        let docs = parts(node).map(|part| match part {
            Part::Node(args) => self.bracketed(args, false),
            Part::Token(token) => self.token(token),
        });
        Doc::concat(docs.collect())
    }

    /// All branches on one line, or none.
    pub(super) fn if_expr(&mut self, node: &Node) -> Doc {
        let on_one_line = node.nodes().filter(|child| child.kind == Rule::block).all(|block| self.is_on_one_line(block));
        let mut docs = Vec::new();
        for (at, part) in parts(node).enumerate() {
            if at > 0 {
                docs.push(Doc::text(" "));
            }
            docs.push(match part {
                Part::Node(block) if block.kind == Rule::block => self.block(block, on_one_line),
                part => self.part(part),
            });
        }
        Doc::group(Doc::concat(docs))
    }

    pub(super) fn match_expr(&mut self, node: &Node) -> Doc {
        let mut docs = Vec::new();
        for (at, part) in parts(node).enumerate() {
            if at > 0 {
                docs.push(Doc::text(" "));
            }
            docs.push(match part {
                Part::Node(arms) if arms.kind == Rule::arms => self.arms(arms),
                part => self.part(part),
            });
        }
        Doc::group(Doc::concat(docs))
    }

    fn arms(&mut self, node: &Node) -> Doc {
        let on_one_line = self.is_on_one_line(node);
        self.braces(node, on_one_line, 1)
    }
}
