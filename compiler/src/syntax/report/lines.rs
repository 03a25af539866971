//! Lines that are no declaration, member, field or statement.

use mgx_diag::{Diagnostic, Edit, nearest};
use mgx_grammar::Rule;

use super::missing;
use super::surroundings::Surroundings;
use crate::syntax::scan::RESERVED;
use crate::syntax::tree::{Node, Token, TokenKind};

const ITEM_WORDS: [&str; 12] =
    ["module", "adapter", "task", "optimizer", "schedule", "rewrite", "backbone", "tokenizer", "data", "experiment", "use", "fn"];

/// At the level of declarations.
pub(super) fn error_item(around: &Surroundings<'_>, node: &Node) -> Diagnostic {
    let Some(first) = first_token(node) else {
        return Diagnostic::error("E0101", "this documentation belongs to no declaration").label(node.span, "nothing follows it");
    };
    let word = around.text(first.span);
    if ITEM_WORDS.contains(&word) {
        let after_word = first.span.end;
        return match around.after(after_word) {
            Some(next) if RESERVED.contains(&around.text(next.span)) => missing::reserved(around, next),
            _ => around.expected("E0106", "a name", after_word),
        };
    }
    let diagnostic = around.unexpected("a declaration", first);
    if diagnostic.help.is_some() {
        return diagnostic;
    }
    let meant = match word {
        "def" | "func" | "function" => Some("fn"),
        "class" | "struct" | "network" | "model" => Some("module"),
        "import" | "from" | "include" => Some("use"),
        "dataset" => Some("data"),
        _ if first.kind == TokenKind::Name => nearest(word, ITEM_WORDS),
        _ => None,
    };
    match meant {
        Some(meant) => diagnostic.did_you_mean(first.span, meant),
        None => diagnostic.help("a declaration begins with `use`, `data`, `experiment`, `module`, `adapter`, `task`, `backbone`, `tokenizer`, `optimizer`, `schedule` or `fn`"),
    }
}

/// In the braces of a declaration or block.
pub(super) fn error_line(around: &Surroundings<'_>, node: &Node, parent: &Node) -> Diagnostic {
    let what = match parent.kind {
        Rule::member_body => "a member",
        Rule::field_body => "a field",
        _ => "`let` or a value",
    };
    let Some(first) = first_token(node) else {
        return Diagnostic::error("E0101", format!("this documentation belongs to no {}", what.trim_start_matches("a ")))
            .label(node.span, "nothing follows it");
    };
    let text = around.text(first.span);
    if matches!(text, "," | ";") {
        return Diagnostic::error("E0121", format!("no `{text}` stands between lines"))
            .label(first.span, "not needed")
            .help(format!("delete the `{text}`: a line end is enough"))
            .fix(format!("Delete the `{text}`"), Edit::delete(first.span));
    }
    let before = around.before(first.span.start);
    let continues_line = before.is_some_and(|before| around.text(before.span) != "{" && around.on_one_line(before, first));
    if continues_line {
        return after_value(around, first);
    }
    if parent.kind != Rule::block {
        let next = around.after(first.span.end).filter(|next| next.span.end <= node.span.end);
        match next {
            Some(next) if RESERVED.contains(&text) && matches!(around.text(next.span), "=" | ":") => {
                return missing::reserved(around, first);
            }
            Some(_) if first.kind == TokenKind::Name => return around.expected("E0107", "`=` or `:`", first.span.end),
            None if first.kind == TokenKind::Name => return around.expected("E0107", "`=` or `:`", first.span.end),
            _ => {}
        }
    }
    around.unexpected(what, first)
}

/// On the same line after something that is complete.
fn after_value(around: &Surroundings<'_>, first: Token) -> Diagnostic {
    let diagnostic = around.unexpected("an operator or the end of the line", first);
    if diagnostic.help.is_some() {
        return diagnostic;
    }
    match around.text(first.span) {
        "if" => diagnostic.help("a condition stands before `at`: `part = Part(…) if condition at \"key\"`"),
        "at" => diagnostic.help("`at` names where a part or parameter of a module, or a column of data, is stored; nothing else has one"),
        "=" => diagnostic.help("only a name can stand before `=`"),
        "?" => diagnostic.help("write `if condition { a } else { b }`"),
        _ => diagnostic,
    }
}

/// Between a declaration's name and its braces.
pub(super) fn error_header(around: &Surroundings<'_>, node: &Node, parent: &Node) -> Diagnostic {
    let Some(first) = first_token(node) else { return around.expected("E0107", "`{`", node.span.start) };
    let diagnostic = match parent.kind {
        Rule::function => around.unexpected("`->`, `where` or `{`", first),
        Rule::module_item => around.unexpected("`where` or `{`", first),
        Rule::experiment_item if parent.child(Rule::base).is_some() => around.unexpected("`with`", first),
        _ => around.unexpected("`{`", first),
    };
    match around.text(first.span) {
        ":" if parent.kind == Rule::function => {
            diagnostic.help("the type of the result stands after `->`").fix("Change to `->`", Edit::replace(first.span, " ->"))
        }
        _ => diagnostic,
    }
}

/// In the braces of a `match`.
pub(super) fn error_arm(around: &Surroundings<'_>, node: &Node) -> Diagnostic {
    match first_token(node) {
        Some(first) => around
            .unexpected("an arm", first)
            .help("an arm is `pattern => value`; a pattern is a name, a number, a string, `true`, `false`, `none` or `_`"),
        None => Diagnostic::error("E0101", "expected an arm").label(node.span, "not an arm"),
    }
}

/// `x = 1` in a block.
pub(super) fn bare_assign(around: &Surroundings<'_>, node: &Node) -> Option<Diagnostic> {
    let name = node.tokens().next()?;
    let text = around.text(name.span);
    Some(
        Diagnostic::error("E0111", "`let` is missing")
            .label(name.span, "a new name begins with `let`")
            .help(format!("write `let {text} = …`; values never change, so a second `let {text}` makes a new value under the same name"))
            .fix("Add `let`", Edit::before(name.span, "let ")),
    )
}

/// `if a = b`.
pub(super) fn stray_assign(node: &Node) -> Option<Diagnostic> {
    let equals = node.tokens().next()?;
    Some(
        Diagnostic::error("E0113", "`=` does not compare")
            .label(equals.span, "in a condition")
            .help("write `==` to ask whether both sides are equal")
            .change_to(equals.span, "=="),
    )
}

/// The first token of a node that is not a comment.
fn first_token(node: &Node) -> Option<Token> {
    node.tokens().next()
}
