//! Counter-based random numbers: a value is a function of what it is for, never of who computes it or when.
//!
//! Specified here for good: changing it would change every initialisation, dropout mask, shuffle and split.
//! Mixing is the finaliser of SplitMix64 (Steele, Lea, Flood 2014) for 64 bits and of MurmurHash3 (Appleby) for 32 bits.

/// The SplitMix64 finaliser.
pub const fn mix64(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// A key from a key and one more number.
pub const fn derive(key: u64, number: u64) -> u64 {
    mix64(key ^ mix64(number))
}

/// A key from a key and a name (FNV-1a over its bytes, then mixed).
pub fn derive_name(key: u64, name: &str) -> u64 {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    derive(key, hash)
}

/// The 32-bit word of element `index` under a key: two rounds of the MurmurHash3 finaliser, the halves of the key added in
/// before each. 32-bit arithmetic only, so that kernels compute it on vectors.
pub const fn word(key: u64, index: u32) -> u32 {
    const fn fmix(h: u32) -> u32 {
        let h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
        let h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
        h ^ (h >> 16)
    }
    fmix(fmix(index.wrapping_mul(0x9E37_79B1) ^ (key as u32)).wrapping_add((key >> 32) as u32))
}

/// Uniform in [0, 1) with 24 bits: element `index` under a key.
pub const fn uniform(key: u64, index: u32) -> f32 {
    (word(key, index) >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// The key of `Op::Random` at `site` for a sample: the batch's `random` key, the site and the sample's key.
/// A value that is not per sample uses sample key 0.
pub const fn site_key(random: u64, site: u32, sample: u64) -> u64 {
    derive(derive(random, site as u64), sample)
}

/// A generator for host work (shuffles, splits, initial values): word after word under one key.
#[derive(Clone, Debug)]
pub struct Stream {
    key: u64,
    counter: u64,
}

impl Stream {
    /// Starts at the first number of the key.
    pub const fn new(key: u64) -> Self {
        Self { key, counter: 0 }
    }

    /// 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        let value = derive(self.key, self.counter);
        self.counter += 1;
        value
    }

    /// Uniform in `0..bound` (`bound > 0`), without bias: draws that fall in the incomplete last cycle are drawn again.
    pub const fn below(&mut self, bound: u64) -> u64 {
        let excess = (u64::MAX % bound + 1) % bound;
        loop {
            let value = self.next_u64();
            if value <= u64::MAX - excess {
                return value % bound;
            }
        }
    }

    /// Uniform in [0, 1) with 53 bits.
    pub const fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Shuffles in place (Fisher–Yates from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These values are the specification.
    #[test]
    fn values_are_fixed() {
        assert_eq!(mix64(0), 0xE220_A839_7B1D_CDAF);
        let mut stream = Stream::new(42);
        let mut items: Vec<u32> = (0..10).collect();
        stream.shuffle(&mut items);
        let mut sorted = items.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        assert_eq!(items, FIXED_SHUFFLE);
    }

    const FIXED_SHUFFLE: [u32; 10] = [8, 6, 9, 0, 2, 5, 1, 3, 4, 7];

    #[test]
    fn uniform_covers_the_interval() {
        let key = derive_name(7, "dropout");
        let mean = (0..10_000).map(|index| f64::from(uniform(key, index))).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "mean {mean}");
        let mut buckets = [0u32; 16];
        for index in 0..16_000 {
            buckets[(uniform(key, index) * 16.0) as usize] += 1;
        }
        assert!(buckets.iter().all(|count| (850..1150).contains(count)), "{buckets:?}");
    }
}
