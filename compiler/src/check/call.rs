//! Calls of functions: binding what is given to parameters, evaluating the body, and naming the result's axes.
//!
//! A size that a module is given becomes an axis of its own inside (a fresh identity). A tensor that comes in has its axes renamed to
//! the module's, and what goes out is renamed back, so that `Linear(hidden, hidden)` is never ambiguous inside `Linear`.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};

use super::Checker;
use super::axes::{Given, tensor_type};
use super::expr::Scope;
use super::size::{Atom, Size};
use super::value::{AxisRef, Env, Instance, Tensor, Value};
use crate::syntax::ast::{Function, Name, Param};

/// Arguments as evaluated: (name, value, place).
pub type Args = Vec<(Option<Name>, Value, Span)>;

/// A function, as it is called.
#[derive(Clone, Copy)]
pub struct Callee<'a> {
    pub function: &'a Function,
    /// Its name in messages.
    pub name: &'a str,
    pub file: usize,
    /// The part that it belongs to.
    pub instance: Option<&'a Rc<Instance>>,
}

impl Checker<'_> {
    /// A size that nothing is known of.
    pub fn unknown_size(&mut self, name: &str) -> Size {
        let id = self.next_var;
        self.next_var += 1;
        Size::atom(Atom::Var(id, name.to_owned()))
    }

    /// Calls a function.
    pub fn call_function(&mut self, callee: Callee<'_>, args: Args, span: Span) -> Value {
        if args.iter().any(|(_, value, _)| value.is_error()) {
            return Value::Error;
        }
        self.depth += 4;
        let value = self.call_bound(callee, args, span).unwrap_or(Value::Error);
        self.depth -= 4;
        value
    }

    /// What a parameter without an argument and without a default leads to.
    pub fn missing_argument(&mut self, what: &str, param: &Name, span: Span) {
        self.report(
            Diagnostic::error("E0207", format!("`{what}` needs `{}`", param.text))
                .label(span, format!("`{}` is missing", param.text))
                .label(param.span, "declared here")
                .help(format!("add it: `{what}({} = …)`", param.text)),
        );
    }

    fn call_bound(&mut self, callee: Callee<'_>, args: Args, span: Span) -> Option<Value> {
        let Callee { function, file, instance, .. } = callee;
        let env = instance.map_or_else(Env::default, |instance| instance.env.borrow().clone());
        let mut scope = Scope { file, env, experiment: false, instance: instance.cloned() };
        let tensors = self.bind_values(callee, args, &mut scope, span)?;
        let mut bound = Vec::new();
        let mut per_sample = false;
        for (param, value, place) in tensors {
            if let Value::Absent | Value::None = value {
                scope.env.set(&param.name.text, value);
                continue;
            }
            let Some((dtype, axes)) = param.ty.as_ref().and_then(tensor_type) else { continue };
            let tensor = self.operand(&value, Some(dtype), place)?;
            if tensor.dtype != dtype {
                self.report(
                    Diagnostic::error("E0303", format!("`{}` has elements of type {}", param.name.text, super::tensor::dtype_name(dtype)))
                        .label(place, format!("is {}", self.show_tensor(&tensor)))
                        .label(param.name.span, "declared here")
                        .help("convert it with `f(…)` or `i(…)`"),
                );
                return None;
            }
            per_sample |= tensor.per_sample;
            let given = Given { tensor: &tensor, span: place, param: &param.name };
            let tensor = self.match_axes(axes, given, &mut scope, instance, &mut bound)?;
            scope.env.set(&param.name.text, Value::Tensor(tensor));
        }
        for condition in &function.conditions {
            if !self.hold(condition, &mut scope, span) {
                return None;
            }
        }
        if instance.is_some_and(|instance| instance.shallow) {
            return Some(self.declared_value(function.result.as_ref()?, &mut scope, per_sample));
        }
        let value = self.eval(&function.body, &mut scope);
        Some(match &function.result {
            Some(ty) => self.check_result(value, ty, &mut scope, function.body.span),
            None => value,
        })
    }

    /// Binds the parameters that are not tensors; gives the tensors, whose axes may be named by the others.
    fn bind_values<'a>(&mut self, callee: Callee<'a>, args: Args, scope: &mut Scope, span: Span) -> Option<Vec<(&'a Param, Value, Span)>> {
        let Callee { function, name, .. } = callee;
        let slots = self.arrange(name, &function.params, args, span)?;
        let mut tensors = Vec::new();
        for (param, slot) in function.params.iter().zip(slots) {
            let (value, place) = match (slot, &param.default) {
                (Some(given), _) => given,
                (None, Some(default)) => (self.eval_typed(default, param.ty.as_ref(), scope), default.span),
                (None, None) => {
                    self.missing_argument(name, &param.name, span);
                    return None;
                }
            };
            let value = self.coerce(&param.name.text, value, param.ty.as_ref(), place);
            if value.is_error() {
                return None;
            }
            if param.ty.as_ref().and_then(tensor_type).is_some() {
                tensors.push((param, value, place));
            } else {
                let value = self.named_size(&param.name.text, value);
                scope.env.set(&param.name.text, value);
            }
        }
        Some(tensors)
    }

    /// Renames a result's axes from the part's own to those that it was given.
    pub fn leave(&mut self, value: Value, instance: &Rc<Instance>) -> Value {
        match value {
            Value::Tensor(tensor) => {
                let outer = instance.outer.borrow().clone();
                let mut pairs: Vec<(AxisRef, AxisRef)> = Vec::new();
                for axis in &tensor.axes {
                    let target = outer.iter().find(|(inner, _)| inner == axis).map(|(_, outer)| *outer);
                    if let Some(target) = target
                        && !tensor.axes.contains(&target)
                        && !pairs.iter().any(|(_, taken)| *taken == target)
                    {
                        pairs.push((*axis, target));
                    }
                }
                let tensor = self.rename(&tensor, &pairs);
                self.name_value(&tensor, &instance.path, &instance.calls);
                Value::Tensor(tensor)
            }
            Value::Record(fields) => Value::Record(Rc::new(
                fields
                    .iter()
                    .map(|(name, value)| {
                        let value = self.leave(value.clone(), instance);
                        (name.clone(), value)
                    })
                    .collect(),
            )),
            other => other,
        }
    }

    /// Gives the value of a part's call the part's path, so that it can be asked for.
    fn name_value(&mut self, tensor: &Tensor, path: &str, calls: &std::cell::Cell<u32>) {
        let (Some(emission), Some(node)) = (self.emission.as_mut(), tensor.node) else { return };
        let slot = &mut emission.graph.nodes[node.0 as usize].path;
        if slot.is_none() {
            let count = calls.get();
            calls.set(count + 1);
            *slot = Some(if count == 0 { path.to_owned() } else { format!("{path}#{count}") });
        }
    }
}
