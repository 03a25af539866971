//! The worst batches that can be formed: what the memory plan must have room for.
//!
//! The size of a buffer is a sum over the samples of a batch of a product of extents, each fixed or growing with a length. For such sums,
//! every batch that can be formed is bounded by one of the candidates given here. The bound is by weak majorization: for every k, the k
//! longest of a batch sum to no more than the k longest of the candidate, which bounds every sum of a convex growing function of the
//! lengths (Hardy, Littlewood, Pólya). Lengths of different ids are paired longest with longest, which bounds their products.

use mgx_ir::plan::BatchSpec;

use crate::batches::cost;

/// Candidates of a token budget may be longer than the budget together by this share, in exchange for fewer candidates.
const SLACK: u64 = 100;

/// The candidates for the largest batch, each a list of samples with their lengths by `LengthId`.
///
/// `lengths` has the lengths of every row that can be in a batch. By sample count there is one candidate: the longest rows (of
/// each length). By token budget there are as many as it takes to cover everything between a few long rows and many short ones.
/// A candidate need not be a batch of real rows: the last row may be cut so that the budget is used to the end.
pub fn capacity(lengths: &[Vec<u64>], spec: BatchSpec) -> Vec<Vec<Vec<u64>>> {
    if lengths.is_empty() {
        return Vec::new();
    }
    match spec {
        BatchSpec::Samples(count) => vec![longest(lengths, count.max(1))],
        BatchSpec::Tokens(budget) => {
            let (alone, together): (Vec<&Vec<u64>>, Vec<&Vec<u64>>) = lengths.iter().partition(|lengths| cost(lengths) > budget);
            let mut candidates = Vec::new();
            if !alone.is_empty() {
                candidates.push(longest(&alone, 1));
            }
            if !together.is_empty() {
                candidates.extend(within_budget(&together, budget));
            }
            candidates
        }
    }
}

/// The `count` longest rows, each length by itself.
fn longest<L: AsRef<[u64]>>(lengths: &[L], count: u64) -> Vec<Vec<u64>> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(lengths.len());
    let columns: Vec<Vec<u64>> = columns(lengths);
    (0..count).map(|sample| columns.iter().map(|column| column[sample]).collect()).collect()
}

/// The lengths of each id, longest first.
fn columns<L: AsRef<[u64]>>(lengths: &[L]) -> Vec<Vec<u64>> {
    let ids = lengths.first().map_or(0, |lengths| lengths.as_ref().len());
    (0..ids)
        .map(|id| {
            let mut column: Vec<u64> = lengths.iter().map(|lengths| lengths.as_ref()[id]).collect();
            column.sort_unstable_by(|a, b| b.cmp(a));
            column
        })
        .collect()
}

fn within_budget(lengths: &[&Vec<u64>], budget: u64) -> Vec<Vec<Vec<u64>>> {
    let mut costs: Vec<u64> = lengths.iter().map(|lengths| cost(lengths)).collect();
    costs.sort_unstable();
    let most = fitting(costs.iter().copied(), budget);
    let columns: Vec<Extremes> = columns(lengths).into_iter().map(Extremes::new).collect();
    // Fewer samples than the longest that fit are only part of those.
    let fewest = columns.iter().map(|column| column.fitting(budget)).min().unwrap_or(most).clamp(1, most);
    let mut sums = vec![0];
    sums.extend(costs.iter().scan(0, |sum, cost| {
        *sum += cost;
        Some(*sum)
    }));

    let mut candidates = Vec::new();
    let mut from = fewest;
    loop {
        // As many sample counts in one candidate as lengthen it by no more than the slack.
        let to = (sums.partition_point(|sum| *sum <= sums[from] + budget / SLACK) - 1).clamp(from, most);
        let spread: Vec<Vec<u64>> = columns.iter().map(|column| column.spread(from, to, budget)).collect();
        candidates.push((0..to).map(|sample| spread.iter().map(|column| column[sample]).collect()).collect());
        if to == most {
            return candidates;
        }
        from = to + 1;
    }
}

/// How many numbers, in their order, sum to at most `budget`.
fn fitting(numbers: impl Iterator<Item = u64>, budget: u64) -> usize {
    numbers
        .scan(0_u64, |sum, number| {
            *sum = sum.saturating_add(number);
            Some(*sum)
        })
        .take_while(|sum| *sum <= budget)
        .count()
}

/// The lengths of one id, longest first, with sums of the longest and of the shortest.
struct Extremes {
    lengths: Vec<u64>,
    /// `longest[k]` is the sum of the k longest, `shortest[k]` of the k shortest.
    longest: Vec<u64>,
    shortest: Vec<u64>,
}

impl Extremes {
    fn new(lengths: Vec<u64>) -> Self {
        let sums = |numbers: &mut dyn Iterator<Item = &u64>| {
            let mut sums = vec![0];
            let mut sum = 0;
            for number in numbers {
                sum += number;
                sums.push(sum);
            }
            sums
        };
        let longest = sums(&mut lengths.iter());
        let shortest = sums(&mut lengths.iter().rev());
        Self { lengths, longest, shortest }
    }

    /// How many of the longest rows fit in the budget.
    fn fitting(&self, budget: u64) -> usize {
        self.longest.partition_point(|sum| *sum <= budget) - 1
    }

    /// The most unequal lengths of `from` rows that sum to at most the budget (the longest, one between, the shortest), followed by the
    /// shortest that there are up to `to` rows. Bounds every choice of `from..=to` rows.
    fn spread(&self, from: usize, to: usize, budget: u64) -> Vec<u64> {
        // Fewer rows than the longest that fit are only part of those.
        let from = from.max(self.fitting(budget)).min(to);
        let mut long = 0;
        while long < from && self.longest[long + 1] + self.shortest[from - long - 1] <= budget {
            long += 1;
        }
        let mut lengths = self.lengths[..long].to_vec();
        if long < to {
            // The row between takes what the longest and the other shortest of the `from` rows leave.
            let short = (from - long).saturating_sub(1);
            let rest = budget.saturating_sub(self.longest[long] + self.shortest[short]);
            lengths.push(rest.min(self.lengths[long]).max(self.lengths[self.lengths.len() - 1 - short]));
            let tail = to - long - 1;
            lengths.extend_from_slice(&self.lengths[self.lengths.len() - tail..]);
        }
        lengths
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batches::Batching;

    #[test]
    fn samples_take_the_longest_of_each_length() {
        let lengths = vec![vec![3, 10], vec![9, 1], vec![5, 5]];
        assert_eq!(capacity(&lengths, BatchSpec::Samples(2)), [[[9, 10], [5, 5]]]);
        assert_eq!(capacity(&lengths, BatchSpec::Samples(9))[0].len(), 3);
        assert!(capacity(&[], BatchSpec::Samples(2)).is_empty());
    }

    #[test]
    fn budgets_reach_from_few_long_to_many_short() {
        let lengths: Vec<Vec<u64>> = [90, 60, 10, 10, 10, 10, 10, 10, 200].iter().map(|length| vec![*length]).collect();
        let candidates = capacity(&lengths, BatchSpec::Tokens(100));
        assert_eq!(candidates[0], [[200]], "a row over the budget comes alone");
        assert_eq!(candidates[1], [[90]], "the longest that fit");
        assert_eq!(candidates[2], [[90], [10]]);
        assert_eq!(candidates.last().unwrap().len(), 6);
    }

    #[test]
    fn equal_lengths_need_one_candidate() {
        let lengths = vec![vec![62]; 3000];
        let candidates = capacity(&lengths, BatchSpec::Tokens(4096));
        assert!(candidates.iter().all(|samples| samples.len() <= 67), "{candidates:?}");
        let tokens = |samples: &Vec<Vec<u64>>| samples.iter().map(|lengths| lengths[0]).sum::<u64>();
        assert!(candidates.iter().map(tokens).max().unwrap() <= 4096 + 62);
    }

    /// Sizes as buffers have them: constants, lengths, squares, products, and extents that are affine or rounded.
    fn sizes(samples: &[Vec<u64>]) -> Vec<u64> {
        let sum = |size: &dyn Fn(u64, u64) -> u64| samples.iter().map(|lengths| size(lengths[0], lengths[1])).sum::<u64>();
        vec![
            samples.len() as u64,
            sum(&|a, _| a),
            sum(&|_, b| b),
            sum(&|a, _| a * a),
            sum(&|_, b| (b + 2) * (b + 2)),
            sum(&|a, b| a * b),
            sum(&|a, b| (a + 3) * b * b + 7),
            sum(&|a, _| (a + 2) * (a + 2) + 50),
        ]
    }

    proptest! {
        #[test]
        fn no_batch_of_any_epoch_is_larger(
            lengths in prop::collection::vec((1..120u64, 1..60u64), 1..300), limit in 1..600u64, tokens: bool, seed: u64,
        ) {
            let lengths: Vec<Vec<u64>> = lengths.into_iter().map(|(a, b)| vec![a, b]).collect();
            let spec = if tokens { BatchSpec::Tokens(limit) } else { BatchSpec::Samples(limit) };
            let candidates: Vec<Vec<u64>> = capacity(&lengths, spec).iter().map(|samples| sizes(samples)).collect();
            let rows: Vec<u64> = (0..lengths.len() as u64).collect();
            let costs = |row: u64| cost(&lengths[row as usize]);
            let mut batches = Vec::new();
            for shuffle in [true, false] {
                batches.extend(Batching { spec, seed, shuffle }.epoch(&rows, costs, 0));
            }
            batches.extend(crate::batches::evaluation_batches(spec, &rows, costs));
            for batch in batches {
                let samples: Vec<Vec<u64>> = batch.iter().map(|row| lengths[*row as usize].clone()).collect();
                for (index, size) in sizes(&samples).into_iter().enumerate() {
                    let bound = candidates.iter().map(|sizes| sizes[index]).max().unwrap();
                    prop_assert!(size <= bound, "size {index}: {size} > {bound}");
                }
            }
        }

        #[test]
        fn the_bound_on_tokens_is_tight(lengths in prop::collection::vec(1..120u64, 1..300), limit in 120..6000u64) {
            let rows: Vec<Vec<u64>> = lengths.iter().map(|length| vec![*length]).collect();
            let total: u64 = lengths.iter().sum();
            for samples in capacity(&rows, BatchSpec::Tokens(limit)) {
                let tokens: u64 = samples.iter().map(|lengths| lengths[0]).sum();
                prop_assert!(tokens <= (limit + limit / SLACK + 1).min(total + limit / SLACK));
            }
        }
    }
}
