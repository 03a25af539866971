//! Sizes as integer expressions: polynomials in normal form over variables, sample lengths and divisions.
//!
//! A variable stands for a parameter that has no value yet, when a module is checked by itself. Two sizes are equal when their normal forms are. A division
//! is resolved where it is known to be exact: because every term divides, or because a `where` clause says so ([`Facts`]).
//!
//! Arithmetic never fails: numbers saturate, and an expression that has grown beyond [`MAX_WEIGHT`] becomes [`Size::unbounded`], which absorbs all that
//! is done with it and is equal to nothing. Who shows sizes to people reports both ([`Size::is_out_of_range`]).

use std::collections::BTreeMap;
use std::fmt;

use mgx_ir::graph::{Extent, LengthId, SizeExpr};

/// What a term of a polynomial is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Atom {
    /// An unknown size, with its name.
    Var(u32, String),
    /// A length that each sample brings, with its name.
    Length(LengthId, String),
    /// Quotient rounded down, where it is not known to be exact.
    Div(Box<Size>, Box<Size>),
    /// Quotient rounded up.
    CeilDiv(Box<Size>, Box<Size>),
    /// The smaller.
    Min(Box<Size>, Box<Size>),
    /// The difference, or zero where it would be negative.
    Less(Box<Size>, Box<Size>),
    /// An expression that was too long to keep.
    Unbounded,
}

/// The largest number that a size may be, so that sums and byte counts of what it measures stay exact.
pub const MAX_SIZE: i64 = 1 << 50;
/// The most atoms and terms that a size is made of; networks have sizes of a few.
const MAX_WEIGHT: usize = 256;

type Monomial = Vec<Atom>;

/// An integer expression in normal form: the sum of coefficient times product of atoms.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    terms: BTreeMap<Monomial, i64>,
}

impl Size {
    /// A number.
    pub fn constant(value: i64) -> Self {
        let mut terms = BTreeMap::new();
        if value != 0 {
            terms.insert(Vec::new(), value);
        }
        Self { terms }
    }

    /// A single atom.
    pub fn atom(atom: Atom) -> Self {
        Self { terms: BTreeMap::from([(vec![atom], 1)]) }
    }

    /// The number, if there is nothing else.
    pub fn as_constant(&self) -> Option<i64> {
        match self.terms.len() {
            0 => Some(0),
            1 => self.terms.get(&Vec::new()).copied(),
            _ => None,
        }
    }

    /// Does it depend on the sample?
    pub fn is_ragged(&self) -> bool {
        self.terms.keys().flatten().any(|atom| match atom {
            Atom::Length(..) => true,
            Atom::Var(..) | Atom::Unbounded => false,
            Atom::Div(a, b) | Atom::CeilDiv(a, b) | Atom::Min(a, b) | Atom::Less(a, b) => a.is_ragged() || b.is_ragged(),
        })
    }

    /// The size in place of one that has grown too long: known to be nothing.
    pub fn unbounded() -> Self {
        Self::atom(Atom::Unbounded)
    }

    fn is_unbounded(&self) -> bool {
        self.terms.keys().flatten().any(|atom| *atom == Atom::Unbounded)
    }

    /// Has it grown too long, or a number in it too large to count with?
    pub fn is_out_of_range(&self) -> bool {
        self.is_unbounded() || self.terms.values().any(|coefficient| coefficient.unsigned_abs() > MAX_SIZE.unsigned_abs())
    }

    /// Atoms and terms, with those inside of atoms.
    fn weight(&self) -> usize {
        let of_atom = |atom: &Atom| match atom {
            Atom::Var(..) | Atom::Length(..) | Atom::Unbounded => 1,
            Atom::Div(a, b) | Atom::CeilDiv(a, b) | Atom::Min(a, b) | Atom::Less(a, b) => 1 + a.weight() + b.weight(),
        };
        self.terms.keys().map(|monomial| 1 + monomial.iter().map(of_atom).sum::<usize>()).sum()
    }

    /// The size itself, unless it is too long or made of one that was.
    fn bounded(self) -> Self {
        if self.is_unbounded() || self.weight() > MAX_WEIGHT { Self::unbounded() } else { self }
    }

    fn pair(make: fn(Box<Size>, Box<Size>) -> Atom, a: &Self, b: &Self) -> Self {
        if a.is_unbounded() || b.is_unbounded() {
            return Self::unbounded();
        }
        Self::atom(make(Box::new(a.clone()), Box::new(b.clone()))).bounded()
    }

    /// The sample lengths that it depends on.
    pub fn lengths(&self) -> Vec<LengthId> {
        let of_atom = |atom: &Atom| match atom {
            Atom::Length(id, _) => vec![*id],
            Atom::Var(..) | Atom::Unbounded => Vec::new(),
            Atom::Div(a, b) | Atom::CeilDiv(a, b) | Atom::Min(a, b) | Atom::Less(a, b) => [a.lengths(), b.lengths()].concat(),
        };
        let mut lengths: Vec<LengthId> = self.terms.keys().flatten().flat_map(of_atom).collect();
        lengths.sort();
        lengths.dedup();
        lengths
    }

    /// Is every part of it known (numbers and sample lengths only)?
    pub fn is_known(&self) -> bool {
        self.terms.keys().flatten().all(|atom| match atom {
            Atom::Length(..) => true,
            Atom::Var(..) | Atom::Unbounded => false,
            Atom::Div(a, b) | Atom::CeilDiv(a, b) | Atom::Min(a, b) | Atom::Less(a, b) => a.is_known() && b.is_known(),
        })
    }

    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        let mut terms = self.terms.clone();
        for (monomial, coefficient) in &other.terms {
            let entry = terms.entry(monomial.clone()).or_insert(0);
            *entry = entry.saturating_add(*coefficient);
        }
        terms.retain(|monomial, coefficient| *coefficient != 0 || monomial.contains(&Atom::Unbounded));
        Self { terms }.bounded()
    }

    #[must_use]
    pub fn neg(&self) -> Self {
        Self { terms: self.terms.iter().map(|(monomial, coefficient)| (monomial.clone(), coefficient.saturating_neg())).collect() }
    }

    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        if self.is_unbounded() || other.is_unbounded() || self.terms.len() * other.terms.len() > 4 * MAX_WEIGHT {
            return Self::unbounded();
        }
        let mut terms: BTreeMap<Monomial, i64> = BTreeMap::new();
        for (a, x) in &self.terms {
            for (b, y) in &other.terms {
                let mut monomial: Monomial = a.iter().chain(b).cloned().collect();
                monomial.sort();
                let entry = terms.entry(monomial).or_insert(0);
                *entry = entry.saturating_add(x.saturating_mul(*y));
            }
        }
        terms.retain(|_, coefficient| *coefficient != 0);
        Self { terms }.bounded()
    }

    /// The quotient if it is exact for certain: every term divides by a divisor of one term.
    pub fn exact_div(&self, divisor: &Self) -> Option<Self> {
        if self.is_unbounded() || divisor.is_unbounded() {
            return None;
        }
        if self == divisor && !self.terms.is_empty() {
            return Some(Self::constant(1));
        }
        let mut only = divisor.terms.iter();
        let (Some((atoms, coefficient)), None) = (only.next(), only.next()) else { return None };
        let mut terms = BTreeMap::new();
        for (monomial, value) in &self.terms {
            // `None` where the quotient of the smallest number by -1 has no place.
            if value.checked_rem(*coefficient)? != 0 {
                return None;
            }
            let mut rest = monomial.clone();
            for atom in atoms {
                let at = rest.iter().position(|other| other == atom)?;
                rest.remove(at);
            }
            terms.insert(rest, value / coefficient);
        }
        Some(Self { terms })
    }

    /// The quotient rounded down.
    #[must_use]
    pub fn floor_div(&self, divisor: &Self) -> Self {
        if let (Some(a), Some(b)) = (self.as_constant(), divisor.as_constant())
            && b != 0
        {
            return Self::constant(a.checked_div_euclid(b).unwrap_or(i64::MAX));
        }
        self.exact_div(divisor).unwrap_or_else(|| Self::pair(Atom::Div, self, divisor))
    }

    /// The quotient rounded up.
    #[must_use]
    pub fn ceil_div(&self, divisor: &Self) -> Self {
        if let (Some(a), Some(b)) = (self.as_constant(), divisor.as_constant())
            && b > 0
        {
            return Self::constant(a.div_euclid(b) + i64::from(a.rem_euclid(b) != 0));
        }
        self.exact_div(divisor).unwrap_or_else(|| Self::pair(Atom::CeilDiv, self, divisor))
    }

    /// The smaller of two.
    #[must_use]
    pub fn smaller(&self, other: &Self) -> Self {
        match (self.as_constant(), other.as_constant()) {
            (Some(a), Some(b)) => Self::constant(a.min(b)),
            _ if self == other => self.clone(),
            _ => Self::pair(Atom::Min, self, other),
        }
    }

    /// The difference, or zero where it would be negative.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        match (self.as_constant(), other.as_constant()) {
            (Some(a), Some(b)) => Self::constant(a.saturating_sub(b).max(0)),
            (_, Some(0)) => self.clone(),
            _ => Self::pair(Atom::Less, self, other),
        }
    }

    /// Is it a single variable? Its number and name.
    fn as_var(&self) -> Option<(u32, &str)> {
        let mut terms = self.terms.iter();
        match (terms.next(), terms.next()) {
            (Some((monomial, 1)), None) => match monomial.as_slice() {
                [Atom::Var(id, name)] => Some((*id, name)),
                _ => None,
            },
            _ => None,
        }
    }

    fn substitute(&self, id: u32, by: &Size) -> Self {
        let mut result = Self::default();
        for (monomial, coefficient) in &self.terms {
            let mut product = Self::constant(*coefficient);
            for atom in monomial {
                let factor = match atom {
                    Atom::Var(other, _) if *other == id => by.clone(),
                    Atom::Div(a, b) => a.substitute(id, by).floor_div(&b.substitute(id, by)),
                    Atom::CeilDiv(a, b) => a.substitute(id, by).ceil_div(&b.substitute(id, by)),
                    Atom::Min(a, b) => a.substitute(id, by).smaller(&b.substitute(id, by)),
                    Atom::Less(a, b) => a.substitute(id, by).less(&b.substitute(id, by)),
                    Atom::Var(..) | Atom::Length(..) | Atom::Unbounded => Self::atom(atom.clone()),
                };
                product = product.mul(&factor);
            }
            result = result.add(&product);
        }
        result
    }

    /// The extent for the graph; `None` while something is unknown or a number is negative.
    pub fn to_extent(&self) -> Option<Extent> {
        match self.as_constant() {
            Some(value) => u64::try_from(value).ok().map(Extent::Static),
            None => self.to_expr().map(Extent::Ragged),
        }
    }

    /// The size as an expression of a sample's lengths.
    pub fn to_expr(&self) -> Option<SizeExpr> {
        let mut positive: Option<SizeExpr> = None;
        let mut negative: Option<SizeExpr> = None;
        for (monomial, coefficient) in &self.terms {
            let mut product = (coefficient.unsigned_abs() != 1 || monomial.is_empty()).then(|| SizeExpr::Const(coefficient.unsigned_abs()));
            for atom in monomial {
                let pair = |a: &Size, b: &Size| Some((Box::new(a.to_expr()?), Box::new(b.to_expr()?)));
                let factor = match atom {
                    Atom::Var(..) | Atom::Unbounded => return None,
                    Atom::Length(id, _) => SizeExpr::Length(*id),
                    Atom::Div(a, b) => pair(a, b).map(|(a, b)| SizeExpr::Div(a, b))?,
                    Atom::CeilDiv(a, b) => pair(a, b).map(|(a, b)| SizeExpr::CeilDiv(a, b))?,
                    Atom::Min(a, b) => pair(a, b).map(|(a, b)| SizeExpr::Min(a, b))?,
                    Atom::Less(a, b) => pair(a, b).map(|(a, b)| SizeExpr::Sub(a, b))?,
                };
                product = Some(match product {
                    Some(rest) => SizeExpr::Mul(Box::new(rest), Box::new(factor)),
                    None => factor,
                });
            }
            let side = if *coefficient > 0 { &mut positive } else { &mut negative };
            let term = product.unwrap_or(SizeExpr::Const(1));
            *side = Some(match side.take() {
                Some(sum) => SizeExpr::Add(Box::new(sum), Box::new(term)),
                None => term,
            });
        }
        let positive = positive.unwrap_or(SizeExpr::Const(0));
        Some(match negative {
            Some(negative) => SizeExpr::Sub(Box::new(positive), Box::new(negative)),
            None => positive,
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return f.write_str("0");
        }
        // Terms with atoms first, the number last, as people write them.
        for (index, (monomial, coefficient)) in self.terms.iter().rev().enumerate() {
            match (index, *coefficient < 0) {
                (0, true) => f.write_str("-")?,
                (0, false) => {}
                (_, true) => f.write_str(" - ")?,
                (_, false) => f.write_str(" + ")?,
            }
            let magnitude = coefficient.unsigned_abs();
            if magnitude != 1 || monomial.is_empty() {
                write!(f, "{magnitude}")?;
            }
            for (at, atom) in monomial.iter().enumerate() {
                if at > 0 || magnitude != 1 {
                    f.write_str(" * ")?;
                }
                match atom {
                    Atom::Var(_, name) | Atom::Length(_, name) => f.write_str(name)?,
                    Atom::Div(a, b) => write!(f, "div({a}, {b})")?,
                    Atom::CeilDiv(a, b) => write!(f, "ceil_div({a}, {b})")?,
                    Atom::Min(a, b) => write!(f, "min({a}, {b})")?,
                    Atom::Less(a, b) => write!(f, "max({a} - {b}, 0)")?,
                    Atom::Unbounded => f.write_str("…")?,
                }
            }
        }
        Ok(())
    }
}

/// A variable, its name, and what it is equal to.
type Substitution = (u32, String, Size);

/// What `where` clauses say of sizes that are not known yet. A divisible variable is replaced by divisor times quotient, so that
/// normal forms take care of the rest.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    substitutions: Vec<Substitution>,
    next_quotient: u32,
}

/// Variables made by [`Facts`] begin here, above all others.
const FIRST_QUOTIENT: u32 = 1 << 24;

impl Facts {
    /// Takes note that `dividend % divisor == 0`. Facts about anything but a variable are of no use here and dropped.
    pub fn divisible(&mut self, dividend: &Size, divisor: &Size) {
        let (dividend, divisor) = (self.apply(dividend), self.apply(divisor));
        let Some((id, name)) = dividend.as_var() else { return };
        if divisor.as_constant() == Some(0) || dividend.exact_div(&divisor).is_some() {
            return;
        }
        let quotient = Atom::Var(FIRST_QUOTIENT + self.next_quotient, format!("({dividend} / {divisor})"));
        self.next_quotient += 1;
        self.equal(id, name, &divisor.mul(&Size::atom(quotient)));
    }

    /// Takes note that two sizes are equal, where one is a variable.
    pub fn equate(&mut self, a: &Size, b: &Size) {
        let (a, b) = (self.apply(a), self.apply(b));
        match (a.as_var(), b.as_var()) {
            (Some((id, name)), _) if a != b => self.equal(id, name, &b),
            (_, Some((id, name))) if a != b => self.equal(id, name, &a),
            _ => {}
        }
    }

    fn equal(&mut self, id: u32, name: &str, by: &Size) {
        for (_, _, value) in &mut self.substitutions {
            *value = value.substitute(id, by);
        }
        self.substitutions.push((id, name.to_owned(), by.clone()));
    }

    /// The size as people wrote it: by the name that a condition gave it, where there is one.
    pub fn show(&self, size: &Size) -> String {
        let size = self.apply(size);
        let named = self.substitutions.iter().find(|(_, _, by)| *by == size && by.as_constant().is_none());
        named.map_or_else(|| size.to_string(), |(_, name, _)| name.clone())
    }

    /// The size with everything known put in.
    pub fn apply(&self, size: &Size) -> Size {
        self.substitutions.iter().fold(size.clone(), |size, (id, _, by)| size.substitute(*id, by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn var(id: u32, name: &str) -> Size {
        Size::atom(Atom::Var(id, name.to_owned()))
    }

    #[test]
    fn normal_forms_decide_equality() {
        let (a, b) = (var(0, "a"), var(1, "b"));
        let square = a.add(&b).mul(&a.add(&b));
        let expanded = a.mul(&a).add(&a.mul(&b).mul(&Size::constant(2))).add(&b.mul(&b));
        assert_eq!(square, expanded);
        assert_ne!(a.mul(&b), a.add(&b));
    }

    #[test]
    fn division_is_exact_only_where_it_is_known_to_be() {
        let (hidden, heads) = (var(0, "hidden"), var(1, "heads"));
        let unknown = hidden.floor_div(&heads).mul(&heads);
        assert_ne!(unknown, hidden);
        let mut facts = Facts::default();
        facts.divisible(&hidden, &heads);
        let hidden = facts.apply(&hidden);
        assert_eq!(hidden.exact_div(&heads).expect("exact").mul(&heads), hidden);
    }

    #[test]
    fn what_grows_without_end_becomes_unbounded() {
        let mut size = var(0, "a").add(&var(1, "b"));
        for _ in 0..100 {
            size = size.mul(&size);
        }
        assert!(size.is_out_of_range() && size.sub(&size).is_out_of_range(), "{size}");
        let mut nested = var(0, "a");
        for _ in 0..100 {
            nested = nested.floor_div(&nested.add(&Size::constant(1)));
        }
        assert!(nested.is_out_of_range() && !nested.is_known());
        let (mut facts, root) = (Facts::default(), var(0, "a"));
        for id in 0..100 {
            let next = var(id + 1, "next");
            facts.equate(&var(id, "a"), &next.mul(&next));
        }
        assert!(facts.apply(&root).is_out_of_range());
    }

    #[test]
    fn numbers_saturate() {
        let (least, most) = (Size::constant(i64::MIN), Size::constant(i64::MAX));
        assert_eq!(most.mul(&most), most);
        assert_eq!(least.neg(), most);
        assert_eq!(least.exact_div(&Size::constant(-1)), None);
        assert_eq!(least.floor_div(&Size::constant(-1)), most);
        assert_eq!(most.less(&least), most);
        assert!(most.is_out_of_range() && !Size::constant(MAX_SIZE).is_out_of_range());
        assert_eq!(Size::constant(0).exact_div(&Size::constant(0)), None);
    }

    #[test]
    fn ragged_sizes_evaluate() {
        let length = Size::atom(Atom::Length(LengthId(0), "seq".to_owned()));
        let inner = length.sub(&Size::constant(2)).ceil_div(&Size::constant(4));
        let Some(Extent::Ragged(expr)) = inner.to_extent() else { panic!("ragged") };
        assert_eq!([2, 3, 6, 7].map(|n| expr.eval(&[n])), [0, 1, 1, 2]);
        assert_eq!(inner.to_string(), "ceil_div(seq - 2, 4)");
    }
}
