//! Cases as the compiler lowers them: the outputs, and the gradients of a loss added to the gradient memory.

use std::ops::Range;

use mgx_compiler::passes::lower::{LowerOptions, lower};
use mgx_compiler::passes::{differentiate, recompute, round_products, simplify};
use mgx_eval::arbitrary::Case;
use mgx_ir::graph::{DType, GraphBuilder, NodeId, Op, ParamId, UnaryOp};
use mgx_ir::plan::{InputData, Program, Storage};

/// A lowered case.
pub struct Lowered {
    /// The case with the loss and its gradients in its graph, and an input `loss_scale` in its batch.
    pub case: Case,
    pub program: Program,
    /// Byte offset of each parameter.
    pub offsets: Vec<u64>,
    /// Size of the parameter memory.
    pub bytes: u64,
    /// The gradient of each trainable parameter that the loss depends on.
    pub gradients: Vec<(ParamId, NodeId)>,
}

/// Lowers the outputs of a case alone.
#[allow(dead_code, reason = "each test file uses a part of it")]
pub fn forward(case: &Case) -> Lowered {
    finish(case.clone(), Vec::new(), false)
}

/// As [`with_gradients`], or without them as [`forward`], in mixed precision.
#[allow(dead_code, reason = "each test file uses a part of it")]
pub fn mixed(case: &Case, gradients: bool) -> Option<Lowered> {
    if !gradients {
        return Some(finish(case.clone(), Vec::new(), true));
    }
    differentiated(case, &[]).map(|(case, gradients)| finish(case, gradients, true))
}

/// Lowers the outputs of a case with the gradients of `Σ sin(x)` over all elements `x` of its float outputs, times 0.5; `None` where it has
/// none or they cannot be differentiated.
pub fn with_gradients(case: &Case) -> Option<Lowered> {
    recomputed(case, &[])
}

/// As [`with_gradients`], where the gradients compute what they need of these layers again.
pub fn recomputed(case: &Case, layers: &[Range<u32>]) -> Option<Lowered> {
    differentiated(case, layers).map(|(case, gradients)| finish(case, gradients, false))
}

/// The case with the loss and its gradients in its graph.
fn differentiated(case: &Case, layers: &[Range<u32>]) -> Option<(Case, Vec<(ParamId, NodeId)>)> {
    let mut b = GraphBuilder::from_graph(case.graph.clone());
    let mut losses = Vec::new();
    let scale = b.input("loss_scale", DType::F32, &[], false);
    for (_, node) in case.outputs().filter(|(_, node)| case.graph.ty(*node).dtype == DType::F32) {
        let bounded = b.unary(UnaryOp::Sin, node);
        let axes = b.ty(node).axes.clone();
        losses.push((b.sum(bounded, &axes), scale));
    }
    let mut graph = b.finish();
    let nodes = (0..case.graph.nodes.len() as u32).map(NodeId);
    let params: Vec<(ParamId, NodeId)> = nodes
        .filter_map(|node| match case.graph.node(node).op {
            Op::Param(id) if case.graph.params[id.0 as usize].trainable => Some((id, node)),
            _ => None,
        })
        .collect();
    let wrt: Vec<NodeId> = params.iter().map(|(_, node)| *node).collect();
    let found = differentiate(&mut graph, &losses, &wrt).ok()?;
    let places = recompute(&mut graph, layers, &found);
    let gradients = params.iter().zip(found.gradients);
    let gradients: Vec<(ParamId, NodeId)> = gradients.filter_map(|((id, _), gradient)| Some((*id, places[gradient?.0 as usize]))).collect();
    let mut case = Case { graph, ..case.clone() };
    case.batch.inputs.insert("loss_scale".into(), InputData::F32(vec![0.5]));
    Some((case, gradients))
}

/// Parts of a graph one after another that are to be layers, with gaps between them; others for each seed.
#[allow(dead_code, reason = "each test file uses a part of it")]
pub fn layers(case: &Case, seed: u64) -> Vec<Range<u32>> {
    let count = case.graph.nodes.len() as u32;
    let size = 2 + (seed % 7) as u32 * count.div_ceil(16);
    (0..count).step_by(size as usize + (seed % 3) as usize).map(|first| first..(first + size).min(count)).collect()
}

/// Simplifies and lowers, in mixed precision where that is wanted.
fn finish(mut case: Case, mut gradients: Vec<(ParamId, NodeId)>, mixed: bool) -> Lowered {
    let keep: Vec<NodeId> = gradients.iter().map(|(_, node)| *node).collect();
    let places = simplify(&mut case.graph, &keep);
    for (_, node) in &mut gradients {
        *node = places[node.0 as usize].expect("what is kept stays");
    }
    if mixed {
        let places = round_products(&mut case.graph);
        for (_, node) in &mut gradients {
            *node = places[node.0 as usize];
        }
    }
    let mut offsets = Vec::new();
    let mut bytes = 0;
    for param in &case.params {
        offsets.push(bytes);
        bytes += (param.len() as u64 * 4).next_multiple_of(64);
    }
    let capacity: Vec<Vec<Vec<u64>>> = vec![case.batch.samples.iter().map(|sample| sample.lengths.clone()).collect()];
    let options = LowerOptions { params: &offsets, gradients: &gradients, capacity: &capacity, ..LowerOptions::default() };
    let program = lower(&case.graph, &options);
    Lowered { case, program, offsets, bytes, gradients }
}

/// A lowered case whose parameters are numbers of bfloat16, and the same program with all of them stored so: the parameters stay at their
/// offsets and take half the bytes. Also gives that parameter memory.
#[allow(dead_code, reason = "each test file uses a part of it")]
pub fn stored_as_bf16(lowered: &Lowered) -> (Lowered, Program, Vec<u8>) {
    let half = |number: f64| ((number as f32).to_bits() >> 16) as u16;
    let params = lowered
        .case
        .params
        .iter()
        .map(|numbers| numbers.iter().map(|number| f64::from(f32::from_bits(u32::from(half(*number)) << 16))).collect::<Vec<f64>>());
    let case = Case { params: params.collect(), ..lowered.case.clone() };
    let mut memory = vec![0xAA; lowered.bytes as usize];
    for (numbers, offset) in case.params.iter().zip(&lowered.offsets) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| half(*number).to_le_bytes()).collect();
        memory[*offset as usize..*offset as usize + bytes.len()].copy_from_slice(&bytes);
    }
    let mut program = lowered.program.clone();
    for buffer in &mut program.buffers {
        if let Storage::Param { offset } = buffer.storage {
            buffer.storage = Storage::ParamBf16 { offset };
        }
    }
    let rounded = Lowered {
        case,
        program: lowered.program.clone(),
        offsets: lowered.offsets.clone(),
        bytes: lowered.bytes,
        gradients: lowered.gradients.clone(),
    };
    (rounded, program, memory)
}
