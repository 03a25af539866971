//! Declarations, members and fields.

use mgx_diag::Diagnostic;
use mgx_grammar::Rule;

use super::{Builder, bare_span};
use crate::syntax::ast::{
    Backbone, Base, Body, Data, Experiment, Expr, ExprKind, Field, FieldKind, Function, Item, ItemKind, Member, MemberKind, Module,
    ModuleRole, Name, Param, Repeat, Use, UseName,
};
use crate::syntax::tree::{Node, TokenKind};

impl Builder<'_> {
    pub(super) fn use_item(&mut self, node: &Node) -> Use {
        let mut path: Vec<Name> = node.tokens().filter(|token| token.kind == TokenKind::Name).map(|token| self.name_of(token)).collect();
        let names = match node.child(Rule::use_group) {
            Some(group) => group.nodes().filter(|name| name.kind == Rule::use_name).map(|name| self.use_name(name)).collect(),
            None if node.child(Rule::missing_name).is_some() => Vec::new(),
            None => path.pop().map(|name| UseName { name, alias: self.alias(node) }).into_iter().collect(),
        };
        Use { path, names, span: bare_span(node) }
    }

    fn use_name(&self, node: &Node) -> UseName {
        UseName { name: self.name(node), alias: self.alias(node) }
    }

    fn alias(&self, node: &Node) -> Option<Name> {
        node.child(Rule::alias).and_then(|alias| self.maybe_name(alias))
    }

    pub(super) fn item(&mut self, node: &Node) -> Option<Item> {
        let declaration = node.nodes().next()?;
        let kind = match declaration.kind {
            Rule::module_item => ItemKind::Module(self.module(declaration)),
            Rule::function => ItemKind::Function(self.function(declaration)),
            Rule::backbone_item => ItemKind::Backbone(Backbone {
                params: self.params(declaration),
                network: self.value(declaration),
                body: self.body_of(declaration),
            }),
            Rule::tokenizer_item => ItemKind::Tokenizer(self.body_of(declaration)),
            Rule::data_item => ItemKind::Data(Data { source: self.value(declaration), body: self.body_of(declaration) }),
            Rule::experiment_item => ItemKind::Experiment(self.experiment(declaration)),
            _ => return None,
        };
        Some(Item { doc: self.doc(node), kind, name: self.name(declaration), span: bare_span(declaration) })
    }

    fn experiment(&mut self, node: &Node) -> Experiment {
        let base = node
            .child(Rule::base)
            .map(|base| Base { name: self.name(base), args: base.child(Rule::args).map_or_else(Vec::new, |args| self.args(args, 0)) });
        Experiment { params: self.params(node), base, body: self.body_of(node) }
    }

    fn module(&mut self, node: &Node) -> Module {
        let role = node.tokens().next().map_or("module", |token| self.text(token.span));
        let role = match role {
            "adapter" => ModuleRole::Adapter,
            "task" => ModuleRole::Task,
            "optimizer" => ModuleRole::Optimizer,
            "schedule" => ModuleRole::Schedule,
            "rewrite" => ModuleRole::Rewrite,
            _ => ModuleRole::Module,
        };
        let params = self.params(node);
        let conditions = self.conditions(node);
        let members = node.child(Rule::member_body).map_or_else(Vec::new, |body| {
            body.nodes().filter(|member| member.kind == Rule::member).filter_map(|member| self.member(member)).collect()
        });
        let of = self.rewritten(node, role);
        Module { role, params, of, conditions, members }
    }

    /// The `Linear` of `rewrite lora(…) of Linear`.
    fn rewritten(&mut self, node: &Node, role: ModuleRole) -> Option<Name> {
        let clause = node.child(Rule::of_clause);
        match (clause, role) {
            (Some(clause), ModuleRole::Rewrite) => self.maybe_name(clause),
            (Some(clause), _) => {
                let found = Diagnostic::error("E0101", "only a rewrite is `of` a module").label(clause.span, "not allowed here");
                self.report(found.help("remove it, or declare a `rewrite`"));
                None
            }
            (None, ModuleRole::Rewrite) => {
                let name = self.name(node);
                let found = Diagnostic::error("E0101", format!("`{}` does not say what it rewrites", name.text));
                self.report(found.label(name.span, "a rewrite of which module?").help("write `rewrite name(…) of Linear { … }`"));
                None
            }
            (None, _) => None,
        }
    }

    pub(super) fn function(&mut self, node: &Node) -> Function {
        Function {
            params: self.params(node),
            result: node.child(Rule::result).map(|result| self.type_in(result)),
            conditions: self.conditions(node),
            body: match node.child(Rule::block) {
                Some(block) => self.block(block, 0),
                None => super::error_expr(node.span_end()),
            },
        }
    }

    fn params(&mut self, node: &Node) -> Vec<Param> {
        let Some(params) = node.child(Rule::params) else { return Vec::new() };
        let mut out = Vec::new();
        for child in params.nodes() {
            match child.kind {
                Rule::param => out.push(self.param(child)),
                Rule::loose_params => {
                    for param in child.nodes().filter(|param| param.kind == Rule::param) {
                        out.push(self.param(param));
                    }
                }
                _ => {}
            }
        }
        out
    }

    fn param(&mut self, node: &Node) -> Param {
        Param { name: self.name(node), ty: self.maybe_type_in(node), default: self.maybe_value(node, 0) }
    }

    fn conditions(&mut self, node: &Node) -> Vec<Expr> {
        let Some(clause) = node.child(Rule::where_clause) else { return Vec::new() };
        clause.nodes().filter(|condition| condition.kind == Rule::condition_expr).map(|condition| self.condition(condition, 0)).collect()
    }

    fn member(&mut self, node: &Node) -> Option<Member> {
        let inner = node.nodes().next()?;
        let kind = match inner.kind {
            Rule::let_member => MemberKind::Let(self.value(inner)),
            Rule::output_member => MemberKind::Output(self.value(inner)),
            Rule::metric_member => MemberKind::Metric(self.value(inner)),
            Rule::function => MemberKind::Function(self.function(inner)),
            Rule::storage_member => self.storage_member(inner),
            Rule::part_member => MemberKind::Part {
                repeat: inner.child(Rule::repeat).map(|repeat| self.repeat(repeat)),
                value: self.value(inner),
                condition: self.value_of_child(inner, Rule::suffix_if),
                at: self.at(inner),
            },
            _ => return None,
        };
        Some(Member { doc: self.doc(node), name: self.name(inner), kind, span: bare_span(inner) })
    }

    fn storage_member(&mut self, node: &Node) -> MemberKind {
        let is_state = node.tokens().any(|token| token.kind == TokenKind::Keyword && self.text(token.span) == "state");
        let ty = self.type_in(node);
        let init = self.value_of_child(node, Rule::init);
        let condition = self.value_of_child(node, Rule::suffix_if);
        let at = self.at(node);
        if !is_state {
            return MemberKind::Param { ty, init, condition, at };
        }
        if let Some(suffix) = node.child(Rule::suffix_if) {
            self.report(
                Diagnostic::error("E0101", "a state has no condition")
                    .label(suffix.span, "not allowed after `state`")
                    .help("put the condition on the part that holds the state"),
            );
        }
        MemberKind::State { ty, init, at }
    }

    /// The value in a suffix such as `if condition`.
    fn value_of_child(&mut self, node: &Node, kind: Rule) -> Option<Expr> {
        node.child(kind).map(|child| self.value(child))
    }

    fn at(&mut self, node: &Node) -> Option<Expr> {
        let suffix = node.child(Rule::suffix_at)?;
        let Some(record) = suffix.child(Rule::key_record) else { return Some(self.value(suffix)) };
        let mut entries = Vec::new();
        for entry in record.nodes().filter(|entry| entry.kind == Rule::key_entry) {
            entries.push((self.name(entry), self.value(entry)));
        }
        Some(Expr { kind: ExprKind::Record(entries), span: record.span })
    }

    fn repeat(&mut self, node: &Node) -> Repeat {
        let args = node.child(Rule::args).map_or_else(Vec::new, |args| self.args(args, 0));
        let mut count = None;
        let mut index = None;
        let mut fault = None;
        for arg in args {
            match (arg.name, arg.value.kind) {
                (None, kind) if count.is_none() => count = Some(Expr { kind, span: arg.value.span }),
                (Some(name), ExprKind::Name(text)) if name.text == "index" && index.is_none() => {
                    index = Some(Name { text, span: arg.value.span });
                }
                (_, ExprKind::Error) => {}
                _ => fault = Some(arg.value.span),
            }
        }
        if fault.is_some() || count.is_none() {
            self.report(
                Diagnostic::error("E0120", "`repeat` takes a count and the name of its index")
                    .label(fault.unwrap_or(node.span), "does not fit")
                    .help("write `repeat(12, index = i) Part(…)`"),
            );
        }
        Repeat { count: count.unwrap_or_else(|| super::error_expr(node.span)), index, span: node.span }
    }

    fn body_of(&mut self, node: &Node) -> Body {
        match node.child(Rule::field_body) {
            Some(body) => self.body(body),
            None => Body { fields: Vec::new(), span: node.span_end() },
        }
    }

    fn body(&mut self, node: &Node) -> Body {
        let fields = node.nodes().filter(|field| field.kind == Rule::field).filter_map(|field| self.field(field)).collect();
        Body { fields, span: node.span }
    }

    fn field(&mut self, node: &Node) -> Option<Field> {
        let inner = node.nodes().next()?;
        let kind = match inner.kind {
            Rule::value_field => FieldKind::Value(self.value(inner)),
            Rule::typed_field => FieldKind::Typed { ty: self.type_in(inner), at: self.at(inner) },
            Rule::block_field => FieldKind::Block(self.body_of(inner)),
            _ => return None,
        };
        Some(Field { doc: self.doc(node), name: self.name(inner), kind, span: bare_span(inner) })
    }
}
