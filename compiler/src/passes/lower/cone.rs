//! What a kernel must compute for one kept value: the operations between it and values in memory, and what it reads.

use std::collections::{BTreeMap, BTreeSet};

use mgx_ir::graph::{AxisId, NodeId, Op};

use super::canonical::Canonical;
use super::targets::Targets;

/// The loops a kernel runs: as `FusedStep` describes them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Elements,
    /// Reductions over `over`, rows.
    Rows {
        over: BTreeSet<AxisId>,
    },
    /// Reductions over `over` (and the samples), columns.
    Columns {
        over: BTreeSet<AxisId>,
        batch: bool,
    },
}

/// The iteration space of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Space {
    pub(crate) kind: Kind,
    /// All axes, outermost first.
    pub(crate) axes: Vec<AxisId>,
    pub(crate) per_sample: bool,
}

impl Space {
    /// The space as a set of axes.
    pub(crate) fn set(&self) -> BTreeSet<AxisId> {
        self.axes.iter().copied().collect()
    }

    /// The axes that reductions leave.
    pub(crate) fn left(&self) -> BTreeSet<AxisId> {
        let set = self.set();
        match &self.kind {
            Kind::Elements => set,
            Kind::Rows { over } | Kind::Columns { over, .. } => &set - over,
        }
    }
}

/// A kept value on its own.
#[derive(Clone, Debug)]
pub(crate) struct Cone {
    pub(crate) space: Space,
    /// Operations to compute, the value's own included (none where the value is in memory and only stored elsewhere).
    pub(crate) computed: BTreeSet<NodeId>,
    /// Values read from memory (or from a kept value's register after a merge): is each read only at the element being computed?
    pub(crate) reads: BTreeMap<NodeId, bool>,
}

/// The cone of a kept value, or of a value in memory that is stored elsewhere.
pub(crate) fn of(canonical: &Canonical, targets: &Targets, target: NodeId) -> Cone {
    let space = space(canonical, target);
    if !targets.kept.contains(&target) {
        return Cone { space, computed: BTreeSet::new(), reads: BTreeMap::from([(target, true)]) };
    }
    let mut walk = Walk { canonical, targets, computed: BTreeSet::new(), reads: BTreeMap::new(), seen: BTreeSet::new() };
    let all: Vec<AxisId> = space.axes.clone();
    walk.compute(target, &all);
    Cone { space, computed: walk.computed, reads: walk.reads }
}

/// The space a value is computed in: its own axes, or those of what is reduced.
fn space(canonical: &Canonical, target: NodeId) -> Space {
    let node = canonical.graph.node(target);
    let Some((over, batch)) = reduction(canonical, target) else {
        return Space { kind: Kind::Elements, axes: canonical.layout(target), per_sample: node.ty.per_sample };
    };
    let axes = canonical.layout(node.inputs[0]);
    let per_sample = canonical.graph.ty(node.inputs[0]).per_sample;
    let set: BTreeSet<AxisId> = over.iter().copied().collect();
    // A row is contiguous where the innermost axis is summed. Without samples a single row would run on one core.
    let contiguous = axes.last().is_some_and(|axis| set.contains(axis));
    let one_row = !per_sample && set.len() == axes.len();
    let kind = if *batch || !contiguous || one_row { Kind::Columns { over: set, batch: *batch } } else { Kind::Rows { over: set } };
    Space { kind, axes, per_sample }
}

/// The axes (and samples) of a reduction that needs a space of its own.
fn reduction(canonical: &Canonical, id: NodeId) -> Option<(&Vec<AxisId>, &bool)> {
    match &canonical.graph.node(id).op {
        Op::Reduce { over, batch, .. } if !canonical.is_short(id) => Some((over, batch)),
        _ => None,
    }
}

struct Walk<'a> {
    canonical: &'a Canonical,
    targets: &'a Targets,
    computed: BTreeSet<NodeId>,
    reads: BTreeMap<NodeId, bool>,
    seen: BTreeSet<(NodeId, Vec<AxisId>)>,
}

impl Walk<'_> {
    /// Visits an operation that is computed; `straight` are the axes along which it is needed at the element being computed.
    fn compute(&mut self, id: NodeId, straight: &[AxisId]) {
        if !self.seen.insert((id, straight.to_vec())) {
            return;
        }
        self.computed.insert(id);
        let node = self.canonical.graph.node(id);
        for (place, input) in node.inputs.iter().enumerate() {
            let axes = self.canonical.graph.ty(*input).axes.clone();
            let straight = passed(&node.op, place, &axes, straight);
            if self.targets.base(self.canonical, *input).is_some() {
                let whole = axes.iter().all(|axis| straight.contains(axis));
                *self.reads.entry(*input).or_insert(true) &= whole;
            } else {
                self.compute(*input, &straight);
            }
        }
    }
}

/// The axes of input `place` along which it is read at the same position as the result is computed.
fn passed(op: &Op, place: usize, input: &[AxisId], straight: &[AxisId]) -> Vec<AxisId> {
    let moved: &[AxisId] = match op {
        Op::Rename { pairs } => {
            let to: Vec<AxisId> = pairs.iter().flat_map(|(from, to)| [*from, *to]).collect();
            return input.iter().copied().filter(|axis| straight.contains(axis) && !to.contains(axis)).collect();
        }
        Op::Split { axis, .. } | Op::Slice { axis, .. } | Op::Pad { axis, .. } | Op::Window { axis, .. } => &[*axis],
        Op::Merge { axes, .. } => axes,
        Op::Concat { axes, .. } => &[axes[place]],
        Op::Fold { into, tap, .. } => &[*into, *tap],
        Op::Gather { axis } if place == 0 => &[*axis],
        _ => &[],
    };
    input.iter().copied().filter(|axis| straight.contains(axis) && !moved.contains(axis)).collect()
}
