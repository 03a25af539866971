//! The frozen part of a network, whose values for a row are computed once and kept.

use serde::{Deserialize, Serialize};

use super::Program;
use crate::graph::{DType, Extent, ParamId};

/// What training does not change: computed by a program of its own. The other programs read its outputs as inputs, by their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrozenSpec {
    pub program: Program,
    /// What it computes, whatever stands around it, as 64 hexadecimal digits: equal numbers from equal parameters and inputs.
    pub fingerprint: String,
    /// What it reads, in an order that belongs to the fingerprint.
    pub params: Vec<ParamId>,
    pub inputs: Vec<String>,
    /// Its outputs.
    pub values: Vec<FrozenValue>,
}

/// A value of the frozen part, one for each sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrozenValue {
    pub name: String,
    pub dtype: DType,
    /// Of its axes, in storage order.
    pub extents: Vec<Extent>,
}

impl FrozenValue {
    /// Elements for a sample with these lengths, four bytes each.
    pub fn elements(&self, lengths: &[u64]) -> u64 {
        self.extents.iter().map(|extent| extent.eval(lengths)).fold(1, u64::saturating_mul)
    }
}
