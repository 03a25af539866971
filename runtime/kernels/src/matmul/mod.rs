//! Matrix products `out[m, n] (+)= Σ_k lhs[m, k] · rhs[n, k]` with any strides.
//!
//! Every element of the result is, for each chunk of `k`, one chain of multiply-adds in ascending `k`, and the chunks are
//! added in ascending order; where the chunks end depends on `k` alone. So an element has the same bits whatever the other
//! rows and columns are, however many there are, however they are laid out, and whatever threads compute them. That is why these loops are
//! our own: libraries choose another order of summation when a matrix is small or thin.
//!
//! The loops: `rhs` is packed into panels as wide as a register tile, chunk after chunk of `k`. Blocks of rows of `lhs`
//! (and for few rows blocks of columns too) are tasks; a task goes through the chunks, the panels of its columns, and its
//! register tiles of rows, so that a panel stays in the first cache while the rows of the block pass by.

mod block;
mod pack;
#[cfg(test)]
mod tests;
mod widened;
mod windows;

pub use widened::{matmul_bf16, widen};

use std::ops::Range;

use crate::parallel::{Scratch, Shared, for_each};
use crate::simd::Level;
use block::Block;
use pack::{PackPanel, Panels};
pub use windows::{Segment, Windows, convolve, convolve_kernel};

/// Longest chunk of `k`: a panel of it fills the first cache.
const LONGEST_CHUNK: usize = 384;
/// Rows that a task takes at most: the packed operand comes from far away once for each task.
const MOST_ROWS: usize = 320;
/// Rows that are not worth dividing for the sake of balance.
const FEW_ROWS: usize = 128;
/// Multiply-adds below which a product is not worth waking another thread.
const SERIAL_WORK: usize = 1 << 17;
/// `rhs` is packed for so many numbers at a time, and at least one chunk.
const PACKED_NUMBERS: usize = 1 << 19;
/// Rows from which on passing over the result once more costs more than packed numbers that come from farther away.
const MANY_ROWS: usize = 4096;
/// As [`PACKED_NUMBERS`], with that many rows.
const MANY_PACKED_NUMBERS: usize = 1 << 22;

/// How far apart the neighbours along a matrix's two dimensions are, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strides {
    /// From one row to the next (`m` of `lhs` and `out`, `n` of `rhs`).
    pub row: usize,
    /// From one column to the next (`k` of `lhs` and `rhs`, `n` of `out`).
    pub column: usize,
}

impl Strides {
    /// Rows of `columns` numbers one after another.
    pub fn row_major(columns: usize) -> Self {
        Self { row: columns, column: 1 }
    }

    /// Columns of `rows` numbers one after another.
    pub fn column_major(rows: usize) -> Self {
        Self { row: 1, column: rows }
    }

    /// How many numbers from the first to behind the last of a `rows × columns` matrix.
    fn reach(self, rows: usize, columns: usize) -> usize {
        if rows == 0 || columns == 0 { 0 } else { (rows - 1) * self.row + (columns - 1) * self.column + 1 }
    }

    fn swapped(self) -> Self {
        Self { row: self.column, column: self.row }
    }
}

/// The shapes of `out[m, n] (+)= Σ_k lhs[m, k] · rhs[n, k]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Of `lhs[m, k]`.
    pub lhs: Strides,
    /// Of `rhs[n, k]`.
    pub rhs: Strides,
    /// Of `out[m, n]`; no two elements may be in the same place.
    pub out: Strides,
    /// Add to what is in `out`; otherwise replace it.
    pub accumulate: bool,
}

impl Product {
    /// Row-major `out[m, n] = Σ_k lhs[m, k] · rhs[n, k]`, all three dense: a linear layer with weights `[out, in]`.
    pub fn linear(m: usize, n: usize, k: usize) -> Self {
        let (lhs, rhs, out) = (Strides::row_major(k), Strides::row_major(k), Strides::row_major(n));
        Self { m, n, k, lhs, rhs, out, accumulate: false }
    }

    /// The same elements with rows and columns of the result swapped.
    fn transposed(self) -> Self {
        Self { m: self.n, n: self.m, lhs: self.rhs, rhs: self.lhs, out: self.out.swapped(), ..self }
    }

    fn check(&self, lhs: usize, rhs: usize, out: usize) {
        assert!(self.lhs.reach(self.m, self.k) <= lhs, "lhs is too short for {self:?}");
        assert!(self.rhs.reach(self.n, self.k) <= rhs, "rhs is too short for {self:?}");
        assert!(self.out.reach(self.m, self.n) <= out, "out is too short for {self:?}");
        let (near, far) = match self.out.row < self.out.column {
            true => ((self.out.row, self.m), (self.out.column, self.n)),
            false => ((self.out.column, self.n), (self.out.row, self.m)),
        };
        let distinct = (near.1 <= 1 || near.0 > 0) && (far.1 <= 1 || far.0 > near.0 * near.1.saturating_sub(1));
        assert!(distinct || self.m == 0 || self.n == 0, "elements of out overlap in {self:?}");
    }
}

/// Computes a product.
///
/// # Panics
/// If a slice is shorter than the shapes and strides reach, or elements of `out` share a place.
pub fn matmul(product: &Product, lhs: &[f32], rhs: &[f32], out: &mut [f32]) {
    matmul_at(Level::best(), product, lhs, rhs, out);
}

fn matmul_at(level: Level, product: &Product, lhs: &[f32], rhs: &[f32], out: &mut [f32]) {
    product.check(lhs.len(), rhs.len(), out.len());
    // Register tiles write rows: take for rows what is farther apart in the result.
    if product.out.column != 1 && product.out.row == 1 {
        run(level, &product.transposed(), Operand::Matrix(rhs), Operand::Matrix(lhs), out);
    } else {
        run(level, product, Operand::Matrix(lhs), Operand::Matrix(rhs), out);
    }
}

/// Computes independent products, `counts` of them, group `g` at offsets `g * strides[..]` of lhs, rhs and out.
///
/// # Panics
/// As [`matmul`].
pub fn matmul_groups(product: &Product, groups: usize, strides: [usize; 3], lhs: &[f32], rhs: &[f32], out: &mut [f32]) {
    if groups == 0 || product.m == 0 || product.n == 0 {
        return;
    }
    // With nothing to sum, the operands hold nothing whatever their strides.
    let strides = if product.k == 0 { [0, 0, strides[2]] } else { strides };
    let last = groups - 1;
    let reach = product.out.reach(product.m, product.n);
    let available = out.len().saturating_sub(last * strides[2]);
    product.check(lhs.len().saturating_sub(last * strides[0]), rhs.len().saturating_sub(last * strides[1]), available);
    if strides[2] >= reach && product.m * product.n * product.k < SERIAL_WORK * 16 {
        // Small products: one after another in each thread.
        let shared = Shared::new(out);
        for_each(groups, groups * product.m * product.n * product.k >= SERIAL_WORK, |g| {
            // SAFETY: `check` holds for the last group, so all groups are inside; with such strides they do not overlap.
            let out = unsafe { std::slice::from_raw_parts_mut(shared.pointer().add(g * strides[2]), reach) };
            matmul(product, &lhs[g * strides[0]..], &rhs[g * strides[1]..], out);
        });
    } else {
        for g in 0..groups {
            matmul(product, &lhs[g * strides[0]..], &rhs[g * strides[1]..], &mut out[g * strides[2]..]);
        }
    }
}

/// An operand of a product.
#[derive(Clone, Copy)]
enum Operand<'a> {
    /// A matrix with the strides of the product.
    Matrix(&'a [f32]),
    /// Windows along the rows of a matrix with the strides of the product.
    Windows(&'a [f32], &'a Windows<'a>),
}

/// Packs and multiplies, as many chunks at a time as fit the packing memory.
fn run(level: Level, product: &Product, lhs: Operand<'_>, rhs: Operand<'_>, out: &mut [f32]) {
    let Product { m, n, k, .. } = *product;
    if m == 0 || n == 0 {
        return;
    }
    let panels = Panels::new(level, n);
    let chunks = chunks(k);
    let parallel = m * n * k >= SERIAL_WORK;
    let room = if m >= MANY_ROWS { MANY_PACKED_NUMBERS } else { PACKED_NUMBERS };
    let per_pass = (room / (panels.padded() * LONGEST_CHUNK)).max(1);
    let out = Shared::new(out);
    for (pass, chunks) in chunks.chunks(per_pass).enumerate() {
        let depth = chunks[chunks.len() - 1].end - chunks[0].start;
        let product = Product { accumulate: product.accumulate || pass > 0, ..*product };
        let mut scratch = Scratch::new(panels.padded() * depth);
        let packed = scratch.numbers();
        pack(level, n, chunks, product.rhs, rhs, packed);
        let packed = &*packed;
        let block_rows = rows_of_a_block(m, panels.tile_rows(), MOST_ROWS);
        let row_blocks = m.div_ceil(block_rows);
        // Few rows: share out the columns too.
        let wanted = if parallel { 4 * rayon::current_num_threads() } else { 1 };
        let block_panels = panels.count().div_ceil(wanted.div_ceil(row_blocks)).max(1);
        let column_blocks = panels.count().div_ceil(block_panels);
        for_each(row_blocks * column_blocks, parallel, |task| {
            let (row_block, column_block) = (task / column_blocks, task % column_blocks);
            let rows = row_block * block_rows..m.min((row_block + 1) * block_rows);
            let columns = column_block * block_panels..panels.count().min((column_block + 1) * block_panels);
            Block { product: &product, chunks, panels, rows, columns, lhs, packed, out }.compute(level);
        });
    }
}

/// Packs the chunks of `rhs[n, k]` one behind another, each panel by panel.
fn pack(level: Level, n: usize, chunks: &[Range<usize>], strides: Strides, rhs: Operand<'_>, packed: &mut [f32]) {
    let panels = Panels::new(level, n);
    let shared = Shared::new(packed);
    let first = chunks[0].start;
    let work: usize = n * (chunks[chunks.len() - 1].end - first);
    for_each(chunks.len() * panels.count(), work >= SERIAL_WORK, |task| {
        let (chunk, panel) = (&chunks[task / panels.count()], task % panels.count());
        let columns = panels.columns(panel);
        let offset = (chunk.start - first) * panels.padded() + chunk.len() * columns.start;
        let (width, depth) = (panels.width(panel), chunk.clone());
        // SAFETY: panels are disjoint parts of `packed`, which has room for all of them.
        let panel = unsafe { std::slice::from_raw_parts_mut(shared.pointer().add(offset), chunk.len() * width) };
        match rhs {
            Operand::Matrix(rhs) => level.dispatch(PackPanel { columns, width, depth, strides, rhs, panel }),
            Operand::Windows(x, windows) => windows.pack((x, strides), n, columns, width, depth, panel),
        }
    });
}

/// Chunks of about equal length. One empty chunk for `k == 0`, so that a sum of nothing is written.
fn chunks(k: usize) -> Vec<Range<usize>> {
    let count = k.div_ceil(LONGEST_CHUNK).max(1);
    let length = k.div_ceil(count);
    (0..count).map(|i| (i * length).min(k)..((i + 1) * length).min(k)).collect()
}

/// Rows of a task: at most `most`, about equal shares for the threads, and two for each of them while they are long enough.
fn rows_of_a_block(m: usize, tile_rows: usize, most: usize) -> usize {
    let threads = rayon::current_num_threads();
    let count = m.div_ceil(most).max((2 * threads).min(m / FEW_ROWS)).max(1).next_multiple_of(threads);
    m.div_ceil(count).next_multiple_of(tile_rows).max(tile_rows)
}
