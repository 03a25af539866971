//! Values from the command line, put into the program before it is checked.

use mgx_diag::{Diagnostic, Span, nearest};

use super::compose::add_change;
use super::library::ItemRef;
use super::settings::{PREDICT_FIELDS, TRAIN_FIELDS};
use super::sweep::{Chosen, SWEEP};
use super::{Checker, Override};
use crate::syntax::ast::{Arg, Body, Experiment, Expr, ExprKind, FieldKind, Item, ItemKind, Name};
use crate::syntax::parse_expr;

/// Puts values from the command line into the program's syntax. Gives the member of sweeps that they choose.
pub fn apply_overrides(checker: &mut Checker<'_>, file: usize, overrides: &[Override]) -> Option<Chosen> {
    let mut member = None;
    for change in overrides {
        // `sweep=3` and `NAME.sweep=3` are the member of a sweep, not values.
        let (experiment, field) = change.path.split_once('.').map_or((None, change.path.as_str()), |(name, field)| (Some(name), field));
        if let (SWEEP, Ok(number)) = (field, change.value.parse()) {
            member = Some(Chosen { experiment: experiment.map(str::to_owned), member: number });
            continue;
        }
        let shown = format!("--set {}={}", change.path, change.value);
        let source = checker.library.sources.add("--set", &shown);
        let offset = "--set ".len() + change.path.len() + 1;
        // Parsed at its place in the argument, so that errors point at it.
        let padded = format!("{}{}", " ".repeat(offset), change.value);
        let (value, diagnostics) = parse_expr(source, &padded);
        checker.diagnostics.extend(diagnostics);
        let Some(value) = value else { continue };
        let path_span = Span { file: source, start: "--set ".len() as u32, end: (offset - 1) as u32 };
        let segments: Vec<&str> = change.path.split('.').collect();
        let mut ast = (*checker.library.files[file].ast).clone();
        let mut changed = false;
        for (index, item) in ast.items.iter_mut().enumerate() {
            changed |= checker.set_in_declaration(ItemRef { file, item: index }, item, &segments, &value, path_span);
        }
        if !changed {
            checker.report(nothing_at(&change.path, path_span, &ast.items));
        }
        checker.library.files[file].ast = std::rc::Rc::new(ast);
    }
    member
}

impl Checker<'_> {
    /// Sets a value below a declaration: in an experiment that is made from another, among what it changes.
    fn set_in_declaration(&mut self, place: ItemRef, item: &mut Item, segments: &[&str], value: &Expr, span: Span) -> bool {
        let is_made = matches!(&item.kind, ItemKind::Experiment(experiment) if experiment.base.is_some());
        if !is_made {
            return set_in_item(item, segments, value, span);
        }
        let Some(whole) = self.whole_experiment(place, &mut Vec::new()) else { return false };
        if !set_in_item(&mut Item { kind: ItemKind::Experiment(whole), ..item.clone() }, segments, value, span) {
            return false;
        }
        let own = segments.len() > 1 && segments[0] == item.name.text;
        if let ItemKind::Experiment(experiment) = &mut item.kind {
            add_change(&mut experiment.body, if own { &segments[1..] } else { segments }, value, span);
        }
        true
    }
}

/// There is no such field; `span` names it.
pub fn nothing_at(path: &str, span: Span, items: &[Item]) -> Diagnostic {
    let diagnostic = Diagnostic::error("E0212", format!("there is nothing at `{path}`")).label(span, "not found");
    match nearest(path, settable_paths(items).iter().map(String::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help("name a field, or an option of a call: `train.batch_size=16`, `encoder.max_length=128`, `seed=1`"),
    }
}

/// Sets a value below a declaration; false if there is nothing at its path.
pub fn set_in_item(item: &mut Item, segments: &[&str], value: &Expr, span: Span) -> bool {
    let own = segments.first() == Some(&item.name.text.as_str());
    match &mut item.kind {
        ItemKind::Experiment(experiment) => set_in_experiment(experiment, if own { &segments[1..] } else { segments }, value, span),
        ItemKind::Data(data) if own && segments[1..] == ["path"] => set_argument(&mut data.source, None, value, span),
        ItemKind::Data(data) if own => set_field(&mut data.body, &segments[1..], &["split"], value, span),
        _ => false,
    }
}

/// Sets a parameter of an experiment, or a field of it.
fn set_in_experiment(experiment: &mut Experiment, path: &[&str], value: &Expr, span: Span) -> bool {
    match experiment.params.iter_mut().find(|param| path == [param.name.text.as_str()]) {
        Some(param) => {
            param.default = Some(value.clone());
            true
        }
        None => set_field(&mut experiment.body, path, &["seed", "precision"], value, span),
    }
}

/// The paths that exist in a file, and the settings of its blocks that could, for suggestions.
fn settable_paths(items: &[Item]) -> Vec<String> {
    let mut paths = vec!["seed".to_owned(), "precision".to_owned()];
    for item in items {
        let (body, prefix) = match &item.kind {
            ItemKind::Experiment(experiment) => {
                paths.extend(experiment.params.iter().map(|param| param.name.text.clone()));
                (&experiment.body, String::new())
            }
            ItemKind::Data(data) => (&data.body, format!("{}.", item.name.text)),
            _ => continue,
        };
        if let ItemKind::Data(_) = item.kind {
            paths.push(format!("{prefix}path"));
        }
        for field in &body.fields {
            let name = &field.name.text;
            paths.push(format!("{prefix}{name}"));
            match &field.kind {
                FieldKind::Block(_) => paths.extend(settings_of(name).iter().map(|setting| format!("{prefix}{name}.{setting}"))),
                FieldKind::Value(Expr { kind: ExprKind::Call(_, args), .. }) => {
                    paths.extend(args.iter().filter_map(|arg| arg.name.as_ref()).map(|arg| format!("{prefix}{name}.{}", arg.text)));
                }
                _ => {}
            }
        }
    }
    paths
}

/// The settings of a block of an experiment.
fn settings_of(block: &str) -> &'static [&'static str] {
    match block {
        "train" => &TRAIN_FIELDS,
        "predict" => &PREDICT_FIELDS,
        _ => &[],
    }
}

/// Sets `a.b.c` below a body; the fields that are named in `settable`, and settings of blocks, may be new.
fn set_field(body: &mut Body, path: &[&str], settable: &[&str], value: &Expr, span: Span) -> bool {
    let [first, rest @ ..] = path else { return false };
    match body.fields.iter_mut().find(|field| field.name.text == *first) {
        Some(field) => match &mut field.kind {
            FieldKind::Value(expr) if rest.is_empty() => {
                *expr = value.clone();
                true
            }
            FieldKind::Value(expr) => set_in_expr(expr, rest, value, span),
            FieldKind::Block(block) => set_field(block, rest, settings_of(first), value, span),
            FieldKind::Typed { .. } => false,
        },
        None if rest.is_empty() && settable.contains(first) => {
            let name = Name { text: (*first).to_owned(), span };
            body.fields.push(crate::syntax::ast::Field { doc: None, name, kind: FieldKind::Value(value.clone()), span });
            true
        }
        None => false,
    }
}

/// Sets an option of a call inside an expression: the call itself, or one in a pipe by the callee's name.
pub fn set_in_expr(expr: &mut Expr, path: &[&str], value: &Expr, span: Span) -> bool {
    match &mut expr.kind {
        ExprKind::Call(callee, _) => {
            let named = matches!(&callee.kind, ExprKind::Name(name) if path.len() == 2 && name == path[0]);
            let option = if named { path[1] } else { path[0] };
            if !named && path.len() != 1 {
                return false;
            }
            set_argument(expr, Some(option), value, span)
        }
        // A bare name becomes a call with the option.
        ExprKind::Name(name) if path.len() == 1 || (path.len() == 2 && path[0] == name) => {
            let callee = Expr { kind: ExprKind::Name(name.clone()), span: expr.span };
            expr.kind = ExprKind::Call(Box::new(callee), Vec::new());
            set_argument(expr, path.last().copied(), value, span)
        }
        ExprKind::Pipe(input, target) => {
            if path.len() == 2 {
                return set_in_expr(target, path, value, span) || set_in_expr(input, path, value, span);
            }
            set_in_expr(target, path, value, span)
        }
        ExprKind::With(part, rewrite) => {
            (path.len() == 2 && set_in_expr(rewrite, path, value, span)) || set_in_expr(part, path, value, span)
        }
        _ => false,
    }
}

fn set_argument(expr: &mut Expr, name: Option<&str>, value: &Expr, span: Span) -> bool {
    let ExprKind::Call(_, args) = &mut expr.kind else { return false };
    let slot = args.iter_mut().find(|arg| arg.name.as_ref().map(|name| name.text.as_str()) == name);
    match (slot, name) {
        (Some(arg), _) => arg.value = value.clone(),
        (None, Some(name)) => args.push(Arg { name: Some(Name { text: name.to_owned(), span }), value: value.clone() }),
        (None, None) => return false,
    }
    true
}
