//! Text for people: lines that are not too wide, and pages of Markdown on a terminal.

/// How wide a line of text is at most, in characters.
pub const WIDTH: usize = 100;

const BOLD: &str = "\u{1b}[1m";
const CYAN: &str = "\u{1b}[36m";
const PLAIN: &str = "\u{1b}[0m";

/// Lines of at most [`WIDTH`] characters where there are blanks to break them at, each after `indent`.
pub fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        let is_empty = line.len() == indent.len();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = indent.to_owned();
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

/// A page of Markdown as a terminal shows it: bold headings, examples indented without their fences, names in colour, lines of at most [`WIDTH`] characters.
pub fn terminal(page: &str) -> String {
    let mut out = String::new();
    let mut paragraph = String::new();
    let mut in_example = false;
    let flush = |paragraph: &mut String, out: &mut String| {
        if !paragraph.is_empty() {
            out.push_str(&coloured(&wrapped(paragraph, "")));
            paragraph.clear();
        }
    };
    for line in page.lines() {
        if line.starts_with("```") {
            flush(&mut paragraph, &mut out);
            in_example = !in_example;
        } else if in_example || line.starts_with("    ") || line.starts_with('|') {
            flush(&mut paragraph, &mut out);
            out.push_str(format!("{}{line}", if in_example { "    " } else { "" }).trim_end());
            out.push('\n');
        } else if let Some(heading) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
            flush(&mut paragraph, &mut out);
            out.push_str(&format!("{BOLD}{heading}{PLAIN}\n"));
        } else if line.trim().is_empty() {
            flush(&mut paragraph, &mut out);
            out.push('\n');
        } else {
            // An entry of a list begins a line of its own.
            if line.starts_with("- ") {
                flush(&mut paragraph, &mut out);
            }
            paragraph.push_str(line);
            paragraph.push(' ');
        }
    }
    flush(&mut paragraph, &mut out);
    out
}

/// What stands in backquotes in colour, without them.
fn coloured(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return text.to_owned();
    }
    let piece = |(at, piece): (usize, &&str)| if at % 2 == 1 { format!("{CYAN}{piece}{PLAIN}") } else { (*piece).to_owned() };
    pieces.iter().enumerate().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_shown_without_markup() {
        let page = "# E1 slug\n\nA `name` is\nlong.\n\n```mgx\nx = 1\n\n```\n- one\n- two\n";
        let expected = "\u{1b}[1mE1 slug\u{1b}[0m\n\nA \u{1b}[36mname\u{1b}[0m is long.\n\n    x = 1\n\n- one\n- two\n";
        assert_eq!(terminal(page), expected);
    }

    #[test]
    fn lines_are_broken_between_words() {
        let text = "word ".repeat(50);
        assert!(wrapped(&text, "  ").lines().all(|line| line.starts_with("  word") && line.chars().count() <= WIDTH));
        assert_eq!(wrapped(&"x".repeat(300), ""), format!("{}\n", "x".repeat(300)));
        assert_eq!(wrapped("", "  "), "\n");
    }
}
