//! The tokens of any text, one after another.
//!
//! The grammar decides what tokens mean; this only cuts text into pieces, for the parts of the tree that the grammar leaves unnamed
//! (white space, punctuation, keywords, text that does not fit) and for counting brackets before parsing. Every byte belongs to exactly
//! one token, whatever the text is.

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Blanks, tabs, line ends and a byte order mark.
    Space,
    /// `// to the end of the line`.
    Comment,
    /// `/// documentation`.
    Doc,
    /// A word with a meaning of its own at this place: `module`, `let`, `at`, `true`.
    Keyword,
    /// A word the author chose.
    Name,
    Number,
    String,
    /// A string without its second quotation mark.
    UnterminatedString,
    /// Operators, brackets and separators.
    Punctuation,
    /// A character that mgx does not use outside strings and comments.
    Unknown,
}

impl TokenKind {
    /// White space or a comment of any kind?
    pub fn is_trivia(self) -> bool {
        matches!(self, Self::Space | Self::Comment | Self::Doc)
    }
}

/// Words that are never names; as `reserved` in the grammar.
pub const RESERVED: [&str; 9] = ["let", "if", "else", "match", "with", "true", "false", "none", "fn"];

/// Punctuation of two characters.
const PAIRS: [&str; 11] = ["->", "=>", "::", "|>", "==", "!=", "<=", ">=", "&&", "||", ".."];

/// The first token of `text` and its length in bytes; `None` at the end. Words come as [`TokenKind::Name`] unless they are reserved.
pub fn next_token(text: &str) -> Option<(TokenKind, usize)> {
    let first = text.chars().next()?;
    Some(match first {
        ' ' | '\t' | '\n' | '\r' | '\u{FEFF}' => (TokenKind::Space, run(text, |c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{FEFF}'))),
        '/' if text.starts_with("//") => {
            let is_doc = text.starts_with("///") && !text.starts_with("////");
            (if is_doc { TokenKind::Doc } else { TokenKind::Comment }, run(text, |c| c != '\n'))
        }
        'a'..='z' | 'A'..='Z' | '_' => {
            let length = run(text, is_word_char);
            (if RESERVED.contains(&&text[..length]) { TokenKind::Keyword } else { TokenKind::Name }, length)
        }
        '0'..='9' => (TokenKind::Number, number_length(text)),
        '"' => string_length(text),
        '!'..='~' => (TokenKind::Punctuation, if PAIRS.iter().any(|pair| text.starts_with(pair)) { 2 } else { 1 }),
        _ => (TokenKind::Unknown, first.len_utf8()),
    })
}

/// May the character stand in a word?
pub fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn number_length(text: &str) -> usize {
    let digits = |from: usize| from + run(&text[from..], |c| c.is_ascii_digit() || c == '_');
    let starts_with_digit = |from: usize| text[from..].starts_with(|c: char| c.is_ascii_digit());
    let mut end = digits(0);
    if text[end..].starts_with('.') && starts_with_digit(end + 1) {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        if starts_with_digit(end + 1 + sign) {
            end = digits(end + 1 + sign);
        }
    }
    end + run(&text[end..], is_word_char)
}

fn string_length(text: &str) -> (TokenKind, usize) {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (TokenKind::String, at + 1),
            '\n' | '\r' => return (TokenKind::UnterminatedString, at),
            '\\' => match chars.next() {
                Some((_, '\n' | '\r')) | None => return (TokenKind::UnterminatedString, at),
                Some(_) => {}
            },
            _ => {}
        }
    }
    (TokenKind::UnterminatedString, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(mut text: &str) -> Vec<(TokenKind, &str)> {
        let mut out = Vec::new();
        while let Some((kind, length)) = next_token(text) {
            out.push((kind, &text[..length]));
            text = &text[length..];
        }
        out
    }

    #[test]
    fn cuts_numbers_where_the_grammar_does() {
        use TokenKind::{Name, Number, Punctuation};
        assert_eq!(tokens("1e-4"), [(Number, "1e-4")]);
        assert_eq!(tokens("16GiB"), [(Number, "16GiB")]);
        assert_eq!(tokens("2.x"), [(Number, "2"), (Punctuation, "."), (Name, "x")]);
        assert_eq!(tokens("1_0.5e3s"), [(Number, "1_0.5e3s")]);
        assert_eq!(tokens("1e+"), [(Number, "1e"), (Punctuation, "+")]);
    }

    #[test]
    fn strings_end_on_their_line() {
        use TokenKind::{Space, String, UnterminatedString};
        assert_eq!(tokens(r#""a\"b""#), [(String, r#""a\"b""#)]);
        assert_eq!(tokens("\"ab\n"), [(UnterminatedString, "\"ab"), (Space, "\n")]);
    }
}
