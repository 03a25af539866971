//! `sin` and `cos`.
//!
//! Up to [`REDUCED`] the argument is reduced by multiples of π/2 in three parts with fused operations: for those multiples
//! the first product cancels exactly, because all of it are multiples of 2⁻²³ below 1. Beyond, lanes go through the f64
//! functions of the standard library one by one.

use super::{Unary, polynomial};
use crate::simd::Simd;

/// Largest magnitude that is reduced here.
const REDUCED: f32 = 1e5;
/// π/2 in three parts.
const HALF_PI: [f32; 3] = [1.570_796_4, -4.371_139e-8, -1.715_124_5e-15];
/// `(sin r − r) / r³` in powers of r², for |r| ≤ π/4, relative error of sin below 2⁻²⁷.
const SIN: [f32; 3] = [-0.166_666_55, 0.008_332_155, -0.000_195_144_54];
/// `(cos r − 1 + r²/2) / r⁴` in powers of r², for |r| ≤ π/4, relative error of cos below 2⁻³².
const COS: [f32; 3] = [0.041_666_646, -0.001_388_730_8, 2.443_221e-5];

pub(super) struct Sin;
pub(super) struct Cos;

impl Unary for Sin {
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        // sin x is odd also in −0.
        s.select(s.eq(x, s.splat(0.0)), x, quarters(s, x, 0.0, f64::sin))
    }
}

impl Unary for Cos {
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        quarters(s, x, 1.0, f64::cos)
    }
}

/// `sin(x + first · π/2)`; `exact` is that function in f64.
#[inline(always)]
fn quarters<S: Simd>(s: S, x: S::F, first: f32, exact: fn(f64) -> f64) -> S::F {
    let n = s.round(s.mul(x, s.splat(std::f32::consts::FRAC_2_PI)));
    let r = s.fma(n, s.splat(-HALF_PI[0]), x);
    let r = s.fma(n, s.splat(-HALF_PI[1]), r);
    let r = s.fma(n, s.splat(-HALF_PI[2]), r);
    let square = s.mul(r, r);
    let sine = s.fma(s.mul(polynomial(s, square, SIN), square), r, r);
    let half = s.fma(square, s.splat(-0.5), s.splat(1.0));
    let cosine = s.fma(polynomial(s, square, COS), s.mul(square, square), half);

    // Quarter q = n + first: cosine for odd q, negated when floor(q / 2) is odd.
    let half_turns = s.mul(s.add(n, s.splat(first)), s.splat(0.5));
    let whole = s.floor(half_turns);
    let is_even = s.eq(whole, half_turns);
    let quarter_turns = s.mul(whole, s.splat(0.5));
    let is_positive = s.eq(s.floor(quarter_turns), quarter_turns);
    let value = s.select(is_even, sine, cosine);
    let value = s.select(is_positive, value, s.sub(s.splat(0.0), value));

    let far = s.lt(s.splat(REDUCED), s.abs(x));
    if s.any(far) { s.select(far, one_by_one(s, x, exact), value) } else { value }
}

#[inline(always)]
fn one_by_one<S: Simd>(s: S, x: S::F, exact: fn(f64) -> f64) -> S::F {
    let mut lanes = [0.0f32; 16];
    assert!(S::LANES <= lanes.len());
    // SAFETY: the array is as long as the vector.
    unsafe { s.store(lanes.as_mut_ptr(), x) };
    for lane in &mut lanes {
        *lane = exact(f64::from(*lane)) as f32;
    }
    // SAFETY: as before.
    unsafe { s.load(lanes.as_ptr()) }
}
