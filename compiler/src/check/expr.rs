//! Expressions: names, numbers, operators, branches, calls.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span, nearest};
use mgx_ir::graph::{BinaryOp, DType, UnaryOp};

use super::Checker;
use super::builtins;
use super::call::Callee;
use super::library::{ItemRef, Library};
use super::size::{MAX_SIZE, Size};
use super::tensor::dtype_name;
use super::value::{Env, Instance, Tensor, Value};
use crate::syntax::ast::{Arg, BinaryOperator, Expr, ExprKind, Function, ItemKind, MemberKind, Module, Name, UnaryOperator};

/// Where an expression stands.
pub struct Scope {
    pub file: usize,
    pub env: Env,
    /// Inside an experiment, names may be tables and calls of modules wait for their input.
    pub experiment: bool,
    /// The part whose functions are called by their bare names.
    pub instance: Option<Rc<Instance>>,
}

/// How deep expressions in expressions, calls in calls and parts in parts may nest: recursion of modules over a list ends long before.
pub const MAX_DEPTH: u32 = 512;
/// The most expressions that are evaluated for one experiment; one of the largest models, with 7 billion parameters, takes 24 thousand.
const MAX_STEPS: u32 = 1_000_000;
/// The most bytes of a text, and the most elements of a list, that expressions make.
const MAX_LENGTH: usize = 1 << 16;

impl Checker<'_> {
    /// Evaluates an expression; problems are reported and give [`Value::Error`].
    pub fn eval(&mut self, expr: &Expr, scope: &mut Scope) -> Value {
        let outer = std::mem::replace(&mut self.span, expr.span);
        let outer_site = self.call_site;
        if !self.library.files[scope.file].is_std {
            self.call_site = expr.span;
        }
        self.depth += 1;
        let value = if self.goes_on(expr.span) { self.eval_kind(expr, scope) } else { Value::Error };
        self.depth -= 1;
        self.call_site = outer_site;
        self.span = outer;
        value
    }

    /// Counts a step of the evaluation; false where it has no end in sight, which is reported once.
    pub fn goes_on(&mut self, span: Span) -> bool {
        if self.steps > MAX_STEPS {
            return false;
        }
        self.steps += 1;
        let diagnostic = if self.depth > MAX_DEPTH {
            let (name, place) = self.library.item_at(span).map_or(("this", span), |(name, place)| (name, place));
            Diagnostic::error("E0210", format!("the evaluation of `{name}` does not come to an end"))
                .label(place, "uses itself again and again")
                .help("a module or a function may use itself only for less: for a shorter list, or under a condition")
        } else if self.steps > MAX_STEPS {
            Diagnostic::error("E0210", "the evaluation takes too many steps")
                .label(span, "still not at the end here")
                .help("something is repeated too often, or uses itself too often: lower the numbers")
        } else {
            return true;
        };
        // One finding is enough: everything else would be about the same.
        self.steps = MAX_STEPS + 1;
        self.report(diagnostic);
        false
    }

    fn eval_kind(&mut self, expr: &Expr, scope: &mut Scope) -> Value {
        match &expr.kind {
            ExprKind::Int(value) => Value::int(*value),
            ExprKind::Float(value) => Value::Float(Some(*value)),
            ExprKind::Bool(value) => Value::Bool(Some(*value)),
            ExprKind::Str(text) => self.interpolate(text, scope, expr.span),
            ExprKind::None => Value::None,
            ExprKind::Name(name) => self.eval_name(name, expr.span, scope),
            ExprKind::Member(base, name) => {
                let base_value = self.eval(base, scope);
                self.member(&base_value, name, base.span, scope)
            }
            ExprKind::Index(base, index) => self.eval_index(base, index, scope),
            ExprKind::Call(callee, args) => self.eval_call(callee, args, expr.span, scope),
            ExprKind::Unary(op, operand) => {
                let value = self.eval(operand, scope);
                self.unary_operator(*op, &value, operand.span)
            }
            ExprKind::Binary(op, op_span, left, right) => self.eval_binary(*op, *op_span, left, right, scope),
            ExprKind::Pipe(input, target) => {
                let value = self.eval(input, scope);
                self.eval_pipe(value, input.span, target, scope)
            }
            ExprKind::With(part, rewrite) => {
                let name = match &rewrite.kind {
                    ExprKind::Call(callee, _) => callee.as_ref(),
                    _ => rewrite.as_ref(),
                };
                let shown = if let ExprKind::Name(name) = &name.kind { name.clone() } else { "this".to_owned() };
                self.report(
                    Diagnostic::error("E0209", format!("`{shown}` is not a rewrite of a network that this version knows"))
                        .label(name.span, "unknown rewrite")
                        .label(part.span, "of this part")
                        .help("remove `with …`, or set `frozen = true` to train the adapter alone"),
                );
                Value::Error
            }
            ExprKind::If(condition, yes, no) => self.eval_if(condition, yes, no, scope),
            ExprKind::Match(subject, arms) => self.eval_match(subject, arms, expr.span, scope),
            ExprKind::Block(bindings, result) => {
                let depth = scope.env.vars.len();
                for binding in bindings {
                    let value = self.eval(&binding.value, scope);
                    self.bind_let(&binding.names, value, binding.value.span, scope);
                }
                let value = self.eval(result, scope);
                scope.env.vars.truncate(depth);
                value
            }
            ExprKind::List(items) => Value::List(Rc::new(items.iter().map(|item| self.eval(item, scope)).collect())),
            ExprKind::Tuple(items) => Value::Tuple(Rc::new(items.iter().map(|item| self.eval(item, scope)).collect())),
            ExprKind::Record(fields) => {
                Value::Record(Rc::new(fields.iter().map(|(name, value)| (name.text.clone(), self.eval(value, scope))).collect()))
            }
            ExprKind::Error => Value::Error,
        }
    }

    /// A name gets its own axis when it is bound to a size.
    pub fn named_size(&mut self, name: &str, value: Value) -> Value {
        match value {
            Value::Int { size, axis: None } => {
                let axis = self.new_axis(name, size.clone());
                Value::Int { size, axis: Some(axis) }
            }
            other => other,
        }
    }

    /// A size bound inside a function: the same line with the same size is the same axis at every call, so that what does not depend on the call
    /// (the angles of rotary positions, say) is the same value in every layer and computed once.
    fn local_size(&mut self, name: &Name, value: Value) -> Value {
        let Value::Int { size, axis: None } = &value else { return value };
        if self.emission.is_none() {
            return self.named_size(&name.text, value);
        }
        let key = (name.span, self.facts.apply(size));
        if let Some((_, axis)) = self.local_axes.iter().find(|(other, _)| *other == key) {
            return Value::Int { size: size.clone(), axis: Some(*axis) };
        }
        let bound = self.named_size(&name.text, value.clone());
        if let Value::Int { axis: Some(axis), .. } = &bound {
            self.local_axes.push((key, *axis));
        }
        bound
    }

    fn bind_let(&mut self, names: &[Name], value: Value, span: Span, scope: &mut Scope) {
        if let [name] = names {
            let value = self.local_size(name, value);
            scope.env.set(&name.text, value);
            return;
        }
        let parts: Vec<Value> = match &value {
            Value::Tuple(items) if items.len() == names.len() => items.to_vec(),
            Value::Record(fields) if fields.len() == names.len() => fields.iter().map(|(_, value)| value.clone()).collect(),
            Value::Error => vec![Value::Error; names.len()],
            other => {
                self.report(
                    Diagnostic::error("E0305", format!("{} cannot be taken apart into {} names", other.describe(), names.len()))
                        .label(span, "this value"),
                );
                vec![Value::Error; names.len()]
            }
        };
        for (name, part) in names.iter().zip(parts) {
            let part = self.named_size(&name.text, part);
            scope.env.set(&name.text, part);
        }
    }

    fn eval_name(&mut self, name: &str, span: Span, scope: &Scope) -> Value {
        if let Some(value) = scope.env.get(name) {
            return value.clone();
        }
        if let Some(item) = self.library.lookup(scope.file, name) {
            if let ItemKind::Data(_) = self.library.item(item).kind {
                return self.table_of(item).map_or(Value::Error, Value::Table);
            }
            return Value::Item(item);
        }
        if let Some(value) = builtins::named_constant(name) {
            return value;
        }
        if name == "training" {
            return Value::Bool(self.emission.as_ref().map(|emission| emission.training));
        }
        if let Some(name) = builtins::lookup(name) {
            return Value::Builtin(name);
        }
        self.unknown_name(name, span, scope);
        Value::Error
    }

    fn unknown_name(&mut self, name: &str, span: Span, scope: &Scope) {
        if self.library.files[scope.file].lost.contains(name) {
            self.reported += 1;
            return;
        }
        let candidates: Vec<String> = scope
            .env
            .vars
            .iter()
            .map(|(name, _)| name.clone())
            .chain(self.library.visible(scope.file).map(str::to_owned))
            .chain(builtins::NAMES.iter().chain(builtins::CONSTANTS).map(|name| (*name).to_owned()))
            .collect();
        let mut diagnostic = Diagnostic::error("E0204", format!("`{name}` is not defined")).label(span, "not found");
        let library: Vec<String> = crate::stdlib::names("std");
        if let Some(import) = Library::std_import(name) {
            diagnostic = diagnostic.help(format!("import it: `{import}`"));
        } else if let Some(near) = nearest(name, candidates.iter().map(String::as_str)) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else if let Some(near) = nearest(name, library.iter().map(String::as_str))
            && let Some(import) = Library::std_import(near)
        {
            diagnostic = diagnostic.help(format!("did you mean `{near}`? Import it: `{import}`"));
        }
        self.report(diagnostic);
    }

    fn member(&mut self, base: &Value, name: &Name, base_span: Span, _scope: &Scope) -> Value {
        let known: Vec<String> = match base {
            Value::Record(fields) => {
                if let Some((_, value)) = fields.iter().find(|(other, _)| *other == name.text) {
                    return value.clone();
                }
                fields.iter().map(|(name, _)| name.clone()).collect()
            }
            Value::Part(instance) => {
                let env = instance.env.borrow();
                if let Some(value) = env.get(&name.text) {
                    let value = value.clone();
                    drop(env);
                    return match value {
                        // A parameter is seen under the axes that the part was given.
                        Value::Tensor(tensor) => {
                            let outer = instance.outer.borrow().clone();
                            Value::Tensor(self.rename(&tensor, &outer))
                        }
                        other => other,
                    };
                }
                if instance.shallow {
                    drop(env);
                    return self.declared_member(instance, name);
                }
                env.vars.iter().map(|(name, _)| name.clone()).collect()
            }
            Value::Table(table) => return self.column(*table, name),
            Value::Error => return Value::Error,
            other => {
                let mut diagnostic = Diagnostic::error("E0306", format!("{} has no parts", other.describe()))
                    .label(name.span, "no such part")
                    .label(base_span, format!("this is {}", other.describe()));
                if let Value::Parts(_) = other {
                    diagnostic = diagnostic.help("choose one of the repeated parts by its number: `layer[0]`");
                }
                self.report(diagnostic);
                return Value::Error;
            }
        };
        let mut diagnostic = Diagnostic::error("E0205", format!("there is no `{}` here", name.text))
            .label(name.span, "not found")
            .label(base_span, "in this");
        if let Some(near) = nearest(&name.text, known.iter().map(String::as_str)) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic);
        Value::Error
    }

    fn eval_index(&mut self, base: &Expr, index: &Expr, scope: &mut Scope) -> Value {
        let value = self.eval(base, scope);
        let at = self.eval(index, scope);
        if value.is_error() || at.is_error() {
            return Value::Error;
        }
        let Value::Int { size, .. } = &at else {
            self.report(
                Diagnostic::error("E0308", format!("an index is a whole number, not {}", at.describe())).label(index.span, "this value"),
            );
            return Value::Error;
        };
        let position = self.facts.apply(size).as_constant();
        match (&value, position) {
            // Not known while a module is checked by itself: any element stands for all.
            (Value::List(items), None) => items.first().cloned().unwrap_or(Value::Error),
            (Value::Parts(parts), None) => parts.first().map_or(Value::Error, |part| Value::Part(Rc::clone(part))),
            (Value::UnknownList(_), _) => Value::Int { size: self.unknown_size("element"), axis: None },
            (Value::List(items), Some(position)) => {
                if let Some(item) = usize::try_from(position).ok().and_then(|position| items.get(position)) {
                    return item.clone();
                }
                self.report(
                    Diagnostic::error("E0307", format!("there is no element {position} in a list of {}", items.len()))
                        .label(index.span, "out of range"),
                );
                Value::Error
            }
            (Value::Parts(parts), Some(position)) => match usize::try_from(position).ok().and_then(|position| parts.get(position)) {
                Some(part) => Value::Part(Rc::clone(part)),
                None => {
                    self.report(
                        Diagnostic::error("E0307", format!("there is no part {position} of {}", parts.len()))
                            .label(index.span, "out of range"),
                    );
                    Value::Error
                }
            },
            (other, _) => {
                self.report(
                    Diagnostic::error("E0308", format!("{} cannot be indexed", other.describe()))
                        .label(base.span, "this value")
                        .help("for a position along an axis write `at(x, axis = 0)`"),
                );
                Value::Error
            }
        }
    }

    fn eval_if(&mut self, condition: &Expr, yes: &Expr, no: &Expr, scope: &mut Scope) -> Value {
        match self.eval(condition, scope) {
            Value::Bool(Some(true)) => self.eval(yes, scope),
            Value::Bool(Some(false)) => self.eval(no, scope),
            // Not known while a module is checked by itself: both must be right, and the first tells the type.
            Value::Bool(None) => {
                let first = self.eval(yes, scope);
                let second = self.eval(no, scope);
                if first.is_error() { second } else { first }
            }
            Value::Error => Value::Error,
            Value::Tensor(_) => {
                self.report(
                    Diagnostic::error("E0304", "a condition must be known when the program is compiled")
                        .label(condition.span, "depends on the data")
                        .help("choose element by element with `select(condition, a, b)`"),
                );
                Value::Error
            }
            other => {
                self.report(
                    Diagnostic::error("E0304", format!("a condition is a truth value, not {}", other.describe()))
                        .label(condition.span, "used as a condition"),
                );
                Value::Error
            }
        }
    }

    fn eval_match(&mut self, subject: &Expr, arms: &[(Option<Expr>, Expr)], span: Span, scope: &mut Scope) -> Value {
        let value = self.eval(subject, scope);
        let text = match &value {
            Value::Variant(Some(text)) | Value::Str(Some(text)) => text.clone(),
            Value::Variant(None) | Value::Str(None) => {
                let mut values: Vec<Value> = arms.iter().map(|(_, result)| self.eval(result, scope)).collect();
                values.retain(|value| !value.is_error());
                return values.into_iter().next().unwrap_or(Value::Error);
            }
            Value::Error => return Value::Error,
            other => {
                self.report(
                    Diagnostic::error("E0304", format!("`match` needs a choice or a text, not {}", other.describe()))
                        .label(subject.span, "this value"),
                );
                return Value::Error;
            }
        };
        for (pattern, result) in arms {
            let matches = match pattern.as_ref().map(|pattern| &pattern.kind) {
                None => true,
                Some(ExprKind::Name(name) | ExprKind::Str(name)) => *name == text,
                Some(_) => false,
            };
            if matches {
                return self.eval(result, scope);
            }
        }
        self.report(
            Diagnostic::error("E0309", format!("`match` has no arm for `{text}`"))
                .label(subject.span, format!("is `{text}`"))
                .label(span, "in this match")
                .help("add an arm for it, or `_ => …`"),
        );
        Value::Error
    }

    /// Fills `{name}` in a text; `{{` and `}}` are braces.
    fn interpolate(&mut self, text: &str, scope: &mut Scope, span: Span) -> Value {
        if !text.contains(['{', '}']) {
            return Value::Str(Some(text.to_owned()));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if rest.starts_with(brace) {
                out.push_str(brace);
                rest = &rest[1..];
                continue;
            }
            let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
                self.report(
                    Diagnostic::error("E0310", "a brace in a text without its partner")
                        .label(span, "in this text")
                        .help("write `\\{` or `\\}` for a brace itself"),
                );
                return Value::Error;
            };
            rest = after;
            match self.eval_name(name.trim(), span, scope) {
                Value::Int { size, .. } if !size.is_ragged() => match self.facts.apply(&size).as_constant() {
                    Some(number) => out.push_str(&number.to_string()),
                    None => return Value::Str(None),
                },
                Value::Str(Some(inner)) | Value::Variant(Some(inner)) => out.push_str(&inner),
                Value::Float(Some(number)) => out.push_str(&number.to_string()),
                Value::Bool(Some(truth)) => out.push_str(&truth.to_string()),
                Value::Str(None) | Value::Variant(None) | Value::Float(None) | Value::Bool(None) => return Value::Str(None),
                Value::Error => return Value::Error,
                Value::Int { .. } => {
                    self.report(
                        Diagnostic::error("E0310", format!("`{}` differs from sample to sample and has no place in a text", name.trim()))
                            .label(span, "in this text"),
                    );
                    return Value::Error;
                }
                other => {
                    let message = format!("`{}` is {}, which has no place in a text", name.trim(), other.describe());
                    self.report(
                        Diagnostic::error("E0310", message).label(span, "in this text").help("numbers, texts and choices can be filled in"),
                    );
                    return Value::Error;
                }
            }
            if out.len() > MAX_LENGTH {
                return self.too_long("text", span);
            }
        }
        out.push_str(rest);
        Value::Str(Some(out))
    }

    fn unary_operator(&mut self, op: UnaryOperator, value: &Value, span: Span) -> Value {
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

    fn eval_binary(&mut self, op: BinaryOperator, op_span: Span, left: &Expr, right: &Expr, scope: &mut Scope) -> Value {
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

    fn too_long(&mut self, what: &str, span: Span) -> Value {
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

    fn eval_pipe(&mut self, input: Value, input_span: Span, target: &Expr, scope: &mut Scope) -> Value {
        if !self.library.files[scope.file].is_std {
            self.call_site = target.span;
        }
        match &target.kind {
            ExprKind::Call(callee, args) => {
                let head = self.eval(callee, scope);
                if scope.experiment && self.waits_for_input(&head) {
                    let pending = self.call_value(&head, callee, args, target.span, scope);
                    return self.apply(&pending, vec![(input, input_span)], target.span);
                }
                self.call_with_first(&head, callee, Some((input, input_span)), args, target.span, scope)
            }
            _ => {
                let head = self.eval(target, scope);
                if scope.experiment && self.waits_for_input(&head) {
                    let pending = self.call_value(&head, target, &[], target.span, scope);
                    return self.apply(&pending, vec![(input, input_span)], target.span);
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

    fn eval_call(&mut self, callee: &Expr, args: &[Arg], span: Span, scope: &mut Scope) -> Value {
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
        let mut values: Vec<(Option<Name>, Value, Span)> = first.into_iter().map(|(value, span)| (None, value, span)).collect();
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
