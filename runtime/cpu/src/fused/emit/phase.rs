//! One pass over the columns of a row: reductions of a round, or the stores.

use std::collections::HashMap;

use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, Value, types};
use cranelift_frontend::Variable;
use mgx_ir::graph::DType;

use super::stages::stages;
use super::{Emitter, LANES, Level, Place, element, machine_type};
use crate::fused::abi::{TILE, field};
use crate::fused::expr::{Expr, ExprId, children};
use crate::fused::primitives::{self, Primitive};
use crate::fused::{expand::StoreExpr, vector};

/// Accumulators of a reduction: several, for the additions not to wait for each other. As many whatever is reduced: a sum has the same bits
/// whether its terms are computed where they are added or were stored before.
const ACCUMULATORS: usize = 4;

/// What a pass computes.
#[derive(Clone, Default)]
pub(super) struct Sinks<'a> {
    /// Reductions over the columns.
    pub registers: Vec<u32>,
    /// Reductions for each column, in the partial results.
    pub partials: Vec<u32>,
    pub stores: Vec<&'a StoreExpr>,
}

/// The running results of reductions over columns: vectors, and what comes after them one by one.
pub(super) struct Accumulator {
    lanes: Vec<Variable>,
    rest: Variable,
}

/// Where values are kept between stages and between passes.
#[derive(Default)]
pub(super) struct Scratch {
    /// Rows that keep a value for later passes.
    pub rows: HashMap<ExprId, i64>,
    /// Most tiles that are used at a time.
    pub tiles: i64,
}

impl Emitter<'_> {
    /// Declares accumulators that hold the reduction of nothing.
    pub(super) fn accumulators(&mut self, reductions: &[u32]) -> HashMap<u32, Accumulator> {
        let exprs = self.exprs;
        let mut all = HashMap::new();
        for number in reductions {
            let reduction = &exprs.reductions[*number as usize];
            let (vector, scalar) =
                (self.identity(reduction.op, reduction.dtype, true), self.identity(reduction.op, reduction.dtype, false));
            let lanes = (0..ACCUMULATORS).map(|_| {
                let variable = self.b.declare_var(machine_type(reduction.dtype, true));
                self.b.def_var(variable, vector);
                variable
            });
            let lanes = lanes.collect();
            let rest = self.b.declare_var(machine_type(reduction.dtype, false));
            self.b.def_var(rest, scalar);
            all.insert(*number, Accumulator { lanes, rest });
        }
        all
    }

    /// The result: accumulators in pairs, then lanes in pairs, then the rest.
    pub(super) fn reduced(&mut self, number: u32, accumulator: &Accumulator) -> Value {
        let reduction = &self.exprs.reductions[number as usize];
        let (op, dtype) = (reduction.op, reduction.dtype);
        let mut values: Vec<Value> = accumulator.lanes.iter().map(|variable| self.b.use_var(*variable)).collect();
        while values.len() > 1 {
            values = values.chunks(2).map(|pair| self.combine(op, dtype, pair[0], pair[1])).collect();
        }
        let mut values: Vec<Value> = (0..LANES as u8).map(|lane| self.b.ins().extractlane(values[0], lane)).collect();
        while values.len() > 1 {
            values = values.chunks(2).map(|pair| self.combine(op, dtype, pair[0], pair[1])).collect();
        }
        let rest = self.b.use_var(accumulator.rest);
        self.combine(op, dtype, values[0], rest)
    }

    /// Emits the pass over columns `begin..end`.
    pub(super) fn pass(
        &mut self,
        sinks: &Sinks<'_>,
        accumulators: &HashMap<u32, Accumulator>,
        scratch: &mut Scratch,
        begin: Value,
        end: Value,
    ) {
        let exprs = self.exprs;
        let roots: Vec<ExprId> = sinks
            .registers
            .iter()
            .chain(&sinks.partials)
            .map(|number| exprs.reductions[*number as usize].body)
            .chain(sinks.stores.iter().map(|store| store.value))
            .collect();
        let segments = vector::segments(exprs, &roots);
        let whole = segments.len() == 1;
        let mut kept = HashMap::new();
        for segment in segments {
            self.known = segment.known;
            let (mut from, mut to) = (begin, end);
            if segment.start > 0 {
                let start = self.i64(segment.start);
                from = self.b.ins().smax(begin, start);
            }
            if let Some(last) = segment.end {
                let last = self.i64(last);
                to = self.b.ins().smin(end, last);
            }
            if !whole {
                // An empty part must not have its end before its start.
                to = self.b.ins().smax(to, from);
            }
            let now = self.scoped(|this| this.segment(sinks, accumulators, scratch, &roots, whole, (from, to)));
            kept.extend(now);
            self.known.clear();
        }
        self.stored.extend(kept);
    }

    /// Emits one part of a pass. Returns what it leaves in rows of scratch memory.
    fn segment(
        &mut self,
        sinks: &Sinks<'_>,
        accumulators: &HashMap<u32, Accumulator>,
        scratch: &mut Scratch,
        roots: &[ExprId],
        whole: bool,
        (from, to): (Value, Value),
    ) -> HashMap<ExprId, Value> {
        let exprs = self.exprs;
        let addresses = sinks.stores.iter().all(|store| vector::linear(exprs, &store.address).is_some());
        let vector = addresses && vector::strided_reads(exprs, roots, &self.known).is_some();
        let stored = self.stored.keys().copied().collect();
        let stages = stages(exprs, roots, &self.known, &stored);
        self.hoist(roots, vector, Level::Row);
        for store in &sinks.stores {
            if let Some((_, rest)) = vector::linear(exprs, &store.address) {
                self.pointer(Place::Buffer(store.buffer), &rest);
            }
        }
        if stages.is_empty() {
            self.columns(from, to, vector, Self::unroll(accumulators, sinks), |this, vector, part| {
                this.sink(sinks, accumulators, vector, part);
            });
            return HashMap::new();
        }
        let rows: HashMap<ExprId, Value> = stages
            .iter()
            .flatten()
            .filter(|_| whole)
            .filter_map(|id| scratch.rows.get(id).map(|row| (*id, *row)))
            .map(|(id, row)| (id, self.scratch_row(row)))
            .collect();
        let tile_start = self.scratch_row(scratch.rows.len() as i64);
        self.for_loop(from, to, TILE, |this, first| {
            let tile_end = this.b.ins().iadd_imm_s(first, TILE);
            let last = this.b.ins().smin(tile_end, to);
            this.tile(sinks, accumulators, scratch, &stages, &rows, vector, (tile_start, first, last));
        });
        rows
    }

    /// Emits the stages of one tile, columns `first..last`.
    #[allow(clippy::too_many_arguments)]
    fn tile(
        &mut self,
        sinks: &Sinks<'_>,
        accumulators: &HashMap<u32, Accumulator>,
        scratch: &mut Scratch,
        stages: &[Vec<ExprId>],
        rows: &HashMap<ExprId, Value>,
        vector: bool,
        (tile_start, first, last): (Value, Value, Value),
    ) {
        let before = self.stored.clone();
        let count = self.b.ins().isub(last, first);
        let offset = self.b.ins().ishl_imm_u(first, 2);
        // As if the tile began at column 0.
        let tile_start = self.b.ins().isub(tile_start, offset);
        let mut tiles = 0;
        let mut next_tile = |this: &mut Self| {
            let start = this.b.ins().iadd_imm_s(tile_start, tiles * TILE * 4);
            tiles += 1;
            start
        };
        for stage in stages {
            let mut calls: Vec<(ExprId, Primitive, Vec<ExprId>, Vec<Value>)> = Vec::new();
            for id in stage {
                let expr = &self.exprs.get(*id).expr;
                let function = match expr {
                    Expr::Unary(op, _) => primitives::unary(*op),
                    Expr::Binary(op, ..) => primitives::binary(*op, DType::F32),
                    _ => None,
                };
                let Some(function) = function else { continue };
                let operands = children(expr);
                let mut places: Vec<Value> = vec![rows.get(id).copied().unwrap_or_else(|| next_tile(self))];
                places.extend(operands[1..].iter().map(|_| next_tile(self)).collect::<Vec<_>>());
                calls.push((*id, function, operands, places));
            }
            self.columns(first, last, vector, 1, |this, vector, _| {
                let mut values = Vec::new();
                for (_, _, operands, places) in &calls {
                    for (operand, place) in operands.iter().zip(places) {
                        values.push((this.expr(*operand, vector), *place));
                    }
                }
                for (value, place) in values {
                    let address = this.column_address(place);
                    this.b.ins().store(element(), value, address, 0);
                }
            });
            for (id, function, _, places) in calls {
                let addresses: Vec<Value> = places.iter().map(|place| self.b.ins().iadd(*place, offset)).collect();
                self.call_tile(function, &addresses, addresses[0], count);
                self.stored.insert(id, places[0]);
            }
        }
        self.columns(first, last, vector, Self::unroll(accumulators, sinks), |this, vector, part| {
            this.sink(sinks, accumulators, vector, part);
        });
        scratch.tiles = scratch.tiles.max(tiles);
        self.stored = before;
    }

    /// Calls a primitive on `count` elements.
    pub(super) fn call_tile(&mut self, function: Primitive, operands: &[Value], result: Value, count: Value) {
        let mut signature = Signature::new(self.convention);
        signature.params = vec![AbiParam::new(types::I64); function.operands + 2];
        let signature = self.b.import_signature(signature);
        let address = self.i64(function.address as i64);
        let arguments: Vec<Value> = operands.iter().copied().chain([result, count]).collect();
        self.b.ins().call_indirect(signature, address, &arguments);
    }

    fn scratch_row(&mut self, row: i64) -> Value {
        let start = self.argument(types::I64, field!(scratch));
        let bytes = self.argument(types::I64, field!(scratch_row));
        let offset = self.b.ins().imul_imm_s(bytes, row);
        self.b.ins().iadd(start, offset)
    }

    fn unroll(accumulators: &HashMap<u32, Accumulator>, sinks: &Sinks<'_>) -> usize {
        if sinks.registers.iter().any(|number| accumulators.contains_key(number)) { ACCUMULATORS } else { 1 }
    }

    /// Loops over columns: vectors as far as they fit (several a round at first, with their number), then one by one.
    fn columns(&mut self, from: Value, to: Value, vector: bool, unroll: usize, mut body: impl FnMut(&mut Self, bool, usize)) {
        let outside = self.column;
        let mut start = from;
        if vector {
            let count = self.b.ins().isub(to, from);
            if unroll > 1 {
                let round = LANES * unroll as i64;
                let rounds = self.b.ins().band_imm_s(count, -round);
                let end = self.b.ins().iadd(from, rounds);
                self.for_loop(start, end, round, |this, column| {
                    for part in 0..unroll {
                        let at = this.b.ins().iadd_imm_s(column, part as i64 * LANES);
                        this.column = Some(at);
                        this.scoped(|this| body(this, true, part));
                    }
                });
                start = end;
            }
            let vectors = self.b.ins().band_imm_s(count, -LANES);
            let end = self.b.ins().iadd(from, vectors);
            self.for_loop(start, end, LANES, |this, column| {
                this.column = Some(column);
                body(this, true, 0);
            });
            start = end;
        }
        self.for_loop(start, to, 1, |this, column| {
            this.column = Some(column);
            body(this, false, 0);
        });
        self.column = outside;
    }

    /// Computes everything for the current column, then writes: a store may go over what is read for the same column.
    fn sink(&mut self, sinks: &Sinks<'_>, accumulators: &HashMap<u32, Accumulator>, vector: bool, part: usize) {
        let exprs = self.exprs;
        for number in &sinks.registers {
            let reduction = &exprs.reductions[*number as usize];
            let value = self.expr(reduction.body, vector);
            let Some(accumulator) = accumulators.get(number) else { continue };
            let variable = if vector { accumulator.lanes[part] } else { accumulator.rest };
            let sum = self.b.use_var(variable);
            let sum = self.combine(reduction.op, reduction.dtype, sum, value);
            self.b.def_var(variable, sum);
        }
        for number in &sinks.partials {
            let reduction = &exprs.reductions[*number as usize];
            let value = self.expr(reduction.body, vector);
            let start = self.partial_start(*number);
            let address = self.column_address(start);
            let sum = self.b.ins().load(machine_type(reduction.dtype, vector), element(), address, 0);
            let sum = self.combine(reduction.op, reduction.dtype, sum, value);
            self.b.ins().store(element(), sum, address, 0);
        }
        self.write(&sinks.stores, vector);
    }

    /// Emits stores at the current column.
    pub(super) fn write(&mut self, stores: &[&StoreExpr], vector: bool) {
        let mut values = Vec::with_capacity(stores.len());
        for store in stores {
            let value = self.expr(store.value, vector);
            values.push(match store.dtype {
                DType::Bool => self.integer_of_mask(value, vector),
                _ => value,
            });
        }
        for (store, value) in stores.iter().zip(&mut values) {
            if store.accumulate {
                let old = self.load(Place::Buffer(store.buffer), &store.address, &[], store.dtype, vector);
                *value = if store.dtype == DType::F32 { self.b.ins().fadd(old, *value) } else { self.b.ins().iadd(old, *value) };
            }
        }
        for (store, value) in stores.iter().zip(values) {
            self.store(Place::Buffer(store.buffer), &store.address, value, vector);
        }
    }

    /// Where the columns of a reduction start in the partial results.
    pub(super) fn partial_start(&mut self, number: u32) -> Value {
        let partials = self.argument(types::I64, field!(partials));
        let columns = self.argument(types::I64, field!(partial_columns));
        self.result_start(partials, columns, number)
    }
}
