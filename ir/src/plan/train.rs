//! Training, evaluation and what is written.

use mgx_diag::Span;
use serde::{Deserialize, Serialize};

use super::Program;
use crate::graph::Graph;

/// How samples make a batch. Batches are formed from samples of similar length (bucketing) in training order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchSpec {
    Samples(u64),
    /// At most this many tokens (the longest input of a sample counts), at least one sample.
    Tokens(u64),
}

/// The optimizer: its update as a program over the whole trainable memory, which it sees as vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerSpec {
    pub name: String,
    /// What depends on `learning_rate` and `step` (optimizer steps, from 1) alone, evaluated in f64 before each update: 1 − 0.999 has lost
    /// half of its digits in f32. Its outputs are scalar inputs of `update`.
    pub scalars: Graph,
    /// Scalar inputs: the outputs of `scalars`, and `gradient_scale` (the clipping factor).
    pub update: Program,
    /// Output `norm`: the global 2-norm of the gradient memory, before clipping.
    pub norm: Program,
    /// Names of the state vectors, by slot; all start at zero.
    pub state: Vec<String>,
    /// What is trained only after some epochs, which `update` and `norm` leave out: ascending by epoch. Each counts its steps from its own first one.
    #[serde(default)]
    pub later: Vec<OptimizerGroup>,
}

impl OptimizerSpec {
    /// All its programs.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        [&self.update, &self.norm].into_iter().chain(self.later.iter().flat_map(|group| [&group.update, &group.norm]))
    }
}

/// A part of the trainable memory with programs of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerGroup {
    /// Epochs before it is trained.
    pub from_epoch: u64,
    pub update: Program,
    pub norm: Program,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Monitor {
    Min,
    Max,
}

/// Stop when `metric` has not improved by more than `min_delta` for `patience` evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyStop {
    pub patience: u64,
    pub min_delta: f64,
}

/// A form in which events are written besides JSON lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Csv,
    Tensorboard,
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSpec {
    pub epochs: Option<u64>,
    pub max_steps: Option<u64>,
    /// Base learning rate; the schedule's factor multiplies it.
    pub learning_rate: f64,
    /// The factor as a graph of scalars: inputs `step` (from 0), `total_steps`; output `factor`.
    pub schedule: Graph,
    /// Clip the global norm to this.
    pub clip_norm: Option<f64>,
    /// Batches per optimizer step.
    pub accumulate: u64,
    pub shuffle: bool,
    /// What decides the best checkpoint: `valid_loss` or `valid_` and a metric's name.
    pub monitor: String,
    pub mode: Monitor,
    pub early_stop: Option<EarlyStop>,
    /// Log every so many optimizer steps.
    pub log_every: u64,
    #[serde(default)]
    pub log: Vec<LogFormat>,
    /// Write a resumable checkpoint every so many optimizer steps, besides the one after each epoch.
    pub checkpoint_every: Option<u64>,
    /// So many of the best checkpoints are kept, besides the last.
    #[serde(default = "one")]
    pub keep: u64,
    /// What a loss that is not finite is blamed on.
    pub loss_span: Option<Span>,
}

fn one() -> u64 {
    1
}

/// What an output is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OutputKind {
    /// One score per class, `names` along the last axis, in this order. Also written: the name of the greatest.
    Probabilities { names: Vec<String> },
    /// A probability for each of these labels, of which any number may hold. Also written: the names of those above one half.
    Labels { names: Vec<String> },
    /// Numbers, written as they are.
    Values,
    /// A vector or a matrix per sample: written to the embeddings files.
    Embedding,
    /// Scores of all tokens of a vocabulary at each token of an input, by which its masks are filled in. Written: the sequence that results, and for each mask
    /// its place and the best tokens.
    Filled(FillSpec),
    /// A probability for each two letters of a sequence that they are a pair of a secondary structure. Written: the pairs.
    Structure(StructureOutput),
}

/// How pairs of a secondary structure follow from probabilities: those above a threshold of letters that can pair, the likeliest first, each letter at most once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StructureOutput {
    /// The column of sequences, and its table.
    pub data: u32,
    pub sequence: String,
    /// Index in `Plan::params` of the threshold, a state.
    pub threshold: u32,
    /// What it may be: it is chosen by the first F1 score of the output whenever the validation part is evaluated in training.
    pub candidates: Vec<f64>,
}

/// How the masks of an input are filled in: the program is run, some masks become tokens, and again, until none is left or so many steps are done. Of `n` masks
/// of a row the `n / steps + 1` whose best token has the greatest score are filled in one step; of equal ones the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillSpec {
    /// The input of token ids.
    pub input: String,
    /// The input of what is hidden, where the program reads it.
    pub hidden: String,
    /// The input of the tokens that are true, where the task has them (-1 where they are not known).
    pub target: Option<String>,
    /// Index in `Plan::tokenizers`.
    pub tokenizer: u32,
    /// Is the sequence text with words? Others are written without spaces.
    pub words: bool,
    /// The id of the mask.
    pub mask: i32,
    pub steps: u64,
    /// So many of the best tokens are written.
    pub best: u64,
    /// Is a token drawn with the scores as probabilities, and not the best one taken?
    pub sample: bool,
    /// Tokens that are never filled in, in ascending order.
    pub never: Vec<i32>,
    /// Seed of what is drawn.
    pub seed: u64,
}

/// A result that is written for each sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// Name of the program's output and of the column.
    pub name: String,
    pub kind: OutputKind,
}

/// Metrics over all samples of a stage. Of several labels or outputs a metric is the mean of each one's, but for [`MetricKind::Mcc`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    Accuracy,
    /// The F1 score of the second of two classes; of several classes their mean, without those that neither occur nor are predicted.
    F1,
    /// Matthews correlation coefficient; of several labels over all of them together.
    Mcc,
    /// Area under the ROC curve; several classes: mean of one against the rest.
    Auroc,
    /// Average precision: the area under the curve of precision over recall, as steps.
    Auprc,
    /// The precision of the highest scored contacts, as many as a sequence has letters, the mean over sequences.
    TopL,
    /// Half as many.
    TopL2,
    /// A fifth.
    TopL5,
    /// A tenth.
    TopL10,
    Mse,
    Mae,
    R2,
    Pearson,
    Spearman,
    /// A sum over all samples divided by another: `prediction` and `target` are outputs of the program, a number of each sample.
    Ratio,
    /// Of what an [`OutputKind::Filled`] filled in, the share of each row that is true, and the mean over the rows that had masks.
    Recovered,
    /// Of the pairs of a predicted structure those that are right, or a letter off; the mean over sequences.
    StructurePrecision,
    /// Of the pairs of a structure those that are predicted, or a letter off; the mean over sequences.
    StructureRecall,
    /// The harmonic mean of both, of each sequence; the mean over sequences.
    StructureF1,
}

impl MetricKind {
    /// Is it a metric of the pairs of an [`OutputKind::Structure`]?
    pub fn is_of_structures(self) -> bool {
        matches!(self, Self::StructurePrecision | Self::StructureRecall | Self::StructureF1)
    }
}

/// A metric: `prediction` is an output of the program, `target` a label column (of [`MetricKind::Ratio`] another output).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSpec {
    pub name: String,
    pub kind: MetricKind,
    pub prediction: String,
    pub target: String,
}
