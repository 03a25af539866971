//! `mgxc list`.

use std::process::ExitCode;

use clap::ValueEnum;
use mgx_compiler::pages::{Listed, PageKind, library_names};
use serde_json::json;

use crate::cli::ListOptions;
use crate::report;

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    Backbones,
    Adapters,
    Fusions,
    Tasks,
    Optimizers,
    Schedules,
    Rewrites,
    Tokenizers,
    Networks,
    Layers,
    Functions,
    Codes,
}

impl Listing {
    fn kind(self) -> Option<PageKind> {
        Some(match self {
            Self::Backbones => PageKind::Backbone,
            Self::Adapters => PageKind::Adapter,
            Self::Fusions => PageKind::Fusion,
            Self::Tasks => PageKind::Task,
            Self::Optimizers => PageKind::Optimizer,
            Self::Schedules => PageKind::Schedule,
            Self::Rewrites => PageKind::Rewrite,
            Self::Tokenizers => PageKind::Tokenizer,
            Self::Networks => PageKind::Network,
            Self::Layers => PageKind::Layer,
            Self::Functions => PageKind::Function,
            Self::Codes => return None,
        })
    }
}

/// Names with a line about each; without an argument, all of them.
pub fn run(options: &ListOptions) -> ExitCode {
    let wanted: Vec<Listing> = options.what.map_or_else(|| Listing::value_variants().to_vec(), |what| vec![what]);
    let names = library_names();
    let listed = |what: Listing| match what.kind() {
        Some(kind) => names.iter().filter(|listed| listed.kind == kind).map(|one| (one.name.clone(), one.summary.clone())).collect(),
        None => codes(),
    };
    if options.json {
        let of_kinds: Vec<&Listed> = names.iter().filter(|one| wanted.iter().any(|what| what.kind() == Some(one.kind))).collect();
        let codes = if wanted.contains(&Listing::Codes) { codes() } else { Vec::new() };
        let codes: Vec<_> = codes.into_iter().map(|(code, slug)| json!({ "code": code, "name": slug })).collect();
        report::json(json!({ "names": of_kinds, "codes": codes }));
        return ExitCode::SUCCESS;
    }
    for (at, what) in wanted.iter().enumerate() {
        if options.what.is_none() {
            let title = what.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
            report::line(format_args!("{}{title}", if at == 0 { "" } else { "\n" }));
        }
        print(&listed(*what), if options.what.is_none() { "  " } else { "" });
    }
    ExitCode::SUCCESS
}

fn print(rows: &[(String, String)], indent: &str) {
    // A long name does not push all texts away.
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(30);
    for (name, text) in rows {
        report::line(format_args!("{}", format!("{indent}{name:width$}  {text}").trim_end()));
    }
}

/// All codes of findings, each with its short name.
fn codes() -> Vec<(String, String)> {
    let title = |code| mgx_diag::explain(code).and_then(|page| page.lines().next()).unwrap_or(code);
    let split = |code: &'static str| {
        let (code, name) = title(code).trim_start_matches("# ").split_once(' ').unwrap_or((code, ""));
        (code.to_owned(), name.to_owned())
    };
    mgx_diag::codes().map(split).collect()
}
