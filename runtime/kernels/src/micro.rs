//! The register tile that products and attention are made of.

use crate::simd::Simd;

/// `Σ_k a[i, k] · b[k, j]` for `ROWS` rows and `VECTORS` vectors of columns, each element one chain of multiply-adds in the
/// order of `k`: its bits depend on row `i` of `a` and column `j` of `b` alone.
///
/// `a[i, k]` is at `a + i * a_row + k * a_depth`, and `b[k, ..]` at `b + k * b_depth`.
///
/// # Safety
/// All of `a` and `b` can be read.
#[inline(always)]
pub(crate) unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    depth: usize,
    (a, a_row, a_depth): (*const f32, usize, usize),
    (b, b_depth): (*const f32, usize),
) -> [[S::F; VECTORS]; ROWS] {
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    let mut columns = [s.splat(0.0); VECTORS];
    let mut step = |k: usize| {
        // SAFETY: the caller's promise.
        unsafe {
            for (j, column) in columns.iter_mut().enumerate() {
                *column = s.load(b.add(k * b_depth + j * S::LANES));
            }
            for (i, row) in sums.iter_mut().enumerate() {
                let scalar = s.splat(*a.add(i * a_row + k * a_depth));
                for (sum, &column) in row.iter_mut().zip(&columns) {
                    *sum = s.mul_add(scalar, column, *sum);
                }
            }
        }
    };
    let mut k = 0;
    while k + 4 <= depth {
        step(k);
        step(k + 1);
        step(k + 2);
        step(k + 3);
        k += 4;
    }
    while k < depth {
        step(k);
        k += 1;
    }
    sums
}
