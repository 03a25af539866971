//! The memory of an experiment: exactly what the plan says, allocated once.

use mgx_cpu::{AlignedBytes, Memory};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{self, Plan, Program};

/// A fault of the plan, which no user can cause.
pub(crate) fn fault(what: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error("E0941", format!("the plan cannot be run: {what}")).help("this is a fault of mgx: please report it with the program")
}

/// Allocates parameters, gradients, optimizer state and the arena, zeroed, and checks that together they are what `Plan::memory` says.
/// The host's inputs are allocated batch by batch and checked by [`check_inputs`].
///
/// # Errors
/// E0940 if the machine does not have the memory; E0941 if the plan contradicts itself.
pub(crate) fn allocate(plan: &Plan) -> Result<Memory, Diagnostic> {
    check_plan(plan)?;
    refuse_too_much(plan)?;
    let slots = plan.optimizer.as_ref().map_or(0, |optimizer| optimizer.state.len());
    let memory = Memory {
        params: bytes(plan.memory.params)?,
        gradients: bytes(plan.memory.gradients)?,
        state: (0..slots).map(|_| bytes(plan.memory.gradients)).collect::<Result<_, _>>()?,
        arena: bytes(plan.memory.activations)?,
    };
    let allocated = plan::Memory { inputs: plan.memory.inputs, ..classes(&memory) };
    if allocated != plan.memory {
        return Err(fault(format_args!("its memory is {:?}, and what was allocated is {allocated:?}", plan.memory)));
    }
    Ok(memory)
}

/// Bytes by class; the host's inputs are not among them.
pub(crate) fn classes(memory: &Memory) -> plan::Memory {
    plan::Memory {
        params: memory.params.len() as u64,
        gradients: memory.gradients.len() as u64,
        optimizer: memory.state.iter().map(|slot| slot.len() as u64).sum(),
        activations: memory.arena.len() as u64,
        inputs: 0,
    }
}

fn bytes(count: u64) -> Result<AlignedBytes, Diagnostic> {
    usize::try_from(count).map(AlignedBytes::new).map_err(|_| too_much(count))
}

fn check_plan(plan: &Plan) -> Result<(), Diagnostic> {
    if plan.version != plan::PLAN_VERSION {
        return Err(fault(format_args!("its version is {}, and this runtime runs {}", plan.version, plan::PLAN_VERSION)));
    }
    let optimizer = plan.optimizer.iter().flat_map(plan::OptimizerSpec::programs);
    let programs: Vec<&Program> = plan
        .gradient
        .iter()
        .chain(&plan.evaluate)
        .chain([&plan.predict])
        .chain(&plan.start)
        .chain(plan.frozen.iter().map(|frozen| &frozen.program))
        .chain(optimizer)
        .collect();
    let largest = programs.iter().map(|program| program.arena_bytes).max().unwrap_or(0);
    if largest > plan.memory.activations {
        return Err(fault(format_args!("a program needs {largest} bytes of arena, and there are {}", plan.memory.activations)));
    }
    for param in &plan.params {
        let end = param.elements().checked_mul(param.precision.bytes()).and_then(|bytes| bytes.checked_add(param.offset));
        let limit = if param.trainable && plan.gradient.is_some() { plan.memory.gradients } else { plan.memory.params };
        if param.offset % 4 != 0 || end.is_none_or(|end| end > limit) {
            return Err(fault(format_args!("parameter `{}` is outside its memory", param.path)));
        }
    }
    Ok(())
}

/// Asks for all of the memory at once and gives it back: the allocator's refusal is an answer, that of the allocations to come would end
/// the process.
fn refuse_too_much(plan: &Plan) -> Result<(), Diagnostic> {
    let total = plan.memory.total();
    let mut probe: Vec<u8> = Vec::new();
    let count = usize::try_from(total).map_err(|_| too_much(total))?;
    probe.try_reserve_exact(count).map_err(|_| too_much(total))
}

fn too_much(total: u64) -> Diagnostic {
    let gib = total as f64 / f64::from(1u32 << 30);
    Diagnostic::error("E0940", format!("the experiment needs {gib:.1} GiB of memory ({total} bytes), which this machine refuses")).help(
        "lower the batch size or `max_length`, freeze more of the network, or use a larger machine; `mgxc plan` shows what takes how much",
    )
}

/// Checks that the inputs of a batch are within the plan's share for them.
pub(crate) fn check_inputs(plan: &Plan, batch: &plan::Batch) -> Result<(), Diagnostic> {
    let elements = |data: &plan::InputData| match data {
        plan::InputData::F32(values) => values.len(),
        plan::InputData::I32(values) => values.len(),
    };
    let bytes: u64 = batch.inputs.values().map(|data| 4 * elements(data) as u64).sum();
    if bytes > plan.memory.inputs {
        return Err(fault(format_args!("a batch has {bytes} bytes of inputs, and there is room for {}", plan.memory.inputs)));
    }
    Ok(())
}
