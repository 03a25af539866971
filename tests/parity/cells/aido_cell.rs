//! AIDO.Cell: the rounded numbers that go in, all layers, and gradients, by attention among the genes of a cell.

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors};

use super::{Cells, CountTable, names};

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    let genes = case.json("config.json")?["max_position_embeddings"].as_u64().ok_or("the number of genes is not in config.json")? as usize;
    let list = names(genes);
    // The table's own order is another than the list's.
    let mut table = CountTable::new(list.clone(), &case.spec["counts"])?;
    table.header.reverse();
    table.rows.iter_mut().for_each(|row| row.reverse());
    let cells = Cells::new(case, &table, "counts", "aido_cell(weights = folder(\".\"))", "out", Some(&list))?;
    let taps = taps(&cells, &expected)?;
    let outputs: Vec<_> = taps.iter().map(|(name, node, _)| (name.clone(), *node)).collect();
    for (whose, results) in cells.run(&mut account, &outputs)? {
        for (name, _, recorded) in &taps {
            let wanted = &expected.get(recorded)?.data;
            // Hidden states were recorded for genes alone, without the two tokens of the depth.
            let each = wanted.len() / table.rows.len();
            let found: Vec<f64> = results.output(name)?.iter().flat_map(|row| row.iter().take(each)).copied().collect();
            account.close(&format!("{whose}{name}"), &found, wanted, case.tolerance);
        }
    }
    let last = cells.network.output("embedding")?;
    let elements = expected.get("flash.last_hidden_state")?.data.len();
    cells.check_gradients(&mut account, case, &expected, last, elements)?;
    // What the reference computes without its attention kernel is attention across heads, and in bfloat16 another precision.
    expected.pass_over("cpu_fallback.");
    expected.pass_over("bf16.");
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// Name, value, and name of the recorded tensor.
fn taps(cells: &Cells, expected: &Tensors) -> Outcome<Vec<(String, mgx_ir::graph::NodeId, String)>> {
    let network = &cells.network;
    let layers = expected.below("flash.hidden_states.").len() - 1;
    let mut taps = vec![
        ("last_hidden_state".to_owned(), network.output("embedding")?, "flash.last_hidden_state".to_owned()),
        ("x_bf16".to_owned(), network.tap("encoder.numbers")?, "x_bf16".to_owned()),
    ];
    for layer in 0..=layers {
        let path = match layer {
            0 => "encoder.embeddings".to_owned(),
            last if last == layers => "encoder.norm_out".to_owned(),
            layer => format!("encoder.layer[{}]", layer - 1),
        };
        taps.push((format!("hidden_states.{layer}"), network.tap(&path)?, format!("flash.hidden_states.{layer}")));
    }
    Ok(taps)
}
