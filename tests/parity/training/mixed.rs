//! The same training with products of bfloat16 numbers: its losses stay near those recorded in f32, and its parameters are f32.

use mgx_ir::plan::Precision;
use mgx_tests::Outcome;
use mgx_tests::compare::{Account, Tolerance};
use mgx_tests::golden::Case;
use mgx_tests::network::EXPERIMENT;
use serde_json::Value as Json;

use super::program::Program;
use super::real;
use super::rows::{RowTable, Rows};
use super::steps::Training;

/// Products keep 8 bits of their operands: the loss of the first batch, which follows from some dozens of them, is this close.
const FIRST: Tolerance = Tolerance { absolute: 5e-3, relative: 1e-2 };
/// So is the norm of the first gradient.
const NORM: Tolerance = Tolerance { absolute: 1e-3, relative: 1e-1 };
/// Steps add to that what the rounding before them has changed. This share of the largest loss may they differ by on average.
const CURVE: f64 = 0.1;

/// Does all recorded steps again.
pub fn check_mixed(
    account: &mut Account,
    case: &Case,
    program: &Program,
    table: &RowTable,
    trajectory: &Json,
    train: &[Rows],
) -> Outcome<()> {
    let head = format!("experiment {EXPERIMENT} {{\n");
    let text = program.text.replacen(&head, &format!("{head}  precision = mixed\n"), 1);
    let batches: Vec<&Rows> = train.iter().collect();
    let mut training = Training::new(case, &Program { text, ..program.clone() }, table, &batches)?;
    account.equal(
        "parameters that are not f32",
        &training.plan.params.iter().filter(|param| param.precision != Precision::F32).count(),
        &0,
    );
    let recorded = trajectory["steps"].as_array().ok_or("no steps were recorded")?;
    let recorded_losses = recorded.iter().map(|step| real(&step["loss"])).collect::<Outcome<Vec<f64>>>()?;
    let group = training.plan.train.as_ref().map_or(1, |train| train.accumulate) as usize;
    let mut losses = Vec::new();
    for (number, batches) in train.chunks(group).enumerate() {
        let step = training.step(number, batches)?;
        losses.extend(step.losses);
        if number == 0 {
            account.close("first loss in mixed precision", &losses[..1], &recorded_losses[..1], FIRST);
            account.close("first gradient norm in mixed precision", &[step.norm], &[real(&recorded[group - 1]["grad_norm"])?], NORM);
        }
    }
    let largest = recorded_losses.iter().copied().fold(0.0, f64::max);
    let differences: f64 = losses.iter().zip(&recorded_losses).map(|(found, recorded)| (found - recorded).abs()).sum();
    let curve = Tolerance { absolute: CURVE * largest, relative: 0.0 };
    account.close("average difference of losses in mixed precision", &[differences / losses.len() as f64], &[0.0], curve);
    let differ = losses.iter().zip(&recorded_losses).any(|(found, recorded)| (found - recorded).abs() > 1e-5 * recorded.abs());
    account.equal("mixed precision makes a difference", &differ, &true);
    Ok(())
}
