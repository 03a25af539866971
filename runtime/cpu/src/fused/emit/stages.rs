//! Stages of a loop over columns: functions that are evaluated by primitives on whole tiles cut an expression into what stands before
//! and what comes after.

use std::collections::{HashMap, HashSet};

use crate::fused::expr::{Expr, ExprId, Exprs, Vars, children, polys};
use crate::fused::index::Poly;
use crate::fused::vector;

/// The calls of primitives that expressions need, by stage: those of a stage depend on earlier stages alone.
pub(super) fn stages(exprs: &Exprs, roots: &[ExprId], known: &HashMap<Poly, bool>, stored: &HashSet<ExprId>) -> Vec<Vec<ExprId>> {
    let mut search = Search { exprs, known, stored, depths: HashMap::new(), stages: Vec::new() };
    for root in roots {
        search.depth(*root);
    }
    search.stages
}

struct Search<'a> {
    exprs: &'a Exprs,
    known: &'a HashMap<Poly, bool>,
    stored: &'a HashSet<ExprId>,
    depths: HashMap<ExprId, usize>,
    stages: Vec<Vec<ExprId>>,
}

impl Search<'_> {
    /// How many stages stand before the value.
    fn depth(&mut self, id: ExprId) -> usize {
        let exprs = self.exprs;
        let node = exprs.get(id);
        if !node.vars.has(Vars::COLUMN) || self.stored.contains(&id) {
            return 0;
        }
        if let Some(depth) = self.depths.get(&id) {
            return *depth;
        }
        let operands: Vec<ExprId> = match &node.expr {
            // Within a loop of its own there are no tiles.
            Expr::Loop { .. } => Vec::new(),
            Expr::When { conditions, then, otherwise } => match vector::outcome(conditions, self.known) {
                Some(true) => vec![*then],
                Some(false) => vec![*otherwise],
                None => vec![*then, *otherwise],
            },
            expr => children(expr),
        };
        let mut depth = operands.into_iter().map(|operand| self.depth(operand)).max().unwrap_or(0);
        if !matches!(node.expr, Expr::Loop { .. }) {
            let mut values = Vec::new();
            polys(&node.expr).into_iter().for_each(|poly| exprs.poly_values(poly, &mut |value| values.push(value)));
            depth = values.into_iter().map(|value| self.depth(value)).max().unwrap_or(0).max(depth);
        }
        if exprs.is_transcendental(id) {
            if self.stages.len() <= depth {
                self.stages.resize_with(depth + 1, Vec::new);
            }
            self.stages[depth].push(id);
            depth += 1;
        }
        self.depths.insert(id, depth);
        depth
    }
}
