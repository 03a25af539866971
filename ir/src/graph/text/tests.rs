//! The text form round-trips, and its mistakes are named.

use crate::graph::{BinaryOp, DType, Graph, Node, Op, Type, UnaryOp, parse_graph, print_graph, verify};

const EVERYTHING: &str = include_str!("everything.graph");

#[test]
fn every_operation_round_trips() {
    let graph = parse_graph(EVERYTHING).expect("the text is right");
    assert_eq!(verify(&graph), Vec::<String>::new());
    let printed = print_graph(&graph);
    assert_eq!(parse_graph(&printed).as_ref(), Ok(&graph));
    let stripped: Vec<&str> = EVERYTHING.lines().filter(|line| !line.is_empty() && !line.starts_with(';')).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), stripped);
}

#[test]
fn all_operations_are_in_the_example() {
    let graph = parse_graph(EVERYTHING).expect("the text is right");
    let used: std::collections::BTreeSet<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(used.len(), UnaryOp::ALL.len() + BinaryOp::ALL.len() + 27, "{used:?}");
}

#[test]
fn numbers_keep_all_their_bits() {
    for value in [0.1, -0.0, 1e-300, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 12_345_678.9] {
        let mut graph = Graph::default();
        let ty = Type { dtype: DType::F32, axes: Vec::new(), per_sample: false };
        graph.add_node(Node { op: Op::Const(value), inputs: Vec::new(), ty, path: Some("a \"b\"\\\n".into()), spans: Vec::new() });
        let again = parse_graph(&print_graph(&graph)).expect("what is printed is understood");
        let Op::Const(read) = again.nodes[0].op else { panic!("a constant") };
        assert_eq!(read.to_bits(), value.to_bits());
        assert_eq!(again, graph);
    }
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, expected) in [
        ("axis a = 1\naxis a#5 = 2", "line 2: `a` must have the number 1"),
        ("%0 = frobnicate() : f32[]", "line 1: `frobnicate` is not an operation"),
        ("\n%1 = const() {value = 1} : f32[]", "line 2: %1 stands where %0 should"),
        ("%0 = iota() {axis = seq} : i32[]", "line 1: there is no `seq`"),
        ("%0 = iota() : i32[]", "line 1: the axis `axis` is missing"),
        ("axis b = 3 4", "line 1: Number(\"4\") is not understood here"),
        ("param \"x", "line 1: a text has no end"),
    ] {
        assert_eq!(parse_graph(text).expect_err(text), expected);
    }
}
