//! What expressions evaluate to while a program is checked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mgx_diag::Span;
use mgx_ir::graph::{AxisId, DType, NodeId};
use mgx_ir::plan::{Alphabet, Init, LengthPolicy};

use super::library::ItemRef;
use super::part_names::PartName;
use super::rewrite::Rewrite;
use super::size::Size;

/// An axis of the checker: an identity with a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AxisRef(pub u32);

/// Which positions of a token axis are special tokens: so many first, so many last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLayout {
    pub prefix: u64,
    pub suffix: u64,
}

/// What an [`AxisRef`] stands for.
#[derive(Clone, Debug)]
pub struct AxisInfo {
    pub name: String,
    pub size: Size,
    pub layout: Option<TokenLayout>,
    /// Its axis in the graph, while one is built.
    pub graph: Option<AxisId>,
    /// The axis that it stands for, outside the part it belongs to.
    pub origin: Option<AxisRef>,
    /// Names of the classes along it, where it is the axis of a label.
    pub classes: Option<AxisClasses>,
}

/// Names along the axis of a label.
#[derive(Clone, Debug)]
pub struct AxisClasses {
    pub names: Rc<Vec<String>>,
    /// Can several of them hold?
    pub several: bool,
}

/// A tensor: its type, and its node while a graph is built.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub dtype: DType,
    pub axes: Vec<AxisRef>,
    pub per_sample: bool,
    pub node: Option<NodeId>,
}

/// A column of a declared table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Index into the experiment's tables.
    pub data: usize,
    pub column: usize,
    pub span: Span,
    /// How its tokens are hidden from the backbone that reads it.
    pub masking: Option<Masking>,
}

/// `mask_tokens(column, rate = 0.15, keep = 0.1, random = 0.1)`, or `noise_tokens(column, copies = 10)`.
#[derive(Clone, Copy, Debug)]
pub struct Masking {
    pub rate: f64,
    pub keep: f64,
    pub random: f64,
    /// The share is drawn, and every row is used so many times in an epoch.
    pub copies: Option<u64>,
    pub span: Span,
}

/// The value of an expression.
#[derive(Clone, Debug)]
pub enum Value {
    /// A whole number; as a size it may have an axis of its own.
    Int {
        size: Size,
        axis: Option<AxisRef>,
    },
    /// `None`: not known, in a module that is checked by itself.
    Float(Option<f64>),
    Bool(Option<bool>),
    Str(Option<String>),
    None,
    /// An optional part that is not there. `x + absent` is `x`.
    Absent,
    /// A variant of an `enum(…)`; `None` where it is not known.
    Variant(Option<String>),
    List(Rc<Vec<Value>>),
    /// A list of integers that is not known; the same number is the same list.
    UnknownList(u32),
    Tuple(Rc<Vec<Value>>),
    Record(Rc<Vec<(String, Value)>>),
    Init(Init),
    Tensor(Tensor),
    Alphabet(Alphabet),
    Part(Rc<Instance>),
    /// Parts that are applied one after another.
    Parts(Rc<Vec<Rc<Instance>>>),
    /// A declaration, not yet called.
    Item(ItemRef),
    /// A function of the language itself.
    Builtin(&'static str),
    /// A module, adapter, task, optimizer or schedule with arguments, not yet placed anywhere.
    Pending(Rc<Pending>),
    /// A backbone with options.
    Backbone(Rc<PendingBackbone>),
    Table(usize),
    Column(Column),
    /// A folder or hub repository of weights.
    Weights(WeightsValue),
    /// The unknown-text rule of a tokenizer: `run("[UNK]")`, `each("[UNK]")`, `error`.
    Rule(&'static str, Option<String>),
    /// Reported already; absorbs everything.
    Error,
}

/// `folder("models/x")` or `hub("org/name", revision = "main")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightsValue {
    /// `file`: the file of the folder that holds the tensors, where it has another name than usual.
    Folder {
        path: String,
        file: Option<String>,
    },
    Hub {
        repository: String,
        revision: Option<String>,
        file: Option<String>,
    },
}

/// The folder of a checkpoint that is named by a repository of the hub begins with this.
pub const HUB_PREFIX: &str = "hub://";

impl WeightsValue {
    /// The folder, or what stands for it: `hub://org/name`, `hub://org/name@revision`.
    pub fn folder(&self) -> String {
        match self {
            Self::Folder { path, .. } => path.clone(),
            Self::Hub { repository, revision: None, .. } => format!("{HUB_PREFIX}{repository}"),
            Self::Hub { repository, revision: Some(revision), .. } => format!("{HUB_PREFIX}{repository}@{revision}"),
        }
    }

    /// What the tensors are opened by: [`WeightsValue::folder`], or its file: `path/file`, `hub://org/name@revision#file`.
    pub fn tensors(&self) -> String {
        match self {
            Self::Folder { path, file: Some(file) } => format!("{path}/{file}"),
            Self::Hub { file: Some(file), .. } => format!("{}#{file}", self.folder()),
            _ => self.folder(),
        }
    }
}

/// A module with arguments.
#[derive(Debug)]
pub struct Pending {
    pub item: ItemRef,
    /// Evaluated arguments by parameter name.
    pub args: Vec<(String, Value, Span)>,
    pub span: Span,
    /// Name of the field that holds it, once it has one.
    pub name: RefCell<Option<String>>,
    /// Its instance, once it was applied for the first time.
    pub instance: RefCell<Option<Rc<Instance>>>,
}

/// A backbone with options.
#[derive(Debug)]
pub struct PendingBackbone {
    pub item: ItemRef,
    pub args: Vec<(String, Value, Span)>,
    /// Parts that are not trained, where `frozen` names some.
    pub frozen: Vec<PartName>,
    pub rewrites: Vec<Rc<Rewrite>>,
    pub span: Span,
    pub name: RefCell<Option<String>>,
    /// What it became when first applied.
    pub applied: RefCell<Option<Rc<AppliedBackbone>>>,
}

impl PendingBackbone {
    /// Where it says that it, or some of it, is frozen.
    pub fn frozen_span(&self) -> Option<Span> {
        let whole = self.args.iter().find(|(name, value, _)| name == "frozen" && matches!(value, Value::Bool(Some(true))));
        whole.map(|(_, _, span)| *span).or_else(|| self.frozen.first().map(|name| name.span))
    }
}

/// What a backbone reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    Sequence(Alphabet),
    /// Counts of genes.
    Counts,
}

/// A backbone that stands in the program.
#[derive(Debug)]
pub struct AppliedBackbone {
    pub name: String,
    pub instance: Rc<Instance>,
    /// Index in the experiment's tokenizers.
    pub tokenizer: usize,
    pub reads: Reads,
    /// Where `input = …` is declared.
    pub reads_span: Span,
    pub max_length: Option<u64>,
    pub policy: LengthPolicy,
    /// Where it is used.
    pub span: Span,
}

/// A module placed in the program: a path, a checkpoint key, and values for its names.
#[derive(Debug)]
pub struct Instance {
    pub item: ItemRef,
    pub path: String,
    /// Key prefix in the public checkpoint.
    pub key: String,
    /// Keys that the whole gives to members, in place of their own.
    pub keys: Vec<(String, String)>,
    /// Only the parameters and sizes are known: its functions are typed by their signatures.
    pub shallow: bool,
    pub env: RefCell<Env>,
    /// Own axes of the sizes it was given, with the giver's axes.
    pub outer: RefCell<Vec<(AxisRef, AxisRef)>>,
    /// One of the parts that `repeat` makes: a layer.
    pub repeated: Cell<bool>,
    /// Times called, so that paths of values stay unique.
    pub calls: Cell<u32>,
}

/// Names with values, innermost last.
#[derive(Clone, Debug, Default)]
pub struct Env {
    pub vars: Vec<(String, Value)>,
    /// The axes that `..` of a signature stands for.
    pub rest: Vec<AxisRef>,
}

impl Env {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.vars.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    pub fn set(&mut self, name: impl Into<String>, value: Value) {
        self.vars.push((name.into(), value));
    }
}

impl Value {
    /// A number.
    pub fn int(value: i64) -> Self {
        Self::Int { size: Size::constant(value), axis: None }
    }

    /// What people call such a value.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Int { .. } => "an integer",
            Self::Float(_) => "a number",
            Self::Bool(_) => "a truth value",
            Self::Str(_) => "a text",
            Self::None => "`none`",
            Self::Absent => "an absent part",
            Self::Variant(_) => "a choice",
            Self::List(_) | Self::UnknownList(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Record(_) => "a record",
            Self::Init(_) => "an initialisation",
            Self::Tensor(_) => "a tensor",
            Self::Alphabet(_) => "an alphabet",
            Self::Part(_) | Self::Parts(_) | Self::Pending(_) => "a part",
            Self::Item(_) => "a declaration",
            Self::Builtin(_) => "a function",
            Self::Backbone(_) => "a backbone",
            Self::Table(_) => "a table",
            Self::Column(_) => "a column",
            Self::Weights(_) => "a source of weights",
            Self::Rule(..) => "a rule for unknown text",
            Self::Error => "an error",
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error)
    }
}
