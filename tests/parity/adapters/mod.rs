//! Adapters and fusions by themselves: outputs, and gradients of the parameters and of each sample's first input.

mod calls;
mod inputs;

use mgx_ir::plan::ParamSpec;
use mgx_tests::Outcome;
use mgx_tests::compare::{Account, norm};
use mgx_tests::golden::{Case, Tensors};
use mgx_tests::machine::{Machine, Request, Results, losses};
use mgx_tests::network::Network;
use mgx_tests::world::TestWorld;
use serde_json::Value as Json;

pub use calls::{Call, calls, outer_concat};
use inputs::Inputs;

const OUTPUT: &str = "output";
const GRADIENT: &str = "grad.input";

/// The class of the reference that a case of the family is about.
fn class(case: &Case) -> &str {
    case.text("/reference").rsplit([' ', '.']).next().unwrap_or_default()
}

/// Does the library have the adapter of a case of the family?
pub fn is_known(case: &Case) -> bool {
    calls(class(case), &Json::Null).is_ok()
}

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let inputs = case.tensors("inputs.safetensors")?;
    let state = case.tensors("state.safetensors")?;
    let mut account = Account::default();
    for (index, variant) in case.list("/variants")?.iter().enumerate() {
        let prefix = format!("v{index}");
        let calls = calls(class(case), &variant["kwargs"])?;
        let inputs = Inputs::read(&inputs, &prefix)?;
        let mut network = network(&calls, &inputs)?;
        network.fill(|_, param| Ok(Some(state.get(&format!("{prefix}.{}", reference_name(&calls, param)))?.f32())))?;
        let variant = Variant { case, expected: &expected, prefix, calls, inputs, network };
        variant.check(&mut account)?;
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.equal("stored parameters that were not loaded", &state.forgotten(), &Vec::new());
    account.finish()
}

/// The calls on the inputs, all of it with sizes that follow from them.
fn network(calls: &[Call], inputs: &Inputs) -> Outcome<Network> {
    let program = calls.iter().map(Call::import).collect();
    let flow = calls.iter().fold(format!("({})", inputs.names().join(", ")), |flow, call| format!("{flow} |> {}", call.text()));
    Network::part(&TestWorld { program, ..TestWorld::default() }, &flow, &inputs.traced(), false)
}

/// The name of a parameter in the reference: the key of the part that it belongs to, and its own.
pub fn reference_name(calls: &[Call], param: &ParamSpec) -> String {
    let part = param.path.split('.').next().unwrap_or_default();
    let key = calls.iter().find(|call| call.name == part).map_or("", |call| call.key);
    format!("{key}{}", param.key)
}

/// One set of options.
struct Variant<'a> {
    case: &'a Case,
    expected: &'a Tensors,
    prefix: String,
    calls: Vec<Call>,
    inputs: Inputs,
    network: Network,
}

impl Variant<'_> {
    /// All samples packed, each alone, and both on the reference evaluator.
    fn check(&self, account: &mut Account) -> Outcome<()> {
        let (network, prefix) = (&self.network, &self.prefix);
        let output = network.output(OUTPUT)?;
        let (graph, loss) = losses::squares(network.elaborated.graph.clone(), output);
        let input = network.input(self.inputs.names()[0])?.1;
        let request = Request {
            outputs: vec![(OUTPUT.to_owned(), output)],
            loss: Some(loss),
            gradients: vec![(GRADIENT.to_owned(), input)],
            ..Request::default()
        };
        let samples = self.samples()?;
        // The recorded loss is the mean over the elements of all samples' outputs.
        let elements = samples.iter().map(|sample| Ok(self.recorded(*sample, OUTPUT)?.len())).sum::<Outcome<usize>>()?;
        let scale = 1.0 / elements as f64;
        let packed = self.inputs.batch(&samples, scale);
        let machine = Machine::compile(network, graph, &request, &[&packed])?;
        let largest = largest_gradient(self.expected)?;
        let results = machine.run(network, &packed)?;
        for (whose, results) in [("", &results), ("the evaluator's ", &machine.evaluate(network, &packed))] {
            for (place, sample) in samples.iter().enumerate() {
                let name = format!("{whose}per_sample.{prefix}.{sample}");
                let (found, gradient) = (&results.output(OUTPUT)?[place], &results.output(GRADIENT)?[place]);
                account.close(&format!("{name}.output"), found, self.recorded(*sample, OUTPUT)?, self.case.tolerance);
                account.gradient(&format!("{name}.grad.input"), gradient, self.recorded(*sample, GRADIENT)?, largest);
            }
            for (index, param) in network.params.iter().enumerate() {
                let name = format!("per_sample.{prefix}.grad.{}", reference_name(&self.calls, param));
                let found = results.gradients.get(&index).ok_or_else(|| format!("`{}` has no gradient", param.key))?;
                account.gradient(&format!("{whose}{name}"), found, &self.expected.get(&name)?.data, largest);
            }
        }
        self.check_batched(account, &results, &samples)?;
        for (place, sample) in samples.iter().enumerate() {
            let alone = machine.run(network, &self.inputs.batch(&[*sample], scale))?;
            for name in [OUTPUT, GRADIENT] {
                let what = format!("{prefix} {name} of sample {sample}, alone and packed");
                account.equal(&what, &alone.output(name)?[0], &results.output(name)?[place]);
            }
        }
        Ok(())
    }

    fn recorded(&self, sample: usize, what: &str) -> Outcome<&[f64]> {
        Ok(&self.expected.get(&format!("per_sample.{}.{sample}.{what}", self.prefix))?.data)
    }

    /// The samples that were recorded alone: all, but for those of one position under a norm over positions, which the reference refuses.
    fn samples(&self) -> Outcome<Vec<usize>> {
        let mut samples = Vec::new();
        for sample in 0..self.inputs.samples() {
            if self.expected.find(&format!("per_sample.{}.{sample}.{OUTPUT}", self.prefix)).is_some() {
                samples.push(sample);
            } else if !self.inputs.padding_mask || self.inputs.length(sample) != Some(1) {
                return Err(format!("{} has no output of sample {sample}", self.prefix));
            }
        }
        Ok(samples)
    }

    /// What the reference gives for the padded batch, where that does not depend on padding or on the other samples: a sample's own
    /// elements come first in its row, those of padding after them.
    fn check_batched(&self, account: &mut Account, results: &Results, samples: &[usize]) -> Outcome<()> {
        let name = format!("{}.{OUTPUT}", self.prefix);
        let across = ["linear_transformer", "conditional_lm"].contains(&self.calls[0].name);
        let tensor = self.expected.get(&name)?;
        if across || self.inputs.padding_mask {
            return Ok(());
        }
        for (place, sample) in samples.iter().enumerate() {
            let found = &results.output(OUTPUT)?[place];
            let recorded = tensor.row(*sample)?;
            let own = recorded.get(..found.len()).ok_or_else(|| format!("{name} has too few elements for sample {sample}"))?;
            account.close(&format!("{name}, sample {sample}"), found, own, self.case.tolerance);
        }
        Ok(())
    }
}

/// The largest norm of a recorded gradient.
fn largest_gradient(expected: &Tensors) -> Outcome<f64> {
    let mut largest = 0.0_f64;
    for key in expected.keys().filter(|key| key.contains(".grad.")) {
        largest = largest.max(norm(expected.get(key)?.data.iter().copied()));
    }
    Ok(largest)
}
