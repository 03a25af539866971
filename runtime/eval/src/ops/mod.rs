//! Every operation on one sample, in the obvious way.

mod attention;
mod elementwise;
mod moves;
mod reduce;
mod routed;

use mgx_ir::graph::{DType, Op, Type};
use mgx_ir::random;

use crate::scope::Scope;
use crate::tensor::Tensor;

pub(crate) use reduce::{combine, identity};

/// The value of an operation for one sample (or for what all samples share), whose operands are the tensors that this sample sees.
/// `RoutedOuter`, and `Reduce`, `Contract` and `ScatterAdd` with `batch = true`, give the sample's part; see `BatchScope::apply`.
///
/// # Panics
/// For `Input` and `Param`, which come from outside, for `After`, which computes nothing, and for malformed operations.
pub(crate) fn apply(op: &Op, ty: &Type, inputs: &[&Tensor], scope: Scope<'_>) -> Tensor {
    let shape = scope.shape(&ty.axes);
    let result = Result { ty, shape: &shape, scope };
    match (op, inputs) {
        (Op::Input { .. } | Op::Param(_), _) => panic!("{} is no operation on values", op.name()),
        (Op::Const(value), []) => constant(*value, result),
        (Op::Iota(axis), []) => result.at_each(|index| index.get(*axis) as f64),
        (Op::Random { site }, []) => uniform(*site, result),
        (Op::Unary(op), [x]) => result.at_each(|index| elementwise::unary(*op, x.dtype, x.at(index))),
        (Op::Binary(op), [x, y]) => result.at_each(|index| elementwise::binary(*op, x.dtype, x.at(index), y.at(index))),
        (Op::Select, [x, y, z]) => result.at_each(|index| if x.at(index) != 0.0 { y.at(index) } else { z.at(index) }),
        (Op::Cast, [x]) => result.at_each(|index| elementwise::cast(x.at(index), ty.dtype)),
        (Op::Broadcast | Op::Permute, [x]) => result.at_each(|index| x.at(index)),
        (Op::Reduce { op, over, .. }, [x]) => reduce::reduce(*op, over, x, result),
        (Op::Contract { over, .. }, [x, y]) => reduce::contract(over, x, y, result),
        (Op::Rename { pairs }, [x]) => moves::rename(pairs, x, result),
        (Op::Split { axis, into }, [x]) => moves::split(*axis, into, x, result),
        (Op::Merge { axes, into }, [x]) => moves::merge(axes, *into, x, result),
        (Op::Slice { axis, into, start, step }, [x]) => moves::slice(*axis, *into, scope.size(start), *step as usize, x, result),
        (Op::Pad { axis, into, before, fill }, [x]) => moves::pad(*axis, *into, scope.size(before), *fill, x, result),
        (Op::Concat { axes, into }, parts) => moves::concat(axes, *into, parts, result),
        (Op::Window { axis, into, tap, window }, [x]) => moves::window(*axis, *into, *tap, window, x, result),
        (Op::Fold { into, tap, axis, window }, [x]) => moves::fold(*into, *tap, *axis, window, x, result),
        (Op::Gather { axis }, [x, y]) => moves::gather(*axis, x, y, result),
        (Op::ScatterAdd { axis, over, .. }, [x, y]) => moves::scatter_add(*axis, over, x, y, result),
        (Op::RoutedContract { over }, [x, index, matrices @ ..]) => routed::contract(over, x, index, matrices, result),
        (Op::RoutedOuter { choice, .. }, [x, y, index]) => routed::outer(*choice, x, y, index, result),
        (Op::Attention { query: _, key, dim, value, scale }, [q, k, v]) => {
            attention::attention(attention::Axes { key: *key, dim: *dim, value: *value }, *scale, q, k, v, result)
        }
        (Op::AttentionLse { query: _, key, dim, scale }, [q, k]) => attention::log_sum_exp(*key, *dim, *scale, q, k, result),
        (Op::AttentionGrad { query: _, key, dim, value, scale, wrt }, [q, k, v, out, lse, dout]) => {
            let axes = attention::Axes { key: *key, dim: *dim, value: *value };
            attention::gradient(axes, *scale, *wrt, attention::GradientInputs { q, k, v, out, lse, dout }, result)
        }
        (op, inputs) => panic!("{} of {} inputs", op.name(), inputs.len()),
    }
}

/// The type and the extents of what an operation computes.
#[derive(Clone, Copy)]
struct Result<'a> {
    ty: &'a Type,
    shape: &'a [usize],
    scope: Scope<'a>,
}

impl Result<'_> {
    /// The result that has `value(index)` at every index.
    fn at_each(&self, value: impl FnMut(&crate::tensor::Index) -> f64) -> Tensor {
        Tensor::from_fn(self.ty.dtype, &self.ty.axes, self.shape, value)
    }

    /// All zero.
    fn zeros(&self) -> Tensor {
        Tensor::filled(self.ty.dtype, &self.ty.axes, self.shape, 0.0)
    }
}

/// The same number everywhere.
fn constant(value: f64, result: Result<'_>) -> Tensor {
    let value = match result.ty.dtype {
        DType::F32 => value,
        DType::I32 | DType::Bool => elementwise::cast(value, result.ty.dtype),
    };
    result.at_each(|_| value)
}

/// `uniform(site_key(random, site, sample), row-major number of the element)`, an f32.
fn uniform(site: u32, result: Result<'_>) -> Tensor {
    let key = random::site_key(result.scope.random, site, result.scope.sample_key());
    let mut number = 0;
    result.at_each(|_| {
        let value = random::uniform(key, number);
        number = number.wrapping_add(1);
        f64::from(value)
    })
}
