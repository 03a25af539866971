//! Metrics over the samples of a stage, in f64, as torchmetrics defines them (scikit-learn for the average precision).
//!
//! A metric is prepared once and valued for any weights of the samples: whole numbers, how often each sample counts. All ones give the metric
//! itself, and draws with replacement its distribution ([`bootstrap`]).

mod bootstrap;
mod classes;
mod contacts;
mod numbers;
mod ranking;

use std::fmt;

use mgx_ir::plan::MetricKind;

use crate::base_pairs::{Pair, base_pairs, pair_scores};

pub use bootstrap::{CONFIDENCE, Interval, RESAMPLES, Resamples};

use classes::{Binary, Confusion};
use numbers::Pairs;
use ranking::Ranking;

/// What was predicted and what is right, of all items of all samples. An item is a sample, or a part of one that has a label of its own.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// `width` numbers for each item, the items one after another: scores of classes, probabilities of labels, or values.
    pub values: &'a [f32],
    pub width: usize,
    pub targets: Targets<'a>,
    /// How many items each sample has, where it is not one.
    pub items: Option<&'a [usize]>,
}

/// What is right.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// Class numbers below the width of the predictions, one for each item. With a width of 1 there are two classes, and the value is the score of the second.
    Classes(&'a [i32]),
    /// A 0 or a 1 for each label, `width` for each item.
    Labels(&'a [f64]),
    /// `width` numbers for each item. Of [`MetricKind::Ratio`] what each item counts.
    Real(&'a [f64]),
    /// For each pair of letters, row after row, whether they are in contact (1). The samples' items are all their pairs.
    Contacts(&'a [i32]),
    /// The pairs of each sequence's secondary structure, and what tells how pairs follow from the probabilities of all two letters, the samples' items.
    Structures { pairs: &'a [&'a [Pair]], sequences: &'a [&'a str], threshold: f64 },
}

/// Why a metric has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undefined(pub String);

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn undefined<T>(reason: impl Into<String>) -> Result<T, Undefined> {
    Err(Undefined(reason.into()))
}

/// A metric of one comparison.
#[derive(Clone, Debug)]
pub struct Metric {
    kind: MetricKind,
    samples: usize,
    /// The sample of each item, where samples have not one each.
    sample_of: Option<Vec<u32>>,
    prepared: Prepared,
}

/// The comparison in the form that the metric is computed from.
#[derive(Clone, Debug)]
enum Prepared {
    Confusion(Confusion),
    Labels(Vec<Binary>),
    Rankings(Vec<Ranking>),
    Numbers(Vec<Pairs>),
    /// The value of each sample, of which the metric is the mean.
    Samples(Vec<Option<f64>>),
    /// Sums with what they are divided by.
    Ratio(Vec<(f64, f64)>),
}

impl Metric {
    /// Prepares a metric.
    ///
    /// # Errors
    /// Where it can have no value: a prediction is not a number, there are no items, or the labels are not of its kind.
    pub fn new(kind: MetricKind, comparison: &Comparison) -> Result<Self, Undefined> {
        let Comparison { values, width, targets, items } = *comparison;
        if width == 0 || values.is_empty() {
            return undefined("there is nothing to compare");
        }
        if values.iter().any(|value| value.is_nan()) {
            return undefined("a prediction is not a number");
        }
        let count = values.len() / width;
        let samples = items.map_or(count, <[usize]>::len);
        let sample_of = items.map(|items| {
            let own = items.iter().enumerate().flat_map(|(sample, items)| std::iter::repeat_n(sample as u32, *items));
            own.collect::<Vec<u32>>()
        });
        let expected = match targets {
            Targets::Classes(classes) | Targets::Contacts(classes) => classes.len(),
            Targets::Labels(targets) | Targets::Real(targets) => targets.len() / width,
            Targets::Structures { .. } => count,
        };
        if values.len() % width != 0 || expected != count || sample_of.as_ref().is_some_and(|of| of.len() != count) {
            return undefined("predictions and labels differ in number");
        }
        let prepared = match targets {
            Targets::Contacts(targets) => of_contacts(kind, values, targets, items)?,
            Targets::Structures { pairs, sequences, threshold } => of_structures(kind, values, (pairs, sequences), threshold, items)?,
            targets => prepare(kind, values, width, targets)?,
        };
        Ok(Self { kind, samples, sample_of, prepared })
    }

    /// The value over all samples.
    ///
    /// # Errors
    /// Where it is not defined.
    pub fn value(&self) -> Result<f64, Undefined> {
        self.weighted(&vec![1.0; self.samples])
    }

    /// The value where each sample counts as often as its weight says.
    ///
    /// # Errors
    /// Where it is not defined.
    pub fn weighted(&self, samples: &[f64]) -> Result<f64, Undefined> {
        if let Prepared::Samples(values) = &self.prepared {
            return contacts::mean(values, samples);
        }
        let own: Vec<f64>;
        let weights = match &self.sample_of {
            None => samples,
            Some(of) => {
                own = of.iter().map(|sample| samples[*sample as usize]).collect();
                &own
            }
        };
        match &self.prepared {
            Prepared::Confusion(confusion) => confusion.value(self.kind, weights),
            Prepared::Labels(labels) => classes::of_labels(self.kind, labels, weights),
            Prepared::Rankings(rankings) => ranking::mean(self.kind, rankings, weights),
            Prepared::Ratio(terms) => ratio(terms, weights),
            Prepared::Numbers(outputs) => mean(outputs.iter().map(|output| output.value(self.kind, weights))),
            Prepared::Samples(_) => undefined("it is a metric of samples"),
        }
    }

    /// The metric of each label or output by itself, where there are several.
    pub fn each(&self) -> Vec<Self> {
        let alone = |prepared| Self { kind: self.kind, samples: self.samples, sample_of: self.sample_of.clone(), prepared };
        match &self.prepared {
            Prepared::Labels(labels) if labels.len() > 1 => {
                labels.iter().map(|label| alone(Prepared::Labels(vec![label.clone()]))).collect()
            }
            Prepared::Numbers(outputs) if outputs.len() > 1 => {
                outputs.iter().map(|output| alone(Prepared::Numbers(vec![output.clone()]))).collect()
            }
            Prepared::Rankings(labels) if labels.len() > 1 && labels.iter().all(|label| label.is_label) => {
                labels.iter().map(|label| alone(Prepared::Rankings(vec![label.clone()]))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// What counts as it is usual where it is not defined: the numbers of the classes or labels that all, or no, items have.
    pub fn by_convention(&self) -> Vec<usize> {
        match &self.prepared {
            Prepared::Rankings(rankings) if rankings.len() > 1 => {
                rankings.iter().enumerate().filter(|(_, ranking)| ranking.is_one_sided()).map(|(number, _)| number).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn prepare(kind: MetricKind, values: &[f32], width: usize, targets: Targets) -> Result<Prepared, Undefined> {
    use MetricKind::{Accuracy, Auprc, Auroc, F1, Mae, Mcc, Mse, Pearson, R2, Ratio, Spearman};
    match (kind, targets) {
        (Accuracy | F1 | Mcc, Targets::Classes(targets)) => Ok(Prepared::Confusion(Confusion::new(values, width, targets)?)),
        (Auroc | Auprc, Targets::Classes(targets)) => Ok(Prepared::Rankings(ranking::of_classes(values, width, targets)?)),
        (Accuracy | F1 | Mcc, Targets::Labels(targets)) => {
            Ok(Prepared::Labels((0..width).map(|label| Binary::new(values, width, label, targets)).collect()))
        }
        (Auroc | Auprc, Targets::Labels(targets)) => {
            Ok(Prepared::Rankings((0..width).map(|label| Ranking::of_label(values, width, label, targets)).collect()))
        }
        (Ratio, Targets::Real(counts)) => {
            Ok(Prepared::Ratio(values.iter().map(|value| f64::from(*value)).zip(counts.iter().copied()).collect()))
        }
        (Mse | Mae | R2 | Pearson | Spearman, Targets::Real(targets)) => {
            Ok(Prepared::Numbers((0..width).map(|output| Pairs::new(kind, values, width, output, targets)).collect()))
        }
        (_, Targets::Contacts(_) | Targets::Structures { .. }) => undefined("it is not a metric of contacts"),
        (_, Targets::Classes(_) | Targets::Labels(_)) => undefined("it is a metric of numbers, and the labels are classes"),
        (_, Targets::Real(_)) => undefined("it is a metric of classes, and the labels are numbers"),
    }
}

fn of_contacts(kind: MetricKind, values: &[f32], targets: &[i32], items: Option<&[usize]>) -> Result<Prepared, Undefined> {
    let divisor = match kind {
        MetricKind::TopL => 1,
        MetricKind::TopL2 => 2,
        MetricKind::TopL5 => 5,
        MetricKind::TopL10 => 10,
        _ => return undefined("it is not a metric of contacts"),
    };
    let pairs = items.unwrap_or_default();
    let sides: Vec<usize> = pairs.iter().map(|pairs| pairs.isqrt()).collect();
    if sides.iter().zip(pairs).any(|(side, pairs)| side * side != *pairs) {
        return undefined("the pairs of a sequence make no square");
    }
    Ok(Prepared::Samples(contacts::precisions(values, targets, &sides, divisor)))
}

fn of_structures(
    kind: MetricKind,
    values: &[f32],
    (pairs, sequences): (&[&[Pair]], &[&str]),
    threshold: f64,
    items: Option<&[usize]>,
) -> Result<Prepared, Undefined> {
    let items = items.unwrap_or_default();
    if items.len() != pairs.len() || items.len() != sequences.len() {
        return undefined("predictions and labels differ in number");
    }
    let mut rest = values;
    let mut scores = Vec::with_capacity(items.len());
    for ((count, truth), sequence) in items.iter().zip(pairs).zip(sequences) {
        let (own, after) = rest.split_at(*count);
        rest = after;
        // Letters that were cut off have no pairs.
        let side = count.isqrt() as u32;
        let truth: Vec<Pair> = truth.iter().filter(|[_, last]| *last < side).copied().collect();
        let found = pair_scores(&truth, &base_pairs(own, sequence, threshold));
        scores.push(Some(match kind {
            MetricKind::StructurePrecision => found.precision,
            MetricKind::StructureRecall => found.recall,
            MetricKind::StructureF1 => found.f1,
            _ => return undefined("it is not a metric of structures"),
        }));
    }
    Ok(Prepared::Samples(scores))
}

/// A sum divided by another, both over all items.
fn ratio(terms: &[(f64, f64)], weights: &[f64]) -> Result<f64, Undefined> {
    let sum = |of: fn(&(f64, f64)) -> f64| terms.iter().zip(weights).map(|(term, weight)| of(term) * weight).sum::<f64>();
    let count = sum(|(_, count)| *count);
    if count == 0.0 { undefined("there is nothing to count") } else { Ok(sum(|(value, _)| *value) / count) }
}

/// The mean of several values.
fn mean(values: impl ExactSizeIterator<Item = Result<f64, Undefined>>) -> Result<f64, Undefined> {
    let count = values.len() as f64;
    Ok(values.sum::<Result<f64, Undefined>>()? / count)
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

#[cfg(test)]
mod tests;
