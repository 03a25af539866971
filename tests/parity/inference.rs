//! The reference's `Inference` (logits of the masked-language-model head) and `Embed` (last hidden states) predict steps.

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::world::TestWorld;

use crate::encoder::{Encoder, Recorded, Tap};
use crate::masked_lm::{ESM, FM4BIO, Family, RNABERT};
use crate::sessions::Run;
use crate::tokens::{check_masks, encode, without_padding};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    for (index, run) in case.list("/runs")?.iter().enumerate() {
        let text = |key: &str| run["backbone"][key].as_str().unwrap_or_default();
        let family: &Family = match text("family") {
            "rnabert" => &RNABERT,
            "esm2" => &ESM,
            "fm4bio" => &FM4BIO,
            other => return Err(format!("no family is called `{other}`")),
        };
        let world = TestWorld { root: case.folder.join(text("path")), ..TestWorld::default() };
        let encoder = Encoder::new(world, family.kind, family.backbone, "out.logits")?;
        let rows = encode(&encoder.tokenizer, &strings(&run["sequences"])?, run["max_length"].as_u64(), true)?;
        for step in ["Embed", "Inference"] {
            check_masks(&mut account, &expected, &format!("r{index}.{step}"), &rows)?;
        }
        let logits = encoder.network.elaborated.graph.outputs.first().ok_or("no output")?.node;
        let tap = |recorded: &str, node| Tap { recorded: recorded.to_owned(), node, by_token: true };
        let taps = [tap("Embed.last_hidden_state", encoder.network.tap(family.last)?), tap("Inference.predictions", logits)];
        let recorded = [Recorded { prefix: format!("r{index}"), rows }];
        encoder.check(&mut account, case, &expected, &recorded, &taps)?;
        // The reference's own conversion to probabilities, which was recorded with the logits: by the task that writes them.
        let [Recorded { prefix, rows }] = &recorded;
        let program = family.experiment(strings(&run["sequences"])?, "token_probabilities", "token_probabilities(out.logits)");
        let found = Run::new(&case.folder.join(text("path")), &program)?.output("probability")?;
        let probabilities = without_padding(expected.get(&format!("{prefix}.Inference.probabilities"))?, rows)?;
        account.close(&format!("{prefix}.Inference.probabilities"), &found, &probabilities, case.tolerance);
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// Exponentials that sum to one.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|value| (value - greatest).exp()).sum();
    logits.iter().map(|value| (value - greatest).exp() / sum).collect()
}
