//! Which name means what: every name of a file that is declared in it, in another file or in the library, with the place of its declaration.
//!
//! Names are resolved as the checker does, by the blocks they stand in; what stands after a dot is resolved by what the checker found the value to be.

use std::collections::BTreeMap;

use mgx_compiler::check::{FactKind, ItemRef, function_names};
use mgx_compiler::syntax::ast::{
    Arg, AxisExpr, Backbone, Base, Body, Data, Experiment, Expr, ExprKind, Field, FieldKind, Function, Item, ItemKind, Member, MemberKind,
    Module, ModuleRole, Name, Param, TypeExpr, TypeExprKind,
};
use mgx_diag::Span;

use crate::Program;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    /// A module of the library or a folder, in `use`.
    Namespace,
    Module,
    Adapter,
    Task,
    Optimizer,
    Schedule,
    Rewrite,
    Backbone,
    Tokenizer,
    Function,
    /// A function of the language itself.
    Builtin,
    Table,
    Column,
    Experiment,
    /// A field of an experiment, to which its value is bound.
    Binding,
    Parameter,
    /// `let`, or the index of `repeat`.
    Local,
    /// A size that a type of the function brings in.
    Axis,
    /// A part, parameter, state, output or setting of a module.
    Member,
    /// A field that says something of what it stands in: `batch_size`.
    Setting,
    /// One of several words that can be chosen.
    Choice,
    Type,
}

/// Where the meaning of a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The name that stands at this place, in this or another file.
    Declared(Span),
    /// The language itself.
    Language,
}

/// A name at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    pub span: Span,
    pub kind: NameKind,
    pub target: Target,
    /// The name that an import gives it here, by which this place calls it.
    pub alias: Option<Span>,
}

impl Occurrence {
    /// Is it the declaration itself?
    pub fn declares(&self) -> bool {
        self.target == Target::Declared(self.span)
    }
}

/// All names of a file, in order.
pub fn occurrences(program: &Program<'_>) -> Vec<Occurrence> {
    let mut resolver = Resolver { program, aliases: BTreeMap::new(), found: Vec::new() };
    resolver.uses();
    for item in &program.syntax().items {
        resolver.item(item);
    }
    let mut found = resolver.found;
    found.sort_by_key(|occurrence| (occurrence.span.start, occurrence.span.end));
    found.dedup_by_key(|occurrence| occurrence.span);
    found
}

/// The kind of a declaration.
pub fn item_kind(item: &Item) -> NameKind {
    match &item.kind {
        ItemKind::Module(module) => match module.role {
            ModuleRole::Module => NameKind::Module,
            ModuleRole::Adapter => NameKind::Adapter,
            ModuleRole::Task => NameKind::Task,
            ModuleRole::Optimizer => NameKind::Optimizer,
            ModuleRole::Schedule => NameKind::Schedule,
            ModuleRole::Rewrite => NameKind::Rewrite,
        },
        ItemKind::Function(_) => NameKind::Function,
        ItemKind::Backbone(_) => NameKind::Backbone,
        ItemKind::Tokenizer(_) => NameKind::Tokenizer,
        ItemKind::Data(_) => NameKind::Table,
        ItemKind::Experiment(_) => NameKind::Experiment,
    }
}

/// What is declared at a place: the file, the declaration that has or holds it, and the kind of the name.
pub fn declaration(program: &Program<'_>, declared: Span) -> Option<ItemRef> {
    let file = program.analysis.file_of(declared.file)?;
    let item = program.analysis.files[file].syntax.items.iter().position(|item| item.span.contains(declared))?;
    Some(ItemRef { file, item })
}

/// Experiments made from experiments that are followed.
const BASES: u32 = 20;

/// Names with what they mean, the innermost last.
type Scope = Vec<(String, NameKind, Span)>;

struct Resolver<'p, 'a> {
    program: &'p Program<'a>,
    /// Names that imports give, with their places.
    aliases: BTreeMap<&'a str, Span>,
    found: Vec<Occurrence>,
}

impl<'a> Resolver<'_, 'a> {
    fn push(&mut self, span: Span, kind: NameKind, target: Target) {
        self.found.push(Occurrence { span, kind, target, alias: None });
    }

    fn declare(&mut self, name: &Name, kind: NameKind) {
        self.push(name.span, kind, Target::Declared(name.span));
    }

    fn bind(&mut self, scope: &mut Scope, name: &Name, kind: NameKind) {
        self.declare(name, kind);
        scope.push((name.text.clone(), kind, name.span));
    }

    fn setting(&mut self, name: &Name) {
        self.push(name.span, NameKind::Setting, Target::Language);
    }

    fn lookup(&self, name: &str) -> Option<ItemRef> {
        self.program.analysis.lookup(self.program.file, name)
    }

    fn refer(&mut self, span: Span, item: ItemRef, alias: Option<Span>) {
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

    /// A type; where it `brings` sizes in, axes that mean nothing yet are declared by it.
    fn ty(&mut self, ty: &'a TypeExpr, scope: &mut Scope, brings: bool) {
        match &ty.kind {
            TypeExprKind::Named { name, type_args, args, axes } => {
                self.push(name.span, NameKind::Type, Target::Language);
                type_args.iter().for_each(|ty| self.ty(ty, scope, brings));
                let is_enum = name.text == "enum";
                for arg in args {
                    match &arg.value.kind {
                        ExprKind::Name(_) if is_enum => self.push(arg.value.span, NameKind::Choice, Target::Language),
                        _ => self.expr(&arg.value, scope),
                    }
                }
                for axis in axes.iter().flatten() {
                    let AxisExpr::Size(size) = axis else { continue };
                    match &size.kind {
                        ExprKind::Name(text) if brings && !scope.iter().any(|(name, ..)| name == text) && self.lookup(text).is_none() => {
                            let name = Name { text: text.clone(), span: size.span };
                            self.bind(scope, &name, NameKind::Axis);
                        }
                        _ => self.expr(size, scope),
                    }
                }
            }
            TypeExprKind::Optional(inner) | TypeExprKind::List(inner) => self.ty(inner, scope, brings),
            TypeExprKind::Record(fields) => fields.iter().for_each(|(_, ty)| self.ty(ty, scope, brings)),
            TypeExprKind::Error => {}
        }
    }

    fn name(&mut self, text: &str, span: Span, scope: &Scope) {
        if let Some((_, kind, declared)) = scope.iter().rev().find(|(name, ..)| name == text) {
            self.push(span, *kind, Target::Declared(*declared));
        } else if let Some(item) = self.lookup(text) {
            let alias = self.aliases.get(text).copied();
            self.refer(span, item, alias);
        } else if function_names().contains(&text) {
            self.push(span, NameKind::Builtin, Target::Language);
        }
    }

    /// A value for a parameter: where words can be chosen, a bare one is no name.
    fn typed(&mut self, value: &'a Expr, ty: Option<&TypeExpr>, scope: &mut Scope) {
        let chosen = match (&value.kind, ty) {
            (ExprKind::Name(word), Some(ty)) => choices(ty).contains(&word.as_str()),
            _ => false,
        };
        if chosen {
            return self.push(value.span, NameKind::Choice, Target::Language);
        }
        if let (ExprKind::List(items), Some(TypeExprKind::List(inner))) = (&value.kind, ty.map(|ty| &ty.kind))
            && matches!(&inner.kind, TypeExprKind::Named { name, .. } if name.text == "name")
        {
            return self.part_names(items);
        }
        self.expr(value, scope);
    }

    /// `[query, output.dense]`: parts of a network by their stored names.
    fn part_names(&mut self, items: &[Expr]) {
        for item in items {
            if let ExprKind::Name(_) | ExprKind::Member(..) = item.kind {
                self.push(item.span, NameKind::Choice, Target::Language);
            }
        }
    }

    /// The declaration that is called, where it is called by its name.
    fn callee_item(&self, call: &Expr) -> Option<ItemRef> {
        let callee = if let ExprKind::Call(callee, _) = &call.kind { callee } else { call };
        let ExprKind::Name(name) = &callee.kind else { return None };
        self.lookup(name)
    }

    fn expr(&mut self, expr: &'a Expr, scope: &mut Scope) {
        match &expr.kind {
            ExprKind::Name(text) => self.name(text, expr.span, scope),
            ExprKind::Member(base, name) => {
                self.expr(base, scope);
                self.member_name(base, name);
            }
            ExprKind::Call(callee, args) => self.call(callee, args, scope),
            ExprKind::Unary(_, inner) => self.expr(inner, scope),
            ExprKind::Index(first, second)
            | ExprKind::Binary(_, _, first, second)
            | ExprKind::Pipe(first, second)
            | ExprKind::With(first, second) => {
                self.expr(first, scope);
                self.expr(second, scope);
            }
            ExprKind::If(condition, yes, no) => [condition, yes, no].into_iter().for_each(|part| self.expr(part, scope)),
            ExprKind::Match(subject, arms) => {
                self.expr(subject, scope);
                for (pattern, result) in arms {
                    if let Some(Expr { kind: ExprKind::Name(_), span }) = pattern {
                        self.push(*span, NameKind::Choice, Target::Language);
                    }
                    self.expr(result, scope);
                }
            }
            ExprKind::Block(bindings, result) => {
                let depth = scope.len();
                for binding in bindings {
                    self.expr(&binding.value, scope);
                    for name in binding.names.iter().filter(|name| name.text != "_") {
                        self.bind(scope, name, NameKind::Local);
                    }
                }
                self.expr(result, scope);
                scope.truncate(depth);
            }
            ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().for_each(|item| self.expr(item, scope)),
            ExprKind::Record(fields) => fields.iter().for_each(|(_, value)| self.expr(value, scope)),
            ExprKind::Str(_) => self.filled_in(expr.span, scope),
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::None | ExprKind::Error => {}
        }
    }

    /// The names in a text such as `"layer.{i}"`.
    fn filled_in(&mut self, span: Span, scope: &Scope) {
        let text = self.program.slice(span);
        for (at, _) in text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('\\')) {
            let inner = &text[at + 1..];
            let Some(name) = inner.find('}').map(|end| &inner[..end]) else { continue };
            let trimmed = name.trim();
            let is_name = !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if is_name && scope.iter().any(|(known, ..)| known == trimmed) {
                let start = span.start + (at + 1 + name.find(trimmed).unwrap_or(0)) as u32;
                self.name(trimmed, Span { start, end: start + trimmed.len() as u32, ..span }, scope);
            }
        }
    }

    fn call(&mut self, callee: &'a Expr, args: &'a [Arg], scope: &mut Scope) {
        self.expr(callee, scope);
        let named = if let ExprKind::Name(name) = &callee.kind { Some(name) } else { None };
        let shadowed = named.is_some_and(|name| scope.iter().any(|(known, kind, _)| known == name && *kind != NameKind::Function));
        let item = named.filter(|_| !shadowed).and_then(|name| self.lookup(name));
        let params = item.map_or_else(Vec::new, |item| crate::options::params(self.program, item));
        self.args(args, &params, item.is_some(), scope);
    }

    /// What a call gives; whether what is called is known decides what an unknown option is.
    fn args(&mut self, args: &'a [Arg], params: &[&Param], is_known: bool, scope: &mut Scope) {
        let mut position = 0;
        for arg in args {
            let param = match &arg.name {
                Some(name) => params.iter().find(|param| param.name.text == name.text).copied(),
                None => {
                    position += 1;
                    params.get(position - 1).copied()
                }
            };
            if let Some(name) = &arg.name {
                match param {
                    Some(param) => self.push(name.span, NameKind::Parameter, Target::Declared(param.name.span)),
                    None if is_known => self.setting(name),
                    // Functions of the language take axes by their names.
                    None => match scope.iter().rev().find(|(known, ..)| *known == name.text) {
                        Some((_, kind, declared)) if *kind != NameKind::Binding => {
                            let (kind, declared) = (*kind, *declared);
                            self.push(name.span, kind, Target::Declared(declared));
                        }
                        _ => self.setting(name),
                    },
                }
            }
            match (&arg.value.kind, &arg.name) {
                (ExprKind::List(items), Some(name)) if ["targets", "save", "frozen"].contains(&name.text.as_str()) => {
                    self.part_names(items)
                }
                _ => self.typed(&arg.value, param.and_then(|param| param.ty.as_ref()), scope),
            }
        }
    }

    /// What stands after a dot.
    fn member_name(&mut self, base: &Expr, name: &Name) {
        let of_table = match &base.kind {
            ExprKind::Name(text) => self.lookup(text),
            _ => None,
        };
        let fact = self.program.analysis.facts.get(&base.span);
        let item = fact.and_then(|fact| fact.item).or(of_table);
        let Some(item) = item else { return };
        match &self.program.analysis.item(item).kind {
            ItemKind::Data(data) => {
                let column = data.body.fields.iter().find(|field| field.name.text == name.text);
                if let Some(column) = column.filter(|field| matches!(field.kind, FieldKind::Typed { .. })) {
                    self.push(name.span, NameKind::Column, Target::Declared(column.name.span));
                }
            }
            ItemKind::Module(module) => self.part_member(module, name),
            ItemKind::Backbone(backbone) if fact.is_some_and(|fact| fact.kind == FactKind::Backbone) => {
                let ExprKind::Call(callee, _) = &backbone.network.kind else { return };
                let ExprKind::Name(network) = &callee.kind else { return };
                if let Some(network) = self.program.analysis.lookup(item.file, network)
                    && let ItemKind::Module(module) = &self.program.analysis.item(network).kind
                {
                    self.part_member(module, name);
                }
            }
            _ => {}
        }
    }

    fn part_member(&mut self, module: &Module, name: &Name) {
        let member = module.members.iter().find(|member| member.name.text == name.text);
        let param = module.params.iter().find(|param| param.name.text == name.text);
        if let Some(member) = member {
            let kind = if let MemberKind::Function(_) = member.kind { NameKind::Function } else { NameKind::Member };
            self.push(name.span, kind, Target::Declared(member.name.span));
        } else if let Some(param) = param {
            self.push(name.span, NameKind::Parameter, Target::Declared(param.name.span));
        }
    }
}

/// Fields of an experiment that are not bound to a name.
pub fn is_setting(field: &str) -> bool {
    ["seed", "precision", "task"].contains(&field)
}

/// The names that a rewrite of a module, or the fields of a backbone of it, see.
fn own_names(item: &Item) -> Scope {
    let ItemKind::Module(module) = &item.kind else { return Scope::new() };
    let params = module.params.iter().map(|param| (param.name.text.clone(), NameKind::Parameter, param.name.span));
    let members = module.members.iter().map(|member| (member.name.text.clone(), NameKind::Member, member.name.span));
    params.chain(members).collect()
}

/// The words that can be chosen for a parameter of a type.
pub fn choices(ty: &TypeExpr) -> Vec<&str> {
    match &ty.kind {
        TypeExprKind::Named { name, args, .. } if name.text == "enum" => {
            args.iter().filter_map(|arg| if let ExprKind::Name(word) = &arg.value.kind { Some(word.as_str()) } else { None }).collect()
        }
        TypeExprKind::Optional(inner) => choices(inner),
        _ => Vec::new(),
    }
}
