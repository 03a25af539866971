//! The generator of mgx: units of rows go, in random order, to the part that is most behind its share.
//!
//! Specified in `docs/data.md`, section "Random splits"; changing a step here changes every split.

use mgx_diag::Diagnostic;
use mgx_ir::random::{Stream, derive_name};

use super::Split;

/// Shares are counted in billionths of a row, in integers, so that no rounding depends on a machine.
const WHOLE: i128 = 1_000_000_000;

/// Shares of train, valid, test and the unused rest, in billionths; their sum is [`WHOLE`].
pub(super) struct Fractions([i128; 4]);

impl Fractions {
    /// E0527 if a fraction is outside 0 to 1 or the sum is above 1.
    pub fn new(train: f64, valid: f64, test: f64) -> Result<Self, Diagnostic> {
        let parts = [("train", train), ("valid", valid), ("test", test)];
        if let Some((name, fraction)) = parts.iter().find(|(_, fraction)| !(0.0..=1.0).contains(fraction)) {
            return Err(Diagnostic::error("E0527", format!("the split's `{name}` is {fraction}, which is not between 0 and 1"))
                .help("give each part its share of the rows, such as train = 0.8, valid = 0.1, test = 0.1"));
        }
        let mut shares = [0; 4];
        for (share, (_, fraction)) in shares.iter_mut().zip(parts) {
            *share = (fraction * WHOLE as f64).round() as i128;
        }
        let rest = WHOLE - shares.iter().sum::<i128>();
        // A thousand billionths forgive thirds and sums such as 0.7 + 0.2 + 0.1; the first part takes up the difference.
        if rest.abs() < 1_000 {
            match shares.iter_mut().find(|share| **share > 0) {
                Some(first) => *first += rest,
                None => shares[3] = rest,
            }
        } else if rest < 0 {
            return Err(Diagnostic::error("E0527", format!("the split's parts sum to {}, which is more than 1", train + valid + test))
                .help("lower one of the fractions"));
        } else {
            shares[3] = rest;
        }
        Ok(Self(shares))
    }
}

/// Rows that stay together.
struct Unit {
    rows: Vec<u64>,
}

/// Assigns `rows` rows. `strata` and `groups` give each row's class and group.
pub(super) fn assign(rows: u64, fractions: &Fractions, seed: u64, strata: Option<&[u64]>, groups: Option<&[u64]>) -> Split {
    let mut parts = divide(rows, &fractions.0, derive_name(seed, "split"), strata, groups).into_iter();
    let mut next = || parts.next().unwrap_or_default();
    Split { train: next(), valid: next(), test: next() }
}

/// Divides rows into parts by their shares, whole numbers that count relative to their sum. The rows of a part are in ascending order.
pub(super) fn divide(rows: u64, shares: &[i128], key: u64, strata: Option<&[u64]>, groups: Option<&[u64]>) -> Vec<Vec<u64>> {
    let whole: i128 = shares.iter().sum();
    let mut stream = Stream::new(key);
    let mut behind = vec![0_i128; shares.len()];
    let mut parts: Vec<Vec<u64>> = vec![Vec::new(); shares.len()];
    for mut units in stratified_units(rows, strata, groups) {
        stream.shuffle(&mut units);
        units.sort_by_key(|unit| std::cmp::Reverse(unit.rows.len()));
        let total = units.iter().map(|unit| unit.rows.len() as i128).sum::<i128>();
        for (behind, share) in behind.iter_mut().zip(shares) {
            *behind += share * total;
        }
        for unit in units {
            let part = most_behind(&behind, shares);
            behind[part] -= unit.rows.len() as i128 * whole;
            parts[part].extend(unit.rows);
        }
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    parts
}

/// The first of the parts with a share that are furthest behind it.
fn most_behind(behind: &[i128], shares: &[i128]) -> usize {
    let candidates = (0..shares.len()).filter(|part| shares[*part] > 0);
    candidates.max_by_key(|part| (behind[*part], std::cmp::Reverse(*part))).unwrap_or(shares.len() - 1)
}

/// Units by stratum, strata in ascending order of their number, units in the order of their first rows.
fn stratified_units(rows: u64, strata: Option<&[u64]>, groups: Option<&[u64]>) -> Vec<Vec<Unit>> {
    let mut units: Vec<Unit> = Vec::new();
    match groups {
        None => units.extend((0..rows).map(|row| Unit { rows: vec![row] })),
        Some(groups) => {
            for (row, group) in groups.iter().enumerate() {
                let group = *group as usize;
                if group >= units.len() {
                    units.resize_with(group + 1, || Unit { rows: Vec::new() });
                }
                units[group].rows.push(row as u64);
            }
        }
    }
    let Some(strata) = strata else { return vec![units] };
    let mut by_stratum: Vec<Vec<Unit>> = Vec::new();
    for unit in units {
        let stratum = stratum_of(&unit, strata) as usize;
        if stratum >= by_stratum.len() {
            by_stratum.resize_with(stratum + 1, Vec::new);
        }
        by_stratum[stratum].push(unit);
    }
    by_stratum
}

/// The stratum of most of a unit's rows; of several, the lowest.
fn stratum_of(unit: &Unit, strata: &[u64]) -> u64 {
    let mut members: Vec<u64> = unit.rows.iter().map(|row| strata[*row as usize]).collect();
    members.sort_unstable();
    let mut best = (0, 0);
    for run in members.chunk_by(|a, b| a == b) {
        if run.len() > best.0 {
            best = (run.len(), run[0]);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_forgive_rounding_only() {
        assert_eq!(Fractions::new(0.8, 0.1, 0.1).unwrap().0, [800_000_000, 100_000_000, 100_000_000, 0]);
        let third = 1.0 / 3.0;
        assert_eq!(Fractions::new(third, third, third).unwrap().0[3], 0);
        assert_eq!(Fractions::new(0.5, 0.1, 0.1).unwrap().0[3], 300_000_000);
        assert!(Fractions::new(0.8, 0.2, 0.1).is_err());
        assert!(Fractions::new(-0.1, 0.2, 0.1).is_err());
        assert!(Fractions::new(f64::NAN, 0.2, 0.1).is_err());
    }

    /// Counts are those of the largest remainder, ties to the earlier part.
    #[test]
    fn counts_are_the_largest_remainders() {
        let counts = |rows, fractions: [f64; 3]| {
            let fractions = Fractions::new(fractions[0], fractions[1], fractions[2]).unwrap();
            let split = assign(rows, &fractions, 7, None, None);
            (split.train.len(), split.valid.len(), split.test.len())
        };
        assert_eq!(counts(3186, [0.8, 0.1, 0.1]), (2549, 319, 318));
        assert_eq!(counts(10, [0.5, 0.25, 0.25]), (5, 3, 2));
        assert_eq!(counts(10, [0.5, 0.0, 0.1]), (5, 0, 1));
    }

    /// Classes that are too small to be divided one by one still add up to the fractions.
    #[test]
    fn small_strata_add_up() {
        let strata: Vec<u64> = (0..500).map(|row| row / 5).collect();
        let split = assign(500, &Fractions::new(0.8, 0.1, 0.1).unwrap(), 7, Some(&strata), None);
        assert_eq!((split.train.len(), split.valid.len(), split.test.len()), (400, 50, 50));
    }

    #[test]
    fn a_group_has_the_class_of_most_of_its_rows() {
        let unit = Unit { rows: vec![0, 1, 2, 3] };
        assert_eq!(stratum_of(&unit, &[2, 1, 2, 0]), 2);
        assert_eq!(stratum_of(&unit, &[2, 1, 2, 1]), 1);
    }
}
