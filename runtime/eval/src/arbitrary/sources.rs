//! The batch, and the inputs, parameters and numbers that a random graph starts from.

use mgx_ir::graph::{AxisId, DType, NodeId, SizeExpr};
use mgx_ir::plan::{InputData, Sample};

use super::Maker;

/// Makes the batch and the sources: two ragged axes and a few static ones, inputs and parameters over them.
pub(super) fn all(maker: &mut Maker) {
    samples(maker);
    let n = maker.builder.length("n");
    let m = maker.builder.length("m");
    let seq = maker.builder.ragged_axis("seq", SizeExpr::Length(n));
    let other = maker.builder.ragged_axis("other", SizeExpr::Length(m));
    let names = ["heads", "dim", "hidden", "out", "vocab"];
    let mut sizes = [3, 4, 6, 5, 7].map(|most| 1 + maker.below(most));
    if maker.once_in(12) {
        sizes[3] = 0;
    }
    if maker.once_in(2) {
        sizes[2] = sizes[0] * sizes[1];
    }
    let fixed: Vec<AxisId> = names.iter().zip(sizes).map(|(name, size)| maker.builder.axis(*name, size)).collect();
    let [heads, dim, hidden, out, vocab] = fixed[..] else { unreachable!("five names") };
    let shapes: [&[AxisId]; 7] = [&[seq, hidden], &[seq], &[other, hidden], &[seq, heads, dim], &[other, heads, dim], &[hidden], &[]];
    for axes in shapes {
        if !maker.once_in(3) {
            float(maker, axes, true);
        }
    }
    integer(maker, &[seq], vocab);
    if maker.once_in(2) {
        integer(maker, &[], out);
        integer(maker, &[hidden], vocab);
    }
    if maker.once_in(3) {
        float(maker, &[], false);
        float(maker, &[out], false);
    }
    let shapes: [&[AxisId]; 6] = [&[out, hidden], &[hidden, out], &[vocab, hidden], &[hidden], &[heads, dim, hidden], &[]];
    for axes in shapes {
        if !maker.once_in(3) {
            let node = param(maker, axes);
            maker.pool.push(node);
        }
    }
    maker.evaluate();
}

/// None to four samples, often with lengths of 1 and sometimes of 0.
fn samples(maker: &mut Maker) {
    let count = if maker.once_in(30) { 0 } else { 1 + maker.below(4) };
    for _ in 0..count {
        let lengths = (0..2).map(|_| length(maker)).collect();
        let key = maker.below(1 << 40);
        maker.batch.samples.push(Sample { key, lengths });
    }
}

fn length(maker: &mut Maker) -> u64 {
    match maker.below(10) {
        0 => 0,
        1 | 2 => 1,
        _ => 1 + maker.below(7),
    }
}

fn count(maker: &Maker, axes: &[AxisId], per_sample: bool) -> usize {
    match per_sample {
        true => maker.elements(axes) as usize,
        false => axes.iter().map(|axis| maker.builder.graph.extent(*axis).eval(&[])).product::<u64>() as usize,
    }
}

/// A number in [−2, 2) that f32 holds exactly.
fn number(maker: &mut Maker) -> f32 {
    (maker.random.uniform() * 4.0 - 2.0) as f32
}

fn float(maker: &mut Maker, axes: &[AxisId], per_sample: bool) -> NodeId {
    let elements = (0..count(maker, axes, per_sample)).map(|_| number(maker)).collect();
    input(maker, axes, DType::F32, InputData::F32(elements), per_sample)
}

/// Positions along an axis, some of them just outside.
fn integer(maker: &mut Maker, axes: &[AxisId], along: AxisId) -> NodeId {
    let bound = maker.builder.graph.extent(along).eval(&[]) + 2;
    let elements = (0..count(maker, axes, true)).map(|_| maker.below(bound) as i32 - 1).collect();
    input(maker, axes, DType::I32, InputData::I32(elements), true)
}

fn input(maker: &mut Maker, axes: &[AxisId], dtype: DType, data: InputData, per_sample: bool) -> NodeId {
    let name = format!("input{}", maker.batch.inputs.len());
    maker.batch.inputs.insert(name.clone(), data);
    let node = maker.builder.input(name, dtype, axes, per_sample);
    maker.pool.push(node);
    node
}

/// A parameter, which nothing takes yet.
pub(super) fn param(maker: &mut Maker, axes: &[AxisId]) -> NodeId {
    let elements = (0..count(maker, axes, false)).map(|_| f64::from(number(maker))).collect();
    let path = format!("param{}", maker.params.len());
    maker.params.push(elements);
    let trainable = !maker.once_in(4);
    let id = maker.builder.declare_param(path, axes, trainable);
    maker.builder.param(id)
}
