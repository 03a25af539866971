//! The functions of a kernel: which there are for each shape of loops, and their outermost code.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, Signature, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use super::phase::{Scratch, Sinks};
use super::stages::stages;
use super::{Emitter, Level, element, machine_type};
use crate::fused::abi::{TILE, field};
use crate::fused::expand::StoreExpr;
use crate::fused::expr::ExprId;
use crate::fused::space::{Shape, Space};

/// What a function of a kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything.
    Whole,
    /// The reductions over rows of one round, added to partial results.
    Partial(u32),
    /// What is computed from the results of reductions over rows.
    Finish,
}

/// Scratch memory that a function needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScratchSize {
    /// Rows as long as there are columns.
    pub rows: usize,
    /// Bytes besides.
    pub tiles: usize,
}

/// The functions of a kernel, in the order in which they run.
pub(crate) fn roles(space: &Space) -> Vec<Role> {
    match space.shape {
        Shape::Map | Shape::Rows => vec![Role::Whole],
        Shape::Columns | Shape::All => {
            let rounds = space.exprs.reductions.iter().map(|reduction| reduction.phase + 1).max().unwrap_or(0);
            (0..rounds).map(Role::Partial).chain([Role::Finish]).collect()
        }
    }
}

/// Builds a function.
pub(crate) fn build(space: &Space, role: Role, isa: &dyn TargetIsa, function: &mut Function) -> ScratchSize {
    let mut context = FunctionBuilderContext::new();
    function.signature = Signature::new(isa.default_call_conv());
    function.signature.params.push(AbiParam::new(types::I64));
    let mut b = FunctionBuilder::new(function, &mut context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let args = b.block_params(entry)[0];
    let mut emitter = Emitter {
        b,
        exprs: &space.exprs,
        args,
        convention: isa.default_call_conv(),
        scopes: Vec::new(),
        row: None,
        column: None,
        inner: HashMap::new(),
        reduced: HashMap::new(),
        known: HashMap::new(),
        stored: HashMap::new(),
    };
    let mut scratch = Scratch::default();
    match (role, space.shape) {
        (Role::Whole, Shape::Rows) => emitter.rows(space, &mut scratch),
        (Role::Whole, _) => emitter.map(space, &mut scratch),
        (Role::Partial(round), Shape::All) => emitter.partial_all(round, &mut scratch),
        (Role::Partial(round), _) => emitter.partial_columns(round, &mut scratch),
        (Role::Finish, _) => emitter.finish(space, &mut scratch),
    }
    emitter.b.ins().return_(&[]);
    emitter.b.finalize(isa.frontend_config());
    ScratchSize { rows: scratch.rows.len(), tiles: (scratch.tiles * TILE * 4) as usize }
}

/// Stores of elements, and stores of what a row has one of.
fn split_stores(space: &Space) -> (Vec<&StoreExpr>, Vec<&StoreExpr>) {
    space.stores.iter().partition(|store| !space.is_row_store(store))
}

impl<'a> Emitter<'a> {
    fn each_row(&mut self, emit: impl FnOnce(&mut Self)) {
        let (begin, end) = (self.argument(types::I64, field!(row_begin)), self.argument(types::I64, field!(row_end)));
        self.for_loop(begin, end, 1, |this, row| {
            this.row = Some(row);
            emit(this);
            this.row = None;
        });
    }

    fn pass_over(&mut self, sinks: &Sinks<'_>, accumulators: &HashMap<u32, super::phase::Accumulator>, scratch: &mut Scratch) {
        let (begin, end) = (self.argument(types::I64, field!(column_begin)), self.argument(types::I64, field!(column_end)));
        self.pass(sinks, accumulators, scratch, begin, end);
    }

    fn values_of(stores: &[&StoreExpr]) -> Vec<ExprId> {
        stores.iter().map(|store| store.value).collect()
    }

    fn bodies(&self, reductions: &[u32]) -> Vec<ExprId> {
        reductions.iter().map(|number| self.exprs.reductions[*number as usize].body).collect()
    }

    fn of_round(&self, round: u32) -> Vec<u32> {
        let all = self.exprs.reductions.iter().enumerate();
        all.filter(|(_, reduction)| reduction.phase == round).map(|(number, _)| number as u32).collect()
    }

    fn write_once(&mut self, stores: &[&StoreExpr]) {
        self.hoist(&Self::values_of(stores), false, Level::Row);
        self.write(stores, false);
    }

    fn map(&mut self, space: &Space, scratch: &mut Scratch) {
        let (stores, row_stores) = split_stores(space);
        self.hoist(&Self::values_of(&stores), true, Level::Function);
        self.each_row(|this| {
            if !stores.is_empty() {
                this.pass_over(&Sinks { stores: stores.clone(), ..Sinks::default() }, &HashMap::new(), scratch);
            }
            this.write_once(&row_stores);
        });
    }

    fn rows(&mut self, space: &Space, scratch: &mut Scratch) {
        let (stores, row_stores) = split_stores(space);
        let rounds = space.exprs.reductions.iter().map(|reduction| reduction.phase + 1).max().unwrap_or(0);
        let mut passes: Vec<Vec<ExprId>> = (0..rounds).map(|round| self.bodies(&self.of_round(round))).collect();
        passes.push(Self::values_of(&stores));
        scratch.rows = self.kept_rows(&passes);
        passes.iter().for_each(|roots| self.hoist(roots, true, Level::Function));
        self.each_row(|this| {
            for round in 0..rounds {
                let registers = this.of_round(round);
                let accumulators = this.accumulators(&registers);
                this.pass_over(&Sinks { registers, ..Sinks::default() }, &accumulators, scratch);
                for (number, accumulator) in sorted(&accumulators) {
                    let value = this.reduced(number, accumulator);
                    this.reduced.insert(number, value);
                }
            }
            if !stores.is_empty() {
                this.pass_over(&Sinks { stores: stores.clone(), ..Sinks::default() }, &HashMap::new(), scratch);
            }
            this.write_once(&row_stores);
            this.reduced.clear();
            this.stored.clear();
        });
    }

    /// Functions on tiles that several passes need are kept in a row each.
    fn kept_rows(&self, passes: &[Vec<ExprId>]) -> HashMap<ExprId, i64> {
        let mut seen = HashSet::new();
        let mut kept = Vec::new();
        for roots in passes {
            for id in stages(self.exprs, roots, &HashMap::new(), &HashSet::new()).into_iter().flatten() {
                if !seen.insert(id) && !kept.contains(&id) {
                    kept.push(id);
                }
            }
        }
        kept.into_iter().enumerate().map(|(row, id)| (id, row as i64)).collect()
    }

    fn partial_columns(&mut self, round: u32, scratch: &mut Scratch) {
        let partials = self.of_round(round);
        self.hoist(&self.bodies(&partials), true, Level::Function);
        self.each_row(|this| this.pass_over(&Sinks { partials, ..Sinks::default() }, &HashMap::new(), scratch));
    }

    fn partial_all(&mut self, round: u32, scratch: &mut Scratch) {
        let registers = self.of_round(round);
        self.hoist(&self.bodies(&registers), true, Level::Function);
        let accumulators = self.accumulators(&registers);
        self.each_row(|this| this.pass_over(&Sinks { registers, ..Sinks::default() }, &accumulators, scratch));
        for (number, accumulator) in sorted(&accumulators) {
            let value = self.reduced(number, accumulator);
            let reduction = &self.exprs.reductions[number as usize];
            let address = self.partial_start(number);
            let before = self.b.ins().load(machine_type(reduction.dtype, false), element(), address, 0);
            let sum = self.combine(reduction.op, reduction.dtype, before, value);
            self.b.ins().store(element(), sum, address, 0);
        }
    }

    fn finish(&mut self, space: &Space, scratch: &mut Scratch) {
        let (stores, once) = split_stores(space);
        if !stores.is_empty() {
            self.pass_over(&Sinks { stores, ..Sinks::default() }, &HashMap::new(), scratch);
        }
        self.write_once(&once);
    }
}

/// In the order of their numbers, so that code does not depend on hashing.
fn sorted<T>(all: &HashMap<u32, T>) -> Vec<(u32, &T)> {
    let mut entries: Vec<(u32, &T)> = all.iter().map(|(number, entry)| (*number, entry)).collect();
    entries.sort_unstable_by_key(|(number, _)| *number);
    entries
}
