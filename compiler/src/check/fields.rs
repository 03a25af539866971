//! The parameters and the fields of an experiment.

use std::collections::BTreeMap;

use mgx_diag::Diagnostic;

use super::Checker;
use super::expr::Scope;
use super::value::{Env, Value};
use crate::syntax::ast::{Body, Experiment, Expr, ExprKind, Field, FieldKind, Param, TypeExprKind};
use crate::syntax::walk;

impl Checker<'_> {
    /// Checks what can be known of an experiment that lacks values of parameters: it is there for others to be made from.
    pub fn check_template(&mut self, experiment: &Experiment, file: usize) {
        self.restart();
        self.unique_names(experiment.params.iter().map(|param| &param.name));
        let given: Vec<Param> = experiment.params.iter().filter(|param| param.default.is_some()).cloned().collect();
        self.parameters(&given, &mut Scope { file, env: Env::default(), experiment: true, instance: None });
        for ty in experiment.params.iter().filter_map(|param| param.ty.as_ref()) {
            self.known_type(ty);
        }
    }

    /// Gives the parameters of an experiment their values.
    pub fn parameters(&mut self, params: &[Param], scope: &mut Scope) {
        self.unique_names(params.iter().map(|param| &param.name));
        for param in params {
            let Some(default) = &param.default else { continue };
            let value = self.eval_typed(default, param.ty.as_ref(), scope);
            let value = self.coerce(&param.name.text, value, param.ty.as_ref(), default.span);
            let value = self.named_size(&param.name.text, value);
            scope.env.set(&param.name.text, value);
        }
    }

    /// Evaluates the fields of an experiment.
    pub fn fields(&mut self, body: &Body, scope: &mut Scope) {
        for field in self.in_order(body, scope) {
            match &field.kind {
                FieldKind::Value(_) if ["seed", "precision"].contains(&field.name.text.as_str()) => {}
                FieldKind::Value(expr) if field.name.text == "task" => self.task(expr, scope),
                FieldKind::Value(expr) => {
                    let mut value = self.eval(expr, scope);
                    // A bare name stands for the part with its defaults.
                    let is_bare = matches!(value, Value::Item(_));
                    if is_bare {
                        let call = Expr { kind: ExprKind::Call(Box::new(expr.clone()), Vec::new()), span: expr.span };
                        value = self.eval(&call, scope);
                    }
                    match &value {
                        Value::Pending(pending) => *pending.name.borrow_mut() = Some(field.name.text.clone()),
                        Value::Backbone(backbone) => *backbone.name.borrow_mut() = Some(field.name.text.clone()),
                        _ => {}
                    }
                    let value = if is_bare { value } else { self.named_size(&field.name.text, value) };
                    scope.env.set(&field.name.text, value);
                }
                FieldKind::Block(_) => {}
                FieldKind::Typed { ty, .. } => {
                    scope.env.set(&field.name.text, Value::Error);
                    // What stands for the type was reported where it was read.
                    if ty.kind == TypeExprKind::Error {
                        continue;
                    }
                    self.report(
                        Diagnostic::error("E0318", "an experiment has no typed fields")
                            .label(field.span, "here")
                            .help("columns are declared in `data`; write `name = value`"),
                    );
                }
            }
        }
    }

    /// The fields in an order in which each comes after those that it needs; as they are written, where that does.
    fn in_order<'a>(&mut self, body: &'a Body, scope: &mut Scope) -> Vec<&'a Field> {
        let places: BTreeMap<&str, usize> =
            body.fields.iter().enumerate().map(|(place, field)| (field.name.text.as_str(), place)).collect();
        let mut sorting =
            Sorting { fields: &body.fields, needs: Vec::new(), state: vec![State::New; body.fields.len()], order: Vec::new() };
        for (place, field) in body.fields.iter().enumerate() {
            let mut needs = Vec::new();
            if let FieldKind::Value(value) = &field.kind {
                walk::expr(value, &mut |inner| {
                    let ExprKind::Name(name) = &inner.kind else { return };
                    let file = self.library.file_of(inner.span.file).unwrap_or(scope.file);
                    // Before a field is set, its name may be that of a declaration.
                    let later = |other: &usize| *other < place || self.library.lookup(file, name).is_none();
                    needs.extend(places.get(name.as_str()).copied().filter(|other| *other != place && later(other)));
                });
            }
            sorting.needs.push(needs);
        }
        for place in 0..body.fields.len() {
            if let Err((first, second)) = sorting.visit(place) {
                scope.env.set(&second.name.text, Value::Error);
                self.report(
                    Diagnostic::error("E0223", format!("`{}` and `{}` need each other", first.name.text, second.name.text))
                        .label(first.name.span, format!("needs `{}`", second.name.text))
                        .label(second.name.span, format!("is made from `{}` in turn", first.name.text))
                        .help("give one of them a value without the other"),
                );
            }
        }
        sorting.order
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

/// Fields that are being put in order.
struct Sorting<'a> {
    fields: &'a [Field],
    /// For each field the places of those that it needs.
    needs: Vec<Vec<usize>>,
    state: Vec<State>,
    order: Vec<&'a Field>,
}

impl<'a> Sorting<'a> {
    /// Takes a field after all that it needs; the error is a field and one that it needs, which needs it in turn.
    fn visit(&mut self, place: usize) -> Result<(), (&'a Field, &'a Field)> {
        if self.state[place] != State::New {
            return Ok(());
        }
        let mut result = Ok(());
        // A field and how many of those that it needs were looked at. Not by recursion: there may be any number of fields.
        let mut open = vec![(place, 0)];
        self.state[place] = State::Open;
        while let Some((place, looked_at)) = open.last_mut() {
            let place = *place;
            let Some(need) = self.needs[place].get(*looked_at).copied() else {
                self.state[place] = State::Done;
                self.order.push(&self.fields[place]);
                open.pop();
                continue;
            };
            *looked_at += 1;
            match self.state[need] {
                State::New => {
                    self.state[need] = State::Open;
                    open.push((need, 0));
                }
                State::Open => result = result.and(Err((&self.fields[place], &self.fields[need]))),
                State::Done => {}
            }
        }
        result
    }
}
