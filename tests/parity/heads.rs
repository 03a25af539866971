//! Checkpoints with heads for sequences, tokens and pairs of residues: AIDO.RNA, ESM-2 and AIDO.Protein.

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors, strings};
use mgx_tests::machine::{Machine, Request};
use mgx_tests::world::TestWorld;
use serde_json::Value as Json;

use crate::encoder::{Encoder, Recorded};
use crate::tokens::{check_masks, encode};

/// A case of the family: several checkpoints, each with sequences of its own.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    for run in case.list("/runs")? {
        checkpoint(&mut account, case, &expected, run).map_err(|error| format!("{}: {error}", run["name"]))?;
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// Tokens and logits of one checkpoint.
fn checkpoint(account: &mut Account, case: &Case, expected: &Tensors, run: &Json) -> Outcome<()> {
    let name = run["name"].as_str().ok_or("a checkpoint without a name")?;
    let (kind, backbone) = backbone(run)?;
    let world = TestWorld { root: case.folder.join(name), ..TestWorld::default() };
    let encoder = Encoder::new(world, kind, &backbone, "out.logits")?;
    let rows = encode(&encoder.tokenizer, &strings(&run["sequences"])?, None, true)?;
    check_masks(account, expected, name, &rows)?;
    // Logits of padded batches are those of each sample alone or, where padding takes part, not the sample's own.
    expected.pass_over(&format!("{name}.task."));
    let padded = expected.find(&format!("{name}.logits")).is_some();
    let prefix = if padded { format!("{name}.per_sample.logits") } else { format!("{name}.logits") };
    let node = encoder.network.elaborated.graph.outputs.first().ok_or("no output")?.node;
    let request = Request { outputs: vec![("logits".to_owned(), node)], ..Request::default() };
    let batch = encoder.batch(&rows);
    let machine = Machine::compile(&encoder.network, encoder.network.elaborated.graph.clone(), &request, &[&batch])?;
    let packed = machine.run(&encoder.network, &batch)?;
    for (whose, results) in [("", &packed), ("the evaluator's ", &machine.evaluate(&encoder.network, &batch))] {
        for (index, found) in results.output("logits")?.iter().enumerate() {
            let key = format!("{prefix}.{index}");
            account.close(&format!("{whose}{key}"), found, &expected.get(&key)?.data, case.tolerance);
        }
    }
    encoder.check_alone(account, &machine, &Recorded { prefix: name.to_owned(), rows }, &packed)
}

/// The column's kind and the call of the backbone that a class of the reference with its options is. The number of classes is that of the checkpoint's labels.
fn backbone(run: &Json) -> Outcome<(&'static str, String)> {
    let options = &run["model_init_args"];
    let class = run["class"].as_str().unwrap_or_default();
    let pairs = options["pairwise"].as_bool().unwrap_or(false);
    let (kind, name) = match class {
        "RNABertForSequenceClassification" => ("rna", "aido_rna_sequence_classifier"),
        "RNABertForTokenClassification" => ("rna", "aido_rna_token_classifier"),
        "EsmForSequenceClassification" => ("protein", "esm2_sequence_classifier"),
        "EsmForTokenClassification" => ("protein", "esm2_token_classifier"),
        "FM4BioForSequenceClassification" => ("protein", "aido_protein_sequence_classifier"),
        "FM4BioForTokenClassification" if pairs => ("protein", "aido_protein_contact"),
        "FM4BioForTokenClassification" => ("protein", "aido_protein_token_classifier"),
        _ => return Err(format!("no network is known for the class `{class}`")),
    };
    let mut arguments = vec!["weights = folder(\".\")".to_owned()];
    for (key, value) in options.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        arguments.push(match key.as_str() {
            "pairwise" => continue,
            "arch" => format!("architecture = {}", text.to_lowercase()),
            "pooling" => format!("pooling = {}", text.trim_end_matches("_pooling")),
            "activation_func" => format!("activation = {text}"),
            "conv_kernel_size" => format!("width = {value}"),
            "inter_hidden_size" => format!("inner = {value}"),
            "dropout_prob" => format!("dropout_rate = {value}"),
            "use_batchnorm" => format!("batch_norm = {value}"),
            _ => return Err(format!("no option is known for `{key}`")),
        });
    }
    Ok((kind, format!("{name}({})", arguments.join(", "))))
}
