//! Passes on text: each file of `tests/passes` holds a graph and, after a line `--- PASS`, what the pass makes of it.
//!
//! `simplify` gives the graph again; `gradient` the simplified graph with the gradient of output `loss` (seed 1) by every
//! trainable parameter as an output `d PATH`; `lower` and `train` list the steps of the outputs and of the gradients for one batch of
//! samples of lengths 3 and 5. With `MGX_BLESS` set the files are rewritten.

use std::fmt::Write;
use std::path::Path;

use mgx_compiler::passes::lower::{LowerOptions, lower};
use mgx_compiler::passes::{gradient, list_program, simplify};
use mgx_ir::graph::{Graph, GraphBuilder, NodeId, Op, Output, ParamId, parse_graph, print_graph, verify};

#[test]
fn passes_give_what_the_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/passes");
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    assert!(files.len() > 5, "the files are gone");
    let mut wrong = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("readable").replace("\r\n", "\n");
        let expected = run(&text, &path);
        if expected != text {
            if std::env::var_os("MGX_BLESS").is_some() {
                std::fs::write(&path, expected).expect("writable");
            } else {
                wrong.push(format!("{}:\n{expected}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The file as it should be.
fn run(text: &str, path: &Path) -> String {
    let (source, rest) = text.split_once("\n--- ").unwrap_or_else(|| panic!("{}: names no pass", path.display()));
    let graph = parse_graph(source).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(verify(&graph), Vec::<String>::new(), "{}", path.display());
    let mut out = source.to_owned();
    for section in rest.split("\n--- ") {
        let pass = section.lines().next().unwrap_or_default().trim();
        let result = match pass {
            "simplify" => {
                let mut graph = graph.clone();
                simplify(&mut graph, &[]);
                print_graph(&graph)
            }
            "gradient" => print_graph(&with_gradients(&graph).0),
            "lower" => list(&graph, &[]),
            "train" => {
                let (graph, gradients) = with_gradients(&graph);
                list(&graph, &gradients)
            }
            other => panic!("{}: `{other}` is not a pass", path.display()),
        };
        let _ = write!(out, "\n--- {pass}\n{}", result.trim_end());
    }
    out + "\n"
}

fn with_gradients(graph: &Graph) -> (Graph, Vec<(ParamId, NodeId)>) {
    let mut b = GraphBuilder::from_graph(graph.clone());
    let one = b.constant(1.0);
    let mut graph = b.finish();
    let loss = graph.output("loss").expect("there is an output `loss`");
    let params: Vec<(ParamId, NodeId)> = (0..graph.nodes.len() as u32)
        .filter_map(|node| match graph.nodes[node as usize].op {
            Op::Param(id) if graph.params[id.0 as usize].trainable => Some((id, NodeId(node))),
            _ => None,
        })
        .collect();
    let nodes: Vec<NodeId> = params.iter().map(|(_, node)| *node).collect();
    let found = gradient(&mut graph, &[(loss, one)], &nodes).expect("the loss is differentiable");
    let mut gradients: Vec<(ParamId, NodeId)> = params.iter().zip(found).filter_map(|((id, _), gradient)| Some((*id, gradient?))).collect();
    for (id, node) in &gradients {
        graph.outputs.push(Output { name: format!("d {}", graph.params[id.0 as usize].path), node: *node });
    }
    let keep: Vec<NodeId> = gradients.iter().map(|(_, node)| *node).collect();
    let places = simplify(&mut graph, &keep);
    for (_, node) in &mut gradients {
        *node = places[node.0 as usize].expect("what is kept stays");
    }
    (graph, gradients)
}

fn list(graph: &Graph, gradients: &[(ParamId, NodeId)]) -> String {
    let mut graph = graph.clone();
    if !gradients.is_empty() {
        graph.outputs.retain(|output| !output.name.starts_with("d "));
    } else {
        simplify(&mut graph, &[]);
    }
    let mut offsets = Vec::new();
    let mut next: u64 = 0;
    for param in &graph.params {
        offsets.push(next);
        let elements: u64 = param.axes.iter().map(|axis| graph.extent(*axis).eval(&[])).product();
        next += (elements * 4).next_multiple_of(64);
    }
    let lengths = graph.lengths.len();
    let capacity = vec![vec![vec![3; lengths], vec![5; lengths]]];
    let program = lower(&graph, &LowerOptions { params: &offsets, gradients, capacity: &capacity, ..LowerOptions::default() });
    format!("{}arena {} bytes\n", list_program(&program), program.arena_bytes)
}
