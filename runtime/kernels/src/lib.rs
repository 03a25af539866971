//! Hand-written CPU kernels on plain slices: what generated code calls and what it cannot express well.
//!
//! - [`vmath`]: elementwise functions on tiles of f32 (`exp`, `erf`, `pow`, …), for generated code to call.
//! - [`matmul`]: matrix products with any strides.
//! - [`attention`]: softmax attention of packed samples and its gradients.
//! - [`routed`]: matrix products whose rows choose their matrix.
//! - [`scatter`]: the sum of rows by index, the gradient of an embedding.
//!
//! Promises of every kernel:
//! - a result depends on its own inputs alone: the bits of a row, a lane or a sample are the same whatever stands beside it,
//!   however long the call is and however many threads work on it;
//! - the instruction set is found once at run time ([`simd::Level`]); results of different instruction sets may differ in
//!   their last bits;
//! - parallel work runs in the rayon pool of the caller.

pub mod attention;
pub mod matmul;
mod micro;
mod parallel;
pub mod routed;
pub mod scatter;
pub mod simd;
pub mod vmath;
