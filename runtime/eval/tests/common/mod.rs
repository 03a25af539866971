//! Checking a property of random cases, and showing the smallest case that breaks it.

use mgx_eval::arbitrary::{Case, minimal};
use mgx_eval::eval_graph;

/// Compares results with the evaluation of the graph: each output by its name. Errors are relative to the greatest element, at least 1.
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

/// Stops with the smallest case that breaks the property, if this case does.
pub fn check(seed: u64, case: &Case, property: impl Fn(&Case) -> Result<(), String>) {
    let outcome = |case: &Case| {
        let run = std::panic::AssertUnwindSafe(|| property(case));
        std::panic::catch_unwind(run).unwrap_or_else(|payload| {
            let message = payload.downcast_ref::<String>().cloned().or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
            Err(message.unwrap_or_else(|| "panics".into()))
        })
    };
    if outcome(case).is_ok() {
        return;
    }
    let smallest = minimal(case, |case| outcome(case).is_err());
    let message = outcome(&smallest).err().unwrap_or_default();
    panic!("seed {seed}: {message}\n{:#?}\n{:?}\n{:?}", smallest.graph, smallest.params, smallest.batch);
}
