//! Learning rates of the schedules with warm-up, step by step.

use mgx_compiler::check::elaborate;
use mgx_eval::eval_scalars;
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::Case;
use mgx_tests::network::EXPERIMENT;
use mgx_tests::world::{PROGRAM, TestWorld};

use crate::training::program::schedule;

/// All runs of the case, also beyond their last step.
pub fn run(case: &Case) -> Outcome<String> {
    let recorded = case.json("expected.json")?;
    let recorded = recorded["runs"].as_array().ok_or("no learning rates were recorded")?;
    let mut account = Account::default();
    let runs = case.list("/runs")?;
    account.equal("recorded runs", &recorded.len(), &runs.len());
    for (number, (run, recorded)) in runs.iter().zip(recorded).enumerate() {
        let call = schedule(run)?.ok_or("a run has no schedule")?;
        let name = call.split('(').next().unwrap_or(&call);
        let rate = run["lr"].as_f64().ok_or("a run has no learning rate")?;
        let program = format!(
            "use std::adapters::linear_max_pool\nuse std::backbones::dna_onehot\nuse std::optimizers::adamw\nuse std::schedules::{name}\n\
             use std::tasks::regression\n\ndata rows = table(\"rows.tsv\") {{\n  sequence: dna\n  label: real\n}}\n\n\
             experiment {EXPERIMENT} {{\n  out = rows.sequence |> dna_onehot |> linear_max_pool(outputs = 1)\n  task = regression(out, rows.label)\n  \
             train {{\n    max_steps = 1\n    optimizer = adamw(lr = {rate:e})\n    schedule = {call}\n  }}\n}}\n"
        );
        let world = TestWorld { program, header: vec!["sequence".to_owned(), "label".to_owned()], ..TestWorld::default() };
        let experiment = elaborate(&world, PROGRAM, &[], EXPERIMENT, true).map_err(|_| format!("`{call}` does not check"))?;
        let train = experiment.train.ok_or("the experiment does not train")?;
        let total = run["estimated_stepping_batches"].as_f64().ok_or("a run has no number of steps")?;
        let expected: Vec<f64> = recorded["lr"].as_array().into_iter().flatten().map(|rate| rate.as_f64().unwrap_or(f64::NAN)).collect();
        let rate = |step: usize| {
            let factor = eval_scalars(&train.schedule, &[("step", step as f64), ("total_steps", total)]);
            train.learning_rate * factor.first().map_or(f64::NAN, |(_, factor)| *factor)
        };
        let found: Vec<f64> = (0..expected.len()).map(rate).collect();
        account.close(&format!("learning rates of run {number}, {call}"), &found, &expected, case.tolerance);
    }
    account.finish()
}
