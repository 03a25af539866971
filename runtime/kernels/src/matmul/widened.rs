//! Products with a right operand that is stored as bfloat16.
//!
//! Blocks of its rows are widened into memory that stays in the second cache and are multiplied like any others. An element of a product does not
//! depend on the columns beside it, so the blocks change no bits: the result is that of the widened matrix.

use std::ops::Range;

use super::{Product, Strides, matmul};
use crate::parallel::{Scratch, Shared, for_each};

/// Numbers that are widened at a time.
const BLOCK_NUMBERS: usize = 1 << 20;
/// Rows of the operand that are worth a product of their own.
const FEWEST_ROWS: usize = 192;
/// Numbers below which widening is not worth waking another thread.
const SERIAL_NUMBERS: usize = 1 << 15;

/// The number whose upper half this is.
pub fn widen(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// [`matmul`](super::matmul) with `rhs` as the upper halves of f32 numbers.
///
/// # Panics
/// As there.
pub fn matmul_bf16(product: &Product, lhs: &[f32], rhs: &[u16], out: &mut [f32]) {
    let Product { n, k, .. } = *product;
    assert!(product.rhs.reach(n, k) <= rhs.len(), "rhs is too short for {product:?}");
    if k == 0 {
        // With nothing to sum there is nothing to widen.
        return matmul(product, lhs, &[], out);
    }
    let rows = (BLOCK_NUMBERS / k).max(FEWEST_ROWS);
    for start in (0..n).step_by(rows) {
        let block = start..n.min(start + rows);
        let mut scratch = Scratch::new(block.len() * k);
        let strides = widen_rows(block.clone(), k, product.rhs, rhs, scratch.numbers());
        let part = Product { n: block.len(), rhs: strides, ..*product };
        matmul(&part, lhs, scratch.numbers(), &mut out[start * product.out.column..]);
    }
}

/// Widens rows of `rhs[n, k]` in the order in which they are stored, densely; gives their new strides.
fn widen_rows(rows: Range<usize>, depth: usize, strides: Strides, rhs: &[u16], wide: &mut [f32]) -> Strides {
    let by_column = strides.row < strides.column;
    // The lines are what stands together: rows of `depth`, or for every `k` the rows of the block.
    let (lines, length) = if by_column { (depth, rows.len()) } else { (rows.len(), depth) };
    let (line_step, step) = if by_column { (strides.column, strides.row) } else { (strides.row, strides.column) };
    let first = rows.start * strides.row;
    let wide = Shared::new(wide);
    for_each(lines, lines * length >= SERIAL_NUMBERS, |line| {
        // SAFETY: lines are disjoint parts of `wide`, which has room for all of them.
        let line_of_wide = unsafe { std::slice::from_raw_parts_mut(wide.pointer().add(line * length), length) };
        let start = first + line * line_step;
        if step == 1 {
            for (number, half) in line_of_wide.iter_mut().zip(&rhs[start..start + length]) {
                *number = widen(*half);
            }
        } else {
            for (at, number) in line_of_wide.iter_mut().enumerate() {
                *number = widen(rhs[start + at * step]);
            }
        }
    });
    if by_column { Strides::column_major(rows.len()) } else { Strides::row_major(depth) }
}
