//! What makes a result look better or worse than it is, and is no error.

use std::collections::HashMap;

use mgx_diag::Diagnostic;
use mgx_ir::plan::{Alphabet, ColumnKind};

use super::{Place, RowFinding};
use crate::nucleic::reverse_complement;
use crate::split::{Part, Split};
use crate::table::{Column, Table, Values, shown};

/// Classes that no training row has; `in_column`: the parts stand in a column of the file.
pub fn absent_classes(table: &Table, parts: &Split, in_column: bool) -> Vec<RowFinding> {
    let mut findings = Vec::new();
    for column in table.columns() {
        let (Values::Class(values), ColumnKind::Class { names }) = (&column.values, &column.spec.kind) else { continue };
        let mut trained = vec![false; names.len()];
        let mut there = vec![false; names.len()];
        values.values().iter().for_each(|class| there[*class as usize] = true);
        parts.train.iter().for_each(|row| trained[values.value(*row as usize) as usize] = true);
        let list = |wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
            names.iter().enumerate().filter(|(class, _)| wanted(*class)).map(|(_, name)| format!("`{name}`")).collect()
        };
        let nowhere = list(&|class| !there[class]);
        let elsewhere = list(&|class| there[class] && !trained[class]);
        let name = &column.spec.name;
        let warn = |message: String, help: String| RowFinding {
            place: Place::Column(name.clone()),
            diagnostic: Diagnostic::warning("W0556", message).help(help),
        };
        if !nowhere.is_empty() {
            let message = format!("no row has {} in `{name}`", nowhere.join(", "));
            findings.push(warn(message, "leave out what is not in the file, or check how it is spelt there".to_owned()));
        }
        if !elsewhere.is_empty() {
            let message = format!("no training row has {} in `{name}`", elsewhere.join(", "));
            findings.push(warn(
                message,
                match in_column {
                    true => "put rows of every class into the training part, in the column of the file that has the parts".to_owned(),
                    false => format!("spread the classes over the parts of the split: `stratify = {name}`"),
                },
            ));
        }
    }
    findings
}

/// The same sequences, or their other strands, in several parts of the split.
pub fn shared_sequences(table: &Table, parts: &Split, in_column: bool) -> impl Iterator<Item = Diagnostic> {
    let mut found = Vec::new();
    let columns = sequences(table);
    let part_of = part_of_rows(table, parts);
    let mut rows_of: HashMap<Vec<&str>, Vec<u64>> = HashMap::new();
    if !columns.is_empty() {
        for row in (0..table.rows()).filter(|row| part_of[*row as usize].is_some()) {
            rows_of.entry(columns.iter().map(|column| column.text(row)).collect()).or_default().push(row);
        }
    }
    let names = columns.iter().map(|column| format!("`{}`", column.spec.name)).collect::<Vec<_>>().join(" and ");
    let of_another_part = |row: u64, others: &[u64]| others.iter().copied().find(|other| part_of[*other as usize] != part_of[row as usize]);
    let held_out = |row: &u64| part_of[*row as usize].is_some_and(|part| part != Part::Train);
    let rows: Vec<u64> = (0..table.rows()).filter(held_out).collect();
    let copies = |row: &u64| {
        let key: Vec<&str> = columns.iter().map(|column| column.text(*row)).collect();
        rows_of.get(&key).and_then(|others| of_another_part(*row, others)).map(|other| (*row, other))
    };
    let equal: Vec<(u64, u64)> = rows.iter().filter_map(copies).collect();
    if let Some(first) = equal.first() {
        let message = format!("{} of {} have the {names} of a row in another part", equal.len(), held_out_rows(rows.len()));
        let help = match columns.as_slice() {
            _ if in_column => "give equal rows the same part, in the column of the file that has the parts".to_owned(),
            [only] => format!("keep equal rows together: `group = {}` in the split", only.spec.name),
            _ => "keep equal rows together: `group = COLUMN` in the split".to_owned(),
        };
        found.push(Diagnostic::warning("W0557", message).note(pair(table, *first)).help(help));
    }
    let strands = |row: &u64| {
        let key: Option<Vec<String>> = columns.iter().map(|column| reverse_complement(column.text(*row), is_rna(column))).collect();
        let key = key?;
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        // A sequence that is its own other strand was counted above.
        let itself = columns.iter().zip(&key).all(|(column, other)| column.text(*row) == *other);
        rows_of.get(&key).filter(|_| !itself).and_then(|others| of_another_part(*row, others)).map(|other| (*row, other))
    };
    if columns.iter().all(|column| is_nucleic(column)) {
        let reversed: Vec<(u64, u64)> = rows.iter().filter_map(strands).collect();
        if let Some(first) = reversed.first() {
            let message = format!("{} of {} have the other strand of a row in another part", reversed.len(), held_out_rows(rows.len()));
            let help = match in_column {
                true => "give both strands of a locus the same part, in the column of the file that has the parts",
                false => "give both strands of a locus one name in a column, and keep them together: `group = COLUMN` in the split",
            };
            found.push(Diagnostic::warning("W0558", message).note(pair(table, *first)).help(help));
        }
    }
    found.into_iter()
}

/// Equal sequences with several classes.
pub fn contradicting_labels(table: &Table) -> Vec<RowFinding> {
    let columns = sequences(table);
    if columns.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for label in table.columns() {
        let Values::Class(classes) = &label.values else { continue };
        let mut first_of: HashMap<Vec<&str>, u64> = HashMap::new();
        let mut pairs = Vec::new();
        for row in 0..table.rows() {
            let first = *first_of.entry(columns.iter().map(|column| column.text(row)).collect()).or_insert(row);
            if classes.value(first as usize) != classes.value(row as usize) {
                pairs.push((row, first));
            }
        }
        if let Some((row, first)) = pairs.first().copied() {
            let name = &label.spec.name;
            let rows = if pairs.len() == 1 { "1 row has".to_owned() } else { format!("{} rows have", pairs.len()) };
            let message = format!("{rows} the sequence of an earlier row, and another `{name}`");
            let classes = format!("`{}` and `{}`", shown(&label.display(row)), shown(&label.display(first)));
            let diagnostic = Diagnostic::warning("W0559", message)
                .note(format!("{}: {classes}", pair(table, (row, first))))
                .help("no network can learn both: decide which label is right, and remove the other row");
            findings.push(RowFinding { place: Place::Column(name.clone()), diagnostic });
        }
    }
    findings
}

/// The columns of letters that together are what a row is about.
fn sequences(table: &Table) -> Vec<&Column> {
    let is_own = |column: &&Column| matches!(column.spec.kind, ColumnKind::Sequence { .. }) && column.spec.conversion.is_none();
    table.columns().iter().filter(is_own).collect()
}

fn is_nucleic(column: &Column) -> bool {
    matches!(column.spec.kind, ColumnKind::Sequence { alphabet: Alphabet::Dna | Alphabet::Rna, .. })
}

fn is_rna(column: &Column) -> bool {
    matches!(column.spec.kind, ColumnKind::Sequence { alphabet: Alphabet::Rna, .. })
}

fn part_of_rows(table: &Table, parts: &Split) -> Vec<Option<Part>> {
    let mut part_of = vec![None; table.rows() as usize];
    for (part, rows) in [(Part::Train, &parts.train), (Part::Valid, &parts.valid), (Part::Test, &parts.test)] {
        for row in rows {
            part_of[*row as usize] = Some(part);
        }
    }
    part_of
}

/// "row 7 (line 8) of a.tsv, as row 2 (line 3) of a.tsv".
fn pair(table: &Table, (row, other): (u64, u64)) -> String {
    format!("{}, as {}", table.places().describe(row), table.places().describe(other))
}

fn held_out_rows(count: usize) -> String {
    if count == 1 { "1 row for validation and test".to_owned() } else { format!("{count} rows for validation and test") }
}
