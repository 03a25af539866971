//! The commands.

pub mod check;
pub mod completions;
pub mod doc;
pub mod explain;
pub mod fmt;
pub mod folds;
pub mod list;
pub mod new;
pub mod plan;
pub mod prepare;
pub mod report;
pub mod resources;
pub mod run;
pub mod sweeps;
