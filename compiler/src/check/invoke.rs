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
        let head = match &callee.kind {
            ExprKind::Member(base, name) => {
                let base_value = self.eval(base, scope);
                if let Some(value) = self.call_member(&base_value, name, args, span, scope) {
                    return value;
                }
                self.member(&base_value, name, base.span)
            }
            _ => self.eval(callee, scope),
        };
        self.call_value(&head, callee, args, span, scope)
    }

    /// `attention.probabilities(x)`: a function of a part, if it has one of this name. Of repeated parts, each gets one of a list of values, and a list comes back.
    fn call_member(&mut self, base: &Value, name: &Name, args: &[Arg], span: Span, scope: &mut Scope) -> Option<Value> {
        let has = |checker: &Self, instance: &Instance| match &checker.library.item(instance.item).kind {
            ItemKind::Module(module) => member_function(module, &name.text).is_some() && instance.env.borrow().get(&name.text).is_none(),
            _ => false,
        };
        match base {
            Value::Part(instance) if has(self, instance) => {
                let args = self.eval_args(None, args, scope);
                let value = self.call_instance(instance, &name.text, args, span);
                self.give_states(scope, span);
                Some(value)
            }
            Value::Parts(parts) if parts.first().is_some_and(|part| has(self, part)) => {
                let args = self.eval_args(None, args, scope);
                let Some((_, Value::List(items), place)) = args.first() else {
                    if !args.iter().any(|(_, value, _)| value.is_error()) {
                        let message = format!("`{}` of repeated parts takes a list with a value for each of them", name.text);
                        self.report(
                            Diagnostic::error("E0208", message).label(span, "in this call").help("`steps(layer, x)` gives such a list"),
                        );
                    }
                    return Some(Value::Error);
                };
                let (items, place) = (Rc::clone(items), *place);
                let values = parts.iter().zip(items.iter()).map(|(part, item)| {
                    let mut args = args.clone();
                    args[0] = (None, item.clone(), place);
                    self.call_instance(part, &name.text, args, span)
                });
                Some(Value::List(Rc::new(values.collect())))
            }
            _ => None,
        }
    }

    /// What goes into repeated parts, and what comes out of each.
    pub fn steps(&mut self, parts: &[Rc<Instance>], mut args: Vec<(Option<Name>, Value, Span)>, span: Span) -> Vec<Value> {
        let mut values = vec![args[0].1.clone()];
        for part in parts {
            let result = self.call_instance(part, "forward", args.clone(), span);
            values.push(result.clone());
            args[0].1 = result;
        }
        values
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
                let value = self.call_instance(&instance, "forward", args, span);
                self.give_states(scope, span);
                value
            }
            Value::Parts(parts) => {
                let parts = Rc::clone(parts);
                let args = self.eval_args(first, args, scope);
                if args.is_empty() {
                    self.report(Diagnostic::error("E0207", "a repeated part needs its input").label(span, "no argument"));
                    return Value::Error;
                }
                let mut values = self.steps(&parts, args, span);
                self.record_states(&parts, &values, scope, span);
                values.pop().unwrap_or(Value::Error)
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
        let begins = self.begin_layer(instance);
        self.enter_states();
        let value = self.call_function(callee, args, span);
        let value = self.leave(value, instance);
        self.leave_states(instance, &value);
        if begins {
            self.end_layer();
        }
        value
    }
}

/// A function of a module.
pub fn member_function<'a>(module: &'a Module, name: &str) -> Option<&'a Function> {
    module.members.iter().find_map(|member| match &member.kind {
        MemberKind::Function(function) if member.name.text == name => Some(function),
        _ => None,
    })
}
