//! Backbones of `.mgx` files outside the standard library, against tensors that somebody recorded with another implementation. Nothing here
//! knows any network: the case says all there is to know, so that a new backbone needs no Rust. docs/new-backbone.md shows such a case.

use std::collections::BTreeMap;

use mgx_ir::plan::ParamSpec;
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::machine::{Machine, Request};
use mgx_tests::world::TestWorld;

use crate::encoder::Encoder;
use crate::tokens::encode;

/// A case of the family. `program` is a file relative to the case's folder, `backbone` a call of a backbone in it, `column` the kind of column
/// that flows in, `texts` what the column holds. `expected.safetensors` has for every text `i` the token ids, `input_ids.i`, and for every
/// entry `name: path` of `taps` the value `name.i` of that part of the network.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let encoder = encoder(case)?;
    let network = &encoder.network;
    let rows = encode(&encoder.tokenizer, &strings(&case.spec["texts"])?, None, true)?;
    let batch = encoder.batch(&rows);
    let taps = case.spec["taps"].as_object().ok_or("case.json has no `taps`")?;
    let tap = |(name, path): (&String, &serde_json::Value)| Ok((name.clone(), network.tap(path.as_str().unwrap_or_default())?));
    let outputs = taps.iter().map(tap).collect::<Outcome<Vec<_>>>()?;
    let machine = Machine::compile(network, network.elaborated.graph.clone(), &Request { outputs, ..Request::default() }, &[&batch])?;
    let mut account = Account::default();
    let packed = machine.run(network, &batch)?;
    for (whose, results) in [("", &packed), ("the evaluator's ", &machine.evaluate(network, &batch))] {
        for (index, row) in rows.iter().enumerate() {
            let ids: Vec<f64> = row.ids.iter().map(|id| f64::from(*id)).collect();
            account.equal(&format!("input_ids.{index}"), &ids, &expected.get(&format!("input_ids.{index}"))?.data);
            for name in taps.keys() {
                let recorded = &expected.get(&format!("{name}.{index}"))?.data;
                account.close(&format!("{whose}{name}.{index}"), &results.output(name)?[index], recorded, case.tolerance);
            }
        }
    }
    for (index, row) in rows.iter().enumerate() {
        let alone = machine.run(network, &encoder.batch(std::slice::from_ref(row)))?;
        for name in taps.keys() {
            let same = alone.output(name)?[0]
                .iter()
                .map(|value| value.to_bits())
                .eq(packed.output(name)?[index].iter().map(|value| value.to_bits()));
            account.check(&format!("{name}.{index} has other bits alone than packed"), same);
        }
    }
    if let Some(wanted) = case.spec["parameters"].as_u64() {
        account.equal("the number of parameters", &network.params.iter().map(ParamSpec::elements).sum::<u64>(), &wanted);
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

fn encoder(case: &Case) -> Outcome<Encoder> {
    let path = case.folder.join(case.text("/program"));
    let name = path.file_stem().and_then(|name| name.to_str()).ok_or("`program` names no file")?;
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let sources = BTreeMap::from([(format!("{name}.mgx"), text)]);
    let world = TestWorld { root: case.folder.clone(), sources, ..TestWorld::default() };
    Encoder::from_file(world, name, case.text("/column"), case.text("/backbone"), "out")
}
