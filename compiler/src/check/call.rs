//! Calls: binding arguments to parameters, and matching tensors with the axes of a signature.
//!
//! A size that a module is given becomes an axis of its own inside (a fresh identity). A tensor that comes in has its axes renamed to
//! the module's, and what goes out is renamed back, so that `Linear(hidden, hidden)` is never ambiguous inside `Linear`.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span, nearest};
use mgx_ir::graph::DType;

use super::Checker;
use super::expr::Scope;
use super::size::{Atom, Size};
use super::value::{AxisRef, Env, Instance, Tensor, Value};
use crate::syntax::ast::{Arg, AxisExpr, Body, Expr, ExprKind, Function, Name, Param, TypeExpr, TypeExprKind};

/// The types of options that have no axes.
const TYPES: [&str; 12] = ["int", "dim", "float", "bool", "str", "path", "init", "axis", "part", "weights", "enum", "class"];

/// Arguments as evaluated: (name, value, place).
pub type Args = Vec<(Option<Name>, Value, Span)>;

/// The variants of `enum(a, b)`, also behind `?`.
fn variants(ty: &TypeExpr) -> Option<Vec<&str>> {
    match &ty.kind {
        TypeExprKind::Optional(inner) => variants(inner),
        TypeExprKind::Named { name, args, .. } if name.text == "enum" => Some(
            args.iter()
                .filter_map(|arg| match &arg.value.kind {
                    ExprKind::Name(name) => Some(name.as_str()),
                    _ => None,
                })
                .collect(),
        ),
        _ => None,
    }
}

/// The element type and axes of a tensor type, as written.
pub fn tensor_type(ty: &TypeExpr) -> Option<(DType, &[AxisExpr])> {
    let TypeExprKind::Named { name, axes: Some(axes), .. } = &ty.kind else { return None };
    let dtype = match name.text.as_str() {
        "f" => DType::F32,
        "i" | "class" | "Tokens" => DType::I32,
        "b" => DType::Bool,
        "real" => DType::F32,
        _ => return None,
    };
    Some((dtype, axes))
}

impl Checker<'_> {
    /// A size that nothing is known of.
    pub fn unknown_size(&mut self, name: &str) -> Size {
        let id = self.next_var;
        self.next_var += 1;
        Size::atom(Atom::Var(id, name.to_owned()))
    }

    /// Evaluates an argument for a parameter: where a choice is wanted, a bare name is one of its variants.
    pub fn eval_typed(&mut self, expr: &Expr, ty: Option<&TypeExpr>, scope: &mut Scope) -> Value {
        if let (ExprKind::Name(name), Some(variants)) = (&expr.kind, ty.and_then(variants)) {
            if let Some(value @ (Value::Variant(_) | Value::None | Value::Error)) = scope.env.get(name) {
                return value.clone();
            }
            if variants.contains(&name.as_str()) {
                return Value::Variant(Some(name.clone()));
            }
            let mut diagnostic =
                Diagnostic::error("E0313", format!("`{name}` is not one of the choices")).label(expr.span, "not a choice here");
            diagnostic = match nearest(name, variants.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!("the choices are: {}", variants.join(", "))),
            };
            self.report(diagnostic);
            return Value::Error;
        }
        self.eval(expr, scope)
    }

    /// Evaluates the arguments of a function or a module with its parameters at hand.
    pub fn eval_args_for(&mut self, params: &[Param], first: Option<(Value, Span)>, args: &[Arg], scope: &mut Scope) -> Args {
        let mut values: Args = first.into_iter().map(|(value, span)| (None, value, span)).collect();
        for arg in args {
            let param = match &arg.name {
                Some(name) => params.iter().find(|param| param.name.text == name.text),
                None => params.get(values.iter().filter(|(name, ..)| name.is_none()).count()),
            };
            let value = self.eval_typed(&arg.value, param.and_then(|param| param.ty.as_ref()), scope);
            values.push((arg.name.clone(), value, arg.value.span));
        }
        values
    }

    pub fn eval_function_args(&mut self, function: &Function, first: Option<(Value, Span)>, args: &[Arg], scope: &mut Scope) -> Args {
        self.eval_args_for(&function.params, first, args, scope)
    }

    /// Puts arguments in the order of the parameters; reports unknown, doubled and surplus ones.
    pub fn arrange(&mut self, what: &str, params: &[Param], args: Args, span: Span) -> Option<Vec<Option<(Value, Span)>>> {
        let mut slots: Vec<Option<(Value, Span)>> = vec![None; params.len()];
        let mut next = 0;
        let mut ok = true;
        for (name, value, place) in args {
            let index = match &name {
                None => {
                    next += 1;
                    if next > params.len() {
                        self.report(
                            Diagnostic::error("E0208", format!("`{what}` takes {} arguments", params.len()))
                                .label(place, "one too many")
                                .help(format!("its parameters are: {}", list_params(params))),
                        );
                        ok = false;
                        continue;
                    }
                    next - 1
                }
                Some(name) => match params.iter().position(|param| param.name.text == name.text) {
                    Some(index) => index,
                    None => {
                        self.unknown_option(what, name, params.iter().map(|param| param.name.text.as_str()));
                        ok = false;
                        continue;
                    }
                },
            };
            if slots[index].is_some() {
                self.report(
                    Diagnostic::error("E0208", format!("`{}` is given twice", params[index].name.text))
                        .label(place, "again here")
                        .label(span, "in this call"),
                );
                ok = false;
            }
            slots[index] = Some((value, place));
        }
        ok.then_some(slots)
    }

    pub fn unknown_option<'a>(&mut self, what: &str, name: &Name, known: impl Iterator<Item = &'a str>) {
        let known: Vec<&str> = known.collect();
        let diagnostic = Diagnostic::error("E0206", format!("`{what}` has no option `{}`", name.text)).label(name.span, "unknown option");
        let diagnostic = match nearest(&name.text, known.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => diagnostic.help("it has no options"),
            None => diagnostic.help(format!("its options are: {}", known.join(", "))),
        };
        self.report(diagnostic);
    }

    /// Is the value one of a parameter's type? Reports it otherwise.
    pub fn coerce(&mut self, name: &str, value: Value, ty: Option<&TypeExpr>, span: Span) -> Value {
        let Some(ty) = ty else { return value };
        if value.is_error() {
            return value;
        }
        let wanted = match &ty.kind {
            TypeExprKind::Optional(inner) => {
                return if matches!(value, Value::None | Value::Absent) { value } else { self.coerce(name, value, Some(inner), span) };
            }
            TypeExprKind::List(inner) => match value {
                Value::List(items) if !items.is_empty() && !self.goes_on(span) => return Value::Error,
                Value::List(items) => {
                    return Value::List(Rc::new(items.iter().map(|item| self.coerce(name, item.clone(), Some(inner), span)).collect()));
                }
                Value::UnknownList(_) => return value,
                _ => "a list",
            },
            TypeExprKind::Record(_) => match value {
                Value::Record(_) => return value,
                _ => "a record",
            },
            TypeExprKind::Error => return Value::Error,
            TypeExprKind::Named { name: type_name, .. } => match (type_name.text.as_str(), value) {
                ("dim", Value::Int { size, .. }) if self.facts.apply(&size).as_constant().is_some_and(|size| size < 0) => {
                    let diagnostic = Diagnostic::error("E0317", format!("`{name}` is a size: 0 or more, not {}", self.facts.apply(&size)));
                    self.report(diagnostic.label(span, "less than zero").label(ty.span, "declared here"));
                    return Value::Error;
                }
                ("int" | "dim", Value::Int { size, .. }) if self.facts.apply(&size).is_out_of_range() => return self.sized(size, span),
                ("int" | "dim", value @ Value::Int { .. }) => return value,
                ("float", Value::Int { size, .. }) => {
                    let number = self.facts.apply(&size);
                    return Value::Float(number.as_constant().map(|number| number as f64));
                }
                ("float", value @ Value::Float(_))
                | ("bool", value @ Value::Bool(_))
                | ("str" | "path", value @ Value::Str(_))
                | ("init", value @ Value::Init(_))
                | ("enum", value @ Value::Variant(_))
                | ("weights", value @ Value::Weights(_))
                | ("part", value @ (Value::Part(_) | Value::Parts(_) | Value::Pending(_)))
                | ("class" | "real", value @ (Value::Column(_) | Value::Tensor(_)))
                | ("axis", value @ (Value::Int { axis: Some(_), .. } | Value::Tuple(_)))
                | ("f" | "i" | "b" | "Tokens", value @ (Value::Tensor(_) | Value::Int { .. } | Value::Float(_) | Value::Absent)) => {
                    return value;
                }
                ("enum", Value::Str(Some(text))) if variants(ty).is_some_and(|variants| variants.contains(&text.as_str())) => {
                    return Value::Variant(Some(text));
                }
                ("int" | "dim", other) => {
                    self.mismatch(name, "an integer", &other, ty, span);
                    return Value::Error;
                }
                ("float", other) => {
                    self.mismatch(name, "a number", &other, ty, span);
                    return Value::Error;
                }
                ("bool", other) => {
                    self.mismatch(name, "`true` or `false`", &other, ty, span);
                    return Value::Error;
                }
                ("str" | "path", other) => {
                    self.mismatch(name, "a text in quotes", &other, ty, span);
                    return Value::Error;
                }
                ("enum", other) => {
                    let choices = variants(ty).unwrap_or_default().join(", ");
                    self.mismatch(name, &format!("one of {choices}"), &other, ty, span);
                    return Value::Error;
                }
                ("init", other) => {
                    self.mismatch(name, "an initialisation such as `normal(0.02)`", &other, ty, span);
                    return Value::Error;
                }
                ("axis", other) => {
                    self.mismatch(name, "the name of an axis", &other, ty, span);
                    return Value::Error;
                }
                ("class" | "real", other) => {
                    self.mismatch(name, "a label column", &other, ty, span);
                    return Value::Error;
                }
                ("weights", other) => {
                    self.mismatch(name, "`folder(\"…\")` or `hub(\"…\")`", &other, ty, span);
                    return Value::Error;
                }
                ("part", other) => {
                    self.mismatch(name, "a part", &other, ty, span);
                    return Value::Error;
                }
                ("f" | "i" | "b" | "Tokens", other) => {
                    self.mismatch(name, "a tensor", &other, ty, span);
                    return Value::Error;
                }
                _ => {
                    self.known_type(ty);
                    return Value::Error;
                }
            },
        };
        self.mismatch(name, wanted, &value, ty, span);
        Value::Error
    }

    /// Is it the type of an option? Reports it otherwise.
    pub fn known_type(&mut self, ty: &TypeExpr) -> bool {
        let unknown = match &ty.kind {
            TypeExprKind::Optional(inner) | TypeExprKind::List(inner) => return self.known_type(inner),
            TypeExprKind::Record(fields) => return fields.iter().all(|(_, ty)| self.known_type(ty)),
            TypeExprKind::Error => return false,
            TypeExprKind::Named { name, axes: Some(_), .. } if ["f", "i", "b", "Tokens", "class", "real"].contains(&name.text.as_str()) => {
                return true;
            }
            TypeExprKind::Named { name, axes: None, .. } if TYPES.contains(&name.text.as_str()) => return true,
            TypeExprKind::Named { name, .. } => name,
        };
        let diagnostic = Diagnostic::error("E0314", format!("there is no type `{}`", self.library.sources.slice(ty.span)))
            .label(ty.span, "unknown type");
        self.report(match nearest(&unknown.text, TYPES).filter(|near| *near != unknown.text) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(
                "types of options are int, dim, float, bool, str, path, init, axis, part, weights, enum(…), [T], T?, and tensors f[…], i[…], b[…]",
            ),
        });
        false
    }

    /// Reports names that are declared a second time.
    pub fn unique_names<'a>(&mut self, names: impl Iterator<Item = &'a Name>) -> bool {
        let mut seen: std::collections::BTreeMap<&str, Span> = std::collections::BTreeMap::new();
        let mut ok = true;
        for name in names {
            if let Some(first) = seen.get(name.text.as_str()) {
                self.report(
                    Diagnostic::error("E0202", format!("`{}` is declared twice", name.text))
                        .label(name.span, "again here")
                        .label(*first, "first here")
                        .help("remove one of them, or give it another name"),
                );
                ok = false;
                continue;
            }
            seen.insert(&name.text, name.span);
        }
        ok
    }

    /// Reports fields that are set a second time.
    pub fn unique_fields(&mut self, body: &Body) -> bool {
        self.unique_names(body.fields.iter().map(|field| &field.name))
    }

    fn mismatch(&mut self, name: &str, wanted: &str, value: &Value, ty: &TypeExpr, span: Span) {
        self.report(
            Diagnostic::error("E0301", format!("`{name}` is {wanted}, not {}", value.describe()))
                .label(span, format!("is {}", value.describe()))
                .label(ty.span, "declared here"),
        );
    }

    /// Calls a function: `env` holds what its body sees besides its parameters.
    pub fn call_function(
        &mut self,
        function: &Function,
        what: &str,
        file: usize,
        env: Env,
        instance: Option<&Rc<Instance>>,
        args: Args,
        span: Span,
    ) -> Value {
        if args.iter().any(|(_, value, _)| value.is_error()) {
            return Value::Error;
        }
        self.depth += 4;
        let value = self.call_bound(function, what, file, env, instance, args, span);
        self.depth -= 4;
        value
    }

    fn call_bound(
        &mut self,
        function: &Function,
        what: &str,
        file: usize,
        env: Env,
        instance: Option<&Rc<Instance>>,
        args: Args,
        span: Span,
    ) -> Value {
        let Some(slots) = self.arrange(what, &function.params, args, span) else { return Value::Error };
        let mut scope = Scope { file, env, experiment: false, instance: instance.cloned() };
        let mut tensors = Vec::new();
        for (param, slot) in function.params.iter().zip(slots) {
            let (value, place) = match (slot, &param.default) {
                (Some(given), _) => given,
                (None, Some(default)) => (self.eval_typed(default, param.ty.as_ref(), &mut scope), default.span),
                (None, None) => {
                    self.report(
                        Diagnostic::error("E0207", format!("`{what}` needs `{}`", param.name.text))
                            .label(span, format!("`{}` is missing", param.name.text))
                            .label(param.name.span, "declared here"),
                    );
                    return Value::Error;
                }
            };
            let value = self.coerce(&param.name.text, value, param.ty.as_ref(), place);
            if value.is_error() {
                return Value::Error;
            }
            match param.ty.as_ref().and_then(tensor_type) {
                Some((dtype, axes)) => tensors.push((param, dtype, axes, value, place)),
                None => {
                    let value = self.named_size(&param.name.text, value);
                    scope.env.set(&param.name.text, value);
                }
            }
        }
        let mut bound = Vec::new();
        let mut per_sample = false;
        for (param, dtype, axes, value, place) in tensors {
            if let Value::Absent = value {
                scope.env.set(&param.name.text, value);
                continue;
            }
            let Some(tensor) = self.operand(&value, Some(dtype), place) else { return Value::Error };
            if tensor.dtype != dtype {
                self.report(
                    Diagnostic::error("E0303", format!("`{}` has elements of type {}", param.name.text, super::tensor::dtype_name(dtype)))
                        .label(place, format!("is {}", self.show_tensor(&tensor)))
                        .label(param.name.span, "declared here")
                        .help("convert it with `f(…)` or `i(…)`"),
                );
                return Value::Error;
            }
            per_sample |= tensor.per_sample;
            let Some(tensor) = self.match_axes(axes, &tensor, &mut scope, instance, &mut bound, place, &param.name) else {
                return Value::Error;
            };
            scope.env.set(&param.name.text, Value::Tensor(tensor));
        }
        for condition in &function.conditions {
            if !self.hold(condition, &mut scope, span) {
                return Value::Error;
            }
        }
        let result = if instance.is_some_and(|instance| instance.shallow) {
            match &function.result {
                Some(ty) => self.declared_value(ty, &mut scope, per_sample, span),
                None => Value::Error,
            }
        } else {
            let value = self.eval(&function.body, &mut scope);
            match &function.result {
                Some(ty) => self.check_result(value, ty, &mut scope, function.body.span),
                None => value,
            }
        };
        result
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

    /// Matches a tensor with the axes of a signature: names that are bound must be found, free names are bound, sizes are checked.
    /// Gives the tensor under the signature's axes.
    pub fn match_axes(
        &mut self,
        pattern: &[AxisExpr],
        tensor: &Tensor,
        scope: &mut Scope,
        instance: Option<&Rc<Instance>>,
        bound: &mut Vec<AxisRef>,
        span: Span,
        param: &Name,
    ) -> Option<Tensor> {
        let outer = instance.map(|instance| instance.outer.borrow().clone()).unwrap_or_default();
        let entries: Vec<Option<&Expr>> =
            pattern.iter().map(|entry| if let AxisExpr::Size(expr) = entry { Some(expr) } else { None }).collect();
        let mut taken: Vec<Option<AxisRef>> = vec![None; entries.len()];
        let mut free: Vec<AxisRef> = tensor.axes.clone();
        // Names that are bound are found by identity, wherever they stand.
        for (index, entry) in entries.iter().enumerate() {
            let Some(ExprKind::Name(name)) = entry.map(|expr| &expr.kind) else { continue };
            let Some(Value::Int { axis: Some(axis), .. }) = scope.env.get(name) else { continue };
            let given = outer.iter().find(|(inner, _)| inner == axis).map(|(_, outer)| *outer);
            let same = free.iter().position(|other| other == axis || Some(*other) == given);
            let same = same.or_else(|| free.iter().position(|other| self.root(*other) == self.root(*axis)));
            if let Some(at) = same {
                taken[index] = Some(free.remove(at));
            } else if given.is_some() || bound.contains(axis) {
                return self.missing_axis(name, *axis, tensor, span, param);
            }
        }
        // The others by their places: before `..` from the front, after it from the back.
        let rest_at = pattern.iter().position(|entry| matches!(entry, AxisExpr::Rest(_)));
        let open: Vec<usize> = (0..entries.len()).filter(|index| taken[*index].is_none() && entries[*index].is_some()).collect();
        let (front, back): (Vec<usize>, Vec<usize>) = open.iter().partition(|index| rest_at.is_none_or(|rest| **index < rest));
        if front.len() + back.len() > free.len() || (rest_at.is_none() && front.len() != free.len()) {
            let (wanted, given) = (pattern.len(), tensor.axes.len());
            let count = |count: usize| if count == 1 { "1 axis".to_owned() } else { format!("{count} axes") };
            let at_least = if rest_at.is_some() { "at least " } else { "" };
            let wanted = count(if rest_at.is_some() { wanted - 1 } else { wanted });
            let mut diagnostic =
                Diagnostic::error("E0401", format!("`{}` has {at_least}{wanted}, this value {}", param.text, count(given)))
                    .label(span, format!("is {}", self.show_tensor(tensor)))
                    .label(param.span, "declared here");
            if let Some(tokens) = free.iter().find(|axis| self.axis(**axis).layout.is_some()) {
                let name = &self.axis(*tokens).name;
                diagnostic = diagnostic.help(format!("the value has an element for each position along `{name}`: pool it first, for example with `mlp_pool` or `linear_mean_pool`"));
            }
            self.report(diagnostic);
            return None;
        }
        for index in front {
            taken[index] = Some(free.remove(0));
        }
        for index in back.into_iter().rev() {
            taken[index] = free.pop();
        }
        if rest_at.is_some() {
            for axis in &free {
                if !scope.env.rest.contains(axis) {
                    scope.env.rest.push(*axis);
                }
            }
        }
        let mut pairs = Vec::new();
        // Free names first: sizes may be expressions of them.
        for index in &open {
            if let (Some(ExprKind::Name(name)), Some(axis)) = (entries[*index].map(|expr| &expr.kind), taken[*index])
                && scope.env.get(name).is_none()
            {
                let inner = if bound.contains(&axis) {
                    let info = self.axis(axis).clone();
                    let fresh = self.new_axis(name, info.size);
                    self.axes[fresh.0 as usize].layout = info.layout;
                    fresh
                } else {
                    axis
                };
                bound.push(inner);
                pairs.push((axis, inner));
                let size = self.axis_size(inner);
                scope.env.set(name, Value::Int { size, axis: Some(inner) });
            }
        }
        for (index, entry) in entries.iter().enumerate() {
            let (Some(expr), Some(axis)) = (entry, taken[index]) else { continue };
            let (size, own) = match self.eval(expr, scope) {
                Value::Int { size, axis } => (size, axis),
                Value::Error => return None,
                other => {
                    self.not_a_size(&other, expr.span);
                    return None;
                }
            };
            let actual = self.axis_size(axis);
            if !self.same_size(&size, &actual) {
                let (actual, expected) = (self.facts.show(&actual), self.facts.show(&size));
                self.report(
                    Diagnostic::error("E0401", format!("the sizes differ: {actual} and {expected}"))
                        .label(span, format!("is {}", self.show_tensor(tensor)))
                        .label(expr.span, format!("this axis is {expected}"))
                        .label(param.span, "declared here"),
                );
                return None;
            }
            if let Some(own) = own
                && !pairs.iter().any(|(from, _)| *from == axis)
            {
                if self.axis(own).layout.is_none() {
                    self.axes[own.0 as usize].layout = self.axis(axis).layout;
                }
                pairs.push((axis, own));
            }
        }
        Some(self.rename(tensor, &pairs))
    }

    fn missing_axis(&mut self, name: &str, axis: AxisRef, tensor: &Tensor, span: Span, param: &Name) -> Option<Tensor> {
        let size = self.axis_size(axis);
        let same = tensor.axes.iter().find(|other| self.same_size(&self.axis_size(**other), &size)).copied();
        let shown = self.show_tensor(tensor);
        let mut diagnostic =
            Diagnostic::error("E0402", format!("the axis `{name}` ({}) is not an axis of this value", self.facts.show(&size)))
                .label(span, format!("is {shown}"))
                .label(param.span, "declared here");
        if let Some(same) = same {
            diagnostic = diagnostic.help(format!("`{}` is as long, but another axis; if it is meant, rename it", self.axis(same).name));
        }
        self.report(diagnostic);
        None
    }

    /// Checks a `where` condition; while a module is checked by itself, it is taken as given.
    pub fn hold(&mut self, condition: &Expr, scope: &mut Scope, span: Span) -> bool {
        match self.eval(condition, scope) {
            Value::Bool(Some(true)) => true,
            Value::Bool(Some(false)) => {
                let shown = self.show_sides(condition, scope);
                self.report(
                    Diagnostic::error("E0405", format!("the condition `{}` does not hold", self.library.sources.slice(condition.span)))
                        .label(span, shown)
                        .label(condition.span, "required here"),
                );
                false
            }
            Value::Bool(None) => {
                self.assume(condition, scope);
                true
            }
            Value::Error => false,
            other => {
                self.report(
                    Diagnostic::error("E0304", format!("a condition is a truth value, not {}", other.describe()))
                        .label(condition.span, "used as a condition"),
                );
                false
            }
        }
    }

    /// `a % b == 0` and `a == b` are kept as facts.
    fn assume(&mut self, condition: &Expr, scope: &mut Scope) {
        use crate::syntax::ast::BinaryOperator as B;
        match &condition.kind {
            ExprKind::Binary(B::And, _, a, b) => {
                self.assume(a, scope);
                self.assume(b, scope);
            }
            ExprKind::Binary(B::Eq, _, left, right) => {
                if let (ExprKind::Binary(B::Rem, _, dividend, divisor), ExprKind::Int(0)) = (&left.kind, &right.kind) {
                    if let (Value::Int { size: dividend, .. }, Value::Int { size: divisor, .. }) =
                        (self.eval(dividend, scope), self.eval(divisor, scope))
                    {
                        self.facts.divisible(&dividend, &divisor);
                    }
                } else if let (Value::Int { size: a, .. }, Value::Int { size: b, .. }) = (self.eval(left, scope), self.eval(right, scope)) {
                    self.facts.equate(&a, &b);
                }
            }
            _ => {}
        }
    }

    /// The numbers of a condition that failed: `hidden = 320, heads = 7`.
    fn show_sides(&self, condition: &Expr, scope: &Scope) -> String {
        let mut names = Vec::new();
        collect_names(condition, &mut names);
        names.dedup();
        let shown: Vec<String> = names
            .iter()
            .filter_map(|name| match scope.env.get(name)? {
                Value::Int { size, .. } => Some(format!("{name} = {}", self.facts.apply(size))),
                Value::Float(Some(value)) => Some(format!("{name} = {value}")),
                _ => None,
            })
            .collect();
        if shown.is_empty() { "does not hold".to_owned() } else { shown.join(", ") }
    }

    /// The value that a signature promises, without looking at the body.
    pub fn declared_value(&mut self, ty: &TypeExpr, scope: &mut Scope, per_sample: bool, span: Span) -> Value {
        if let TypeExprKind::Record(fields) = &ty.kind {
            return Value::Record(Rc::new(
                fields.iter().map(|(name, ty)| (name.text.clone(), self.declared_value(ty, scope, per_sample, span))).collect(),
            ));
        }
        let Some((dtype, axes)) = tensor_type(ty) else { return Value::Error };
        let Some(axes) = self.declared_axes(axes, scope, true) else { return Value::Error };
        Value::Tensor(Tensor { dtype, axes: axes.into_iter().flatten().collect(), per_sample, node: None })
    }

    /// The axes of a type; a size expression gets a new axis (or `None` where `fresh` is false).
    pub fn declared_axes(&mut self, entries: &[AxisExpr], scope: &mut Scope, fresh: bool) -> Option<Vec<Option<AxisRef>>> {
        let mut axes = Vec::new();
        for entry in entries {
            match entry {
                AxisExpr::Rest(_) => axes.extend(scope.env.rest.clone().into_iter().map(Some)),
                AxisExpr::Size(expr) => match self.eval(expr, scope) {
                    Value::Int { axis: Some(axis), .. } => axes.push(Some(axis)),
                    Value::Int { size, axis: None } => {
                        let name = self.library.sources.slice(expr.span).to_owned();
                        axes.push(fresh.then(|| self.new_axis(&name, size)));
                    }
                    Value::Error => return None,
                    other => {
                        self.not_a_size(&other, expr.span);
                        return None;
                    }
                },
            }
        }
        Some(axes)
    }

    /// Compares a body's value with the declared type; gives it in the declared order of axes.
    fn check_result(&mut self, value: Value, ty: &TypeExpr, scope: &mut Scope, span: Span) -> Value {
        if value.is_error() {
            return Value::Error;
        }
        if let (TypeExprKind::Record(fields), Value::Record(values)) = (&ty.kind, &value) {
            let mut out = Vec::new();
            for (name, ty) in fields {
                let Some((_, value)) = values.iter().find(|(other, _)| *other == name.text) else {
                    self.report(
                        Diagnostic::error("E0401", format!("the result lacks `{}`", name.text))
                            .label(span, "this result")
                            .label(name.span, "promised here"),
                    );
                    return Value::Error;
                };
                out.push((name.text.clone(), self.check_result(value.clone(), ty, scope, span)));
            }
            return Value::Record(Rc::new(out));
        }
        let Some((dtype, entries)) = tensor_type(ty) else {
            return self.coerce("the result", value, Some(ty), span);
        };
        let Some(tensor) = self.operand(&value, Some(dtype), span) else { return Value::Error };
        let Some(declared) = self.declared_axes(entries, scope, false) else { return Value::Error };
        let mut left: Vec<AxisRef> = tensor.axes.clone();
        let mut order: Vec<Option<AxisRef>> = Vec::new();
        let mut missing = None;
        for axis in &declared {
            match axis {
                Some(axis) => match left.iter().position(|other| other == axis) {
                    Some(at) => order.push(Some(left.remove(at))),
                    None => {
                        missing = Some(*axis);
                        order.push(None);
                    }
                },
                None => order.push(None),
            }
        }
        // Axes given by a size are matched with what is left, in order.
        let sizes: Vec<Size> = entries
            .iter()
            .filter_map(|entry| if let AxisExpr::Size(expr) = entry { Some(expr) } else { None })
            .filter_map(|expr| match self.eval(expr, scope) {
                Value::Int { size, axis: None } => Some(size),
                _ => None,
            })
            .collect();
        let mut sizes = sizes.into_iter();
        if missing.is_none() {
            for (slot, axis) in order.iter_mut().zip(&declared) {
                if axis.is_none()
                    && let Some(size) = sizes.next()
                    && let Some(at) = left.iter().position(|other| self.same_size(&self.axis_size(*other), &size))
                {
                    *slot = Some(left.remove(at));
                }
            }
        }
        let complete: Option<Vec<AxisRef>> = order.into_iter().collect();
        match complete {
            Some(order) if left.is_empty() && tensor.dtype == dtype => Value::Tensor(self.permute(&tensor, order)),
            _ => {
                let mut diagnostic = Diagnostic::error("E0401", "the result is not what the signature promises".to_owned())
                    .label(span, format!("is {}", self.show_tensor(&tensor)))
                    .label(ty.span, "promised here");
                let shown: Vec<String> = left.iter().map(|axis| format!("`{}`", self.show_axis(*axis))).collect();
                if let Some(axis) = missing {
                    diagnostic = diagnostic.help(format!("the axis `{}` is missing", self.show_axis(axis)));
                } else if tensor.dtype != dtype {
                    let wanted = super::tensor::dtype_name(dtype);
                    diagnostic = diagnostic.help(format!("the elements are promised to be of type {wanted}: convert with `{wanted}(…)`"));
                } else if !shown.is_empty() {
                    let fits = if shown.len() == 1 { "is" } else { "are" };
                    diagnostic = diagnostic
                        .help(format!("{} {fits} not in the promise: sum or average it away, rename it, or promise it", shown.join(", ")));
                }
                self.report(diagnostic);
                Value::Error
            }
        }
    }
}

fn collect_names<'a>(expr: &'a Expr, names: &mut Vec<&'a str>) {
    match &expr.kind {
        ExprKind::Name(name) => names.push(name),
        ExprKind::Binary(_, _, a, b) => {
            collect_names(a, names);
            collect_names(b, names);
        }
        ExprKind::Unary(_, a) | ExprKind::Member(a, _) => collect_names(a, names),
        ExprKind::Call(_, args) => args.iter().for_each(|arg| collect_names(&arg.value, names)),
        _ => {}
    }
}

fn list_params(params: &[Param]) -> String {
    params.iter().map(|param| param.name.text.as_str()).collect::<Vec<_>>().join(", ")
}
