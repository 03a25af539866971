//! Metrics of numbers.

use mgx_ir::plan::MetricKind;

use super::{Undefined, undefined};

/// One output: what was predicted for each item, and the right number.
#[derive(Clone, Debug)]
pub(super) struct Pairs {
    predictions: Vec<f64>,
    targets: Vec<f64>,
    /// For ranks: the items by ascending prediction, and by ascending target.
    orders: Option<[Vec<u32>; 2]>,
}

impl Pairs {
    pub fn new(kind: MetricKind, values: &[f32], width: usize, output: usize, targets: &[f64]) -> Self {
        let predictions: Vec<f64> = values.iter().skip(output).step_by(width).map(|value| f64::from(*value)).collect();
        let targets: Vec<f64> = targets.iter().skip(output).step_by(width).copied().collect();
        let orders = (kind == MetricKind::Spearman).then(|| [&predictions, &targets].map(|values| order(values)));
        Self { predictions, targets, orders }
    }

    pub fn value(&self, kind: MetricKind, weights: &[f64]) -> Result<f64, Undefined> {
        let total: f64 = weights.iter().sum();
        if total == 0.0 {
            return undefined("there is nothing to compare");
        }
        let (a, b) = (&self.predictions, &self.targets);
        let mean = |term: &dyn Fn(usize) -> f64| weights.iter().enumerate().map(|(item, weight)| weight * term(item)).sum::<f64>() / total;
        match kind {
            MetricKind::Mse => Ok(mean(&|item| (a[item] - b[item]).powi(2))),
            MetricKind::Mae => Ok(mean(&|item| (a[item] - b[item]).abs())),
            MetricKind::R2 => {
                let center = mean(&|item| b[item]);
                let around = mean(&|item| (b[item] - center).powi(2));
                if around == 0.0 {
                    return undefined("all labels are equal");
                }
                Ok(1.0 - mean(&|item| (a[item] - b[item]).powi(2)) / around)
            }
            MetricKind::Pearson => pearson(a, b, weights),
            MetricKind::Spearman => match &self.orders {
                Some([by_prediction, by_target]) => pearson(&ranks(a, by_prediction, weights), &ranks(b, by_target, weights), weights),
                None => undefined("the ranks are not known"),
            },
            _ => undefined("it is not a metric of numbers"),
        }
    }
}

fn pearson(a: &[f64], b: &[f64], weights: &[f64]) -> Result<f64, Undefined> {
    let total: f64 = weights.iter().sum();
    let mean = |values: &[f64]| values.iter().zip(weights).map(|(value, weight)| weight * value).sum::<f64>() / total;
    let (center_a, center_b) = (mean(a), mean(b));
    let sum = |x: &[f64], center_x: f64, y: &[f64], center_y: f64| {
        x.iter().zip(y).zip(weights).map(|((x, y), weight)| weight * (x - center_x) * (y - center_y)).sum::<f64>()
    };
    let (of_a, of_b) = (sum(a, center_a, a, center_a), sum(b, center_b, b, center_b));
    if of_b == 0.0 {
        return undefined("all labels are equal");
    }
    if of_a == 0.0 {
        return undefined("all predictions are equal");
    }
    Ok((sum(a, center_a, b, center_b) / (of_a * of_b).sqrt()).clamp(-1.0, 1.0))
}

fn order(values: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
    order
}

/// Ranks from 1 where each item stands as often as its weight says; equal values share the average of their ranks.
fn ranks(values: &[f64], order: &[u32], weights: &[f64]) -> Vec<f64> {
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0.0;
    // Equality by value: 0 and -0 are a tie, though the order tells them apart.
    for run in order.chunk_by(|a, b| values[*a as usize] == values[*b as usize]) {
        let weight: f64 = run.iter().map(|item| weights[*item as usize]).sum();
        for item in run {
            ranks[*item as usize] = before + (weight + 1.0) / 2.0;
        }
        before += weight;
    }
    ranks
}
