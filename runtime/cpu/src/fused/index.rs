//! Index expressions: polynomials over loop variables and sizes, with quotients and remainders.
//!
//! Every address and every condition of a kernel is one. They are kept in one normal form, so that equal indices are equal values and a
//! row-major split followed by a merge is the index it began with: `(i / n) · n + i mod n` becomes `i`. Division here is of numbers that are
//! not negative; what is computed from a negative index is only ever used under a condition that is false then.

use std::collections::HashMap;

use super::expr::ExprId;

/// A loop variable of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Var {
    /// The outer loop.
    Row,
    /// The inner loop, along which kernels are vectorised.
    Column,
    /// A loop within an expression.
    Inner(u32),
    /// One axis of the space on its own, for analysis.
    Axis(u32),
}

/// A number of [`Indices`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AtomId(u32);

/// What is not a sum or a product.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Atom {
    Var(Var),
    /// A size that the host brings, by its place in the kernel's table.
    Size(u32),
    /// Quotient rounded down; of a divisor of 0 anything.
    Div(Poly, Poly),
    Rem(Poly, Poly),
    /// An I32 value of the kernel.
    Value(ExprId),
}

/// A sum of products of atoms with coefficients, sorted by product; no coefficient is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Poly {
    pub terms: Vec<(Vec<AtomId>, i64)>,
}

impl Poly {
    /// A constant.
    pub fn constant(value: i64) -> Self {
        Self { terms: if value == 0 { Vec::new() } else { vec![(Vec::new(), value)] } }
    }

    /// The value, where it is a constant.
    pub fn as_constant(&self) -> Option<i64> {
        match self.terms.as_slice() {
            [] => Some(0),
            [(atoms, value)] if atoms.is_empty() => Some(*value),
            _ => None,
        }
    }

    fn as_atom(&self) -> Option<AtomId> {
        match self.terms.as_slice() {
            [(atoms, 1)] if atoms.len() == 1 => Some(atoms[0]),
            _ => None,
        }
    }

    fn add_term(&mut self, atoms: &[AtomId], coefficient: i64) {
        match self.terms.binary_search_by(|(other, _)| other.as_slice().cmp(atoms)) {
            Ok(at) => {
                self.terms[at].1 = self.terms[at].1.wrapping_add(coefficient);
                if self.terms[at].1 == 0 {
                    self.terms.remove(at);
                }
            }
            Err(_) if coefficient == 0 => {}
            Err(at) => self.terms.insert(at, (atoms.to_vec(), coefficient)),
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for (atoms, coefficient) in &other.terms {
            sum.add_term(atoms, *coefficient);
        }
        sum
    }

    /// The polynomial times a constant.
    pub fn scaled(&self, factor: i64) -> Self {
        if factor == 0 {
            return Self::default();
        }
        Self { terms: self.terms.iter().map(|(atoms, value)| (atoms.clone(), value.wrapping_mul(factor))).collect() }
    }

    fn times(&self, other: &Self) -> Self {
        let mut product = Self::default();
        for (left, a) in &self.terms {
            for (right, b) in &other.terms {
                let mut atoms = [left.as_slice(), right.as_slice()].concat();
                atoms.sort_unstable();
                product.add_term(&atoms, a.wrapping_mul(*b));
            }
        }
        product
    }
}

/// The least and the greatest value, where known.
type Interval = (Option<i64>, Option<i64>);

/// The atoms of a kernel and the extents of its variables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Indices {
    atoms: Vec<Atom>,
    ids: HashMap<Atom, AtomId>,
    extents: HashMap<Var, Poly>,
}

impl Indices {
    /// The atom of a number.
    pub fn atom(&self, id: AtomId) -> &Atom {
        &self.atoms[id.0 as usize]
    }

    fn intern(&mut self, atom: Atom) -> Poly {
        let id = match self.ids.get(&atom) {
            Some(id) => *id,
            None => {
                let id = AtomId(self.atoms.len() as u32);
                self.atoms.push(atom.clone());
                self.ids.insert(atom, id);
                id
            }
        };
        Poly { terms: vec![(vec![id], 1)] }
    }

    /// A variable that runs from 0 to below `extent`.
    pub fn var(&mut self, var: Var, extent: &Poly) -> Poly {
        self.extents.insert(var, extent.clone());
        if extent.as_constant() == Some(1) { Poly::default() } else { self.intern(Atom::Var(var)) }
    }

    /// A size from the host.
    pub fn size(&mut self, number: u32) -> Poly {
        self.intern(Atom::Size(number))
    }

    /// An I32 value of the kernel as an index.
    pub fn value(&mut self, expr: ExprId) -> Poly {
        self.intern(Atom::Value(expr))
    }

    /// `a + b`.
    pub fn add(&mut self, a: &Poly, b: &Poly) -> Poly {
        let mut sum = a.plus(b);
        while let Some(better) = self.recombine(&sum) {
            sum = better;
        }
        sum
    }

    /// `a - b`.
    pub fn sub(&mut self, a: &Poly, b: &Poly) -> Poly {
        self.add(a, &b.scaled(-1))
    }

    /// `a · b`.
    pub fn mul(&mut self, a: &Poly, b: &Poly) -> Poly {
        let product = a.times(b);
        self.add(&product, &Poly::default())
    }

    /// `c · r · (a mod d) + c · r · d · (a / d)` is `c · r · a`.
    fn recombine(&self, sum: &Poly) -> Option<Poly> {
        for (atoms, coefficient) in &sum.terms {
            for (at, atom) in atoms.iter().enumerate() {
                let Atom::Rem(dividend, divisor) = self.atom(*atom) else { continue };
                let [(divisor_atoms, divisor_factor)] = divisor.terms.as_slice() else { continue };
                let Some(quotient) = self.ids.get(&Atom::Div(dividend.clone(), divisor.clone())) else { continue };
                let mut rest = atoms.clone();
                rest.remove(at);
                let mut partner = [rest.as_slice(), divisor_atoms, &[*quotient]].concat();
                partner.sort_unstable();
                let wanted = coefficient.wrapping_mul(*divisor_factor);
                if !sum.terms.iter().any(|(other, value)| *other == partner && *value == wanted) {
                    continue;
                }
                let mut better = sum.clone();
                better.add_term(atoms, -coefficient);
                better.add_term(&partner, -wanted);
                let whole = Poly { terms: vec![(rest, *coefficient)] }.times(dividend);
                return Some(better.plus(&whole));
            }
        }
        None
    }

    /// Parts `(q, r)` with `a = q · d + r`, as far as the terms show it.
    fn divide_terms(a: &Poly, d: &Poly) -> (Poly, Poly) {
        let mut quotient = Poly::default();
        let mut rest = Poly::default();
        let [(divisor_atoms, divisor)] = d.terms.as_slice() else { return (quotient, a.clone()) };
        for (atoms, coefficient) in &a.terms {
            let mut left = atoms.clone();
            let has_all = divisor_atoms.iter().all(|atom| match left.iter().position(|other| other == atom) {
                Some(at) => {
                    left.remove(at);
                    true
                }
                None => false,
            });
            if has_all && coefficient % divisor == 0 {
                quotient.add_term(&left, coefficient / divisor);
            } else {
                rest.add_term(atoms, *coefficient);
            }
        }
        (quotient, rest)
    }

    /// Is `0 <= r < d`?
    fn is_remainder(&self, r: &Poly, d: &Poly) -> bool {
        if r.terms.is_empty() {
            return true;
        }
        if let Some(divisor) = d.as_constant() {
            return matches!(self.interval(r), (Some(low), Some(high)) if low >= 0 && high < divisor);
        }
        match r.as_atom().map(|atom| self.atom(atom)) {
            Some(Atom::Var(var)) => self.extents.get(var) == Some(d),
            Some(Atom::Rem(_, divisor)) => divisor == d,
            _ => false,
        }
    }

    /// `(a / d, a mod d)`.
    pub fn div_rem(&mut self, a: &Poly, d: &Poly) -> (Poly, Poly) {
        if d.as_constant() == Some(1) {
            return (a.clone(), Poly::default());
        }
        let (quotient, rest) = Self::divide_terms(a, d);
        if self.is_remainder(&rest, d) {
            return (quotient, rest);
        }
        if !quotient.terms.is_empty() && matches!(self.interval(&rest), (Some(low), _) if low >= 0) {
            let more = self.intern(Atom::Div(rest.clone(), d.clone()));
            let remainder = self.intern(Atom::Rem(rest, d.clone()));
            return (self.add(&quotient, &more), remainder);
        }
        let quotient = self.intern(Atom::Div(a.clone(), d.clone()));
        (quotient, self.intern(Atom::Rem(a.clone(), d.clone())))
    }

    /// Bounds of a polynomial.
    pub fn interval(&self, poly: &Poly) -> Interval {
        let mut sum: Interval = (Some(0), Some(0));
        for (atoms, coefficient) in &poly.terms {
            let mut product: Interval = (Some(1), Some(1));
            for atom in atoms {
                product = multiply(product, self.atom_interval(*atom));
            }
            let (low, high) = multiply(product, (Some(*coefficient), Some(*coefficient)));
            sum = (add_bounds(sum.0, low), add_bounds(sum.1, high));
        }
        sum
    }

    fn atom_interval(&self, atom: AtomId) -> Interval {
        match self.atom(atom) {
            Atom::Var(var) => (Some(0), self.extents.get(var).and_then(|extent| self.interval(extent).1).map(|extent| (extent - 1).max(0))),
            Atom::Size(_) => (Some(0), None),
            Atom::Div(a, d) => match (self.interval(a), d.as_constant()) {
                ((Some(low), high), Some(divisor)) if low >= 0 && divisor > 0 => (Some(low / divisor), high.map(|high| high / divisor)),
                ((Some(low), high), _) if low >= 0 => (Some(0), high),
                _ => (None, None),
            },
            Atom::Rem(a, d) => match (self.interval(a).0, d.as_constant()) {
                (Some(low), Some(divisor)) if low >= 0 => (Some(0), Some(divisor - 1)),
                (Some(low), None) if low >= 0 => (Some(0), None),
                _ => (None, None),
            },
            Atom::Value(_) => (Some(i64::from(i32::MIN)), Some(i64::from(i32::MAX))),
        }
    }

    /// Is the condition `poly >= 0` always, or never, true?
    pub fn decide(&self, poly: &Poly) -> Option<bool> {
        match self.interval(poly) {
            (Some(low), _) if low >= 0 => Some(true),
            (_, Some(high)) if high < 0 => Some(false),
            _ => None,
        }
    }

    /// Splits `poly` into `coefficient · var + rest` where the coefficient is a polynomial without `var` and so is the rest.
    /// `depends` tells whether an atom depends on the variable.
    pub fn linear(&self, poly: &Poly, var: Var, depends: impl Fn(AtomId) -> bool) -> Option<(Poly, Poly)> {
        let (mut coefficient, mut rest) = (Poly::default(), Poly::default());
        for (atoms, value) in &poly.terms {
            let dependent: Vec<usize> = (0..atoms.len()).filter(|at| depends(atoms[*at])).collect();
            match dependent.as_slice() {
                [] => rest.add_term(atoms, *value),
                [at] if *self.atom(atoms[*at]) == Atom::Var(var) => {
                    let mut others = atoms.clone();
                    others.remove(*at);
                    coefficient.add_term(&others, *value);
                }
                _ => return None,
            }
        }
        Some((coefficient, rest))
    }

    /// The row-major number of an index over extents.
    pub fn flatten(&mut self, index: &[Poly], extents: &[Poly]) -> Poly {
        let mut number = Poly::default();
        for (position, extent) in index.iter().zip(extents) {
            number = self.mul(&number, extent);
            number = self.add(&number, position);
        }
        number
    }

    /// The index over extents of a row-major number; the first position is what the others leave.
    pub fn unflatten(&mut self, number: &Poly, extents: &[Poly]) -> Vec<Poly> {
        let mut rest = number.clone();
        let mut index = vec![Poly::default(); extents.len()];
        for (at, extent) in extents.iter().enumerate().skip(1).rev() {
            let (quotient, remainder) = self.div_rem(&rest, extent);
            index[at] = remainder;
            rest = quotient;
        }
        if let Some(first) = index.first_mut() {
            *first = rest;
        }
        index
    }
}

fn add_bounds(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a?.checked_add(b?)
}

fn multiply(a: Interval, b: Interval) -> Interval {
    if let (Some(a_low), Some(a_high), Some(b_low), Some(b_high)) = (a.0, a.1, b.0, b.1) {
        let products = [a_low.checked_mul(b_low), a_low.checked_mul(b_high), a_high.checked_mul(b_low), a_high.checked_mul(b_high)];
        let known: Vec<i64> = products.into_iter().flatten().collect();
        return if known.len() == 4 { (known.iter().min().copied(), known.iter().max().copied()) } else { (None, None) };
    }
    // One side has no bound above: signs alone decide.
    match (a.0, b.0, a.1, b.1) {
        (Some(low_a), Some(low_b), ..) if low_a >= 0 && low_b >= 0 => (low_a.checked_mul(low_b), None),
        (Some(low_a), _, _, Some(high_b)) if low_a >= 0 && high_b <= 0 => (None, low_a.checked_mul(high_b)),
        (_, Some(low_b), Some(high_a), _) if low_b >= 0 && high_a <= 0 => (None, high_a.checked_mul(low_b)),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_and_merging_is_the_index_itself() {
        let mut indices = Indices::default();
        let rows = indices.size(0);
        let extent = indices.mul(&rows, &Poly::constant(12));
        let var = indices.var(Var::Column, &extent);
        let extents = [rows, Poly::constant(3), Poly::constant(4)];
        let index = indices.unflatten(&var, &extents);
        assert_ne!(index[1], var);
        assert_eq!(indices.flatten(&index, &extents), var);
    }

    #[test]
    fn merging_and_splitting_is_the_indices_themselves() {
        let mut indices = Indices::default();
        let size = indices.size(0);
        let row = indices.var(Var::Row, &size);
        let column = indices.var(Var::Column, &size);
        let extents = [size.clone(), size];
        let flat = indices.flatten(&[row.clone(), column.clone()], &extents);
        assert_eq!(indices.unflatten(&flat, &extents), [row, column]);
    }

    #[test]
    fn conditions_are_decided_by_intervals() {
        let mut indices = Indices::default();
        let var = indices.var(Var::Column, &Poly::constant(10));
        let below = indices.sub(&Poly::constant(9), &var);
        assert_eq!(indices.decide(&below), Some(true));
        let after = indices.sub(&var, &Poly::constant(10));
        assert_eq!(indices.decide(&after), Some(false));
        let middle = indices.sub(&var, &Poly::constant(5));
        assert_eq!(indices.decide(&middle), None);
        let size = indices.size(0);
        let beyond = indices.add(&var, &size);
        assert_eq!(indices.decide(&beyond), Some(true));
    }
}
