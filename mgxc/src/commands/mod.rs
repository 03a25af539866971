//! The commands.

pub mod check;
pub mod explain;
pub mod plan;
pub mod prepare;
pub mod run;
