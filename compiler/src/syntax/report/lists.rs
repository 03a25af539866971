//! Lists in brackets that went wrong.

use mgx_diag::{Diagnostic, Edit};
use mgx_grammar::Rule;

use super::missing;
use super::surroundings::Surroundings;
use crate::syntax::scan::RESERVED;
use crate::syntax::tree::{Node, Token, TokenKind};

/// A list of arguments, values or parameters, from the first thing on that does not fit.
pub(super) fn loose(around: &Surroundings<'_>, node: &Node, parent: &Node) -> Diagnostic {
    let (one, closing) = match parent.kind {
        Rule::params => ("a parameter", ")"),
        Rule::args => ("an argument", ")"),
        Rule::list => ("a value", "]"),
        _ => ("a value", ")"),
    };
    let (Some(before), Some(found)) = (around.before(node.span.start), around.after(node.span.start)) else {
        return around.expected("E0101", one, node.span.start);
    };
    let (before_text, found_text) = (around.text(before.span), around.text(found.span));
    if RESERVED.contains(&found_text) && matches!(around.text_after(found), "=" | ":") {
        return missing::reserved(around, found);
    }
    if matches!(before_text, "(" | "[" | ",") {
        return match found_text {
            "," => Diagnostic::error("E0104", format!("expected {one} before `,`"))
                .label(found.span, "nothing stands before this comma")
                .help("delete the comma")
                .fix("Delete the comma", Edit::delete(found.span)),
            _ => around.unexpected(one, found),
        };
    }
    match found_text {
        ":" if before.kind == TokenKind::Name && parent.kind != Rule::list => equals_for_colon(around, before, found),
        "=" if parent.kind == Rule::params => around.unexpected("`,` or `)`", found),
        "=" => around.unexpected(&format!("`,` or `{closing}`"), found).help("an argument's name is a single word"),
        ";" => Diagnostic::error("E0121", "values in brackets are separated by `,`")
            .label(found.span, "not by `;`")
            .help("write `,`")
            .change_to(found.span, ","),
        _ if node.nodes().next().is_some_and(|first| first.kind != Rule::error_in_list && first.span.start == node.span.start) => {
            Diagnostic::error("E0107", format!("a comma is missing before {}", around.name(found)))
                .label(found.span, format!("expected `,` or `{closing}`"))
                .label(before.span, "after this")
                .help("add `,`")
                .fix("Add `,`", Edit::after(before.span, ","))
        }
        _ => around.unexpected(&format!("`,` or `{closing}`"), found),
    }
}

fn equals_for_colon(around: &Surroundings<'_>, name: Token, colon: Token) -> Diagnostic {
    let value = around.after(colon.span.end).map_or("…", |value| around.text(value.span));
    Diagnostic::error("E0107", "arguments are named with `=`, not with `:`")
        .label(colon.span, "expected `=`")
        .help(format!("write `{} = {value}`", around.text(name.span)))
        .fix("Write `=`", Edit::replace(colon.span, " ="))
}

/// The rest of a list whose values cannot be told apart any more.
pub(super) fn error_rest(around: &Surroundings<'_>, node: &Node, parent: &Node) -> Diagnostic {
    let Some(found) = around.after(node.span.start) else { return around.expected("E0101", "the end", node.span.start) };
    let before = around.before(node.span.start).map_or("", |before| around.text(before.span));
    let after_one = !matches!(before, "(" | "[" | "{" | ",");
    let what = match (parent.kind, after_one) {
        (Rule::lone_expr, _) => "the end of the value",
        (Rule::index | Rule::list_type, _) => "`]`",
        (Rule::axes, true) => "`,` or `]`",
        (Rule::axes, false) => "an axis",
        (Rule::record_type, true) => "`,` or `)`",
        (Rule::record_type, false) => "a name and its type",
        (Rule::use_group, false) => "a name",
        (Rule::key_record, false) => "a name and its key",
        (_, true) => "`,` or `}`",
        (_, false) => "`}`",
    };
    let diagnostic = around.unexpected(what, found);
    let is_key = parent.kind == Rule::key_record && around.text_after(found) == "=";
    if is_key { diagnostic.help("keys are written `name: \"key\"`") } else { diagnostic }
}
