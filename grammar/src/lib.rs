//! The grammar of mgx and the parser made from it.
//!
//! `mgx.pest` defines the syntax once. [`parse`] accepts every text: what does not fit the language becomes nodes of the error rules
//! (`error_*`, `loose_*`, `missing_*`, `unclosed`), which the compiler's syntax stage turns into diagnostics. The only texts it refuses
//! are those nested deeper than the stack carries.

use pest::Parser as _;
use pest::iterators::Pairs;

#[allow(missing_docs)]
mod generated {
    /// The parser that `pest` makes from the grammar.
    #[derive(pest_derive::Parser)]
    #[grammar = "mgx.pest"]
    pub struct MgxParser;
}

pub use generated::{MgxParser, Rule};

/// The text of the grammar itself, for tools that derive highlighting or documentation from it.
pub const GRAMMAR: &str = include_str!("mgx.pest");

/// Parses a whole file to the rule `file`.
///
/// # Errors
/// Only if the text is nested too deeply for the stack that is left.
pub fn parse_file(text: &str) -> Result<Pairs<'_, Rule>, Box<pest::error::Error<Rule>>> {
    MgxParser::parse(Rule::file, text).map_err(Box::new)
}

/// Parses one expression to the rule `lone_expr`.
///
/// # Errors
/// As [`parse_file`].
pub fn parse_lone_expr(text: &str) -> Result<Pairs<'_, Rule>, Box<pest::error::Error<Rule>>> {
    MgxParser::parse(Rule::lone_expr, text).map_err(Box::new)
}
