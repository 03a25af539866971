//! One-hot backbones: tokens, unit vectors, and sequences that are refused.

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::world::TestWorld;

use crate::encoder::{Encoder, Recorded, Tap};
use crate::tokens::{check_masks, check_tokens, encode};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let other = case.json("expected.json")?;
    let kind = case.text("/kind");
    let encoder = Encoder::new(TestWorld::default(), kind, &format!("{kind}_onehot()"), "out")?;
    let mut account = Account::default();
    let vocabulary = std::fs::read_to_string(case.folder.join("vocab.txt")).map_err(|error| format!("vocab.txt: {error}"))?;
    let vocabulary: Vec<&str> = vocabulary.lines().collect();
    let spec = &encoder.network.elaborated.tokenizers[0];
    account.equal("the vocabulary", &spec.vocabulary.iter().map(String::as_str).collect(), &vocabulary);
    account.equal("the size of a unit vector", &Some(vocabulary.len() as u64), &other["embedding_size"].as_u64());
    let mut batches = Vec::new();
    for (index, batch) in case.list("/batches")?.iter().enumerate() {
        let prefix = format!("b{index}");
        let recorded = &other["batches"][index];
        let rows = encode(&encoder.tokenizer, &strings(&batch["sequences"])?, batch["max_length"].as_u64(), true);
        if !recorded["process_batch_error"].is_null() || !recorded["forward_error"].is_null() {
            account.check(&format!("{prefix}: the reference refuses these sequences, mgx does not"), rows.is_err());
            expected.pass_over(&format!("{prefix}."));
            continue;
        }
        let rows = rows?;
        check_masks(&mut account, &expected, &prefix, &rows)?;
        check_tokens(&mut account, &encoder.tokenizer, "[PAD]", &prefix, &rows, (&recorded["tokens"], None))?;
        batches.push(Recorded { prefix, rows });
    }
    let node = encoder.network.output("embedding")?;
    let taps = [Tap { recorded: "last_hidden_state".to_owned(), node, by_token: true }];
    encoder.check(&mut account, case, &expected, &batches, &taps)?;
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}
