//! Windows of a genome around the variants of a table, as columns of the table.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use arrow::array::{Array, LargeStringArray, LargeStringBuilder};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{MASKS, WindowSpec};

use super::places::Places;
use super::raw::{Form, RawColumn, RawTable, Wanted, open, shown, unreadable};

/// Reads `wanted` columns, of which some may be made from the genome; `read` reads those of the file. `folder` is what the genome's path is relative to.
///
/// # Errors
/// Those of `read`; E0510 for a genome that cannot be read, E0580 for a variant that is none, E0581 for one whose letter is not the genome's, E0582 for one
/// whose window is not in the genome.
pub(super) fn read(
    wanted: &[Wanted],
    spec: &WindowSpec,
    folder: &Path,
    read: impl FnOnce(&[Wanted]) -> Result<RawTable, Diagnostic>,
) -> Result<RawTable, Diagnostic> {
    let is_made = |wanted: &&Wanted| WindowSpec::MADE.contains(&wanted.header.as_str());
    if !wanted.iter().any(|wanted| is_made(&wanted)) {
        return read(wanted);
    }
    let copy = |wanted: &Wanted| Wanted { header: wanted.header.clone(), form: wanted.form };
    let mut of_file: Vec<Wanted> = wanted.iter().filter(|wanted| !is_made(wanted)).map(copy).collect();
    of_file.extend(spec.headers().map(|header| Wanted { header: header.clone(), form: Form::Text }));
    let RawTable { rows, mut columns, places } = read(&of_file)?;
    let described = columns.split_off(of_file.len() - spec.headers().len());
    let texts: Vec<LargeStringArray> = described.into_iter().filter_map(RawColumn::into_text).collect();
    let variants = variants(spec, &texts, &places)?;
    let windows = cut(&folder.join(&spec.genome), spec, &variants, &places)?;
    let made = made(spec, &variants, &windows, &places)?;
    let mut own = columns.into_iter();
    let column = |wanted: &Wanted| match WindowSpec::MADE.iter().position(|name| *name == wanted.header) {
        Some(place) => made.get(place).cloned().map(RawColumn::Text),
        None => own.next(),
    };
    Ok(RawTable { rows, columns: wanted.iter().filter_map(column).collect(), places })
}

/// A variant of one letter.
struct Variant {
    chromosome: String,
    /// Its place in the chromosome.
    place: usize,
    reference: u8,
    mutated: u8,
}

fn variants(spec: &WindowSpec, columns: &[LargeStringArray], places: &Places) -> Result<Vec<Variant>, Diagnostic> {
    let rows = columns.first().map_or(0, Array::len);
    let text =
        |column: usize, row: usize| columns.get(column).filter(|values| values.is_valid(row)).map_or("", |values| values.value(row)).trim();
    let wrong = |row: usize, header: &str, found: &str, wanted: &str| {
        let message = format!("{}, column `{header}`: `{}` is not {wanted}", places.describe(row as u64), shown(found));
        Diagnostic::error("E0580", message)
            .help("windows are cut around variants of one letter; `end` is `start` + 1, and letters are counted from 0")
    };
    let variant = |row: usize| {
        let number = |column: usize, header: &str| {
            text(column, row).parse::<usize>().map_err(|_| wrong(row, header, text(column, row), "a place in a chromosome"))
        };
        let letter = |column: usize, header: &str| match text(column, row).to_ascii_uppercase().as_bytes() {
            [letter] if complement(*letter).is_some() => Ok(*letter),
            _ => Err(wrong(row, header, text(column, row), "one of A, C, G and T")),
        };
        let (start, end) = (number(1, &spec.start)?, number(2, &spec.end)?);
        if start.checked_add(1) != Some(end) {
            return Err(wrong(row, &spec.end, text(2, row), &format!("the letter after {start}")));
        }
        let (reference, mutated) = (letter(3, &spec.reference)?, letter(4, &spec.mutated)?);
        Ok(Variant { chromosome: text(0, row).to_owned(), place: start, reference, mutated })
    };
    (0..rows).map(variant).collect()
}

fn complement(letter: u8) -> Option<u8> {
    match letter {
        b'A' => Some(b'T'),
        b'C' => Some(b'G'),
        b'G' => Some(b'C'),
        b'T' => Some(b'A'),
        _ => None,
    }
}

/// The letters around each variant, in upper case, N for all that is none of A, C, G, T. One chromosome of the genome is in memory at a time.
fn cut(path: &Path, spec: &WindowSpec, variants: &[Variant], places: &Places) -> Result<Vec<Vec<u8>>, Diagnostic> {
    let mut of_chromosome: HashMap<&str, Vec<usize>> = HashMap::new();
    for (row, variant) in variants.iter().enumerate() {
        of_chromosome.entry(&variant.chromosome).or_default().push(row);
    }
    let side = usize::try_from(spec.letters).unwrap_or(usize::MAX);
    let mut windows = vec![Vec::new(); variants.len()];
    let mut take = |name: &str, letters: &[u8]| {
        for row in of_chromosome.remove(name).into_iter().flatten() {
            let place = variants[row].place;
            let range = place.checked_sub(side).zip(place.checked_add(side).and_then(|last| last.checked_add(1)));
            let Some(own) = range.and_then(|(first, end)| letters.get(first..end)) else {
                let message = format!(
                    "{}: {side} letters around place {place} are not all in `{name}`, which has {}",
                    places.describe(row as u64),
                    letters.len()
                );
                return Err(Diagnostic::error("E0582", message).help("take smaller windows, or leave out the row"));
            };
            windows[row] = own.iter().map(|letter| if complement(*letter).is_some() { *letter } else { b'N' }).collect();
        }
        Ok(())
    };
    let mut reader = BufReader::new(open(path)?);
    let (mut name, mut letters, mut line) = (None::<String>, Vec::new(), Vec::new());
    let wanted: Vec<&str> = variants.iter().map(|variant| variant.chromosome.as_str()).collect();
    let wanted: std::collections::HashSet<&str> = wanted.into_iter().collect();
    loop {
        line.clear();
        let end = reader.read_until(b'\n', &mut line).map_err(|error| unreadable(path, &error))? == 0;
        if end || line.first() == Some(&b'>') {
            if let Some(name) = name.take() {
                take(&name, &letters)?;
            }
            letters.clear();
            if end {
                break;
            }
            let header = String::from_utf8_lossy(&line[1..]).split_whitespace().next().unwrap_or_default().to_owned();
            name = Some(header).filter(|header| wanted.contains(header.as_str()));
        } else if name.is_some() {
            letters.extend(line.iter().filter(|letter| !letter.is_ascii_whitespace()).map(u8::to_ascii_uppercase));
        }
    }
    if let Some(row) = of_chromosome.values().flatten().min() {
        let (place, chromosome) = (places.describe(*row as u64), &variants[*row].chromosome);
        let message = format!("{place}: {} has no record `{}`", path.display(), shown(chromosome));
        return Err(
            Diagnostic::error("E0582", message).help("records are found by the first word of their definition lines, letter for letter")
        );
    }
    Ok(windows)
}

/// The columns of [`WindowSpec::MADE`]. A letter of the other strand is complemented, and so is what it becomes.
fn made(spec: &WindowSpec, variants: &[Variant], windows: &[Vec<u8>], places: &Places) -> Result<[LargeStringArray; 3], Diagnostic> {
    let mut columns = [LargeStringBuilder::new(), LargeStringBuilder::new(), LargeStringBuilder::new()];
    let mut mismatches = Vec::new();
    for (row, (variant, window)) in variants.iter().zip(windows).enumerate() {
        let site = window.len() / 2;
        let other = complement(variant.reference).zip(complement(variant.mutated));
        let (reference, mutated) = match (window[site], other) {
            (own, Some((reference, mutated))) if own == reference => (reference, mutated),
            (own, _) => {
                if own != variant.reference {
                    mismatches.push((row, own));
                }
                (variant.reference, variant.mutated)
            }
        };
        let with =
            |letter: &str| [&String::from_utf8_lossy(&window[..site]), letter, &String::from_utf8_lossy(&window[site + 1..])].concat();
        let letter = |letter: u8| char::from(letter).to_string();
        for (column, letter) in columns.iter_mut().zip([letter(reference), letter(mutated), MASKS[0].to_owned()]) {
            column.append_value(with(&letter));
        }
    }
    if let (Some((row, own)), false) = (mismatches.first(), spec.keep_mismatches) {
        let message = format!(
            "{}: the genome has {} there, and column `{}` has {}",
            places.describe(*row as u64),
            char::from(*own),
            spec.reference,
            char::from(variants[*row].reference)
        );
        return Err(Diagnostic::error("E0581", message)
            .note(format!("{} of {} variants are not those of the genome, on either strand", mismatches.len(), variants.len()))
            .help("use the genome that the variants were called against, leave out the rows, or write `mismatches = keep`"));
    }
    Ok(columns.map(|mut column| column.finish()))
}
