//! The walk over a file's syntax that resolves its names.

use std::collections::BTreeMap;

use mgx_compiler::check::ItemRef;
use mgx_compiler::syntax::ast::{
    Backbone, Base, Body, Data, Experiment, ExprKind, Field, FieldKind, Function, Item, ItemKind, Member, MemberKind, Module, Name, Param,
};
use mgx_diag::Span;

use super::{NameKind, Occurrence, Target, is_setting, item_kind};
use crate::Program;

/// All names of a file, in the order of the walk.
pub fn all(program: &Program<'_>) -> Vec<Occurrence> {
    let mut resolver = Resolver { program, aliases: BTreeMap::new(), found: Vec::new() };
    resolver.uses();
    for item in &program.syntax().items {
        resolver.item(item);
    }
    resolver.found
}

/// Experiments made from experiments that are followed.
const BASES: u32 = 20;

/// Names with what they mean, the innermost last.
pub type Scope = Vec<(String, NameKind, Span)>;

pub struct Resolver<'p, 'a> {
    pub program: &'p Program<'a>,
    /// Names that imports give, with their places.
    pub aliases: BTreeMap<&'a str, Span>,
    found: Vec<Occurrence>,
}

impl<'a> Resolver<'_, 'a> {
    pub fn push(&mut self, span: Span, kind: NameKind, target: Target) {
        self.found.push(Occurrence { span, kind, target, alias: None });
    }

    pub fn declare(&mut self, name: &Name, kind: NameKind) {
        self.push(name.span, kind, Target::Declared(name.span));
    }

    pub fn bind(&mut self, scope: &mut Scope, name: &Name, kind: NameKind) {
        self.declare(name, kind);
        scope.push((name.text.clone(), kind, name.span));
    }

    pub fn setting(&mut self, name: &Name) {
        self.push(name.span, NameKind::Setting, Target::Language);
    }

    pub fn lookup(&self, name: &str) -> Option<ItemRef> {
        self.program.analysis.lookup(self.program.file, name)
    }

    pub fn refer(&mut self, span: Span, item: ItemRef, alias: Option<Span>) {
        let declared = self.program.analysis.item(item);
        self.found.push(Occurrence { span, kind: item_kind(declared), target: Target::Declared(declared.name.span), alias });
    }

    fn uses(&mut self) {
        for item in &self.program.syntax().uses {
            for segment in &item.path {
                self.push(segment.span, NameKind::Namespace, Target::Language);
            }
            for wanted in &item.names {
                let known = self.lookup(&wanted.alias.as_ref().unwrap_or(&wanted.name).text);
                if let Some(found) = known {
                    self.refer(wanted.name.span, found, None);
                }
                if let Some(alias) = &wanted.alias {
                    self.aliases.insert(&alias.text, alias.span);
                    if let Some(found) = known {
                        self.refer(alias.span, found, Some(alias.span));
                    }
                }
            }
        }
    }

    fn item(&mut self, item: &'a Item) {
        self.declare(&item.name, item_kind(item));
        match &item.kind {
            ItemKind::Module(module) => self.module(module),
            ItemKind::Function(function) => self.function(function, Vec::new()),
            ItemKind::Backbone(backbone) => self.backbone(backbone),
            ItemKind::Tokenizer(body) => self.settings(body, &mut Vec::new()),
            ItemKind::Data(data) => self.data(data),
            ItemKind::Experiment(experiment) => self.experiment(experiment),
        }
    }

    fn params(&mut self, params: &'a [Param], scope: &mut Scope) {
        for param in params {
            if let Some(ty) = &param.ty {
                self.ty(ty, scope, true);
            }
            if let Some(default) = &param.default {
                self.typed(default, param.ty.as_ref(), scope);
            }
            self.bind(scope, &param.name, NameKind::Parameter);
        }
    }

    fn module(&mut self, module: &'a Module) {
        let mut scope = Scope::new();
        if let Some(of) = &module.of
            && let Some(item) = self.lookup(&of.text)
        {
            self.refer(of.span, item, self.aliases.get(of.text.as_str()).copied());
            scope.extend(own_names(self.program.analysis.item(item)));
        }
        self.params(&module.params, &mut scope);
        for condition in &module.conditions {
            self.expr(condition, &mut scope);
        }
        for member in &module.members {
            let kind = if let MemberKind::Function(_) = member.kind { NameKind::Function } else { NameKind::Member };
            self.bind(&mut scope, &member.name, kind);
        }
        for member in &module.members {
            self.member(member, &mut scope);
        }
    }

    fn member(&mut self, member: &'a Member, scope: &mut Scope) {
        match &member.kind {
            MemberKind::Let(value) | MemberKind::Output(value) | MemberKind::Metric(value) => self.expr(value, scope),
            MemberKind::Param { ty, init, condition, at } => {
                self.ty(ty, scope, false);
                [init, condition, at].into_iter().flatten().for_each(|part| self.expr(part, scope));
            }
            MemberKind::State { ty, init, at } => {
                self.ty(ty, scope, false);
                [init, at].into_iter().flatten().for_each(|part| self.expr(part, scope));
            }
            MemberKind::Part { repeat, value, condition, at } => {
                let depth = scope.len();
                if let Some(repeat) = repeat {
                    self.expr(&repeat.count, scope);
                    if let Some(index) = &repeat.index {
                        self.bind(scope, index, NameKind::Local);
                    }
                }
                self.expr(value, scope);
                [condition, at].into_iter().flatten().for_each(|part| self.expr(part, scope));
                scope.truncate(depth);
            }
            MemberKind::Function(function) => self.function(function, scope.clone()),
        }
    }

    fn function(&mut self, function: &'a Function, mut scope: Scope) {
        self.params(&function.params, &mut scope);
        if let Some(result) = &function.result {
            self.ty(result, &mut scope, true);
        }
        for condition in &function.conditions {
            self.expr(condition, &mut scope);
        }
        self.expr(&function.body, &mut scope);
    }

    fn backbone(&mut self, backbone: &'a Backbone) {
        let mut scope = Scope::new();
        self.params(&backbone.params, &mut scope);
        self.expr(&backbone.network, &mut scope);
        // The field `positions` may name what the network is given.
        if let Some(network) = self.callee_item(&backbone.network) {
            let own = own_names(self.program.analysis.item(network));
            scope.splice(0..0, own);
        }
        self.settings(&backbone.body, &mut scope);
    }

    fn data(&mut self, data: &'a Data) {
        let mut scope = Scope::new();
        if let ExprKind::Call(callee, _) = &data.source.kind {
            self.push(callee.span, NameKind::Builtin, Target::Language);
        }
        self.expr(&data.source, &mut scope);
        for field in &data.body.fields {
            if let FieldKind::Typed { .. } = field.kind {
                self.bind(&mut scope, &field.name, NameKind::Column);
            }
        }
        for field in &data.body.fields {
            match &field.kind {
                FieldKind::Typed { ty, at } => {
                    self.ty(ty, &mut scope, false);
                    at.iter().for_each(|at| self.expr(at, &mut scope));
                }
                FieldKind::Value(value) => {
                    self.setting(&field.name);
                    self.expr(value, &mut scope);
                }
                FieldKind::Block(body) => {
                    self.setting(&field.name);
                    self.settings(body, &mut scope);
                }
            }
        }
    }

    fn experiment(&mut self, experiment: &'a Experiment) {
        let mut scope = Scope::new();
        self.params(&experiment.params, &mut scope);
        if let Some(base) = &experiment.base {
            self.base(base, &mut scope);
        }
        let body = &experiment.body;
        for field in &body.fields {
            match &field.kind {
                FieldKind::Value(value) if is_setting(&field.name.text) => {
                    self.setting(&field.name);
                    self.expr(value, &mut scope);
                }
                FieldKind::Value(value) => {
                    self.expr(value, &mut scope);
                    self.bind(&mut scope, &field.name, NameKind::Binding);
                }
                FieldKind::Typed { ty, .. } => self.ty(ty, &mut scope, false),
                FieldKind::Block(_) => {}
            }
        }
        for field in &body.fields {
            if let FieldKind::Block(inner) = &field.kind {
                self.setting(&field.name);
                if field.name.text == "sweep" {
                    self.sweep(inner, &mut scope);
                } else {
                    self.settings(inner, &mut scope);
                }
            }
        }
    }

    /// The experiment that another is made from: what it names is seen in the other.
    fn base(&mut self, base: &'a Base, scope: &mut Scope) {
        let found = self.lookup(&base.name.text);
        let params = found.map_or_else(Vec::new, |item| crate::options::params(self.program, item));
        if let Some(item) = found {
            self.refer(base.name.span, item, self.aliases.get(base.name.text.as_str()).copied());
        }
        self.args(&base.args, &params, found.is_some(), scope);
        let mut next = found;
        let mut own = Scope::new();
        for _ in 0..BASES {
            let Some(ItemKind::Experiment(experiment)) = next.map(|item| &self.program.analysis.item(item).kind) else { break };
            let values =
                experiment.body.fields.iter().filter(|field| matches!(field.kind, FieldKind::Value(_)) && !is_setting(&field.name.text));
            own.extend(values.map(|field| (field.name.text.clone(), NameKind::Binding, field.name.span)));
            own.extend(experiment.params.iter().map(|param| (param.name.text.clone(), NameKind::Parameter, param.name.span)));
            let file = next.map_or(self.program.file, |item| item.file);
            next = experiment.base.as_ref().and_then(|base| self.program.analysis.lookup(file, &base.name.text));
        }
        own.reverse();
        scope.splice(0..0, own);
    }

    /// Fields of a sweep are those of the experiment around it.
    fn sweep(&mut self, body: &'a Body, scope: &mut Scope) {
        for field in &body.fields {
            let bound = scope.iter().rev().find(|(name, kind, _)| *name == field.name.text && *kind == NameKind::Binding).cloned();
            match bound {
                Some((_, kind, span)) => self.push(field.name.span, kind, Target::Declared(span)),
                None => self.setting(&field.name),
            }
            match &field.kind {
                FieldKind::Value(value) => self.expr(value, scope),
                FieldKind::Block(inner) => self.settings(inner, scope),
                FieldKind::Typed { .. } => {}
            }
        }
    }

    /// Fields that are words of the language.
    fn settings(&mut self, body: &'a Body, scope: &mut Scope) {
        for field in &body.fields {
            self.setting(&field.name);
            self.field_value(field, scope);
        }
    }

    fn field_value(&mut self, field: &'a Field, scope: &mut Scope) {
        match &field.kind {
            FieldKind::Value(value) => self.expr(value, scope),
            FieldKind::Typed { ty, at } => {
                self.ty(ty, scope, false);
                at.iter().for_each(|at| self.expr(at, scope));
            }
            FieldKind::Block(inner) => self.settings(inner, scope),
        }
    }
}

/// The names that a rewrite of a module, or the fields of a backbone of it, see.
fn own_names(item: &Item) -> Scope {
    let ItemKind::Module(module) = &item.kind else { return Scope::new() };
    let params = module.params.iter().map(|param| (param.name.text.clone(), NameKind::Parameter, param.name.span));
    let members = module.members.iter().map(|member| (member.name.text.clone(), NameKind::Member, member.name.span));
    params.chain(members).collect()
}
