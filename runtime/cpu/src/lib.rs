//! The CPU backend: a program of the plan becomes generated kernels and calls of hand-written ones, and runs on batches.
//!
//! [`Executable::new`] compiles the fused steps with Cranelift (`fused`) and binds contractions, attention and scatter to the crate
//! `mgx-kernels`. [`Executable::run`] checks sizes and bounds of a batch, then runs the steps in order, each on all threads of the rayon
//! pool it is called in.
//!
//! Promises: a sample's values have the same bits whatever batch it is in and however many threads there are; all results have the same
//! bits for any number of threads; a well-formed program touches no memory but its own, whatever the batch brings.

mod checks;
mod executable;
mod fused;
mod memory;
mod pointers;
mod shapes;
mod steps;

pub use executable::Executable;
pub use memory::{ALIGNMENT, AlignedBytes, Memory};
