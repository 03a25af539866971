//! Conditions on sizes that a program takes for granted: a slice is inside its axis, parts fill what they are joined to. They are checked
//! for every batch before anything runs, so that no program reads outside its buffers whatever lengths come.

use std::collections::HashSet;

use mgx_diag::Diagnostic;
use mgx_ir::graph::{AxisId, Op, SizeExpr};
use mgx_ir::plan::{FusedStep, Program};

use crate::shapes::{self, BatchShapes, Shapes, SizeId};

/// What must hold between two sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Relation {
    Equal,
    AtMost,
}

/// The conditions of a program.
#[derive(Default)]
pub(crate) struct Checks {
    all: Vec<(SizeId, Relation, SizeId, &'static str)>,
    seen: HashSet<(SizeExpr, Relation, SizeExpr)>,
}

impl Checks {
    /// Adds the conditions of a fused step. Those of constants are checked now.
    pub fn add(&mut self, program: &Program, shapes: &mut Shapes, step: &FusedStep) -> Result<(), Diagnostic> {
        let extent = |axis: &AxisId| shapes::extent(program, *axis).map(|extent| extent.to_expr());
        for op in step.nodes.iter().filter_map(|node| node.op.as_ref()) {
            match op {
                Op::Rename { pairs } => {
                    for (from, to) in pairs {
                        self.require(shapes, extent(from)?, Relation::Equal, extent(to)?, "renamed axes have the same extent")?;
                    }
                }
                Op::Split { axis, into } => {
                    let parts = product(into.iter().map(extent))?;
                    self.require(shapes, extent(axis)?, Relation::Equal, parts, "the parts of a split axis multiply to its extent")?;
                }
                Op::Merge { axes, into } => {
                    let parts = product(axes.iter().map(extent))?;
                    self.require(shapes, extent(into)?, Relation::Equal, parts, "merged axes multiply to the extent of the result")?;
                }
                Op::Concat { axes, into } => {
                    let mut sum = SizeExpr::Const(0);
                    for axis in axes {
                        sum = SizeExpr::Add(sum.into(), extent(axis)?.into());
                    }
                    self.require(shapes, extent(into)?, Relation::Equal, sum, "the parts of a concatenation add up to its extent")?;
                }
                Op::Slice { axis, into, start, step } => {
                    let end = slice_end(start, *step, extent(into)?);
                    self.require(shapes, end, Relation::AtMost, extent(axis)?, "a slice is inside its axis")?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn require(&mut self, shapes: &mut Shapes, a: SizeExpr, relation: Relation, b: SizeExpr, what: &'static str) -> Result<(), Diagnostic> {
        if a == b || self.seen.contains(&(a.clone(), relation, b.clone())) {
            return Ok(());
        }
        if is_constant(&a) && is_constant(&b) {
            let (x, y) = (a.eval(&[]), b.eval(&[]));
            let fits = holds(relation, x, y);
            return if fits { Ok(()) } else { Err(shapes::malformed(format!("{what}, but here are {x} and {y}"))) };
        }
        self.all.push((shapes.size(&a), relation, shapes.size(&b), what));
        self.seen.insert((a, relation, b));
        Ok(())
    }

    /// Checks all conditions for a batch.
    pub fn run(&self, shapes: &BatchShapes) -> Result<(), Diagnostic> {
        for (a, relation, b, what) in &self.all {
            for sample in 0..shapes.samples() {
                let (x, y) = (shapes.value(*a, sample), shapes.value(*b, sample));
                if !holds(*relation, x, y) {
                    let message = format!("the lengths of sample {sample} of the batch do not fit the program");
                    return Err(Diagnostic::error("E0807", message)
                        .note(format!("{what}, but for this sample the sizes are {x} and {y}"))
                        .help("give the sequences of this sample more (or other) tokens"));
                }
            }
        }
        Ok(())
    }
}

fn holds(relation: Relation, x: u64, y: u64) -> bool {
    match relation {
        Relation::Equal => x == y,
        Relation::AtMost => x <= y,
    }
}

fn product(extents: impl Iterator<Item = Result<SizeExpr, Diagnostic>>) -> Result<SizeExpr, Diagnostic> {
    let mut all = SizeExpr::Const(1);
    for extent in extents {
        all = SizeExpr::Mul(all.into(), extent?.into());
    }
    Ok(all)
}

/// Behind the last position of a slice; 0 for one of no positions.
fn slice_end(start: &SizeExpr, step: u64, count: SizeExpr) -> SizeExpr {
    let any = SizeExpr::Min(count.clone().into(), SizeExpr::Const(1).into());
    let last = SizeExpr::Mul(SizeExpr::Const(step).into(), SizeExpr::Sub(count.into(), SizeExpr::Const(1).into()).into());
    let end = SizeExpr::Add(start.clone().into(), SizeExpr::Add(last.into(), SizeExpr::Const(1).into()).into());
    SizeExpr::Mul(any.into(), end.into())
}

fn is_constant(expr: &SizeExpr) -> bool {
    match expr {
        SizeExpr::Length(_) => false,
        SizeExpr::Const(_) => true,
        SizeExpr::Add(a, b)
        | SizeExpr::Sub(a, b)
        | SizeExpr::Mul(a, b)
        | SizeExpr::Div(a, b)
        | SizeExpr::CeilDiv(a, b)
        | SizeExpr::Min(a, b) => is_constant(a) && is_constant(b),
    }
}
