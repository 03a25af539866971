//! The functions of the language itself. Everything else is written with them, in the standard library.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{BinaryOp, DType, ReduceOp, UnaryOp, Window};
use mgx_ir::plan::{Alphabet, Init};

use super::Checker;
use super::expr::Scope;
use super::size::Size;
use super::value::{AxisRef, Tensor, Value, WeightsValue};
use crate::syntax::ast::{Arg, Expr, ExprKind};

/// Names of all functions, for look-up and suggestions.
pub const NAMES: &[&str] = &[
    "abs",
    "at",
    "attention",
    "b",
    "ceil_div",
    "concat",
    "config",
    "constant",
    "contract",
    "cos",
    "div",
    "each",
    "erf",
    "exp",
    "f",
    "file",
    "floor",
    "folder",
    "gather",
    "head",
    "hub",
    "i",
    "int",
    "len",
    "log",
    "lower",
    "max",
    "merge",
    "min",
    "normal",
    "positions",
    "pow",
    "random",
    "rename",
    "residues",
    "rsqrt",
    "run",
    "select",
    "sin",
    "size",
    "slice",
    "split",
    "sqrt",
    "sum",
    "tail",
    "tanh",
    "tokenizer_config",
    "uniform",
    "windows",
];

/// Names of values, for suggestions.
pub const CONSTANTS: &[&str] = &["zeros", "ones", "dna", "rna", "protein", "text", "pi", "training"];

/// The function of a name.
pub fn lookup(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|other| **other == name).copied()
}

/// Names that stand for a value everywhere.
pub fn named_constant(name: &str) -> Option<Value> {
    Some(match name {
        "zeros" => Value::Init(Init::Constant(0.0)),
        "ones" => Value::Init(Init::Constant(1.0)),
        "dna" => Value::Alphabet(Alphabet::Dna),
        "rna" => Value::Alphabet(Alphabet::Rna),
        "protein" => Value::Alphabet(Alphabet::Protein),
        "text" => Value::Alphabet(Alphabet::Text),
        "pi" => Value::Float(Some(std::f64::consts::PI)),
        _ => return None,
    })
}

/// The options of a function besides an axis of its value, and how many values it takes at most.
fn signature(name: &str) -> (&'static [&'static str], usize) {
    match name {
        "sum" => (&["over"], 1),
        "max" | "min" => (&["over"], 2),
        "contract" | "gather" => (&["over"], 2),
        "residues" => (&["over"], 1),
        "attention" => (&["query", "key", "over", "scale"], 3),
        "slice" => (&["from"], 1),
        "windows" => (&["stride", "dilation", "before", "fill"], 1),
        "hub" => (&["revision"], 1),
        "concat" => (&[], usize::MAX),
        "select" => (&[], 3),
        "pow" | "div" | "ceil_div" | "config" | "tokenizer_config" => (&[], 2),
        _ => (&[], 1),
    }
}

/// Arguments of a builtin: positional ones evaluated, named ones by name.
struct Given<'a> {
    name: &'static str,
    span: Span,
    positional: Vec<(Value, Span)>,
    named: Vec<&'a Arg>,
}

impl<'a> Given<'a> {
    fn take(&mut self, name: &str) -> Option<&'a Arg> {
        let at = self.named.iter().position(|arg| arg.name.as_ref().is_some_and(|other| other.text == name))?;
        Some(self.named.remove(at))
    }
}

/// Calls a builtin.
pub fn call(
    checker: &mut Checker<'_>,
    name: &'static str,
    first: Option<(Value, Span)>,
    args: &[Arg],
    span: Span,
    scope: &mut Scope,
) -> Value {
    let mut positional: Vec<(Value, Span)> = first.into_iter().collect();
    let mut named = Vec::new();
    for arg in args {
        match &arg.name {
            Some(_) => named.push(arg),
            None => positional.push((checker.eval(&arg.value, scope), arg.value.span)),
        }
    }
    if positional.iter().any(|(value, _)| value.is_error()) {
        return Value::Error;
    }
    let (options, most) = signature(name);
    if let Some((_, place)) = positional.get(most) {
        let values = if most == 1 { "value" } else { "values" };
        checker.report(Diagnostic::error("E0208", format!("`{name}` takes {most} {values}")).label(*place, "one too many"));
        return Value::Error;
    }
    let mut given = Given { name, span, positional, named };
    let result = dispatch(checker, &mut given, scope);
    if let Some(value) = &result
        && !value.is_error()
        && let Some(extra) = given.named.first()
        && let Some(option) = &extra.name
    {
        checker.unknown_option(name, option, options.iter().copied());
        return Value::Error;
    }
    result.unwrap_or(Value::Error)
}

fn dispatch(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    match given.name {
        "abs" | "exp" | "log" | "sqrt" | "rsqrt" | "tanh" | "erf" | "sin" | "cos" | "floor" => elementwise(checker, given),
        "pow" => two_numbers(checker, given, BinaryOp::Pow, f64::powf),
        "max" | "min" | "sum" => reduction(checker, given, scope),
        "f" => cast(checker, given, DType::F32),
        "i" => cast(checker, given, DType::I32),
        "b" => cast(checker, given, DType::Bool),
        "select" => select(checker, given),
        "contract" => contract(checker, given, scope),
        "split" => split(checker, given, scope),
        "merge" => merge(checker, given, scope),
        "rename" => rename(checker, given, scope),
        "at" => at(checker, given, scope),
        "slice" => slice(checker, given, scope),
        "concat" => concat(checker, given, scope),
        "windows" => windows(checker, given, scope),
        "gather" => gather(checker, given, scope),
        "residues" => residues(checker, given, scope),
        "positions" => {
            let axis = axis_value(checker, given, 0)?;
            Some(Value::Tensor(checker.positions(axis)))
        }
        "size" => {
            let axis = axis_value(checker, given, 0)?;
            let size = checker.axis_size(axis);
            Some(Value::Int { size, axis: Some(axis) })
        }
        "random" => {
            let x = tensor(checker, given, 0, DType::F32)?;
            Some(Value::Tensor(checker.random(&x)))
        }
        "attention" => attention(checker, given, scope),
        "len" => {
            let items = list(checker, given)?;
            Some(items.map_or_else(unknown_length, |items| Value::int(items.len() as i64)))
        }
        "head" | "tail" => head_or_tail(checker, given),
        "div" | "ceil_div" => rounded_division(checker, given),
        "normal" | "uniform" | "constant" => init(checker, given),
        "folder" | "hub" => weights(checker, given, scope),
        "run" | "each" => {
            let text = text(checker, given, 0)?;
            Some(Value::Rule(given.name, text))
        }
        "config" => config(checker, given),
        "tokenizer_config" => tokenizer_config(checker, given),
        "file" => file_lines(checker, given),
        "int" => {
            let [(value, _)] = given.positional.as_slice() else { return wrong(checker, given, "one number") };
            let value = value.clone();
            match &value {
                Value::Int { .. } => Some(value),
                Value::Float(Some(number)) => Some(Value::int(number.floor() as i64)),
                Value::Float(None) => Some(Value::Int { size: checker.unknown_size("int"), axis: None }),
                _ => wrong(checker, given, "one number"),
            }
        }
        "lower" => {
            let text = text(checker, given, 0)?;
            Some(Value::Str(text.map(|text| text.to_lowercase())))
        }
        _ => None,
    }
}

fn wrong(checker: &mut Checker<'_>, given: &Given<'_>, what: &str) -> Option<Value> {
    checker.report(Diagnostic::error("E0208", format!("`{}` takes {what}", given.name)).label(given.span, "in this call"));
    None
}

fn tensor(checker: &mut Checker<'_>, given: &Given<'_>, index: usize, like: DType) -> Option<Tensor> {
    match given.positional.get(index) {
        Some((value, span)) => {
            let (value, span) = (value.clone(), *span);
            checker.operand(&value, Some(like), span)
        }
        None => {
            wrong(checker, given, "a tensor");
            None
        }
    }
}

fn text(checker: &mut Checker<'_>, given: &Given<'_>, index: usize) -> Option<Option<String>> {
    match given.positional.get(index) {
        Some((Value::Str(text), _)) => Some(text.clone()),
        _ => {
            wrong(checker, given, "a text in quotes");
            None
        }
    }
}

fn axis_value(checker: &mut Checker<'_>, given: &Given<'_>, index: usize) -> Option<AxisRef> {
    match given.positional.get(index) {
        Some((Value::Int { axis: Some(axis), .. }, _)) => Some(*axis),
        _ => {
            wrong(checker, given, "the name of an axis");
            None
        }
    }
}

/// The axis that an expression names, if it is one of the tensor's.
fn axis_of(checker: &mut Checker<'_>, expr: &Expr, tensor: &Tensor, scope: &mut Scope) -> Option<AxisRef> {
    match checker.eval(expr, scope) {
        Value::Int { axis: Some(axis), .. } if tensor.axes.contains(&axis) => Some(axis),
        Value::Int { axis: Some(axis), .. } => {
            let shown = checker.show_tensor(tensor);
            let name = checker.axis(axis).name.clone();
            checker.report(
                Diagnostic::error("E0402", format!("the axis `{name}` is not an axis of this value"))
                    .label(expr.span, format!("the value is {shown}")),
            );
            None
        }
        Value::Error => None,
        other => {
            checker
                .report(Diagnostic::error("E0403", format!("an axis is wanted, not {}", other.describe())).label(expr.span, "not an axis"));
            None
        }
    }
}

/// One axis or a tuple of them.
fn axes_of(checker: &mut Checker<'_>, expr: &Expr, tensor: &Tensor, scope: &mut Scope) -> Option<Vec<AxisRef>> {
    if let ExprKind::Tuple(items) = &expr.kind {
        return items.iter().map(|item| axis_of(checker, item, tensor, scope)).collect();
    }
    if let ExprKind::Name(name) = &expr.kind
        && let Some(Value::Tuple(items)) = scope.env.get(name)
    {
        return items.iter().map(|item| if let Value::Int { axis, .. } = item { *axis } else { None }).collect();
    }
    Some(vec![axis_of(checker, expr, tensor, scope)?])
}

/// An axis made from a size, for results: a named size has its axis, any other gets a new one.
fn new_axis_of(checker: &mut Checker<'_>, expr: &Expr, scope: &mut Scope) -> Option<AxisRef> {
    match checker.eval(expr, scope) {
        Value::Int { axis: Some(axis), .. } => Some(axis),
        Value::Int { size, axis: None } => {
            let name = checker.library.sources.slice(expr.span).to_owned();
            Some(checker.new_axis(&name, size))
        }
        Value::Error => None,
        other => {
            checker
                .report(Diagnostic::error("E0403", format!("a size is wanted, not {}", other.describe())).label(expr.span, "not a size"));
            None
        }
    }
}

/// The argument whose name is an axis of the tensor, as in `split(x, hidden = (heads, dim_head))`.
fn axis_argument<'a>(checker: &mut Checker<'_>, given: &mut Given<'a>, x: &Tensor, scope: &Scope) -> Option<(AxisRef, &'a Expr)> {
    for index in 0..given.named.len() {
        let Some(name) = given.named[index].name.as_ref() else { continue };
        if let Some(Value::Int { axis: Some(axis), .. }) = scope.env.get(&name.text)
            && x.axes.contains(axis)
        {
            let arg = given.named.remove(index);
            return Some((*axis, &arg.value));
        }
    }
    let shown = checker.show_tensor(x);
    let at = given.named.first().and_then(|arg| arg.name.as_ref()).map_or(given.span, |name| name.span);
    checker.report(
        Diagnostic::error("E0402", format!("`{}` needs an axis of its value by name", given.name))
            .label(at, format!("the value is {shown}"))
            .help(format!("write `{}(x, axis = …)`", given.name)),
    );
    None
}

fn elementwise(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
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

fn two_numbers(checker: &mut Checker<'_>, given: &Given<'_>, op: BinaryOp, number: fn(f64, f64) -> f64) -> Option<Value> {
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

fn reduction(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    if let Some(over) = given.take("over") {
        let x = tensor(checker, given, 0, DType::F32)?;
        let axes = axes_of(checker, &over.value, &x, scope)?;
        let op = match given.name {
            "sum" => ReduceOp::Sum,
            "max" => ReduceOp::Max,
            _ => ReduceOp::Min,
        };
        return Some(Value::Tensor(checker.reduce(op, &x, &axes)));
    }
    match given.name {
        "max" => two_numbers(checker, given, BinaryOp::Max, f64::max),
        "min" => two_numbers(checker, given, BinaryOp::Min, f64::min),
        _ => wrong(checker, given, "a tensor and `over = axis`"),
    }
}

fn cast(checker: &mut Checker<'_>, given: &Given<'_>, dtype: DType) -> Option<Value> {
    let like = if dtype == DType::I32 { DType::I32 } else { DType::F32 };
    let x = tensor(checker, given, 0, like)?;
    Some(Value::Tensor(checker.cast(&x, dtype)))
}

fn select(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
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

fn contract(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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

fn tuple_axes(checker: &mut Checker<'_>, expr: &Expr, scope: &mut Scope) -> Option<Vec<AxisRef>> {
    match &expr.kind {
        ExprKind::Tuple(items) => items.iter().map(|item| new_axis_of(checker, item, scope)).collect(),
        _ => Some(vec![new_axis_of(checker, expr, scope)?]),
    }
}

fn check_product(checker: &mut Checker<'_>, whole: AxisRef, parts: &[AxisRef], span: Span) -> Option<()> {
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
    checker.report(if unknown && !ragged {
        diagnostic.help(format!("if they are always equal, say so: `where {shown_product} == {shown_size}`"))
    } else {
        diagnostic
    });
    None
}

fn split(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let x = tensor(checker, given, 0, DType::F32)?;
    let (axis, expr) = axis_argument(checker, given, &x, scope)?;
    let into = tuple_axes(checker, expr, scope)?;
    check_product(checker, axis, &into, expr.span)?;
    Some(Value::Tensor(checker.split(&x, axis, &into)))
}

fn merge(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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

fn rename(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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

fn at(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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

fn slice(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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
fn concat(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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
fn window_number(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope, name: &str, default: u64, least: u64) -> Option<u64> {
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
fn windows(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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

fn gather(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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
fn residues(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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

fn attention(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
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

/// A list, or the number of one that is not known.
fn list(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Result<Rc<Vec<Value>>, u32>> {
    match given.positional.first() {
        Some((Value::List(items), _)) => Some(Ok(Rc::clone(items))),
        Some((Value::UnknownList(id), _)) => Some(Err(*id)),
        _ => {
            wrong(checker, given, "a list");
            None
        }
    }
}

/// The length of a list that is not known: the same for the same list.
fn unknown_length(list: u32) -> Value {
    Value::Int { size: Size::atom(super::size::Atom::Var(list.wrapping_add(3 << 22), "len".to_owned())), axis: None }
}

fn head_or_tail(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let items = match list(checker, given)? {
        Ok(items) => items,
        Err(id) => return Some(unknown_element(given.name, id)),
    };
    let Some((first, rest)) = items.split_first() else {
        checker.report(
            Diagnostic::error("E0307", format!("`{}` of an empty list", given.name))
                .label(given.span, "no elements")
                .help("guard it with `if len(list) > 0`"),
        );
        return None;
    };
    Some(if given.name == "head" { first.clone() } else { Value::List(Rc::new(rest.to_vec())) })
}

/// The first element, or the rest, of a list that is not known: the same for the same list.
fn unknown_element(name: &str, list: u32) -> Value {
    /// Variables and lists made of unknown lists begin here.
    const FIRST: u32 = 1 << 22;
    if name == "tail" {
        return Value::UnknownList(list.wrapping_add(FIRST));
    }
    Value::Int { size: Size::atom(super::size::Atom::Var(list.wrapping_add(FIRST), "head".to_owned())), axis: None }
}

fn rounded_division(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
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

fn init(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let [(value, _)] = given.positional.as_slice() else { return wrong(checker, given, "one number") };
    if matches!(value, Value::Tensor(tensor) if tensor.per_sample) {
        let diagnostic = checker.ragged_parameter(None, given.span);
        checker.report(diagnostic);
        return None;
    }
    if !matches!(value, Value::Float(_) | Value::Int { .. }) {
        return wrong(checker, given, "one number");
    }
    let number = checker.as_number(value).unwrap_or(0.0);
    Some(Value::Init(match given.name {
        "normal" => Init::Normal { mean: 0.0, std: number },
        "uniform" => Init::Uniform { bound: number },
        _ => Init::Constant(number),
    }))
}

fn weights(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let path = text(checker, given, 0)?.unwrap_or_default();
    if given.name == "folder" {
        return Some(Value::Weights(WeightsValue::Folder(path)));
    }
    let revision = match given.take("revision") {
        None => None,
        Some(arg) => match checker.eval(&arg.value, scope) {
            Value::Str(text) => text,
            Value::Error => return None,
            _ => return wrong(checker, given, "a text for `revision`"),
        },
    };
    Some(Value::Weights(WeightsValue::Hub { repository: path, revision }))
}

/// `config("hidden_size")` or `config("key", default)`: a setting of the checkpoint's `config.json`.
fn config(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let key = text(checker, given, 0)?.unwrap_or_default();
    let default = given.positional.get(1).map(|(value, _)| value.clone());
    let Some(config) = checker.config.clone() else {
        checker.report(
            Diagnostic::error("E0315", format!("`{key}` is read from the configuration of a checkpoint, and there is none"))
                .label(given.span, "needs a checkpoint")
                .help("give the backbone `weights = folder(\"…\")`"),
        );
        return None;
    };
    setting(checker, given, &config, &key, "the checkpoint's configuration", default)
}

/// `tokenizer_config("do_lower_case", default)`: a setting of the `tokenizer_config.json` in the checkpoint's folder, or the default where
/// there is no such setting or no such file.
fn tokenizer_config(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let key = text(checker, given, 0)?.unwrap_or_default();
    let default = given.positional.get(1).map(|(value, _)| value.clone());
    let text = folder_text(checker, given, "tokenizer_config.json")?.unwrap_or_else(|| "{}".to_owned());
    match serde_json::from_str(&text) {
        Ok(config) => setting(checker, given, &config, &key, "the tokenizer's configuration", default),
        Err(error) => {
            let message = format!("`tokenizer_config.json` of the checkpoint is not JSON: {error}");
            checker.report(Diagnostic::error("E0315", message).label(given.span, "asked for here"));
            None
        }
    }
}

/// A value of a configuration, or the default where it is not there (or null).
fn setting(
    checker: &mut Checker<'_>,
    given: &Given<'_>,
    config: &serde_json::Value,
    key: &str,
    whose: &str,
    default: Option<Value>,
) -> Option<Value> {
    let found = match config.get(key) {
        None | Some(serde_json::Value::Null) if default.is_some() => return default,
        None | Some(serde_json::Value::Null) => Err(format!("{whose} has no `{key}`")),
        Some(value) => json_value(value).ok_or_else(|| format!("`{key}` of {whose} is not a number, text or truth value")),
    };
    match found {
        Ok(value) => Some(value),
        Err(message) => {
            checker.report(Diagnostic::error("E0315", message).label(given.span, "asked for here"));
            None
        }
    }
}

fn json_value(value: &serde_json::Value) -> Option<Value> {
    match value {
        serde_json::Value::Bool(truth) => Some(Value::Bool(Some(*truth))),
        serde_json::Value::String(text) => Some(Value::Str(Some(text.clone()))),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(Value::int(whole)),
            None => Some(Value::Float(number.as_f64())),
        },
        _ => None,
    }
}

/// `file("vocab.txt")`: the lines of a file of the checkpoint's folder.
fn file_lines(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let name = text(checker, given, 0)?.unwrap_or_default();
    match folder_text(checker, given, &name)? {
        Some(text) => {
            Some(Value::List(Rc::new(text.lines().map(|line| Value::Str(Some(line.trim_end_matches('\r').to_owned()))).collect())))
        }
        None => {
            let folder = checker.weights_folder.clone().unwrap_or_default();
            checker
                .report(Diagnostic::error("E0315", format!("the folder `{folder}` has no `{name}`")).label(given.span, "asked for here"));
            None
        }
    }
}

/// The text of a file of the checkpoint's folder; the inner `None` where the folder has no such file.
fn folder_text(checker: &mut Checker<'_>, given: &Given<'_>, name: &str) -> Option<Option<String>> {
    let Some(folder) = checker.weights_folder.clone() else {
        checker.report(
            Diagnostic::error("E0315", format!("`{name}` is a file of a checkpoint's folder, and there is none"))
                .label(given.span, "needs a checkpoint")
                .help("give the backbone `weights = folder(\"…\")`"),
        );
        return None;
    };
    match checker.world.folder_text(&folder, name) {
        Ok(text) => Some(text),
        Err(mut diagnostic) => {
            diagnostic.labels.push(mgx_diag::Label { span: given.span, text: "asked for here".to_owned() });
            checker.report(diagnostic);
            None
        }
    }
}
