//! The plain data that the compiler and the runtime share: the graph and the plan.
//!
//! Nothing here parses, checks a program, allocates a tensor or runs one. [`graph`] is the per-sample tensor IR with its
//! operations and their rules; [`genes`] says which gene a name means; [`plan`] is what the compiler hands to the runtime.

pub mod genes;
pub mod graph;
pub mod plan;
pub mod random;
