//! Attention and its gradients against f64 loops, and samples that have the same bits in any company.

use proptest::prelude::*;

use super::*;

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E3779B97F4A7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * 2.0
        })
        .collect()
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool")
}

/// Samples one after another with these numbers of queries and keys.
fn pack(lengths: &[(usize, usize)]) -> Vec<Sample> {
    let (mut query, mut key) = (0, 0);
    lengths
        .iter()
        .map(|&(queries, keys)| {
            let sample = Sample { queries: query..query + queries, keys: key..key + keys };
            (query, key) = (query + queries, key + keys);
            sample
        })
        .collect()
}

/// Operands and the gradient of the result.
struct Case {
    shape: [usize; 3],
    samples: Vec<Sample>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    dout: Vec<f32>,
}

/// out, lse, dq, dk, dv.
type Results<T> = [Vec<T>; 5];

impl Case {
    fn new(shape: [usize; 3], lengths: &[(usize, usize)]) -> Self {
        let samples = pack(lengths);
        let (queries, keys) = lengths.iter().fold((0, 0), |sum, length| (sum.0 + length.0, sum.1 + length.1));
        let [heads, dim, value] = shape;
        let numbers = |count: usize, seed| random(count * heads, seed);
        Self {
            shape,
            samples,
            q: numbers(queries * dim, 1),
            k: numbers(keys * dim, 2),
            v: numbers(keys * value, 3),
            dout: numbers(queries * value, 4),
        }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.shape[1].max(1) as f32).sqrt()
    }

    fn run(&self, level: Level) -> Results<f32> {
        let [heads, dim, value] = self.shape;
        let attention = Attention { heads, dim, value, scale: self.scale(), samples: &self.samples };
        let mut out = vec![f32::NAN; self.dout.len()];
        let queries = self.samples.last().map_or(0, |sample| sample.queries.end);
        let mut lse = vec![f32::NAN; queries * heads];
        forward_at(level, &attention, &self.q, &self.k, &self.v, &mut out, Some(&mut lse));
        let [mut dq, mut dk, mut dv] = [&self.q, &self.k, &self.v].map(|like| vec![f32::NAN; like.len()]);
        let saved = Saved { q: &self.q, k: &self.k, v: &self.v, out: &out, lse: &lse, dout: &self.dout };
        backward_at(level, &attention, &saved, Gradients { dq: Some(&mut dq), dk: Some(&mut dk), dv: Some(&mut dv) });
        [out, lse, dq, dk, dv]
    }

    /// The same in f64, by the definitions.
    fn expected(&self) -> Results<f64> {
        let [heads, dim, value] = self.shape;
        let scale = f64::from(self.scale());
        let zeros = |like: &[f32]| vec![0.0; like.len()];
        let (mut out, mut dq, mut dk, mut dv) = (zeros(&self.dout), zeros(&self.q), zeros(&self.k), zeros(&self.v));
        let mut lse = Vec::new();
        for sample in &self.samples {
            for (query, head) in sample.queries.clone().flat_map(|query| (0..heads).map(move |head| (query, head))) {
                let (q, o) = ((query * heads + head) * dim, (query * heads + head) * value);
                let at = |key: usize, length: usize| (key * heads + head) * length;
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
                let scores: Vec<f64> =
                    sample.keys.clone().map(|key| scale * dot(&self.q[q..q + dim], &self.k[at(key, dim)..][..dim])).collect();
                let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
                lse.push(if scores.is_empty() { f64::NEG_INFINITY } else { highest + total.ln() });
                let weights: Vec<f64> = scores.iter().map(|score| (score - highest).exp() / total).collect();
                let products: Vec<f64> =
                    sample.keys.clone().map(|key| dot(&self.dout[o..o + value], &self.v[at(key, value)..][..value])).collect();
                let delta: f64 = weights.iter().zip(&products).map(|(p, d)| p * d).sum();
                for ((key, p), product) in sample.keys.clone().zip(weights).zip(products) {
                    let dscore = p * (product - delta) * scale;
                    for i in 0..value {
                        out[o + i] += p * f64::from(self.v[at(key, value) + i]);
                        dv[at(key, value) + i] += p * f64::from(self.dout[o + i]);
                    }
                    for i in 0..dim {
                        dq[q + i] += dscore * f64::from(self.k[at(key, dim) + i]);
                        dk[at(key, dim) + i] += dscore * f64::from(self.q[q + i]);
                    }
                }
            }
        }
        [out, lse, dq, dk, dv]
    }

    fn check(&self) {
        let expected = self.expected();
        for level in Level::available() {
            for ((name, values), expected) in ["out", "lse", "dq", "dk", "dv"].iter().zip(self.run(level)).zip(&expected) {
                assert_eq!(values.len(), expected.len(), "{name}");
                for (i, (&value, &expected)) in values.iter().zip(expected).enumerate() {
                    let close = f64::from(value) == expected || (f64::from(value) - expected).abs() <= 3e-5 * (1.0 + expected.abs());
                    assert!(close, "{level:?} {:?} {:?} {name}[{i}] = {value} for {expected}", self.shape, self.samples);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn agrees_with_f64(
        heads in 1usize..4,
        dim in 1usize..40,
        value in 1usize..40,
        lengths in prop::collection::vec((0usize..70, prop_oneof![0usize..4, 0usize..150]), 1..4),
    ) {
        Case::new([heads, dim, value], &lengths).check();
    }
}

#[test]
fn agrees_with_f64_at_sizes_in_use() {
    for shape in [[2, 16, 16], [1, 64, 64], [2, 12, 12], [1, 136, 136], [3, 8, 8], [1, 16, 48]] {
        Case::new(shape, &[(1, 1), (0, 3), (5, 0), (130, 130), (17, 300)]).check();
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let mut case = Case::new([1, 16, 16], &[(40, 300)]);
    case.q.iter_mut().for_each(|x| *x *= 60.0);
    let [out, lse, ..] = case.run(Level::best());
    let [expected, expected_lse, ..] = case.expected();
    assert!(lse.iter().zip(&expected_lse).all(|(&a, &b)| (f64::from(a) - b).abs() < 1e-4 * b.abs()));
    assert!(out.iter().zip(&expected).all(|(&a, &b)| (f64::from(a) - b).abs() < 1e-3));
}

/// The bits of a sample's part of the results, its heads and rows in order.
fn bits(case: &Case, results: &Results<f32>, sample: &Sample) -> Vec<u32> {
    let [heads, dim, value] = case.shape;
    let ranges = [(&sample.queries, value), (&sample.queries, 1), (&sample.queries, dim), (&sample.keys, dim), (&sample.keys, value)];
    let parts =
        ranges.iter().zip(results).map(|((range, length), values)| &values[range.start * heads * length..range.end * heads * length]);
    parts.flatten().map(|value| value.to_bits()).collect()
}

#[test]
fn a_sample_has_the_same_bits_in_any_company_and_with_any_threads() {
    for shape in [[3, 16, 16], [2, 64, 64], [1, 12, 20]] {
        let together = Case::new(shape, &[(7, 9), (500, 30), (33, 700), (1, 1), (1000, 129)]);
        for level in Level::available() {
            let whole = pool(1).install(|| together.run(level));
            for threads in [2, 3] {
                let other = pool(threads).install(|| together.run(level));
                assert!(together.samples.iter().all(|sample| bits(&together, &whole, sample) == bits(&together, &other, sample)));
            }
            for sample in &together.samples {
                let [heads, dim, value] = shape;
                let part = |numbers: &[f32], range: &Range<usize>, length: usize| {
                    numbers[range.start * heads * length..range.end * heads * length].to_vec()
                };
                let alone = Case {
                    shape,
                    samples: pack(&[(sample.queries.len(), sample.keys.len())]),
                    q: part(&together.q, &sample.queries, dim),
                    k: part(&together.k, &sample.keys, dim),
                    v: part(&together.v, &sample.keys, value),
                    dout: part(&together.dout, &sample.queries, value),
                };
                assert_eq!(bits(&alone, &alone.run(level), &alone.samples[0]), bits(&together, &whole, sample), "{level:?} {sample:?}");
            }
        }
    }
}

#[test]
fn gradients_do_not_depend_on_which_are_wanted() {
    let case = Case::new([2, 16, 24], &[(50, 70)]);
    let [out, lse, dq, dk, dv] = case.run(Level::best());
    let attention = Attention { heads: 2, dim: 16, value: 24, scale: case.scale(), samples: &case.samples };
    let saved = Saved { q: &case.q, k: &case.k, v: &case.v, out: &out, lse: &lse, dout: &case.dout };
    let mut only = vec![0.0; dq.len()];
    backward(&attention, &saved, Gradients { dq: Some(&mut only), ..Gradients::default() });
    assert_eq!(only, dq);
    let mut only = vec![0.0; dk.len()];
    backward(&attention, &saved, Gradients { dk: Some(&mut only), ..Gradients::default() });
    assert_eq!(only, dk);
    let mut only = vec![0.0; dv.len()];
    backward(&attention, &saved, Gradients { dv: Some(&mut only), ..Gradients::default() });
    assert_eq!(only, dv);
}

#[test]
#[should_panic(expected = "positions of samples overlap")]
fn overlapping_samples_are_refused() {
    let samples = [Sample { queries: 0..2, keys: 0..2 }, Sample { queries: 1..3, keys: 2..4 }];
    let attention = Attention { heads: 1, dim: 1, value: 1, scale: 1.0, samples: &samples };
    forward(&attention, &[0.0; 3], &[0.0; 4], &[0.0; 4], &mut [0.0; 3], None);
}
