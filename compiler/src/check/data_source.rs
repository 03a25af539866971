//! Where the rows of a table come from: `table("file.tsv")`, `fasta("file.fasta")`, `structures("folder")`, `variants("file.tsv", genome = "genome.fasta", window = 512)`.

use mgx_diag::{Diagnostic, Span, nearest};
use mgx_ir::plan::{FileFormat, WindowSpec};

use super::Checker;
use super::expr::Scope;
use super::value::Env;
use crate::syntax::ast::{Arg, Expr, ExprKind};

/// A file of rows, and what is made of it.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: String,
    pub format: FileFormat,
    pub windows: Option<WindowSpec>,
    /// Of structures, those of so many letters.
    pub letters: Option<[u64; 2]>,
}

pub(super) const SOURCES: [&str; 4] = ["table", "fasta", "variants", "structures"];
pub(super) const FORMATS: [(&str, FileFormat); 3] = [("csv", FileFormat::Csv), ("tsv", FileFormat::Tsv), ("parquet", FileFormat::Parquet)];
/// Options of `variants`: the names of columns.
const HEADERS: [&str; 5] = ["chromosome", "start", "end", "reference", "mutated"];
pub(super) const VARIANT_OPTIONS: [&str; 9] =
    ["genome", "window", "mismatches", "format", "chromosome", "start", "end", "reference", "mutated"];
pub(super) const STRUCTURE_OPTIONS: [&str; 2] = ["shortest", "longest"];
const USAGE: &str = "rows come from `table(\"file.tsv\")`, `fasta(\"file.fasta\")`, `structures(\"folder\")` or `variants(\"file.tsv\", genome = \"genome.fasta\", window = 512)`";

impl Checker<'_> {
    /// The source of a `data` declaration.
    pub fn table_source(&mut self, source: &Expr, file: usize) -> Option<Source> {
        let ExprKind::Call(callee, args) = &source.kind else {
            self.report(Diagnostic::error("E0503", "this is no source of rows").label(source.span, "not a source").help(USAGE));
            return None;
        };
        let kind = match &callee.kind {
            ExprKind::Name(name) if SOURCES.contains(&name.as_str()) => name.as_str(),
            other => {
                let diagnostic = Diagnostic::error("E0503", "this is no source of rows").label(callee.span, "not a source");
                let near = if let ExprKind::Name(name) = other { nearest(name, SOURCES) } else { None };
                self.report(match near {
                    Some(near) => diagnostic.did_you_mean(callee.span, near),
                    None => diagnostic.help(USAGE),
                });
                return None;
            }
        };
        let mut scope = Scope { file, env: Env::default(), experiment: false, instance: None };
        let (paths, options): (Vec<&Arg>, Vec<&Arg>) = args.iter().partition(|arg| arg.name.is_none());
        if let Some(extra) = paths.get(1) {
            let diagnostic =
                Diagnostic::error("E0503", format!("`{kind}` reads one file or folder")).label(extra.value.span, "one too many");
            self.report(diagnostic.help("declare another table for it, or join the files"));
            return None;
        }
        let Some(path) = paths.first() else {
            let diagnostic = Diagnostic::error("E0503", format!("`{kind}` does not say where its rows are")).label(source.span, "no path");
            self.report(diagnostic.help(USAGE));
            return None;
        };
        let path = self.text_of(&path.value, &mut scope)?;
        let mut format = match kind {
            "fasta" => Some(FileFormat::Fasta),
            "structures" => Some(FileFormat::Structures),
            _ => None,
        };
        let mut letters = None;
        let windows = if kind == "variants" {
            let (formats, options): (Vec<&Arg>, Vec<&Arg>) = options.into_iter().partition(|arg| is_named(arg, "format"));
            if let Some(arg) = formats.first() {
                format = Some(self.choice(&arg.value, &FORMATS)?);
            }
            Some(self.window_spec(&options, source.span, &mut scope)?)
        } else {
            for arg in options {
                if kind == "table" && is_named(arg, "format") {
                    format = Some(self.choice(&arg.value, &FORMATS)?);
                } else if kind == "structures" && (is_named(arg, "shortest") || is_named(arg, "longest")) {
                    let [least, most] = letters.get_or_insert([0, u64::MAX]);
                    let bound = if is_named(arg, "shortest") { least } else { most };
                    *bound = self.whole(&arg.value, &mut scope)?;
                } else if let Some(name) = &arg.name {
                    let known: &[&str] = match kind {
                        "table" => &["format"],
                        "structures" => &STRUCTURE_OPTIONS,
                        _ => &[],
                    };
                    self.unknown_option(kind, name, known.iter().copied());
                    return None;
                }
            }
            None
        };
        let format = format.map_or_else(|| self.format_of(&path, source.span), Some)?;
        Some(Source { path, format, windows, letters })
    }

    /// The options of `variants`; the names of columns are those of the public tables unless others are given.
    fn window_spec(&mut self, options: &[&Arg], span: Span, scope: &mut Scope) -> Option<WindowSpec> {
        let mut genome = None;
        let mut letters = None;
        let mut headers = ["chrom", "start", "end", "ref", "mutate"].map(str::to_owned);
        let mut keep_mismatches = false;
        for arg in options {
            let Some(name) = &arg.name else { continue };
            match name.text.as_str() {
                "genome" => genome = Some(self.text_of(&arg.value, scope)?),
                "window" => letters = Some(self.whole(&arg.value, scope)?),
                "mismatches" => keep_mismatches = self.choice(&arg.value, &[("error", false), ("keep", true)])?,
                other => match HEADERS.iter().position(|header| *header == other) {
                    Some(place) => headers[place] = self.text_of(&arg.value, scope)?,
                    None => {
                        self.unknown_option("variants", name, VARIANT_OPTIONS.into_iter());
                        return None;
                    }
                },
            }
        }
        let (Some(genome), Some(letters)) = (genome, letters) else {
            let diagnostic = Diagnostic::error("E0503", "`variants` needs the genome and the number of letters on either side");
            self.report(diagnostic.label(span, "in this source").help(USAGE));
            return None;
        };
        let [chromosome, start, end, reference, mutated] = headers;
        Some(WindowSpec { genome, letters, chromosome, start, end, reference, mutated, keep_mismatches })
    }

    /// The columns of a table of variants with those that are made of them.
    pub fn with_windows(&mut self, mut header: Vec<String>, windows: &WindowSpec, path: &str, source: Span) -> Option<Vec<String>> {
        let missing: Vec<&String> = windows.headers().into_iter().filter(|wanted| !header.contains(wanted)).collect();
        for wanted in &missing {
            self.missing_header(wanted, None, source, &header, path, source);
        }
        if !missing.is_empty() {
            return None;
        }
        if let Some(taken) = WindowSpec::MADE.iter().find(|made| header.iter().any(|own| own == *made)) {
            let diagnostic = Diagnostic::error("E0583", format!("`{path}` has a column `{taken}`, and `variants` makes one of this name"));
            self.report(diagnostic.label(source, "this source").help("rename the column in the file"));
            return None;
        }
        header.extend(WindowSpec::MADE.map(str::to_owned));
        Some(header)
    }
}

fn is_named(arg: &Arg, name: &str) -> bool {
    arg.name.as_ref().is_some_and(|own| own.text == name)
}
