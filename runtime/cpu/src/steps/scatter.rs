//! Scatter-add: rows of updates summed by index.

use mgx_diag::Diagnostic;
use mgx_ir::graph::DType;
use mgx_ir::plan::{Program, ScatterStep};
use mgx_kernels::scatter::scatter_add;

use super::{Operand, check_apart};
use crate::pointers::Buffers;
use crate::shapes::{self, BatchShapes, Shapes};

/// A scatter-add, checked.
pub(crate) struct Scatter {
    updates: Operand,
    index: Operand,
    out: Operand,
    over: usize,
    batch: bool,
    accumulate: bool,
}

impl Scatter {
    /// Checks a step and finds its operands.
    pub fn new(program: &Program, shapes: &mut Shapes, step: &ScatterStep) -> Result<Self, Diagnostic> {
        let updates = Operand::new(program, shapes, step.updates)?;
        let index = Operand::new(program, shapes, step.index)?;
        let out = Operand::new(program, shapes, step.out)?;
        let rest = updates.ty.axes.get(step.over.len()..).unwrap_or(&[]).to_vec();
        index.check_order(&[&step.over], "the index of a scatter-add")?;
        updates.check_order(&[&step.over, &rest], "the updates of a scatter-add")?;
        out.check_order(&[&[step.axis], &rest], "the result of a scatter-add")?;
        let per_sample = (updates.ty.per_sample || index.ty.per_sample) && !step.batch;
        if out.ty.per_sample != per_sample || index.ty.dtype != DType::I32 || updates.ty.dtype != DType::F32 {
            return Err(shapes::malformed("the operands of a scatter-add are of other kinds"));
        }
        Ok(Self { updates, index, out, over: step.over.len(), batch: step.batch, accumulate: step.accumulate })
    }

    /// Runs the scatter-add.
    pub fn run(&self, buffers: &Buffers, shapes: &BatchShapes) -> Result<(), Diagnostic> {
        check_apart(buffers, shapes, &[&self.updates, &self.index], &[&self.out])?;
        let per_sample = self.updates.ty.per_sample || self.index.ty.per_sample;
        if !per_sample {
            self.add(buffers, shapes, None, self.accumulate);
        } else if !self.batch {
            (0..shapes.samples()).for_each(|sample| self.add(buffers, shapes, Some(sample), self.accumulate));
        } else if self.updates.ty.per_sample && self.index.ty.per_sample && self.has_static_rows() {
            // Rows of all samples, one after another.
            self.add(buffers, shapes, None, self.accumulate);
        } else {
            if !self.accumulate {
                // SAFETY: as in `add`.
                unsafe { self.out.elements_mut(buffers, shapes, None) }.fill(0.0);
            }
            (0..shapes.samples()).for_each(|sample| self.add(buffers, shapes, Some(sample), true));
        }
        Ok(())
    }

    fn has_static_rows(&self) -> bool {
        self.updates.extents[self.over..].iter().all(|extent| matches!(extent, super::Amount::Static(_)))
    }

    fn add(&self, buffers: &Buffers, shapes: &BatchShapes, sample: Option<usize>, accumulate: bool) {
        let width = self.updates.shape(shapes, sample)[self.over..].iter().product();
        let index = self.index.integers(buffers, shapes, sample);
        let updates = self.updates.numbers(buffers, shapes, sample);
        // SAFETY: the result overlaps no operand, which `run` has checked, and tasks do not run at the same time.
        let out = unsafe { self.out.elements_mut(buffers, shapes, sample) };
        scatter_add(index, &updates, width, out, accumulate);
    }
}
