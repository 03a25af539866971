//! The reference evaluator: graphs and programs in f64, slow and obvious.
//!
//! It is the oracle of every test of numbers: a pass, a lowering or a backend is right where it agrees with this crate. It promises to
//! follow the documentation of `mgx_ir` to the letter, and panics with a description where a graph or a program breaks its rules.

pub mod arbitrary;
mod differences;
mod graph;
mod ops;
mod program;
mod scope;
mod tensor;

pub use differences::{DifferenceOptions, DifferenceReport, check_gradient};
pub use graph::{Values, eval_graph, eval_graph_given, eval_more, eval_scalars};
pub use program::{ProgramMemory, run_program, run_program_outputs};
pub use tensor::{Index, Tensor, Value, for_each_index};
