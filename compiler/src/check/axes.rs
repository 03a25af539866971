//! Axes of signatures: matching the tensors that come in, and comparing what goes out with what is promised.
//!
//! A tensor that comes in has its axes renamed to the signature's. Names that are bound are found by identity, wherever they stand; others are bound by their places.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::DType;

use super::Checker;
use super::expr::Scope;
use super::size::Size;
use super::tensor::dtype_name;
use super::value::{AxisRef, Instance, Tensor, Value};
use crate::syntax::ast::{AxisExpr, Expr, ExprKind, Name, TypeExpr, TypeExprKind};

/// The element type and axes of a tensor type, as written.
pub fn tensor_type(ty: &TypeExpr) -> Option<(DType, &[AxisExpr])> {
    let (name, axes) = match &ty.kind {
        TypeExprKind::Named { name, axes: Some(axes), .. } => (name, axes),
        TypeExprKind::Optional(inner) => return tensor_type(inner),
        _ => return None,
    };
    let dtype = match name.text.as_str() {
        "f" => DType::F32,
        "i" | "class" | "contacts" | "tokens" | "Tokens" => DType::I32,
        "b" => DType::Bool,
        "real" | "labels" => DType::F32,
        _ => return None,
    };
    Some((dtype, axes))
}

/// A tensor that is given for a parameter.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub tensor: &'a Tensor,
    /// Where it is given.
    pub span: Span,
    pub param: &'a Name,
}

impl Checker<'_> {
    /// Matches a tensor with the axes of a signature: names that are bound must be found, free names are bound, sizes are checked.
    /// Gives the tensor under the signature's axes.
    pub fn match_axes(
        &mut self,
        pattern: &[AxisExpr],
        given: Given<'_>,
        scope: &mut Scope,
        instance: Option<&Rc<Instance>>,
        bound: &mut Vec<AxisRef>,
    ) -> Option<Tensor> {
        let Given { tensor, span, param } = given;
        let outer = instance.map(|instance| instance.outer.borrow().clone()).unwrap_or_default();
        let entries: Vec<Option<&Expr>> =
            pattern.iter().map(|entry| if let AxisExpr::Size(expr) = entry { Some(expr) } else { None }).collect();
        let mut taken: Vec<Option<AxisRef>> = vec![None; entries.len()];
        let mut free: Vec<AxisRef> = tensor.axes.clone();
        // Names that are bound are found by identity, wherever they stand.
        for (index, entry) in entries.iter().enumerate() {
            let Some(ExprKind::Name(name)) = entry.map(|expr| &expr.kind) else { continue };
            let Some(Value::Int { axis: Some(axis), .. }) = scope.env.get(name) else { continue };
            let from_outside = outer.iter().find(|(inner, _)| inner == axis).map(|(_, outer)| *outer);
            let same = free.iter().position(|other| other == axis || Some(*other) == from_outside);
            let same = same.or_else(|| free.iter().position(|other| self.root(*other) == self.root(*axis)));
            if let Some(at) = same {
                taken[index] = Some(free.remove(at));
            } else if from_outside.is_some() || bound.contains(axis) {
                return self.missing_axis(name, *axis, tensor, span, param);
            }
        }
        // The others by their places: before `..` from the front, after it from the back.
        let rest_at = pattern.iter().position(|entry| matches!(entry, AxisExpr::Rest(_)));
        let open: Vec<usize> = (0..entries.len()).filter(|index| taken[*index].is_none() && entries[*index].is_some()).collect();
        let (front, back): (Vec<usize>, Vec<usize>) = open.iter().partition(|index| rest_at.is_none_or(|rest| **index < rest));
        if front.len() + back.len() > free.len() || (rest_at.is_none() && front.len() != free.len()) {
            let (wanted, have) = (pattern.len(), tensor.axes.len());
            let count = |count: usize| if count == 1 { "1 axis".to_owned() } else { format!("{count} axes") };
            let at_least = if rest_at.is_some() { "at least " } else { "" };
            let wanted = count(if rest_at.is_some() { wanted - 1 } else { wanted });
            let mut diagnostic = Diagnostic::error("E0401", format!("`{}` has {at_least}{wanted}, this value {}", param.text, count(have)))
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

    /// The value that a signature promises, without looking at the body.
    pub fn declared_value(&mut self, ty: &TypeExpr, scope: &mut Scope, per_sample: bool) -> Value {
        if let TypeExprKind::Record(fields) = &ty.kind {
            return Value::Record(Rc::new(
                fields.iter().map(|(name, ty)| (name.text.clone(), self.declared_value(ty, scope, per_sample))).collect(),
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
    pub fn check_result(&mut self, value: Value, ty: &TypeExpr, scope: &mut Scope, span: Span) -> Value {
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
                    let wanted = dtype_name(dtype);
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
