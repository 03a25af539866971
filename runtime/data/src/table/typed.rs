//! Checks raw values against the declared type of their column.
//!
//! The first wrong value is reported with its place, and a note says how many rows of the column have a wrong value.

use std::collections::HashMap;

use arrow::array::{Array, Float64Array, Int32Array, LargeStringArray, LargeStringBuilder};
use mgx_diag::{Diagnostic, nearest};
use mgx_ir::plan::{Alphabet, ColumnKind, ColumnSpec, EmptyPolicy};

use super::Values;
use super::letters::Letters;
use super::places::Places;
use super::raw::{RawColumn, shown};

pub(super) fn check(spec: &ColumnSpec, raw: RawColumn, places: &Places) -> Result<Values, Diagnostic> {
    let mut report = Report { places, header: &spec.header, first: None, rows: 0 };
    let values = match (raw, &spec.kind) {
        (RawColumn::Text(values), ColumnKind::Sequence { alphabet, length, empty }) => {
            check_sequences(&values, *alphabet, *length, *empty, &mut report);
            Values::Text(without_nulls(values))
        }
        (RawColumn::Text(values), ColumnKind::Alignment { files, empty, .. }) => {
            // What files hold is checked where they are read.
            if files.is_none() {
                check_sequences(&values, Alphabet::Alignment, None, *empty, &mut report);
            }
            Values::Text(without_nulls(values))
        }
        (RawColumn::Text(values), ColumnKind::Text) => Values::Text(without_nulls(values)),
        (RawColumn::Text(values), ColumnKind::Class { names }) => Values::Class(classes(&values, names, &mut report)),
        (RawColumn::Text(values), ColumnKind::Real) => Values::Real(parse_numbers(&values, &mut report)),
        (RawColumn::Number(values), ColumnKind::Real) => Values::Real(check_numbers(&values, &mut report)),
        // These have readers of their own.
        (
            _,
            ColumnKind::Counts { .. }
            | ColumnKind::Reals { .. }
            | ColumnKind::Labels { .. }
            | ColumnKind::TokenClass { .. }
            | ColumnKind::Contacts { .. },
        ) => Values::Counts(Box::default()),
        // Readers give lists only where an alignment's structures asked for them.
        (RawColumn::Lists(_), _) => return Err(Diagnostic::error("E0528", format!("the column `{}` holds lists", spec.header))),
        // Readers give numbers only where a real column asked for them; their text form is right for every other kind.
        (RawColumn::Number(values), _) => {
            let text: LargeStringArray = values.iter().map(|value| value.map(|value| value.to_string())).collect();
            return check(spec, RawColumn::Text(text), places);
        }
    };
    report.finish().map(|()| values)
}

/// The finite numbers of a column that is one of several.
pub(super) fn numbers(spec: &ColumnSpec, raw: RawColumn, places: &Places) -> Result<Float64Array, Diagnostic> {
    let mut report = Report { places, header: &spec.header, first: None, rows: 0 };
    let values = match raw {
        RawColumn::Text(values) => parse_numbers(&values, &mut report),
        RawColumn::Number(values) => check_numbers(&values, &mut report),
        RawColumn::Lists(_) => return Err(Diagnostic::error("E0528", format!("the column `{}` holds lists", spec.header))),
    };
    report.finish().map(|()| values)
}

/// Collects what is wrong with a column: the first finding in full, the others by number.
struct Report<'a> {
    places: &'a Places,
    header: &'a str,
    first: Option<Diagnostic>,
    rows: u64,
}

impl Report<'_> {
    /// `describe` gets the place as text ("row 3 (line 4) of a.csv, column `x`").
    fn wrong(&mut self, row: usize, describe: impl FnOnce(&str) -> Diagnostic) {
        if self.first.is_none() {
            let place = format!("{}, column `{}`", self.places.describe(row as u64), self.header);
            self.first = Some(describe(&place));
        }
        self.rows += 1;
    }

    fn missing(&mut self, row: usize) {
        self.wrong(row, |place| {
            Diagnostic::error("E0517", format!("{place}: the value is missing")).help("fill in the value, or remove the row")
        });
    }

    fn finish(self) -> Result<(), Diagnostic> {
        match self.first {
            None => Ok(()),
            Some(first) if self.rows > 1 => Err(first.note(format!("{} rows of this column have a wrong value", self.rows))),
            Some(first) => Err(first),
        }
    }
}

fn without_nulls(values: LargeStringArray) -> LargeStringArray {
    if values.null_count() == 0 {
        return values;
    }
    let mut builder = LargeStringBuilder::with_capacity(values.len(), values.value_data().len());
    for value in &values {
        builder.append_value(value.unwrap_or_default());
    }
    builder.finish()
}

fn check_sequences(values: &LargeStringArray, alphabet: Alphabet, length: Option<u64>, empty: EmptyPolicy, report: &mut Report) {
    let letters = Letters::new(alphabet);
    for (row, value) in values.iter().enumerate() {
        let text = value.unwrap_or_default();
        if text.is_empty() {
            if empty == EmptyPolicy::Error {
                report.wrong(row, |place| {
                    Diagnostic::error("E0514", format!("{place}: the sequence is empty"))
                        .help("remove the row, or declare the column with `empty = allow`")
                });
            }
            continue;
        }
        if let Some(wrong) = letters.check(text) {
            report.wrong(row, |place| {
                let message =
                    format!("{place}: {:?} at position {} is not a letter of {}", wrong.character, wrong.position, letters.name());
                Diagnostic::error("E0513", message).help(letters.help(text, wrong.character))
            });
            continue;
        }
        if let Some(expected) = length {
            let found = letters.count(text);
            if found != expected {
                report.wrong(row, |place| {
                    Diagnostic::error("E0515", format!("{place}: the sequence has {found} letters, and {expected} are promised"))
                        .help(format!("correct the row, or remove `length = {expected}` from the column's declaration"))
                });
            }
        }
    }
}

fn classes(values: &LargeStringArray, names: &[String], report: &mut Report) -> Int32Array {
    let numbers: HashMap<&str, i32> = names.iter().zip(0..).map(|(name, number)| (name.as_str(), number)).collect();
    let mut classes = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        let text = value.unwrap_or_default();
        let number = numbers.get(text).copied();
        match number {
            Some(_) => {}
            None if text.is_empty() => report.missing(row),
            None => report.wrong(row, |place| unknown_class(place, text, names)),
        }
        classes.push(number.unwrap_or(0));
    }
    Int32Array::from(classes)
}

fn unknown_class(place: &str, text: &str, names: &[String]) -> Diagnostic {
    let found = Diagnostic::error("E0516", format!("{place}: `{}` is not one of the column's classes", shown(text)))
        .note(format!("the classes are {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")));
    if names.iter().any(|name| name == text.trim()) {
        return found.help("remove the white space around the value");
    }
    match nearest(text, names.iter().map(String::as_str)) {
        Some(near) => found.help(format!("did you mean `{near}`?")),
        None => found.help(format!("add `{}` to the classes of the column, or correct the row", shown(text))),
    }
}

fn parse_numbers(values: &LargeStringArray, report: &mut Report) -> Float64Array {
    let mut numbers = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        let text = value.unwrap_or_default();
        let number = text.trim().parse::<f64>();
        match &number {
            Ok(number) if is_finite(*number) => {}
            Ok(_) => report.wrong(row, |place| not_finite(place, text)),
            Err(_) if text.trim().is_empty() => report.missing(row),
            Err(_) => report.wrong(row, |place| not_a_number(place, text)),
        }
        numbers.push(number.unwrap_or(0.0));
    }
    Float64Array::from(numbers)
}

fn check_numbers(values: &Float64Array, report: &mut Report) -> Float64Array {
    for (row, value) in values.iter().enumerate() {
        match value {
            None => report.missing(row),
            Some(number) if !is_finite(number) => report.wrong(row, |place| not_finite(place, &number.to_string())),
            Some(_) => {}
        }
    }
    values.clone()
}

/// Is a number finite in the single precision that is computed with?
pub(super) fn is_finite(number: f64) -> bool {
    (number as f32).is_finite()
}

pub(super) fn not_finite(place: &str, text: &str) -> Diagnostic {
    if text.trim().parse::<f64>().is_ok_and(f64::is_finite) {
        return Diagnostic::error("E0518", format!("{place}: `{}` is too large to compute with", shown(text)))
            .help("numbers go up to 3.4e38; scale the column, or take its logarithm");
    }
    Diagnostic::error("E0518", format!("{place}: `{}` is not a finite number", shown(text)))
        .help("a real column holds finite numbers; remove rows whose value is not known")
}

pub(super) fn not_a_number(place: &str, text: &str) -> Diagnostic {
    let found = Diagnostic::error("E0518", format!("{place}: `{}` is not a number", shown(text)));
    if text.contains(',') && text.replace(',', ".").trim().parse::<f64>().is_ok() {
        found.help("write the decimal point as `.`")
    } else if matches!(text.trim().to_ascii_lowercase().as_str(), "na" | "n/a" | "null" | "none" | "-" | "?") {
        found.help("the value seems to be missing; fill it in, or remove the row")
    } else {
        found.help("correct the row; if the column holds names, declare it `class(…)` or `text`")
    }
}
