//! SCimilarity: expression, the cell's vector, and what the decoder makes of it.

use mgx_compiler::check::{TraceAxis, TraceInput};
use mgx_ir::graph::DType;
use mgx_ir::plan::{Batch, InputData, Sample};
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors};
use mgx_tests::machine::{Machine, Request};
use mgx_tests::network::Network;
use mgx_tests::world::TestWorld;
use serde_json::Value as Json;

use super::{Cells, CountTable, names};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    let genes = case.spec["n_genes"].as_u64().ok_or("no number of genes")?;
    let list = names(genes as usize);
    let table = CountTable::new(list.clone(), &case.spec["counts"])?;
    let backbone = format!(
        "scimilarity(weights = folder(\".\"), genes = {genes}, hidden = {}, latent = {})",
        case.spec["hidden_dim"], case.spec["latent_dim"]
    );
    let cells = Cells::new(case, &table, "counts", &backbone, "out", Some(&list))?;
    let value = cells.network.output("embedding")?;
    for (whose, results) in cells.run(&mut account, &[("latent".to_owned(), value)])? {
        let wanted = &expected.get("last_hidden_state")?.data;
        account.close(&format!("{whose}last_hidden_state"), &results.output("latent")?.concat(), wanted, case.tolerance);
    }
    decoder(&mut account, case, &expected)?;
    // What goes into the first layer, also as a list is rounded.
    expected.pass_over("input_ids");
    expected.pass_over("list_input_ids_bf16");
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The decoder of recorded vectors.
fn decoder(account: &mut Account, case: &Case, expected: &Tensors) -> Outcome<()> {
    let hidden: Vec<Json> = case.spec["hidden_dim"].as_array().ok_or("no sizes")?.iter().rev().cloned().collect();
    let latent = case.spec["latent_dim"].as_u64().ok_or("no latent size")?;
    let part = format!("ScDecoder(genes = {}, hidden = {}, latent = {latent})", case.spec["n_genes"], Json::from(hidden));
    let program = "use std::backbones::scimilarity::ScDecoder\n".to_owned();
    let input = TraceInput { name: "x".to_owned(), dtype: DType::F32, axes: vec![TraceAxis::Static("latent".to_owned(), latent)] };
    let mut network = Network::part(&TestWorld { program, ..TestWorld::default() }, &part, &[input], false)?;
    let stored = case.tensors("model.safetensors")?;
    network.fill(|_, param| {
        let key = format!("decoder.{}", param.key);
        Ok(stored.find(&key).map(|tensor| tensor.f32()))
    })?;
    let vectors = expected.get("last_hidden_state")?;
    let samples = (0..vectors.shape[0]).map(|row| Sample { key: row as u64, lengths: Vec::new() }).collect();
    let batch = Batch { samples, inputs: [("x".to_owned(), InputData::F32(vectors.f32()))].into(), random: 0 };
    let outputs = vec![("decoded".to_owned(), network.output("output")?)];
    let machine = Machine::compile(&network, network.elaborated.graph.clone(), &Request { outputs, ..Request::default() }, &[&batch])?;
    for (whose, results) in [("", machine.run(&network, &batch)?), ("the evaluator's ", machine.evaluate(&network, &batch))] {
        let wanted = &expected.get("decoded")?.data;
        account.close(&format!("{whose}decoded"), &results.output("decoded")?.concat(), wanted, case.tolerance);
    }
    Ok(())
}
