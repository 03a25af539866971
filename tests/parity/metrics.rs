//! Metrics on recorded predictions: those of tasks, of single labels and outputs, of batches, of contacts, of scores, and of tokens. The losses that were recorded
//! beside them are held in the cases of training.

use mgx_data::{Comparison, Metric, Targets};
use mgx_ir::plan::MetricKind;
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Stored, Tensors};
use serde_json::{Map, Value as Json};

use crate::training::{convention, real};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let inputs = case.tensors("inputs.safetensors")?;
    let recorded = case.json(case.text("/extra_file"))?;
    let mut test = Test { account: Account::default(), case };
    for (name, recorded) in recorded.as_object().ok_or("no metrics were recorded")? {
        match name.as_str() {
            "contact" => test.contacts(&inputs, recorded)?,
            "zeroshot" => test.scores(&inputs, recorded)?,
            "mlm" => test.tokens(&inputs, recorded)?,
            _ => test.stages(name, &inputs, recorded)?,
        }
    }
    test.account.equal("inputs that were not compared", &inputs.forgotten(), &Vec::new());
    test.account.finish()
}

/// A softmax in single precision, one class after another: which of the probabilities of rounded logits are equal decides the metrics of an order.
fn probabilities(logits: &[f32]) -> Vec<f32> {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|logit| (logit - greatest).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|exponential| exponential / sum).collect()
}

struct Test<'a> {
    account: Account,
    case: &'a Case,
}

/// Predictions with what is right.
struct Rows {
    values: Vec<f32>,
    width: usize,
    labels: Labels,
}

enum Labels {
    Classes(Vec<i32>),
    Several(Vec<f64>),
    Numbers(Vec<f64>),
}

impl Rows {
    /// A group of the case's inputs: logits of classes or of several labels, or predicted numbers.
    fn new(name: &str, inputs: &Tensors) -> Outcome<Self> {
        let labels = inputs.get(&format!("{name}.labels"))?;
        let (given, labels) = match (inputs.find(&format!("{name}.logits")), labels.shape.len()) {
            (Some(logits), 1) => (logits, Labels::Classes(labels.data.iter().map(|class| *class as i32).collect())),
            (Some(logits), _) => (logits, Labels::Several(labels.data.clone())),
            (None, _) => (inputs.get(&format!("{name}.preds"))?, Labels::Numbers(labels.data.clone())),
        };
        let width = given.shape.get(1).copied().ok_or("predictions have no width")?;
        let values = match labels {
            Labels::Classes(_) => given.f32().chunks(width).flat_map(probabilities).collect(),
            Labels::Several(_) => given.f32().into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect(),
            Labels::Numbers(_) => given.f32(),
        };
        Ok(Self { values, width, labels })
    }

    fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// A metric over some of the rows, or its part for one label or output.
    fn metric(&self, name: &str, part: Option<usize>, rows: std::ops::Range<usize>) -> Outcome<f64> {
        let kind = kind(name)?;
        let own = rows.start * self.width..rows.end * self.width;
        let targets = match &self.labels {
            Labels::Classes(classes) => Targets::Classes(&classes[rows]),
            Labels::Several(labels) => Targets::Labels(&labels[own.clone()]),
            Labels::Numbers(numbers) => Targets::Real(&numbers[own.clone()]),
        };
        let metric = prepared(kind, &Comparison { values: &self.values[own], width: self.width, targets, items: None })?;
        let metric = match part {
            None => metric,
            Some(part) => metric.each().into_iter().nth(part).ok_or_else(|| format!("`{name}` has no part {part}"))?,
        };
        Ok(metric.value().unwrap_or_else(|_| convention(kind)))
    }
}

impl Test<'_> {
    /// The metrics of all rows in the test and the validation stage, and those of each half, as training logs them.
    fn stages(&mut self, name: &str, inputs: &Tensors, recorded: &Json) -> Outcome<()> {
        let rows = Rows::new(name, inputs)?;
        let half = rows.len() / 2;
        for stage in ["test", "val"] {
            self.compare(&format!("{name} {stage}"), &rows, 0..rows.len(), object(&recorded[stage])?)?;
        }
        let halves = recorded["train_per_batch"].as_array().ok_or("no batches were recorded")?;
        for (number, recorded) in halves.iter().enumerate() {
            let range = if number == 0 { 0..half } else { half..rows.len() };
            self.compare(&format!("{name} batch {number}"), &rows, range, object(recorded)?)?;
        }
        Ok(())
    }

    fn compare(&mut self, what: &str, rows: &Rows, range: std::ops::Range<usize>, recorded: &Map<String, Json>) -> Outcome<()> {
        for (name, value) in recorded {
            let (metric, part) = match name.rsplit_once('_') {
                Some((metric, part)) => (metric, Some(part.parse::<usize>().map_err(|_| format!("no part of a metric: {name}"))?)),
                None => (name.as_str(), None),
            };
            let found = rows.metric(metric, part, range.clone())?;
            self.account.close(&format!("{what} {name}"), &[found], &[real(value)?], self.case.tolerance);
        }
        Ok(())
    }

    /// The precision of the highest scored pairs, of sequences of one length.
    fn contacts(&mut self, inputs: &Tensors, recorded: &Json) -> Outcome<()> {
        let groups: Vec<String> =
            (0..).map(|index| format!("contact{index}")).take_while(|name| inputs.find(&format!("{name}.logits")).is_some()).collect();
        let all = |part: &str| groups.iter().map(|name| inputs.get(&format!("{name}.{part}"))).collect::<Outcome<Vec<&Stored>>>();
        let scores: Vec<f32> = all("logits")?.iter().flat_map(|tensor| tensor.f32()).collect();
        let labels: Vec<i32> = all("labels")?.iter().flat_map(|tensor| &tensor.data).map(|label| *label as i32).collect();
        let side = self.case.spec["contact_length"].as_u64().ok_or("the case has no length")? as usize;
        let items = vec![side * side; groups.len()];
        for (name, value) in object(&recorded["test"])? {
            let kind = kind(name)?;
            let comparison = Comparison { values: &scores, width: 1, targets: Targets::Contacts(&labels), items: Some(&items) };
            let found = prepared(kind, &comparison)?.value().map_err(|reason| format!("{name}: {reason}"))?;
            self.account.close(&format!("contact {name}"), &[found], &[real(value)?], self.case.tolerance);
        }
        Ok(())
    }

    /// Areas under the curves of one score of two classes.
    fn scores(&mut self, inputs: &Tensors, recorded: &Json) -> Outcome<()> {
        let (values, labels) = (inputs.get("zeroshot.scores")?.f32(), inputs.get("zeroshot.labels")?);
        let labels: Vec<i32> = labels.data.iter().map(|label| *label as i32).collect();
        for (name, value) in object(recorded)? {
            let kind = kind(&name.to_lowercase())?;
            let comparison = Comparison { values: &values, width: 1, targets: Targets::Classes(&labels), items: None };
            let found = prepared(kind, &comparison)?.value().map_err(|reason| format!("{name}: {reason}"))?;
            self.account.close(&format!("scores {name}"), &[found], &[real(value)?], self.case.tolerance);
        }
        Ok(())
    }

    /// The share of tokens whose logit is the greatest: a ratio of sums over sequences.
    fn tokens(&mut self, inputs: &Tensors, recorded: &Json) -> Outcome<()> {
        let (logits, targets) = (inputs.get("token.logits")?, inputs.get("token.targets")?);
        let (sequences, vocabulary) = (targets.shape[0], logits.shape.last().copied().unwrap_or(1));
        let length = targets.data.len() / sequences;
        let is_right = |(logits, target): (&[f64], &f64)| {
            let own = logits[*target as usize];
            f32::from(u8::from(logits.iter().all(|other| *other <= own)))
        };
        let right: Vec<f32> = logits.data.chunks(vocabulary).zip(&targets.data).map(is_right).collect();
        let sums: Vec<f32> = right.chunks(length).map(|sequence| sequence.iter().sum()).collect();
        let counts = vec![length as f64; sequences];
        let comparison = Comparison { values: &sums, width: 1, targets: Targets::Real(&counts), items: None };
        let found = prepared(MetricKind::Ratio, &comparison)?.value().map_err(|reason| format!("accuracy: {reason}"))?;
        self.account.close("tokens accuracy", &[found], &[real(&recorded["accuracy"])?], self.case.tolerance);
        Ok(())
    }
}

fn object(value: &Json) -> Outcome<&Map<String, Json>> {
    value.as_object().ok_or_else(|| format!("no metrics: {value}"))
}

fn prepared(kind: MetricKind, comparison: &Comparison<'_>) -> Outcome<Metric> {
    Metric::new(kind, comparison).map_err(|reason| reason.to_string())
}

fn kind(name: &str) -> Outcome<MetricKind> {
    Ok(match name {
        "accuracy" => MetricKind::Accuracy,
        "f1" => MetricKind::F1,
        "mcc" => MetricKind::Mcc,
        "auroc" => MetricKind::Auroc,
        "auprc" => MetricKind::Auprc,
        "mse" => MetricKind::Mse,
        "mae" => MetricKind::Mae,
        "r2" => MetricKind::R2,
        "pearson" => MetricKind::Pearson,
        "spearman" => MetricKind::Spearman,
        "top_L_acc" => MetricKind::TopL,
        "top_L2_acc" => MetricKind::TopL2,
        "top_L5_acc" => MetricKind::TopL5,
        "top_L10_acc" => MetricKind::TopL10,
        other => return Err(format!("no metric is called `{other}`")),
    })
}
