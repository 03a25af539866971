//! Things that are not there.

use mgx_diag::{Diagnostic, Edit, Span};
use mgx_grammar::Rule;

use super::Finding;
use super::surroundings::Surroundings;
use crate::syntax::scan::RESERVED;
use crate::syntax::tree::{Node, Token, TokenKind};

/// The message for an empty `missing_*` node.
pub(super) fn missing(around: &Surroundings<'_>, node: &Node, parent: &Node) -> Diagnostic {
    let at = node.span.start;
    match node.kind {
        Rule::missing_expr => around.expected("E0104", "an expression", at),
        Rule::missing_type => missing_type(around, at, parent),
        Rule::missing_name if parent.kind == Rule::base => missing_base(around, at),
        Rule::missing_name => missing_name(around, at),
        Rule::missing_assign => {
            let diagnostic = around.expected("E0107", "`=`", at);
            let found_colon = around.after(at).is_some_and(|token| around.text(token.span) == ":");
            if found_colon && diagnostic.help.is_none() {
                return diagnostic.help("its type follows from the value: write `name = value`");
            }
            diagnostic
        }
        Rule::missing_colon => around.expected("E0107", "`:` and the network", at),
        Rule::missing_params => around.expected("E0107", "`(` and the parameters", at),
        Rule::missing_with => {
            around.expected("E0107", "`with`", at).help("fields that change stand after `with`: `experiment b = a with { … }`")
        }
        Rule::missing_storage => missing_storage(around, at, parent),
        Rule::missing_else => missing_else(around, parent),
        _ => around.expected("E0107", "`{`", at),
    }
}

fn missing_type(around: &Surroundings<'_>, at: u32, parent: &Node) -> Diagnostic {
    let value = around.after(at).filter(|token| is_value(*token));
    match (around.before(at), value) {
        (Some(colon), Some(value)) if around.text(colon.span) == ":" && around.on_one_line(colon, value) => {
            let set_with = if parent.kind == Rule::param { "a default is" } else { "values are" };
            colon_for_equals(around, colon, value, set_with)
        }
        _ => around.expected("E0105", "a type", at),
    }
}

/// Does a value begin with the token, and no type?
fn is_value(token: Token) -> bool {
    matches!(token.kind, TokenKind::Number | TokenKind::String | TokenKind::UnterminatedString)
}

fn colon_for_equals(around: &Surroundings<'_>, colon: Token, value: Token, set_with: &str) -> Diagnostic {
    let name = around.before(colon.span.start).map_or("name", |name| around.text(name.span));
    Diagnostic::error("E0107", format!("{set_with} written with `=`, not with `:`"))
        .label(colon.span, "a type would follow")
        .help(format!("write `{name} = {}`", around.text(value.span)))
        .fix("Write `=`", Edit::replace(colon.span, " ="))
}

fn missing_name(around: &Surroundings<'_>, at: u32) -> Diagnostic {
    match around.after(at) {
        Some(found) if RESERVED.contains(&around.text(found.span)) => reserved(around, found),
        _ => around.expected("E0106", "a name", at),
    }
}

/// `experiment b = `, without the experiment that it is made from.
fn missing_base(around: &Surroundings<'_>, at: u32) -> Diagnostic {
    match (around.before(at), around.after(at)) {
        (Some(equals), Some(brace)) if around.text(brace.span) == "{" => {
            Diagnostic::error("E0101", "expected the name of an experiment, found `{`")
                .label(equals.span, "what is it made from?")
                .help("fields follow without `=`: `experiment name { … }`; or name an experiment: `= other with { … }`")
                .fix("Delete the `=`", Edit::delete(equals.span))
        }
        _ => missing_name(around, at),
    }
}

/// A reserved word where a name should be.
pub(super) fn reserved(around: &Surroundings<'_>, word: Token) -> Diagnostic {
    let text = around.text(word.span);
    Diagnostic::error("E0106", format!("`{text}` is a word of the language and cannot be a name"))
        .label(word.span, "expected a name")
        .help(format!("choose another name, such as `{text}_`"))
        .change_to(word.span, &format!("{text}_"))
}

fn missing_storage(around: &Surroundings<'_>, at: u32, parent: &Node) -> Diagnostic {
    let name = parent.tokens().next();
    let name = name.map_or("name", |name| around.text(name.span));
    match (around.before(at), around.after(at)) {
        (Some(colon), Some(value)) if is_value(value) => colon_for_equals(around, colon, value, "members are"),
        _ => around.expected("E0107", "`param` or `state`", at).help(format!(
            "write `{name}: param f[…]` for what is learned, `{name}: state f[…]` for what is kept, `{name} = …` for a part"
        )),
    }
}

fn missing_else(around: &Surroundings<'_>, parent: &Node) -> Diagnostic {
    let keyword = parent.tokens().next().map_or(parent.span, |token| token.span);
    let end = Span { start: parent.span.end.saturating_sub(1).max(parent.span.start), ..parent.span };
    let end = around.before(parent.span.end).map_or(end, |token| token.span);
    Diagnostic::error("E0108", "the `if` has no `else`")
        .label(end, "`else` is expected after this")
        .label(keyword, "this `if` is an expression and needs a value in both cases")
        .help("add `else { … }`")
}

/// A bracket that is never closed.
pub(super) fn unclosed(around: &Surroundings<'_>, node: &Node, parent: &Node) -> Option<Finding> {
    let opener = parent.tokens().next()?;
    let is_brace = around.text(opener.span) == "{";
    let closing = match around.text(opener.span) {
        "(" => ")",
        "[" => "]",
        _ => "}",
    };
    let at = node.span.start;
    let suspect = if is_brace { closed_too_far_left(around, opener, at) } else { None };
    let diagnostic = match suspect {
        Some((inner, close)) => Diagnostic::error("E0102", format!("a `{closing}` is missing"))
            .label(inner.span, "by the indentation, this is not closed")
            .label(close.span, "this closes it, but stands further left")
            .label(opener.span, "so that this is left open"),
        None => {
            let diagnostic = Diagnostic::error("E0102", format!("{} is not closed", around.name(opener)))
                .label(opener.span, format!("no `{closing}` belongs to this"));
            match around.after(at) {
                Some(next) => diagnostic.label(next.span, format!("`{closing}` is expected before this")),
                None => diagnostic,
            }
        }
    };
    let place = suspect.map_or(Span { start: at, end: at, ..node.span }, |(_, close)| Span { end: close.span.start, ..close.span });
    let diagnostic = diagnostic.help(format!("add `{closing}`"));
    // Of a brace whose place is not known, only a person can tell where it belongs.
    let diagnostic = if is_brace { diagnostic } else { diagnostic.fix(format!("Add `{closing}`"), Edit::replace(place, closing)) };
    Some(Finding { anchor: at, end: at, unclosed: Some((opener.span.start, is_brace)), is_line: false, diagnostic })
}

/// The first brace after `opener` whose closing brace begins a line that is indented less than the brace's own line.
fn closed_too_far_left(around: &Surroundings<'_>, opener: Token, end: u32) -> Option<(Token, Token)> {
    let mut open = Vec::new();
    for token in around.from(opener.span.end) {
        if token.span.start >= end {
            break;
        }
        match around.text(token.span) {
            "{" => open.push(*token),
            "}" => {
                let inner = open.pop()?;
                let (close_indentation, begins_line) = around.indentation(*token);
                if begins_line && close_indentation < around.indentation(inner).0 {
                    return Some((inner, *token));
                }
            }
            _ => {}
        }
    }
    None
}
