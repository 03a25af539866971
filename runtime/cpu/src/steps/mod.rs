//! Steps that are library kernels: matrix products, routed or not, convolutions, attention and scatter-add.

pub(crate) mod attention;
pub(crate) mod contract;
pub(crate) mod convolution;
pub(crate) mod routed;
pub(crate) mod scatter;

use std::borrow::Cow;

use mgx_diag::Diagnostic;
use mgx_ir::graph::{AxisId, Extent, Type};
use mgx_ir::plan::{BufferId, Program};
use mgx_kernels::matmul::widen;

use crate::pointers::Buffers;
use crate::shapes::{self, BatchShapes, Shapes, SizeId};

/// An extent as the runtime knows it.
#[derive(Clone, Copy, Debug)]
enum Amount {
    Static(usize),
    Sample(SizeId),
}

impl Amount {
    /// The extent of an axis.
    fn of(program: &Program, shapes: &mut Shapes, axis: AxisId) -> Result<Self, Diagnostic> {
        Ok(match shapes::extent(program, axis)? {
            Extent::Static(size) => Self::Static(*size as usize),
            Extent::Ragged(expr) => Self::Sample(shapes.size(expr)),
        })
    }

    /// What it is for a sample (any, where it is static).
    fn of_sample(self, shapes: &BatchShapes, sample: Option<usize>) -> usize {
        match (self, sample) {
            (Self::Static(size), _) => size,
            (Self::Sample(size), Some(sample)) => shapes.value(size, sample) as usize,
            (Self::Sample(_), None) => 0,
        }
    }
}

/// A buffer as an operand: its axes in storage order with their extents.
#[derive(Clone, Debug)]
struct Operand {
    buffer: usize,
    ty: Type,
    extents: Vec<Amount>,
    /// Is it stored as bfloat16?
    is_bf16: bool,
}

/// One strided dimension of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dimension {
    extent: usize,
    stride: usize,
}

impl Operand {
    fn new(program: &Program, shapes: &mut Shapes, id: BufferId) -> Result<Self, Diagnostic> {
        let Some(buffer) = program.buffers.get(id.0 as usize) else {
            return Err(shapes::malformed(format!("there is no buffer {}", id.0)));
        };
        let mut extents = Vec::with_capacity(buffer.ty.axes.len());
        for axis in &buffer.ty.axes {
            extents.push(Amount::of(program, shapes, *axis)?);
        }
        Ok(Self { buffer: id.0 as usize, ty: buffer.ty.clone(), extents, is_bf16: shapes::is_bf16(program, id) })
    }

    /// Are these its axes, each list standing together in this order? The axes of the first list may stand anywhere.
    fn check(&self, lists: &[&[AxisId]], what: &str) -> Result<(), Diagnostic> {
        let mut all = lists.concat();
        let mut own = self.ty.axes.clone();
        all.sort_unstable();
        own.sort_unstable();
        let together = |list: &&[AxisId]| list.is_empty() || self.ty.axes.windows(list.len()).any(|part| part == *list);
        if all == own && lists[1..].iter().all(together) {
            return Ok(());
        }
        Err(shapes::malformed(format!("{what} has axes {:?} where {lists:?} are due", self.ty.axes)))
    }

    /// Are its axes exactly these, in this order?
    fn check_order(&self, lists: &[&[AxisId]], what: &str) -> Result<(), Diagnostic> {
        let due = lists.concat();
        if self.ty.axes == due {
            return Ok(());
        }
        Err(shapes::malformed(format!("{what} has axes {:?} where {due:?} are due", self.ty.axes)))
    }

    /// The extents for a sample (any, where they are static).
    fn shape(&self, shapes: &BatchShapes, sample: Option<usize>) -> Vec<usize> {
        self.extents.iter().map(|amount| amount.of_sample(shapes, sample)).collect()
    }

    /// Axes that stand together as one dimension. Of no axes: of extent 1.
    fn dimension(&self, shape: &[usize], list: &[AxisId]) -> Dimension {
        let Some(first) = list.first().and_then(|axis| self.ty.axes.iter().position(|other| other == axis)) else {
            return Dimension { extent: 1, stride: 1 };
        };
        let end = first + list.len();
        Dimension { extent: shape[first..end].iter().product(), stride: shape[end..].iter().product() }
    }

    /// The elements of a sample, or of all.
    fn elements<'a>(&self, buffers: &'a Buffers, shapes: &BatchShapes, sample: Option<usize>) -> &'a [f32] {
        let (start, count) = self.place(buffers, shapes, sample);
        // SAFETY: the run has checked that the buffer holds these elements, and no one writes to what a step reads while it runs.
        unsafe { std::slice::from_raw_parts(start.cast(), count) }
    }

    /// The elements of an operand that may be stored as bfloat16.
    fn numbers<'a>(&self, buffers: &'a Buffers, shapes: &BatchShapes, sample: Option<usize>) -> Cow<'a, [f32]> {
        if !self.is_bf16 {
            return Cow::Borrowed(self.elements(buffers, shapes, sample));
        }
        Cow::Owned(self.halves(buffers, shapes, sample).iter().map(|half| widen(*half)).collect())
    }

    /// The elements of an operand that is stored as bfloat16.
    fn halves<'a>(&self, buffers: &'a Buffers, shapes: &BatchShapes, sample: Option<usize>) -> &'a [u16] {
        let (start, count) = self.place(buffers, shapes, sample);
        // SAFETY: as in `elements`, with two bytes for each element.
        unsafe { std::slice::from_raw_parts(start.cast(), count) }
    }

    /// The elements of a sample, or of all, as I32.
    fn integers<'a>(&self, buffers: &'a Buffers, shapes: &BatchShapes, sample: Option<usize>) -> &'a [i32] {
        let (start, count) = self.place(buffers, shapes, sample);
        // SAFETY: as in `elements`; both types are four bytes of any pattern.
        unsafe { std::slice::from_raw_parts(start.cast(), count) }
    }

    /// The elements of a sample, or of all, to write.
    ///
    /// # Safety
    /// No other reference to them may be in use: the step reads other buffers, and each sample is written by one task.
    #[allow(clippy::mut_from_ref)]
    unsafe fn elements_mut<'a>(&self, buffers: &'a Buffers, shapes: &BatchShapes, sample: Option<usize>) -> &'a mut [f32] {
        let (start, count) = self.place(buffers, shapes, sample);
        // SAFETY: the run has checked that the buffer holds these elements; the caller has exclusive use of them.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), count) }
    }

    fn place(&self, buffers: &Buffers, shapes: &BatchShapes, sample: Option<usize>) -> (*mut u8, usize) {
        let sample = sample.filter(|_| self.ty.per_sample);
        (buffers.start(self.buffer, sample, shapes), buffers.count(self.buffer, sample, shapes))
    }

    fn samples_shape(&self, shapes: &BatchShapes) -> Vec<Vec<usize>> {
        (0..shapes.samples()).map(|sample| self.shape(shapes, Some(sample))).collect()
    }
}

/// Does the step store over what it reads? Buffers are different memory as soon as they do not overlap in this batch.
fn check_apart(buffers: &Buffers, shapes: &BatchShapes, inputs: &[&Operand], outputs: &[&Operand]) -> Result<(), Diagnostic> {
    let range = |operand: &Operand| {
        let (start, count) = operand.place(buffers, shapes, None);
        (start as usize, start as usize + count * if operand.is_bf16 { 2 } else { 4 })
    };
    for (number, output) in outputs.iter().enumerate() {
        let (start, end) = range(output);
        for other in inputs.iter().chain(&outputs[..number]) {
            let (other_start, other_end) = range(other);
            if start < other_end && other_start < end {
                return Err(shapes::malformed(format!("a step stores to buffer {} over buffer {}", output.buffer, other.buffer)));
            }
        }
    }
    Ok(())
}
