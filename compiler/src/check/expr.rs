//! Expressions: names, numbers, operators, branches, calls.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Edit, Span, nearest};

use super::Checker;
use super::builtins;
use super::library::Library;
use super::operators::MAX_LENGTH;
use super::value::{Env, Instance, Value};
use crate::syntax::ast::{Expr, ExprKind, ItemKind, Name, UnaryOperator};

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
pub const MAX_DEPTH: u32 = 400;
/// The most expressions that are evaluated for one experiment; one of the largest models, with 7 billion parameters, takes 24 thousand.
const MAX_STEPS: u32 = 1_000_000;

/// What a `match` is of.
enum Matched {
    /// A choice or a text.
    Word(String),
    Number(f64),
    Truth(bool),
    None,
}

impl Matched {
    fn is(&self, pattern: &ExprKind) -> bool {
        match (self, pattern) {
            (Self::Word(word), ExprKind::Name(name) | ExprKind::Str(name)) => word == name,
            (Self::Number(number), pattern) => number_of(pattern) == Some(*number),
            (Self::Truth(truth), ExprKind::Bool(other)) => truth == other,
            (Self::None, ExprKind::None) => true,
            _ => false,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::None => "none".to_owned(),
        }
    }
}

/// A number as a pattern: `3`, `-0.5`.
fn number_of(pattern: &ExprKind) -> Option<f64> {
    match pattern {
        ExprKind::Int(number) => Some(*number as f64),
        ExprKind::Float(number) => Some(*number),
        ExprKind::Unary(UnaryOperator::Neg, inner) => number_of(&inner.kind).map(|number| -number),
        _ => None,
    }
}

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
        if self.record.is_some() && !self.library.files[scope.file].is_std {
            self.note(expr.span, &value, scope.experiment);
        }
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
            // Where inside the library the steps ran out says nothing.
            let place = if self.is_std_span(span) { self.call_site } else { span };
            Diagnostic::error("E0210", "the evaluation takes too many steps")
                .label(place, "still not at the end here")
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
                self.member(&base_value, name, base.span)
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
            ExprKind::With(part, rewrite) => self.eval_with(part, rewrite, scope),
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
        // Fields of an experiment may come from the file of another.
        let file = self.library.file_of(span.file).unwrap_or(scope.file);
        if let Some(item) = self.library.lookup(file, name) {
            if let ItemKind::Data(_) = self.library.item(item).kind {
                return self.table_of(item).map_or(Value::Error, Value::Table);
            }
            return Value::Item(item);
        }
        if let Some(value) = builtins::named_constant(name) {
            return value;
        }
        if name == "frozen" {
            return Value::Bool(self.emission.is_some().then_some(!self.trainable));
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
            diagnostic = diagnostic.fix_if(format!("Add `{import}`"), self.library.add_import(span, &import));
        } else if let Some(near) = nearest(name, candidates.iter().map(String::as_str)) {
            diagnostic = diagnostic.did_you_mean(span, near);
        } else if let Some(near) = nearest(name, library.iter().map(String::as_str))
            && let Some(import) = Library::std_import(near)
        {
            diagnostic = diagnostic.help(format!("did you mean `{near}`? Import it: `{import}`"));
            if let Some(added) = self.library.add_import(span, &import) {
                diagnostic = diagnostic.fix_all(format!("Change to `{near}` and import it"), vec![added, Edit::replace(span, near)]);
            }
        }
        self.report(diagnostic);
    }

    pub fn member(&mut self, base: &Value, name: &Name, base_span: Span) -> Value {
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
                if let Some(Value::Part(base)) = env.get("base")
                    && base.env.borrow().get(&name.text).is_some()
                {
                    let shown = instance.key.clone();
                    drop(env);
                    return self.used_elsewhere(&shown, name, base_span);
                }
                env.vars.iter().map(|(name, _)| name.clone()).collect()
            }
            Value::Table(table) => return self.column(*table, name),
            Value::Backbone(backbone) => return self.backbone_part(backbone, name, base_span),
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
            diagnostic = diagnostic.did_you_mean(name.span, near);
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
        let subject_value = match &value {
            Value::Variant(text) | Value::Str(text) => text.clone().map(Matched::Word),
            Value::Int { size, .. } if !size.is_ragged() => self.as_number(&value).map(Matched::Number),
            Value::Float(number) => number.map(Matched::Number),
            Value::Bool(truth) => truth.map(Matched::Truth),
            Value::None => Some(Matched::None),
            Value::Error => return Value::Error,
            other => {
                self.report(
                    Diagnostic::error(
                        "E0304",
                        format!("`match` needs a choice, a text, a number, a truth value or `none`, not {}", other.describe()),
                    )
                    .label(subject.span, "this value"),
                );
                return Value::Error;
            }
        };
        // Not known while a module is checked by itself: all must be right, and the first tells the type.
        let Some(subject_value) = subject_value else {
            let mut values: Vec<Value> = arms.iter().map(|(_, result)| self.eval(result, scope)).collect();
            values.retain(|value| !value.is_error());
            return values.into_iter().next().unwrap_or(Value::Error);
        };
        if let Some((_, result)) = arms.iter().find(|(pattern, _)| pattern.as_ref().is_none_or(|pattern| subject_value.is(&pattern.kind))) {
            return self.eval(result, scope);
        }
        let shown = subject_value.shown();
        self.report(
            Diagnostic::error("E0309", format!("`match` has no arm for `{shown}`"))
                .label(subject.span, format!("is `{shown}`"))
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
}
