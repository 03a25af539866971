//! Axes: an identity, a name for people, and an extent.

use serde::{Deserialize, Serialize};

/// Identity of an axis of a graph or a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AxisId(pub u32);

/// A length that each sample brings, by its index in `Graph::lengths`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LengthId(pub u32);

/// A named dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    pub name: String,
    pub extent: Extent,
}

/// How long an axis is: the same for all samples, or an expression of the sample's own lengths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Extent {
    Static(u64),
    Ragged(SizeExpr),
}

/// A size of one sample, an expression of its lengths. Never negative: subtraction stops at zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SizeExpr {
    Length(LengthId),
    Const(u64),
    Add(Box<SizeExpr>, Box<SizeExpr>),
    /// Difference, or zero where it would be negative.
    Sub(Box<SizeExpr>, Box<SizeExpr>),
    Mul(Box<SizeExpr>, Box<SizeExpr>),
    /// Quotient rounded down.
    Div(Box<SizeExpr>, Box<SizeExpr>),
    /// Quotient rounded up.
    CeilDiv(Box<SizeExpr>, Box<SizeExpr>),
    Min(Box<SizeExpr>, Box<SizeExpr>),
}

impl SizeExpr {
    /// The size for a sample with these lengths, by [`LengthId`]. A division by zero gives zero.
    pub fn eval(&self, lengths: &[u64]) -> u64 {
        match self {
            Self::Length(id) => lengths[id.0 as usize],
            Self::Const(value) => *value,
            Self::Add(a, b) => a.eval(lengths).saturating_add(b.eval(lengths)),
            Self::Sub(a, b) => a.eval(lengths).saturating_sub(b.eval(lengths)),
            Self::Mul(a, b) => a.eval(lengths).saturating_mul(b.eval(lengths)),
            Self::Div(a, b) => a.eval(lengths).checked_div(b.eval(lengths)).unwrap_or(0),
            Self::CeilDiv(a, b) => match b.eval(lengths) {
                0 => 0,
                divisor => a.eval(lengths).div_ceil(divisor),
            },
            Self::Min(a, b) => a.eval(lengths).min(b.eval(lengths)),
        }
    }
}

impl Extent {
    /// The extent for a sample with these lengths.
    pub fn eval(&self, lengths: &[u64]) -> u64 {
        match self {
            Self::Static(size) => *size,
            Self::Ragged(expr) => expr.eval(lengths),
        }
    }

    /// The size, where it is the same for all samples.
    pub fn as_static(&self) -> Option<u64> {
        match self {
            Self::Static(size) => Some(*size),
            Self::Ragged(_) => None,
        }
    }

    /// The extent as an expression.
    pub fn to_expr(&self) -> SizeExpr {
        match self {
            Self::Static(size) => SizeExpr::Const(*size),
            Self::Ragged(expr) => expr.clone(),
        }
    }
}
