//! Softmax attention of packed samples, `softmax(scale · q kᵀ) v` for each sample and head, and its gradients. No more than a
//! tile of scores is ever in memory.
//!
//! Storage, all dense: q `[query, heads, dim]`, k `[key, heads, dim]`, v `[key, heads, value]`, out `[query, heads, value]`, lse
//! `[query, heads]`, with the positions of all samples one after another. A sample attends to its own keys alone. No keys give 0 and
//! a log-sum-exp of −∞.
//!
//! The lanes of a vector are queries: scores of a tile are `[key, query]`, so that maxima and sums over keys are lanewise and
//! both products of the forward pass are the same register tile ([`crate::micro`]) with one operand read as scalars. A query's result is a
//! function of its own row and its sample's keys; the gradients of a key sum over queries in ascending order.

mod backward;
mod forward;
mod rows;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::parallel::{Shared, for_each};
use crate::simd::Level;

/// Where a sample's positions are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Among the queries of all samples.
    pub queries: Range<usize>,
    /// Among the keys of all samples.
    pub keys: Range<usize>,
}

/// The shapes of an attention.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    pub heads: usize,
    /// Length of a head's rows of q and k.
    pub dim: usize,
    /// Length of a head's rows of v and out.
    pub value: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// The samples; their queries do not overlap, nor do their keys.
    pub samples: &'a [Sample],
}

/// What the gradients are computed from: the operands, the results, and the gradient of the result.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub out: &'a [f32],
    pub lse: &'a [f32],
    pub dout: &'a [f32],
}

/// Where the gradients go; those that are `None` are not computed. They are replaced, not added to.
#[derive(Debug, Default)]
pub struct Gradients<'a> {
    pub dq: Option<&'a mut [f32]>,
    pub dk: Option<&'a mut [f32]>,
    pub dv: Option<&'a mut [f32]>,
}

/// Queries of a task, so that the few heads of one long sample are still shared out. Fixed, since a multiple of every block of queries.
const TASK_QUERIES: usize = 480;
/// Multiply-adds below which an attention is not worth waking another thread.
const SERIAL_WORK: usize = 1 << 16;

/// Computes `out`, and where wanted the natural logarithms of the sums of the exponentials of the scores.
///
/// # Panics
/// If a slice is shorter than the samples' positions need, or if positions of samples overlap.
pub fn forward(attention: &Attention, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], lse: Option<&mut [f32]>) {
    forward_at(Level::best(), attention, q, k, v, out, lse);
}

fn forward_at(level: Level, attention: &Attention, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], lse: Option<&mut [f32]>) {
    let (queries, keys) = attention.positions();
    let Attention { heads, dim, value, samples, .. } = *attention;
    assert!(q.len() >= queries * heads * dim && k.len() >= keys * heads * dim, "q or k is too short");
    assert!(v.len() >= keys * heads * value && out.len() >= queries * heads * value, "v or out is too short");
    assert!(lse.as_ref().is_none_or(|lse| lse.len() >= queries * heads), "lse is too short");
    let (out, lse) = (Shared::new(out), lse.map(Shared::new));
    let tasks: Vec<(Sample, usize)> = samples
        .iter()
        .flat_map(|sample| {
            let starts = sample.queries.clone().step_by(TASK_QUERIES);
            starts.map(|start| Sample { queries: start..sample.queries.end.min(start + TASK_QUERIES), keys: sample.keys.clone() })
        })
        .flat_map(|part| (0..heads).map(move |head| (part.clone(), head)))
        .collect();
    for_each(tasks.len(), attention.work() >= SERIAL_WORK, |task| {
        let (ref sample, head) = tasks[task];
        level.dispatch(forward::Task { attention, sample, head, q, k, v, out, lse });
    });
}

/// Computes the gradients of q, k and v.
///
/// # Panics
/// If a slice is shorter than the samples' positions need, or if positions of samples overlap.
pub fn backward(attention: &Attention, saved: &Saved, gradients: Gradients) {
    backward_at(Level::best(), attention, saved, gradients);
}

fn backward_at(level: Level, attention: &Attention, saved: &Saved, gradients: Gradients) {
    let (queries, keys) = attention.positions();
    let Attention { heads, dim, value, samples, .. } = *attention;
    let Saved { q, k, v, out, lse, dout } = *saved;
    let long_enough = |slice: &Option<&mut [f32]>, length: usize| slice.as_ref().is_none_or(|slice| slice.len() >= length);
    assert!(q.len() >= queries * heads * dim && k.len() >= keys * heads * dim, "q or k is too short");
    assert!(v.len() >= keys * heads * value && lse.len() >= queries * heads, "v or lse is too short");
    assert!(out.len() >= queries * heads * value && dout.len() >= queries * heads * value, "out or dout is too short");
    assert!(long_enough(&gradients.dq, queries * heads * dim), "dq is too short");
    assert!(long_enough(&gradients.dk, keys * heads * dim) && long_enough(&gradients.dv, keys * heads * value), "dk or dv is too short");
    let [dq, dk, dv] = [gradients.dq, gradients.dk, gradients.dv].map(|gradient| gradient.map(Shared::new));
    for_each(samples.len() * heads, attention.work() >= SERIAL_WORK, |task| {
        let (sample, head) = (&samples[task / heads], task % heads);
        level.dispatch(backward::Task { attention, sample, head, saved, dq, dk, dv });
    });
}

impl Attention<'_> {
    /// Ends of all queries and all keys.
    fn positions(&self) -> (usize, usize) {
        let distinct = |range: fn(&Sample) -> Range<usize>| {
            let mut ranges: Vec<Range<usize>> = self.samples.iter().map(range).filter(|range| !range.is_empty()).collect();
            ranges.sort_unstable_by_key(|range| range.start);
            assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "positions of samples overlap");
            ranges.last().map_or(0, |range| range.end)
        };
        (distinct(|sample| sample.queries.clone()), distinct(|sample| sample.keys.clone()))
    }

    fn work(&self) -> usize {
        let pairs: usize = self.samples.iter().map(|sample| sample.queries.len() * sample.keys.len()).sum();
        pairs * self.heads * (self.dim + self.value)
    }
}
