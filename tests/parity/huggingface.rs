//! BERT and RoBERTa checkpoints through the generic backbones: masked-language-model, sequence and token heads.

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::world::TestWorld;

use crate::encoder::{Encoder, Recorded, Tap, check_states, recorded_layers};
use crate::old_names;
use crate::tokens::{check_masks, check_tokens, encode};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let other = case.json("expected.json")?;
    // The number of classes is that of the checkpoint's labels.
    let (backbone, by_token) = match case.text("/head") {
        "MASKED_LM" => ("huggingface_masked_lm(weights = folder(\".\"))", true),
        "SEQ_CLS" => ("huggingface_sequence_classifier(weights = folder(\".\"))", false),
        "TOKEN_CLS" => ("huggingface_token_classifier(weights = folder(\".\"))", true),
        head => return Err(format!("no head is called `{head}`")),
    };
    let world = TestWorld { root: case.folder.clone(), ..TestWorld::default() };
    let mut account = Account::default();
    let encoder = Encoder::new(world.clone(), "text", backbone, "out.logits")?;
    let mut batches = Vec::new();
    for (index, max_length) in [None, case.spec["max_length"].as_u64()].into_iter().enumerate() {
        let prefix = format!("b{index}");
        let rows = encode(&encoder.tokenizer, &strings(&case.spec["texts"])?, max_length, true)?;
        check_masks(&mut account, &expected, &prefix, &rows)?;
        check_tokens(&mut account, &encoder.tokenizer, "[PAD]", &prefix, &rows, (&other[format!("{prefix}.tokens")], None))?;
        batches.push(Recorded { prefix, rows });
    }
    let layers = recorded_layers(&expected)?;
    let mut taps = hidden_states(&encoder, "encoder.encoder", layers)?;
    // The wrapper calls the logits the last hidden state.
    let logits = encoder.network.elaborated.graph.outputs.first().ok_or("no output")?.node;
    taps.push(Tap { recorded: "last_hidden_state".to_owned(), node: logits, by_token });
    encoder.check(&mut account, case, &expected, &batches, &taps)?;
    check_states(&mut account, case, &expected, &batches, ("text", backbone))?;
    old_names::check(&mut account, case, "text", backbone, "out.logits", &encoder)?;
    // The same checkpoint without its head.
    let bare = Encoder::new(world, "text", "huggingface(weights = folder(\".\"))", "out")?;
    bare.check(&mut account, case, &expected, &batches, &hidden_states(&bare, "encoder", layers)?)?;
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// `hidden_states.0` is the embedding, the others are the outputs of the layers.
fn hidden_states(encoder: &Encoder, root: &str, layers: usize) -> Outcome<Vec<Tap>> {
    let path = |index: usize| if index == 0 { format!("{root}.norm") } else { format!("{root}.layer[{}]", index - 1) };
    let tap = |index| Ok(Tap { recorded: format!("hidden_states.{index}"), node: encoder.network.tap(&path(index))?, by_token: true });
    (0..=layers).map(tap).collect()
}
