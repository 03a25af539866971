//! `reverse_complement`, `transcribe` and `translate`: columns that are made of columns of DNA and RNA. They are the only way from one alphabet to another.

use mgx_diag::Diagnostic;
use mgx_ir::plan::{Alphabet, ColumnKind, ColumnSpec, Conversion, ConversionStep, StopPolicy};

use super::{Checker, Given, wrong};
use crate::check::value::{Column, Value};

/// The column that a conversion makes, beside the one that it is made of.
pub fn convert(checker: &mut Checker<'_>, given: &mut Given<'_>) -> Option<Value> {
    let Some((Value::Column(column), place)) = given.positional.first().cloned() else {
        return wrong(checker, given, "a column of DNA or RNA: `table.column |> transcribe`");
    };
    let spec = checker.experiment.tables.get(column.data)?.spec.columns.get(column.column)?.clone();
    let ColumnKind::Sequence { alphabet, length, empty } = spec.kind else {
        return cannot(checker, given, &spec, &column, place, "no sequence");
    };
    if let Some(masking) = &column.masking {
        let diagnostic = Diagnostic::error("E0332", format!("`{}` is masked before it is converted", spec.name));
        let diagnostic = diagnostic.label(given.span, "converted here").label(masking.span, "masked here");
        checker.report(diagnostic.help("convert first: `table.column |> transcribe |> mask_tokens(…)`"));
        return None;
    }
    let step = match (given.name, alphabet) {
        ("reverse_complement", Alphabet::Dna | Alphabet::Rna) => ConversionStep::ReverseComplement,
        ("transcribe", Alphabet::Dna) => ConversionStep::Transcribe,
        ("translate", Alphabet::Dna | Alphabet::Rna) => translation(checker, given)?,
        (_, Alphabet::Dna) => return cannot(checker, given, &spec, &column, place, "DNA"),
        (_, Alphabet::Rna) => return cannot(checker, given, &spec, &column, place, "RNA"),
        (_, Alphabet::Protein) => return cannot(checker, given, &spec, &column, place, "protein"),
        (_, Alphabet::Text | Alphabet::Alignment) => return cannot(checker, given, &spec, &column, place, "text"),
    };
    let mut conversion = spec.conversion.clone().unwrap_or(Conversion { from: alphabet, length, steps: Vec::new() });
    conversion.steps.push(step);
    // How long a protein is, its stop codons decide.
    let length = length.filter(|_| !matches!(step, ConversionStep::Translate { .. }));
    let name = format!("{}.{}", spec.name, given.name);
    let kind = ColumnKind::Sequence { alphabet: step.result(alphabet), length, empty };
    let made = ColumnSpec { name, header: spec.header, kind, conversion: Some(conversion) };
    Some(Value::Column(Column { column: checker.made_column(column.data, made, given.span), ..column }))
}

/// `translate(stop = end, partial = drop)`.
fn translation(checker: &mut Checker<'_>, given: &mut Given<'_>) -> Option<ConversionStep> {
    const STOPS: [(&str, StopPolicy); 3] = [("error", StopPolicy::Error), ("end", StopPolicy::End), ("keep", StopPolicy::Keep)];
    let stop = given.take("stop").map_or(Some(StopPolicy::Error), |arg| checker.choice(&arg.value, &STOPS))?;
    let partial = given.take("partial").map_or(Some(false), |arg| checker.choice(&arg.value, &[("error", false), ("drop", true)]))?;
    Some(ConversionStep::Translate { stop, drop_partial: partial })
}

fn cannot(
    checker: &mut Checker<'_>,
    given: &Given<'_>,
    spec: &ColumnSpec,
    column: &Column,
    place: mgx_diag::Span,
    holds: &str,
) -> Option<Value> {
    let reads = if given.name == "transcribe" { "DNA" } else { "DNA or RNA" };
    let diagnostic = Diagnostic::error("E0332", format!("`{}` reads {reads}, and `{}` is {holds}", given.name, spec.name));
    let diagnostic = diagnostic.label(place, format!("this is {holds}")).label(column.span, "declared here");
    checker.report(match (given.name, holds) {
        ("transcribe", "RNA") => diagnostic.help("it is RNA already: leave out `transcribe`"),
        (_, "protein") => diagnostic.help("proteins are not read back: use a column of DNA or RNA"),
        _ => diagnostic.help(format!("use a column of {reads}")),
    });
    None
}

impl Checker<'_> {
    /// The place of a made column in its table, which it is added to where it is new; `span` is where it is made.
    fn made_column(&mut self, table: usize, made: ColumnSpec, span: mgx_diag::Span) -> usize {
        let table = &mut self.experiment.tables[table];
        let same = |other: &ColumnSpec| (&other.header, &other.conversion) == (&made.header, &made.conversion);
        if let Some(place) = table.spec.columns.iter().position(same) {
            return place;
        }
        let mut made = made;
        let (name, mut number) = (made.name.clone(), 2);
        while table.spec.columns.iter().any(|other| other.name == made.name) {
            made.name = format!("{name}_{number}");
            number += 1;
        }
        table.spec.columns.push(made);
        table.column_spans.push(span);
        table.spec.columns.len() - 1
    }
}
