//! Names in expressions and types.

use mgx_compiler::check::{FactKind, ItemRef, function_names};
use mgx_compiler::syntax::ast::{
    Arg, AxisExpr, Expr, ExprKind, FieldKind, ItemKind, MemberKind, Module, Name, Param, TypeExpr, TypeExprKind,
};
use mgx_diag::Span;

use super::resolve::{Resolver, Scope};
use super::{NameKind, Target, choices};

impl<'a> Resolver<'_, 'a> {
    /// A type; where it `brings` sizes in, axes that mean nothing yet are declared by it.
    pub fn ty(&mut self, ty: &'a TypeExpr, scope: &mut Scope, brings: bool) {
        match &ty.kind {
            TypeExprKind::Named { name, type_args, args, axes } => {
                self.push(name.span, NameKind::Type, Target::Language);
                type_args.iter().for_each(|ty| self.ty(ty, scope, brings));
                let is_enum = name.text == "enum";
                for arg in args {
                    arg.name.iter().for_each(|name| self.setting(name));
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

    pub fn name(&mut self, text: &str, span: Span, scope: &Scope) {
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
    pub fn typed(&mut self, value: &'a Expr, ty: Option<&TypeExpr>, scope: &mut Scope) {
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
    pub fn part_names(&mut self, items: &[Expr]) {
        for item in items {
            if let ExprKind::Name(_) | ExprKind::Member(..) = item.kind {
                self.push(item.span, NameKind::Choice, Target::Language);
            }
        }
    }

    /// The declaration that is called, where it is called by its name.
    pub fn callee_item(&self, call: &Expr) -> Option<ItemRef> {
        let callee = if let ExprKind::Call(callee, _) = &call.kind { callee } else { call };
        let ExprKind::Name(name) = &callee.kind else { return None };
        self.lookup(name)
    }

    pub fn expr(&mut self, expr: &'a Expr, scope: &mut Scope) {
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

    pub fn call(&mut self, callee: &'a Expr, args: &'a [Arg], scope: &mut Scope) {
        self.expr(callee, scope);
        let named = if let ExprKind::Name(name) = &callee.kind { Some(name) } else { None };
        let shadowed = named.is_some_and(|name| scope.iter().any(|(known, kind, _)| known == name && *kind != NameKind::Function));
        let item = named.filter(|_| !shadowed).and_then(|name| self.lookup(name));
        let params = item.map_or_else(Vec::new, |item| crate::options::params(self.program, item));
        self.args(args, &params, item.is_some(), scope);
    }

    /// What a call gives; whether what is called is known decides what an unknown option is.
    pub fn args(&mut self, args: &'a [Arg], params: &[&Param], is_known: bool, scope: &mut Scope) {
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
