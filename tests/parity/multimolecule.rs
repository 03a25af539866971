//! AIDO.RNA of the multimolecule library: tokens, layers, logits, losses, gradients, and what its fill-mask pipeline gives.

use std::collections::BTreeSet;

use mgx_data::Encoding;
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors, strings};
use mgx_tests::machine::{Machine, Request};
use mgx_tests::world::TestWorld;
use serde_json::Value as Json;

use crate::encoder::{Encoder, Recorded, recorded_layers};
use crate::inference::softmax;
use crate::masked_lm::{MULTIMOLECULE as FAMILY, gradients, taps};
use crate::sessions::Run;
use crate::tokens::{check_masks, check_tokens, encode};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let other = case.json("expected.json")?;
    let world = TestWorld { root: case.folder.clone(), ..TestWorld::default() };
    let encoder = Encoder::new(world.clone(), FAMILY.kind, FAMILY.backbone, "out.logits")?;
    let mut account = Account::default();
    check_names(&mut account, &encoder, &other)?;
    let mut batches = Vec::new();
    for (index, texts) in case.list("/batches")?.iter().enumerate() {
        let prefix = format!("b{index}");
        let rows = encode(&encoder.tokenizer, &strings(texts)?, None, true)?;
        check_masks(&mut account, &expected, &prefix, &rows)?;
        let recorded = &other["batches"][index];
        check_tokens(
            &mut account,
            &encoder.tokenizer,
            FAMILY.padding,
            &prefix,
            &rows,
            (&recorded["tokens"], Some((&recorded["decoded"], false))),
        )?;
        for (row, text) in rows.iter().zip(strings(&recorded["decoded_skip_special"])?) {
            account.equal(&format!("{prefix} without special tokens"), &without_special(&encoder, &row.ids), &text);
        }
        batches.push(Recorded { prefix, rows });
    }
    check_truncation(&mut account, case, &encoder, &expected)?;
    let taps = taps(&encoder, &FAMILY, recorded_layers(&expected)?)?;
    encoder.check(&mut account, case, &expected, &batches, &taps)?;
    gradients(&mut account, case, &encoder, &FAMILY, &expected)?;
    for recorded in &batches {
        let losses = logits(&encoder, &recorded.rows)?.into_iter().zip(&recorded.rows).flat_map(|(rows, row)| losses(&rows, &row.ids));
        let losses: Vec<f64> = losses.collect();
        let name = format!("{}.mlm_loss", recorded.prefix);
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        account.close(&name, &[mean], &expected.get(&name)?.data, case.tolerance);
    }
    let single = other["fill_mask"].as_array().ok_or("no filled masks were recorded")?;
    for entry in single {
        let text = entry["text"].as_str().ok_or("a filled mask has no text")?;
        check_filled(&mut account, case, &encoder, text, &entry["output"])?;
    }
    for (text, filled) in strings(&case.spec["fill_mask"])?.iter().zip(other["fill_mask_list"].as_array().into_iter().flatten()) {
        check_filled(&mut account, case, &encoder, text, filled)?;
    }
    // The same checkpoint without its head.
    let bare = Encoder::new(world, FAMILY.kind, "multimolecule_aido_rna(weights = folder(\".\"))", "out")?;
    account.check("the encoder by itself has fewer parameters", bare.network.params.len() < encoder.network.params.len());
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The vocabulary, and the names of the parameters with one of the prefixes that the base model has had.
fn check_names(account: &mut Account, encoder: &Encoder, other: &Json) -> Outcome<()> {
    let vocabulary = other["vocab"].as_object().ok_or("no vocabulary was recorded")?;
    account.equal("the size of the vocabulary", &encoder.tokenizer.vocabulary_size(), &vocabulary.len());
    for (token, id) in vocabulary {
        let found = id.as_i64().map(|id| encoder.tokenizer.tokens(&[id as i32]).concat());
        account.equal(&format!("the token {id}"), &found.as_deref(), &Some(token.as_str()));
    }
    let bare = |name: &str| ["model.", "aido_rna."].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned();
    let recorded: BTreeSet<String> = strings(&other["parameter_names"])?.iter().map(|name| bare(name)).collect();
    let found: BTreeSet<String> = encoder.network.params.iter().map(|param| param.key.clone()).collect();
    let tied = ["lm_head.decoder.weight", "lm_head.decoder.bias"].map(str::to_owned).into();
    let more: BTreeSet<_> = recorded.difference(&found).filter(|name| !BTreeSet::<String>::contains(&tied, *name)).collect();
    account.equal("parameters that mgx lacks", &more, &BTreeSet::new());
    account.equal("parameters that the library lacks", &found.difference(&recorded).collect(), &BTreeSet::new());
    Ok(())
}

fn check_truncation(account: &mut Account, case: &Case, encoder: &Encoder, expected: &Tensors) -> Outcome<()> {
    let text = case.text("/truncate/text").to_owned();
    let row = &encode(&encoder.tokenizer, &[text], case.spec["truncate"]["max_length"].as_u64(), true)?[0];
    let ids: Vec<f64> = row.ids.iter().map(|id| f64::from(*id)).collect();
    account.equal("the tokens of a text that is cut", &ids, &expected.get("truncated.input_ids")?.data);
    Ok(())
}

/// The logits of each token of each row.
fn logits(encoder: &Encoder, rows: &[Encoding]) -> Outcome<Vec<Vec<Vec<f64>>>> {
    let network = &encoder.network;
    let node = network.elaborated.graph.outputs.first().ok_or("no output")?.node;
    let request = Request { outputs: vec![("logits".to_owned(), node)], ..Request::default() };
    let batch = encoder.batch(rows);
    let machine = Machine::compile(network, network.elaborated.graph.clone(), &request, &[&batch])?;
    let width = encoder.tokenizer.vocabulary_size();
    Ok(machine.run(network, &batch)?.output("logits")?.iter().map(|row| row.chunks(width).map(<[f64]>::to_vec).collect()).collect())
}

/// The cross entropy of each token.
fn losses(logits: &[Vec<f64>], ids: &[i32]) -> Vec<f64> {
    logits.iter().zip(ids).map(|(row, id)| -softmax(row)[*id as usize].ln()).collect()
}

/// The pipeline's answer: for one mask a list of the most probable tokens, for several a list of lists.
fn check_filled(account: &mut Account, case: &Case, encoder: &Encoder, text: &str, recorded: &Json) -> Outcome<()> {
    let row = encode(&encoder.tokenizer, &[text.to_owned()], None, true)?.swap_remove(0);
    let masks: Vec<usize> = (0..row.ids.len()).filter(|at| encoder.tokenizer.tokens(&[row.ids[*at]]) == ["<mask>"]).collect();
    let one = [recorded.clone()];
    let answers = if masks.len() == 1 { &one } else { recorded.as_array().map_or(&[][..], Vec::as_slice) };
    account.equal(&format!("the masks of {text}"), &masks.len(), &answers.len());
    // A column of RNA has no T, which the tokenizer reads as U.
    let texts = vec![text.replace('T', "U").replace('t', "u")];
    let best = answers.iter().map(|answer| answer.as_array().map_or(0, Vec::len)).max().unwrap_or(0);
    let program = FAMILY.experiment(texts, "fill_mask", &format!("fill_mask(out.logits, best = {best}, special = true)"));
    let filled = Run::new(&case.folder, &program)?.predict()?.filled.ok_or("nothing was filled in")?;
    let found = &filled.rows.first().ok_or("no row was filled in")?.masks;
    account.equal(&format!("the places of the masks of {text}"), &found.iter().map(|mask| mask.place as usize).collect(), &masks);
    for (mask, answer) in found.iter().zip(answers) {
        let recorded = answer.as_array().ok_or("a mask was not filled")?;
        account.equal(&format!("tokens for {text}"), &mask.best.len(), &recorded.len());
        for ((token, probability), filled) in mask.best.iter().zip(recorded) {
            let what = format!("the filling of {text} at {}", mask.place);
            let mut ids = row.ids.clone();
            ids[mask.place as usize] = *token;
            let sequence = if masks.len() == 1 { without_special(encoder, &ids) } else { encoder.tokenizer.decode(&ids) };
            account.equal(&what, &Some(i64::from(*token)), &filled["token"].as_i64());
            account.equal(&what, &Some(encoder.tokenizer.decode(&[*token]).as_str()), &filled["token_str"].as_str());
            account.equal(&what, &Some(sequence.as_str()), &filled["sequence"].as_str());
            let score = filled["score"].as_f64().ok_or("a filling has no score")?;
            account.close(&what, &[f64::from(*probability)], &[score], case.tolerance);
        }
    }
    Ok(())
}

/// The tokens that are no special ones, joined by spaces.
fn without_special(encoder: &Encoder, ids: &[i32]) -> String {
    let special = |token: &&str| token.starts_with('<') && token.ends_with('>');
    encoder.tokenizer.tokens(ids).into_iter().filter(|token| !special(token)).collect::<Vec<_>>().join(" ")
}
