//! The forward pass of one head of some queries of one sample: online softmax over tiles of keys.

use std::f32::consts::{LN_2, LOG2_E};

use super::rows::{Parts, copy, copy_panels, transpose_in, transpose_out};
use super::{Attention, Sample};
use crate::micro::tile;
use crate::parallel::{Scratch, Shared};
use crate::simd::{Kernel, Simd};
use crate::vmath;

/// Keys of a tile of scores: with 48 queries, half of the first cache.
const TILE_KEYS: usize = 128;
/// Vectors of queries in a block.
const VECTORS: usize = 3;

pub(super) struct Task<'a> {
    pub attention: &'a Attention<'a>,
    pub sample: &'a Sample,
    pub head: usize,
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub out: Shared,
    pub lse: Option<Shared>,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Attention { heads, dim, value, scale, .. } = *self.attention;
        let (queries, keys) = (self.sample.queries.clone(), self.sample.keys.len());
        let block = VECTORS * S::LANES;
        let (padded_keys, padded_value) = (keys.next_multiple_of(S::ROWS), value.next_multiple_of(S::ROWS));
        let lengths = [padded_keys * dim, keys * padded_value, dim * block, TILE_KEYS * block, padded_value * block, block, block];
        let mut scratch = Scratch::new(Parts::room(&lengths));
        let mut parts = Parts::new(scratch.numbers());
        let [k, v, q, scores, sums, maximum, total] = lengths.map(|length| parts.take(length));
        let first_key = self.sample.keys.start * heads + self.head;
        // SAFETY: the parts are as long as is written, and the slices reach to the last position.
        unsafe {
            copy(s, self.k.as_ptr().add(first_key * dim), heads * dim, (keys, dim), k, (padded_keys, dim));
            copy_panels(s, self.v.as_ptr().add(first_key * value), heads * value, (keys, value), v);
        }
        for start in queries.clone().step_by(block) {
            let count = block.min(queries.end - start);
            let row = start * heads + self.head;
            let vectors = count.div_ceil(S::LANES);
            let width = vectors * S::LANES;
            // SAFETY: as above.
            unsafe {
                let src = self.q.as_ptr().add(row * dim);
                transpose_in(s, src, heads * dim, (count, dim), q, width, scale * LOG2_E);
            }
            let block = Block { dim, padded_value, keys, k, v, q, scores, sums, maximum, total };
            match vectors {
                1 => s.vectorize(Vectors::<1>(block)),
                2 => s.vectorize(Vectors::<2>(block)),
                _ => s.vectorize(Vectors::<3>(block)),
            }
            // SAFETY: the rows of these queries and this head belong to this task.
            unsafe {
                transpose_out(s, sums, width, (count, value), self.out.pointer().add(row * value), heads * value);
                if let Some(lse) = self.lse {
                    for i in 0..count {
                        *lse.pointer().add(row + i * heads) = *maximum.add(i);
                    }
                }
            }
        }
    }
}

/// A block of queries: `q[dim, query]` with the scale and log2 e in it; leaves the results in `sums[value, query]` and the log-sum-exp
/// in `maximum[query]`.
struct Block {
    dim: usize,
    padded_value: usize,
    keys: usize,
    k: *const f32,
    v: *const f32,
    q: *const f32,
    scores: *mut f32,
    sums: *mut f32,
    maximum: *mut f32,
    total: *mut f32,
}

struct Vectors<const N: usize>(Block);

impl<const N: usize> Kernel for Vectors<N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let block = self.0;
        // SAFETY: the parts of the scratch memory are as long as `Task::run` made them, for up to three vectors.
        unsafe {
            fill::<S, N>(s, block.maximum, f32::NEG_INFINITY);
            fill::<S, N>(s, block.total, 0.0);
            for i in 0..block.padded_value {
                fill::<S, N>(s, block.sums.add(i * N * S::LANES), 0.0);
            }
            if block.keys == 0 {
                return;
            }
            for start in (0..block.keys).step_by(TILE_KEYS) {
                let count = TILE_KEYS.min(block.keys - start);
                let highest = scores::<S, N>(s, &block, start, count);
                let factors = exponentials::<S, N>(s, &block, count, highest);
                add_values::<S, N>(s, &block, start, count, factors);
            }
            finish::<S, N>(s, &block);
        }
    }
}

#[inline(always)]
unsafe fn fill<S: Simd, const N: usize>(s: S, dst: *mut f32, number: f32) {
    for j in 0..N {
        // SAFETY: the caller's promise.
        unsafe { s.store(dst.add(j * S::LANES), s.splat(number)) };
    }
}

/// Scores of a tile of keys, and their maxima.
#[inline(always)]
unsafe fn scores<S: Simd, const N: usize>(s: S, block: &Block, start: usize, count: usize) -> [S::F; N] {
    let mut highest = [s.splat(f32::NEG_INFINITY); N];
    let width = N * S::LANES;
    for key in (0..count).step_by(S::ROWS) {
        // SAFETY: the keys are padded to whole tiles of rows.
        unsafe {
            let k = (block.k.add((start + key) * block.dim), block.dim, 1);
            let dst = block.scores.add(key * width);
            let valid = S::ROWS.min(count - key);
            if S::ROWS == 8 {
                keep::<S, 8, N>(s, tile::<S, 8, N>(s, block.dim, k, (block.q, width)), dst, valid, &mut highest);
            } else {
                keep::<S, 4, N>(s, tile::<S, 4, N>(s, block.dim, k, (block.q, width)), dst, valid, &mut highest);
            }
        }
    }
    highest
}

#[inline(always)]
unsafe fn keep<S: Simd, const ROWS: usize, const N: usize>(
    s: S,
    scores: [[S::F; N]; ROWS],
    dst: *mut f32,
    valid: usize,
    highest: &mut [S::F; N],
) {
    for (i, row) in scores.iter().enumerate() {
        for (j, &score) in row.iter().enumerate() {
            // SAFETY: the tile of scores has room for whole tiles of rows.
            unsafe { s.store(dst.add((i * N + j) * S::LANES), score) };
            if i < valid {
                highest[j] = s.max(highest[j], score);
            }
        }
    }
}

/// Replaces the scores of a tile by their exponentials against the maximum so far, adds these up, and gives the factors of what was
/// summed before.
#[inline(always)]
unsafe fn exponentials<S: Simd, const N: usize>(s: S, block: &Block, count: usize, highest: [S::F; N]) -> [S::F; N] {
    let mut factors = highest;
    let (mut maximum, mut total) = (highest, highest);
    // SAFETY: the parts hold N vectors, the scores `count` rows of them.
    unsafe {
        for j in 0..N {
            let before = s.load(block.maximum.add(j * S::LANES));
            maximum[j] = s.max(before, highest[j]);
            factors[j] = vmath::exp2(s, s.sub(before, maximum[j]));
            total[j] = s.mul(s.load(block.total.add(j * S::LANES)), factors[j]);
        }
        for row in 0..count {
            for j in 0..N {
                let at = block.scores.add((row * N + j) * S::LANES);
                let weight = vmath::exp2(s, s.sub(s.load(at), maximum[j]));
                s.store(at, weight);
                total[j] = s.add(total[j], weight);
            }
        }
        for j in 0..N {
            s.store(block.maximum.add(j * S::LANES), maximum[j]);
            s.store(block.total.add(j * S::LANES), total[j]);
        }
    }
    factors
}

/// Scales the sums and adds the weighted values of a tile.
#[inline(always)]
unsafe fn add_values<S: Simd, const N: usize>(s: S, block: &Block, start: usize, count: usize, factors: [S::F; N]) {
    let width = N * S::LANES;
    for i in (0..block.padded_value).step_by(S::ROWS) {
        // SAFETY: values are padded to whole tiles of rows.
        unsafe {
            let v = (block.v.add(i * block.keys + start * S::ROWS), 1, S::ROWS);
            let dst = block.sums.add(i * width);
            if S::ROWS == 8 {
                add_scaled::<S, 8, N>(s, tile::<S, 8, N>(s, count, v, (block.scores, width)), dst, &factors);
            } else {
                add_scaled::<S, 4, N>(s, tile::<S, 4, N>(s, count, v, (block.scores, width)), dst, &factors);
            }
        }
    }
}

#[inline(always)]
unsafe fn add_scaled<S: Simd, const ROWS: usize, const N: usize>(s: S, sums: [[S::F; N]; ROWS], dst: *mut f32, factors: &[S::F; N]) {
    for (i, row) in sums.iter().enumerate() {
        for (j, &sum) in row.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let at = dst.add((i * N + j) * S::LANES);
                s.store(at, s.mul_add(s.load(at), factors[j], sum));
            }
        }
    }
}

/// Divides the sums by the totals, and turns the maxima into log-sum-exps.
#[inline(always)]
unsafe fn finish<S: Simd, const N: usize>(s: S, block: &Block) {
    for j in 0..N {
        // SAFETY: the parts hold N vectors for each row.
        unsafe {
            let total = s.load(block.total.add(j * S::LANES));
            let inverse = s.div(s.splat(1.0), total);
            for i in 0..block.padded_value {
                let at = block.sums.add((i * N + j) * S::LANES);
                s.store(at, s.mul(s.load(at), inverse));
            }
            let at = block.maximum.add(j * S::LANES);
            s.store(at, s.fma(s.load(at), s.splat(LN_2), vmath::log(s, total)));
        }
    }
}
