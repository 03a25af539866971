//! Numbers and strings.

use mgx_diag::{Diagnostic, Span, nearest};

use super::Builder;
use crate::syntax::ast::ExprKind;
use crate::syntax::tree::Token;

/// Sizes in bytes: powers of 1024 with an `i`, of 1000 without.
const SIZES: [(&str, i64); 7] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];

/// Durations in seconds.
const DURATIONS: [(&str, f64); 3] = [("s", 1.0), ("min", 60.0), ("h", 3600.0)];

impl Builder<'_> {
    pub(super) fn number(&mut self, token: Token) -> ExprKind {
        let text = self.text(token.span);
        let (digits, suffix) = split_suffix(text);
        let plain: String = digits.chars().filter(|c| *c != '_').collect();
        let is_int = plain.bytes().all(|byte| byte.is_ascii_digit());
        if let Some((_, unit)) = SIZES.iter().find(|(name, _)| *name == suffix) {
            return self.size(token.span, &plain, is_int, *unit);
        }
        let seconds = DURATIONS.iter().find(|(name, _)| *name == suffix).map(|(_, seconds)| *seconds);
        if seconds.is_none() && !suffix.is_empty() {
            return self.unknown_suffix(token.span, digits, suffix);
        }
        if is_int && seconds.is_none() {
            return plain.parse().map_or_else(|_| self.too_large(token.span), ExprKind::Int);
        }
        match plain.parse::<f64>() {
            Ok(value) if value.is_finite() => ExprKind::Float(value * seconds.unwrap_or(1.0)),
            _ => self.too_large(token.span),
        }
    }

    fn size(&mut self, span: Span, digits: &str, is_int: bool, unit: i64) -> ExprKind {
        if is_int {
            let bytes = digits.parse::<i64>().ok().and_then(|count| count.checked_mul(unit));
            return bytes.map_or_else(|| self.too_large(span), ExprKind::Int);
        }
        let bytes = digits.parse::<f64>().unwrap_or(f64::INFINITY) * unit as f64;
        if bytes >= i64::MAX as f64 {
            return self.too_large(span);
        }
        // A part of a byte has no meaning; the nearest whole byte is what was meant.
        ExprKind::Int(bytes.round() as i64)
    }

    fn too_large(&mut self, span: Span) -> ExprKind {
        self.report(Diagnostic::error("E0115", "the number is too large").label(span, "does not fit").note(format!(
            "whole numbers go to {}, others to {:e}",
            i64::MAX,
            f64::MAX
        )));
        ExprKind::Error
    }

    fn unknown_suffix(&mut self, span: Span, digits: &str, suffix: &str) -> ExprKind {
        let known = || SIZES.iter().map(|(name, _)| *name).chain(DURATIONS.iter().map(|(name, _)| *name));
        let at = Span { start: span.start + digits.len() as u32, ..span };
        let diagnostic = Diagnostic::error("E0114", format!("`{suffix}` is not a unit")).label(at, "unknown after a number");
        self.report(match nearest(suffix, known()) {
            Some(near) if near.eq_ignore_ascii_case(suffix) || suffix.len() > 1 => {
                diagnostic.did_you_mean(span, &format!("{digits}{near}"))
            }
            _ => diagnostic.help(format!("known are {}", known().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
        });
        ExprKind::Error
    }

    /// The text of a string, its escapes resolved; escaped braces are doubled.
    pub(super) fn string(&mut self, token: Token) -> ExprKind {
        let quoted = self.text(token.span);
        let inner = &quoted[1..quoted.len().max(2) - 1];
        let mut out = String::with_capacity(inner.len());
        let mut chars = inner.char_indices();
        while let Some((at, c)) = chars.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next().map(|(_, escaped)| escaped) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(quoted @ ('"' | '\\')) => out.push(quoted),
                Some('{') => out.push_str("{{"),
                Some('}') => out.push_str("}}"),
                other => self.unknown_escape(token.span, at, other),
            }
        }
        ExprKind::Str(out)
    }

    fn unknown_escape(&mut self, string: Span, at: usize, escaped: Option<char>) {
        let start = string.start + 1 + at as u32;
        let end = start + 1 + escaped.map_or(0, |c| c.len_utf8() as u32);
        let written = escaped.map_or_else(String::new, String::from);
        self.report(
            Diagnostic::error("E0116", format!("`\\{written}` is not an escape"))
                .label(Span { start, end, ..string }, "unknown escape")
                .help("known are `\\n`, `\\t`, `\\\"`, `\\\\`, `\\{` and `\\}`; a backslash itself is `\\\\`"),
        );
    }
}

/// Cuts a number into digits (with point and exponent) and the word after them.
fn split_suffix(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let takes = match bytes[end] {
            b'0'..=b'9' | b'_' | b'.' => 1,
            b'e' | b'E' => {
                let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
                if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) { 1 + sign } else { 0 }
            }
            _ => 0,
        };
        if takes == 0 {
            break;
        }
        end += takes;
    }
    text.split_at(end)
}
