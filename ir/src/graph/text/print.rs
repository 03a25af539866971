//! Printing.

use std::fmt::Write;

use crate::graph::{AxisId, DType, Extent, Graph, LengthId, Node, Op, SizeExpr, Type, Window};

/// The text form of a graph.
pub fn print_graph(graph: &Graph) -> String {
    let printer = Printer {
        lengths: names(graph.lengths.iter().map(|length| length.name.as_str())),
        axes: names(graph.axes.iter().map(|axis| axis.name.as_str())),
    };
    let mut out = String::new();
    for name in &printer.lengths {
        out.push_str(&format!("length {name}\n"));
    }
    for (name, axis) in printer.axes.iter().zip(&graph.axes) {
        let extent = match &axis.extent {
            Extent::Static(size) => size.to_string(),
            Extent::Ragged(expr) => format!("ragged {}", printer.size(expr)),
        };
        out.push_str(&format!("axis {name} = {extent}\n"));
    }
    for param in &graph.params {
        let trainable = if param.trainable { " trainable" } else { "" };
        out.push_str(&format!("param {} {}{trainable}\n", quote(&param.path), printer.list(&param.axes)));
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        out.push_str(&format!("%{index} = {}\n", printer.node(node)));
    }
    for output in &graph.outputs {
        out.push_str(&format!("output {} = %{}\n", quote(&output.name), output.node.0));
    }
    out
}

/// How each name is written: as it is where it is a word and the only one, else with its number.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let all: Vec<&str> = all.collect();
    let is_word = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let write = |(index, name): (usize, &&str)| {
        let unique = all.iter().filter(|other| *other == name).count() == 1;
        match (is_word(name), unique) {
            (true, true) => (*name).to_owned(),
            (true, false) => format!("{name}#{index}"),
            (false, _) => format!("{}#{index}", quote(name)),
        }
    };
    all.iter().enumerate().map(write).collect()
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

pub(super) fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::I32 => "i32",
        DType::Bool => "bool",
    }
}

struct Printer {
    lengths: Vec<String>,
    axes: Vec<String>,
}

impl Printer {
    fn axis(&self, id: AxisId) -> String {
        self.axes.get(id.0 as usize).cloned().unwrap_or_else(|| format!("#{}", id.0))
    }

    fn length(&self, id: LengthId) -> String {
        self.lengths.get(id.0 as usize).cloned().unwrap_or_else(|| format!("#{}", id.0))
    }

    fn list(&self, axes: &[AxisId]) -> String {
        format!("[{}]", axes.iter().map(|axis| self.axis(*axis)).collect::<Vec<_>>().join(", "))
    }

    fn size(&self, expr: &SizeExpr) -> String {
        let infix = |a: &SizeExpr, sign: &str, b: &SizeExpr| format!("({} {sign} {})", self.size(a), self.size(b));
        match expr {
            SizeExpr::Length(id) => self.length(*id),
            SizeExpr::Const(value) => value.to_string(),
            SizeExpr::Add(a, b) => infix(a, "+", b),
            SizeExpr::Sub(a, b) => infix(a, "-", b),
            SizeExpr::Mul(a, b) => infix(a, "*", b),
            SizeExpr::Div(a, b) => infix(a, "/", b),
            SizeExpr::CeilDiv(a, b) => format!("ceil_div({}, {})", self.size(a), self.size(b)),
            SizeExpr::Min(a, b) => format!("min({}, {})", self.size(a), self.size(b)),
        }
    }

    fn ty(&self, ty: &Type) -> String {
        format!("{}{}{}", dtype_name(ty.dtype), self.list(&ty.axes), if ty.per_sample { " each" } else { "" })
    }

    fn node(&self, node: &Node) -> String {
        let inputs = node.inputs.iter().map(|input| format!("%{}", input.0)).collect::<Vec<_>>().join(", ");
        let mut out = format!("{}({inputs})", node.op.name());
        let attributes = self.attributes(&node.op);
        if !attributes.is_empty() {
            let _ = write!(out, " {{{}}}", attributes.join(", "));
        }
        let _ = write!(out, " : {}", self.ty(&node.ty));
        if let Some(path) = &node.path {
            let _ = write!(out, " path {}", quote(path));
        }
        for (index, span) in node.spans.iter().enumerate() {
            let _ = write!(out, "{} {}:{}-{}", if index == 0 { " at" } else { "," }, span.file.0, span.start, span.end);
        }
        out
    }

    fn attributes(&self, op: &Op) -> Vec<String> {
        let axis = |name: &str, id: &AxisId| format!("{name} = {}", self.axis(*id));
        let list = |name: &str, axes: &[AxisId]| format!("{name} = {}", self.list(axes));
        let flag = |name: &str, value: &bool| format!("{name} = {value}");
        let attention = |query: &AxisId, key: &AxisId, dim: &AxisId, scale: &f64| {
            vec![axis("query", query), axis("key", key), axis("dim", dim), format!("scale = {scale:?}")]
        };
        match op {
            Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast | Op::Broadcast | Op::Permute | Op::After => Vec::new(),
            Op::Input { name } => vec![format!("name = {}", quote(name))],
            Op::Param(id) => vec![format!("id = {}", id.0)],
            Op::Const(value) => vec![format!("value = {value:?}")],
            Op::Iota(id) | Op::Gather { axis: id } => vec![axis("axis", id)],
            Op::Random { site } => vec![format!("site = {site}")],
            Op::Reduce { over, batch, .. } | Op::Contract { over, batch } => vec![list("over", over), flag("batch", batch)],
            Op::Rename { pairs } => {
                let pairs = pairs.iter().map(|(from, to)| format!("{} -> {}", self.axis(*from), self.axis(*to))).collect::<Vec<_>>();
                vec![format!("pairs = [{}]", pairs.join(", "))]
            }
            Op::Split { axis: from, into } => vec![axis("axis", from), list("into", into)],
            Op::Merge { axes, into } | Op::Concat { axes, into } => vec![list("axes", axes), axis("into", into)],
            Op::Slice { axis: from, into, start, step } => {
                vec![axis("axis", from), axis("into", into), format!("start = {}", self.size(start)), format!("step = {step}")]
            }
            Op::Pad { axis: from, into, before, fill } => {
                vec![axis("axis", from), axis("into", into), format!("before = {}", self.size(before)), format!("fill = {fill:?}")]
            }
            Op::Window { axis: of, into, tap, window } | Op::Fold { axis: of, into, tap, window } => {
                [vec![axis("axis", of), axis("into", into), axis("tap", tap)], windows(window)].concat()
            }
            Op::ScatterAdd { axis: of, over, batch } => vec![axis("axis", of), list("over", over), flag("batch", batch)],
            Op::RoutedContract { over } => vec![list("over", over)],
            Op::RoutedOuter { choice, of } => vec![format!("choice = {choice}"), format!("of = {of}")],
            Op::Attention { query, key, dim, value, scale } => [attention(query, key, dim, scale), vec![axis("value", value)]].concat(),
            Op::AttentionLse { query, key, dim, scale } => attention(query, key, dim, scale),
            Op::AttentionGrad { query, key, dim, value, scale, wrt } => {
                [attention(query, key, dim, scale), vec![axis("value", value), format!("wrt = {wrt}")]].concat()
            }
        }
    }
}

fn windows(window: &Window) -> Vec<String> {
    vec![
        format!("stride = {}", window.stride),
        format!("dilation = {}", window.dilation),
        format!("before = {}", window.before),
        format!("fill = {:?}", window.fill),
    ]
}
