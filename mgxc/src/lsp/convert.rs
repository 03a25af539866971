//! Between paths and URIs, offsets and positions.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use lsp_types::{Position, Range, Uri};
use mgx_diag::{Encoding, LineIndex, SourceMap, Span};

/// The file that a URI names; of one that is no file (an editor's new text), the URI itself, which no file has for a name.
pub fn path_of(uri: &Uri) -> PathBuf {
    let text = uri.as_str();
    match text.strip_prefix("file://") {
        Some(rest) => {
            let path = rest.find('/').map_or(rest, |start| &rest[start..]);
            normal(Path::new(&decoded(path)))
        }
        None => PathBuf::from(text),
    }
}

/// The URI of a file.
pub fn uri_of(path: &Path) -> Option<Uri> {
    let text = path.to_string_lossy();
    if !path.is_absolute() {
        return Uri::from_str(&text).ok();
    }
    let mut encoded = String::from("file://");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Uri::from_str(&encoded).ok()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A path without `.` and `..`, as they are written; links are left as they are.
pub fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// The protocol's position of an offset.
pub fn position(lines: &LineIndex, text: &str, offset: u32, encoding: Encoding) -> Position {
    let place = lines.position(text, offset, encoding);
    Position::new(place.line, place.unit)
}

/// The offset of a position of the protocol.
pub fn offset(lines: &LineIndex, text: &str, position: Position, encoding: Encoding) -> u32 {
    lines.offset(text, mgx_diag::Position { line: position.line, unit: position.character }, encoding)
}

/// The protocol's range of a span.
pub fn range(sources: &SourceMap, span: Span, encoding: Encoding) -> Range {
    let (lines, text) = (sources.lines(span.file), sources.text(span.file));
    Range::new(position(lines, text, span.start, encoding), position(lines, text, span.end, encoding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_any_letters_come_back() {
        for path in ["/a/b c/größe 🧬.mgx", "/a/%41#?.mgx", "/x"] {
            let uri = uri_of(Path::new(path)).expect("a URI");
            assert_eq!(path_of(&uri), PathBuf::from(path), "{}", uri.as_str());
        }
        let uri = Uri::from_str("file://host/a/../b/./c.mgx").expect("a URI");
        assert_eq!(path_of(&uri), PathBuf::from("/b/c.mgx"));
        let unsaved = Uri::from_str("untitled:Untitled-1").expect("a URI");
        assert_eq!(uri_of(&path_of(&unsaved)).expect("a URI"), unsaved);
    }
}
