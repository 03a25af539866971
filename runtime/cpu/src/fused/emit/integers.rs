//! Indices, conditions and addresses.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::{Emitter, Level, Place, constant};
use crate::fused::abi::field;
use crate::fused::index::{Atom, AtomId, Poly, Var};
use crate::fused::vector;

impl Emitter<'_> {
    /// The value of an index.
    pub(super) fn index(&mut self, poly: &Poly) -> Value {
        if let Some(value) = poly.as_constant() {
            return self.i64(value);
        }
        if let Some(known) = self.lookup(|scope| scope.indices.get(poly)) {
            return known;
        }
        let (fixed, varying) = self.parts(poly, Level::Row);
        let value = if !fixed.terms.is_empty() && !varying.terms.is_empty() {
            let (a, b) = (self.index(&fixed), self.sum(&varying));
            self.b.ins().iadd(a, b)
        } else {
            self.sum(poly)
        };
        self.scope().indices.insert(poly.clone(), value);
        value
    }

    fn sum(&mut self, poly: &Poly) -> Value {
        let mut total: Option<Value> = None;
        for (atoms, coefficient) in &poly.terms {
            let term = self.product(atoms, *coefficient);
            total = Some(match total {
                Some(sum) => self.b.ins().iadd(sum, term),
                None => term,
            });
        }
        match total {
            Some(total) => total,
            None => self.i64(0),
        }
    }

    fn product(&mut self, atoms: &[AtomId], coefficient: i64) -> Value {
        let mut product: Option<Value> = None;
        for atom in atoms {
            let value = self.atom(*atom);
            product = Some(match product {
                Some(product) => self.b.ins().imul(product, value),
                None => value,
            });
        }
        match product {
            None => self.i64(coefficient),
            Some(product) if coefficient == 1 => product,
            Some(product) if coefficient > 0 && coefficient & (coefficient - 1) == 0 => {
                self.b.ins().ishl_imm_u(product, i64::from(coefficient.trailing_zeros()))
            }
            Some(product) => self.b.ins().imul_imm_s(product, coefficient),
        }
    }

    fn atom(&mut self, id: AtomId) -> Value {
        let exprs = self.exprs;
        let atom = exprs.indices.atom(id);
        if let Atom::Var(var) = atom {
            return self.variable(*var);
        }
        let poly = Poly { terms: vec![(vec![id], 1)] };
        if let Some(known) = self.lookup(|scope| scope.indices.get(&poly)) {
            return known;
        }
        let value = match atom {
            Atom::Var(var) => self.variable(*var),
            Atom::Size(number) => {
                let sizes = self.argument(types::I64, field!(sizes));
                self.b.ins().load(types::I64, constant(), sizes, (*number * 8) as i32)
            }
            Atom::Div(a, d) => {
                let (a, d) = (self.index(a), self.divisor(d));
                self.b.ins().udiv(a, d)
            }
            Atom::Rem(a, d) => {
                let (a, d) = (self.index(a), self.divisor(d));
                self.b.ins().urem(a, d)
            }
            Atom::Value(expr) => {
                let value = self.expr(*expr, false);
                self.b.ins().sextend(types::I64, value)
            }
        };
        self.scope().indices.insert(poly, value);
        value
    }

    fn variable(&mut self, var: Var) -> Value {
        let known = match var {
            Var::Row => self.row,
            Var::Column => self.column,
            Var::Inner(number) => self.inner.get(&number).copied(),
            Var::Axis(_) => None,
        };
        // Every variable is set in its loop; an index is only asked for within.
        known.unwrap_or_else(|| unreachable!("{var:?} has no value here"))
    }

    /// A divisor that is never 0: a quotient by 0 is used nowhere, but must not stop the machine.
    fn divisor(&mut self, poly: &Poly) -> Value {
        let value = self.index(poly);
        if poly.as_constant().is_some_and(|divisor| divisor > 0) {
            return value;
        }
        let one = self.i64(1);
        self.b.ins().smax(value, one)
    }

    /// The part of an index that does not change further in than `level`, and the other.
    pub(super) fn parts(&self, poly: &Poly, level: Level) -> (Poly, Poly) {
        let (mut fixed, mut varying) = (Poly::default(), Poly::default());
        for (atoms, coefficient) in &poly.terms {
            let term = (atoms.clone(), *coefficient);
            let part = Poly { terms: vec![term.clone()] };
            // Terms stay sorted: they are taken in order.
            if self.poly_is_fixed(&part, level) { fixed.terms.push(term) } else { varying.terms.push(term) }
        }
        (fixed, varying)
    }

    pub(super) fn poly_is_fixed(&self, poly: &Poly, level: Level) -> bool {
        let vars = self.exprs.poly_vars(poly);
        match level {
            Level::Function => !vars.varies() && self.exprs.poly_phase(poly) == 0,
            Level::Row => !vars.varies_in_row(),
        }
    }

    /// Do all conditions hold? As I8, 0 or 1.
    pub(super) fn condition(&mut self, conditions: &[Poly]) -> Value {
        if let Some(known) = self.lookup(|scope| scope.conditions.get(conditions)) {
            return known;
        }
        let mut all: Option<Value> = None;
        for condition in conditions {
            let value = self.index(condition);
            let holds = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, value, 0);
            all = Some(match all {
                Some(all) => self.b.ins().band(all, holds),
                None => holds,
            });
        }
        let all = match all {
            Some(all) => all,
            None => self.b.ins().iconst(types::I8, 1),
        };
        self.scope().conditions.insert(conditions.to_vec(), all);
        all
    }

    /// The address of an element of a place.
    pub(super) fn pointer(&mut self, place: Place, poly: &Poly) -> Value {
        let key = (place, poly.clone());
        if let Some(known) = self.lookup(|scope| scope.pointers.get(&key)) {
            return known;
        }
        let pointer = if poly.terms.is_empty() {
            self.start(place)
        } else {
            let (start, index) = (self.pointer(place, &Poly::default()), self.index(poly));
            let bytes = self.b.ins().ishl_imm_u(index, place.shift());
            self.b.ins().iadd(start, bytes)
        };
        self.scope().pointers.insert(key, pointer);
        pointer
    }

    fn start(&mut self, place: Place) -> Value {
        match place {
            Place::Buffer(buffer) | Place::Bf16(buffer) => {
                let buffers = self.argument(types::I64, field!(buffers));
                self.b.ins().load(types::I64, constant(), buffers, (buffer * 8) as i32)
            }
            Place::Result(reduction) => {
                let results = self.argument(types::I64, field!(results));
                let columns = self.argument(types::I64, field!(columns));
                self.result_start(results, columns, reduction)
            }
        }
    }

    /// Where the columns of a reduction start in results or partial results.
    pub(super) fn result_start(&mut self, results: Value, columns: Value, reduction: u32) -> Value {
        let bytes = self.b.ins().imul_imm_s(columns, i64::from(reduction) * 4);
        self.b.ins().iadd(results, bytes)
    }

    /// The address of the element at the current column, and how far apart the columns stand: `Some(1)` for side by side, `Some(0)` for
    /// the same element, `None` for the value of bytes returned.
    pub(super) fn element_address(&mut self, place: Place, address: &Poly) -> (Value, Step) {
        let Some((coefficient, rest)) = vector::linear(self.exprs, address) else {
            return (self.pointer(place, address), Step::Unknown);
        };
        let start = self.pointer(place, &rest);
        let Some(column) = self.column.filter(|_| !coefficient.terms.is_empty()) else {
            return (start, Step::Same);
        };
        if coefficient.as_constant() == Some(1) {
            let bytes = self.b.ins().ishl_imm_u(column, place.shift());
            return (self.b.ins().iadd(start, bytes), Step::Next);
        }
        let step = self.index(&coefficient.scaled(1 << place.shift()));
        let bytes = self.b.ins().imul(column, step);
        (self.b.ins().iadd(start, bytes), Step::Bytes(step))
    }
}

/// Where the element of the next column is.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// It is the same element.
    Same,
    /// Right after.
    Next,
    /// So many bytes on.
    Bytes(Value),
    /// Its address must be computed anew.
    Unknown,
}
