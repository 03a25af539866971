//! The precision of the highest scored contacts, as protein structure prediction measures it.

use super::{Undefined, undefined};

/// Pairs at most so many letters apart are no contacts of interest.
const NEAR: usize = 6;

/// The precision among the first `letters / divisor` pairs of each sample: pairs of letters more than six apart, each once, by falling score (of equal scores
/// the first in the matrix). The number of pairs stays the divisor where there are fewer. `None` for a sample with fewer letters than `divisor`.
pub(super) fn precisions(scores: &[f32], targets: &[i32], sides: &[usize], divisor: usize) -> Vec<Option<f64>> {
    let mut start = 0;
    let of_sample = sides.iter().map(|side| {
        let own = start..start + side * side;
        start = own.end;
        precision(&scores[own.clone()], &targets[own], *side, divisor)
    });
    of_sample.collect()
}

fn precision(scores: &[f32], targets: &[i32], side: usize, divisor: usize) -> Option<f64> {
    let count = side / divisor;
    if count == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).filter(|pair| pair % side > pair / side + NEAR).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let hits = order.iter().take(count).filter(|pair| targets[**pair] == 1).count();
    Some(hits as f64 / count as f64)
}

/// The mean over the samples that have one.
pub(super) fn mean(precisions: &[Option<f64>], weights: &[f64]) -> Result<f64, Undefined> {
    let known = precisions.iter().zip(weights).filter_map(|(precision, weight)| Some((precision.as_ref()?, weight)));
    let (sum, total) = known.fold((0.0, 0.0), |(sum, total), (precision, weight)| (sum + precision * weight, total + weight));
    if total == 0.0 { undefined("no sequence is long enough") } else { Ok(sum / total) }
}
