//! Cranelift code for the loops of a fused step.
//!
//! Code is straight lines and loops whose heads test before each round, so that whatever stands before a loop dominates what comes after.
//! Values are remembered in scopes: a loop's body has one of its own, and what does not change in the body is computed before it
//! ([`Emitter::hoist`]). An element goes through the same operations in the vector part and in the scalar rest of a loop.

mod arithmetic;
mod functions;
mod integers;
mod phase;
mod stages;
mod values;

pub(crate) use functions::{Role, ScratchSize, build, roles};

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use mgx_ir::graph::DType;

use super::expr::{Expr, ExprId, Exprs, children, polys};
use super::index::{Atom, Poly};
use super::vector;

/// What has been computed at one level of the code.
#[derive(Default)]
struct Scope {
    /// By expression, and whether it is on a vector.
    values: HashMap<(ExprId, bool), Value>,
    indices: HashMap<Poly, Value>,
    conditions: HashMap<Vec<Poly>, Value>,
    /// Address of an element of a place.
    pointers: HashMap<(Place, Poly), Value>,
    /// Vectors of one number.
    masks: HashMap<Value, Value>,
}

/// What an address is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Buffer(u32),
    /// A buffer that is stored as bfloat16.
    Bf16(u32),
    /// Results of a reduction over rows.
    Result(u32),
}

impl Place {
    /// A buffer, stored as bfloat16 or as its type is.
    fn of(buffer: u32, bf16: bool) -> Self {
        if bf16 { Self::Bf16(buffer) } else { Self::Buffer(buffer) }
    }

    /// The power of two that the bytes of an element are.
    fn shift(self) -> i64 {
        if matches!(self, Self::Bf16(_)) { 1 } else { 2 }
    }
}

/// Which variables have values at a point of the code.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Function,
    Row,
}

/// Emits the body of one function.
struct Emitter<'a> {
    b: FunctionBuilder<'a>,
    exprs: &'a Exprs,
    args: Value,
    /// How primitives are called.
    convention: CallConv,
    scopes: Vec<Scope>,
    row: Option<Value>,
    column: Option<Value>,
    inner: HashMap<u32, Value>,
    /// Results of the reductions of this row.
    reduced: HashMap<u32, Value>,
    /// Conditions that are known in this part of the columns.
    known: HashMap<Poly, bool>,
    /// Expressions whose values are in memory: the address that column 0 would have.
    stored: HashMap<ExprId, Value>,
}

/// Number of lanes of a vector.
const LANES: i64 = 4;

/// Accesses to elements: aligned to the element, never to a vector.
fn element() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Reads of what does not change during a call.
fn constant() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly().with_can_move()
}

fn machine_type(dtype: DType, vector: bool) -> Type {
    match (dtype, vector) {
        (DType::F32, false) => types::F32,
        (DType::F32, true) => types::F32X4,
        (DType::I32 | DType::Bool, false) => types::I32,
        (DType::I32 | DType::Bool, true) => types::I32X4,
    }
}

impl Emitter<'_> {
    fn lookup<T: Copy>(&self, find: impl Fn(&Scope) -> Option<&T>) -> Option<T> {
        self.scopes.iter().rev().find_map(|scope| find(scope).copied())
    }

    fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    /// Emits what is remembered only until the end of `emit`.
    fn scoped<T>(&mut self, emit: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push(Scope::default());
        let result = emit(self);
        self.scopes.pop();
        result
    }

    fn argument(&mut self, ty: Type, offset: i32) -> Value {
        let args = self.args;
        self.b.ins().load(ty, constant(), args, offset)
    }

    fn i64(&mut self, value: i64) -> Value {
        self.b.ins().iconst(types::I64, value)
    }

    /// `for i in start, start + step, … while i < end`.
    fn for_loop(&mut self, start: Value, end: Value, step: i64, body: impl FnOnce(&mut Self, Value)) {
        let counter = self.b.declare_var(types::I64);
        self.b.def_var(counter, start);
        let (head, inside, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let i = self.b.use_var(counter);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, i, end);
        self.b.ins().brif(more, inside, &[], after, &[]);
        self.b.seal_block(inside);
        self.b.seal_block(after);
        self.b.switch_to_block(inside);
        self.scoped(|this| body(this, i));
        let next = self.b.ins().iadd_imm_s(i, step);
        self.b.def_var(counter, next);
        self.b.ins().jump(head, &[]);
        self.b.seal_block(head);
        self.b.switch_to_block(after);
    }

    /// Computes here what the expressions need and does not change further in.
    fn hoist(&mut self, roots: &[ExprId], vector: bool, level: Level) {
        let mut seen = HashSet::new();
        roots.iter().for_each(|root| self.hoist_expr(*root, vector, level, &mut seen));
    }

    fn hoist_expr(&mut self, id: ExprId, vector: bool, level: Level, seen: &mut HashSet<ExprId>) {
        if !seen.insert(id) || self.stored.contains_key(&id) {
            return;
        }
        let exprs = self.exprs;
        let node = exprs.get(id);
        if self.is_fixed(id, level) {
            self.expr(id, vector);
            return;
        }
        let taken: Vec<ExprId> = match &node.expr {
            Expr::When { conditions, then, otherwise } => match vector::outcome(conditions, &self.known) {
                Some(true) => vec![*then],
                Some(false) => vec![*otherwise],
                None => vec![*then, *otherwise],
            },
            expr => children(expr),
        };
        for child in taken {
            self.hoist_expr(child, vector, level, seen);
        }
        match &node.expr {
            Expr::Load { buffer, bf16, address, guard } => self.hoist_access(Place::of(*buffer, *bf16), address, guard, level, seen),
            Expr::Column { reduction, address, guard } => self.hoist_access(Place::Result(*reduction), address, guard, level, seen),
            Expr::When { conditions, .. } => self.hoist_conditions(conditions, level, seen),
            expr => polys(expr).into_iter().for_each(|poly| self.hoist_index(poly, level, seen)),
        }
    }

    /// Does it have its value at this level?
    fn is_fixed(&self, id: ExprId, level: Level) -> bool {
        let node = self.exprs.get(id);
        match level {
            Level::Function => node.phase == 0 && !node.vars.varies(),
            Level::Row => !node.vars.varies_in_row(),
        }
    }

    fn hoist_access(&mut self, place: Place, address: &Poly, guard: &[Poly], level: Level, seen: &mut HashSet<ExprId>) {
        self.hoist_index(address, level, seen);
        self.hoist_conditions(guard, level, seen);
        if let Some((_, rest)) = vector::linear(self.exprs, address)
            && self.poly_is_fixed(&rest, level)
        {
            self.pointer(place, &rest);
        }
    }

    fn hoist_conditions(&mut self, conditions: &[Poly], level: Level, seen: &mut HashSet<ExprId>) {
        let open: Vec<Poly> = conditions.iter().filter(|condition| !self.known.contains_key(condition)).cloned().collect();
        for condition in &open {
            self.hoist_index(condition, level, seen);
        }
        if !open.is_empty() && open.iter().all(|condition| self.poly_is_fixed(condition, level)) {
            self.condition(&open);
        }
    }

    fn hoist_index(&mut self, poly: &Poly, level: Level, seen: &mut HashSet<ExprId>) {
        if self.poly_is_fixed(poly, level) {
            self.index(poly);
            return;
        }
        let exprs = self.exprs;
        let (fixed, varying) = self.parts(poly, level);
        if !fixed.terms.is_empty() {
            self.index(&fixed);
        }
        for atom in varying.terms.iter().flat_map(|(atoms, _)| atoms) {
            match exprs.indices.atom(*atom) {
                Atom::Div(a, d) | Atom::Rem(a, d) => {
                    self.hoist_index(a, level, seen);
                    self.hoist_index(d, level, seen);
                }
                Atom::Value(value) => self.hoist_expr(*value, false, level, seen),
                Atom::Size(_) => {
                    self.index(&Poly { terms: vec![(vec![*atom], 1)] });
                }
                Atom::Var(_) => {}
            }
        }
    }
}
