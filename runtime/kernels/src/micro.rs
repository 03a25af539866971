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
    let mut k = 0;
    // SAFETY: the caller's promise.
    unsafe {
        // By fours: what the loop itself costs is a twelfth of the time otherwise.
        while k + 4 <= depth {
            for _ in 0..4 {
                step(s, &mut sums, (a.add(k * a_depth), a_row), b.add(k * b_depth));
                k += 1;
            }
        }
        while k < depth {
            step(s, &mut sums, (a.add(k * a_depth), a_row), b.add(k * b_depth));
            k += 1;
        }
    }
    sums
}

/// Adds the products of one `k`.
#[inline(always)]
unsafe fn step<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    sums: &mut [[S::F; VECTORS]; ROWS],
    (a, a_row): (*const f32, usize),
    b: *const f32,
) {
    let mut columns = [s.splat(0.0); VECTORS];
    // SAFETY: the caller's promise.
    unsafe {
        for (j, column) in columns.iter_mut().enumerate() {
            *column = s.load(b.add(j * S::LANES));
        }
        for (i, row) in sums.iter_mut().enumerate() {
            let scalar = s.splat(*a.add(i * a_row));
            for (sum, &column) in row.iter_mut().zip(&columns) {
                *sum = s.mul_add(scalar, column, *sum);
            }
        }
    }
}
