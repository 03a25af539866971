//! What the gradient pass refuses, and the count of operations.

use mgx_compiler::passes::lower::{LowerOptions, lower};
use mgx_compiler::passes::{flops, gradient};
use mgx_diag::{Code, FileId, Span};
use mgx_ir::graph::{DType, GraphBuilder, SizeExpr};

#[test]
fn the_log_sum_exp_of_attention_has_no_gradient() {
    let mut b = GraphBuilder::new();
    let [query, key, dim] = [b.axis("query", 2), b.axis("key", 3), b.axis("dim", 4)];
    let k = b.declare_param("k", &[key, dim], true);
    let k = b.param(k);
    let q = b.input("q", DType::F32, &[query, dim], true);
    let place = Span { file: FileId(0), start: 3, end: 9 };
    b.spans = vec![place];
    let lse = b.attention_lse([q, k], [query, key, dim], 1.0);
    let loss = b.sum(lse, &[query]);
    let seed = b.constant(1.0);
    let mut graph = b.finish();
    let nodes = graph.nodes.len();
    let error = gradient(&mut graph, &[(loss, seed)], &[k]).expect_err("there is no such gradient");
    assert_eq!((error.code, error.labels[0].span), (Code("E0600"), place));
    assert!(graph.nodes.len() >= nodes, "the graph is still there");
}

#[test]
fn what_no_loss_depends_on_has_no_gradient() {
    let mut b = GraphBuilder::new();
    let n = b.axis("n", 3);
    let [used, unused] = ["used", "unused"].map(|path| {
        let id = b.declare_param(path, &[n], true);
        b.param(id)
    });
    let floor = b.unary(mgx_ir::graph::UnaryOp::Floor, unused);
    let product = b.mul(used, floor);
    let loss = b.sum(product, &[n]);
    let seed = b.constant(1.0);
    let mut graph = b.finish();
    let found = gradient(&mut graph, &[(loss, seed)], &[used, unused]).expect("differentiable");
    assert!(found[0].is_some() && found[1].is_none(), "{found:?}");
}

/// Products, attention and elementwise work by hand, for samples of 3 and 5 tokens.
#[test]
fn operations_are_counted() {
    let mut b = GraphBuilder::new();
    let length = b.length("n");
    let [seq, key] = ["seq", "key"].map(|name| b.ragged_axis(name, SizeExpr::Length(length)));
    let [heads, dim, wide] = [b.axis("heads", 2), b.axis("dim", 4), b.axis("wide", 6)];
    let x = b.input("x", DType::F32, &[seq, heads, dim], true);
    let y = b.rename(x, &[(seq, key)]);
    let z = b.attention([x, y, y], [seq, key, dim, dim], 0.5);
    let weight = b.declare_param("w", &[wide, heads, dim], true);
    let weight = b.param(weight);
    let product = b.contract(z, weight, &[heads, dim], false);
    let result = b.unary(mgx_ir::graph::UnaryOp::Exp, product);
    b.output("y", result);
    let batch = [vec![3], vec![5]];
    let capacity = [batch.to_vec()];
    let program = lower(&b.finish(), &LowerOptions { params: &[0], capacity: &capacity, ..LowerOptions::default() });
    let attention = 2 * (9 + 25) * 2 * (4 + 4);
    let contraction = 2 * (3 + 5) * 6 * 8;
    let elements = (3 + 5) * 6;
    assert_eq!(flops(&program, &batch), attention + contraction + elements);
}
