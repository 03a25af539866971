//! A batch: what the host brings for one run of a program.

use std::collections::BTreeMap;

/// The elements of one input, the samples one after another.
#[derive(Clone, Debug, PartialEq)]
pub enum InputData {
    F32(Vec<f32>),
    I32(Vec<i32>),
}

/// One sample of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Identity for random numbers: the row's number in its table, so that a sample's dropout does not depend on the batch.
    pub key: u64,
    /// Its lengths, by `LengthId`.
    pub lengths: Vec<u64>,
}

/// One batch of samples with their inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    pub samples: Vec<Sample>,
    /// By the name of the program's input; per-sample inputs and the step's scalars.
    pub inputs: BTreeMap<String, InputData>,
    /// Key of the random numbers of this step (from the seed and the step number).
    pub random: u64,
}
