//! Functions of lists, and the starts of parameters.

use std::collections::HashMap;
use std::rc::Rc;

use mgx_diag::Diagnostic;
use mgx_ir::plan::Init;

use super::super::Checker;
use super::super::call::{Args, Callee};
use super::super::part_names::PartName;
use super::super::size::{Atom, Size};
use super::super::value::Value;
use super::{Given, wrong};
use crate::syntax::ast::ItemKind;

/// A list, or the number of one that is not known.
pub fn list(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Result<Rc<Vec<Value>>, u32>> {
    match given.positional.first() {
        Some((Value::List(items), _)) => Some(Ok(Rc::clone(items))),
        Some((Value::UnknownList(id), _)) => Some(Err(*id)),
        _ => {
            wrong(checker, given, "a list");
            None
        }
    }
}

/// `named(part, names)`: is the part of this stored name one of those that are meant?
pub fn named(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let stored = super::text(checker, given, 0)?;
    let names = match given.positional.get(1) {
        Some((Value::List(names), _)) => Rc::clone(names),
        Some((Value::UnknownList(_), _)) => return Some(Value::Bool(None)),
        _ => return wrong(checker, given, "the stored name of a part, and a list of names"),
    };
    let Some(stored) = stored else { return Some(Value::Bool(None)) };
    let means = |name: &Value| matches!(name, Value::Str(Some(text)) if PartName { text: text.clone(), span: given.span }.names(&stored));
    Some(Value::Bool(Some(names.iter().any(means))))
}

/// The length of a list that is not known: the same for the same list.
pub fn unknown_length(list: u32) -> Value {
    Value::Int { size: Size::atom(Atom::Var(list.wrapping_add(3 << 22), "len".to_owned())), axis: None }
}

pub fn head_or_tail(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let items = match list(checker, given)? {
        Ok(items) => items,
        Err(id) => return Some(unknown_element(given.name, id)),
    };
    let Some((first, rest)) = items.split_first() else {
        checker.report(
            Diagnostic::error("E0307", format!("`{}` of an empty list", given.name))
                .label(given.span, "no elements")
                .help("guard it with `if len(list) > 0`"),
        );
        return None;
    };
    Some(if given.name == "head" { first.clone() } else { Value::List(Rc::new(rest.to_vec())) })
}

/// The first element, or the rest, of a list that is not known: the same for the same list.
pub fn unknown_element(name: &str, list: u32) -> Value {
    /// Variables and lists made of unknown lists begin here.
    const FIRST: u32 = 1 << 22;
    if name == "tail" {
        return Value::UnknownList(list.wrapping_add(FIRST));
    }
    Value::Int { size: Size::atom(Atom::Var(list.wrapping_add(FIRST), "head".to_owned())), axis: None }
}

/// `map(function, x, y)`: a function of tensors, called with tensors, or with those of one name of each record; then the results are a record.
pub fn map(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let usage = "a function, and a tensor or a record of tensors for each of its parameters";
    let [(Value::Item(item), _), values @ ..] = given.positional.as_slice() else { return wrong(checker, given, usage) };
    let handle = checker.library.item(*item);
    let ItemKind::Function(function) = &handle.kind else { return wrong(checker, given, usage) };
    let callee = Callee { function, name: &handle.name.text, file: item.file, instance: None };
    let Some(fields) = values.iter().find_map(|(value, _)| if let Value::Record(fields) = value { Some(Rc::clone(fields)) } else { None })
    else {
        let args = values.iter().map(|(value, place)| (None, value.clone(), *place)).collect();
        return Some(checker.call_function(callee, args, given.span));
    };
    let mut results = Vec::new();
    for (name, _) in fields.iter() {
        let mut args: Args = Vec::new();
        for (value, place) in values {
            let own = match value {
                Value::Record(fields) => fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone()),
                other => Some(other.clone()),
            };
            let Some(own) = own else {
                let message = format!("only one of these records has `{name}`");
                let diagnostic = Diagnostic::error("E0401", message).label(*place, format!("has no `{name}`"));
                checker.report(diagnostic.help("give both the same layers: `hidden_states = [0, 6]` of the same backbone"));
                return None;
            };
            args.push((None, own, *place));
        }
        results.push((name.clone(), checker.call_function(callee, args, given.span)));
    }
    if results.iter().any(|(_, value)| value.is_error()) {
        return None;
    }
    Some(Value::Record(Rc::new(results)))
}

pub fn init(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let [(value, _)] = given.positional.as_slice() else { return wrong(checker, given, "one number") };
    if matches!(value, Value::Tensor(tensor) if tensor.per_sample) {
        let diagnostic = checker.ragged_parameter(None, given.span);
        checker.report(diagnostic);
        return None;
    }
    if !matches!(value, Value::Float(_) | Value::Int { .. }) {
        return wrong(checker, given, "one number");
    }
    let number = checker.as_number(value).unwrap_or(0.0);
    Some(Value::Init(match given.name {
        "normal" => Init::Normal { mean: 0.0, std: number },
        "uniform" => Init::Uniform { bound: number },
        "identity" => Init::Identity { scale: number },
        _ => Init::Constant(number),
    }))
}

/// `gene_list("scfoundation")`: the genes of a list of the library, in its order; `gene_list("scfoundation", "ensembl")`: another of its columns,
/// as texts (empty where there is none), or as numbers where all are; `gene_list("scfoundation", "ensembl", genes)`: the column's entries for the genes of
/// another list, found by their names in the first column.
pub fn gene_list(checker: &mut Checker<'_>, given: &Given<'_>) -> Option<Value> {
    let name = super::text(checker, given, 0)?.unwrap_or_default();
    let Some(list) = crate::stdlib::gene_list(&name) else {
        let known: Vec<&str> = crate::stdlib::gene_lists().collect();
        let diagnostic = Diagnostic::error("E0316", format!("the library has no list of genes `{name}`")).label(given.span, "not found");
        checker
            .report(diagnostic.help(format!("its lists are {}; `file(\"genes.txt\")` reads one of a folder of weights", known.join(", "))));
        return None;
    };
    let mut lines = list.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let wanted = match given.positional.get(1) {
        None => columns.first().map(|first| (*first).to_owned()),
        Some(_) => super::text(checker, given, 1)?,
    };
    let Some(place) = columns.iter().position(|column| Some(*column) == wanted.as_deref()) else {
        let diagnostic =
            Diagnostic::error("E0316", format!("the list of genes `{name}` has no such column")).label(given.span, "not found");
        checker.report(diagnostic.help(format!("its columns are {}", columns.join(", "))));
        return None;
    };
    let entry = |line: &'static str| line.split('\t').nth(place).unwrap_or_default();
    let texts: Vec<&str> = match given.positional.get(2) {
        None => lines.map(entry).collect(),
        Some((Value::List(genes), _)) => {
            let entries: HashMap<&str, &str> = lines.map(|line| (line.split('\t').next().unwrap_or_default(), entry(line))).collect();
            let name = |gene: &Value| if let Value::Str(Some(name)) = gene { entries.get(name.as_str()).copied() } else { None };
            genes.iter().map(|gene| name(gene).unwrap_or_default()).collect()
        }
        Some(_) => return wrong(checker, given, "a list of genes"),
    };
    // An empty field of a column of numbers is 1: what a gene without a known median is divided by.
    let numbers: Option<Vec<f64>> = texts.iter().map(|text| if text.is_empty() { Some(1.0) } else { text.parse().ok() }).collect();
    let items = match numbers {
        Some(numbers) if texts.iter().any(|text| !text.is_empty()) => {
            numbers.into_iter().map(|number| Value::Float(Some(number))).collect()
        }
        _ => texts.into_iter().map(|text| Value::Str(Some(text.to_owned()))).collect(),
    };
    Some(Value::List(Rc::new(items)))
}
