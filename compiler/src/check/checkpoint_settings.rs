//! Settings of a checkpoint's `config.json` that its network has few values for: the field `expects` of a backbone. What a setting would change, and the network does
//! not read, must not be passed over: the numbers would be those of another network.

use mgx_diag::{Diagnostic, Span};

use super::Checker;
use super::builtins::json_value;
use super::expr::Scope;
use super::tokenizer::field_value;
use super::value::{Instance, Value};
use crate::syntax::ast::Body;

/// A line of `expects`: `("hidden_act", "swiglu")`, with a list for several values, and a hint for all others.
struct Expected {
    key: String,
    values: Vec<Value>,
    help: Option<String>,
}

impl Checker<'_> {
    /// Has every setting that the backbone's `expects` names one of its values in the configuration at hand? A setting that is not written has its default there,
    /// and is not asked about. In `expects` the network's own parameters have their values. `span`: where the weights are named; `file`: where the backbone stands.
    pub fn expected_settings(&mut self, body: &Body, name: &str, span: Span, file: usize, instance: &Instance) -> Option<()> {
        let Some(expr) = field_value(body, "expects") else { return Some(()) };
        let config = match &self.config {
            Some(config) => config.clone(),
            None => return Some(()),
        };
        let mut scope = Scope { file, env: instance.env.borrow().clone(), experiment: false, instance: None };
        let value = self.eval(expr, &mut scope);
        let lines: Option<Vec<Expected>> = match &value {
            Value::Error => return None,
            Value::List(items) => items.iter().map(line).collect(),
            _ => None,
        };
        let Some(lines) = lines else {
            let diagnostic = Diagnostic::error("E0301", "`expects` is a list of settings with the values that they may have");
            self.report(
                diagnostic
                    .label(expr.span, "this value")
                    .help("write `expects = [(\"hidden_act\", \"swiglu\"), (\"key\", [1, 2], \"a hint\")]`"),
            );
            return None;
        };
        for Expected { key, values, help } in lines {
            let Some(found) = config.get(&key).filter(|found| !found.is_null()) else { continue };
            if json_value(found).is_some_and(|found| values.iter().any(|value| same(value, &found))) {
                continue;
            }
            let shown: Vec<String> = values.iter().map(shown).collect();
            let message = format!("`{name}` has no network with `{key}` = {found}: it computes with {}", shown.join(" or "));
            let diagnostic = Diagnostic::error("E0330", message).label(span, "its `config.json` says so");
            self.report(match help {
                Some(help) => diagnostic.help(help),
                None => diagnostic.help("use a backbone that has this network, or write one in mgx: `backbone mine: MyNetwork(…) { … }`"),
            });
            return None;
        }
        Some(())
    }
}

fn line(value: &Value) -> Option<Expected> {
    let Value::Tuple(parts) = value else { return None };
    let (key, values, help) = match parts.as_slice() {
        [Value::Str(Some(key)), values] => (key, values, None),
        [Value::Str(Some(key)), values, Value::Str(Some(help))] => (key, values, Some(help.clone())),
        _ => return None,
    };
    let values = match values {
        Value::List(values) => values.to_vec(),
        value => vec![value.clone()],
    };
    values.iter().all(|value| !shown(value).is_empty()).then(|| Expected { key: key.clone(), values, help })
}

fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int { size: a, .. }, Value::Int { size: b, .. }) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Float(Some(a)), Value::Int { size, .. }) | (Value::Int { size, .. }, Value::Float(Some(a))) => {
            size.as_constant().is_some_and(|size| size as f64 == *a)
        }
        _ => false,
    }
}

/// The value as a configuration has it; empty for what none has.
fn shown(value: &Value) -> String {
    match value {
        Value::Str(Some(text)) => format!("\"{text}\""),
        Value::Bool(Some(truth)) => truth.to_string(),
        Value::Int { size, .. } => size.to_string(),
        Value::Float(Some(number)) => number.to_string(),
        _ => String::new(),
    }
}
