//! Alignments as tokens: the query's residues, then those of the rows that were found for it, each with its column and its row; gaps are left out.

use std::ops::Range;

use mgx_diag::Diagnostic;
use mgx_ir::plan::AlignedPlace;

use crate::table::{Column, Structures, Table, Values};
use crate::tokenizer::Tokenizer;

/// What separates the rows of an alignment, and what stands where a row has no residue.
const SEPARATOR: char = '|';
const GAP: char = '-';

/// The tokens of a column of alignments, all samples after one another.
#[derive(Debug, Default)]
pub(crate) struct AlignmentColumn {
    ids: Vec<i32>,
    columns: Vec<i32>,
    rows: Vec<i32>,
    /// Where each sample begins, and the end of the last one.
    starts: Vec<usize>,
    /// How many of a sample's tokens are the prefix and the query.
    queries: Vec<u64>,
    /// The tokens before a query, and what is known of its residues.
    prefix: usize,
    structures: Option<Structures>,
    /// Tokens before truncation, by sample.
    pub full: Vec<u64>,
}

impl AlignmentColumn {
    /// Every residue is one token; one that the tokenizer does not know is its unknown token. Of more than `max_length` tokens the first that fit are kept, and
    /// the suffix stays. It stands at column and row 0, or, where tokens were cut, where the residue stood whose place it takes.
    ///
    /// # Errors
    /// E0539 for a row that is not as long as the query, E0531 for an unknown residue where that is an error, E0544 where there are structures of more or fewer
    /// residues than the query has.
    pub fn new(table: &Table, column: &Column, tokenizer: &Tokenizer, max_length: Option<u64>) -> Result<Self, Diagnostic> {
        let Values::Alignment(alignments) = &column.values else {
            return Err(Diagnostic::error("E0534", format!("column `{}` is read as an alignment, which it is not", column.spec.name)));
        };
        let structures = alignments.structures.clone();
        let mut all = Self { starts: vec![0], prefix: tokenizer.added().0.len(), structures, ..Self::default() };
        for (sample, text) in alignments.iter().enumerate() {
            let place = || format!("{}, column `{}`", table.places().describe(sample as u64), column.spec.header);
            let residues = all.push(text, tokenizer, max_length).map_err(|problem| problem.diagnostic(&place(), tokenizer.name()))?;
            if let Some(known) = all.structures.as_ref().map(|structures| structures.residues(sample)).filter(|known| *known != residues) {
                let message = format!("{}: the query has {residues} residues, and its structure {known}", place());
                return Err(Diagnostic::error("E0544", message).help("give numbers for every residue of the query, and none for gaps"));
            }
        }
        Ok(all)
    }

    /// Adds a sample; gives the number of its query's residues.
    fn push(&mut self, text: &str, tokenizer: &Tokenizer, max_length: Option<u64>) -> Result<usize, Problem> {
        let (prefix, suffix) = tokenizer.added();
        let start = self.ids.len();
        self.ids.extend_from_slice(prefix);
        self.columns.resize(self.ids.len(), 0);
        self.rows.resize(self.ids.len(), 0);
        let width = text.split(SEPARATOR).next().unwrap_or_default().len();
        let mut query = 0;
        for (row, aligned) in text.split(SEPARATOR).enumerate() {
            if aligned.len() != width {
                return Err(Problem::Width { row, found: aligned.len(), query: width });
            }
            for (at, letter) in aligned.char_indices().filter(|(_, letter)| *letter != GAP) {
                let unknown = |_| Problem::Unknown { row, letter, position: at + 1 };
                tokenizer.encode_into(letter.encode_utf8(&mut [0; 4]), None, false, &mut self.ids).map_err(unknown)?;
                self.columns.resize(self.ids.len(), at as i32);
                self.rows.resize(self.ids.len(), row as i32);
            }
            if row == 0 {
                query = self.ids.len() - start;
            }
        }
        let full = self.ids.len() - start + suffix.len();
        let kept = max_length.map_or(full, |most| full.min((most as usize).max(prefix.len() + suffix.len())));
        self.ids.truncate(start + kept - suffix.len());
        self.queries.push(query.min(kept - suffix.len()) as u64);
        self.ids.extend_from_slice(suffix);
        self.columns.resize(self.ids.len(), 0);
        self.rows.resize(self.ids.len(), 0);
        self.starts.push(self.ids.len());
        self.full.push(full as u64);
        Ok(query - prefix.len())
    }

    fn range(&self, sample: u64) -> Range<usize> {
        self.starts[sample as usize]..self.starts[sample as usize + 1]
    }

    /// Tokens of a sample; of its query alone where `query`.
    pub fn count(&self, sample: u64, query: bool) -> u64 {
        if query { self.queries[sample as usize] } else { self.range(sample).len() as u64 }
    }

    /// The tokens of samples; of their queries alone where `query`.
    pub fn ids(&self, samples: &[u64], query: bool) -> Vec<i32> {
        samples.iter().flat_map(|sample| &self.ids[self.range(*sample)][..self.count(*sample, query) as usize]).copied().collect()
    }

    /// What is known of the residues of queries, token by token; 0 for tokens before them.
    pub fn structures(&self, samples: &[u64]) -> Vec<f32> {
        let mut numbers = Vec::new();
        let Some(structures) = &self.structures else { return numbers };
        for sample in samples {
            let before = self.prefix.min(self.queries[*sample as usize] as usize);
            numbers.resize(numbers.len() + before * structures.features(), 0.0);
            numbers.extend_from_slice(structures.of(*sample as usize, self.queries[*sample as usize] as usize - before));
        }
        numbers
    }

    /// Where the tokens of samples stand.
    pub fn places(&self, samples: &[u64], what: AlignedPlace) -> Vec<i32> {
        let all = match what {
            AlignedPlace::Column => &self.columns,
            AlignedPlace::Row => &self.rows,
        };
        samples.iter().flat_map(|sample| &all[self.range(*sample)]).copied().collect()
    }
}

/// What is wrong with an alignment; rows count from 0, the query.
enum Problem {
    Width { row: usize, found: usize, query: usize },
    Unknown { row: usize, letter: char, position: usize },
}

impl Problem {
    fn diagnostic(&self, place: &str, tokenizer: &str) -> Diagnostic {
        match self {
            Self::Width { row, found, query } => {
                Diagnostic::error("E0539", format!("{place}: row {row} of the alignment has {found} columns, and the query has {query}"))
                    .help("fill rows with `-` to the length of the query, and leave out what the query has no column for (the lower-case letters of A3M)")
            }
            Self::Unknown { row, letter, position } => {
                let message = format!("{place}: tokenizer `{tokenizer}` does not know {letter:?} in column {position} of row {row} of the alignment");
                Diagnostic::error("E0531", message).help("correct the sequence, or use a tokenizer with a token for unknown characters")
            }
        }
    }
}
