//! Parameters, where their values come from, and the memory that everything takes.

use serde::{Deserialize, Serialize};

/// How a parameter starts when no weights are loaded for it. Random values are counter-based: a function of the seed, the
/// parameter's path and the element's index.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Init {
    Constant(f64),
    Normal {
        mean: f64,
        std: f64,
    },
    /// Uniform in [−bound, bound).
    Uniform {
        bound: f64,
    },
    /// `scale` where the last index equals the others counted as one, else zero: a multiple of the identity matrix.
    Identity {
        scale: f64,
    },
    /// The statistic `Plan::fits[fit]` of the training labels.
    Fitted {
        fit: u32,
    },
}

/// What is known of the labels of the training rows before training begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistic {
    /// The mean of each number.
    Mean,
    /// The standard deviation of each number, of the rows as the whole population.
    Deviation,
    /// For each class the number of rows, divided by the number of classes and by that of the rows of the class.
    Balance,
}

/// A statistic of a column of labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FitSpec {
    /// Index in `Plan::data`.
    pub data: u32,
    pub column: String,
    pub statistic: Statistic,
}

/// How the numbers of a parameter are stored. Whatever is computed from them is computed in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// bfloat16: the upper half of an f32, rounded to nearest, ties to even. Only what is not trained is stored so.
    Bf16,
}

impl Precision {
    /// Bytes of an element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// Path in the program.
    pub path: String,
    pub axes: Vec<String>,
    pub shape: Vec<u64>,
    /// The key in the public checkpoint (`at "…"` joined by dots).
    pub key: String,
    pub init: Init,
    pub trainable: bool,
    /// Kept from step to step and not learned (running statistics): loaded and saved like a parameter, and not counted as one.
    pub state: bool,
    #[serde(default)]
    pub precision: Precision,
    /// Byte offset in the parameter memory.
    pub offset: u64,
    /// Where it belongs to one of several parts among which is chosen: how many are for each element, and of how many.
    #[serde(default)]
    pub chosen: Option<(u64, u64)>,
    /// Index in `Plan::weights` of what it is loaded from.
    pub weights: Option<u32>,
    /// Index in `Plan::adapters` of what it belongs to, where it is trained beside a frozen network.
    #[serde(default)]
    pub adapter: Option<u32>,
    /// Epochs before it is trained.
    #[serde(default)]
    pub from_epoch: u64,
}

impl ParamSpec {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Is it written into checkpoints? What is not trained comes from its weights, or from the seed, again.
    pub fn is_kept(&self) -> bool {
        self.trainable || self.state
    }

    /// Bytes in the parameter memory.
    pub fn bytes(&self) -> u64 {
        self.elements().saturating_mul(self.precision.bytes())
    }
}

/// A checkpoint to load from: a folder in Hugging Face layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsSpec {
    pub folder: String,
    /// Path in the program of the network that it is for; its parameters' keys are relative to this network.
    pub root: String,
    /// Prefixes that the stored keys may have (`bert.`); they are tried in order and the empty one last.
    pub prefixes: Vec<String>,
    /// Beginnings of keys that may be stored as others: of (`stem.`, `_trunk.1.`), `stem.0.weight` is looked for as `_trunk.1.0.weight` too, last.
    /// With a star first in both they are endings: of (`*.weight`, `*.gamma`), `norm.weight` is looked for as `norm.gamma` too.
    pub aliases: Vec<(String, String)>,
    /// Stored keys that may be there and are not used; `*` stands for any text.
    pub ignore: Vec<String>,
    /// Keys of the program that may be missing (they keep their initial value); `*` stands for any text.
    pub optional: Vec<String>,
}

/// What is trained beside a frozen network, as it is exchanged with other programs: a folder in the layout of the PEFT library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterSpec {
    /// Path in the program of the network that it is for; its parameters' keys are relative to this network.
    pub root: String,
    /// The text of its `adapter_config.json`; none where the layout has no name for such an adapter.
    pub config: Option<String>,
}

/// Bytes by class, as the runtime allocates them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub params: u64,
    pub gradients: u64,
    pub optimizer: u64,
    /// The largest arena of the programs; they share one allocation.
    pub activations: u64,
    /// The host's buffers for the inputs of the largest batch.
    pub inputs: u64,
}

impl Memory {
    /// The sum of the classes.
    pub fn total(&self) -> u64 {
        self.params + self.gradients + self.optimizer + self.activations + self.inputs
    }
}
