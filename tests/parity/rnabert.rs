//! AIDO.RNA and AIDO.DNA: tokens, hidden states, logits, and gradients of two losses.

use mgx_tests::Outcome;
use mgx_tests::compare::{Account, norm};
use mgx_tests::golden::{Case, Tensors, strings};
use mgx_tests::machine::{Machine, Request, SCALE, losses};
use mgx_tests::world::TestWorld;
use serde_json::Value as Json;

use crate::encoder::{Encoder, Recorded, Tap, recorded_layers};
use crate::tokens::{check_masks, check_tokens, encode};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let other = case.json("expected.json")?;
    let world = TestWorld { root: case.folder.clone(), ..TestWorld::default() };
    let encoder = Encoder::new(world, "rna", "aido_rna_masked_lm(weights = folder(\".\"))", "out.logits")?;
    let mut account = Account::default();
    check_vocabulary(&mut account, &encoder, &other)?;
    let batches = encoded(&mut account, case, &encoder, &expected, &other)?;
    encoder.check(&mut account, case, &expected, &batches, &taps(&encoder, recorded_layers(&expected)?)?)?;
    gradients(&mut account, case, &encoder, &expected)?;
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// Numbers of tokens by name, and sizes.
fn check_vocabulary(account: &mut Account, encoder: &Encoder, other: &Json) -> Outcome<()> {
    let ids = other["special_ids"].as_object().ok_or("no special ids were recorded")?;
    for (token, id) in ids {
        let found = encode(&encoder.tokenizer, std::slice::from_ref(token), None, false)?[0].ids.clone();
        account.equal(&format!("the number of `{token}`"), &found, &vec![id.as_i64().unwrap_or(-1) as i32]);
    }
    account.equal("the size of the vocabulary", &Some(encoder.tokenizer.vocabulary_size() as u64), &other["vocab_size"].as_u64());
    let embedding = encoder.network.params.iter().find(|param| param.key == "embeddings.word_embeddings.weight");
    account.equal("the size of a hidden state", &embedding.map(|param| param.shape[1]), &other["embedding_size"].as_u64());
    Ok(())
}

/// All batches of the case, with tokens and masks compared.
fn encoded(account: &mut Account, case: &Case, encoder: &Encoder, expected: &Tensors, other: &Json) -> Outcome<Vec<Recorded>> {
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
        check_tokens(account, &encoder.tokenizer, &prefix, &rows, &recorded["tokens"], recorded.get("decoded"))?;
        batches.push(Recorded { prefix, rows });
    }
    Ok(batches)
}

/// `hidden_states.0` is the embedding, the last one comes after the last norm; the last layer's own output was not recorded.
fn taps(encoder: &Encoder, layers: usize) -> Outcome<Vec<Tap>> {
    let tap = |recorded: String, node| Tap { recorded, node, by_token: true };
    let network = &encoder.network;
    let mut taps = vec![tap("hidden_states.0".to_owned(), network.tap("encoder.encoder.embeddings")?)];
    for layer in 1..layers {
        taps.push(tap(format!("hidden_states.{layer}"), network.tap(&format!("encoder.encoder.layer[{}]", layer - 1))?));
    }
    let last = network.tap("encoder.encoder.norm_out")?;
    taps.push(tap(format!("hidden_states.{layers}"), last));
    taps.push(tap("last_hidden_state".to_owned(), last));
    taps.push(tap("logits".to_owned(), network.elaborated.graph.outputs.first().ok_or("no output")?.node));
    Ok(taps)
}

/// `grad.*` of the mean square of the last hidden states, `grad_ce.*` of the mean cross entropy of the logits against the tokens: both over
/// the samples of the first batch.
fn gradients(account: &mut Account, case: &Case, encoder: &Encoder, expected: &Tensors) -> Outcome<()> {
    let sequences = strings(&case.list("/batches")?[0]["sequences"])?;
    let rows = encode(&encoder.tokenizer, &sequences, None, true)?;
    let positions: usize = rows.iter().map(|row| row.ids.len()).sum();
    let network = &encoder.network;
    let hidden = network.tap("encoder.encoder.norm_out")?;
    let logits = network.elaborated.graph.outputs.first().ok_or("no output")?.node;
    let width = network.params.iter().find(|param| param.key == "encoder.ln.weight").map_or(0, |param| param.elements() as usize);
    let graph = || network.elaborated.graph.clone();
    let with_squares = losses::squares(graph(), hidden);
    let with_entropy = losses::cross_entropy(graph(), logits, encoder.input.1);
    let largest = largest_gradient(expected)?;
    for (prefix, (graph, loss), count) in [("grad", with_squares, positions * width), ("grad_ce", with_entropy, positions)] {
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
