//! Expressions.
//!
//! The grammar gives operands and operators in a row; here they are bound by precedence, without recursion. The level handed down counts
//! how deep the result will lie, so that later stages may walk it by recursion.

use mgx_diag::{Diagnostic, Span};
use mgx_grammar::Rule;

use super::{Builder, MAX_LEVEL, error_expr};
use crate::syntax::ast::{Arg, BinaryOperator, Expr, ExprKind, UnaryOperator};
use crate::syntax::tree::{Element, Node, Token, TokenKind};

#[derive(Clone, Copy, PartialEq)]
enum Infix {
    Pipe,
    With,
    Binary(BinaryOperator),
}

impl Infix {
    fn from_text(text: &str) -> Option<Self> {
        use BinaryOperator::{Add, And, Div, Eq, Ge, Gt, Le, Lt, Mul, Ne, Or, Rem, Sub};
        Some(match text {
            "|>" => Self::Pipe,
            "with" => Self::With,
            "||" => Self::Binary(Or),
            "&&" => Self::Binary(And),
            "==" => Self::Binary(Eq),
            "!=" => Self::Binary(Ne),
            "<" => Self::Binary(Lt),
            "<=" => Self::Binary(Le),
            ">" => Self::Binary(Gt),
            ">=" => Self::Binary(Ge),
            "+" => Self::Binary(Add),
            "-" => Self::Binary(Sub),
            "*" => Self::Binary(Mul),
            "/" => Self::Binary(Div),
            "%" => Self::Binary(Rem),
            _ => return None,
        })
    }

    /// Higher binds tighter. All are left-associative, comparisons not at all.
    fn strength(self) -> u8 {
        use BinaryOperator::{Add, And, Div, Mul, Or, Rem, Sub};
        match self {
            Self::Pipe => 1,
            Self::With => 2,
            Self::Binary(Or) => 3,
            Self::Binary(And) => 4,
            Self::Binary(Add | Sub) => 6,
            Self::Binary(Mul | Div | Rem) => 7,
            Self::Binary(_) => COMPARISON,
        }
    }
}

const COMPARISON: u8 = 5;

impl Builder<'_> {
    /// The value directly in `node`; an error where one is missing.
    pub(super) fn value(&mut self, node: &Node) -> Expr {
        self.value_at(node, 0)
    }

    pub(super) fn value_at(&mut self, node: &Node, level: usize) -> Expr {
        self.maybe_value(node, level).unwrap_or_else(|| error_expr(node.span_end()))
    }

    /// The value directly in `node`, an error where the grammar noticed that one is missing.
    pub(super) fn maybe_value(&mut self, node: &Node, level: usize) -> Option<Expr> {
        let child = node.nodes().find(|child| matches!(child.kind, Rule::expr | Rule::missing_expr))?;
        Some(if child.kind == Rule::expr { self.expr(child, level) } else { error_expr(child.span) })
    }

    /// Operands and operators in a row.
    pub(super) fn expr(&mut self, node: &Node, level: usize) -> Expr {
        let parts = node.nodes().filter(|child| matches!(child.kind, Rule::operand | Rule::missing_expr));
        let operators: Vec<(Infix, Span)> =
            node.tokens().filter_map(|token| Some((Infix::from_text(self.text(token.span))?, token.span))).collect();
        let level = level + 1 + operators.len();
        if level > MAX_LEVEL {
            return self.too_deep(node.span);
        }
        let mut operands = parts.map(|part| if part.kind == Rule::operand { self.operand(part, level) } else { error_expr(part.span) });
        let Some(first) = operands.next() else { return error_expr(node.span) };
        let rest: Vec<Expr> = operands.collect();
        self.bind(first, operators.into_iter().zip(rest))
    }

    /// Binds a row of operands by the strength of the operators between them (operator precedence with two stacks).
    fn bind(&mut self, first: Expr, rest: impl Iterator<Item = ((Infix, Span), Expr)>) -> Expr {
        let first_span = first.span;
        let mut operands = vec![first];
        let mut waiting: Vec<(Infix, Span)> = Vec::new();
        for ((infix, span), operand) in rest {
            while let Some((before, before_span)) = waiting.last().copied() {
                if before.strength() < infix.strength() {
                    break;
                }
                if before.strength() == COMPARISON && infix.strength() == COMPARISON {
                    self.comparison_chain(before_span, span);
                }
                waiting.pop();
                reduce(&mut operands, before, before_span);
            }
            waiting.push((infix, span));
            operands.push(operand);
        }
        while let Some((infix, span)) = waiting.pop() {
            reduce(&mut operands, infix, span);
        }
        operands.pop().unwrap_or_else(|| error_expr(first_span))
    }

    fn comparison_chain(&mut self, first: Span, second: Span) {
        self.report(
            Diagnostic::error("E0112", "comparisons cannot be chained")
                .label(second, "a second comparison")
                .label(first, "the first one")
                .help("compare twice: `a < b && b < c`"),
        );
    }

    pub(super) fn too_deep(&mut self, span: Span) -> Expr {
        self.report(
            Diagnostic::error("E0118", "the expression is nested too deeply")
                .label(span, format!("more than {MAX_LEVEL} parts lie in each other"))
                .help("name a part of it with `let`"),
        );
        error_expr(span)
    }

    fn operand(&mut self, node: &Node, level: usize) -> Expr {
        // Each unary operator and each call, index or member access holds what it applies to.
        let level = level + (node.tokens().count() + node.nodes().count()).saturating_sub(1);
        if level > MAX_LEVEL {
            return self.too_deep(node.span);
        }
        let mut unary: Vec<(UnaryOperator, Span)> = Vec::new();
        let mut expr: Option<Expr> = None;
        for child in &node.children {
            match (child, expr.take()) {
                (Element::Token(token), before) if token.kind.is_trivia() => expr = before,
                (Element::Token(token), None) if token.kind == TokenKind::Punctuation => {
                    let operator = if self.text(token.span) == "!" { UnaryOperator::Not } else { UnaryOperator::Neg };
                    unary.push((operator, token.span));
                }
                (Element::Token(token), _) => expr = Some(self.word(*token)),
                (Element::Node(part), None) => expr = Some(self.primary(part, level)),
                (Element::Node(part), Some(base)) => expr = Some(self.postfix(base, part, level)),
            }
        }
        let expr = expr.unwrap_or_else(|| error_expr(node.span));
        unary.into_iter().rev().fold(expr, |inner, (operator, span)| {
            let span = span.to(inner.span);
            Expr { kind: ExprKind::Unary(operator, Box::new(inner)), span }
        })
    }

    pub(super) fn word(&mut self, token: Token) -> Expr {
        let kind = match token.kind {
            TokenKind::Name => ExprKind::Name(self.text(token.span).to_owned()),
            TokenKind::Number => self.number(token),
            TokenKind::String => self.string(token),
            TokenKind::Keyword => match self.text(token.span) {
                "true" => ExprKind::Bool(true),
                "false" => ExprKind::Bool(false),
                "none" => ExprKind::None,
                _ => ExprKind::Error,
            },
            _ => ExprKind::Error,
        };
        Expr { kind, span: token.span }
    }

    fn primary(&mut self, node: &Node, level: usize) -> Expr {
        match node.kind {
            Rule::paren => self.paren(node, level),
            Rule::list => {
                let mut values = Vec::new();
                for child in node.nodes() {
                    match child.kind {
                        Rule::expr => values.push(self.expr(child, level)),
                        Rule::loose_args => values.extend(self.loose_args(child, level).into_iter().map(|arg| arg.value)),
                        _ => {}
                    }
                }
                Expr { kind: ExprKind::List(values), span: node.span }
            }
            Rule::if_expr => self.if_expr(node, level),
            Rule::match_expr => self.match_expr(node, level),
            _ => error_expr(node.span),
        }
    }

    fn postfix(&mut self, base: Expr, node: &Node, level: usize) -> Expr {
        let span = base.span.to(node.span);
        let base = Box::new(base);
        let kind = match node.kind {
            Rule::args => ExprKind::Call(base, self.args(node, level)),
            Rule::index => ExprKind::Index(base, Box::new(self.value_at(node, level))),
            Rule::access => ExprKind::Member(base, self.name(node)),
            _ => ExprKind::Error,
        };
        Expr { kind, span }
    }

    /// The arguments of a call, also those of a list in which something else did not fit.
    pub(super) fn args(&mut self, node: &Node, level: usize) -> Vec<Arg> {
        let mut args = Vec::new();
        for child in node.nodes() {
            match child.kind {
                Rule::arg => args.push(self.arg(child, level)),
                Rule::loose_args => args.extend(self.loose_args(child, level)),
                _ => {}
            }
        }
        args
    }

    fn loose_args(&mut self, node: &Node, level: usize) -> Vec<Arg> {
        node.nodes().filter(|arg| arg.kind == Rule::arg).map(|arg| self.arg(arg, level)).collect()
    }

    fn arg(&mut self, node: &Node, level: usize) -> Arg {
        Arg { name: self.maybe_name(node), value: self.value_at(node, level) }
    }

    /// Parentheses group one value, or make a tuple or a record of several.
    fn paren(&mut self, node: &Node, level: usize) -> Expr {
        let broken = node.child(Rule::loose_args).is_some() || node.child(Rule::unclosed).is_some();
        let has_comma = node.tokens().any(|token| self.text(token.span) == ",");
        let mut args = self.args(node, level);
        let named = args.iter().filter(|arg| arg.name.is_some()).count();
        let span = node.span;
        if broken {
            return error_expr(span);
        }
        if args.len() == 1 && named == 0 && !has_comma {
            return Expr { kind: args.swap_remove(0).value.kind, span };
        }
        let problem = match (args.len(), named) {
            (0, _) => Some("nothing stands in the parentheses"),
            (1, 0) => Some("a tuple has two parts or more"),
            (all, named) if named != 0 && named != all => Some("some parts have names and others not"),
            _ => None,
        };
        if let Some(problem) = problem {
            self.report(
                Diagnostic::error("E0119", problem)
                    .label(span, "neither a value in parentheses, nor a tuple, nor a record")
                    .help("write `(a, b)` for a tuple, `(first = a, second = b)` for a record"),
            );
            return error_expr(span);
        }
        let kind = if named == 0 {
            ExprKind::Tuple(args.into_iter().map(|arg| arg.value).collect())
        } else {
            ExprKind::Record(args.into_iter().filter_map(|arg| Some((arg.name?, arg.value))).collect())
        };
        Expr { kind, span }
    }
}

/// Makes one expression of the last two operands.
fn reduce(operands: &mut Vec<Expr>, infix: Infix, operator_span: Span) {
    let (Some(right), Some(left)) = (operands.pop(), operands.pop()) else { return };
    let span = left.span.to(right.span);
    let (left, right) = (Box::new(left), Box::new(right));
    let kind = match infix {
        Infix::Pipe => ExprKind::Pipe(left, right),
        Infix::With => ExprKind::With(left, right),
        Infix::Binary(operator) => ExprKind::Binary(operator, operator_span, left, right),
    };
    operands.push(Expr { kind, span });
}
