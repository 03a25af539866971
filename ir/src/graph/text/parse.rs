//! Parsing. It checks the form alone; whether the graph is good is for the verifier to say.

use std::collections::BTreeMap;

use mgx_diag::{FileId, Span};

use super::lex::{Cursor, Token, tokens};
use super::print::dtype_name;
use crate::graph::{
    Axis, AxisId, BinaryOp, DType, Extent, Graph, GraphParam, Length, LengthId, Node, NodeId, Op, Output, ParamId, ReduceOp, SizeExpr,
    Type, UnaryOp, Window,
};

/// The graph that a text says.
///
/// # Errors
/// The number of the line that is not understood (from 1), and why.
pub fn parse_graph(text: &str) -> Result<Graph, String> {
    let mut graph = Graph::default();
    for (index, line) in text.lines().enumerate() {
        let parsed = tokens(line).and_then(|tokens| {
            let mut cursor = Cursor::new(tokens);
            if cursor.peek().is_none() {
                return Ok(());
            }
            statement(&mut graph, &mut cursor)?;
            cursor.end()
        });
        parsed.map_err(|error| format!("line {}: {error}", index + 1))?;
    }
    Ok(graph)
}

fn statement(graph: &mut Graph, c: &mut Cursor) -> Result<(), String> {
    if c.takes('%') {
        let index: usize = c.number()?;
        if index != graph.nodes.len() {
            return Err(format!("%{index} stands where %{} should", graph.nodes.len()));
        }
        c.sign('=')?;
        let node = node(graph, c)?;
        graph.nodes.push(node);
        return Ok(());
    }
    match c.word()?.as_str() {
        "length" => {
            let name = declared(c, graph.lengths.len())?;
            graph.lengths.push(Length { name });
        }
        "axis" => {
            let name = declared(c, graph.axes.len())?;
            c.sign('=')?;
            let extent = if c.takes_word("ragged") { Extent::Ragged(size(graph, c)?) } else { Extent::Static(c.number()?) };
            graph.axes.push(Axis { name, extent });
        }
        "param" => {
            let path = c.text()?;
            let axes = c.list('[', ']', |c| axis(graph, c))?;
            graph.params.push(GraphParam { path, axes, trainable: c.takes_word("trainable") });
        }
        "output" => {
            let name = c.text()?;
            c.sign('=')?;
            let node = value(c)?;
            graph.outputs.push(Output { name, node });
        }
        other => return Err(format!("`{other}` is not a statement")),
    }
    Ok(())
}

/// A name where it is declared: `name`, `name#3` or `"any name"#3`, where the number is the next.
fn declared(c: &mut Cursor, next: usize) -> Result<String, String> {
    let name = match c.next()? {
        Token::Word(name) | Token::Text(name) => name,
        other => return Err(format!("a name is missing before {other:?}")),
    };
    if c.takes('#') && c.number::<usize>()? != next {
        return Err(format!("`{name}` must have the number {next}"));
    }
    Ok(name)
}

/// A name where it is used, as its number.
fn used<'a>(c: &mut Cursor, names: impl Iterator<Item = &'a str>) -> Result<u32, String> {
    if !c.takes('#') {
        let name = match c.next()? {
            Token::Word(name) | Token::Text(name) => name,
            other => return Err(format!("a name is missing before {other:?}")),
        };
        if !c.takes('#') {
            let found: Vec<usize> = names.enumerate().filter(|(_, other)| *other == name).map(|(index, _)| index).collect();
            return match found.as_slice() {
                [one] => Ok(*one as u32),
                [] => Err(format!("there is no `{name}`")),
                _ => Err(format!("there are several `{name}`: write its number, `{name}#{}`", found[0])),
            };
        }
    }
    c.number()
}

fn axis(graph: &Graph, c: &mut Cursor) -> Result<AxisId, String> {
    used(c, graph.axes.iter().map(|axis| axis.name.as_str())).map(AxisId)
}

fn value(c: &mut Cursor) -> Result<NodeId, String> {
    c.sign('%')?;
    c.number().map(NodeId)
}

fn size(graph: &Graph, c: &mut Cursor) -> Result<SizeExpr, String> {
    let pair = |c: &mut Cursor| -> Result<(Box<SizeExpr>, Box<SizeExpr>), String> {
        c.sign('(')?;
        let a = size(graph, c)?;
        c.sign(',')?;
        let b = size(graph, c)?;
        c.sign(')')?;
        Ok((Box::new(a), Box::new(b)))
    };
    if c.takes('(') {
        let a = Box::new(size(graph, c)?);
        let sign = c.next()?;
        let b = Box::new(size(graph, c)?);
        c.sign(')')?;
        return match sign {
            Token::Sign('+') => Ok(SizeExpr::Add(a, b)),
            Token::Sign('-') => Ok(SizeExpr::Sub(a, b)),
            Token::Sign('*') => Ok(SizeExpr::Mul(a, b)),
            Token::Sign('/') => Ok(SizeExpr::Div(a, b)),
            other => Err(format!("{other:?} does not join sizes")),
        };
    }
    if matches!(c.peek(), Some(Token::Number(_))) {
        return c.number().map(SizeExpr::Const);
    }
    if c.takes_word("ceil_div") {
        return pair(c).map(|(a, b)| SizeExpr::CeilDiv(a, b));
    }
    if c.takes_word("min") {
        return pair(c).map(|(a, b)| SizeExpr::Min(a, b));
    }
    used(c, graph.lengths.iter().map(|length| length.name.as_str())).map(|id| SizeExpr::Length(LengthId(id)))
}

fn node(graph: &Graph, c: &mut Cursor) -> Result<Node, String> {
    let name = c.word()?;
    let inputs = c.list('(', ')', value)?;
    let mut attributes = Attributes::default();
    if c.peek() == Some(&Token::Sign('{')) {
        c.list('{', '}', |c| attributes.read(graph, c))?;
    }
    let op = operation(&name, &attributes)?;
    c.sign(':')?;
    let ty = ty(graph, c)?;
    let path = if c.takes_word("path") { Some(c.text()?) } else { None };
    let mut spans = Vec::new();
    if c.takes_word("at") {
        spans.push(span(c)?);
        while c.takes(',') {
            spans.push(span(c)?);
        }
    }
    Ok(Node { op, inputs, ty, path, spans })
}

fn span(c: &mut Cursor) -> Result<Span, String> {
    let file = FileId(c.number()?);
    c.sign(':')?;
    let start = c.number()?;
    // `3-7` is read as 3 and −7.
    let end: i64 = c.number()?;
    let end = u32::try_from(-end).map_err(|_| "a place ends before it starts")?;
    Ok(Span { file, start, end })
}

fn ty(graph: &Graph, c: &mut Cursor) -> Result<Type, String> {
    let name = c.word()?;
    let all = [DType::F32, DType::I32, DType::Bool];
    let dtype = all.into_iter().find(|dtype| dtype_name(*dtype) == name).ok_or_else(|| format!("`{name}` is not an element type"))?;
    let axes = c.list('[', ']', |c| axis(graph, c))?;
    Ok(Type { dtype, axes, per_sample: c.takes_word("each") })
}

/// What stands between braces, by name.
#[derive(Default)]
struct Attributes {
    axes: BTreeMap<String, AxisId>,
    lists: BTreeMap<String, Vec<AxisId>>,
    pairs: Vec<(AxisId, AxisId)>,
    numbers: BTreeMap<String, String>,
    sizes: BTreeMap<String, SizeExpr>,
    flags: BTreeMap<String, bool>,
    text: String,
}

impl Attributes {
    fn read(&mut self, graph: &Graph, c: &mut Cursor) -> Result<(), String> {
        let name = c.word()?;
        c.sign('=')?;
        match name.as_str() {
            "name" => self.text = c.text()?,
            "pairs" => {
                self.pairs = c.list('[', ']', |c| {
                    let from = axis(graph, c)?;
                    match c.next()? {
                        Token::Arrow => Ok((from, axis(graph, c)?)),
                        other => Err(format!("`->` is missing before {other:?}")),
                    }
                })?;
            }
            "batch" => {
                let value = c.word()?;
                self.flags.insert(name, value.parse().map_err(|_| format!("`{value}` is neither true nor false"))?);
            }
            "over" | "axes" => {
                let list = c.list('[', ']', |c| axis(graph, c))?;
                self.lists.insert(name, list);
            }
            "into" if c.peek() == Some(&Token::Sign('[')) => {
                let list = c.list('[', ']', |c| axis(graph, c))?;
                self.lists.insert(name, list);
            }
            "axis" | "into" | "tap" | "query" | "key" | "dim" => {
                self.axes.insert(name, axis(graph, c)?);
            }
            "value"
                if !matches!(c.peek(), Some(Token::Number(_)))
                    && !matches!(c.peek(), Some(Token::Word(word)) if word == "inf" || word == "NaN") =>
            {
                self.axes.insert(name, axis(graph, c)?);
            }
            "start" | "before" => {
                self.sizes.insert(name, size(graph, c)?);
            }
            _ => {
                let number = match c.next()? {
                    Token::Number(number) | Token::Word(number) => number,
                    other => return Err(format!("a number is missing before {other:?}")),
                };
                self.numbers.insert(name, number);
            }
        }
        Ok(())
    }

    fn axis(&self, name: &str) -> Result<AxisId, String> {
        self.axes.get(name).copied().ok_or_else(|| format!("the axis `{name}` is missing"))
    }

    fn list(&self, name: &str) -> Result<Vec<AxisId>, String> {
        self.lists.get(name).cloned().ok_or_else(|| format!("the axes `{name}` are missing"))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        self.numbers
            .get(name)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("the number `{name}` is missing or not such a number"))
    }

    fn size(&self, name: &str) -> Result<SizeExpr, String> {
        self.sizes.get(name).cloned().ok_or_else(|| format!("the size `{name}` is missing"))
    }

    fn batch(&self) -> bool {
        self.flags.get("batch").copied().unwrap_or(false)
    }

    fn window(&self) -> Result<Window, String> {
        let SizeExpr::Const(before) = self.size("before")? else { return Err("`before` of windows is a number".into()) };
        Ok(Window { stride: self.number("stride")?, dilation: self.number("dilation")?, before, fill: self.number("fill")? })
    }
}

fn operation(name: &str, a: &Attributes) -> Result<Op, String> {
    if let Some(op) = UnaryOp::ALL.into_iter().find(|op| op.name() == name) {
        return Ok(Op::Unary(op));
    }
    if let Some(op) = BinaryOp::ALL.into_iter().find(|op| op.name() == name) {
        return Ok(Op::Binary(op));
    }
    let reduce = |op| Ok(Op::Reduce { op, over: a.list("over")?, batch: a.batch() });
    Ok(match name {
        "input" => Op::Input { name: a.text.clone() },
        "param" => Op::Param(ParamId(a.number("id")?)),
        "const" => Op::Const(a.number("value")?),
        "iota" => Op::Iota(a.axis("axis")?),
        "random" => Op::Random { site: a.number("site")? },
        "select" => Op::Select,
        "cast" => Op::Cast,
        "broadcast" => Op::Broadcast,
        "permute" => Op::Permute,
        "after" => Op::After,
        "sum" => return reduce(ReduceOp::Sum),
        "reduce_max" => return reduce(ReduceOp::Max),
        "reduce_min" => return reduce(ReduceOp::Min),
        "contract" => Op::Contract { over: a.list("over")?, batch: a.batch() },
        "rename" => Op::Rename { pairs: a.pairs.clone() },
        "split" => Op::Split { axis: a.axis("axis")?, into: a.list("into")? },
        "merge" => Op::Merge { axes: a.list("axes")?, into: a.axis("into")? },
        "slice" => Op::Slice { axis: a.axis("axis")?, into: a.axis("into")?, start: a.size("start")?, step: a.number("step")? },
        "pad" => Op::Pad { axis: a.axis("axis")?, into: a.axis("into")?, before: a.size("before")?, fill: a.number("fill")? },
        "concat" => Op::Concat { axes: a.list("axes")?, into: a.axis("into")? },
        "window" => Op::Window { axis: a.axis("axis")?, into: a.axis("into")?, tap: a.axis("tap")?, window: a.window()? },
        "fold" => Op::Fold { axis: a.axis("axis")?, into: a.axis("into")?, tap: a.axis("tap")?, window: a.window()? },
        "gather" => Op::Gather { axis: a.axis("axis")? },
        "scatter_add" => Op::ScatterAdd { axis: a.axis("axis")?, over: a.list("over")?, batch: a.batch() },
        "routed_contract" => Op::RoutedContract { over: a.list("over")? },
        "routed_outer" => Op::RoutedOuter { choice: a.number("choice")?, of: a.number("of")? },
        _ => return attention(name, a),
    })
}

fn attention(name: &str, a: &Attributes) -> Result<Op, String> {
    let known = matches!(name, "attention" | "attention_lse" | "attention_grad");
    if !known {
        return Err(format!("`{name}` is not an operation"));
    }
    let (query, key, dim, scale) = (a.axis("query")?, a.axis("key")?, a.axis("dim")?, a.number("scale")?);
    Ok(match name {
        "attention" => Op::Attention { query, key, dim, value: a.axis("value")?, scale },
        "attention_lse" => Op::AttentionLse { query, key, dim, scale },
        _ => Op::AttentionGrad { query, key, dim, value: a.axis("value")?, scale, wrt: a.number("wrt")? },
    })
}
