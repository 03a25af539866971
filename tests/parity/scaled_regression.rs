//! A regression in units of the training labels' deviation: the statistics, the outputs of a residual adapter, the loss and the metrics.

use mgx_data::{Comparison, InputBuilder, Metric, Targets, statistic};
use mgx_ir::plan::{FitSpec, Init, InputSpec, Statistic};
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, strings};
use mgx_tests::machine::{Machine, Request};
use mgx_tests::network::{EXPERIMENT, Network};
use mgx_tests::world::TestWorld;
use mgx_tests::{Outcome, shown};
use serde_json::Value as Json;

use crate::adapters::{self, Call};
use crate::training::real;
use crate::training::rows::RowTable;

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let other = case.json("expected.json")?;
    let mut account = Account::default();
    let sequences = strings(&case.spec["sequences"])?;
    let fitted = case.list("/fit_labels")?;
    let labels = case.list("/labels")?.iter().map(|label| label.get(0).ok_or("a label is no list")).collect::<Result<Vec<_>, _>>()?;
    // The training rows come first; what their sequences are does not matter.
    let texts: Vec<String> = fitted.iter().map(|_| sequences[0].clone()).chain(sequences.iter().cloned()).collect();
    let numbers: Vec<String> = fitted.iter().chain(labels.iter().copied()).map(Json::to_string).collect();
    let rows = RowTable::of_columns(&[("sequence", &texts), ("label", &numbers)]);
    let mut network = Network::experiment(&world(case, &rows)?, false)?;
    let table = rows.read(network.elaborated.data.first().ok_or("the experiment reads no table")?)?;
    let column = table.column("label").ok_or("the labels were not read")?;
    let of_rows = |rows: usize, what: Statistic| {
        let rows: Vec<u64> = (0..rows as u64).collect();
        statistic(column, &rows, what).map_err(|diagnostic| shown(&diagnostic))
    };
    for step in (0..).take_while(|step| other.get(format!("scaler{step}")).is_some()) {
        // The first labels, then all.
        let seen = if step == 0 { 5 } else { fitted.len() };
        for (name, what) in [("mean", Statistic::Mean), ("std", Statistic::Deviation)] {
            let recorded = real(&other[format!("scaler{step}")][name])?;
            account.close(&format!("scaler{step}.{name}"), &of_rows(seen, what)?, &[recorded], case.tolerance);
        }
    }
    let fits: Vec<FitSpec> = network.elaborated.fits.clone();
    network.fill(|_, param| {
        Ok(match (param.init, param.weights) {
            (Init::Fitted { fit }, _) => {
                let spec = fits.get(fit as usize).ok_or("a statistic is missing")?;
                Some(of_rows(fitted.len(), spec.statistic)?.into_iter().map(|value| value as f32).collect())
            }
            (_, Some(_)) => None,
            _ => Some(expected.get(&format!("adapter.{}", param.key))?.f32()),
        })
    })?;
    let experiment = &network.elaborated;
    let own: Vec<u64> = (fitted.len() as u64..table.rows()).collect();
    let inputs: &[InputSpec] = &experiment.inputs;
    let builder = InputBuilder::new(&experiment.tokenizers, &experiment.lengths, inputs, std::slice::from_ref(&table));
    let batch = builder.map_err(|diagnostic| shown(&diagnostic))?.batch(&own, 0);
    let task = &experiment.task;
    let outputs = [
        ("value", network.output("value")?),
        ("raw", network.tap(&format!("{}.out", adapter(case)?.name))?),
        ("loss", task.loss.ok_or("the task has no loss")?),
    ];
    let request = Request { outputs: outputs.map(|(name, node)| (name.to_owned(), node)).to_vec(), ..Request::default() };
    let machine = Machine::compile(&network, experiment.graph.clone(), &request, &[&batch])?;
    let results = machine.run(&network, &batch)?;
    for (whose, results) in [("", &results), ("the evaluator's ", &machine.evaluate(&network, &batch))] {
        for (name, recorded) in [("raw", "intended.predictions"), ("value", "intended.unscaled")] {
            account.close(&format!("{whose}{recorded}"), &results.output(name)?.concat(), &expected.get(recorded)?.data, case.tolerance);
        }
        let losses = results.output("loss")?.concat();
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        account.close(&format!("{whose}loss"), &[loss], &[real(&other["intended_loss"])?], case.tolerance);
    }
    let values: Vec<f32> = results.output("value")?.concat().into_iter().map(|value| value as f32).collect();
    let wanted: Vec<f64> = labels.iter().map(|label| real(label)).collect::<Outcome<_>>()?;
    for (name, recorded) in other["intended_metrics"].as_object().ok_or("no metrics were recorded")? {
        let spec = task.metrics.iter().find(|spec| spec.name == *name).ok_or_else(|| format!("the task has no metric `{name}`"))?;
        let comparison = Comparison { values: &values, width: 1, targets: Targets::Real(&wanted), items: None };
        let metric = Metric::new(spec.kind, &comparison).map_err(|reason| format!("`{name}`: {reason}"))?;
        account.close(name, &[metric.value().unwrap_or(f64::NAN)], &[real(recorded)?], case.tolerance);
    }
    // What the reference computes with an integer mask is recorded for information.
    expected.pass_over("reference.");
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The adapter of the case; what it gives is what its part `out` gives.
fn adapter(case: &Case) -> Outcome<Call> {
    adapters::calls("ResNet1DAdapter", &case.spec["adapter"])?.into_iter().next().ok_or_else(|| "the case has no adapter".to_owned())
}

/// The experiment as a user writes it: the adapter sees the residues alone.
fn world(case: &Case, rows: &RowTable) -> Outcome<TestWorld> {
    let adapter = adapter(case)?;
    let text = adapter.text().replacen('(', "(over = residues, ", 1);
    let program = format!(
        "use std::backbones::aido_rna\n{}use std::tasks::scaled_regression\n\n\
         data rows = table(\"rows.tsv\") {{\n  sequence: rna\n  label: real\n}}\n\n\
         experiment {EXPERIMENT} {{\n  encoder = aido_rna(weights = folder(\"backbone\"))\n  raw = rows.sequence |> encoder |> {text}\n\
         \x20 task = scaled_regression(raw, rows.label)\n}}\n",
        adapter.import()
    );
    Ok(TestWorld { program, header: rows.header(), root: case.folder.clone(), ..TestWorld::default() })
}
