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
}

impl Greedy {
    pub fn new(spec: &TokenizerSpec, unknown: Unknown) -> Self {
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
        Self { actions, entries, special, normalizer, unknown }
    }

    /// Appends the tokens of a text.
    pub fn encode(&self, text: &str, ids: &mut Vec<i32>) -> Result<(), UnknownCharacter> {
        let bytes = text.as_bytes();
        let mut at = 0;
        let mut in_run = false;
        while at < bytes.len() {
            match self.actions[usize::from(bytes[at])] {
                Action::Token(id) => {
                    ids.push(id);
                    in_run = false;
                    at += 1;
                }
                Action::Space => {
                    in_run = false;
                    at += 1;
                }
                Action::Unknown => {
                    self.push_unknown(text, at, &mut in_run, ids)?;
                    at += 1;
                }
                Action::Match => at += self.match_at(text, at, &mut in_run, ids)?,
            }
        }
        Ok(())
    }

    /// Matches at a place and gives the number of bytes that it took.
    fn match_at(&self, text: &str, at: usize, in_run: &mut bool, ids: &mut Vec<i32>) -> Result<usize, UnknownCharacter> {
        let rest = &text[at..];
        let special = self.special.longest(rest.chars());
        let ordinary = self.entries.longest(rest.chars().map(|character| self.normalizer.apply(character)));
        let best = match (special, ordinary) {
            (Some(special), Some(ordinary)) if ordinary.1 > special.1 => Some(ordinary),
            (special, ordinary) => special.or(ordinary),
        };
        if let Some((id, count)) = best {
            ids.push(id);
            *in_run = false;
            return Ok(rest.chars().take(count).map(char::len_utf8).sum());
        }
        let Some(character) = rest.chars().next() else { return Ok(1) };
        if is_space(self.normalizer.apply(character)) {
            *in_run = false;
        } else {
            self.push_unknown(text, at, in_run, ids)?;
        }
        Ok(character.len_utf8())
    }

    fn push_unknown(&self, text: &str, at: usize, in_run: &mut bool, ids: &mut Vec<i32>) -> Result<(), UnknownCharacter> {
        match self.unknown {
            Unknown::Run { id } if !*in_run => ids.push(id),
            Unknown::Run { .. } => {}
            Unknown::Each { id } => ids.push(id),
            Unknown::Error => {
                let position = text[..at].chars().count() as u64 + 1;
                let character = text[at..].chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
                return Err(UnknownCharacter { character, position });
            }
        }
        *in_run = true;
        Ok(())
    }
}
