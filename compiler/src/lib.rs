//! Under construction.

pub mod passes;
