//! Speed of generated kernels: elements per second of the fused steps that transformers spend their time in.
//!
//! `cargo run --release -p mgx-cpu --example fused_speed`; set `RAYON_NUM_THREADS` for the number of threads.

#[path = "../tests/common/kernels.rs"]
#[allow(dead_code, reason = "shared with tests")]
mod kernels;

use std::error::Error;
use std::time::Instant;

use kernels::{TOKENS, column_sum, gelu, layer_norm, norm, rotary, softmax};
use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_ir::plan::{Batch, Program, Sample};

fn measure(name: &str, hidden: u64, (program, params): (Program, u64)) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let executable = Executable::new(&program).map_err(|error| format!("{error:?}"))?;
    let compile = start.elapsed();
    let mut memory = Memory { params: AlignedBytes::new(params as usize), ..Memory::default() };
    memory.arena = AlignedBytes::new(program.arena_bytes as usize);
    for (number, element) in memory.arena.as_f32_mut().iter_mut().enumerate() {
        *element = (number % 1013) as f32 * 0.004 - 2.0;
    }
    let lengths = [700, 100, 1020, 276, 500, 500, 900, 100];
    let samples = lengths.iter().enumerate().map(|(key, length)| Sample { key: key as u64, lengths: vec![*length] });
    let batch = Batch { samples: samples.collect(), ..Batch::default() };
    let mut best = f64::INFINITY;
    for _ in 0..30 {
        let start = Instant::now();
        executable.run(&mut memory, &batch).map_err(|error| format!("{error:?}"))?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let elements = (TOKENS * hidden) as f64;
    let compile = compile.as_secs_f64() * 1e3;
    println!(
        "{name:12} [{TOKENS}, {hidden:5}]  {:6.2} Gelem/s  {:8.3} ms  compiled in {compile:.1} ms",
        elements / best * 1e-9,
        best * 1e3
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    for hidden in [320, 1280] {
        measure("bias + gelu", hidden, gelu(hidden))?;
        measure("layer norm", hidden, layer_norm(hidden))?;
        measure("softmax", hidden, softmax(hidden))?;
        measure("column sums", hidden, column_sum(hidden))?;
        measure("norm", hidden, norm(hidden))?;
        measure("rotary", hidden, rotary(hidden))?;
    }
    Ok(())
}
