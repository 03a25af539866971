//! `erf`.

use super::{Unary, exp2, polynomial};
use crate::simd::Simd;

/// Where the two formulas meet.
const SPLIT: f32 = 0.875;
/// `erf(x) / x − 1` in powers of x², for |x| ≤ 0.875, relative error of erf below 2⁻²⁶.
const SMALL: [f32; 6] = [0.128_379_15, -0.376_125_5, 0.112_824_56, -0.026_791_481, 0.005_032_206, -0.000_620_337_14];
/// `log2(1 − erf(a))` for a in [0.875, 3.95], relative error of erf below 2⁻²⁸.
const LARGE: [f32; 7] = [-0.000_192_706_98, -1.627_267_8, -0.918_617_6, -0.150_512_78, 0.032_345_54, -0.004_461_236, 0.000_289_976_42];

pub(super) struct Erf;

impl Unary for Erf {
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        let magnitude = s.abs(x);
        let small = s.fma(polynomial(s, s.mul(x, x), SMALL), x, x);
        // From 3.92 on the result is 1. NaN stays.
        let a = s.min(s.splat(3.95), magnitude);
        let large = s.sub(s.splat(1.0), exp2(s, polynomial(s, a, LARGE)));
        s.select(s.lt(magnitude, s.splat(SPLIT)), small, s.copysign(large, x))
    }
}
