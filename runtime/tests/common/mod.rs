//! Experiments as text, compiled and given to the runtime.

#![allow(dead_code, reason = "each test file uses some of this")]

use std::path::{Path, PathBuf};

use mgx_compiler::check::{World, elaborate};
use mgx_compiler::plan::build;
use mgx_diag::Diagnostic;
use mgx_ir::plan::{FileFormat, Plan};
use mgx_runtime::{Data, DataSource, Interrupt, ProgressMode, Session, Settings};
use serde_json::Value;

/// The project's examples.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Files of a folder, with one program given as text.
pub struct Files<'a> {
    pub folder: &'a Path,
    pub text: &'a str,
}

impl World for Files<'_> {
    fn source(&self, path: &str) -> Result<String, String> {
        if path == "test.mgx" { Ok(self.text.to_owned()) } else { Err("no such file".to_owned()) }
    }

    fn table_header(&self, path: &str, format: FileFormat) -> Result<Vec<String>, Diagnostic> {
        mgx_data::header(&self.folder.join(path), format)
    }

    fn folder_text(&self, _: &str, _: &str) -> Result<Option<String>, Diagnostic> {
        Ok(None)
    }
}

/// Compiles the experiment `name` of a program whose data is in `folder`.
pub fn compile(folder: &Path, text: &str, name: &str) -> (Plan, Data) {
    let world = Files { folder, text };
    let elaborated = |training| {
        elaborate(&world, "test.mgx", &[], name, training)
            .unwrap_or_else(|(sources, found)| panic!("{}", mgx_diag::render(&found, &sources, false)))
    };
    let evaluation = elaborated(false);
    let source = DataSource {
        data: &evaluation.data,
        tokenizers: &evaluation.tokenizers,
        lengths: &evaluation.lengths,
        inputs: &evaluation.inputs,
        folder,
        labels: true,
    };
    let data = Data::read(&source).unwrap();
    let training = evaluation.train.is_some().then(|| elaborated(true));
    let plan = build(&evaluation, training.as_ref(), &data.capacity(evaluation.batch)).unwrap();
    (plan, data)
}

/// A session of [`compile`]'s results that shows nothing, and what interrupts it.
pub fn session(folder: &Path, text: &str, name: &str) -> (Session, Interrupt) {
    let (plan, data) = compile(folder, text, name);
    let interrupt = Interrupt::new();
    let settings =
        Settings { folder: folder.to_owned(), weights: None, progress: ProgressMode::Quiet, interrupt: interrupt.clone(), cache: None };
    (Session::new(plan, data, settings).unwrap(), interrupt)
}

/// A table of short DNA in which the class is whether there is more G than C, and a number that grows with G.
pub fn write_table(folder: &Path, rows: usize) {
    let mut text = String::from("id\tsequence\tlabel\tnumber\n");
    let mut state = 12345u64;
    for row in 0..rows {
        let length = 8 + row % 9;
        let letters: String = (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ['A', 'C', 'G', 'T'][(state >> 33) as usize % 4]
            })
            .collect();
        let count = |letter| letters.chars().filter(|other| *other == letter).count();
        let label = if count('G') > count('C') { "more" } else { "less" };
        text.push_str(&format!("r{row}\t{letters}\t{label}\t{}\n", count('G') as f64 / length as f64));
    }
    std::fs::write(folder.join("table.tsv"), text).unwrap();
}

/// The events of a run, without what the clock says.
pub fn events(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let mut event: Value = serde_json::from_str(line).unwrap();
            let fields = event.as_object_mut().unwrap();
            fields.retain(|name, _| !name.ends_with("_per_s") && name != "time");
            event
        })
        .collect()
}

/// A classifier of [`write_table`]'s rows with dropout; `train` is the rest of its `train` block.
pub fn classifier(train: &str) -> String {
    program("conv_pool(outputs = 2, channels = 8, hidden = 8)", "classification(values, table.label)", train)
}

/// The same with batch normalisation before it.
pub fn normed_classifier(train: &str) -> String {
    let adapter = r#"
use std::layers::norm::BatchNorm

adapter normed(features: dim, outputs: dim) {
  norm = BatchNorm(features)
  rest = conv_pool(features, outputs, channels = 8, hidden = 8)

  fn forward(x: f[pos, features]) -> f[outputs] { rest(norm(x)) }
}
"#;
    program("normed(outputs = 2)", "classification(values, table.label)", train) + adapter
}

/// The same with a value added that is zero and has no gradient.
pub fn rooted_classifier(train: &str) -> String {
    let adapter = r"
adapter rooted(features: dim, outputs: dim) {
  rest = linear_mean_pool(features, outputs)

  fn forward(x: f[pos, features]) -> f[outputs] {
    let y = rest(x)
    y + sqrt(y * y - y * y)
  }
}
";
    program("rooted(outputs = 2)", "classification(values, table.label)", train) + adapter
}

/// A classifier on a small encoder that is fine-tuned as `rewrite` says, `lora(rank = 2, targets = [query])` for example, or by the options `options`.
pub fn tuned_classifier(options: &str, rewrite: &str, train: &str) -> String {
    let encoder =
        if rewrite.is_empty() { format!("aido_dna_debug({options})") } else { format!("aido_dna_debug({options}) with {rewrite}") };
    let text = program("linear_mean_pool(outputs = 2)", "classification(values, table.label)", train);
    let text = text.replace("table.sequence |> dna_onehot |>", "table.sequence |> encoder |>");
    let text = text.replace("  values = ", &format!("  encoder = {encoder}\n  values = "));
    format!("use std::backbones::aido_dna_debug\nuse std::rewrites::{{dora, ia3, lora}}\n{text}")
}

/// A masked language model of [`write_table`]'s sequences, which masks tokens anew whenever it trains on a row.
pub fn masked_language_model(train: &str) -> String {
    let text = program("linear(outputs = 16)", "masked_lm(values, table.sequence)", train);
    let flow = "table.sequence |> mask_tokens() |> aido_dna_debug(hidden = 16, ffn = 16, layers = 1) |>";
    let text = text.replace("table.sequence |> dna_onehot |>", flow);
    format!("use std::adapters::linear\nuse std::backbones::aido_dna_debug\nuse std::tasks::masked_lm\n{text}")
}

/// A small network on [`write_table`]'s rows with a task of the caller's; `adapter` has two outputs where the label is a class, else one.
pub fn with_task(outputs: u64, task: &str, train: &str) -> String {
    let name = task.split('(').next().unwrap_or(task);
    let text = program(&format!("linear_mean_pool(outputs = {outputs})"), task, train);
    if text.contains(&format!("use std::tasks::{name}\n")) { text } else { format!("use std::tasks::{name}\n{text}") }
}

/// A regression without dropout, by plain gradient descent.
pub fn descent(lr: &str, train: &str) -> String {
    let train = format!("optimizer = descent(lr = {lr})\n    {train}");
    program("linear_mean_pool(outputs = 1)", "regression(values, table.number)", &train)
}

fn program(adapter: &str, task: &str, train: &str) -> String {
    let train = if train.contains("optimizer") { train.to_owned() } else { format!("optimizer = adamw(lr = 1e-2)\n    {train}") };
    format!(
        r#"
use std::adapters::conv_pool
use std::adapters::linear_mean_pool
use std::backbones::dna_onehot
use std::optimizers::adamw
use std::schedules::cosine
use std::tasks::classification
use std::tasks::regression

optimizer descent(lr: float) {{
  fn update(param: f[n], gradient: f[n], learning_rate: f[]) -> (param: f[n]) {{
    (param = param - learning_rate * gradient)
  }}
}}

data table = table("table.tsv") {{
  id:       text
  sequence: dna
  label:    class("less", "more")
  number:   real
  split = random(train = 0.6, valid = 0.2, test = 0.2)
}}

experiment small {{
  seed   = 3
  values = table.sequence |> dna_onehot |> {adapter}
  task   = {task}
  train {{
    {train}
  }}
}}
"#
    )
}
