//! Evaluation of a graph: every node, in order, for a whole batch, in f64.

use std::collections::BTreeMap;

use mgx_ir::graph::{Graph, NodeId, Op, Type};
use mgx_ir::plan::{Batch, InputData};

use crate::scope::BatchScope;
use crate::tensor::{Tensor, Value};

/// The values of all nodes of a graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(Vec<Value>);

impl Values {
    /// The value of a node.
    ///
    /// # Panics
    /// Where the graph had no such node.
    pub fn get(&self, node: NodeId) -> &Value {
        &self.0[node.0 as usize]
    }

    /// How many nodes have a value: the first ones of the graph.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets the values of all but the first `count` nodes.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }
}

/// Evaluates every node of a graph in f64 (I32 and Bool exactly; constants as written, not rounded to f32).
///
/// `params` are the elements of each parameter, row-major in the order of its axes. Inputs come from the batch by name, a per-sample
/// one as the elements of the samples one after another.
///
/// # Panics
/// Where the graph is malformed, or the batch or a parameter does not fit it: this is a test oracle.
pub fn eval_graph(graph: &Graph, params: &[Vec<f64>], batch: &Batch) -> Values {
    eval_graph_given(graph, params, batch, &BTreeMap::new())
}

/// Like [`eval_graph`], but the nodes in `given` have these values, whatever they would compute.
pub fn eval_graph_given(graph: &Graph, params: &[Vec<f64>], batch: &Batch, given: &BTreeMap<NodeId, Value>) -> Values {
    let mut values = Values(Vec::with_capacity(graph.nodes.len()));
    for number in 0..graph.nodes.len() as u32 {
        let value = match given.get(&NodeId(number)) {
            Some(value) => value.clone(),
            None => eval_node(graph, NodeId(number), &values, params, batch),
        };
        values.0.push(value);
    }
    values
}

/// The outputs of a graph of scalars without samples. `inputs` gives every input by its name, exactly; one that is missing is not a number.
pub fn eval_scalars(graph: &Graph, inputs: &[(&str, f64)]) -> Vec<(String, f64)> {
    let scalar = |dtype, value| Value::Single(Tensor { dtype, axes: Vec::new(), shape: Vec::new(), data: vec![value] });
    let mut given = BTreeMap::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        if let Op::Input { name } = &node.op {
            let value = inputs.iter().find(|(input, _)| input == name).map_or(f64::NAN, |(_, value)| *value);
            given.insert(NodeId(number as u32), scalar(node.ty.dtype, value));
        }
    }
    let batch = Batch::default();
    let values = eval_graph_given(graph, &[], &batch, &given);
    let value = |node| values.get(node).flatten().first().copied().unwrap_or(f64::NAN);
    graph.outputs.iter().map(|output| (output.name.clone(), value(output.node))).collect()
}

/// Extends values of the first nodes of a graph to those of all its nodes (as a graph grows).
pub fn eval_more(graph: &Graph, values: &mut Values, params: &[Vec<f64>], batch: &Batch) {
    for number in values.0.len() as u32..graph.nodes.len() as u32 {
        let value = eval_node(graph, NodeId(number), values, params, batch);
        values.0.push(value);
    }
}

fn eval_node(graph: &Graph, id: NodeId, values: &Values, params: &[Vec<f64>], batch: &Batch) -> Value {
    let node = graph.node(id);
    let scope = BatchScope { axes: &graph.axes, batch, round: false };
    match &node.op {
        Op::Input { name } => input(scope, name, &node.ty),
        Op::Param(param) => {
            let declared = &graph.params[param.0 as usize];
            let shape = scope.of(None).shape(&declared.axes);
            let data = params[param.0 as usize].clone();
            assert_eq!(data.len(), shape.iter().product::<usize>(), "elements of parameter `{}`", declared.path);
            let stored = Tensor { dtype: node.ty.dtype, axes: declared.axes.clone(), shape, data };
            Value::Single(stored.permuted(&node.ty.axes))
        }
        op => {
            let inputs: Vec<&Value> = node.inputs.iter().map(|input| values.get(*input)).collect();
            scope.apply(op, &node.ty, &inputs)
        }
    }
}

/// Reads what the host brought under a name, as a value of this type.
pub(crate) fn input(scope: BatchScope<'_>, name: &str, ty: &Type) -> Value {
    let data = scope.batch.inputs.get(name).unwrap_or_else(|| panic!("the batch has no input `{name}`"));
    let elements: Vec<f64> = match data {
        InputData::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        InputData::I32(values) => values.iter().map(|value| f64::from(*value)).collect(),
    };
    let mut rest = elements.as_slice();
    let tensors: Vec<Tensor> = scope
        .all(ty.per_sample)
        .iter()
        .map(|place| {
            let shape = place.shape(&ty.axes);
            let (own, after) = rest.split_at_checked(shape.iter().product()).unwrap_or_else(|| panic!("input `{name}` is too short"));
            rest = after;
            Tensor { dtype: ty.dtype, axes: ty.axes.clone(), shape, data: own.to_vec() }
        })
        .collect();
    assert!(rest.is_empty(), "input `{name}` has {} elements too many", rest.len());
    value_of(tensors, ty.per_sample)
}

/// A value from its tensors: one, or one for each sample.
pub(crate) fn value_of(mut tensors: Vec<Tensor>, per_sample: bool) -> Value {
    match per_sample {
        true => Value::PerSample(tensors),
        false => Value::Single(tensors.remove(0)),
    }
}
