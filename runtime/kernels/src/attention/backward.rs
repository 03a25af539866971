//! The gradients of one head of one sample. The weights come back from the log-sum-exp: `p = exp(score − lse)`; with
//! `δ = Σ out · dout` for each query, `dscore = p (dout · v − δ)`.

use std::f32::consts::LOG2_E;

use super::rows::{Parts, copy, copy_row, transpose_in, transpose_out};
use super::{Attention, Sample, Saved};
use crate::micro::tile;
use crate::parallel::{Scratch, Shared};
use crate::simd::{Kernel, Simd};
use crate::vmath;

/// Keys of a tile: two tiles of 48 queries take half of the first cache.
const TILE_KEYS: usize = 64;
/// Vectors of queries in a block.
const VECTORS: usize = 3;
/// A log-sum-exp that makes every weight 0, for lanes without a query.
const NO_QUERY: f32 = 1e30;

pub(super) struct Task<'a> {
    pub attention: &'a Attention<'a>,
    pub sample: &'a Sample,
    pub head: usize,
    pub saved: &'a Saved<'a>,
    pub dq: Option<Shared>,
    pub dk: Option<Shared>,
    pub dv: Option<Shared>,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Attention { heads, dim, value, scale, .. } = *self.attention;
        let (queries, keys) = (self.sample.queries.clone(), self.sample.keys.len());
        let widths = Widths::new::<S>(dim, value, keys);
        let lengths = widths.lengths::<S>();
        let mut scratch = Scratch::new(Parts::room(&lengths));
        let mut parts = Parts::new(scratch.numbers());
        let [k, v, dk, dv, qt, doutt, dqt, q, dout, weights, dscores, lse, delta] = lengths.map(|length| parts.take(length));
        let first_key = self.sample.keys.start * heads + self.head;
        // SAFETY: the parts are as long as is written, and the slices reach to the last position.
        unsafe {
            copy(s, self.saved.k.as_ptr().add(first_key * dim), heads * dim, (keys, dim), k, (widths.keys, widths.k));
            copy(s, self.saved.v.as_ptr().add(first_key * value), heads * value, (keys, value), v, (widths.keys, widths.v));
            dk.write_bytes(0, widths.keys * widths.dk);
            dv.write_bytes(0, widths.keys * widths.dv);
        }
        let wanted = (self.dq.is_some(), self.dk.is_some(), self.dv.is_some());
        for start in queries.clone().step_by(VECTORS * S::LANES) {
            let count = (VECTORS * S::LANES).min(queries.end - start);
            let row = start * heads + self.head;
            let vectors = count.div_ceil(S::LANES);
            let width = vectors * S::LANES;
            // SAFETY: as above.
            unsafe {
                let (src_q, src_dout) = (self.saved.q.as_ptr().add(row * dim), self.saved.dout.as_ptr().add(row * value));
                transpose_in(s, src_q, heads * dim, (count, dim), qt, width, scale * LOG2_E);
                transpose_in(s, src_dout, heads * value, (count, value), doutt, width, 1.0);
                copy(s, src_q, heads * dim, (count, dim), q, (count, widths.dk));
                copy(s, src_dout, heads * value, (count, value), dout, (count, widths.dv));
                self.rows_of_queries(row, count, width, lse, delta);
            }
            let block =
                Block { dim, value, keys, count, widths, wanted, k, v, dk, dv, qt, doutt, dqt, q, dout, weights, dscores, lse, delta };
            match vectors {
                1 => s.vectorize(Vectors::<1>(block)),
                2 => s.vectorize(Vectors::<2>(block)),
                _ => s.vectorize(Vectors::<3>(block)),
            }
            if let Some(dq) = self.dq {
                // SAFETY: the rows of these queries and this head belong to this task.
                unsafe {
                    scale_all(s, dqt, dim * width, scale);
                    transpose_out(s, dqt, width, (count, dim), dq.pointer().add(row * dim), heads * dim);
                }
            }
        }
        // SAFETY: the rows of these keys and this head belong to this task.
        unsafe {
            if let Some(out) = self.dk {
                scale_all(s, dk, widths.keys * widths.dk, scale);
                copy_out(s, dk, widths.dk, (keys, dim), out.pointer().add(first_key * dim), heads * dim);
            }
            if let Some(out) = self.dv {
                copy_out(s, dv, widths.dv, (keys, value), out.pointer().add(first_key * value), heads * value);
            }
        }
    }
}

impl Task<'_> {
    /// The log-sum-exps of a block's queries, to base 2, and their δ.
    #[inline(always)]
    unsafe fn rows_of_queries(&self, row: usize, count: usize, width: usize, lse: *mut f32, delta: *mut f32) {
        let Attention { heads, value, .. } = *self.attention;
        for i in 0..width {
            let (mut log, mut sum) = (NO_QUERY, 0.0);
            if i < count {
                let row = row + i * heads;
                log = self.saved.lse[row] * LOG2_E;
                let (out, dout) = (&self.saved.out[row * value..][..value], &self.saved.dout[row * value..][..value]);
                sum = out.iter().zip(dout).map(|(&a, &b)| a * b).sum();
            }
            // SAFETY: the caller's promise.
            unsafe {
                *lse.add(i) = log;
                *delta.add(i) = sum;
            }
        }
    }
}

/// Lengths of rows in the scratch memory: `k` and `v` for whole tiles of rows, `dk` and `dv` for whole vectors.
#[derive(Clone, Copy)]
struct Widths {
    k: usize,
    v: usize,
    dk: usize,
    dv: usize,
    /// Keys for whole double tiles of rows.
    keys: usize,
}

impl Widths {
    #[inline(always)]
    fn new<S: Simd>(dim: usize, value: usize, keys: usize) -> Self {
        let tiles = |length: usize| length.next_multiple_of(S::ROWS);
        let vectors = |length: usize| length.next_multiple_of(S::LANES);
        Self { k: tiles(dim), v: tiles(value), dk: vectors(dim), dv: vectors(value), keys: keys.next_multiple_of(2 * S::ROWS) }
    }

    /// Of the parts in the order of [`Task::run`].
    #[inline(always)]
    fn lengths<S: Simd>(self) -> [usize; 13] {
        let block = VECTORS * S::LANES;
        let tile = TILE_KEYS * block;
        let keys = self.keys;
        let rows = [keys * self.k, keys * self.v, keys * self.dk, keys * self.dv];
        let columns = [self.k * block, self.v * block, self.k * block, self.dk * block, self.dv * block];
        let [k, v, dk, dv] = rows;
        let [qt, doutt, dqt, q, dout] = columns;
        [k, v, dk, dv, qt, doutt, dqt, q, dout, tile, tile, block, block]
    }
}

/// A block of `count` queries: `qt[dim, query]` with the scale and log2 e in it, `doutt[value, query]`, `q[query, dim]`,
/// `dout[query, value]`. Adds to `dk[key, dim]` and `dv[key, value]`, and leaves `dqt[dim, query]`, the first and the last without the scale.
struct Block {
    dim: usize,
    value: usize,
    keys: usize,
    count: usize,
    widths: Widths,
    /// Are dq, dk and dv wanted?
    wanted: (bool, bool, bool),
    k: *const f32,
    v: *const f32,
    dk: *mut f32,
    dv: *mut f32,
    qt: *const f32,
    doutt: *const f32,
    dqt: *mut f32,
    q: *const f32,
    dout: *const f32,
    weights: *mut f32,
    dscores: *mut f32,
    lse: *const f32,
    delta: *const f32,
}

struct Vectors<const N: usize>(Block);

impl<const N: usize> Kernel for Vectors<N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let block = self.0;
        let width = N * S::LANES;
        // SAFETY: the parts of the scratch memory are as long as `Widths::lengths` says, for up to three vectors.
        unsafe {
            block.dqt.write_bytes(0, block.widths.k * width);
            for start in (0..block.keys).step_by(TILE_KEYS) {
                let count = TILE_KEYS.min(block.keys - start);
                if S::ROWS == 8 {
                    weights::<S, 8, N>(s, &block, start, count);
                } else {
                    weights::<S, 4, N>(s, &block, start, count);
                }
                if block.wanted.2 {
                    let dst = block.dv.add(start * block.widths.dv);
                    s.vectorize(AddRows {
                        keys: count,
                        a: block.weights,
                        a_row: width,
                        depth: block.count,
                        b: block.dout,
                        dst,
                        width: block.widths.dv,
                    });
                }
                if block.wanted.1 {
                    let dst = block.dk.add(start * block.widths.dk);
                    s.vectorize(AddRows {
                        keys: count,
                        a: block.dscores,
                        a_row: width,
                        depth: block.count,
                        b: block.q,
                        dst,
                        width: block.widths.dk,
                    });
                }
                if block.wanted.0 {
                    if S::ROWS == 8 {
                        add_queries::<S, 8, N>(s, &block, start, count);
                    } else {
                        add_queries::<S, 4, N>(s, &block, start, count);
                    }
                }
            }
        }
    }
}

/// The weights of a tile of keys and the gradients of its scores, both `[key, query]`.
#[inline(always)]
unsafe fn weights<S: Simd, const ROWS: usize, const N: usize>(s: S, block: &Block, start: usize, count: usize) {
    let width = N * S::LANES;
    // SAFETY: keys are padded to whole tiles of rows, and so are the tiles of scores.
    unsafe {
        for key in (0..count).step_by(ROWS) {
            let k = (block.k.add((start + key) * block.widths.k), block.widths.k, 1);
            let scores = tile::<S, ROWS, N>(s, block.dim, k, (block.qt, width));
            for (i, row) in scores.iter().enumerate() {
                for (j, &score) in row.iter().enumerate() {
                    let weight = vmath::exp2(s, s.sub(score, s.load(block.lse.add(j * S::LANES))));
                    s.store(block.weights.add((key + i) * width + j * S::LANES), weight);
                }
            }
            let v = (block.v.add((start + key) * block.widths.v), block.widths.v, 1);
            let products = tile::<S, ROWS, N>(s, block.value, v, (block.doutt, width));
            for (i, row) in products.iter().enumerate() {
                for (j, &product) in row.iter().enumerate() {
                    let at = (key + i) * width + j * S::LANES;
                    let difference = s.sub(product, s.load(block.delta.add(j * S::LANES)));
                    s.store(block.dscores.add(at), s.mul(s.load(block.weights.add(at)), difference));
                }
            }
        }
    }
}

/// Adds `Σ_key k[key, dim] · dscores[key, query]` to `dqt`.
#[inline(always)]
unsafe fn add_queries<S: Simd, const ROWS: usize, const N: usize>(s: S, block: &Block, start: usize, count: usize) {
    let width = N * S::LANES;
    for i in (0..block.widths.k).step_by(ROWS) {
        // SAFETY: rows of k are padded to whole tiles of rows.
        unsafe {
            let k = (block.k.add(start * block.widths.k + i), 1, block.widths.k);
            let sums = tile::<S, ROWS, N>(s, count, k, (block.dscores, width));
            for (row, sums) in sums.iter().enumerate() {
                for (j, &sum) in sums.iter().enumerate() {
                    let at = block.dqt.add((i + row) * width + j * S::LANES);
                    s.store(at, s.add(s.load(at), sum));
                }
            }
        }
    }
}

/// Adds `Σ_query a[key, query] · b[query, ..]` to the rows of `keys` keys, which are padded to whole double tiles of rows.
struct AddRows {
    keys: usize,
    a: *const f32,
    a_row: usize,
    depth: usize,
    b: *const f32,
    dst: *mut f32,
    width: usize,
}

impl Kernel for AddRows {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut column = 0;
        while column < self.width {
            let vectors = ((self.width - column) / S::LANES).min(3);
            // SAFETY: rows are padded to whole vectors and whole double tiles of rows. One vector of columns needs twice the rows to
            // keep the multipliers busy.
            unsafe {
                match (vectors, S::ROWS) {
                    (3, 8) => self.columns::<S, 8, 3>(s, column),
                    (2, 8) => self.columns::<S, 8, 2>(s, column),
                    (_, 8) => self.columns::<S, 16, 1>(s, column),
                    (3, _) => self.columns::<S, 4, 3>(s, column),
                    (2, _) => self.columns::<S, 4, 2>(s, column),
                    (_, _) => self.columns::<S, 8, 1>(s, column),
                }
            }
            column += vectors * S::LANES;
        }
    }
}

impl AddRows {
    #[inline(always)]
    unsafe fn columns<S: Simd, const ROWS: usize, const N: usize>(&self, s: S, column: usize) {
        for key in (0..self.keys).step_by(ROWS) {
            // SAFETY: the caller's promise.
            unsafe {
                let sums =
                    tile::<S, ROWS, N>(s, self.depth, (self.a.add(key * self.a_row), self.a_row, 1), (self.b.add(column), self.width));
                for (i, row) in sums.iter().enumerate() {
                    for (j, &sum) in row.iter().enumerate() {
                        let at = self.dst.add((key + i) * self.width + column + j * S::LANES);
                        s.store(at, s.add(s.load(at), sum));
                    }
                }
            }
        }
    }
}

/// Multiplies `count` numbers, in memory with room for whole vectors.
#[inline(always)]
unsafe fn scale_all<S: Simd>(s: S, memory: *mut f32, count: usize, factor: f32) {
    for i in (0..count).step_by(S::LANES) {
        // SAFETY: the caller's promise.
        unsafe { s.store(memory.add(i), s.mul(s.load(memory.add(i)), s.splat(factor))) };
    }
}

/// Copies `count` rows of `length` numbers.
#[inline(always)]
unsafe fn copy_out<S: Simd>(s: S, src: *const f32, src_row: usize, (count, length): (usize, usize), dst: *mut f32, dst_row: usize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { copy_row(s, src.add(i * src_row), dst.add(i * dst_row), length) };
    }
}
