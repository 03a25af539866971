//! What stands around a place of a text that may be half-typed: the brackets that are open, the word that is being written, and what it follows.

use mgx_compiler::syntax::scan::{TokenKind, next_token};

/// A bracket that is open at the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// `callee(`; the option that is being given, if it is named, and how many values stand before.
    Call { callee: String, argument: Option<String>, position: usize, is_piped: bool },
    /// `[` or `(` of a list, tuple or record.
    List,
    /// `x[`
    Index,
    /// `{`, with the words of the line that it ends.
    Block { head: Vec<String> },
}

/// What a word follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing: it begins its line.
    Line,
    /// `splice.`, with the names before the dot.
    Dot(Vec<String>),
    /// `use std::`, with the names before it.
    Path(Vec<String>),
    /// `name =`
    Equals(String),
    /// `name:`
    Colon(String),
    /// `splice.sequence |>`, with the names before it; none where it is something else.
    Pipe(Vec<String>),
    With,
    /// `(`, `[` or a comma.
    Open,
    /// Inside a text; true where it follows `at`.
    Text(bool),
    Comment,
    Other,
}

/// A place of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The word at the place, from its beginning to its end.
    pub word: (usize, usize),
    pub before: Before,
    /// From the outermost on.
    pub frames: Vec<Frame>,
    /// Names of the statement so far, from its beginning.
    pub statement: Vec<String>,
}

const ITEM_WORDS: [&str; 12] =
    ["module", "adapter", "task", "optimizer", "schedule", "rewrite", "backbone", "tokenizer", "data", "experiment", "use", "fn"];

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: TokenKind,
    start: usize,
    text: &'a str,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is_word(&self) -> bool {
        matches!(self.kind, TokenKind::Name | TokenKind::Keyword)
    }
}

impl Cursor {
    /// What is around an offset, by the text before it.
    pub fn at(text: &str, offset: u32) -> Self {
        let mut offset = (offset as usize).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let mut scan = Scan { text, tokens: Vec::new(), frames: Vec::new(), begins: vec![0] };
        let mut at = 0;
        let mut inside = None;
        while let Some((kind, length)) = next_token(&text[at..offset]) {
            let token = Token { kind, start: at, text: &text[at..at + length] };
            at += length;
            if at == offset && token.is_word() {
                break;
            }
            match kind {
                TokenKind::Comment | TokenKind::Doc if at == offset => inside = Some(Before::Comment),
                TokenKind::UnterminatedString if at == offset => {
                    inside = Some(Before::Text(scan.tokens.last().is_some_and(|before| before.text == "at")));
                    scan.step(token);
                }
                _ if kind.is_trivia() => {}
                _ => scan.step(token),
            }
        }
        let start = text[..offset]
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(0, |before| before + text[before..].chars().next().map_or(1, char::len_utf8));
        let end = offset + text[offset..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len() - offset);
        let before = inside.unwrap_or_else(|| scan.before(start));
        let statement = scan.statement();
        Self { word: (start, end), before, frames: scan.frames, statement }
    }

    /// The words of the innermost braces: `["train"]`, `["data", "splice"]`; none at the level of declarations.
    pub fn block(&self) -> Option<&[String]> {
        self.frames.iter().rev().find_map(|frame| if let Frame::Block { head } = frame { Some(head.as_slice()) } else { None })
    }

    /// The words of the declaration around: `["experiment", "e"]`.
    pub fn declaration(&self) -> Option<&[String]> {
        self.frames.iter().find_map(|frame| if let Frame::Block { head } = frame { Some(head.as_slice()) } else { None })
    }
}

struct Scan<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    frames: Vec<Frame>,
    /// Where the statement begins in each of the open braces, as an index of the tokens; the first is that of declarations.
    begins: Vec<usize>,
}

impl<'a> Scan<'a> {
    fn first_on_line(&self, start: usize) -> bool {
        let before = &self.text[..start];
        before[before.rfind('\n').map_or(0, |end| end + 1)..].trim().is_empty()
    }

    fn in_braces(&self) -> bool {
        matches!(self.frames.last(), None | Some(Frame::Block { .. }))
    }

    fn begin_statement(&mut self) {
        if let Some(begin) = self.begins.last_mut() {
            *begin = self.tokens.len();
        }
    }

    fn step(&mut self, token: Token<'a>) {
        if token.is_word() && self.first_on_line(token.start) {
            let at_margin = token.start == 0 || self.text[..token.start].ends_with('\n');
            if at_margin && ITEM_WORDS.contains(&token.text) {
                // Whatever was left open before, a declaration begins here.
                self.frames.clear();
                self.begins.truncate(1);
                self.begin_statement();
            } else if self.in_braces() && !self.frames.is_empty() && token.text != "with" {
                self.begin_statement();
            }
        }
        match token.text {
            "(" | "[" | "{" if token.kind == TokenKind::Punctuation => self.open(token),
            ")" | "]" | "}" if token.kind == TokenKind::Punctuation => self.close(token.text),
            "," => {
                if let Some(Frame::Call { argument, position, .. }) = self.frames.last_mut() {
                    *argument = None;
                    *position += 1;
                }
            }
            "=" => {
                let named = self.tokens.last().filter(|before| before.is_word()).map(|before| before.text.to_owned());
                if let (Some(Frame::Call { argument, .. }), Some(name)) = (self.frames.last_mut(), named) {
                    *argument = Some(name);
                }
            }
            _ => {}
        }
        self.tokens.push(token);
    }

    fn open(&mut self, token: Token<'a>) {
        let before = self.tokens.last().copied();
        let touches = before.is_some_and(|before| before.end() == token.start);
        let frame = match token.text {
            "{" => {
                let begin = self.begins.last().copied().unwrap_or(0).min(self.tokens.len());
                let head = self.tokens[begin..].iter().filter(|token| token.is_word()).map(|token| token.text.to_owned()).collect();
                self.begins.push(self.tokens.len() + 1);
                Frame::Block { head }
            }
            "(" => match before.filter(|before| touches && before.kind == TokenKind::Name) {
                Some(callee) => {
                    let piped = self.tokens.len().checked_sub(2).and_then(|at| self.tokens.get(at));
                    let is_piped = piped.is_some_and(|token| token.text == "|>");
                    Frame::Call { callee: callee.text.to_owned(), argument: None, position: 0, is_piped }
                }
                None => Frame::List,
            },
            _ if touches && before.is_some_and(|before| before.is_word() || matches!(before.text, ")" | "]")) => Frame::Index,
            _ => Frame::List,
        };
        self.frames.push(frame);
    }

    fn close(&mut self, bracket: &str) {
        let is_brace = |frame: &Frame| matches!(frame, Frame::Block { .. });
        if bracket == "}" {
            while let Some(frame) = self.frames.pop() {
                if is_brace(&frame) {
                    if self.begins.len() > 1 {
                        self.begins.pop();
                    }
                    break;
                }
            }
        } else if self.frames.last().is_some_and(|frame| !is_brace(frame)) {
            self.frames.pop();
        }
    }

    fn statement(&self) -> Vec<String> {
        let begin = self.begins.last().copied().unwrap_or(0).min(self.tokens.len());
        self.tokens[begin..].iter().filter(|token| token.is_word()).map(|token| token.text.to_owned()).collect()
    }

    /// What a word follows that begins at an offset.
    fn before(&self, start: usize) -> Before {
        let Some(last) = self.tokens.last() else { return Before::Line };
        if let Some(Frame::Block { head }) = self.frames.last()
            && head.first().is_some_and(|word| word == "use")
        {
            return Before::Path(head[1..].to_vec());
        }
        match last.text {
            "." => Before::Dot(self.chain(self.tokens.len() - 1)),
            "::" => Before::Path(self.statement().into_iter().skip(1).collect()),
            "use" if self.statement().len() == 1 => Before::Path(Vec::new()),
            "=" => Before::Equals(self.named_before(self.tokens.len() - 1)),
            ":" => Before::Colon(self.named_before(self.tokens.len() - 1)),
            "|>" => Before::Pipe(self.chain(self.tokens.len() - 1)),
            "with" => Before::With,
            _ if self.in_braces() && self.first_on_line(start) => Before::Line,
            "{" => Before::Line,
            "(" | "[" | "," => Before::Open,
            _ => Before::Other,
        }
    }

    fn named_before(&self, at: usize) -> String {
        let before = at.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.filter(|token| token.is_word()).map_or_else(String::new, |token| token.text.to_owned())
    }

    /// The names `a.b` that end before a token; none where it is not names alone.
    fn chain(&self, end: usize) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = end;
        while let Some(name) = at.checked_sub(1).and_then(|at| self.tokens.get(at)).filter(|token| token.kind == TokenKind::Name) {
            names.insert(0, name.text.to_owned());
            at -= 1;
            match at.checked_sub(1).and_then(|at| self.tokens.get(at)) {
                Some(dot) if dot.text == "." => at -= 1,
                _ => return names,
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Cursor {
        let offset = text.find('¦').expect("a cursor");
        Cursor::at(&text.replace('¦', ""), offset as u32)
    }

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn half_typed_text_has_its_brackets() {
        let cursor = at("experiment e {\n  x = f(\ndata d = table(\"a\") {\n  split = random(train = 0.8, str¦\n");
        assert_eq!(cursor.before, Before::Open);
        assert_eq!(cursor.block(), Some(names("data d table").as_slice()));
        let call = Frame::Call { callee: "random".to_owned(), argument: None, position: 1, is_piped: false };
        assert_eq!(cursor.frames.last(), Some(&call));
    }

    #[test]
    fn what_a_word_follows() {
        assert_eq!(at("experiment e {\n  é = 1 // x\n  y = s.seq |> ¦").before, Before::Pipe(names("s seq")));
        assert_eq!(at("experiment e {\n  y = s.¦ |> f").before, Before::Dot(names("s")));
        assert_eq!(at("use std::adapters::¦").before, Before::Path(names("std adapters")));
        assert_eq!(at("use std::adapters::{a, m¦").before, Before::Path(names("std adapters")));
        assert_eq!(at("experiment e {\n  train {\n    opt¦\n").before, Before::Line);
        assert_eq!(at("experiment e {\n  train {\n    opt¦\n").block(), Some(names("train").as_slice()));
        assert_eq!(at("experiment e {\n  x = b() wi¦").before, Before::Other);
        assert_eq!(at("experiment e {\n  x = b() with lo¦").before, Before::With);
        assert_eq!(at("data d = table(\"a\") {\n  s: real at \"gc¦").before, Before::Text(true));
        assert_eq!(at("// ab¦").before, Before::Comment);
        assert_eq!(at("x = 1\n¦").before, Before::Line);
    }
}
