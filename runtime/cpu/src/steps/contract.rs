//! Contractions as matrix products: which dimensions they have for a batch, and how samples are packed into one product.

use mgx_diag::Diagnostic;
use mgx_ir::plan::{BatchRole, ContractStep, Program};
use mgx_kernels::matmul::{Product, Strides, matmul, matmul_bf16, matmul_groups};
use rayon::prelude::*;

use super::{Dimension, Operand, check_apart};
use crate::pointers::Buffers;
use crate::shapes::{self, BatchShapes, Shapes};

/// Elements of all operands up to which the products of the samples run one after another.
const SERIAL_ELEMENTS: usize = 16 * 1024;

/// A contraction, checked.
pub(crate) struct Contraction {
    step: ContractStep,
    lhs: Operand,
    rhs: Operand,
    out: Operand,
}

/// One product for each of some groups.
struct Grouped {
    product: Product,
    /// Offsets of each group in lhs, rhs and out.
    groups: Vec<[usize; 3]>,
}

impl Contraction {
    /// Checks a step and finds its operands.
    pub fn new(program: &Program, shapes: &mut Shapes, step: &ContractStep) -> Result<Self, Diagnostic> {
        let lhs = Operand::new(program, shapes, step.lhs)?;
        let rhs = Operand::new(program, shapes, step.rhs)?;
        let out = Operand::new(program, shapes, step.out)?;
        lhs.check(&[&step.group, &step.m, &step.k], "the left operand of a contraction")?;
        rhs.check(&[&step.group, &step.n, &step.k], "the right operand of a contraction")?;
        out.check(&[&step.group, &step.m, &step.n], "the result of a contraction")?;
        check_roles(step, [&lhs, &rhs, &out])?;
        Ok(Self { step: step.clone(), lhs, rhs, out })
    }

    /// Runs the contraction.
    pub fn run(&self, buffers: &Buffers, shapes: &BatchShapes) -> Result<(), Diagnostic> {
        check_apart(buffers, shapes, &[&self.lhs, &self.rhs], &[&self.out])?;
        match self.step.batch {
            BatchRole::None => self.multiply(buffers, shapes, None, self.dimensions(shapes, None), self.step.accumulate),
            BatchRole::Each => self.each(buffers, shapes),
            BatchRole::Rows => match self.packed_rows(shapes) {
                Some(packed) => self.multiply(buffers, shapes, None, packed, self.step.accumulate),
                None => self.each(buffers, shapes),
            },
            BatchRole::Sum => self.sum(buffers, shapes),
        }
        Ok(())
    }

    fn each(&self, buffers: &Buffers, shapes: &BatchShapes) {
        let one = |sample| self.multiply(buffers, shapes, Some(sample), self.dimensions(shapes, Some(sample)), self.step.accumulate);
        // A product that is worth several threads takes them itself.
        let elements: usize = [&self.lhs, &self.rhs, &self.out].iter().map(|operand| operand.place(buffers, shapes, None).1).sum();
        if shapes.samples() > 1 && elements > SERIAL_ELEMENTS {
            (0..shapes.samples()).into_par_iter().for_each(one);
        } else {
            (0..shapes.samples()).for_each(one);
        }
    }

    fn sum(&self, buffers: &Buffers, shapes: &BatchShapes) {
        if let Some(packed) = self.packed_terms(shapes) {
            return self.multiply(buffers, shapes, None, packed, self.step.accumulate);
        }
        for sample in 0..shapes.samples() {
            let accumulate = self.step.accumulate || sample > 0;
            self.multiply(buffers, shapes, Some(sample), self.dimensions(shapes, Some(sample)), accumulate);
        }
    }

    fn multiply(&self, buffers: &Buffers, shapes: &BatchShapes, sample: Option<usize>, mut grouped: Grouped, accumulate: bool) {
        let product = Product { accumulate, ..grouped.product };
        if product.m == 0 || product.n == 0 {
            return;
        }
        if product.k == 0 {
            // The operands have no elements for a group to begin at.
            grouped.groups.iter_mut().for_each(|group| (group[0], group[1]) = (0, 0));
        }
        let lhs = self.lhs.numbers(buffers, shapes, sample);
        // SAFETY: the result overlaps no operand, which `run` has checked, and each task has a sample of its own.
        let out = unsafe { self.out.elements_mut(buffers, shapes, sample) };
        if let ([[lhs_start, rhs_start, out_start]], true) = (grouped.groups.as_slice(), self.rhs.is_bf16) {
            let rhs = self.rhs.halves(buffers, shapes, sample);
            return matmul_bf16(&product, &lhs[*lhs_start..], &rhs[*rhs_start..], &mut out[*out_start..]);
        }
        let (lhs, rhs) = (&*lhs, &*self.rhs.numbers(buffers, shapes, sample));
        match even_steps(&grouped.groups) {
            Some(_) if grouped.groups.len() == 1 => matmul(&product, lhs, rhs, out),
            Some(steps) => matmul_groups(&product, grouped.groups.len(), steps, lhs, rhs, out),
            None => {
                for [lhs_start, rhs_start, out_start] in grouped.groups {
                    matmul(&product, &lhs[lhs_start..], &rhs[rhs_start..], &mut out[out_start..]);
                }
            }
        }
    }

    /// The product for one sample.
    fn dimensions(&self, shapes: &BatchShapes, sample: Option<usize>) -> Grouped {
        let (lhs, rhs, out) = (self.lhs.shape(shapes, sample), self.rhs.shape(shapes, sample), self.out.shape(shapes, sample));
        let step = &self.step;
        let strides = |row: Dimension, column: Dimension| Strides { row: row.stride, column: column.stride };
        let (lhs_m, lhs_k) = (self.lhs.dimension(&lhs, &step.m), self.lhs.dimension(&lhs, &step.k));
        let (rhs_n, rhs_k) = (self.rhs.dimension(&rhs, &step.n), self.rhs.dimension(&rhs, &step.k));
        let (out_m, out_n) = (self.out.dimension(&out, &step.m), self.out.dimension(&out, &step.n));
        let product = Product {
            m: lhs_m.extent,
            n: rhs_n.extent,
            k: lhs_k.extent,
            lhs: strides(lhs_m, lhs_k),
            rhs: strides(rhs_n, rhs_k),
            out: result_strides(strides(out_m, out_n), out_m.extent, out_n.extent),
            accumulate: false,
        };
        let groups = self.groups(&lhs, &rhs, &out);
        Grouped { product, groups }
    }

    /// Offsets of the groups, row-major over their axes.
    fn groups(&self, lhs: &[usize], rhs: &[usize], out: &[usize]) -> Vec<[usize; 3]> {
        let mut groups = vec![[0; 3]];
        for axis in &self.step.group {
            let list = std::slice::from_ref(axis);
            let (l, r, o) = (self.lhs.dimension(lhs, list), self.rhs.dimension(rhs, list), self.out.dimension(out, list));
            groups = groups
                .iter()
                .flat_map(|start| {
                    (0..l.extent).map(move |at| [start[0] + at * l.stride, start[1] + at * r.stride, start[2] + at * o.stride])
                })
                .collect();
        }
        groups
    }

    /// All samples as rows of one product, where they stand evenly in the left operand and in the result.
    fn packed_rows(&self, shapes: &BatchShapes) -> Option<Grouped> {
        let (rows, lhs_step) = even_rows(&self.lhs, &self.step.m, shapes)?;
        let (_, out_step) = even_rows(&self.out, &self.step.m, shapes)?;
        let mut packed = self.dimensions(shapes, Some(0));
        packed.product.m = rows;
        packed.product.lhs.row = lhs_step;
        let strides = Strides { row: out_step, column: packed.product.out.column };
        packed.product.out = result_strides(strides, rows, packed.product.n);
        Some(packed)
    }

    /// The sum over all samples as one product.
    fn packed_terms(&self, shapes: &BatchShapes) -> Option<Grouped> {
        if shapes.samples() == 0 {
            let mut nothing = self.dimensions(shapes, None);
            nothing.product.k = 0;
            return Some(nothing);
        }
        let (terms, lhs_step) = even_rows(&self.lhs, &self.step.k, shapes)?;
        let (_, rhs_step) = even_rows(&self.rhs, &self.step.k, shapes)?;
        let mut packed = self.dimensions(shapes, Some(0));
        packed.product.k = terms;
        packed.product.lhs.column = lhs_step;
        packed.product.rhs.column = rhs_step;
        Some(packed)
    }
}

/// Are lhs, rhs and the result per sample as the step says?
pub(super) fn check_roles(step: &ContractStep, operands: [&Operand; 3]) -> Result<(), Diagnostic> {
    let due = match step.batch {
        BatchRole::None => [false, false, false],
        BatchRole::Rows => [true, false, true],
        BatchRole::Each => [true, true, true],
        BatchRole::Sum => [true, true, false],
    };
    if operands.map(|operand| operand.ty.per_sample) == due {
        return Ok(());
    }
    Err(shapes::malformed(format!("the operands of a contraction with {:?} are of other kinds", step.batch)))
}

/// A list of axes over all samples as one dimension: its extent and stride, where the samples continue each other.
fn even_rows(operand: &Operand, list: &[mgx_ir::graph::AxisId], shapes: &BatchShapes) -> Option<(usize, usize)> {
    let mut rows = 0;
    let mut step = None;
    for shape in operand.samples_shape(shapes) {
        let dimension = operand.dimension(&shape, list);
        let position = list.first().and_then(|axis| operand.ty.axes.iter().position(|other| other == axis)).unwrap_or(0);
        // What stands in one row; the rows of a sample must be all of it.
        let rest: usize = shape[..position].iter().chain(&shape[position + list.len()..]).product();
        let outermost = list.is_empty() || shape[..position].iter().product::<usize>() == 1;
        if !outermost || step.is_some_and(|step| step != rest) {
            return None;
        }
        step = Some(rest);
        rows += dimension.extent;
    }
    step.map(|step| (rows, step))
}

/// Strides of a result in which a dimension of one element has a stride that cannot look like an overlap.
pub(super) fn result_strides(strides: Strides, rows: usize, columns: usize) -> Strides {
    match (rows, columns) {
        (0 | 1, _) => Strides { row: strides.column * columns.max(1), ..strides },
        (_, 0 | 1) => Strides { column: strides.row.min(1), ..strides },
        _ => strides,
    }
}

/// The steps from group to group, where they are all the same.
fn even_steps(groups: &[[usize; 3]]) -> Option<[usize; 3]> {
    let (first, second) = match groups {
        [] => return None,
        [_] => return Some([0; 3]),
        [first, second, ..] => (first, second),
    };
    let step = |at: usize| second[at].checked_sub(first[at]);
    let steps = [step(0)?, step(1)?, step(2)?];
    let even = groups.windows(2).all(|pair| (0..3).all(|at| pair[1][at].checked_sub(pair[0][at]) == Some(steps[at])));
    even.then_some(steps)
}
