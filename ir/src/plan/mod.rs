//! The plan: everything the runtime needs to run an experiment, as plain data.
//!
//! The compiler makes it, the runtime follows it and decides nothing that stands in it. It holds no pointer and no code,
//! is versioned, printable and diffable (`mgxc plan --json`).

mod batch;
mod data;
mod frozen;
mod params;
mod program;
mod train;

pub use batch::{Batch, InputData, Sample};
pub use data::{
    AlignedPlace, AlignmentFormat, Alphabet, Casing, CellNumber, ColumnKind, ColumnSpec, Conversion, ConversionStep, CountSource, DataSpec,
    EmptyPolicy, FileFormat, FoldSpec, FoldValid, GeneOrder, Generator, InputSource, InputSpec, LengthPolicy, LengthSpec, MASKS, MaskSpec,
    NeighborSpec, SplitSpec, StopPolicy, StructureSpec, TokenRange, TokenizerKind, TokenizerSpec, Unknown, WindowSpec,
};
pub use frozen::{FrozenSpec, FrozenValue};
pub use params::{AdapterSpec, FitSpec, Init, Memory, ParamSpec, Precision, Statistic, WeightsSpec};
pub use program::{
    AttentionGradStep, AttentionStep, BatchRole, Buffer, BufferId, ContractStep, FusedInput, FusedNode, FusedStep, Program, ProgramInput,
    ReduceSpace, RoutedOuterStep, RoutedStep, SHORT, ScatterStep, Step, StepKind, StepWindows, Storage, Store,
};
pub use train::{
    BatchSpec, EarlyStop, FillSpec, LogFormat, MetricKind, MetricSpec, Monitor, OptimizerGroup, OptimizerSpec, OutputKind, OutputSpec,
    StructureOutput, TrainSpec,
};

use serde::{Deserialize, Serialize};

/// The version of the plan's format; a runtime refuses another.
pub const PLAN_VERSION: u32 = 2;

/// An experiment, compiled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    /// The experiment's name.
    pub name: String,
    /// Seed of weights, dropout and batch order.
    pub seed: u64,
    pub data: Vec<DataSpec>,
    pub tokenizers: Vec<TokenizerSpec>,
    /// By [`LengthId`](crate::graph::LengthId).
    pub lengths: Vec<LengthSpec>,
    /// The per-sample inputs of all programs.
    pub inputs: Vec<InputSpec>,
    /// By [`ParamId`](crate::graph::ParamId).
    pub params: Vec<ParamSpec>,
    /// The statistics that states start from, by [`Init::Fitted`].
    #[serde(default)]
    pub fits: Vec<FitSpec>,
    pub weights: Vec<WeightsSpec>,
    /// What is trained beside frozen networks.
    #[serde(default)]
    pub adapters: Vec<AdapterSpec>,
    /// Adds the gradients of one batch to the gradient memory; outputs the loss. Scalar input `loss_scale`.
    pub gradient: Option<Program>,
    /// One update of all trainable parameters from the gradient memory. Scalar inputs `learning_rate`, `step` (from 1).
    pub optimizer: Option<OptimizerSpec>,
    /// Loss and outputs of one batch, as in evaluation (no dropout). Needs labels.
    pub evaluate: Option<Program>,
    /// Outputs of one batch. Needs no labels.
    pub predict: Program,
    /// Stores the first values of parameters that start from others, once these have theirs; reads no batch.
    #[serde(default)]
    pub start: Option<Program>,
    /// What is computed once for each row, for `gradient`, `evaluate` and `predict` to read.
    #[serde(default)]
    pub frozen: Option<FrozenSpec>,
    /// What `predict` (and `evaluate`) put out, and how it is written.
    pub outputs: Vec<OutputSpec>,
    pub metrics: Vec<MetricSpec>,
    pub train: Option<TrainSpec>,
    pub batch: BatchSpec,
    pub memory: Memory,
    /// Floating point operations for one batch of the largest kind: forward, and forward with backward.
    pub flops_forward: u64,
    pub flops_step: u64,
}

impl Plan {
    /// The output that fills in masks, if the task has one: its name and how it does.
    pub fn filling(&self) -> Option<(&str, &FillSpec)> {
        self.outputs.iter().find_map(|output| match &output.kind {
            OutputKind::Filled(spec) => Some((output.name.as_str(), spec)),
            _ => None,
        })
    }
}
