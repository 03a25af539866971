//! The compiler of mgx: from text to a plan.

pub mod passes;
pub mod syntax;
