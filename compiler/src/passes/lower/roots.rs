//! What the outside wants: outputs, gradients, and values stored to other memories.

use std::collections::BTreeSet;

use mgx_ir::graph::{AxisId, BinaryOp, Graph, NodeId, Op};
use mgx_ir::plan::Storage;

use super::canonical::{Canonical, Maker, is_source};
use super::{Destination, LowerOptions, contract, layout};

/// Adds the roots and finishes the canonical form. `map` says where the nodes of the old graph went.
pub(super) fn add(mut maker: Maker, old: &Graph, options: &LowerOptions<'_>, map: &dyn Fn(NodeId) -> NodeId) -> Canonical {
    let mut outputs = Vec::new();
    for output in &old.outputs {
        let (id, order) = (map(output.node), old.ty(output.node).axes.clone());
        let source = is_source(&maker.graph().node(maker.root(id)).op);
        let id = if source { maker.copy(id, &order) } else { id };
        outputs.push((output.name.clone(), maker.operand(id, |axes| axes == order, order.clone())));
    }
    let mut destinations = Vec::new();
    for (node, storage) in options.stores {
        let axes = old.ty(*node).axes.clone();
        let name = old.node(*node).path.clone().unwrap_or_else(|| format!("{storage:?}"));
        destinations.push(Destination { node: map(*node), axes, storage: *storage, accumulate: false, name });
    }
    let gradients: Vec<(NodeId, Destination)> = gradients(options, old, map);
    let uses = uses(maker.graph(), &outputs, &destinations, &gradients);
    let mut direct = Vec::new();
    for (node, gradient) in gradients {
        // What no step adds by itself is added by one store: stores of one kernel must not meet.
        let mut rest = None;
        for term in terms(maker.graph(), &uses, node) {
            let (root, axes) = beneath(maker.graph(), term, &gradient.axes);
            let own = Destination { node: root, axes, ..gradient.clone() };
            if uses[root.0 as usize] == 1 && chain_is_free(maker.graph(), &uses, term, root) && writes_there(&mut maker, &own) {
                direct.push((root, own));
            } else {
                rest = Some(rest.map_or(term, |sum| maker.add(Op::Binary(BinaryOp::Add), &[sum, term], None)));
            }
        }
        if let Some(sum) = rest {
            let (root, axes) = beneath(maker.graph(), sum, &gradient.axes);
            destinations.push(Destination { node: root, axes, ..gradient });
        }
    }
    let mut canonical = maker.finish();
    canonical.outputs = outputs;
    canonical.destinations = destinations;
    canonical.direct = direct.into_iter().collect();
    canonical
}

fn gradients(options: &LowerOptions<'_>, old: &Graph, map: &dyn Fn(NodeId) -> NodeId) -> Vec<(NodeId, Destination)> {
    let of = |(param, node): &(mgx_ir::graph::ParamId, NodeId)| {
        let spec = &old.params[param.0 as usize];
        let node = map(*node);
        let storage = Storage::Gradient { offset: options.params[param.0 as usize] };
        let name = format!("gradient of {}", spec.path);
        (node, Destination { node, axes: spec.axes.clone(), storage, accumulate: true, name })
    };
    options.gradients.iter().map(of).collect()
}

/// How often each node is used, by nodes and by the outside.
fn uses(graph: &Graph, outputs: &[(String, NodeId)], stores: &[Destination], gradients: &[(NodeId, Destination)]) -> Vec<u32> {
    let mut uses = vec![0; graph.nodes.len()];
    let inner = graph.nodes.iter().flat_map(|node| &node.inputs);
    let outer =
        outputs.iter().map(|(_, node)| node).chain(stores.iter().map(|store| &store.node)).chain(gradients.iter().map(|(node, _)| node));
    for node in inner.chain(outer) {
        uses[node.0 as usize] += 1;
    }
    uses
}

/// The values whose sum a value is, as far as the partial sums are used nowhere else; each is added to memory on its own.
fn terms(graph: &Graph, uses: &[u32], id: NodeId) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        let node = graph.node(id);
        let splits = node.op == Op::Binary(BinaryOp::Add)
            && uses[id.0 as usize] == 1
            && node.inputs.iter().all(|input| graph.ty(*input).axes.len() == node.ty.axes.len() && input_is_term(graph, *input));
        if splits {
            open.extend(node.inputs.iter().rev());
        } else {
            found.push(id);
        }
    }
    found
}

/// Is it worth adding this value on its own: is it computed by a step or reduced, or a sum of such?
fn input_is_term(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    match node.op {
        Op::Rename { .. } | Op::Split { .. } | Op::Merge { .. } => input_is_term(graph, node.inputs[0]),
        Op::Binary(BinaryOp::Add) | Op::Contract { .. } | Op::ScatterAdd { .. } | Op::RoutedOuter { .. } | Op::Reduce { .. } => true,
        _ => false,
    }
}

/// What a value is a view of when it is stored in this order, and the order that this then has.
fn beneath(graph: &Graph, id: NodeId, axes: &[AxisId]) -> (NodeId, Vec<AxisId>) {
    let node = graph.node(id);
    match layout::view_back(&node.op, axes) {
        Some(inner) => beneath(graph, node.inputs[0], &inner),
        None => (id, axes.to_vec()),
    }
}

/// Are the views between a value and what it is a view of used by nothing else?
fn chain_is_free(graph: &Graph, uses: &[u32], from: NodeId, to: NodeId) -> bool {
    let mut id = from;
    let mut seen = BTreeSet::new();
    while id != to && seen.insert(id) {
        if uses[id.0 as usize] != 1 {
            return false;
        }
        id = graph.node(id).inputs[0];
    }
    uses[to.0 as usize] == 1
}

/// Lets a matrix product, routed or not, or a scatter write to the destination, if it can in this order.
fn writes_there(maker: &mut Maker, destination: &Destination) -> bool {
    let id = destination.node;
    let possible = match maker.graph().node(id).op {
        Op::Contract { .. } => maker.products.get(&id).is_some_and(|product| contract::result_suits(product, &destination.axes)),
        Op::ScatterAdd { .. } => maker.layout(id) == destination.axes,
        Op::RoutedOuter { .. } => {
            let own = super::routed::own_axes(&maker.graph().node(id).inputs, |input| maker.layout(input));
            own.iter().all(|axes| super::layout::together(&destination.axes, axes))
        }
        _ => false,
    };
    if possible && maker.layout(id) != destination.axes {
        if !maker.unfixed(id) {
            return false;
        }
        maker.set_order(id, destination.axes.clone());
    }
    possible
}
