//! Attention and its gradients: where the positions of each sample are.

use mgx_diag::Diagnostic;
use mgx_ir::graph::AxisId;
use mgx_ir::plan::{AttentionGradStep, AttentionStep, BufferId, Program};
use mgx_kernels::attention::{self, Gradients, Sample, Saved};

use super::{Amount, Operand, check_apart};
use crate::pointers::Buffers;
use crate::shapes::{self, BatchShapes, Shapes};

/// The operands that attention and its gradient share, with their sizes.
struct Common {
    q: Operand,
    k: Operand,
    v: Operand,
    out: Operand,
    /// Number of axes of heads.
    heads: usize,
    scale: f32,
}

/// What one call of a kernel is for: all samples, or one where heads or their rows are as long as the sample says.
struct Call {
    sample: Option<usize>,
    positions: Vec<Sample>,
    heads: usize,
    dim: usize,
    value: usize,
}

/// The axes of an attention.
struct Axes<'a> {
    query: AxisId,
    key: AxisId,
    heads: &'a [AxisId],
    dim: AxisId,
    value: AxisId,
}

impl Common {
    fn new(program: &Program, shapes: &mut Shapes, buffers: [BufferId; 4], axes: &Axes<'_>, scale: f64) -> Result<Self, Diagnostic> {
        let [q, k, v, out] = buffers.map(|buffer| Operand::new(program, shapes, buffer));
        let (q, k, v, out) = (q?, k?, v?, out?);
        q.check_order(&[&[axes.query], axes.heads, &[axes.dim]], "the query of an attention")?;
        k.check_order(&[&[axes.key], axes.heads, &[axes.dim]], "the key of an attention")?;
        v.check_order(&[&[axes.key], axes.heads, &[axes.value]], "the value of an attention")?;
        out.check_order(&[&[axes.query], axes.heads, &[axes.value]], "the result of an attention")?;
        if [&q, &k, &v, &out].iter().any(|operand| !operand.ty.per_sample) {
            return Err(shapes::malformed("an operand of an attention is not per sample"));
        }
        Ok(Self { q, k, v, out, heads: axes.heads.len(), scale: scale as f32 })
    }

    fn calls(&self, shapes: &BatchShapes) -> Vec<Call> {
        let ragged = [&self.q, &self.v].iter().any(|operand| operand.extents[1..].iter().any(|extent| matches!(extent, Amount::Sample(_))));
        let (mut query, mut key) = (0, 0);
        let mut calls: Vec<Call> = Vec::new();
        for sample in 0..shapes.samples() {
            let (q, k, v) = (self.q.shape(shapes, Some(sample)), self.k.shape(shapes, Some(sample)), self.v.shape(shapes, Some(sample)));
            if ragged || calls.is_empty() {
                (query, key) = (0, 0);
                let (heads, dim) = (q[1..1 + self.heads].iter().product(), q[1 + self.heads]);
                calls.push(Call { sample: ragged.then_some(sample), positions: Vec::new(), heads, dim, value: v[1 + self.heads] });
            }
            let (queries, keys) = (q[0], k[0]);
            if let Some(call) = calls.last_mut() {
                call.positions.push(Sample { queries: query..query + queries, keys: key..key + keys });
            }
            (query, key) = (query + queries, key + keys);
        }
        calls
    }

    fn kernel<'a>(&self, call: &'a Call) -> attention::Attention<'a> {
        attention::Attention { heads: call.heads, dim: call.dim, value: call.value, scale: self.scale, samples: &call.positions }
    }
}

/// An attention, checked.
pub(crate) struct Attention {
    common: Common,
    lse: Option<Operand>,
}

impl Attention {
    /// Checks a step and finds its operands.
    pub fn new(program: &Program, shapes: &mut Shapes, step: &AttentionStep) -> Result<Self, Diagnostic> {
        let AttentionStep { q, k, v, out, lse, query, key, heads, dim, value, scale } = step;
        let axes = Axes { query: *query, key: *key, heads, dim: *dim, value: *value };
        let common = Common::new(program, shapes, [*q, *k, *v, *out], &axes, *scale)?;
        let lse = lse.map(|lse| logarithms(program, shapes, lse, &axes)).transpose()?;
        Ok(Self { common, lse })
    }

    /// Runs the attention.
    pub fn run(&self, buffers: &Buffers, shapes: &BatchShapes) -> Result<(), Diagnostic> {
        let Common { q, k, v, out, .. } = &self.common;
        let outputs: Vec<&Operand> = std::iter::once(out).chain(&self.lse).collect();
        check_apart(buffers, shapes, &[q, k, v], &outputs)?;
        for call in self.common.calls(shapes) {
            let operand = |operand: &Operand| operand.numbers(buffers, shapes, call.sample);
            // SAFETY: the results overlap neither the operands nor each other, as just checked.
            let result = |operand: &Operand| unsafe { operand.elements_mut(buffers, shapes, call.sample) };
            let kernel = self.common.kernel(&call);
            attention::forward(&kernel, &operand(q), &operand(k), &operand(v), result(out), self.lse.as_ref().map(result));
        }
        Ok(())
    }
}

/// The gradients of an attention, checked.
pub(crate) struct AttentionGrad {
    common: Common,
    lse: Operand,
    dout: Operand,
    dq: Option<Operand>,
    dk: Option<Operand>,
    dv: Option<Operand>,
}

impl AttentionGrad {
    /// Checks a step and finds its operands.
    pub fn new(program: &Program, shapes: &mut Shapes, step: &AttentionGradStep) -> Result<Self, Diagnostic> {
        let AttentionGradStep { q, k, v, out, lse, dout, dq, dk, dv, query, key, heads, dim, value, scale } = step;
        let axes = Axes { query: *query, key: *key, heads, dim: *dim, value: *value };
        let common = Common::new(program, shapes, [*q, *k, *v, *out], &axes, *scale)?;
        let lse = logarithms(program, shapes, *lse, &axes)?;
        let mut like = |buffer: Option<BufferId>, other: &Operand| {
            let operand = buffer.map(|buffer| Operand::new(program, shapes, buffer)).transpose()?;
            match &operand {
                Some(operand) if operand.ty != other.ty => {
                    Err(shapes::malformed("a gradient of an attention is not stored like its operand"))
                }
                _ => Ok(operand),
            }
        };
        let dout = like(Some(*dout), &common.out)?;
        let (dq, dk, dv) = (like(*dq, &common.q)?, like(*dk, &common.k)?, like(*dv, &common.v)?);
        let Some(dout) = dout else { return Err(shapes::malformed("an attention has no gradient of its result")) };
        Ok(Self { common, lse, dout, dq, dk, dv })
    }

    /// Computes the gradients.
    pub fn run(&self, buffers: &Buffers, shapes: &BatchShapes) -> Result<(), Diagnostic> {
        let Common { q, k, v, out, .. } = &self.common;
        let outputs: Vec<&Operand> = [&self.dq, &self.dk, &self.dv].into_iter().flatten().collect();
        check_apart(buffers, shapes, &[q, k, v, out, &self.lse, &self.dout], &outputs)?;
        for call in self.common.calls(shapes) {
            let [q, k, v, out, lse, dout] =
                [q, k, v, out, &self.lse, &self.dout].map(|operand| operand.numbers(buffers, shapes, call.sample));
            let saved = Saved { q: &q, k: &k, v: &v, out: &out, lse: &lse, dout: &dout };
            // SAFETY: the results overlap neither the operands nor each other, as just checked.
            let result =
                |operand: &Option<Operand>| operand.as_ref().map(|operand| unsafe { operand.elements_mut(buffers, shapes, call.sample) });
            let gradients = Gradients { dq: result(&self.dq), dk: result(&self.dk), dv: result(&self.dv) };
            attention::backward(&self.common.kernel(&call), &saved, gradients);
        }
        Ok(())
    }
}

fn logarithms(program: &Program, shapes: &mut Shapes, buffer: BufferId, axes: &Axes<'_>) -> Result<Operand, Diagnostic> {
    let operand = Operand::new(program, shapes, buffer)?;
    operand.check_order(&[&[axes.query], axes.heads], "the log-sum-exp of an attention")?;
    if !operand.ty.per_sample {
        return Err(shapes::malformed("the log-sum-exp of an attention is not per sample"));
    }
    Ok(operand)
}
