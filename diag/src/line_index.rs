//! Lines and columns of a text. Offsets are bytes; people count characters, and editors UTF-16 units or bytes.

use serde::Serialize;

/// A place for people: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LineColumn {
    pub line: u32,
    pub column: u32,
}

/// A place for editors: both count from 0, columns in the units that were agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub line: u32,
    pub unit: u32,
}

/// What the columns of a [`Position`] count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf16,
}

/// Where the lines of a text begin.
#[derive(Clone, Debug)]
pub struct LineIndex {
    starts: Vec<u32>,
}

impl LineIndex {
    pub fn new(text: &str) -> Self {
        Self { starts: std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at as u32 + 1)).collect() }
    }

    /// Lines of the text: at least one.
    pub fn lines(&self) -> u32 {
        self.starts.len() as u32
    }

    /// The line of a byte offset, from 0, and where it begins.
    fn line_of(&self, offset: u32) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= offset) - 1;
        (line as u32, self.starts[line])
    }

    /// The line and column of a byte offset; an offset past the end is the end.
    pub fn line_column(&self, text: &str, offset: u32) -> LineColumn {
        let offset = (offset as usize).min(text.len()) as u32;
        let (line, start) = self.line_of(offset);
        let column = text[start as usize..].char_indices().take_while(|(at, _)| start + (*at as u32) < offset).count();
        LineColumn { line: line + 1, column: column as u32 + 1 }
    }

    /// The editor's position of a byte offset; an offset past the end is the end, one inside a character its beginning.
    pub fn position(&self, text: &str, offset: u32, encoding: Encoding) -> Position {
        let offset = floor_char(text, offset);
        let (line, start) = self.line_of(offset);
        let before = &text[start as usize..offset as usize];
        let unit = match encoding {
            Encoding::Utf8 => before.len(),
            Encoding::Utf16 if before.is_ascii() => before.len(),
            Encoding::Utf16 => before.chars().map(char::len_utf16).sum(),
        };
        Position { line, unit: unit as u32 }
    }

    /// The byte offset of an editor's position: past the end of a line it is the line's end, past the last line the end of the text, inside a character its beginning.
    pub fn offset(&self, text: &str, position: Position, encoding: Encoding) -> u32 {
        let Some(start) = self.starts.get(position.line as usize).copied() else { return text.len() as u32 };
        let line = text[start as usize..].split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        if encoding == Encoding::Utf8 {
            return start + floor_char(line, position.unit);
        }
        let mut unit = 0;
        for (at, c) in line.char_indices() {
            unit += c.len_utf16() as u32;
            if unit > position.unit {
                return start + at as u32;
            }
        }
        start + line.len() as u32
    }
}

/// The beginning of the character that an offset lies in; the end for an offset past it.
fn floor_char(text: &str, offset: u32) -> u32 {
    let mut offset = (offset as usize).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_count_utf16_units() {
        let text = "// 🧬 e\u{301}\r\nß = 1\n";
        let index = LineIndex::new(text);
        let position = |offset, encoding| index.position(text, offset, encoding);
        assert_eq!(position(7, Encoding::Utf16), Position { line: 0, unit: 5 });
        assert_eq!(position(7, Encoding::Utf8), Position { line: 0, unit: 7 });
        let equals = text.find('=').expect("there") as u32;
        assert_eq!(position(equals, Encoding::Utf16), Position { line: 1, unit: 2 });
        for encoding in [Encoding::Utf8, Encoding::Utf16] {
            for (at, _) in text.char_indices().filter(|(at, c)| !(*c == '\n' && text[..*at].ends_with('\r'))) {
                assert_eq!(index.offset(text, position(at as u32, encoding), encoding), at as u32, "{at} {encoding:?}");
            }
        }
    }

    #[test]
    fn places_outside_the_text_are_its_nearest() {
        let text = "a🧬\r\nb";
        let index = LineIndex::new(text);
        let offset = |line, unit| index.offset(text, Position { line, unit }, Encoding::Utf16);
        assert_eq!([offset(0, 2), offset(0, 99), offset(9, 0), offset(1, 7)], [1, 5, 8, 8]);
        assert_eq!(index.position(text, 3, Encoding::Utf16), Position { line: 0, unit: 1 });
        assert_eq!(index.position(text, 99, Encoding::Utf8), Position { line: 1, unit: 1 });
        assert_eq!(LineIndex::new("").offset("", Position { line: 0, unit: 3 }, Encoding::Utf16), 0);
    }
}
