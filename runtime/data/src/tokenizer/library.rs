//! Tokenizers that a `tokenizer.json` defines, run by Hugging Face's own library.

use std::str::FromStr;

use mgx_diag::Diagnostic;

use super::UnknownCharacter;

#[derive(Debug)]
pub(super) struct Library {
    tokenizer: Box<tokenizers::Tokenizer>,
}

impl Library {
    /// Reads a definition. Truncation and padding in it are left out: samples are cut by the backbone's `max_length` and never padded.
    ///
    /// # Errors
    /// E0533 where the library refuses it.
    pub fn new(name: &str, definition: &str) -> Result<Self, Diagnostic> {
        let mut tokenizer = tokenizers::Tokenizer::from_str(definition).map_err(|error| refused(name, &error))?;
        tokenizer.with_truncation(None).map_err(|error| refused(name, &error))?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer: Box::new(tokenizer) })
    }

    /// Appends the tokens of a text, without those that the definition puts around it.
    ///
    /// # Errors
    /// The first character that the library refuses, where the definition has no token for what is unknown.
    pub fn encode(&self, text: &str, ids: &mut Vec<i32>) -> Result<(), UnknownCharacter> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|_| self.first_refused(text))?;
        ids.extend(encoding.get_ids().iter().map(|id| *id as i32));
        Ok(())
    }

    /// The text of ids, with special tokens; nothing where the definition does not say.
    pub fn decode(&self, ids: &[i32]) -> Option<String> {
        let ids: Vec<u32> = ids.iter().map(|id| u32::try_from(*id).ok()).collect::<Option<_>>()?;
        self.tokenizer.decode(&ids, false).ok()
    }

    fn first_refused(&self, text: &str) -> UnknownCharacter {
        let alone = |character: &char| self.tokenizer.encode_fast(character.to_string(), false).is_err();
        let found = text.chars().enumerate().find(|(_, character)| alone(character)).or_else(|| text.chars().enumerate().next());
        let (index, character) = found.unwrap_or((0, char::REPLACEMENT_CHARACTER));
        UnknownCharacter { character, position: index as u64 + 1 }
    }
}

fn refused(name: &str, error: &tokenizers::Error) -> Diagnostic {
    Diagnostic::error("E0533", format!("the definition of tokenizer `{name}` cannot be used: {error}"))
        .help("fetch `tokenizer.json` again from where the checkpoint comes from")
}
