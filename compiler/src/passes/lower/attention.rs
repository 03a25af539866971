//! Attention in canonical form: per-sample operands in the storage order that its step takes.

use mgx_ir::graph::{AxisId, NodeId, Op};

use super::canonical::Maker;
use super::decompose;

/// By what a log-sum-exp finds the attention that can write it.
pub(super) fn attention_key(inputs: &[NodeId], axes: [AxisId; 3], scale: f64) -> String {
    format!("{:?} {axes:?} {scale:?}", &inputs[..2])
}

impl Maker {
    pub(super) fn attention(&mut self, inputs: &[NodeId], axes: [AxisId; 4], scale: f64) -> NodeId {
        if !inputs.iter().any(|input| self.ty(*input).per_sample) {
            return decompose::attention(self, inputs, axes, scale);
        }
        let [query, key, dim, value] = axes;
        let heads = self.heads(inputs[0], query, dim);
        let q = self.rows(inputs[0], query, &heads, dim);
        let k = self.rows(inputs[1], key, &heads, dim);
        let v = self.rows(inputs[2], key, &heads, value);
        let id = self.add(Op::Attention { query, key, dim, value, scale }, &[q, k, v], None);
        self.fix(id, [&[query], heads.as_slice(), &[value]].concat());
        id
    }

    pub(super) fn attention_lse(&mut self, inputs: &[NodeId], [query, key, dim]: [AxisId; 3], scale: f64, whole: bool) -> NodeId {
        if !whole || !inputs.iter().any(|input| self.ty(*input).per_sample) {
            return decompose::attention_lse(self, inputs, [query, key, dim], scale);
        }
        let heads = self.heads(inputs[0], query, dim);
        let q = self.rows(inputs[0], query, &heads, dim);
        let k = self.rows(inputs[1], key, &heads, dim);
        let id = self.add(Op::AttentionLse { query, key, dim, scale }, &[q, k], None);
        self.fix(id, [&[query], heads.as_slice()].concat());
        id
    }

    pub(super) fn attention_grad(&mut self, inputs: &[NodeId], axes: [AxisId; 4], scale: f64, wrt: u8) -> NodeId {
        if !inputs[..3].iter().any(|input| self.ty(*input).per_sample) {
            return decompose::attention_grad(self, inputs, axes, scale, wrt);
        }
        let [query, key, dim, value] = axes;
        let heads = self.heads(inputs[0], query, dim);
        let q = self.rows(inputs[0], query, &heads, dim);
        let k = self.rows(inputs[1], key, &heads, dim);
        let v = self.rows(inputs[2], key, &heads, value);
        let out = self.rows(inputs[3], query, &heads, value);
        let lse_order = [&[query], heads.as_slice()].concat();
        let lse = self.per_sample(inputs[4]);
        let lse = self.operand(lse, |axes| axes == lse_order, lse_order.clone());
        let dout = self.rows(inputs[5], query, &heads, value);
        let id = self.add(Op::AttentionGrad { query, key, dim, value, scale, wrt }, &[q, k, v, out, lse, dout], None);
        let order = self.layout([q, k, v][usize::from(wrt)]);
        self.fix(id, order);
        id
    }

    fn heads(&self, q: NodeId, query: AxisId, dim: AxisId) -> Vec<AxisId> {
        self.layout(q).into_iter().filter(|axis| *axis != query && *axis != dim).collect()
    }

    /// A per-sample operand stored as `[rows, heads.., columns]`.
    fn rows(&mut self, id: NodeId, rows: AxisId, heads: &[AxisId], columns: AxisId) -> NodeId {
        let order = [&[rows], heads, &[columns]].concat();
        let id = self.per_sample(id);
        self.operand(id, |axes| axes == order, order.clone())
    }
}
