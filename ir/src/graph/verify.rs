//! The verifier: everything that is wrong with a graph.

use std::collections::BTreeMap;

use super::{DType, Extent, Graph, Node, NodeId, Op, Type, infer, sizes};

/// All violations of the graph's promises and of the operations' rules, in order of the nodes; empty for a good graph.
pub fn verify(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    declarations(graph, &mut found);
    let mut named = Named::default();
    for (index, node) in graph.nodes.iter().enumerate() {
        let mut say = |what: String| found.push(format!("%{index} = {}: {what}", node.op.name()));
        if let Some(input) = node.inputs.iter().find(|input| input.0 as usize >= index) {
            say(format!("its input %{} does not stand before it", input.0));
            continue;
        }
        if let Some(axis) = node.ty.axes.iter().find(|axis| axis.0 as usize >= graph.axes.len()) {
            say(format!("axis {} does not exist", axis.0));
            continue;
        }
        match infer(graph, &node.op, &node.inputs, Some(&node.ty)) {
            Err(error) => say(error),
            Ok(ty) if ty != node.ty => {
                say(format!("has the type {} and its rule gives {}", show(graph, &node.ty), show(graph, &ty)));
            }
            Ok(_) => {}
        }
        if let Some(error) = named.check(NodeId(index as u32), node, graph) {
            say(error);
        }
    }
    outputs(graph, &mut found);
    found
}

fn declarations(graph: &Graph, found: &mut Vec<String>) {
    for (index, axis) in graph.axes.iter().enumerate() {
        if let Err(error) = sizes::check_extent(graph, &axis.extent) {
            found.push(format!("axis {}#{index}: {error}", axis.name));
        }
    }
    let mut paths = BTreeMap::new();
    for (index, param) in graph.params.iter().enumerate() {
        if let Some(other) = paths.insert(&param.path, index) {
            found.push(format!("parameters {other} and {index} have the same path {}", param.path));
        }
        for axis in &param.axes {
            if !matches!(graph.axes.get(axis.0 as usize).map(|axis| &axis.extent), Some(Extent::Static(_))) {
                found.push(format!("parameter {}: axis {} is not static", param.path, axis.0));
            }
        }
    }
}

fn outputs(graph: &Graph, found: &mut Vec<String>) {
    let mut names = BTreeMap::new();
    for output in &graph.outputs {
        if names.insert(&output.name, ()).is_some() {
            found.push(format!("there are two outputs {}", output.name));
        }
        if output.node.0 as usize >= graph.nodes.len() {
            found.push(format!("output {}: %{} does not exist", output.name, output.node.0));
        }
    }
}

/// What must be the same wherever it is named again: inputs by name, random sites.
#[derive(Default)]
struct Named<'a> {
    inputs: BTreeMap<&'a str, NodeId>,
    sites: BTreeMap<u32, NodeId>,
}

impl<'a> Named<'a> {
    fn check(&mut self, id: NodeId, node: &'a Node, graph: &Graph) -> Option<String> {
        let first = match &node.op {
            Op::Input { .. } if node.ty.dtype == DType::Bool => return Some("the host brings F32 and I32 alone".into()),
            Op::Input { name } => *self.inputs.entry(name).or_insert(id),
            Op::Random { site } => *self.sites.entry(*site).or_insert(id),
            _ => return None,
        };
        (graph.ty(first) != &node.ty).then(|| format!("%{} is the same and has another type", first.0))
    }
}

fn show(graph: &Graph, ty: &Type) -> String {
    let axes = ty.axes.iter().map(|axis| format!("{}#{}", graph.axis(*axis).name, axis.0)).collect::<Vec<_>>().join(", ");
    format!("{:?}[{axes}]{}", ty.dtype, if ty.per_sample { "" } else { " for all samples" })
}

#[cfg(test)]
mod tests {
    use super::super::{AxisId, BinaryOp, GraphBuilder, SizeExpr, Window};
    use super::*;

    fn tokens(b: &mut GraphBuilder) -> (AxisId, AxisId) {
        let length = b.length("n");
        (b.ragged_axis("seq", SizeExpr::Length(length)), b.axis("hidden", 12))
    }

    fn refused(op: Op, build: impl FnOnce(&mut GraphBuilder) -> Vec<NodeId>) -> String {
        let mut b = GraphBuilder::new();
        tokens(&mut b);
        let inputs = build(&mut b);
        b.try_add(op, &inputs, None).expect_err("the rule is broken")
    }

    const SEQ: AxisId = AxisId(0);
    const HIDDEN: AxisId = AxisId(1);

    #[test]
    fn results_take_the_axes_of_the_operands_in_order() {
        let mut b = GraphBuilder::new();
        let (seq, hidden) = tokens(&mut b);
        let out = b.axis("out", 5);
        let x = b.input("x", DType::F32, &[seq, hidden], true);
        let weight = b.declare_param("w", &[out, hidden], true);
        let weight = b.param(weight);
        let y = b.contract(x, weight, &[hidden], false);
        assert_eq!(b.ty(y), &Type { dtype: DType::F32, axes: vec![seq, out], per_sample: true });
        let table = b.declare_param("table", &[out, hidden], true);
        let table = b.param(table);
        let ids = b.input("ids", DType::I32, &[seq], true);
        let rows = b.gather(table, out, ids);
        assert_eq!(b.ty(rows).axes, [seq, hidden]);
        let sums = b.scatter_add(rows, ids, out, &[seq], true);
        assert_eq!(b.ty(sums), &Type { dtype: DType::F32, axes: vec![out, hidden], per_sample: false });
        let picked = b.gather(y, out, ids);
        assert_eq!(b.ty(picked).axes, [seq]);
        assert_eq!(verify(&b.graph), Vec::<String>::new());
    }

    #[test]
    fn sizes_must_agree() {
        let mut b = GraphBuilder::new();
        let (seq, hidden) = tokens(&mut b);
        let length = SizeExpr::Length(super::super::LengthId(0));
        let [heads, dim, wrong] = [b.axis("heads", 3), b.axis("dim", 4), b.axis("dim", 5)];
        let two = SizeExpr::Const(2);
        let half = b.ragged_axis("half", SizeExpr::Div(Box::new(length.clone()), Box::new(two.clone())));
        let inner = b.ragged_axis("inner", SizeExpr::Sub(Box::new(length.clone()), Box::new(two.clone())));
        let again = b.ragged_axis("again", SizeExpr::Add(Box::new(SizeExpr::Sub(Box::new(length), Box::new(two.clone()))), Box::new(two)));
        let pair = b.axis("pair", 2);
        let x = b.input("x", DType::F32, &[seq, hidden], true);
        b.split(x, hidden, &[heads, dim]);
        b.rename(x, &[(seq, again)]);
        b.slice(x, seq, inner, SizeExpr::Const(1), 1);
        let refused = [
            b.try_add(Op::Split { axis: hidden, into: vec![heads, wrong] }, &[x], None),
            b.try_add(Op::Split { axis: seq, into: vec![half, pair] }, &[x], None),
            b.try_add(Op::Rename { pairs: vec![(seq, inner)] }, &[x], None),
            b.try_add(Op::Slice { axis: hidden, into: dim, start: SizeExpr::Const(9), step: 1 }, &[x], None),
            b.try_add(Op::Pad { axis: hidden, into: dim, before: SizeExpr::Const(0), fill: 0.0 }, &[x], None),
            b.try_add(Op::Concat { axes: vec![hidden, hidden], into: heads }, &[x, x], None),
        ];
        for error in refused {
            assert!(error.is_err(), "{error:?}");
        }
        assert_eq!(verify(&b.graph), Vec::<String>::new());
    }

    #[test]
    fn broken_rules_are_refused() {
        let weight = |b: &mut GraphBuilder| {
            let weight = b.declare_param("w", &[HIDDEN], true);
            b.param(weight)
        };
        let mixed = refused(Op::Binary(BinaryOp::Add), |b| vec![b.input("x", DType::F32, &[SEQ], true), b.iota(SEQ)]);
        assert!(mixed.contains("element types"), "{mixed}");
        let batch = refused(Op::Reduce { op: super::super::ReduceOp::Sum, over: vec![], batch: true }, |b| vec![weight(b)]);
        assert!(batch.contains("per sample"), "{batch}");
        let ragged = refused(Op::Reduce { op: super::super::ReduceOp::Sum, over: vec![], batch: true }, |b| {
            vec![b.input("x", DType::F32, &[SEQ], true)]
        });
        assert!(ragged.contains("ragged"), "{ragged}");
        let missing = refused(Op::Contract { over: vec![SEQ], batch: false }, |b| vec![weight(b), weight_again(b)]);
        assert!(missing.contains("no axis seq"), "{missing}");
        let window = Window { stride: 0, dilation: 1, before: 0, fill: 0.0 };
        let still = refused(Op::Window { axis: HIDDEN, into: HIDDEN, tap: HIDDEN, window }, |b| vec![weight(b)]);
        assert!(still.contains("stride"), "{still}");
    }

    fn weight_again(b: &mut GraphBuilder) -> NodeId {
        b.param(super::super::ParamId(0))
    }

    #[test]
    fn a_broken_graph_is_found_out() {
        let mut b = GraphBuilder::new();
        let (seq, _) = tokens(&mut b);
        let x = b.input("x", DType::F32, &[seq], true);
        let y = b.unary(super::super::UnaryOp::Exp, x);
        b.output("y", y);
        b.output("y", y);
        let mut graph = b.finish();
        graph.nodes[1].ty.axes.clear();
        graph.nodes.swap(0, 1);
        let found = verify(&graph);
        assert!(found[0].contains("does not stand before it"), "{found:?}");
        assert!(found[1].contains("two outputs y"), "{found:?}");
        graph.nodes.swap(0, 1);
        let found = verify(&graph);
        assert!(found[0].contains("its rule gives F32[seq#0]"), "{found:?}");
    }
}
