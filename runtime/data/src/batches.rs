//! Which rows go together: batches of an epoch, and batches for evaluation.
//!
//! Training batches are a function of the seed, the epoch, the rows and their costs. Specified in `docs/data.md`, section "Batches".

use std::ops::Range;

use mgx_ir::plan::BatchSpec;
use mgx_ir::random::{Stream, derive, derive_name};

/// Batches whose rows are sorted by length together. More would sort better and shuffle worse.
pub const MEGA_BATCH: u64 = 50;

/// What a sample takes of a token budget: its longest length, at least 1.
pub fn cost(lengths: &[u64]) -> u64 {
    lengths.iter().copied().max().unwrap_or(1).max(1)
}

/// How training batches are formed.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    pub spec: BatchSpec,
    /// The experiment's seed.
    pub seed: u64,
    /// Otherwise every epoch has the rows in the order given, without bucketing.
    pub shuffle: bool,
}

impl Batching {
    /// The batches of an epoch (from 0): every row exactly once; the last, smaller batch is kept. `costs` gives a row's [`cost`].
    pub fn epoch(&self, rows: &[u64], costs: impl Fn(u64) -> u64, epoch: u64) -> Vec<Vec<u64>> {
        if !self.shuffle {
            return form(self.spec, rows, &costs);
        }
        let mut stream = Stream::new(derive(derive_name(self.seed, "batches"), epoch));
        let mut order = rows.to_vec();
        stream.shuffle(&mut order);
        let mega = match self.spec {
            BatchSpec::Samples(count) => BatchSpec::Samples(count.max(1).saturating_mul(MEGA_BATCH)),
            BatchSpec::Tokens(budget) => BatchSpec::Tokens(budget.saturating_mul(MEGA_BATCH)),
        };
        let mut batches = Vec::new();
        for mut bucket in form(mega, &order, &costs) {
            bucket.sort_by_key(|row| costs(*row));
            batches.extend(form(self.spec, &bucket, &costs));
        }
        stream.shuffle(&mut batches);
        batches
    }

    /// The number of batches in a range of epochs, exactly as [`Batching::epoch`] will form them. By sample count it is the same
    /// for every epoch; by token budget the epochs are formed and counted.
    pub fn count(&self, rows: &[u64], costs: impl Fn(u64) -> u64, epochs: Range<u64>) -> u64 {
        match self.spec {
            BatchSpec::Samples(count) => (rows.len() as u64).div_ceil(count.max(1)) * epochs.end.saturating_sub(epochs.start),
            BatchSpec::Tokens(_) if !self.shuffle => self.epoch(rows, &costs, 0).len() as u64 * epochs.end.saturating_sub(epochs.start),
            BatchSpec::Tokens(_) => epochs.map(|epoch| self.epoch(rows, &costs, epoch).len() as u64).sum(),
        }
    }
}

/// Batches for evaluation and prediction: the longest rows first, so that what does not fit in memory is found at once; rows of
/// equal cost in the order given. The batches carry row numbers, so that results can be written in row order.
pub fn evaluation_batches(spec: BatchSpec, rows: &[u64], costs: impl Fn(u64) -> u64) -> Vec<Vec<u64>> {
    let mut order = rows.to_vec();
    order.sort_by_key(|row| std::cmp::Reverse(costs(*row)));
    form(spec, &order, &costs)
}

/// Cuts rows into batches, in their order.
fn form(spec: BatchSpec, rows: &[u64], costs: &impl Fn(u64) -> u64) -> Vec<Vec<u64>> {
    match spec {
        BatchSpec::Samples(count) => rows.chunks(usize::try_from(count.max(1)).unwrap_or(usize::MAX)).map(<[u64]>::to_vec).collect(),
        BatchSpec::Tokens(budget) => {
            let mut batches: Vec<Vec<u64>> = Vec::new();
            let mut used = 0_u64;
            for row in rows {
                let cost = costs(*row);
                match batches.last_mut() {
                    Some(batch) if used.saturating_add(cost) <= budget => {
                        batch.push(*row);
                        used += cost;
                    }
                    _ => {
                        batches.push(vec![*row]);
                        used = cost;
                    }
                }
            }
            batches
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// These batches are part of the specification in `docs/data.md`.
    #[test]
    fn values_are_fixed() {
        let rows: Vec<u64> = (0..10).collect();
        let costs = |row: u64| [5, 3, 8, 1, 9, 2, 7, 4, 6, 10][row as usize];
        let samples = Batching { spec: BatchSpec::Samples(4), seed: 42, shuffle: true };
        assert_eq!(samples.epoch(&rows, costs, 0), [vec![4, 9], vec![0, 8, 6, 2], vec![3, 5, 1, 7]]);
        let tokens = Batching { spec: BatchSpec::Tokens(12), seed: 42, shuffle: true };
        assert_eq!(tokens.epoch(&rows, costs, 1), [vec![9], vec![6], vec![4], vec![0, 8], vec![3, 5, 1, 7], vec![2]]);
        let ordered = Batching { spec: BatchSpec::Tokens(12), seed: 42, shuffle: false };
        assert_eq!(ordered.epoch(&rows, costs, 1), [vec![0, 1], vec![2, 3], vec![4, 5], vec![6, 7], vec![8], vec![9]]);
        assert_eq!(evaluation_batches(BatchSpec::Samples(4), &rows, costs), [vec![9, 4, 2, 6], vec![8, 0, 7, 1], vec![5, 3]]);
    }

    fn sorted(batches: &[Vec<u64>]) -> Vec<u64> {
        let mut rows: Vec<u64> = batches.iter().flatten().copied().collect();
        rows.sort_unstable();
        rows
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_batch_within_its_limit(
            lengths in prop::collection::vec(1..200u64, 1..600),
            limit in 1..400u64,
            (tokens, shuffle) in any::<(bool, bool)>(),
            (seed, epoch) in (any::<u64>(), 0..5u64),
        ) {
            let rows: Vec<u64> = (0..lengths.len() as u64).map(|row| row * 3).collect();
            let costs = |row: u64| lengths[(row / 3) as usize];
            let spec = if tokens { BatchSpec::Tokens(limit) } else { BatchSpec::Samples(limit) };
            let batching = Batching { spec, seed, shuffle };
            let batches = batching.epoch(&rows, costs, epoch);
            prop_assert_eq!(&batches, &batching.epoch(&rows, costs, epoch));
            for batches in [&batches, &evaluation_batches(spec, &rows, costs)] {
                prop_assert_eq!(sorted(batches), rows.clone());
                for batch in batches {
                    let size = if tokens { batch.iter().map(|row| costs(*row)).sum() } else { batch.len() as u64 };
                    prop_assert!(size <= limit || (tokens && batch.len() == 1));
                }
            }
            let counted = batching.count(&rows, costs, epoch..epoch + 2);
            prop_assert_eq!(counted, (batches.len() + batching.epoch(&rows, costs, epoch + 1).len()) as u64);
            if !tokens {
                prop_assert_eq!(batches.len() as u64, (rows.len() as u64).div_ceil(limit));
            }
        }
    }

    #[test]
    fn epochs_differ_and_batches_are_of_similar_lengths() {
        let rows: Vec<u64> = (0..1000).collect();
        let costs = |row: u64| row * 7919 % 500 + 1;
        let batching = Batching { spec: BatchSpec::Samples(10), seed: 1, shuffle: true };
        let first = batching.epoch(&rows, costs, 0);
        assert_ne!(first, batching.epoch(&rows, costs, 1));
        assert_ne!(first, Batching { seed: 2, ..batching }.epoch(&rows, costs, 0));
        let spread =
            |batch: &Vec<u64>| batch.iter().map(|row| costs(*row)).max().unwrap() - batch.iter().map(|row| costs(*row)).min().unwrap();
        let mean = first.iter().map(|batch| spread(batch) as f64).sum::<f64>() / first.len() as f64;
        assert!(mean < 20.0, "batches of 10 of 500 lengths spread over {mean}");
    }
}
