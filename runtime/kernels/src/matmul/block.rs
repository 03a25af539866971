//! One task of a product: a block of rows times a range of panels.

use std::ops::Range;

use super::pack::{Panels, VECTORS};
use super::windows::Windows;
use super::{Operand, Product};
use crate::micro::tile;
use crate::parallel::{Scratch, Shared};
use crate::simd::{Kernel, Level, Simd};

/// The widest register tile: 16 lanes in [`VECTORS`] vectors, 8 rows.
const TILE_NUMBERS: usize = 16 * VECTORS * 8;

/// Numbers of the packed panels that a block goes through again and again for each of its register tiles of rows: they stay in
/// the second cache.
const GROUP_NUMBERS: usize = 1 << 18;

/// Rows `rows` of the columns of panels `columns`, over `chunks`, which `packed` holds. The product's shapes have been checked.
pub(super) struct Block<'a> {
    pub product: &'a Product,
    pub chunks: &'a [Range<usize>],
    pub panels: Panels,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    pub lhs: Operand<'a>,
    pub packed: &'a [f32],
    pub out: Shared,
}

impl Block<'_> {
    pub(super) fn compute(self, level: Level) {
        level.dispatch(self);
    }
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let strides = self.product.lhs;
        let first = self.chunks[0].start;
        for (index, chunk) in self.chunks.iter().enumerate() {
            let packed = &self.packed[(chunk.start - first) * self.panels.padded()..][..chunk.len() * self.panels.padded()];
            let accumulate = self.product.accumulate || index > 0;
            let sweep = |rows| Sweep { block: &self, depth: chunk.len(), rows, packed, accumulate };
            let lhs = match self.lhs {
                Operand::Matrix(lhs) => lhs,
                Operand::Windows(lhs, windows) => {
                    let mut scratch = Scratch::new(S::ROWS * chunk.len());
                    let tile = scratch.numbers().as_mut_ptr();
                    s.vectorize(sweep(Rows::Windows { windows, lhs: lhs.as_ptr(), chunk: chunk.clone(), tile }));
                    continue;
                }
            };
            // The part of lhs is inside the slice, as the product's check found; it may be empty.
            let lhs = lhs.as_ptr().wrapping_add(self.rows.start * strides.row + chunk.start * strides.column);
            if strides.column == 1 || self.rows.len() * chunk.len() == 0 {
                s.vectorize(sweep(Rows::Strided(lhs, strides.row)));
                continue;
            }
            // `k` is far apart: bring the rows of a register tile together.
            let mut scratch = Scratch::new(self.rows.len().next_multiple_of(S::ROWS) * chunk.len());
            let rows = scratch.numbers().as_mut_ptr();
            // SAFETY: reads the part of lhs, writes as many numbers to the scratch memory.
            unsafe { gather_rows(lhs, (strides.row, strides.column), (self.rows.len(), chunk.len()), S::ROWS, rows) };
            s.vectorize(sweep(Rows::Gathered(rows.cast_const())));
        }
    }
}

/// Copies `rows × depth` numbers so that groups of `group` rows follow one another, each with its rows next to each other for every `k`.
#[inline(always)]
unsafe fn gather_rows(src: *const f32, (row, column): (usize, usize), (rows, depth): (usize, usize), group: usize, dst: *mut f32) {
    // In the order of the source, which is read as one stream when its rows are next to each other.
    for k in 0..depth {
        for start in (0..rows).step_by(group) {
            // SAFETY: the caller's promise.
            let (src, dst) = unsafe { (src.add(start * row + k * column), dst.add(start * depth + k * group)) };
            if row == 1 && rows - start >= group {
                // SAFETY: the caller's promise.
                unsafe { std::ptr::copy_nonoverlapping(src, dst, group) };
                continue;
            }
            for i in 0..group.min(rows - start) {
                // SAFETY: the caller's promise.
                unsafe { *dst.add(i) = *src.add(i * row) };
            }
        }
    }
}

/// The rows of a block within one chunk of `k`.
enum Rows<'a> {
    /// From this row to the next there are so many numbers; `k` are next to each other.
    Strided(*const f32, usize),
    /// Groups of [`Simd::ROWS`] rows, as [`gather_rows`] leaves them.
    Gathered(*const f32),
    /// Windows of `lhs`, and memory for the rows of one register tile.
    Windows { windows: &'a Windows<'a>, lhs: *const f32, chunk: Range<usize>, tile: *mut f32 },
}

/// A chunk of a block.
struct Sweep<'a> {
    block: &'a Block<'a>,
    depth: usize,
    rows: Rows<'a>,
    packed: &'a [f32],
    accumulate: bool,
}

impl Sweep<'_> {
    /// Where a register tile of `count` rows from row `row` of the block on is: a pointer and the strides of rows and of `k`.
    #[inline(always)]
    fn tile_rows<S: Simd>(&self, row: usize, count: usize) -> (*const f32, usize, usize) {
        match &self.rows {
            Rows::Strided(lhs, stride) => (lhs.wrapping_add(row * stride), *stride, 1),
            // A part of a group starts inside it.
            Rows::Gathered(lhs) => (lhs.wrapping_add(row / S::ROWS * S::ROWS * self.depth + row % S::ROWS), 1, S::ROWS),
            Rows::Windows { windows, lhs, chunk, tile } => {
                let Product { lhs: strides, k, .. } = *self.block.product;
                let first = self.block.rows.start + row;
                // SAFETY: the rows are rows of the product, whose check found all positions inside lhs; the tile has room for them.
                unsafe { windows.rows((*lhs, strides), k / windows.taps.max(1), first..first + count, chunk, *tile) }
            }
        }
    }
}

impl Kernel for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Block { panels, ref rows, ref columns, .. } = *self.block;
        let group = (GROUP_NUMBERS / (VECTORS * S::LANES * self.depth.max(1))).max(1);
        for first in columns.clone().step_by(group) {
            let group = first..columns.end.min(first + group);
            let mut row = 0;
            while row < rows.len() {
                // Fewer rows than a whole tile: halves, so that few tile shapes are compiled.
                let left = rows.len() - row;
                let tile_rows = if left >= S::ROWS { S::ROWS } else { 1 << left.ilog2() };
                let lhs = self.tile_rows::<S>(row, tile_rows);
                for panel in group.clone() {
                    let width = panels.width(panel);
                    let packed = &self.packed[self.depth * panels.columns(panel).start..][..self.depth * width];
                    Part { sweep: &self, panel, row, lhs, packed }.compute(s, tile_rows, width / S::LANES);
                }
                row += tile_rows;
            }
        }
    }
}

/// A register tile: rows of the block from `row` on, columns of `panel`.
struct Part<'a> {
    sweep: &'a Sweep<'a>,
    panel: usize,
    row: usize,
    /// The rows, with the strides of rows and of `k`.
    lhs: (*const f32, usize, usize),
    packed: &'a [f32],
}

impl Part<'_> {
    #[inline(always)]
    fn compute<S: Simd>(&self, s: S, rows: usize, vectors: usize) {
        match (rows, vectors) {
            (8, 3) => self.tile::<S, 8, 3>(s),
            (8, 2) => self.tile::<S, 8, 2>(s),
            (8, _) => self.tile::<S, 8, 1>(s),
            (4, 3) => self.tile::<S, 4, 3>(s),
            (4, 2) => self.tile::<S, 4, 2>(s),
            (4, _) => self.tile::<S, 4, 1>(s),
            (2, 3) => self.tile::<S, 2, 3>(s),
            (2, 2) => self.tile::<S, 2, 2>(s),
            (2, _) => self.tile::<S, 2, 1>(s),
            (_, 3) => self.tile::<S, 1, 3>(s),
            (_, 2) => self.tile::<S, 1, 2>(s),
            (_, _) => self.tile::<S, 1, 1>(s),
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const WIDTH: usize>(&self, s: S) {
        let Block { product, panels, rows, out, .. } = self.sweep.block;
        let columns = panels.columns(self.panel);
        let target = out.pointer().wrapping_add((rows.start + self.row) * product.out.row + columns.start * product.out.column);
        for i in 0..ROWS {
            // The hardware does not foresee the next strip of rows.
            for j in 0..=WIDTH {
                s.prefetch(target.wrapping_add(i * product.out.row + j * S::LANES));
            }
        }
        let b = (self.packed.as_ptr(), WIDTH * S::LANES);
        // SAFETY: the rows are inside the block's part of lhs (or its gathered copy), and the panel is as long as the chunk.
        let sums = unsafe { tile::<S, ROWS, WIDTH>(s, self.sweep.depth, self.lhs, b) };
        for (i, row) in sums.iter().enumerate() {
            let target = target.wrapping_add(i * product.out.row);
            // SAFETY: these elements are inside `out` and belong to this task, as the product's check found.
            unsafe {
                if product.out.column == 1 {
                    store_row(s, target, row, columns.len(), self.sweep.accumulate);
                } else {
                    scatter_row(s, target, product.out.column, row, columns.len(), self.sweep.accumulate);
                }
            }
        }
    }
}

/// Writes the first `count` numbers of a row.
#[inline(always)]
unsafe fn store_row<S: Simd, const WIDTH: usize>(s: S, dst: *mut f32, row: &[S::F; WIDTH], count: usize, accumulate: bool) {
    for (j, &vector) in row.iter().enumerate() {
        let start = j * S::LANES;
        // SAFETY: the caller's promise; only the first `count` numbers are touched.
        unsafe {
            let dst = dst.add(start);
            if start + S::LANES <= count {
                s.store(dst, if accumulate { s.add(s.load(dst), vector) } else { vector });
            } else {
                let rest = count - start;
                s.store_first(dst, if accumulate { s.add(s.load_first(dst, rest), vector) } else { vector }, rest);
            }
        }
    }
}

/// Writes the first `count` numbers of a row `stride` apart.
#[inline(always)]
unsafe fn scatter_row<S: Simd, const WIDTH: usize>(
    s: S,
    dst: *mut f32,
    stride: usize,
    row: &[S::F; WIDTH],
    count: usize,
    accumulate: bool,
) {
    let mut numbers = [0.0; TILE_NUMBERS / 8];
    for (j, &vector) in row.iter().enumerate() {
        // SAFETY: `numbers` holds the widest row.
        unsafe { s.store(numbers.as_mut_ptr().add(j * S::LANES), vector) };
    }
    for (j, &number) in numbers.iter().enumerate().take(count) {
        // SAFETY: the caller's promise.
        unsafe {
            let dst = dst.add(j * stride);
            *dst = if accumulate { *dst + number } else { number };
        }
    }
}
