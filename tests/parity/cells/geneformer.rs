//! Geneformer: ranked genes by name and by place in the list, cut and whole, and the last two layers.

use mgx_ir::plan::InputData;
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Stored, Tensors, strings};

use super::{Cells, CountTable};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    // Without names, the reference takes the columns for the first entries of the list.
    for (label, header) in [("by_ids", "gene_ids"), ("by_column", "first_keys")] {
        let table = CountTable::new(strings(&case.spec[header])?, &case.spec["counts"])?;
        for prefix in lengths(&expected, label) {
            let length = prefix.rsplit("max").next().unwrap_or_default();
            for layer in [-2, -1] {
                let backbone = format!("geneformer(weights = folder(\".\"), max_length = {length}, layer = {layer})");
                let cells = Cells::new(case, &table, "counts", &backbone, "out", None)?;
                check_tokens(&mut account, &cells, &expected, &prefix)?;
                let value = cells.network.output("embedding")?;
                let tensor = expected.get(&format!("{prefix}.layer{layer}.last_hidden_state"))?;
                for (whose, results) in cells.run(&mut account, &[("hidden".to_owned(), value)])? {
                    for (row, found) in results.output("hidden")?.iter().enumerate() {
                        let what = format!("{whose}{prefix}, layer {layer}, row {row}");
                        account.close(&what, found, &tensor.row(row)?[..found.len()], case.tolerance);
                    }
                }
            }
        }
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// `by_ids.max14` and its like.
fn lengths(expected: &Tensors, label: &str) -> Vec<String> {
    let keys = expected.keys().filter(|key| key.starts_with(label));
    keys.filter_map(|key| key.strip_suffix(".input_ids")).map(str::to_owned).collect()
}

fn check_tokens(account: &mut Account, cells: &Cells, expected: &Tensors, prefix: &str) -> Outcome<()> {
    let ids = expected.get(&format!("{prefix}.input_ids"))?;
    let mask = expected.get(&format!("{prefix}.attention_mask"))?;
    for row in 0..cells.inputs.rows() {
        let batch = cells.inputs.batch(&[row], 0);
        let found: Vec<f64> = match batch.inputs.values().next() {
            Some(InputData::I32(ids)) => ids.iter().map(|id| f64::from(*id)).collect(),
            _ => return Err("the network has no tokens".to_owned()),
        };
        let whole = |tensor: &Stored| tensor.row(row as usize).map(<[f64]>::to_vec);
        account.equal(&format!("tokens of {prefix}, row {row}"), &found, &whole(ids)?[..found.len()].to_vec());
        let marks: Vec<f64> = (0..whole(mask)?.len()).map(|at| f64::from(u8::from(at < found.len()))).collect();
        account.equal(&format!("the mask of {prefix}, row {row}"), &marks, &whole(mask)?);
    }
    Ok(())
}
