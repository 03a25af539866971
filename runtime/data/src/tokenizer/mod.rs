//! Tokenizers: text to token ids and back, as [`TokenizerSpec`] describes.
//!
//! [`greedy`] is for alphabets (one token per letter, mostly), [`wordpiece`] is BERT's, [`library`] runs what a `tokenizer.json` defines. All find
//! special tokens in the raw text first, so that `[MASK]` is one token whatever happens to the letters around it.

mod greedy;
mod library;
mod normalize;
mod trie;
mod wordpiece;

use std::path::Path;

use mgx_diag::Diagnostic;
use mgx_ir::plan::{TokenizerKind, TokenizerSpec};

use greedy::Greedy;
use library::Library;
use wordpiece::WordPiece;

/// The token ids of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    pub ids: Vec<i32>,
    /// Which of them the tokenizer added (prefix and suffix). A special token in the text itself is not marked.
    pub special: Vec<bool>,
}

/// A character that the vocabulary does not have, where that is an error; `position` counts characters from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCharacter {
    pub character: char,
    pub position: u64,
}

/// A tokenizer, ready to use. Shared between threads.
#[derive(Debug)]
pub struct Tokenizer {
    name: String,
    vocabulary: Vec<String>,
    prefix: Vec<i32>,
    suffix: Vec<i32>,
    method: Method,
}

#[derive(Debug)]
enum Method {
    Greedy(Box<Greedy>),
    WordPiece(Box<WordPiece>),
    Library(Library),
}

/// How many tokens of a text are kept, special ones included: the first, or those in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub tokens: u64,
    pub window: bool,
}

impl Limit {
    /// The first so many tokens.
    pub fn first(tokens: u64) -> Self {
        Self { tokens, window: false }
    }
}

impl Tokenizer {
    /// Prepares a tokenizer. Of equal entries in the vocabulary the last one counts, as in BERT.
    ///
    /// # Errors
    /// E0533 if the vocabulary is empty, a special, prefix or suffix id is outside it, or a definition is not one; E0534 for a tokenizer of counts.
    pub fn new(spec: &TokenizerSpec) -> Result<Self, Diagnostic> {
        if spec.vocabulary.is_empty() {
            return Err(Diagnostic::error("E0533", format!("the vocabulary of tokenizer `{}` is empty", spec.name)));
        }
        for (what, ids) in [("special", &spec.special), ("prefix", &spec.prefix), ("suffix", &spec.suffix)] {
            if let Some(id) = ids.iter().find(|id| usize::try_from(**id).map_or(true, |id| id >= spec.vocabulary.len())) {
                let size = spec.vocabulary.len();
                let message = format!("the {what} token {id} of tokenizer `{}` is not in its vocabulary of {size} tokens", spec.name);
                return Err(Diagnostic::error("E0533", message).help(format!("ids go from 0 to {}", size - 1)));
            }
        }
        let method = match &spec.kind {
            TokenizerKind::Greedy { unknown, separator } => Method::Greedy(Box::new(Greedy::new(spec, *unknown, *separator))),
            TokenizerKind::WordPiece { unknown } => Method::WordPiece(Box::new(WordPiece::new(spec, *unknown))),
            TokenizerKind::Library { definition } => Method::Library(Library::new(&spec.name, definition)?),
            TokenizerKind::Genes { .. } => {
                return Err(Diagnostic::error("E0534", format!("tokenizer `{}` reads counts of genes, not text", spec.name)));
            }
        };
        Ok(Self {
            name: spec.name.clone(),
            vocabulary: spec.vocabulary.clone(),
            prefix: spec.prefix.clone(),
            suffix: spec.suffix.clone(),
            method,
        })
    }

    /// The tokens that are put before and after a text.
    pub fn added(&self) -> (&[i32], &[i32]) {
        (&self.prefix, &self.suffix)
    }

    /// The tokenizer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Is a text an entry of the vocabulary?
    pub fn knows(&self, token: &str) -> bool {
        self.vocabulary.iter().any(|other| other == token)
    }

    /// Number of entries of the vocabulary.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// Encodes a text. Of more tokens than the limit those that fit are kept, and the suffix stays; prefix and suffix
    /// (added if `add_special`) count.
    ///
    /// # Errors
    /// The first unknown character, where the specification makes that an error.
    pub fn encode(&self, text: &str, limit: Option<Limit>, add_special: bool) -> Result<Encoding, UnknownCharacter> {
        let mut ids = Vec::with_capacity(text.len() + self.prefix.len() + self.suffix.len());
        self.encode_into(text, limit, add_special, &mut ids)?;
        let mut special = vec![false; ids.len()];
        if add_special {
            let suffix_start = ids.len() - self.suffix.len();
            special[..self.prefix.len()].fill(true);
            special[suffix_start..].fill(true);
        }
        Ok(Encoding { ids, special })
    }

    /// Like [`Tokenizer::encode`]: appends the ids to `ids` and gives the number of tokens that there were before truncation.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; `ids` then ends with part of the text's tokens.
    pub fn encode_into(&self, text: &str, limit: Option<Limit>, add_special: bool, ids: &mut Vec<i32>) -> Result<u64, UnknownCharacter> {
        let (prefix, suffix): (&[i32], &[i32]) = if add_special { (&self.prefix, &self.suffix) } else { (&[], &[]) };
        let added = prefix.len() + suffix.len();
        ids.extend_from_slice(prefix);
        let start = ids.len();
        match &self.method {
            Method::Greedy(greedy) => greedy.encode(text, ids)?,
            Method::WordPiece(wordpiece) => wordpiece.encode(text, ids),
            Method::Library(library) => library.encode(text, ids)?,
        }
        let found = (ids.len() - start + added) as u64;
        if let Some(limit) = limit {
            let surplus = (ids.len() - start).saturating_sub((limit.tokens as usize).saturating_sub(added));
            if limit.window {
                ids.drain(start..start + surplus / 2);
                ids.truncate(ids.len() - surplus.div_ceil(2));
            } else {
                ids.truncate(ids.len() - surplus);
            }
        }
        ids.extend_from_slice(suffix);
        Ok(found)
    }

    /// The tokens of ids. An id outside the vocabulary is `[?]`.
    pub fn tokens(&self, ids: &[i32]) -> Vec<&str> {
        ids.iter().map(|id| usize::try_from(*id).ok().and_then(|id| self.vocabulary.get(id)).map_or("[?]", String::as_str)).collect()
    }

    /// The text of ids without the prefix and the suffix: letters one after another, words between spaces with their pieces joined, and what the library
    /// makes of a `tokenizer.json`. Special tokens stand there by their names.
    pub fn text(&self, ids: &[i32]) -> String {
        let end = ids.len().saturating_sub(self.suffix.len());
        let own = ids.get(self.prefix.len()..end).unwrap_or_default();
        match &self.method {
            Method::Greedy(_) => self.tokens(own).concat(),
            Method::WordPiece(_) => self.tokens(own).join(" ").replace(" ##", ""),
            Method::Library(library) => library.decode(own).unwrap_or_else(|| self.decode(own)),
        }
    }

    /// The tokens of ids, joined by single spaces.
    pub fn decode(&self, ids: &[i32]) -> String {
        self.tokens(ids).join(" ")
    }
}

/// Reads a vocabulary file: one token a line, its id is the line's number from 0.
///
/// # Errors
/// E0533 if the file cannot be read, is not UTF-8 or is empty.
pub fn read_vocabulary(path: &Path) -> Result<Vec<String>, Diagnostic> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Diagnostic::error("E0533", format!("cannot read the vocabulary {}: {error}", path.display())))?;
    let vocabulary: Vec<String> = text.lines().map(str::to_owned).collect();
    if vocabulary.is_empty() {
        return Err(Diagnostic::error("E0533", format!("the vocabulary {} is empty", path.display())).help("it holds one token a line"));
    }
    Ok(vocabulary)
}
