//! Secondary structures of RNA: pairs from probabilities, and how right they are. As AIDO.ModelGenerator and RiNALMo (Penić et al. 2024) do.

use std::collections::HashSet;

/// A pair of letters, numbered from 0, the first before the second.
pub type Pair = [u32; 2];

/// Letters of a pair are at least so many places apart.
const SHORTEST_LOOP: usize = 4;

/// Can two letters pair? Watson and Crick's pairs and G with U; T counts as U.
fn can_pair(a: u8, b: u8) -> bool {
    let letter = |letter: u8| if letter.eq_ignore_ascii_case(&b'T') { b'U' } else { letter.to_ascii_uppercase() };
    matches!((letter(a), letter(b)), (b'A', b'U') | (b'U', b'A') | (b'G', b'C' | b'U') | (b'C' | b'U', b'G'))
}

/// The structure that a matrix of probabilities (row after row, the same in both orders) gives to a sequence: of the pairs above the threshold that can be, the likeliest
/// first (of equal ones the first in the matrix), each letter at most once.
pub fn base_pairs(probabilities: &[f32], sequence: &str, threshold: f64) -> Vec<Pair> {
    let letters = sequence.as_bytes();
    let side = probabilities.len().isqrt().min(letters.len());
    let width = probabilities.len().isqrt();
    let mut found: Vec<(f32, usize, usize)> = Vec::new();
    for first in 0..side {
        for second in first + SHORTEST_LOOP..side {
            let probability = probabilities[first * width + second];
            if f64::from(probability) > threshold && probability > 0.0 && can_pair(letters[first], letters[second]) {
                found.push((probability, first, second));
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut taken = vec![false; side];
    let mut pairs = Vec::new();
    for (_, first, second) in found {
        if !taken[first] && !taken[second] {
            (taken[first], taken[second]) = (true, true);
            pairs.push([first as u32, second as u32]);
        }
    }
    pairs.sort_unstable();
    pairs
}

/// How right a structure is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairScores {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

/// Compares predicted pairs with true ones. A pair counts as right, or as found, where one of its letters is the one beside; 0 of no pairs.
pub fn pair_scores(truth: &[Pair], predicted: &[Pair]) -> PairScores {
    let share = |of: &[Pair], among: &[Pair]| {
        let among: HashSet<[i64; 2]> =
            among.iter().flat_map(|[a, b]| [[i64::from(*a), i64::from(*b)], [i64::from(*b), i64::from(*a)]]).collect();
        let is_near = |[a, b]: &&Pair| {
            let (a, b) = (i64::from(*a), i64::from(*b));
            [[a, b], [a - 1, b], [a + 1, b], [a, b - 1], [a, b + 1]].iter().any(|pair| among.contains(pair))
        };
        if of.is_empty() { 0.0 } else { of.iter().filter(is_near).count() as f64 / of.len() as f64 }
    };
    let (precision, recall) = (share(predicted, truth), share(truth, predicted));
    let f1 = if precision + recall < 1e-5 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
    PairScores { precision, recall, f1 }
}

/// A structure as a connectivity table (`.ct`): a line with the number of letters and a title, then one for each letter.
pub fn connectivity_table(title: &str, sequence: &str, pairs: &[Pair]) -> String {
    let mut partner = vec![0; sequence.len()];
    for [a, b] in pairs.iter().map(|pair| pair.map(|letter| letter as usize)).filter(|[_, last]| *last < sequence.len()) {
        (partner[a], partner[b]) = (b + 1, a + 1);
    }
    let title: String = title.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let mut text = format!("{}\t{title}\n", sequence.len());
    for (place, letter) in sequence.chars().enumerate() {
        let number = place + 1;
        text.push_str(&format!("{number}\t{letter}\t{place}\t{}\t{}\t{number}\n", number + 1, partner.get(place).copied().unwrap_or(0)));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Recorded from the reference's functions for random probabilities, some of them equal.
    const FIXTURE: &str = include_str!("../tests/fixtures/structures.json");

    #[test]
    fn structures_and_scores_are_those_of_the_reference() {
        let cases: Vec<Value> = serde_json::from_str(FIXTURE).unwrap();
        assert!(cases.len() > 5);
        for case in &cases {
            let number = |key: &str| case[key].as_f64().unwrap();
            let pairs = |key: &str| serde_json::from_value::<Vec<Pair>>(case[key].clone()).unwrap();
            let probabilities: Vec<f32> = serde_json::from_value(case["probabilities"].clone()).unwrap();
            let found = base_pairs(&probabilities, case["sequence"].as_str().unwrap(), number("threshold"));
            assert_eq!(found, pairs("structure"), "{}", case["sequence"]);
            let PairScores { precision, recall, f1 } = pair_scores(&pairs("truth"), &found);
            for (name, value) in [("precision", precision), ("recall", recall), ("f1", f1)] {
                assert!((value - number(name)).abs() < 1e-9, "{name}: {value} for {}", number(name));
            }
        }
    }

    #[test]
    fn nothing_is_right_of_nothing() {
        assert_eq!(pair_scores(&[], &[]), PairScores { precision: 0.0, recall: 0.0, f1: 0.0 });
        assert_eq!(base_pairs(&[], "", 0.5), Vec::<Pair>::new());
        // Letters that were cut off have no probabilities.
        assert_eq!(base_pairs(&[0.9; 4], "AUGC", 0.5), Vec::<Pair>::new());
    }

    #[test]
    fn a_table_has_a_line_for_each_letter() {
        let text = connectivity_table("x\ny", "GAAAAC", &[[0, 5]]);
        assert_eq!(text.lines().next(), Some("6\tx y"));
        assert_eq!(text.lines().nth(1), Some("1\tG\t0\t2\t6\t1"));
        assert_eq!(text.lines().nth(6), Some("6\tC\t5\t7\t1\t6"));
    }
}
