//! Storage orders: which moves of axes move no elements, and which order a value has by itself.

use mgx_ir::graph::{AxisId, Extent, Graph, NodeId, Op};

/// May the operation leave every element where it is, so that its result can be read from where its input is?
pub(crate) fn may_be_view(op: &Op) -> bool {
    matches!(op, Op::Rename { .. } | Op::Split { .. } | Op::Merge { .. } | Op::After)
}

/// The order of the result's axes if the operation, on an input stored in this order, leaves every element where it is.
pub(crate) fn view(op: &Op, input: &[AxisId]) -> Option<Vec<AxisId>> {
    match op {
        Op::Rename { pairs } => {
            Some(input.iter().map(|axis| pairs.iter().find(|(from, _)| from == axis).map_or(*axis, |(_, to)| *to)).collect())
        }
        Op::After => Some(input.to_vec()),
        Op::Split { axis, into } => Some(replace(input, *axis, into)),
        Op::Merge { axes, into } => {
            let at = input.windows(axes.len()).position(|part| part == axes.as_slice())?;
            Some([&input[..at], &[*into], &input[at + axes.len()..]].concat())
        }
        _ => None,
    }
}

/// The order of the input's axes for which the operation is a view with this order of the result.
pub(crate) fn view_back(op: &Op, result: &[AxisId]) -> Option<Vec<AxisId>> {
    match op {
        Op::Rename { pairs } => {
            Some(result.iter().map(|axis| pairs.iter().find(|(_, to)| to == axis).map_or(*axis, |(from, _)| *from)).collect())
        }
        Op::Split { axis, into } => view(&Op::Merge { axes: into.clone(), into: *axis }, result),
        Op::Merge { axes, into } => Some(replace(result, *into, axes)),
        _ => None,
    }
}

fn replace(axes: &[AxisId], from: AxisId, to: &[AxisId]) -> Vec<AxisId> {
    axes.iter().flat_map(|axis| if *axis == from { to.to_vec() } else { vec![*axis] }).collect()
}

/// Moves the ragged axis to the front where there is exactly one: a packed buffer then holds the batch's tokens in a row.
pub(crate) fn ragged_first(graph: &Graph, axes: &[AxisId]) -> Vec<AxisId> {
    let is_ragged = |axis: &AxisId| matches!(graph.extent(*axis), Extent::Ragged(_));
    if axes.iter().filter(|axis| is_ragged(axis)).count() != 1 {
        return axes.to_vec();
    }
    let (first, rest): (Vec<_>, Vec<_>) = axes.iter().copied().partition(is_ragged);
    [first, rest].concat()
}

/// Do these axes stand next to each other in this order?
pub(crate) fn together(layout: &[AxisId], axes: &[AxisId]) -> bool {
    axes.is_empty() || layout.windows(axes.len()).any(|part| part == axes)
}

/// The order that a value takes from its inputs' orders, where no step asks for another.
pub(crate) fn natural(graph: &Graph, id: NodeId, of: impl Fn(NodeId) -> Vec<AxisId>) -> Vec<AxisId> {
    let node = graph.node(id);
    let first = || of(node.inputs[0]);
    let swapped = |from: &[AxisId], to: &[AxisId]| {
        let layout = first();
        let at = layout.iter().position(|axis| from.contains(axis)).unwrap_or(0);
        let keep = |axes: &[AxisId]| axes.iter().copied().filter(|axis| !from.contains(axis)).collect::<Vec<_>>();
        [keep(&layout[..at]), to.to_vec(), keep(&layout[at..])].concat()
    };
    match &node.op {
        Op::Input { .. } | Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Random { .. } | Op::Permute => node.ty.axes.clone(),
        Op::Unary(_) | Op::Cast | Op::After => first(),
        Op::Binary(_) | Op::Select | Op::Broadcast => {
            let covering = node.inputs.iter().map(|input| of(*input)).find(|axes| axes.len() == node.ty.axes.len());
            covering.unwrap_or_else(|| ragged_first(graph, &node.ty.axes))
        }
        Op::Reduce { over, .. } => first().into_iter().filter(|axis| !over.contains(axis)).collect(),
        Op::Rename { .. } | Op::Split { .. } => view(&node.op, &first()).unwrap_or_else(|| node.ty.axes.clone()),
        Op::Merge { axes, into } => swapped(axes, &[*into]),
        Op::Slice { axis, into, .. } | Op::Pad { axis, into, .. } => swapped(&[*axis], &[*into]),
        Op::Concat { axes, into } => swapped(&axes[..1], &[*into]),
        Op::Window { axis, into, tap, .. } => swapped(&[*axis], &[*into, *tap]),
        Op::Fold { into, tap, axis, .. } => swapped(&[*into, *tap], &[*axis]),
        Op::Gather { axis } => {
            let mut axes = of(node.inputs[1]);
            let rest = first().into_iter().filter(|own| own != axis && !axes.contains(own)).collect::<Vec<_>>();
            axes.extend(rest);
            axes
        }
        Op::Contract { .. }
        | Op::ScatterAdd { .. }
        | Op::RoutedContract { .. }
        | Op::RoutedOuter { .. }
        | Op::Attention { .. }
        | Op::AttentionLse { .. }
        | Op::AttentionGrad { .. } => node.ty.axes.clone(),
    }
}
