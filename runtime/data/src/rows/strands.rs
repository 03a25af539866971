//! The other strand of a nucleic acid.

/// The reverse complement of DNA or RNA, case kept; ambiguous bases become those of the other strand. `None` for text with a character that is no base.
pub fn reverse_complement(sequence: &str, is_rna: bool) -> Option<String> {
    sequence.bytes().rev().map(|base| complement(base, is_rna)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_strand_is_read_backwards() {
        assert_eq!(reverse_complement("AACGT", false).as_deref(), Some("ACGTT"));
        assert_eq!(reverse_complement("aacgu", true).as_deref(), Some("acguu"));
        // As Bio.Seq.reverse_complement.
        assert_eq!(reverse_complement("ACGTRYSWKMBDHVN", false).as_deref(), Some("NBDHVKMWSRYACGT"));
        assert_eq!(reverse_complement("AC[MASK]", false), None);
        assert_eq!(reverse_complement("", false).as_deref(), Some(""));
    }
}
