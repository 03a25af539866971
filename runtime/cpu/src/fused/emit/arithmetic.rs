//! Arithmetic of one or four elements by element type.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use mgx_ir::graph::BinaryOp;

use super::{Emitter, LANES};

impl Emitter<'_> {
    pub(super) fn binary_float(&mut self, op: BinaryOp, x: Value, y: Value, vector: bool) -> Value {
        let comparison = match op {
            BinaryOp::Eq => FloatCC::Equal,
            BinaryOp::Ne => FloatCC::NotEqual,
            BinaryOp::Lt => FloatCC::LessThan,
            BinaryOp::Le => FloatCC::LessThanOrEqual,
            BinaryOp::Gt => FloatCC::GreaterThan,
            BinaryOp::Ge => FloatCC::GreaterThanOrEqual,
            BinaryOp::Add => return self.b.ins().fadd(x, y),
            BinaryOp::Sub => return self.b.ins().fsub(x, y),
            BinaryOp::Mul => return self.b.ins().fmul(x, y),
            BinaryOp::Div => return self.b.ins().fdiv(x, y),
            BinaryOp::Max => return self.extreme(FloatCC::GreaterThan, x, y, vector),
            BinaryOp::Min => return self.extreme(FloatCC::LessThan, x, y, vector),
            BinaryOp::Rem => {
                let quotient = self.b.ins().fdiv(x, y);
                let whole = self.b.ins().floor(quotient);
                let multiple = self.b.ins().fmul(whole, y);
                return self.b.ins().fsub(x, multiple);
            }
            // `Pow` is a primitive; `And` and `Or` are of Bool alone, which the expansion has checked.
            BinaryOp::Pow | BinaryOp::And | BinaryOp::Or => return x,
        };
        self.compare_floats(comparison, x, y, vector)
    }

    pub(super) fn binary_integer(&mut self, op: BinaryOp, x: Value, y: Value, vector: bool) -> Value {
        let comparison = match op {
            BinaryOp::Eq => IntCC::Equal,
            BinaryOp::Ne => IntCC::NotEqual,
            BinaryOp::Lt => IntCC::SignedLessThan,
            BinaryOp::Le => IntCC::SignedLessThanOrEqual,
            BinaryOp::Gt => IntCC::SignedGreaterThan,
            BinaryOp::Ge => IntCC::SignedGreaterThanOrEqual,
            BinaryOp::Add => return self.b.ins().iadd(x, y),
            BinaryOp::Sub => return self.b.ins().isub(x, y),
            BinaryOp::Mul => return self.b.ins().imul(x, y),
            BinaryOp::Max => return self.b.ins().smax(x, y),
            BinaryOp::Min => return self.b.ins().smin(x, y),
            BinaryOp::Div => return self.each_lane(x, y, vector, |this, x, y| this.divide(x, y).0),
            BinaryOp::Rem => return self.each_lane(x, y, vector, |this, x, y| this.divide(x, y).1),
            // Not of I32, which the expansion has checked.
            BinaryOp::Pow | BinaryOp::And | BinaryOp::Or => return x,
        };
        self.compare_integers(comparison, x, y, vector)
    }

    pub(super) fn binary_bool(&mut self, op: BinaryOp, x: Value, y: Value, vector: bool) -> Value {
        match op {
            BinaryOp::And => self.b.ins().band(x, y),
            BinaryOp::Or => self.b.ins().bor(x, y),
            // Masks are 0 and -1: compare 0 and 1.
            op => {
                let (x, y) = (self.integer_of_mask(x, vector), self.integer_of_mask(y, vector));
                self.binary_integer(op, x, y, vector)
            }
        }
    }

    /// The nearest bfloat16 number, as [`mgx_ir::graph::round_to_bf16`] computes it.
    pub(super) fn round_to_bf16(&mut self, x: Value, vector: bool) -> Value {
        let (float, integer) = if vector { (types::F32X4, types::I32X4) } else { (types::F32, types::I32) };
        let number = |this: &mut Self, value: i64| {
            let scalar = this.b.ins().iconst(types::I32, value);
            if vector { this.b.ins().splat(types::I32X4, scalar) } else { scalar }
        };
        let bits = self.lanes_as(integer, x);
        let places = self.b.ins().iconst(types::I32, 16);
        let kept = self.b.ins().ushr(bits, places);
        let one = number(self, 1);
        let odd = self.b.ins().band(kept, one);
        let half = number(self, 0x7FFF);
        let carry = self.b.ins().iadd(odd, half);
        let sum = self.b.ins().iadd(bits, carry);
        let mask = number(self, -0x1_0000);
        let rounded = self.b.ins().band(sum, mask);
        let rounded = self.lanes_as(float, rounded);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, x, x);
        self.choose(nan, x, rounded, vector)
    }

    /// `x` where it is beyond `y` or NaN, else `y`: the greater or the lesser, and NaN where either is. The operations of the machine that
    /// also order zeros take twice as many instructions, in one chain.
    pub(super) fn extreme(&mut self, beyond: FloatCC, x: Value, y: Value, vector: bool) -> Value {
        let beyond = self.b.ins().fcmp(beyond, x, y);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, x, x);
        let chosen = self.b.ins().bor(beyond, nan);
        self.choose(chosen, x, y, vector)
    }

    /// A mask.
    pub(super) fn compare_floats(&mut self, condition: FloatCC, x: Value, y: Value, vector: bool) -> Value {
        let holds = self.b.ins().fcmp(condition, x, y);
        if vector { holds } else { self.b.ins().bmask(types::I32, holds) }
    }

    /// A mask.
    pub(super) fn compare_integers(&mut self, condition: IntCC, x: Value, y: Value, vector: bool) -> Value {
        let holds = self.b.ins().icmp(condition, x, y);
        if vector { holds } else { self.b.ins().bmask(types::I32, holds) }
    }

    fn each_lane(&mut self, x: Value, y: Value, vector: bool, scalar: impl Fn(&mut Self, Value, Value) -> Value) -> Value {
        if !vector {
            return scalar(self, x, y);
        }
        let mut result = x;
        for lane in 0..LANES as u8 {
            let (a, b) = (self.b.ins().extractlane(x, lane), self.b.ins().extractlane(y, lane));
            let value = scalar(self, a, b);
            result = self.b.ins().insertlane(result, value, lane);
        }
        result
    }

    /// Quotient rounded down and remainder with the sign of the divisor; both 0 for a divisor of 0. In 64 bits, where the quotient of the
    /// least number and -1 exists.
    fn divide(&mut self, x: Value, y: Value) -> (Value, Value) {
        let (x, y) = (self.b.ins().sextend(types::I64, x), self.b.ins().sextend(types::I64, y));
        let (zero, one) = (self.i64(0), self.i64(1));
        let no_divisor = self.b.ins().icmp(IntCC::Equal, y, zero);
        let divisor = self.b.ins().select(no_divisor, one, y);
        let (quotient, rest) = (self.b.ins().sdiv(x, divisor), self.b.ins().srem(x, divisor));
        let inexact = self.b.ins().icmp(IntCC::NotEqual, rest, zero);
        let signs = self.b.ins().bxor(rest, divisor);
        let opposite = self.b.ins().icmp(IntCC::SignedLessThan, signs, zero);
        let down = self.b.ins().band(inexact, opposite);
        let (less, more) = (self.b.ins().isub(quotient, one), self.b.ins().iadd(rest, divisor));
        let (quotient, rest) = (self.b.ins().select(down, less, quotient), self.b.ins().select(down, more, rest));
        let (quotient, rest) = (self.b.ins().select(no_divisor, zero, quotient), self.b.ins().select(no_divisor, zero, rest));
        (self.b.ins().ireduce(types::I32, quotient), self.b.ins().ireduce(types::I32, rest))
    }

    /// `mgx_ir::random::uniform` for the halves of a key.
    pub(super) fn uniform(&mut self, low: Value, high: Value, index: Value, vector: bool) -> Value {
        let spread = |this: &mut Self, scalar: Value| if vector { this.b.ins().splat(types::I32X4, scalar) } else { scalar };
        let (low, high) = (spread(self, low), spread(self, high));
        let factor = self.b.ins().iconst(types::I32, i64::from(0x9E37_79B1_u32 as i32));
        let factor = spread(self, factor);
        let mixed = self.b.ins().imul(index, factor);
        let mixed = self.b.ins().bxor(mixed, low);
        let mixed = self.fmix(mixed, vector);
        let mixed = self.b.ins().iadd(mixed, high);
        let word = self.fmix(mixed, vector);
        let eight = self.b.ins().iconst(types::I32, 8);
        let bits = self.b.ins().ushr(word, eight);
        let ty = if vector { types::F32X4 } else { types::F32 };
        // 24 bits: the same as a signed number.
        let number = self.b.ins().fcvt_from_sint(ty, bits);
        let unit = self.b.ins().f32const(1.0 / 16_777_216.0);
        let unit = spread_float(self, unit, vector);
        self.b.ins().fmul(number, unit)
    }

    /// The finaliser of MurmurHash3 for 32 bits.
    fn fmix(&mut self, h: Value, vector: bool) -> Value {
        let mut h = h;
        for (shift, factor) in [(16, Some(0x85EB_CA6B_u32)), (13, Some(0xC2B2_AE35)), (16, None)] {
            let amount = self.b.ins().iconst(types::I32, shift);
            let shifted = self.b.ins().ushr(h, amount);
            h = self.b.ins().bxor(h, shifted);
            if let Some(factor) = factor {
                let factor = self.b.ins().iconst(types::I32, i64::from(factor as i32));
                let factor = if vector { self.b.ins().splat(types::I32X4, factor) } else { factor };
                h = self.b.ins().imul(h, factor);
            }
        }
        h
    }
}

fn spread_float(emitter: &mut Emitter<'_>, scalar: Value, vector: bool) -> Value {
    if vector { emitter.b.ins().splat(types::F32X4, scalar) } else { scalar }
}
