//! Operators: on sizes, numbers, truth values, texts, lists and tensors.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{BinaryOp, DType, UnaryOp};

use super::Checker;
use super::expr::Scope;
use super::size::{MAX_SIZE, Size};
use super::tensor::dtype_name;
use super::value::{Tensor, Value};
use crate::syntax::ast::{BinaryOperator, Expr, ExprKind, UnaryOperator};

/// The most bytes of a text, and the most elements of a list, that expressions make.
pub const MAX_LENGTH: usize = 1 << 16;

impl Checker<'_> {
    pub fn unary_operator(&mut self, op: UnaryOperator, value: &Value, span: Span) -> Value {
        match (op, value) {
            (_, Value::Error) => Value::Error,
            (UnaryOperator::Neg, Value::Int { size, .. }) => Value::Int { size: size.neg(), axis: None },
            (UnaryOperator::Neg, Value::Float(value)) => Value::Float(value.map(|value| -value)),
            (UnaryOperator::Not, Value::Bool(value)) => Value::Bool(value.map(|value| !value)),
            (UnaryOperator::Neg, Value::Tensor(tensor)) if tensor.dtype != DType::Bool => Value::Tensor(self.unary(UnaryOp::Neg, tensor)),
            (UnaryOperator::Not, Value::Tensor(tensor)) if tensor.dtype == DType::Bool => Value::Tensor(self.unary(UnaryOp::Not, tensor)),
            (_, other) => {
                let sign = if op == UnaryOperator::Neg { "-" } else { "!" };
                self.report(
                    Diagnostic::error("E0302", format!("`{sign}` cannot be used on {}", other.describe())).label(span, "this value"),
                );
                Value::Error
            }
        }
    }

    pub fn eval_binary(&mut self, op: BinaryOperator, op_span: Span, left: &Expr, right: &Expr, scope: &mut Scope) -> Value {
        let x = self.eval(left, scope);
        // `activation == relu`: the name of a variant, whatever else it may mean.
        if let (Value::Variant(variant), ExprKind::Name(name) | ExprKind::Str(name)) = (&x, &right.kind)
            && matches!(op, BinaryOperator::Eq | BinaryOperator::Ne)
        {
            return Value::Bool(variant.as_ref().map(|variant| (variant == name) == (op == BinaryOperator::Eq)));
        }
        // `a && b`, `a || b` look at `b` only if they have to.
        match (op, &x) {
            (BinaryOperator::And, Value::Bool(Some(false))) | (BinaryOperator::Or, Value::Bool(Some(true))) => return x,
            _ => {}
        }
        let y = self.eval(right, scope);
        self.binary_operator(op, op_span, (&x, left.span), (&y, right.span))
    }

    /// `x op y`.
    pub fn binary_operator(&mut self, op: BinaryOperator, op_span: Span, x: (&Value, Span), y: (&Value, Span)) -> Value {
        use BinaryOperator as B;
        match (x.0, y.0) {
            (Value::Error, _) | (_, Value::Error) => Value::Error,
            (Value::Absent, other) | (other, Value::Absent) if op == B::Add => other.clone(),
            (Value::None, other) | (other, Value::None) if matches!(op, B::Eq | B::Ne) => {
                let known = !matches!(other, Value::Int { size, .. } if !self.facts.apply(size).is_known());
                let equal = matches!(other, Value::None);
                Value::Bool(known.then_some(equal == (op == B::Eq)))
            }
            (Value::Int { size: a, .. }, Value::Int { size: b, .. }) => self.size_operator(op, op_span, a, b),
            (Value::Bool(a), Value::Bool(b)) => {
                let apply = |a: bool, b: bool| match op {
                    B::And => Some(a && b),
                    B::Or => Some(a || b),
                    B::Eq => Some(a == b),
                    B::Ne => Some(a != b),
                    _ => None,
                };
                if apply(true, true).is_none() {
                    return self.no_operator(op_span, x.0, y.0);
                }
                Value::Bool(match (a, b) {
                    (Some(a), Some(b)) => apply(*a, *b),
                    _ => None,
                })
            }
            (Value::Str(a) | Value::Variant(a), Value::Str(b) | Value::Variant(b)) if matches!(op, B::Eq | B::Ne) => {
                Value::Bool(a.as_ref().zip(b.as_ref()).map(|(a, b)| (a == b) == (op == B::Eq)))
            }
            (Value::Str(Some(a)), Value::Str(Some(b))) if op == B::Add && a.len() + b.len() > MAX_LENGTH => self.too_long("text", op_span),
            (Value::List(a), Value::List(b)) if op == B::Add && a.len() + b.len() > MAX_LENGTH => self.too_long("list", op_span),
            (Value::Str(a), Value::Str(b)) if op == B::Add => Value::Str(a.as_ref().zip(b.as_ref()).map(|(a, b)| format!("{a}{b}"))),
            (Value::List(a), Value::List(b)) if op == B::Add => Value::List(Rc::new(a.iter().chain(b.iter()).cloned().collect())),
            (Value::Tensor(_), _) | (_, Value::Tensor(_)) => self.tensor_operator(op, op_span, x, y),
            (Value::Float(_) | Value::Int { .. }, Value::Float(_) | Value::Int { .. }) => self.number_operator(op, op_span, x.0, y.0),
            (a, b) => self.no_operator(op_span, a, b),
        }
    }

    fn no_operator(&mut self, op_span: Span, x: &Value, y: &Value) -> Value {
        let show = |value: &Value| match value {
            Value::Tensor(tensor) => self.show_tensor(tensor),
            other => other.describe().to_owned(),
        };
        let message = format!("`{}` does not take {} and {}", self.library.sources.slice(op_span), show(x), show(y));
        self.report(Diagnostic::error("E0302", message).label(op_span, "this operator"));
        Value::Error
    }

    fn size_operator(&mut self, op: BinaryOperator, op_span: Span, a: &Size, b: &Size) -> Value {
        use BinaryOperator as B;
        let (a, b) = (self.facts.apply(a), self.facts.apply(b));
        let size = match op {
            B::Add => a.add(&b),
            B::Sub => a.sub(&b),
            B::Mul => a.mul(&b),
            B::Div => {
                if b.as_constant() == Some(0) {
                    self.report(Diagnostic::error("E0404", "division by zero").label(op_span, format!("{a} / 0")));
                    return Value::Error;
                }
                let Some(quotient) = a.exact_div(&b) else {
                    let mut diagnostic = Diagnostic::error("E0404", format!("`{a} / {b}` is not a whole number for certain"))
                        .label(op_span, format!("{a} / {b}"));
                    diagnostic = if a.as_constant().is_some() && b.as_constant().is_some() {
                        diagnostic.help("write `1.0 / 3` for a number with a fraction, `div` or `ceil_div` to round")
                    } else {
                        diagnostic.help(format!("say `where {a} % {b} == 0`, or round with `div` or `ceil_div`"))
                    };
                    self.report(diagnostic);
                    return Value::Error;
                };
                quotient
            }
            B::Rem => match (a.as_constant(), b.as_constant()) {
                (_, Some(0)) => {
                    self.report(Diagnostic::error("E0404", "division by zero").label(op_span, format!("{a} % 0")));
                    return Value::Error;
                }
                (Some(a), Some(b)) => Size::constant(a.checked_rem_euclid(b).unwrap_or(0)),
                _ if a.exact_div(&b).is_some() => Size::constant(0),
                _ => self.unknown_size("remainder"),
            },
            comparison => {
                let known = a.sub(&b).as_constant();
                return Value::Bool(match comparison {
                    B::Eq => known.map(|d| d == 0),
                    B::Ne => known.map(|d| d != 0),
                    B::Lt => known.map(|d| d < 0),
                    B::Le => known.map(|d| d <= 0),
                    B::Gt => known.map(|d| d > 0),
                    B::Ge => known.map(|d| d >= 0),
                    _ => return self.no_operator(op_span, &Value::int(0), &Value::int(0)),
                });
            }
        };
        self.sized(size, op_span)
    }

    /// A computed size, unless it is too large to count with.
    pub fn sized(&mut self, size: Size, span: Span) -> Value {
        if size.is_out_of_range() {
            self.report(
                Diagnostic::error("E0406", "this size is too large to count with")
                    .label(span, format!("comes to {size}"))
                    .help(format!("sizes go up to {MAX_SIZE}; a number with a fraction (`1.0 * x`) goes further")),
            );
            return Value::Error;
        }
        Value::Int { size, axis: None }
    }

    pub fn too_long(&mut self, what: &str, span: Span) -> Value {
        self.report(
            Diagnostic::error("E0406", format!("this {what} is too long")).label(span, format!("more than {MAX_LENGTH} elements here")),
        );
        Value::Error
    }

    fn number_operator(&mut self, op: BinaryOperator, op_span: Span, x: &Value, y: &Value) -> Value {
        use BinaryOperator as B;
        // A length of the sample in arithmetic with a fraction is a number of each sample.
        let ragged = |value: &Value| matches!(value, Value::Int { size, .. } if size.is_ragged());
        if ragged(x) || ragged(y) {
            let span = op_span;
            let (Some(a), Some(b)) = (self.operand(x, Some(DType::F32), span), self.operand(y, Some(DType::F32), span)) else {
                return Value::Error;
            };
            return self.tensor_operator(op, op_span, (&Value::Tensor(a), span), (&Value::Tensor(b), span));
        }
        let (a, b) = (self.as_number(x), self.as_number(y));
        let both = a.zip(b);
        match op {
            B::Add => Value::Float(both.map(|(a, b)| a + b)),
            B::Sub => Value::Float(both.map(|(a, b)| a - b)),
            B::Mul => Value::Float(both.map(|(a, b)| a * b)),
            B::Div => Value::Float(both.map(|(a, b)| a / b)),
            B::Rem => Value::Float(both.map(|(a, b)| a.rem_euclid(b))),
            B::Eq => Value::Bool(both.map(|(a, b)| a == b)),
            B::Ne => Value::Bool(both.map(|(a, b)| a != b)),
            B::Lt => Value::Bool(both.map(|(a, b)| a < b)),
            B::Le => Value::Bool(both.map(|(a, b)| a <= b)),
            B::Gt => Value::Bool(both.map(|(a, b)| a > b)),
            B::Ge => Value::Bool(both.map(|(a, b)| a >= b)),
            B::And | B::Or => self.no_operator(op_span, x, y),
        }
    }

    /// A number that is known.
    pub fn as_number(&self, value: &Value) -> Option<f64> {
        match value {
            Value::Float(value) => *value,
            Value::Int { size, .. } => self.facts.apply(size).as_constant().map(|value| value as f64),
            _ => None,
        }
    }

    fn tensor_operator(&mut self, op: BinaryOperator, op_span: Span, x: (&Value, Span), y: (&Value, Span)) -> Value {
        use BinaryOperator as B;
        let dtype_of = |value: &Value| if let Value::Tensor(tensor) = value { Some(tensor.dtype) } else { None };
        let (a_type, b_type) = (dtype_of(x.0), dtype_of(y.0));
        let Some(a) = self.operand(x.0, a_type.or(b_type), x.1) else { return Value::Error };
        let Some(b) = self.operand(y.0, b_type.or(a_type), y.1) else { return Value::Error };
        if a.dtype != b.dtype {
            self.report(
                Diagnostic::error("E0303", format!("element types differ: {} and {}", dtype_name(a.dtype), dtype_name(b.dtype)))
                    .label(op_span, "between these")
                    .label(x.1, self.show_tensor(&a))
                    .label(y.1, self.show_tensor(&b))
                    .help("convert one with `f(…)` or `i(…)`"),
            );
            return Value::Error;
        }
        let op = match op {
            B::Add => BinaryOp::Add,
            B::Sub => BinaryOp::Sub,
            B::Mul => BinaryOp::Mul,
            B::Div => BinaryOp::Div,
            B::Rem => BinaryOp::Rem,
            B::Eq => BinaryOp::Eq,
            B::Ne => BinaryOp::Ne,
            B::Lt => BinaryOp::Lt,
            B::Le => BinaryOp::Le,
            B::Gt => BinaryOp::Gt,
            B::Ge => BinaryOp::Ge,
            B::And => BinaryOp::And,
            B::Or => BinaryOp::Or,
        };
        let logical = matches!(op, BinaryOp::And | BinaryOp::Or);
        if logical != (a.dtype == DType::Bool) && !matches!(op, BinaryOp::Eq | BinaryOp::Ne) {
            return self.no_operator(op_span, &Value::Tensor(a), &Value::Tensor(b));
        }
        if !self.aligned(&a, &b, op_span, x.1, y.1) {
            return Value::Error;
        }
        Value::Tensor(self.binary(op, &a, &b))
    }

    /// Elementwise operands align by name; two axes with one name but two identities are almost always a mistake.
    fn aligned(&mut self, a: &Tensor, b: &Tensor, op_span: Span, a_span: Span, b_span: Span) -> bool {
        let only = |x: &Tensor, y: &Tensor| x.axes.iter().filter(|axis| !y.axes.contains(axis)).copied().collect::<Vec<_>>();
        let (left, right) = (only(a, b), only(b, a));
        for x in &left {
            for y in &right {
                if self.axis(*x).name == self.axis(*y).name {
                    let name = self.axis(*x).name.clone();
                    self.report(
                        Diagnostic::error("E0402", format!("two different axes `{name}` meet"))
                            .label(op_span, "these do not align")
                            .label(a_span, self.show_tensor(a))
                            .label(b_span, self.show_tensor(b))
                            .help("rename one of them with `rename(x, axis = other)`"),
                    );
                    return false;
                }
            }
        }
        true
    }
}
