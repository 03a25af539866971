//! What flows into a recorded adapter: packed samples, each cut to its own length.

use std::collections::BTreeMap;

use mgx_compiler::check::{TraceAxis, TraceInput};
use mgx_ir::graph::DType;
use mgx_ir::plan::{Batch, InputData, Sample};
use mgx_tests::Outcome;
use mgx_tests::golden::{Stored, Tensors};
use mgx_tests::machine::SCALE;

/// The reference's inputs in the order of its arguments.
const ORDER: [&str; 6] = ["hidden_states", "x", "embeddings", "labels", "context_hidden_states_1", "context_hidden_states_2"];

/// One input of a variant.
struct Given {
    name: &'static str,
    axes: Vec<TraceAxis>,
    /// Of each sample, where samples have lengths.
    lengths: Option<Vec<u64>>,
    /// The elements of each sample.
    rows: Vec<Vec<f32>>,
}

/// All inputs of a variant.
pub struct Inputs {
    given: Vec<Given>,
    /// Does a mask say where padding is?
    pub padding_mask: bool,
}

impl Inputs {
    /// Those of the variant with this prefix.
    ///
    /// # Errors
    /// Where a tensor has another shape than its name says, or there is none.
    pub fn read(inputs: &Tensors, prefix: &str) -> Outcome<Self> {
        let mut given = Vec::new();
        for name in ORDER {
            if let Some(stored) = inputs.find(&format!("{prefix}.{name}")) {
                given.push(Given::new(name, stored, mask(inputs, prefix, name)?)?);
            }
        }
        if given.is_empty() {
            return Err(format!("{prefix} has no inputs"));
        }
        Ok(Self { given, padding_mask: inputs.find(&format!("{prefix}.padding_mask")).is_some() })
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.given[0].rows.len()
    }

    /// The length of a sample of the first input.
    pub fn length(&self, sample: usize) -> Option<u64> {
        Some(self.given[0].lengths.as_ref()?[sample])
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.given.iter().map(|given| given.name).collect()
    }

    /// For the compiler.
    pub fn traced(&self) -> Vec<TraceInput> {
        let input = |given: &Given| TraceInput { name: given.name.to_owned(), dtype: DType::F32, axes: given.axes.clone() };
        self.given.iter().map(input).collect()
    }

    /// Some of the samples as a batch, with the scale of the loss.
    pub fn batch(&self, samples: &[usize], scale: f64) -> Batch {
        let sample = |sample: &usize| Sample {
            key: *sample as u64,
            lengths: self.given.iter().filter_map(|given| Some(given.lengths.as_ref()?[*sample])).collect(),
        };
        let mut inputs = BTreeMap::from([(SCALE.to_owned(), InputData::F32(vec![scale as f32]))]);
        for given in &self.given {
            let values = samples.iter().flat_map(|sample| given.rows[*sample].iter().copied()).collect();
            inputs.insert(given.name.to_owned(), InputData::F32(values));
        }
        Batch { samples: samples.iter().map(sample).collect(), inputs, random: 0 }
    }
}

impl Given {
    /// Values for each token, for each pair of tokens (`x`), or for the sample (`labels`).
    fn new(name: &'static str, stored: &Stored, mask: Option<Vec<u64>>) -> Outcome<Self> {
        let ragged = |name: &str| TraceAxis::Ragged { name: name.to_owned(), special: (1, 1) };
        let features = |size: usize| TraceAxis::Static("features".to_owned(), size as u64);
        let (axes, lengths, width) = match (name, stored.shape.as_slice()) {
            ("labels", [_, numbers]) => (vec![features(*numbers)], None, *numbers),
            ("x", [rows, left, right, width]) if left == right => {
                let twin = TraceAxis::Twin { name: "right".to_owned(), of: "left".to_owned() };
                (vec![ragged("left"), twin, features(*width)], Some(vec![*left as u64; *rows]), left * right * width)
            }
            (_, [rows, length, width]) => {
                (vec![ragged(name), features(*width)], Some(mask.unwrap_or_else(|| vec![*length as u64; *rows])), *width)
            }
            (_, shape) => return Err(format!("{name} has the shape {shape:?}")),
        };
        let by_token = axes.len() == 2;
        let elements = |row: usize| match &lengths {
            Some(lengths) if by_token => lengths[row] as usize * width,
            _ => width,
        };
        let cut = |row: usize| Ok(stored.row(row)?[..elements(row)].iter().map(|value| *value as f32).collect());
        let rows = (0..stored.shape[0]).map(cut).collect::<Outcome<_>>()?;
        Ok(Self { name, axes, lengths, rows })
    }
}

/// The lengths that the mask of an input gives, if it has one.
fn mask(inputs: &Tensors, prefix: &str, name: &str) -> Outcome<Option<Vec<u64>>> {
    let sums = |mask: &Stored| (0..mask.shape[0]).map(|row| Ok(mask.row(row)?.iter().sum::<f64>() as u64)).collect::<Outcome<Vec<u64>>>();
    let own = if name == "hidden_states" { "attention_mask".to_owned() } else { name.replace("hidden_states", "attention_mask") };
    if name.contains("hidden_states")
        && let Some(mask) = inputs.find(&format!("{prefix}.{own}"))
    {
        return Ok(Some(sums(mask)?));
    }
    if name == "hidden_states"
        && let Some(padding) = inputs.find(&format!("{prefix}.padding_mask"))
    {
        let width = padding.shape[1] as u64;
        return Ok(Some(sums(padding)?.into_iter().map(|padding| width - padding).collect()));
    }
    Ok(None)
}
