//! Checks of extents: equal sizes, and positions that fit.
//!
//! Static sizes are compared exactly. A ragged size is an expression of the sample's lengths; two of them are taken to be
//! equal when they agree at a fixed set of sample lengths, all large, because many true statements (`(n - 2) + 2 = n`) hold
//! only for samples that are long enough. An inequality is refused only when it holds at none of them.

use super::{AxisId, Extent, Graph, SizeExpr};
use crate::random;

/// Number of sets of lengths that expressions are compared at.
const PROBES: u64 = 24;

/// Lengths in 64..2112 for probe `probe`, by `LengthId`.
fn probe_lengths(graph: &Graph, probe: u64) -> Vec<u64> {
    (0..graph.lengths.len() as u64).map(|length| 64 + random::derive(random::derive(1, probe), length) % 2048).collect()
}

fn product(graph: &Graph, axes: &[AxisId], lengths: &[u64]) -> u64 {
    axes.iter().map(|axis| graph.extent(*axis).eval(lengths)).fold(1, u64::saturating_mul)
}

fn is_static(graph: &Graph, axes: &[AxisId]) -> bool {
    axes.iter().all(|axis| graph.extent(*axis).as_static().is_some())
}

/// Does the product of the extents of `a` equal that of `b`?
pub(super) fn check_equal(graph: &Graph, a: &[AxisId], b: &[AxisId]) -> Result<(), String> {
    compare(graph, is_static(graph, a) && is_static(graph, b), "the sizes", |lengths| {
        (product(graph, a, lengths), product(graph, b, lengths))
    })
}

/// Do the extents of `axes` sum to that of `into`?
pub(super) fn check_concat(graph: &Graph, axes: &[AxisId], into: AxisId) -> Result<(), String> {
    compare(graph, is_static(graph, axes) && is_static(graph, &[into]), "the joined sizes", |lengths| {
        let sum = axes.iter().map(|axis| graph.extent(*axis).eval(lengths)).fold(0, u64::saturating_add);
        (sum, graph.extent(into).eval(lengths))
    })
}

fn compare(graph: &Graph, fixed: bool, what: &str, sides: impl Fn(&[u64]) -> (u64, u64)) -> Result<(), String> {
    for probe in 0..if fixed { 1 } else { PROBES } {
        let lengths = probe_lengths(graph, probe);
        let (a, b) = sides(&lengths);
        if a != b {
            let at = if fixed { String::new() } else { format!(" for a sample of lengths {lengths:?}") };
            return Err(format!("{what} differ: {a} and {b}{at}"));
        }
    }
    Ok(())
}

/// Are the positions of a slice inside the axis?
pub(super) fn check_slice(graph: &Graph, axis: AxisId, into: AxisId, start: &SizeExpr, step: u64) -> Result<(), String> {
    if step == 0 {
        return Err("the step of a slice is at least 1".into());
    }
    known_lengths(graph, start)?;
    fits(graph, "the slice does not fit in the axis", |lengths| {
        let count = graph.extent(into).eval(lengths);
        let end = match count {
            0 => 0,
            count => start.eval(lengths).saturating_add((count - 1).saturating_mul(step)).saturating_add(1),
        };
        (end, graph.extent(axis).eval(lengths))
    })
}

/// Does what is padded fit in the result?
pub(super) fn check_pad(graph: &Graph, axis: AxisId, into: AxisId, before: &SizeExpr) -> Result<(), String> {
    known_lengths(graph, before)?;
    fits(graph, "the padded axis does not fit in the result", |lengths| {
        (before.eval(lengths).saturating_add(graph.extent(axis).eval(lengths)), graph.extent(into).eval(lengths))
    })
}

fn fits(graph: &Graph, what: &str, sides: impl Fn(&[u64]) -> (u64, u64)) -> Result<(), String> {
    let mut found = (0, 0);
    for probe in 0..PROBES {
        found = sides(&probe_lengths(graph, probe));
        if found.0 <= found.1 {
            return Ok(());
        }
    }
    Err(format!("{what}: {} positions in {}", found.0, found.1))
}

/// Does an expression read any length of the sample?
pub(super) fn reads_length(expr: &SizeExpr) -> bool {
    let mut found = false;
    visit_lengths(expr, &mut |_| found = true);
    found
}

/// Are all lengths of an axis's extent lengths of the graph?
pub(super) fn check_extent(graph: &Graph, extent: &Extent) -> Result<(), String> {
    match extent {
        Extent::Static(_) => Ok(()),
        Extent::Ragged(expr) => known_lengths(graph, expr),
    }
}

fn known_lengths(graph: &Graph, expr: &SizeExpr) -> Result<(), String> {
    let mut unknown = None;
    visit_lengths(expr, &mut |id| {
        if id as usize >= graph.lengths.len() {
            unknown = Some(id);
        }
    });
    unknown.map_or(Ok(()), |id| Err(format!("length {id} does not exist")))
}

fn visit_lengths(expr: &SizeExpr, visit: &mut impl FnMut(u32)) {
    match expr {
        SizeExpr::Length(id) => visit(id.0),
        SizeExpr::Const(_) => {}
        SizeExpr::Add(a, b)
        | SizeExpr::Sub(a, b)
        | SizeExpr::Mul(a, b)
        | SizeExpr::Div(a, b)
        | SizeExpr::CeilDiv(a, b)
        | SizeExpr::Min(a, b) => {
            visit_lengths(a, visit);
            visit_lengths(b, visit);
        }
    }
}
