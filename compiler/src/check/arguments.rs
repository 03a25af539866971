//! Arguments: evaluating them for parameters, putting them in order, and their types.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span, nearest};

use super::Checker;
use super::call::Args;
use super::expr::Scope;
use super::settings::TRAIN_FIELDS;
use super::value::Value;
use crate::syntax::ast::{Arg, Body, Expr, ExprKind, Name, Param, TypeExpr, TypeExprKind};

/// The types of options that have no axes.
pub(super) const TYPES: [&str; 12] = ["int", "dim", "float", "bool", "str", "name", "path", "init", "axis", "part", "weights", "enum"];

/// The types that have axes: tensors, and in tasks labels.
pub(super) const TENSOR_TYPES: [&str; 9] = ["f", "i", "b", "Tokens", "class", "labels", "contacts", "real", "tokens"];

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

/// Is it `[name]`: names of parts, which are written bare?
pub fn is_names(ty: &TypeExpr) -> bool {
    match &ty.kind {
        TypeExprKind::Optional(inner) => is_names(inner),
        TypeExprKind::List(inner) => matches!(&inner.kind, TypeExprKind::Named { name, .. } if name.text == "name"),
        _ => false,
    }
}

impl Checker<'_> {
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
                Some(near) => diagnostic.did_you_mean(expr.span, near),
                None => diagnostic.help(format!("the choices are: {}", variants.join(", "))),
            };
            self.report(diagnostic);
            return Value::Error;
        }
        if let (ExprKind::List(_), true) = (&expr.kind, ty.is_some_and(is_names)) {
            let Some(names) = self.part_names("this", expr, scope) else { return Value::Error };
            return Value::List(Rc::new(names.into_iter().map(|name| Value::Str(Some(name.text))).collect()));
        }
        self.eval(expr, scope)
    }

    /// Evaluates the arguments of a function or a module with its parameters at hand.
    pub fn eval_args_for(&mut self, params: &[Param], first: Option<(Value, Span)>, args: &[Arg], scope: &mut Scope) -> Args {
        let mut values: Args = spread(first).map(|(value, span)| (None, value, span)).collect();
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

    /// Puts arguments in the order of the parameters; reports unknown, doubled and surplus ones.
    pub fn arrange(&mut self, what: &str, params: &[Param], args: Args, span: Span) -> Option<Vec<Option<(Value, Span)>>> {
        let mut slots: Vec<Option<(Value, Span)>> = vec![None; params.len()];
        let mut next = 0;
        let mut ok = true;
        for (name, value, place) in args {
            let whole = name.as_ref().map_or(place, |name| name.span.to(place));
            let index = match &name {
                None => {
                    next += 1;
                    if next > params.len() {
                        self.report(
                            Diagnostic::error("E0208", format!("`{what}` takes {} arguments", params.len()))
                                .label(place, "one too many")
                                .help(format!("its parameters are: {}", list_params(params)))
                                .fix("Delete this argument", self.library.without_argument(place)),
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
                        .label(span, "in this call")
                        .fix("Delete it here", self.library.without_argument(whole)),
                );
                ok = false;
            }
            slots[index] = Some((value, place));
        }
        ok.then_some(slots)
    }

    /// Have all of these arguments, those of `what` after its values, names of options?
    pub fn only_options(&mut self, what: &str, takes: &str, options: &[Arg], known: &[&str]) -> Option<()> {
        let unknown = options.iter().find(|arg| arg.name.as_ref().is_none_or(|name| !known.contains(&name.text.as_str())));
        match unknown.map(|arg| (&arg.name, arg.value.span)) {
            None => return Some(()),
            Some((Some(name), _)) => self.unknown_option(what, name, known.iter().copied()),
            Some((None, span)) => self.report(Diagnostic::error("E0208", format!("`{what}` takes {takes}")).label(span, "one too many")),
        }
        None
    }

    pub fn unknown_option<'a>(&mut self, what: &str, name: &Name, known: impl Iterator<Item = &'a str>) {
        let known: Vec<&str> = known.collect();
        let diagnostic = Diagnostic::error("E0206", format!("`{what}` has no option `{}`", name.text)).label(name.span, "unknown option");
        let diagnostic = match nearest(&name.text, known.iter().copied()) {
            Some(near) => diagnostic.did_you_mean(name.span, near),
            None if TRAIN_FIELDS.contains(&name.text.as_str()) => {
                diagnostic.help(format!("it is a setting of `train`: write `train {{ {} = … }}`", name.text))
            }
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
                | ("str" | "path" | "name", value @ Value::Str(_))
                | ("init", value @ Value::Init(_))
                | ("enum", value @ Value::Variant(_))
                | ("weights", value @ Value::Weights(_))
                | ("part", value @ (Value::Part(_) | Value::Parts(_) | Value::Pending(_)))
                | ("class" | "labels" | "contacts" | "real" | "tokens", value @ (Value::Column(_) | Value::Tensor(_)))
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
                ("str" | "path" | "name", other) => {
                    self.mismatch(name, "a text in quotes", &other, ty, span);
                    return Value::Error;
                }
                ("enum", Value::Str(Some(text))) => {
                    let choices = variants(ty).unwrap_or_default();
                    let message = format!("`{name}` is one of {}, not `{text}`", choices.join(", "));
                    let diagnostic = Diagnostic::error("E0313", message).label(span, "not a choice here").label(ty.span, "declared here");
                    self.report(match nearest(&text, choices) {
                        Some(near) => diagnostic.did_you_mean(span, near),
                        None => diagnostic,
                    });
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
                ("class" | "labels" | "contacts" | "real" | "tokens", other) => {
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
            TypeExprKind::Named { name, axes: Some(_), .. } if TENSOR_TYPES.contains(&name.text.as_str()) => return true,
            TypeExprKind::Named { name, axes: None, .. } if TYPES.contains(&name.text.as_str()) => return true,
            TypeExprKind::Named { name, .. } => name,
        };
        let diagnostic = Diagnostic::error("E0314", format!("there is no type `{}`", self.library.sources.slice(ty.span)))
            .label(ty.span, "unknown type");
        self.report(match nearest(&unknown.text, TYPES).filter(|near| *near != unknown.text) {
            Some(near) => diagnostic.did_you_mean(unknown.span, near),
            None => diagnostic.help(
                "types of options are int, dim, float, bool, str, name, path, init, axis, part, weights, enum(…), [T], T?, and tensors f[…], i[…], b[…]",
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
        let diagnostic = self.wanted_instead(wanted, Some(name), value, span);
        self.report(diagnostic.label(ty.span, "declared here"));
    }
}

/// What flows in through a pipe: the values of a tuple are several inputs.
pub fn spread(input: Option<(Value, Span)>) -> impl Iterator<Item = (Value, Span)> {
    let inputs = match input {
        Some((Value::Tuple(items), span)) => items.iter().map(|item| (item.clone(), span)).collect(),
        other => other.into_iter().collect::<Vec<_>>(),
    };
    inputs.into_iter()
}

fn list_params(params: &[Param]) -> String {
    params.iter().map(|param| param.name.text.as_str()).collect::<Vec<_>>().join(", ")
}
