//! Fused steps: from nodes to scalar expressions, to loops, to machine code, and its launch.
//!
//! `canonical` renumbers a step so that equal ones share a kernel; `expand` turns its nodes into scalar expressions of loop variables
//! (`expr`, `index`); `space` decides the loops; `vector` what runs on vectors; `emit` writes the code, which `jit` compiles; `launch` runs
//! it over the samples of a batch.

pub(crate) mod abi;
pub(crate) mod canonical;
mod emit;
pub(crate) mod expand;
mod expr;
mod index;
pub(crate) mod jit;
pub(crate) mod launch;
pub(crate) mod primitives;
pub(crate) mod space;
mod types;
mod vector;
