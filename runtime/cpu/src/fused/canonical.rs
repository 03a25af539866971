//! The canonical form of a fused step: its axes, buffers and random sites renumbered in the order of their first use.
//!
//! Steps that differ only in which buffers they touch (the layers of a network) have equal forms and share one compiled kernel.

use std::collections::HashMap;

use mgx_diag::Diagnostic;
use mgx_ir::graph::{AxisId, Extent, Op, Type};
use mgx_ir::plan::{BufferId, FusedInput, FusedNode, FusedStep, Program, Store};

use crate::shapes;

/// A step in its own numbers.
#[derive(Clone, Debug)]
pub(crate) struct Canonical {
    pub step: FusedStep,
    /// Extents by axis.
    pub axes: Vec<Extent>,
    /// Types by buffer.
    pub buffers: Vec<Type>,
    /// By buffer, is it stored as bfloat16?
    pub bf16: Vec<bool>,
}

/// What the numbers of a canonical step are in its program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Binding {
    pub buffers: Vec<BufferId>,
    /// Sites of random numbers, and whether each is per sample.
    pub sites: Vec<(u32, bool)>,
}

impl Canonical {
    /// Equal keys have the same kernel.
    pub fn key(&self) -> String {
        format!("{self:?}")
    }

    /// The extent of an axis.
    pub fn extent(&self, axis: AxisId) -> &Extent {
        &self.axes[axis.0 as usize]
    }
}

/// Renumbers a step.
pub(crate) fn canonical(program: &Program, step: &FusedStep) -> Result<(Canonical, Binding), Diagnostic> {
    let mut renumber = Renumber { program, axis_ids: HashMap::new(), axes: Vec::new(), buffers: Vec::new(), binding: Binding::default() };
    let outer = renumber.axes(&step.outer)?;
    let inner = renumber.axes(&step.inner)?;
    let mut nodes: Vec<FusedNode> = Vec::with_capacity(step.nodes.len());
    for (number, node) in step.nodes.iter().enumerate() {
        let per_sample = node.ty.per_sample;
        let op = node.op.as_ref().map(|op| renumber.op(op, per_sample)).transpose()?;
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for input in &node.inputs {
            inputs.push(match input {
                FusedInput::Node(other) if *other as usize >= number => {
                    return Err(shapes::malformed(format!("node {number} of a fused step reads node {other}")));
                }
                FusedInput::Node(other) => FusedInput::Node(*other),
                FusedInput::Buffer(buffer) => FusedInput::Buffer(renumber.buffer(*buffer)?),
            });
        }
        nodes.push(FusedNode { op, inputs, ty: renumber.ty(&node.ty)? });
    }
    let mut stores = Vec::with_capacity(step.stores.len());
    for store in &step.stores {
        if store.node as usize >= nodes.len() {
            return Err(shapes::malformed(format!("a store is of node {}, which does not exist", store.node)));
        }
        stores.push(Store { buffer: renumber.buffer(store.buffer)?, ..store.clone() });
    }
    let step = FusedStep { nodes, stores, per_sample: step.per_sample, outer, inner, reduce: step.reduce };
    let bf16 = renumber.binding.buffers.iter().map(|buffer| shapes::is_bf16(program, *buffer)).collect();
    Ok((Canonical { step, axes: renumber.axes, buffers: renumber.buffers, bf16 }, renumber.binding))
}

struct Renumber<'a> {
    program: &'a Program,
    axis_ids: HashMap<AxisId, AxisId>,
    axes: Vec<Extent>,
    buffers: Vec<Type>,
    binding: Binding,
}

impl Renumber<'_> {
    fn axis(&mut self, axis: AxisId) -> Result<AxisId, Diagnostic> {
        if let Some(id) = self.axis_ids.get(&axis) {
            return Ok(*id);
        }
        let extent = shapes::extent(self.program, axis)?.clone();
        let id = AxisId(self.axes.len() as u32);
        self.axes.push(extent);
        self.axis_ids.insert(axis, id);
        Ok(id)
    }

    fn axes(&mut self, axes: &[AxisId]) -> Result<Vec<AxisId>, Diagnostic> {
        axes.iter().map(|axis| self.axis(*axis)).collect()
    }

    fn ty(&mut self, ty: &Type) -> Result<Type, Diagnostic> {
        Ok(Type { axes: self.axes(&ty.axes)?, ..ty.clone() })
    }

    fn buffer(&mut self, buffer: BufferId) -> Result<BufferId, Diagnostic> {
        if let Some(at) = self.binding.buffers.iter().position(|other| *other == buffer) {
            return Ok(BufferId(at as u32));
        }
        let Some(found) = self.program.buffers.get(buffer.0 as usize) else {
            return Err(shapes::malformed(format!("there is no buffer {}", buffer.0)));
        };
        let ty = self.ty(&found.ty)?;
        self.buffers.push(ty);
        self.binding.buffers.push(buffer);
        Ok(BufferId(self.buffers.len() as u32 - 1))
    }

    fn op(&mut self, op: &Op, per_sample: bool) -> Result<Op, Diagnostic> {
        Ok(match op {
            Op::Const(_) | Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast | Op::Broadcast | Op::Permute => op.clone(),
            Op::Iota(axis) => Op::Iota(self.axis(*axis)?),
            Op::Random { site } => {
                self.binding.sites.push((*site, per_sample));
                Op::Random { site: self.binding.sites.len() as u32 - 1 }
            }
            Op::Reduce { op, over, batch } => Op::Reduce { op: *op, over: self.axes(over)?, batch: *batch },
            Op::Rename { pairs } => {
                let renamed = pairs.iter().map(|(from, to)| Ok((self.axis(*from)?, self.axis(*to)?)));
                Op::Rename { pairs: renamed.collect::<Result<_, Diagnostic>>()? }
            }
            Op::Split { axis, into } => Op::Split { axis: self.axis(*axis)?, into: self.axes(into)? },
            Op::Merge { axes, into } => Op::Merge { axes: self.axes(axes)?, into: self.axis(*into)? },
            Op::Slice { axis, into, start, step } => {
                Op::Slice { axis: self.axis(*axis)?, into: self.axis(*into)?, start: start.clone(), step: *step }
            }
            Op::Pad { axis, into, before, fill } => {
                Op::Pad { axis: self.axis(*axis)?, into: self.axis(*into)?, before: before.clone(), fill: *fill }
            }
            Op::Concat { axes, into } => Op::Concat { axes: self.axes(axes)?, into: self.axis(*into)? },
            Op::Window { axis, into, tap, window } => {
                Op::Window { axis: self.axis(*axis)?, into: self.axis(*into)?, tap: self.axis(*tap)?, window: *window }
            }
            Op::Fold { into, tap, axis, window } => {
                Op::Fold { into: self.axis(*into)?, tap: self.axis(*tap)?, axis: self.axis(*axis)?, window: *window }
            }
            Op::Gather { axis } => Op::Gather { axis: self.axis(*axis)? },
            Op::Input { .. }
            | Op::Param(_)
            | Op::Contract { .. }
            | Op::ScatterAdd { .. }
            | Op::RoutedContract { .. }
            | Op::RoutedOuter { .. }
            | Op::Attention { .. }
            | Op::AttentionLse { .. }
            | Op::AttentionGrad { .. }
            | Op::After => return Err(shapes::malformed(format!("a fused step holds {}", op.name()))),
        })
    }
}
