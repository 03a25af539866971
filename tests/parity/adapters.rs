//! Adapters by themselves: outputs, and gradients of the parameters and of each sample's input.

use std::collections::BTreeMap;

use mgx_compiler::check::{TraceAxis, TraceInput};
use mgx_ir::graph::DType;
use mgx_ir::plan::{Batch, InputData, Sample};
use mgx_tests::Outcome;
use mgx_tests::compare::{Account, norm};
use mgx_tests::golden::{Case, Tensors};
use mgx_tests::machine::{Machine, Request, Results, SCALE, losses};
use mgx_tests::network::Network;
use mgx_tests::world::TestWorld;
use serde_json::Value as Json;

const INPUT: &str = "hidden_states";
const OUTPUT: &str = "output";
const GRADIENT: &str = "grad.input";

/// The class of the reference that a case of the family is about.
pub fn class(case: &Case) -> &str {
    case.text("/reference").rsplit([' ', '.']).next().unwrap_or_default()
}

/// The call of the standard library's adapter that a class of the reference with these options is, if there is one. The sizes of its input
/// follow from what the adapter is applied to.
pub fn part(class: &str, options: &Json) -> Option<String> {
    let name = match class {
        "LinearAdapter" => "linear",
        "LinearCLSAdapter" => "linear_cls",
        "LinearMeanPoolAdapter" => "linear_mean_pool",
        "LinearMaxPoolAdapter" => "linear_max_pool",
        "MLPAdapter" => "mlp",
        "MLPPoolAdapter" => "mlp_pool",
        _ => return None,
    };
    let mut arguments = vec![format!("outputs = {}", options["out_features"].as_u64().unwrap_or(1))];
    for (key, option) in
        [("hidden_sizes", "hidden"), ("bias", "bias"), ("dropout", "dropout_rate"), ("dropout_in_middle", "dropout_in_middle")]
    {
        if let Some(value) = options.get(key) {
            arguments.push(format!("{option} = {value}"));
        }
    }
    if let Some(activation) = options["activation_layer"].as_str() {
        arguments.push(format!("activation = {activation}"));
    }
    if let Some(pooling) = options["pooling"].as_str() {
        arguments.push(format!("pooling = {}", pooling.trim_end_matches("_pooling")));
    }
    Some(format!("{name}({})", arguments.join(", ")))
}

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let inputs = case.tensors("inputs.safetensors")?;
    let state = case.tensors("state.safetensors")?;
    let mut account = Account::default();
    for (index, variant) in case.list("/variants")?.iter().enumerate() {
        let prefix = format!("v{index}");
        let part = part(class(case), &variant["kwargs"]).ok_or("the adapter is not known")?;
        let hidden = inputs.get(&format!("{prefix}.{INPUT}"))?;
        let &[rows, width, features] = hidden.shape.as_slice() else { return Err(format!("{INPUT} has the shape {:?}", hidden.shape)) };
        let network = network(&part, features, &state, &prefix)?;
        let lengths = match inputs.find(&format!("{prefix}.attention_mask")) {
            Some(mask) => (0..rows).map(|row| Ok(mask.row(row)?.iter().sum::<f64>() as usize)).collect::<Outcome<Vec<_>>>()?,
            None => vec![width; rows],
        };
        let cut = |row: usize| Ok(hidden.row(row)?[..lengths[row] * features].iter().map(|value| *value as f32).collect());
        let samples = (0..rows).map(cut).collect::<Outcome<Vec<Vec<f32>>>>()?;
        check_variant(&mut account, case, &expected, &prefix, &network, &samples, &lengths)?;
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.equal("stored parameters that were not loaded", &state.forgotten(), &Vec::new());
    account.finish()
}

/// The adapter on hidden states [seq, features], with its parameters loaded.
fn network(part: &str, features: usize, state: &Tensors, prefix: &str) -> Outcome<Network> {
    let name = part.split('(').next().unwrap_or(part);
    let world = TestWorld { program: format!("use std::adapters::{name}\n"), ..TestWorld::default() };
    let axes =
        vec![TraceAxis::Ragged { name: "seq".to_owned(), special: (1, 1) }, TraceAxis::Static("features".to_owned(), features as u64)];
    let inputs = [TraceInput { name: INPUT.to_owned(), dtype: DType::F32, axes }];
    let mut network = Network::part(&world, part, &inputs, false)?;
    network.fill(|_, param| Ok(Some(state.get(&format!("{prefix}.{}", param.key))?.f32())))?;
    Ok(network)
}

fn batch(samples: &[Vec<f32>], lengths: &[usize], scale: f64) -> Batch {
    let sample = |(key, length): (usize, &usize)| Sample { key: key as u64, lengths: vec![*length as u64] };
    let inputs = [(INPUT.to_owned(), InputData::F32(samples.concat())), (SCALE.to_owned(), InputData::F32(vec![scale as f32]))];
    Batch { samples: lengths.iter().enumerate().map(sample).collect(), inputs: BTreeMap::from(inputs), random: 0 }
}

/// One set of options: all samples packed, each alone, and both on the reference evaluator.
fn check_variant(
    account: &mut Account,
    case: &Case,
    expected: &Tensors,
    prefix: &str,
    network: &Network,
    samples: &[Vec<f32>],
    lengths: &[usize],
) -> Outcome<()> {
    let output = network.output(OUTPUT)?;
    let (graph, loss) = losses::squares(network.elaborated.graph.clone(), output);
    let input = network.input(INPUT)?.1;
    let request = Request { outputs: vec![(OUTPUT.to_owned(), output)], loss: Some(loss), gradients: vec![(GRADIENT.to_owned(), input)] };
    let recorded = |row: usize, what: &str| expected.get(&format!("per_sample.{prefix}.{row}.{what}"));
    // The recorded loss is the mean over the elements of all samples' outputs.
    let elements = (0..samples.len()).map(|row| Ok(recorded(row, OUTPUT)?.data.len())).sum::<Outcome<usize>>()?;
    let packed = batch(samples, lengths, 1.0 / elements as f64);
    let machine = Machine::compile(network, graph, &request, &[&packed])?;
    let largest = largest_gradient(expected)?;
    let results = machine.run(network, &packed)?;
    for (whose, results) in [("", &results), ("the evaluator's ", &machine.evaluate(network, &packed))] {
        for row in 0..samples.len() {
            let name = format!("{whose}per_sample.{prefix}.{row}");
            account.close(&format!("{name}.output"), &results.output(OUTPUT)?[row], &recorded(row, OUTPUT)?.data, case.tolerance);
            account.gradient(&format!("{name}.grad.input"), &results.output(GRADIENT)?[row], &recorded(row, GRADIENT)?.data, largest);
        }
        for (index, param) in network.params.iter().enumerate() {
            let name = format!("per_sample.{prefix}.grad.{}", param.key);
            let found = results.gradients.get(&index).ok_or_else(|| format!("`{}` has no gradient", param.key))?;
            account.gradient(&format!("{whose}{name}"), found, &expected.get(&name)?.data, largest);
        }
    }
    check_batched(account, case, expected, prefix, &results, lengths)?;
    for row in 0..samples.len() {
        let alone = machine.run(network, &batch(&samples[row..=row], &lengths[row..=row], 1.0 / elements as f64))?;
        for name in [OUTPUT, GRADIENT] {
            account.equal(
                &format!("{prefix} {name} of sample {row}, alone and packed"),
                &alone.output(name)?[0],
                &results.output(name)?[row],
            );
        }
    }
    Ok(())
}

/// What the reference gives for the padded batch: the owned adapters leave padding out, or the rows of padding are cut off.
fn check_batched(
    account: &mut Account,
    case: &Case,
    expected: &Tensors,
    prefix: &str,
    results: &Results,
    lengths: &[usize],
) -> Outcome<()> {
    let name = format!("{prefix}.{OUTPUT}");
    let tensor = expected.get(&name)?;
    let mut real = Vec::new();
    for (row, length) in lengths.iter().enumerate() {
        let recorded = tensor.row(row)?;
        let by_token = tensor.shape.len() == 3;
        real.extend_from_slice(if by_token { &recorded[..length * tensor.shape[2]] } else { recorded });
    }
    account.close(&name, &results.output(OUTPUT)?.concat(), &real, case.tolerance);
    Ok(())
}

/// The largest norm of a recorded gradient.
fn largest_gradient(expected: &Tensors) -> Outcome<f64> {
    let mut largest = 0.0_f64;
    for key in expected.keys().filter(|key| key.contains(".grad.")) {
        largest = largest.max(norm(expected.get(key)?.data.iter().copied()));
    }
    Ok(largest)
}
