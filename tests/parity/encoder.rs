//! What the families of encoders have in common: batches of texts through a network with taps.

use mgx_data::{Encoding, Tokenizer};
use mgx_ir::graph::NodeId;
use mgx_ir::plan::Batch;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors};
use mgx_tests::machine::{Machine, Request, Results};
use mgx_tests::network::Network;
use mgx_tests::world::TestWorld;
use mgx_tests::{Outcome, shown};

use crate::tokens::{batch, without_padding};

/// A network that reads one column of sequences.
pub struct Encoder {
    pub network: Network,
    pub tokenizer: Tokenizer,
    /// Name and node of the graph's input of token ids.
    pub input: (String, NodeId),
}

/// A batch of texts as it was recorded under `prefix` (`b0`).
pub struct Recorded {
    pub prefix: String,
    pub rows: Vec<Encoding>,
}

/// A recorded tensor (after the batch's prefix), the value that it is, and whether it has a row for each token.
pub struct Tap {
    pub recorded: String,
    pub node: NodeId,
    pub by_token: bool,
}

impl Encoder {
    /// The network of a program whose only column is `sequence`, of the given kind, flowing through `backbone`, a call of a backbone of the
    /// standard library. `result` is the expression of what the experiment is asked for, with `out` for the backbone's result.
    pub fn new(world: TestWorld, kind: &str, backbone: &str, result: &str) -> Outcome<Self> {
        Self::from_file(world, "std::backbones", kind, backbone, result)
    }

    /// The same with a backbone of the file that `import` names: one of the world's sources.
    pub fn from_file(world: TestWorld, import: &str, kind: &str, backbone: &str, result: &str) -> Outcome<Self> {
        Self::with_mode(world, import, kind, backbone, result, false)
    }

    /// [`Self::from_file`] as it is in training, or in evaluation.
    pub fn with_mode(world: TestWorld, import: &str, kind: &str, backbone: &str, result: &str, training: bool) -> Outcome<Self> {
        let name = backbone.split('(').next().unwrap_or(backbone);
        let program = format!(
            "use std::adapters::{{mean_pool, unit_length}}\nuse {import}::{name}\nuse std::tasks::embed\n\n\
             data rows = table(\"rows.tsv\") {{\n  sequence: {kind}\n}}\n\n\
             experiment test {{\n  encoder = {backbone}\n  out = rows.sequence |> encoder\n  task = embed({result})\n}}\n"
        );
        let world = TestWorld { program, header: vec!["sequence".to_owned()], ..world };
        let network = Network::experiment(&world, training)?;
        let spec = network.elaborated.tokenizers.first().ok_or("the experiment has no tokenizer")?;
        let tokenizer = Tokenizer::new(spec).map_err(|diagnostic| shown(&diagnostic))?;
        let input = network.input(".ids")?;
        Ok(Self { network, tokenizer, input })
    }

    /// Encoded texts as a batch of this network.
    pub fn batch(&self, rows: &[Encoding]) -> Batch {
        batch(&self.input.0, rows)
    }

    /// Runs all batches, packed, and holds the taps against what was recorded. Every sample alone must give the same bits as packed, and the
    /// reference evaluator must agree with the batch of the fewest tokens, so that a disagreement tells which of graph and backend is wrong.
    pub fn check(&self, account: &mut Account, case: &Case, expected: &Tensors, batches: &[Recorded], taps: &[Tap]) -> Outcome<()> {
        let request = Request { outputs: taps.iter().map(|tap| (tap.recorded.clone(), tap.node)).collect(), ..Request::default() };
        let all: Vec<Batch> = batches.iter().map(|recorded| self.batch(&recorded.rows)).collect();
        let machine = Machine::compile(&self.network, self.network.elaborated.graph.clone(), &request, &all.iter().collect::<Vec<_>>())?;
        let tokens = |batch: &Batch| batch.samples.iter().map(|sample| sample.lengths[0]).sum::<u64>();
        let smallest = (0..all.len()).min_by_key(|index| tokens(&all[*index]));
        for (index, (recorded, batch)) in batches.iter().zip(&all).enumerate() {
            let results = machine.run(&self.network, batch)?;
            compare(account, case, expected, recorded, taps, &results, "")?;
            self.check_alone(account, &machine, recorded, &results)?;
            if Some(index) == smallest {
                compare(account, case, expected, recorded, taps, &machine.evaluate(&self.network, batch), "the evaluator's ")?;
            }
        }
        Ok(())
    }

    /// Every sample alone must give the same bits as packed.
    pub fn check_alone(&self, account: &mut Account, machine: &Machine, recorded: &Recorded, packed: &Results) -> Outcome<()> {
        for (index, row) in recorded.rows.iter().enumerate() {
            let alone = machine.run(&self.network, &self.batch(std::slice::from_ref(row)))?;
            for (name, lists) in &packed.outputs {
                let same = alone.output(name)?[0].iter().map(|value| value.to_bits()).eq(lists[index].iter().map(|value| value.to_bits()));
                account.check(&format!("{}.{name} of row {index} has other bits alone than packed", recorded.prefix), same);
            }
        }
        Ok(())
    }
}

/// The recorded hidden states through the option that users have: `hidden_states = [0, 1, …]` in the call of the backbone.
pub fn check_states(
    account: &mut Account,
    case: &Case,
    expected: &Tensors,
    batches: &[Recorded],
    (kind, backbone): (&str, &str),
) -> Outcome<()> {
    let layers = recorded_layers(expected)?;
    let call = backbone.strip_suffix(')').ok_or("the backbone has no options")?;
    let numbers: Vec<String> = (0..=layers).map(|layer| layer.to_string()).collect();
    let call = format!("{call}, hidden_states = [{}])", numbers.join(", "));
    let world = TestWorld { root: case.folder.clone(), ..TestWorld::default() };
    let encoder = Encoder::new(world, kind, &call, "out.hidden_states")?;
    let tap = |layer| {
        let node = encoder.network.output(&format!("embedding_layer_{layer}"))?;
        Ok(Tap { recorded: format!("hidden_states.{layer}"), node, by_token: true })
    };
    encoder.check(account, case, expected, batches, &(0..=layers).map(tap).collect::<Outcome<Vec<_>>>()?)
}

fn compare(
    account: &mut Account,
    case: &Case,
    expected: &Tensors,
    recorded: &Recorded,
    taps: &[Tap],
    results: &Results,
    whose: &str,
) -> Outcome<()> {
    for tap in taps {
        let name = format!("{}.{}", recorded.prefix, tap.recorded);
        let tensor = expected.get(&name)?;
        let wanted = if tap.by_token { without_padding(tensor, &recorded.rows)? } else { tensor.data.clone() };
        account.close(&format!("{whose}{name}"), &results.output(&tap.recorded)?.concat(), &wanted, case.tolerance);
    }
    Ok(())
}

/// How many layers' outputs were recorded besides the embeddings.
pub fn recorded_layers(expected: &Tensors) -> Outcome<usize> {
    expected.below("b0.hidden_states.").len().checked_sub(1).ok_or_else(|| "no hidden states were recorded".to_owned())
}
