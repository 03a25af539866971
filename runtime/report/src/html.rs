//! The page around the runs.

use crate::leaderboard::leaderboard;
use crate::record::Record;
use crate::section::section;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// So many runs are shown unfolded.
const UNFOLDED: usize = 1;

/// Text as HTML, within elements and within attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are not allowed in HTML.
            letter if letter.is_control() && !matches!(letter, '\n' | '\t') => out.push('\u{FFFD}'),
            letter => out.push(letter),
        }
    }
    out
}

/// The whole page.
pub fn page(records: &[Record]) -> String {
    let mut names: Vec<&str> = records.iter().map(|record| record.plan.name.as_str()).collect();
    names.dedup();
    let title = match names.as_slice() {
        [name] if records.len() == 1 => (*name).to_owned(),
        [name] => format!("{name}: {} runs", records.len()),
        _ => format!("{} runs", records.len()),
    };
    let title = escape(&title);
    let board = if records.len() > 1 { leaderboard(records) } else { String::new() };
    let sections: String = records.iter().enumerate().map(|(id, record)| section(record, id, records.len() <= UNFOLDED)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1><button id=\"theme\" type=\"button\">dark or light</button></header>\n\
         <main>\n{board}{sections}</main>\n<footer>mgx report</footer>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}
