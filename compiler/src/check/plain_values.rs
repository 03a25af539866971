//! Values of settings: whole numbers, numbers, texts, truth values and choices, with what to write instead of those that do not fit.

use mgx_diag::{Diagnostic, Span, nearest};

use super::Checker;
use super::expr::Scope;
use super::value::Value;
use crate::syntax::ast::{Expr, ExprKind, Field, FieldKind, TypeExprKind};

impl Checker<'_> {
    /// A text in quotes.
    pub fn text_of(&mut self, expr: &Expr, scope: &mut Scope) -> Option<String> {
        match self.eval(expr, scope) {
            Value::Str(text) => text,
            Value::Error => None,
            other => {
                self.report(self.wanted_instead("a text in quotes", None, &other, expr.span));
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, expr: &Expr, choices: &[(&str, T)]) -> Option<T> {
        let word = match &expr.kind {
            ExprKind::Name(word) | ExprKind::Str(word) => Some(word.as_str()),
            ExprKind::Error => return None,
            _ => None,
        };
        if let Some((_, value)) = choices.iter().find(|(name, _)| Some(*name) == word) {
            return Some(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let message = match names.as_slice() {
            [only] => format!("only `{only}` can be chosen here"),
            _ => format!("one of {} is wanted here", names.join(", ")),
        };
        let diagnostic = Diagnostic::error("E0313", message).label(expr.span, "not a choice here");
        self.report(match word.and_then(|word| nearest(word, names.iter().copied())) {
            Some(near) => diagnostic.did_you_mean(expr.span, near),
            None => diagnostic.help(format!("write one of them, `{}` for example", names.first().unwrap_or(&"none"))),
        });
        None
    }

    /// A whole number, not negative.
    pub fn whole(&mut self, expr: &Expr, scope: &mut Scope) -> Option<u64> {
        match self.eval(expr, scope) {
            Value::Int { size, .. } => {
                let number = size.as_constant().and_then(|number| u64::try_from(number).ok());
                if number.is_none() {
                    self.report(
                        Diagnostic::error("E0317", format!("a whole number from 0 up is wanted, not {size}"))
                            .label(expr.span, "out of range")
                            .help("write 0 or a greater number"),
                    );
                }
                number
            }
            Value::Error => None,
            other => {
                self.report(self.wanted_instead("a whole number", None, &other, expr.span));
                None
            }
        }
    }

    /// A whole number above zero.
    pub fn positive(&mut self, expr: &Expr, scope: &mut Scope) -> Option<u64> {
        let number = self.whole(expr, scope)?;
        if number == 0 {
            let diagnostic = Diagnostic::error("E0317", "a number from 1 up is wanted").label(expr.span, "out of range");
            self.report(diagnostic.help("write 1 or a greater number"));
            return None;
        }
        Some(number)
    }

    /// `true` or `false`.
    pub fn truth(&mut self, expr: &Expr, scope: &mut Scope) -> Option<bool> {
        match self.eval(expr, scope) {
            Value::Bool(Some(truth)) => Some(truth),
            Value::Error => None,
            other => {
                self.report(self.wanted_instead("`true` or `false`", None, &other, expr.span));
                None
            }
        }
    }

    /// A number within bounds.
    pub fn number_in(&mut self, expr: &Expr, scope: &mut Scope, least: f64, most: f64) -> Option<f64> {
        let value = self.eval(expr, scope);
        if value.is_error() {
            return None;
        }
        match self.as_number(&value) {
            Some(number) if number >= least && number <= most => Some(number),
            Some(number) => {
                let bounds = match (least, most) {
                    (f64::MIN_POSITIVE, f64::MAX) => "above 0".to_owned(),
                    (_, f64::MAX) => format!("from {least} up"),
                    _ => format!("between {least} and {most}"),
                };
                let diagnostic = Diagnostic::error("E0317", format!("a number {bounds} is wanted, not {number}"));
                let diagnostic = diagnostic.label(expr.span, "out of range");
                self.report(if (least, most) == (0.0, 1.0) && (5.0..=100.0).contains(&number) {
                    let share = (number / 100.0).to_string();
                    diagnostic.help(format!("{number} percent is written `{share}`")).change_to(expr.span, &share)
                } else {
                    diagnostic.help(format!("write a number {bounds}"))
                });
                None
            }
            None => {
                self.report(self.wanted_instead("a number", None, &value, expr.span));
                None
            }
        }
    }

    /// The finding that a value is not what is wanted, with what could be written; `name` is the option that it is given to.
    pub fn wanted_instead(&self, wanted: &str, name: Option<&str>, value: &Value, span: Span) -> Diagnostic {
        let is = value.describe();
        let diagnostic = match name {
            Some(name) => Diagnostic::error("E0301", format!("`{name}` is {wanted}, not {is}")).label(span, format!("is {is}")),
            None => Diagnostic::error("E0301", format!("{wanted} is wanted, not {is}")).label(span, "this value"),
        };
        let instead = if self.is_std_span(span) { None } else { instead(wanted, value, self.library.sources.slice(span)) };
        match instead {
            Some(text) => diagnostic.help(format!("write `{text}`")).change_to(span, &text),
            None => diagnostic.help(match wanted {
                "an integer" | "a whole number" => "write a whole number, such as `8`".to_owned(),
                "a number" => "write a number, such as `0.1`".to_owned(),
                "a list" => "write a list, such as `[64, 32]`".to_owned(),
                "a text in quotes" => "write a text in quotes".to_owned(),
                "a label column" => "write `table.column`".to_owned(),
                "a tensor" => "give what comes out of a backbone or an adapter".to_owned(),
                wanted => format!("write {wanted}"),
            }),
        }
    }

    /// Reports a setting of a block that is written as something else than `name = value`.
    pub fn not_a_setting(&mut self, block: &str, field: &Field, known: &[&str]) {
        match &field.kind {
            // What stands for the type was reported where it was read.
            FieldKind::Typed { ty, .. } if ty.kind == TypeExprKind::Error => {}
            FieldKind::Typed { ty, .. } if known.contains(&field.name.text.as_str()) => {
                let colon = Span { start: field.name.span.end, end: ty.span.start, ..field.name.span };
                let (name, value) = (&field.name.text, self.library.sources.slice(ty.span));
                let diagnostic =
                    Diagnostic::error("E0318", format!("settings of `{block}` are written with `=`")).label(field.span, "here");
                let diagnostic = diagnostic.help(format!("write `{name} = {value}`"));
                self.report(diagnostic.fix("Write `=`", mgx_diag::Edit::replace(colon, " = ")));
            }
            FieldKind::Block(_) if known.contains(&field.name.text.as_str()) => {
                let name = &field.name.text;
                let diagnostic = Diagnostic::error("E0318", format!("`{name}` is a setting, not a block")).label(field.name.span, "here");
                self.report(diagnostic.help(format!("write `{name} = …`")));
            }
            _ => self.unknown_option(block, &field.name, known.iter().copied()),
        }
    }
}

/// What was probably meant by a value of another kind, as it would be written.
fn instead(wanted: &str, value: &Value, written: &str) -> Option<String> {
    match (wanted, value) {
        ("an integer" | "a whole number", Value::Str(Some(text))) => text.parse::<u64>().ok().map(|number| number.to_string()),
        ("a number", Value::Str(Some(text))) => text.parse::<f64>().ok().map(|_| text.clone()),
        ("an integer" | "a whole number", Value::Float(Some(number))) if *number >= 0.0 && *number < 1e15 => {
            Some((number.round() as u64).to_string())
        }
        ("a list", Value::Int { .. } | Value::Float(_) | Value::Str(_)) => Some(format!("[{written}]")),
        ("`true` or `false`", Value::Str(Some(text))) if text == "true" || text == "false" => Some(text.clone()),
        ("`true` or `false`", Value::Int { size, .. }) => match size.as_constant() {
            Some(0) => Some("false".to_owned()),
            Some(1) => Some("true".to_owned()),
            _ => None,
        },
        ("a text in quotes", Value::Int { .. } | Value::Float(_)) => Some(format!("\"{written}\"")),
        _ => None,
    }
}
