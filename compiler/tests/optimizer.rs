//! An optimizer as a program over whole memories: it updates parameters and state in place.

use mgx_compiler::passes::lower::{LowerOptions, lower};
use mgx_compiler::passes::simplify;
use mgx_eval::{ProgramMemory, run_program_outputs};
use mgx_ir::graph::{BinaryOp, DType, GraphBuilder, NodeId, UnaryOp};
use mgx_ir::plan::{Batch, InputData, Program, StepKind, Storage};

const ELEMENTS: usize = 32;
const BETAS: [f32; 2] = [0.9, 0.99];

fn adam() -> Program {
    let mut b = GraphBuilder::new();
    let n = b.axis("n", ELEMENTS as u64);
    let [p, g, m, v] = ["param", "gradient", "m", "v"].map(|name| b.input(name, DType::F32, &[n], false));
    let [rate, step] = ["learning_rate", "step"].map(|name| b.input(name, DType::F32, &[], false));
    let square = b.mul(g, g);
    let mut moment = |old: NodeId, new: NodeId, beta: f32| {
        let kept = b.binary_const(BinaryOp::Mul, old, f64::from(beta));
        let added = b.binary_const(BinaryOp::Mul, new, f64::from(1.0 - beta));
        let sum = b.add2(kept, added);
        let base = b.constant(f64::from(beta));
        let power = b.binary(BinaryOp::Pow, base, step);
        let one = b.constant(1.0);
        let share = b.sub(one, power);
        (sum, b.div(sum, share))
    };
    let (m_next, m_fair) = moment(m, g, BETAS[0]);
    let (v_next, v_fair) = moment(v, square, BETAS[1]);
    let root = b.unary(UnaryOp::Sqrt, v_fair);
    let below = b.binary_const(BinaryOp::Add, root, 1e-8);
    let direction = b.div(m_fair, below);
    let change = b.mul(direction, rate);
    let p_next = b.sub(p, change);
    let norm = b.sum(square, &[n]);
    b.output("square_norm", norm);
    let mut graph = b.finish();
    let places = simplify(&mut graph, &[p_next, m_next, v_next]);
    let at = |node: NodeId| places[node.0 as usize].expect("what is kept stays");
    let memory = |name: &str, storage| (name.to_owned(), storage);
    let state = |slot| Storage::State { slot, offset: 0 };
    lower(
        &graph,
        &LowerOptions {
            stores: &[(at(p_next), Storage::Param { offset: 0 }), (at(m_next), state(0)), (at(v_next), state(1))],
            memory: &[
                memory("param", Storage::Param { offset: 0 }),
                memory("gradient", Storage::Gradient { offset: 0 }),
                memory("m", state(0)),
                memory("v", state(1)),
            ],
            capacity: &[Vec::new()],
            ..LowerOptions::default()
        },
    )
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

#[test]
fn the_update_is_one_pass_over_the_memory_and_right() {
    let program = adam();
    let vectors = program.steps.iter().filter(|step| match &step.kind {
        StepKind::Fused(step) => step.stores.iter().any(|store| program.buffers[store.buffer.0 as usize].ty.axes.len() == 1),
        _ => false,
    });
    assert_eq!(vectors.count(), 1, "{}", mgx_compiler::passes::list_program(&program));
    let mut p: Vec<f32> = (0..ELEMENTS).map(|i| i as f32 * 0.1 - 1.0).collect();
    let (mut m, mut v) = (vec![0.0_f32; ELEMENTS], vec![0.0_f32; ELEMENTS]);
    let mut memory = ProgramMemory { params: bytes(&p), state: vec![bytes(&m), bytes(&v)], ..ProgramMemory::default() };
    for step in 1..4 {
        let g: Vec<f32> = (0..ELEMENTS).map(|i| ((i * 7 + step) % 11) as f32 * 0.3 - 1.5).collect();
        memory.gradients = bytes(&g);
        let mut batch = Batch::default();
        batch.inputs.insert("learning_rate".into(), InputData::F32(vec![0.01]));
        batch.inputs.insert("step".into(), InputData::F32(vec![step as f32]));
        let outputs = run_program_outputs(&program, &mut memory, &batch);
        let norm: f32 = g.iter().map(|g| g * g).sum();
        assert!((outputs[0].1.flatten()[0] - f64::from(norm)).abs() < 1e-3, "{outputs:?}");
        for i in 0..ELEMENTS {
            m[i] = BETAS[0] * m[i] + (1.0 - BETAS[0]) * g[i];
            v[i] = BETAS[1] * v[i] + (1.0 - BETAS[1]) * g[i] * g[i];
            let fair = |value: f32, beta: f32| value / (1.0 - beta.powi(step as i32));
            p[i] -= 0.01 * fair(m[i], BETAS[0]) / (fair(v[i], BETAS[1]).sqrt() + 1e-8);
        }
        for (found, expected) in floats(&memory.params).iter().zip(&p) {
            assert!((found - expected).abs() < 1e-4, "step {step}: {found} and {expected}");
        }
    }
    for (state, expected) in memory.state.iter().zip([&m, &v]) {
        assert!(floats(state).iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-5));
    }
}
