//! A program as HTML with its words marked by class: `k` keywords, `s` texts, `n` numbers, `m` comments, `f` fields and options.

use crate::html::escape;

const KEYWORDS: [&str; 31] = [
    "use",
    "as",
    "data",
    "experiment",
    "module",
    "adapter",
    "task",
    "optimizer",
    "schedule",
    "rewrite",
    "of",
    "fn",
    "backbone",
    "tokenizer",
    "let",
    "if",
    "else",
    "match",
    "with",
    "where",
    "true",
    "false",
    "none",
    "repeat",
    "param",
    "state",
    "at",
    "loss",
    "output",
    "metric",
    "train",
];

/// The program, escaped.
pub fn highlight(program: &str) -> String {
    let mut out = String::with_capacity(program.len() * 2);
    let mut rest = program;
    while let Some(first) = rest.chars().next() {
        let (length, class) = word(rest, first);
        let text = &rest[..length];
        rest = &rest[length..];
        let class = if class == "w" { of_word(text, rest) } else { class };
        if class.is_empty() { out.push_str(&escape(text)) } else { out.push_str(&format!("<i class=\"{class}\">{}</i>", escape(text))) }
    }
    out
}

/// The length of the next piece and its class; `w` for a word.
fn word(text: &str, first: char) -> (usize, &'static str) {
    let until = |end: fn(char) -> bool| text.find(end).unwrap_or(text.len());
    match first {
        '/' if text.starts_with("//") => (until(|letter| letter == '\n'), "m"),
        '"' => (string_end(text), "s"),
        '0'..='9' => (number_end(text), "n"),
        letter if letter.is_ascii_alphabetic() || letter == '_' => (until(|letter| !letter.is_ascii_alphanumeric() && letter != '_'), "w"),
        other => (other.len_utf8(), ""),
    }
}

fn string_end(text: &str) -> usize {
    let mut escaped = true;
    for (at, letter) in text.char_indices() {
        match letter {
            '\n' => return at,
            '"' if !escaped => return at + 1,
            _ => escaped = at == 0 || (letter == '\\' && !escaped),
        }
        if at == 0 {
            escaped = false;
        }
    }
    text.len()
}

fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_part = |at: usize| {
        let byte = bytes[at];
        let after_e = matches!(byte, b'-' | b'+') && matches!(bytes[at - 1], b'e' | b'E');
        byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || after_e
    };
    (1..bytes.len()).find(|at| !is_part(*at)).unwrap_or(bytes.len())
}

fn of_word(text: &str, rest: &str) -> &'static str {
    let next = rest.trim_start();
    if next.starts_with('=') && !next.starts_with("==") || next.starts_with(':') && !next.starts_with("::") {
        "f"
    } else if KEYWORDS.contains(&text) {
        "k"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_marked_and_nothing_is_lost() {
        let program = "// a <b>\nexperiment x {\n  lr = 1e-3 // é\n  path = \"a\\\"<script>\" / 2\n}\n\"open\nend \"";
        let html = highlight(program);
        for part in [
            "<i class=\"m\">// a &lt;b&gt;</i>",
            "<i class=\"k\">experiment</i>",
            "<i class=\"f\">lr</i>",
            "<i class=\"n\">1e-3</i>",
            "<i class=\"s\">&quot;a\\&quot;&lt;script&gt;&quot;</i>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        let mut plain = html.replace("</i>", "");
        for class in ["k", "s", "n", "m", "f"] {
            plain = plain.replace(&format!("<i class=\"{class}\">"), "");
        }
        assert_eq!(plain, escape(program));
    }
}
