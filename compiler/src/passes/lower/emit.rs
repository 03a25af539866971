//! The steps and buffers of a program as plain data; arena buffers have no place yet.

use std::collections::{BTreeMap, BTreeSet};

use mgx_diag::Span;
use mgx_ir::graph::{AxisId, NodeId, Op, Type};
use mgx_ir::plan::{
    AttentionGradStep, AttentionStep, Buffer, BufferId, ContractStep, FusedInput, FusedNode, FusedStep, Program, ProgramInput, ReduceSpace,
    RoutedOuterStep, RoutedStep, ScatterStep, Step, StepKind, Storage, Store,
};

use super::canonical::Canonical;
use super::cone::Kind;
use super::kernels::{Kernel, Units};
use super::schedule::source_storage;
use super::units::Work;
use super::{Destination, LowerOptions};

/// Emits the steps in order.
pub(crate) fn program(canonical: &Canonical, units: &Units, order: &[usize], options: &LowerOptions<'_>) -> Program {
    let mut needed: BTreeSet<NodeId> = BTreeSet::new();
    for unit in &units.units {
        needed.extend(units.bases(canonical, unit));
    }
    needed.extend(canonical.outputs.iter().filter_map(|(_, node)| units.targets.base(canonical, *node)));
    let program = Program { axes: canonical.graph.axes.clone(), ..Program::default() };
    let mut emitter = Emitter { canonical, units, options, needed, program, buffers: BTreeMap::new() };
    for at in order {
        emitter.unit(&units.units[*at].work);
    }
    for (name, node) in &canonical.outputs {
        let buffer = emitter.buffer(*node);
        emitter.program.outputs.push(ProgramInput { name: name.clone(), buffer });
    }
    emitter.program
}

struct Emitter<'a> {
    canonical: &'a Canonical,
    units: &'a Units,
    options: &'a LowerOptions<'a>,
    /// Values that are read from memory.
    needed: BTreeSet<NodeId>,
    program: Program,
    buffers: BTreeMap<NodeId, BufferId>,
}

impl Emitter<'_> {
    fn add_buffer(&mut self, buffer: Buffer) -> BufferId {
        self.program.buffers.push(buffer);
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    /// The buffer a value is in, or the alias by which it can be read from there.
    fn buffer(&mut self, id: NodeId) -> BufferId {
        if let Some(found) = self.buffers.get(&id) {
            return *found;
        }
        let canonical = self.canonical;
        let base = self.units.targets.base(canonical, id).expect("what a step reads is in memory");
        let storage = if base != id {
            Storage::Alias(self.buffer(base))
        } else {
            source_storage(canonical, id, self.options).unwrap_or(Storage::Arena { offset: 0, bytes: 0 })
        };
        let node = canonical.graph.node(id);
        let name = match (&node.path, &node.op) {
            (_, Op::Param(param)) => canonical.graph.params[param.0 as usize].path.clone(),
            (_, Op::Input { name }) => name.clone(),
            (Some(path), _) => path.clone(),
            (None, op) => format!("%{} {}", id.0, op.name()),
        };
        let ty = Type { axes: canonical.layout(id), ..node.ty.clone() };
        let buffer = self.add_buffer(Buffer { name, ty, storage });
        self.buffers.insert(id, buffer);
        if storage == Storage::Input
            && let Op::Input { name } = &node.op
        {
            self.program.inputs.push(ProgramInput { name: name.clone(), buffer });
        }
        buffer
    }

    /// Where a step of its own puts its result: its own buffer, or another memory.
    fn result(&mut self, id: NodeId) -> (BufferId, bool) {
        match self.canonical.direct.get(&id) {
            Some(destination) => (self.destination(destination), destination.accumulate),
            None => (self.buffer(id), false),
        }
    }

    fn destination(&mut self, destination: &Destination) -> BufferId {
        let ty = Type { axes: destination.axes.clone(), ..self.canonical.graph.ty(destination.node).clone() };
        self.add_buffer(Buffer { name: destination.name.clone(), ty, storage: destination.storage })
    }

    fn step(&mut self, kind: StepKind, spans: Vec<Span>) {
        self.program.steps.push(Step { kind, spans });
    }

    fn unit(&mut self, work: &Work) {
        let graph = &self.canonical.graph;
        match work {
            Work::Kernel(kernel) => self.kernel(kernel),
            Work::Contract(id) => {
                let node = graph.node(*id);
                let product = self.canonical.products[id].clone();
                let [lhs, rhs] = product.operands.map(|operand| self.buffer(operand));
                let (out, accumulate) = self.result(*id);
                let step = ContractStep {
                    lhs,
                    rhs,
                    out,
                    m: product.m,
                    n: product.n,
                    k: product.k,
                    group: product.group,
                    batch: product.batch,
                    accumulate,
                    windows: product.windows,
                };
                self.step(StepKind::Contract(step), node.spans.clone());
            }
            Work::Scatter(id) => {
                let node = graph.node(*id);
                let Op::ScatterAdd { axis, over, batch } = &node.op else { unreachable!("a scatter unit holds a scatter") };
                let [updates, index] = [self.buffer(node.inputs[0]), self.buffer(node.inputs[1])];
                let (out, accumulate) = self.result(*id);
                let step = ScatterStep { updates, index, out, axis: *axis, over: over.clone(), batch: *batch, accumulate };
                self.step(StepKind::Scatter(step), node.spans.clone());
            }
            Work::Routed(id) => self.routed(*id),
            Work::RoutedOuter(id) => self.routed_outer(*id),
            Work::Attention(id, lse) => self.attention(*id, *lse),
            Work::AttentionGrad(wanted) => self.attention_grad(wanted),
        }
    }

    fn routed(&mut self, id: NodeId) {
        let node = self.canonical.graph.node(id);
        let Op::RoutedContract { over } = &node.op else { unreachable!("a routed unit holds a routed contraction") };
        let (k, n) = self.canonical.layout(node.inputs[2]).into_iter().partition(|axis| over.contains(axis));
        let [x, index] = [0, 1].map(|place| self.buffer(node.inputs[place]));
        let matrices = node.inputs[2..].iter().map(|matrix| self.buffer(*matrix)).collect();
        let out = self.buffer(id);
        self.step(StepKind::Routed(RoutedStep { x, index, matrices, out, n, k }), node.spans.clone());
    }

    fn routed_outer(&mut self, id: NodeId) {
        let node = self.canonical.graph.node(id);
        let Op::RoutedOuter { choice, of } = node.op else { unreachable!("the unit holds the gradient of a routed contraction") };
        let [m, n] = super::routed::own_axes(&node.inputs, |id| self.canonical.layout(id));
        let [x, y, index] = [0, 1, 2].map(|place| self.buffer(node.inputs[place]));
        let (out, accumulate) = self.result(id);
        self.step(StepKind::RoutedOuter(RoutedOuterStep { x, y, index, out, m, n, choice, of, accumulate }), node.spans.clone());
    }

    fn attention(&mut self, id: NodeId, lse: Option<NodeId>) {
        let node = self.canonical.graph.node(id);
        let Op::Attention { query, key, dim, value, scale } = node.op else { unreachable!("an attention unit holds an attention") };
        let [q, k, v] = [0, 1, 2].map(|place| self.buffer(node.inputs[place]));
        let out = self.buffer(id);
        let lse = lse.filter(|lse| self.needed.contains(lse)).map(|lse| self.buffer(lse));
        let heads = self.heads(node.inputs[0], query, dim);
        let step = AttentionStep { q, k, v, out, lse, query, key, heads, dim, value, scale };
        self.step(StepKind::Attention(step), node.spans.clone());
    }

    fn attention_grad(&mut self, wanted: &[Option<NodeId>; 3]) {
        let Some(id) = wanted.iter().flatten().next() else { return };
        let node = self.canonical.graph.node(*id);
        let Op::AttentionGrad { query, key, dim, value, scale, .. } = node.op else {
            unreachable!("the unit holds gradients of an attention")
        };
        let [q, k, v, out, lse, dout] = [0, 1, 2, 3, 4, 5].map(|place| self.buffer(node.inputs[place]));
        let [dq, dk, dv] = wanted.map(|wanted| wanted.map(|id| self.buffer(id)));
        let heads = self.heads(node.inputs[0], query, dim);
        let step = AttentionGradStep { q, k, v, out, lse, dout, dq, dk, dv, query, key, heads, dim, value, scale };
        self.step(StepKind::AttentionGrad(step), node.spans.clone());
    }

    fn heads(&self, q: NodeId, query: AxisId, dim: AxisId) -> Vec<AxisId> {
        self.canonical.layout(q).into_iter().filter(|axis| *axis != query && *axis != dim).collect()
    }

    fn kernel(&mut self, kernel: &Kernel) {
        let graph = &self.canonical.graph;
        let mut index: BTreeMap<NodeId, u32> = BTreeMap::new();
        let mut nodes = Vec::new();
        let mut spans: Vec<Span> = Vec::new();
        let all: BTreeSet<NodeId> = kernel.computed.iter().chain(kernel.reads.keys()).copied().collect();
        for id in all {
            index.insert(id, nodes.len() as u32);
            let node = graph.node(id);
            if kernel.computed.contains(&id) {
                let inputs = node.inputs.iter().map(|input| FusedInput::Node(index[input])).collect();
                nodes.push(FusedNode { op: Some(node.op.clone()), inputs, ty: node.ty.clone() });
                spans.extend(node.spans.iter().filter(|span| !spans.contains(span)).copied().collect::<Vec<_>>());
            } else {
                let buffer = self.buffer(id);
                let ty = self.program.buffers[buffer.0 as usize].ty.clone();
                nodes.push(FusedNode { op: None, inputs: vec![FusedInput::Buffer(buffer)], ty });
            }
        }
        let stores = self.stores(kernel, &index);
        let (reduce, over) = match &kernel.space.kind {
            Kind::Elements => (ReduceSpace::None, BTreeSet::new()),
            Kind::Rows { over } => (ReduceSpace::Inner, over.clone()),
            Kind::Columns { over, batch } => (ReduceSpace::Outer { batch: *batch }, over.clone()),
        };
        let (summed, left): (Vec<AxisId>, Vec<AxisId>) = kernel.space.axes.iter().copied().partition(|axis| over.contains(axis));
        let (outer, inner) = if matches!(reduce, ReduceSpace::Outer { .. }) { (summed, left) } else { (left, summed) };
        if stores.is_empty() {
            // What is only waited for, and read by nobody.
            return;
        }
        let step = FusedStep { nodes, stores, per_sample: kernel.space.per_sample, outer, inner, reduce };
        self.step(StepKind::Fused(step), spans);
    }

    fn stores(&mut self, kernel: &Kernel, index: &BTreeMap<NodeId, u32>) -> Vec<Store> {
        let canonical = self.canonical;
        let mut stores = Vec::new();
        for target in &kernel.targets {
            let node = index[target];
            if kernel.computed.contains(target) && self.needed.contains(target) {
                stores.push(Store { node, buffer: self.buffer(*target), accumulate: false });
            }
            for destination in canonical.destinations.iter().filter(|destination| destination.node == *target) {
                stores.push(Store { node, buffer: self.destination(destination), accumulate: destination.accumulate });
            }
        }
        stores
    }
}
