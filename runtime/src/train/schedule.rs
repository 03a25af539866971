//! The learning rate of a step: the base rate times the factor of the schedule, which is a small graph of scalars.

use std::collections::BTreeMap;

use mgx_diag::Diagnostic;
use mgx_eval::eval_graph;
use mgx_ir::graph::{DType, Graph, NodeId, Op, verify};
use mgx_ir::plan::{Batch, InputData, TrainSpec};

use crate::memory::fault;

/// A schedule that is checked.
#[derive(Debug)]
pub(crate) struct Schedule {
    graph: Graph,
    factor: NodeId,
    base: f64,
    total_steps: u64,
}

const STEP: &str = "step";
const TOTAL: &str = "total_steps";

impl Schedule {
    /// `total_steps` is asked for only if the factor depends on it.
    ///
    /// # Errors
    /// E0941 if the graph is not one of scalars with the inputs `step` and `total_steps` and the output `factor`.
    pub fn new(spec: &TrainSpec, total_steps: impl FnOnce() -> u64) -> Result<Self, Diagnostic> {
        let graph = &spec.schedule;
        if let Some(problem) = verify(graph).first() {
            return Err(fault(format_args!("its schedule is malformed: {problem:?}")));
        }
        let factor = graph.output("factor").ok_or_else(|| fault("its schedule has no factor"))?;
        let known = |op: &Op| match op {
            Op::Input { name } => name == STEP || name == TOTAL,
            Op::Param(_) | Op::Random { .. } => false,
            _ => true,
        };
        if graph.nodes.iter().any(|node| !known(&node.op) || node.ty.per_sample) || !graph.ty(factor).axes.is_empty() {
            return Err(fault("its schedule is not a function of the step"));
        }
        let total_steps = if depends_on(graph, factor, TOTAL) { total_steps() } else { 0 };
        Ok(Self { graph: graph.clone(), factor, base: spec.learning_rate, total_steps })
    }

    /// The learning rate of a step (from 0).
    ///
    /// # Errors
    /// E0945 if it is not a finite number.
    pub fn learning_rate(&self, step: u64) -> Result<f64, Diagnostic> {
        let mut inputs = BTreeMap::new();
        for node in &self.graph.nodes {
            if let Op::Input { name } = &node.op {
                let value = if name == STEP { step } else { self.total_steps };
                let data = match node.ty.dtype {
                    DType::F32 => InputData::F32(vec![value as f32]),
                    DType::I32 | DType::Bool => InputData::I32(vec![i32::try_from(value).unwrap_or(i32::MAX)]),
                };
                inputs.insert(name.clone(), data);
            }
        }
        let values = eval_graph(&self.graph, &[], &Batch { samples: Vec::new(), inputs, random: 0 });
        let factor = values.get(self.factor).flatten().first().copied().unwrap_or(f64::NAN);
        let rate = self.base * factor;
        if rate.is_finite() {
            return Ok(rate);
        }
        let found = Diagnostic::error("E0945", format!("the learning rate of step {} is {rate}", step + 1))
            .note(format!("the schedule's factor is {factor} at step {step} of {}", self.total_steps))
            .help("correct the schedule: its factor must be finite for every step from 0");
        Err(match self.graph.node(self.factor).spans.first() {
            Some(span) => found.label(*span, "the factor"),
            None => found,
        })
    }
}

/// Does a node depend on an input?
fn depends_on(graph: &Graph, node: NodeId, input: &str) -> bool {
    let mut seen = vec![false; graph.nodes.len()];
    let mut open = vec![node];
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut seen[id.0 as usize], true) {
            continue;
        }
        let node = graph.node(id);
        if matches!(&node.op, Op::Input { name } if name == input) {
            return true;
        }
        open.extend(&node.inputs);
    }
    false
}

#[cfg(test)]
mod tests {
    use mgx_ir::graph::{BinaryOp, GraphBuilder};
    use mgx_ir::plan::Monitor;

    use super::*;

    fn spec(build: impl FnOnce(&mut GraphBuilder, NodeId, NodeId) -> NodeId) -> TrainSpec {
        let mut builder = GraphBuilder::new();
        let step = builder.input(STEP, DType::F32, &[], false);
        let total = builder.input(TOTAL, DType::F32, &[], false);
        let factor = build(&mut builder, step, total);
        builder.output("factor", factor);
        TrainSpec {
            epochs: Some(1),
            max_steps: None,
            learning_rate: 0.5,
            schedule: builder.finish(),
            clip_norm: None,
            accumulate: 1,
            shuffle: true,
            monitor: "valid_loss".into(),
            mode: Monitor::Min,
            early_stop: None,
            log_every: 1,
            checkpoint_every: None,
            log: Vec::new(),
            keep: 1,
            loss_span: None,
        }
    }

    #[test]
    fn the_factor_scales_the_base_rate() {
        let spec = spec(|builder, step, total| builder.binary(BinaryOp::Div, step, total));
        let schedule = Schedule::new(&spec, || 8).unwrap();
        assert_eq!((0..3).map(|step| schedule.learning_rate(step).unwrap()).collect::<Vec<_>>(), [0.0, 0.0625, 0.125]);
    }

    #[test]
    fn steps_are_counted_only_where_they_matter() {
        let spec = spec(|builder, step, _| builder.binary_const(BinaryOp::Add, step, 1.0));
        let schedule = Schedule::new(&spec, || panic!("nothing depends on it")).unwrap();
        assert_eq!(schedule.learning_rate(1).unwrap(), 1.0);
    }

    #[test]
    fn a_rate_that_is_not_finite_is_refused() {
        let spec = spec(|builder, step, _| {
            let zero = builder.constant(0.0);
            builder.binary(BinaryOp::Div, step, zero)
        });
        let schedule = Schedule::new(&spec, || 1).unwrap();
        assert_eq!(schedule.learning_rate(1).unwrap_err().code.0, "E0945");
    }
}
