//! Characters that mgx does not use, above all those that look like ones it does.

use mgx_diag::{Diagnostic, Edit};

use super::surroundings::Surroundings;
use crate::syntax::tree::{Token, TokenKind};

/// What was probably meant by a character.
fn lookalike(c: char) -> Option<&'static str> {
    Some(match c {
        '“' | '”' | '„' | '«' | '»' | '‟' | '＂' | '‘' | '’' | '‚' => "\"",
        '–' | '—' | '−' | '‐' | '‑' => "-",
        '×' | '∙' | '·' | '＊' => "*",
        '÷' | '∕' => "/",
        '≤' => "<=",
        '≥' => ">=",
        '≠' => "!=",
        '＝' => "=",
        '→' => "->",
        '⇒' => "=>",
        '，' => ",",
        '：' => ":",
        '（' => "(",
        '）' => ")",
        '…' => "..",
        '\u{a0}' | '\u{202f}' | '\u{2003}' | '\u{3000}' => " ",
        _ => return None,
    })
}

/// The diagnostic for a token that is a character without a use in mgx.
pub(super) fn unknown(around: &Surroundings<'_>, token: Token) -> Option<Diagnostic> {
    if token.kind != TokenKind::Unknown {
        return None;
    }
    let c = around.text(token.span).chars().next()?;
    let shown = if c.is_control() || c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}') {
        format!("U+{:04X}", c as u32)
    } else {
        format!("`{c}`")
    };
    let diagnostic = Diagnostic::error("E0117", format!("the character {shown} has no meaning here"))
        .label(token.span, "can stand in strings and comments only");
    Some(match lookalike(c) {
        Some(" ") => diagnostic.help("it looks like a blank: write a plain one").fix("Write a plain blank", Edit::replace(token.span, " ")),
        Some(meant) => diagnostic.help(format!("it looks like `{meant}`: write that")).change_to(token.span, meant),
        None if c.is_alphabetic() => diagnostic.help("names are written with the letters a–z and A–Z, digits and `_`"),
        None => diagnostic.help("delete it").fix("Delete it", Edit::delete(token.span)),
    })
}
