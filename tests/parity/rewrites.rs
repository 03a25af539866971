//! Rewrites against the PEFT library: what a small network gives with adapters that PEFT stored, and the gradients of what is trained.

use std::collections::BTreeMap;

use mgx_data::Tokenizer;
use mgx_ir::plan::InputData;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors, strings};
use mgx_tests::machine::{Machine, Request, SCALE, losses};
use mgx_tests::network::Network;
use mgx_tests::world::TestWorld;
use mgx_tests::{Outcome, shown};
use serde_json::Value as Json;

use crate::tokens::{batch, encode};

const OUTPUT: &str = "embedding";

/// A case of the family. `program` is a file of the case's folder, `backbone` a backbone in it, `adapters` says for each folder below `adapters/` which rewrite
/// reads it. `expected.safetensors` has for every adapter and text `i` the result `ADAPTER.out.i`, and `ADAPTER.grad.KEY`: gradients of the sum of the squares of
/// all results.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    for (adapter, rewrite) in case.spec["adapters"].as_object().ok_or("case.json has no `adapters`")? {
        check(&mut account, case, &expected, adapter, rewrite)?;
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

fn check(account: &mut Account, case: &Case, expected: &Tensors, adapter: &str, rewrite: &Json) -> Outcome<()> {
    let network = network(case, adapter, rewrite.as_str().unwrap_or_default())?;
    let spec = network.elaborated.tokenizers.first().ok_or("the backbone has no tokenizer")?;
    let tokenizer = Tokenizer::new(spec).map_err(|diagnostic| shown(&diagnostic))?;
    let rows = encode(&tokenizer, &strings(&case.spec["texts"])?, None, true)?;
    let mut all = batch(&network.input(".ids")?.0, &rows);
    all.inputs.insert(SCALE.to_owned(), InputData::F32(vec![1.0]));
    let output = network.output(OUTPUT)?;
    let (graph, loss) = losses::squares(network.elaborated.graph.clone(), output);
    let request = Request { outputs: vec![(OUTPUT.to_owned(), output)], loss: Some(loss), ..Request::default() };
    let machine = Machine::compile(&network, graph, &request, &[&all])?;
    let recorded = expected.below(&format!("{adapter}.grad."));
    let mut trained: Vec<&str> = network.params.iter().filter(|param| param.trainable).map(|param| param.key.as_str()).collect();
    trained.sort_unstable();
    account.equal(&format!("what {adapter} trains"), &trained, &recorded);
    let of = |key: &str| expected.get(&format!("{adapter}.grad.{key}"));
    let norms = recorded.iter().map(|key| Ok(mgx_tests::compare::norm(of(key)?.data.iter().copied()))).collect::<Outcome<Vec<f64>>>()?;
    let largest = norms.into_iter().fold(0.0, f64::max);
    for (whose, results) in [("", machine.run(&network, &all)?), ("the evaluator's ", machine.evaluate(&network, &all))] {
        for (index, found) in results.output(OUTPUT)?.iter().enumerate() {
            let name = format!("{adapter}.out.{index}");
            account.close(&format!("{whose}{name}"), found, &expected.get(&name)?.data, case.tolerance);
        }
        for (index, param) in network.params.iter().enumerate().filter(|(_, param)| param.trainable) {
            let found = results.gradients.get(&index).ok_or_else(|| format!("`{}` has no gradient", param.key))?;
            account.gradient(&format!("{whose}{adapter}.grad.{}", param.key), found, &of(&param.key)?.data, largest);
        }
    }
    Ok(())
}

/// The backbone with its weights and an adapter's.
fn network(case: &Case, adapter: &str, rewrite: &str) -> Outcome<Network> {
    let path = case.folder.join(case.text("/program"));
    let name = path.file_stem().and_then(|name| name.to_str()).ok_or("`program` names no file")?;
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let backbone = case.text("/backbone");
    let program = format!(
        "use std::rewrites::{rewrite}\nuse std::tasks::embed\nuse {name}::{backbone}\n\n\
         data rows = table(\"rows.tsv\") {{\n  sequence: dna\n}}\n\n\
         experiment test {{\n  encoder = {backbone}(weights = folder(\".\")) with {rewrite}(weights = folder(\"adapters/{adapter}\"))\n  \
         out = rows.sequence |> encoder\n  task = embed(out)\n}}\n"
    );
    let sources = BTreeMap::from([(format!("{name}.mgx"), text)]);
    let world = TestWorld { program, sources, header: vec!["sequence".to_owned()], root: case.folder.clone(), ..TestWorld::default() };
    Network::experiment(&world, false)
}
