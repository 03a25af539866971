//! Metrics that count: predicted classes against the right ones.

use mgx_ir::plan::MetricKind;

use super::{Undefined, greatest, undefined};

/// The smallest step of an f32 at 1: torchmetrics' Matthews coefficient of two classes, where it is not defined, is a limit with this number.
const EPSILON: f64 = f32::EPSILON as f64;

/// The predicted class and the right one of each item.
#[derive(Clone, Debug)]
pub(super) struct Confusion {
    predicted: Vec<u32>,
    targets: Vec<u32>,
    classes: usize,
}

impl Confusion {
    /// Of scores for each class; with a width of 1, of the second class's probability.
    pub fn new(scores: &[f32], width: usize, targets: &[i32]) -> Result<Self, Undefined> {
        let classes = width.max(2);
        let own: Option<Vec<u32>> =
            targets.iter().map(|class| u32::try_from(*class).ok().filter(|class| (*class as usize) < classes)).collect();
        let Some(targets) = own else { return undefined("a label is none of the classes") };
        let class = |scores: &[f32]| if width == 1 { u32::from(scores[0] > 0.5) } else { greatest(scores) as u32 };
        Ok(Self { predicted: scores.chunks_exact(width).map(class).collect(), targets, classes })
    }

    pub fn value(&self, kind: MetricKind, weights: &[f64]) -> Result<f64, Undefined> {
        let mut counts = Counts { counts: vec![0.0; self.classes * self.classes], classes: self.classes };
        for ((target, predicted), weight) in self.targets.iter().zip(&self.predicted).zip(weights) {
            counts.counts[*target as usize * self.classes + *predicted as usize] += weight;
        }
        if counts.total() == 0.0 {
            return undefined("there is nothing to compare");
        }
        match kind {
            MetricKind::Accuracy => Ok(counts.all_hits() / counts.total()),
            MetricKind::F1 => Ok(counts.f1()),
            MetricKind::Mcc => Ok(counts.matthews()),
            _ => undefined("it is not a metric of counts"),
        }
    }
}

/// One label of several: whether it was predicted (a probability above one half) and whether it holds.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    predicted: Vec<bool>,
    targets: Vec<bool>,
}

impl Binary {
    pub fn new(values: &[f32], width: usize, label: usize, targets: &[f64]) -> Self {
        Self {
            predicted: values.iter().skip(label).step_by(width).map(|value| *value > 0.5).collect(),
            targets: targets.iter().skip(label).step_by(width).map(|target| *target > 0.5).collect(),
        }
    }

    fn counts(&self, weights: &[f64]) -> Counts {
        let mut counts = vec![0.0; 4];
        for ((target, predicted), weight) in self.targets.iter().zip(&self.predicted).zip(weights) {
            counts[2 * usize::from(*target) + usize::from(*predicted)] += weight;
        }
        Counts { counts, classes: 2 }
    }
}

/// The mean of the labels' metrics; the Matthews coefficient is that of all their counts together.
pub(super) fn of_labels(kind: MetricKind, labels: &[Binary], weights: &[f64]) -> Result<f64, Undefined> {
    let counts: Vec<Counts> = labels.iter().map(|label| label.counts(weights)).collect();
    if counts.iter().any(|counts| counts.total() == 0.0) {
        return undefined("there is nothing to compare");
    }
    let mean = |value: &dyn Fn(&Counts) -> f64| counts.iter().map(value).sum::<f64>() / counts.len() as f64;
    match kind {
        MetricKind::Accuracy => Ok(mean(&|counts| counts.all_hits() / counts.total())),
        MetricKind::F1 => Ok(mean(&Counts::f1)),
        MetricKind::Mcc => {
            let sum = (0..4).map(|cell| counts.iter().map(|counts| counts.counts[cell]).sum()).collect();
            Ok(Counts { counts: sum, classes: 2 }.matthews())
        }
        _ => undefined("it is not a metric of counts"),
    }
}

/// Weights of items by class (rows) and predicted class (columns).
struct Counts {
    counts: Vec<f64>,
    classes: usize,
}

impl Counts {
    fn hits(&self, class: usize) -> f64 {
        self.counts[class * self.classes + class]
    }

    fn of_class(&self, class: usize) -> f64 {
        self.counts[class * self.classes..][..self.classes].iter().sum()
    }

    fn predicted(&self, class: usize) -> f64 {
        self.counts.iter().skip(class).step_by(self.classes).sum()
    }

    fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    fn all_hits(&self) -> f64 {
        (0..self.classes).map(|class| self.hits(class)).sum()
    }

    /// Of two classes that of the second; of several the mean over those that occur or are predicted.
    fn f1(&self) -> f64 {
        let both = |class| self.of_class(class) + self.predicted(class);
        let f1 = |class| if both(class) == 0.0 { 0.0 } else { 2.0 * self.hits(class) / both(class) };
        if self.classes == 2 {
            return f1(1);
        }
        let there: Vec<usize> = (0..self.classes).filter(|class| both(*class) > 0.0).collect();
        there.iter().map(|class| f1(*class)).sum::<f64>() / there.len() as f64
    }

    /// The coefficient for several classes (Gorodkin 2004). Where everything is predicted as, or is, one class: 0 for several classes, and for two
    /// what torchmetrics gives, 1 or −1 if all are right or all are wrong, else a small number with the sign of right less wrong.
    fn matthews(&self) -> f64 {
        let total = self.total();
        let wrong = total - self.all_hits();
        if self.classes == 2 && (wrong == 0.0 || wrong == total) {
            return if wrong == 0.0 { 1.0 } else { -1.0 };
        }
        let sum = |product: &dyn Fn(usize) -> f64| (0..self.classes).map(product).sum::<f64>();
        let covariance = self.all_hits() * total - sum(&|class| self.of_class(class) * self.predicted(class));
        let of_classes = total * total - sum(&|class| self.of_class(class).powi(2));
        let of_predictions = total * total - sum(&|class| self.predicted(class).powi(2));
        let scale = of_classes * of_predictions;
        match (scale == 0.0, self.classes) {
            (false, _) => covariance / scale.sqrt(),
            (true, 2) => {
                let scale: f64 =
                    [self.of_class(0), self.of_class(1), self.predicted(0), self.predicted(1)].map(|sum| sum + EPSILON).iter().product();
                EPSILON.sqrt() * (total - 2.0 * wrong) / scale.sqrt()
            }
            (true, _) => 0.0,
        }
    }
}
