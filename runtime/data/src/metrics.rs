//! Metrics over all samples of a stage, in f64. `NaN` where a metric is not defined (one class only, constant targets) or a
//! prediction is `NaN`.

use mgx_ir::plan::MetricKind;

/// What was predicted: `width` numbers per sample, the samples one after another. For classes: a score per class (probabilities or logits).
#[derive(Clone, Copy, Debug)]
pub struct Predictions<'a> {
    pub values: &'a [f32],
    pub width: usize,
}

/// What is right, one per sample.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// Class numbers below the width of the predictions.
    Classes(&'a [i32]),
    Real(&'a [f64]),
}

/// A metric over all samples. Classification metrics want class targets, the others real targets and a width of 1; with targets
/// of the other kind, or counts that do not fit together, the result is `NaN`.
pub fn metric(kind: MetricKind, predictions: Predictions, targets: Targets) -> f64 {
    let width = predictions.width.max(1);
    if predictions.values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    match targets {
        Targets::Classes(classes) => {
            let fits = predictions.values.len() == classes.len() * width
                && classes.iter().all(|class| usize::try_from(*class).is_ok_and(|class| class < width));
            if !fits || classes.is_empty() {
                return f64::NAN;
            }
            match kind {
                MetricKind::Accuracy => Confusion::new(predictions.values, width, classes).accuracy(),
                MetricKind::MacroF1 => Confusion::new(predictions.values, width, classes).macro_f1(),
                MetricKind::Mcc => Confusion::new(predictions.values, width, classes).matthews(),
                MetricKind::Auroc => auroc(predictions.values, width, classes),
                MetricKind::Mse | MetricKind::Mae | MetricKind::R2 | MetricKind::Pearson | MetricKind::Spearman => f64::NAN,
            }
        }
        Targets::Real(targets) => {
            if targets.is_empty() || width != 1 || predictions.values.len() != targets.len() {
                return f64::NAN;
            }
            let predictions: Vec<f64> = predictions.values.iter().map(|value| f64::from(*value)).collect();
            match kind {
                MetricKind::Mse => mean(&predictions, targets, |a, b| (a - b) * (a - b)),
                MetricKind::Mae => mean(&predictions, targets, |a, b| (a - b).abs()),
                MetricKind::R2 => r2(&predictions, targets),
                MetricKind::Pearson => pearson(&predictions, targets),
                MetricKind::Spearman => pearson(&ranks(&predictions), &ranks(targets)),
                MetricKind::Accuracy | MetricKind::MacroF1 | MetricKind::Mcc | MetricKind::Auroc => f64::NAN,
            }
        }
    }
}

/// Counts of samples by class (rows) and predicted class (columns).
struct Confusion {
    counts: Vec<u64>,
    classes: usize,
}

impl Confusion {
    fn new(scores: &[f32], width: usize, targets: &[i32]) -> Self {
        let mut counts = vec![0; width * width];
        for (scores, target) in scores.chunks_exact(width).zip(targets) {
            counts[*target as usize * width + greatest(scores)] += 1;
        }
        Self { counts, classes: width }
    }

    fn hits(&self, class: usize) -> f64 {
        self.counts[class * self.classes + class] as f64
    }

    fn of_class(&self, class: usize) -> f64 {
        self.counts[class * self.classes..][..self.classes].iter().sum::<u64>() as f64
    }

    fn predicted(&self, class: usize) -> f64 {
        self.counts.iter().skip(class).step_by(self.classes).sum::<u64>() as f64
    }

    fn total(&self) -> f64 {
        self.counts.iter().sum::<u64>() as f64
    }

    fn all_hits(&self) -> f64 {
        (0..self.classes).map(|class| self.hits(class)).sum()
    }

    fn accuracy(&self) -> f64 {
        self.all_hits() / self.total()
    }

    fn macro_f1(&self) -> f64 {
        let f1 = |class| match self.of_class(class) + self.predicted(class) {
            0.0 => 0.0,
            both => 2.0 * self.hits(class) / both,
        };
        (0..self.classes).map(f1).sum::<f64>() / self.classes as f64
    }

    /// The coefficient for several classes (Gorodkin 2004); 0 where everything is predicted as, or is, one class, as is usual.
    fn matthews(&self) -> f64 {
        let total = self.total();
        let sum = |product: &dyn Fn(usize) -> f64| (0..self.classes).map(product).sum::<f64>();
        let covariance = self.all_hits() * total - sum(&|class| self.of_class(class) * self.predicted(class));
        let of_classes = total * total - sum(&|class| self.of_class(class).powi(2));
        let of_predictions = total * total - sum(&|class| self.predicted(class).powi(2));
        let scale = (of_classes * of_predictions).sqrt();
        if scale == 0.0 { 0.0 } else { covariance / scale }
    }
}

/// The index of the greatest score; of equal ones the first. NaN only if all are.
pub(crate) fn greatest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] || (scores[best].is_nan() && !score.is_nan()) {
            best = index;
        }
    }
    best
}

/// Two classes: the curve of the second one's score. Several: the mean of one against the rest, over the classes that have
/// both positive and negative samples.
fn auroc(scores: &[f32], width: usize, targets: &[i32]) -> f64 {
    let of_class = |class: usize| {
        let scores: Vec<f64> = scores.iter().skip(class).step_by(width).map(|score| f64::from(*score)).collect();
        let positive: Vec<bool> = targets.iter().map(|target| *target as usize == class).collect();
        area(&scores, &positive)
    };
    if width == 2 {
        return of_class(1);
    }
    let areas: Vec<f64> = (0..width).map(of_class).filter(|area| !area.is_nan()).collect();
    areas.iter().sum::<f64>() / areas.len() as f64
}

/// The Mann–Whitney statistic as a share of all pairs; a tie counts half.
fn area(scores: &[f64], positive: &[bool]) -> f64 {
    let positives = positive.iter().filter(|positive| **positive).count() as f64;
    let negatives = positive.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return f64::NAN;
    }
    let rank_sum: f64 = ranks(scores).iter().zip(positive).filter(|(_, positive)| **positive).map(|(rank, _)| rank).sum();
    (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

fn mean(predictions: &[f64], targets: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    predictions.iter().zip(targets).map(|(prediction, target)| term(*prediction, *target)).sum::<f64>() / targets.len() as f64
}

fn r2(predictions: &[f64], targets: &[f64]) -> f64 {
    let center = targets.iter().sum::<f64>() / targets.len() as f64;
    let around = mean(targets, targets, |target, _| (target - center) * (target - center));
    if around == 0.0 {
        return f64::NAN;
    }
    1.0 - mean(predictions, targets, |a, b| (a - b) * (a - b)) / around
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let center = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (center_a, center_b) = (center(a), center(b));
    let covariance = mean(a, b, |a, b| (a - center_a) * (b - center_b));
    let scale = (mean(a, a, |a, _| (a - center_a).powi(2)) * mean(b, b, |b, _| (b - center_b).powi(2))).sqrt();
    if scale == 0.0 { f64::NAN } else { (covariance / scale).clamp(-1.0, 1.0) }
}

/// Ranks from 1; equal values share the average of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    // Equality by value: 0 and -0 are a tie, though the order tells them apart.
    for run in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = start as f64 + (run.len() as f64 + 1.0) / 2.0;
        for index in run {
            ranks[*index] = rank;
        }
        start += run.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_classes(kind: MetricKind, classes: &[i32], predicted: &[usize], width: usize) -> f64 {
        let mut scores = vec![0.0; classes.len() * width];
        for (sample, class) in predicted.iter().enumerate() {
            scores[sample * width + class] = 1.0;
        }
        metric(kind, Predictions { values: &scores, width }, Targets::Classes(classes))
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
    }

    /// Examples of scikit-learn's documentation.
    #[test]
    fn classification_examples() {
        let classes = [0, 1, 2, 0, 1, 2];
        let predicted = [0, 2, 1, 0, 0, 1];
        close(of_classes(MetricKind::Accuracy, &classes, &predicted, 3), 2.0 / 6.0);
        close(of_classes(MetricKind::MacroF1, &classes, &predicted, 3), 0.8 / 3.0);
        close(of_classes(MetricKind::Mcc, &[1, 1, 1, 0], &[1, 0, 1, 1], 2), -1.0 / 3.0);
        let scores = [0.9, 0.1, 0.6, 0.4, 0.65, 0.35, 0.2, 0.8];
        let area = metric(MetricKind::Auroc, Predictions { values: &scores, width: 2 }, Targets::Classes(&[0, 0, 1, 1]));
        close(area, 0.75);
    }

    #[test]
    fn a_class_without_rows_or_predictions_counts_zero_in_f1() {
        close(of_classes(MetricKind::MacroF1, &[0, 1], &[0, 1], 3), 2.0 / 3.0);
        close(of_classes(MetricKind::Mcc, &[0, 1], &[0, 0], 2), 0.0);
    }

    #[test]
    fn ties_count_half_and_absent_classes_are_left_out() {
        let scores = [0.5, 0.5, 0.5, 0.5, 0.1, 0.9];
        close(metric(MetricKind::Auroc, Predictions { values: &scores, width: 2 }, Targets::Classes(&[0, 1, 1])), 0.75);
        let scores = [0.8, 0.1, 0.1, 0.2, 0.7, 0.1, 0.6, 0.3, 0.1];
        close(metric(MetricKind::Auroc, Predictions { values: &scores, width: 3 }, Targets::Classes(&[0, 1, 0])), 1.0);
        let one = metric(MetricKind::Auroc, Predictions { values: &scores[..2], width: 2 }, Targets::Classes(&[0]));
        assert!(one.is_nan());
    }

    /// Examples of scikit-learn's and SciPy's documentation.
    #[test]
    fn regression_examples() {
        let predictions = [2.5, 0.0, 2.0, 8.0];
        let of = |kind, predictions: &[f32], targets: &[f64]| {
            metric(kind, Predictions { values: predictions, width: 1 }, Targets::Real(targets))
        };
        let targets = [3.0, -0.5, 2.0, 7.0];
        close(of(MetricKind::Mse, &predictions, &targets), 0.375);
        close(of(MetricKind::Mae, &predictions, &targets), 0.5);
        close(of(MetricKind::R2, &predictions, &targets), 0.948_608_137_044_967_8);
        close(of(MetricKind::Pearson, &[1.0, 2.0, 3.0, 5.0, 8.0], &[0.11, 0.12, 0.13, 0.15, 0.18]), 1.0);
        close(of(MetricKind::Pearson, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], &[10.0, 9.0, 2.5, 6.0, 4.0, 3.0, 2.0]), -0.828_503_883_588_428);
        close(of(MetricKind::Spearman, &[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.0]), 0.820_782_681_668_123_3);
        assert!(of(MetricKind::Pearson, &[1.0, 1.0], &[1.0, 2.0]).is_nan());
    }

    #[test]
    fn mismatched_counts_are_nan() {
        let predictions = Predictions { values: &[0.1, 0.9], width: 2 };
        assert!(metric(MetricKind::Accuracy, predictions, Targets::Classes(&[0, 1])).is_nan());
        assert!(metric(MetricKind::Accuracy, predictions, Targets::Classes(&[2])).is_nan());
        assert!(metric(MetricKind::Mse, predictions, Targets::Classes(&[1])).is_nan());
    }
}
