//! Training step by step: the loss, the learning rate and the norm of the gradient of every recorded step, the final weights, predictions
//! before and after, and metrics.

mod exact;
mod metrics;
mod mixed;
mod numbers;
pub mod program;
pub mod rows;
mod steps;

use std::collections::BTreeMap;

use mgx_ir::plan::{InputData, InputSource, ParamSpec};
use mgx_tests::Outcome;
use mgx_tests::compare::{Account, Tolerance};
use mgx_tests::golden::{Case, Stored, Tensors, strings};
use serde_json::Value as Json;

use crate::adapters;
use crate::tokens::{check_masks_of, encode, without_padding};
use exact::Exact;
pub use metrics::convention;
use metrics::measure;
use mixed::check_mixed;
use numbers::Numbers;
use program::{LABELS, Program, program};
use rows::{RowTable, Rows};
use steps::{RAW, Training};

/// Losses of single steps.
const LOSS: Tolerance = Tolerance { absolute: 0.0, relative: 1e-4 };
/// Norms of gradients of single steps.
const NORM: Tolerance = Tolerance { absolute: 0.0, relative: 1e-3 };
/// Learning rates.
const RATE: Tolerance = Tolerance { absolute: 1e-12, relative: 1e-6 };
/// Weights after the last step.
const WEIGHTS: Tolerance = Tolerance { absolute: 1e-4, relative: 0.0 };

/// Does the language say what the case trains?
pub fn is_known(case: &Case) -> bool {
    program(&case.spec["spec"]).is_ok()
}

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let trajectory = case.json(case.text("/extra_file"))?;
    let program = program(&case.spec["spec"])?;
    let (table, train, evaluation) = RowTable::new(case, &program)?;
    let all: Vec<&Rows> = train.iter().chain(&evaluation).collect();
    let mut training = Training::new(case, &program, &table, &all)?;
    let mut account = Account::default();
    check_names(&mut account, &program, &training, &trajectory)?;
    check_inputs(&mut account, &expected, "batch0", &training, &program, &table, &train[0])?;
    check_inputs(&mut account, &expected, "eval0", &training, &program, &table, &evaluation[0])?;
    let recording = Recording { case, program: &program, table: &table, expected: &expected, trajectory: &trajectory };
    let found = recording.follow(&mut account, &mut training, None, &train, &evaluation)?;
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    let exact = if found.iter().any(Numbers::differ) {
        let exact = training.exact()?;
        recording.follow(&mut Account::default(), &mut training, Some(exact), &train, &evaluation)?
    } else {
        Vec::new()
    };
    let rounded = (0..).zip(&found).filter(|(index, numbers)| numbers.judge(&mut account, exact.get(*index))).count();
    let rounded = if rounded == 0 {
        String::new()
    } else {
        format!(" ({rounded} with the training in doubles, from which the recording differs more)")
    };
    let floats = account.finish()?;
    let mut account = Account::default();
    check_mixed(&mut account, case, &program, &table, &trajectory, &train)?;
    Ok(format!("{floats}{rounded}; in mixed precision {}", account.finish()?))
}

/// What was recorded of a training.
struct Recording<'a> {
    case: &'a Case,
    program: &'a Program,
    table: &'a RowTable,
    expected: &'a Tensors,
    trajectory: &'a Json,
}

impl Recording<'_> {
    /// Does everything again that was recorded, in order, and gives all numbers: predictions before, each step, final weights, predictions and metrics
    /// after. With `exact`, the parameters are those of the training in doubles.
    fn follow(
        &self,
        account: &mut Account,
        training: &mut Training,
        mut exact: Option<Exact>,
        train: &[Rows],
        evaluation: &[Rows],
    ) -> Outcome<Vec<Numbers>> {
        let mut numbers = Vec::new();
        training.restart(exact.as_ref());
        self.predict(&mut numbers, "eval0.predictions_before", training, &evaluation[0])?;
        self.steps(account, &mut numbers, training, exact.as_mut(), train)?;
        self.final_weights(account, &mut numbers, training)?;
        for (index, rows) in evaluation.iter().enumerate() {
            self.predict(&mut numbers, &format!("eval{index}.predictions"), training, rows)?;
        }
        for stage in ["val", "test"] {
            let recorded = &self.trajectory[format!("{stage}_metrics")];
            measure(&mut numbers, stage, recorded, &format!("{stage}_"), training, evaluation, self.case.tolerance)?;
        }
        Ok(numbers)
    }

    /// All steps, in groups of as many batches as a step accumulates.
    fn steps(
        &self,
        account: &mut Account,
        numbers: &mut Vec<Numbers>,
        training: &mut Training,
        mut exact: Option<&mut Exact>,
        train: &[Rows],
    ) -> Outcome<()> {
        let recorded = self.trajectory["steps"].as_array().ok_or("no steps were recorded")?;
        account.equal("recorded batches", &recorded.len(), &train.len());
        let group = training.plan.train.as_ref().map_or(1, |train| train.accumulate) as usize;
        for (number, (recorded, batches)) in recorded.chunks(group).zip(train.chunks(group)).enumerate() {
            for (index, (recorded, rows)) in recorded.iter().zip(batches).enumerate() {
                let what = format!("batch {index} of step {number}, train");
                measure(numbers, &what, &recorded["logged"], "train_", training, std::slice::from_ref(rows), self.case.tolerance)?;
            }
            let step = match exact.as_mut() {
                Some(exact) => training.exact_step(exact, number, batches)?,
                None => training.step(number, batches)?,
            };
            let mut add = |what: &str, found: f64, recorded: &Json, tolerance| -> Outcome<()> {
                let what = format!("{what} of step {number}");
                numbers.push(Numbers { what, found: vec![found], recorded: vec![real(recorded)?], tolerance });
                Ok(())
            };
            for (index, (recorded, loss)) in recorded.iter().zip(&step.losses).enumerate() {
                add(&format!("loss of batch {index}"), *loss, &recorded["loss"], LOSS)?;
            }
            let last = &recorded[recorded.len() - 1];
            add("learning rate", step.learning_rate, &last["lr"], RATE)?;
            add("gradient norm", step.norm, &last["grad_norm"], NORM)?;
        }
        Ok(())
    }

    /// What the adapter gives for a batch; where there is a row for each token, recorded rows of padding are left out.
    fn predict(&self, numbers: &mut Vec<Numbers>, name: &str, training: &mut Training, rows: &Rows) -> Outcome<()> {
        let recorded: &Stored = self.expected.get(name)?;
        let recorded = if recorded.shape.len() == 3 {
            without_padding(recorded, &encode(&training.tokenizers[0], &self.table.texts(0, rows), None, true)?)?
        } else {
            recorded.data.clone()
        };
        let found = training.evaluate(rows, &[RAW])?.remove(0);
        numbers.push(Numbers { what: name.to_owned(), found, recorded, tolerance: self.case.tolerance });
        Ok(())
    }

    /// Every tensor that training has changed in the reference; of those that are trained here, no other may be left.
    fn final_weights(&self, account: &mut Account, numbers: &mut Vec<Numbers>, training: &Training) -> Outcome<()> {
        let rate = training.plan.train.as_ref().map_or(0.0, |train| train.learning_rate);
        let values = training.memory.params.as_f32();
        let mut by_name = BTreeMap::new();
        for param in training.plan.params.iter().filter(|param| param.trainable) {
            let start = param.offset as usize / 4;
            let own: Vec<f64> = values[start..start + param.elements() as usize].iter().map(|value| f64::from(*value)).collect();
            by_name.insert(reference_name(self.program, param), own);
        }
        let mut compared = Vec::new();
        for name in self.expected.below("final.") {
            let own = same_as(name, &by_name);
            let found = by_name.get(&own).ok_or_else(|| format!("no trained parameter is `{name}` in the reference"))?.clone();
            compared.push(own);
            let tolerance = if sees_no_gradient(name) { Tolerance { absolute: 20.0 * rate, relative: 0.0 } } else { WEIGHTS };
            let what = format!("final.{name}");
            numbers.push(Numbers { found, recorded: self.expected.get(&what)?.data.clone(), what, tolerance });
        }
        by_name.retain(|name, _| !compared.contains(name));
        account.equal("parameters that training changed here alone", &by_name.into_keys().collect::<Vec<_>>(), &Vec::new());
        Ok(())
    }
}

/// What the keys of a language model's head begin with.
const HEAD: &str = "cls.";

/// The name of the parameter that is stored under a name: in the reference the head of a language model stands in the task as well, and its matrix and its offset
/// have two names each.
fn same_as(name: &str, by_name: &BTreeMap<String, Vec<f64>>) -> String {
    let name = if by_name.contains_key(name) { name.to_owned() } else { name.replacen("adapter.", "backbone.decoder.", 1) };
    match name.strip_prefix("backbone.decoder.predictions.decoder.") {
        Some("weight") if !by_name.contains_key(&name) => "backbone.encoder.embeddings.word_embeddings.weight".to_owned(),
        Some("bias") => "backbone.decoder.predictions.bias".to_owned(),
        _ => name,
    }
}

/// The name of a parameter in the reference's task: backbones hold their network as `encoder`, which PEFT wraps where it has an adapter.
fn reference_name(program: &Program, param: &ParamSpec) -> String {
    // Backbones are called `encoder0`, `encoder1`, … in the program.
    let number =
        param.path.strip_prefix("encoder").and_then(|rest| rest.split('.').next()).filter(|number| *number != "0").unwrap_or_default();
    match (param.adapter, param.weights, param.key.rsplit_once('.')) {
        (Some(_), _, Some((part, last))) => format!("backbone{number}.encoder.base_model.model.{part}.default.{last}"),
        (_, Some(_), _) if param.key.starts_with(HEAD) => param.key.replacen(HEAD, &format!("backbone{number}.decoder."), 1),
        (_, Some(_), _) => format!("backbone{number}.encoder.{}", param.key),
        _ => format!("adapter.{}", adapters::reference_name(&program.calls, param)),
    }
}

/// The tokens, masks and labels of a recorded batch.
fn check_inputs(
    account: &mut Account,
    expected: &Tensors,
    prefix: &str,
    training: &Training,
    program: &Program,
    table: &RowTable,
    rows: &Rows,
) -> Outcome<()> {
    for (column, name) in program.sequences.iter().enumerate() {
        // Columns that are read alike share a tokenizer.
        let read = training.plan.lengths.iter().find(|length| length.column == *name).map(|length| length.tokenizer as usize);
        let tokenizer = read.and_then(|read| training.tokenizers.get(read)).ok_or("a column has no tokenizer")?;
        let encodings = encode(tokenizer, &table.texts(column, rows), None, true)?;
        let own = name.strip_suffix("sequences").unwrap_or_default();
        check_masks_of(account, expected, &format!("{prefix}.{own}"), &encodings)?;
    }
    let batch = training.batch(rows);
    let label = training.labels.first();
    let label = label.ok_or("the plan has no label")?;
    let labels: Vec<f64> = match batch.inputs.get(&label.name).ok_or("the batch has no label")? {
        InputData::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        InputData::I32(values) => values.iter().map(|value| f64::from(*value)).collect(),
    };
    let key = if program.label == LABELS { "labels" } else { "target_ids" };
    let recorded = expected.get(&format!("{prefix}.{key}"))?;
    // Labels of letters and of pairs stand here at the special tokens too, where the reference has none; what it pads is not here.
    let (labels, recorded): (Vec<f64>, Vec<f64>) = match label.source {
        InputSource::TokenLabels { .. } | InputSource::PairLabels { .. } => (
            labels.into_iter().filter(|label| *label >= 0.0).collect(),
            recorded.data.iter().copied().filter(|label| *label >= 0.0).collect(),
        ),
        _ => (labels, recorded.data.clone()),
    };
    account.equal(&format!("{prefix}.{key}"), &labels, &recorded);
    Ok(())
}

/// What is trained: the same parameters under the same names.
fn check_names(account: &mut Account, program: &Program, training: &Training, trajectory: &Json) -> Outcome<()> {
    let mut found: Vec<String> =
        training.plan.params.iter().filter(|param| param.trainable).map(|param| reference_name(program, param)).collect();
    let mut recorded = strings(&trajectory["trainable_parameters"])?;
    found.sort();
    recorded.sort();
    account.equal("the trained parameters", &found, &recorded);
    Ok(())
}

/// A softmax does not see what all keys of a query have in common: the exact gradient of their offset is zero, and AdamW makes steps of the learning rate
/// of its rounding.
fn sees_no_gradient(name: &str) -> bool {
    name.contains("cross_attention_layer") && name.ends_with(".key.bias")
}

/// A number; numbers that are not finite are recorded as texts.
pub fn real(value: &Json) -> Outcome<f64> {
    match value {
        Json::String(text) => text.parse().map_err(|_| format!("no number: {text}")),
        other => other.as_f64().ok_or_else(|| format!("no number: {other}")),
    }
}
