//! The letters of each alphabet, and what a wrong letter suggests.

use mgx_ir::plan::{Alphabet, MASKS};

/// Which bytes are letters of an alphabet. Upper and lower case are both allowed.
pub(super) struct Letters {
    allowed: [bool; 256],
    alphabet: Alphabet,
}

/// A character that is not a letter; `position` counts characters from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongLetter {
    pub character: char,
    pub position: usize,
}

impl Letters {
    pub fn new(alphabet: Alphabet) -> Self {
        let letters = match alphabet {
            // Bases, the unknown base, and the IUPAC codes of ambiguous bases.
            Alphabet::Dna => "ACGTNRYSWKMBDHV",
            Alphabet::Rna => "ACGUNRYSWKMBDHV",
            // The 20 amino acids; B, J, Z, X are ambiguous, O and U the rare ones; stop, gap and insertion.
            Alphabet::Protein => "ACDEFGHIKLMNPQRSTVWYBJOUXZ*-.",
            Alphabet::Alignment => "ACDEFGHIKLMNPQRSTVWYBJOUXZ*-.|",
            Alphabet::Text => "",
        };
        let mut allowed = [alphabet == Alphabet::Text; 256];
        for byte in letters.bytes() {
            allowed[usize::from(byte)] = true;
            allowed[usize::from(byte.to_ascii_lowercase())] = true;
        }
        Self { allowed, alphabet }
    }

    /// The first character that is not a letter.
    pub fn check(&self, text: &str) -> Option<WrongLetter> {
        let mut start = 0;
        loop {
            // All letters and masks are ASCII, so `wrong` is a character boundary and everything before it is one byte per character.
            let wrong = start + text.as_bytes()[start..].iter().position(|byte| !self.allowed[usize::from(*byte)])?;
            match MASKS.iter().find(|mask| self.alphabet != Alphabet::Alignment && text[wrong..].starts_with(**mask)) {
                Some(mask) => start = wrong + mask.len(),
                None => return text[wrong..].chars().next().map(|character| WrongLetter { character, position: wrong + 1 }),
            }
        }
    }

    /// How many letters a text has that was checked; a mask is one.
    pub fn count(&self, text: &str) -> u64 {
        if self.alphabet == Alphabet::Text {
            return text.chars().count() as u64;
        }
        let masks: usize = MASKS.iter().map(|mask| text.matches(mask).count() * (mask.len() - 1)).sum();
        (text.len() - masks) as u64
    }

    pub fn name(&self) -> &'static str {
        match self.alphabet {
            Alphabet::Dna => "dna",
            Alphabet::Rna => "rna",
            Alphabet::Protein => "protein",
            Alphabet::Text => "text",
            Alphabet::Alignment => "an alignment of proteins",
        }
    }

    /// What to do about a wrong character in this text.
    pub fn help(&self, text: &str, character: char) -> String {
        let fits = |alphabet| Letters::new(alphabet).check(text).is_none();
        let name = self.name();
        match character {
            'U' | 'u' if self.alphabet == Alphabet::Dna && fits(Alphabet::Rna) => {
                return "U in a dna column: declare it rna".to_owned();
            }
            'T' | 't' if self.alphabet == Alphabet::Rna && fits(Alphabet::Dna) => {
                return "T in an rna column: declare it dna".to_owned();
            }
            'U' | 'u' if self.alphabet == Alphabet::Dna => return "dna is written with T; replace U by T".to_owned(),
            'T' | 't' if self.alphabet == Alphabet::Rna => return "rna is written with U; replace T by U".to_owned(),
            _ => {}
        }
        if character.is_whitespace() {
            "remove the white space from the sequence".to_owned()
        } else if self.alphabet != Alphabet::Protein && character.is_ascii_alphabetic() && fits(Alphabet::Protein) {
            format!("the sequence looks like protein; declare the column protein, or correct the letter to one of {name}")
        } else if self.alphabet != Alphabet::Protein && matches!(character, '-' | '.' | '*') {
            format!("gaps and stops are not letters of {name}; remove them")
        } else if character == '[' || character == '<' {
            format!(
                "of the tokens that are no letters of {name} only [MASK] and <mask> may stand in a sequence; declare the column text to pass others"
            )
        } else {
            "correct the sequence, or remove the row".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets_do_not_mix() {
        assert_eq!(Letters::new(Alphabet::Dna).check("ACGTNRYSWKMBDHVacgt"), None);
        assert_eq!(Letters::new(Alphabet::Dna).check("ACGU"), Some(WrongLetter { character: 'U', position: 4 }));
        assert_eq!(Letters::new(Alphabet::Rna).check("ACGT"), Some(WrongLetter { character: 'T', position: 4 }));
        assert_eq!(Letters::new(Alphabet::Protein).check("MKVBJOUXZ*-."), None);
        assert_eq!(Letters::new(Alphabet::Protein).check("MK1"), Some(WrongLetter { character: '1', position: 3 }));
        assert_eq!(Letters::new(Alphabet::Dna).check("ACé"), Some(WrongLetter { character: 'é', position: 3 }));
        assert_eq!(Letters::new(Alphabet::Text).check("anything ü"), None);
        let dna = Letters::new(Alphabet::Dna);
        assert_eq!((dna.check("[MASK]AC<mask>"), dna.count("[MASK]AC<mask>")), (None, 4));
        assert_eq!(dna.check("A[MASK][CLS]"), Some(WrongLetter { character: '[', position: 8 }));
    }

    #[test]
    fn help_names_the_alphabet_that_fits() {
        assert!(Letters::new(Alphabet::Dna).help("ACGU", 'U').contains("declare it rna"));
        assert!(Letters::new(Alphabet::Dna).help("ACGUT", 'U').contains("replace U by T"));
        assert!(Letters::new(Alphabet::Dna).help("MKLV", 'L').contains("protein"));
    }
}
