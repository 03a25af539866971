//! How a table is divided into the parts for training, validation and test.

use mgx_diag::{Diagnostic, nearest};
use mgx_ir::plan::{ColumnKind, ColumnSpec, Generator, SplitSpec};

use super::Checker;
use super::expr::Scope;
use super::value::Env;
use crate::syntax::ast::{Arg, Expr, ExprKind, Name};

impl Checker<'_> {
    pub fn split_spec(&mut self, expr: &Expr, columns: &[ColumnSpec], file: usize) -> Option<SplitSpec> {
        let usage = "a split is `random(train = 0.8, valid = 0.1, test = 0.1)` or `column(\"name\")`";
        let ExprKind::Call(callee, args) = &expr.kind else {
            self.report(Diagnostic::error("E0506", usage).label(expr.span, "not a split"));
            return None;
        };
        let mut scope = Scope { file, env: Env::default(), experiment: false, instance: None };
        match &callee.kind {
            ExprKind::Name(name) if name == "column" => match args.as_slice() {
                [Arg { name: None, value }] => Some(SplitSpec::Column { header: self.text_of(value, &mut scope)? }),
                _ => {
                    self.report(Diagnostic::error("E0506", usage).label(expr.span, "takes the name of a column"));
                    None
                }
            },
            ExprKind::Name(name) if name == "random" => self.random_split(expr, args, columns, &mut scope),
            _ => {
                self.report(Diagnostic::error("E0506", usage).label(callee.span, "not a split"));
                None
            }
        }
    }

    fn random_split(&mut self, expr: &Expr, args: &[Arg], columns: &[ColumnSpec], scope: &mut Scope) -> Option<SplitSpec> {
        let (mut train, mut valid, mut test) = (0.0, 0.0, 0.0);
        let mut seed = self.experiment.seed;
        let (mut stratify, mut group) = (None, None);
        let mut like = Generator::Mgx;
        for arg in args {
            match arg.name.as_ref().map(|name| name.text.as_str()) {
                Some("train") => train = self.number_in(&arg.value, scope, 0.0, 1.0)?,
                Some("valid") => valid = self.number_in(&arg.value, scope, 0.0, 1.0)?,
                Some("test") => test = self.number_in(&arg.value, scope, 0.0, 1.0)?,
                Some("seed") => seed = self.whole(&arg.value, scope)?,
                Some("stratify") => stratify = Some(self.split_column(&arg.value, columns, true)?),
                Some("group") => group = Some(self.split_column(&arg.value, columns, false)?),
                Some("like") => like = self.choice(&arg.value, &[("mgx", Generator::Mgx), ("numpy", Generator::Numpy)])?,
                _ => {
                    let name = arg.name.clone().unwrap_or(Name { text: "this".to_owned(), span: arg.value.span });
                    self.unknown_option("random", &name, ["train", "valid", "test", "seed", "stratify", "group", "like"].into_iter());
                    return None;
                }
            }
        }
        let total: f64 = train + valid + test;
        if total > 1.0 + 1e-9 || total <= 0.0 {
            let diagnostic = Diagnostic::error("E0527", format!("the parts of the split sum to {}", (total * 1e6).round() / 1e6))
                .label(expr.span, "this split");
            self.report(
                diagnostic.help("the shares sum to 1, or to less to leave rows out: `random(train = 0.8, valid = 0.1, test = 0.1)`"),
            );
            return None;
        }
        if like == Generator::Numpy && (stratify.is_some() || group.is_some()) {
            self.report(
                Diagnostic::error("E0527", "`like = numpy` splits row by row")
                    .label(expr.span, "with `stratify` or `group`")
                    .help("leave out `like = numpy`, or `stratify` and `group`"),
            );
            return None;
        }
        Some(SplitSpec::Random { train, valid, test, seed, stratify, group, like })
    }

    fn split_column(&mut self, expr: &Expr, columns: &[ColumnSpec], is_class: bool) -> Option<String> {
        let name = match &expr.kind {
            ExprKind::Name(name) | ExprKind::Str(name) => name.as_str(),
            _ => "",
        };
        match columns.iter().find(|column| column.name == name) {
            Some(column) if !is_class || matches!(column.kind, ColumnKind::Class { .. }) => Some(column.name.clone()),
            Some(_) => {
                self.report(
                    Diagnostic::error("E0527", format!("`{name}` is not a class column"))
                        .label(expr.span, "rows are stratified by a class"),
                );
                None
            }
            None => {
                let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                let mut diagnostic = Diagnostic::error("E0205", "the split names a column that the table does not declare")
                    .label(expr.span, "no such column");
                diagnostic = match nearest(name, known.iter().copied()) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help(format!("its columns are: {}", known.join(", "))),
                };
                self.report(diagnostic);
                None
            }
        }
    }
}
