//! Moving a head's rows in and out of the layouts of the register tiles.

use crate::simd::Simd;

/// Copies `length` numbers.
///
/// # Safety
/// They can be read and written.
#[inline(always)]
pub(super) unsafe fn copy_row<S: Simd>(s: S, src: *const f32, dst: *mut f32, length: usize) {
    let mut i = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while i + S::LANES <= length {
            s.store(dst.add(i), s.load(src.add(i)));
            i += S::LANES;
        }
        if i < length {
            s.store_first(dst.add(i), s.load_first(src.add(i), length - i), length - i);
        }
    }
}

/// Copies `count` rows of `length` numbers, `src_row` apart, to rows `dst_row` apart, and fills what is left of `padded` rows of
/// `dst_row` with 0.
///
/// # Safety
/// The rows can be read and `padded * dst_row` numbers written; `length <= dst_row` and `count <= padded`.
#[inline(always)]
pub(super) unsafe fn copy<S: Simd>(
    s: S,
    src: *const f32,
    src_row: usize,
    (count, length): (usize, usize),
    dst: *mut f32,
    (padded, dst_row): (usize, usize),
) {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..count {
            copy_row(s, src.add(i * src_row), dst.add(i * dst_row), length);
            if length < dst_row {
                dst.add(i * dst_row + length).write_bytes(0, dst_row - length);
            }
        }
        dst.add(count * dst_row).write_bytes(0, (padded - count) * dst_row);
    }
}

/// Copies `count` rows of `length` numbers, `src_row` apart, to panels of `S::ROWS` columns: `dst[panel, row, column]`, with 0 for the columns that
/// fill the last panel.
///
/// # Safety
/// The rows can be read and `count` times as many numbers written as the panels have columns.
#[inline(always)]
pub(super) unsafe fn copy_panels<S: Simd>(_: S, src: *const f32, src_row: usize, (count, length): (usize, usize), dst: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..count {
            let src = src.add(i * src_row);
            for start in (0..length).step_by(S::ROWS) {
                let dst = dst.add(start * count + i * S::ROWS);
                if length - start >= S::ROWS {
                    std::ptr::copy_nonoverlapping(src.add(start), dst, S::ROWS);
                } else {
                    for column in 0..S::ROWS {
                        *dst.add(column) = if start + column < length { *src.add(start + column) } else { 0.0 };
                    }
                }
            }
        }
    }
}

/// Writes `dst[j, i] = factor * src[i, j]` for `count` rows of `length` numbers, `src_row` apart; rows of `dst` are `dst_row` apart
/// and filled with 0 up to there.
///
/// # Safety
/// As [`copy`], for `length` rows of `dst`; `count <= dst_row`.
#[inline(always)]
pub(super) unsafe fn transpose_in<S: Simd>(
    s: S,
    src: *const f32,
    src_row: usize,
    (count, length): (usize, usize),
    dst: *mut f32,
    dst_row: usize,
    factor: f32,
) {
    let (whole, columns) = (count / S::LANES * S::LANES, length / S::LANES * S::LANES);
    // SAFETY: the caller's promise.
    unsafe {
        for i in (0..whole).step_by(S::LANES) {
            for j in (0..columns).step_by(S::LANES) {
                s.transpose(src.add(i * src_row + j), src_row, dst.add(j * dst_row + i), dst_row);
            }
        }
        for j in 0..length {
            let first = if j < columns { whole } else { 0 };
            for i in first..count {
                *dst.add(j * dst_row + i) = *src.add(i * src_row + j);
            }
            dst.add(j * dst_row + count).write_bytes(0, dst_row - count);
            for i in (0..dst_row).step_by(S::LANES) {
                let at = dst.add(j * dst_row + i);
                s.store(at, s.mul(s.load(at), s.splat(factor)));
            }
        }
    }
}

/// Writes `dst[i, j] = src[j, i]` for `count` rows of `length` numbers; rows of `src` are `src_row` apart, those of `dst` `dst_row`.
///
/// # Safety
/// The numbers can be read and written.
#[inline(always)]
pub(super) unsafe fn transpose_out<S: Simd>(
    s: S,
    src: *const f32,
    src_row: usize,
    (count, length): (usize, usize),
    dst: *mut f32,
    dst_row: usize,
) {
    let (whole, columns) = (count / S::LANES * S::LANES, length / S::LANES * S::LANES);
    // SAFETY: the caller's promise.
    unsafe {
        for i in (0..whole).step_by(S::LANES) {
            for j in (0..columns).step_by(S::LANES) {
                s.transpose(src.add(j * src_row + i), src_row, dst.add(i * dst_row + j), dst_row);
            }
        }
        for i in 0..count {
            let first = if i < whole { columns } else { 0 };
            for j in first..length {
                *dst.add(i * dst_row + j) = *src.add(j * src_row + i);
            }
        }
    }
}

/// A memory cut into parts, each a whole number of cache lines.
pub(super) struct Parts {
    next: *mut f32,
}

impl Parts {
    pub(super) fn new(memory: &mut [f32]) -> Self {
        Self { next: memory.as_mut_ptr() }
    }

    /// The next `length` numbers. The memory must have [`Parts::room`] for all that are taken.
    pub(super) fn take(&mut self, length: usize) -> *mut f32 {
        let part = self.next;
        self.next = part.wrapping_add(length.next_multiple_of(16));
        part
    }

    /// Numbers that parts of these lengths take.
    pub(super) fn room(lengths: &[usize]) -> usize {
        lengths.iter().map(|length| length.next_multiple_of(16)).sum()
    }
}
