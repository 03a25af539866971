//! Experiments that are made from others, and the parameters of experiments.
//!
//! `experiment longer = base(lr = 1e-4) with { train { epochs = 20 } }` is `base` with other values: a field takes the place of the one of its name, a
//! block changes fields inside the block of its name, or options of the call in the field of its name, and what is new is added. Experiments are put
//! together before anything is checked, so that all that follows sees whole ones.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span, nearest};

use super::Checker;
use super::library::ItemRef;
use super::overrides::{nothing_at, set_in_expr};
use super::sweep::{SWEEP, Setting, Sweep};
use crate::syntax::ast::{Base, Body, Experiment, Expr, ExprKind, Field, FieldKind, File, ItemKind, Name, Param};

/// An experiment that lacks values of parameters.
#[derive(Clone, Debug)]
pub struct Template {
    /// The experiment's name, and where it stands.
    pub name: Name,
    /// The parameters without values.
    pub missing: Vec<Name>,
}

impl Template {
    /// What an experiment lacks.
    pub fn new(name: &Name, experiment: &Experiment) -> Self {
        Self { name: name.clone(), missing: experiment.missing().into_iter().map(|param| param.name.clone()).collect() }
    }

    /// E0224: it is to be run by itself.
    pub fn cannot_run(&self) -> Diagnostic {
        let missing: Vec<&str> = self.missing.iter().map(|name| name.text.as_str()).collect();
        let message = format!("`{}` has parameters without values: {}", self.name.text, missing.join(", "));
        let mut diagnostic = Diagnostic::error("E0224", message).label(self.name.span, "cannot be run by itself");
        for name in &self.missing {
            diagnostic = diagnostic.label(name.span, "has no value");
        }
        let settings: Vec<String> = missing.iter().map(|name| format!("--set {name}=…")).collect();
        diagnostic.help(format!("give them: {}", settings.join(" ")))
    }
}

/// Puts all experiments of a file together.
pub fn compose(checker: &mut Checker<'_>, file: usize) {
    let mut ast = (*checker.library.files[file].ast).clone();
    for (item, declaration) in ast.items.iter_mut().enumerate() {
        let ItemKind::Experiment(experiment) = &mut declaration.kind else { continue };
        if experiment.base.is_some() {
            // What could not be put together is reported, and has nothing in it that could be reported again.
            *experiment = checker.whole_experiment(ItemRef { file, item }, &mut Vec::new()).unwrap_or_else(|| Experiment {
                params: Vec::new(),
                base: experiment.base.take(),
                body: Body { fields: Vec::new(), span: experiment.body.span },
            });
        }
    }
    checker.library.files[file].ast = Rc::new(ast);
}

impl Checker<'_> {
    /// An experiment with everything that it has from others; `None`, and a finding, where that cannot be had. `above` are the experiments made from it.
    pub fn whole_experiment(&mut self, item: ItemRef, above: &mut Vec<ItemRef>) -> Option<Experiment> {
        let handle = self.library.item(item);
        let ItemKind::Experiment(experiment) = &handle.kind else { return None };
        let Some(base) = &experiment.base else { return Some(experiment.clone()) };
        if above.contains(&item) {
            self.report(
                Diagnostic::error("E0222", format!("`{}` is made from itself", handle.name.text))
                    .label(base.name.span, "leads back to it")
                    .help("begin with an experiment that is written in full: `experiment name { … }`"),
            );
            return None;
        }
        above.push(item);
        let from = self.base_of(item, base)?;
        let mut whole = self.whole_experiment(from, above)?;
        self.give_values(&mut whole, base);
        for param in &experiment.params {
            whole.params.retain(|other| other.name.text != param.name.text);
            whole.params.push(param.clone());
        }
        self.unique_fields(&experiment.body);
        for field in &experiment.body.fields {
            self.change(&mut whole, field);
        }
        Some(whole)
    }

    /// The experiment that another names as its base.
    fn base_of(&mut self, item: ItemRef, base: &Base) -> Option<ItemRef> {
        if base.name.text.is_empty() {
            return None;
        }
        let found = self.library.lookup(item.file, &base.name.text);
        if let Some(found) = found.filter(|found| matches!(self.library.item(*found).kind, ItemKind::Experiment(_))) {
            return Some(found);
        }
        if self.library.files[item.file].lost.contains(&base.name.text) {
            self.reported += 1;
            return None;
        }
        let names = &self.library.files[item.file].names;
        let is_other = |other: &ItemRef| *other != item && matches!(self.library.item(*other).kind, ItemKind::Experiment(_));
        let known: Vec<&str> = names.iter().filter(|(_, other)| is_other(other)).map(|(name, _)| name.as_str()).collect();
        let what = if found.is_some() { "is no experiment" } else { "is not declared" };
        let diagnostic =
            Diagnostic::error("E0221", format!("`{}` {what}", base.name.text)).label(base.name.span, "an experiment is expected");
        let diagnostic = match nearest(&base.name.text, known.iter().copied()) {
            Some(near) => diagnostic.did_you_mean(base.name.span, near),
            None if known.is_empty() => diagnostic.help("declare it in this file, or import it: `use other_file::name`"),
            None => diagnostic.help(format!("experiments of this file: {}", known.join(", "))),
        };
        self.report(diagnostic);
        None
    }

    /// Values for parameters of an experiment: they take the place of the defaults.
    fn give_values(&mut self, whole: &mut Experiment, base: &Base) {
        let mut given: Vec<usize> = Vec::new();
        for (position, arg) in base.args.iter().enumerate() {
            let place = match &arg.name {
                Some(name) => whole.params.iter().position(|param| param.name.text == name.text),
                None => (position < whole.params.len()).then_some(position),
            };
            match (place, &arg.name) {
                (Some(place), _) if given.contains(&place) => {
                    let message = format!("`{}` is given twice", whole.params[place].name.text);
                    self.report(Diagnostic::error("E0208", message).label(arg.value.span, "again here").help("remove one of them"));
                }
                (Some(place), _) => {
                    given.push(place);
                    whole.params[place].default = Some(arg.value.clone());
                }
                (None, Some(name)) => self.unknown_parameter(name, &base.name.text, &whole.params),
                (None, None) => {
                    let message = format!("`{}` takes {} arguments", base.name.text, whole.params.len());
                    let help = "what is no parameter is changed after `with`: `experiment b = a with { seed = 1 }`";
                    self.report(Diagnostic::error("E0208", message).label(arg.value.span, "one too many").help(help));
                }
            }
        }
    }

    fn unknown_parameter(&mut self, name: &Name, experiment: &str, params: &[Param]) {
        if nearest(&name.text, params.iter().map(|param| param.name.text.as_str())).is_some() {
            return self.unknown_option(experiment, name, params.iter().map(|param| param.name.text.as_str()));
        }
        self.report(
            Diagnostic::error("E0206", format!("`{experiment}` has no parameter `{}`", name.text))
                .label(name.span, "unknown parameter")
                .help(format!("what is no parameter is changed after `with`: `{experiment} with {{ {} = … }}`", name.text)),
        );
    }

    /// Puts a field of the changes into an experiment.
    fn change(&mut self, whole: &mut Experiment, field: &Field) {
        let name = &field.name.text;
        if let (FieldKind::Value(value), Some(param)) = (&field.kind, whole.params.iter_mut().find(|param| param.name.text == *name)) {
            param.default = Some(value.clone());
            return;
        }
        let Some(place) = whole.body.fields.iter().position(|other| other.name.text == *name) else {
            if !is_none(field) {
                whole.body.fields.push(field.clone());
            }
            return;
        };
        let old = &mut whole.body.fields[place];
        match (&mut old.kind, &field.kind) {
            (FieldKind::Block(_), FieldKind::Value(Expr { kind: ExprKind::None, .. })) => {
                whole.body.fields.remove(place);
            }
            (FieldKind::Block(old), FieldKind::Block(new)) if name != SWEEP => change_block(old, new),
            (FieldKind::Value(old), FieldKind::Block(new)) => self.change_options(old, new, name),
            _ => *old = field.clone(),
        }
    }

    /// Changes options of the call that a field holds.
    fn change_options(&mut self, expr: &mut Expr, changes: &Body, field: &str) {
        let mut settings = Vec::new();
        leaves(changes, &[], &mut settings);
        for (path, value, span) in settings {
            let segments: Vec<&str> = path.iter().map(String::as_str).collect();
            if !set_in_expr(expr, &segments, &value, span) {
                let path = format!("{field}.{}", path.join("."));
                self.report(
                    nothing_at(&path, span, &[])
                        .help(format!("`{field}` holds no call with such an option; give it a value of its own: `{field} = …`")),
                );
            }
        }
    }
}

/// `name = none`: nothing of that name.
fn is_none(field: &Field) -> bool {
    matches!(&field.kind, FieldKind::Value(Expr { kind: ExprKind::None, .. }))
}

/// Fields take the place of those of their names.
fn change_block(old: &mut Body, new: &Body) {
    for field in &new.fields {
        match old.fields.iter().position(|other| other.name.text == field.name.text) {
            None if is_none(field) => {}
            None => old.fields.push(field.clone()),
            Some(place) if is_none(field) => {
                old.fields.remove(place);
            }
            Some(place) => match (&mut old.fields[place].kind, &field.kind) {
                (FieldKind::Block(old), FieldKind::Block(new)) => change_block(old, new),
                _ => old.fields[place] = field.clone(),
            },
        }
    }
}

/// All values below a body, with their paths and where their names stand.
fn leaves(body: &Body, outer: &[String], found: &mut Vec<(Vec<String>, Expr, Span)>) {
    for field in &body.fields {
        let path = [outer, std::slice::from_ref(&field.name.text)].concat();
        match &field.kind {
            FieldKind::Value(value) => found.push((path, value.clone(), field.name.span)),
            FieldKind::Block(inner) => leaves(inner, &path, found),
            FieldKind::Typed { .. } => {}
        }
    }
}

/// Adds a value at a path to what an experiment changes in its base.
pub fn add_change(changes: &mut Body, path: &[&str], value: &Expr, span: Span) {
    let [first, rest @ ..] = path else { return };
    let name = Name { text: (*first).to_owned(), span };
    let place = changes.fields.iter().position(|field| field.name.text == *first);
    let Some(place) = place else {
        let kind = if rest.is_empty() {
            FieldKind::Value(value.clone())
        } else {
            let mut inner = Body { fields: Vec::new(), span };
            add_change(&mut inner, rest, value, span);
            FieldKind::Block(inner)
        };
        changes.fields.push(Field { doc: None, name, kind, span });
        return;
    };
    match &mut changes.fields[place].kind {
        FieldKind::Block(inner) if !rest.is_empty() => add_change(inner, rest, value, span),
        FieldKind::Value(expr) if !rest.is_empty() => {
            set_in_expr(expr, rest, value, span);
        }
        kind => *kind = FieldKind::Value(value.clone()),
    }
}

/// The experiments of a file as they are written there, but with values that were chosen: those of the command line, and of a member of a sweep.
pub fn as_run(written: &File, composed: &File, chosen: &[(Sweep, usize, Vec<Setting>)]) -> File {
    let mut file = written.clone();
    for (index, (item, composed)) in file.items.iter_mut().zip(&composed.items).enumerate() {
        let ItemKind::Experiment(experiment) = &mut item.kind else { continue };
        if experiment.base.is_none() {
            item.kind = composed.kind.clone();
            continue;
        }
        let Some((_, _, settings)) = chosen.iter().find(|(_, own, _)| *own == index) else { continue };
        for (path, value) in settings {
            let segments: Vec<&str> = path.iter().map(String::as_str).collect();
            add_change(&mut experiment.body, &segments, value, value.span);
        }
        let none = Expr { kind: ExprKind::None, span: Span { start: item.span.end, ..item.span } };
        add_change(&mut experiment.body, &[SWEEP], &none, none.span);
    }
    file
}
