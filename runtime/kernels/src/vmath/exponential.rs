//! `exp`, `exp2`, `log`, `tanh`.

use std::f32::consts::LOG2_E;

use super::{Unary, polynomial};
use crate::simd::Simd;

/// ln 2 rounded to f32, and what is left of it.
const LN_2: [f32; 2] = [std::f32::consts::LN_2, -1.904_654_2e-9];
/// `(e^r − 1 − r) / r²` for |r| ≤ ln(2) / 2, relative error of `e^r − 1` below 2⁻²⁶.
const EXPM1: [f32; 5] = [0.499_999_97, 0.166_665_43, 0.041_667_2, 0.008_366_515, 0.001_388_252];
/// `(2^f − 1) / f` for |f| ≤ 1/2, relative error of `2^f` below 2⁻²⁸.
const EXP2: [f32; 6] = [std::f32::consts::LN_2, 0.240_226_48, 0.055_503_324, 0.009_618_437, 0.001_339_887_5, 0.000_153_533_6];
/// `(ln(1 + t) − t) / t²` for |t| ≤ 1/3, relative error of the logarithm below 2⁻²⁷.
const LOG1P: [f32; 9] =
    [-0.5, 0.333_332_1, -0.249_997_17, 0.200_107_47, -0.166_823_03, 0.140_011_6, -0.121_671_855, 0.140_047_62, -0.129_488_33];

pub(super) struct Exp;
pub(super) struct Log;
pub(super) struct Tanh;

/// `2^x`, within 2 ulp.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(s: S, x: S::F) -> S::F {
    // Far beyond the range, so that ±∞ become finite; NaN stays.
    let x = s.max(s.splat(-200.0), s.min(s.splat(200.0), x));
    let n = s.round(x);
    let f = s.sub(x, n);
    s.scale_by_power(s.fma(polynomial(s, f, EXP2), f, s.splat(1.0)), n)
}

/// `(n, r)` with `x = n ln 2 + r` and |r| ≤ ln(2) / 2.
#[inline(always)]
fn reduce<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let n = s.round(s.mul(x, s.splat(LOG2_E)));
    let r = s.fma(n, s.splat(-LN_2[0]), x);
    (n, s.fma(n, s.splat(-LN_2[1]), r))
}

impl Unary for Exp {
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        let x = s.max(s.splat(-110.0), s.min(s.splat(110.0), x));
        let (n, r) = reduce(s, x);
        let tail = s.mul(r, r);
        let expm1 = s.fma(polynomial(s, r, EXPM1), tail, r);
        s.scale_by_power(s.add(expm1, s.splat(1.0)), n)
    }
}

/// `ln x`.
#[inline(always)]
pub(crate) fn log<S: Simd>(s: S, x: S::F) -> S::F {
    let (m, e) = s.mantissa_exponent(x);
    // Into [2/3, 4/3), so that the logarithms of m and of 2^e never cancel.
    let upper = s.lt(s.splat(4.0 / 3.0), m);
    let m = s.select(upper, s.mul(m, s.splat(0.5)), m);
    let e = s.select(upper, s.add(e, s.splat(1.0)), e);
    let t = s.sub(m, s.splat(1.0));
    let log1p = s.fma(s.mul(t, t), polynomial(s, t, LOG1P), t);
    let value = s.fma(e, s.splat(LN_2[0]), s.fma(e, s.splat(LN_2[1]), log1p));

    let zero = s.splat(0.0);
    let infinity = s.splat(f32::INFINITY);
    let regular = s.and(s.lt(zero, x), s.lt(x, infinity));
    let at_ends = s.select(s.eq(x, zero), s.splat(f32::NEG_INFINITY), s.select(s.eq(x, infinity), infinity, s.splat(f32::NAN)));
    s.select(regular, value, at_ends)
}

impl Unary for Log {
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        log(s, x)
    }
}

impl Unary for Tanh {
    /// With `t = e^{2|x|} − 1`: `tanh |x| = t / (t + 2)`, and `e^{2|x|} − 1 = 2^n (e^r − 1) + (2^n − 1)`.
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        // From 9.02 on the result is 1.
        let magnitude = s.min(s.splat(10.0), s.abs(x));
        let (n, r) = reduce(s, s.add(magnitude, magnitude));
        let expm1 = s.fma(polynomial(s, r, EXPM1), s.mul(r, r), r);
        let power = s.scale_by_power(s.splat(1.0), n);
        let t = s.fma(power, expm1, s.sub(power, s.splat(1.0)));
        let value = s.div(t, s.add(t, s.splat(2.0)));
        s.copysign(value, x)
    }
}
