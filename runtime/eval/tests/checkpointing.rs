//! `gradient_checkpointing`: training keeps of each layer what comes in and computes the rest again. Losses, gradients and states have the same
//! bits as without it, in less memory.

use std::collections::BTreeMap;

use mgx_compiler::check::{World, elaborate};
use mgx_compiler::plan::build;
use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{Batch, FileFormat, InputData, InputSource, Plan, Sample};

/// A program, and a table of sequences with labels.
struct Files(String);

impl World for Files {
    fn source(&self, path: &str) -> Result<String, String> {
        if path == "test.mgx" { Ok(self.0.clone()) } else { Err("no such file".to_owned()) }
    }

    fn table_header(&self, _: &str, _: FileFormat) -> Result<Vec<String>, Diagnostic> {
        Ok(vec!["sequence".to_owned(), "label".to_owned()])
    }

    fn folder_text(&self, _: &str, _: &str) -> Result<Option<String>, Diagnostic> {
        Ok(None)
    }
}

/// What an experiment is made of.
struct Subject<'a> {
    column: &'a str,
    encoder: String,
    adapter: &'a str,
    /// Declarations of its own.
    more: &'a str,
}

/// Tokens of each sample.
const LENGTHS: [u64; 4] = [7, 19, 12, 30];
const POOL: &str = "linear_mean_pool(outputs = 2)";

impl Subject<'_> {
    fn plan(&self, checkpointing: bool) -> Plan {
        let Self { column, encoder, adapter, more } = self;
        let text = format!(
            r#"
use std::adapters::linear_mean_pool
use std::backbones::{{aido_dna_debug, aido_protein_debug, dna_onehot}}
use std::optimizers::adamw
use std::tasks::classification
{more}

data table = table("table.tsv") {{
  sequence: {column}
  label:    class("less", "more")
}}

experiment small {{
  values = table.sequence |> {encoder} |> {adapter}
  task   = classification(values, table.label)
  train {{
    max_steps = 1
    optimizer = adamw(lr = 1e-2)
    gradient_checkpointing = {checkpointing}
  }}
}}
"#
        );
        let world = Files(text);
        let elaborated = |training| {
            elaborate(&world, "test.mgx", &[], "small", training)
                .unwrap_or_else(|(sources, found)| panic!("{}", mgx_diag::render(&found, &sources, false)))
        };
        let capacity = vec![LENGTHS.iter().map(|length| vec![*length]).collect()];
        build(&elaborated(false), Some(&elaborated(true)), &capacity).expect("everything has a gradient")
    }
}

/// Numbers that look random, in −0.5 to 0.5.
fn noise(seed: u64) -> impl Iterator<Item = f32> {
    (0..).map(move |number| mgx_ir::random::uniform(mgx_ir::random::derive_name(seed, "noise"), number) - 0.5)
}

fn batch(plan: &Plan) -> Batch {
    let samples: Vec<Sample> = LENGTHS.iter().enumerate().map(|(key, length)| Sample { key: key as u64, lengths: vec![*length] }).collect();
    let tokens: u64 = LENGTHS.iter().sum();
    let mut inputs = BTreeMap::from([("loss_scale".to_owned(), InputData::F32(vec![0.25]))]);
    for input in &plan.inputs {
        let values = match input.source {
            InputSource::Tokens { .. } => noise(1).take(tokens as usize).map(|value| 5 + ((value + 0.5) * 4.0) as i32).collect(),
            _ => vec![0, 1, 1, 0],
        };
        inputs.insert(input.name.clone(), InputData::I32(values));
    }
    Batch { samples, inputs: inputs.into_iter().collect(), random: 17 }
}

/// The loss, the gradients and the parameters with the states after a batch, as bits.
fn trained(plan: &Plan) -> (u32, Vec<u8>, Vec<u8>) {
    let mut params = AlignedBytes::new(plan.memory.params as usize);
    for (word, value) in params.chunks_exact_mut(4).zip(noise(2)) {
        word.copy_from_slice(&(value * 0.5).to_le_bytes());
    }
    let program = plan.gradient.as_ref().expect("it trains");
    let mut memory = Memory {
        params,
        gradients: AlignedBytes::new(plan.memory.gradients as usize),
        state: Vec::new(),
        arena: AlignedBytes::new(program.arena_bytes as usize),
    };
    memory.arena.fill(0xFF);
    let executable = Executable::new(program).expect("compiles");
    let batch = batch(plan);
    executable.run(&mut memory, &batch).expect("runs");
    let InputData::F32(loss) = executable.output(&memory, &batch, "loss").expect("a loss") else { panic!("the loss is no number") };
    assert!(loss[0].is_finite() && memory.gradients.as_f32().iter().all(|value| value.is_finite()), "loss {}", loss[0]);
    assert!(memory.gradients.as_f32().iter().any(|value| *value != 0.0));
    (loss[0].to_bits(), memory.gradients.to_vec(), memory.params.to_vec())
}

/// The same bits in less memory, for more work.
fn same_bits(subject: &Subject<'_>) {
    let (kept, again) = (subject.plan(false), subject.plan(true));
    let (left, right) = (trained(&kept), trained(&again));
    assert_eq!(left.0, right.0, "{}: another loss", subject.encoder);
    let differing = left.1.chunks(4).zip(right.1.chunks(4)).filter(|(left, right)| left != right).count();
    assert_eq!(differing, 0, "{}: gradients differ", subject.encoder);
    assert!(left.2 == right.2, "{}: states differ", subject.encoder);
    let arena = |plan: &Plan| plan.gradient.as_ref().map_or(0, |program| program.arena_bytes);
    assert!(arena(&again) < arena(&kept), "{} of {} bytes", arena(&again), arena(&kept));
    assert!(again.flops_step > kept.flops_step && again.flops_step < kept.flops_step + kept.flops_forward);
    assert_eq!(again.flops_forward, kept.flops_forward);
}

fn dna(layers: u64) -> Subject<'static> {
    let encoder = format!("aido_dna_debug(layers = {layers}, hidden_dropout = 0.2, attention_dropout = 0.1)");
    Subject { column: "dna", encoder, adapter: POOL, more: "" }
}

#[test]
fn dropout_is_the_same() {
    same_bits(&dna(6));
}

#[test]
fn tokens_choose_the_same_experts() {
    let encoder = "aido_protein_debug(layers = 4, experts = 4, chosen = 2, hidden_dropout = 0.1)".to_owned();
    same_bits(&Subject { column: "protein", encoder, adapter: POOL, more: "" });
}

/// Statistics of a batch are computed twice and remembered once.
#[test]
fn states_move_once() {
    let more = r"
use std::layers::basic::Linear
use std::layers::norm::BatchNorm

module Normed(features: dim) {
  linear = Linear(features, features)
  norm   = BatchNorm(features)

  fn forward(x: f[pos, features]) -> f[pos, features] { x + norm(relu(linear(x))) }
}

adapter tower(features: dim, outputs: dim) {
  layer = repeat(4) Normed(features)
  out   = Linear(features, outputs)

  fn forward(x: f[pos, features]) -> f[outputs] { out(mean(layer(x), over = pos)) }
}
";
    same_bits(&Subject { column: "dna", encoder: "dna_onehot".to_owned(), adapter: "tower(outputs = 2)", more });
}

/// One layer more needs room for its input alone.
#[test]
fn a_layer_takes_the_memory_of_its_input() {
    let arena = |layers: u64, checkpointing: bool| dna(layers).plan(checkpointing).gradient.map_or(0, |program| program.arena_bytes);
    let growth = |checkpointing: bool| (arena(14, checkpointing) - arena(6, checkpointing)) / 8;
    let input = LENGTHS.iter().sum::<u64>() * 64 * 4;
    let (kept, again) = (growth(false), growth(true));
    assert!(again <= input + input / 10, "{again} bytes for each layer, whose input has {input}");
    assert!(kept > 8 * again, "{kept} bytes without, {again} with");
}

/// Values of a layer that no gradient goes through are not kept in any case.
#[test]
fn frozen_layers_are_not_computed_again() {
    let subject = Subject { encoder: "aido_dna_debug(layers = 6, frozen = true)".to_owned(), ..dna(6) };
    assert_eq!(subject.plan(false).gradient, subject.plan(true).gradient);
}
