//! Columns of several numbers for each row: lists in one column, or a column for each.

use arrow::array::{Array, Float64Array, LargeStringArray};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{ColumnKind, ColumnSpec};

use super::places::Places;
use super::raw::{RawColumn, shown};
use super::typed;

/// As many numbers for each row, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    pub width: usize,
    pub values: Vec<f64>,
}

impl Numbers {
    /// The numbers of a row.
    pub fn row(&self, row: u64) -> &[f64] {
        &self.values[row as usize * self.width..][..self.width]
    }
}

/// The headers of a column of several numbers; empty where it is one column of lists.
pub(super) fn headers(kind: &ColumnKind) -> &[String] {
    match kind {
        ColumnKind::Reals { headers, .. } | ColumnKind::Labels { headers, .. } => headers,
        _ => &[],
    }
}

/// Reads the values of the columns `headers`, or of the lists of one column.
///
/// # Errors
/// E0517 and E0518 as for single numbers; E0560 for a list of another length; E0561 for a label that is neither 0 nor 1.
pub(super) fn read(spec: &ColumnSpec, raw: &mut dyn Iterator<Item = RawColumn>, places: &Places) -> Result<Numbers, Diagnostic> {
    let width = match &spec.kind {
        ColumnKind::Reals { count, .. } => *count as usize,
        ColumnKind::Labels { names, .. } => names.len(),
        _ => 1,
    };
    let missing = |header: &str| Diagnostic::error("E0512", format!("the column `{header}` was not read"));
    let numbers = if headers(&spec.kind).is_empty() {
        let text = raw.next().and_then(RawColumn::into_text).ok_or_else(|| missing(&spec.header))?;
        Numbers { width, values: lists(&text, width, &spec.header, places)? }
    } else {
        let column = |header: &String| {
            let one = ColumnSpec { name: spec.name.clone(), header: header.clone(), kind: ColumnKind::Real, conversion: None };
            typed::numbers(&one, raw.next().ok_or_else(|| missing(header))?, places)
        };
        let columns: Vec<Float64Array> = headers(&spec.kind).iter().map(column).collect::<Result<_, _>>()?;
        let rows = columns.first().map_or(0, Array::len);
        Numbers { width, values: (0..rows).flat_map(|row| columns.iter().map(move |column| column.value(row))).collect() }
    };
    if let ColumnKind::Labels { names, .. } = &spec.kind
        && let Some(wrong) = numbers.values.iter().position(|value| *value != 0.0 && *value != 1.0)
    {
        let (row, label) = (wrong / width, wrong % width);
        let header = headers(&spec.kind).get(label).unwrap_or(&spec.header);
        let place = format!("{}, column `{header}`", places.describe(row as u64));
        let message = format!("{place}: {} for the label `{}`", numbers.values[wrong], names[label]);
        return Err(Diagnostic::error("E0561", message).help("a label holds (1) or does not (0); numbers are declared `real`"));
    }
    Ok(numbers)
}

/// The elements of a list as it stands in a file: between commas or white space, with or without brackets and quotes.
pub(super) fn elements(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.trim().trim_start_matches(['[', '(']).trim_end_matches([']', ')']).trim();
    let comma = inner.contains(',');
    let parts = inner.split(move |character: char| if comma { character == ',' } else { character.is_whitespace() });
    parts.map(|part| part.trim().trim_matches(['"', '\''])).filter(move |part| comma || !part.is_empty()).filter(move |_| !inner.is_empty())
}

fn lists(texts: &LargeStringArray, width: usize, header: &str, places: &Places) -> Result<Vec<f64>, Diagnostic> {
    let mut values = Vec::with_capacity(texts.len() * width);
    for (row, text) in texts.iter().enumerate() {
        let place = || format!("{}, column `{header}`", places.describe(row as u64));
        let text = text.unwrap_or_default();
        if text.trim().is_empty() {
            let message = format!("{}: the value is missing", place());
            return Err(Diagnostic::error("E0517", message).help("fill in the value, or remove the row"));
        }
        let before = values.len();
        for element in elements(text) {
            match element.parse::<f64>() {
                Ok(number) if typed::is_finite(number) => values.push(number),
                Ok(_) => return Err(typed::not_finite(&place(), element)),
                Err(_) => return Err(typed::not_a_number(&place(), element)),
            }
        }
        let found = values.len() - before;
        if found != width {
            let message = format!("{}: {found} numbers in `{}`, and {width} are declared", place(), shown(text));
            return Err(Diagnostic::error("E0560", message).help("correct the row, or the number in the column's declaration"));
        }
    }
    Ok(values)
}
