//! scFoundation: the numbers that go in and the hidden states, for each way in which expression is given, from both kinds of files.

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors};
use serde_json::Value as Json;

use super::{Cells, CountTable, names};

/// Recorded name, and backbone.
const MODES: [(&str, &str); 5] = [
    ("singlecell_F", "scfoundation"),
    ("singlecell_T", "scfoundation_normalized"),
    ("singlecell_A", "scfoundation_with_total"),
    ("bulk_F", "scfoundation_bulk"),
    ("bulk_T", "scfoundation_bulk_normalized"),
];

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    let genes = case.spec["num_genes"].as_u64().ok_or("no number of genes")?;
    let list = names(genes as usize);
    let config = &case.spec["model_config"];
    let whole = |value: &Json| value.as_u64().ok_or_else(|| format!("no size: {value}"));
    let sizes = format!(
        "genes = {genes}, hidden = {}, layers = {}, heads = {}, bins = {}, alpha = {}",
        whole(&config["encoder"]["hidden_dim"])?,
        whole(&config["encoder"]["depth"])?,
        whole(&config["encoder"]["heads"])?,
        whole(&config["bin_num"])?,
        config["bin_alpha"],
    );
    for (mode, backbone) in MODES {
        let mut table = CountTable::new(list.clone(), &case.spec["counts"])?;
        if mode.ends_with('A') {
            table.header.push("total".to_owned());
            table.rows.iter_mut().for_each(|row| row.push(row.iter().sum()));
        }
        let backbone = format!("{backbone}(weights = folder(\".\"), {sizes})");
        let cells = Cells::new(case, &table, "counts", &backbone, "out", Some(&list))?;
        check(&mut account, case, &cells, &expected, mode)?;
        if mode == MODES[0].0 {
            // The file as it is published: two sections with their configurations.
            let published = published(case)?;
            let cells = Cells::new(&published, &table, "counts", &backbone, "out", Some(&list));
            std::fs::remove_dir_all(&published.folder).map_err(|error| error.to_string())?;
            check(&mut account, case, &cells?, &expected, mode)?;
        }
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The case with `models.ckpt` as its only weights.
fn published(case: &Case) -> Outcome<Case> {
    let folder = std::env::temp_dir().join(format!("mgx-scfoundation-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    for file in ["case.json", "models.ckpt"] {
        std::fs::copy(case.folder.join(file), folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    Case::read(case.name.clone(), folder)
}

fn check(account: &mut Account, case: &Case, cells: &Cells, expected: &Tensors, mode: &str) -> Outcome<()> {
    let outputs =
        [("numbers".to_owned(), cells.network.tap("encoder.numbers")?), ("hidden".to_owned(), cells.network.output("embedding")?)];
    let (numbers, hidden) = (expected.get(&format!("{mode}.input_ids_bf16"))?, expected.get(&format!("{mode}.last_hidden_state"))?);
    for (whose, results) in cells.run(account, &outputs)? {
        for (row, found) in results.output("numbers")?.iter().enumerate() {
            let kept: Vec<f64> = numbers.row(row)?.iter().copied().filter(|value| *value > 0.0).collect();
            account.equal(&format!("{whose}{mode}, numbers of row {row}"), found, &kept);
        }
        for (row, found) in results.output("hidden")?.iter().enumerate() {
            let recorded = hidden.row(row)?;
            account.close(&format!("{whose}{mode}, row {row}"), found, &recorded[..found.len()], case.tolerance);
        }
    }
    Ok(())
}
