//! Branches, matches and blocks.

use mgx_diag::{Diagnostic, Edit, Span};
use mgx_grammar::Rule;

use super::{Builder, MAX_LEVEL, error_expr};
use crate::syntax::ast::{Expr, ExprKind, LetBinding, Name, UnaryOperator};
use crate::syntax::tree::{Element, Node, TokenKind};

impl Builder<'_> {
    /// The expression after `if` or `where`.
    pub(super) fn condition(&mut self, node: &Node, level: usize) -> Expr {
        if node.child(Rule::stray_assign).is_some() {
            return error_expr(node.span);
        }
        self.value_at(node, level)
    }

    pub(super) fn if_expr(&mut self, node: &Node, level: usize) -> Expr {
        let level = level + node.nodes().filter(|child| child.kind == Rule::condition_expr).count();
        if level > MAX_LEVEL {
            return self.too_deep(node.span);
        }
        let mut branches: Vec<(Expr, Expr)> = Vec::new();
        let mut condition: Option<Expr> = None;
        let mut otherwise = None;
        for child in node.nodes() {
            match child.kind {
                Rule::condition_expr => condition = Some(self.condition(child, level)),
                Rule::block | Rule::missing_body => {
                    let body = if child.kind == Rule::block { self.block(child, level) } else { error_expr(child.span) };
                    match condition.take() {
                        Some(condition) => branches.push((condition, body)),
                        None => otherwise = Some(body),
                    }
                }
                _ => {}
            }
        }
        let last = otherwise.unwrap_or_else(|| error_expr(node.span_end()));
        branches.into_iter().rev().fold(last, |otherwise, (condition, then)| Expr {
            span: condition.span.to(node.span_end()),
            kind: ExprKind::If(Box::new(condition), Box::new(then), Box::new(otherwise)),
        })
    }

    pub(super) fn match_expr(&mut self, node: &Node, level: usize) -> Expr {
        let subject = self.value_at(node, level);
        let mut arms = Vec::new();
        let mut previous: Option<&Node> = None;
        for arm in node.child(Rule::arms).into_iter().flat_map(|arms| arms.children.iter()) {
            match arm {
                Element::Token(token) if self.text(token.span) == "," => previous = None,
                Element::Node(arm) if arm.kind == Rule::arm => {
                    if let Some(previous) = previous.replace(arm) {
                        self.report(
                            Diagnostic::error("E0107", "a comma is missing between two arms")
                                .label(arm.span, "a second arm")
                                .label(previous.span, "no comma after this one")
                                .help("end every arm with `,`")
                                .fix("Add `,`", Edit::after(previous.span, ",")),
                        );
                    }
                    arms.push(self.arm(arm, level));
                }
                Element::Node(_) => previous = None,
                Element::Token(_) => {}
            }
        }
        Expr { kind: ExprKind::Match(Box::new(subject), arms), span: node.span }
    }

    fn arm(&mut self, node: &Node, level: usize) -> (Option<Expr>, Expr) {
        let pattern = node.child(Rule::pattern).and_then(|pattern| self.pattern(pattern));
        let value = match node.child(Rule::block) {
            Some(block) => self.block(block, level),
            None => self.value_at(node, level),
        };
        (pattern, value)
    }

    fn pattern(&mut self, node: &Node) -> Option<Expr> {
        let token = node.tokens().last()?;
        if self.text(token.span) == "_" {
            return None;
        }
        let value = self.word(token);
        if node.tokens().count() == 1 {
            return Some(value);
        }
        Some(Expr { kind: ExprKind::Unary(UnaryOperator::Neg, Box::new(value)), span: node.span })
    }

    /// A block; one without `let` is just its result.
    pub(super) fn block(&mut self, node: &Node, level: usize) -> Expr {
        let mut lets = Vec::new();
        let mut result: Option<Expr> = None;
        for statement in node.nodes() {
            let is_result = statement.kind == Rule::expr;
            let comes_after = is_result || matches!(statement.kind, Rule::let_binding | Rule::bare_assign);
            if let Some(unused) = result.take_if(|_| comes_after) {
                self.unused_result(&unused, statement);
            }
            match statement.kind {
                Rule::expr => result = Some(self.expr(statement, level + 1)),
                Rule::let_binding | Rule::bare_assign => lets.push(self.let_binding(statement, level + 1)),
                _ => {}
            }
        }
        let is_broken = node.nodes().any(|child| matches!(child.kind, Rule::error_line | Rule::unclosed));
        let result = result.unwrap_or_else(|| {
            if !is_broken {
                self.missing_result(node);
            }
            error_expr(node.span_end())
        });
        if lets.is_empty() {
            return result;
        }
        Expr { kind: ExprKind::Block(lets, Box::new(result)), span: node.span }
    }

    fn unused_result(&mut self, unused: &Expr, next: &Node) {
        let between = &self.tree.text()[unused.span.end as usize..next.span.start as usize];
        let is_return = matches!(&unused.kind, ExprKind::Name(name) if name == "return");
        let begins_like_continuation = self.text(next.span).starts_with(['-', '(', '[']);
        let diagnostic = if between.contains('\n') {
            Diagnostic::error("E0110", "a block has one result, and it stands last").label(unused.span, "nothing uses this value").help(
                if begins_like_continuation {
                    "the next line does not continue this one: write its first character at the end of this line"
                } else {
                    "bind it with `let`, or delete it"
                },
            )
        } else {
            Diagnostic::error("E0101", "expected an operator or the end of the line")
                .label(next.span, "does not continue the expression before it")
                .help(if is_return { "delete `return`: the last value of a block is its result" } else { "begin a new line" })
        };
        let returned = Edit::delete(Span { end: next.span.start, ..unused.span });
        self.report(diagnostic.fix_if("Delete `return`", is_return.then_some(returned)));
    }

    fn missing_result(&mut self, node: &Node) {
        let brace = Span { start: node.span.end.saturating_sub(1).max(node.span.start), ..node.span };
        self.report(
            Diagnostic::error("E0109", "the block has no result")
                .label(brace, "an expression is expected before this brace")
                .help("the last line of a block is its value: write it after the `let`s"),
        );
    }

    fn let_binding(&mut self, node: &Node, level: usize) -> LetBinding {
        let holder = node.child(Rule::let_names).unwrap_or(node);
        let names: Vec<Name> = holder.tokens().filter(|token| token.kind == TokenKind::Name).map(|token| self.name_of(token)).collect();
        LetBinding { names, value: self.value_at(node, level) }
    }
}
