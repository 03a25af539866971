//! A part of the standard library under test, and batches for it.

use std::collections::BTreeMap;

use mgx_compiler::check::{TraceAxis, TraceInput};
use mgx_ir::graph::DType;
use mgx_ir::plan::{Batch, InputData, ParamSpec, Sample};
use mgx_ir::random::{Stream, derive, derive_name};
use mgx_tests::Outcome;
use mgx_tests::machine::{Machine, Request, Results, SCALE, losses};
use mgx_tests::network::Network;
use mgx_tests::world::TestWorld;

const INPUT: &str = "x";
const OUTPUT: &str = "output";
const GRADIENT: &str = "gradient";
/// Token ids are below this.
const VOCABULARY: u64 = 16;
/// The batch's key of random numbers.
const RANDOM: u64 = 77;

/// What goes into a part.
pub enum Reads {
    /// Token ids i[seq]; the gradient is asked of the value with this path, which is made of the ids alone.
    Ids { embeddings: &'static str },
    /// Hidden states f[seq, features], of which one token stands before the residues and one behind them.
    Hidden { features: u64 },
    /// Letters f[length, features] of sequences of one length.
    Fixed { length: u64, features: u64 },
}

/// A part and how it is called.
pub struct Subject {
    pub imports: &'static str,
    pub part: &'static str,
    pub reads: Reads,
    /// With dropout, as in training?
    pub training: bool,
    /// In mixed precision?
    pub mixed: bool,
}

/// A subject, compiled; its parameters are random.
pub struct Compiled {
    network: Network,
    machine: Machine,
    reads: Reads,
}

impl Subject {
    /// Compiles the part with the gradients of the sum of the squares of its output, for batches of samples up to these.
    pub fn compile(self, lengths: &[u64]) -> Outcome<Compiled> {
        let world = TestWorld { program: format!("use {}\n", self.imports), ..TestWorld::default() };
        let ragged = || TraceAxis::Ragged { name: "seq".to_owned(), special: (1, 1) };
        let fixed = |name: &str, size| TraceAxis::Static(name.to_owned(), size);
        let (dtype, axes) = match self.reads {
            Reads::Ids { .. } => (DType::I32, vec![ragged()]),
            Reads::Hidden { features } => (DType::F32, vec![ragged(), fixed("features", features)]),
            Reads::Fixed { length, features } => (DType::F32, vec![fixed("length", length), fixed("features", features)]),
        };
        let mut network = Network::part(&world, self.part, &[TraceInput { name: INPUT.to_owned(), dtype, axes }], self.training)?;
        network.fill(|_, param| Ok(Some(values(param))))?;
        let output = network.output(OUTPUT)?;
        let source = match self.reads {
            Reads::Ids { embeddings } => network.tap(embeddings)?,
            _ => network.input(INPUT)?.1,
        };
        let (graph, loss) = losses::squares(network.elaborated.graph.clone(), output);
        let gradients = vec![(GRADIENT.to_owned(), source)];
        let request = Request { outputs: vec![(OUTPUT.to_owned(), output)], loss: Some(loss), gradients, mixed: self.mixed };
        let all = batch(&self.reads, &numbered(lengths));
        let machine = Machine::compile(&network, graph, &request, &[&all])?;
        Ok(Compiled { network, machine, reads: self.reads })
    }
}

impl Compiled {
    /// Results of samples, each with its key and its length.
    pub fn run(&self, samples: &[(u64, u64)]) -> Outcome<Results> {
        self.run_as(samples, RANDOM)
    }

    /// As [`Compiled::run`] under another key of the random numbers.
    pub fn run_as(&self, samples: &[(u64, u64)], random: u64) -> Outcome<Results> {
        self.machine.run(&self.network, &Batch { random, ..batch(&self.reads, samples) })
    }

    /// The same on the reference evaluator.
    pub fn evaluate(&self, samples: &[(u64, u64)]) -> Results {
        self.machine.evaluate(&self.network, &batch(&self.reads, samples))
    }
}

/// Samples with their place as key.
pub fn numbered(lengths: &[u64]) -> Vec<(u64, u64)> {
    (0..).zip(lengths.iter().copied()).collect()
}

/// The values of a sample that depend on it alone: its output and the gradient of its input, as bits.
pub fn own_bits(results: &Results, sample: usize) -> Outcome<Vec<u64>> {
    let lists = [&results.output(OUTPUT)?[sample], &results.output(GRADIENT)?[sample]];
    Ok(lists.into_iter().flatten().map(|value| value.to_bits()).collect())
}

/// All results as bits, with the gradients of the parameters and the loss.
pub fn all_bits(results: &Results) -> Vec<u64> {
    let outputs = results.outputs.values().flatten().flatten();
    outputs.chain(results.gradients.values().flatten()).map(|value| value.to_bits()).collect()
}

/// Values around 1 for the weights of norms, around 0 for all others.
fn values(param: &ParamSpec) -> Vec<f32> {
    let mut stream = Stream::new(derive_name(11, &param.path));
    let scale = param.shape.get(1..).map_or(0.3, |rest| 1.5 / (rest.iter().product::<u64>().max(1) as f64).sqrt());
    let centre = if param.shape.len() == 1 && param.key.ends_with("weight") { 1.0 } else { 0.0 };
    (0..param.elements()).map(|_| (centre + scale * (stream.uniform() - 0.5)) as f32).collect()
}

/// A batch whose inputs are a function of each sample's key.
fn batch(reads: &Reads, samples: &[(u64, u64)]) -> Batch {
    let stream = |key: u64| Stream::new(derive(5, key));
    let data = match reads {
        Reads::Ids { .. } => {
            let ids = |(key, length): &(u64, u64)| {
                let mut stream = stream(*key);
                (0..*length).map(move |_| stream.below(VOCABULARY) as i32).collect::<Vec<_>>()
            };
            InputData::I32(samples.iter().flat_map(ids).collect())
        }
        Reads::Hidden { features } | Reads::Fixed { features, .. } => {
            let numbers = |(key, length): &(u64, u64)| {
                let mut stream = stream(*key);
                (0..*length * features).map(move |_| (2.0 * stream.uniform() - 1.0) as f32).collect::<Vec<_>>()
            };
            InputData::F32(samples.iter().flat_map(numbers).collect())
        }
    };
    let lengths = |length: u64| if matches!(reads, Reads::Fixed { .. }) { Vec::new() } else { vec![length] };
    Batch {
        samples: samples.iter().map(|(key, length)| Sample { key: *key, lengths: lengths(*length) }).collect(),
        inputs: BTreeMap::from([(INPUT.to_owned(), data), (SCALE.to_owned(), InputData::F32(vec![0.25]))]),
        random: RANDOM,
    }
}
