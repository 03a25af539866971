//! What a run refuses, by code, and what numbers that are none do.

mod common;
#[path = "common/kernels.rs"]
#[allow(dead_code, reason = "shared with the speed measurement")]
mod kernels;

use common::memory;
use kernels::{HIDDEN, Kernel, SEQ};
use mgx_cpu::{Executable, Memory};
use mgx_eval::ProgramMemory;
use mgx_ir::graph::{Extent, Op, ReduceOp, SizeExpr};
use mgx_ir::plan::{Batch, BufferId, InputData, Program, ProgramInput, ReduceSpace, Sample, Storage};

/// The greatest of a slice of each row, from an input.
fn greatest(hidden: u64) -> Program {
    let mut k = Kernel::new(hidden, &[SEQ], &[HIDDEN], ReduceSpace::Inner);
    let x = k.buffer(&[SEQ, HIDDEN], true, Storage::Input);
    let x = k.read(x);
    let most = k.node(Some(Op::Reduce { op: ReduceOp::Max, over: vec![HIDDEN], batch: false }), vec![x], &[SEQ], true);
    let out = k.arena(&[SEQ]);
    k.store(most, out);
    let (mut program, _) = k.finish();
    program.inputs.push(ProgramInput { name: "x".into(), buffer: BufferId(0) });
    program
}

fn batch(lengths: Vec<u64>, elements: Option<InputData>) -> Batch {
    let inputs = elements.into_iter().map(|elements| ("x".to_owned(), elements)).collect();
    Batch { samples: vec![Sample { key: 1, lengths }], inputs, random: 0 }
}

fn code(program: &Program, memory: &mut Memory, batch: &Batch) -> &'static str {
    let executable = Executable::new(program).expect("the program is well-formed");
    executable.run(memory, batch).expect_err("the batch is refused").code.0
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let program = greatest(4);
    let full = || memory(&program, &ProgramMemory::default());
    let elements = |count| Some(InputData::F32(vec![0.0; count]));
    assert_eq!(code(&program, &mut full(), &batch(vec![], elements(8))), "E0803");
    assert_eq!(code(&program, &mut full(), &batch(vec![2], None)), "E0804");
    assert_eq!(code(&program, &mut full(), &batch(vec![2], elements(7))), "E0805");
    assert_eq!(code(&program, &mut full(), &batch(vec![2], Some(InputData::I32(vec![0; 8])))), "E0805");
    assert_eq!(code(&program, &mut full(), &batch(vec![5000], elements(20_000))), "E0806");
    assert_eq!(code(&program, &mut Memory::default(), &batch(vec![2], elements(8))), "E0806");
    let executable = Executable::new(&program).expect("the program is well-formed");
    let error = executable.output(&full(), &batch(vec![2], elements(8)), "other").expect_err("there is no such output");
    assert_eq!(error.code.0, "E0808");
}

#[test]
fn slices_beyond_a_short_sample_are_refused() {
    let mut k = Kernel::new(3, &[], &[], ReduceSpace::None);
    let five = k.axis("five", Extent::Static(5));
    k.step.outer = vec![five, HIDDEN];
    let x = k.buffer(&[SEQ, HIDDEN], true, Storage::Input);
    let x = k.read(x);
    let slice = Op::Slice { axis: SEQ, into: five, start: SizeExpr::Const(1), step: 1 };
    let y = k.node(Some(slice), vec![x], &[five, HIDDEN], true);
    let out = k.arena_per_sample(&[five, HIDDEN]);
    k.store(y, out);
    let (mut program, _) = k.finish();
    program.inputs.push(ProgramInput { name: "x".into(), buffer: BufferId(0) });
    let short = batch(vec![5], Some(InputData::F32(vec![0.0; 15])));
    assert_eq!(code(&program, &mut memory(&program, &ProgramMemory::default()), &short), "E0807");
    let long = batch(vec![6], Some(InputData::F32((0..18u8).map(f32::from).collect())));
    let found = common::run(&program, &ProgramMemory::default(), &long);
    assert_eq!(found[0].1, InputData::F32((3..18u8).map(f32::from).collect()));
}

#[test]
fn a_store_to_an_input_is_refused() {
    let mut program = greatest(4);
    program.buffers[1].storage = Storage::Alias(BufferId(0));
    assert_eq!(Executable::new(&program).err().map(|error| error.code.0), Some("E0800"));
}

/// Wherever it stands in the row, NaN is the greatest.
#[test]
fn a_maximum_is_nan_where_an_element_is() {
    let hidden = 39;
    let program = greatest(hidden as u64);
    let mut rows = vec![1.5_f32; hidden * (hidden + 1)];
    (0..hidden).for_each(|row| rows[row * hidden + row] = f32::NAN);
    let found = common::run(&program, &ProgramMemory::default(), &batch(vec![hidden as u64 + 1], Some(InputData::F32(rows))));
    let InputData::F32(found) = &found[0].1 else { panic!("the output is F32") };
    assert!(found[..hidden].iter().all(|greatest| greatest.is_nan()), "{found:?}");
    assert_eq!(found[hidden], 1.5);
}
