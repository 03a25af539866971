//! `unfreeze = [(1, ["layer.1"]), (2, ["layer.0", embeddings])]`: parts that are trained only after so many epochs.

use mgx_diag::Diagnostic;

use super::Checker;
use super::expr::Scope;
use super::part_names::PartName;
use crate::syntax::ast::{Expr, ExprKind};

impl Checker<'_> {
    /// Reads the setting, and notes for each parameter that it names from which epoch on it is trained.
    pub fn unfreezing(&mut self, expr: &Expr, scope: &mut Scope) -> Option<()> {
        let ExprKind::List(items) = &expr.kind else {
            self.report(malformed(expr));
            return None;
        };
        let mut last = 0;
        for item in items {
            let ExprKind::Tuple(pair) = &item.kind else {
                self.report(malformed(item));
                return None;
            };
            let [epoch, names] = pair.as_slice() else {
                self.report(malformed(item));
                return None;
            };
            let from = self.whole(epoch, scope)?;
            if from <= last {
                let what = if last == 0 { "what is trained from the first epoch on is not named" } else { "the epochs ascend" };
                let found = Diagnostic::error("E0559", format!("nothing can be unfrozen after {from} epochs here: {what}"));
                self.report(found.label(epoch.span, format!("{} or more", last + 1)));
                return None;
            }
            last = from;
            for name in self.part_names("unfreeze", names, scope)? {
                self.unfrozen_from(&name, from)?;
            }
        }
        let params = self.emission.as_ref().map(|emission| emission.params.as_slice()).unwrap_or_default();
        if params.iter().any(|param| param.trainable) && !params.iter().any(|param| param.trainable && param.from_epoch == 0) {
            let found =
                Diagnostic::error("E0559", "nothing is trained in the first epoch").label(expr.span, "everything is unfrozen later");
            self.report(found.help("leave out what is to be trained first, the adapter for example"));
            return None;
        }
        Some(())
    }

    fn unfrozen_from(&mut self, name: &PartName, from: u64) -> Option<()> {
        let params = self.emission.as_mut().map(|emission| emission.params.as_mut_slice()).unwrap_or_default();
        let mut known = Vec::new();
        let mut twice = false;
        let mut found = false;
        for param in params.iter_mut().filter(|param| param.trainable) {
            let root = param.path.split(['.', '[']).next().unwrap_or_default();
            let stored = format!("{root}.{}", param.key);
            if name.names_within(&stored) {
                twice |= param.from_epoch != 0;
                found = true;
                param.from_epoch = from;
            }
            known.push(stored);
        }
        if !found {
            self.no_such_part(name, "the experiment", "trained part", &known);
        } else if twice {
            let message = format!("`{}` is unfrozen twice", name.text);
            self.report(Diagnostic::error("E0559", message).label(name.span, "some of it was unfrozen before"));
        }
        (found && !twice).then_some(())
    }
}

fn malformed(expr: &Expr) -> Diagnostic {
    Diagnostic::error("E0301", "`unfreeze` is a list of epochs with names of parts")
        .label(expr.span, "this value")
        .help("write `unfreeze = [(1, [\"layer.1\"]), (2, [\"layer.0\", embeddings])]`")
}
