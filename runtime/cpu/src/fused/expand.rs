//! From the nodes of a fused step to scalar expressions: each node is asked for its value at an index, and asks its inputs.
//!
//! Moves of elements only change the index on the way. A conditional read passes its conditions on, so that nothing is read where they
//! do not hold.

use std::collections::HashMap;

use mgx_ir::graph::{AxisId, BinaryOp, DType, Extent, Op, ReduceOp, SizeExpr, Window};
use mgx_ir::plan::{FusedInput, ReduceSpace, SHORT};

use super::canonical::Canonical;
use super::expr::{Expr, ExprId, Exprs, MAX_INNER, SizeKey, Vars};
use super::index::{Atom, Poly, Var};
use super::primitives::identity;
use super::types;

/// How the samples of a batch are run through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Samples {
    /// Nothing is per sample.
    None,
    /// The kernel runs for each sample on its own.
    Each,
    /// All sizes are the same for all samples: the sample is the outermost loop.
    Dense,
    /// The tokens of all samples along this axis (of the canonical step) are one long axis.
    Packed(AxisId),
}

/// Why a step cannot be run in some way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reject {
    /// Not with this treatment of the samples.
    Samples,
    /// The step breaks the rules.
    Malformed(String),
}

type Expanded = Result<ExprId, Reject>;

/// Where a value is asked for: a position by axis, sorted, and the conditions under which it matters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct At {
    index: Vec<(AxisId, Poly)>,
    guard: Vec<Poly>,
}

impl At {
    fn position(&self, axis: AxisId) -> Result<&Poly, Reject> {
        let found = self.index.iter().find(|(name, _)| *name == axis).map(|(_, position)| position);
        found.ok_or_else(|| Reject::Malformed(format!("a value is read without a position along axis {}", axis.0)))
    }

    fn with(&self, changes: impl IntoIterator<Item = (AxisId, Poly)>) -> Self {
        let mut at = self.clone();
        for (axis, position) in changes {
            match at.index.iter_mut().find(|(name, _)| *name == axis) {
                Some(entry) => entry.1 = position,
                None => at.index.push((axis, position)),
            }
        }
        at.index.sort_unstable_by_key(|(axis, _)| *axis);
        at
    }

    /// Only what the axes of a value need, so that equal questions are equal.
    fn on(&self, axes: &[AxisId]) -> Self {
        Self { index: self.index.iter().filter(|(axis, _)| axes.contains(axis)).cloned().collect(), guard: self.guard.clone() }
    }

    fn given(mut self, conditions: &[Poly]) -> Self {
        self.guard.extend(conditions.iter().cloned());
        self.guard.sort_unstable();
        self.guard.dedup();
        self
    }
}

/// A store of a kernel.
#[derive(Clone, Debug)]
pub(crate) struct StoreExpr {
    pub buffer: u32,
    pub address: Poly,
    pub value: ExprId,
    pub dtype: DType,
    pub accumulate: bool,
}

/// Expands the nodes of a step.
pub(crate) struct Expander<'a> {
    form: &'a Canonical,
    samples: Samples,
    pub exprs: Exprs,
    /// The number of the sample, in [`Samples::Dense`].
    sample: Option<Poly>,
    /// The index of the space.
    space: At,
    /// In an analysis of [`Samples::Packed`]: each axis is a variable, and the packed one may only be the first of buffers per sample.
    checks_packing: bool,
    memo: HashMap<(u32, At), ExprId>,
    inner_loops: u32,
}

impl<'a> Expander<'a> {
    /// An expander that finds out whether the tokens can be packed along `axis`.
    pub fn packing_check(form: &'a Canonical, axis: AxisId) -> Result<Self, Reject> {
        let mut expander = Self::empty(form, Samples::Packed(axis));
        expander.checks_packing = true;
        let mut index = Vec::new();
        for axis in form.step.outer.iter().chain(&form.step.inner) {
            let extent = expander.extent(*axis)?;
            let var = Var::Axis(axis.0);
            // Not simplified away where the extent is 1: a batch may have more samples.
            index.push((*axis, expander.exprs.indices.var(var, &extent)));
        }
        expander.space = expander.space.with(index);
        Ok(expander)
    }

    /// An expander for loops: the axes of `rows` (with the sample first where it is a loop) are one variable, those of `columns` another.
    /// The extents of the two are also given.
    pub fn new(form: &'a Canonical, samples: Samples, rows: &[AxisId], columns: &[AxisId]) -> Result<(Self, Poly, Poly), Reject> {
        Self::with_sample_column(form, samples, rows, columns, false)
    }

    /// Like [`Expander::new`], with the sample first among the columns.
    pub fn with_sample_column(
        form: &'a Canonical,
        samples: Samples,
        rows: &[AxisId],
        columns: &[AxisId],
        sample_column: bool,
    ) -> Result<(Self, Poly, Poly), Reject> {
        let mut expander = Self::empty(form, samples);
        let mut row_extents = expander.extents(rows)?;
        let mut column_extents = expander.extents(columns)?;
        let dense = samples == Samples::Dense;
        if dense {
            let count = expander.exprs.size(SizeKey::Samples);
            if sample_column { column_extents.insert(0, count) } else { row_extents.insert(0, count) }
        }
        let (row_extent, mut row_index) = expander.loop_over(Var::Row, &row_extents);
        let (column_extent, mut column_index) = expander.loop_over(Var::Column, &column_extents);
        if dense {
            expander.sample = Some(if sample_column { column_index.remove(0) } else { row_index.remove(0) });
        }
        let index = rows.iter().copied().zip(row_index).chain(columns.iter().copied().zip(column_index));
        expander.space = expander.space.with(index);
        Ok((expander, row_extent, column_extent))
    }

    fn empty(form: &'a Canonical, samples: Samples) -> Self {
        let space = At { index: Vec::new(), guard: Vec::new() };
        let (exprs, memo) = (Exprs::default(), HashMap::new());
        Self { form, samples, exprs, sample: None, space, checks_packing: false, memo, inner_loops: 0 }
    }

    fn loop_over(&mut self, var: Var, extents: &[Poly]) -> (Poly, Vec<Poly>) {
        let indices = &mut self.exprs.indices;
        let extent = extents.iter().fold(Poly::constant(1), |product, extent| indices.mul(&product, extent));
        let var = indices.var(var, &extent);
        let index = indices.unflatten(&var, extents);
        (extent, index)
    }

    fn extent(&mut self, axis: AxisId) -> Result<Poly, Reject> {
        match (self.form.extent(axis), self.samples) {
            (Extent::Static(size), _) => Ok(Poly::constant(*size as i64)),
            (Extent::Ragged(expr), Samples::Packed(packed)) if self.form.extent(axis) == self.form.extent(packed) => {
                Ok(self.exprs.size(SizeKey::Total(expr.clone())))
            }
            (Extent::Ragged(expr), _) => self.size(expr),
        }
    }

    fn extents(&mut self, axes: &[AxisId]) -> Result<Vec<Poly>, Reject> {
        axes.iter().map(|axis| self.extent(*axis)).collect()
    }

    fn size(&mut self, expr: &SizeExpr) -> Result<Poly, Reject> {
        match (expr, self.samples) {
            (SizeExpr::Const(size), _) => Ok(Poly::constant(*size as i64)),
            (_, Samples::Each) => Ok(self.exprs.size(SizeKey::Sample(expr.clone()))),
            _ => Err(Reject::Samples),
        }
    }

    /// The stores of the step.
    pub fn stores(&mut self) -> Result<Vec<StoreExpr>, Reject> {
        let form = self.form;
        let mut stores = Vec::with_capacity(form.step.stores.len());
        for store in &form.step.stores {
            let node = &form.step.nodes[store.node as usize];
            let space = self.space.clone();
            let value = self.node(store.node, &space)?;
            let ty = &form.buffers[store.buffer.0 as usize];
            if ty.dtype != node.ty.dtype || ty.axes.len() != node.ty.axes.len() || ty.axes.iter().any(|axis| !node.ty.axes.contains(axis)) {
                return Err(Reject::Malformed(format!("node {} is stored to a buffer of another type", store.node)));
            }
            // A buffer of no elements takes nothing; its strides are zero, which would look like a store of one element for all columns.
            if ty.axes.iter().any(|axis| form.extent(*axis).as_static() == Some(0)) {
                continue;
            }
            let address = self.address(store.buffer.0, &space)?;
            stores.push(StoreExpr { buffer: store.buffer.0, address, value, dtype: ty.dtype, accumulate: store.accumulate });
        }
        Ok(stores)
    }

    fn input(&mut self, input: FusedInput, at: &At) -> Expanded {
        match input {
            FusedInput::Node(number) => self.node(number, at),
            FusedInput::Buffer(buffer) => {
                let address = self.address(buffer.0, at)?;
                let dtype = self.form.buffers[buffer.0 as usize].dtype;
                self.check_unpacked(&at.guard)?;
                let bf16 = self.form.bf16[buffer.0 as usize];
                Ok(self.exprs.add(Expr::Load { buffer: buffer.0, bf16, address, guard: at.guard.clone() }, dtype))
            }
        }
    }

    fn address(&mut self, buffer: u32, at: &At) -> Result<Poly, Reject> {
        let ty = &self.form.buffers[buffer as usize];
        let positions = ty.axes.iter().map(|axis| at.position(*axis).cloned()).collect::<Result<Vec<_>, _>>()?;
        if self.checks_packing {
            self.check_packed(buffer, &positions)?;
        }
        let extents = self.extents(&ty.axes)?;
        let within = self.exprs.indices.flatten(&positions, &extents);
        match &self.sample {
            Some(sample) if ty.per_sample => {
                let indices = &mut self.exprs.indices;
                let elements = extents.iter().fold(Poly::constant(1), |product, extent| indices.mul(&product, extent));
                let start = indices.mul(sample, &elements);
                Ok(indices.add(&start, &within))
            }
            _ => Ok(within),
        }
    }

    /// The tokens of a per-sample buffer can be packed where the packed axis stands first and is read at its own position.
    fn check_packed(&self, buffer: u32, positions: &[Poly]) -> Result<(), Reject> {
        let Samples::Packed(packed) = self.samples else { return Ok(()) };
        let ty = &self.form.buffers[buffer as usize];
        if !ty.per_sample {
            return self.check_unpacked(positions);
        }
        let (Some(first), Some(position)) = (ty.axes.first(), positions.first()) else { return Err(Reject::Samples) };
        let own = position.terms.len() == 1 && self.is_packed_var(position);
        if self.form.extent(*first) != self.form.extent(packed) || !own {
            return Err(Reject::Samples);
        }
        if ty.axes[1..].iter().any(|axis| self.form.extent(*axis).as_static().is_none()) {
            return Err(Reject::Samples);
        }
        self.check_unpacked(&positions[1..])
    }

    fn is_packed_var(&self, poly: &Poly) -> bool {
        let Samples::Packed(packed) = self.samples else { return false };
        match poly.terms.as_slice() {
            [(atoms, 1)] if atoms.len() == 1 => *self.exprs.indices.atom(atoms[0]) == Atom::Var(Var::Axis(packed.0)),
            _ => false,
        }
    }

    fn check_unpacked(&self, polys: &[Poly]) -> Result<(), Reject> {
        let Samples::Packed(packed) = self.samples else { return Ok(()) };
        if !self.checks_packing {
            return Ok(());
        }
        let wanted = Atom::Var(Var::Axis(packed.0));
        let mentioned = polys.iter().any(|poly| self.exprs.poly_mentions(poly, &wanted));
        if mentioned { Err(Reject::Samples) } else { Ok(()) }
    }

    fn node(&mut self, number: u32, at: &At) -> Expanded {
        let form = self.form;
        let node = &form.step.nodes[number as usize];
        let at = at.on(&node.ty.axes);
        let key = (number, at);
        if let Some(known) = self.memo.get(&key) {
            return Ok(*known);
        }
        let expr = self.compute(number, &key.1)?;
        self.memo.insert(key, expr);
        Ok(expr)
    }

    fn compute(&mut self, number: u32, at: &At) -> Expanded {
        let form = self.form;
        let node = &form.step.nodes[number as usize];
        let dtype = node.ty.dtype;
        let operand = |place: usize| {
            let found = node.inputs.get(place).copied();
            found.ok_or_else(|| Reject::Malformed(format!("node {number} lacks input {place}")))
        };
        let Some(op) = &node.op else { return self.input(operand(0)?, at) };
        match op {
            Op::Const(value) => Ok(self.constant(*value, dtype)),
            Op::Iota(axis) => {
                let position = at.position(*axis)?.clone();
                self.check_unpacked(std::slice::from_ref(&position))?;
                Ok(self.exprs.add(Expr::Int(position), DType::I32))
            }
            Op::Random { site } => self.random(*site, &node.ty.axes, node.ty.per_sample, at),
            Op::Unary(op) => {
                let x = self.input(operand(0)?, at)?;
                self.check_types(number, types::unary(*op, self.dtype(x)) == Some(dtype))?;
                Ok(self.exprs.add(Expr::Unary(*op, x), dtype))
            }
            Op::Binary(op) => {
                let (x, y) = (self.input(operand(0)?, at)?, self.input(operand(1)?, at)?);
                self.check_types(number, self.dtype(x) == self.dtype(y) && types::binary(*op, self.dtype(x)) == Some(dtype))?;
                Ok(self.exprs.add(Expr::Binary(*op, x, y), dtype))
            }
            Op::Select => {
                let (x, y, z) = (self.input(operand(0)?, at)?, self.input(operand(1)?, at)?, self.input(operand(2)?, at)?);
                self.check_types(number, self.dtype(x) == DType::Bool && self.dtype(y) == dtype && self.dtype(z) == dtype)?;
                Ok(self.exprs.add(Expr::Select(x, y, z), dtype))
            }
            Op::Cast => {
                let x = self.input(operand(0)?, at)?;
                Ok(if self.exprs.get(x).dtype == dtype { x } else { self.exprs.add(Expr::Cast(x), dtype) })
            }
            Op::Broadcast | Op::Permute => self.input(operand(0)?, at),
            Op::Reduce { op, over, batch } if self.is_of_the_space(over) || *batch => self.reduce(*op, over, dtype, operand(0)?, at),
            Op::Reduce { op, over, .. } => self.short(*op, over, dtype, operand(0)?, at),
            Op::Concat { axes, into } => self.concat(axes, *into, &node.inputs, at),
            Op::Gather { axis } => {
                let row = self.input(operand(1)?, at)?;
                self.check_types(number, self.dtype(row) == DType::I32)?;
                let position = self.exprs.indices.value(row);
                self.inside(operand(0)?, *axis, position, 0.0, dtype, at)
            }
            Op::Fold { into, tap, axis, window } => self.fold(*into, *tap, *axis, window, operand(0)?, at),
            op => self.moved(op, dtype, operand(0)?, at),
        }
    }

    /// Moves of one input.
    fn moved(&mut self, op: &Op, dtype: DType, input: FusedInput, at: &At) -> Expanded {
        match op {
            Op::Rename { pairs } => {
                let moved = pairs.iter().map(|(from, to)| Ok((*from, at.position(*to)?.clone()))).collect::<Result<Vec<_>, Reject>>()?;
                let at = at.with(moved);
                self.input(input, &at)
            }
            Op::Split { axis, into } => {
                let positions = into.iter().map(|part| at.position(*part).cloned()).collect::<Result<Vec<_>, _>>()?;
                let extents = self.extents(into)?;
                let position = self.exprs.indices.flatten(&positions, &extents);
                self.input(input, &at.with([(*axis, position)]))
            }
            Op::Merge { axes, into } => {
                let extents = self.extents(axes)?;
                let positions = self.exprs.indices.unflatten(at.position(*into)?, &extents);
                self.input(input, &at.with(axes.iter().copied().zip(positions)))
            }
            Op::Slice { axis, into, start, step } => {
                let start = self.size(start)?;
                let along = at.position(*into)?.scaled(*step as i64);
                let position = self.exprs.indices.add(&start, &along);
                self.input(input, &at.with([(*axis, position)]))
            }
            Op::Pad { axis, into, before, fill } => {
                let before = self.size(before)?;
                let position = self.exprs.indices.sub(at.position(*into)?, &before);
                self.inside(input, *axis, position, *fill, dtype, at)
            }
            Op::Window { axis, into, tap, window } => {
                let start = at.position(*into)?.scaled(window.stride as i64);
                let along = at.position(*tap)?.scaled(window.dilation as i64);
                let indices = &mut self.exprs.indices;
                let position = indices.add(&start, &along);
                let position = indices.sub(&position, &Poly::constant(window.before as i64));
                self.inside(input, *axis, position, window.fill, dtype, at)
            }
            op => Err(Reject::Malformed(format!("a fused step holds {}", op.name()))),
        }
    }

    fn dtype(&self, id: ExprId) -> DType {
        self.exprs.get(id).dtype
    }

    fn check_types(&self, number: u32, fit: bool) -> Result<(), Reject> {
        if fit {
            Ok(())
        } else {
            Err(Reject::Malformed(format!("the operands of node {number} of a fused step are of other types than it takes")))
        }
    }

    fn constant(&mut self, value: f64, dtype: DType) -> ExprId {
        let bits = match dtype {
            DType::F32 => (value as f32).to_bits(),
            DType::I32 => value as i32 as u32,
            DType::Bool => u32::from(value != 0.0),
        };
        self.exprs.add(Expr::Const(bits), dtype)
    }

    fn random(&mut self, site: u32, axes: &[AxisId], per_sample: bool, at: &At) -> Expanded {
        let positions = axes.iter().map(|axis| at.position(*axis).cloned()).collect::<Result<Vec<_>, _>>()?;
        if self.checks_packing && per_sample {
            return Err(Reject::Samples);
        }
        self.check_unpacked(&positions)?;
        let extents = self.extents(axes)?;
        let index = self.exprs.indices.flatten(&positions, &extents);
        let sample = if per_sample { self.sample.clone() } else { None };
        Ok(self.exprs.add(Expr::Random { site, sample, index }, DType::F32))
    }

    /// `then` where all conditions hold, which are left out as far as they always do.
    fn when(&mut self, conditions: Vec<Poly>, otherwise: ExprId, then: impl FnOnce(&mut Self, &[Poly]) -> Expanded) -> Expanded {
        let mut open = Vec::new();
        for condition in conditions {
            match self.exprs.indices.decide(&condition) {
                Some(true) => {}
                Some(false) => return Ok(otherwise),
                None => open.push(condition),
            }
        }
        open.sort_unstable();
        open.dedup();
        let then = then(self, &open)?;
        if open.is_empty() || then == otherwise {
            return Ok(then);
        }
        self.check_unpacked(&open)?;
        let dtype = self.exprs.get(then).dtype;
        Ok(self.exprs.add(Expr::When { conditions: open, then, otherwise }, dtype))
    }

    /// The element at a position that may be outside the axis, which gives `fill`.
    fn inside(&mut self, input: FusedInput, axis: AxisId, position: Poly, fill: f64, dtype: DType, at: &At) -> Expanded {
        let extent = self.extent(axis)?;
        let last = self.exprs.indices.sub(&extent, &Poly::constant(1));
        let before_end = self.exprs.indices.sub(&last, &position);
        let otherwise = self.constant(fill, dtype);
        let source = at.with([(axis, position.clone())]);
        self.when(vec![position, before_end], otherwise, |this, open| this.input(input, &source.given(open)))
    }

    fn concat(&mut self, axes: &[AxisId], into: AxisId, inputs: &[FusedInput], at: &At) -> Expanded {
        if axes.is_empty() || axes.len() != inputs.len() {
            return Err(Reject::Malformed(format!("a concatenation of {} inputs along {} axes", inputs.len(), axes.len())));
        }
        let position = at.position(into)?.clone();
        let mut starts = vec![Poly::default()];
        for extent in self.extents(axes)? {
            let end = self.exprs.indices.add(&starts[starts.len() - 1], &extent);
            starts.push(end);
        }
        let mut result = None;
        for part in (0..inputs.len()).rev() {
            let within = self.exprs.indices.sub(&position, &starts[part]);
            let after = self.exprs.indices.sub(&starts[part + 1], &position);
            let before_end = self.exprs.indices.sub(&after, &Poly::constant(1));
            let source = at.with([(axes[part], within.clone())]);
            result = Some(match result {
                // The last part has what the others leave.
                None => {
                    let open = if self.exprs.indices.decide(&within) == Some(true) { Vec::new() } else { vec![within] };
                    self.input(inputs[part], &source.given(&open))?
                }
                Some(otherwise) => {
                    let from_start = if self.exprs.indices.decide(&within) == Some(true) { None } else { Some(within) };
                    self.when(vec![before_end], otherwise, |this, open| {
                        let guard: Vec<Poly> = open.iter().cloned().chain(from_start).collect();
                        this.input(inputs[part], &source.given(&guard))
                    })?
                }
            });
        }
        result.ok_or_else(|| Reject::Malformed("a concatenation of nothing".into()))
    }

    /// `Σ over taps` of the one window, if any, in which the tap is this position.
    fn fold(&mut self, into: AxisId, tap: AxisId, axis: AxisId, window: &Window, input: FusedInput, at: &At) -> Expanded {
        let position = at.position(axis)?.clone();
        let taps = self.extent(tap)?;
        let term = |this: &mut Self, tap_position: &Poly| {
            let stride = Poly::constant(window.stride.max(1) as i64);
            let shifted = this.exprs.indices.add(&position, &Poly::constant(window.before as i64));
            let start = this.exprs.indices.sub(&shifted, &tap_position.scaled(window.dilation as i64));
            let (number, rest) = this.exprs.indices.div_rem(&start, &stride);
            let windows = this.extent(into)?;
            let last = this.exprs.indices.sub(&windows, &Poly::constant(1));
            let before_end = this.exprs.indices.sub(&last, &number);
            let zero = this.constant(0.0, DType::F32);
            let source = at.with([(into, number), (tap, tap_position.clone())]);
            this.when(vec![start, before_end, rest.scaled(-1)], zero, |this, open| this.input(input, &source.given(open)))
        };
        match taps.as_constant() {
            Some(count @ 0..=4) => {
                let mut sum = self.constant(0.0, DType::F32);
                for number in 0..count {
                    let next = term(self, &Poly::constant(number))?;
                    sum = self.exprs.add(Expr::Binary(BinaryOp::Add, sum, next), DType::F32);
                }
                Ok(sum)
            }
            _ => {
                let (var, tap_position) = self.inner_var(&taps)?;
                let body = term(self, &tap_position)?;
                Ok(self.exprs.add(Expr::Loop { op: ReduceOp::Sum, var, extent: taps, body }, DType::F32))
            }
        }
    }

    fn inner_var(&mut self, extent: &Poly) -> Result<(u32, Poly), Reject> {
        let var = self.inner_loops;
        if var >= MAX_INNER {
            return Err(Reject::Malformed(format!("a fused step has more than {MAX_INNER} loops within expressions")));
        }
        self.inner_loops += 1;
        Ok((var, self.exprs.indices.var(Var::Inner(var), extent)))
    }

    /// Is it over these axes that the space reduces?
    fn is_of_the_space(&self, over: &[AxisId]) -> bool {
        let step = &self.form.step;
        let axes = match step.reduce {
            ReduceSpace::None => return false,
            ReduceSpace::Inner => &step.inner,
            ReduceSpace::Outer { .. } => &step.outer,
        };
        over.len() == axes.len() && over.iter().all(|axis| axes.contains(axis))
    }

    /// A short reduction, term by term.
    fn short(&mut self, op: ReduceOp, over: &[AxisId], dtype: DType, input: FusedInput, at: &At) -> Expanded {
        let extents = self.extents(over)?;
        let terms = extents.iter().try_fold(1, |terms: i64, extent| terms.checked_mul(extent.as_constant()?));
        let Some(terms) = terms.filter(|terms| *terms <= SHORT as i64 && dtype != DType::Bool) else {
            return Err(Reject::Malformed(format!("a reduction over {over:?}, which is neither the space's nor short")));
        };
        let combine = match op {
            ReduceOp::Sum => BinaryOp::Add,
            ReduceOp::Max => BinaryOp::Max,
            ReduceOp::Min => BinaryOp::Min,
        };
        let mut result = None;
        for term in 0..terms {
            let positions = self.exprs.indices.unflatten(&Poly::constant(term), &extents);
            let next = self.input(input, &at.with(over.iter().copied().zip(positions)))?;
            result = Some(match result {
                None => next,
                Some(result) => self.exprs.add(Expr::Binary(combine, result, next), dtype),
            });
        }
        Ok(result.unwrap_or_else(|| self.exprs.add(Expr::Const(identity(op, dtype)), dtype)))
    }

    fn reduce(&mut self, op: ReduceOp, over: &[AxisId], dtype: DType, input: FusedInput, at: &At) -> Expanded {
        if dtype == DType::Bool {
            return Err(Reject::Malformed("a reduction of Bool".into()));
        }
        let step = &self.form.step;
        match step.reduce {
            ReduceSpace::None => Err(Reject::Malformed("a reduction over samples in a space without one".into())),
            ReduceSpace::Inner => self.reduce_row(op, over, dtype, input, at),
            ReduceSpace::Outer { .. } => {
                let space = self.space.clone();
                let body = self.input(input, &space)?;
                let reduction = self.exprs.reduction(op, dtype, body);
                let positions = step.inner.iter().map(|axis| at.position(*axis).cloned()).collect::<Result<Vec<_>, _>>();
                let extents = self.extents(&step.inner)?;
                let address = self.exprs.indices.flatten(&positions?, &extents);
                Ok(self.exprs.add(Expr::Column { reduction, address, guard: at.guard.clone() }, dtype))
            }
        }
    }

    /// The reduction of this row; where it is asked for at indices that vary within the row, a loop of its own.
    fn reduce_row(&mut self, op: ReduceOp, over: &[AxisId], dtype: DType, input: FusedInput, at: &At) -> Expanded {
        let varies = at.index.iter().map(|(_, position)| position).chain(&at.guard).any(|poly| self.exprs.poly_vars(poly).varies_in_row());
        if varies {
            let extents = self.extents(over)?;
            let indices = &mut self.exprs.indices;
            let extent = extents.iter().fold(Poly::constant(1), |product, extent| indices.mul(&product, extent));
            let (var, number) = self.inner_var(&extent)?;
            let positions = self.exprs.indices.unflatten(&number, &extents);
            let body = self.input(input, &at.with(over.iter().copied().zip(positions)))?;
            return Ok(self.exprs.add(Expr::Loop { op, var, extent, body }, dtype));
        }
        let positions = over.iter().map(|axis| Ok((*axis, self.space.position(*axis)?.clone()))).collect::<Result<Vec<_>, Reject>>()?;
        let body = self.input(input, &at.with(positions))?;
        let reduction = self.exprs.reduction(op, dtype, body);
        let row = self.exprs.add(Expr::Row(reduction), dtype);
        debug_assert!(!self.exprs.get(row).vars.has(Vars::COLUMN));
        Ok(row)
    }
}
