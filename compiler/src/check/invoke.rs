//! Calls as they are written: of functions, modules, parts and backbones, also through a pipe.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};

use super::Checker;
use super::arguments::spread;
use super::builtins;
use super::call::Callee;
use super::expr::Scope;
use super::library::ItemRef;
use super::value::{Instance, Value};
use crate::syntax::ast::{Arg, Expr, ExprKind, Function, ItemKind, MemberKind, Module, Name};

impl Checker<'_> {
    pub fn eval_pipe(&mut self, input: Value, input_span: Span, target: &Expr, scope: &mut Scope) -> Value {
        if !self.library.files[scope.file].is_std {
            self.call_site = target.span;
        }
        match &target.kind {
            ExprKind::Call(callee, args) => {
                let head = self.eval(callee, scope);
                if scope.experiment && self.waits_for_input(&head) {
                    let pending = self.call_value(&head, callee, args, target.span, scope);
                    return self.apply(&pending, spread(Some((input, input_span))).collect(), target.span);
                }
                self.call_with_first(&head, callee, Some((input, input_span)), args, target.span, scope)
            }
            _ => {
                let head = self.eval(target, scope);
                if scope.experiment && self.waits_for_input(&head) {
                    let pending = self.call_value(&head, target, &[], target.span, scope);
                    return self.apply(&pending, spread(Some((input, input_span))).collect(), target.span);
                }
                self.call_with_first(&head, target, Some((input, input_span)), &[], target.span, scope)
            }
        }
    }

    /// Is it a declaration that a call only configures?
    fn waits_for_input(&self, value: &Value) -> bool {
        match value {
            Value::Item(item) => matches!(self.library.item(*item).kind, ItemKind::Module(_) | ItemKind::Backbone(_)),
            _ => false,
        }
    }

    pub fn eval_call(&mut self, callee: &Expr, args: &[Arg], span: Span, scope: &mut Scope) -> Value {
        if let Some(value) = self.call_sibling(callee, args, span, scope) {
            return value;
        }
        let head = self.eval(callee, scope);
        self.call_value(&head, callee, args, span, scope)
    }

    /// A call of another function of the same part, by its bare name.
    fn call_sibling(&mut self, callee: &Expr, args: &[Arg], span: Span, scope: &mut Scope) -> Option<Value> {
        let ExprKind::Name(name) = &callee.kind else { return None };
        let instance = Rc::clone(scope.instance.as_ref()?);
        if scope.env.get(name).is_some() {
            return None;
        }
        let handle = self.library.item(instance.item);
        let ItemKind::Module(module) = &handle.kind else { return None };
        let function = member_function(module, name)?;
        let args = self.eval_args_for(&function.params, None, args, scope);
        Some(self.call_function(Callee { function, name, file: instance.item.file, instance: Some(&instance) }, args, span))
    }

    fn call_value(&mut self, head: &Value, callee: &Expr, args: &[Arg], span: Span, scope: &mut Scope) -> Value {
        self.call_with_first(head, callee, None, args, span, scope)
    }

    /// A call, with a first argument that is evaluated already where it comes from a pipe.
    fn call_with_first(
        &mut self,
        head: &Value,
        callee: &Expr,
        first: Option<(Value, Span)>,
        args: &[Arg],
        span: Span,
        scope: &mut Scope,
    ) -> Value {
        match head {
            Value::Error => {
                // Arguments are still looked at, for their own mistakes.
                for arg in args {
                    if arg.name.is_none() {
                        self.eval(&arg.value, scope);
                    }
                }
                Value::Error
            }
            Value::Builtin(name) => builtins::call(self, name, first, args, span, scope),
            Value::Item(item) => self.call_item(*item, callee, first, args, span, scope),
            Value::Part(instance) => {
                let instance = Rc::clone(instance);
                let args = self.eval_args(first, args, scope);
                self.call_instance(&instance, "forward", args, span)
            }
            Value::Parts(parts) => {
                let parts = Rc::clone(parts);
                let mut args = self.eval_args(first, args, scope);
                if args.is_empty() {
                    self.report(Diagnostic::error("E0207", "a repeated part needs its input").label(span, "no argument"));
                    return Value::Error;
                }
                for part in parts.iter() {
                    let result = self.call_instance(part, "forward", args.clone(), span);
                    args[0].1 = result;
                }
                args.swap_remove(0).1
            }
            Value::Pending(_) | Value::Backbone(_) => {
                let inputs = self.eval_args(first, args, scope).into_iter().map(|(_, value, span)| (value, span)).collect();
                self.apply(head, inputs, span)
            }
            Value::Absent => {
                self.report(
                    Diagnostic::error("E0311", "this part is absent")
                        .label(callee.span, "its condition is false")
                        .help("guard the call with the same condition: `if … { … } else { … }`"),
                );
                Value::Error
            }
            other => {
                self.report(
                    Diagnostic::error("E0312", format!("{} cannot be called", other.describe()))
                        .label(callee.span, "not a function or a part"),
                );
                Value::Error
            }
        }
    }

    /// Evaluates arguments: (name, value, place).
    pub fn eval_args(&mut self, first: Option<(Value, Span)>, args: &[Arg], scope: &mut Scope) -> Vec<(Option<Name>, Value, Span)> {
        let mut values: Vec<(Option<Name>, Value, Span)> = spread(first).map(|(value, span)| (None, value, span)).collect();
        for arg in args {
            let value = self.eval(&arg.value, scope);
            values.push((arg.name.clone(), value, arg.value.span));
        }
        values
    }

    fn call_item(
        &mut self,
        item: ItemRef,
        callee: &Expr,
        first: Option<(Value, Span)>,
        args: &[Arg],
        span: Span,
        scope: &mut Scope,
    ) -> Value {
        let handle = self.library.item(item);
        match &handle.kind {
            ItemKind::Function(function) => {
                let args = self.eval_args_for(&function.params, first, args, scope);
                self.call_function(Callee { function, name: &handle.name.text, file: item.file, instance: None }, args, span)
            }
            ItemKind::Module(module) => self.pending_module(item, module, first, args, span, scope),
            ItemKind::Backbone(_) => self.pending_backbone(item, args, span, scope),
            ItemKind::Tokenizer(_) | ItemKind::Data(_) | ItemKind::Experiment(_) => {
                self.report(
                    Diagnostic::error("E0312", format!("`{}` cannot be called", handle.name.text))
                        .label(callee.span, "not a function or a part"),
                );
                Value::Error
            }
        }
    }

    /// Calls a function of a part.
    pub fn call_instance(&mut self, instance: &Rc<Instance>, name: &str, args: Vec<(Option<Name>, Value, Span)>, span: Span) -> Value {
        let handle = self.library.item(instance.item);
        let ItemKind::Module(module) = &handle.kind else { return Value::Error };
        let Some(function) = member_function(module, name) else {
            self.report(
                Diagnostic::error("E0205", format!("`{}` has no function `{name}`", handle.name.text))
                    .label(span, "called here")
                    .label(handle.name.span, "declared here"),
            );
            return Value::Error;
        };
        let callee = Callee { function, name: &handle.name.text, file: instance.item.file, instance: Some(instance) };
        let value = self.call_function(callee, args, span);
        self.leave(value, instance)
    }
}

/// A function of a module.
fn member_function<'a>(module: &'a Module, name: &str) -> Option<&'a Function> {
    module.members.iter().find_map(|member| match &member.kind {
        MemberKind::Function(function) if member.name.text == name => Some(function),
        _ => None,
    })
}
