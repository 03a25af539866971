//! The plain data that the compiler and the runtime share: the graph and the plan.
//!
//! Nothing here parses, checks a program, allocates a tensor or runs one. [`graph`] is the per-sample tensor IR with its
//! operations and their rules; [`plan`] is what the compiler hands to the runtime.

pub mod graph;
pub mod plan;
pub mod random;
