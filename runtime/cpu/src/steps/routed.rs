//! Products whose rows choose their matrix, and their gradients.

use mgx_diag::Diagnostic;
use mgx_ir::graph::DType;
use mgx_ir::plan::{Program, RoutedOuterStep, RoutedStep};
use mgx_kernels::matmul::Strides;
use mgx_kernels::routed::{Elements, Matrix, Rows, routed_contract, routed_outer};

use super::contract::result_strides;
use super::{Operand, check_apart};
use crate::pointers::Buffers;
use crate::shapes::{self, BatchShapes, Shapes};

/// A routed contraction, checked.
pub(crate) struct Routed {
    step: RoutedStep,
    x: Operand,
    index: Operand,
    matrices: Vec<Operand>,
    out: Operand,
}

impl Routed {
    /// Checks a step and finds its operands.
    pub fn new(program: &Program, shapes: &mut Shapes, step: &RoutedStep) -> Result<Self, Diagnostic> {
        let x = Operand::new(program, shapes, step.x)?;
        let index = Operand::new(program, shapes, step.index)?;
        let out = Operand::new(program, shapes, step.out)?;
        let matrices: Vec<Operand> = step.matrices.iter().map(|id| Operand::new(program, shapes, *id)).collect::<Result<_, _>>()?;
        check_rows(&x, &index, &step.k, "a routed contraction")?;
        out.check_order(&[&index.ty.axes, &step.n], "the result of a routed contraction")?;
        for matrix in &matrices {
            matrix.check(&[&[], &step.n, &step.k], "a matrix of a routed contraction")?;
            if matrix.ty.per_sample {
                return Err(shapes::malformed("a matrix of a routed contraction is per sample"));
            }
        }
        let kinds = [index.ty.per_sample, out.ty.per_sample];
        if kinds != [x.ty.per_sample; 2] || index.ty.dtype != DType::I32 || matrices.is_empty() {
            return Err(shapes::malformed("the operands of a routed contraction are of other kinds"));
        }
        Ok(Self { step: step.clone(), x, index, matrices, out })
    }

    /// Runs the contraction.
    pub fn run(&self, buffers: &Buffers, shapes: &BatchShapes) -> Result<(), Diagnostic> {
        let inputs: Vec<&Operand> = [&self.x, &self.index].into_iter().chain(&self.matrices).collect();
        check_apart(buffers, shapes, &inputs, &[&self.out])?;
        let dimensions = |matrix: &Operand| {
            let shape = matrix.shape(shapes, None);
            [&self.step.n, &self.step.k].map(|axes| matrix.dimension(&shape, axes))
        };
        let [n, k] = dimensions(&self.matrices[0]).map(|dimension| dimension.extent);
        let matrix = |matrix: &Operand| {
            let [n, k] = dimensions(matrix);
            let elements = if matrix.is_bf16 {
                Elements::Bf16(matrix.halves(buffers, shapes, None))
            } else {
                Elements::F32(matrix.elements(buffers, shapes, None))
            };
            Matrix { elements, strides: Strides { row: n.stride, column: k.stride } }
        };
        let matrices: Vec<Matrix<'_>> = self.matrices.iter().map(matrix).collect();
        let of = row_numbers(&self.x, &self.index, self.step.k.len(), shapes);
        let x = self.x.numbers(buffers, shapes, None);
        let rows = Rows { data: &x, of: &of, width: k };
        // SAFETY: the result overlaps no operand, which was just checked, and this is the only task.
        let out = unsafe { self.out.elements_mut(buffers, shapes, None) };
        routed_contract(self.index.integers(buffers, shapes, None), rows, &matrices, n, out);
        Ok(())
    }
}

/// The gradient of one matrix of a routed contraction, checked.
pub(crate) struct RoutedOuter {
    step: RoutedOuterStep,
    x: Operand,
    y: Operand,
    index: Operand,
    out: Operand,
}

impl RoutedOuter {
    /// Checks a step and finds its operands.
    pub fn new(program: &Program, shapes: &mut Shapes, step: &RoutedOuterStep) -> Result<Self, Diagnostic> {
        let x = Operand::new(program, shapes, step.x)?;
        let y = Operand::new(program, shapes, step.y)?;
        let index = Operand::new(program, shapes, step.index)?;
        let out = Operand::new(program, shapes, step.out)?;
        check_rows(&x, &index, &step.m, "the gradient of a routed contraction")?;
        check_rows(&y, &index, &step.n, "the gradient of a routed contraction")?;
        out.check(&[&[], &step.m, &step.n], "the result of a routed contraction's gradient")?;
        let kinds = [x.ty.per_sample, y.ty.per_sample];
        if kinds != [index.ty.per_sample; 2] || out.ty.per_sample || index.ty.dtype != DType::I32 {
            return Err(shapes::malformed("the operands of a routed contraction's gradient are of other kinds"));
        }
        Ok(Self { step: step.clone(), x, y, index, out })
    }

    /// Runs the step.
    pub fn run(&self, buffers: &Buffers, shapes: &BatchShapes) -> Result<(), Diagnostic> {
        check_apart(buffers, shapes, &[&self.x, &self.y, &self.index], &[&self.out])?;
        let shape = self.out.shape(shapes, None);
        let [m, n] = [&self.step.m, &self.step.n].map(|axes| self.out.dimension(&shape, axes));
        let of_x = row_numbers(&self.x, &self.index, self.step.m.len(), shapes);
        let of_y = row_numbers(&self.y, &self.index, self.step.n.len(), shapes);
        let (x, y) = (self.x.numbers(buffers, shapes, None), self.y.numbers(buffers, shapes, None));
        let x = Rows { data: &x, of: &of_x, width: m.extent };
        let y = Rows { data: &y, of: &of_y, width: n.extent };
        let strides = result_strides(Strides { row: m.stride, column: n.stride }, m.extent, n.extent);
        // SAFETY: as in `Routed::run`.
        let out = unsafe { self.out.elements_mut(buffers, shapes, None) };
        let index = self.index.integers(buffers, shapes, None);
        routed_outer(index, self.step.choice as i32, x, y, strides, out, self.step.accumulate);
        Ok(())
    }
}

/// Has the operand first those axes that the index begins with, and then its own, which are static?
fn check_rows(operand: &Operand, index: &Operand, own: &[mgx_ir::graph::AxisId], what: &str) -> Result<(), Diagnostic> {
    let rows = operand.ty.axes.len().saturating_sub(own.len());
    let fixed = operand.extents[rows..].iter().all(|extent| matches!(extent, super::Amount::Static(_)));
    if operand.ty.axes[rows..] == *own && index.ty.axes.starts_with(&operand.ty.axes[..rows]) && fixed {
        return Ok(());
    }
    Err(shapes::malformed(format!("an operand of {what} has axes {:?}, and the index has {:?}", operand.ty.axes, index.ty.axes)))
}

/// For each entry of the index, all samples after another, the row of the operand that it sees.
fn row_numbers(operand: &Operand, index: &Operand, own: usize, shapes: &BatchShapes) -> Vec<usize> {
    let first = operand.ty.axes.len() - own;
    let samples = if index.ty.per_sample { (0..shapes.samples()).map(Some).collect() } else { vec![None] };
    let mut numbers = Vec::new();
    let mut start = 0;
    for sample in samples {
        let rows: usize = operand.shape(shapes, sample)[..first].iter().product();
        let each: usize = index.shape(shapes, sample)[first..].iter().product();
        numbers.extend((start..start + rows).flat_map(|row| std::iter::repeat_n(row, each)));
        start += rows;
    }
    numbers
}
