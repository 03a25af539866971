//! Which loops over columns can run on vectors, and where their range is cut so that conditions are constant in each part.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::expr::{Expr, ExprId, Exprs, Vars, children, polys};
use super::index::{Poly, Var};

/// At most so many parts of a range; code is emitted for each.
const MAX_SEGMENTS: usize = 6;

/// A part of the range of columns in which some conditions are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    pub start: i64,
    /// `None`: to the end of the range.
    pub end: Option<i64>,
    pub known: HashMap<Poly, bool>,
}

/// An index as `coefficient · column + rest`.
pub(crate) fn linear(exprs: &Exprs, poly: &Poly) -> Option<(Poly, Poly)> {
    exprs.indices.linear(poly, Var::Column, |atom| exprs.atom_vars(atom).has(Vars::COLUMN))
}

/// The parts of the range of columns for these expressions: cut where a condition changes, as far as that is at constants.
pub(crate) fn segments(exprs: &Exprs, roots: &[ExprId]) -> Vec<Segment> {
    let mut conditions = Vec::new();
    let mut seen = HashSet::new();
    for root in roots {
        collect_conditions(exprs, *root, &mut seen, &mut conditions);
    }
    let mut cuts = BTreeSet::new();
    let mut changes: Vec<(Poly, i64, bool)> = Vec::new();
    for condition in conditions {
        if let Some((at, holds_after)) = threshold(exprs, &condition) {
            cuts.insert(at.max(0));
            changes.push((condition, at, holds_after));
        }
    }
    cuts.remove(&0);
    if cuts.len() + 1 > MAX_SEGMENTS {
        return vec![Segment::default()];
    }
    let starts: Vec<i64> = std::iter::once(0).chain(cuts).collect();
    let part = |number: usize| {
        let (start, end) = (starts[number], starts.get(number + 1).copied());
        let known = changes.iter().map(|(condition, at, holds_after)| (condition.clone(), (start >= *at) == *holds_after)).collect();
        Segment { start, end, known }
    };
    (0..starts.len()).map(part).collect()
}

/// The column from which on a condition changes, and whether it holds from there on.
fn threshold(exprs: &Exprs, condition: &Poly) -> Option<(i64, bool)> {
    let (coefficient, rest) = linear(exprs, condition)?;
    let (coefficient, rest) = (coefficient.as_constant()?, rest.as_constant()?);
    match coefficient {
        0 => None,
        // c · v + r >= 0 from v = ⌈-r / c⌉ on.
        1.. => Some((-rest.div_euclid(coefficient), true)),
        // … and no longer from v = ⌊r / -c⌋ + 1 on.
        _ => Some((rest.div_euclid(-coefficient) + 1, false)),
    }
}

fn collect_conditions(exprs: &Exprs, id: ExprId, seen: &mut HashSet<ExprId>, found: &mut Vec<Poly>) {
    if !seen.insert(id) || !exprs.get(id).vars.has(Vars::COLUMN) {
        return;
    }
    let expr = &exprs.get(id).expr;
    let conditions: &[Poly] = match expr {
        Expr::Load { guard, .. } | Expr::Column { guard, .. } => guard,
        Expr::When { conditions, .. } => conditions,
        _ => &[],
    };
    for condition in conditions {
        if exprs.poly_vars(condition).has(Vars::COLUMN) && !found.contains(condition) {
            found.push(condition.clone());
        }
    }
    for child in children(expr) {
        collect_conditions(exprs, child, seen, found);
    }
    for poly in polys(expr) {
        let mut values = Vec::new();
        exprs.poly_values(poly, &mut |value| values.push(value));
        values.into_iter().for_each(|value| collect_conditions(exprs, value, seen, found));
    }
}

/// Can these expressions be computed for several columns at once, given what is known? If so, how many of their reads are of elements
/// that do not stand side by side.
pub(crate) fn strided_reads(exprs: &Exprs, roots: &[ExprId], known: &HashMap<Poly, bool>) -> Option<u32> {
    let mut check = Check { exprs, known, seen: HashSet::new(), strided: 0 };
    roots.iter().all(|root| check.fits(*root)).then_some(check.strided)
}

struct Check<'a> {
    exprs: &'a Exprs,
    known: &'a HashMap<Poly, bool>,
    seen: HashSet<ExprId>,
    strided: u32,
}

impl Check<'_> {
    fn fits(&mut self, id: ExprId) -> bool {
        let exprs = self.exprs;
        if !exprs.get(id).vars.has(Vars::COLUMN) || !self.seen.insert(id) {
            return true;
        }
        match &exprs.get(id).expr {
            Expr::Const(_) | Expr::Row(_) => true,
            Expr::Int(poly) => self.counts(poly),
            Expr::Random { sample, index, .. } => sample.as_ref().is_none_or(|sample| self.invariant(sample)) && self.counts(index),
            Expr::Load { address, guard, .. } | Expr::Column { address, guard, .. } => {
                let Some((coefficient, _)) = linear(exprs, address) else { return false };
                if coefficient.as_constant().is_none_or(|step| !(0..=1).contains(&step)) {
                    self.strided += 1;
                }
                self.settled(guard)
            }
            Expr::When { conditions, then, otherwise } => match self.outcome(conditions) {
                Some(true) => self.fits(*then),
                Some(false) => self.fits(*otherwise),
                None => self.settled(conditions) && self.fits(*then) && self.fits(*otherwise),
            },
            Expr::Loop { extent, body, .. } => self.invariant(extent) && self.fits(*body),
            expr => children(expr).into_iter().all(|child| self.fits(child)),
        }
    }

    fn outcome(&self, conditions: &[Poly]) -> Option<bool> {
        outcome(conditions, self.known)
    }

    fn invariant(&self, poly: &Poly) -> bool {
        !self.exprs.poly_vars(poly).has(Vars::COLUMN)
    }

    fn settled(&self, conditions: &[Poly]) -> bool {
        conditions.iter().all(|condition| self.known.contains_key(condition) || self.invariant(condition))
    }

    /// Does it rise by a constant from column to column?
    fn counts(&self, poly: &Poly) -> bool {
        linear(self.exprs, poly).is_some_and(|(coefficient, _)| coefficient.as_constant().is_some())
    }
}

/// Do all conditions hold, does one not, or is it open?
pub(crate) fn outcome(conditions: &[Poly], known: &HashMap<Poly, bool>) -> Option<bool> {
    if conditions.iter().any(|condition| known.get(condition) == Some(&false)) {
        return Some(false);
    }
    conditions.iter().all(|condition| known.get(condition) == Some(&true)).then_some(true)
}
