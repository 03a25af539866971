//! [`Simd`] with AVX-512F: 16 lanes, masks in mask registers.
//!
//! Every `unsafe` block here calls an intrinsic that needs AVX-512F (or FMA, AVX2, which it implies), which the machine has
//! because an [`Avx512`] exists; those that touch memory pass on their caller's promise.

use std::arch::x86_64::*;

use super::{Kernel, Simd};

/// The proof that the machine has AVX-512F.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

#[target_feature(enable = "avx512f,avx2,fma")]
fn run<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Lanewise operations that are one intrinsic.
macro_rules! lanewise {
    ($($name:ident($($arg:ident),*) -> $result:ident = $call:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: Self::F),*) -> Self::$result {
            // SAFETY: see the head of the module.
            unsafe { $call }
        }
    )*};
}

/// The same on the two halves of 16 numbers of f64.
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
const ROUND_DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

#[inline(always)]
fn first(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

impl Simd for Avx512 {
    type F = __m512;
    type M = __mmask16;
    type D = [__m512d; 2];
    const LANES: usize = 16;
    const ROWS: usize = 8;

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
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: see the head of the module.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, src: *const f32) -> __m512 {
        // SAFETY: see the head of the module.
        unsafe { _mm512_loadu_ps(src) }
    }

    #[inline(always)]
    unsafe fn store(self, dst: *mut f32, value: __m512) {
        // SAFETY: see the head of the module.
        unsafe { _mm512_storeu_ps(dst, value) }
    }

    #[inline(always)]
    unsafe fn load_first(self, src: *const f32, count: usize) -> __m512 {
        // SAFETY: see the head of the module.
        unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(1.0), first(count), src) }
    }

    #[inline(always)]
    unsafe fn store_first(self, dst: *mut f32, value: __m512, count: usize) {
        // SAFETY: see the head of the module.
        unsafe { _mm512_mask_storeu_ps(dst, first(count), value) }
    }

    #[inline(always)]
    unsafe fn transpose(self, src: *const f32, src_row: usize, dst: *mut f32, dst_row: usize) {
        // SAFETY: see the head of the module.
        unsafe { transpose(src, src_row, dst, dst_row) }
    }

    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    lanewise! {
        add(a, b) -> F = _mm512_add_ps(a, b);
        sub(a, b) -> F = _mm512_sub_ps(a, b);
        mul(a, b) -> F = _mm512_mul_ps(a, b);
        div(a, b) -> F = _mm512_div_ps(a, b);
        fma(a, b, c) -> F = _mm512_fmadd_ps(a, b, c);
        mul_add(a, b, c) -> F = _mm512_fmadd_ps(a, b, c);
        min(a, b) -> F = _mm512_min_ps(a, b);
        max(a, b) -> F = _mm512_max_ps(a, b);
        sqrt(a) -> F = _mm512_sqrt_ps(a);
        floor(a) -> F = _mm512_roundscale_ps::<ROUND_DOWN>(a);
        round(a) -> F = _mm512_roundscale_ps::<ROUND_NEAREST>(a);
        abs(a) -> F = _mm512_abs_ps(a);
        copysign(a, sign) -> F = {
            let bit = _mm512_set1_epi32(i32::MIN);
            // Bits of `sign` where `bit` is set, of `a` elsewhere.
            _mm512_castsi512_ps(_mm512_ternarylogic_epi32::<0xD8>(_mm512_castps_si512(a), _mm512_castps_si512(sign), bit))
        };
        scale_by_power(a, n) -> F = _mm512_scalef_ps(a, n);
        lt(a, b) -> M = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b);
        eq(a, b) -> M = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b);
        widen(a) -> D = {
            let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a));
            [_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(_mm256_castpd_ps(high))]
        };
    }

    #[inline(always)]
    fn mantissa_exponent(self, a: __m512) -> (__m512, __m512) {
        // SAFETY: see the head of the module.
        unsafe { (_mm512_getmant_ps::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_ZERO>(a), _mm512_getexp_ps(a)) }
    }

    #[inline(always)]
    fn and(self, a: __mmask16, b: __mmask16) -> __mmask16 {
        a & b
    }

    #[inline(always)]
    fn or(self, a: __mmask16, b: __mmask16) -> __mmask16 {
        a | b
    }

    #[inline(always)]
    fn any(self, mask: __mmask16) -> bool {
        mask != 0
    }

    #[inline(always)]
    fn select(self, mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the head of the module.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }

    #[inline(always)]
    fn narrow(self, a: Self::D) -> __m512 {
        // SAFETY: see the head of the module.
        unsafe {
            let low = _mm512_castpd256_pd512(_mm256_castps_pd(_mm512_cvtpd_ps(a[0])));
            _mm512_castpd_ps(_mm512_insertf64x4::<1>(low, _mm256_castps_pd(_mm512_cvtpd_ps(a[1]))))
        }
    }

    #[inline(always)]
    fn wide_splat(self, value: f64) -> Self::D {
        // SAFETY: see the head of the module.
        unsafe { [_mm512_set1_pd(value); 2] }
    }

    wide! {
        wide_add = _mm512_add_pd;
        wide_sub = _mm512_sub_pd;
        wide_mul = _mm512_mul_pd;
        wide_div = _mm512_div_pd;
        wide_min = _mm512_min_pd;
        wide_max = _mm512_max_pd;
    }

    #[inline(always)]
    fn wide_round(self, a: Self::D) -> Self::D {
        // SAFETY: see the head of the module.
        unsafe { [_mm512_roundscale_pd::<ROUND_NEAREST>(a[0]), _mm512_roundscale_pd::<ROUND_NEAREST>(a[1])] }
    }
}

/// Four rounds of interleaving: pairs of numbers, pairs of pairs, then quarters of the vectors twice.
#[inline(always)]
unsafe fn transpose(src: *const f32, src_row: usize, dst: *mut f32, dst_row: usize) {
    // SAFETY: the caller's promise, and the head of the module.
    unsafe {
        let mut r = [_mm512_setzero_ps(); 16];
        for (i, row) in r.iter_mut().enumerate() {
            *row = _mm512_loadu_ps(src.add(i * src_row));
        }
        let mut t = r;
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..4 {
            let (a, b) = (_mm512_castps_pd(t[4 * i]), _mm512_castps_pd(t[4 * i + 1]));
            let (c, d) = (_mm512_castps_pd(t[4 * i + 2]), _mm512_castps_pd(t[4 * i + 3]));
            r[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
            r[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
            r[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
            r[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
        }
        // Now quarter q of r[4 * i + j] holds column 4 * q + j of rows 4 * i ..
        for j in 0..4 {
            let low = _mm512_shuffle_f32x4::<0x88>(r[j], r[4 + j]);
            let high = _mm512_shuffle_f32x4::<0xDD>(r[j], r[4 + j]);
            let low2 = _mm512_shuffle_f32x4::<0x88>(r[8 + j], r[12 + j]);
            let high2 = _mm512_shuffle_f32x4::<0xDD>(r[8 + j], r[12 + j]);
            _mm512_storeu_ps(dst.add(j * dst_row), _mm512_shuffle_f32x4::<0x88>(low, low2));
            _mm512_storeu_ps(dst.add((4 + j) * dst_row), _mm512_shuffle_f32x4::<0x88>(high, high2));
            _mm512_storeu_ps(dst.add((8 + j) * dst_row), _mm512_shuffle_f32x4::<0xDD>(low, low2));
            _mm512_storeu_ps(dst.add((12 + j) * dst_row), _mm512_shuffle_f32x4::<0xDD>(high, high2));
        }
    }
}
