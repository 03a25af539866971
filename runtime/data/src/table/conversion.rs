//! Columns that are made of a column of the file: of other letters, or of the other strand.

use arrow::array::{Array, LargeStringArray, LargeStringBuilder};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{Alphabet, ColumnKind, ColumnSpec, Conversion, ConversionStep, EmptyPolicy};

use super::places::Places;
use super::raw::shown;
use crate::nucleic::{Untranslated, reverse_complement, transcribe, translate};

/// The column as it stands in the file.
pub(super) fn source(column: &ColumnSpec, conversion: &Conversion) -> ColumnSpec {
    let empty = if let ColumnKind::Sequence { empty, .. } = &column.kind { *empty } else { EmptyPolicy::Error };
    let kind = ColumnKind::Sequence { alphabet: conversion.from, length: conversion.length, empty };
    ColumnSpec { kind, conversion: None, ..column.clone() }
}

/// Converts checked sequences.
///
/// # Errors
/// E0589 for a sequence that cannot be converted, with its row.
pub(super) fn convert(
    column: &ColumnSpec,
    conversion: &Conversion,
    values: &LargeStringArray,
    places: &Places,
) -> Result<LargeStringArray, Diagnostic> {
    let mut builder = LargeStringBuilder::with_capacity(values.len(), values.value_data().len());
    let allowed = matches!(column.kind, ColumnKind::Sequence { empty: EmptyPolicy::Allow, .. });
    for (row, value) in values.iter().enumerate() {
        let mut text = value.unwrap_or_default().to_owned();
        let was_empty = text.is_empty();
        let mut alphabet = conversion.from;
        for step in &conversion.steps {
            text = take(step, &text, alphabet).map_err(|problem| problem.diagnostic(column, &text, &places.describe(row as u64)))?;
            alphabet = step.result(alphabet);
        }
        if text.is_empty() && !was_empty && !allowed {
            return Err(Problem::Empty.diagnostic(column, value.unwrap_or_default(), &places.describe(row as u64)));
        }
        builder.append_value(text);
    }
    Ok(builder.finish())
}

enum Problem {
    /// A character that is no base.
    NotABase(Option<usize>),
    Untranslated(Untranslated),
    Empty,
}

fn take(step: &ConversionStep, text: &str, alphabet: Alphabet) -> Result<String, Problem> {
    match step {
        ConversionStep::ReverseComplement => reverse_complement(text, alphabet == Alphabet::Rna).ok_or(Problem::NotABase(None)),
        ConversionStep::Transcribe => transcribe(text).ok_or(Problem::NotABase(None)),
        ConversionStep::Translate { stop, drop_partial } => translate(text, *stop, *drop_partial).map_err(|problem| match problem {
            Untranslated::NotABase(place) => Problem::NotABase(Some(place)),
            other => Problem::Untranslated(other),
        }),
    }
}

impl Problem {
    fn diagnostic(&self, column: &ColumnSpec, text: &str, place: &str) -> Diagnostic {
        let place = format!("{place}, column `{}`", column.header);
        let cannot = |reason: String| Diagnostic::error("E0589", format!("{place}: {reason}"));
        match self {
            Self::NotABase(at) => {
                let at = at.map(|at| format!(" at position {at}")).unwrap_or_default();
                cannot(format!("`{}` has a character{at} that is no base", shown(text)))
                    .help("masks are not converted: mask the column after it is converted")
            }
            Self::Untranslated(Untranslated::Partial(letters)) => cannot(format!("{letters} letters are no whole number of codons"))
                .help("correct the row, or write `partial = drop` to leave out what is after the last codon"),
            Self::Untranslated(Untranslated::Stop(at)) => cannot(format!("there is a stop codon at position {at}, before the end"))
                .help("correct the row, or say what a stop is: `stop = end` ends the protein there, `stop = keep` writes it as `*`"),
            Self::Untranslated(Untranslated::NotABase(at)) => Self::NotABase(Some(*at)).diagnostic(column, text, &place),
            Self::Empty => cannot(format!("`{}` codes for no protein", shown(text)))
                .help("correct the row, or declare the column with `empty = allow`"),
        }
    }
}
