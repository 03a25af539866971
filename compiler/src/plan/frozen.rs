//! The frozen part of an experiment that trains: see [`split_frozen`].

use mgx_ir::graph::{NodeId, ParamId};
use mgx_ir::plan::{FrozenSpec, InputSource, OutputKind};

use super::cleaned;
use crate::check::Elaborated;
use crate::passes::lower::{LowerOptions, lower};
use crate::passes::{Fixed, Whole, fingerprint, flops, reads, split_frozen};

/// The share of the forward pass, as 1 / this, from which on its frozen part is worth being kept.
const WORTH: u64 = 4;

/// The frozen part, and the experiment without it.
pub(super) struct Parts {
    pub spec: FrozenSpec,
    pub evaluation: Elaborated,
    pub training: Elaborated,
}

/// Takes the frozen part out of an experiment, where it is much of its work.
pub(super) fn part(evaluation: &Elaborated, training: &Elaborated, memory: &LowerOptions<'_>) -> Option<Parts> {
    training.train.as_ref()?;
    // What is filled into masks is read again by the whole network.
    if evaluation.task.outputs.iter().any(|output| matches!(output.kind, OutputKind::Filled(_))) {
        return None;
    }
    let changed = |id: ParamId| training.updates.iter().any(|(updated, _)| *updated == id);
    let param = |id: ParamId| !training.params[id.0 as usize].trainable && !changed(id);
    let drawn = |name: &str| {
        let source = training.inputs.iter().find(|input| input.name == name).map(|input| &input.source);
        source.is_none_or(|source| {
            matches!(
                source,
                InputSource::Masked { .. } | InputSource::Chosen { .. } | InputSource::Hidden { .. } | InputSource::NoiseLevel { .. }
            )
        })
    };
    let (evaluated, trained) = (whole(evaluation), whole(training));
    let mut frozen = split_frozen(&evaluated, &trained, &Fixed { param: &param, input: &|name| !drawn(name) })?;
    cleaned(&mut frozen.graph, &[], evaluation.products);
    let program = lower(&frozen.graph, memory);
    let mut rest = frozen.evaluation.clone();
    cleaned(&mut rest, &[], evaluation.products);
    let rest = lower(&rest, memory);
    let work = |program| memory.capacity.iter().map(|samples| flops(program, samples)).max().unwrap_or(0);
    if work(&program) * WORTH < work(&program) + work(&rest) {
        return None;
    }
    let (params, inputs) = reads(&frozen.graph);
    let spec = FrozenSpec { program, fingerprint: fingerprint(&frozen.graph), params, inputs, values: frozen.values };
    let with = |graph, experiment: &Elaborated| Elaborated { graph, ..experiment.clone() };
    Some(Parts { spec, evaluation: with(frozen.evaluation, evaluation), training: with(frozen.training, training) })
}

fn whole(experiment: &Elaborated) -> Whole<'_> {
    let task = &experiment.task;
    let measured = task.measured.iter().map(|(_, node)| *node);
    let updates = experiment.updates.iter().map(|(_, node)| *node);
    let roots: Vec<NodeId> = task.loss.into_iter().chain(task.weight).chain(measured).chain(updates).collect();
    Whole { graph: &experiment.graph, roots }
}

/// Bytes of the frozen part's values for a batch of samples with these lengths.
pub(super) fn value_bytes(frozen: &FrozenSpec, samples: &[Vec<u64>]) -> u64 {
    samples.iter().flat_map(|lengths| frozen.values.iter().map(|value| 4 * value.elements(lengths))).sum()
}
