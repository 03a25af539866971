//! Tokens that are hidden from a network, and which of them were chosen for it.

use mgx_ir::plan::MaskSpec;
use mgx_ir::random::{derive, derive_name};

/// What a token that was chosen becomes.
#[derive(Clone, Copy)]
enum Fate {
    Mask,
    Random,
    Keep,
}

/// The smallest share that noise hides.
const LEAST: f64 = 0.001;
/// The place of what is drawn for a row itself: no token has it.
const LEVEL: u64 = u64::MAX;

/// A row, or one of its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The row's number; of a copy a number that no row has.
    pub number: u64,
    /// The copy, from 0.
    pub copy: u64,
}

/// What everything that is drawn for a row derives from; `random` is the key of the batch.
fn row_key(spec: &MaskSpec, row: Key, random: u64) -> u64 {
    derive(derive(derive_name(spec.seed, "mask"), random), row.number)
}

/// The share of a row's tokens that are chosen: drawn where the masks are noise. Only training, whose batches have a key, has copies.
pub(crate) fn share(spec: &MaskSpec, row: Key, random: u64) -> f64 {
    let Some(copies) = spec.copies else { return spec.rate };
    let (copy, copies) = if random == 0 { (0, 1) } else { (row.copy % copies.max(1), copies.max(1)) };
    let (low, high) = ((copy as f64 / copies as f64).max(LEAST), (copy + 1) as f64 / copies as f64);
    low + (high - low) * uniform(derive(row_key(spec, row, random), LEVEL))
}

/// Masks the tokens of rows: `ids` are those of all `rows` one after another, `counts` how many each has, `random` the key of the batch. Gives for each token
/// whether it was chosen. A token's fate is a function of the seed, the key, its row and its place alone.
pub(crate) fn mask(ids: &mut [i32], rows: &[Key], counts: impl Iterator<Item = u64>, spec: &MaskSpec, random: u64) -> Vec<i32> {
    let letters: Vec<i32> = (0..spec.vocabulary as i32).filter(|id| spec.special.binary_search(id).is_err()).collect();
    let mut chosen = vec![0; ids.len()];
    let mut start = 0;
    for (row, count) in rows.iter().zip(counts) {
        let end = (start + count as usize).min(ids.len());
        let key = row_key(spec, *row, random);
        let own = &mut ids[start..end];
        let candidates = own.iter().enumerate().filter(|(_, id)| spec.special.binary_search(id).is_err());
        let mut order: Vec<(u64, usize)> = candidates.map(|(place, _)| (derive(key, place as u64), place)).collect();
        order.sort_unstable();
        for (word, place) in order.iter().take(number(order.len(), share(spec, *row, random))) {
            chosen[start + place] = 1;
            match fate(derive(*word, 1), spec) {
                Fate::Mask => own[*place] = spec.mask,
                Fate::Random if letters.is_empty() => {}
                Fate::Random => own[*place] = letters[(derive(*word, 2) % letters.len() as u64) as usize],
                Fate::Keep => {}
            }
        }
        start = end;
    }
    chosen
}

/// How many of so many tokens are chosen.
fn number(candidates: usize, rate: f64) -> usize {
    if rate <= 0.0 { 0 } else { ((candidates as f64 * rate) as usize).max(1).min(candidates) }
}

fn fate(word: u64, spec: &MaskSpec) -> Fate {
    let drawn = uniform(word);
    if drawn < spec.keep {
        Fate::Keep
    } else if drawn < spec.keep + spec.random {
        Fate::Random
    } else {
        Fate::Mask
    }
}

/// The upper 53 bits of a word, as a number in [0, 1).
fn uniform(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: i32 = 1;

    fn spec(rate: f64, keep: f64, random: f64) -> MaskSpec {
        MaskSpec { seed: 3, rate, keep, random, copies: None, mask: MASK, special: vec![0, 1, 2], vocabulary: 10 }
    }

    fn keys(rows: std::ops::Range<u64>) -> Vec<Key> {
        rows.map(|number| Key { number, copy: 0 }).collect()
    }

    /// Rows of `length` letters between two special tokens.
    fn tokens(rows: usize, length: usize) -> Vec<i32> {
        (0..rows).flat_map(|row| [2].into_iter().chain((0..length).map(move |at| 3 + ((row + at) % 7) as i32)).chain([2])).collect()
    }

    #[test]
    fn a_row_is_masked_alike_whatever_stands_beside_it() {
        let all = tokens(3, 40);
        let spec = spec(0.15, 0.1, 0.1);
        let mut together = all.clone();
        let chosen = mask(&mut together, &keys(7..10), [42, 42, 42].into_iter(), &spec, 5);
        for row in 0..3 {
            let mut alone = all[row * 42..][..42].to_vec();
            let own = mask(&mut alone, &keys(7 + row as u64..8 + row as u64), std::iter::once(42), &spec, 5);
            assert_eq!((&alone[..], &own[..]), (&together[row * 42..][..42], &chosen[row * 42..][..42]));
            assert_eq!(own.iter().sum::<i32>(), 6, "15 % of 40");
            assert_eq!((own[0], own[41]), (0, 0), "special tokens are never chosen");
        }
        let mut other = all.clone();
        assert_ne!(mask(&mut other, &keys(7..10), [42, 42, 42].into_iter(), &spec, 6), chosen, "another batch, another mask");
    }

    #[test]
    fn of_those_chosen_most_are_masked_and_some_kept_or_changed() {
        let all = tokens(200, 100);
        let mut masked = all.clone();
        let chosen = mask(&mut masked, &keys(0..200), std::iter::repeat_n(102, 200), &spec(0.5, 0.1, 0.1), 1);
        let count = |is: &dyn Fn(i32, i32) -> bool| {
            let places = chosen.iter().zip(&all).zip(&masked);
            places.filter(|((chosen, before), after)| **chosen == 1 && is(**before, **after)).count() as f64 / 10_000.0
        };
        assert_eq!(chosen.iter().sum::<i32>(), 10_000);
        assert!((count(&|_, after| after == MASK) - 0.8).abs() < 0.015);
        // A random token is the old one in one of seven cases.
        assert!((count(&|before, after| after == before) - 0.1 - 0.1 / 7.0).abs() < 0.015);
        assert!(masked.iter().zip(&chosen).zip(&all).all(|((after, chosen), before)| *chosen == 1 || after == before));
        assert!(masked.iter().zip(&all).all(|(after, before)| *before != 2 || *after == 2));
    }

    #[test]
    fn one_token_is_masked_at_least_unless_there_is_none() {
        let mut ids = vec![2, 3, 2, 2, 2];
        assert_eq!(mask(&mut ids, &keys(0..2), [3, 2].into_iter(), &spec(0.15, 0.0, 0.0), 0), [0, 1, 0, 0, 0]);
        assert_eq!(ids, [2, MASK, 2, 2, 2]);
    }

    #[test]
    fn each_copy_of_a_row_has_noise_of_its_own_part_of_the_range() {
        let spec = MaskSpec { copies: Some(4), ..spec(0.0, 0.0, 0.0) };
        let row = |copy| Key { number: 5 + 100 * copy, copy };
        for random in 1..50 {
            for copy in 0..4 {
                let level = share(&spec, row(copy), random);
                assert!(level >= LEAST && (level * 4.0).floor() as u64 == copy, "{level} of copy {copy}");
                let mut ids = tokens(1, 40);
                let chosen = mask(&mut ids, &[row(copy)], std::iter::once(42), &spec, random);
                assert_eq!(chosen.iter().sum::<i32>(), ((40.0 * level) as i32).max(1));
                assert!(ids.iter().zip(&chosen).all(|(id, chosen)| (*id == MASK) == (*chosen == 1)));
            }
        }
        // Without a key of a batch there is one copy, whose share is anything.
        let levels: Vec<f64> = (0..200).map(|number| share(&spec, Key { number, copy: 0 }, 0)).collect();
        let count = |range: std::ops::Range<f64>| levels.iter().filter(|level| range.contains(level)).count();
        assert!(count(LEAST..0.5) > 70 && count(0.5..1.0) > 70, "{levels:?}");
    }
}
