//! The `adapter_config.json` of PEFT: read beside an adapter's weights, and made of what a rewrite says of itself in `let peft = (…)`.

use mgx_diag::Diagnostic;
use serde_json::{Map, Value as Json, json};

use super::Checker;
use super::rewrite::{Rewrite, Targets};
use super::value::{Value, WeightsValue};

/// What stands before the stored names of a network's parts in PEFT's files, in those of Lightning, and in those of the reference.
pub const PREFIXES: [&str; 2] = ["base_model.model.", "backbone.encoder.base_model.model."];

const FILE: &str = "adapter_config.json";

/// Settings of PEFT that change what an adapter computes, or of which part, and that no rewrite reads.
const NOT_READ: [&str; 6] =
    ["rank_pattern", "alpha_pattern", "layer_replication", "layers_to_transform", "layers_pattern", "exclude_modules"];

impl Checker<'_> {
    /// The configuration beside an adapter's weights; an empty object where there is none.
    pub fn adapter_config(&mut self, weights: Option<&(WeightsValue, mgx_diag::Span)>) -> Option<Json> {
        let empty = Json::Object(Map::new());
        let Some((weights, span)) = weights else { return Some(empty) };
        let folder = weights.folder();
        let text = match self.world.folder_text(&folder, FILE) {
            Ok(Some(text)) => text,
            Ok(None) => return Some(empty),
            Err(mut found) => {
                found.labels.insert(0, mgx_diag::Label { span: *span, text: "these weights".to_owned() });
                self.report(found);
                return None;
            }
        };
        match serde_json::from_str(&text) {
            Ok(config @ Json::Object(_)) => Some(config),
            Ok(_) | Err(_) => {
                let message = format!("`{folder}/{FILE}` is not a JSON object");
                self.report(Diagnostic::error("E0315", message).label(*span, "these weights"));
                None
            }
        }
    }

    /// Compares what a rewrite says of itself with the configuration that its weights were stored with.
    pub fn check_adapter_config(&mut self, rewrite: &Rewrite, layout: &Json) -> Option<()> {
        let (Some((_, span)), Some(config)) = (&rewrite.weights, rewrite.config.as_object()) else { return Some(()) };
        let is_set = |value: &Json| match value {
            Json::Null => false,
            Json::Array(items) => !items.is_empty(),
            Json::Object(entries) => !entries.is_empty(),
            _ => true,
        };
        for key in NOT_READ {
            if config.get(key).is_some_and(is_set) {
                let message = format!("`{key}` of `{FILE}` is not read: every rewritten part has the same options");
                self.report(Diagnostic::error("E0558", message).label(*span, "these weights").help("store the adapter without it"));
                return None;
            }
        }
        for (key, own) in layout.as_object().into_iter().flatten() {
            let Some(stored) = config.get(key).filter(|stored| !stored.is_null() && !same(stored, own)) else { continue };
            let message = format!("`{key}` is {stored} in `{FILE}`, and {own} here");
            let found = Diagnostic::error("E0558", message).label(*span, "these weights").label(rewrite.span(), "these options");
            self.report(found.help("leave the option out: it is read from the folder of the weights"));
            return None;
        }
        Some(())
    }
}

/// Equal, where 8 and 8.0 are, and lists of names in any order.
fn same(stored: &Json, own: &Json) -> bool {
    match (stored, own) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().all(|item| b.contains(item)),
        _ => stored == own,
    }
}

/// A value as JSON; null for what has no place there.
pub fn json(value: &Value) -> Json {
    match value {
        Value::Int { size, .. } => size.as_constant().map_or(Json::Null, Json::from),
        Value::Float(Some(number)) => json!(number),
        Value::Bool(Some(truth)) => Json::from(*truth),
        Value::Str(Some(text)) | Value::Variant(Some(text)) => Json::from(text.as_str()),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Record(fields) => fields.iter().map(|(name, value)| (name.clone(), json(value))).collect::<Map<_, _>>().into(),
        _ => Json::Null,
    }
}

/// The whole configuration: what the rewrite says, and what it was applied to.
pub fn completed(mut layout: Json, rewrite: &Rewrite, changed: &[String]) -> Option<String> {
    let entries = layout.as_object_mut()?;
    // PEFT knows no patterns of this kind: whole names mean the same to it.
    let named: Vec<&str> = match &rewrite.targets {
        Targets::Named(names) if !names.iter().any(super::part_names::PartName::is_pattern) => {
            names.iter().map(|name| name.text.as_str()).collect()
        }
        _ => changed.iter().map(String::as_str).collect(),
    };
    entries.insert("target_modules".to_owned(), json!(named));
    let saved: Vec<&str> = rewrite.save.iter().map(|name| name.text.as_str()).collect();
    entries.insert("modules_to_save".to_owned(), if saved.is_empty() { Json::Null } else { json!(saved) });
    serde_json::to_string_pretty(&layout).ok()
}
