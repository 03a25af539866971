//! Training step by step: the loss, the learning rate and the norm of the gradient of every recorded step, the final weights, predictions
//! before and after, and metrics.

mod metrics;
mod mixed;
pub mod program;
pub mod rows;
mod steps;

use std::collections::BTreeMap;

use mgx_data::Encoding;
use mgx_ir::plan::{InputData, InputSource, ParamSpec};
use mgx_tests::Outcome;
use mgx_tests::compare::{Account, Tolerance};
use mgx_tests::golden::{Case, Stored, Tensors, strings};
use serde_json::Value as Json;

use crate::adapters;
use crate::tokens::{check_masks_of, encode, without_padding};
use metrics::check_metrics;
pub use metrics::convention;
use mixed::check_mixed;
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

    let encoded = |training: &Training, rows: &Rows| encode(&training.tokenizers[0], &table.texts(0, rows), None, true);
    check_predictions(&mut account, case, &expected, "eval0.predictions_before", &mut training, &evaluation[0], encoded)?;
    check_steps(&mut account, case, &trajectory, &mut training, &train)?;
    check_final_weights(&mut account, &program, &training, &expected)?;
    for (index, rows) in evaluation.iter().enumerate() {
        check_predictions(&mut account, case, &expected, &format!("eval{index}.predictions"), &mut training, rows, encoded)?;
    }
    for stage in ["val", "test"] {
        let recorded = &trajectory[format!("{stage}_metrics")];
        check_metrics(&mut account, stage, recorded, &format!("{stage}_"), &mut training, &evaluation, case.tolerance)?;
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    let exact = account.finish()?;
    let mut account = Account::default();
    check_mixed(&mut account, case, &program, &table, &trajectory, &train)?;
    Ok(format!("{exact}; in mixed precision {}", account.finish()?))
}

/// All steps, in groups of as many batches as a step accumulates.
fn check_steps(account: &mut Account, case: &Case, trajectory: &Json, training: &mut Training, train: &[Rows]) -> Outcome<()> {
    let recorded = trajectory["steps"].as_array().ok_or("no steps were recorded")?;
    account.equal("recorded batches", &recorded.len(), &train.len());
    let group = training.plan.train.as_ref().map_or(1, |train| train.accumulate) as usize;
    for (number, (recorded, batches)) in recorded.chunks(group).zip(train.chunks(group)).enumerate() {
        for (index, (recorded, rows)) in recorded.iter().zip(batches).enumerate() {
            let what = format!("batch {index} of step {number}, train");
            check_metrics(account, &what, &recorded["logged"], "train_", training, std::slice::from_ref(rows), case.tolerance)?;
        }
        let step = training.step(number, batches)?;
        for (index, (recorded, loss)) in recorded.iter().zip(&step.losses).enumerate() {
            account.close(&format!("loss of batch {index} of step {number}"), &[*loss], &[real(&recorded["loss"])?], LOSS);
        }
        let last = &recorded[recorded.len() - 1];
        account.close(&format!("learning rate of step {number}"), &[step.learning_rate], &[real(&last["lr"])?], RATE);
        account.close(&format!("gradient norm of step {number}"), &[step.norm], &[real(&last["grad_norm"])?], NORM);
    }
    Ok(())
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

/// What the adapter gives for a batch; where there is a row for each token, recorded rows of padding are left out.
fn check_predictions(
    account: &mut Account,
    case: &Case,
    expected: &Tensors,
    name: &str,
    training: &mut Training,
    rows: &Rows,
    encoded: impl Fn(&Training, &Rows) -> Outcome<Vec<Encoding>>,
) -> Outcome<()> {
    let recorded: &Stored = expected.get(name)?;
    let recorded = if recorded.shape.len() == 3 { without_padding(recorded, &encoded(training, rows)?)? } else { recorded.data.clone() };
    account.close(name, &training.evaluate(rows, &[RAW])?[0], &recorded, case.tolerance);
    Ok(())
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

/// Every tensor that training has changed in the reference; of those that are trained here, no other may be left.
fn check_final_weights(account: &mut Account, program: &Program, training: &Training, expected: &Tensors) -> Outcome<()> {
    let rate = training.plan.train.as_ref().map_or(0.0, |train| train.learning_rate);
    let values = training.memory.params.as_f32();
    let mut by_name = BTreeMap::new();
    for param in training.plan.params.iter().filter(|param| param.trainable) {
        let start = param.offset as usize / 4;
        let own: Vec<f64> = values[start..start + param.elements() as usize].iter().map(|value| f64::from(*value)).collect();
        by_name.insert(reference_name(program, param), own);
    }
    let mut compared = Vec::new();
    for name in expected.below("final.") {
        let own = same_as(name, &by_name);
        let found = by_name.get(&own).ok_or_else(|| format!("no trained parameter is `{name}` in the reference"))?;
        compared.push(own);
        let tolerance = if sees_no_gradient(name) { Tolerance { absolute: 20.0 * rate, relative: 0.0 } } else { WEIGHTS };
        account.close(&format!("final.{name}"), found, &expected.get(&format!("final.{name}"))?.data, tolerance);
    }
    by_name.retain(|name, _| !compared.contains(name));
    account.equal("parameters that training changed here alone", &by_name.into_keys().collect::<Vec<_>>(), &Vec::new());
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
