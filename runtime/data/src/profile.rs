//! The profile of a data file: what is in it, in numbers, for forecasts and for people.
//!
//! Made once per file; the caller caches it under [`DataProfile::sha256`].

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::Path;

use mgx_diag::Diagnostic;
use mgx_ir::plan::{ColumnKind, DataSpec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::table::{Column, Table, Values};

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataProfile {
    /// The file's path as the specification has it.
    pub path: String,
    pub bytes: u64,
    /// Of the file's bytes, in hexadecimal.
    pub sha256: String,
    pub rows: u64,
    /// Rows whose sequences (of all sequence columns) already stood in an earlier row.
    pub duplicates: u64,
    pub columns: Vec<ColumnProfile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// Its name in the program.
    pub name: String,
    pub summary: ColumnSummary,
}

/// What the values of a column are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ColumnSummary {
    /// Lengths are characters, before any tokenizer.
    Sequence {
        shortest: u64,
        longest: u64,
        total: u64,
        lengths: Vec<LengthCount>,
        letters: Vec<LetterCount>,
    },
    Class {
        classes: Vec<ClassCount>,
    },
    /// `deviation` is the population's standard deviation.
    Real {
        least: f64,
        greatest: f64,
        mean: f64,
        deviation: f64,
    },
    /// Of each class so many letters.
    TokenClass {
        classes: Vec<ClassCount>,
    },
    /// Pairs in contact of all rows.
    Contacts {
        pairs: u64,
    },
    /// The mean of each number, or the share of rows in which each label holds.
    Numbers {
        names: Vec<String>,
        means: Vec<f64>,
    },
    Text {
        distinct: u64,
    },
    /// `genes` in the file; the means are over cells: of genes with a count above zero, and of the sum of the counts.
    Counts {
        genes: u64,
        mean_expressed: f64,
        mean_total: f64,
    },
}

/// How many rows have a length. Lengths that no row has are left out; ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LengthCount {
    pub length: u64,
    pub rows: u64,
}

/// How often a letter occurs in all sequences of a column; in the order of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterCount {
    pub letter: char,
    pub count: u64,
}

/// How many rows have a class; in the order of the column's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    pub name: String,
    pub rows: u64,
}

/// Reads a table and its file's hash.
///
/// # Errors
/// As [`Table::read`].
pub fn profile(spec: &DataSpec, folder: &Path) -> Result<DataProfile, Diagnostic> {
    let table = Table::read(spec, folder)?;
    profile_table(&table, &spec.path)
}

/// The profile of a table that is read already. `path` is how the profile names the file.
///
/// # Errors
/// E0510 if the file cannot be read for its hash.
pub fn profile_table(table: &Table, path: &str) -> Result<DataProfile, Diagnostic> {
    let (bytes, sha256) =
        hash(&table.path).map_err(|error| Diagnostic::error("E0510", format!("cannot read {}: {error}", table.path.display())))?;
    let columns = table.columns().iter().map(|column| ColumnProfile { name: column.spec.name.clone(), summary: summary(column) }).collect();
    Ok(DataProfile { path: path.to_owned(), bytes, sha256, rows: table.rows(), duplicates: duplicates(table), columns })
}

fn hash(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        hasher.update(&block[..count]);
    }
    Ok((bytes, hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

fn duplicates(table: &Table) -> u64 {
    let sequences: Vec<&Column> = table.columns().iter().filter(|column| column.is_sequence()).collect();
    if sequences.is_empty() {
        return 0;
    }
    let mut seen = HashSet::new();
    (0..table.rows()).filter(|row| !seen.insert(sequences.iter().map(|column| column.text(*row)).collect::<Vec<_>>())).count() as u64
}

fn summary(column: &Column) -> ColumnSummary {
    match (&column.values, &column.spec.kind) {
        (Values::Text(values), ColumnKind::Sequence { .. }) => sequences(values.iter().flatten()),
        (Values::Alignment(alignments), _) => sequences(alignments.iter()),
        (Values::Text(values), _) => ColumnSummary::Text { distinct: values.iter().collect::<HashSet<_>>().len() as u64 },
        (Values::Class(values), kind) => {
            let names: &[String] = if let ColumnKind::Class { names } = kind { names } else { &[] };
            let mut classes: Vec<ClassCount> = names.iter().map(|name| ClassCount { name: name.clone(), rows: 0 }).collect();
            for class in values.values() {
                if let Some(count) = classes.get_mut(*class as usize) {
                    count.rows += 1;
                }
            }
            ColumnSummary::Class { classes }
        }
        (Values::Counts(counts), _) => {
            let rows = counts.rows().max(1) as f64;
            let (mut expressed, mut total) = (0_u64, 0.0);
            for (_, count) in (0..counts.rows()).flat_map(|row| counts.row(row)) {
                expressed += 1;
                total += f64::from(count);
            }
            ColumnSummary::Counts { genes: counts.genes().len() as u64, mean_expressed: expressed as f64 / rows, mean_total: total / rows }
        }
        (Values::TokenLabels(labels), kind) => {
            let names: &[String] = if let ColumnKind::TokenClass { names, .. } = kind { names } else { &[] };
            let count =
                |class: usize| (0..labels.rows() as u64).flat_map(|row| labels.row(row)).filter(|own| **own == class as i32).count();
            let class = |(class, name): (usize, &String)| ClassCount { name: name.clone(), rows: count(class) as u64 };
            ColumnSummary::TokenClass { classes: names.iter().enumerate().map(class).collect() }
        }
        (Values::Contacts(contacts), _) => {
            ColumnSummary::Contacts { pairs: (0..contacts.rows() as u64).map(|row| contacts.row(row).len() as u64).sum() }
        }
        (Values::Numbers(numbers), _) => {
            let rows = (numbers.values.len() / numbers.width.max(1)).max(1) as f64;
            let mean = |place: usize| numbers.values.iter().skip(place).step_by(numbers.width).sum::<f64>() / rows;
            ColumnSummary::Numbers { names: column.spec.value_names(), means: (0..numbers.width).map(mean).collect() }
        }
        (Values::Real(values), _) => {
            let values = values.values();
            let count = values.len().max(1) as f64;
            let mean = values.iter().sum::<f64>() / count;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            ColumnSummary::Real { least, greatest, mean, deviation: variance.sqrt() }
        }
    }
}

fn sequences<'a>(texts: impl Iterator<Item = &'a str>) -> ColumnSummary {
    let mut lengths: BTreeMap<u64, u64> = BTreeMap::new();
    let mut ascii = [0_u64; 128];
    let mut others: BTreeMap<char, u64> = BTreeMap::new();
    for text in texts {
        let mut length = 0;
        for character in text.chars() {
            length += 1;
            match ascii.get_mut(character as usize) {
                Some(count) => *count += 1,
                None => *others.entry(character).or_default() += 1,
            }
        }
        *lengths.entry(length).or_default() += 1;
    }
    let letters = ascii.iter().zip(0_u8..).map(|(count, byte)| (char::from(byte), *count)).chain(others);
    ColumnSummary::Sequence {
        shortest: lengths.keys().next().copied().unwrap_or(0),
        longest: lengths.keys().next_back().copied().unwrap_or(0),
        total: lengths.iter().map(|(length, rows)| length * rows).sum(),
        lengths: lengths.into_iter().map(|(length, rows)| LengthCount { length, rows }).collect(),
        letters: letters.filter(|(_, count)| *count > 0).map(|(letter, count)| LetterCount { letter, count }).collect(),
    }
}
