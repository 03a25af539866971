//! ESM's head of contact prediction: tokens, logits, and how likely each pair of residues touches, as recorded for each sequence alone.

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::machine::{Machine, Request};
use mgx_tests::world::TestWorld;

use crate::encoder::{Encoder, Recorded};
use crate::tokens::encode;

/// The case.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let world = TestWorld { root: case.folder.clone(), ..TestWorld::default() };
    let backbone = "esm2_masked_lm(weights = folder(\".\"), contacts = true)";
    let of = |result: &str| Encoder::new(world.clone(), "protein", backbone, result);
    let mut account = Account::default();
    for name in ["contacts", "logits"] {
        let encoder = of(&format!("out.{name}"))?;
        let rows = encode(&encoder.tokenizer, &strings(&case.spec["sequences"])?, None, true)?;
        let node = encoder.network.elaborated.graph.outputs.first().ok_or("no output")?.node;
        let request = Request { outputs: vec![(name.to_owned(), node)], ..Request::default() };
        let batch = encoder.batch(&rows);
        let machine = Machine::compile(&encoder.network, encoder.network.elaborated.graph.clone(), &request, &[&batch])?;
        let packed = machine.run(&encoder.network, &batch)?;
        for (whose, results) in [("", &packed), ("the evaluator's ", &machine.evaluate(&encoder.network, &batch))] {
            for (index, found) in results.output(name)?.iter().enumerate() {
                let ids: Vec<f64> = rows[index].ids.iter().map(|id| f64::from(*id)).collect();
                account.equal(&format!("input_ids.{index}"), &ids, &expected.get(&format!("input_ids.{index}"))?.data);
                let key = format!("{name}.{index}");
                account.close(&format!("{whose}{key}"), found, &expected.get(&key)?.data, case.tolerance);
            }
        }
        encoder.check_alone(&mut account, &machine, &Recorded { prefix: name.to_owned(), rows }, &packed)?;
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}
