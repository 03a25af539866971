//! What a task puts out and measures: outputs, and metrics that compare them with labels.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, Output};
use mgx_ir::plan::{MetricKind, MetricSpec, OutputKind, OutputSpec};

use super::Checker;
use super::experiment::TaskOutputs;
use super::expr::Scope;
use super::value::{Tensor, Value};
use crate::syntax::ast::{Arg, Expr, ExprKind};

/// The kinds of metrics, by their words.
pub(super) const METRICS: [(&str, MetricKind); 18] = [
    ("accuracy", MetricKind::Accuracy),
    ("f1", MetricKind::F1),
    ("mcc", MetricKind::Mcc),
    ("auroc", MetricKind::Auroc),
    ("auprc", MetricKind::Auprc),
    ("mse", MetricKind::Mse),
    ("mae", MetricKind::Mae),
    ("r2", MetricKind::R2),
    ("pearson", MetricKind::Pearson),
    ("spearman", MetricKind::Spearman),
    ("top_l", MetricKind::TopL),
    ("top_l2", MetricKind::TopL2),
    ("top_l5", MetricKind::TopL5),
    ("top_l10", MetricKind::TopL10),
    ("recovered", MetricKind::Recovered),
    ("structure_precision", MetricKind::StructurePrecision),
    ("structure_recall", MetricKind::StructureRecall),
    ("structure_f1", MetricKind::StructureF1),
];

impl Checker<'_> {
    /// `output name = value`: of a record one output for each of its values. `targets` are the labels of the task with their columns.
    pub fn task_output(
        &mut self,
        name: &str,
        value: &Value,
        span: Span,
        targets: &[(String, String)],
        task: &mut TaskOutputs,
    ) -> Option<()> {
        if let Value::Record(fields) = value {
            for (field, value) in Rc::clone(fields).iter() {
                self.task_output(&format!("{name}_{field}"), value, span, targets, task)?;
            }
            return Some(());
        }
        let tensor = self.operand(value, Some(DType::F32), span)?;
        let kind = self.output_kind(&tensor, targets.is_empty());
        self.put_out(task, name, &tensor, kind);
        Some(())
    }

    /// Adds an output of the task.
    pub fn put_out(&mut self, task: &mut TaskOutputs, name: &str, tensor: &Tensor, kind: OutputKind) {
        if let (Some(emission), Some(node)) = (self.emission.as_mut(), tensor.node) {
            emission.graph.outputs.push(Output { name: name.to_owned(), node });
        }
        task.outputs.push(OutputSpec { name: name.to_owned(), kind });
    }

    /// How an output is written: by the names along its last axis; a vector that nothing is compared with is an embedding.
    fn output_kind(&self, tensor: &Tensor, has_no_label: bool) -> OutputKind {
        match tensor.axes.last().and_then(|axis| self.axis(*axis).classes.clone()) {
            Some(classes) if classes.several => OutputKind::Labels { names: classes.names.to_vec() },
            Some(classes) => OutputKind::Probabilities { names: classes.names.to_vec() },
            None if has_no_label && !tensor.axes.is_empty() => OutputKind::Embedding,
            None => OutputKind::Values,
        }
    }

    /// `metric name = kind(output, label)` or `ratio(sum, count)`; nothing where the label is one that was left out.
    pub fn task_metric(
        &mut self,
        name: &str,
        expr: &Expr,
        targets: &[(String, String)],
        task: &mut TaskOutputs,
        scope: &mut Scope,
    ) -> Option<()> {
        let Some(terms) = terms(expr) else {
            let kinds: Vec<&str> = METRICS.iter().map(|(word, _)| *word).collect();
            let diagnostic = Diagnostic::error("E0509", "a metric is `kind(output, label)`").label(expr.span, "not a metric");
            self.report(
                diagnostic.help(format!("kinds are {}, and `ratio(sum, count)`; the label is a parameter of the task", kinds.join(", "))),
            );
            return Some(());
        };
        let (prediction, label, kind) = match terms {
            Terms::Ratio(terms) => return self.ratio(name, terms, task, scope),
            Terms::Comparison { prediction, label, kind } => (prediction, label, kind),
        };
        let Some((_, target)) = targets.iter().find(|(param, _)| param == label) else {
            if matches!(scope.env.get(label), Some(Value::None | Value::Absent)) {
                return Some(());
            }
            let diagnostic = Diagnostic::error("E0509", format!("the metric compares with `{label}`, which is no label of the task"));
            let labels: Vec<&str> = targets.iter().map(|(param, _)| param.as_str()).collect();
            self.report(diagnostic.label(expr.span, "in this metric").help(format!("its labels are: {}", labels.join(", "))));
            return Some(());
        };
        if let Some(Value::Record(fields)) = scope.env.get(prediction) {
            let one = |(field, _): &(String, Value)| MetricSpec {
                name: format!("{name}_{field}"),
                kind,
                prediction: format!("{prediction}_{field}"),
                target: target.clone(),
            };
            task.metrics.extend(fields.iter().map(one));
            return Some(());
        }
        if let Some(output) = task.outputs.iter().find(|output| output.name == prediction) {
            if matches!(output.kind, OutputKind::Filled(_)) != (kind == MetricKind::Recovered) {
                let message = "`recovered(filled, sequence)` is the metric of what `refill` fills in, and of nothing else";
                self.report(Diagnostic::error("E0509", message).label(expr.span, "in this metric"));
                return Some(());
            }
            if kind.is_of_structures() && !matches!(output.kind, OutputKind::Structure(_)) {
                let message = format!("this metric is of a structure, and `{prediction}` is none");
                let diagnostic = Diagnostic::error("E0509", message).label(expr.span, "in this metric");
                self.report(diagnostic.help(format!("write `output {prediction} = base_pairs(probability, {label})`")));
                return Some(());
            }
            let (prediction, target) = (prediction.to_owned(), target.clone());
            task.metrics.push(MetricSpec { name: name.to_owned(), kind, prediction, target });
            return Some(());
        }
        let outputs: Vec<&str> = task.outputs.iter().map(|output| output.name.as_str()).collect();
        let diagnostic = Diagnostic::error("E0509", format!("the metric compares `{prediction}`, which is no output of the task"));
        self.report(diagnostic.label(expr.span, "in this metric").help(format!("its outputs up to here are: {}", outputs.join(", "))));
        Some(())
    }

    /// `ratio(sum, count)`: two numbers of each sample.
    fn ratio(&mut self, name: &str, terms: &[Arg], task: &mut TaskOutputs, scope: &mut Scope) -> Option<()> {
        let mut names = Vec::new();
        for (term, what) in terms.iter().zip(["sum", "count"]) {
            let number = self.number_of_sample("metric", &term.value, scope)?;
            let name = format!("{name}.{what}");
            task.measured.extend(number.node.map(|node| (name.clone(), node)));
            names.push(name);
        }
        if let [prediction, target] = names.as_slice() {
            let (prediction, target) = (prediction.clone(), target.clone());
            task.metrics.push(MetricSpec { name: name.to_owned(), kind: MetricKind::Ratio, prediction, target });
        }
        Some(())
    }
}

/// What a metric is of.
enum Terms<'a> {
    Ratio(&'a [Arg]),
    Comparison { prediction: &'a str, label: &'a str, kind: MetricKind },
}

fn terms(expr: &Expr) -> Option<Terms<'_>> {
    let ExprKind::Call(callee, args) = &expr.kind else { return None };
    let ExprKind::Name(word) = &callee.kind else { return None };
    let [first, second] = args.as_slice() else { return None };
    if word == "ratio" {
        return Some(Terms::Ratio(args));
    }
    let (_, kind) = METRICS.iter().find(|(other, _)| other == word)?;
    match (&first.value.kind, &second.value.kind) {
        (ExprKind::Name(prediction), ExprKind::Name(label)) => Some(Terms::Comparison { prediction, label, kind: *kind }),
        _ => None,
    }
}
