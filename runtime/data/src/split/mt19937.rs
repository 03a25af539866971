//! NumPy's legacy generator: `numpy.random.seed(seed)` and `numpy.random.shuffle`, the Mersenne Twister of Matsumoto and Nishimura (1998).

const WORDS: usize = 624;
const SHIFT: usize = 397;

struct Mt19937 {
    state: [u32; WORDS],
    next: usize,
}

impl Mt19937 {
    fn new(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        for at in 1..WORDS {
            let before = state[at - 1];
            state[at] = 1_812_433_253_u32.wrapping_mul(before ^ before >> 30).wrapping_add(at as u32);
        }
        Self { state, next: WORDS }
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == WORDS {
            for at in 0..WORDS {
                let word = self.state[at] & 0x8000_0000 | self.state[(at + 1) % WORDS] & 0x7FFF_FFFF;
                let twist = if word & 1 == 1 { 0x9908_B0DF } else { 0 };
                self.state[at] = self.state[(at + SHIFT) % WORDS] ^ word >> 1 ^ twist;
            }
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9D2C_5680;
        word ^= word << 15 & 0xEFC6_0000;
        word ^ word >> 18
    }

    /// Uniform in `0..=limit`: words cut to the bits of the limit, until one is not above it.
    fn at_most(&mut self, limit: u64) -> u64 {
        let mask = u64::MAX.checked_shr(limit.leading_zeros()).unwrap_or(0);
        loop {
            let word = if limit <= u64::from(u32::MAX) {
                u64::from(self.next_u32())
            } else {
                // The high half comes first.
                u64::from(self.next_u32()) << 32 | u64::from(self.next_u32())
            };
            if word & mask <= limit {
                return word & mask;
            }
        }
    }
}

/// `numpy.random.seed(seed); numpy.random.shuffle(arange(n))`.
pub(super) fn shuffled(seed: u32, n: u64) -> Vec<u64> {
    let mut generator = Mt19937::new(seed);
    let mut items: Vec<u64> = (0..n).collect();
    for last in (1..items.len()).rev() {
        let other = generator.at_most(last as u64);
        items.swap(last, other as usize);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NumPy 2.4's.
    #[test]
    fn agrees_with_numpy() {
        assert_eq!(shuffled(42, 10), [8, 1, 5, 0, 7, 2, 9, 4, 3, 6]);
        assert_eq!(shuffled(0, 7), [6, 2, 1, 3, 0, 5, 4]);
        let long = shuffled(123_456_789, 1000);
        assert_eq!((&long[..5], &long[995..]), (&[947, 863, 731, 526, 692][..], &[346, 985, 306, 668, 696][..]));
        assert_eq!(long.iter().zip(0..).map(|(value, index)| value * index).sum::<u64>(), 247_561_683);
    }
}
