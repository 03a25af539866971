//! Pages read from the tables of the specification, so that nothing is said twice.

use super::{Entry, Page, PageKind};

const SPECIFICATION: &str = include_str!("../../../docs/language.md");

/// The text of a chapter or section with this heading.
fn chapter(heading: &str) -> &'static str {
    let mut parts = SPECIFICATION.split(heading).skip(1);
    let rest = parts.find(|rest| rest.starts_with('\n')).unwrap_or_default();
    let level = heading.split(' ').next().unwrap_or_default();
    rest.split(&format!("\n{level} ")).next().unwrap_or(rest)
}

/// The rows of the tables whose first header cell is `header`: their two cells.
fn rows(text: &'static str, header: &str) -> Vec<(&'static str, &'static str)> {
    let mut out = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            is_inside = false;
            continue;
        };
        let (first, second) = split_cells(cells);
        if first == header {
            is_inside = true;
        } else if is_inside && !first.starts_with("---") {
            out.push((first, second));
        }
    }
    out
}

/// The first cell of a row and the rest; a `|` in a cell is written `\|`.
fn split_cells(cells: &str) -> (&str, &str) {
    let at = cells.match_indices('|').map(|(at, _)| at).find(|at| !cells[..*at].ends_with('\\'));
    at.map_or((cells.trim(), ""), |at| (cells[..at].trim(), cells[at + 1..].trim()))
}

/// What stands in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn plain(cell: &str) -> String {
    let mut out = cell.replace("\\|", "|");
    // Links lead to places of the specification.
    while let Some(at) = out.find("](") {
        let Some(end) = out[at..].find(')') else { break };
        let Some(start) = out[..at].rfind('[') else { break };
        out = format!("{}\"{}\" in docs/language.md{}", &out[..start], &out[start + 1..at], &out[at + end + 1..]);
    }
    out
}

/// The page of a function of the language.
pub(super) fn function(name: &str) -> Option<Page> {
    let calls = |form: &str| form.strip_prefix(name).is_some_and(|rest| rest.starts_with('('));
    let mut found: Vec<(String, String)> = Vec::new();
    for (cell, gives) in rows(chapter("## Functions of the language"), "function") {
        let mut forms: Vec<String> = quoted(cell).filter(|form| calls(form)).map(str::to_owned).collect();
        // `abs exp log` of `x`
        if quoted(cell).next().is_some_and(|words| !words.contains('(') && words.split(' ').any(|word| word == name)) {
            forms.push(format!("{name}(x)"));
        }
        if !forms.is_empty() {
            found.push((forms.join(", "), plain(gives)));
        }
    }
    let doc = match found.as_slice() {
        [] => return None,
        [(_, gives)] => gives.clone(),
        several => several.iter().map(|(forms, gives)| format!("`{forms}`: {gives}")).collect::<Vec<_>>().join("\n"),
    };
    let forms: Vec<String> = found.into_iter().map(|(forms, _)| forms).collect();
    Some(page(name.to_owned(), PageKind::Function, forms.join(", "), doc))
}

/// The options that all backbones or rewrites have.
pub(super) fn options_of(kind: &str) -> Vec<Entry> {
    let rows = match kind {
        "backbone" => rows(chapter("## Backbones"), "option"),
        _ => rows(chapter("### Rewrites"), "option of every rewrite"),
    };
    let entries = rows.into_iter().flat_map(|(names, doc)| {
        quoted(names).map(|name| Entry { name: name.to_owned(), doc: Some(plain(doc)), ..Entry::default() }).collect::<Vec<_>>()
    });
    entries.collect()
}

/// The settings of a block: `train`, `predict`.
fn settings_table(block: &str) -> Vec<(&'static str, &'static str)> {
    rows(SPECIFICATION, &format!("setting of `{block}`"))
}

/// The names of the settings of a block.
pub(super) fn settings(block: &str) -> impl Iterator<Item = &'static str> {
    settings_table(block).into_iter().flat_map(|(names, _)| quoted(names))
}

/// The page of a setting.
pub(super) fn setting(block: &str, name: &str) -> Option<Page> {
    let (_, doc) = settings_table(block).into_iter().find(|(names, _)| quoted(names).any(|other| other == name))?;
    Some(page(format!("{block}.{name}"), PageKind::Setting, format!("{block} {{ {name} = … }}"), plain(doc)))
}

fn page(name: String, kind: PageKind, signature: String, doc: String) -> Page {
    Page {
        name,
        kind,
        signature,
        doc,
        about: None,
        module: None,
        import: None,
        options: Vec::new(),
        common_options: Vec::new(),
        takes: Vec::new(),
        gives: Vec::new(),
        weights: None,
        parameters: None,
    }
}
