//! What stands around a place, and the common forms of messages.

use mgx_diag::{Diagnostic, Edit, Span};

use super::characters;
use crate::syntax::scan::next_token;
use crate::syntax::tree::{Token, TokenKind, Tree};

/// The tokens of a file that are not white space or comments.
pub(super) struct Surroundings<'a> {
    tree: &'a Tree,
    tokens: Vec<Token>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        let tokens = tree.tokens().into_iter().filter(|token| !token.kind.is_trivia()).collect();
        Self { tree, tokens }
    }

    pub(super) fn text(&self, span: Span) -> &'a str {
        self.tree.slice(span)
    }

    /// All significant tokens from an offset on.
    pub(super) fn from(&self, at: u32) -> &[Token] {
        &self.tokens[self.tokens.partition_point(|token| token.span.start < at)..]
    }

    /// The last token that ends at or before an offset.
    pub(super) fn before(&self, at: u32) -> Option<Token> {
        let end = self.tokens.partition_point(|token| token.span.end <= at);
        self.tokens[..end].last().copied()
    }

    /// The first token that begins at or after an offset.
    pub(super) fn after(&self, at: u32) -> Option<Token> {
        self.from(at).first().copied()
    }

    /// The text of the token after `token`; empty at the end of the file.
    pub(super) fn text_after(&self, token: Token) -> &'a str {
        self.after(token.span.end).map_or("", |next| self.text(next.span))
    }

    /// Is there a line end between two tokens?
    pub(super) fn on_one_line(&self, first: Token, second: Token) -> bool {
        let between = self.tree.text().get(first.span.end as usize..second.span.start as usize);
        between.is_some_and(|between| !between.contains('\n'))
    }

    /// How far a token's line is indented, and if the token is the first one on it.
    pub(super) fn indentation(&self, token: Token) -> (usize, bool) {
        let before = &self.tree.text()[..token.span.start as usize];
        let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        (indentation, indentation == line.len())
    }

    /// Is the text white space and comments only?
    pub(super) fn is_trivia(mut text: &str) -> bool {
        while let Some((kind, length)) = next_token(text) {
            if !kind.is_trivia() {
                return false;
            }
            text = &text[length..];
        }
        true
    }

    /// How a token is spoken of: `` `hidden` ``, "a string".
    pub(super) fn name(&self, token: Token) -> String {
        match token.kind {
            TokenKind::String | TokenKind::UnterminatedString if token.span.end - token.span.start > 24 => "a string".to_owned(),
            _ => format!("`{}`", self.text(token.span)),
        }
    }

    /// "expected X after Y, found Z", at the place where X should begin.
    pub(super) fn expected(&self, code: &'static str, what: &str, at: u32) -> Diagnostic {
        let (before, after) = (self.before(at), self.after(at));
        let found = after.filter(|after| before.is_none_or(|before| self.on_one_line(before, *after)));
        if let Some(diagnostic) = found.and_then(|found| characters::unknown(self, found)) {
            return diagnostic;
        }
        let mut message = format!("expected {what}");
        if let Some(before) = before {
            message.push_str(&format!(" after {}", self.name(before)));
        }
        match (found, before) {
            (Some(found), _) => {
                message.push_str(&format!(", found {}", self.name(found)));
                let diagnostic = Diagnostic::error(code, message).label(found.span, format!("expected {what}"));
                with_habit(diagnostic, self.text(found.span), found.span)
            }
            (None, Some(before)) => Diagnostic::error(code, message).label(before.span, "nothing follows on this line"),
            (None, None) => {
                Diagnostic::error(code, message).label(Span { start: at, end: at, ..self.tree.root.span }, format!("expected {what}"))
            }
        }
    }

    /// "expected X, found Z", where Z is a token that stands in the wrong place.
    pub(super) fn unexpected(&self, what: &str, token: Token) -> Diagnostic {
        if let Some(diagnostic) = characters::unknown(self, token) {
            return diagnostic;
        }
        let text = self.text(token.span);
        if matches!(text, ")" | "]" | "}") {
            return Diagnostic::error("E0122", format!("`{text}` closes nothing"))
                .label(token.span, "no bracket is open for it")
                .help("delete it, or add the opening bracket")
                .fix(format!("Delete the `{text}`"), Edit::delete(token.span));
        }
        let diagnostic = Diagnostic::error("E0101", format!("expected {what}, found {}", self.name(token)))
            .label(token.span, format!("expected {what}"));
        with_habit(diagnostic, text, token.span)
    }
}

/// Help for what other languages write here.
fn with_habit(diagnostic: Diagnostic, text: &str, at: Span) -> Diagnostic {
    let help = match text {
        "and" => "write `&&` for `and`",
        "or" | "|" => "write `||` for `or`",
        "&" => "write `&&` for `and`",
        "not" => "write `!` for `not`",
        "'" => "strings are written with `\"`",
        "#" => "comments begin with `//`",
        "." => "a number begins with a digit: `0.5`",
        "lambda" | "\\" => "there are no functions without a name; declare one with `fn`",
        _ => return diagnostic,
    };
    let diagnostic = diagnostic.help(help);
    match text {
        "and" | "&" => diagnostic.change_to(at, "&&"),
        "or" | "|" => diagnostic.change_to(at, "||"),
        "not" => diagnostic.change_to(at, "!"),
        "'" => diagnostic.change_to(at, "\""),
        "#" => diagnostic.change_to(at, "//"),
        _ => diagnostic,
    }
}
