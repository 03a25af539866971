//! [`Simd`] in plain Rust: 8 lanes in an array, for machines without the instruction sets and as a check of the others.

use std::array::from_fn;

use super::{Kernel, Simd};

/// Needs nothing of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Portable(());

const LANES: usize = 8;

/// Lanewise operations.
macro_rules! lanewise {
    ($($name:ident($($arg:ident: $kind:ident),*) -> $result:ident = $call:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: Self::$kind),*) -> Self::$result {
            from_fn(|lane| {
                $(let $arg = $arg[lane];)*
                $call
            })
        }
    )*};
}

/// `2^n` for integers `n` in [−126, 127].
#[inline(always)]
fn power_of_two(n: f32) -> f32 {
    f32::from_bits(((n as i32 + 127) as u32) << 23)
}

impl Simd for Portable {
    type F = [f32; LANES];
    type M = [bool; LANES];
    type D = [f64; LANES];
    const LANES: usize = LANES;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Self(())
    }

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [value; LANES]
    }

    #[inline(always)]
    fn wide_splat(self, value: f64) -> Self::D {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, src: *const f32) -> Self::F {
        // SAFETY: the caller's promise.
        unsafe { src.cast::<Self::F>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, dst: *mut f32, value: Self::F) {
        // SAFETY: the caller's promise.
        unsafe { dst.cast::<Self::F>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn load_first(self, src: *const f32, count: usize) -> Self::F {
        // SAFETY: the caller's promise.
        from_fn(|lane| if lane < count { unsafe { *src.add(lane) } } else { 1.0 })
    }

    #[inline(always)]
    unsafe fn store_first(self, dst: *mut f32, value: Self::F, count: usize) {
        for (lane, &number) in value.iter().enumerate().take(count) {
            // SAFETY: the caller's promise.
            unsafe { *dst.add(lane) = number };
        }
    }

    lanewise! {
        add(a: F, b: F) -> F = a + b;
        sub(a: F, b: F) -> F = a - b;
        mul(a: F, b: F) -> F = a * b;
        div(a: F, b: F) -> F = a / b;
        // Without a fused instruction `f32::mul_add` is a slow call; the product is exact in f64.
        fma(a: F, b: F, c: F) -> F = (f64::from(a) * f64::from(b) + f64::from(c)) as f32;
        mul_add(a: F, b: F, c: F) -> F = a * b + c;
        min(a: F, b: F) -> F = if a < b { a } else { b };
        max(a: F, b: F) -> F = if a > b { a } else { b };
        sqrt(a: F) -> F = a.sqrt();
        floor(a: F) -> F = a.floor();
        round(a: F) -> F = a.round_ties_even();
        abs(a: F) -> F = a.abs();
        copysign(a: F, sign: F) -> F = a.copysign(sign);
        // In two factors, because 2^n itself may not be a number: the first product is exact.
        scale_by_power(a: F, n: F) -> F = {
            let n = n.clamp(-252.0, 252.0);
            let half = (n * 0.5).floor();
            a * power_of_two(half) * power_of_two(n - half)
        };
        lt(a: F, b: F) -> M = a < b;
        eq(a: F, b: F) -> M = a == b;
        and(a: M, b: M) -> M = a && b;
        or(a: M, b: M) -> M = a || b;
        select(mask: M, a: F, b: F) -> F = if mask { a } else { b };
        widen(a: F) -> D = f64::from(a);
        narrow(a: D) -> F = a as f32;
        wide_add(a: D, b: D) -> D = a + b;
        wide_sub(a: D, b: D) -> D = a - b;
        wide_mul(a: D, b: D) -> D = a * b;
        wide_div(a: D, b: D) -> D = a / b;
        wide_min(a: D, b: D) -> D = if a < b { a } else { b };
        wide_max(a: D, b: D) -> D = if a > b { a } else { b };
        wide_round(a: D) -> D = a.round_ties_even();
    }

    #[inline(always)]
    fn mantissa_exponent(self, a: Self::F) -> (Self::F, Self::F) {
        let parts: [(f32, f32); LANES] = from_fn(|lane| {
            let (scaled, bias) = if a[lane] < f32::MIN_POSITIVE { (a[lane] * 16777216.0, 151.0) } else { (a[lane], 127.0) };
            let bits = scaled.to_bits();
            (f32::from_bits(bits & 0x007F_FFFF | 0x3F80_0000), (bits >> 23) as f32 - bias)
        });
        (parts.map(|part| part.0), parts.map(|part| part.1))
    }

    #[inline(always)]
    fn any(self, mask: Self::M) -> bool {
        mask.contains(&true)
    }
}
