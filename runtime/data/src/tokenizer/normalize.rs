//! Changes of case and letters, one character for one.

use mgx_ir::plan::{Casing, TokenizerSpec};

/// A tokenizer's casing and replacements.
#[derive(Clone, Debug)]
pub(super) struct Normalizer {
    casing: Casing,
    replace: Vec<(char, char)>,
}

impl Normalizer {
    pub fn new(spec: &TokenizerSpec) -> Self {
        Self { casing: spec.casing, replace: spec.replace.clone() }
    }

    /// The character after change of case and replacement. A character whose other case is several characters stays.
    pub fn apply(&self, character: char) -> char {
        let cased = match self.casing {
            Casing::Keep => character,
            Casing::Upper => only(character.to_uppercase()).unwrap_or(character),
            Casing::Lower => only(character.to_lowercase()).unwrap_or(character),
        };
        self.replace.iter().find(|(from, _)| *from == cased).map_or(cased, |(_, to)| *to)
    }

    pub fn casing(&self) -> Casing {
        self.casing
    }
}

fn only(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next()?;
    characters.next().is_none().then_some(first)
}

/// White space as Python's `str.split` sees it, which the public tokenizers use: Unicode's, and the four information separators.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1C}'..='\u{1F}')
}
