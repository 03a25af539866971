//! Longest match of the vocabulary at each place.
//!
//! Nearly all text is letters that are one token each. A table over bytes handles those without looking further; only a byte
//! that begins a longer entry, or a character outside ASCII, takes the way through the tries.

use mgx_ir::plan::{TokenizerSpec, Unknown};

use super::UnknownCharacter;
use super::normalize::{Normalizer, is_space};
use super::trie::Trie;

/// What a byte means when nothing else needs to be looked at.
#[derive(Clone, Copy, Debug)]
enum Action {
    Token(i32),
    Space,
    Unknown,
    /// Look at the characters that follow.
    Match,
}

#[derive(Debug)]
pub(super) struct Greedy {
    actions: [Action; 256],
    /// All entries, matched against the text after the change of case and letters.
    entries: Trie,
    /// Special entries, matched against the raw text.
    special: Trie,
    normalizer: Normalizer,
    unknown: Unknown,
    separator: Option<(char, i32)>,
}

/// What the text just read, which no entry matches, has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    /// There is none.
    No,
    /// A separator, so far alone.
    Separator,
    /// Unknown text.
    Unknown,
}

impl Greedy {
    pub fn new(spec: &TokenizerSpec, unknown: Unknown, separator: Option<(char, i32)>) -> Self {
        let mut entries = Trie::default();
        let mut special = Trie::default();
        for (id, token) in (0..).zip(&spec.vocabulary) {
            if spec.special.contains(&id) {
                special.insert(token, id);
            } else {
                entries.insert(token, id);
            }
        }
        let normalizer = Normalizer::new(spec);
        let mut actions = [Action::Match; 256];
        for byte in 0..128_u8 {
            let character = normalizer.apply(char::from(byte));
            actions[usize::from(byte)] = if special.first(char::from(byte)).is_some() {
                Action::Match
            } else if is_space(character) {
                Action::Space
            } else {
                match entries.first(character) {
                    None => Action::Unknown,
                    Some((Some(id), false)) => Action::Token(id),
                    Some(_) => Action::Match,
                }
            };
        }
        Self { actions, entries, special, normalizer, unknown, separator }
    }

    /// Appends the tokens of a text.
    pub fn encode(&self, text: &str, ids: &mut Vec<i32>) -> Result<(), UnknownCharacter> {
        let bytes = text.as_bytes();
        let mut at = 0;
        let mut stretch = Stretch::No;
        while at < bytes.len() {
            match self.actions[usize::from(bytes[at])] {
                Action::Token(id) => {
                    ids.push(id);
                    stretch = Stretch::No;
                    at += 1;
                }
                Action::Space => {
                    stretch = Stretch::No;
                    at += 1;
                }
                Action::Unknown => {
                    self.push_unknown(text, at, &mut stretch, ids)?;
                    at += 1;
                }
                Action::Match => at += self.match_at(text, at, &mut stretch, ids)?,
            }
        }
        Ok(())
    }

    /// Matches at a place and gives the number of bytes that it took.
    fn match_at(&self, text: &str, at: usize, stretch: &mut Stretch, ids: &mut Vec<i32>) -> Result<usize, UnknownCharacter> {
        let rest = &text[at..];
        let special = self.special.longest(rest.chars());
        let ordinary = self.entries.longest(rest.chars().map(|character| self.normalizer.apply(character)));
        let best = match (special, ordinary) {
            (Some(special), Some(ordinary)) if ordinary.1 > special.1 => Some(ordinary),
            (special, ordinary) => special.or(ordinary),
        };
        if let Some((id, count)) = best {
            ids.push(id);
            *stretch = Stretch::No;
            return Ok(rest.chars().take(count).map(char::len_utf8).sum());
        }
        let Some(character) = rest.chars().next() else { return Ok(1) };
        if is_space(self.normalizer.apply(character)) {
            *stretch = Stretch::No;
        } else {
            self.push_unknown(text, at, stretch, ids)?;
        }
        Ok(character.len_utf8())
    }

    fn push_unknown(&self, text: &str, at: usize, stretch: &mut Stretch, ids: &mut Vec<i32>) -> Result<(), UnknownCharacter> {
        let character = || text[at..].chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
        match (self.separator, *stretch) {
            (Some((separator, id)), Stretch::No) if self.normalizer.apply(character()) == separator => {
                ids.push(id);
                *stretch = Stretch::Separator;
                return Ok(());
            }
            // It was not alone: it belongs to what is unknown.
            (Some(_), Stretch::Separator) => {
                ids.pop();
                *stretch = Stretch::No;
            }
            _ => {}
        }
        match self.unknown {
            Unknown::Run { id } if *stretch == Stretch::No => ids.push(id),
            Unknown::Run { .. } => {}
            Unknown::Each { id } => ids.push(id),
            Unknown::Error => {
                let position = text[..at].chars().count() as u64 + 1;
                return Err(UnknownCharacter { character: character(), position });
            }
        }
        *stretch = Stretch::Unknown;
        Ok(())
    }
}
