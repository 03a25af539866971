//! What is read off a nucleic acid: its other strand, its transcript, and the protein that it codes for.

use mgx_ir::plan::StopPolicy;

/// The reverse complement of DNA or RNA, case kept; ambiguous bases become those of the other strand. `None` for text with a character that is no base.
pub fn reverse_complement(sequence: &str, is_rna: bool) -> Option<String> {
    sequence.bytes().rev().map(|base| complement(base, is_rna)).collect()
}

/// The RNA of a coding strand: U for T, case and ambiguous bases kept. `None` for text with a character that is no base of DNA.
pub fn transcribe(sequence: &str) -> Option<String> {
    let base = |base: u8| match base {
        b'T' => Some('U'),
        b't' => Some('u'),
        b'U' | b'u' => None,
        other => complement(other, false).map(|_| char::from(other)),
    };
    sequence.bytes().map(base).collect()
}

/// Why a sequence has no translation. Places count letters from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untranslated {
    /// So many letters are no whole number of codons.
    Partial(usize),
    /// A stop codon before the end.
    Stop(usize),
    NotABase(usize),
}

/// The protein of DNA or RNA from its first letter on, by the standard genetic code (NCBI table 1), in upper case. A stop codon at the very end is left
/// out; what happens at one before it, `stop` says. Ambiguous codons: the amino acid if all that they may be are one, B, Z or J for the pairs that these
/// stand for, else X. Letters after the last codon are an error unless `drop_partial`.
///
/// # Errors
/// [`Untranslated`].
pub fn translate(sequence: &str, stop: StopPolicy, drop_partial: bool) -> Result<String, Untranslated> {
    let letters = sequence.as_bytes();
    if !letters.len().is_multiple_of(3) && !drop_partial {
        return Err(Untranslated::Partial(letters.len()));
    }
    let codons = letters.len() / 3;
    let mut protein = String::with_capacity(codons);
    for (number, codon) in letters.chunks_exact(3).enumerate() {
        let bases = |place: usize| bases(codon[place]).ok_or(Untranslated::NotABase(number * 3 + place + 1));
        match residue([bases(0)?, bases(1)?, bases(2)?]) {
            '*' if number + 1 == codons && stop != StopPolicy::Keep => {}
            '*' if stop == StopPolicy::End => break,
            '*' if stop == StopPolicy::Error => return Err(Untranslated::Stop(number * 3 + 1)),
            residue => protein.push(residue),
        }
    }
    Ok(protein)
}

fn complement(base: u8, is_rna: bool) -> Option<char> {
    let other = match base.to_ascii_uppercase() {
        b'A' if is_rna => b'U',
        b'A' => b'T',
        b'T' | b'U' => b'A',
        b'C' => b'G',
        b'G' => b'C',
        b'R' => b'Y',
        b'Y' => b'R',
        b'K' => b'M',
        b'M' => b'K',
        b'B' => b'V',
        b'V' => b'B',
        b'D' => b'H',
        b'H' => b'D',
        same @ (b'S' | b'W' | b'N') => same,
        _ => return None,
    };
    Some(char::from(if base.is_ascii_lowercase() { other.to_ascii_lowercase() } else { other }))
}

/// The bases that a letter may be, as places in the order of [`CODE`].
fn bases(letter: u8) -> Option<&'static [usize]> {
    const T: usize = 0;
    const C: usize = 1;
    const A: usize = 2;
    const G: usize = 3;
    Some(match letter.to_ascii_uppercase() {
        b'T' | b'U' => &[T],
        b'C' => &[C],
        b'A' => &[A],
        b'G' => &[G],
        b'R' => &[A, G],
        b'Y' => &[C, T],
        b'S' => &[C, G],
        b'W' => &[A, T],
        b'K' => &[G, T],
        b'M' => &[A, C],
        b'B' => &[C, G, T],
        b'D' => &[A, G, T],
        b'H' => &[A, C, T],
        b'V' => &[A, C, G],
        b'N' => &[A, C, G, T],
        _ => return None,
    })
}

/// The standard genetic code: NCBI table 1, first, second and third base in the order T, C, A, G.
const CODE: &[u8; 64] = b"FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG";

fn residue(codon: [&[usize]; 3]) -> char {
    let mut found: Vec<u8> = Vec::new();
    for first in codon[0] {
        for second in codon[1] {
            for third in codon[2] {
                let residue = CODE[first * 16 + second * 4 + third];
                if !found.contains(&residue) {
                    found.push(residue);
                }
            }
        }
    }
    found.sort_unstable();
    match found.as_slice() {
        [only] => char::from(*only),
        b"DN" => 'B',
        b"EQ" => 'Z',
        b"IL" => 'J',
        _ => 'X',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of Biopython 1.88: `Seq.reverse_complement`, `Seq.transcribe`, `Seq.translate` (with its last stop codon left out).
    #[test]
    fn the_other_strand_is_read_backwards() {
        assert_eq!(reverse_complement("AACGT", false).as_deref(), Some("ACGTT"));
        assert_eq!(reverse_complement("aacgu", true).as_deref(), Some("acguu"));
        assert_eq!(reverse_complement("ACGTRYSWKMBDHVN", false).as_deref(), Some("NBDHVKMWSRYACGT"));
        assert_eq!(reverse_complement("AC[MASK]", false), None);
        assert_eq!(reverse_complement("", false).as_deref(), Some(""));
    }

    #[test]
    fn rna_has_u_for_t() {
        assert_eq!(transcribe("ATGCtaN").as_deref(), Some("AUGCuaN"));
        assert_eq!(transcribe("AUG"), None);
        assert_eq!(transcribe("AT[MASK]"), None);
    }

    #[test]
    fn codons_are_translated_by_the_standard_code() {
        let keep = |sequence| translate(sequence, StopPolicy::Keep, false);
        let protein = "ATGGCCATTGTAATGGGCCGCTGAAAGGGTGCCCGATAG";
        assert_eq!(keep(protein).as_deref(), Ok("MAIVMGR*KGAR*"));
        assert_eq!(keep("auggccauuguaaugggccgcugaaagggugcccgauag").as_deref(), Ok("MAIVMGR*KGAR*"));
        assert_eq!(translate(protein, StopPolicy::End, false).as_deref(), Ok("MAIVMGR"));
        assert_eq!(translate(protein, StopPolicy::Error, false), Err(Untranslated::Stop(22)));
        assert_eq!(translate("ATGTAA", StopPolicy::Error, false).as_deref(), Ok("M"));
    }

    #[test]
    fn ambiguous_codons_are_what_all_their_codons_are() {
        for (codon, residue) in
            [("GGN", "G"), ("RAY", "B"), ("SAR", "Z"), ("YTR", "L"), ("MTT", "J"), ("HTA", "J"), ("TAR", "*"), ("TAN", "X"), ("NNN", "X")]
        {
            assert_eq!(translate(codon, StopPolicy::Keep, false).as_deref(), Ok(residue), "{codon}");
        }
    }

    #[test]
    fn letters_after_the_last_codon_are_said_or_dropped() {
        assert_eq!(translate("ATGGC", StopPolicy::Error, false), Err(Untranslated::Partial(5)));
        assert_eq!(translate("ATGGC", StopPolicy::Error, true).as_deref(), Ok("M"));
        assert_eq!(translate("ATGG-C", StopPolicy::Error, false), Err(Untranslated::NotABase(5)));
        assert_eq!(translate("", StopPolicy::Error, false).as_deref(), Ok(""));
    }
}
