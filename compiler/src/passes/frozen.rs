//! The frozen part of a network: what training never changes and nothing random enters, from the inputs up to the first values that trained parts read. It is
//! computed by a program of its own, once for each row; the programs of training and evaluation read its values as inputs.

use std::collections::{HashMap, HashSet};

use mgx_ir::graph::{DType, Extent, Graph, NodeId, Op, Output, ParamId};
use mgx_ir::plan::FrozenValue;
use sha2::{Digest, Sha256};

use super::simplify;

/// The name under which programs read a value of the frozen part.
fn value_name(index: usize) -> String {
    format!("frozen.{index}")
}

/// A length that ragged axes are taken to have where sizes of values are compared.
const NOMINAL_LENGTH: u64 = 256;

/// A graph and what is wanted of it besides its outputs.
pub struct Whole<'g> {
    pub graph: &'g Graph,
    pub roots: Vec<NodeId>,
}

/// What is frozen of two graphs of one experiment, and the graphs with these values as inputs.
pub struct Frozen {
    /// Its outputs are the values, in order.
    pub graph: Graph,
    pub values: Vec<FrozenValue>,
    pub evaluation: Graph,
    pub training: Graph,
}

/// Which parameters and inputs a frozen part may read.
pub struct Fixed<'f> {
    pub param: &'f dyn Fn(ParamId) -> bool,
    pub input: &'f dyn Fn(&str) -> bool,
}

/// Finds the frozen part of the training graph, and the same values in the evaluation's; none if there is nothing or they differ. Values that are quickly
/// computed from smaller ones (pairs of positions) are not among them, but what they are computed from.
pub fn split_frozen(evaluation: &Whole<'_>, training: &Whole<'_>, fixed: &Fixed<'_>) -> Option<Frozen> {
    let mut known = Expressions::default();
    let trained = Candidates::new(training, fixed);
    let frontier = trained.frontier();
    if frontier.is_empty() {
        return None;
    }
    let numbers = known.of(training.graph);
    let by_number: HashMap<u32, usize> = frontier.iter().enumerate().map(|(place, node)| (numbers[node.0 as usize], place)).collect();
    let evaluated = Candidates::new(evaluation, fixed);
    let mut found: Vec<Option<NodeId>> = vec![None; frontier.len()];
    let mut same: Vec<(NodeId, usize)> = Vec::new();
    for (index, number) in known.of(evaluation.graph).into_iter().enumerate() {
        if let Some(place) = by_number.get(&number).filter(|_| evaluated.is[index]) {
            found[*place].get_or_insert(NodeId(index as u32));
            same.push((NodeId(index as u32), *place));
        }
    }
    let nodes: Vec<NodeId> = found.into_iter().collect::<Option<_>>()?;
    let mut graph = evaluation.graph.clone();
    graph.outputs = nodes.iter().enumerate().map(|(index, node)| Output { name: value_name(index), node: *node }).collect();
    simplify(&mut graph, &[]);
    let values = graph.outputs.iter().map(|output| {
        let ty = graph.ty(output.node);
        FrozenValue {
            name: output.name.clone(),
            dtype: ty.dtype,
            extents: ty.axes.iter().map(|axis| graph.extent(*axis).clone()).collect(),
        }
    });
    let values = values.collect();
    let in_training: Vec<(NodeId, usize)> = frontier.iter().copied().zip(0..).collect();
    let (evaluation, training) = (reading(evaluation.graph, &same), reading(training.graph, &in_training));
    Some(Frozen { graph, values, evaluation, training })
}

/// The graph with inputs in the places of some nodes.
fn reading(graph: &Graph, nodes: &[(NodeId, usize)]) -> Graph {
    let mut graph = graph.clone();
    for (node, place) in nodes {
        let node = &mut graph.nodes[node.0 as usize];
        node.op = Op::Input { name: value_name(*place) };
        node.inputs.clear();
    }
    graph
}

/// The values of a graph that could be kept for each row: computed from frozen parameters, the same in every epoch.
struct Candidates<'g> {
    whole: &'g Whole<'g>,
    is: Vec<bool>,
}

impl<'g> Candidates<'g> {
    fn new(whole: &'g Whole<'g>, fixed: &Fixed<'_>) -> Self {
        let graph = whole.graph;
        let mut steady = vec![false; graph.nodes.len()];
        let mut weighed = vec![false; graph.nodes.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            steady[index] = match &node.op {
                Op::Input { name } => node.ty.per_sample && (fixed.input)(name),
                Op::Param(id) => (fixed.param)(*id),
                Op::Random { .. } | Op::RoutedOuter { .. } => false,
                Op::Reduce { batch: true, .. } | Op::Contract { batch: true, .. } | Op::ScatterAdd { batch: true, .. } => false,
                _ => node.inputs.iter().all(|input| steady[input.0 as usize]),
            };
            weighed[index] = matches!(node.op, Op::Param(_)) || node.inputs.iter().any(|input| weighed[input.0 as usize]);
        }
        let stored = |index: usize| {
            let node = &graph.nodes[index];
            node.ty.per_sample && node.ty.dtype != DType::Bool && steady[index] && weighed[index]
        };
        Self { whole, is: (0..graph.nodes.len()).map(stored).collect() }
    }

    /// Where what must be computed anew reads candidates.
    fn frontier(&self) -> Vec<NodeId> {
        let mut cheap: HashSet<NodeId> = HashSet::new();
        loop {
            let frontier = self.reached(&cheap);
            let before: HashSet<NodeId> = frontier.iter().copied().collect();
            let expanded = frontier.iter().copied().filter(|node| self.is_expansion(*node, &before));
            let found = cheap.len();
            cheap.extend(expanded);
            if cheap.len() == found {
                return frontier;
            }
        }
    }

    /// The first candidates on the way from the roots to the inputs, without those that are computed anew.
    fn reached(&self, anew: &HashSet<NodeId>) -> Vec<NodeId> {
        let mut seen = vec![false; self.whole.graph.nodes.len()];
        let mut stack: Vec<NodeId> =
            self.whole.graph.outputs.iter().map(|output| output.node).chain(self.whole.roots.iter().copied()).collect();
        let mut frontier = Vec::new();
        while let Some(node) = stack.pop() {
            if std::mem::replace(&mut seen[node.0 as usize], true) {
                continue;
            }
            if self.is[node.0 as usize] && !anew.contains(&node) {
                frontier.push(node);
            } else {
                stack.extend(&self.whole.graph.node(node).inputs);
            }
        }
        frontier.sort_unstable();
        frontier
    }

    /// Is a value quickly computed from smaller ones that are kept anyway or take less room?
    fn is_expansion(&self, node: NodeId, kept: &HashSet<NodeId>) -> bool {
        let graph = self.whole.graph;
        let summed = matches!(
            graph.node(node).op,
            Op::Reduce { .. }
                | Op::Contract { .. }
                | Op::ScatterAdd { .. }
                | Op::RoutedContract { .. }
                | Op::Attention { .. }
                | Op::AttentionLse { .. }
        );
        let inputs: HashSet<NodeId> =
            graph.node(node).inputs.iter().copied().filter(|input| self.is[input.0 as usize] && !kept.contains(input)).collect();
        !summed && inputs.iter().map(|input| elements(graph, *input)).sum::<u64>() < elements(graph, node)
    }
}

fn elements(graph: &Graph, node: NodeId) -> u64 {
    let lengths = vec![NOMINAL_LENGTH; graph.lengths.len()];
    graph.ty(node).axes.iter().map(|axis| graph.extent(*axis).eval(&lengths)).fold(1, u64::saturating_mul)
}

/// Equal expressions of several graphs of one experiment have equal numbers.
#[derive(Default)]
struct Expressions {
    numbers: HashMap<String, u32>,
}

impl Expressions {
    fn of(&mut self, graph: &Graph) -> Vec<u32> {
        let mut numbers: Vec<u32> = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let inputs: Vec<u32> = node.inputs.iter().map(|input| numbers[input.0 as usize]).collect();
            let next = self.numbers.len() as u32;
            numbers.push(*self.numbers.entry(format!("{:?} {inputs:?} {:?}", node.op, node.ty)).or_insert(next));
        }
        numbers
    }
}

/// The parameters and inputs that a graph reads, in the order of their first use.
pub fn reads(graph: &Graph) -> (Vec<ParamId>, Vec<String>) {
    let (mut params, mut inputs) = (Vec::new(), Vec::new());
    for node in &graph.nodes {
        match &node.op {
            Op::Param(id) if !params.contains(id) => params.push(*id),
            Op::Input { name } if !inputs.contains(name) => inputs.push(name.clone()),
            _ => {}
        }
    }
    (params, inputs)
}

/// SHA-256 (64 hexadecimal digits) of what a graph computes, with axes, lengths, parameters and inputs numbered by their first use: equal for equal computations from
/// what [`reads`] names; names and other parts of the experiment do not enter.
pub fn fingerprint(graph: &Graph) -> String {
    let mut hasher = Sha256::new();
    let mut numbers = Numbers { graph, seen: HashMap::new() };
    for node in &graph.nodes {
        let op = match &node.op {
            Op::Input { name } => format!("Input(InputName({}))", numbers.number("InputName", name)),
            op => numbers.renumbered(&format!("{op:?}")),
        };
        let ty = numbers.renumbered(&format!("{:?}", node.ty));
        hasher.update(format!("{op} {:?} {ty}\n", node.inputs).as_bytes());
    }
    for output in &graph.outputs {
        hasher.update(format!("{:?}\n", output.node).as_bytes());
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Numbers<'g> {
    graph: &'g Graph,
    /// By kind and number, or name.
    seen: HashMap<(&'static str, String), usize>,
}

impl Numbers<'_> {
    /// Kinds of identities as they stand in the debug form of operations and types.
    const KINDS: [&'static str; 3] = ["AxisId", "LengthId", "ParamId"];

    fn number(&mut self, kind: &'static str, name: &str) -> usize {
        // Numbers of all kinds are one sequence: what counts is that equal graphs have equal ones.
        let next = self.seen.len();
        *self.seen.entry((kind, name.to_owned())).or_insert(next)
    }

    /// The text with every `AxisId(17)` and the like by its place in the order of first use; an axis comes with its extent at its first.
    fn renumbered(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((place, kind)) = Self::KINDS.iter().filter_map(|kind| Some((rest.find(&format!("{kind}("))?, *kind))).min() {
            let digits = &rest[place + kind.len() + 1..];
            let digits = &digits[..digits.find(')').unwrap_or(digits.len())];
            let first = !self.seen.contains_key(&(kind, digits.to_owned()));
            out.push_str(&rest[..place]);
            out.push_str(&format!("{kind}({})", self.number(kind, digits)));
            if let (true, "AxisId", Some(axis)) = (first, kind, digits.parse().ok().and_then(|id: usize| self.graph.axes.get(id))) {
                let extent = match &axis.extent {
                    Extent::Static(size) => size.to_string(),
                    Extent::Ragged(expr) => self.renumbered(&format!("{expr:?}")),
                };
                out.push_str(&format!("[{extent}]"));
            }
            rest = &rest[place + kind.len() + digits.len() + 2..];
        }
        out + rest
    }
}
