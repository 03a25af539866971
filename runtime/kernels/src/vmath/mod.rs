//! Elementwise functions on tiles of f32, for generated code: one C function for each function and instruction set.
//!
//! They promise, of every element alone (a tile may have any length, and `dst` may be `src`):
//! - distance from the exact value over the whole range of f32, subnormal numbers included, measured on every 15th number:
//!   `exp`, `log` 1.1 ulp; `erf`, `rsqrt`, `sin`, `cos` 1.6; `pow` 2.0; `tanh` 2.5; the others are exact or correctly rounded;
//! - the value of C's `expf`, `logf`, … at ±0, ±∞, NaN and outside the domain;
//! - the same bits wherever the element stands, and for any length.
//!
//! Polynomials are minimax fits of relative error on the stated interval.

mod error_function;
mod exponential;
mod power;
#[cfg(test)]
mod tests;
mod trigonometric;

pub(crate) use exponential::{exp2, log};

use crate::simd::{Kernel, Level, Simd};

/// `dst[i] = f(src[i])` for `i < n`.
///
/// Safety: `n` numbers can be read at `src` and written at `dst`, which are the same or do not overlap.
pub type UnaryTile = unsafe extern "C" fn(src: *const f32, dst: *mut f32, n: usize);

/// `dst[i] = f(a[i], b[i])` for `i < n`.
///
/// Safety: as for [`UnaryTile`], for `a` and for `b`.
pub type BinaryTile = unsafe extern "C" fn(a: *const f32, b: *const f32, dst: *mut f32, n: usize);

/// The names that [`unary`] knows.
pub const UNARY: [&str; 10] = ["exp", "log", "sqrt", "rsqrt", "tanh", "erf", "sin", "cos", "floor", "abs"];

/// The function of one operand of that name, for this machine.
pub fn unary(name: &str) -> Option<UnaryTile> {
    unary_at(Level::best(), name)
}

/// The function of two operands of that name (`pow`), for this machine.
pub fn binary(name: &str) -> Option<BinaryTile> {
    binary_at(Level::best(), name)
}

/// [`unary`] for an instruction set; `None` also where the machine lacks it.
pub fn unary_at(level: Level, name: &str) -> Option<UnaryTile> {
    Some(match name {
        "exp" => tile::<exponential::Exp>(level)?,
        "log" => tile::<exponential::Log>(level)?,
        "sqrt" => tile::<Sqrt>(level)?,
        "rsqrt" => tile::<Rsqrt>(level)?,
        "tanh" => tile::<exponential::Tanh>(level)?,
        "erf" => tile::<error_function::Erf>(level)?,
        "sin" => tile::<trigonometric::Sin>(level)?,
        "cos" => tile::<trigonometric::Cos>(level)?,
        "floor" => tile::<Floor>(level)?,
        "abs" => tile::<Abs>(level)?,
        _ => return None,
    })
}

/// [`binary`] for an instruction set; `None` also where the machine lacks it.
pub fn binary_at(level: Level, name: &str) -> Option<BinaryTile> {
    if name != "pow" || !level.is_available() {
        return None;
    }
    Some(match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => pow_tile::<crate::simd::Avx512>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => pow_tile::<crate::simd::Avx2>,
        _ => pow_tile::<crate::simd::Portable>,
    })
}

/// A function of one operand.
pub(crate) trait Unary: 'static {
    fn eval<S: Simd>(simd: S, x: S::F) -> S::F;
}

struct Sqrt;
struct Rsqrt;
struct Floor;
struct Abs;

impl Unary for Sqrt {
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        s.sqrt(x)
    }
}

impl Unary for Rsqrt {
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        s.div(s.splat(1.0), s.sqrt(x))
    }
}

impl Unary for Floor {
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        s.floor(x)
    }
}

impl Unary for Abs {
    #[inline(always)]
    fn eval<S: Simd>(s: S, x: S::F) -> S::F {
        s.abs(x)
    }
}

fn tile<U: Unary>(level: Level) -> Option<UnaryTile> {
    level.is_available().then_some(match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unary_tile::<U, crate::simd::Avx512>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unary_tile::<U, crate::simd::Avx2>,
        _ => unary_tile::<U, crate::simd::Portable>,
    })
}

unsafe extern "C" fn unary_tile<U: Unary, S: Simd>(src: *const f32, dst: *mut f32, n: usize) {
    // SAFETY: a pointer to this function is given out only where the machine has the instructions.
    let simd = unsafe { S::assume() };
    simd.vectorize(UnaryLoop { src, dst, n, function: std::marker::PhantomData::<U> });
}

unsafe extern "C" fn pow_tile<S: Simd>(a: *const f32, b: *const f32, dst: *mut f32, n: usize) {
    // SAFETY: a pointer to this function is given out only where the machine has the instructions.
    let simd = unsafe { S::assume() };
    simd.vectorize(PowLoop { a, b, dst, n });
}

struct UnaryLoop<U> {
    src: *const f32,
    dst: *mut f32,
    n: usize,
    function: std::marker::PhantomData<U>,
}

impl<U: Unary> Kernel for UnaryLoop<U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut i = 0;
        // SAFETY: `n` numbers can be read at `src` and written at `dst` by the contract of `UnaryTile`.
        unsafe {
            while i + S::LANES <= self.n {
                s.store(self.dst.add(i), U::eval(s, s.load(self.src.add(i))));
                i += S::LANES;
            }
            if i < self.n {
                let rest = self.n - i;
                s.store_first(self.dst.add(i), U::eval(s, s.load_first(self.src.add(i), rest)), rest);
            }
        }
    }
}

struct PowLoop {
    a: *const f32,
    b: *const f32,
    dst: *mut f32,
    n: usize,
}

impl Kernel for PowLoop {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut i = 0;
        // SAFETY: `n` numbers can be read at `a` and `b` and written at `dst` by the contract of `BinaryTile`.
        unsafe {
            while i + S::LANES <= self.n {
                s.store(self.dst.add(i), power::pow(s, s.load(self.a.add(i)), s.load(self.b.add(i))));
                i += S::LANES;
            }
            if i < self.n {
                let rest = self.n - i;
                let value = power::pow(s, s.load_first(self.a.add(i), rest), s.load_first(self.b.add(i), rest));
                s.store_first(self.dst.add(i), value, rest);
            }
        }
    }
}

/// `c[0] + c[1] x + c[2] x² + …`, by Horner's rule.
#[inline(always)]
pub(crate) fn polynomial<S: Simd, const N: usize>(s: S, x: S::F, coefficients: [f32; N]) -> S::F {
    let mut value = s.splat(coefficients[N - 1]);
    for i in (0..N - 1).rev() {
        value = s.fma(value, x, s.splat(coefficients[i]));
    }
    value
}
