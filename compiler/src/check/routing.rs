//! `route(x, chosen, parts)`: each element of `chosen` says which of several equal parts is applied for it.
//!
//! The first part is evaluated once, with every parameter standing for those of all parts: a contraction with it becomes a contraction whose rows choose their
//! matrix, and any other use takes the rows of a table of all of them. So a part is computed only for what chose it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, NodeId, Op};

use super::Checker;
use super::size::Size;
use super::value::{AxisRef, Env, Instance, Tensor, Value};

/// The parameters of all parts that one value stands for, and what chooses among them.
#[derive(Clone, Debug)]
pub struct Routed {
    index: Tensor,
    /// All over the axes of the first.
    matrices: Vec<Tensor>,
}

impl Checker<'_> {
    /// Applies to each element of `chosen` that one of the parts.
    pub fn route(&mut self, x: &Tensor, chosen: &Tensor, parts: &[Rc<Instance>], span: Span) -> Value {
        let mut axes = chosen.axes.clone();
        axes.extend(x.axes.iter().filter(|axis| !chosen.axes.contains(axis)));
        let repeated = self.emit(Op::Broadcast, &[x], x.dtype, axes, x.per_sample || chosen.per_sample);
        let Some(first) = parts.first() else {
            self.report(Diagnostic::error("E0218", "there is no part to choose").label(span, "zero parts"));
            return Value::Error;
        };
        let each: Vec<AxisRef> = chosen.axes.iter().filter(|axis| !x.axes.contains(axis)).copied().collect();
        let each = each.iter().filter_map(|axis| self.axis_size(*axis).as_constant()).product::<i64>().max(1) as u64;
        let stood = if first.shallow { Some(Rc::clone(first)) } else { self.standing_for(parts, chosen, each, span) };
        match stood {
            Some(part) => self.call_instance(&part, "forward", vec![(None, Value::Tensor(repeated), span)], span),
            None => Value::Error,
        }
    }

    /// The first part with the parameters of all.
    fn standing_for(&mut self, parts: &[Rc<Instance>], chosen: &Tensor, each: u64, span: Span) -> Option<Rc<Instance>> {
        let first = &parts[0];
        let mut env = Env::default();
        for (place, (name, value)) in first.env.borrow().vars.iter().enumerate() {
            let others: Vec<Value> =
                parts.iter().filter_map(|part| part.env.borrow().vars.get(place).map(|(_, value)| value.clone())).collect();
            let value = match value {
                Value::Tensor(tensor) => self.rows_of_all(tensor, &others, chosen, each, &join(&first.path, name), span)?,
                Value::Part(_) => {
                    let inner: Vec<Rc<Instance>> = others.iter().filter_map(part_of).collect();
                    self.same_number(inner.len(), parts.len(), &join(&first.path, name), span)?;
                    Value::Part(self.standing_for(&inner, chosen, each, span)?)
                }
                Value::Parts(list) => {
                    let mut made = Vec::new();
                    for at in 0..list.len() {
                        let inner: Vec<Rc<Instance>> = others
                            .iter()
                            .filter_map(|other| if let Value::Parts(list) = other { list.get(at).cloned() } else { None })
                            .collect();
                        self.same_number(inner.len(), parts.len(), &join(&first.path, name), span)?;
                        made.push(self.standing_for(&inner, chosen, each, span)?);
                    }
                    Value::Parts(Rc::new(made))
                }
                other => other.clone(),
            };
            env.set(name, value);
        }
        let path = first.path.replacen("[0]", "", usize::from(first.path.ends_with("[0]")));
        Some(Rc::new(Instance {
            item: first.item,
            path,
            key: first.key.clone(),
            keys: first.keys.clone(),
            shallow: first.shallow,
            env: RefCell::new(env),
            outer: RefCell::new(first.outer.borrow().clone()),
            repeated: Cell::new(false),
            calls: Cell::new(0),
        }))
    }

    /// The rows that `chosen` takes of a table of one parameter of all parts.
    fn rows_of_all(&mut self, first: &Tensor, all: &[Value], chosen: &Tensor, each: u64, path: &str, span: Span) -> Option<Value> {
        let mut matrices = Vec::new();
        for value in all {
            let Value::Tensor(tensor) = value else { break };
            let same = tensor.axes.len() == first.axes.len()
                && tensor.axes.iter().zip(&first.axes).all(|(a, b)| self.same_size(&self.axis_size(*a), &self.axis_size(*b)));
            if !same {
                break;
            }
            let pairs: Vec<_> = tensor.axes.iter().copied().zip(first.axes.iter().copied()).collect();
            self.mark_chosen(tensor.node, each, all.len() as u64);
            matrices.push(self.rename(tensor, &pairs));
        }
        self.same_number(matrices.len(), all.len(), path, span)?;
        let number = self.new_axis("parts", Size::constant(all.len() as i64));
        let mut rows = Vec::new();
        for matrix in &matrices {
            let one = self.new_axis("one", Size::constant(1));
            let axes = [&[one], matrix.axes.as_slice()].concat();
            rows.push((self.emit(Op::Broadcast, &[matrix], matrix.dtype, axes, matrix.per_sample), one));
        }
        let table = self.concat(&rows, number);
        let taken = self.gather(&table, chosen, number);
        if let Some(node) = taken.node {
            self.routed.insert(node, Routed { index: chosen.clone(), matrices });
        }
        Some(Value::Tensor(taken))
    }

    /// Notes that so many of so many parts use a parameter for each element.
    fn mark_chosen(&mut self, node: Option<NodeId>, each: u64, of: u64) {
        let (Some(emission), Some(node)) = (self.emission.as_mut(), node) else { return };
        if let Op::Param(id) = emission.graph.node(node).op {
            emission.params[id.0 as usize].chosen = Some((each.min(of), of));
        }
    }

    fn same_number(&mut self, found: usize, wanted: usize, path: &str, span: Span) -> Option<()> {
        if found == wanted {
            return Some(());
        }
        self.report(
            Diagnostic::error("E0218", "the parts to choose from are not equal")
                .label(span, format!("`{path}` is not the same in all of them"))
                .help("give all of them the same sizes and options"),
        );
        None
    }

    /// A contraction of `x` with what stands for several matrices, where each row of `x` has one choice.
    pub fn routed_contraction(&mut self, x: &Tensor, y: &Tensor, over: &[AxisRef]) -> Option<Tensor> {
        let Routed { index, matrices } = self.routed.get(&y.node?)?.clone();
        let own = matrices.first()?.axes.clone();
        let rows_choose = x.axes.iter().all(|axis| over.contains(axis) || index.axes.contains(axis));
        let summed = over.iter().all(|axis| own.contains(axis));
        if !rows_choose || !summed || matrices.iter().any(|matrix| matrix.per_sample || matrix.dtype != DType::F32) {
            return None;
        }
        let mut axes = index.axes.clone();
        axes.extend(own.iter().filter(|axis| !over.contains(axis)));
        let op = Op::RoutedContract { over: over.iter().map(|axis| self.graph_axis(*axis)).collect() };
        let inputs: Vec<&Tensor> = [x, &index].into_iter().chain(&matrices).collect();
        Some(self.emit(op, &inputs, DType::F32, axes, x.per_sample || index.per_sample))
    }
}

fn part_of(value: &Value) -> Option<Rc<Instance>> {
    if let Value::Part(part) = value { Some(Rc::clone(part)) } else { None }
}

fn join(path: &str, name: &str) -> String {
    super::instance::join(path, name)
}
