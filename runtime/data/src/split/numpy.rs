//! Random splits as NumPy users know them: `numpy.random.default_rng(seed).permutation(n)`.
//!
//! `SeedSequence` (after M. O'Neill's `seed_seq` alternatives), the bit generator PCG64 (XSL-RR 128/64, O'Neill 2014) and
//! the bounded draws of its shuffle, as NumPy 1.17 and later combine them.

use super::Split;

/// The reference's rule: the test part is the first ⌈test·n⌉ of a permutation of all rows; of the m rows after it, in permuted
/// order, the valid part is the first ⌈share·m⌉ of a permutation of these, where share = valid / (1 − test). Both permutations
/// start from the same seed.
pub(super) fn split(rows: u64, train: f64, valid: f64, test: f64, seed: u64) -> Split {
    let permuted = permutation(seed, rows);
    let test_count = if test > 0.0 { count(test, rows) } else { 0 };
    let (test_rows, rest) = permuted.split_at(test_count as usize);
    let remaining = rest.len() as u64;

    let valid_count = if valid > 0.0 { count(share(valid, test), remaining) } else { 0 };
    let order = permutation(seed, remaining);
    let (valid_order, train_order) = order.split_at(valid_count as usize);
    let pick = |order: &[u64]| order.iter().map(|index| rest[*index as usize]).collect::<Vec<u64>>();
    // Without a valid part the reference does not permute a second time.
    let mut train_rows = if valid > 0.0 { pick(train_order) } else { rest.to_vec() };
    if train + valid + test < 1.0 - 1e-6 {
        train_rows.truncate((train * rows as f64).floor() as usize);
    }
    let sorted = |mut rows: Vec<u64>| {
        rows.sort_unstable();
        rows
    };
    Split { train: sorted(train_rows), valid: sorted(pick(valid_order)), test: sorted(test_rows.to_vec()) }
}

fn count(fraction: f64, rows: u64) -> u64 {
    ((fraction * rows as f64).ceil() as u64).min(rows)
}

/// `valid / (1 - test)` to 12 decimals, so that 0.08 of what 0.2 leaves is 0.1 and not the next number above it.
fn share(valid: f64, test: f64) -> f64 {
    ((valid / (1.0 - test)).min(1.0) * 1e12).round() / 1e12
}

/// `numpy.random.default_rng(seed).permutation(n)`.
fn permutation(seed: u64, n: u64) -> Vec<u64> {
    let mut generator = Pcg64::new(seed);
    let mut items: Vec<u64> = (0..n).collect();
    for last in (1..items.len()).rev() {
        let other = generator.at_most(last as u64);
        items.swap(last, other as usize);
    }
    items
}

/// PCG64 with the half word that NumPy keeps for 32-bit draws.
struct Pcg64 {
    state: u128,
    increment: u128,
    half: Option<u32>,
}

impl Pcg64 {
    const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

    fn new(seed: u64) -> Self {
        let [state_high, state_low, stream_high, stream_low] = seed_words(seed);
        let wide = |high: u64, low: u64| (u128::from(high) << 64) | u128::from(low);
        let mut generator = Self { state: 0, increment: (wide(stream_high, stream_low) << 1) | 1, half: None };
        generator.step();
        generator.state = generator.state.wrapping_add(wide(state_high, state_low));
        generator.step();
        generator
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(Self::MULTIPLIER).wrapping_add(self.increment);
    }

    fn next_u64(&mut self) -> u64 {
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// The low half of a word first, then its high half.
    fn next_u32(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        let word = self.next_u64();
        self.half = Some((word >> 32) as u32);
        word as u32
    }

    /// Uniform in `0..=limit`, as NumPy's shuffle draws it: words cut to the bits of the limit, until one is not above it. Words of
    /// 32 bits where the limit fits in them.
    fn at_most(&mut self, limit: u64) -> u64 {
        let mask = u64::MAX.checked_shr(limit.leading_zeros()).unwrap_or(0);
        loop {
            let word = if limit <= u64::from(u32::MAX) { u64::from(self.next_u32()) } else { self.next_u64() };
            if word & mask <= limit {
                return word & mask;
            }
        }
    }
}

/// `numpy.random.SeedSequence(seed).generate_state(4, uint64)`.
fn seed_words(seed: u64) -> [u64; 4] {
    const INIT_A: u32 = 0x43B0_D7E5;
    const MULT_A: u32 = 0x931E_8875;
    const INIT_B: u32 = 0x8B51_F9DD;
    const MULT_B: u32 = 0x58F3_8DED;
    const MIX_LEFT: u32 = 0xCA01_F9DD;
    const MIX_RIGHT: u32 = 0x4973_F715;

    let mut hash_constant = INIT_A;
    let mut hash = |value: u32| {
        let value = value ^ hash_constant;
        hash_constant = hash_constant.wrapping_mul(MULT_A);
        let value = value.wrapping_mul(hash_constant);
        value ^ (value >> 16)
    };
    let mix = |left: u32, right: u32| {
        let value = left.wrapping_mul(MIX_LEFT).wrapping_sub(right.wrapping_mul(MIX_RIGHT));
        value ^ (value >> 16)
    };
    // A seed of 64 bits is at most two words of entropy; the pool has four.
    let mut pool = [hash(seed as u32), hash((seed >> 32) as u32), hash(0), hash(0)];
    for source in 0..4 {
        for target in 0..4 {
            if source != target {
                pool[target] = mix(pool[target], hash(pool[source]));
            }
        }
    }
    let mut constant = INIT_B;
    let mut word = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(MULT_B);
        let value = value.wrapping_mul(constant);
        u64::from(value ^ (value >> 16))
    };
    let mut output = |first: u32, second: u32| word(first) | (word(second) << 32);
    [output(pool[0], pool[1]), output(pool[2], pool[3]), output(pool[0], pool[1]), output(pool[2], pool[3])]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All expected values are NumPy 2.4's.
    #[test]
    fn agrees_with_numpy() {
        assert_eq!(seed_words(42), [11465652750463011511, 15382171918060459190, 9018504550953525431, 3703499796004394495]);
        let mut generator = Pcg64::new(42);
        let words: Vec<u64> = (0..4).map(|_| generator.next_u64()).collect();
        assert_eq!(words, [0xC621_FBCD_16D9_2688, 0x705A_5661_A791_FFC1, 0xDBCD_12C2_6EDA_1624, 0xB286_B60E_1600_888D]);
        assert_eq!(permutation(42, 20), [15, 9, 14, 7, 12, 10, 6, 19, 3, 0, 16, 5, 11, 18, 2, 4, 17, 1, 13, 8]);
        assert_eq!(permutation(0, 10), [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]);
        assert_eq!(permutation(123_456_789_012_345, 15), [7, 5, 11, 2, 10, 14, 9, 8, 4, 3, 13, 0, 12, 1, 6]);
        let long = permutation(7, 100_000);
        assert_eq!((&long[..5], &long[99_995..]), (&[45070, 71435, 99538, 45453, 95412][..], &[87647, 63842, 27285, 16809, 84619][..]));
        let checksum: u64 = long.iter().zip(0..).map(|(value, index)| value * index % 1_000_003).sum();
        assert_eq!(checksum, 49_960_112_135);
    }

    /// Splits that the reference made: 0.2 for test, then 0.25 or 0.1 of what is left for validation.
    #[test]
    fn agrees_with_the_reference() {
        let quarter = split(23, 0.6, 0.2, 0.2, 42);
        assert_eq!(quarter.train, [0, 1, 3, 4, 5, 6, 7, 9, 11, 12, 15, 20, 21]);
        assert_eq!((&quarter.valid[..], &quarter.test[..]), (&[2, 8, 13, 14, 19][..], &[10, 16, 17, 18, 22][..]));
        let tenth = split(23, 0.72, 0.08, 0.2, 11);
        assert_eq!(tenth.train, [0, 1, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 21]);
        assert_eq!((&tenth.valid[..], &tenth.test[..]), (&[18, 20][..], &[2, 4, 8, 19, 22][..]));
        let third = split(57, 0.67, 0.0, 0.33, 2024);
        assert_eq!(third.test, [0, 3, 5, 7, 9, 11, 13, 14, 18, 20, 23, 26, 27, 29, 30, 37, 38, 50, 56]);
        assert!(third.valid.is_empty());
    }
}
