//! The loops of a fused step: how the samples are run through, which axes are rows and which columns, and what each loop computes.

use mgx_ir::graph::{AxisId, Extent};
use mgx_ir::plan::ReduceSpace;

use super::canonical::Canonical;
use super::expand::{Expander, Reject, Samples, StoreExpr};
use super::expr::{ExprId, Exprs, Vars};
use super::index::Poly;
use super::vector;

/// What the loops are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Elements, each on its own.
    Map,
    /// Rows: reductions over the columns, then elements.
    Rows,
    /// For each column, reductions over the rows; then results.
    Columns,
    /// Reductions over all rows and columns; then results.
    All,
}

/// A step as loops over scalar expressions.
pub(crate) struct Space {
    pub shape: Shape,
    pub samples: Samples,
    pub exprs: Exprs,
    pub stores: Vec<StoreExpr>,
    pub rows: Poly,
    pub columns: Poly,
}

impl Space {
    /// Plans the loops of a step.
    pub fn new(form: &Canonical) -> Result<Self, Reject> {
        match treatment(form) {
            Samples::Each | Samples::None => Self::with(form, treatment(form)),
            samples => Self::with(form, samples).or_else(|reject| match reject {
                Reject::Samples => Self::with(form, Samples::Each),
                other => Err(other),
            }),
        }
    }

    fn with(form: &Canonical, samples: Samples) -> Result<Self, Reject> {
        let step = &form.step;
        match step.reduce {
            ReduceSpace::None => Self::best(form, samples, Shape::Map, &map_order(form)),
            ReduceSpace::Inner => Self::fixed(form, samples, Shape::Rows, &step.outer, &step.inner),
            ReduceSpace::Outer { .. } if !step.inner.is_empty() => Self::fixed(form, samples, Shape::Columns, &step.outer, &step.inner),
            ReduceSpace::Outer { .. } => Self::best(form, samples, Shape::All, &step.outer),
        }
    }

    fn fixed(form: &Canonical, samples: Samples, shape: Shape, rows: &[AxisId], columns: &[AxisId]) -> Result<Self, Reject> {
        let (expander, rows, columns) = Expander::new(form, samples, rows, columns)?;
        Self::finish(expander, samples, shape, rows, columns)
    }

    fn finish(mut expander: Expander<'_>, samples: Samples, shape: Shape, rows: Poly, columns: Poly) -> Result<Self, Reject> {
        let stores = expander.stores()?;
        let space = Self { shape, samples, exprs: expander.exprs, stores, rows, columns };
        match space.stores.iter().all(|store| space.can_store(store)) {
            true => Ok(space),
            false => Err(Reject::Malformed("a fused step stores what varies along axes that the stored buffer lacks".into())),
        }
    }

    /// Is there one value for each element that is stored?
    fn can_store(&self, store: &StoreExpr) -> bool {
        let value = self.exprs.get(store.value).vars;
        let address = self.exprs.poly_vars(&store.address);
        let along_columns = address.has(Vars::COLUMN) || !value.has(Vars::COLUMN);
        match self.shape {
            Shape::Map | Shape::Rows => along_columns && (address.has(Vars::ROW) || !value.has(Vars::ROW)),
            Shape::Columns => along_columns && !value.with(address).has(Vars::ROW),
            Shape::All => !value.with(address).has(Vars::ROW.with(Vars::COLUMN)),
        }
    }

    /// The number of leading axes that are rows under which the loop over columns runs best on vectors: as few as possible.
    fn best(form: &Canonical, samples: Samples, shape: Shape, axes: &[AxisId]) -> Result<Self, Reject> {
        let mut best: Option<((bool, u32), Self)> = None;
        let sample_columns = if samples == Samples::Dense { [true, false].as_slice() } else { &[false] };
        for rows in 0..axes.len().max(1) {
            for sample_column in sample_columns.iter().copied().filter(|sample_column| rows == 0 || !sample_column) {
                let split = Expander::with_sample_column(form, samples, &axes[..rows], &axes[rows..], sample_column)?;
                let space = Self::finish(split.0, samples, shape, split.1, split.2)?;
                let score = space.score();
                if score == (false, 0) {
                    return Ok(space);
                }
                if best.as_ref().is_none_or(|(other, _)| score < *other) {
                    best = Some((score, space));
                }
            }
        }
        best.map(|(_, space)| space).ok_or_else(|| Reject::Malformed("a fused step without loops".into()))
    }

    /// Not on vectors at all, and how many reads and writes are of elements apart: less is better.
    fn score(&self) -> (bool, u32) {
        let mut strided = 0;
        let roots = self.roots();
        for segment in vector::segments(&self.exprs, &roots) {
            match vector::strided_reads(&self.exprs, &roots, &segment.known) {
                Some(reads) => strided += reads,
                None => return (true, 0),
            }
        }
        for store in &self.stores {
            match vector::linear(&self.exprs, &store.address) {
                Some((coefficient, _)) if coefficient.as_constant().is_some_and(|step| (0..=1).contains(&step)) => {}
                Some(_) => strided += 1,
                None => return (true, 0),
            }
        }
        (false, strided)
    }

    fn roots(&self) -> Vec<ExprId> {
        let bodies = self.exprs.reductions.iter().map(|reduction| reduction.body);
        bodies.chain(self.stores.iter().map(|store| store.value)).collect()
    }

    /// Is a store of a row's result, not of its elements?
    pub fn is_row_store(&self, store: &StoreExpr) -> bool {
        !self.exprs.poly_vars(&store.address).has(Vars::COLUMN)
    }
}

/// Elements are written in the order of the first store's buffer.
fn map_order(form: &Canonical) -> Vec<AxisId> {
    let space: Vec<AxisId> = form.step.outer.iter().chain(&form.step.inner).copied().collect();
    let order = form.step.stores.first().map(|store| form.buffers[store.buffer.0 as usize].axes.clone());
    order.filter(|order| order.len() == space.len() && space.iter().all(|axis| order.contains(axis))).unwrap_or(space)
}

fn treatment(form: &Canonical) -> Samples {
    let step = &form.step;
    if !step.per_sample {
        return Samples::None;
    }
    if step.reduce == (ReduceSpace::Outer { batch: false }) {
        return Samples::Each;
    }
    let ragged: Vec<u32> = (0..form.axes.len() as u32).filter(|axis| matches!(form.axes[*axis as usize], Extent::Ragged(_))).collect();
    if ragged.is_empty() {
        return Samples::Dense;
    }
    let candidates = match step.reduce {
        ReduceSpace::None => step.outer.iter().chain(&step.inner).copied().collect(),
        _ => step.outer.clone(),
    };
    let mut candidates = candidates.into_iter().filter(|axis| ragged.contains(&axis.0));
    match (candidates.next(), candidates.next()) {
        (Some(axis), None) => {
            let check = Expander::packing_check(form, axis).and_then(|mut expander| expander.stores());
            if check.is_ok() { Samples::Packed(axis) } else { Samples::Each }
        }
        _ => Samples::Each,
    }
}
