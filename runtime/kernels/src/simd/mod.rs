//! Vectors of f32, one type for each instruction set behind one trait, so that a kernel is written once.
//!
//! A kernel is a [`Kernel`] whose `run` is generic over [`Simd`]; [`Level::dispatch`] runs it with the instructions of a
//! level. Everything below `run` must be `#[inline(always)]` or start over with [`Simd::vectorize`], because a function (or a
//! closure, to which that attribute cannot be given) that is not inlined into one with the target features is compiled without
//! them, and a hundred times slower.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use portable::Portable;

use std::sync::OnceLock;

/// Work that is compiled for one instruction set.
pub trait Kernel {
    type Output;
    /// Does the work. Implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// The vector operations of one instruction set. A value of the type is the proof that the machine has it.
///
/// Comparisons are false for NaN; `min` and `max` give their second operand when either is NaN.
pub trait Simd: Copy + Send + Sync + 'static {
    /// `LANES` numbers of f32.
    type F: Copy;
    /// A truth value for each lane.
    type M: Copy;
    /// `LANES` numbers of f64.
    type D: Copy;
    const LANES: usize;
    /// Rows of a register tile in products, for up to three vectors of columns. A power of two.
    const ROWS: usize;

    /// # Safety
    /// The machine has the instruction set.
    unsafe fn assume() -> Self;
    /// Calls a kernel in a function of its own that is compiled for the instruction set.
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output;

    fn splat(self, value: f32) -> Self::F;
    /// # Safety
    /// `LANES` numbers can be read at `src`.
    unsafe fn load(self, src: *const f32) -> Self::F;
    /// # Safety
    /// `LANES` numbers can be written at `dst`.
    unsafe fn store(self, dst: *mut f32, value: Self::F);
    /// The first `count < LANES` lanes from memory, 1 in the others.
    /// # Safety
    /// `count` numbers can be read at `src`.
    unsafe fn load_first(self, src: *const f32, count: usize) -> Self::F;
    /// Writes the first `count < LANES` lanes.
    /// # Safety
    /// `count` numbers can be written at `dst`.
    unsafe fn store_first(self, dst: *mut f32, value: Self::F, count: usize);
    /// Transposes `LANES × LANES` numbers from rows `src_row` apart to rows `dst_row` apart.
    /// # Safety
    /// All of them can be read and written, and do not overlap.
    #[inline(always)]
    unsafe fn transpose(self, src: *const f32, src_row: usize, dst: *mut f32, dst_row: usize) {
        for i in 0..Self::LANES {
            for j in 0..Self::LANES {
                // SAFETY: the caller's promise.
                unsafe { *dst.add(j * dst_row + i) = *src.add(i * src_row + j) };
            }
        }
    }

    /// Asks for the cache line at an address, which need not be valid.
    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        let _ = address;
    }

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c` rounded once (the portable level may round twice, in f64 first).
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a * b + c` in the fastest way.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn sqrt(self, a: Self::F) -> Self::F;
    fn floor(self, a: Self::F) -> Self::F;
    /// To the nearest integer, ties to even.
    fn round(self, a: Self::F) -> Self::F;
    fn abs(self, a: Self::F) -> Self::F;
    /// The magnitude of `a` with the sign bit of `sign`.
    fn copysign(self, a: Self::F, sign: Self::F) -> Self::F;
    /// `a * 2^n` for integers `n` (possibly −∞), rounded once for `a` in [0.5, 4).
    fn scale_by_power(self, a: Self::F, n: Self::F) -> Self::F;
    /// `(m, e)` with `a = m * 2^e` and `m` in [1, 2), for positive finite `a`, also subnormal. Anything for others.
    fn mantissa_exponent(self, a: Self::F) -> (Self::F, Self::F);

    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    fn eq(self, a: Self::F, b: Self::F) -> Self::M;
    fn and(self, a: Self::M, b: Self::M) -> Self::M;
    fn or(self, a: Self::M, b: Self::M) -> Self::M;
    fn any(self, mask: Self::M) -> bool;
    /// `mask ? a : b`.
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F;

    fn widen(self, a: Self::F) -> Self::D;
    fn narrow(self, a: Self::D) -> Self::F;
    fn wide_splat(self, value: f64) -> Self::D;
    fn wide_add(self, a: Self::D, b: Self::D) -> Self::D;
    fn wide_sub(self, a: Self::D, b: Self::D) -> Self::D;
    fn wide_mul(self, a: Self::D, b: Self::D) -> Self::D;
    fn wide_div(self, a: Self::D, b: Self::D) -> Self::D;
    fn wide_min(self, a: Self::D, b: Self::D) -> Self::D;
    fn wide_max(self, a: Self::D, b: Self::D) -> Self::D;
    fn wide_round(self, a: Self::D) -> Self::D;
}

/// An instruction set for which the kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// AVX-512F.
    Avx512,
    /// AVX2 with FMA.
    Avx2,
    /// Plain loops, on any machine.
    Portable,
}

impl Level {
    const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// The best level of this machine.
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Self::ALL.into_iter().find(|level| level.is_available()).unwrap_or(Self::Portable))
    }

    /// The levels that this machine has, best first.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|level| level.is_available()).collect()
    }

    /// Has this machine the instructions?
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }

    /// Runs a kernel with the instructions of this level, or the portable ones where the machine lacks them.
    pub fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        if self.is_available() {
            match self {
                // SAFETY: just asked.
                Self::Avx512 => return unsafe { Avx512::assume() }.vectorize(kernel),
                // SAFETY: just asked.
                Self::Avx2 => return unsafe { Avx2::assume() }.vectorize(kernel),
                Self::Portable => {}
            }
        }
        // SAFETY: needs nothing.
        unsafe { Portable::assume() }.vectorize(kernel)
    }
}
