//! AntiBERTy (Ruffolo, Gray, Sulam 2021) with its pretrained weights on real antibody sequences.
//!
//! The weights are not part of the repository: `MGX_ANTIBERTY` names the folder `AntiBERTy_md_smooth` of the Python wheel
//! `antiberty==0.1.3` (below `antiberty/trained_models`), whose `vocab.txt` is one folder up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::machine::{Machine, Request};
use mgx_tests::world::TestWorld;

use crate::encoder::Encoder;
use crate::tokens::encode;

/// The variable that names the folder of the weights.
pub const VARIABLE: &str = "MGX_ANTIBERTY";

/// The case.
pub fn run(case: &Case) -> Outcome<String> {
    let folder = std::env::var_os(VARIABLE).map(PathBuf::from).ok_or_else(|| format!("{VARIABLE} is not set"))?;
    let expected = case.tensors("expected.safetensors")?;
    let encoder = Encoder::new(world(folder)?, "text", "bert(weights = folder(\".\"))", "out |> mean_pool(over = residues)")?;
    // The model's own runner puts a space between the letters.
    let letters = |sequence: String| sequence.chars().map(String::from).collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = strings(&case.spec["sequences"])?.into_iter().map(letters).collect();
    let rows = encode(&encoder.tokenizer, &texts, None, true)?;
    let batch = encoder.batch(&rows);
    let network = &encoder.network;
    let layers = |param: &&mgx_ir::plan::ParamSpec| param.key.ends_with(".attention.self.query.weight");
    let last = network.params.iter().filter(layers).count().checked_sub(1).ok_or("the network has no layers")?;
    let outputs = vec![
        ("last_hidden_state".to_owned(), network.tap(&format!("encoder.layer[{last}]"))?),
        ("mean_residue".to_owned(), network.output("embedding")?),
    ];
    let machine = Machine::compile(network, network.elaborated.graph.clone(), &Request { outputs, ..Request::default() }, &[&batch])?;
    let results = machine.run(network, &batch)?;
    let mut account = Account::default();
    for (index, row) in rows.iter().enumerate() {
        let ids = row.ids.iter().map(|id| f64::from(*id)).collect::<Vec<_>>();
        account.equal(&format!("input_ids.{index}"), &ids, &expected.get(&format!("input_ids.{index}"))?.data);
        for name in ["last_hidden_state", "mean_residue"] {
            let recorded = &expected.get(&format!("{name}.{index}"))?.data;
            account.close(&format!("{name}.{index}"), &results.output(name)?[index], recorded, case.tolerance);
        }
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The folder as the Hugging Face library would be given it: the vocabulary of one folder up, and case kept, as the model's runner says.
fn world(folder: PathBuf) -> Outcome<TestWorld> {
    let parent = folder.parent().map(PathBuf::from).unwrap_or_default();
    let places = [folder.join("vocab.txt"), parent.join("vocab.txt")];
    let found =
        places.iter().find(|path| path.is_file()).ok_or_else(|| format!("{VARIABLE}: no vocab.txt in {} or above", folder.display()))?;
    let vocabulary = std::fs::read_to_string(found).map_err(|error| format!("{}: {error}", found.display()))?;
    let config = "{\"do_lower_case\": false}".to_owned();
    let replaced = BTreeMap::from([("vocab.txt".to_owned(), vocabulary), ("tokenizer_config.json".to_owned(), config)]);
    Ok(TestWorld { root: folder, replaced, ..TestWorld::default() })
}
