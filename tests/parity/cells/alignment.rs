//! Alignment of a table's genes to a list: the first of equal genes, zeros for those that are missing, the order of the list.

use mgx_ir::plan::InputData;
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::network::Network;
use mgx_tests::world::TestWorld;

use super::CountTable;

const PROGRAM: &str = "use std::tasks::embed

module Given(genes: dim) {
  fn forward(counts: f[all]) -> f[all] where all == genes { counts }
}

tokenizer reference_genes {
  kind       = all_genes
  vocabulary = GENES
}

backbone given: Given(genes = COUNT) {
  input     = counts
  tokenizer = reference_genes
}

data rows = table(\"rows.csv\") {
  cells: counts
}

experiment test {
  out  = rows.cells |> given
  task = embed(out)
}
";

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    let genes = strings(&case.spec["ref_genes"])?;
    let header = strings(&case.spec["columns"])?;
    let list = genes.iter().map(|gene| format!("{gene:?}")).collect::<Vec<_>>().join(", ");
    let program = PROGRAM.replace("GENES", &format!("[{list}]")).replace("COUNT", &genes.len().to_string());
    let table = CountTable::new(header.clone(), &case.spec["counts"])?;
    let network = Network::experiment(&TestWorld { program, header, ..TestWorld::default() }, false)?;
    let inputs = table.inputs(case, &network)?;
    let batch = inputs.batch(&(0..inputs.rows()).collect::<Vec<_>>(), 0);
    let found: Vec<f64> = match batch.inputs.values().next() {
        Some(InputData::F32(values)) => values.iter().map(|value| f64::from(*value)).collect(),
        _ => return Err("the network has no counts".to_owned()),
    };
    account.equal("the aligned counts", &found, &expected.get("aligned")?.data);
    let order = strings(&case.json("expected.json")?["var_names"])?;
    account.equal("the order of genes", &network.elaborated.tokenizers[0].vocabulary, &order);
    let repeated = network.elaborated.data.iter().any(|_| {
        case.spec["columns"]
            .as_array()
            .is_some_and(|all| (0..all.len()).any(|at| all[..at].contains(&all[at]) && genes.iter().any(|gene| all[at] == gene.as_str())))
    });
    account.equal("a warning about repeated genes", &!inputs.warnings().is_empty(), &repeated);
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}
