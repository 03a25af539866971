//! Tokenizers that a checkpoint's `tokenizer.json` defines. What the plan needs of it is read here: the vocabulary, and the tokens around a text.

use mgx_diag::Diagnostic;
use mgx_ir::plan::{Casing, TokenizerKind, TokenizerSpec};
use serde_json::Value as Json;

use super::Checker;
use super::expr::Scope;
use super::tokenizer::field_value;
use super::value::Value;
use crate::syntax::ast::Body;

/// Ids are below this: a larger one is a mistake in the file, and the vocabulary is a list.
const MOST_TOKENS: u64 = 1 << 24;

/// What is read of a definition.
#[derive(Debug, Default, PartialEq)]
struct Definition {
    /// By id; the empty text where the file has no token with the id.
    vocabulary: Vec<String>,
    /// Ids of tokens that are special where they stand in a text.
    special: Vec<i32>,
    prefix: Vec<i32>,
    suffix: Vec<i32>,
}

impl Checker<'_> {
    /// A tokenizer with `kind = library`: the field `definition` names the file in the folder of weights.
    pub fn defined_tokenizer(&mut self, name: &str, body: &Body, scope: &mut Scope) -> Option<TokenizerSpec> {
        let allowed = ["kind", "definition"];
        if let Some(field) = body.fields.iter().find(|field| !allowed.contains(&field.name.text.as_str())) {
            let message = format!("`{}` is said by the definition of a tokenizer of kind `library`", field.name.text);
            self.report(
                Diagnostic::error("E0316", message)
                    .label(field.name.span, "not needed")
                    .help("remove it")
                    .fix("Remove it", self.library.without_line(field.span)),
            );
            return None;
        }
        let Some(expr) = field_value(body, "definition") else {
            let diagnostic = Diagnostic::error("E0316", "a tokenizer of kind `library` needs its definition");
            self.report(diagnostic.label(body.span, "`definition` is missing").help("write `definition = \"tokenizer.json\"`"));
            return None;
        };
        let file = match self.eval(expr, scope) {
            Value::Str(Some(file)) => file,
            Value::Error => return None,
            other => {
                let message = format!("`definition` is the name of a file, not {}", other.describe());
                self.report(Diagnostic::error("E0301", message).label(expr.span, "this value"));
                return None;
            }
        };
        let Some(text) = self.checkpoint_file(&file, expr.span)? else {
            self.no_such_file(&file, expr.span);
            return None;
        };
        match read(&text) {
            Ok(Definition { vocabulary, special, prefix, suffix }) => Some(TokenizerSpec {
                name: name.to_owned(),
                kind: TokenizerKind::Library { definition: text },
                casing: Casing::Keep,
                replace: Vec::new(),
                vocabulary,
                special,
                prefix,
                suffix,
            }),
            Err(reason) => {
                let folder = self.weights_folder.clone().unwrap_or_default();
                self.report(
                    Diagnostic::error("E0326", format!("`{folder}/{file}` is no definition of a tokenizer: {reason}"))
                        .label(self.weights_span.unwrap_or(expr.span), "of this checkpoint")
                        .help("fetch the file again, or remove it if the folder has a `vocab.txt`"),
                );
                None
            }
        }
    }
}

/// Reads a definition.
///
/// # Errors
/// What is wrong with it, in a few words.
fn read(text: &str) -> Result<Definition, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let mut definition = Definition { vocabulary: vocabulary(&json)?, ..Definition::default() };
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        let id = token_id(&token["id"])?;
        let content = token["content"].as_str().ok_or("an added token has no `content`")?;
        put(&mut definition.vocabulary, id, content);
        if token["special"].as_bool() == Some(true) {
            definition.special.push(id as i32);
        }
    }
    if definition.vocabulary.is_empty() {
        return Err("its vocabulary is empty".to_owned());
    }
    surround(&json["post_processor"], &mut definition)?;
    let size = definition.vocabulary.len() as u64;
    match definition.prefix.iter().chain(&definition.suffix).find(|id| u64::from(id.unsigned_abs()) >= size) {
        Some(id) => Err(format!("the token {id} around a text is not in its vocabulary")),
        None => Ok(definition),
    }
}

/// `model.vocab`: ids by token, or a list of tokens with their scores.
fn vocabulary(json: &Json) -> Result<Vec<String>, String> {
    let mut vocabulary = Vec::new();
    match &json["model"]["vocab"] {
        Json::Object(entries) => {
            for (token, id) in entries {
                put(&mut vocabulary, token_id(id)?, token);
            }
        }
        Json::Array(entries) => {
            for entry in entries {
                vocabulary.push(entry[0].as_str().ok_or("an entry of `model.vocab` is no token with a score")?.to_owned());
            }
        }
        _ => return Err("it has no `model.vocab`".to_owned()),
    }
    Ok(vocabulary)
}

fn token_id(id: &Json) -> Result<usize, String> {
    id.as_u64().filter(|id| *id < MOST_TOKENS).map(|id| id as usize).ok_or_else(|| format!("{id} is no id of a token"))
}

fn put(vocabulary: &mut Vec<String>, id: usize, token: &str) {
    if vocabulary.len() <= id {
        vocabulary.resize(id + 1, String::new());
    }
    token.clone_into(&mut vocabulary[id]);
}

/// The tokens that the post-processor puts around a single text.
fn surround(processor: &Json, definition: &mut Definition) -> Result<(), String> {
    let outer = |key: &str| token_id(&processor[key][1]).map(|id| id as i32);
    match processor["type"].as_str() {
        None if processor.is_null() => {}
        Some("ByteLevel") => {}
        Some("BertProcessing" | "RobertaProcessing") => {
            definition.prefix.insert(0, outer("cls")?);
            definition.suffix.push(outer("sep")?);
        }
        Some("TemplateProcessing") => {
            let (before, after) = template(processor)?;
            definition.prefix.splice(0..0, before);
            definition.suffix.extend(after);
        }
        Some("Sequence") => {
            for inner in processor["processors"].as_array().ok_or("a post-processor has no `processors`")? {
                surround(inner, definition)?;
            }
        }
        other => return Err(format!("its post-processor is of the unknown type {}", other.unwrap_or("none"))),
    }
    Ok(())
}

/// The ids before and after the text in `single`, which has it once.
fn template(processor: &Json) -> Result<(Vec<i32>, Vec<i32>), String> {
    let (mut before, mut after, mut seen) = (Vec::new(), Vec::new(), false);
    for piece in processor["single"].as_array().ok_or("its post-processor has no `single`")? {
        if piece.get("Sequence").is_some() {
            if std::mem::replace(&mut seen, true) {
                return Err("its post-processor has the text twice".to_owned());
            }
            continue;
        }
        let name = piece["SpecialToken"]["id"].as_str().ok_or("a piece of its post-processor is neither a token nor the text")?;
        let ids = processor["special_tokens"][name]["ids"]
            .as_array()
            .ok_or_else(|| format!("its post-processor does not say what `{name}` is"))?;
        for id in ids {
            if seen { &mut after } else { &mut before }.push(token_id(id)? as i32);
        }
    }
    if seen { Ok((before, after)) } else { Err("its post-processor leaves the text out".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(model: &str, processor: &str) -> Result<Definition, String> {
        read(&format!(
            "{{\"model\": {model}, \"post_processor\": {processor}, \"added_tokens\": [{{\"id\": 3, \"content\": \"<s>\", \"special\": true}}]}}"
        ))
    }

    #[test]
    fn vocabulary_and_surroundings_are_read() {
        let model = "{\"vocab\": {\"a\": 1, \"b\": 0}}";
        let plain = definition(model, "null").expect("a definition");
        assert_eq!(plain.vocabulary, ["b", "a", "", "<s>"]);
        assert_eq!((plain.special, plain.prefix, plain.suffix), (vec![3], vec![], vec![]));
        let roberta = "{\"type\": \"RobertaProcessing\", \"cls\": [\"a\", 1], \"sep\": [\"<s>\", 3]}";
        let template = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\"}}, {\"Sequence\": {\"id\": \"A\"}}], \
                        \"special_tokens\": {\"x\": {\"ids\": [1, 3]}}}";
        let both = format!("{{\"type\": \"Sequence\", \"processors\": [{{\"type\": \"ByteLevel\"}}, {template}]}}");
        for (processor, prefix, suffix) in [(roberta, vec![1], vec![3]), (template, vec![1, 3], vec![]), (&both, vec![1, 3], vec![])] {
            let found = definition(model, processor).expect("a definition");
            assert_eq!((found.prefix, found.suffix), (prefix, suffix), "{processor}");
        }
        let unigram = definition("{\"vocab\": [[\"a\", -1.0], [\"b\", -2.0]]}", "null").expect("a definition");
        assert_eq!(unigram.vocabulary, ["a", "b", "", "<s>"]);
    }

    #[test]
    fn what_is_no_definition_is_refused() {
        let model = "{\"vocab\": {\"a\": 0}}";
        for (model, processor) in [
            ("{}", "null"),
            ("{\"vocab\": {\"a\": -1}}", "null"),
            ("{\"vocab\": {\"a\": 99999999999}}", "null"),
            ("{\"vocab\": [1]}", "null"),
            (model, "{\"type\": \"Other\"}"),
            (model, "{}"),
            (model, "{\"type\": \"BertProcessing\", \"cls\": [\"a\", 0]}"),
            (model, "{\"type\": \"BertProcessing\", \"cls\": [\"a\", 0], \"sep\": [\"b\", 9]}"),
            (model, "{\"type\": \"TemplateProcessing\", \"single\": []}"),
            (model, "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\"}}], \"special_tokens\": {}}"),
        ] {
            assert!(definition(model, processor).is_err(), "{model} {processor}");
        }
        assert!(read("{\"model\"").is_err());
    }
}
