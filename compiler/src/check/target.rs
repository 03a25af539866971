//! Labels in tasks: the columns that outputs are compared with, as inputs of the graph.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, Op};
use mgx_ir::plan::{ColumnKind, ColumnSpec, InputSource, InputSpec};

use super::Checker;
use super::expr::Scope;
use super::value::{AxisClasses, AxisRef, Column, Tensor, Value};
use crate::syntax::ast::AxisExpr;

/// What a task takes for a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelType {
    Class,
    Labels,
    Real,
}

impl LabelType {
    /// By its word in a type.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "class" => Some(Self::Class),
            "labels" => Some(Self::Labels),
            "real" => Some(Self::Real),
            _ => None,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Class => "a class",
            Self::Labels => "several labels",
            Self::Real => "a number",
        }
    }

    /// What a column must be declared as for it, and a task for the other kind.
    fn help(self, column: &str, has: Option<Self>) -> String {
        let declared = match self {
            Self::Class => "class(…)",
            Self::Labels => "labels(…)",
            Self::Real => "real",
        };
        let task = match has {
            Some(Self::Class) => ", or use a task for classes, such as `classification`",
            Some(Self::Labels) => ", or use a task for several labels, such as `multilabel_classification`",
            Some(Self::Real) => ", or use a task for numbers, such as `regression`",
            None => "",
        };
        format!("declare `{column}: {declared}`{task}")
    }
}

/// A parameter of a task that a label column is given for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub axes: &'a [AxisExpr],
    /// Where the column is given.
    pub place: Span,
    pub label: LabelType,
    pub task: &'a str,
    /// The tensors that the task was given before, and where.
    pub tensors: &'a [(Tensor, Span)],
}

impl Checker<'_> {
    /// The label of a sample: a class number i[], or numbers f[outputs]. Gives the column's name with it.
    pub fn target(&mut self, column: &Column, param: &Wanted<'_>, scope: &mut Scope) -> Option<(String, Tensor)> {
        let spec = self.experiment.tables[column.data].spec.columns[column.column].clone();
        let axis = self.label_axis(param, scope)?;
        let has = match &spec.kind {
            ColumnKind::Class { .. } => LabelType::Class,
            ColumnKind::Labels { .. } => LabelType::Labels,
            ColumnKind::Real | ColumnKind::Reals { .. } => LabelType::Real,
            _ => {
                self.report(
                    Diagnostic::error("E0319", format!("`{}` is not a label", spec.name))
                        .label(param.place, "used as a label")
                        .label(column.span, "declared here")
                        .help("labels are `class(…)`, `labels(…)` and `real` columns"),
                );
                return None;
            }
        };
        if has != param.label {
            let (has_text, takes) = (has.describe(), param.label.describe());
            let diagnostic =
                Diagnostic::error("E0319", format!("the label of `{}` is {takes}, and `{}` is {has_text}", param.task, spec.name));
            let help = param.label.help(&spec.name, Some(has));
            self.report(diagnostic.label(param.place, format!("this is {has_text}")).label(column.span, "declared here").help(help));
            return None;
        }
        self.check_width(column, &spec, param, axis)?;
        let data = column.data as u32;
        let own = spec.name.clone();
        let tensor = match &spec.kind {
            ColumnKind::Class { names } => {
                self.axes[axis.0 as usize].classes = Some(AxisClasses { names: Rc::new(names.clone()), several: false });
                self.label_input(column, InputSource::Class { data, column: own }, DType::I32, Vec::new())
            }
            ColumnKind::Labels { names, .. } => {
                self.axes[axis.0 as usize].classes = Some(AxisClasses { names: Rc::new(names.clone()), several: true });
                let width = names.len() as u64;
                self.label_input(column, InputSource::Numbers { data, column: own, width }, DType::F32, vec![axis])
            }
            ColumnKind::Reals { count, .. } => {
                self.label_input(column, InputSource::Numbers { data, column: own, width: *count }, DType::F32, vec![axis])
            }
            _ => {
                let tensor = self.label_input(column, InputSource::Real { data, column: own }, DType::F32, Vec::new());
                self.emit(Op::Broadcast, &[&tensor], DType::F32, vec![axis], true)
            }
        };
        Some((spec.name, tensor))
    }

    /// The axis of the label's type: `outputs` of `real[outputs]`.
    fn label_axis(&mut self, param: &Wanted<'_>, scope: &mut Scope) -> Option<AxisRef> {
        if let [AxisExpr::Size(expr)] = param.axes {
            return match self.eval(expr, scope) {
                Value::Int { axis: Some(axis), .. } => Some(axis),
                Value::Error => None,
                other => {
                    self.not_a_size(&other, expr.span);
                    None
                }
            };
        }
        self.report(
            Diagnostic::error("E0509", "the label of a task has one axis, such as `class[classes]`")
                .label(param.place, "this label is given for it"),
        );
        None
    }

    /// There must be an output for each class, label or number.
    fn check_width(&mut self, column: &Column, spec: &ColumnSpec, param: &Wanted<'_>, axis: AxisRef) -> Option<()> {
        let (count, what) = match &spec.kind {
            ColumnKind::Class { names } => (names.len(), "classes"),
            ColumnKind::Labels { names, .. } => (names.len(), "labels"),
            ColumnKind::Reals { count, .. } => (*count as usize, "numbers"),
            _ => (1, "number"),
        };
        let size = self.axis_size(axis);
        if size.as_constant() == Some(count as i64) {
            return Some(());
        }
        let outputs = param.tensors.iter().find(|(tensor, _)| tensor.axes.contains(&axis)).map(|(_, span)| *span);
        let names = match &spec.kind {
            ColumnKind::Class { names } | ColumnKind::Labels { names, .. } if names.len() <= 8 => format!(": {}", names.join(", ")),
            _ => String::new(),
        };
        let shown = if count == 1 { "one".to_owned() } else { count.to_string() };
        let has = if count == 1 { "is one number".to_owned() } else { format!("has {count} {what}{names}") };
        let diagnostic = Diagnostic::error("E0501", format!("{size} outputs for {shown} {what}"))
            .label(outputs.unwrap_or(param.place), format!("{size} outputs"))
            .label(param.place, format!("`{}` {has}", spec.name))
            .label(column.span, "declared here");
        self.report(diagnostic.help(format!("give the adapter `outputs = {count}`")));
        None
    }

    fn label_input(&mut self, column: &Column, source: InputSource, dtype: DType, axes: Vec<AxisRef>) -> Tensor {
        let table = &self.experiment.tables[column.data].spec;
        let name = format!("{}.{}", table.name, table.columns[column.column].name);
        self.experiment.inputs.push(InputSpec { name: name.clone(), source });
        self.emit(Op::Input { name }, &[], dtype, axes, true)
    }
}
