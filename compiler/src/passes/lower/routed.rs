//! Products whose rows choose their matrix: rows first, in the order of the index, so that a row is one run of memory.

use mgx_ir::graph::{AxisId, NodeId, Op};

use super::canonical::Maker;
use super::layout::together;

/// The axes of x and of y that the index has not, for the inputs of [`Op::RoutedOuter`].
pub(super) fn own_axes(inputs: &[NodeId], layout: impl Fn(NodeId) -> Vec<AxisId>) -> [Vec<AxisId>; 2] {
    let rows = layout(inputs[2]);
    [inputs[0], inputs[1]].map(|id| without(layout(id), &rows))
}

impl Maker {
    /// Adds `Σ_over x · w_index`.
    pub(super) fn routed_contract(&mut self, inputs: &[NodeId], over: &[AxisId]) -> NodeId {
        let [mut x, mut index] = [inputs[0], inputs[1]];
        x = self.unrepeated(x, index);
        if self.ty(x).per_sample || self.ty(index).per_sample {
            (x, index) = (self.per_sample(x), self.per_sample(index));
        }
        let (k, n): (Vec<AxisId>, Vec<AxisId>) = self.layout(inputs[2]).into_iter().partition(|axis| over.contains(axis));
        let matrices: Vec<NodeId> = inputs[2..].iter().map(|matrix| self.matrix(*matrix, &n, &k)).collect();
        let rows = without(self.layout(x), over);
        let index = self.index(index, &rows);
        let x = self.operand(x, |axes| axes == [rows.as_slice(), &k].concat(), [rows.as_slice(), &k].concat());
        let order = [self.layout(index), n].concat();
        let id = self.add(Op::RoutedContract { over: k }, &[&[x, index], matrices.as_slice()].concat(), None);
        self.fix(id, order);
        id
    }

    /// Adds `Σ x · y` where the index is `choice`.
    pub(super) fn routed_outer(&mut self, inputs: &[NodeId], choice: u32, of: u32) -> NodeId {
        let [mut x, mut y, mut index] = [inputs[0], inputs[1], inputs[2]];
        (x, y) = (self.unrepeated(x, index), self.unrepeated(y, index));
        if inputs.iter().any(|input| self.ty(*input).per_sample) {
            (x, y, index) = (self.per_sample(x), self.per_sample(y), self.per_sample(index));
        }
        let all = self.layout(index);
        let rows = |maker: &Self, id: NodeId| maker.layout(id).into_iter().filter(|axis| all.contains(axis)).collect::<Vec<_>>();
        let mut x_rows = rows(self, x);
        let mut y_rows = rows(self, y);
        // Whichever has fewer of the index's axes stands first; where neither has all of the other's, both get all.
        if x_rows.iter().all(|axis| y_rows.contains(axis)) {
            y_rows = [x_rows.clone(), without(y_rows, &x_rows)].concat();
        } else if y_rows.iter().all(|axis| x_rows.contains(axis)) {
            x_rows = [y_rows.clone(), without(x_rows, &y_rows)].concat();
        } else {
            (x_rows, y_rows) = (all.clone(), all.clone());
        }
        let longest = if x_rows.len() > y_rows.len() { x_rows.clone() } else { y_rows.clone() };
        let index = self.index(index, &longest);
        let [x, y] = [(x, x_rows), (y, y_rows)].map(|(id, rows)| self.rows_first(id, &rows));
        let id = self.add(Op::RoutedOuter { choice, of }, &[x, y, index], None);
        if self.unfixed(id) {
            let order = own_axes(&[x, y, index], |id| self.layout(id)).concat();
            self.set_order(id, order);
        }
        id
    }

    /// What a value repeats along axes of the index, which need not be in memory so often.
    fn unrepeated(&mut self, id: NodeId, index: NodeId) -> NodeId {
        let node = self.graph().node(id).clone();
        match &node.op {
            Op::Broadcast => {
                let source = self.ty(node.inputs[0]);
                let gone = node.ty.axes.iter().filter(|axis| !source.axes.contains(axis));
                let same = source.per_sample == node.ty.per_sample || self.ty(index).per_sample;
                let spare = gone.into_iter().all(|axis| self.ty(index).axes.contains(axis));
                if same && spare { self.unrepeated(node.inputs[0], index) } else { id }
            }
            Op::Rename { pairs } => {
                let source = self.unrepeated(node.inputs[0], index);
                if source == node.inputs[0] || pairs.iter().any(|(_, to)| self.ty(index).axes.contains(to)) {
                    return id;
                }
                let pairs: Vec<_> = pairs.iter().copied().filter(|(from, _)| self.ty(source).axes.contains(from)).collect();
                if pairs.is_empty() { source } else { self.add(Op::Rename { pairs }, &[source], None) }
            }
            _ => id,
        }
    }

    /// The index in memory, beginning with these axes.
    fn index(&mut self, index: NodeId, first: &[AxisId]) -> NodeId {
        let wanted = [first.to_vec(), without(self.layout(index), first)].concat();
        self.operand(index, |axes| axes.starts_with(first), wanted)
    }

    /// A value in memory with these rows first, repeated along those that it lacks.
    fn rows_first(&mut self, id: NodeId, rows: &[AxisId]) -> NodeId {
        let own = without(self.layout(id), rows);
        let wanted = [rows.to_vec(), own].concat();
        let id = if wanted.len() > self.ty(id).axes.len() {
            let declared = mgx_ir::graph::Type { axes: wanted.clone(), ..self.ty(id).clone() };
            self.add(Op::Broadcast, &[id], Some(declared))
        } else {
            id
        };
        self.operand(id, |axes| axes.starts_with(rows), wanted)
    }

    /// A matrix in memory whose rows are one dimension and whose summed axes are another.
    fn matrix(&mut self, id: NodeId, n: &[AxisId], k: &[AxisId]) -> NodeId {
        self.operand(id, |axes| together(axes, n) && together(axes, k), [n, k].concat())
    }
}

fn without(axes: Vec<AxisId>, removed: &[AxisId]) -> Vec<AxisId> {
    axes.into_iter().filter(|axis| !removed.contains(axis)).collect()
}
