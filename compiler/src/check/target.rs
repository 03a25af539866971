//! Labels in tasks: the columns that outputs are compared with, as inputs of the graph.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Edit, Span};
use mgx_ir::graph::{DType, LengthId, Op};
use mgx_ir::plan::{ColumnKind, ColumnSpec, InputSource, InputSpec, LengthPolicy, TokenRange};

use super::Checker;
use super::expr::Scope;
use super::size::{Atom, Size};
use super::value::{AxisClasses, AxisRef, Column, Tensor, TokenLayout, Value};
use crate::syntax::ast::AxisExpr;

/// What a task takes for a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelType {
    Class,
    TokenClass,
    Contacts,
    Labels,
    Real,
    Tokens,
}

impl LabelType {
    /// By its word in a type, and the number of axes there: `class[classes]` is a class of a sample, `class[seq, classes]` one of each position.
    pub fn named(word: &str, axes: usize) -> Option<Self> {
        match (word, axes) {
            ("class", 2) => Some(Self::TokenClass),
            ("class", _) => Some(Self::Class),
            ("contacts", _) => Some(Self::Contacts),
            ("labels", _) => Some(Self::Labels),
            ("real", _) => Some(Self::Real),
            ("tokens", _) => Some(Self::Tokens),
            _ => None,
        }
    }

    /// What a column is.
    fn of(kind: &ColumnKind) -> Option<Self> {
        match kind {
            ColumnKind::Class { .. } => Some(Self::Class),
            ColumnKind::TokenClass { .. } => Some(Self::TokenClass),
            ColumnKind::Contacts { .. } => Some(Self::Contacts),
            ColumnKind::Labels { .. } => Some(Self::Labels),
            ColumnKind::Real | ColumnKind::Reals { .. } => Some(Self::Real),
            _ => None,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Class => "a class",
            Self::TokenClass => "a class of each letter",
            Self::Contacts => "contacts of letters",
            Self::Labels => "several labels",
            Self::Real => "a number",
            Self::Tokens => "a sequence",
        }
    }

    /// What a column must be declared as for it, and a task for the other kind.
    fn help(self, column: &str, has: Option<Self>) -> String {
        let declared = match self {
            Self::Class => "class(…)",
            Self::TokenClass => "class(…, each = sequence)",
            Self::Contacts => "contacts(each = sequence)",
            Self::Labels => "labels(…)",
            Self::Real => "real",
            Self::Tokens => "dna",
        };
        let task = match has {
            Some(Self::Class) => ", or use a task for classes, such as `classification`",
            Some(Self::TokenClass) => ", or use a task for classes of letters, such as `token_classification`",
            Some(Self::Contacts) => ", or use a task for contacts, such as `contact_prediction`",
            Some(Self::Labels) => ", or use a task for several labels, such as `multilabel_classification`",
            Some(Self::Real) => ", or use a task for numbers, such as `regression`",
            Some(Self::Tokens) => ", or use a task for sequences, such as `masked_lm`",
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
        if param.label == LabelType::Tokens {
            return self.token_target(column, param, scope);
        }
        let spec = self.experiment.tables[column.data].spec.columns[column.column].clone();
        let Some(has) = LabelType::of(&spec.kind) else {
            self.report(
                Diagnostic::error("E0319", format!("`{}` is not a label", spec.name))
                    .label(param.place, "used as a label")
                    .label(column.span, "declared here")
                    .help("labels are `class(…)`, `labels(…)`, `contacts(…)` and `real` columns"),
            );
            return None;
        };
        if has != param.label {
            let (has_text, takes) = (has.describe(), param.label.describe());
            let diagnostic =
                Diagnostic::error("E0319", format!("the label of `{}` is {takes}, and `{}` is {has_text}", param.task, spec.name));
            let help = param.label.help(&spec.name, Some(has));
            self.report(diagnostic.label(param.place, format!("this is {has_text}")).label(column.span, "declared here").help(help));
            return None;
        }
        let axes = self.label_axes(param, scope)?;
        let data = column.data as u32;
        if let ColumnKind::Contacts { each } = &spec.kind {
            let [left, right] = axes[..] else { return self.wrong_axes(param, "two axes, such as `contacts[left, right]`") };
            let range = self.token_range(left, each, column, param)?;
            if self.token_range(right, each, column, param)? != range {
                return self.not_letters(right, each, column, param);
            }
            let source = InputSource::PairLabels { data, column: spec.name.clone(), range };
            return Some((spec.name.clone(), self.label_input(column, source, DType::I32, vec![left, right])));
        }
        let own = spec.name.clone();
        if let ([], ColumnKind::Real) = (&axes[..], &spec.kind) {
            let source = InputSource::Real { data, column: own.clone() };
            return Some((own, self.label_input(column, source, DType::F32, Vec::new())));
        }
        let (positions, axis) = match (&axes[..], has) {
            ([axis], _) => (None, *axis),
            ([positions, axis], LabelType::TokenClass) => (Some(*positions), *axis),
            _ => return self.wrong_axes(param, "one axis, such as `class[classes]`"),
        };
        self.check_width(column, &spec, param, axis)?;
        let tensor = match &spec.kind {
            ColumnKind::Class { names } => {
                self.axes[axis.0 as usize].classes = Some(AxisClasses { names: Rc::new(names.clone()), several: false });
                self.label_input(column, InputSource::Class { data, column: own }, DType::I32, Vec::new())
            }
            ColumnKind::TokenClass { names, each } => {
                let positions = positions?;
                let range = self.token_range(positions, each, column, param)?;
                self.axes[axis.0 as usize].classes = Some(AxisClasses { names: Rc::new(names.clone()), several: false });
                self.label_input(column, InputSource::TokenLabels { data, column: own, range }, DType::I32, vec![positions])
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

    /// The axes of the label's type: `outputs` of `real[outputs]`.
    fn label_axes(&mut self, param: &Wanted<'_>, scope: &mut Scope) -> Option<Vec<AxisRef>> {
        let mut axes = Vec::new();
        for axis in param.axes {
            let AxisExpr::Size(expr) = axis else { return self.wrong_axes(param, "axes by their names, such as `class[classes]`") };
            match self.eval(expr, scope) {
                Value::Int { axis: Some(axis), .. } => axes.push(axis),
                // Two classes of one score: an axis that no value has.
                Value::Int { size, axis: None } => axes.push(self.new_axis("classes", size)),
                Value::Error => return None,
                other => {
                    self.not_a_size(&other, expr.span);
                    return None;
                }
            }
        }
        Some(axes)
    }

    fn wrong_axes<T>(&mut self, param: &Wanted<'_>, wanted: &str) -> Option<T> {
        self.report(
            Diagnostic::error("E0509", format!("the label of a task has {wanted}")).label(param.place, "this label is given for it"),
        );
        None
    }

    /// Which tokens of the column `each` an axis follows.
    fn token_range(&mut self, axis: AxisRef, each: &str, column: &Column, param: &Wanted<'_>) -> Option<TokenRange> {
        let size = self.axis_size(axis);
        let layout = self.axis(axis).layout.unwrap_or(TokenLayout { prefix: 0, suffix: 0 });
        let here = layout.prefix + layout.suffix;
        let special = |index: u32| {
            let tokenizer = self.experiment.tokenizers.get(index as usize);
            tokenizer.map_or(0, |tokenizer| (tokenizer.prefix.len() + tokenizer.suffix.len()) as u64)
        };
        let range = |length, tokens, cut| TokenRange { length, tokens, cut, before: layout.prefix, after: layout.suffix };
        for (id, length) in self.experiment.lengths.iter().enumerate() {
            let id = LengthId(id as u32);
            let cut = special(length.tokenizer).saturating_sub(here);
            let tokens = Size::atom(Atom::Length(id, length.name.clone()));
            let own = if cut == 0 { tokens } else { tokens.less(&Size::constant(cut as i64)) };
            if length.column == each && length.data as usize == column.data && self.same_size(&own, &size) {
                if length.policy == LengthPolicy::Window {
                    let backbone = self.experiment.length_spans[id.0 as usize];
                    return self.no_middle_of_labels(each, column, backbone, param);
                }
                return Some(range(Some(id), 0, cut));
            }
        }
        for input in &self.experiment.inputs {
            let InputSource::FixedTokens { data, column: name, tokenizer, tokens } = &input.source else { continue };
            let cut = special(*tokenizer).saturating_sub(here);
            if name == each && *data as usize == column.data && size.as_constant() == Some(*tokens as i64 - cut as i64) {
                return Some(range(None, *tokens, cut));
            }
        }
        self.not_letters(axis, each, column, param)
    }

    /// Labels of letters are cut after the first that fit, never to those in the middle.
    fn no_middle_of_labels<T>(&mut self, each: &str, column: &Column, backbone: Span, param: &Wanted<'_>) -> Option<T> {
        let message = format!("`too_long = window` keeps the middle of `{each}`, and its letters have labels");
        let diagnostic = Diagnostic::error("E0569", message).label(backbone, "this backbone").label(param.place, "labels of each letter");
        let diagnostic = diagnostic.label(column.span, "declared here");
        self.report(diagnostic.help("write `too_long = truncate` or `too_long = error`"));
        None
    }

    fn not_letters<T>(&mut self, axis: AxisRef, each: &str, column: &Column, param: &Wanted<'_>) -> Option<T> {
        let outputs = param.tensors.iter().find(|(tensor, _)| tensor.axes.contains(&axis)).map(|(_, span)| *span);
        let shown = self.show_axis(axis);
        let diagnostic = Diagnostic::error("E0565", format!("`{each}` has labels of its letters, and the outputs are not of its letters"))
            .label(outputs.unwrap_or(param.place), format!("`{shown}` does not follow the tokens of `{each}`"))
            .label(column.span, "labels of each letter");
        self.report(
            diagnostic.help("use an adapter that keeps every token, such as `linear` or `mlp`, and for pairs `outer_concat` before it"),
        );
        None
    }

    /// There must be an output for each class, label or number.
    fn check_width(&mut self, column: &Column, spec: &ColumnSpec, param: &Wanted<'_>, axis: AxisRef) -> Option<()> {
        let (count, what) = match &spec.kind {
            ColumnKind::Class { names } | ColumnKind::TokenClass { names, .. } => (names.len(), "classes"),
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
            ColumnKind::Class { names } | ColumnKind::TokenClass { names, .. } | ColumnKind::Labels { names, .. } if names.len() <= 8 => {
                format!(": {}", names.join(", "))
            }
            _ => String::new(),
        };
        let shown = if count == 1 { "one".to_owned() } else { count.to_string() };
        let has = if count == 1 { "is one number".to_owned() } else { format!("has {count} {what}{names}") };
        let Some(outputs) = outputs else {
            let diagnostic = Diagnostic::error("E0501", format!("this task takes {size} {what}, and the column has {shown}"));
            self.report(diagnostic.label(param.place, format!("`{}` {has}", spec.name)).label(column.span, "declared here"));
            return None;
        };
        let diagnostic = Diagnostic::error("E0501", format!("{size} outputs for {shown} {what}"))
            .label(outputs, format!("{size} outputs"))
            .label(param.place, format!("`{}` {has}", spec.name))
            .label(column.span, "declared here");
        let written = size.as_constant().and_then(|size| self.library.option_with(outputs, "outputs", size));
        let change = written.map(|span| Edit::replace(span, count.to_string()));
        let diagnostic = diagnostic.help(format!("give the adapter `outputs = {count}`"));
        self.report(diagnostic.fix_if(format!("Change to `outputs = {count}`"), change));
        None
    }

    fn label_input(&mut self, column: &Column, source: InputSource, dtype: DType, axes: Vec<AxisRef>) -> Tensor {
        let table = &self.experiment.tables[column.data].spec;
        let name = format!("{}.{}", table.name, table.columns[column.column].name);
        self.experiment.inputs.push(InputSpec { name: name.clone(), source });
        self.emit(Op::Input { name }, &[], dtype, axes, true)
    }
}
