//! What a case trains, as a program in the language.

use mgx_tests::Outcome;
use mgx_tests::golden::strings;
use mgx_tests::network::EXPERIMENT;
use serde_json::Value as Json;

use crate::adapters::{self, Call};

/// The file of the case's rows.
pub const ROWS: &str = "rows.tsv";
/// The folder of the adapter that the training of a backbone starts from, in the layout of PEFT, is called so with the backbone's number.
const INITIAL_ADAPTER: &str = "peft_init";
/// The column of labels.
pub const LABELS: &str = "labels";
/// The column of what masked sequences were.
const TARGETS: &str = "target_sequences";

/// An experiment with the table that it reads.
#[derive(Clone)]
pub struct Program {
    pub text: String,
    /// The columns of sequences, one for each backbone: their names in the case's batches.
    pub sequences: Vec<String>,
    /// The fusion, if there is one, and the adapter, if the backbone's own head is not used.
    pub calls: Vec<Call>,
    /// The column that the task compares with: its name in the case's batches.
    pub label: &'static str,
}

impl Program {
    /// The path of the raw predictions: the adapter, or the head of the backbone.
    pub fn predictions(&self) -> &str {
        self.calls.last().map_or("encoder0.head", |call| call.name)
    }

    /// The names of the table's columns.
    pub fn header(&self) -> Vec<String> {
        self.sequences.iter().cloned().chain([self.label.to_owned()]).collect()
    }
}

/// The experiment that a case is, in the language.
///
/// # Errors
/// What of it the standard library, or this test, does not know.
pub fn program(spec: &Json) -> Outcome<Program> {
    let backbones = spec["backbones"].as_array().ok_or("the case has no backbones")?;
    let sequences = match spec["task_kwargs"]["backbone_order"].as_array() {
        Some(_) => strings(&spec["task_kwargs"]["backbone_order"])?.iter().map(|name| format!("{name}_sequences")).collect(),
        None => vec!["sequences".to_owned()],
    };
    let backbones = backbones
        .iter()
        .zip(&sequences)
        .enumerate()
        .map(|(number, (backbone, column))| {
            Backbone::new(number, backbone, letters(spec, column)?, has_empty(spec, column), spec["adapter"].is_null())
        })
        .collect::<Outcome<Vec<_>>>()?;
    let task = Task::new(spec, backbones.first().map_or("", |backbone| &backbone.column))?;
    let mut options = spec["adapter"].clone();
    let mut calls = match spec["adapter"]["class"].as_str() {
        None => Vec::new(),
        Some(class) => {
            options["out_features"] = Json::from(task.outputs);
            adapters::calls(class, &options)?
        }
    };
    if spec["task_kwargs"].get("adapter_dim_multiplier").is_some_and(|times| times == 2) {
        calls.insert(0, adapters::outer_concat());
    }
    let schedule = schedule(&spec["lr_scheduler"])?;
    let mut imports: Vec<String> = calls.iter().map(Call::import).collect();
    imports.extend(backbones.iter().map(|backbone| format!("use std::backbones::{}\n", backbone.name)));
    if backbones.iter().any(|backbone| backbone.call.contains(" with lora(")) {
        imports.push("use std::rewrites::lora\n".to_owned());
    }
    imports.push(format!("use std::optimizers::adamw\nuse std::tasks::{}\n", task.name));
    imports.extend(schedule.iter().map(|schedule| format!("use std::schedules::{}\n", schedule.split('(').next().unwrap_or(schedule))));
    imports.dedup();
    let columns: String = sequences.iter().zip(&backbones).map(|(name, backbone)| format!("  {name}: {}\n", backbone.column)).collect();
    let encoders: String =
        backbones.iter().enumerate().map(|(number, backbone)| format!("  encoder{number} = {}\n", backbone.call)).collect();
    let flows: Vec<String> = sequences.iter().enumerate().map(|(number, name)| format!("rows.{name} |> encoder{number}")).collect();
    let flow = calls.iter().fold(format!("({})", flows.join(", ")), |flow, call| format!("{flow} |> {}", call.text()));
    let text = format!(
        "{}\ndata rows = table(\"{ROWS}\") {{\n{columns}  {}: {}\n}}\n\n\
         experiment {EXPERIMENT} {{\n{encoders}  prediction = {flow}\n  task = {}\n{}}}\n",
        imports.concat(),
        task.label,
        task.column,
        task.call,
        train(spec, schedule)?,
    );
    Ok(Program { text, sequences, calls, label: task.label })
}

/// Has a column sequences without letters?
fn has_empty(spec: &Json, key: &str) -> bool {
    let mut all = ["batches", "eval_batches"].into_iter().flat_map(|batches| spec[batches].as_array().into_iter().flatten());
    all.any(|batch| strings(&batch[key]).is_ok_and(|texts| texts.iter().any(String::is_empty)))
}

/// The letters of a column: those of RNA where there is a U.
fn letters<'a>(spec: &'a Json, key: &str) -> Outcome<&'a str> {
    let mut all = ["batches", "eval_batches"].into_iter().flat_map(|batches| spec[batches].as_array().into_iter().flatten());
    Ok(if all.any(|batch| strings(&batch[key]).is_ok_and(|texts| texts.iter().any(|text| text.contains('U')))) { "rna" } else { "dna" })
}

/// A backbone of the case.
struct Backbone {
    /// Its declaration in the library.
    name: &'static str,
    call: String,
    /// The type of the column that it reads.
    column: String,
}

impl Backbone {
    /// `nucleotides` is `dna` or `rna`, for a family that reads either; `empty`, whether the column has sequences without letters.
    /// `with_head`, whether the backbone's own head is used.
    fn new(number: usize, spec: &Json, nucleotides: &str, empty: bool, with_head: bool) -> Outcome<Self> {
        let (name, column) = match (spec["family"].as_str(), nucleotides, with_head) {
            (Some("rnabert"), "rna", false) => ("aido_rna", "rna"),
            (Some("rnabert"), "rna", true) => ("aido_rna_masked_lm", "rna"),
            (Some("rnabert"), _, false) => ("aido_dna", "dna"),
            (Some("rnabert"), _, true) => ("aido_dna_masked_lm", "dna"),
            (Some("fm4bio"), _, false) => ("aido_protein", "protein"),
            (Some("fm4bio"), _, true) => ("aido_protein_masked_lm", "protein"),
            (Some("esm2"), _, false) => ("esm2", "protein"),
            (Some("esm2"), _, true) => ("esm2_masked_lm", "protein"),
            (other, ..) => return Err(format!("the family {other:?} is not known")),
        };
        let folder = spec["path"].as_str().ok_or("the backbone has no folder")?;
        let mut options = vec![format!("weights = folder(\"{folder}\")")];
        let mut rewrite = Vec::new();
        for (key, value) in spec["kwargs"].as_object().into_iter().flatten() {
            match key.as_str() {
                "frozen" => options.push(format!("frozen = {value}")),
                "use_peft" => {}
                "lora_r" => rewrite.push(format!("rank = {value}")),
                "lora_alpha" => rewrite.push(format!("alpha = {value}")),
                "lora_dropout" => rewrite.push(format!("dropout = {value}")),
                "lora_use_rslora" => rewrite.push(format!("rank_stabilized = {value}")),
                "lora_target_modules" => rewrite.push(format!("targets = [{}]", strings(value)?.join(", "))),
                other => return Err(format!("the option `{other}` of a backbone is not known")),
            }
        }
        let mut call = format!("{name}({})", options.join(", "));
        if spec["kwargs"]["use_peft"] == true {
            // The initial values are those of the recorded folder, read as any other adapter of PEFT is.
            rewrite.push(format!("weights = folder(\"{INITIAL_ADAPTER}{number}\")"));
            call.push_str(&format!(" with lora({})", rewrite.join(", ")));
        }
        let column = if empty { format!("{column}(empty = allow)") } else { column.to_owned() };
        Ok(Self { name, call, column })
    }
}

/// The task of the case.
struct Task {
    /// Its declaration in the library.
    name: &'static str,
    call: String,
    /// The column of labels.
    label: &'static str,
    /// Its type.
    column: String,
    /// Outputs of the adapter.
    outputs: u64,
}

impl Task {
    /// `sequences` is the type of the column of sequences.
    fn new(spec: &Json, sequences: &str) -> Outcome<Self> {
        let options = spec["task_kwargs"].as_object().cloned().unwrap_or_default();
        let number = |key: &str, default: u64| options.get(key).and_then(Json::as_u64).unwrap_or(default);
        let known = |names: &[&str]| match options.keys().find(|key| !names.contains(&key.as_str()) && *key != "backbone_order") {
            Some(other) => Err(format!("the option `{other}` of a task is not known")),
            None => Ok(()),
        };
        let label = LABELS;
        match spec["task"].as_str() {
            Some("MLM") => {
                known(&[])?;
                let call = format!("masked_lm(prediction.logits, rows.{TARGETS}, over = all)");
                Ok(Self { name: "masked_lm", call, label: TARGETS, column: sequences.to_owned(), outputs: 0 })
            }
            Some("SequenceRegression" | "MMSequenceRegression") => {
                known(&["num_outputs", "loss_func"])?;
                let outputs = number("num_outputs", 1);
                let loss = match options.get("loss_func").and_then(Json::as_str) {
                    None | Some("MSELoss") => "mse",
                    Some("L1Loss") => "mae",
                    Some("HuberLoss") => "huber",
                    Some(other) => return Err(format!("the loss {other} is not known")),
                };
                let call = format!("regression(prediction, rows.{LABELS}, loss = {loss})");
                let column = if outputs == 1 { "real".to_owned() } else { format!("real(count = {outputs})") };
                Ok(Self { name: "regression", call, label, column, outputs })
            }
            Some("SequenceClassification") => {
                known(&["n_classes", "multilabel"])?;
                let outputs = number("n_classes", 2);
                let (name, kind) = match options.get("multilabel") {
                    Some(Json::Bool(true)) => ("multilabel_classification", "labels"),
                    _ => ("classification", "class"),
                };
                let column = format!("{kind}({})", class_names(outputs));
                Ok(Self { name, call: format!("{name}(prediction, rows.{LABELS})"), label, column, outputs })
            }
            Some("TokenClassification") => {
                known(&["n_classes"])?;
                let outputs = number("n_classes", 2);
                let column = format!("class({}, each = sequences)", class_names(outputs));
                Ok(Self {
                    name: "token_classification",
                    call: format!("token_classification(prediction, rows.{LABELS})"),
                    label,
                    column,
                    outputs,
                })
            }
            Some("PairwiseTokenClassification") => {
                known(&["adapter_dim_multiplier"])?;
                let call = format!("contact_prediction(prediction, rows.{LABELS})");
                Ok(Self { name: "contact_prediction", call, label, column: "contacts(each = sequences)".to_owned(), outputs: 2 })
            }
            other => Err(format!("the task {other:?} is not known")),
        }
    }
}

/// `"0", "1", "2"`
fn class_names(count: u64) -> String {
    (0..count).map(|class| format!("\"{class}\"")).collect::<Vec<_>>().join(", ")
}

/// The call of the library's schedule that a schedule of the reference is, if there is one.
pub fn schedule(spec: &Json) -> Outcome<Option<String>> {
    let Some(class) = spec["class"].as_str() else { return Ok(None) };
    let name = match class {
        "CosineWithWarmup" => "cosine",
        "LinearWithWarmup" => "linear",
        "ConstantWithWarmup" => "constant_rate",
        other => return Err(format!("the schedule {other} is not known")),
    };
    // Older cases have the options beside the class.
    let option = |key: &str| spec["kwargs"].get(key).or_else(|| spec.get(key));
    let options: Vec<String> = [("warmup_ratio", "warmup"), ("num_warmup_steps", "warmup_steps")]
        .into_iter()
        .filter_map(|(key, name)| Some(format!("{name} = {}", option(key)?)))
        .collect();
    Ok(Some(format!("{name}({})", options.join(", "))))
}

/// The block `train`.
fn train(spec: &Json, schedule: Option<String>) -> Outcome<String> {
    let optimizer = &spec["optimizer"];
    if optimizer["class"] != "torch.optim.AdamW" {
        return Err(format!("the optimizer {} is not known", optimizer["class"]));
    }
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
    let trainer = &spec["trainer"];
    let mut text = format!("  train {{\n    max_steps = {}\n    optimizer = adamw({options})\n", trainer["max_steps"]);
    if let Some(clip) = trainer["gradient_clip_val"].as_f64() {
        text.push_str(&format!("    clip_norm = {clip:?}\n"));
    }
    if let Some(batches) = trainer["accumulate_grad_batches"].as_u64() {
        text.push_str(&format!("    accumulate = {batches}\n"));
    }
    if let Some(schedule) = schedule {
        text.push_str(&format!("    schedule = {schedule}\n"));
    }
    text.push_str("  }\n");
    Ok(text)
}
