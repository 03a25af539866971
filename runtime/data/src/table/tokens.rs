//! Labels of the letters of a sequence, and of pairs of them.

use std::collections::HashMap;

use arrow::array::LargeStringArray;
use mgx_diag::{Diagnostic, nearest};
use mgx_ir::plan::{ColumnKind, ColumnSpec};

use super::lists::elements;
use super::places::Places;
use super::raw::shown;
use super::{Column, Values};

/// What stands for a letter without a label, in lists of names and of numbers as the reference has them.
const NONE: [&str; 4] = ["-100", "null", "None", ""];
/// The class of a letter without a label.
pub(crate) const NO_LABEL: i32 = -1;

/// A class for each letter of each row: its number, or -1 where there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenLabels {
    labels: Vec<i32>,
    /// Where each row begins, and the end of the last one.
    starts: Vec<usize>,
}

impl TokenLabels {
    /// The labels of a row.
    pub fn row(&self, row: u64) -> &[i32] {
        &self.labels[self.starts[row as usize]..self.starts[row as usize + 1]]
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn end_row(&mut self) {
        self.starts.push(self.labels.len());
    }
}

/// The pairs of letters in contact of each row, each pair once, numbered from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contacts {
    pairs: Vec<[u32; 2]>,
    starts: Vec<usize>,
    /// Letters of each row.
    letters: Vec<u64>,
}

impl Contacts {
    /// The pairs of a row.
    pub fn row(&self, row: u64) -> &[[u32; 2]] {
        &self.pairs[self.starts[row as usize]..self.starts[row as usize + 1]]
    }

    /// Letters of a row.
    pub fn letters(&self, row: u64) -> u64 {
        self.letters[row as usize]
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.letters.len()
    }
}

/// The sequence that a column's labels are of.
pub(super) fn sequence_of(kind: &ColumnKind) -> Option<&str> {
    match kind {
        ColumnKind::TokenClass { each, .. } | ColumnKind::Contacts { each } => Some(each),
        _ => None,
    }
}

/// Reads labels of letters or of pairs; `sequences` is the column that they are of.
///
/// # Errors
/// E0516 for a class that is not declared, E0517 for a missing value, E0563 for labels that are not as many as letters, E0564 for pairs that are none.
pub(super) fn read(spec: &ColumnSpec, texts: &LargeStringArray, sequences: &Column, places: &Places) -> Result<Values, Diagnostic> {
    let letters = |row: usize| sequences.text(row as u64).chars().count();
    let place = |row: usize| format!("{}, column `{}`", places.describe(row as u64), spec.header);
    if let ColumnKind::TokenClass { names, .. } = &spec.kind {
        let numbers: HashMap<&str, i32> = names.iter().zip(0..).map(|(name, number)| (name.as_str(), number)).collect();
        let one_letter = names.iter().all(|name| name.chars().count() == 1);
        let mut all = TokenLabels { labels: Vec::new(), starts: vec![0] };
        for (row, text) in texts.iter().enumerate() {
            let (text, expected) = (text.unwrap_or_default().trim(), letters(row));
            if text.is_empty() && expected > 0 {
                let missing = Diagnostic::error("E0517", format!("{}: the value is missing", place(row)));
                return Err(missing.help("fill in the value, or remove the row"));
            }
            let before = all.labels.len();
            // Letters one after another that are all labels are no list of one name, however many they are.
            let is_label = |letter: char| letter == '-' || numbers.contains_key(letter.encode_utf8(&mut [0; 4]) as &str);
            let spelled = text.chars().count() == expected || (text.len() > 1 && text.chars().all(is_label));
            if one_letter && spelled {
                let mut own = [0; 4];
                for letter in text.chars() {
                    let found = numbers.get(&*letter.encode_utf8(&mut own)).copied();
                    let found = found.or_else(|| (letter == '-').then_some(NO_LABEL));
                    all.labels.push(found.ok_or_else(|| unknown(&place(row), &letter.to_string(), names))?);
                }
            } else {
                for element in elements(text) {
                    let found = numbers.get(element).copied().or_else(|| NONE.contains(&element).then_some(NO_LABEL));
                    all.labels.push(found.ok_or_else(|| unknown(&place(row), element, names))?);
                }
            }
            let found = all.labels.len() - before;
            if found != expected {
                let message = format!("{}: {found} labels for the {expected} letters of `{}`", place(row), sequences.spec.header);
                return Err(
                    Diagnostic::error("E0563", message).help("give each letter a label; `-100` in a list, or `-`, is a letter without one")
                );
            }
            all.end_row();
        }
        return Ok(Values::TokenLabels(all));
    }
    let mut all = Contacts { pairs: Vec::new(), starts: vec![0], letters: Vec::new() };
    for (row, text) in texts.iter().enumerate() {
        let (text, letters) = (text.unwrap_or_default(), letters(row) as u64);
        all.pairs.extend(pairs(text, letters).map_err(|wrong| {
            let message = format!("{}: `{}` {wrong}", place(row), shown(text));
            Diagnostic::error("E0564", message)
                .help("write pairs of letters, numbered from 0: `[[0, 7], [2, 12]]`, or `[]` where there are none")
        })?);
        all.starts.push(all.pairs.len());
        all.letters.push(letters);
    }
    Ok(Values::Contacts(all))
}

fn unknown(place: &str, element: &str, names: &[String]) -> Diagnostic {
    let found = Diagnostic::error("E0516", format!("{place}: `{}` is not one of the column's classes", shown(element)))
        .note(format!("the classes are {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")));
    match nearest(element, names.iter().map(String::as_str)) {
        Some(near) => found.help(format!("did you mean `{near}`?")),
        None => found.help(format!("add `{}` to the classes of the column, or correct the row", shown(element))),
    }
}

/// The pairs of a text such as `[[0, 7], [2, 12]]`.
fn pairs(text: &str, letters: u64) -> Result<Vec<[u32; 2]>, String> {
    if !text.trim().starts_with('[') {
        return Err("is no list of pairs".to_owned());
    }
    let words = text.split(|character: char| character.is_whitespace() || "[](),".contains(character)).filter(|word| !word.is_empty());
    let numbers = words.map(|word| match word.parse::<u32>() {
        Ok(number) if u64::from(number) < letters => Ok(number),
        Ok(number) => Err(format!("has letter {number} of {letters}, which are numbered from 0")),
        Err(_) => Err(format!("has `{}`, which is no letter's number", shown(word))),
    });
    let numbers: Vec<u32> = numbers.collect::<Result<_, _>>()?;
    if !numbers.len().is_multiple_of(2) {
        return Err("has a pair of one letter".to_owned());
    }
    let mut pairs: Vec<[u32; 2]> = numbers.chunks_exact(2).map(|pair| [pair[0].min(pair[1]), pair[0].max(pair[1])]).collect();
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}
