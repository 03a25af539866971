//! Scalar expressions of a kernel: what one element of a store is, as a graph in which equal expressions are one.

use std::collections::HashMap;

use mgx_ir::graph::{BinaryOp, DType, ReduceOp, SizeExpr, UnaryOp};

use super::index::{Atom, AtomId, Indices, Poly, Var};

/// An expression of an [`Exprs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExprId(pub u32);

/// An expression. A condition is a polynomial that must not be negative; several must all hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expr {
    /// Bits of an F32 or I32; for Bool 0 or 1.
    Const(u32),
    /// An index as I32.
    Int(Poly),
    /// An element of a buffer; where a condition does not hold, any number, and nothing outside the buffer is read.
    Load {
        buffer: u32,
        /// Is the buffer stored as bfloat16?
        bf16: bool,
        address: Poly,
        guard: Vec<Poly>,
    },
    /// A random number of a site, for the sample of this number where the samples are in one loop.
    Random {
        site: u32,
        sample: Option<Poly>,
        index: Poly,
    },
    Unary(UnaryOp, ExprId),
    Binary(BinaryOp, ExprId, ExprId),
    Select(ExprId, ExprId, ExprId),
    Cast(ExprId),
    When {
        conditions: Vec<Poly>,
        then: ExprId,
        otherwise: ExprId,
    },
    /// The result of a reduction of this row.
    Row(u32),
    /// An element of a result of a reduction over rows.
    Column {
        reduction: u32,
        address: Poly,
        guard: Vec<Poly>,
    },
    /// A reduction in place, over an inner variable.
    Loop {
        op: ReduceOp,
        var: u32,
        extent: Poly,
        body: ExprId,
    },
}

/// Sets of variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vars(u64);

impl Vars {
    pub const ROW: Self = Self(1);
    pub const COLUMN: Self = Self(2);

    fn of(var: Var) -> Self {
        match var {
            Var::Row => Self::ROW,
            Var::Column => Self::COLUMN,
            Var::Inner(number) => Self(4 << number),
            Var::Axis(_) => Self(0),
        }
    }

    /// All of both.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Is one of `other` in it?
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Is any variable in it?
    pub fn varies(self) -> bool {
        self.0 != 0
    }

    /// Is it of the columns or of an inner loop?
    pub fn varies_in_row(self) -> bool {
        self.0 & !1 != 0
    }
}

/// How many inner loops a kernel may have.
pub(crate) const MAX_INNER: u32 = 60;

/// An expression with what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub expr: Expr,
    pub dtype: DType,
    pub vars: Vars,
    /// How many rounds of reductions stand before it.
    pub phase: u32,
}

/// A reduction over the columns of a row, or over all rows.
#[derive(Clone, Debug)]
pub(crate) struct Reduction {
    pub op: ReduceOp,
    pub dtype: DType,
    pub body: ExprId,
    /// Its round: those it depends on stand in earlier ones.
    pub phase: u32,
}

/// A size that the host brings to a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SizeKey {
    /// An expression of the sample's lengths.
    Sample(SizeExpr),
    /// Number of samples.
    Samples,
    /// The sum over the samples of an expression.
    Total(SizeExpr),
}

/// The expressions of a kernel, their indices and reductions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exprs {
    pub indices: Indices,
    nodes: Vec<Node>,
    ids: HashMap<(Expr, DType), ExprId>,
    pub reductions: Vec<Reduction>,
    pub sizes: Vec<SizeKey>,
}

impl Exprs {
    /// The node of an expression.
    pub fn get(&self, id: ExprId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The expression, the same for equal ones.
    pub fn add(&mut self, expr: Expr, dtype: DType) -> ExprId {
        if let Some(id) = self.ids.get(&(expr.clone(), dtype)) {
            return *id;
        }
        let (vars, phase) = self.summary(&expr);
        let id = ExprId(self.nodes.len() as u32);
        self.nodes.push(Node { expr: expr.clone(), dtype, vars, phase });
        self.ids.insert((expr, dtype), id);
        id
    }

    /// A size from the host as an index.
    pub fn size(&mut self, key: SizeKey) -> Poly {
        let number = match self.sizes.iter().position(|other| *other == key) {
            Some(at) => at,
            None => {
                self.sizes.push(key);
                self.sizes.len() - 1
            }
        };
        self.indices.size(number as u32)
    }

    /// The number of a reduction, the same for equal ones.
    pub fn reduction(&mut self, op: ReduceOp, dtype: DType, body: ExprId) -> u32 {
        let phase = self.get(body).phase;
        let found = self.reductions.iter().position(|other| other.op == op && other.dtype == dtype && other.body == body);
        match found {
            Some(at) => at as u32,
            None => {
                self.reductions.push(Reduction { op, dtype, body, phase });
                self.reductions.len() as u32 - 1
            }
        }
    }

    fn summary(&self, expr: &Expr) -> (Vars, u32) {
        let (mut vars, mut phase) = (Vars::default(), 0);
        for child in children(expr) {
            let child = self.get(child);
            vars = vars.with(child.vars);
            phase = phase.max(child.phase);
        }
        for poly in polys(expr) {
            vars = vars.with(self.poly_vars(poly));
            phase = phase.max(self.poly_phase(poly));
        }
        match expr {
            Expr::Row(reduction) => {
                phase = phase.max(self.reductions[*reduction as usize].phase + 1);
                vars = vars.with(self.get(self.reductions[*reduction as usize].body).vars.without(Vars::COLUMN));
            }
            Expr::Column { reduction, .. } => phase = phase.max(self.reductions[*reduction as usize].phase + 1),
            Expr::Loop { var, .. } => vars = vars.without(Vars::of(Var::Inner(*var))),
            _ => {}
        }
        (vars, phase)
    }

    /// The variables of an index.
    pub fn poly_vars(&self, poly: &Poly) -> Vars {
        poly.terms.iter().flat_map(|(atoms, _)| atoms).fold(Vars::default(), |vars, atom| vars.with(self.atom_vars(*atom)))
    }

    /// The variables of an atom.
    pub fn atom_vars(&self, atom: AtomId) -> Vars {
        match self.indices.atom(atom) {
            Atom::Var(var) => Vars::of(*var),
            Atom::Size(_) => Vars::default(),
            Atom::Div(a, b) | Atom::Rem(a, b) => self.poly_vars(a).with(self.poly_vars(b)),
            Atom::Value(expr) => self.get(*expr).vars,
        }
    }

    /// How many rounds of reductions stand before an index.
    pub fn poly_phase(&self, poly: &Poly) -> u32 {
        poly.terms.iter().flat_map(|(atoms, _)| atoms).map(|atom| self.atom_phase(*atom)).max().unwrap_or(0)
    }

    fn atom_phase(&self, atom: AtomId) -> u32 {
        match self.indices.atom(atom) {
            Atom::Var(_) | Atom::Size(_) => 0,
            Atom::Div(a, b) | Atom::Rem(a, b) => self.poly_phase(a).max(self.poly_phase(b)),
            Atom::Value(expr) => self.get(*expr).phase,
        }
    }

    /// Calls `visit` for the expressions that stand in an index.
    pub fn poly_values(&self, poly: &Poly, visit: &mut impl FnMut(ExprId)) {
        for atom in poly.terms.iter().flat_map(|(atoms, _)| atoms) {
            match self.indices.atom(*atom) {
                Atom::Var(_) | Atom::Size(_) => {}
                Atom::Div(a, b) | Atom::Rem(a, b) => {
                    self.poly_values(a, visit);
                    self.poly_values(b, visit);
                }
                Atom::Value(expr) => visit(*expr),
            }
        }
    }

    /// Does an index contain this atom, also in quotients and remainders? Values within it are looked at where they are made.
    pub fn poly_mentions(&self, poly: &Poly, wanted: &Atom) -> bool {
        poly.terms.iter().flat_map(|(atoms, _)| atoms).any(|atom| match self.indices.atom(*atom) {
            Atom::Div(a, b) | Atom::Rem(a, b) => self.poly_mentions(a, wanted) || self.poly_mentions(b, wanted),
            atom => atom == wanted,
        })
    }

    /// Is it evaluated by a primitive on a tile?
    pub fn is_transcendental(&self, id: ExprId) -> bool {
        match self.get(id).expr {
            Expr::Unary(op, _) => {
                matches!(op, UnaryOp::Exp | UnaryOp::Log | UnaryOp::Tanh | UnaryOp::Erf | UnaryOp::Sin | UnaryOp::Cos)
            }
            Expr::Binary(op, ..) => op == BinaryOp::Pow,
            _ => false,
        }
    }
}

/// The operands of an expression (not those within indices).
pub(crate) fn children(expr: &Expr) -> Vec<ExprId> {
    match expr {
        Expr::Const(_) | Expr::Int(_) | Expr::Load { .. } | Expr::Random { .. } | Expr::Row(_) | Expr::Column { .. } => Vec::new(),
        Expr::Unary(_, x) | Expr::Cast(x) => vec![*x],
        Expr::Binary(_, x, y) => vec![*x, *y],
        Expr::Select(x, y, z) => vec![*x, *y, *z],
        Expr::When { then, otherwise, .. } => vec![*then, *otherwise],
        Expr::Loop { body, .. } => vec![*body],
    }
}

/// The indices and conditions of an expression.
pub(crate) fn polys(expr: &Expr) -> Vec<&Poly> {
    match expr {
        Expr::Int(poly) => vec![poly],
        Expr::Load { address, guard, .. } | Expr::Column { address, guard, .. } => std::iter::once(address).chain(guard).collect(),
        Expr::Random { sample, index, .. } => sample.iter().chain([index]).collect(),
        Expr::When { conditions, .. } => conditions.iter().collect(),
        Expr::Loop { extent, .. } => vec![extent],
        Expr::Const(_) | Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) | Expr::Cast(_) | Expr::Row(_) => Vec::new(),
    }
}
