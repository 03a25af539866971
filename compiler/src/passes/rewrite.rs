//! Building a new graph from an old one, node by node, with common subexpressions shared.

use std::collections::HashMap;

use mgx_ir::graph::{Graph, GraphBuilder, Node, NodeId, Op, Type};

/// A graph under construction in which equal nodes are one. Lengths, axes and parameters are those of the old graph.
pub(crate) struct Rewriter {
    pub(crate) b: GraphBuilder,
    known: HashMap<String, NodeId>,
}

impl Rewriter {
    /// Starts a graph without nodes and outputs.
    pub(crate) fn new(old: &Graph) -> Self {
        let graph = Graph {
            lengths: old.lengths.clone(),
            axes: old.axes.clone(),
            params: old.params.clone(),
            nodes: Vec::new(),
            outputs: Vec::new(),
        };
        Self { b: GraphBuilder::from_graph(graph), known: HashMap::new() }
    }

    /// The node with this operation, inputs and (where the rule leaves it open) type; added unless it is there. What is there
    /// keeps the places of both.
    pub(crate) fn add(&mut self, op: Op, inputs: &[NodeId], declared: Option<Type>) -> NodeId {
        let key = format!("{op:?} {inputs:?} {declared:?}");
        if let Some(found) = self.known.get(&key) {
            let node = &mut self.b.graph.nodes[found.0 as usize];
            for span in &self.b.spans {
                if !node.spans.contains(span) {
                    node.spans.push(*span);
                }
            }
            return *found;
        }
        let id = self.b.add(op, inputs, declared);
        self.known.insert(key, id);
        id
    }

    /// The type that the rule of an operation leaves open, for [`Self::add`].
    pub(crate) fn declared(node: &Node) -> Option<Type> {
        matches!(node.op, Op::Input { .. } | Op::Random { .. } | Op::Const(_) | Op::Cast | Op::Broadcast | Op::Permute)
            .then(|| node.ty.clone())
    }

    /// A copy of an old node on new inputs. Its path goes to the new node where that has none.
    pub(crate) fn copy(&mut self, node: &Node, inputs: &[NodeId]) -> NodeId {
        self.add(node.op.clone(), inputs, Self::declared(node))
    }

    /// Takes over an old node's place and path for what is added next and for `id`.
    pub(crate) fn name(&mut self, id: NodeId, path: Option<&String>) {
        let node = &mut self.b.graph.nodes[id.0 as usize];
        if node.path.is_none() {
            node.path = path.cloned();
        }
    }
}
