//! The functions of the language itself. Everything else is written with them, in the standard library.

mod arithmetic;
mod checkpoint;
mod conversions;
mod lists;
mod shapes;
mod state;
mod statistics;

pub use checkpoint::json_value;
use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{BinaryOp, DType, Op};
use mgx_ir::plan::{Alphabet, Init};

use super::Checker;
use super::expr::Scope;
use super::value::{AxisRef, Column, Masking, Tensor, Value};
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
    "detach",
    "div",
    "each",
    "erf",
    "exp",
    "f",
    "file",
    "floor",
    "folder",
    "gather",
    "gene_list",
    "has_file",
    "head",
    "hub",
    "i",
    "identity",
    "int",
    "len",
    "log",
    "lower",
    "map",
    "mask_tokens",
    "masked",
    "max",
    "merge",
    "min",
    "named",
    "noise_level",
    "noise_tokens",
    "normal",
    "numbers",
    "positions",
    "pow",
    "random",
    "remember",
    "rename",
    "residues",
    "reverse_complement",
    "round",
    "route",
    "rsqrt",
    "run",
    "select",
    "sin",
    "size",
    "slice",
    "split",
    "sqrt",
    "steps",
    "sum",
    "tail",
    "tanh",
    "tokenizer_config",
    "training_balance",
    "training_deviation",
    "training_mean",
    "transcribe",
    "translate",
    "uniform",
    "windows",
];

/// Names of values, for suggestions.
pub const CONSTANTS: &[&str] = &["zeros", "ones", "dna", "rna", "protein", "text", "alignment", "pi", "training", "bf16", "frozen"];

/// How often `noise_tokens` uses a row in an epoch where nothing is said.
const COPIES: u64 = 10;

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
        "alignment" => Value::Alphabet(Alphabet::Alignment),
        "bf16" => Value::Variant(Some("bf16".to_owned())),
        "pi" => Value::Float(Some(std::f64::consts::PI)),
        _ => return None,
    })
}

/// The options of a function besides an axis of its value, and how many values it takes at most.
pub fn signature(name: &str) -> (&'static [&'static str], usize) {
    match name {
        "sum" => (&["over"], 1),
        "max" | "min" => (&["over"], 2),
        "contract" | "gather" => (&["over"], 2),
        "residues" | "numbers" | "training_balance" => (&["over"], 1),
        "attention" => (&["query", "key", "over", "scale"], 3),
        "route" => (&[], 3),
        "slice" => (&["from"], 1),
        "windows" => (&["stride", "dilation", "before", "fill"], 1),
        "mask_tokens" => (&["rate", "keep", "random"], 1),
        "noise_tokens" => (&["copies"], 1),
        "translate" => (&["stop", "partial"], 1),
        "folder" => (&["file"], 1),
        "hub" => (&["revision", "file"], 1),
        "concat" | "steps" | "map" => (&[], usize::MAX),
        "select" | "gene_list" => (&[], 3),
        "round" | "file" | "pow" | "div" | "ceil_div" | "config" | "tokenizer_config" | "named" => (&[], 2),
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
        "abs" | "exp" | "log" | "sqrt" | "rsqrt" | "tanh" | "erf" | "sin" | "cos" | "floor" => arithmetic::elementwise(checker, given),
        "round" => arithmetic::round(checker, given),
        "pow" => arithmetic::two_numbers(checker, given, BinaryOp::Pow, f64::powf),
        "max" | "min" | "sum" => arithmetic::reduction(checker, given, scope),
        "f" => arithmetic::cast(checker, given, DType::F32),
        "i" => arithmetic::cast(checker, given, DType::I32),
        "b" => arithmetic::cast(checker, given, DType::Bool),
        "detach" => {
            let x = tensor(checker, given, 0, DType::F32)?;
            Some(Value::Tensor(checker.emit(Op::Cast, &[&x], x.dtype, x.axes.clone(), x.per_sample)))
        }
        "select" => arithmetic::select(checker, given),
        "contract" => arithmetic::contract(checker, given, scope),
        "split" => shapes::split(checker, given, scope),
        "merge" => shapes::merge(checker, given, scope),
        "rename" => shapes::rename(checker, given, scope),
        "at" => shapes::at(checker, given, scope),
        "slice" => shapes::slice(checker, given, scope),
        "concat" => shapes::concat(checker, given, scope),
        "windows" => shapes::windows(checker, given, scope),
        "route" => route(checker, given),
        "steps" => steps(checker, given),
        "gather" => shapes::gather(checker, given, scope),
        "residues" => shapes::residues(checker, given, scope),
        "numbers" => statistics::numbers(checker, given, scope),
        "training_mean" | "training_deviation" | "training_balance" => statistics::of_training(checker, given, scope),
        "positions" => {
            let axis = axis_value(checker, given, 0)?;
            Some(Value::Tensor(checker.positions(axis)))
        }
        "masked" => {
            let axis = axis_value(checker, given, 0)?;
            checker.masked(axis, given.span).map(Value::Tensor)
        }
        "map" => lists::map(checker, given),
        "noise_level" => {
            let axis = axis_value(checker, given, 0)?;
            checker.noise_level(axis, given.span).map(Value::Tensor)
        }
        "mask_tokens" => mask_tokens(checker, given, scope),
        "reverse_complement" | "transcribe" | "translate" => conversions::convert(checker, given),
        "noise_tokens" => noise_tokens(checker, given, scope),
        "size" => {
            let axis = axis_value(checker, given, 0)?;
            let size = checker.axis_size(axis);
            Some(Value::Int { size, axis: Some(axis) })
        }
        "random" => {
            let x = tensor(checker, given, 0, DType::F32)?;
            Some(Value::Tensor(checker.random(&x)))
        }
        "attention" => shapes::attention(checker, given, scope),
        "remember" => state::remember(checker, given, scope),
        "len" => {
            let items = lists::list(checker, given)?;
            Some(items.map_or_else(lists::unknown_length, |items| Value::int(items.len() as i64)))
        }
        "named" => lists::named(checker, given),
        "head" | "tail" => lists::head_or_tail(checker, given),
        "div" | "ceil_div" => arithmetic::rounded_division(checker, given),
        "normal" | "uniform" | "identity" | "constant" => lists::init(checker, given),
        "folder" | "hub" => checkpoint::weights(checker, given, scope),
        "run" | "each" => {
            let text = text(checker, given, 0)?;
            Some(Value::Rule(given.name, text))
        }
        "config" => checkpoint::config(checker, given),
        "has_file" => checkpoint::has_file(checker, given),
        "tokenizer_config" => checkpoint::tokenizer_config(checker, given),
        "gene_list" => lists::gene_list(checker, given),
        "file" => checkpoint::file_lines(checker, given),
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

/// `mask_tokens(table.column, rate = 0.15, keep = 0.1, random = 0.1)`.
fn mask_tokens(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let Some((Value::Column(column), _)) = given.positional.first().cloned() else {
        return wrong(checker, given, "a column of sequences");
    };
    let mut share = |checker: &mut Checker<'_>, given: &mut Given<'_>, name: &str, default: f64, most: f64| match given.take(name) {
        Some(arg) => checker.number_in(&arg.value, scope, 0.0, most),
        None => Some(default.min(most)),
    };
    let rate = share(checker, given, "rate", 0.15, 1.0)?;
    let keep = share(checker, given, "keep", 0.1, 1.0)?;
    let random = share(checker, given, "random", 0.1, 1.0 - keep)?;
    Some(Value::Column(Column { masking: Some(Masking { rate, keep, random, copies: None, span: given.span }), ..column }))
}

/// `noise_tokens(table.column, copies = 10)`.
fn noise_tokens(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let Some((Value::Column(column), _)) = given.positional.first().cloned() else {
        return wrong(checker, given, "a column of sequences");
    };
    let copies = given.take("copies").map_or(Some(COPIES), |arg| checker.positive(&arg.value, scope))?;
    let span = given.span;
    match checker.experiment.copies {
        Some((other, first)) if other != copies => {
            let message = format!("the rows of an epoch are used {other} times and {copies} times");
            let diagnostic = Diagnostic::error("E0577", message).label(first, "here").label(span, "and here");
            checker.report(diagnostic.help("give both the same number of `copies`"));
            return None;
        }
        _ => checker.experiment.copies = Some((copies, span)),
    }
    let masking = Masking { rate: 0.0, keep: 0.0, random: 0.0, copies: Some(copies), span };
    Some(Value::Column(Column { masking: Some(masking), ..column }))
}

/// `route(x, chosen, parts)`.
fn route(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let Some((Value::Parts(parts), _)) = given.positional.get(2) else {
        return wrong(checker, given, "a value, which part is chosen for each of its rows, and parts that are repeated");
    };
    let parts = std::rc::Rc::clone(parts);
    let (x, chosen) = (tensor(checker, given, 0, DType::F32)?, tensor(checker, given, 1, DType::I32)?);
    if chosen.dtype != DType::I32 {
        let shown = checker.show_tensor(&chosen);
        checker.report(Diagnostic::error("E0303", "a choice is a whole number").label(given.positional[1].1, format!("is {shown}")));
        return None;
    }
    Some(checker.route(&x, &chosen, &parts, given.span))
}

/// `steps(layer, x, …)`: `x`, and what comes out of each of repeated parts that are applied one after another.
fn steps(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let [(Value::Parts(parts), _), _, ..] = given.positional.as_slice() else {
        return wrong(checker, given, "parts that are repeated, and the input of the first");
    };
    let parts = std::rc::Rc::clone(parts);
    let args = given.positional[1..].iter().map(|(value, place)| (None, value.clone(), *place)).collect();
    Some(Value::List(std::rc::Rc::new(checker.steps(&parts, args, given.span))))
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
pub fn axis_of(checker: &mut Checker<'_>, expr: &Expr, tensor: &Tensor, scope: &mut Scope) -> Option<AxisRef> {
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
