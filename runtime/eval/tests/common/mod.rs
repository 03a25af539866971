//! Checking a property of random cases, and showing the smallest case that breaks it.

use mgx_eval::arbitrary::{Case, minimal};
use mgx_eval::eval_graph;
use mgx_ir::graph::Graph;

/// Compares results with the evaluation of the graph: each output by its name. Errors are relative to the greatest element, at least 1.
#[allow(dead_code, reason = "each test file uses what it needs")]
pub fn compare(case: &Case, result: impl Fn(&str) -> Option<Vec<f64>>, tolerance: f64) -> Result<(), String> {
    let values = eval_graph(&case.graph, &case.params, &case.batch);
    for (name, node) in case.outputs() {
        let expected = values.get(node).flatten();
        let found = result(name).ok_or_else(|| format!("there is no output {name}"))?;
        let largest = expected.iter().fold(1.0_f64, |largest, element| largest.max(element.abs()));
        let close = |(x, y): (&f64, &f64)| x == y || (x - y).abs() <= tolerance * largest;
        if found.len() != expected.len() || !found.iter().zip(&expected).all(close) {
            return Err(format!("{name} is {found:?}, expected {expected:?}"));
        }
    }
    Ok(())
}

/// Seeds of the cases to look at: `MGX_CASES` of them, from `MGX_FIRST` on, where these are set, for a longer search.
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let first = variable("MGX_FIRST").unwrap_or(0);
    first..first + variable("MGX_CASES").unwrap_or(usual)
}

/// What the property gives for a case; stops with the smallest case that breaks it, if this case does.
pub fn check<T>(seed: u64, case: &Case, property: impl Fn(&Case) -> Result<T, String>) -> T {
    let outcome = |case: &Case| {
        let run = std::panic::AssertUnwindSafe(|| property(case));
        std::panic::catch_unwind(run).unwrap_or_else(|payload| {
            let message = payload.downcast_ref::<String>().cloned().or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
            Err(message.unwrap_or_else(|| "panics".into()))
        })
    };
    if let Ok(result) = outcome(case) {
        return result;
    }
    let smallest = minimal(case, |case| outcome(case).is_err());
    let message = outcome(&smallest).err().unwrap_or_default();
    panic!("seed {seed}: {message}\n{}{:?}\n{:?}", listing(&smallest.graph), smallest.params, smallest.batch);
}

/// The axes and nodes of a graph, one a line.
fn listing(graph: &Graph) -> String {
    let axes = graph.axes.iter().enumerate().map(|(number, axis)| format!("#{number}: {:?}\n", axis.extent));
    let nodes = graph.nodes.iter().enumerate().map(|(number, node)| {
        let inputs: Vec<u32> = node.inputs.iter().map(|input| input.0).collect();
        let axes: Vec<u32> = node.ty.axes.iter().map(|axis| axis.0).collect();
        format!("%{number} = {:?} of {inputs:?}: {:?} {axes:?}, per sample: {}\n", node.op, node.ty.dtype, node.ty.per_sample)
    });
    axes.chain(nodes).collect()
}
