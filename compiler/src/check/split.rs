//! How a table is divided into the parts for training, validation and test.

use mgx_diag::{Diagnostic, nearest};
use mgx_ir::plan::{ColumnKind, FoldSpec, FoldValid, Generator, SplitSpec};

use super::Checker;
use super::data::Table;
use super::expr::Scope;
use super::value::Env;
use crate::syntax::ast::{Arg, Expr, ExprKind, Name};

/// Options of `random` and of `folds`.
pub(super) const RANDOM_OPTIONS: [&str; 7] = ["train", "valid", "test", "seed", "stratify", "group", "like"];
pub(super) const FOLD_OPTIONS: [&str; 9] = ["k", "fold", "seed", "column", "stratify", "group", "like", "valid", "valid_offset"];

impl Checker<'_> {
    pub fn split_spec(&mut self, expr: &Expr, table: &Table, file: usize) -> Option<SplitSpec> {
        let usage = "a split is `random(train = 0.8, valid = 0.1, test = 0.1)`, `column(\"name\")` or `folds(k = 5)`";
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
            ExprKind::Name(name) if name == "random" => self.random_split(expr, args, table, &mut scope),
            ExprKind::Name(name) if name == "folds" => self.folds(expr, args, table, &mut scope),
            _ => {
                self.report(Diagnostic::error("E0506", usage).label(callee.span, "not a split"));
                None
            }
        }
    }

    fn random_split(&mut self, expr: &Expr, args: &[Arg], table: &Table, scope: &mut Scope) -> Option<SplitSpec> {
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
                Some("stratify") => stratify = self.split_column(&arg.value, table, true),
                Some("group") => group = self.split_column(&arg.value, table, false),
                Some("like") => like = self.choice(&arg.value, &[("mgx", Generator::Mgx), ("numpy", Generator::Numpy)])?,
                _ => {
                    let name = arg.name.clone().unwrap_or(Name { text: "this".to_owned(), span: arg.value.span });
                    self.unknown_option("random", &name, RANDOM_OPTIONS.into_iter());
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

    /// `folds(k = 5)`: cross-validation.
    fn folds(&mut self, expr: &Expr, args: &[Arg], table: &Table, scope: &mut Scope) -> Option<SplitSpec> {
        let valid = FoldValid::Fold { offset: 1 };
        let mut spec = FoldSpec {
            count: 0,
            fold: 0,
            seed: self.experiment.seed,
            column: None,
            stratify: None,
            group: None,
            like: Generator::Mgx,
            valid,
        };
        for arg in args {
            match arg.name.as_ref().map(|name| name.text.as_str()) {
                Some("k") => spec.count = self.whole(&arg.value, scope)?,
                Some("fold") => spec.fold = self.whole(&arg.value, scope)?,
                Some("seed") => spec.seed = self.whole(&arg.value, scope)?,
                Some("column") => spec.column = Some(self.text_of(&arg.value, scope)?),
                Some("stratify") => spec.stratify = self.split_column(&arg.value, table, true),
                Some("group") => spec.group = self.split_column(&arg.value, table, false),
                Some("like") => spec.like = self.choice(&arg.value, &[("mgx", Generator::Mgx), ("numpy", Generator::Numpy)])?,
                Some("valid") => {
                    spec.valid = match &arg.value.kind {
                        ExprKind::None => FoldValid::None,
                        _ => self.choice(&arg.value, &[("fold", valid), ("test", FoldValid::Test)])?,
                    };
                }
                Some("valid_offset") => {
                    let offset = self.number_in(&arg.value, scope, -1e6, 1e6)?;
                    spec.valid = FoldValid::Fold { offset: offset as i64 };
                }
                _ => {
                    let name = arg.name.clone().unwrap_or(Name { text: "this".to_owned(), span: arg.value.span });
                    self.unknown_option("folds", &name, FOLD_OPTIONS.into_iter());
                    return None;
                }
            }
        }
        match fold_mistake(&spec) {
            None => Some(SplitSpec::Folds(spec)),
            Some((code, message, help)) => {
                self.report(Diagnostic::error(code, message).label(expr.span, "these folds").help(help));
                None
            }
        }
    }

    fn split_column(&mut self, expr: &Expr, table: &Table, is_class: bool) -> Option<String> {
        let name = match &expr.kind {
            ExprKind::Name(name) | ExprKind::Str(name) => name.as_str(),
            _ => "",
        };
        if table.unknown.iter().any(|unknown| unknown == name) {
            return None;
        }
        let columns = &table.spec.columns;
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
                    Some(near) => diagnostic.did_you_mean(expr.span, near),
                    None => diagnostic.help(format!("its columns are: {}", known.join(", "))),
                };
                self.report(diagnostic);
                None
            }
        }
    }
}

/// Folds that cannot be, whatever the rows are: a code, what is wrong, and a fix.
fn fold_mistake(spec: &FoldSpec) -> Option<(&'static str, String, String)> {
    let mistake = |message: String, help: &str| Some(("E0567", message, help.to_owned()));
    if spec.count < 2 {
        return mistake(format!("cross-validation takes 2 folds or more, not {}", spec.count), "write `folds(k = 5)`");
    }
    if spec.fold >= spec.count {
        let message = format!("there is no fold {} among {}", spec.fold, spec.count);
        return Some(("E0568", message, format!("folds are counted from 0: 0 to {}", spec.count - 1)));
    }
    if let FoldValid::Fold { offset } = spec.valid {
        if offset.rem_euclid(i64::try_from(spec.count).unwrap_or(i64::MAX)) == 0 {
            return mistake(
                "the fold that is watched would be the one that is tested".to_owned(),
                "if that is meant, write `valid = test`",
            );
        }
        if spec.count == 2 {
            return mistake(
                "of 2 folds one is tested and one watched, and none is trained on".to_owned(),
                "write `k = 3` or more, or `valid = none`",
            );
        }
    }
    let divided = spec.stratify.is_some() || spec.group.is_some();
    if spec.column.is_some() && (divided || spec.like == Generator::Numpy) {
        return mistake(
            "the folds stand in a column and are not made at random".to_owned(),
            "leave out `column`, or `stratify`, `group` and `like`",
        );
    }
    if spec.like == Generator::Numpy && divided {
        return mistake("`like = numpy` divides row by row".to_owned(), "leave out `like = numpy`, or `stratify` and `group`");
    }
    if spec.like == Generator::Numpy && u32::try_from(spec.seed).is_err() {
        return mistake(format!("NumPy's generator takes seeds below 2³², not {}", spec.seed), "give a smaller `seed`");
    }
    None
}
