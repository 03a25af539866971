//! Intervals of confidence by the percentile bootstrap (Efron 1979): the metric's distribution over samples drawn with replacement.

use std::num::NonZero;

use mgx_ir::random::{Stream, derive, derive_name};

use super::Metric;

/// How often the samples are drawn.
pub const RESAMPLES: usize = 1000;
/// The share of the distribution within an interval.
pub const CONFIDENCE: f64 = 0.95;
/// An interval needs at least this share of draws for which the metric is defined.
const DEFINED: f64 = 0.5;

/// The lower and the upper end.
pub type Interval = [f64; 2];

/// The draws of an experiment; all metrics see the same ones.
#[derive(Clone, Copy, Debug)]
pub struct Resamples {
    key: u64,
}

impl Resamples {
    /// Draws are a function of the experiment's seed, the number of the draw and the number of samples.
    pub fn new(seed: u64) -> Self {
        Self { key: derive_name(seed, "bootstrap") }
    }

    /// How often each of `samples` samples was drawn, the draws as many as samples.
    fn draw(self, number: usize, samples: usize) -> Vec<f64> {
        let mut stream = Stream::new(derive(self.key, number as u64));
        let mut weights = vec![0.0; samples];
        for _ in 0..samples {
            weights[stream.below(samples as u64) as usize] += 1.0;
        }
        weights
    }

    /// The interval of each metric; `None` for one with fewer than two samples, or that is not defined for half of the draws. All metrics are of the
    /// same samples.
    pub fn intervals(self, metrics: &[&Metric]) -> Vec<Option<Interval>> {
        let samples = metrics.iter().map(|metric| metric.samples()).max().unwrap_or(0);
        if samples < 2 || metrics.iter().any(|metric| metric.samples() != samples) {
            return vec![None; metrics.len()];
        }
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let size = RESAMPLES.div_ceil(threads);
        let values = |first: usize| -> Vec<Vec<Option<f64>>> {
            let draws = first..(first + size).min(RESAMPLES);
            draws
                .map(|number| {
                    let weights = self.draw(number, samples);
                    metrics.iter().map(|metric| metric.weighted(&weights).ok()).collect()
                })
                .collect()
        };
        let values = &values;
        let draws: Vec<Vec<Option<f64>>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..RESAMPLES).step_by(size).map(|first| scope.spawn(move || values(first))).collect();
            handles.into_iter().flat_map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        (0..metrics.len()).map(|metric| interval(draws.iter().filter_map(|draw| draw[metric]).collect())).collect()
    }
}

/// The percentiles at both ends, between two values in proportion.
fn interval(mut values: Vec<f64>) -> Option<Interval> {
    if (values.len() as f64) < DEFINED * RESAMPLES as f64 {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let percentile = |share: f64| {
        let place = share * (values.len() - 1) as f64;
        let below = values[place.floor() as usize];
        below + (values[place.ceil() as usize] - below) * place.fract()
    };
    Some([percentile((1.0 - CONFIDENCE) / 2.0), percentile((1.0 + CONFIDENCE) / 2.0)])
}
