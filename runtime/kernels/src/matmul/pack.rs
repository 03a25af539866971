//! The packed right operand: panels of as many columns as a register tile has, each with its columns next to each other for
//! every `k`.

use std::ops::Range;

use super::Strides;
use crate::simd::{Kernel, Level, Simd};

/// Vectors of columns in a register tile.
pub(super) const VECTORS: usize = 3;

/// How the columns of a product are divided into panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panels {
    n: usize,
    lanes: usize,
    rows: usize,
}

impl Panels {
    pub(super) fn new(level: Level, n: usize) -> Self {
        struct Shape;
        impl Kernel for Shape {
            type Output = (usize, usize);
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> (usize, usize) {
                (S::LANES, S::ROWS)
            }
        }
        let (lanes, rows) = level.dispatch(Shape);
        Self { n, lanes, rows }
    }

    /// Rows of a register tile.
    pub(super) fn tile_rows(self) -> usize {
        self.rows
    }

    pub(super) fn count(self) -> usize {
        self.n.div_ceil(VECTORS * self.lanes)
    }

    /// The columns of a panel.
    pub(super) fn columns(self, panel: usize) -> Range<usize> {
        let start = panel * VECTORS * self.lanes;
        start..self.n.min(start + VECTORS * self.lanes)
    }

    /// Columns of a panel with those that fill its last vector.
    pub(super) fn width(self, panel: usize) -> usize {
        self.columns(panel).len().next_multiple_of(self.lanes)
    }

    /// The sum of all widths.
    pub(super) fn padded(self) -> usize {
        self.n.next_multiple_of(self.lanes)
    }
}

/// Writes `panel[k, column] = rhs[column, k]`, and 0 for the columns that fill the last vector.
pub(super) struct PackPanel<'a> {
    pub columns: Range<usize>,
    pub width: usize,
    pub depth: Range<usize>,
    pub strides: Strides,
    pub rhs: &'a [f32],
    pub panel: &'a mut [f32],
}

impl Kernel for PackPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { columns, width, depth, strides, rhs, panel } = self;
        let depth_length = depth.len();
        if columns.len() < width {
            panel.fill(0.0);
        }
        let at = |column: usize, k: usize| (columns.start + column) * strides.row + (depth.start + k) * strides.column;
        if strides.row == 1 {
            for k in 0..depth_length {
                let start = at(0, k);
                panel[k * width..][..columns.len()].copy_from_slice(&rhs[start..start + columns.len()]);
            }
            return;
        }
        // Blocks that transpose in registers, then what is left below and beside them.
        let (mut whole_columns, mut whole_depth) = (0, 0);
        if strides.column == 1 {
            whole_columns = columns.len() / S::LANES * S::LANES;
            whole_depth = depth_length / S::LANES * S::LANES;
            for k in (0..whole_depth).step_by(S::LANES) {
                for column in (0..whole_columns).step_by(S::LANES) {
                    // SAFETY: the block is inside both `rhs`, whose reach the product has checked, and the panel.
                    unsafe { s.transpose(rhs.as_ptr().add(at(column, k)), strides.row, panel.as_mut_ptr().add(k * width + column), width) };
                }
            }
        }
        for column in 0..columns.len() {
            let first = if column < whole_columns { whole_depth } else { 0 };
            for k in first..depth_length {
                panel[k * width + column] = rhs[at(column, k)];
            }
        }
    }
}
