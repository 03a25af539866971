//! `tokenizer` declarations.

use mgx_diag::Diagnostic;
use mgx_ir::plan::{Alphabet, Casing, TokenizerKind, TokenizerSpec, Unknown};

use super::Checker;
use super::expr::Scope;
use super::library::ItemRef;
use super::value::{Env, Value};
use crate::syntax::ast::{Body, Expr, ExprKind, Field, FieldKind, ItemKind};

pub(super) const FIELDS: [&str; 10] =
    ["kind", "definition", "vocabulary", "unknown", "separator", "case", "prefix", "suffix", "special", "replace"];
/// Fields of tokenizers of counts alone.
pub(super) const GENE_FIELDS: [&str; 8] = ["names", "expression", "scale", "appended", "appended_above", "multiple", "round", "total"];
pub(super) const KINDS: [&str; 6] = ["greedy", "wordpiece", "library", "all_genes", "expressed_genes", "ranked_genes"];

impl Checker<'_> {
    /// Reads a tokenizer's declaration. `file(…)` and `config(…)` in it are those of the checkpoint at hand.
    pub fn tokenizer(&mut self, item: ItemRef) -> Option<TokenizerSpec> {
        let handle = self.library.item(item);
        let ItemKind::Tokenizer(body) = &handle.kind else {
            self.report(
                Diagnostic::error("E0301", format!("`{}` is not a tokenizer", handle.name.text)).label(handle.name.span, "declared here"),
            );
            return None;
        };
        let mut scope = Scope { file: item.file, env: Env::default(), experiment: false, instance: None };
        self.unique_fields(body);
        for field in &body.fields {
            if !FIELDS.iter().chain(&GENE_FIELDS).any(|known| *known == field.name.text) {
                self.unknown_option("tokenizer", &field.name, FIELDS.into_iter().chain(GENE_FIELDS));
                return None;
            }
        }
        let kind = self.word(body, "kind", &KINDS, &mut scope)?;
        if kind.as_deref() == Some("library") {
            return self.defined_tokenizer(&handle.name.text, body, &mut scope);
        }
        let vocabulary = self.texts(body, "vocabulary", &mut scope)?;
        if vocabulary.is_empty() {
            self.report(Diagnostic::error("E0316", "a tokenizer needs a vocabulary").label(body.span, "`vocabulary` is missing or empty"));
            return None;
        }
        let id_of = |text: &str| vocabulary.iter().position(|token| token == text).map(|id| id as i32);
        let ids = |checker: &mut Self, name: &str, scope: &mut Scope| -> Option<Vec<i32>> {
            let mut ids = Vec::new();
            for text in checker.texts(body, name, scope)? {
                let Some(id) = id_of(&text) else {
                    checker.report(
                        Diagnostic::error("E0316", format!("`{text}` is not in the vocabulary"))
                            .label(field(body, name).map_or(body.span, |field| field.span), "named here"),
                    );
                    return None;
                };
                ids.push(id);
            }
            Some(ids)
        };
        let prefix = ids(self, "prefix", &mut scope)?;
        let suffix = ids(self, "suffix", &mut scope)?;
        let special = ids(self, "special", &mut scope)?;
        let unknown = self.unknown_rule(body, &id_of, &mut scope)?;
        let kind = match kind.as_deref() {
            Some(genes @ ("all_genes" | "expressed_genes" | "ranked_genes")) => {
                self.gene_kind(genes, body, vocabulary.len(), &mut scope)?
            }
            Some("wordpiece") => match unknown {
                Unknown::Run { id } | Unknown::Each { id } => TokenizerKind::WordPiece { unknown: id },
                Unknown::Error => {
                    self.report(
                        Diagnostic::error("E0316", "a wordpiece tokenizer needs a token for unknown words")
                            .label(body.span, "`unknown` is missing")
                            .help("write `unknown = each(\"[UNK]\")`"),
                    );
                    return None;
                }
            },
            _ => TokenizerKind::Greedy { unknown, separator: self.separator(body, &id_of, unknown, &mut scope)? },
        };
        let casing = match self.word(body, "case", &["keep", "upper", "lower"], &mut scope)?.as_deref() {
            Some("upper") => Casing::Upper,
            Some("lower") => Casing::Lower,
            _ => Casing::Keep,
        };
        let mut replace = Vec::new();
        for pair in self.texts(body, "replace", &mut scope)? {
            let mut letters = pair.chars();
            if let (Some(from), Some(to), None) = (letters.next(), letters.next(), letters.next()) {
                replace.push((from, to));
            } else {
                let diagnostic = Diagnostic::error("E0316", format!("`{pair}` is not a letter and the letter that takes its place"));
                self.report(
                    diagnostic
                        .label(field(body, "replace").map_or(body.span, |field| field.span), "named here")
                        .help("write `replace = [\"TU\"]` for U in place of T"),
                );
                return None;
            }
        }
        Some(TokenizerSpec { name: handle.name.text.clone(), kind, casing, replace, vocabulary, special, prefix, suffix })
    }

    /// A field that is a list of texts; empty where it is missing.
    pub fn texts(&mut self, body: &Body, name: &str, scope: &mut Scope) -> Option<Vec<String>> {
        let Some(expr) = field_value(body, name) else { return Some(Vec::new()) };
        match self.eval(expr, scope) {
            Value::List(items) => {
                let texts: Option<Vec<String>> =
                    items.iter().map(|item| if let Value::Str(Some(text)) = item { Some(text.clone()) } else { None }).collect();
                if texts.is_none() {
                    self.report(Diagnostic::error("E0301", format!("`{name}` is a list of texts")).label(expr.span, "this value"));
                }
                texts
            }
            Value::Error => None,
            other => {
                self.report(
                    Diagnostic::error("E0301", format!("`{name}` is a list of texts, not {}", other.describe()))
                        .label(expr.span, "this value"),
                );
                None
            }
        }
    }

    /// A field that is one of a few words.
    pub fn word(&mut self, body: &Body, name: &str, words: &[&str], scope: &mut Scope) -> Option<Option<String>> {
        let Some(expr) = field_value(body, name) else { return Some(None) };
        let text = match &expr.kind {
            ExprKind::Name(word) => Some(word.clone()),
            _ => match self.eval(expr, scope) {
                Value::Str(text) | Value::Variant(text) => text,
                _ => None,
            },
        };
        match text {
            Some(word) if words.contains(&word.as_str()) => Some(Some(word)),
            _ => {
                self.report(
                    Diagnostic::error("E0313", format!("`{name}` is one of {}", words.join(", "))).label(expr.span, "not a choice here"),
                );
                None
            }
        }
    }

    /// `separator = ["|", "[SEP]"]`: a letter that is no token, and what it stands for where it is alone.
    fn separator(
        &mut self,
        body: &Body,
        id_of: &dyn Fn(&str) -> Option<i32>,
        unknown: Unknown,
        scope: &mut Scope,
    ) -> Option<Option<(char, i32)>> {
        let texts = self.texts(body, "separator", scope)?;
        let Some(field) = field(body, "separator") else { return Some(None) };
        let found = match texts.as_slice() {
            [letter, token] if letter.chars().count() == 1 && id_of(letter).is_none() => letter.chars().next().zip(id_of(token)),
            _ => None,
        };
        if found.is_none() || !matches!(unknown, Unknown::Run { .. }) {
            self.report(
                Diagnostic::error("E0316", "a separator is a letter that is no token, and the token that it stands for")
                    .label(field.span, "named here")
                    .help("write `separator = [\"|\", \"[SEP]\"]`, with `unknown = run(\"…\")`"),
            );
            return None;
        }
        Some(found)
    }

    fn unknown_rule(&mut self, body: &Body, id_of: &dyn Fn(&str) -> Option<i32>, scope: &mut Scope) -> Option<Unknown> {
        let Some(expr) = field_value(body, "unknown") else { return Some(Unknown::Error) };
        if matches!(&expr.kind, ExprKind::Name(name) if name == "error") {
            return Some(Unknown::Error);
        }
        match self.eval(expr, scope) {
            Value::Rule(rule, Some(text)) => match id_of(&text) {
                Some(id) if rule == "run" => Some(Unknown::Run { id }),
                Some(id) => Some(Unknown::Each { id }),
                None => {
                    self.report(Diagnostic::error("E0316", format!("`{text}` is not in the vocabulary")).label(expr.span, "named here"));
                    None
                }
            },
            Value::Error => None,
            _ => {
                self.report(
                    Diagnostic::error("E0316", "what unknown text becomes is `run(\"…\")`, `each(\"…\")` or `error`")
                        .label(expr.span, "this value"),
                );
                None
            }
        }
    }
}

pub fn field<'a>(body: &'a Body, name: &str) -> Option<&'a Field> {
    body.fields.iter().find(|field| field.name.text == name)
}

/// The expression of a field `name = …`.
pub fn field_value<'a>(body: &'a Body, name: &str) -> Option<&'a Expr> {
    match field(body, name).map(|field| &field.kind) {
        Some(FieldKind::Value(expr)) => Some(expr),
        _ => None,
    }
}

/// Does every letter of the alphabet become one token, whatever its neighbours? Then a column of one length has one number of tokens.
pub fn one_token_a_letter(tokenizer: &TokenizerSpec, alphabet: Alphabet) -> bool {
    let letters = match alphabet {
        Alphabet::Dna => "ACGTNRYSWKMBDHV",
        Alphabet::Rna => "ACGUNRYSWKMBDHV",
        Alphabet::Protein => "ACDEFGHIKLMNPQRSTVWYBJOUXZ*-.",
        Alphabet::Text | Alphabet::Alignment => return false,
    };
    match &tokenizer.kind {
        TokenizerKind::Greedy { unknown: Unknown::Each { .. } | Unknown::Error, .. } => {}
        TokenizerKind::Greedy { unknown: Unknown::Run { .. }, .. } => {
            let known = |letter: char| tokenizer.vocabulary.iter().any(|token| token.chars().eq([letter]));
            let cased = |letter: char| match tokenizer.casing {
                Casing::Upper => vec![letter.to_ascii_uppercase()],
                Casing::Lower => vec![letter.to_ascii_lowercase()],
                Casing::Keep => vec![letter.to_ascii_uppercase(), letter.to_ascii_lowercase()],
            };
            if !letters.chars().flat_map(cased).all(known) {
                return false;
            }
        }
        TokenizerKind::WordPiece { .. } | TokenizerKind::Library { .. } | TokenizerKind::Genes { .. } => return false,
    }
    // An entry of several letters could swallow its neighbours.
    !tokenizer
        .vocabulary
        .iter()
        .any(|token| token.chars().count() > 1 && token.chars().all(|letter| letters.contains(letter.to_ascii_uppercase())))
}
