//! Finds declarations whose brackets are nested too deeply to parse, before they are parsed.
//!
//! The parser and everything after it walks the text by recursion; with the depth limited here none of them can exhaust the stack. A
//! declaration beyond the limit is blanked out, the others are read as usual.

use std::borrow::Cow;

use mgx_diag::{Diagnostic, FileId, Span};

use super::scan::{TokenKind, next_token};

/// How many brackets (and `if` and `match` without their braces) may be open at once.
pub const MAX_DEPTH: usize = 64;

/// Words that a declaration begins with at the start of a line.
const ITEM_WORDS: [&str; 12] =
    ["module", "adapter", "task", "optimizer", "schedule", "rewrite", "backbone", "tokenizer", "data", "experiment", "use", "fn"];

/// The text with too deep declarations replaced by blanks of the same length, and a diagnostic for each.
pub(super) fn limit_depth(file: FileId, text: &str) -> (Cow<'_, str>, Vec<Diagnostic>) {
    let too_deep = find_too_deep(text);
    if too_deep.is_empty() {
        return (Cow::Borrowed(text), Vec::new());
    }
    let mut bytes = text.as_bytes().to_vec();
    let mut diagnostics = Vec::new();
    for declaration in &too_deep {
        bytes[declaration.start..declaration.end].fill(b' ');
        let span = Span { file, start: declaration.bracket as u32, end: declaration.bracket as u32 + 1 };
        diagnostics.push(
            Diagnostic::error("E0118", "the expression is nested too deeply")
                .label(span, format!("more than {MAX_DEPTH} brackets are open here"))
                .help("name a part of it with `let`"),
        );
    }
    // Whole declarations are whole characters, so what is left is valid text.
    (Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()), diagnostics)
}

struct TooDeep {
    start: usize,
    end: usize,
    /// The first bracket beyond the limit.
    bracket: usize,
}

fn find_too_deep(text: &str) -> Vec<TooDeep> {
    let mut found: Vec<TooDeep> = Vec::new();
    let (mut at, mut declaration_start) = (0, 0);
    let (mut depth, mut open_branches) = (0usize, 0usize);
    let mut beyond: Option<usize> = None;
    let mut at_line_start = true;
    while let Some((kind, length)) = next_token(&text[at..]) {
        let token = &text[at..at + length];
        match kind {
            TokenKind::Space => at_line_start |= token.contains('\n'),
            TokenKind::Comment | TokenKind::Doc => {}
            _ => {
                if at_line_start && begins_item(text, at, token) {
                    found.extend(beyond.take().map(|bracket| TooDeep { start: declaration_start, end: at, bracket }));
                    (declaration_start, depth, open_branches) = (at, 0, 0);
                }
                at_line_start = false;
                match token {
                    "(" | "[" => depth += 1,
                    "{" => (depth, open_branches) = (depth + 1, 0),
                    ")" | "]" => depth = depth.saturating_sub(1),
                    "}" => (depth, open_branches) = (depth.saturating_sub(1), 0),
                    "if" | "match" => open_branches += 1,
                    "=" | ":" => open_branches = 0,
                    _ => {}
                }
                if depth + open_branches > MAX_DEPTH && beyond.is_none() {
                    beyond = Some(at);
                }
            }
        }
        at += length;
    }
    found.extend(beyond.map(|bracket| TooDeep { start: declaration_start, end: text.len(), bracket }));
    found
}

/// Does a declaration begin with this word? `fn` only at the margin: elsewhere it is a member.
fn begins_item(text: &str, at: usize, word: &str) -> bool {
    if !ITEM_WORDS.contains(&word) {
        return false;
    }
    let rest = &text[at + word.len()..];
    let next = rest.trim_start_matches([' ', '\t']);
    let names_something = next.len() < rest.len() && next.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    names_something && (word != "fn" || at == 0 || text[..at].ends_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_deep_declaration_is_blanked() {
        let deep = format!("data a = f({}1{})\n", "(".repeat(80), ")".repeat(80));
        let text = format!("use std::x\n{deep}data b = g(1)\n");
        let (limited, diagnostics) = limit_depth(FileId(0), &text);
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(limited.len(), text.len());
        assert!(limited.starts_with("use std::x\n ") && limited.ends_with(" data b = g(1)\n"), "{limited}");
    }

    #[test]
    fn conditions_of_members_do_not_add_up() {
        let text = "  x = y if z\n".repeat(200);
        assert!(find_too_deep(&text).is_empty());
        assert_eq!(find_too_deep(&"if ".repeat(200)).len(), 1);
    }
}
