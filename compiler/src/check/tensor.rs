//! Operations on tensors: their typing rules, and the graph's nodes while a graph is built.

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{BinaryOp, DType, Node, Op, ReduceOp, Type, UnaryOp};

use super::Checker;
use super::size::{MAX_SIZE, Size};
use super::value::{AxisInfo, AxisRef, Tensor, Value};

/// The name of an element type in the language.
pub fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f",
        DType::I32 => "i",
        DType::Bool => "b",
    }
}

impl Checker<'_> {
    /// A new axis.
    pub fn new_axis(&mut self, name: &str, size: Size) -> AxisRef {
        let size = self.facts.apply(&size);
        let graph = self.emission.as_mut().and_then(|emission| size.to_extent().map(|extent| emission.graph.add_axis(name, extent)));
        self.axes.push(AxisInfo { name: name.to_owned(), size, layout: None, graph, classes: None, origin: None });
        AxisRef(self.axes.len() as u32 - 1)
    }

    pub fn axis(&self, axis: AxisRef) -> &AxisInfo {
        &self.axes[axis.0 as usize]
    }

    /// The axis that this one was first: through all the parts that it was given to.
    pub fn root(&self, axis: AxisRef) -> AxisRef {
        let mut axis = axis;
        while let Some(origin) = self.axis(axis).origin {
            axis = origin;
        }
        axis
    }

    /// The size of an axis with everything known put in.
    pub fn axis_size(&self, axis: AxisRef) -> Size {
        self.facts.apply(&self.axis(axis).size)
    }

    pub fn same_size(&self, a: &Size, b: &Size) -> bool {
        let (a, b) = (self.facts.apply(a), self.facts.apply(b));
        // What has grown too long to be kept is not known to be equal to anything.
        a == b && (!a.is_out_of_range() || a.as_constant().is_some())
    }

    /// `hidden (1280)`, or the name alone where that says it all.
    pub fn show_axis(&self, axis: AxisRef) -> String {
        let info = self.axis(axis);
        let size = self.facts.show(&info.size);
        if size == info.name { size } else { format!("{} ({size})", info.name) }
    }

    /// A tensor's type as people write it.
    pub fn show_tensor(&self, tensor: &Tensor) -> String {
        let axes = tensor.axes.iter().map(|axis| self.show_axis(*axis)).collect::<Vec<_>>().join(", ");
        format!("{}[{axes}]", dtype_name(tensor.dtype))
    }

    /// Adds a node while a graph is built; types are the caller's. Reports what no tensor can have: an axis twice, or a size that is none.
    pub fn emit(&mut self, op: Op, inputs: &[&Tensor], dtype: DType, mut axes: Vec<AxisRef>, per_sample: bool) -> Tensor {
        let node = if self.possible_axes(&axes) { self.emit_node(op, inputs, dtype, &axes, per_sample) } else { None };
        let mut seen = Vec::new();
        axes.retain(|axis| {
            !seen.contains(axis) && {
                seen.push(*axis);
                true
            }
        });
        Tensor { dtype, axes, per_sample, node }
    }

    /// Can a value have these axes? Reports it otherwise.
    pub fn possible_axes(&mut self, axes: &[AxisRef]) -> bool {
        for (index, axis) in axes.iter().enumerate() {
            let name = self.axis(*axis).name.clone();
            if axes[..index].contains(axis) {
                let diagnostic =
                    Diagnostic::error("E0402", format!("a value cannot have the axis `{name}` twice")).label(self.span, "in this value");
                self.report(
                    diagnostic.help("give one of the two another name: `rename(x, axis = other)`, or `let other = 1 * size` for a size"),
                );
                return false;
            }
            let size = self.axis_size(*axis);
            if self.emission.is_some() && self.axis(*axis).graph.is_none() {
                self.report(
                    Diagnostic::error("E0407", format!("the axis `{name}` has an impossible size: {size}"))
                        .label(self.span, "in this value"),
                );
                return false;
            }
        }
        let sizes = axes.iter().filter_map(|axis| self.axis_size(*axis).as_constant());
        let elements = sizes.fold(1i64, |product, size| product.saturating_mul(size.max(1)));
        if self.emission.is_some() && elements > MAX_SIZE {
            let shown: Vec<String> = axes.iter().map(|axis| self.show_axis(*axis)).collect();
            let diagnostic = Diagnostic::error("E0406", "this value is too large for any machine")
                .label(self.span, format!("has the axes {}", shown.join(", ")));
            self.report(diagnostic);
            return false;
        }
        true
    }

    fn emit_node(&mut self, op: Op, inputs: &[&Tensor], dtype: DType, axes: &[AxisRef], per_sample: bool) -> Option<mgx_ir::graph::NodeId> {
        let ids = axes.iter().map(|axis| self.axis(*axis).graph).collect::<Option<Vec<_>>>();
        let nodes = inputs.iter().map(|tensor| tensor.node).collect::<Option<Vec<_>>>();
        let mut spans = vec![self.span];
        if self.call_site != self.span {
            spans.push(self.call_site);
        }
        let emission = self.emission.as_mut()?;
        let ty = Type { dtype, axes: ids?, per_sample };
        Some(emission.graph.add_node(Node { op, inputs: nodes?, ty, path: None, spans }))
    }

    pub fn graph_axis(&self, axis: AxisRef) -> mgx_ir::graph::AxisId {
        // Without a graph the operation is dropped by `emit_node`, so that the number does not matter.
        self.axis(axis).graph.unwrap_or(mgx_ir::graph::AxisId(u32::MAX))
    }

    /// A number as a tensor without axes.
    pub fn constant(&mut self, value: f64, dtype: DType) -> Tensor {
        self.emit(Op::Const(value), &[], dtype, Vec::new(), false)
    }

    /// A value as an operand beside an operand of `like`; reports what is not a number or a tensor.
    pub fn operand(&mut self, value: &Value, like: Option<DType>, span: Span) -> Option<Tensor> {
        match value {
            Value::Tensor(tensor) => Some(tensor.clone()),
            Value::Int { size, axis } => {
                let size = self.facts.apply(size);
                let dtype = like.unwrap_or(DType::I32);
                match (size.as_constant(), axis) {
                    (Some(number), _) => Some(self.constant(number as f64, if dtype == DType::Bool { DType::I32 } else { dtype })),
                    (None, Some(axis)) if size.is_ragged() => {
                        let counted = self.count(*axis);
                        Some(if dtype == DType::F32 { counted } else { self.cast(&counted, dtype) })
                    }
                    // Not known yet, or an expression of lengths: its type is known all the same.
                    (None, _) => {
                        let ragged = size.is_ragged();
                        if ragged && self.emission.is_some() {
                            let axis = self.new_axis("count", size);
                            let counted = self.count(axis);
                            return Some(if dtype == DType::F32 { counted } else { self.cast(&counted, dtype) });
                        }
                        Some(Tensor { dtype, axes: Vec::new(), per_sample: ragged, node: None })
                    }
                }
            }
            Value::Float(Some(number)) => Some(self.constant(*number, DType::F32)),
            Value::Float(None) => Some(Tensor { dtype: DType::F32, axes: Vec::new(), per_sample: false, node: None }),
            Value::Bool(Some(truth)) => Some(self.constant(f64::from(u8::from(*truth)), DType::Bool)),
            Value::Bool(None) => Some(Tensor { dtype: DType::Bool, axes: Vec::new(), per_sample: false, node: None }),
            Value::Error => None,
            other => {
                self.report(
                    Diagnostic::error("E0302", format!("{} is not a tensor or a number", other.describe()))
                        .label(span, "used as an operand here"),
                );
                None
            }
        }
    }

    /// The length of an axis as a number of each sample: f[].
    fn count(&mut self, axis: AxisRef) -> Tensor {
        let one = self.constant(1.0, DType::F32);
        let ragged = self.axis_size(axis).is_ragged();
        let ones = self.emit(Op::Broadcast, &[&one], DType::F32, vec![axis], ragged);
        self.reduce(ReduceOp::Sum, &ones, &[axis])
    }

    /// The axes of an elementwise result: `x`'s, then those of `y` that `x` lacks.
    fn joined(x: &Tensor, y: &Tensor) -> Vec<AxisRef> {
        let mut axes = x.axes.clone();
        axes.extend(y.axes.iter().filter(|axis| !x.axes.contains(axis)));
        axes
    }

    pub fn unary(&mut self, op: UnaryOp, x: &Tensor) -> Tensor {
        self.emit(Op::Unary(op), &[x], x.dtype, x.axes.clone(), x.per_sample)
    }

    pub fn binary(&mut self, op: BinaryOp, x: &Tensor, y: &Tensor) -> Tensor {
        let dtype = if op.is_comparison() { DType::Bool } else { x.dtype };
        // The operand with more axes gives the order, where it may stand first.
        let swapped = y.axes.len() > x.axes.len() && matches!(op, BinaryOp::Add | BinaryOp::Mul | BinaryOp::Max | BinaryOp::Min);
        let (x, y) = if swapped { (y, x) } else { (x, y) };
        self.emit(Op::Binary(op), &[x, y], dtype, Self::joined(x, y), x.per_sample || y.per_sample)
    }

    pub fn select(&mut self, condition: &Tensor, yes: &Tensor, no: &Tensor) -> Tensor {
        let mut axes = Self::joined(condition, yes);
        axes.extend(no.axes.iter().filter(|axis| !axes.contains(axis)).copied().collect::<Vec<_>>());
        let per_sample = condition.per_sample || yes.per_sample || no.per_sample;
        self.emit(Op::Select, &[condition, yes, no], yes.dtype, axes, per_sample)
    }

    pub fn cast(&mut self, x: &Tensor, dtype: DType) -> Tensor {
        if x.dtype == dtype {
            return x.clone();
        }
        self.emit(Op::Cast, &[x], dtype, x.axes.clone(), x.per_sample)
    }

    pub fn reduce(&mut self, op: ReduceOp, x: &Tensor, over: &[AxisRef]) -> Tensor {
        let axes = x.axes.iter().filter(|axis| !over.contains(axis)).copied().collect();
        let over = over.iter().map(|axis| self.graph_axis(*axis)).collect();
        self.emit(Op::Reduce { op, over, batch: false }, &[x], x.dtype, axes, x.per_sample)
    }

    /// [`Self::reduce`] over all samples as well; what is the same for all samples counts once for each.
    pub fn reduce_batch(&mut self, op: ReduceOp, x: &Tensor, over: &[AxisRef]) -> Tensor {
        let x = if x.per_sample { x.clone() } else { self.emit(Op::Broadcast, &[x], x.dtype, x.axes.clone(), true) };
        let axes = x.axes.iter().filter(|axis| !over.contains(axis)).copied().collect();
        let over = over.iter().map(|axis| self.graph_axis(*axis)).collect();
        self.emit(Op::Reduce { op, over, batch: true }, &[&x], x.dtype, axes, false)
    }

    pub fn contract(&mut self, x: &Tensor, y: &Tensor, over: &[AxisRef]) -> Tensor {
        if let Some(routed) = self.routed_contraction(x, y, over).or_else(|| self.routed_contraction(y, x, over)) {
            return routed;
        }
        let mut axes = Self::joined(x, y);
        axes.retain(|axis| !over.contains(axis));
        let over = over.iter().map(|axis| self.graph_axis(*axis)).collect();
        self.emit(Op::Contract { over, batch: false }, &[x, y], DType::F32, axes, x.per_sample || y.per_sample)
    }

    /// The same elements with axes of other identity: pairs of (axis of x, new axis).
    pub fn rename(&mut self, x: &Tensor, pairs: &[(AxisRef, AxisRef)]) -> Tensor {
        let pairs: Vec<_> = pairs.iter().filter(|(from, to)| from != to && x.axes.contains(from)).copied().collect();
        if pairs.is_empty() {
            return x.clone();
        }
        let axes = x.axes.iter().map(|axis| pairs.iter().find(|(from, _)| from == axis).map_or(*axis, |(_, to)| *to)).collect::<Vec<_>>();
        let ids = pairs.iter().map(|(from, to)| (self.graph_axis(*from), self.graph_axis(*to))).collect();
        self.emit(Op::Rename { pairs: ids }, &[x], x.dtype, axes, x.per_sample)
    }

    /// The same elements in the storage order `axes`.
    pub fn permute(&mut self, x: &Tensor, axes: Vec<AxisRef>) -> Tensor {
        if x.axes == axes {
            return x.clone();
        }
        self.emit(Op::Permute, &[x], x.dtype, axes, x.per_sample)
    }

    pub fn split(&mut self, x: &Tensor, axis: AxisRef, into: &[AxisRef]) -> Tensor {
        let axes = x.axes.iter().flat_map(|a| if *a == axis { into.to_vec() } else { vec![*a] }).collect();
        let op = Op::Split { axis: self.graph_axis(axis), into: into.iter().map(|axis| self.graph_axis(*axis)).collect() };
        self.emit(op, &[x], x.dtype, axes, x.per_sample)
    }

    /// `from` become `into`, at the place of the first of them.
    pub fn merge(&mut self, x: &Tensor, from: &[AxisRef], into: AxisRef) -> Tensor {
        let first = x.axes.iter().position(|axis| from.contains(axis)).unwrap_or(0);
        let mut axes: Vec<AxisRef> = x.axes.iter().filter(|axis| !from.contains(axis)).copied().collect();
        let place = first.min(axes.len());
        axes.insert(place, into);
        let op = Op::Merge { axes: from.iter().map(|axis| self.graph_axis(*axis)).collect(), into: self.graph_axis(into) };
        self.emit(op, &[x], x.dtype, axes, x.per_sample)
    }

    /// Positions `start..` of `axis`, as many as `into` is long.
    pub fn slice(&mut self, x: &Tensor, axis: AxisRef, into: AxisRef, start: &Size) -> Tensor {
        let axes = x.axes.iter().map(|a| if *a == axis { into } else { *a }).collect();
        let start = start.to_expr().unwrap_or(mgx_ir::graph::SizeExpr::Const(0));
        let op = Op::Slice { axis: self.graph_axis(axis), into: self.graph_axis(into), start, step: 1 };
        self.emit(op, &[x], x.dtype, axes, x.per_sample)
    }

    /// Position `index` of `axis`; the axis goes.
    pub fn index(&mut self, x: &Tensor, axis: AxisRef, index: &Size) -> Tensor {
        let single = self.new_axis("single", Size::constant(1));
        let sliced = self.slice(x, axis, single, index);
        // Merged with a neighbour the axis is gone without a computation; the only axis of a value is summed away.
        let Some(neighbour) = sliced.axes.iter().position(|other| *other == single).and_then(|at| sliced.axes.get(at + 1)).copied() else {
            return self.reduce(ReduceOp::Sum, &sliced, &[single]);
        };
        let info = self.axis(neighbour).clone();
        let merged = self.new_axis(&info.name, info.size);
        let result = self.merge(&sliced, &[single, neighbour], merged);
        self.rename(&result, &[(merged, neighbour)])
    }

    pub fn concat(&mut self, parts: &[(Tensor, AxisRef)], into: AxisRef) -> Tensor {
        let (first, first_axis) = &parts[0];
        let axes: Vec<AxisRef> = first.axes.iter().map(|a| if a == first_axis { into } else { *a }).collect();
        let op = Op::Concat { axes: parts.iter().map(|(_, axis)| self.graph_axis(*axis)).collect(), into: self.graph_axis(into) };
        let inputs: Vec<&Tensor> = parts.iter().map(|(tensor, _)| tensor).collect();
        let per_sample = parts.iter().any(|(tensor, _)| tensor.per_sample);
        self.emit(op, &inputs, first.dtype, axes, per_sample)
    }

    pub fn windows(&mut self, x: &Tensor, axis: AxisRef, into: AxisRef, tap: AxisRef, window: mgx_ir::graph::Window) -> Tensor {
        let axes = x.axes.iter().flat_map(|a| if *a == axis { vec![into, tap] } else { vec![*a] }).collect();
        let op = Op::Window { axis: self.graph_axis(axis), into: self.graph_axis(into), tap: self.graph_axis(tap), window };
        self.emit(op, &[x], x.dtype, axes, x.per_sample)
    }

    pub fn gather(&mut self, table: &Tensor, index: &Tensor, axis: AxisRef) -> Tensor {
        let mut axes = index.axes.clone();
        axes.extend(table.axes.iter().filter(|a| **a != axis && !index.axes.contains(a)));
        let op = Op::Gather { axis: self.graph_axis(axis) };
        self.emit(op, &[table, index], table.dtype, axes, table.per_sample || index.per_sample)
    }

    pub fn positions(&mut self, axis: AxisRef) -> Tensor {
        let ragged = self.axis_size(axis).is_ragged();
        self.emit(Op::Iota(self.graph_axis(axis)), &[], DType::I32, vec![axis], ragged)
    }

    /// Uniform random numbers like `x`, of a site of their own.
    pub fn random(&mut self, x: &Tensor) -> Tensor {
        let site = self.next_site;
        self.next_site += 1;
        self.emit(Op::Random { site }, &[], DType::F32, x.axes.clone(), x.per_sample)
    }

    /// `axes`: query, key, dim of q and k, value of v.
    pub fn attention(&mut self, qkv: [&Tensor; 3], axes: [AxisRef; 4], scale: f64) -> Tensor {
        let [query, key, dim, value] = axes;
        let [q, k, v] = qkv;
        let mut result: Vec<AxisRef> = q.axes.iter().filter(|axis| **axis != dim).copied().collect();
        result.push(value);
        let op = Op::Attention {
            query: self.graph_axis(query),
            key: self.graph_axis(key),
            dim: self.graph_axis(dim),
            value: self.graph_axis(value),
            scale,
        };
        self.emit(op, &[q, k, v], DType::F32, result, q.per_sample || k.per_sample || v.per_sample)
    }
}
