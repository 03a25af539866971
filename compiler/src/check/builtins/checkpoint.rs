//! Functions that read from the folder of a checkpoint.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};

use super::super::Checker;
use super::super::expr::Scope;
use super::super::value::{HUB_PREFIX, Value, WeightsValue};
use super::{Given, text, wrong};

pub fn weights(checker: &mut Checker<'_>, given: &mut Given<'_>, scope: &mut Scope) -> Option<Value> {
    let path = text(checker, given, 0)?.unwrap_or_default();
    let file = text_option(checker, given, "file", scope)?;
    if given.name == "folder" {
        return Some(Value::Weights(WeightsValue::Folder { path, file }));
    }
    let revision = text_option(checker, given, "revision", scope)?;
    Some(Value::Weights(WeightsValue::Hub { repository: path, revision, file }))
}

/// An argument that is a text, if it is given.
fn text_option(checker: &mut Checker<'_>, given: &mut Given<'_>, name: &'static str, scope: &mut Scope) -> Option<Option<String>> {
    let Some(arg) = given.take(name) else { return Some(None) };
    match checker.eval(&arg.value, scope) {
        Value::Str(text) => Some(text),
        Value::Error => None,
        _ => {
            wrong(checker, given, &format!("a text for `{name}`"));
            None
        }
    }
}

/// `config("hidden_size")` or `config("key", default)`: a setting of the checkpoint's `config.json`.
pub fn config(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let key = text(checker, given, 0)?.unwrap_or_default();
    let default = given.positional.get(1).map(|(value, _)| value.clone());
    if checker.config.is_none() {
        checker.read_config(given.span)?;
    }
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
pub fn tokenizer_config(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let key = text(checker, given, 0)?.unwrap_or_default();
    let default = given.positional.get(1).map(|(value, _)| value.clone());
    let text = checker.checkpoint_file("tokenizer_config.json", given.span)?.unwrap_or_else(|| "{}".to_owned());
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
pub fn setting(
    checker: &mut Checker<'_>,
    given: &Given<'_>,
    config: &serde_json::Value,
    key: &str,
    whose: &str,
    default: Option<Value>,
) -> Option<Value> {
    // A dot leads into a setting that is an object itself, unless the whole is the name of one.
    let nested = || key.split('.').try_fold(config, |value, name| value.get(name));
    let found = match config.get(key).or_else(nested) {
        None | Some(serde_json::Value::Null) if default.is_some() => return default,
        None | Some(serde_json::Value::Null) => Err(format!("{whose} has no `{key}`")),
        Some(value) => json_value(value).ok_or_else(|| format!("`{key}` of {whose} holds what is no number, text or truth value")),
    };
    match found {
        Ok(value) => Some(value),
        Err(message) => {
            checker.report(Diagnostic::error("E0315", message).label(given.span, "asked for here"));
            None
        }
    }
}

/// A setting as a value: lists as they are, objects as the list of their values.
pub fn json_value(value: &serde_json::Value) -> Option<Value> {
    match value {
        serde_json::Value::Bool(truth) => Some(Value::Bool(Some(*truth))),
        serde_json::Value::String(text) => Some(Value::Str(Some(text.clone()))),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(Value::int(whole)),
            None => Some(Value::Float(number.as_f64())),
        },
        serde_json::Value::Array(items) => Some(Value::List(Rc::new(items.iter().map(json_value).collect::<Option<_>>()?))),
        serde_json::Value::Object(items) => Some(Value::List(Rc::new(items.values().map(json_value).collect::<Option<_>>()?))),
        serde_json::Value::Null => None,
    }
}

/// `file("vocab.txt")`: the lines of a file of the checkpoint's folder; `file("vocab.txt", default)` is the default where there is no such
/// file, or no folder.
pub fn file_lines(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let name = text(checker, given, 0)?.unwrap_or_default();
    let default = given.positional.get(1).map(|(value, _)| value.clone());
    if !checker.has_folder_at_hand() && default.is_some() {
        return default;
    }
    match checker.checkpoint_file(&name, given.span)? {
        Some(text) => {
            Some(Value::List(Rc::new(text.lines().map(|line| Value::Str(Some(line.trim_end_matches('\r').to_owned()))).collect())))
        }
        None if default.is_some() => default,
        None => {
            checker.no_such_file(&name, given.span);
            None
        }
    }
}

/// `has_file("tokenizer.json")`: whether the checkpoint's folder has a file; `false` where there is no folder.
pub fn has_file(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let name = text(checker, given, 0)?.unwrap_or_default();
    if !checker.has_folder_at_hand() {
        return Some(Value::Bool(Some(false)));
    }
    let found = checker.checkpoint_file(&name, given.span)?;
    Some(Value::Bool(Some(found.is_some())))
}

impl Checker<'_> {
    /// Is there a folder of weights whose files a default can give way to? Not a repository of the hub that nothing had to be fetched from: a
    /// published network is checked without it.
    fn has_folder_at_hand(&self) -> bool {
        self.weights_folder.as_ref().is_some_and(|folder| !folder.starts_with(HUB_PREFIX) || self.config.is_some())
    }

    /// The text of a file of the checkpoint's folder; the inner `None` where the folder has no such file.
    pub fn checkpoint_file(&mut self, name: &str, span: Span) -> Option<Option<String>> {
        let Some(folder) = self.weights_folder.clone() else {
            self.report(
                Diagnostic::error("E0315", format!("`{name}` is a file of a checkpoint's folder, and there is none"))
                    .label(span, "needs a checkpoint")
                    .help("give the backbone `weights = folder(\"…\")`"),
            );
            return None;
        };
        match self.world.folder_text(&folder, name) {
            Ok(text) => Some(text),
            Err(mut diagnostic) => {
                diagnostic.labels.push(mgx_diag::Label { span, text: "asked for here".to_owned() });
                self.report(diagnostic);
                None
            }
        }
    }

    /// Says that the checkpoint's folder lacks a file.
    pub fn no_such_file(&mut self, name: &str, span: Span) {
        let folder = self.weights_folder.clone().unwrap_or_default();
        self.report(Diagnostic::error("E0315", format!("the folder `{folder}` has no `{name}`")).label(span, "asked for here"));
    }
}
