//! Types.

use mgx_grammar::Rule;

use super::Builder;
use crate::syntax::ast::{AxisExpr, TypeExpr, TypeExprKind};
use crate::syntax::tree::{Element, Node, TokenKind};

impl Builder<'_> {
    /// The type directly in `node`; an error where one is missing.
    pub(super) fn type_in(&mut self, node: &Node) -> TypeExpr {
        self.maybe_type_in(node).unwrap_or(TypeExpr { kind: TypeExprKind::Error, span: node.span_end() })
    }

    /// The type directly in `node`, an error type where the grammar noticed that one is missing.
    pub(super) fn maybe_type_in(&mut self, node: &Node) -> Option<TypeExpr> {
        let child = node.nodes().find(|child| matches!(child.kind, Rule::type_expr | Rule::missing_type))?;
        Some(if child.kind == Rule::type_expr { self.type_expr(child) } else { TypeExpr { kind: TypeExprKind::Error, span: child.span } })
    }

    fn type_expr(&mut self, node: &Node) -> TypeExpr {
        let Some(inner) = node.nodes().next() else { return TypeExpr { kind: TypeExprKind::Error, span: node.span } };
        let kind = match inner.kind {
            Rule::named_type => self.named_type(inner),
            Rule::list_type => TypeExprKind::List(Box::new(self.type_in(inner))),
            Rule::record_type => TypeExprKind::Record(self.record_type(inner)),
            _ => TypeExprKind::Error,
        };
        let ty = TypeExpr { kind, span: inner.span };
        match node.tokens().next() {
            Some(_) => TypeExpr { kind: TypeExprKind::Optional(Box::new(ty)), span: node.span },
            None => ty,
        }
    }

    fn named_type(&mut self, node: &Node) -> TypeExprKind {
        let mut type_args = Vec::new();
        if let Some(list) = node.child(Rule::type_args) {
            for arg in list.nodes().filter(|arg| arg.kind == Rule::type_arg) {
                type_args.push(TypeExpr { kind: self.named_type(arg), span: arg.span });
            }
        }
        let args = node.child(Rule::args).map_or_else(Vec::new, |args| self.args(args, 0));
        let axes = node.child(Rule::axes).map(|axes| self.axes(axes));
        TypeExprKind::Named { name: self.name(node), type_args, args, axes }
    }

    fn axes(&mut self, node: &Node) -> Vec<AxisExpr> {
        let mut axes = Vec::new();
        for child in &node.children {
            match child {
                Element::Node(axis) if axis.kind == Rule::expr => axes.push(AxisExpr::Size(self.expr(axis, 0))),
                Element::Token(token) if token.kind == TokenKind::Punctuation && self.text(token.span) == ".." => {
                    axes.push(AxisExpr::Rest(token.span));
                }
                _ => {}
            }
        }
        axes
    }

    fn record_type(&mut self, node: &Node) -> Vec<(crate::syntax::ast::Name, TypeExpr)> {
        node.nodes().filter(|field| field.kind == Rule::type_field).map(|field| (self.name(field), self.type_in(field))).collect()
    }
}
