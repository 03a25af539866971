//! Functions that give a tensor other axes.

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, Window};

use super::super::Checker;
use super::super::expr::Scope;
use super::super::size::Size;
use super::super::value::{AxisRef, Tensor, Value};
use super::{Given, axes_of, axis_argument, axis_of, new_axis_of, tensor, wrong};
use crate::syntax::ast::{Expr, ExprKind};

pub fn tuple_axes(checker: &mut Checker<'_>, expr: &Expr, scope: &mut Scope) -> Option<Vec<AxisRef>> {
    match &expr.kind {
        ExprKind::Tuple(items) => items.iter().map(|item| new_axis_of(checker, item, scope)).collect(),
        _ => Some(vec![new_axis_of(checker, expr, scope)?]),
    }
}

pub fn check_product(checker: &mut Checker<'_>, whole: AxisRef, parts: &[AxisRef], span: Span) -> Option<()> {
    let product = parts.iter().fold(Size::constant(1), |product, axis| product.mul(&checker.axis_size(*axis)));
    let size = checker.axis_size(whole);
    if checker.same_size(&product, &size) {
        return Some(());
    }
    let shown: Vec<String> = parts.iter().map(|axis| checker.show_axis(*axis)).collect();
    let diagnostic = Diagnostic::error("E0401", format!("{} is not {}", shown.join(" × "), checker.show_axis(whole)));
    let (shown_product, shown_size) = (checker.facts.show(&product), checker.facts.show(&size));
    let diagnostic = diagnostic.label(span, format!("{shown_product} and {shown_size} elements"));
    let unknown = product.as_constant().is_none() || size.as_constant().is_none();
    let ragged = product.is_ragged() || size.is_ragged();
    let diagnostic = if ragged { checker.promise_lengths(diagnostic, &[product, size]) } else { diagnostic };
    checker.report(if unknown && !ragged {
        diagnostic.help(format!("if they are always equal, say so: `where {shown_product} == {shown_size}`"))
    } else {
        diagnostic
    });
    None
}

pub fn split(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let x = tensor(checker, given, 0, DType::F32)?;
    let (axis, expr) = axis_argument(checker, given, &x, scope)?;
    let into = tuple_axes(checker, expr, scope)?;
    check_product(checker, axis, &into, expr.span)?;
    Some(Value::Tensor(checker.split(&x, axis, &into)))
}

pub fn merge(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let x = tensor(checker, given, 0, DType::F32)?;
    let Some(arg) = given.named.pop() else { return wrong(checker, given, "a tensor and `into = (axes)`") };
    let name = arg.name.as_ref()?;
    let from = axes_of(checker, &arg.value, &x, scope)?;
    let into = match scope.env.get(&name.text) {
        Some(Value::Int { axis: Some(axis), .. }) => *axis,
        _ => {
            let product = from.iter().fold(Size::constant(1), |product, axis| product.mul(&checker.axis_size(*axis)));
            checker.new_axis(&name.text, product)
        }
    };
    check_product(checker, into, &from, arg.value.span)?;
    Some(Value::Tensor(checker.merge(&x, &from, into)))
}

pub fn rename(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let x = tensor(checker, given, 0, DType::F32)?;
    let (axis, expr) = axis_argument(checker, given, &x, scope)?;
    let bound = match &expr.kind {
        ExprKind::Name(name) => scope.env.get(name).cloned(),
        _ => None,
    };
    let to = match (bound, &expr.kind) {
        (Some(Value::Int { axis: Some(axis), .. }), _) => axis,
        // A new name makes a new axis of the same size, known by that name from here on.
        (None, ExprKind::Name(name)) => {
            let info = checker.axis(axis).clone();
            let fresh = checker.new_axis(name, info.size.clone());
            checker.axes[fresh.0 as usize].layout = info.layout;
            scope.env.set(name, Value::Int { size: info.size, axis: Some(fresh) });
            fresh
        }
        _ => return wrong(checker, given, "a tensor and `axis = new_name`"),
    };
    check_product(checker, axis, &[to], expr.span)?;
    Some(Value::Tensor(checker.rename(&x, &[(axis, to)])))
}

pub fn at(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let x = tensor(checker, given, 0, DType::F32)?;
    let (axis, expr) = axis_argument(checker, given, &x, scope)?;
    let size = match checker.eval(expr, scope) {
        Value::Int { size, .. } => checker.facts.apply(&size),
        Value::Error => return None,
        _ => return wrong(checker, given, "a position: `at(x, axis = 0)`"),
    };
    let extent = checker.axis_size(axis);
    if let (Some(position), Some(extent)) = (size.as_constant(), extent.as_constant())
        && (position < 0 || position >= extent)
    {
        checker.report(
            Diagnostic::error("E0307", format!("there is no position {position} on an axis of {extent}")).label(expr.span, "out of range"),
        );
        return None;
    }
    Some(Value::Tensor(checker.index(&x, axis, &size)))
}

pub fn slice(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let x = tensor(checker, given, 0, DType::F32)?;
    let from = given.take("from");
    let (axis, expr) = axis_argument(checker, given, &x, scope)?;
    let into = new_axis_of(checker, expr, scope)?;
    let start = match from {
        None => Size::constant(0),
        Some(arg) => match checker.eval(&arg.value, scope) {
            Value::Int { size, .. } => checker.facts.apply(&size),
            Value::Error => return None,
            _ => return wrong(checker, given, "a whole number for `from`"),
        },
    };
    let room = checker.axis_size(axis).sub(&start).sub(&checker.axis_size(into));
    if room.as_constant().is_some_and(|room| room < 0) || start.as_constant().is_some_and(|start| start < 0) {
        let shown = checker.show_axis(axis);
        checker.report(
            Diagnostic::error("E0401", format!("positions {start} to {} are not on the axis {shown}", start.add(&checker.axis_size(into))))
                .label(expr.span, "this slice"),
        );
        return None;
    }
    Some(Value::Tensor(checker.slice(&x, axis, into, &start)))
}

/// `concat(a, b, part = whole)`: the axis `part` of each becomes `whole`.
pub fn concat(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    if given.positional.is_empty() {
        return wrong(checker, given, "tensors and `axis = result_axis`");
    }
    let mut tensors = Vec::new();
    for index in 0..given.positional.len() {
        tensors.push(tensor(checker, given, index, DType::F32)?);
    }
    let (axis, expr) = axis_argument(checker, given, &tensors[0].clone(), scope)?;
    let into = new_axis_of(checker, expr, scope)?;
    let mut parts = Vec::new();
    let mut total = Size::constant(0);
    for (index, tensor) in tensors.into_iter().enumerate() {
        let others: Vec<AxisRef> = parts
            .first()
            .map_or_else(Vec::new, |(first, axis): &(Tensor, AxisRef)| first.axes.iter().filter(|other| *other != axis).copied().collect());
        // A later part may have an axis of its own in this place.
        let own = if tensor.axes.contains(&axis) { Some(axis) } else { tensor.axes.iter().find(|axis| !others.contains(axis)).copied() };
        let fits = parts.is_empty() || (tensor.axes.len() == others.len() + 1 && others.iter().all(|axis| tensor.axes.contains(axis)));
        let Some(own) = own.filter(|_| fits) else {
            let name = checker.axis(axis).name.clone();
            let shown = checker.show_tensor(&tensor);
            checker.report(
                Diagnostic::error("E0402", format!("every part needs the axis `{name}` and the same other axes"))
                    .label(given.positional[index].1, shown),
            );
            return None;
        };
        total = total.add(&checker.axis_size(own));
        parts.push((tensor, own));
    }
    let whole = checker.axis_size(into);
    if !checker.same_size(&total, &whole) {
        checker.report(
            Diagnostic::error("E0401", format!("the parts have {total} elements along it, the result {whole}"))
                .label(expr.span, "this axis"),
        );
        return None;
    }
    let order = parts[0].0.axes.clone();
    let first = parts[0].1;
    let parts = parts
        .into_iter()
        .map(|(tensor, axis)| {
            let order = order.iter().map(|other| if *other == first { axis } else { *other }).collect();
            (checker.permute(&tensor, order), axis)
        })
        .collect::<Vec<_>>();
    Some(Value::Tensor(checker.concat(&parts, into)))
}

/// A number of `windows`, at least `least`; 1 while it is not known.
pub fn window_number(
    checker: &mut Checker<'_>,
    given: &mut Given<'_>,
    scope: &mut Scope,
    name: &str,
    default: u64,
    least: u64,
) -> Option<u64> {
    let Some(arg) = given.take(name) else { return Some(default) };
    let size = match checker.eval(&arg.value, scope) {
        Value::Int { size, .. } => checker.facts.apply(&size),
        Value::Error => return None,
        _ => {
            wrong(checker, given, &format!("a whole number for `{name}`"));
            return None;
        }
    };
    let Some(number) = size.as_constant() else { return Some(1) };
    let valid = u64::try_from(number).ok().filter(|number| *number >= least);
    if valid.is_none() {
        checker
            .report(Diagnostic::error("E0317", format!("`{name}` is {least} or more, not {number}")).label(arg.value.span, "out of range"));
    }
    valid
}

/// `windows(x, seq = (out, tap), stride = 1, dilation = 1, before = 0, fill = 0)`.
pub fn windows(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let x = tensor(checker, given, 0, DType::F32)?;
    let stride = window_number(checker, given, scope, "stride", 1, 1)?;
    let dilation = window_number(checker, given, scope, "dilation", 1, 1)?;
    let before = window_number(checker, given, scope, "before", 0, 0)?;
    let fill = match given.take("fill") {
        None => 0.0,
        Some(arg) => match checker.eval(&arg.value, scope) {
            Value::Error => return None,
            value @ (Value::Int { .. } | Value::Float(_)) => checker.as_number(&value).unwrap_or(0.0),
            _ => return wrong(checker, given, "a number for `fill`"),
        },
    };
    let (axis, expr) = axis_argument(checker, given, &x, scope)?;
    let axes = tuple_axes(checker, expr, scope)?;
    let [into, tap] = axes.as_slice() else { return wrong(checker, given, "`axis = (windows, taps)`") };
    let (mut into, tap) = (*into, *tap);
    let same = into == axis;
    if same {
        let info = checker.axis(axis).clone();
        into = checker.new_axis(&info.name, info.size);
    }
    let result = checker.windows(&x, axis, into, tap, Window { stride, dilation, before, fill });
    Some(Value::Tensor(if same { checker.rename(&result, &[(into, axis)]) } else { result }))
}

pub fn gather(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let table = tensor(checker, given, 0, DType::F32)?;
    let index = tensor(checker, given, 1, DType::I32)?;
    let Some(over) = given.take("over") else { return wrong(checker, given, "a tensor, an index and `over = axis`") };
    let axis = axis_of(checker, &over.value, &table, scope)?;
    if index.dtype != DType::I32 {
        return wrong(checker, given, "an index of type i");
    }
    Some(Value::Tensor(checker.gather(&table, &index, axis)))
}

/// `residues(x, over = seq)`: without the special tokens at both ends.
pub fn residues(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let x = tensor(checker, given, 0, DType::F32)?;
    let Some(over) = given.take("over") else { return wrong(checker, given, "a tensor and `over = axis`") };
    let axis = axis_of(checker, &over.value, &x, scope)?;
    let Some(layout) = checker.axis(axis).layout.filter(|layout| layout.prefix + layout.suffix > 0) else {
        return Some(Value::Tensor(x));
    };
    let special = Size::constant((layout.prefix + layout.suffix) as i64);
    let size = checker.axis_size(axis).less(&special);
    let name = checker.axis(axis).name.clone();
    let into = checker.new_axis(&name, size);
    let sliced = checker.slice(&x, axis, into, &Size::constant(layout.prefix as i64));
    // The shorter axis goes by the same name from here on.
    if let ExprKind::Name(name) = &over.value.kind {
        let size = checker.axis_size(into);
        scope.env.set(name, Value::Int { size, axis: Some(into) });
    }
    Some(Value::Tensor(sliced))
}

pub fn attention(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let q = tensor(checker, given, 0, DType::F32)?;
    let k = tensor(checker, given, 1, DType::F32)?;
    let v = tensor(checker, given, 2, DType::F32)?;
    let usage = "q, k, v, `query = axis`, `key = axis`, `over = axis` and `scale = number`";
    let (Some(query), Some(key), Some(over)) = (given.take("query"), given.take("key"), given.take("over")) else {
        return wrong(checker, given, usage);
    };
    let query = axis_of(checker, &query.value, &q, scope)?;
    let key_axis = axis_of(checker, &key.value, &k, scope)?;
    let dim = axis_of(checker, &over.value, &q, scope)?;
    let scale = match given.take("scale") {
        None => Some(1.0),
        Some(arg) => {
            let value = checker.eval(&arg.value, scope);
            if value.is_error() {
                return None;
            }
            checker.as_number(&value)
        }
    };
    let shared: Vec<AxisRef> = q.axes.iter().filter(|axis| **axis != query && **axis != dim).copied().collect();
    let values: Vec<AxisRef> = v.axes.iter().filter(|axis| **axis != key_axis && !shared.contains(axis)).copied().collect();
    let [value] = values.as_slice() else { return wrong(checker, given, "v with the key axis and one axis of its own") };
    let fits = v.axes.contains(&key_axis)
        && k.axes.contains(&dim)
        && query != key_axis
        && shared.iter().all(|axis| k.axes.contains(axis) && v.axes.contains(axis));
    if !fits {
        let mut diagnostic = Diagnostic::error("E0402", "the axes of attention do not fit");
        for (what, (tensor, (_, span))) in ["q", "k", "v"].into_iter().zip([&q, &k, &v].into_iter().zip(&given.positional)) {
            diagnostic = diagnostic.label(*span, format!("{what} is {}", checker.show_tensor(tensor)));
        }
        checker.report(diagnostic.help(
            "q has the query axis, k and v the key axis; q and k share the axis `over`, v has another in its place; all share the rest",
        ));
        return None;
    }
    Some(Value::Tensor(checker.attention([&q, &k, &v], [query, key_axis, dim, *value], scale.unwrap_or(1.0))))
}
