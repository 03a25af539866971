//! Layers that the backward pass computes again (gradient checkpointing; Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").
//!
//! What the gradient of a layer reads from inside that layer becomes a copy, computed from the layer's inputs once the gradient of what the
//! layer gives is there. So the layer's own values need not be kept from the forward pass on: what comes in is all that is. A copy is the same
//! operations on the same numbers; random numbers and values of constants alone are not copied.

use std::collections::BTreeMap;
use std::ops::Range;

use mgx_ir::graph::{Graph, GraphBuilder, Node, NodeId, Op};

use super::simplify::live;
use super::{Differentiated, check};

/// Lets the gradients of a graph compute what they need of `layers` again.
///
/// `differentiated` is what [`differentiate`](super::differentiate) has just appended to the graph. A layer is a range of
/// nodes from before that; layers do not overlap. Returns where each node went. Nodes from before the gradients stay where they are.
///
/// # Panics
/// Where `differentiated` is not of this graph.
pub fn recompute(graph: &mut Graph, layers: &[Range<u32>], differentiated: &Differentiated) -> Vec<NodeId> {
    let forward = graph.nodes.len() - differentiated.origins.len();
    let wanted: Vec<NodeId> = differentiated.gradients.iter().flatten().copied().collect();
    let live = live(graph, &wanted);
    let layer_of = layers_of_nodes(graph, forward, layers, differentiated);
    let triggers = triggers(graph, forward, &layer_of, &live);
    let varies = varies(&graph.nodes[..forward]);
    let gradients = graph.nodes.split_off(forward);
    let mut places: Vec<NodeId> = (0..forward as u32).map(NodeId).collect();
    let mut again =
        Again { b: GraphBuilder::from_graph(std::mem::take(graph)), layer_of: &layer_of, varies: &varies, copies: BTreeMap::new() };
    for (number, mut node) in gradients.into_iter().enumerate() {
        let at = forward + number;
        let layer = layer_of[at].filter(|_| live[at]);
        let trigger = layer.and_then(|layer| Some((layer, *triggers.get(&layer)?)));
        for input in &mut node.inputs {
            // What comes into the layer is read as its copies read it: an attention and its log-sum-exp stay one step.
            *input = match trigger {
                Some((layer, trigger)) if (input.0 as usize) < forward => again.value(*input, layer, places[trigger.0 as usize]),
                _ => places[input.0 as usize],
            };
        }
        places.push(again.b.graph.add_node(node));
    }
    *graph = again.b.finish();
    check(graph, "recompute");
    places
}

/// The layer that each node belongs to, by number: its own, or that of the node of whose gradients it is.
fn layers_of_nodes(graph: &Graph, forward: usize, layers: &[Range<u32>], differentiated: &Differentiated) -> Vec<Option<usize>> {
    let mut layer_of: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    for (number, layer) in layers.iter().enumerate() {
        layer_of[layer.start as usize..layer.end as usize].fill(Some(number));
    }
    for (number, origin) in differentiated.origins.iter().enumerate() {
        layer_of[forward + number] = origin.and_then(|origin| layer_of[origin.0 as usize]);
    }
    layer_of
}

/// For each layer the last gradient that comes to it from outside. A layer that none comes to is the one in which the backward pass begins:
/// it has just been computed.
fn triggers(graph: &Graph, forward: usize, layer_of: &[Option<usize>], live: &[bool]) -> BTreeMap<usize, NodeId> {
    let mut triggers: BTreeMap<usize, NodeId> = BTreeMap::new();
    for at in (forward..graph.nodes.len()).filter(|at| live[*at]) {
        let Some(layer) = layer_of[at] else { continue };
        let outside = |input: &&NodeId| input.0 as usize >= forward && layer_of[input.0 as usize] != Some(layer);
        for input in graph.nodes[at].inputs.iter().filter(outside) {
            let last = triggers.entry(layer).or_insert(*input);
            *last = (*last).max(*input);
        }
    }
    triggers
}

/// Does a value depend on anything but constants and random numbers?
fn varies(nodes: &[Node]) -> Vec<bool> {
    let mut varies: Vec<bool> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let own = matches!(node.op, Op::Input { .. } | Op::Param(_));
        varies.push(own || node.inputs.iter().any(|input| varies[input.0 as usize]));
    }
    varies
}

/// Values that are computed again.
struct Again<'a> {
    b: GraphBuilder,
    layer_of: &'a [Option<usize>],
    varies: &'a [bool],
    /// By layer and node: copies, and inputs of the layer as the copies read them.
    copies: BTreeMap<(usize, NodeId), NodeId>,
}

impl Again<'_> {
    /// A value of a layer, or one that comes into it, computed again once `trigger` is there.
    fn value(&mut self, id: NodeId, layer: usize, trigger: NodeId) -> NodeId {
        // Nodes wait on a stack for their inputs: a layer may be deeper than the machine's.
        let mut open = vec![id];
        while let Some(id) = open.last().copied() {
            if self.copies.contains_key(&(layer, id)) {
                open.pop();
                continue;
            }
            let copy = if !self.varies[id.0 as usize] {
                id
            } else if self.layer_of[id.0 as usize] != Some(layer) || matches!(self.b.graph.node(id).op, Op::Input { .. } | Op::Param(_)) {
                self.b.spans.clone_from(&self.b.graph.node(id).spans);
                self.b.after(id, trigger)
            } else {
                let node = self.b.graph.node(id);
                let missing: Vec<NodeId> =
                    node.inputs.iter().copied().filter(|input| !self.copies.contains_key(&(layer, *input))).collect();
                if !missing.is_empty() {
                    open.extend(missing);
                    continue;
                }
                let inputs = node.inputs.iter().map(|input| self.copies[&(layer, *input)]).collect();
                let copy = Node { inputs, path: None, ..node.clone() };
                self.b.graph.add_node(copy)
            };
            self.copies.insert((layer, id), copy);
            open.pop();
        }
        self.copies[&(layer, id)]
    }
}
