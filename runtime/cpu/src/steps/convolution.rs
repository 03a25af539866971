//! Contractions with windows: convolutions, and the gradients of their kernels.

use mgx_diag::Diagnostic;
use mgx_ir::plan::{BatchRole, ContractStep, Program, StepWindows};
use mgx_kernels::matmul::{Product, Segment, Strides, Windows, convolve, convolve_kernel};

use super::contract::{check_roles, result_strides};
use super::{Amount, Operand, check_apart};
use crate::pointers::Buffers;
use crate::shapes::{self, BatchShapes, Shapes};

/// A contraction with windows, checked.
pub(crate) struct Convolution {
    step: ContractStep,
    windows: StepWindows,
    /// Is the left operand windows? Otherwise the right one is.
    forward: bool,
    lhs: Operand,
    rhs: Operand,
    out: Operand,
    /// The number of windows.
    count: Amount,
    taps: usize,
}

impl Convolution {
    /// Checks a step and finds its operands.
    pub fn new(program: &Program, shapes: &mut Shapes, step: &ContractStep) -> Result<Self, Diagnostic> {
        let Some(windows) = step.windows else { return Err(shapes::malformed("a convolution without windows")) };
        let lhs = Operand::new(program, shapes, step.lhs)?;
        let rhs = Operand::new(program, shapes, step.rhs)?;
        let out = Operand::new(program, shapes, step.out)?;
        let forward = step.m == [windows.into];
        let (source, own, other, rows) = if forward { (&lhs, &step.k, &rhs, &step.n) } else { (&rhs, &step.n, &lhs, &step.m) };
        if own.first() != Some(&windows.tap) || !step.group.is_empty() || (!forward && step.k != [windows.into]) {
            return Err(shapes::malformed("a contraction with windows whose axes are not those of a convolution"));
        }
        source.check_order(&[&[windows.axis], &own[1..]], "what the windows are of")?;
        other.check(&[&[], rows, &step.k], "the other operand of windows")?;
        out.check(&[&[], &step.m, &step.n], "the result of a contraction with windows")?;
        check_roles(step, [&lhs, &rhs, &out])?;
        let static_size = |axis| match shapes::extent(program, axis)?.as_static() {
            Some(size) => Ok(size as usize),
            None => Err(shapes::malformed("windows whose taps depend on the sample")),
        };
        let taps = static_size(windows.tap)?;
        own[1..].iter().try_for_each(|axis| static_size(*axis).map(|_| ()))?;
        let count = Amount::of(program, shapes, windows.into)?;
        Ok(Self { step: step.clone(), windows, forward, lhs, rhs, out, count, taps })
    }

    /// Runs the contraction.
    pub fn run(&self, buffers: &Buffers, shapes: &BatchShapes) -> Result<(), Diagnostic> {
        check_apart(buffers, shapes, &[&self.lhs, &self.rhs], &[&self.out])?;
        let samples = 0..shapes.samples();
        match self.step.batch {
            BatchRole::None => self.call(buffers, shapes, None, [None].into_iter()),
            BatchRole::Each => samples.for_each(|sample| self.call(buffers, shapes, Some(sample), [Some(sample)].into_iter())),
            // The samples one behind another: rows of the result, or terms of the sum.
            BatchRole::Rows | BatchRole::Sum => self.call(buffers, shapes, None, samples.map(Some)),
        }
        Ok(())
    }

    /// One product for some samples, which stand one behind another in the operands of `sample` (or of all).
    fn call(&self, buffers: &Buffers, shapes: &BatchShapes, sample: Option<usize>, members: impl Iterator<Item = Option<usize>>) {
        let source = if self.forward { &self.lhs } else { &self.rhs };
        let (mut position, mut row) = (0, 0);
        let mut segments = Vec::new();
        for member in members {
            let positions = source.shape(shapes, member)[0];
            let rows = self.count.of_sample(shapes, member);
            segments.push(Segment { positions: position..position + positions, rows: row..row + rows });
            (position, row) = (position + positions, row + rows);
        }
        let window = self.windows.window;
        let windows = Windows {
            taps: self.taps,
            stride: window.stride as usize,
            dilation: window.dilation as usize,
            before: window.before as usize,
            fill: window.fill as f32,
            segments: &segments,
        };
        // Sizes that depend on the sample are those of windows alone, which `row` counts; without a sample these are 0 here.
        let (lhs, rhs, out) = (self.lhs.shape(shapes, sample), self.rhs.shape(shapes, sample), self.out.shape(shapes, sample));
        let channels: usize = source.shape(shapes, sample)[1..].iter().product();
        let of_source = Strides::row_major(channels);
        let (out_m, out_n) = (self.out.dimension(&out, &self.step.m), self.out.dimension(&out, &self.step.n));
        let strides = Strides { row: out_m.stride, column: out_n.stride };
        let product = |m: usize, n: usize, k: usize, lhs: Strides, rhs: Strides| {
            let out = result_strides(strides, m, n);
            Product { m, n, k, lhs, rhs, out, accumulate: self.step.accumulate }
        };
        let (lhs_numbers, rhs_numbers) = (self.lhs.numbers(buffers, shapes, sample), self.rhs.numbers(buffers, shapes, sample));
        // SAFETY: the result overlaps no operand, which `run` has checked, and no other call is running.
        let result = unsafe { self.out.elements_mut(buffers, shapes, sample) };
        if self.forward {
            let (n, k) = (self.rhs.dimension(&rhs, &self.step.n), self.rhs.dimension(&rhs, &self.step.k));
            let product = product(row, n.extent, k.extent, of_source, Strides { row: n.stride, column: k.stride });
            convolve(&product, &windows, &lhs_numbers, &rhs_numbers, result);
        } else {
            let (m, k) = (self.lhs.dimension(&lhs, &self.step.m), self.lhs.dimension(&lhs, &self.step.k));
            let product = product(m.extent, self.taps * channels, row, Strides { row: m.stride, column: k.stride }, of_source);
            convolve_kernel(&product, &windows, &lhs_numbers, &rhs_numbers, result);
        }
    }
}
