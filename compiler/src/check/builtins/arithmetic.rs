//! Functions of elements: each by itself, in pairs, along axes.

use mgx_diag::Diagnostic;
use mgx_ir::graph::{BinaryOp, DType, ReduceOp, UnaryOp};

use super::super::Checker;
use super::super::expr::Scope;
use super::super::value::{AxisRef, Tensor, Value};
use super::{Given, axes_of, axis_of, tensor, wrong};
use crate::syntax::ast::{BinaryOperator, Expr, ExprKind};

pub fn elementwise(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let (op, number): (UnaryOp, fn(f64) -> f64) = match given.name {
        "abs" => (UnaryOp::Abs, f64::abs),
        "exp" => (UnaryOp::Exp, f64::exp),
        "log" => (UnaryOp::Log, f64::ln),
        "sqrt" => (UnaryOp::Sqrt, f64::sqrt),
        "rsqrt" => (UnaryOp::Rsqrt, |x| 1.0 / x.sqrt()),
        "tanh" => (UnaryOp::Tanh, f64::tanh),
        "sin" => (UnaryOp::Sin, f64::sin),
        "cos" => (UnaryOp::Cos, f64::cos),
        "floor" => (UnaryOp::Floor, f64::floor),
        _ => (UnaryOp::Erf, |_| f64::NAN),
    };
    let [(value, span)] = given.positional.as_slice() else { return wrong(checker, given, "one value") };
    let (value, span) = (value.clone(), *span);
    let is_number = match &value {
        Value::Float(_) => true,
        Value::Int { size, .. } => !size.is_ragged(),
        _ => false,
    };
    if is_number && op != UnaryOp::Erf {
        return Some(Value::Float(checker.as_number(&value).map(number)));
    }
    let x = checker.operand(&value, Some(DType::F32), span)?;
    if x.dtype != DType::F32 && op != UnaryOp::Abs {
        checker.report(
            Diagnostic::error("E0303", format!("`{}` takes elements of type f", given.name))
                .label(span, checker.show_tensor(&x))
                .help("convert with `f(…)`"),
        );
        return None;
    }
    Some(Value::Tensor(checker.unary(op, &x)))
}

/// `round(x, bf16)`: to the nearest number of a narrower type.
pub fn round(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let [(value, span), (Value::Variant(Some(to)), _)] = given.positional.as_slice() else {
        return wrong(checker, given, "a value and the type to round to: `round(x, bf16)`");
    };
    if to != "bf16" {
        return wrong(checker, given, "a value and the type to round to: `round(x, bf16)`");
    }
    let (value, span) = (value.clone(), *span);
    let x = checker.operand(&value, Some(DType::F32), span)?;
    if x.dtype != DType::F32 {
        let diagnostic = Diagnostic::error("E0303", "`round` takes elements of type f").label(span, checker.show_tensor(&x));
        checker.report(diagnostic.help("convert with `f(…)`"));
        return None;
    }
    Some(Value::Tensor(checker.unary(UnaryOp::Bf16, &x)))
}

pub fn two_numbers(checker: &mut Checker<'_>, given: &Given<'_>, op: BinaryOp, number: fn(f64, f64) -> f64) -> Option<Value> {
    let [(a, a_span), (b, b_span)] = given.positional.as_slice() else { return wrong(checker, given, "two values") };
    let (a, b, a_span, b_span) = (a.clone(), b.clone(), *a_span, *b_span);
    let dtype = |value: &Value| if let Value::Tensor(tensor) = value { Some(tensor.dtype) } else { None };
    let ragged = |value: &Value| matches!(value, Value::Int { size, .. } if size.is_ragged());
    if dtype(&a).is_none() && dtype(&b).is_none() && !ragged(&a) && !ragged(&b) {
        if let (Value::Int { size: x, .. }, Value::Int { size: y, .. }) = (&a, &b)
            && op != BinaryOp::Pow
        {
            let smaller = checker.facts.apply(x).smaller(&checker.facts.apply(y));
            let size = if op == BinaryOp::Min { smaller } else { checker.facts.apply(x).add(&checker.facts.apply(y)).sub(&smaller) };
            return Some(checker.sized(size, given.span));
        }
        return Some(Value::Float(checker.as_number(&a).zip(checker.as_number(&b)).map(|(a, b)| number(a, b))));
    }
    let like = dtype(&a).or(dtype(&b)).unwrap_or(DType::F32);
    let x = checker.operand(&a, Some(like), a_span)?;
    let y = checker.operand(&b, Some(like), b_span)?;
    if x.dtype != y.dtype {
        checker.report(
            Diagnostic::error("E0303", "element types differ")
                .label(a_span, checker.show_tensor(&x))
                .label(b_span, checker.show_tensor(&y))
                .help("convert one with `f(…)` or `i(…)`"),
        );
        return None;
    }
    Some(Value::Tensor(checker.binary(op, &x, &y)))
}

pub fn reduction(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    if let Some(over) = given.take("over") {
        let x = tensor(checker, given, 0, DType::F32)?;
        let op = match given.name {
            "sum" => ReduceOp::Sum,
            "max" => ReduceOp::Max,
            _ => ReduceOp::Min,
        };
        let (axes, batch) = axes_and_batch(checker, &over.value, &x, scope)?;
        return Some(Value::Tensor(if batch { checker.reduce_batch(op, &x, &axes) } else { checker.reduce(op, &x, &axes) }));
    }
    match given.name {
        "sum" if matches!(given.positional.first(), Some((Value::List(_), _))) => sum_of_list(checker, given),
        "max" => two_numbers(checker, given, BinaryOp::Max, f64::max),
        "min" => two_numbers(checker, given, BinaryOp::Min, f64::min),
        _ => wrong(checker, given, "a tensor and `over = axis`"),
    }
}

/// `sum(list)`: its elements added, from the first on.
fn sum_of_list(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let Some((Value::List(items), place)) = given.positional.first() else { return None };
    let (items, place) = (std::rc::Rc::clone(items), *place);
    let Some((first, rest)) = items.split_first() else { return Some(Value::Float(Some(0.0))) };
    Some(
        rest.iter().fold(first.clone(), |sum, item| checker.binary_operator(BinaryOperator::Add, given.span, (&sum, place), (item, place))),
    )
}

/// The axes that are reduced, and whether all samples are: `over = (batch, seq)`, where nothing of the program is called `batch`.
fn axes_and_batch(checker: &mut Checker<'_>, over: &Expr, x: &Tensor, scope: &mut Scope) -> Option<(Vec<AxisRef>, bool)> {
    let is_batch = |expr: &Expr| matches!(&expr.kind, ExprKind::Name(name) if name == "batch") && scope.env.get("batch").is_none();
    let items = match &over.kind {
        ExprKind::Tuple(items) => items.as_slice(),
        _ => std::slice::from_ref(over),
    };
    if !items.iter().any(is_batch) {
        return Some((axes_of(checker, over, x, scope)?, false));
    }
    let others: Vec<&Expr> = items.iter().filter(|item| !is_batch(item)).collect();
    let axes = others.into_iter().map(|item| axis_of(checker, item, x, scope)).collect::<Option<_>>()?;
    Some((axes, true))
}

pub fn cast(checker: &mut Checker<'_>, given: &Given<'_>, dtype: DType) -> Option<Value> {
    let like = if dtype == DType::I32 { DType::I32 } else { DType::F32 };
    let x = tensor(checker, given, 0, like)?;
    Some(Value::Tensor(checker.cast(&x, dtype)))
}

pub fn select(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let [_, (yes, yes_span), (no, no_span)] = given.positional.as_slice() else {
        return wrong(checker, given, "a condition and two values");
    };
    let (yes, no, yes_span, no_span) = (yes.clone(), no.clone(), *yes_span, *no_span);
    let condition = tensor(checker, given, 0, DType::Bool)?;
    let dtype = [&yes, &no].iter().find_map(|value| if let Value::Tensor(tensor) = value { Some(tensor.dtype) } else { None });
    let dtype = dtype.unwrap_or(DType::F32);
    let yes = checker.operand(&yes, Some(dtype), yes_span)?;
    let no = checker.operand(&no, Some(dtype), no_span)?;
    if condition.dtype != DType::Bool || yes.dtype != no.dtype {
        return wrong(checker, given, "a condition b[…] and two values of one element type");
    }
    Some(Value::Tensor(checker.select(&condition, &yes, &no)))
}

pub fn contract(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let (x, y) = (tensor(checker, given, 0, DType::F32)?, tensor(checker, given, 1, DType::F32)?);
    let Some(over) = given.take("over") else { return wrong(checker, given, "two tensors and `over = axis`") };
    let axes = axes_of(checker, &over.value, &x, scope)?;
    for axis in &axes {
        if !y.axes.contains(axis) {
            let name = checker.axis(*axis).name.clone();
            checker.report(
                Diagnostic::error("E0402", format!("the axis `{name}` is not an axis of both values"))
                    .label(over.value.span, "summed over")
                    .label(given.positional[0].1, checker.show_tensor(&x))
                    .label(given.positional[1].1, checker.show_tensor(&y)),
            );
            return None;
        }
    }
    Some(Value::Tensor(checker.contract(&x, &y, &axes)))
}

pub fn rounded_division(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let [(Value::Int { size: a, .. }, _), (Value::Int { size: b, .. }, _)] = given.positional.as_slice() else {
        return wrong(checker, given, "two whole numbers");
    };
    let (a, b) = (checker.facts.apply(a), checker.facts.apply(b));
    if b.as_constant() == Some(0) {
        checker.report(Diagnostic::error("E0404", "division by zero").label(given.span, format!("{a} / 0")));
        return None;
    }
    let size = if given.name == "div" { a.floor_div(&b) } else { a.ceil_div(&b) };
    Some(checker.sized(size, given.span))
}
