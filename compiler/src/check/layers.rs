//! Layers: the calls of parts that `repeat` makes, whose values training may compute again (`gradient_checkpointing`).

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, Op};

use super::value::Instance;
use super::{Checker, Emission};

impl Checker<'_> {
    /// Takes note that a layer begins, where the part is one and is not called within another.
    pub fn begin_layer(&mut self, part: &Instance) -> bool {
        let outermost = self.emission.as_mut().filter(|emission| part.repeated.get() && emission.layer.is_none());
        let Some(emission) = outermost else { return false };
        emission.layer = Some(emission.graph.nodes.len() as u32);
        true
    }

    /// The layer that has begun ends.
    pub fn end_layer(&mut self) {
        let Some(emission) = self.emission.as_mut() else { return };
        if let Some(first) = emission.layer.take() {
            emission.layers.push(first..emission.graph.nodes.len() as u32);
        }
    }

    /// Reports that `gradient_checkpointing` has nothing to do.
    pub fn no_layers(&mut self, span: Span, emission: &Emission) {
        let (label, help) = if emission.layers.is_empty() {
            ("nothing here has layers", "layers are the parts that `repeat` makes; remove the line")
        } else {
            ("no gradient goes through a layer", "where all layers are frozen, their values are not kept anyway: remove the line")
        };
        self.report(Diagnostic::warning("W0554", "`gradient_checkpointing` has no effect").label(span, label).help(help));
    }
}

/// Does a gradient of something that is trained go through a layer?
pub fn are_trained(emission: &Emission) -> bool {
    let mut trained: Vec<bool> = Vec::with_capacity(emission.graph.nodes.len());
    for node in &emission.graph.nodes {
        let own = matches!(node.op, Op::Param(id) if emission.graph.params[id.0 as usize].trainable);
        trained.push(node.ty.dtype == DType::F32 && (own || node.inputs.iter().any(|input| trained[input.0 as usize])));
    }
    emission.layers.iter().any(|layer| layer.clone().any(|node| trained[node as usize]))
}
