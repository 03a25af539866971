//! The text form of a graph: what passes are tested on and people read. It round-trips exactly.
//!
//! ```text
//! length n
//! axis seq = ragged n
//! axis hidden = 320
//! param "norm.weight" [hidden] trainable
//! %0 = input() {name = "x"} : f32[seq, hidden] each
//! %1 = param() {id = 0} : f32[hidden]
//! %2 = mul(%0, %1) : f32[seq, hidden] each path "norm.scaled" at 0:12-20
//! %3 = sum(%2) {over = [hidden]} : f32[seq] each
//! output "y" = %3
//! ```
//! `each` says that there is a value for every sample. A length or axis whose name is not unique, or not a word, is written with
//! its number: `dim#4`, `"my axis"#5`. Sizes are written `(n + 2)`, `(n - 2)`, `(n * 2)`, `(n / 2)`, `ceil_div(n, 2)` and
//! `min(n, 2)`. `;` starts a comment.

mod lex;
mod parse;
mod print;
#[cfg(test)]
mod tests;

pub use parse::parse_graph;
pub use print::print_graph;
