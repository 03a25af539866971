//! Units: what one step does, before there are buffers.

use std::collections::BTreeMap;

use mgx_ir::graph::{NodeId, Op};

use super::canonical::Canonical;
use super::kernels::Kernel;

/// What one step does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Kernel(Kernel),
    Contract(NodeId),
    /// An attention and the node of its log-sum-exp.
    Attention(NodeId, Option<NodeId>),
    /// The gradients of one attention, by input.
    AttentionGrad([Option<NodeId>; 3]),
    Scatter(NodeId),
    Routed(NodeId),
    RoutedOuter(NodeId),
}

/// One step to be.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) work: Work,
    /// Values that others may read.
    pub(crate) produces: Vec<NodeId>,
    /// Values in memory (or views of them) that it reads.
    pub(crate) reads: Vec<NodeId>,
}

/// Where the unit belongs in the order of the graph.
pub(crate) fn last_value(unit: &Unit) -> NodeId {
    let own = match &unit.work {
        Work::Kernel(kernel) => kernel.targets.last().copied(),
        _ => unit.produces.first().copied(),
    };
    own.unwrap_or(NodeId(0))
}

/// A unit for each contraction, routed or not, and scatter, for each attention with its log-sum-exp, and for the gradients of each attention.
pub(super) fn heavy_units(canonical: &Canonical) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut attentions: BTreeMap<String, usize> = BTreeMap::new();
    let mut gradients: BTreeMap<String, usize> = BTreeMap::new();
    for (index, node) in canonical.graph.nodes.iter().enumerate() {
        let id = NodeId(index as u32);
        let unit = |work| Unit { work, produces: vec![id], reads: node.inputs.clone() };
        match &node.op {
            Op::Contract { .. } => {
                let reads = canonical.products[&id].operands.to_vec();
                units.push(Unit { reads, ..unit(Work::Contract(id)) });
            }
            Op::ScatterAdd { .. } => units.push(unit(Work::Scatter(id))),
            Op::RoutedContract { .. } => units.push(unit(Work::Routed(id))),
            Op::RoutedOuter { .. } => units.push(unit(Work::RoutedOuter(id))),
            Op::Attention { query, key, dim, scale, .. } => {
                units.push(unit(Work::Attention(id, None)));
                attentions.entry(format!("{:?} {query:?} {key:?} {dim:?} {scale:?}", &node.inputs[..2])).or_insert(units.len() - 1);
            }
            Op::AttentionGrad { wrt, scale, .. } => {
                let key = format!("{:?} {scale:?}", node.inputs);
                if let Some(place) = gradients.get(&key)
                    && let Work::AttentionGrad(found) = &mut units[*place].work
                {
                    found[usize::from(*wrt)] = Some(id);
                    units[*place].produces.push(id);
                } else {
                    let mut found = [None; 3];
                    found[usize::from(*wrt)] = Some(id);
                    units.push(unit(Work::AttentionGrad(found)));
                    gradients.insert(key, units.len() - 1);
                }
            }
            _ => {}
        }
    }
    for (index, node) in canonical.graph.nodes.iter().enumerate() {
        let Op::AttentionLse { query, key, dim, scale } = &node.op else { continue };
        let key = format!("{:?} {query:?} {key:?} {dim:?} {scale:?}", &node.inputs[..2]);
        let place = attentions.get(&key).expect("a log-sum-exp without its attention has been decomposed");
        units[*place].produces.push(NodeId(index as u32));
        if let Work::Attention(_, lse) = &mut units[*place].work {
            *lse = Some(NodeId(index as u32));
        }
    }
    units
}
