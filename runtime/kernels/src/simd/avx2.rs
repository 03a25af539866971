//! [`Simd`] with AVX2 and FMA: 8 lanes, masks as vectors of all-ones lanes.
//!
//! Every `unsafe` block here calls an intrinsic that needs AVX2 or FMA, which the machine has because an [`Avx2`] exists;
//! those that touch memory pass on their caller's promise.

use std::arch::x86_64::*;

use super::{Kernel, Simd};

/// The proof that the machine has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

#[target_feature(enable = "avx2,fma")]
fn run<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Lanewise operations.
macro_rules! lanewise {
    ($($name:ident($($arg:ident),*) = $call:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: __m256),*) -> __m256 {
            // SAFETY: see the head of the module.
            unsafe { $call }
        }
    )*};
}

/// The same on the two halves of 8 numbers of f64.
macro_rules! wide {
    ($($name:ident = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $name(self, a: Self::D, b: Self::D) -> Self::D {
            // SAFETY: see the head of the module.
            unsafe { [$intrinsic(a[0], b[0]), $intrinsic(a[1], b[1])] }
        }
    )*};
}

const ROUND_NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// All ones in the first `count` lanes.
#[inline(always)]
unsafe fn first(count: usize) -> __m256i {
    // SAFETY: see the head of the module.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

/// `2^n` for integers `n` in [−126, 127].
#[inline(always)]
unsafe fn power_of_two(n: __m256) -> __m256 {
    // SAFETY: see the head of the module.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)))) }
}

impl Simd for Avx2 {
    type F = __m256;
    type M = __m256;
    type D = [__m256d; 2];
    const LANES: usize = 8;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Self(())
    }

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: see the head of the module.
        unsafe { run(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: see the head of the module.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, src: *const f32) -> __m256 {
        // SAFETY: see the head of the module.
        unsafe { _mm256_loadu_ps(src) }
    }

    #[inline(always)]
    unsafe fn store(self, dst: *mut f32, value: __m256) {
        // SAFETY: see the head of the module.
        unsafe { _mm256_storeu_ps(dst, value) }
    }

    #[inline(always)]
    unsafe fn load_first(self, src: *const f32, count: usize) -> __m256 {
        // SAFETY: see the head of the module; lanes outside the mask are not read.
        unsafe {
            let mask = first(count);
            _mm256_blendv_ps(_mm256_set1_ps(1.0), _mm256_maskload_ps(src, mask), _mm256_castsi256_ps(mask))
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, dst: *mut f32, value: __m256, count: usize) {
        // SAFETY: see the head of the module; lanes outside the mask are not written.
        unsafe { _mm256_maskstore_ps(dst, first(count), value) }
    }

    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    lanewise! {
        add(a, b) = _mm256_add_ps(a, b);
        sub(a, b) = _mm256_sub_ps(a, b);
        mul(a, b) = _mm256_mul_ps(a, b);
        div(a, b) = _mm256_div_ps(a, b);
        fma(a, b, c) = _mm256_fmadd_ps(a, b, c);
        mul_add(a, b, c) = _mm256_fmadd_ps(a, b, c);
        min(a, b) = _mm256_min_ps(a, b);
        max(a, b) = _mm256_max_ps(a, b);
        sqrt(a) = _mm256_sqrt_ps(a);
        floor(a) = _mm256_floor_ps(a);
        round(a) = _mm256_round_ps::<ROUND_NEAREST>(a);
        abs(a) = _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
        copysign(a, sign) = {
            let bit = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(bit, a), _mm256_and_ps(bit, sign))
        };
        // In two factors, because 2^n itself may not be a number: the first product is exact.
        scale_by_power(a, n) = {
            let n = _mm256_max_ps(_mm256_set1_ps(-252.0), _mm256_min_ps(_mm256_set1_ps(252.0), n));
            let half = _mm256_floor_ps(_mm256_mul_ps(n, _mm256_set1_ps(0.5)));
            _mm256_mul_ps(_mm256_mul_ps(a, power_of_two(half)), power_of_two(_mm256_sub_ps(n, half)))
        };
        lt(a, b) = _mm256_cmp_ps::<_CMP_LT_OQ>(a, b);
        eq(a, b) = _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b);
        and(a, b) = _mm256_and_ps(a, b);
        or(a, b) = _mm256_or_ps(a, b);
        select(mask, a, b) = _mm256_blendv_ps(b, a, mask);
    }

    #[inline(always)]
    fn mantissa_exponent(self, a: __m256) -> (__m256, __m256) {
        // SAFETY: see the head of the module.
        unsafe {
            let subnormal = _mm256_cmp_ps::<_CMP_LT_OQ>(a, _mm256_set1_ps(f32::MIN_POSITIVE));
            let a = _mm256_blendv_ps(a, _mm256_mul_ps(a, _mm256_set1_ps(16777216.0)), subnormal);
            let bias = _mm256_blendv_ps(_mm256_set1_ps(127.0), _mm256_set1_ps(151.0), subnormal);
            let bits = _mm256_castps_si256(a);
            let exponent = _mm256_cvtepi32_ps(_mm256_srli_epi32::<23>(bits));
            let fraction = _mm256_and_si256(bits, _mm256_set1_epi32(0x007F_FFFF));
            let mantissa = _mm256_or_si256(fraction, _mm256_set1_epi32(0x3F80_0000));
            (_mm256_castsi256_ps(mantissa), _mm256_sub_ps(exponent, bias))
        }
    }

    #[inline(always)]
    fn any(self, mask: __m256) -> bool {
        // SAFETY: see the head of the module.
        unsafe { _mm256_movemask_ps(mask) != 0 }
    }

    #[inline(always)]
    fn widen(self, a: __m256) -> Self::D {
        // SAFETY: see the head of the module.
        unsafe { [_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(a))] }
    }

    #[inline(always)]
    fn narrow(self, a: Self::D) -> __m256 {
        // SAFETY: see the head of the module.
        unsafe { _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(_mm256_cvtpd_ps(a[0])), _mm256_cvtpd_ps(a[1])) }
    }

    #[inline(always)]
    fn wide_splat(self, value: f64) -> Self::D {
        // SAFETY: see the head of the module.
        unsafe { [_mm256_set1_pd(value); 2] }
    }

    wide! {
        wide_add = _mm256_add_pd;
        wide_sub = _mm256_sub_pd;
        wide_mul = _mm256_mul_pd;
        wide_div = _mm256_div_pd;
        wide_min = _mm256_min_pd;
        wide_max = _mm256_max_pd;
    }

    #[inline(always)]
    fn wide_round(self, a: Self::D) -> Self::D {
        // SAFETY: see the head of the module.
        unsafe { [_mm256_round_pd::<ROUND_NEAREST>(a[0]), _mm256_round_pd::<ROUND_NEAREST>(a[1])] }
    }
}
