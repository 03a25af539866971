//! `output structure = base_pairs(probability, pairs)`: pairs of a secondary structure that follow from probabilities by a threshold.

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::DType;
use mgx_ir::plan::{ColumnKind, Init, OutputKind, StructureOutput};

use super::expr::Scope;
use super::value::Tensor;
use super::{Checker, ParamInfo};
use crate::syntax::ast::{Arg, Expr, ExprKind};

/// The options of `base_pairs`.
pub(super) const OPTIONS: [&str; 4] = ["threshold", "from", "to", "step"];

/// The arguments of `base_pairs(…)`.
pub fn base_pairs(expr: &Expr) -> Option<&[Arg]> {
    match &expr.kind {
        ExprKind::Call(callee, args) if matches!(&callee.kind, ExprKind::Name(name) if name == "base_pairs") => Some(args),
        _ => None,
    }
}

impl Checker<'_> {
    /// The probabilities, and how pairs follow from them. `targets`: the label columns of the task by their parameters.
    pub fn structure_output(
        &mut self,
        args: &[Arg],
        span: Span,
        targets: &[(String, String)],
        scope: &mut Scope,
    ) -> Option<(Tensor, OutputKind)> {
        let usage = "`base_pairs` takes the probabilities of all pairs of letters, and the label of a task that has contacts";
        let [probability, label, options @ ..] = args else { return self.no_structure(usage, span) };
        self.only_options("base_pairs", "two values", options, &OPTIONS)?;
        let value = self.eval(&probability.value, scope);
        let tensor = self.operand(&value, Some(DType::F32), probability.value.span)?;
        let is_square = matches!(tensor.axes[..], [a, b] if self.same_size(&self.axis_size(a), &self.axis_size(b)));
        if !is_square || !tensor.per_sample {
            let shown = self.show_tensor(&tensor);
            return self.no_structure(&format!("probabilities of pairs are `f[left, right]` of one sequence, and these are {shown}"), span);
        }
        let ExprKind::Name(label) = &label.value.kind else { return self.no_structure(usage, label.value.span) };
        let column = targets.iter().find(|(param, _)| param == label).map(|(_, column)| column.clone());
        let found = self.experiment.tables.iter().enumerate().find_map(|(data, table)| {
            let column = table.spec.columns.iter().find(|spec| Some(&spec.name) == column.as_ref())?;
            if let ColumnKind::Contacts { each } = &column.kind { Some((data, each.clone())) } else { None }
        });
        let Some((data, sequence)) = found else { return self.no_structure(usage, span) };
        let mut number = |checker: &mut Self, name: &str, default: f64| {
            let arg = options.iter().find(|arg| arg.name.as_ref().is_some_and(|own| own.text == name));
            arg.map_or(Some(default), |arg| checker.number_in(&arg.value, scope, 0.0, 1.0))
        };
        let start = number(self, "threshold", 0.5)?;
        let (from, to, step) = (number(self, "from", 0.01)?, number(self, "to", 0.29)?, number(self, "step", 0.01)?);
        // Thresholds are whole multiples of the step from the first on, so that the last is among them whatever rounding does.
        let count = ((to - from) / step + 0.5).floor();
        if step <= 0.0 || to < from || count > 10_000.0 {
            return self.no_structure("thresholds go from the least to the greatest in steps above 0, at most ten thousand", span);
        }
        let candidates = (0..=count as u32).map(|index| from + f64::from(index) * step).collect();
        let threshold = self.threshold_state(start)?;
        Some((tensor, OutputKind::Structure(StructureOutput { data: data as u32, sequence, threshold, candidates })))
    }

    fn no_structure<T>(&mut self, message: &str, span: Span) -> Option<T> {
        let diagnostic = Diagnostic::error("E0588", message).label(span, "in this call");
        self.report(diagnostic.help("write `output structure = base_pairs(sigmoid(logits), pairs)`, where `pairs: contacts[left, right]`"));
        None
    }

    /// The state that holds the threshold; nothing in the graph reads it.
    fn threshold_state(&mut self, start: f64) -> Option<u32> {
        // With the key under which the reference's task stores it.
        let param = ParamInfo::state_of_task("task.threshold".to_owned(), "threshold", Init::Constant(start));
        let id = self.add_task_state(param, Vec::new())?;
        Some(id.0)
    }
}
