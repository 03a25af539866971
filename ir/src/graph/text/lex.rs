//! Tokens of one line, and a cursor over them.

/// A token. Numbers keep their text, because what they are is known only where they stand.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Number(String),
    Sign(char),
    Arrow,
}

/// Splits a line; what follows `;` is a comment.
pub(super) fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            ';' => break,
            '"' => {
                let (text, length) = string(rest)?;
                found.push(Token::Text(text));
                length
            }
            '-' if rest.starts_with("->") => {
                found.push(Token::Arrow);
                2
            }
            '-' if rest.starts_with("-inf") => {
                found.push(Token::Number("-inf".into()));
                4
            }
            first if first.is_ascii_digit() || (first == '-' && rest[1..].starts_with(|next: char| next.is_ascii_digit())) => {
                let length = number(rest);
                found.push(Token::Number(rest[..length].into()));
                length
            }
            first if first.is_ascii_alphabetic() || first == '_' => {
                let length = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(rest.len());
                found.push(Token::Word(rest[..length].into()));
                length
            }
            sign => {
                found.push(Token::Sign(sign));
                sign.len_utf8()
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

/// The length of a number at the start: digits, a fraction, an exponent.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(usize::from(bytes[0] == b'-'));
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if bytes.get(end) == Some(&b'e') {
        let sign = end + 1 + usize::from(bytes.get(end + 1) == Some(&b'-'));
        let after = digits(sign);
        if after > sign {
            end = after;
        }
    }
    end
}

fn string(text: &str) -> Result<(String, usize), String> {
    let mut out = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((out, at + 1)),
            '\\' => match letters.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, other)) => out.push(other),
                None => break,
            },
            other => out.push(other),
        }
    }
    Err("a text has no end".into())
}

/// Reads tokens one after another.
pub(super) struct Cursor {
    tokens: Vec<Token>,
    at: usize,
}

impl Cursor {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        Self { tokens, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn next(&mut self) -> Result<Token, String> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned().ok_or_else(|| "the line ends too early".into())
    }

    /// Takes a sign if it is there.
    pub(super) fn takes(&mut self, sign: char) -> bool {
        let there = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(there);
        there
    }

    /// Takes a word if it is there.
    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.at += usize::from(there);
        there
    }

    pub(super) fn sign(&mut self, sign: char) -> Result<(), String> {
        if self.takes(sign) { Ok(()) } else { Err(format!("`{sign}` is missing before {:?}", self.peek())) }
    }

    pub(super) fn word(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            other => Err(format!("a word is missing before {other:?}")),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Text(text) => Ok(text),
            other => Err(format!("a quoted text is missing before {other:?}")),
        }
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        match self.next()? {
            // `inf` and `NaN` look like words.
            Token::Number(text) | Token::Word(text) => text.parse().map_err(|_| format!("`{text}` is not such a number")),
            other => Err(format!("a number is missing before {other:?}")),
        }
    }

    /// Items between brackets, separated by commas.
    pub(super) fn list<T>(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.sign(open)?;
        let mut found = Vec::new();
        while !self.takes(close) {
            if !found.is_empty() {
                self.sign(',')?;
            }
            found.push(item(self)?);
        }
        Ok(found)
    }

    pub(super) fn end(&self) -> Result<(), String> {
        self.peek().map_or(Ok(()), |token| Err(format!("{token:?} is not understood here")))
    }
}
