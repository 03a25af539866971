//! Metrics of an order: the areas under the curves of receiver operating characteristic and of precision over recall.

use mgx_ir::plan::MetricKind;

use super::{Undefined, undefined};

/// Scores in ascending order, with what is positive.
#[derive(Clone, Debug)]
pub(super) struct Ranking {
    /// The items by ascending score.
    order: Vec<u32>,
    /// Ends of runs of equal scores in `order`.
    runs: Vec<u32>,
    positive: Vec<bool>,
    /// Is it one of several labels, rather than a class against the rest?
    pub is_label: bool,
}

/// One ranking for two classes (the score of the second), else one for each class.
pub(super) fn of_classes(values: &[f32], width: usize, targets: &[i32]) -> Result<Vec<Ranking>, Undefined> {
    if targets.iter().any(|class| usize::try_from(*class).map_or(true, |class| class >= width.max(2))) {
        return undefined("a label is none of the classes");
    }
    let ranking = |column: usize, class: i32| {
        let scores: Vec<f32> = values.iter().skip(column).step_by(width).copied().collect();
        Ranking::new(&scores, targets.iter().map(|target| *target == class).collect(), false)
    };
    Ok(match width {
        1 | 2 => vec![ranking(width - 1, 1)],
        _ => (0..width).map(|class| ranking(class, class as i32)).collect(),
    })
}

/// The mean over the rankings; of several, one without positive items or without negative ones counts 0.
pub(super) fn mean(kind: MetricKind, rankings: &[Ranking], weights: &[f64]) -> Result<f64, Undefined> {
    let area = |ranking: &Ranking| match kind {
        MetricKind::Auroc => ranking.auroc(weights),
        _ => ranking.average_precision(weights),
    };
    match rankings {
        [one] => area(one),
        several => Ok(several.iter().map(|ranking| area(ranking).unwrap_or(0.0)).sum::<f64>() / several.len() as f64),
    }
}

impl Ranking {
    fn new(scores: &[f32], positive: Vec<bool>, is_label: bool) -> Self {
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        order.sort_by(|a, b| scores[*a as usize].total_cmp(&scores[*b as usize]));
        let mut end = 0;
        // Equality by value: 0 and -0 are a tie, though the order tells them apart.
        let ends = order.chunk_by(|a, b| scores[*a as usize] == scores[*b as usize]).map(|run| {
            end += run.len() as u32;
            end
        });
        let runs = ends.collect();
        Self { order, runs, positive, is_label }
    }

    pub fn of_label(values: &[f32], width: usize, label: usize, targets: &[f64]) -> Self {
        let scores: Vec<f32> = values.iter().skip(label).step_by(width).copied().collect();
        Self::new(&scores, targets.iter().skip(label).step_by(width).map(|target| *target > 0.5).collect(), true)
    }

    /// Are all items positive, or none?
    pub fn is_one_sided(&self) -> bool {
        self.positive.iter().all(|positive| *positive) || !self.positive.iter().any(|positive| *positive)
    }

    /// Weights of the positive and of the negative items of each run of equal scores, ascending.
    fn sums<'a>(&'a self, weights: &'a [f64]) -> impl DoubleEndedIterator<Item = (f64, f64)> + 'a {
        let starts = std::iter::once(0).chain(self.runs.iter().copied()).collect::<Vec<_>>();
        (0..self.runs.len()).map(move |run| {
            let mut sums = (0.0, 0.0);
            for item in &self.order[starts[run] as usize..starts[run + 1] as usize] {
                let weight = weights[*item as usize];
                if self.positive[*item as usize] { sums.0 += weight } else { sums.1 += weight }
            }
            sums
        })
    }

    fn totals(&self, weights: &[f64]) -> Result<(f64, f64), Undefined> {
        let (positives, negatives) = self.sums(weights).fold((0.0, 0.0), |(a, b), (positive, negative)| (a + positive, b + negative));
        if positives + negatives == 0.0 {
            return undefined("there is nothing to compare");
        }
        if positives == 0.0 || negatives == 0.0 {
            return undefined("all labels are of one class");
        }
        Ok((positives, negatives))
    }

    /// The Mann–Whitney statistic as a share of all pairs; a tie counts half.
    fn auroc(&self, weights: &[f64]) -> Result<f64, Undefined> {
        let (positives, negatives) = self.totals(weights)?;
        let (mut below, mut pairs) = (0.0, 0.0);
        for (positive, negative) in self.sums(weights) {
            pairs += positive * (below + 0.5 * negative);
            below += negative;
        }
        Ok(pairs / (positives * negatives))
    }

    /// Σ (recall − recall before) · precision over the thresholds, from the greatest on.
    fn average_precision(&self, weights: &[f64]) -> Result<f64, Undefined> {
        let (positives, _) = self.totals(weights)?;
        let (mut hits, mut above, mut area) = (0.0, 0.0, 0.0);
        for (positive, negative) in self.sums(weights).rev() {
            hits += positive;
            above += positive + negative;
            if above > 0.0 {
                area += positive / positives * hits / above;
            }
        }
        Ok(area)
    }
}
