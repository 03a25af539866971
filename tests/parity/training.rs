//! Training step by step: the loss and the norm of the gradient of every recorded step, the final weights, predictions before and after,
//! and metrics.

use std::collections::BTreeMap;

use mgx_compiler::check::elaborate;
use mgx_compiler::plan::build;
use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_data::{Encoding, Predictions, Targets, Tokenizer, metric};
use mgx_diag::Diagnostic;
use mgx_eval::eval_scalars;
use mgx_ir::plan::{Batch, InputData, InputSource, OptimizerSpec, ParamSpec, Plan};
use mgx_tests::compare::{Account, Tolerance};
use mgx_tests::golden::{Case, Tensors, strings};
use mgx_tests::network::{EXPERIMENT, Network};
use mgx_tests::world::{PROGRAM, TestWorld};
use mgx_tests::{Outcome, shown};
use serde_json::Value as Json;

use crate::adapters;
use crate::tokens::{batch, check_masks, encode};

/// Losses of single steps.
const LOSS: Tolerance = Tolerance { absolute: 0.0, relative: 1e-4 };
/// Norms of gradients of single steps.
const NORM: Tolerance = Tolerance { absolute: 0.0, relative: 1e-3 };
/// Weights after the last step.
const WEIGHTS: Tolerance = Tolerance { absolute: 1e-4, relative: 0.0 };

/// One backbone trained as a whole with an adapter that is known, on one number.
pub fn is_known(case: &Case) -> bool {
    let spec = &case.spec["spec"];
    let one = spec["backbones"].as_array().is_some_and(|backbones| matches!(backbones.as_slice(), [one] if one.get("kwargs").is_none()));
    let width = spec["batches"][0]["labels"][0].as_array().map_or(0, Vec::len);
    let plain = spec.get("lr_scheduler").is_none_or(Json::is_null) && spec["trainer"].get("accumulate_grad_batches").is_none();
    let no_options = spec["task_kwargs"].as_object().is_none_or(serde_json::Map::is_empty);
    spec["task"] == "SequenceRegression"
        && spec["backbones"][0]["family"] == "rnabert"
        && one
        && width == 1
        && plain
        && no_options
        && call(spec).is_some()
}

/// The adapter of a case as a call.
fn call(spec: &Json) -> Option<String> {
    let mut options = spec["adapter"].clone();
    options["out_features"] = Json::from(1);
    adapters::part(spec["adapter"]["class"].as_str()?, &options)
}

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let trajectory = case.json(case.text("/extra_file"))?;
    let spec = &case.spec["spec"];
    let mut account = Account::default();
    let mut training = Training::new(case)?;
    check_names(&mut account, &training.plan, &trajectory)?;
    let batches = |key: &str| training_batches(&training, &spec[key]);
    let (train, evaluation) = (batches("batches")?, batches("eval_batches")?);
    check_inputs(&mut account, &expected, "batch0", &train)?;
    check_inputs(&mut account, &expected, "eval0", &evaluation)?;

    let before = training.predict(&evaluation[0].batch)?;
    account.close("eval0.predictions_before", &before, &expected.get("eval0.predictions_before")?.data, case.tolerance);
    let steps = trajectory["steps"].as_array().ok_or("no steps were recorded")?;
    account.equal("recorded steps", &steps.len(), &train.len());
    for (number, (step, batch)) in steps.iter().zip(&train).enumerate() {
        check_metrics(
            &mut account,
            &format!("step {number}, train"),
            &step["logged"],
            "train_",
            &training.predict(&batch.batch)?,
            &batch.labels,
            case.tolerance,
        )?;
        let (loss, norm) = training.step(number, &batch.batch)?;
        account.close(&format!("loss of step {number}"), &[loss], &[real(&step["loss"])?], LOSS);
        account.close(&format!("gradient norm of step {number}"), &[norm], &[real(&step["grad_norm"])?], NORM);
    }

    check_final_weights(&mut account, &training, &expected)?;
    let mut predictions = Vec::new();
    for (index, batch) in evaluation.iter().enumerate() {
        let name = format!("eval{index}.predictions");
        let found = training.predict(&batch.batch)?;
        account.close(&name, &found, &expected.get(&name)?.data, case.tolerance);
        predictions.extend(found);
    }
    let labels: Vec<f64> = evaluation.iter().flat_map(|batch| batch.labels.iter().copied()).collect();
    for stage in ["val", "test"] {
        check_metrics(
            &mut account,
            stage,
            &trajectory[format!("{stage}_metrics")],
            &format!("{stage}_"),
            &predictions,
            &labels,
            case.tolerance,
        )?;
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The experiment that a case is, in the language.
fn program(spec: &Json) -> Outcome<String> {
    let call = call(spec).ok_or("the adapter is not known")?;
    let name = call.split('(').next().unwrap_or(&call);
    let optimizer = &spec["optimizer"];
    let number = |value: &Json| value.as_f64().map(|value| format!("{value:e}")).ok_or_else(|| format!("no number: {value}"));
    let options = [
        ("lr", &optimizer["lr"]),
        ("weight_decay", &optimizer["weight_decay"]),
        ("beta1", &optimizer["betas"][0]),
        ("beta2", &optimizer["betas"][1]),
        ("eps", &optimizer["eps"]),
    ];
    let options =
        options.into_iter().map(|(name, value)| Ok(format!("{name} = {}", number(value)?))).collect::<Outcome<Vec<_>>>()?.join(", ");
    let clip = spec["trainer"]["gradient_clip_val"].as_f64().map(|clip| format!("    clip_norm = {clip:?}\n")).unwrap_or_default();
    let folder = spec["backbones"][0]["path"].as_str().ok_or("the backbone has no folder")?;
    let steps = &spec["trainer"]["max_steps"];
    Ok(format!(
        "use std::adapters::{name}\nuse std::backbones::aido_rna\nuse std::optimizers::adamw\nuse std::tasks::regression\n\n\
         data rows = table(\"rows.tsv\") {{\n  sequence: rna\n  label: real\n}}\n\n\
         experiment {EXPERIMENT} {{\n  encoder = aido_rna(weights = folder(\"{folder}\"))\n  prediction = rows.sequence |> encoder |> {call}\n  \
         task = regression(prediction, rows.label)\n  train {{\n    max_steps = {steps}\n    optimizer = adamw({options})\n{clip}  }}\n}}\n"
    ))
}

/// A batch of a case.
struct Labelled {
    rows: Vec<Encoding>,
    labels: Vec<f64>,
    batch: Batch,
}

/// The plan of a case with its programs and memory.
struct Training {
    plan: Plan,
    tokenizer: Tokenizer,
    memory: Memory,
    gradient: Executable,
    norm: Executable,
    update: Executable,
    predict: Executable,
    /// Name of the task's output.
    prediction: String,
}

impl Training {
    fn new(case: &Case) -> Outcome<Self> {
        let spec = &case.spec["spec"];
        let header = vec!["sequence".to_owned(), "label".to_owned()];
        let world = TestWorld { program: program(spec)?, header, root: case.folder.clone(), ..TestWorld::default() };
        let mut network = Network::experiment(&world, false)?;
        let state = case.tensors("init_state.safetensors")?;
        let initial = |_, param: &ParamSpec| match param.weights {
            Some(_) => Ok(None),
            None => Ok(Some(state.get(&reference_name(param))?.f32())),
        };
        network.fill(initial)?;
        let with_dropout = elaborate(&world, PROGRAM, &[], EXPERIMENT, true).map_err(|_| "the experiment does not check for training")?;
        let tokenizer = network.elaborated.tokenizers.first().ok_or("the experiment has no tokenizer")?;
        let tokenizer = Tokenizer::new(tokenizer).map_err(|diagnostic| shown(&diagnostic))?;
        // Lengths are at most the number of letters and the special tokens.
        let all = ["batches", "eval_batches"].into_iter().flat_map(|key| spec[key].as_array().into_iter().flatten());
        let letters = |sequence: &String| vec![sequence.len() as u64 + 2];
        let capacity =
            all.map(|raw| Ok(strings(&raw["sequences"])?.iter().map(letters).collect())).collect::<Outcome<Vec<Vec<Vec<u64>>>>>()?;
        let plan = build(&network.elaborated, Some(&with_dropout), &capacity).map_err(|diagnostic| shown(&diagnostic))?;
        let OptimizerSpec { update, norm, state, .. } = plan.optimizer.as_ref().ok_or("the plan does not train")?;
        let compile = |program| Executable::new(program).map_err(|diagnostic: Diagnostic| shown(&diagnostic));
        let gradients = || AlignedBytes::new(plan.memory.gradients as usize);
        Ok(Self {
            tokenizer,
            memory: Memory {
                params: network.memory,
                gradients: gradients(),
                state: state.iter().map(|_| gradients()).collect(),
                arena: AlignedBytes::new(plan.memory.activations as usize),
            },
            gradient: compile(plan.gradient.as_ref().ok_or("the plan has no gradients")?)?,
            norm: compile(norm)?,
            update: compile(update)?,
            predict: compile(&plan.predict)?,
            prediction: plan.outputs.first().ok_or("the task has no output")?.name.clone(),
            plan,
        })
    }

    /// The predictions of a batch, one number for each sample.
    fn predict(&mut self, batch: &Batch) -> Outcome<Vec<f64>> {
        output(&self.predict, &mut self.memory, batch, &self.prediction)
    }

    /// One optimizer step; gives the loss before it and the norm of the gradient before clipping.
    fn step(&mut self, number: usize, batch: &Batch) -> Outcome<(f64, f64)> {
        let train = self.plan.train.as_ref().ok_or("the plan does not train")?;
        let (learning_rate, clip) = (train.learning_rate, train.clip_norm);
        self.memory.gradients.fill(0);
        let mut scaled = batch.clone();
        set(&mut scaled, "loss_scale", 1.0 / batch.samples.len() as f64);
        let loss = output(&self.gradient, &mut self.memory, &scaled, "loss")?[0];
        let mut scalars = Batch::default();
        let norm = output(&self.norm, &mut self.memory, &scalars, "norm")?[0];
        let scale = clip.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0));
        set(&mut scalars, "gradient_scale", scale);
        let optimizer = self.plan.optimizer.as_ref().ok_or("the plan does not train")?;
        for (name, value) in eval_scalars(&optimizer.scalars, &[("learning_rate", learning_rate), ("step", number as f64 + 1.0)]) {
            set(&mut scalars, &name, value);
        }
        self.update.run(&mut self.memory, &scalars).map_err(|diagnostic| shown(&diagnostic))?;
        Ok((loss, norm))
    }
}

fn set(batch: &mut Batch, name: &str, value: f64) {
    batch.inputs.insert(name.to_owned(), InputData::F32(vec![value as f32]));
}

fn output(executable: &Executable, memory: &mut Memory, batch: &Batch, name: &str) -> Outcome<Vec<f64>> {
    executable.run(memory, batch).map_err(|diagnostic| shown(&diagnostic))?;
    match executable.output(memory, batch, name).map_err(|diagnostic| shown(&diagnostic))? {
        InputData::F32(values) => Ok(values.iter().map(|value| f64::from(*value)).collect()),
        InputData::I32(_) => Err(format!("`{name}` is of whole numbers")),
    }
}

/// The name of a parameter in the reference's task: backbones hold their network as `encoder`.
fn reference_name(param: &ParamSpec) -> String {
    match param.weights {
        Some(_) => format!("backbone.encoder.{}", param.key),
        None => format!("adapter.{}", param.key),
    }
}

fn training_batches(training: &Training, raw: &Json) -> Outcome<Vec<Labelled>> {
    let input = |wanted: fn(&InputSource) -> bool| {
        let found = training.plan.inputs.iter().find(|input| wanted(&input.source));
        found.map(|input| input.name.clone()).ok_or_else(|| "the plan lacks an input".to_owned())
    };
    let ids = input(|source| matches!(source, InputSource::Tokens { .. }))?;
    let label = input(|source| matches!(source, InputSource::Real { .. }))?;
    let one = |raw: &Json| {
        let rows = encode(&training.tokenizer, &strings(&raw["sequences"])?, None, true)?;
        let labels =
            raw["labels"].as_array().ok_or("a batch has no labels")?.iter().map(|row| real(&row[0])).collect::<Outcome<Vec<f64>>>()?;
        let mut batch = batch(&ids, &rows);
        batch.inputs.insert(label.clone(), InputData::F32(labels.iter().map(|label| *label as f32).collect()));
        Ok(Labelled { rows, labels, batch })
    };
    raw.as_array().ok_or("the case has no batches")?.iter().map(one).collect()
}

/// The tokens, masks and labels of a recorded batch.
fn check_inputs(account: &mut Account, expected: &Tensors, prefix: &str, batches: &[Labelled]) -> Outcome<()> {
    let batch = batches.first().ok_or("the case has no batches")?;
    check_masks(account, expected, prefix, &batch.rows)?;
    let labels: Vec<f64> = batch.labels.iter().map(|label| f64::from(*label as f32)).collect();
    account.equal(&format!("{prefix}.labels"), &labels, &expected.get(&format!("{prefix}.labels"))?.data);
    Ok(())
}

/// What is trained: the same parameters under the same names.
fn check_names(account: &mut Account, plan: &Plan, trajectory: &Json) -> Outcome<()> {
    let mut found: Vec<String> = plan.params.iter().filter(|param| param.trainable).map(reference_name).collect();
    let mut recorded = strings(&trajectory["trainable_parameters"])?;
    found.sort();
    recorded.sort();
    account.equal("the trained parameters", &found, &recorded);
    Ok(())
}

/// Every tensor that training has changed in the reference; the others must not have changed here.
fn check_final_weights(account: &mut Account, training: &Training, expected: &Tensors) -> Outcome<()> {
    let values = training.memory.params.as_f32();
    let mut by_name = BTreeMap::new();
    for param in &training.plan.params {
        let start = param.offset as usize / 4;
        let own: Vec<f64> = values[start..start + param.elements() as usize].iter().map(|value| f64::from(*value)).collect();
        by_name.insert(reference_name(param), own);
    }
    for name in expected.below("final.") {
        let found = by_name.remove(name).ok_or_else(|| format!("no parameter is `{name}` in the reference"))?;
        account.close(&format!("final.{name}"), &found, &expected.get(&format!("final.{name}"))?.data, WEIGHTS);
    }
    account.equal("parameters that training changed here alone", &by_name.into_keys().collect::<Vec<_>>(), &Vec::new());
    Ok(())
}

/// Every metric that was recorded under `prefix`; the loss of a regression is its mean squared error.
fn check_metrics(
    account: &mut Account,
    what: &str,
    recorded: &Json,
    prefix: &str,
    predictions: &[f64],
    labels: &[f64],
    tolerance: Tolerance,
) -> Outcome<()> {
    let values: Vec<f32> = predictions.iter().map(|value| *value as f32).collect();
    let recorded = recorded.as_object().ok_or_else(|| format!("no metrics of {what} were recorded"))?;
    for (name, value) in recorded {
        let kind = match name.strip_prefix(prefix).unwrap_or(name) {
            "loss" => "mse",
            kind => kind,
        };
        let kind = serde_json::from_value(Json::from(kind)).map_err(|_| format!("no metric is called `{name}`"))?;
        let found = metric(kind, Predictions { values: &values, width: 1 }, Targets::Real(labels));
        account.close(&format!("{what}: {name}"), &[found], &[real(value)?], tolerance);
    }
    Ok(())
}

/// A number; numbers that are not finite are recorded as texts.
fn real(value: &Json) -> Outcome<f64> {
    match value {
        Json::String(text) => text.parse().map_err(|_| format!("no number: {text}")),
        other => other.as_f64().ok_or_else(|| format!("no number: {other}")),
    }
}
