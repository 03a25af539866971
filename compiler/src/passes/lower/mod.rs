//! Lowering: from a graph of one sample to the batched, fused and memory-planned steps of a program.
//!
//! Stages, each a module:
//! - [`canonical`]: every operation in the form that a step takes, with the storage order of what a step needs in memory;
//! - [`targets`]: which further values are computed once and kept, and which are computed again where they are used;
//! - [`units`], [`cone`] and [`kernels`]: a unit for each step, a kernel for each kept value, then kernels merged as long as one pass can do both;
//! - [`schedule`]: the order of the steps;
//! - [`emit`] and [`memory`]: the steps and buffers as plain data, and the place of each buffer.
//!
//! Views (renamed, split and merged axes that do not move elements) are never copied: they are aliases of a buffer. The
//! gradient of a parameter is added to the gradient memory by the step that computes it.

mod attention;
mod canonical;
mod cone;
mod contract;
mod decompose;
mod emit;
mod kernels;
mod layout;
mod memory;
mod roots;
mod routed;
mod schedule;
mod targets;
mod units;
mod windows;

use mgx_ir::graph::{Graph, NodeId, ParamId};
use mgx_ir::plan::{Program, Storage};

/// What a program reads and writes besides the graph's inputs and outputs, and the batches it must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct LowerOptions<'a> {
    /// Byte offset of each parameter in the parameter memory, by [`ParamId`]. The gradient memory is laid out alike.
    pub params: &'a [u64],
    /// By [`ParamId`], is it stored as bfloat16? Those that are not listed are not.
    pub bf16: &'a [bool],
    /// Values that are added to the gradient memory at the place of a parameter; they have the parameter's axes.
    pub gradients: &'a [(ParamId, NodeId)],
    /// Values that are stored to parameter or state memory, in the order of their axes.
    pub stores: &'a [(NodeId, Storage)],
    /// Inputs that are read from parameter, gradient or state memory, by name; all others are brought by the host.
    pub memory: &'a [(String, Storage)],
    /// The largest batches: for each, the lengths of each sample. A buffer has room for any one of them.
    pub capacity: &'a [Vec<Vec<u64>>],
}

/// Lowers a graph. Outputs of the program are those of the graph, in the axis order of their nodes.
///
/// # Panics
/// Where the graph breaks its promises or the options do not fit it.
pub fn lower(graph: &Graph, options: &LowerOptions<'_>) -> Program {
    super::check(graph, "before lowering");
    let canonical = canonical::build(graph, options);
    super::check(&canonical.graph, "lower: canonical form");
    let targets = targets::choose(&canonical);
    let units = kernels::form(&canonical, &targets);
    let order = schedule::order(&canonical, &units, options);
    let emitted = emit::program(&canonical, &units, &order, options);
    memory::place(emitted, options.capacity)
}

/// What is written where when a value is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Destination {
    pub(crate) node: NodeId,
    /// Storage order at the destination.
    pub(crate) axes: Vec<mgx_ir::graph::AxisId>,
    pub(crate) storage: Storage,
    pub(crate) accumulate: bool,
    pub(crate) name: String,
}
