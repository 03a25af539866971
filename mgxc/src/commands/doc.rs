//! `mgxc doc`.

use std::process::ExitCode;

use mgx_compiler::pages::{Entry, Page, PageKind, count_parameters, library_pages, nearest_name};
use serde_json::json;

use crate::cli::DocOptions;
use crate::prose::{WIDTH, wrapped};
use crate::report;

/// Shows what is known about a name.
pub fn run(options: &DocOptions) -> ExitCode {
    if let Some(page) = mgx_diag::explain(&options.name) {
        return code(options, page);
    }
    let mut pages = library_pages(&options.name);
    if pages.is_empty() {
        let near = nearest_name(&options.name).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        report::note(format_args!("there is no `{}` in the library or the language{near}", options.name));
        report::note(format_args!("`mgxc list` shows all names"));
        return ExitCode::FAILURE;
    }
    for page in &mut pages {
        page.parameters = count_parameters(page);
    }
    if options.json {
        report::json(json!({ "pages": pages }));
        return ExitCode::SUCCESS;
    }
    let texts: Vec<String> = pages.iter().map(text).collect();
    report::text(&texts.join(&format!("\n{}\n\n", "─".repeat(WIDTH))));
    ExitCode::SUCCESS
}

/// The page of a code of a finding, as `mgxc explain` shows it.
fn code(options: &DocOptions, page: &str) -> ExitCode {
    if options.json {
        report::json(json!({ "code": options.name.to_uppercase(), "page": page }));
    } else {
        report::page(page);
    }
    ExitCode::SUCCESS
}

fn text(page: &Page) -> String {
    let mut out = format!("{}, {}\n\n", page.name, article(page.kind));
    for line in page.doc.lines() {
        out.push_str(&wrapped(line, ""));
    }
    out.push('\n');
    out.push_str(&wrapped(&page.signature, "  "));
    if let Some(import) = &page.import {
        out.push_str(&format!("  {import}\n"));
    }
    facts(&mut out, page);
    entries(&mut out, "options", &page.options);
    entries(&mut out, &format!("options of every {}", page.kind.word()), &page.common_options);
    out
}

fn article(kind: PageKind) -> String {
    let word = kind.word();
    format!("{} {word}", if word.starts_with(['a', 'o']) { "an" } else { "a" })
}

fn facts(out: &mut String, page: &Page) {
    let flow = |entries: &[Entry]| entries.iter().map(short).collect::<Vec<_>>().join(", ");
    let gives = match page.kind {
        PageKind::Task => {
            let of =
                |kind: &str| page.gives.iter().filter(|one| one.ty == kind).map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
            [("outputs", of("output")), ("metrics", of("metric"))].to_vec()
        }
        _ => [("gives", flow(&page.gives))].to_vec(),
    };
    let takes = match (page.kind, page.takes.first()) {
        (PageKind::Backbone, Some(column)) => format!("a column of {}", column.ty),
        _ => flow(&page.takes),
    };
    let parameters = page.parameters.filter(|count| *count > 0).map(grouped);
    let rows = [("takes", takes)].into_iter().chain(gives).chain([
        ("parameters", parameters.unwrap_or_default()),
        ("weights", page.weights.clone().unwrap_or_default()),
        ("about", page.about.clone().unwrap_or_default()),
        ("in", page.module.clone().unwrap_or_default()),
    ]);
    let rows: Vec<(&str, String)> = rows.filter(|(_, text)| !text.is_empty()).collect();
    if !rows.is_empty() {
        out.push('\n');
    }
    for (name, text) in rows {
        let label = format!("{name:<12}");
        let body = wrapped(&text, &" ".repeat(label.len()));
        out.push_str(&label);
        out.push_str(body.trim_start());
    }
}

fn short(entry: &Entry) -> String {
    let parts: Vec<&str> = [entry.name.as_str(), entry.ty.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

fn entries(out: &mut String, title: &str, entries: &[Entry]) {
    if entries.is_empty() {
        return;
    }
    out.push_str(&format!("\n{title}\n"));
    for entry in entries {
        let default = entry.default.as_ref().map_or_else(String::new, |default| format!(" = {default}"));
        out.push_str(&wrapped(&format!("{}{default}", short(entry)), "  "));
        if let Some(doc) = &entry.doc {
            out.push_str(&wrapped(doc, "      "));
        }
    }
}

/// 7409600 as 7,409,600.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
