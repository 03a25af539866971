//! Encoders with a masked-language-model head: tokens, hidden states, logits, and gradients of two losses.

use mgx_tests::Outcome;
use mgx_tests::compare::{Account, norm};
use mgx_tests::golden::{Case, Tensors, strings};
use mgx_tests::machine::{Machine, Request, SCALE, losses};
use mgx_tests::world::TestWorld;
use serde_json::Value as Json;

use crate::encoder::{Encoder, Recorded, Tap, check_states, recorded_layers};
use crate::old_names;
use crate::sessions::{Column, Program};
use crate::tokens::{check_masks, check_tokens, encode};

/// How a family's network is called, and where its values are.
pub struct Family {
    /// The kind of the column.
    pub kind: &'static str,
    /// The call of the backbone.
    pub backbone: &'static str,
    /// Paths of the embedding's output and of the last norm.
    embedding: &'static str,
    pub last: &'static str,
    /// Key of the last norm's weight.
    last_key: &'static str,
    /// What stands for padding, and for what is unknown.
    pub padding: &'static str,
    unknown: &'static str,
    /// Does the recorded text have no space before punctuation? The library's generic tokenizers write it so; mgx writes one space between tokens.
    cleans: bool,
}

impl Family {
    /// An experiment with a task of the library on the logits for some texts, as a user writes it.
    pub fn experiment(&self, texts: Vec<String>, task: &str, call: &str) -> Program {
        let name = self.backbone.split('(').next().unwrap_or(self.backbone);
        let column = Column { name: "sequence".into(), kind: self.kind.into(), values: texts };
        Program {
            uses: vec![format!("std::backbones::{name}"), format!("std::tasks::{task}")],
            columns: vec![column],
            fields: format!("  encoder = {}\n  out = rows.sequence |> encoder\n  task = {call}\n", self.backbone),
        }
    }
}

/// AIDO.RNA and AIDO.DNA.
pub fn rnabert(case: &Case) -> Outcome<String> {
    run(case, &RNABERT)
}

/// AIDO.Protein.
pub fn fm4bio(case: &Case) -> Outcome<String> {
    run(case, &FM4BIO)
}

/// ESM-2.
pub fn esm(case: &Case) -> Outcome<String> {
    run(case, &ESM)
}

pub const RNABERT: Family = Family {
    kind: "rna",
    backbone: "aido_rna_masked_lm(weights = folder(\".\"))",
    embedding: "encoder.encoder.embeddings",
    last: "encoder.encoder.norm_out",
    last_key: "encoder.ln.weight",
    padding: "[PAD]",
    unknown: "[UNK]",
    cleans: false,
};

pub const FM4BIO: Family =
    Family { kind: "protein", backbone: "aido_protein_masked_lm(weights = folder(\".\"))", unknown: "-", cleans: true, ..RNABERT };

pub const ESM: Family = Family {
    kind: "protein",
    backbone: "esm2_masked_lm(weights = folder(\".\"))",
    last_key: "encoder.emb_layer_norm_after.weight",
    padding: "<pad>",
    unknown: "<unk>",
    cleans: true,
    ..RNABERT
};

/// AIDO.RNA of the multimolecule library.
pub const MULTIMOLECULE: Family = Family {
    backbone: "multimolecule_aido_rna_masked_lm(weights = folder(\".\"))",
    embedding: "encoder.encoder.word",
    last_key: "encoder.layer_norm.weight",
    padding: "<pad>",
    unknown: "<unk>",
    ..RNABERT
};

/// A case of a family.
fn run(case: &Case, family: &Family) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let other = case.json("expected.json")?;
    let world = TestWorld { root: case.folder.clone(), ..TestWorld::default() };
    let encoder = Encoder::new(world, family.kind, family.backbone, "out.logits")?;
    let mut account = Account::default();
    check_vocabulary(&mut account, &encoder, family, &other)?;
    let batches = encoded(&mut account, case, &encoder, family, &expected, &other)?;
    encoder.check(&mut account, case, &expected, &batches, &taps(&encoder, family, recorded_layers(&expected)?)?)?;
    gradients(&mut account, case, &encoder, family, &expected)?;
    check_states(&mut account, case, &expected, &batches, (family.kind, family.backbone))?;
    old_names::check(&mut account, case, family.kind, family.backbone, "out.logits", &encoder)?;
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// Numbers of tokens by name (that of the unknown token for what is no entry), and sizes.
fn check_vocabulary(account: &mut Account, encoder: &Encoder, family: &Family, other: &Json) -> Outcome<()> {
    let ids = other["special_ids"].as_object().ok_or("no special ids were recorded")?;
    let size = encoder.tokenizer.vocabulary_size() as i32;
    let find = |token: &str| (0..size).find(|id| encoder.tokenizer.tokens(&[*id]) == [token]);
    for (token, id) in ids {
        let found = find(token).or_else(|| find(family.unknown)).map(i64::from);
        account.equal(&format!("the number of `{token}`"), &found, &id.as_i64());
    }
    // A table may have more rows than there are tokens; then both numbers were recorded.
    let tokens = other.get("tokenizer_vocab_size").unwrap_or(&other["vocab_size"]).as_u64();
    account.equal("the size of the vocabulary", &Some(encoder.tokenizer.vocabulary_size() as u64), &tokens);
    let embedding = encoder.network.params.iter().find(|param| param.key == "embeddings.word_embeddings.weight");
    if tokens != other["vocab_size"].as_u64() {
        account.equal("the rows of the embedding", &embedding.map(|param| param.shape[0]), &other["vocab_size"].as_u64());
    }
    if let Some(size) = other["embedding_size"].as_u64() {
        account.equal("the size of a hidden state", &embedding.map(|param| param.shape[1]), &Some(size));
    }
    Ok(())
}

/// All batches of the case, with tokens and masks compared.
fn encoded(
    account: &mut Account,
    case: &Case,
    encoder: &Encoder,
    family: &Family,
    expected: &Tensors,
    other: &Json,
) -> Outcome<Vec<Recorded>> {
    let mut batches = Vec::new();
    for (index, batch) in case.list("/batches")?.iter().enumerate() {
        let prefix = format!("b{index}");
        let recorded = &other["batches"][index];
        let special = batch["add_special_tokens"].as_bool().unwrap_or(true);
        let rows = encode(&encoder.tokenizer, &strings(&batch["sequences"])?, batch["max_length"].as_u64(), special);
        if !recorded["error"].is_null() {
            account.check(&format!("{prefix}: the reference refuses these sequences, mgx does not"), rows.is_err());
            expected.pass_over(&format!("{prefix}."));
            continue;
        }
        let rows = rows?;
        check_masks(account, expected, &prefix, &rows)?;
        let recorded = (&recorded["tokens"], recorded.get("decoded").map(|texts| (texts, family.cleans)));
        check_tokens(account, &encoder.tokenizer, family.padding, &prefix, &rows, recorded)?;
        batches.push(Recorded { prefix, rows });
    }
    Ok(batches)
}

/// `hidden_states.0` is the embedding, the last one comes after the last norm; the last layer's own output was not recorded.
pub fn taps(encoder: &Encoder, family: &Family, layers: usize) -> Outcome<Vec<Tap>> {
    let tap = |recorded: String, node| Tap { recorded, node, by_token: true };
    let network = &encoder.network;
    let mut taps = vec![tap("hidden_states.0".to_owned(), network.tap(family.embedding)?)];
    for layer in 1..layers {
        taps.push(tap(format!("hidden_states.{layer}"), network.tap(&format!("encoder.encoder.layer[{}]", layer - 1))?));
    }
    let last = network.tap(family.last)?;
    taps.push(tap(format!("hidden_states.{layers}"), last));
    taps.push(tap("last_hidden_state".to_owned(), last));
    taps.push(tap("logits".to_owned(), network.elaborated.graph.outputs.first().ok_or("no output")?.node));
    Ok(taps)
}

/// `grad.*` of the mean square of the last hidden states, `grad_ce.*` of the mean cross entropy of the logits against the tokens: both over
/// the samples of the first batch.
pub fn gradients(account: &mut Account, case: &Case, encoder: &Encoder, family: &Family, expected: &Tensors) -> Outcome<()> {
    let first = &case.list("/batches")?[0];
    let rows = encode(&encoder.tokenizer, &strings(first.get("sequences").unwrap_or(first))?, None, true)?;
    let positions: usize = rows.iter().map(|row| row.ids.len()).sum();
    let network = &encoder.network;
    let hidden = network.tap(family.last)?;
    let logits = network.elaborated.graph.outputs.first().ok_or("no output")?.node;
    let width = network.params.iter().find(|param| param.key == family.last_key).map_or(0, |param| param.elements() as usize);
    let graph = || network.elaborated.graph.clone();
    let with_squares = losses::squares(graph(), hidden);
    let with_entropy = losses::cross_entropy(graph(), logits, encoder.input.1);
    let largest = largest_gradient(expected)?;
    for (prefix, (graph, loss), count) in [("grad", with_squares, positions * width), ("grad_ce", with_entropy, positions)] {
        // Logits over other tokens than those that go in have no cross entropy against them.
        if prefix == "grad_ce" && expected.below("grad_ce.").is_empty() {
            continue;
        }
        let mut batch = encoder.batch(&rows);
        batch.inputs.insert(SCALE.to_owned(), mgx_ir::plan::InputData::F32(vec![(1.0 / count as f64) as f32]));
        let machine = Machine::compile(network, graph, &Request { loss: Some(loss), ..Request::default() }, &[&batch])?;
        for (whose, results) in [("", machine.run(network, &batch)?), ("the evaluator's ", machine.evaluate(network, &batch))] {
            let recorded = &expected.get(&format!("{prefix}.loss"))?.data;
            account.close(&format!("{whose}{prefix}.loss"), &[results.loss()?], recorded, case.tolerance);
            for key in expected.below(&format!("{prefix}.")).into_iter().filter(|key| *key != "loss") {
                let index =
                    network.params.iter().position(|param| param.key == key).ok_or_else(|| format!("no parameter has the key `{key}`"))?;
                let found = results.gradients.get(&index).ok_or_else(|| format!("`{key}` has no gradient"))?;
                account.gradient(&format!("{whose}{prefix}.{key}"), found, &expected.get(&format!("{prefix}.{key}"))?.data, largest);
            }
        }
    }
    Ok(())
}

/// The largest norm of a recorded gradient.
fn largest_gradient(expected: &Tensors) -> Outcome<f64> {
    let mut largest = 0.0_f64;
    for key in expected.keys().filter(|key| key.starts_with("grad") && !key.ends_with(".loss")) {
        largest = largest.max(norm(expected.get(key)?.data.iter().copied()));
    }
    Ok(largest)
}
