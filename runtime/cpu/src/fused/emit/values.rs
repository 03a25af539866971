//! Values of expressions: for one column, or for four on a vector.
//!
//! Bool is a mask within code (all bits of a lane or none) and 0 or 1 in memory.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Type, Value, types};
use mgx_ir::graph::{BinaryOp, DType, ReduceOp, UnaryOp};

use super::integers::Step;
use super::{Emitter, LANES, Place, constant, element, machine_type};
use crate::fused::abi::field;
use crate::fused::expr::{Expr, ExprId};
use crate::fused::index::Poly;
use crate::fused::{primitives, vector};

impl Emitter<'_> {
    /// The value of an expression at the current column, or at it and the three after it.
    pub(super) fn expr(&mut self, id: ExprId, vector: bool) -> Value {
        if let Some(known) = self.lookup(|scope| scope.values.get(&(id, vector))) {
            return known;
        }
        let exprs = self.exprs;
        let node = exprs.get(id);
        let value = if let Some(start) = self.stored.get(&id).copied() {
            self.load_stored(start, node.dtype, vector)
        } else if vector && !self.varies_by_column(id) {
            let scalar = self.expr(id, false);
            self.b.ins().splat(machine_type(node.dtype, true), scalar)
        } else {
            self.compute(id, vector)
        };
        self.scope().values.insert((id, vector), value);
        value
    }

    fn varies_by_column(&self, id: ExprId) -> bool {
        self.exprs.get(id).vars.has(crate::fused::expr::Vars::COLUMN)
    }

    fn load_stored(&mut self, start: Value, dtype: DType, vector: bool) -> Value {
        let address = self.column_address(start);
        self.b.ins().load(machine_type(dtype, vector), element(), address, 0)
    }

    /// The element of the current column, where that of column 0 is at `start`.
    pub(super) fn column_address(&mut self, start: Value) -> Value {
        match self.column {
            Some(column) => {
                let bytes = self.b.ins().ishl_imm_u(column, 2);
                self.b.ins().iadd(start, bytes)
            }
            None => start,
        }
    }

    fn compute(&mut self, id: ExprId, vector: bool) -> Value {
        let exprs = self.exprs;
        let node = exprs.get(id);
        match &node.expr {
            Expr::Const(bits) => self.constant(*bits, node.dtype),
            Expr::Int(poly) => self.counted(poly, vector),
            Expr::Load { buffer, bf16, address, guard } => self.load(Place::of(*buffer, *bf16), address, guard, node.dtype, vector),
            Expr::Column { reduction, address, guard } => self.load(Place::Result(*reduction), address, guard, node.dtype, vector),
            Expr::Random { site, sample, index } => self.random(*site, sample.as_ref(), index, vector),
            Expr::Unary(op, x) => {
                let value = self.expr(*x, vector);
                match primitives::unary(*op) {
                    Some(function) => self.call_primitive(function, &[value], vector),
                    None => self.unary(*op, value, exprs.get(*x).dtype, vector),
                }
            }
            Expr::Binary(op, x, y) => {
                let (a, b) = (self.expr(*x, vector), self.expr(*y, vector));
                match primitives::binary(*op, node.dtype) {
                    Some(function) => self.call_primitive(function, &[a, b], vector),
                    None => self.binary(*op, a, b, exprs.get(*x).dtype, vector),
                }
            }
            Expr::Select(x, y, z) => {
                let (mask, a, b) = (self.expr(*x, vector), self.expr(*y, vector), self.expr(*z, vector));
                self.choose(mask, a, b, vector)
            }
            Expr::Cast(x) => {
                let value = self.expr(*x, vector);
                self.cast(value, exprs.get(*x).dtype, node.dtype, vector)
            }
            Expr::When { conditions, then, otherwise } => self.when(conditions, *then, *otherwise, vector),
            // A reduction's result is known once its loop is over, before anything that depends on it is emitted.
            Expr::Row(reduction) => {
                self.reduced.get(reduction).copied().unwrap_or_else(|| unreachable!("reduction {reduction} is not done"))
            }
            Expr::Loop { op, var, extent, body } => self.inner_loop(*op, *var, extent, *body, node.dtype, vector),
        }
    }

    fn constant(&mut self, bits: u32, dtype: DType) -> Value {
        match dtype {
            DType::F32 => self.b.ins().f32const(f32::from_bits(bits)),
            DType::I32 => self.b.ins().iconst(types::I32, i64::from(bits as i32)),
            DType::Bool => self.b.ins().iconst(types::I32, if bits == 0 { 0 } else { -1 }),
        }
    }

    /// The low 32 bits of an index; on a vector, of those of four columns.
    fn counted(&mut self, poly: &Poly, vector: bool) -> Value {
        let index = self.index(poly);
        let first = self.b.ins().ireduce(types::I32, index);
        if !vector {
            return first;
        }
        let step = vector::linear(self.exprs, poly).and_then(|(coefficient, _)| coefficient.as_constant()).unwrap_or(0);
        let first = self.b.ins().splat(types::I32X4, first);
        let lanes: Vec<u8> = (0..LANES).flat_map(|lane| ((lane * step) as i32).to_le_bytes()).collect();
        let lanes = self.b.func.dfg.constants.insert(lanes.into());
        let lanes = self.b.ins().vconst(types::I32X4, lanes);
        self.b.ins().iadd(first, lanes)
    }

    /// The element of a place at the current column; any number where a condition does not hold.
    pub(super) fn load(&mut self, place: Place, address: &Poly, guard: &[Poly], dtype: DType, vector: bool) -> Value {
        let open: Vec<Poly> = guard.iter().filter(|condition| !self.known.contains_key(condition)).cloned().collect();
        let (address, step) = self.element_address(place, address);
        let safe = (!open.is_empty()).then(|| (self.condition(&open), self.pointer(place, &Poly::default())));
        let guarded = |this: &mut Self, address: Value| match safe {
            Some((holds, start)) => this.b.ins().select(holds, address, start),
            None => address,
        };
        let ty = machine_type(dtype, vector);
        let value = match step {
            _ if !vector => {
                let address = guarded(self, address);
                self.element(place, ty, address)
            }
            Step::Next => {
                let address = guarded(self, address);
                self.element(place, ty, address)
            }
            Step::Bytes(bytes) => {
                let mut lane_address = address;
                let mut lanes: Option<Value> = None;
                for lane in 0..LANES as u8 {
                    let from = guarded(self, lane_address);
                    let one = self.element(place, machine_type(dtype, false), from);
                    lanes = Some(match lanes {
                        None => self.b.ins().splat(ty, one),
                        Some(lanes) => self.b.ins().insertlane(lanes, one, lane),
                    });
                    lane_address = self.b.ins().iadd(lane_address, bytes);
                }
                lanes.unwrap_or(address)
            }
            Step::Same | Step::Unknown => {
                let address = guarded(self, address);
                let one = self.element(place, machine_type(dtype, false), address);
                self.b.ins().splat(ty, one)
            }
        };
        if dtype == DType::Bool { self.mask_of_integer(value, vector) } else { value }
    }

    /// What stands at an address of a place, as a machine type: bfloat16 is the upper half of an f32.
    fn element(&mut self, place: Place, ty: Type, address: Value) -> Value {
        if !matches!(place, Place::Bf16(_)) {
            return self.b.ins().load(ty, element(), address, 0);
        }
        let upper = if ty == types::F32X4 {
            let halves = self.b.ins().uload16x4(element(), address, 0);
            self.b.ins().ishl_imm_u(halves, 16)
        } else {
            let half = self.b.ins().uload16(types::I32, element(), address, 0);
            self.b.ins().ishl_imm_u(half, 16)
        };
        self.lanes_as(ty, upper)
    }

    fn when(&mut self, conditions: &[Poly], then: ExprId, otherwise: ExprId, vector: bool) -> Value {
        match vector::outcome(conditions, &self.known) {
            Some(true) => return self.expr(then, vector),
            Some(false) => return self.expr(otherwise, vector),
            None => {}
        }
        let open: Vec<Poly> = conditions.iter().filter(|condition| !self.known.contains_key(condition)).cloned().collect();
        let holds = self.condition(&open);
        let (a, b) = (self.expr(then, vector), self.expr(otherwise, vector));
        if !vector {
            return self.b.ins().select(holds, a, b);
        }
        let mask = match self.lookup(|scope| scope.masks.get(&holds)) {
            Some(known) => known,
            None => {
                let mask = self.b.ins().bmask(types::I32, holds);
                let lanes = self.b.ins().splat(types::I32X4, mask);
                self.scope().masks.insert(holds, lanes);
                lanes
            }
        };
        self.choose(mask, a, b, true)
    }

    /// `mask ? a : b`, lane by lane.
    pub(super) fn choose(&mut self, mask: Value, a: Value, b: Value, vector: bool) -> Value {
        if !vector {
            return self.b.ins().select(mask, a, b);
        }
        let ty = self.b.func.dfg.value_type(a);
        let mask = if ty == types::I32X4 { mask } else { self.lanes_as(ty, mask) };
        self.b.ins().bitselect(mask, a, b)
    }

    /// The same bits as another type of vector.
    pub(super) fn lanes_as(&mut self, ty: cranelift_codegen::ir::Type, value: Value) -> Value {
        let flags = MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little);
        self.b.ins().bitcast(ty, flags, value)
    }

    fn cast(&mut self, x: Value, from: DType, to: DType, vector: bool) -> Value {
        let ty = machine_type(to, vector);
        match (from, to) {
            (DType::F32, DType::I32) => self.b.ins().fcvt_to_sint_sat(ty, x),
            (DType::I32, DType::F32) => self.b.ins().fcvt_from_sint(ty, x),
            (DType::Bool, DType::I32) => self.integer_of_mask(x, vector),
            (DType::Bool, DType::F32) => {
                let number = self.integer_of_mask(x, vector);
                self.b.ins().fcvt_from_sint(ty, number)
            }
            (DType::I32, DType::Bool) => self.mask_of_integer(x, vector),
            (DType::F32, DType::Bool) => {
                let zero = self.b.ins().f32const(0.0);
                let zero = if vector { self.b.ins().splat(types::F32X4, zero) } else { zero };
                self.compare_floats(FloatCC::NotEqual, x, zero, vector)
            }
            _ => x,
        }
    }

    /// A mask: is the integer not 0?
    fn mask_of_integer(&mut self, x: Value, vector: bool) -> Value {
        let zero = self.b.ins().iconst(types::I32, 0);
        let zero = if vector { self.b.ins().splat(types::I32X4, zero) } else { zero };
        self.compare_integers(IntCC::NotEqual, x, zero, vector)
    }

    /// 0 or 1.
    pub(super) fn integer_of_mask(&mut self, mask: Value, vector: bool) -> Value {
        let one = self.b.ins().iconst(types::I32, 1);
        let one = if vector { self.b.ins().splat(types::I32X4, one) } else { one };
        self.b.ins().band(mask, one)
    }

    /// `mgx_ir::random::uniform` of the site's key.
    fn random(&mut self, site: u32, sample: Option<&Poly>, index: &Poly, vector: bool) -> Value {
        let keys = self.argument(types::I64, field!(keys));
        let per_site = self.argument(types::I64, field!(keys_per_site));
        let mut place = self.b.ins().imul_imm_s(per_site, i64::from(site));
        if let Some(sample) = sample {
            let sample = self.index(sample);
            place = self.b.ins().iadd(place, sample);
        }
        let bytes = self.b.ins().ishl_imm_u(place, 3);
        let address = self.b.ins().iadd(keys, bytes);
        let low = self.b.ins().load(types::I32, constant(), address, 0);
        let high = self.b.ins().load(types::I32, constant(), address, 4);
        let index = self.counted(index, vector);
        self.uniform(low, high, index, vector)
    }

    /// A function on tiles, called for the lanes at hand.
    fn call_primitive(&mut self, function: primitives::Primitive, operands: &[Value], vector: bool) -> Value {
        let lanes = if vector { LANES } else { 1 };
        let bytes = 4 * lanes as u32;
        let mut addresses = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            let slot = self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 4));
            let address = self.b.ins().stack_addr(types::I64, slot, 0);
            self.b.ins().store(element(), *operand, address, 0);
            addresses.push(address);
        }
        let result = addresses[0];
        let count = self.i64(lanes);
        self.call_tile(function, &addresses, result, count);
        self.b.ins().load(machine_type(DType::F32, vector), element(), result, 0)
    }

    fn inner_loop(&mut self, op: ReduceOp, var: u32, extent: &Poly, body: ExprId, dtype: DType, vector: bool) -> Value {
        let end = self.index(extent);
        let total = self.b.declare_var(machine_type(dtype, vector));
        let start = self.identity(op, dtype, vector);
        self.b.def_var(total, start);
        let zero = self.i64(0);
        self.for_loop(zero, end, 1, |this, i| {
            this.inner.insert(var, i);
            let value = this.expr(body, vector);
            let sum = this.b.use_var(total);
            let sum = this.combine(op, dtype, sum, value);
            this.b.def_var(total, sum);
            this.inner.remove(&var);
        });
        self.b.use_var(total)
    }

    /// The operation of a reduction: the result so far and a new value.
    pub(super) fn combine(&mut self, op: ReduceOp, dtype: DType, a: Value, b: Value) -> Value {
        let vector = self.b.func.dfg.value_type(a).is_vector();
        match (op, dtype) {
            (ReduceOp::Sum, DType::F32) => self.b.ins().fadd(a, b),
            (ReduceOp::Sum, _) => self.b.ins().iadd(a, b),
            (ReduceOp::Max, DType::F32) => self.extreme(FloatCC::GreaterThan, b, a, vector),
            (ReduceOp::Max, _) => self.b.ins().smax(a, b),
            (ReduceOp::Min, DType::F32) => self.extreme(FloatCC::LessThan, b, a, vector),
            (ReduceOp::Min, _) => self.b.ins().smin(a, b),
        }
    }

    /// The reduction of nothing.
    pub(super) fn identity(&mut self, op: ReduceOp, dtype: DType, vector: bool) -> Value {
        let scalar = self.constant(primitives::identity(op, dtype), dtype);
        if vector { self.b.ins().splat(machine_type(dtype, true), scalar) } else { scalar }
    }

    /// Writes the value at the current column to a place in memory, as it is stored there.
    pub(super) fn store(&mut self, place: Place, address: &Poly, value: Value, vector: bool) {
        let (mut address, step) = self.element_address(place, address);
        match step {
            Step::Bytes(bytes) if vector => {
                for lane in 0..LANES as u8 {
                    let one = self.b.ins().extractlane(value, lane);
                    self.b.ins().store(element(), one, address, 0);
                    address = self.b.ins().iadd(address, bytes);
                }
            }
            _ => {
                self.b.ins().store(element(), value, address, 0);
            }
        }
    }

    fn unary(&mut self, op: UnaryOp, x: Value, dtype: DType, vector: bool) -> Value {
        match (op, dtype) {
            (UnaryOp::Neg, DType::I32) => self.b.ins().ineg(x),
            (UnaryOp::Abs, DType::I32) => self.b.ins().iabs(x),
            (UnaryOp::Not, _) => self.b.ins().bnot(x),
            (UnaryOp::Neg, _) => self.b.ins().fneg(x),
            (UnaryOp::Abs, _) => self.b.ins().fabs(x),
            (UnaryOp::Sqrt, _) => self.b.ins().sqrt(x),
            (UnaryOp::Rsqrt, _) => {
                let root = self.b.ins().sqrt(x);
                let one = self.b.ins().f32const(1.0);
                let one = if vector { self.b.ins().splat(types::F32X4, one) } else { one };
                self.b.ins().fdiv(one, root)
            }
            (UnaryOp::Floor, _) => self.b.ins().floor(x),
            (UnaryOp::Bf16, _) => self.round_to_bf16(x, vector),
            // These have a primitive and do not come here.
            (UnaryOp::Exp | UnaryOp::Log | UnaryOp::Tanh | UnaryOp::Erf | UnaryOp::Sin | UnaryOp::Cos, _) => x,
        }
    }

    fn binary(&mut self, op: BinaryOp, x: Value, y: Value, dtype: DType, vector: bool) -> Value {
        match dtype {
            DType::F32 => self.binary_float(op, x, y, vector),
            DType::I32 => self.binary_integer(op, x, y, vector),
            DType::Bool => self.binary_bool(op, x, y, vector),
        }
    }
}
