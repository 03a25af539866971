//! What the checker found out about the expressions of a program, for editors: kept only when it is asked for.
//!
//! The value of each expression of the user's own files is noted as it is evaluated, and described when its declaration is done, while its axes are still
//! known. What an experiment says itself is described with its real sizes; the body of a module, which is evaluated for every part that it becomes, as it is
//! for any sizes.

use std::collections::{BTreeMap, HashMap, HashSet};

use mgx_diag::Span;

use super::Checker;
use super::column_input::alphabet_word;
use super::library::ItemRef;
use super::value::{Column, Value};
use crate::check::Emission;

/// What is known of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub kind: FactKind,
    /// Its type as people write it: `f[seq, hidden (1280)]`, `int (12)`, `backbone`.
    pub shown: String,
    /// The declaration that it is, or is made of.
    pub item: Option<ItemRef>,
    /// What stands after a dot, with its type: fields of a record, columns of a table.
    pub members: Vec<(String, String)>,
    /// Numbers in the part, once it stands in the network.
    pub size: Option<PartSize>,
}

/// The kinds of [`Fact`]s that editors treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    Tensor,
    /// A number, a truth value, a text, a choice.
    Setting,
    Part,
    Backbone,
    Table,
    Column,
    /// A declaration or a function that is not called yet.
    Declaration,
    Other,
}

/// How many numbers a part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSize {
    pub parameters: u64,
    pub trained: u64,
}

/// Notes of one program.
#[derive(Debug, Default)]
pub struct Record {
    noted: HashMap<Span, Noted>,
    /// The paths of parts in the network at hand, by the calls that made them.
    parts: HashMap<Span, (String, ItemRef)>,
    sizes: HashMap<Span, PartSize>,
    pub facts: BTreeMap<Span, Fact>,
    /// Which of them are for good: of an experiment that others are made from, what it is itself.
    settled: HashSet<Span>,
}

#[derive(Debug)]
struct Noted {
    value: Value,
    /// Evaluated where its declaration is checked, and not as a piece of something else.
    own: bool,
}

impl Checker<'_> {
    /// Notes the value of an expression, where notes are wanted.
    pub fn note(&mut self, span: Span, value: &Value, in_experiment: bool) {
        let own = in_experiment || self.emission.is_none();
        let Some(record) = self.record.as_mut() else { return };
        if value.is_error() || record.noted.get(&span).is_some_and(|known| known.own && !own) {
            return;
        }
        record.noted.insert(span, Noted { value: value.clone(), own });
    }

    /// Notes that a call has become a part of the network.
    pub fn note_part(&mut self, span: Span, path: &str, item: ItemRef) {
        if let Some(record) = self.record.as_mut() {
            record.parts.insert(span, (path.to_owned(), item));
        }
    }

    /// Counts the numbers of the parts of a network that is complete, or as far as it came.
    pub fn note_sizes(&mut self, emission: &Emission) {
        let Some(record) = self.record.as_mut() else { return };
        for (span, (path, _)) in &record.parts {
            let own =
                emission.params.iter().filter(|param| param.path.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.')));
            let mut size = PartSize { parameters: 0, trained: 0 };
            for param in own.filter(|param| !param.state) {
                let count = param.shape.iter().product::<u64>();
                size.parameters += count;
                size.trained += if param.trainable { count } else { 0 };
            }
            record.sizes.insert(*span, size);
        }
    }

    /// Describes what was noted of a declaration that is done.
    pub fn end_notes(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        for (span, Noted { value, own }) in std::mem::take(&mut record.noted) {
            if !record.settled.contains(&span) && (own || !record.facts.contains_key(&span)) {
                let fact = self.fact(&value, &record.sizes);
                record.facts.insert(span, fact);
                if own {
                    record.settled.insert(span);
                }
            }
        }
        // What is called at the end of a pipe is no expression of its own.
        for (span, (_, item)) in std::mem::take(&mut record.parts) {
            if record.settled.insert(span) && !record.facts.contains_key(&span) {
                let (shown, size) = (self.library.item(item).name.text.clone(), record.sizes.get(&span).copied());
                record.facts.insert(span, Fact { kind: FactKind::Part, shown, item: Some(item), members: Vec::new(), size });
            }
        }
        record.sizes.clear();
        self.record = Some(record);
    }

    fn fact(&self, value: &Value, sizes: &HashMap<Span, PartSize>) -> Fact {
        let (kind, item, size) = match value {
            Value::Tensor(_) => (FactKind::Tensor, None, None),
            Value::Int { .. } | Value::Float(_) | Value::Bool(_) | Value::Str(_) | Value::Variant(_) | Value::None => {
                (FactKind::Setting, None, None)
            }
            Value::Part(instance) => (FactKind::Part, Some(instance.item), None),
            Value::Parts(parts) => (FactKind::Part, parts.first().map(|part| part.item), None),
            Value::Pending(pending) => (FactKind::Part, Some(pending.item), sizes.get(&pending.span)),
            Value::Backbone(backbone) => (FactKind::Backbone, Some(backbone.item), sizes.get(&backbone.span)),
            Value::Table(table) => (FactKind::Table, self.experiment.tables.get(*table).map(|table| table.item), None),
            Value::Column(_) => (FactKind::Column, None, None),
            Value::Item(item) => (FactKind::Declaration, Some(*item), None),
            Value::Builtin(_) => (FactKind::Declaration, None, None),
            _ => (FactKind::Other, None, None),
        };
        let members = match value {
            Value::Record(fields) => fields.iter().map(|(name, value)| (name.clone(), self.shown_value(value))).collect(),
            _ => Vec::new(),
        };
        Fact { kind, shown: self.shown_value(value), item, members, size: size.copied() }
    }

    /// What a value is, in the words of the language.
    fn shown_value(&self, value: &Value) -> String {
        let name = |item: ItemRef| self.library.item(item).name.text.clone();
        match value {
            Value::Tensor(tensor) => self.show_tensor(tensor),
            Value::Int { size, .. } => format!("int ({})", self.facts.show(size)),
            Value::Float(Some(number)) => format!("float ({number})"),
            Value::Float(None) => "float".to_owned(),
            Value::Bool(Some(truth)) => format!("bool ({truth})"),
            Value::Bool(None) => "bool".to_owned(),
            Value::Str(_) => "str".to_owned(),
            Value::Variant(Some(choice)) => format!("choice ({choice})"),
            Value::None => "none".to_owned(),
            Value::List(items) => match items.first() {
                Some(first) => format!("list of {}: {}", items.len(), self.shown_value(first)),
                None => "empty list".to_owned(),
            },
            Value::Tuple(items) => {
                format!("({})", items.iter().map(|item| self.shown_value(item)).collect::<Vec<_>>().join(", "))
            }
            Value::Record(fields) => {
                let shown: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {}", self.shown_value(value))).collect();
                format!("({})", shown.join(", "))
            }
            Value::Part(instance) => name(instance.item),
            Value::Parts(parts) => {
                parts.first().map_or_else(|| "no parts".to_owned(), |part| format!("{} × {}", parts.len(), name(part.item)))
            }
            Value::Pending(pending) => name(pending.item),
            Value::Backbone(backbone) => {
                let rewrites = backbone.rewrites.iter().map(|rewrite| format!(" with {}", name(rewrite.pending.item)));
                format!("{}{}", name(backbone.item), rewrites.collect::<String>())
            }
            Value::Item(item) => name(*item),
            Value::Builtin(function) => (*function).to_owned(),
            Value::Column(column) => self.shown_column(column),
            other => other.describe().to_owned(),
        }
    }

    fn shown_column(&self, column: &Column) -> String {
        let Some(spec) = self.experiment.tables.get(column.data).and_then(|table| table.spec.columns.get(column.column)) else {
            return "a column".to_owned();
        };
        use mgx_ir::plan::ColumnKind;
        match &spec.kind {
            ColumnKind::Sequence { alphabet, length: Some(length), .. } => format!("{}(length = {length})", alphabet_word(*alphabet)),
            ColumnKind::Sequence { alphabet, .. } => alphabet_word(*alphabet).to_owned(),
            ColumnKind::Alignment { .. } => "alignment".to_owned(),
            ColumnKind::Class { names } => format!("class of {}: {}", names.len(), listed(names)),
            ColumnKind::TokenClass { names, each } => format!("class of {} for each letter of `{each}`: {}", names.len(), listed(names)),
            ColumnKind::Labels { names, .. } => format!("labels, {}: {}", names.len(), listed(names)),
            ColumnKind::Real => "real".to_owned(),
            ColumnKind::Reals { count, .. } => format!("real(count = {count})"),
            ColumnKind::Contacts { each } => format!("contacts of the letters of `{each}`"),
            ColumnKind::Text => "id".to_owned(),
            ColumnKind::Counts { .. } => "counts".to_owned(),
        }
    }
}

/// Names that are listed at most.
const LISTED: usize = 8;

fn listed(names: &[String]) -> String {
    let more = if names.len() > LISTED { ", …" } else { "" };
    format!("{}{more}", names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", "))
}
