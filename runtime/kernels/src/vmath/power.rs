//! `pow`: `2^(y log2 |x|)` with the logarithm and the product in f64, where they are exact enough for any exponent.

use super::exp2;
use crate::simd::Simd;

/// `(2 atanh(q) / ln 2 − 2 q / ln 2) / q³` in powers of q², for |q| ≤ 1/5, relative error of the logarithm below 2⁻⁴⁰.
const LOG2: [f64; 5] =
    [0.961_796_694_555_818_6, 0.577_077_794_461_121_1, 0.412_223_916_918_012_13, 0.319_342_008_177_058_43, 0.290_309_925_568_733_25];
/// 2 / ln 2.
const TWO_LOG2_E: f64 = 2.0 * std::f64::consts::LOG2_E;

/// `x^y` with the special cases of IEEE 754 `pow`.
#[inline(always)]
pub(super) fn pow<S: Simd>(s: S, x: S::F, y: S::F) -> S::F {
    let zero = s.splat(0.0);
    let one = s.splat(1.0);
    let magnitude = s.abs(x);
    let value = positive(s, magnitude, y);

    let half_y = s.mul(y, s.splat(0.5));
    let is_integer = s.eq(s.floor(y), y);
    let is_even = s.eq(s.floor(half_y), half_y);
    // The sign of x counts for odd integers y only; `copysign` also sees −0.
    let signed = s.select(is_even, value, s.copysign(value, x));
    let value = s.select(is_integer, signed, value);
    // A negative number to a power that is no integer.
    let is_finite_negative = s.and(s.lt(x, zero), s.lt(magnitude, s.splat(f32::INFINITY)));
    let value = s.select(is_finite_negative, s.select(is_integer, value, s.splat(f32::NAN)), value);
    // 1^y and x^0 are 1 even for NaN; |−1|^±∞ too.
    let is_unit = s.and(s.eq(magnitude, one), s.eq(s.abs(y), s.splat(f32::INFINITY)));
    let is_one = s.or(s.or(s.eq(x, one), s.eq(y, zero)), is_unit);
    s.select(is_one, one, value)
}

/// `a^y` for `a ≥ 0`.
#[inline(always)]
fn positive<S: Simd>(s: S, a: S::F, y: S::F) -> S::F {
    let (m, e) = s.mantissa_exponent(a);
    let upper = s.lt(s.splat(4.0 / 3.0), m);
    let m = s.select(upper, s.mul(m, s.splat(0.5)), m);
    let e = s.select(upper, s.add(e, s.splat(1.0)), e);
    // Sums and differences of m and 1 are exact in f64.
    let wide_one = s.wide_splat(1.0);
    let m = s.widen(m);
    let q = s.wide_div(s.wide_sub(m, wide_one), s.wide_add(m, wide_one));
    let square = s.wide_mul(q, q);
    let mut series = s.wide_splat(LOG2[4]);
    for i in (0..4).rev() {
        series = s.wide_add(s.wide_mul(series, square), s.wide_splat(LOG2[i]));
    }
    series = s.wide_add(s.wide_mul(series, square), s.wide_splat(TWO_LOG2_E));
    let log2 = s.wide_add(s.wide_mul(series, q), s.widen(e));

    // Beyond ±200 the result is 0 or ∞ whatever the exponent is. NaN stays.
    let exponent = s.wide_mul(log2, s.widen(y));
    let exponent = s.wide_max(s.wide_splat(-200.0), s.wide_min(s.wide_splat(200.0), exponent));
    let n = s.wide_round(exponent);
    let f = s.narrow(s.wide_sub(exponent, n));
    let finite = s.scale_by_power(exp2(s, f), s.narrow(n));

    // Zero, infinity and NaN have no mantissa.
    let zero = s.splat(0.0);
    let infinity = s.splat(f32::INFINITY);
    let grows = s.lt(zero, y);
    let at_zero = s.select(grows, zero, infinity);
    let at_infinity = s.select(grows, infinity, zero);
    let is_number = s.eq(y, y);
    let at_ends = s.select(s.eq(a, zero), at_zero, s.select(s.eq(a, infinity), at_infinity, s.splat(f32::NAN)));
    let at_ends = s.select(is_number, at_ends, s.splat(f32::NAN));
    s.select(s.and(s.lt(zero, a), s.lt(a, infinity)), finite, at_ends)
}
