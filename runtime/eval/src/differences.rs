//! Gradients against finite differences, in f64.

use std::collections::BTreeMap;

use mgx_ir::graph::{Graph, NodeId};
use mgx_ir::plan::Batch;
use mgx_ir::random::Stream;

use crate::graph::{eval_graph, eval_graph_given};
use crate::tensor::Value;

/// How closely and where gradients are compared.
#[derive(Clone, Copy, Debug)]
pub struct DifferenceOptions {
    /// Elements of each value that are compared, chosen at random (all, where there are no more).
    pub probes: usize,
    pub seed: u64,
    /// The greatest error, relative to the greatest gradient of the value and at least to 1.
    pub tolerance: f64,
    /// How far an element is moved.
    pub step: f64,
}

impl Default for DifferenceOptions {
    fn default() -> Self {
        Self { probes: 4, seed: 0, tolerance: 1e-5, step: 1e-5 }
    }
}

/// What came of a comparison.
#[derive(Clone, Debug, Default)]
pub struct DifferenceReport {
    /// Elements compared.
    pub compared: usize,
    /// Elements where the loss has a kink, so that there is nothing to compare with.
    pub skipped: usize,
    /// One sentence for each element whose gradient is wrong.
    pub failures: Vec<String>,
}

/// Compares gradients that a graph computes with central differences of its loss.
///
/// `loss` is a scalar, summed over the samples where it is per sample. Each pair of `gradients` is a float value that stands before the
/// loss, and the node of its gradient (of the summed loss); `None` says that it is zero.
///
/// # Panics
/// Where the graph, the parameters and the batch do not fit each other.
pub fn check_gradient(
    graph: &Graph,
    loss: NodeId,
    gradients: &[(NodeId, Option<NodeId>)],
    params: &[Vec<f64>],
    batch: &Batch,
    options: DifferenceOptions,
) -> DifferenceReport {
    let values = eval_graph(graph, params, batch);
    let mut forward = graph.clone();
    forward.nodes.truncate(loss.0 as usize + 1);
    let mut random = Stream::new(options.seed);
    let mut report = DifferenceReport::default();
    for (node, gradient) in gradients {
        let computed = gradient.map(|gradient| aligned(values.get(gradient), values.get(*node)));
        let largest = computed.iter().flat_map(Value::flatten).fold(1.0_f64, |largest, element| largest.max(element.abs()));
        let value = values.get(*node);
        for (sample, element) in probes(value, options.probes, &mut random) {
            let moved = |by: f64| {
                let mut value = value.clone();
                value.tensors_mut()[sample].data[element] += by;
                let values = eval_graph_given(&forward, params, batch, &BTreeMap::from([(*node, value)]));
                values.get(loss).flatten().iter().sum::<f64>()
            };
            let found = computed.as_ref().map_or(0.0, |gradient| gradient.of_sample(sample).data[element]);
            match derivative(moved, options.step, largest) {
                None => report.skipped += 1,
                Some(expected) => {
                    report.compared += 1;
                    let close = (found - expected).abs() <= options.tolerance * largest;
                    if !close {
                        let place = format!("node {} ({}), sample {sample}, element {element}", node.0, graph.node(*node).op.name());
                        report.failures.push(format!("{place}: the gradient is {found}, the difference quotient {expected}"));
                    }
                }
            }
        }
    }
    report
}

/// A gradient in the storage order of the value that it is of.
fn aligned(gradient: &Value, of: &Value) -> Value {
    let tensors = gradient.tensors().iter().zip(of.tensors());
    let tensors = tensors.map(|(gradient, value)| gradient.permuted(&value.axes)).collect();
    match (gradient, of) {
        (Value::PerSample(_), Value::PerSample(_)) => Value::PerSample(tensors),
        (Value::Single(_), Value::Single(_)) => Value::Single(tensors.into_iter().next().unwrap_or_else(|| unreachable!("one tensor"))),
        _ => panic!("a value and its gradient differ in being per sample"),
    }
}

/// Elements at random, as (number of the tensor, number of the element).
fn probes(value: &Value, count: usize, random: &mut Stream) -> Vec<(usize, usize)> {
    let tensors = value.tensors().iter().enumerate();
    let mut all: Vec<(usize, usize)> = tensors.flat_map(|(sample, tensor)| (0..tensor.data.len()).map(move |at| (sample, at))).collect();
    random.shuffle(&mut all);
    all.truncate(count);
    all
}

/// The derivative at 0 by central differences, or `None` where the function has a kink: where the slopes to the two sides differ, and
/// differ as much for half the step.
fn derivative(function: impl Fn(f64) -> f64, step: f64, scale: f64) -> Option<f64> {
    let middle = function(0.0);
    let slopes = |step: f64| ((function(step) - middle) / step, (middle - function(-step)) / step);
    let (right, left) = slopes(step);
    let (near_right, near_left) = slopes(step / 2.0);
    let (bend, near_bend) = ((right - left).abs(), (near_right - near_left).abs());
    let central = (right + left) / 2.0;
    let near = (near_right + near_left) / 2.0;
    let kink = bend > 1e-5 * scale && near_bend > 0.75 * bend;
    let jump = (central - near).abs() > 1e-5 * scale;
    (!kink && !jump).then_some(central)
}
