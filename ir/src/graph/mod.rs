//! The graph: one small tensor IR, written for **one sample**, typed by named axes.
//!
//! Promises, checked by `verify` after every pass in tests and debug builds:
//! - acyclic and single assignment: a node's inputs stand before it;
//! - a value names each of its axes once; axes are aligned by identity ([`AxisId`]), never by position, so elementwise
//!   operations broadcast by name and there is no implicit cast;
//! - there is no batch axis. A value is either the same for all samples (`per_sample == false`: parameters, constants and
//!   what is computed from them alone) or belongs to a sample. Only [`Op::Reduce`], [`Op::Contract`] and [`Op::ScatterAdd`]
//!   with `batch = true` look across samples, and their result is not per sample;
//! - every node keeps the source spans it came from.
//!
//! How a per-sample value of a batch is stored: one buffer, the samples one after another, each row-major in the order
//! of the value's `axes` with the extents of that sample. With the ragged axis first that is the packed layout.

mod axis;
mod build;
mod infer;
mod op;
mod sizes;
mod text;
mod verify;

pub use axis::{Axis, AxisId, Extent, LengthId, SizeExpr};
pub use build::GraphBuilder;
pub use infer::infer;
pub use op::{BinaryOp, DType, Op, ReduceOp, UnaryOp, Window, round_to_bf16};
pub use text::{parse_graph, print_graph};
pub use verify::verify;

use mgx_diag::Span;
use serde::{Deserialize, Serialize};

/// A value of a [`Graph`], by the node that computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

/// A parameter of the model: an index into [`Graph::params`] (and `Plan::params`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ParamId(pub u32);

/// Element type, axes in storage order, and whether there is one value per sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Type {
    pub dtype: DType,
    pub axes: Vec<AxisId>,
    pub per_sample: bool,
}

/// One operation and the value it computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub op: Op,
    pub inputs: Vec<NodeId>,
    pub ty: Type,
    /// Path of the value in the program (`encoder.layer[3].attn.probs`), by which a tap can ask for it.
    pub path: Option<String>,
    /// Where it came from, most specific first; a fused or derived node keeps those of all its origins.
    pub spans: Vec<Span>,
}

/// A parameter as the graph sees it: stored row-major in the order of `axes`, all of them static.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphParam {
    /// Path in the program, `encoder.layer[3].attn.query.weight`: unique.
    pub path: String,
    pub axes: Vec<AxisId>,
    /// Is its gradient wanted?
    pub trainable: bool,
}

/// A length that each sample brings: the number of tokens of one of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Length {
    pub name: String,
}

/// A named result of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub name: String,
    pub node: NodeId,
}

/// The tensor program of one sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    pub lengths: Vec<Length>,
    pub axes: Vec<Axis>,
    pub params: Vec<GraphParam>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<Output>,
}

impl Graph {
    /// Adds an axis.
    pub fn add_axis(&mut self, name: impl Into<String>, extent: Extent) -> AxisId {
        self.axes.push(Axis { name: name.into(), extent });
        AxisId(self.axes.len() as u32 - 1)
    }

    /// Adds a node and returns its value.
    pub fn add_node(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// The node of a value.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The type of a value.
    pub fn ty(&self, id: NodeId) -> &Type {
        &self.nodes[id.0 as usize].ty
    }

    /// An axis.
    pub fn axis(&self, id: AxisId) -> &Axis {
        &self.axes[id.0 as usize]
    }

    /// The extent of an axis.
    pub fn extent(&self, id: AxisId) -> &Extent {
        &self.axes[id.0 as usize].extent
    }

    /// The value of a named output.
    pub fn output(&self, name: &str) -> Option<NodeId> {
        self.outputs.iter().find(|output| output.name == name).map(|output| output.node)
    }
}
