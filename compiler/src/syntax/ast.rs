//! The abstract syntax of mgx: what a file says, with the place of every part.
//!
//! Made from the lossless tree by [`super::parse`]. Parts that could not be read are left out or stand as [`ExprKind::Error`], which
//! nothing reports on again. No meaning is attached here.

use mgx_diag::Span;

/// A name with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    pub uses: Vec<Use>,
    pub items: Vec<Item>,
}

/// `use std::backbones::rnabert::{aido_dna_300m, aido_rna_650m as big}`; without braces the last segment is the one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// Everything before the imported names: `std`, `backbones`, `rnabert`.
    pub path: Vec<Name>,
    pub names: Vec<UseName>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct UseName {
    pub name: Name,
    /// `as other`.
    pub alias: Option<Name>,
}

/// A declaration with its documentation (the `///` lines before it, joined by newlines, without the slashes).
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub doc: Option<String>,
    pub kind: ItemKind,
    pub name: Name,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `module Name(params) where cond, cond { members }`; also `adapter`, `task`, `optimizer`, `schedule`, which differ in role only.
    Module(Module),
    /// `fn name(params) -> type { body }` outside a module.
    Function(Function),
    /// `backbone name(params): Network(args) { fields }`.
    Backbone(Backbone),
    /// `tokenizer name { fields }`.
    Tokenizer(Body),
    /// `data name = source { fields }`.
    Data(Data),
    /// `experiment name(params) { fields }`, `experiment name = other(args) with { fields }`.
    Experiment(Experiment),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleRole {
    Module,
    Adapter,
    Task,
    Optimizer,
    Schedule,
    Rewrite,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    pub role: ModuleRole,
    pub params: Vec<Param>,
    /// The module whose parts a rewrite changes.
    pub of: Option<Name>,
    /// Conditions after `where`.
    pub conditions: Vec<Expr>,
    pub members: Vec<Member>,
}

/// `name: type = default`.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: Name,
    pub ty: Option<TypeExpr>,
    pub default: Option<Expr>,
}

/// What stands in a module's braces.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub doc: Option<String>,
    pub name: Name,
    pub kind: MemberKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MemberKind {
    /// `let name = expr`: a size or a setting of the module.
    Let(Expr),
    /// `name: param f[out, in] = init if condition at "key"`.
    Param { ty: TypeExpr, init: Option<Expr>, condition: Option<Expr>, at: Option<Expr> },
    /// `name: state f[channels] = init at "key"`.
    State { ty: TypeExpr, init: Option<Expr>, at: Option<Expr> },
    /// `name = Part(args) if condition at "key"`, `name = repeat(n, index = i) Part(args) at "layer.{i}"`, `name = other.part` and, in tasks,
    /// `loss = expr`.
    Part { repeat: Option<Repeat>, value: Expr, condition: Option<Expr>, at: Option<Expr> },
    /// `output name = expr` (tasks).
    Output(Expr),
    /// `metric name = expr` (tasks).
    Metric(Expr),
    /// `fn name(params) -> type { body }`.
    Function(Function),
}

/// `repeat(count, index = i)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    pub count: Expr,
    pub index: Option<Name>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub params: Vec<Param>,
    pub result: Option<TypeExpr>,
    pub conditions: Vec<Expr>,
    pub body: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Backbone {
    pub params: Vec<Param>,
    /// The network: a call.
    pub network: Expr,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// A call: `table("…")`.
    pub source: Expr,
    pub body: Body,
}

/// An experiment, or what it changes in another.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    pub params: Vec<Param>,
    /// The experiment that this one is made from; the body is then what stands after `with`.
    pub base: Option<Base>,
    pub body: Body,
}

impl Experiment {
    /// The parameters that have no value.
    pub fn missing(&self) -> Vec<&Param> {
        self.params.iter().filter(|param| param.default.is_none()).collect()
    }
}

/// `splice_sites(lr = 1e-3)` of `experiment longer = splice_sites(lr = 1e-3) with { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    pub name: Name,
    pub args: Vec<Arg>,
}

/// Fields in braces, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    pub fields: Vec<Field>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub doc: Option<String>,
    pub name: Name,
    pub kind: FieldKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FieldKind {
    /// `name = expr`.
    Value(Expr),
    /// `name: type at "header"` (columns).
    Typed { ty: TypeExpr, at: Option<Expr> },
    /// `name { fields }`.
    Block(Body),
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    pub kind: TypeExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeExprKind {
    /// `int`, `dna`, `f`, and with axes in brackets `f[seq, hidden]`, `f[.., in]`, `class[classes]`; with arguments in
    /// parentheses `dna(length = 60)`, `enum(tanh, relu)`; `Tokens<dna>[seq]` has type arguments.
    Named {
        name: Name,
        type_args: Vec<TypeExpr>,
        args: Vec<Arg>,
        axes: Option<Vec<AxisExpr>>,
    },
    /// `int?`.
    Optional(Box<TypeExpr>),
    /// `[int]`.
    List(Box<TypeExpr>),
    /// `(hidden: f[seq, hidden], logits: f[seq, vocab])`.
    Record(Vec<(Name, TypeExpr)>),
    Error,
}

/// What stands between the brackets of a tensor type.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisExpr {
    /// `..`: all axes not named.
    Rest(Span),
    /// `seq`, `hidden`, `2 * hidden`, `pos / 2`: an expression of sizes.
    Size(Expr),
}

/// An argument of a call. The name may also be an axis (`split(x, hidden = (heads, dim_head))`).
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    pub name: Option<Name>,
    pub value: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `42`, `196_608`; `16GiB` is an int of bytes.
    Int(i64),
    /// `1e-4`, `0.5`; `30min` is a float of seconds.
    Float(f64),
    Bool(bool),
    /// The text with its escapes resolved (`\n \t \" \\ \{ \}`). Braces are kept: `"layer.{i}"` is filled in where it is used; escaped braces come as `{{` and `}}`.
    Str(String),
    /// `none`.
    None,
    Name(String),
    /// `a.b`.
    Member(Box<Expr>, Name),
    /// `a[i]`.
    Index(Box<Expr>, Box<Expr>),
    /// `f(x, name = y)`.
    Call(Box<Expr>, Vec<Arg>),
    Unary(UnaryOperator, Box<Expr>),
    Binary(BinaryOperator, Span, Box<Expr>, Box<Expr>),
    /// `x |> f(args)`.
    Pipe(Box<Expr>, Box<Expr>),
    /// `part with rewrite(args)`.
    With(Box<Expr>, Box<Expr>),
    /// `if c { a } else { b }`.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `match x { "a" => y, relu => z, _ => w }`; `_` is `None`.
    Match(Box<Expr>, Vec<(Option<Expr>, Expr)>),
    /// `{ let x = …  result }`.
    Block(Vec<LetBinding>, Box<Expr>),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `(a, b)` (two or more).
    Tuple(Vec<Expr>),
    /// `(name = a, other = b)`.
    Record(Vec<(Name, Expr)>),
    /// Could not be read; reported already.
    Error,
}

/// `let x = …` or `let (a, b) = …`.
#[derive(Clone, Debug, PartialEq)]
pub struct LetBinding {
    pub names: Vec<Name>,
    pub value: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    Neg,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}
