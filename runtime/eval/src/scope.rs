//! What an operation knows besides its inputs, and how an operation on one sample becomes one on a batch.

use mgx_ir::graph::{Axis, AxisId, DType, Op, ReduceOp, SizeExpr, Type};
use mgx_ir::plan::{Batch, Sample};

use crate::ops;
use crate::tensor::{Tensor, Value};

/// One sample, or what all samples share.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub axes: &'a [Axis],
    /// `None` for a value that is not per sample.
    pub sample: Option<&'a Sample>,
    /// The batch's key of random numbers.
    pub random: u64,
}

impl Scope<'_> {
    /// The size for this sample.
    pub fn size(&self, expr: &SizeExpr) -> usize {
        expr.eval(self.lengths()) as usize
    }

    /// The extents of axes for this sample.
    pub fn shape(&self, axes: &[AxisId]) -> Vec<usize> {
        axes.iter().map(|axis| self.axes[axis.0 as usize].extent.eval(self.lengths()) as usize).collect()
    }

    /// The key by which random numbers know this sample.
    pub fn sample_key(&self) -> u64 {
        self.sample.map_or(0, |sample| sample.key)
    }

    fn lengths(&self) -> &[u64] {
        self.sample.map_or(&[], |sample| &sample.lengths)
    }
}

/// A batch and the axes that its values are over.
#[derive(Clone, Copy)]
pub(crate) struct BatchScope<'a> {
    pub axes: &'a [Axis],
    pub batch: &'a Batch,
    /// Round every F32 result to f32? A program's kernel may compute a value again that another has stored: both must then be equal.
    pub round: bool,
}

impl<'a> BatchScope<'a> {
    /// The scope of a sample, or of what is not per sample.
    pub fn of(&self, sample: Option<&'a Sample>) -> Scope<'a> {
        Scope { axes: self.axes, sample, random: self.batch.random }
    }

    /// The scopes that a value of this kind has a tensor for: one, or one for each sample.
    pub fn all(&self, per_sample: bool) -> Vec<Scope<'a>> {
        match per_sample {
            true => self.batch.samples.iter().map(|sample| self.of(Some(sample))).collect(),
            false => vec![self.of(None)],
        }
    }

    /// The value of an operation over the batch. An operand that is not per sample is repeated for every sample, and an operation with
    /// `batch = true` combines over the samples what it gives for each.
    pub fn apply(&self, op: &Op, ty: &Type, inputs: &[&Value]) -> Value {
        let mut value = self.exact(op, ty, inputs);
        if self.round && ty.dtype == DType::F32 {
            for element in value.tensors_mut().iter_mut().flat_map(|tensor| &mut tensor.data) {
                *element = f64::from(*element as f32);
            }
        }
        value
    }

    fn exact(&self, op: &Op, ty: &Type, inputs: &[&Value]) -> Value {
        let one = |number: usize, sample| {
            let operands: Vec<&Tensor> = inputs.iter().map(|value| value.of_sample(number)).collect();
            ops::apply(op, ty, &operands, self.of(sample))
        };
        let samples = || self.batch.samples.iter().enumerate();
        if *op == Op::After {
            return inputs[0].clone();
        }
        if ty.per_sample {
            return Value::PerSample(samples().map(|(number, sample)| one(number, Some(sample))).collect());
        }
        match combines_samples(op) {
            Some(reduce) if inputs.iter().any(|value| matches!(value, Value::PerSample(_))) => {
                let shape = self.of(None).shape(&ty.axes);
                let mut total = Tensor::filled(ty.dtype, &ty.axes, &shape, ops::identity(reduce, ty.dtype));
                for (number, sample) in samples() {
                    let part = one(number, Some(sample));
                    for (sum, element) in total.data.iter_mut().zip(&part.data) {
                        *sum = ops::combine(reduce, ty.dtype, *sum, *element);
                    }
                }
                Value::Single(total)
            }
            _ => Value::Single(one(0, None)),
        }
    }
}

/// With what an operation combines over the samples, if it does.
fn combines_samples(op: &Op) -> Option<ReduceOp> {
    match op {
        Op::Reduce { op, batch: true, .. } => Some(*op),
        Op::RoutedOuter { .. } | Op::Contract { batch: true, .. } | Op::ScatterAdd { batch: true, .. } => Some(ReduceOp::Sum),
        _ => None,
    }
}
