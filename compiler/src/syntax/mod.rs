//! From text to syntax.
//!
//! [`parse`] takes any text and gives a lossless [`tree::Tree`], the abstract syntax of [`ast`] and what is wrong with the text, all three
//! always: errors are nodes of the tree, and what stands before and after them is read. The grammar itself is in the crate `mgx-grammar`.

pub mod ast;
mod build;
mod nesting;
mod report;
pub mod scan;
pub mod tree;
pub mod walk;

use std::borrow::Cow;

use mgx_diag::{Diagnostic, FileId, Span};
use mgx_grammar::Rule;
use pest::iterators::Pairs;

pub use nesting::MAX_DEPTH;
use tree::Tree;

/// The longest text that is read, in bytes. Experiments and networks are a thousandth of it.
pub const MAX_BYTES: usize = 16 << 20;

/// What a text says, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub tree: Tree,
    pub file: ast::File,
    /// In order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a file. Never fails and never panics: what cannot be read is left out of `file` and reported.
pub fn parse(file: FileId, text: &str) -> Parsed {
    let (tree, mut diagnostics) = read(file, text, mgx_grammar::parse_file);
    let (syntax, found) = build::file(&tree);
    diagnostics.extend(found);
    Parsed { diagnostics: report::with_syntax_errors(&tree, diagnostics), file: syntax, tree }
}

/// Reads a text that is known to be free of errors from what the grammar found in it before: see [`mgx_grammar::pack`].
pub(crate) fn parsed_before(file: FileId, text: &str, events: &[u8]) -> ast::File {
    build::file(&Tree::from_events(file, text, mgx_grammar::unpack(events))).0
}

/// Reads one expression, as for a value on the command line. A single word is a name.
pub fn parse_expr(file: FileId, text: &str) -> (Option<ast::Expr>, Vec<Diagnostic>) {
    let (tree, mut diagnostics) = read(file, text, mgx_grammar::parse_lone_expr);
    let (expr, found) = build::lone_expr(&tree);
    diagnostics.extend(found);
    (expr, report::with_syntax_errors(&tree, diagnostics))
}

type Grammar = for<'t> fn(&'t str) -> Result<Pairs<'t, Rule>, Box<pest::error::Error<Rule>>>;

fn read(file: FileId, text: &str, grammar: Grammar) -> (Tree, Vec<Diagnostic>) {
    if text.len() > MAX_BYTES {
        let diagnostic = Diagnostic::error("E0123", format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len()))
            .label(Span { file, start: 0, end: 0 }, "in this file")
            .help("is it a data file? Data is named in `data`, not written into an `.mgx` file");
        return (Tree::of_tokens(file, ""), vec![diagnostic]);
    }
    let (limited, mut diagnostics): (Cow<'_, str>, _) = nesting::limit_depth(file, text);
    match grammar(&limited) {
        Ok(pairs) => (Tree::from_events(file, text, mgx_grammar::events(pairs)), diagnostics),
        Err(_) => {
            // The grammar accepts every text; it gives up only where the stack ends, which the limit above should prevent.
            let whole = Span { file, start: 0, end: text.len() as u32 };
            diagnostics.push(Diagnostic::error("E0118", "the file is nested too deeply").label(whole, "cannot be read"));
            (Tree::of_tokens(file, text), diagnostics)
        }
    }
}
