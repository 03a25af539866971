//! Products whose rows choose their matrix: rows are brought together by their choice, one product for each matrix that was chosen.
//!
//! A product's rows do not depend on each other (see [`matmul`](crate::matmul)), so a row has the same bits whatever other rows there are.

use crate::matmul::{Product, Strides, matmul, matmul_bf16};

/// Rows that are brought together at once.
const MOST_ROWS: usize = 512;

/// Rows of a value as entries of an index see them.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub data: &'a [f32],
    /// The row of each entry of the index.
    pub of: &'a [usize],
    /// Elements of a row.
    pub width: usize,
}

impl Rows<'_> {
    /// The rows of some entries, one after another.
    fn collect(&self, entries: &[usize], packed: &mut Vec<f32>) {
        packed.clear();
        for entry in entries {
            let start = self.of[*entry] * self.width;
            packed.extend_from_slice(&self.data[start..start + self.width]);
        }
    }
}

/// Numbers as they are stored.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    F32(&'a [f32]),
    Bf16(&'a [u16]),
}

/// A matrix that rows may choose, with its strides of `[n, k]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub elements: Elements<'a>,
    pub strides: Strides,
}

/// `out[t, n] = Σ_k x[t, k] · matrices[index[t]][n, k]` for each entry `t`. Only matrices that were chosen
/// are read. An index beyond the matrices gives zeros.
///
/// # Panics
/// If a slice is shorter than the shapes reach.
pub fn routed_contract(index: &[i32], x: Rows<'_>, matrices: &[Matrix<'_>], n: usize, out: &mut [f32]) {
    assert_eq!(out.len(), index.len() * n, "out is not [{}, {n}]", index.len());
    let mut by_choice: Vec<Vec<usize>> = vec![Vec::new(); matrices.len()];
    for (entry, choice) in index.iter().enumerate() {
        match usize::try_from(*choice).ok().and_then(|choice| by_choice.get_mut(choice)) {
            Some(entries) => entries.push(entry),
            None => out[entry * n..(entry + 1) * n].fill(0.0),
        }
    }
    if n == 0 {
        return;
    }
    let (mut packed, mut product) = (Vec::new(), Vec::new());
    for (entries, matrix) in by_choice.iter().zip(matrices) {
        for entries in entries.chunks(MOST_ROWS) {
            x.collect(entries, &mut packed);
            product.resize(entries.len() * n, 0.0);
            let shape = Product { rhs: matrix.strides, ..Product::linear(entries.len(), n, x.width) };
            match matrix.elements {
                Elements::F32(weights) => matmul(&shape, &packed, weights, &mut product),
                Elements::Bf16(weights) => matmul_bf16(&shape, &packed, weights, &mut product),
            }
            for (entry, row) in entries.iter().zip(product.chunks_exact(n)) {
                out[entry * n..(entry + 1) * n].copy_from_slice(row);
            }
        }
    }
}

/// `out[m, n] (+)= Σ x[t, m] · y[t, n]` over the entries `t` whose index is `choice`, in ascending order; `result` are the strides of `[m, n]` in `out`, which
/// holds nothing else.
///
/// # Panics
/// If a slice is shorter than the shapes reach.
pub fn routed_outer(index: &[i32], choice: i32, x: Rows<'_>, y: Rows<'_>, result: Strides, out: &mut [f32], accumulate: bool) {
    let chosen: Vec<usize> = (0..index.len()).filter(|entry| index[*entry] == choice).collect();
    if !accumulate {
        out.fill(0.0);
    }
    if x.width == 0 || y.width == 0 {
        return;
    }
    let (mut of_x, mut of_y) = (Vec::new(), Vec::new());
    for entries in chosen.chunks(MOST_ROWS) {
        x.collect(entries, &mut of_x);
        y.collect(entries, &mut of_y);
        let product = Product {
            m: x.width,
            n: y.width,
            k: entries.len(),
            lhs: Strides { row: 1, column: x.width },
            rhs: Strides { row: 1, column: y.width },
            out: result,
            accumulate: true,
        };
        matmul(&product, &of_x, &of_y, out);
    }
}
