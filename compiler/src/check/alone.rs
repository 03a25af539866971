//! Declarations checked by themselves, before anything uses them: a module and a function for all the sizes that their `where` clauses allow, a backbone for
//! what its declaration must say.

use std::cell::RefCell;
use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::plan::Init;

use super::Checker;
use super::axes::tensor_type;
use super::backbone::BACKBONE_FIELDS;
use super::backbone_choice::choice;
use super::call::{Args, Callee};
use super::expr::Scope;
use super::library::ItemRef;
use super::rewrite::{Rewrite, Targets};
use super::tokenizer::field_value;
use super::value::{Env, Instance, Pending, Tensor, Value};
use crate::syntax::ast::{AxisExpr, Expr, ExprKind, Function, ItemKind, MemberKind, ModuleRole, Param, TypeExpr, TypeExprKind};

impl Checker<'_> {
    /// Checks a module by itself: every function body against its signature, for any sizes that the `where` clauses allow.
    pub fn check_module(&mut self, item: ItemRef) {
        let handle = self.library.item(item);
        let ItemKind::Module(module) = &handle.kind else { return };
        if !self.known_types(&module.params) || module.role == ModuleRole::Task {
            return;
        }
        self.restart();
        self.span = handle.name.span;
        let mut scope = Scope { file: item.file, env: Env::default(), experiment: false, instance: None };
        // A part or a choice of weights can be anything: the module is checked where it is used.
        let Some(args) = self.unknown_args(&module.params, &mut scope, false) else { return };
        let args = args.into_iter().filter_map(|(name, value, span)| Some((name?.text, value, span))).collect();
        let pending = Pending { item, args, span: handle.name.span, name: RefCell::new(None), instance: RefCell::new(None) };
        let made = match module.role {
            ModuleRole::Rewrite => self.rewrite_alone(pending),
            _ => self.instantiate(&pending, "", "", Vec::new(), false),
        };
        let Some(instance) = made else { return };
        for member in &module.members {
            let MemberKind::Function(function) = &member.kind else { continue };
            let mut scope = Scope { file: item.file, env: instance.env.borrow().clone(), experiment: false, instance: None };
            if !self.known_types(&function.params) {
                continue;
            }
            let Some(args) = self.unknown_args(&function.params, &mut scope, true) else { continue };
            let callee = Callee { function, name: &member.name.text, file: item.file, instance: Some(&instance) };
            self.call_function(callee, args, member.name.span);
        }
    }

    /// A rewrite of a part of which nothing is known.
    fn rewrite_alone(&mut self, pending: Pending) -> Option<Rc<Instance>> {
        let of = self.rewritten_module(pending.item)?;
        let handle = self.library.item(of);
        let ItemKind::Module(module) = &handle.kind else { return None };
        let mut scope = Scope { file: of.file, env: Env::default(), experiment: false, instance: None };
        let args = self.unknown_args(&module.params, &mut scope, false)?;
        let args = args.into_iter().filter_map(|(name, value, span)| Some((name?.text, value, span))).collect();
        let base = Pending { item: of, args, span: pending.span, name: RefCell::new(None), instance: RefCell::new(None) };
        let base = self.instantiate(&base, "", "", Vec::new(), true)?;
        let config = serde_json::Value::Object(serde_json::Map::new());
        let rewrite =
            Rewrite { pending: Rc::new(pending), of, targets: Targets::Named(Vec::new()), save: Vec::new(), weights: None, config };
        self.rewritten(&rewrite, &base)
    }

    /// Checks a function by itself.
    pub fn check_function(&mut self, item: ItemRef) {
        let handle = self.library.item(item);
        let ItemKind::Function(function) = &handle.kind else { return };
        if !self.known_types(&function.params) || !self.is_checkable(function) {
            return;
        }
        self.restart();
        self.span = handle.name.span;
        let mut scope = Scope { file: item.file, env: Env::default(), experiment: false, instance: None };
        let Some(args) = self.unknown_args(&function.params, &mut scope, true) else { return };
        let callee = Callee { function, name: &handle.name.text, file: item.file, instance: None };
        self.call_function(callee, args, handle.name.span);
    }

    /// Do all the parameters say what they are?
    fn is_checkable(&self, function: &Function) -> bool {
        function.params.iter().all(|param| param.ty.is_some())
    }

    /// Checks what a backbone's declaration must say, whatever it is used for.
    pub fn check_backbone(&mut self, item: ItemRef) {
        let handle = self.library.item(item);
        let ItemKind::Backbone(backbone) = &handle.kind else { return };
        self.restart();
        self.known_types(&backbone.params);
        self.unique_fields(&backbone.body);
        for field in &backbone.body.fields {
            if !BACKBONE_FIELDS.contains(&field.name.text.as_str()) {
                self.unknown_option("backbone", &field.name, BACKBONE_FIELDS.into_iter());
            }
        }
        if choice(backbone).is_some() {
            return self.check_choice(item, backbone, &handle.name);
        }
        let mut scope = Scope { file: item.file, env: Env::default(), experiment: false, instance: None };
        // What a parameter or the checkpoint decides is checked where the backbone is used.
        let is_constant = |expr: &Expr| match &expr.kind {
            ExprKind::Name(name) => !backbone.params.iter().any(|param| param.name.text == *name),
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::Bool(_) => true,
            _ => false,
        };
        if field_value(&backbone.body, "input").is_none_or(is_constant) {
            self.backbone_input(&backbone.body, &handle.name, &mut scope);
        }
        if field_value(&backbone.body, "tokenizer").is_none_or(|expr| matches!(expr.kind, ExprKind::Name(_))) {
            self.tokenizer_item(&backbone.body, &handle.name, item.file);
        }
        self.network_module(item.file, &backbone.network);
    }

    /// Are all types of parameters known, and all their names different? Reports it otherwise.
    fn known_types(&mut self, params: &[Param]) -> bool {
        let mut ok = self.unique_names(params.iter().map(|param| &param.name));
        for ty in params.iter().filter_map(|param| param.ty.as_ref()) {
            ok &= self.known_type(ty);
        }
        ok
    }

    /// Values of the parameters' types of which nothing else is known, sizes first, so that tensors have them as axes; `None` where a parameter could be
    /// anything.
    fn unknown_args(&mut self, params: &[Param], scope: &mut Scope, per_sample: bool) -> Option<Args> {
        let is_tensor = |param: &Param| param.ty.as_ref().is_some_and(|ty| tensor_type(ty).is_some());
        let mut args = Args::new();
        for param in params.iter().filter(|param| !is_tensor(param)) {
            let value = self.unknown_value(param.ty.as_ref(), &param.name.text)?;
            let value = self.named_size(&param.name.text, value);
            scope.env.set(&param.name.text, value.clone());
            args.push((Some(param.name.clone()), value, param.name.span));
        }
        for param in params {
            if let Some(ty) = param.ty.as_ref().filter(|_| is_tensor(param)) {
                let value = self.unknown_tensor(ty, scope, per_sample);
                args.push((Some(param.name.clone()), value, param.name.span));
            }
        }
        Some(args)
    }

    fn unknown_value(&mut self, ty: Option<&TypeExpr>, name: &str) -> Option<Value> {
        Some(match &ty?.kind {
            TypeExprKind::Optional(inner) => return self.unknown_value(Some(inner), name),
            TypeExprKind::List(_) => {
                self.next_var += 1;
                Value::UnknownList(self.next_var)
            }
            TypeExprKind::Record(_) | TypeExprKind::Error => return None,
            TypeExprKind::Named { name: type_name, .. } => match type_name.text.as_str() {
                "int" | "dim" | "axis" => {
                    let size = self.unknown_size(name);
                    let axis = self.new_axis(name, size.clone());
                    Value::Int { size, axis: Some(axis) }
                }
                "float" => Value::Float(None),
                "bool" => Value::Bool(None),
                "str" | "path" | "name" => Value::Str(None),
                "enum" => Value::Variant(None),
                "init" => Value::Init(Init::Constant(0.0)),
                _ => return None,
            },
        })
    }

    /// A tensor of a declared type; names that mean nothing yet become axes of unknown size.
    fn unknown_tensor(&mut self, ty: &TypeExpr, scope: &mut Scope, per_sample: bool) -> Value {
        let Some((dtype, entries)) = tensor_type(ty) else { return Value::Error };
        let mut axes = Vec::new();
        for entry in entries {
            match entry {
                AxisExpr::Rest(_) => {
                    let size = self.unknown_size("rest");
                    axes.push(self.new_axis("rest", size));
                }
                AxisExpr::Size(expr) => {
                    if let ExprKind::Name(name) = &expr.kind
                        && scope.env.get(name).is_none()
                    {
                        let size = self.unknown_size(name);
                        let axis = self.new_axis(name, size.clone());
                        scope.env.set(name, Value::Int { size, axis: Some(axis) });
                    }
                    match self.eval(expr, scope) {
                        Value::Int { axis: Some(axis), .. } => axes.push(axis),
                        Value::Int { size, axis: None } => {
                            let name = self.library.sources.slice(expr.span).to_owned();
                            axes.push(self.new_axis(&name, size));
                        }
                        Value::Error => return Value::Error,
                        other => {
                            self.not_a_size(&other, expr.span);
                            return Value::Error;
                        }
                    }
                }
            }
        }
        Value::Tensor(Tensor { dtype, axes, per_sample, node: None })
    }

    /// An axis of a type must be a size.
    pub fn not_a_size(&mut self, value: &Value, span: Span) {
        self.report(Diagnostic::error("E0403", format!("an axis is a size, not {}", value.describe())).label(span, "not a size"));
    }
}
