//! Columns of several numbers or labels: in one column of lists, or in a column each.

use mgx_diag::{Diagnostic, Span};
use mgx_ir::plan::ColumnKind;

use super::Checker;
use super::data::Table;
use super::expr::Scope;
use crate::syntax::ast::{Arg, Expr, ExprKind};

/// Where the values of a column stand in the file.
#[derive(Clone, Debug)]
pub enum Headers {
    /// In one column.
    One(String),
    /// In columns whose names have a number from 0 for `{i}`.
    Numbered(String),
    /// In these columns.
    Each(Vec<String>),
}

/// What stands for the number in a name.
const NUMBER: &str = "{i}";

impl Headers {
    /// The name that messages use.
    pub fn shown(&self) -> String {
        match self {
            Self::One(header) | Self::Numbered(header) => header.clone(),
            Self::Each(headers) => headers.join(", "),
        }
    }

    /// The names of `count` columns; none where it is one column.
    fn of(&self, count: usize) -> Vec<String> {
        match self {
            Self::One(_) => Vec::new(),
            Self::Numbered(pattern) => (0..count).map(|number| pattern.replace(NUMBER, &number.to_string())).collect(),
            Self::Each(headers) => headers.clone(),
        }
    }
}

impl Checker<'_> {
    /// What `at` says: a name, a name with `{i}`, or a list of names.
    pub fn headers(&mut self, name: &str, at: Option<&Expr>, scope: &mut Scope) -> Option<Headers> {
        match at.map(|expr| (&expr.kind, expr)) {
            None => Some(Headers::One(name.to_owned())),
            Some((ExprKind::Str(text), _)) if text.contains(NUMBER) => Some(Headers::Numbered(text.clone())),
            Some((ExprKind::List(items), _)) => {
                Some(Headers::Each(items.iter().map(|item| self.text_of(item, scope)).collect::<Option<_>>()?))
            }
            Some((_, expr)) => self.text_of(expr, scope).map(Headers::One),
        }
    }

    /// A column that takes one header alone.
    pub fn one_header(&mut self, headers: &Headers, span: Span) -> Option<()> {
        if matches!(headers, Headers::One(_)) {
            return Some(());
        }
        let diagnostic = Diagnostic::error("E0562", "this column reads one column of the file").label(span, "several are named here");
        self.report(diagnostic.help("several columns make `real(count = …)` or `labels(…)`"));
        None
    }

    /// `real`, or `real(count = 3)`.
    pub fn real_kind(&mut self, args: &[Arg], headers: &Headers, span: Span, scope: &mut Scope) -> Option<ColumnKind> {
        let mut count = None;
        for arg in args {
            match arg.name.as_ref() {
                Some(name) if name.text == "count" => count = Some(self.whole(&arg.value, scope)?),
                name => {
                    let name = name.cloned().unwrap_or(crate::syntax::ast::Name { text: "this".to_owned(), span: arg.value.span });
                    self.unknown_option("real", &name, std::iter::once("count"));
                    return None;
                }
            }
        }
        let count = match (count, headers) {
            (None, Headers::One(_)) => return Some(ColumnKind::Real),
            (None, Headers::Each(headers)) => headers.len() as u64,
            (None, Headers::Numbered(_)) => {
                let diagnostic = Diagnostic::error("E0562", "how many columns there are is not said").label(span, "of this column");
                self.report(diagnostic.help("write `real(count = 3)`"));
                return None;
            }
            (Some(0), _) => {
                self.report(Diagnostic::error("E0562", "a column of no numbers").label(span, "`count` is 0"));
                return None;
            }
            (Some(count), _) => count,
        };
        self.check_headers(headers, count as usize, span)?;
        Some(ColumnKind::Reals { count, headers: headers.of(count as usize) })
    }

    /// `labels("a", "b")`.
    pub fn labels_kind(&mut self, args: &[Arg], headers: &Headers, span: Span, scope: &mut Scope) -> Option<ColumnKind> {
        let names = self.class_names(args, span, "labels", scope)?;
        self.check_headers(headers, names.len(), span)?;
        let headers = headers.of(names.len());
        Some(ColumnKind::Labels { names, headers })
    }

    /// `class("a", "b")`, or with `each = sequence` one for each letter.
    pub fn class_kind(&mut self, args: &[Arg], span: Span, scope: &mut Scope) -> Option<ColumnKind> {
        let (each, names): (Vec<&Arg>, Vec<&Arg>) = args.iter().partition(|arg| arg.name.as_ref().is_some_and(|name| name.text == "each"));
        let names: Vec<Arg> = names.into_iter().cloned().collect();
        let names = self.class_names(&names, span, "class", scope)?;
        match each.first() {
            None => Some(ColumnKind::Class { names }),
            Some(arg) => Some(ColumnKind::TokenClass { names, each: self.column_name(arg)? }),
        }
    }

    /// `contacts(each = sequence)`.
    pub fn contacts_kind(&mut self, args: &[Arg], span: Span) -> Option<ColumnKind> {
        match args {
            [arg] if arg.name.as_ref().is_some_and(|name| name.text == "each") => {
                Some(ColumnKind::Contacts { each: self.column_name(arg)? })
            }
            _ => {
                let diagnostic = Diagnostic::error("E0566", "whose letters are in contact is not said").label(span, "of this column");
                self.report(diagnostic.help("write `contacts(each = sequence)`, with the name of the column of sequences"));
                None
            }
        }
    }

    fn column_name(&mut self, arg: &Arg) -> Option<String> {
        if let ExprKind::Name(name) = &arg.value.kind {
            return Some(name.clone());
        }
        let diagnostic = Diagnostic::error("E0566", "a column of this table is wanted").label(arg.value.span, "not the name of a column");
        self.report(diagnostic.help("write the name of a column of sequences: `each = sequence`"));
        None
    }

    /// Labels of letters are of a column of sequences of the same table.
    pub fn check_sequences(&mut self, table: &Table) {
        let columns = &table.spec.columns;
        for (column, span) in columns.iter().zip(&table.column_spans) {
            let (ColumnKind::TokenClass { each, .. } | ColumnKind::Contacts { each }) = &column.kind else { continue };
            let found = columns.iter().find(|other| other.name == *each);
            if table.unknown.contains(each) || found.is_some_and(|other| matches!(other.kind, ColumnKind::Sequence { .. })) {
                continue;
            }
            let message = match found {
                None => format!("there is no column `{each}` here"),
                Some(_) => format!("`{each}` is no column of sequences"),
            };
            let sequences = columns.iter().filter(|other| matches!(other.kind, ColumnKind::Sequence { .. }));
            let known: Vec<&str> = sequences.map(|other| other.name.as_str()).collect();
            let diagnostic = Diagnostic::error("E0566", message).label(*span, "its labels are of this column's letters");
            self.report(diagnostic.help(format!("columns of sequences are: {}", known.join(", "))));
        }
    }

    fn check_headers(&mut self, headers: &Headers, count: usize, span: Span) -> Option<()> {
        match headers {
            Headers::Each(headers) if headers.len() != count => {
                let message = format!("{count} values of each row, and {} columns are named for them", headers.len());
                self.report(Diagnostic::error("E0562", message).label(span, "in this column").help("name a column for each value"));
                None
            }
            _ => Some(()),
        }
    }
}
