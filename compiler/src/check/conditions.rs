//! `where` conditions: checked where the sizes are known, taken as facts where they are not.

use mgx_diag::{Diagnostic, Span};

use super::Checker;
use super::expr::Scope;
use super::value::Value;
use crate::syntax::ast::{Expr, ExprKind};

impl Checker<'_> {
    /// Checks a `where` condition; while a module is checked by itself, it is taken as given.
    pub fn hold(&mut self, condition: &Expr, scope: &mut Scope, span: Span) -> bool {
        match self.eval(condition, scope) {
            Value::Bool(Some(true)) => true,
            Value::Bool(Some(false)) => {
                let shown = self.show_sides(condition, scope);
                let written = self.library.sources.slice(condition.span).to_owned();
                let help = self.divisors(condition, scope).unwrap_or_else(|| format!("choose values for which `{written}` holds"));
                self.report(
                    Diagnostic::error("E0405", format!("the condition `{written}` does not hold"))
                        .label(span, shown)
                        .label(condition.span, "required here")
                        .help(help),
                );
                false
            }
            Value::Bool(None) => {
                self.assume(condition, scope);
                true
            }
            Value::Error => false,
            other => {
                self.report(
                    Diagnostic::error("E0304", format!("a condition is a truth value, not {}", other.describe()))
                        .label(condition.span, "used as a condition"),
                );
                false
            }
        }
    }

    /// `a % b == 0` and `a == b` are kept as facts.
    fn assume(&mut self, condition: &Expr, scope: &mut Scope) {
        use crate::syntax::ast::BinaryOperator as B;
        match &condition.kind {
            ExprKind::Binary(B::And, _, a, b) => {
                self.assume(a, scope);
                self.assume(b, scope);
            }
            ExprKind::Binary(B::Eq, _, left, right) => {
                if let (ExprKind::Binary(B::Rem, _, dividend, divisor), ExprKind::Int(0)) = (&left.kind, &right.kind) {
                    if let (Value::Int { size: dividend, .. }, Value::Int { size: divisor, .. }) =
                        (self.eval(dividend, scope), self.eval(divisor, scope))
                    {
                        self.facts.divisible(&dividend, &divisor);
                    }
                } else if let (Value::Int { size: a, .. }, Value::Int { size: b, .. }) = (self.eval(left, scope), self.eval(right, scope)) {
                    self.facts.equate(&a, &b);
                }
            }
            _ => {}
        }
    }

    /// Of `a % b == 0`, which `b` would do.
    fn divisors(&mut self, condition: &Expr, scope: &mut Scope) -> Option<String> {
        use crate::syntax::ast::BinaryOperator as B;
        const MOST: i64 = 1 << 20;
        let ExprKind::Binary(B::Eq, _, left, right) = &condition.kind else { return None };
        let (ExprKind::Binary(B::Rem, _, dividend, divisor), ExprKind::Int(0)) = (&left.kind, &right.kind) else { return None };
        if let ExprKind::Int(_) = divisor.kind {
            return None;
        }
        let Value::Int { size, .. } = self.eval(dividend, scope) else { return None };
        let number = self.facts.apply(&size).as_constant().filter(|number| (1..=MOST).contains(number))?;
        let whole: Vec<String> = (1..=number).filter(|by| number % by == 0).map(|by| by.to_string()).collect();
        let named = |expr: &Expr| self.library.sources.slice(expr.span).to_owned();
        Some(format!("`{}` divides {number} if it is {}", named(divisor), whole.join(", ")))
    }

    /// The numbers of a condition that failed: `hidden = 320, heads = 7`.
    fn show_sides(&self, condition: &Expr, scope: &Scope) -> String {
        let mut names = Vec::new();
        collect_names(condition, &mut names);
        let mut seen = Vec::new();
        for name in names {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        let shown: Vec<String> = seen
            .iter()
            .filter_map(|name| match scope.env.get(name)? {
                Value::Int { size, .. } => Some(format!("{name} = {}", self.facts.apply(size))),
                Value::Float(Some(value)) => Some(format!("{name} = {value}")),
                _ => None,
            })
            .collect();
        if shown.is_empty() { "does not hold".to_owned() } else { shown.join(", ") }
    }
}

fn collect_names<'a>(expr: &'a Expr, names: &mut Vec<&'a str>) {
    match &expr.kind {
        ExprKind::Name(name) => names.push(name),
        ExprKind::Binary(_, _, a, b) => {
            collect_names(a, names);
            collect_names(b, names);
        }
        ExprKind::Unary(_, a) | ExprKind::Member(a, _) => collect_names(a, names),
        ExprKind::Call(_, args) => args.iter().for_each(|arg| collect_names(&arg.value, names)),
        _ => {}
    }
}
