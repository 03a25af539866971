//! Sweeps: an experiment with several values for some of its fields is as many experiments.
//!
//! `sweep { seed = [0, 1]  train { batch_size = [16, 32] } }` has a member for each combination, the last field changing fastest. With
//! `cases = [(encoder = a(), seed = 0), (encoder = b(), seed = 1)]` fields change together. Members differ from the experiment as if their values had been
//! written in it, and each is checked as one.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};

use super::Checker;
use super::overrides::{nothing_at, set_in_item};
use crate::syntax::ast::{Body, Experiment, Expr, ExprKind, FieldKind, File, Item, ItemKind};

/// The block of an experiment.
pub(super) const SWEEP: &str = "sweep";
/// The field of it with settings that change together.
const CASES: &str = "cases";
/// Members of a sweep at most: each is checked.
const MOST: usize = 1000;

/// The members of an experiment's sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    pub experiment: String,
    /// For each member what is set: paths, and values as they are written.
    pub members: Vec<Vec<(String, String)>>,
}

/// A member that is wanted, of one experiment's sweep or of every one.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub experiment: Option<String>,
    pub member: u64,
}

/// A value for a field, by its path.
pub type Setting = (Vec<String>, Expr);

/// Puts the values of one member (the first, where `chosen` does not say) of each experiment's sweep into the program, which was `ast` before. Gives with
/// each sweep the place of its experiment, and what was set.
pub fn apply_sweeps(checker: &mut Checker<'_>, file: usize, ast: &File, chosen: Option<&Chosen>) -> Vec<(Sweep, usize, Vec<Setting>)> {
    let mut ast = ast.clone();
    let mut sweeps = Vec::new();
    for (index, item) in ast.items.iter_mut().enumerate() {
        let wanted = chosen.filter(|chosen| chosen.experiment.as_ref().is_none_or(|name| *name == item.name.text));
        if let Some((sweep, chosen)) = members_of(checker, item, wanted.map_or(0, |chosen| chosen.member)) {
            for (path, value) in &chosen {
                let segments: Vec<&str> = path.iter().map(String::as_str).collect();
                if !set_in_item(item, &segments, value, value.span) {
                    let diagnostic = nothing_at(&path.join("."), value.span, std::slice::from_ref(item));
                    checker.report(diagnostic);
                }
            }
            sweeps.push((sweep, index, chosen));
        }
    }
    if !sweeps.is_empty() {
        checker.library.files[file].ast = Rc::new(ast);
    }
    sweeps
}

/// Takes the sweep out of an experiment: its members, and the settings of the chosen one.
fn members_of(checker: &mut Checker<'_>, item: &mut Item, number: u64) -> Option<(Sweep, Vec<Setting>)> {
    let ItemKind::Experiment(Experiment { body, .. }) = &mut item.kind else { return None };
    let place = body.fields.iter().position(|field| field.name.text == SWEEP && matches!(field.kind, FieldKind::Block(_)))?;
    let field = body.fields.remove(place);
    let FieldKind::Block(block) = &field.kind else { return None };
    let mut members: Vec<Vec<Setting>> = vec![Vec::new()];
    for choices in choices(checker, block, &[])? {
        members = members.iter().flat_map(|member| choices.iter().map(|choice| [member.as_slice(), choice].concat())).collect();
        if members.len() > MOST {
            let diagnostic = Diagnostic::error("E0216", format!("the sweep has more than {MOST} members"));
            checker.report(
                diagnostic
                    .label(field.name.span, "too many combinations")
                    .help("give fewer values, or those that belong together as `cases`"),
            );
            return None;
        }
    }
    let sources = &checker.library.sources;
    let written = |(path, value): &Setting| (path.join("."), sources.slice(value.span).to_owned());
    let sweep =
        Sweep { experiment: item.name.text.clone(), members: members.iter().map(|member| member.iter().map(written).collect()).collect() };
    let chosen = usize::try_from(number).ok().and_then(|number| members.get(number).cloned());
    if chosen.is_none() {
        let diagnostic = Diagnostic::error("E0216", format!("the sweep of `{}` has no member {number}", sweep.experiment));
        checker.report(diagnostic.label(field.name.span, format!("members are counted from 0: 0 to {}", members.len() - 1)));
    }
    Some((sweep, chosen?))
}

/// What each field of the block can be: for each, the settings of each choice.
fn choices(checker: &mut Checker<'_>, block: &Body, outer: &[String]) -> Option<Vec<Vec<Vec<Setting>>>> {
    let mut all = Vec::new();
    for field in &block.fields {
        let path = [outer, std::slice::from_ref(&field.name.text)].concat();
        let found = match &field.kind {
            FieldKind::Block(inner) => {
                all.extend(choices(checker, inner, &path)?);
                continue;
            }
            FieldKind::Value(Expr { kind: ExprKind::List(values), .. }) if !values.is_empty() => {
                if field.name.text == CASES && outer.is_empty() {
                    values.iter().map(case).collect()
                } else {
                    Ok(values.iter().map(|value| vec![(path.clone(), value.clone())]).collect())
                }
            }
            FieldKind::Value(other) => Err(other.span),
            FieldKind::Typed { .. } => Err(field.span),
        };
        match found {
            Ok(found) => all.push(found),
            Err(span) => {
                let diagnostic = Diagnostic::error("E0216", format!("`{}` of a sweep has no list of values", path.join(".")));
                checker.report(diagnostic.label(span, "here").help(
                    "write `seed = [0, 1, 2]`, or `cases = [(encoder = small(), seed = 0), (encoder = large(), seed = 1)]` for what changes together",
                ));
                return None;
            }
        }
    }
    Some(all)
}

fn case(value: &Expr) -> Result<Vec<Setting>, Span> {
    match &value.kind {
        ExprKind::Record(fields) => Ok(fields.iter().map(|(name, value)| (vec![name.text.clone()], value.clone())).collect()),
        _ => Err(value.span),
    }
}
