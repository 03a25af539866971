//! AIDO.Tissue: a cell alone, with neighbours, and with places, each as a sample of its own: numbers, places, all layers.

use mgx_ir::plan::InputData;
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors};
use serde_json::Value as Json;

use super::{Cells, CountTable, names};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    let genes = case.json("config.json")?["max_position_embeddings"].as_u64().ok_or("the number of genes is not in config.json")? as usize;
    let list = names(genes);
    let inputs = case.spec["inputs"].as_object().ok_or("no inputs")?;
    for (name, input) in inputs {
        let by_place = input.get("x").is_some();
        for row in 0..input["cells"].as_array().map_or(0, Vec::len) {
            let prefix = format!("per_sample.{name}.{row}");
            let table = table(&list, input, row)?;
            let column = match table.rows.len() {
                1 => "counts".to_owned(),
                cells => format!("counts(neighbors = {})", cells - 1),
            };
            let backbone = format!("aido_tissue(weights = folder(\".\"), by_place = {by_place})");
            let cells = Cells::new(case, &table, &column, &backbone, "out", Some(&list))?;
            check(&mut account, case, &cells, &expected, &prefix, by_place)?;
        }
        // Several samples at once share a total in the reference.
        expected.pass_over(&format!("{name}."));
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// A row for each cell of a sample, the sample's own first. Where no places were recorded, cells lie so that the nearest come in order.
fn table(list: &[String], input: &Json, sample: usize) -> Outcome<CountTable> {
    let mut table = CountTable { header: list.to_vec(), rows: Vec::new() };
    table.header.extend(["x".to_owned(), "y".to_owned()]);
    for (place, cell) in input["cells"][sample].as_array().ok_or("no cells")?.iter().enumerate() {
        let mut counts = vec![0.0; list.len()];
        for (gene, count) in cell.as_object().ok_or("a cell is no object")? {
            let gene: usize = gene.parse().map_err(|_| format!("no gene: {gene}"))?;
            *counts.get_mut(gene).ok_or("a gene beyond the list")? = count.as_f64().ok_or("no count")?;
        }
        let coordinate = |axis: &str, otherwise: usize| input[axis][sample][place].as_f64().unwrap_or(otherwise as f64);
        counts.extend([coordinate("x", place), coordinate("y", 0)]);
        table.rows.push(counts);
    }
    Ok(table)
}

fn check(account: &mut Account, case: &Case, cells: &Cells, expected: &Tensors, prefix: &str, by_place: bool) -> Outcome<()> {
    let network = &cells.network;
    let get = |what: &str| expected.get(&format!("{prefix}.{what}"));
    let layers = expected.below(&format!("{prefix}.encoder_hidden_states.")).len() - 1;
    let mut taps =
        vec![("encoder_data".to_owned(), network.tap("encoder.numbers")?), ("last_hidden_state".to_owned(), network.output("embedding")?)];
    for layer in 0..=layers {
        let path = match layer {
            0 => "encoder.embeddings".to_owned(),
            last if last == layers => "encoder.norm_out".to_owned(),
            layer => format!("encoder.layer[{}]", layer - 1),
        };
        taps.push((format!("encoder_hidden_states.{layer}"), network.tap(&path)?));
    }
    for (whose, results) in cells.run(account, &taps)? {
        for (name, _) in &taps {
            let found = &results.output(name)?[0];
            let recorded = &get(name)?.data;
            // The recorded numbers are those before they are rounded once more.
            let rounded: Vec<f64> = recorded.iter().map(|value| mgx_ir::graph::round_to_bf16(*value)).collect();
            let wanted = if name == "encoder_data" { &rounded } else { recorded };
            // For a cell alone, the reference gives out what fills the sample up as well.
            let length = if name == "last_hidden_state" { found.len().min(wanted.len()) } else { wanted.len() };
            account.close(&format!("{whose}{prefix}.{name}"), found, &wanted[..length], case.tolerance);
        }
    }
    let batch = cells.inputs.batch(&[0], 0);
    let places = get("position_ids")?;
    let half = places.data.len() / 2;
    let of_input = |ending: &str| {
        batch.inputs.iter().find(|(name, _)| name.ends_with(ending)).and_then(|(_, data)| match data {
            InputData::I32(values) => Some(values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>()),
            InputData::F32(_) => None,
        })
    };
    let [column, row] = if by_place { [".x", ".y"] } else { [".genes", ".cells"] };
    account.equal(&format!("columns of {prefix}"), &of_input(column).as_deref(), &Some(&places.data[..half]));
    account.equal(&format!("rows of {prefix}"), &of_input(row).as_deref(), &Some(&places.data[half..]));
    let mask = get("encoder_attention_mask")?.data.iter().filter(|mark| **mark > 0.0).count();
    let real = of_input(".genes").map_or(0, |genes| genes.iter().filter(|gene| **gene < (case_genes(cells) + 2) as f64).count());
    account.equal(&format!("real tokens of {prefix}"), &real, &mask);
    if let Some(own) = expected.find(&format!("{prefix}.out_attention_mask")) {
        let own = own.data.iter().filter(|mark| **mark > 0.0).count();
        account.equal(&format!("tokens of the own cell of {prefix}"), &of_input(".centre").map(|tokens| tokens.len()), &Some(own));
    }
    Ok(())
}

fn case_genes(cells: &Cells) -> usize {
    cells.network.elaborated.tokenizers.first().map_or(0, |tokenizer| tokenizer.vocabulary.len())
}
