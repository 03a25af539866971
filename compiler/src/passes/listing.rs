//! A program as text: one line for each step, and where each buffer is. For tests and for people; it does not round-trip.

use std::collections::BTreeSet;

use mgx_ir::graph::{AxisId, Op, Window};
use mgx_ir::plan::{BatchRole, BufferId, FusedInput, FusedStep, Program, ReduceSpace, StepKind, Storage};

/// The steps of a program, one a line: what they read, and after `->` what they write. `+=` adds to what is there.
pub fn list_program(program: &Program) -> String {
    let lister = Lister { program };
    let steps = program.steps.iter().map(|step| lister.step(&step.kind) + "\n");
    let outputs = program.outputs.iter().map(|output| format!("output {} = {}\n", output.name, lister.buffer(output.buffer)));
    steps.chain(outputs).collect()
}

struct Lister<'a> {
    program: &'a Program,
}

impl Lister<'_> {
    fn axes(&self, axes: &[AxisId]) -> String {
        let names: Vec<&str> = axes.iter().map(|axis| self.program.axes[axis.0 as usize].name.as_str()).collect();
        format!("[{}]", names.join(" "))
    }

    /// Its name and axes; the memory it is in, unless that is the arena.
    fn buffer(&self, id: BufferId) -> String {
        let buffer = &self.program.buffers[id.0 as usize];
        let storage = |storage: &Storage| match storage {
            Storage::Param { .. } => "param ",
            Storage::ParamBf16 { .. } => "bf16 param ",
            Storage::Gradient { .. } => "gradient ",
            Storage::State { .. } => "state ",
            Storage::Input => "input ",
            Storage::Arena { .. } | Storage::Alias(_) => "",
        };
        let place = match &buffer.storage {
            Storage::Alias(root) => format!("{}view of ", storage(&self.program.buffers[root.0 as usize].storage)),
            other => storage(other).to_owned(),
        };
        format!("{place}`{}`{}", buffer.name, self.axes(&buffer.ty.axes))
    }

    fn buffers(&self, ids: impl IntoIterator<Item = BufferId>) -> String {
        ids.into_iter().map(|id| self.buffer(id)).collect::<Vec<_>>().join(", ")
    }

    fn step(&self, step: &StepKind) -> String {
        let arrow = |accumulate: bool| if accumulate { "-> +=" } else { "->" };
        match step {
            StepKind::Fused(step) => self.fused(step),
            StepKind::Contract(step) => {
                let batch = match step.batch {
                    BatchRole::None => "once",
                    BatchRole::Rows => "rows",
                    BatchRole::Each => "each",
                    BatchRole::Sum => "sum",
                };
                let [m, n, k, group] = [&step.m, &step.n, &step.k, &step.group].map(|axes| self.axes(axes));
                let operands = self.buffers([step.lhs, step.rhs]);
                let windows = step.windows.map_or(String::new(), |windows| {
                    let Window { stride, dilation, before, .. } = windows.window;
                    format!(" of windows every {stride}, taps {dilation} apart from -{before}")
                });
                format!(
                    "contract {batch} m {m} n {n} k {k} group {group}{windows}: {operands} {} {}",
                    arrow(step.accumulate),
                    self.buffer(step.out)
                )
            }
            StepKind::Attention(step) => {
                let results = self.buffers([step.out].into_iter().chain(step.lse));
                format!("attention: {} -> {results}", self.buffers([step.q, step.k, step.v]))
            }
            StepKind::AttentionGrad(step) => {
                let results = self.buffers([step.dq, step.dk, step.dv].into_iter().flatten());
                format!("attention_grad: {} -> {results}", self.buffers([step.q, step.k, step.v, step.out, step.lse, step.dout]))
            }
            StepKind::Routed(step) => {
                let (operands, matrices) = (self.buffers([step.x, step.index]), self.buffers(step.matrices.iter().copied()));
                let [n, k] = [&step.n, &step.k].map(|axes| self.axes(axes));
                format!("routed n {n} k {k}: {operands} by {matrices} -> {}", self.buffer(step.out))
            }
            StepKind::RoutedOuter(step) => {
                let operands = self.buffers([step.x, step.y, step.index]);
                let [m, n] = [&step.m, &step.n].map(|axes| self.axes(axes));
                let choice = step.choice;
                format!("routed_outer {choice} m {m} n {n}: {operands} {} {}", arrow(step.accumulate), self.buffer(step.out))
            }
            StepKind::Scatter(step) => {
                let operands = self.buffers([step.updates, step.index]);
                format!("scatter: {operands} {} {}", arrow(step.accumulate), self.buffer(step.out))
            }
        }
    }

    fn fused(&self, step: &FusedStep) -> String {
        let space = match step.reduce {
            ReduceSpace::None => format!("elements {}", self.axes(&[step.outer.as_slice(), &step.inner].concat())),
            ReduceSpace::Inner => format!("rows {} over {}", self.axes(&step.outer), self.axes(&step.inner)),
            ReduceSpace::Outer { batch } => {
                let samples = if batch { " and samples" } else { "" };
                format!("columns {} over {}{samples}", self.axes(&step.inner), self.axes(&step.outer))
            }
        };
        let each = if step.per_sample { " each" } else { "" };
        let reads: BTreeSet<BufferId> = step
            .nodes
            .iter()
            .flat_map(|node| &node.inputs)
            .filter_map(|input| match input {
                FusedInput::Buffer(id) => Some(*id),
                FusedInput::Node(_) => None,
            })
            .collect();
        let operations: Vec<&str> =
            step.nodes.iter().filter_map(|node| node.op.as_ref()).filter(|op| !matches!(op, Op::Const(_))).map(Op::name).collect();
        let stores: Vec<String> =
            step.stores.iter().map(|store| format!("{}{}", if store.accumulate { "+=" } else { "" }, self.buffer(store.buffer))).collect();
        format!("fused {space}{each}: {} ({}) -> {}", self.buffers(reads), operations.join(" "), stores.join(", "))
    }
}
