//! BERT's tokenizer: basic tokenisation into words and punctuation, then greedy longest-match pieces.
//!
//! After `BertTokenizer` of Devlin et al. (2018) as the Hugging Face libraries implement it: control characters are removed,
//! CJK ideographs stand alone, `Casing::Lower` also strips accents, and a continuation piece begins with `##`.

use mgx_ir::plan::{Casing, TokenizerSpec};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::normalize::{Normalizer, is_space};
use super::trie::Trie;

/// Longer words are unknown.
const MAX_WORD: usize = 100;

#[derive(Debug)]
pub(super) struct WordPiece {
    /// Pieces that begin a word.
    first: Trie,
    /// Pieces inside a word, without their `##`.
    inner: Trie,
    special: Trie,
    normalizer: Normalizer,
    unknown: i32,
}

impl WordPiece {
    pub fn new(spec: &TokenizerSpec, unknown: i32) -> Self {
        let mut pieces =
            Self { first: Trie::default(), inner: Trie::default(), special: Trie::default(), normalizer: Normalizer::new(spec), unknown };
        for (id, token) in (0..).zip(&spec.vocabulary) {
            if spec.special.contains(&id) {
                pieces.special.insert(token, id);
            }
            if let Some(inner) = token.strip_prefix("##") {
                pieces.inner.insert(inner, id);
            }
            pieces.first.insert(token, id);
        }
        pieces
    }

    /// Appends the tokens of a text.
    pub fn encode(&self, text: &str, ids: &mut Vec<i32>) {
        let mut start = 0;
        let mut at = 0;
        while let Some(character) = text[at..].chars().next() {
            match self.special.longest(text[at..].chars()) {
                Some((id, count)) => {
                    self.encode_plain(&text[start..at], ids);
                    ids.push(id);
                    at += text[at..].chars().take(count).map(char::len_utf8).sum::<usize>();
                    start = at;
                }
                None => at += character.len_utf8(),
            }
        }
        self.encode_plain(&text[start..], ids);
    }

    /// Text without special tokens.
    fn encode_plain(&self, text: &str, ids: &mut Vec<i32>) {
        let mut word: Vec<char> = Vec::new();
        for character in text.chars() {
            if is_dropped(character) {
                continue;
            }
            if is_space(character) {
                self.encode_word(&mut word, ids);
            } else if is_ideograph(character) {
                self.encode_word(&mut word, ids);
                self.push_folded(character, &mut word, ids);
                self.encode_word(&mut word, ids);
            } else {
                self.push_folded(character, &mut word, ids);
            }
        }
        self.encode_word(&mut word, ids);
    }

    /// Adds a character to the word after the change of case; punctuation ends the word and is a word of its own.
    fn push_folded(&self, character: char, word: &mut Vec<char>, ids: &mut Vec<i32>) {
        let mut push = |character: char| {
            let character = self.normalizer.apply(character);
            if is_punctuation(character) {
                self.encode_word(word, ids);
                word.push(character);
                self.encode_word(word, ids);
            } else {
                word.push(character);
            }
        };
        match self.normalizer.casing() {
            Casing::Keep | Casing::Upper => push(character),
            Casing::Lower if character.is_ascii() => push(character),
            Casing::Lower => std::iter::once(character)
                .nfd()
                .filter(|part| part.general_category() != GeneralCategory::NonspacingMark)
                .flat_map(char::to_lowercase)
                .for_each(push),
        }
    }

    /// Pieces of a word, which is then empty.
    fn encode_word(&self, word: &mut Vec<char>, ids: &mut Vec<i32>) {
        if word.is_empty() {
            return;
        }
        let start = ids.len();
        let mut at = 0;
        while at < word.len() && word.len() <= MAX_WORD {
            let pieces = if at == 0 { &self.first } else { &self.inner };
            match pieces.longest(word[at..].iter().copied()) {
                Some((id, count)) => {
                    ids.push(id);
                    at += count;
                }
                None => break,
            }
        }
        if at < word.len() {
            ids.truncate(start);
            ids.push(self.unknown);
        }
        word.clear();
    }
}

/// Control, format, private and unassigned characters, apart from white space; and the replacement character.
fn is_dropped(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\0' | char::REPLACEMENT_CHARACTER => true,
        ' '..='~' => false,
        _ => character.general_category_group() == GeneralCategoryGroup::Other,
    }
}

/// Unicode punctuation, and every ASCII character that is neither letter, digit, space nor control.
fn is_punctuation(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_punctuation();
    }
    character.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// The blocks of CJK ideographs, as BERT lists them.
fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F
        | 0x2B820..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}
