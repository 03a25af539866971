//! Passes over the graph, and its lowering to programs.
//!
//! [`split_frozen`] takes apart what training does not change, [`gradient`] differentiates, [`recompute`] lets a backward pass compute layers again, [`round_products`] is mixed precision, [`simplify`] cleans up, [`lower`](lower::lower) makes the steps of a program.
//! Everything is deterministic. After each pass the graph is verified in debug builds and tests.

mod flops;
mod fold;
mod frozen;
mod gradient;
mod listing;
pub mod lower;
mod mixed;
mod recompute;
mod rewrite;
mod simplify;

pub use flops::flops;
pub use frozen::{Fixed, Frozen, Whole, fingerprint, reads, split_frozen};
pub use gradient::{Differentiated, differentiate, gradient};
pub use listing::list_program;
pub use mixed::round_products;
pub use recompute::recompute;
pub use simplify::simplify;

use mgx_ir::graph::{Graph, verify};

/// Stops where a pass has broken the graph (debug builds and tests only).
pub(crate) fn check(graph: &Graph, pass: &str) {
    if cfg!(debug_assertions) {
        let found = verify(graph);
        assert!(found.is_empty(), "after the pass `{pass}`:\n{}", found.join("\n"));
    }
}
