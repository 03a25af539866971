//! A plain program of a case: a backend can be tested with it before and apart from the compiler's lowering.
//!
//! Every value has its own place in the arena. Elementwise operations and moves are fused into their consumers or stored, and storage orders
//! are chosen, at random.

use std::collections::BTreeMap;

use mgx_ir::graph::{AxisId, BinaryOp, DType, Graph, NodeId, Op, ReduceOp, Type};
use mgx_ir::plan::{
    AttentionGradStep, AttentionStep, BatchRole, Buffer, BufferId, ContractStep, FusedInput, FusedNode, FusedStep, Program, ProgramInput,
    ReduceSpace, RoutedOuterStep, RoutedStep, ScatterStep, Step, StepKind, Storage, Store,
};
use mgx_ir::random::{Stream, derive_name};

use super::Case;

/// A program that computes the outputs of a case, and the byte offset of each parameter in the parameter memory; `None` where the case
/// holds an attention that no sample takes part in, for which there is no step.
pub fn plain_program(case: &Case, seed: u64) -> Option<(Program, Vec<u64>)> {
    let shared = |op: &Op| matches!(op, Op::Attention { .. } | Op::AttentionLse { .. } | Op::AttentionGrad { .. });
    if case.graph.nodes.iter().any(|node| shared(&node.op) && !node.ty.per_sample) {
        return None;
    }
    let mut planner = Planner::new(case, seed);
    for output in &case.graph.outputs {
        let ty = case.graph.ty(output.node);
        let own = planner.buffer_of(output.node);
        let fits = planner.buffer(own).ty == *ty && !matches!(planner.buffer(own).storage, Storage::Input | Storage::Param { .. });
        let buffer = if fits { own } else { planner.copy(output.node, &ty.axes, ty.per_sample) };
        planner.program.outputs.push(ProgramInput { name: output.name.clone(), buffer });
    }
    Some((planner.program, planner.offsets))
}

struct Planner<'a> {
    case: &'a Case,
    random: Stream,
    program: Program,
    /// The byte offset of each parameter.
    offsets: Vec<u64>,
    /// Where a node's value is, once it is stored.
    stored: BTreeMap<NodeId, BufferId>,
}

impl<'a> Planner<'a> {
    fn new(case: &'a Case, seed: u64) -> Self {
        let mut offsets = Vec::new();
        let mut end = 0;
        for param in &case.params {
            offsets.push(end);
            end += (param.len() as u64 * 4).next_multiple_of(64);
        }
        let program = Program { axes: case.graph.axes.clone(), ..Program::default() };
        Self { case, random: Stream::new(derive_name(seed, "plain program")), program, offsets, stored: BTreeMap::new() }
    }

    fn graph(&self) -> &'a Graph {
        &self.case.graph
    }

    fn buffer(&self, id: BufferId) -> &Buffer {
        &self.program.buffers[id.0 as usize]
    }

    fn add_buffer(&mut self, name: String, ty: Type, storage: Storage) -> BufferId {
        self.program.buffers.push(Buffer { name, ty, storage });
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    /// A place in the arena that is large enough for the case's batch.
    fn arena(&mut self, name: String, ty: Type) -> BufferId {
        let graph = self.graph();
        let size = |lengths: &[u64]| ty.axes.iter().map(|axis| graph.extent(*axis).eval(lengths)).product::<u64>();
        let elements: u64 = match ty.per_sample {
            true => self.case.batch.samples.iter().map(|sample| size(&sample.lengths)).sum(),
            false => size(&[]),
        };
        let (offset, bytes) = (self.program.arena_bytes, elements * 4);
        self.program.arena_bytes += bytes.next_multiple_of(64);
        self.add_buffer(name, ty, Storage::Arena { offset, bytes })
    }

    fn step(&mut self, kind: StepKind) {
        self.program.steps.push(Step { kind, spans: Vec::new() });
    }

    /// The lists in any order, each of them whole.
    fn any_order(&mut self, lists: &[&[AxisId]]) -> Vec<AxisId> {
        let mut lists = lists.to_vec();
        self.random.shuffle(&mut lists);
        lists.concat()
    }

    /// Where the value of a node is, after the steps that put it there.
    fn buffer_of(&mut self, id: NodeId) -> BufferId {
        if let Some(buffer) = self.stored.get(&id) {
            return *buffer;
        }
        let node = self.graph().node(id);
        let buffer = match &node.op {
            Op::Input { name } => self.input(name, &node.ty),
            Op::Param(param) => {
                let declared = &self.graph().params[param.0 as usize];
                let ty = Type { axes: declared.axes.clone(), ..node.ty.clone() };
                let offset = self.offsets[param.0 as usize];
                self.add_buffer(declared.path.clone(), ty, Storage::Param { offset })
            }
            Op::Reduce { over, batch, .. } => self.reduction(id, over, *batch),
            Op::Contract { over, batch } => self.contraction(id, over, *batch),
            Op::ScatterAdd { axis, over, batch } => self.scatter(id, *axis, over, *batch),
            Op::RoutedContract { over } => self.routed(id, over),
            Op::RoutedOuter { choice, of } => self.routed_outer(id, *choice, *of),
            Op::Attention { .. } | Op::AttentionLse { .. } | Op::AttentionGrad { .. } => self.attention(id),
            // The steps are in the order of the graph: what is waited for is there.
            Op::After => self.buffer_of(node.inputs[0]),
            _ => self.copy(id, &node.ty.axes, node.ty.per_sample),
        };
        self.stored.insert(id, buffer);
        buffer
    }

    fn input(&mut self, name: &str, ty: &Type) -> BufferId {
        if let Some(known) = self.program.inputs.iter().find(|input| input.name == name) {
            return known.buffer;
        }
        let buffer = self.add_buffer(name.to_owned(), ty.clone(), Storage::Input);
        self.program.inputs.push(ProgramInput { name: name.to_owned(), buffer });
        buffer
    }

    /// Stores a node's value in this order of axes, repeated for every sample where `per_sample` says so.
    fn copy(&mut self, id: NodeId, axes: &[AxisId], per_sample: bool) -> BufferId {
        let ty = Type { dtype: self.graph().ty(id).dtype, axes: axes.to_vec(), per_sample };
        let mut nodes = Vec::new();
        let mut result = self.emit(&mut nodes, id, true);
        if nodes[result as usize].ty.per_sample != per_sample {
            nodes.push(FusedNode { op: Some(Op::Broadcast), inputs: vec![FusedInput::Node(result)], ty: ty.clone() });
            result = nodes.len() as u32 - 1;
        }
        let buffer = self.arena(format!("node{}", id.0), ty);
        let mut outer = axes.to_vec();
        let split = self.random.below(axes.len() as u64 + 1) as usize;
        let inner = outer.split_off(split);
        let stores = vec![Store { node: result, buffer, accumulate: false }];
        self.step(StepKind::Fused(FusedStep { nodes, stores, per_sample, outer, inner, reduce: ReduceSpace::None }));
        buffer
    }

    /// Adds the computation of a node's value to a kernel: in the kernel where that can be, at random, or read from where it is stored.
    fn emit(&mut self, nodes: &mut Vec<FusedNode>, id: NodeId, inside: bool) -> u32 {
        let node = self.graph().node(id);
        if node.op == Op::After {
            return self.emit(nodes, node.inputs[0], inside);
        }
        let fusible = !matches!(
            node.op,
            Op::Input { .. }
                | Op::Param(_)
                | Op::Reduce { .. }
                | Op::Contract { .. }
                | Op::ScatterAdd { .. }
                | Op::RoutedContract { .. }
                | Op::RoutedOuter { .. }
                | Op::Attention { .. }
                | Op::AttentionLse { .. }
                | Op::AttentionGrad { .. }
        );
        let fuse = fusible && nodes.len() < 24 && (inside && !self.stored.contains_key(&id) || self.random.below(3) > 0);
        let made = if fuse {
            let inputs = node.inputs.iter().map(|input| FusedInput::Node(self.emit(nodes, *input, false))).collect();
            FusedNode { op: Some(node.op.clone()), inputs, ty: node.ty.clone() }
        } else {
            let buffer = self.buffer_of(id);
            FusedNode { op: None, inputs: vec![FusedInput::Buffer(buffer)], ty: node.ty.clone() }
        };
        nodes.push(made);
        nodes.len() as u32 - 1
    }

    /// A reduction by rows or by columns; over the batch, by columns.
    fn reduction(&mut self, id: NodeId, over: &[AxisId], batch: bool) -> BufferId {
        let node = self.graph().node(id);
        let x = self.graph().ty(node.inputs[0]);
        let mut nodes = Vec::new();
        let input = self.emit(&mut nodes, node.inputs[0], false);
        nodes.push(FusedNode { op: Some(node.op.clone()), inputs: vec![FusedInput::Node(input)], ty: node.ty.clone() });
        self.reduced(id, nodes, over.to_vec(), x.per_sample, batch)
    }

    /// Stores the last node, which reduces over `over`.
    fn reduced(&mut self, id: NodeId, nodes: Vec<FusedNode>, over: Vec<AxisId>, per_sample: bool, batch: bool) -> BufferId {
        let ty = self.graph().ty(id).clone();
        let rest = ty.axes.clone();
        let buffer = self.arena(format!("node{}", id.0), ty);
        let (outer, inner, reduce) = match batch || self.random.below(2) == 0 {
            true => (over, rest, ReduceSpace::Outer { batch }),
            false => (rest, over, ReduceSpace::Inner),
        };
        let stores = vec![Store { node: nodes.len() as u32 - 1, buffer, accumulate: false }];
        self.step(StepKind::Fused(FusedStep { nodes, stores, per_sample, outer, inner, reduce }));
        buffer
    }

    fn contraction(&mut self, id: NodeId, over: &[AxisId], batch: bool) -> BufferId {
        let graph = self.graph();
        let (mut x, mut y) = (graph.node(id).inputs[0], graph.node(id).inputs[1]);
        if !graph.ty(x).per_sample && graph.ty(y).per_sample {
            std::mem::swap(&mut x, &mut y);
        }
        let (tx, ty) = (graph.ty(x), graph.ty(y));
        let role = match (tx.per_sample, ty.per_sample, batch) {
            (false, ..) => BatchRole::None,
            (true, _, true) => BatchRole::Sum,
            (true, false, false) => BatchRole::Rows,
            (true, true, false) => BatchRole::Each,
        };
        let only = |axes: &[AxisId], kept: &dyn Fn(&AxisId) -> bool| axes.iter().copied().filter(|axis| kept(axis)).collect::<Vec<_>>();
        let k = over.to_vec();
        let group = only(&tx.axes, &|axis| ty.axes.contains(axis) && !over.contains(axis));
        let m = only(&tx.axes, &|axis| !ty.axes.contains(axis));
        let n = only(&ty.axes, &|axis| !tx.axes.contains(axis));
        let order = self.any_order(&[&group, &m, &k]);
        let lhs = self.copy(x, &order, tx.per_sample);
        let order = self.any_order(&[&group, &n, &k]);
        let rhs = self.copy(y, &order, ty.per_sample || role == BatchRole::Sum);
        let axes = self.any_order(&[&group, &m, &n]);
        let out = self.arena(format!("node{}", id.0), Type { axes, ..graph.ty(id).clone() });
        self.step(StepKind::Contract(ContractStep { lhs, rhs, out, m, n, k, group, batch: role, accumulate: false, windows: None }));
        out
    }

    /// A product whose rows choose their matrix.
    fn routed(&mut self, id: NodeId, over: &[AxisId]) -> BufferId {
        let node = self.graph().node(id);
        let (x, index) = (node.inputs[0], node.inputs[1]);
        let (tx, ti, tw) = (self.graph().ty(x).clone(), self.graph().ty(index).clone(), self.graph().ty(node.inputs[2]).clone());
        let (k, n): (Vec<AxisId>, Vec<AxisId>) = tw.axes.iter().copied().partition(|axis| over.contains(axis));
        let rows: Vec<AxisId> = tx.axes.iter().copied().filter(|axis| !over.contains(axis)).collect();
        let rest: Vec<AxisId> = ti.axes.iter().copied().filter(|axis| !rows.contains(axis)).collect();
        let order = [rows.as_slice(), &rest].concat();
        let per_sample = tx.per_sample || ti.per_sample;
        let matrices = node.inputs[2..].iter().map(|matrix| {
            let order = self.any_order(&[&[], &n, &k]);
            self.copy(*matrix, &order, false)
        });
        let matrices = matrices.collect();
        let index = self.copy(index, &order, per_sample);
        let x = self.copy(x, &[rows.as_slice(), &k].concat(), per_sample);
        let axes = [order.as_slice(), &n].concat();
        let out = self.arena(format!("node{}", id.0), Type { axes, ..node.ty.clone() });
        self.step(StepKind::Routed(RoutedStep { x, index, matrices, out, n, k }));
        out
    }

    /// The gradient of one matrix of such a product; both values with all rows.
    fn routed_outer(&mut self, id: NodeId, choice: u32, of: u32) -> BufferId {
        let node = self.graph().node(id);
        let rows = self.graph().ty(node.inputs[2]).axes.clone();
        let per_sample = node.inputs.iter().any(|input| self.graph().ty(*input).per_sample);
        let own = |input: NodeId| self.graph().ty(input).axes.iter().copied().filter(|axis| !rows.contains(axis)).collect::<Vec<_>>();
        let (m, n) = (own(node.inputs[0]), own(node.inputs[1]));
        let x = self.repeated(node.inputs[0], &[rows.as_slice(), &m].concat(), per_sample);
        let y = self.repeated(node.inputs[1], &[rows.as_slice(), &n].concat(), per_sample);
        let index = self.copy(node.inputs[2], &rows, per_sample);
        let axes = self.any_order(&[&[], &m, &n]);
        let out = self.arena(format!("node{}", id.0), Type { axes, ..node.ty.clone() });
        self.step(StepKind::RoutedOuter(RoutedOuterStep { x, y, index, out, m, n, choice, of, accumulate: false }));
        out
    }

    /// As [`Self::copy`], repeated along axes that the value lacks.
    fn repeated(&mut self, id: NodeId, axes: &[AxisId], per_sample: bool) -> BufferId {
        let ty = Type { dtype: self.graph().ty(id).dtype, axes: axes.to_vec(), per_sample };
        let mut nodes = Vec::new();
        let value = self.emit(&mut nodes, id, true);
        nodes.push(FusedNode { op: Some(Op::Broadcast), inputs: vec![FusedInput::Node(value)], ty: ty.clone() });
        let buffer = self.arena(format!("node{}", id.0), ty);
        let stores = vec![Store { node: nodes.len() as u32 - 1, buffer, accumulate: false }];
        let (outer, inner) = (axes.to_vec(), Vec::new());
        self.step(StepKind::Fused(FusedStep { nodes, stores, per_sample, outer, inner, reduce: ReduceSpace::None }));
        buffer
    }

    /// A scatter, or, where the index has axes that stay, a sum over the places that point at each row.
    fn scatter(&mut self, id: NodeId, axis: AxisId, over: &[AxisId], batch: bool) -> BufferId {
        let graph = self.graph();
        let node = graph.node(id);
        let (x, y) = (node.inputs[0], node.inputs[1]);
        let per_sample = graph.ty(x).per_sample || graph.ty(y).per_sample;
        if graph.ty(y).axes.len() == over.len() {
            let rest = graph.ty(x).axes.iter().copied().filter(|axis| !over.contains(axis));
            let order: Vec<AxisId> = over.iter().copied().chain(rest).collect();
            let updates = self.copy(x, &order, per_sample);
            let index = self.copy(y, over, per_sample);
            let axes = std::iter::once(axis).chain(order[over.len()..].iter().copied()).collect();
            let out = self.arena(format!("node{}", id.0), Type { axes, ..node.ty.clone() });
            let over = over.to_vec();
            self.step(StepKind::Scatter(ScatterStep { updates, index, out, axis, over, batch, accumulate: false }));
            return out;
        }
        let mut nodes = Vec::new();
        let x = self.emit(&mut nodes, x, false);
        let y = self.emit(&mut nodes, y, false);
        let ragged = graph.extent(axis).as_static().is_none();
        let full = |dtype| Type { dtype, axes: node.ty.axes.iter().chain(over).copied().collect(), per_sample };
        let mut push = |op: Op, inputs: &[u32], ty: Type| {
            nodes.push(FusedNode { op: Some(op), inputs: inputs.iter().map(|input| FusedInput::Node(*input)).collect(), ty });
            nodes.len() as u32 - 1
        };
        let rows = push(Op::Iota(axis), &[], Type { dtype: DType::I32, axes: vec![axis], per_sample: ragged });
        let rows = push(Op::Broadcast, &[rows], full(DType::I32));
        let here = push(Op::Binary(BinaryOp::Eq), &[y, rows], full(DType::Bool));
        let zero = push(Op::Const(0.0), &[], Type { dtype: DType::F32, axes: vec![], per_sample: false });
        let part = push(Op::Select, &[here, x, zero], full(DType::F32));
        push(Op::Reduce { op: ReduceOp::Sum, over: over.to_vec(), batch }, &[part], node.ty.clone());
        self.reduced(id, nodes, over.to_vec(), per_sample, batch)
    }

    /// The operands in the order that the steps of attention ask for: positions, heads, width.
    fn attention(&mut self, id: NodeId) -> BufferId {
        let graph = self.graph();
        let node = graph.node(id);
        let (query, key, dim, value, scale) = match node.op {
            Op::Attention { query, key, dim, value, scale } | Op::AttentionGrad { query, key, dim, value, scale, .. } => {
                (query, key, dim, value, scale)
            }
            Op::AttentionLse { query, key, dim, scale } => (query, key, dim, dim, scale),
            _ => unreachable!("called for attention alone"),
        };
        let q_axes = &graph.ty(node.inputs[0]).axes;
        let heads: Vec<AxisId> = q_axes.iter().copied().filter(|axis| *axis != query && *axis != dim).collect();
        let order = |position: AxisId, width: &[AxisId]| [&[position], &heads[..], width].concat();
        let q = self.copy(node.inputs[0], &order(query, &[dim]), true);
        let k = self.copy(node.inputs[1], &order(key, &[dim]), true);
        let v = match node.op {
            Op::AttentionLse { .. } => k,
            _ => self.copy(node.inputs[2], &order(key, &[value]), true),
        };
        let result = |planner: &mut Self, axes| planner.arena(format!("node{}", id.0), Type { axes, ..node.ty.clone() });
        if let Op::AttentionGrad { wrt, .. } = node.op {
            let out = self.copy(node.inputs[3], &order(query, &[value]), true);
            let lse = self.copy(node.inputs[4], &order(query, &[]), true);
            let dout = self.copy(node.inputs[5], &order(query, &[value]), true);
            let axes = self.buffer([q, k, v][usize::from(wrt)]).ty.axes.clone();
            let gradient = result(self, axes);
            let [dq, dk, dv] = [0, 1, 2].map(|input| (wrt == input).then_some(gradient));
            let step = AttentionGradStep { q, k, v, out, lse, dout, dq, dk, dv, query, key, heads, dim, value, scale };
            self.step(StepKind::AttentionGrad(step));
            return gradient;
        }
        let out = result(self, order(query, &[value]));
        let lse = matches!(node.op, Op::AttentionLse { .. }).then(|| result(self, order(query, &[])));
        self.step(StepKind::Attention(AttentionStep { q, k, v, out, lse, query, key, heads, dim, value, scale }));
        lse.unwrap_or(out)
    }
}
