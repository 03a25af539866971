//! What of a file can be folded away: brackets over several lines, comments over several lines, the imports.

use mgx_compiler::syntax::scan::{TokenKind, next_token};

/// From the end of one line to the end of another; bytes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    pub start: u32,
    pub end: u32,
    pub is_comment: bool,
    pub is_imports: bool,
}

/// What can be folded, in order of beginnings.
pub fn folds(text: &str) -> Vec<Fold> {
    let mut found = brackets(text);
    found.extend(runs(text, |line| line.starts_with("//"), |start, end| Fold { start, end, is_comment: true, is_imports: false }));
    found.extend(runs(text, |line| line.starts_with("use "), |start, end| Fold { start, end, is_comment: false, is_imports: true }));
    found.sort_by_key(|fold| (fold.start, fold.end));
    found
}

fn brackets(text: &str) -> Vec<Fold> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some((kind, length)) = next_token(&text[at..]) {
        if kind == TokenKind::Punctuation {
            match &text[at..at + length] {
                "(" | "[" | "{" => open.push(at),
                ")" | "]" | "}" => {
                    let start = open.pop();
                    if let Some(start) = start.filter(|start| text[*start..at].contains('\n')) {
                        found.push(Fold { start: start as u32 + 1, end: at as u32, is_comment: false, is_imports: false });
                    }
                }
                _ => {}
            }
        }
        at += length;
    }
    found
}

/// Lines one after another of which all are `like` this: from the end of the first to the end of the last.
fn runs(text: &str, like: impl Fn(&str) -> bool, fold: impl Fn(u32, u32) -> Fold) -> Vec<Fold> {
    let mut found = Vec::new();
    let mut run: Option<(usize, usize, usize)> = None;
    let mut at = 0;
    let lines = text.split_inclusive('\n').chain(std::iter::once(""));
    for line in lines {
        let end = at + line.trim_end().len();
        if like(line.trim_start()) {
            run = Some(run.map_or((end, end, 1), |(start, _, count)| (start, end, count + 1)));
        } else if let Some((start, end, count)) = run.take()
            && count > 1
        {
            found.push(fold(start as u32, end as u32));
        }
        at += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_comments_and_imports_fold() {
        let text = "// é\n// b\nuse a::b\nuse a::c\nexperiment e {\n  x = f(\n    1\n  )\n}\n";
        let found: Vec<&str> = folds(text).iter().map(|fold| &text[fold.start as usize..fold.end as usize]).collect();
        assert_eq!(found, ["\n// b", "\nuse a::c", "\n  x = f(\n    1\n  )\n", "\n    1\n  "]);
    }
}
