//! Tasks: what the outputs of a network mean, with the columns that they are compared with.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, Op};
use mgx_ir::plan::OutputKind;

use super::Checker;
use super::axes::{Given, tensor_type};
use super::experiment::TaskOutputs;
use super::expr::Scope;
use super::fill::refill;
use super::structures::base_pairs;
use super::target::{LabelType, Wanted};
use super::value::{Column, Env, Tensor, Value};
use crate::syntax::ast::{Expr, ExprKind, ItemKind, MemberKind, Module, ModuleRole, Name, TypeExpr, TypeExprKind};

impl Checker<'_> {
    /// `task = classification(logits, table.label)`.
    pub fn task(&mut self, expr: &Expr, scope: &mut Scope) {
        let ExprKind::Call(callee, args) = &expr.kind else {
            self.report(
                Diagnostic::error("E0507", "a task is a call")
                    .label(expr.span, "not a task")
                    .help("write `task = classification(logits, table.label)`"),
            );
            return;
        };
        let item = match self.eval(callee, scope) {
            Value::Item(item) => item,
            Value::Error => return,
            other => {
                self.report(Diagnostic::error("E0507", format!("{} is not a task", other.describe())).label(callee.span, "not a task"));
                return;
            }
        };
        let handle = self.library.item(item);
        let module = match &handle.kind {
            ItemKind::Module(module) if module.role == ModuleRole::Task => module,
            _ => {
                let diagnostic =
                    Diagnostic::error("E0507", format!("`{}` is not a task", handle.name.text)).label(callee.span, "not a task");
                self.report(
                    diagnostic
                        .label(handle.name.span, "declared here")
                        .help("tasks are declared with `task`; the library's are in `std::tasks`"),
                );
                return;
            }
        };
        let args = self.eval_args_for(&module.params, None, args, scope);
        let is_known = !args.iter().any(|(_, value, _)| value.is_error());
        let Some(slots) = self.arrange(&handle.name.text, &module.params, args, expr.span) else { return };
        if !is_known {
            for (param, _) in module.params.iter().zip(&slots).filter(|(param, slot)| slot.is_none() && param.default.is_none()) {
                self.missing_argument(&handle.name.text, &param.name, expr.span);
            }
            return;
        }
        let mut task_scope = Scope { file: item.file, env: Env::default(), experiment: false, instance: None };
        let has_loss = module.members.iter().any(|member| member.name.text == "loss");
        let mut targets = Vec::new();
        let mut tensors: Vec<(Tensor, Span)> = Vec::new();
        let mut bound = Vec::new();
        for (param, slot) in module.params.iter().zip(slots) {
            let (value, place) = match (slot, &param.default) {
                (Some(given), _) => given,
                (None, Some(default)) => (self.eval_typed(default, param.ty.as_ref(), &mut task_scope), default.span),
                (None, None) => {
                    self.missing_argument(&handle.name.text, &param.name, expr.span);
                    return;
                }
            };
            // A task that only writes takes several values for one.
            let several = !has_loss && matches!(value, Value::Record(_)) && param.ty.as_ref().is_some_and(|ty| tensor_type(ty).is_some());
            let value = if several { value } else { self.coerce(&param.name.text, value, param.ty.as_ref(), place) };
            let value = match (value, param.ty.as_ref().and_then(tensor_type)) {
                (Value::Error, _) => return,
                (Value::Column(column), Some((_, axes))) => {
                    let label = param.ty.as_ref().and_then(label_type);
                    let Some(label) = label else {
                        self.no_label(&column, &param.name, place);
                        return;
                    };
                    let wanted = Wanted { axes, place, label, task: &handle.name.text, tensors: &tensors };
                    let Some((name, tensor)) = self.target(&column, &wanted, &mut task_scope) else { return };
                    targets.push((param.name.text.clone(), name));
                    Value::Tensor(tensor)
                }
                (Value::Tensor(tensor), Some((_, axes))) => {
                    match self.match_axes(
                        axes,
                        Given { tensor: &tensor, span: place, param: &param.name },
                        &mut task_scope,
                        None,
                        &mut bound,
                    ) {
                        Some(tensor) => {
                            tensors.push((tensor.clone(), place));
                            Value::Tensor(tensor)
                        }
                        None => return,
                    }
                }
                (Value::Record(fields), Some((_, axes))) => {
                    let mut named = Vec::new();
                    for (name, value) in fields.iter() {
                        let value = self.coerce(name, value.clone(), param.ty.as_ref(), place);
                        let Value::Tensor(tensor) = value else { return };
                        let given = Given { tensor: &tensor, span: place, param: &param.name };
                        let Some(tensor) = self.match_axes(axes, given, &mut task_scope, None, &mut bound) else { return };
                        named.push((name.clone(), Value::Tensor(tensor)));
                    }
                    Value::Record(Rc::new(named))
                }
                (Value::Column(column), None) => {
                    self.no_label(&column, &param.name, place);
                    return;
                }
                (value, _) => value,
            };
            task_scope.env.set(&param.name.text, value);
        }
        for condition in &module.conditions {
            if !self.hold(condition, &mut task_scope, expr.span) {
                return;
            }
        }
        self.task_members(module, &targets, &mut task_scope);
    }

    fn no_label(&mut self, column: &Column, param: &Name, place: Span) {
        let spec = &self.experiment.tables[column.data].spec.columns[column.column];
        let diagnostic = Diagnostic::error("E0319", format!("`{}` of this task takes no label column", param.text));
        self.report(diagnostic.label(place, format!("`{}` is a column", spec.name)).label(param.span, "declared here"));
    }

    /// A number of each sample: f[], per sample.
    pub fn number_of_sample(&mut self, what: &str, expr: &Expr, scope: &mut Scope) -> Option<Tensor> {
        let value = self.eval(expr, scope);
        let number = self.operand(&value, Some(DType::F32), expr.span)?;
        if !number.axes.is_empty() || number.dtype != DType::F32 {
            let shown = self.show_tensor(&number);
            self.report(
                Diagnostic::error("E0401", format!("the {what} of a sample is one number"))
                    .label(expr.span, format!("is {shown}"))
                    .help("sum or average over its axes"),
            );
            return None;
        }
        if number.per_sample {
            return Some(number);
        }
        Some(self.emit(Op::Broadcast, &[&number], DType::F32, Vec::new(), true))
    }

    fn task_members(&mut self, module: &Module, targets: &[(String, String)], scope: &mut Scope) {
        let mut task = TaskOutputs::default();
        for member in &module.members {
            match &member.kind {
                MemberKind::Let(expr) => {
                    let value = self.eval(expr, scope);
                    let value = self.named_size(&member.name.text, value);
                    scope.env.set(&member.name.text, value);
                }
                MemberKind::Part { value: expr, .. } if member.name.text == "loss" => {
                    let Some(loss) = self.number_of_sample("loss", expr, scope) else { continue };
                    task.loss = loss.node;
                    task.loss_span = Some(self.call_site);
                }
                MemberKind::Part { value: expr, .. } if member.name.text == "weight" => {
                    let value = self.eval(expr, scope);
                    if matches!(value, Value::None | Value::Absent) {
                        continue;
                    }
                    let Some(weight) = self.operand(&value, Some(DType::F32), expr.span) else { return };
                    if !weight.axes.is_empty() || weight.dtype != DType::F32 || !weight.per_sample {
                        let shown = self.show_tensor(&weight);
                        self.report(
                            Diagnostic::error("E0401", "the weight of a sample is one number, which its labels decide")
                                .label(expr.span, format!("is {shown}")),
                        );
                        continue;
                    }
                    task.weight = weight.node;
                }
                MemberKind::Output(expr) if refill(expr).is_some() => {
                    let Some((tensor, kind)) = refill(expr).and_then(|args| self.fill(args, expr.span, targets, scope)) else { return };
                    if let Some(first) = task.outputs.iter().find(|output| matches!(output.kind, OutputKind::Filled(_))) {
                        let first = first.name.clone();
                        self.filled_twice(&member.name, &first);
                        return;
                    }
                    self.put_out(&mut task, &member.name.text, &tensor, kind);
                    scope.env.set(&member.name.text, Value::Tensor(tensor));
                }
                MemberKind::Output(expr) if base_pairs(expr).is_some() => {
                    let Some((tensor, kind)) = base_pairs(expr).and_then(|args| self.structure_output(args, expr.span, targets, scope))
                    else {
                        return;
                    };
                    if let Some(first) = task.outputs.iter().find(|output| matches!(output.kind, OutputKind::Structure(_))) {
                        let message = format!("`{}` is a structure already, and a task has one", first.name);
                        self.report(
                            Diagnostic::error("E0588", message)
                                .label(member.span, "another one")
                                .help("remove one of them")
                                .fix("Remove this one", self.library.without_line(member.span)),
                        );
                        return;
                    }
                    self.put_out(&mut task, &member.name.text, &tensor, kind);
                    scope.env.set(&member.name.text, Value::Tensor(tensor));
                }
                MemberKind::Output(expr) => {
                    let value = self.eval(expr, scope);
                    if self.task_output(&member.name.text, &value, expr.span, targets, &mut task).is_none() {
                        return;
                    }
                    scope.env.set(&member.name.text, value);
                }
                MemberKind::Metric(expr) => {
                    if self.task_metric(&member.name.text, expr, targets, &mut task, scope).is_none() {
                        return;
                    }
                }
                _ => self.report(
                    Diagnostic::error("E0509", "a task has `loss`, `weight`, `output`s, `metric`s and `let`s")
                        .label(member.span, "not one of them"),
                ),
            }
        }
        self.experiment.task = Some(task);
    }
}

/// What a parameter's type takes for a label.
fn label_type(ty: &TypeExpr) -> Option<LabelType> {
    match &ty.kind {
        TypeExprKind::Named { name, axes, .. } => LabelType::named(&name.text, axes.as_ref().map_or(0, Vec::len)),
        TypeExprKind::Optional(inner) => label_type(inner),
        _ => None,
    }
}
