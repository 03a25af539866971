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

/// The beginning or the end of a rule in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub rule: Rule,
    pub begins: bool,
    /// In bytes from the start of the text.
    pub at: usize,
}

/// Events are kept in four bytes each: 23 bits of the place, one of whether the rule begins, eight of the rule.
const EVENT_BYTES: usize = 4;

/// What a parser has found, from the start of the text to its end.
pub fn events<'t>(pairs: Pairs<'t, Rule>) -> impl Iterator<Item = Event> + 't {
    pairs.tokens().map(|token| match token {
        pest::Token::Start { rule, pos } => Event { rule, begins: true, at: pos.pos() },
        pest::Token::End { rule, pos } => Event { rule, begins: false, at: pos.pos() },
    })
}

/// Events as bytes, for a text that is parsed before it is needed; `None` for a text of 8 MiB or more.
pub fn pack(events: impl Iterator<Item = Event>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // The end of the text has no text of its own, and is no rule of the grammar.
    for event in events.filter(|event| event.rule != Rule::EOI) {
        let rule = u32::try_from(Rule::all_rules().iter().position(|rule| *rule == event.rule)?).ok().filter(|rule| *rule < 1 << 8)?;
        let at = u32::try_from(event.at).ok().filter(|at| *at < 1 << 23)?;
        bytes.extend((at << 9 | u32::from(event.begins) << 8 | rule).to_le_bytes());
    }
    Some(bytes)
}

/// The events that [`pack`] has made bytes of.
pub fn unpack(bytes: &[u8]) -> impl Iterator<Item = Event> {
    bytes.as_chunks::<EVENT_BYTES>().0.iter().filter_map(|bytes| {
        let word = u32::from_le_bytes(*bytes);
        let rule = *Rule::all_rules().get((word & 0xFF) as usize)?;
        Some(Event { rule, begins: word & 0x100 != 0, at: (word >> 9) as usize })
    })
}

/// Parses one expression to the rule `lone_expr`.
///
/// # Errors
/// As [`parse_file`].
pub fn parse_lone_expr(text: &str) -> Result<Pairs<'_, Rule>, Box<pest::error::Error<Rule>>> {
    MgxParser::parse(Rule::lone_expr, text).map_err(Box::new)
}
