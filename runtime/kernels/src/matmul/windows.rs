//! Products whose left operand is the windows along the rows of a matrix: convolutions, without a copy of the windows.
//!
//! Row `w` of the left operand is window `w`, and its columns are the channels of the first tap, then those of the second, and so on. Windows
//! whose taps are next to each other are numbers next to each other in memory, so that a register tile reads them where they are;
//! others, and those that reach beyond the ends, are brought together for one register tile at a time.

use std::ops::Range;

use super::{Operand, Product, Strides, run};
use crate::simd::Level;

/// Windows along the positions of `x[position, channel]`: tap `t` of window `w` of a segment is its position
/// `w * stride + t * dilation - before`, or `fill` where the segment has no such position.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    pub taps: usize,
    pub stride: usize,
    pub dilation: usize,
    pub before: usize,
    pub fill: f32,
    /// Stretches of `x` that do not see each other, in the order of the rows of the product.
    pub segments: &'a [Segment],
}

/// A stretch of positions and the rows of the product that are its windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub positions: Range<usize>,
    pub rows: Range<usize>,
}

/// Computes `out[w, n] (+)= Σ_(tap, channel) x[w * stride + tap * dilation - before, channel] · rhs[n, (tap, channel)]`.
///
/// `product.m` is the number of windows of all segments and `product.k` is taps · channels; `product.lhs` are the strides of `x`.
/// Every row of the result has the same bits whatever the others are, as in [`super::matmul`].
///
/// # Panics
/// If a slice is shorter than the shapes and strides reach, elements of `out` share a place, `k` is no multiple of the taps, or the segments'
/// rows are not the product's, one segment after another.
pub fn convolve(product: &Product, windows: &Windows<'_>, x: &[f32], rhs: &[f32], out: &mut [f32]) {
    convolve_at(Level::best(), product, windows, x, rhs, out);
}

pub(super) fn convolve_at(level: Level, product: &Product, windows: &Windows<'_>, x: &[f32], rhs: &[f32], out: &mut [f32]) {
    windows.check(product.m, product.k, product.lhs, x.len());
    // The windows are inside `x`, wherever the strides of rows would lead.
    Product { lhs: Strides { row: 0, column: 0 }, ..*product }.check(x.len().max(1), rhs.len(), out.len());
    run(level, product, Operand::Windows(x, windows), Operand::Matrix(rhs), out);
}

/// Computes `out[m, (tap, channel)] (+)= Σ_w lhs[m, w] · x[w * stride + tap * dilation - before, channel]`: the gradient of the kernel of a
/// convolution.
///
/// `product.k` is the number of windows of all segments and `product.n` is taps · channels; `product.rhs` are the strides of `x`.
///
/// # Panics
/// As [`convolve`].
pub fn convolve_kernel(product: &Product, windows: &Windows<'_>, lhs: &[f32], x: &[f32], out: &mut [f32]) {
    convolve_kernel_at(Level::best(), product, windows, lhs, x, out);
}

pub(super) fn convolve_kernel_at(level: Level, product: &Product, windows: &Windows<'_>, lhs: &[f32], x: &[f32], out: &mut [f32]) {
    windows.check(product.k, product.n, product.rhs, x.len());
    Product { rhs: Strides { row: 0, column: 0 }, ..*product }.check(lhs.len(), x.len().max(1), out.len());
    run(level, product, Operand::Matrix(lhs), Operand::Windows(x, windows), out);
}

impl Windows<'_> {
    /// Are there `rows` windows of `columns` numbers, inside `x`?
    fn check(&self, rows: usize, columns: usize, strides: Strides, x: usize) {
        assert!(columns == 0 || columns.is_multiple_of(self.taps), "{columns} columns of {} taps", self.taps);
        let mut end = 0;
        for segment in self.segments {
            assert!(segment.rows.start == end && segment.rows.end >= end, "the rows of segments follow one another");
            end = segment.rows.end;
        }
        assert_eq!(rows, end, "every row is a window of a segment");
        let positions = self.segments.iter().map(|segment| segment.positions.end).max().unwrap_or(0);
        assert!(strides.reach(positions, columns / self.taps.max(1)) <= x, "x is too short for {positions} positions");
    }

    /// Writes `panel[w, column]` for the windows `depth`, as wide as `width`, with 0 behind the columns. A window has `all` columns.
    pub(super) fn pack(
        &self,
        (x, strides): (&[f32], Strides),
        all: usize,
        columns: Range<usize>,
        width: usize,
        depth: Range<usize>,
        panel: &mut [f32],
    ) {
        let channels = all / self.taps.max(1);
        for (row, window) in panel.chunks_exact_mut(width).zip(depth) {
            row[columns.len()..].fill(0.0);
            // SAFETY: the windows have been checked to be inside `x`, and a row of the panel has room for the columns.
            unsafe { self.copy_row((x.as_ptr(), strides), channels, window, &columns, row.as_mut_ptr()) };
        }
    }

    /// Columns `chunk` of some rows, of `channels` for each tap: a pointer and the strides of rows and columns. They are read in place where
    /// they are strided there, else written to `tile`, row after row.
    ///
    /// # Safety
    /// The rows are of the segments, whose positions can all be read at `x`, and `tile` has room for the rows.
    #[inline(always)]
    pub(super) unsafe fn rows(
        &self,
        (x, strides): (*const f32, Strides),
        channels: usize,
        rows: Range<usize>,
        chunk: &Range<usize>,
        tile: *mut f32,
    ) -> (*const f32, usize, usize) {
        if chunk.is_empty() {
            return (x, 0, 0);
        }
        let taps = chunk.start / channels..(chunk.end - 1) / channels + 1;
        let at = self.segments.partition_point(|segment| segment.rows.end <= rows.start);
        let Segment { positions, rows: own } = &self.segments[at];
        let first = (rows.start - own.start) * self.stride + taps.start * self.dilation;
        let last = (rows.end - 1 - own.start) * self.stride + (taps.end - 1) * self.dilation;
        let inside = rows.end <= own.end && first >= self.before && last - self.before < positions.len();
        if inside && (taps.len() == 1 || self.dilation * strides.row == channels * strides.column) {
            let (position, channel) = (positions.start + first - self.before, chunk.start - taps.start * channels);
            return (x.wrapping_add(position * strides.row + channel * strides.column), self.stride * strides.row, strides.column);
        }
        for (number, row) in rows.enumerate() {
            // SAFETY: the caller's promise.
            unsafe { self.copy_row((x, strides), channels, row, chunk, tile.add(number * chunk.len())) };
        }
        (tile.cast_const(), chunk.len(), 1)
    }

    /// Copies columns `chunk` of a row.
    unsafe fn copy_row(&self, (x, strides): (*const f32, Strides), channels: usize, row: usize, chunk: &Range<usize>, target: *mut f32) {
        let Segment { positions, rows } = &self.segments[self.segments.partition_point(|segment| segment.rows.end <= row)];
        let mut column = chunk.start;
        while column < chunk.end {
            let (tap, channel) = (column / channels, column % channels);
            let count = (channels - channel).min(chunk.end - column);
            let target = target.wrapping_add(column - chunk.start);
            let position = ((row - rows.start) * self.stride + tap * self.dilation).checked_sub(self.before);
            // SAFETY: the caller's promise; the position is one of the segment's.
            unsafe {
                match position.filter(|position| *position < positions.len()) {
                    None => std::slice::from_raw_parts_mut(target, count).fill(self.fill),
                    Some(position) => {
                        let source = x.add((positions.start + position) * strides.row + channel * strides.column);
                        if strides.column == 1 {
                            std::ptr::copy_nonoverlapping(source, target, count);
                        } else {
                            (0..count).for_each(|i| *target.add(i) = *source.add(i * strides.column));
                        }
                    }
                }
            }
            column += count;
        }
    }
}
