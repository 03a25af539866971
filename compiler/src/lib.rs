//! The compiler of mgx: from text to a plan.
//!
//! [`syntax`] reads text into a tree, [`check`] gives it meaning and builds an experiment's graph, [`passes`] differentiate, simplify and lower graphs,
//! [`plan`] puts it all together for the runtime. Nothing here runs a tensor operation or touches the file system, apart from what the
//! [`check::World`] is asked for.

pub mod check;
pub mod format;
pub mod pages;
pub mod passes;
pub mod plan;
mod stdlib;
pub mod syntax;
