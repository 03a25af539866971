//! From rows to the inputs of a program: token ids, classes and numbers, as [`InputSpec`] and [`LengthSpec`] say.
//!
//! All rows are tokenised ahead on all cores and kept in the narrowest integers that hold the vocabulary, so that making a batch is
//! copying, and the lengths of all rows are known before the first batch is formed.

use std::num::NonZero;
use std::sync::Arc;

use arrow::array::{Array, Float64Array, Int32Array};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{
    AlignedPlace, Alphabet, Batch, CellNumber, ColumnKind, InputData, InputSource, InputSpec, LengthPolicy, LengthSpec, MASKS, MaskSpec,
    Sample, TokenRange, TokenizerKind, TokenizerSpec,
};

use crate::alignment::AlignmentColumn;
use crate::genes::GeneColumn;
use crate::masking::{Key, mask, share};
use crate::table::{Column, Contacts, NO_LABEL, Numbers, Table, TokenLabels, Values};
use crate::tokenizer::{Limit, Tokenizer};

/// How many sequences of a length were cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// The length's name.
    pub length: String,
    /// Its place among the lengths.
    pub index: usize,
    pub rows: u64,
    /// Tokens of the longest sequence before it was cut.
    pub longest: u64,
    pub max_length: u64,
}

/// Makes batches of inputs from the rows of one table.
#[derive(Debug)]
pub struct InputBuilder {
    rows: u64,
    /// By `LengthId`.
    lengths: Vec<Counted>,
    inputs: Vec<(String, Source)>,
    truncations: Vec<Truncation>,
    warnings: Vec<Diagnostic>,
}

/// What a length counts.
#[derive(Debug)]
enum Counted {
    Text(TokenColumn),
    Genes { column: Arc<GeneColumn>, own_cell: bool },
    Alignment { column: Arc<AlignmentColumn>, query: bool },
}

impl Counted {
    fn count(&self, row: u64) -> u64 {
        match self {
            Self::Text(column) => column.count(row),
            Self::Genes { column, own_cell } => column.count(row, *own_cell),
            Self::Alignment { column, query } => column.count(row, *query),
        }
    }

    fn gather(&self, rows: &[u64]) -> Vec<i32> {
        match self {
            Self::Text(column) => column.gather(rows),
            Self::Genes { column, own_cell } => column.ids(rows, *own_cell),
            Self::Alignment { column, query } => column.ids(rows, *query),
        }
    }
}

#[derive(Debug)]
enum Source {
    Length(usize),
    Fixed(TokenColumn),
    Along(TokenColumn),
    Masked { of: Box<Source>, masking: MaskSpec, wanted: OfMasked },
    Hidden { of: Box<Source>, mask: i32 },
    AllCounts(Arc<GeneColumn>, u64),
    TokenCounts(Arc<GeneColumn>),
    TokenTotals(Arc<GeneColumn>),
    TokenCells(Arc<GeneColumn>, CellNumber, i32),
    TokenPlaces(Arc<AlignmentColumn>, AlignedPlace),
    TokenStructures(Arc<AlignmentColumn>),
    Class(Int32Array),
    Real(Float64Array),
    Numbers(Numbers),
    TokenLabels(TokenLabels, TokenRange),
    PairLabels(Contacts, TokenRange),
}

/// What is wanted of tokens that are masked.
#[derive(Clone, Copy, Debug)]
enum OfMasked {
    Ids,
    Chosen,
    Level,
}

impl InputBuilder {
    /// Tokenises the columns that `lengths` and `inputs` name. The slices are those of the plan, `inputs` possibly fewer (prediction needs
    /// no labels); `tables` is by the index in `Plan::data`. All inputs of a program come from one table.
    ///
    /// # Errors
    /// Those of genes ([`GeneColumn::new`]) and of alignments ([`AlignmentColumn::new`]); E0512 for a column that was not read, E0530 for sequences that are too long where that is an error, E0531 for an unknown
    /// character where that is an error, E0532 for a token count that is not the promised one, E0534 for inputs of several tables.
    pub fn new(tokenizers: &[TokenizerSpec], lengths: &[LengthSpec], inputs: &[InputSpec], tables: &[Table]) -> Result<Self, Diagnostic> {
        let table = only_table(lengths, inputs, tables)?;
        let specs = tokenizers;
        let spec =
            |index: u32| specs.get(index as usize).ok_or_else(|| Diagnostic::error("E0534", format!("the plan has no tokenizer {index}")));
        let is_text = |spec: &TokenizerSpec| !matches!(spec.kind, TokenizerKind::Genes { .. });
        let tokenizers: Vec<Option<Tokenizer>> =
            specs.iter().map(|spec| is_text(spec).then(|| Tokenizer::new(spec)).transpose()).collect::<Result<_, _>>()?;
        let tokenizer = |index: u32| {
            let found = tokenizers.get(index as usize).and_then(Option::as_ref);
            found.ok_or_else(|| Diagnostic::error("E0534", format!("the plan has no tokenizer {index} of text")))
        };
        let mut truncations = Vec::new();
        let mut columns = Vec::with_capacity(lengths.len());
        // Several lengths may be of one column; it is encoded once.
        let mut encoded: Vec<(&LengthSpec, Arc<GeneColumn>)> = Vec::new();
        let mut alignments: Vec<(&LengthSpec, Arc<AlignmentColumn>)> = Vec::new();
        let same = |a: &LengthSpec, b: &LengthSpec| (&a.column, a.tokenizer, a.max_length) == (&b.column, b.tokenizer, b.max_length);
        for (index, length) in lengths.iter().enumerate() {
            let column = table.require(&length.column)?;
            if !is_text(spec(length.tokenizer)?) {
                let genes = match encoded.iter().find(|(other, _)| same(other, length)) {
                    Some((_, genes)) => Arc::clone(genes),
                    None => {
                        let genes = Arc::new(GeneColumn::new(table, column, spec(length.tokenizer)?, length.max_length)?);
                        truncations.extend(check_policy(&genes.full, (index, length), column, table)?);
                        encoded.push((length, Arc::clone(&genes)));
                        genes
                    }
                };
                columns.push(Counted::Genes { column: genes, own_cell: length.own_cell });
                continue;
            }
            if matches!(column.spec.kind, ColumnKind::Alignment { .. }) {
                let aligned = match alignments.iter().find(|(other, _)| same(other, length)) {
                    Some((_, aligned)) => Arc::clone(aligned),
                    None => {
                        let aligned = AlignmentColumn::new(table, column, tokenizer(length.tokenizer)?, length.max_length)?;
                        truncations.extend(check_policy(&aligned.full, (index, length), column, table)?);
                        alignments.push((length, Arc::new(aligned)));
                        Arc::clone(&alignments[alignments.len() - 1].1)
                    }
                };
                columns.push(Counted::Alignment { column: aligned, query: length.own_cell });
                continue;
            }
            let tokens = TokenColumn::new(table, column, tokenizer(length.tokenizer)?, limit(length))?;
            truncations.extend(check_policy(&tokens.full, (index, length), column, table)?);
            columns.push(Counted::Text(tokens));
        }
        let genes_of = |length: u32| match columns.get(length as usize) {
            Some(Counted::Genes { column, .. }) => Ok(Arc::clone(column)),
            _ => Err(Diagnostic::error("E0534", format!("the plan has no length {length} of a column of counts"))),
        };
        let alignment_of = |length: u32| match columns.get(length as usize) {
            Some(Counted::Alignment { column, .. }) => Ok(Arc::clone(column)),
            _ => Err(Diagnostic::error("E0534", format!("the plan has no length {length} of an alignment"))),
        };
        let mut warnings: Vec<Diagnostic> = encoded.iter().flat_map(|(_, genes)| genes.warnings.clone()).collect();
        let mut sources = Vec::with_capacity(inputs.len());
        for input in inputs {
            let (read, hidden) = match &input.source {
                InputSource::Hidden { of, mask } => (of.as_ref(), Some(*mask)),
                other => (other, None),
            };
            let (plain, masked) = match read {
                InputSource::Masked { of, masking } => (of.as_ref(), Some((masking, OfMasked::Ids))),
                InputSource::Chosen { of, masking } => (of.as_ref(), Some((masking, OfMasked::Chosen))),
                InputSource::NoiseLevel { of, masking } => (of.as_ref(), Some((masking, OfMasked::Level))),
                other => (other, None),
            };
            let source = match plain {
                InputSource::Masked { .. } | InputSource::Chosen { .. } | InputSource::NoiseLevel { .. } | InputSource::Hidden { .. } => {
                    return Err(Diagnostic::error("E0534", format!("input `{}` is masked twice", input.name)));
                }
                InputSource::TokensAlong { length, column } => {
                    let (Some(spec), Some(Counted::Text(beside))) = (lengths.get(length.0 as usize), columns.get(length.0 as usize)) else {
                        return Err(Diagnostic::error("E0534", format!("the plan has no length {} of text", length.0)));
                    };
                    let column = table.require(column)?;
                    let tokens = TokenColumn::new(table, column, tokenizer(spec.tokenizer)?, limit(spec))?;
                    tokens.check_beside(beside, &spec.column, column, table)?;
                    Source::Along(tokens)
                }
                InputSource::Tokens { length } if (length.0 as usize) < columns.len() => Source::Length(length.0 as usize),
                InputSource::Tokens { length } => {
                    return Err(Diagnostic::error(
                        "E0534",
                        format!("input `{}` names length {}, which the plan does not have", input.name, length.0),
                    ));
                }
                InputSource::FixedTokens { column, tokenizer: index, tokens, .. } => {
                    let column = table.require(column)?;
                    // Sequences of one length may be longer than the backbone takes.
                    let encoded = TokenColumn::new(table, column, tokenizer(*index)?, Some(Limit::first(*tokens)))?;
                    encoded.check_count(*tokens, column, table)?;
                    Source::Fixed(encoded)
                }
                InputSource::AllCounts { column, tokenizer, genes, .. } => {
                    let encoded = GeneColumn::new(table, table.require(column)?, spec(*tokenizer)?, None)?;
                    warnings.extend(encoded.warnings.iter().cloned());
                    Source::AllCounts(Arc::new(encoded), *genes)
                }
                InputSource::TokenCounts { length } => Source::TokenCounts(genes_of(length.0)?),
                InputSource::TokenTotals { length } => Source::TokenTotals(genes_of(length.0)?),
                InputSource::TokenCells { length, what, fill } => Source::TokenCells(genes_of(length.0)?, *what, *fill),
                InputSource::TokenPlaces { length, what } => Source::TokenPlaces(alignment_of(length.0)?, *what),
                InputSource::TokenStructures { length, .. } => Source::TokenStructures(alignment_of(length.0)?),
                InputSource::Class { column, .. } => match &table.require(column)?.values {
                    Values::Class(values) => Source::Class(values.clone()),
                    _ => return Err(wrong_kind(&input.name, column, "class")),
                },
                InputSource::Real { column, .. } => match &table.require(column)?.values {
                    Values::Real(values) => Source::Real(values.clone()),
                    _ => return Err(wrong_kind(&input.name, column, "real")),
                },
                InputSource::TokenLabels { column, range, .. } => match &table.require(column)?.values {
                    Values::TokenLabels(labels) => {
                        check_letters(&columns, range, table, column, |row| labels.row(row).len() as u64)?;
                        Source::TokenLabels(labels.clone(), *range)
                    }
                    _ => return Err(wrong_kind(&input.name, column, "labels of letters")),
                },
                InputSource::PairLabels { column, range, .. } => match &table.require(column)?.values {
                    Values::Contacts(contacts) => {
                        check_letters(&columns, range, table, column, |row| contacts.letters(row))?;
                        Source::PairLabels(contacts.clone(), *range)
                    }
                    _ => return Err(wrong_kind(&input.name, column, "contacts")),
                },
                InputSource::Numbers { column, width, .. } => match &table.require(column)?.values {
                    Values::Numbers(numbers) if numbers.width as u64 == *width => Source::Numbers(numbers.clone()),
                    _ => return Err(wrong_kind(&input.name, column, "several numbers")),
                },
            };
            let source = match masked {
                Some((masking, wanted)) => Source::Masked { of: Box::new(source), masking: masking.clone(), wanted },
                None => source,
            };
            let source = match hidden {
                Some(mask) => Source::Hidden { of: Box::new(source), mask },
                None => source,
            };
            sources.push((input.name.clone(), source));
        }
        Ok(Self { rows: table.rows(), lengths: columns, inputs: sources, truncations, warnings })
    }

    /// Number of rows of the table.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How often an epoch of training has each row, each time with other noise.
    pub fn copies(&self) -> u64 {
        fn of(source: &Source) -> u64 {
            match source {
                Source::Masked { masking, .. } => masking.copies.unwrap_or(1),
                Source::Hidden { of: inner, .. } => of(inner),
                _ => 1,
            }
        }
        self.inputs.iter().map(|(_, source)| of(source)).max().unwrap_or(1).max(1)
    }

    /// The row of a number: its own, or that of one of its copies, which are numbered on from the rows.
    pub fn row_of(&self, number: u64) -> u64 {
        number % self.rows.max(1)
    }

    /// The lengths of a row, or of a copy of it, by `LengthId`, in tokens as they go into a batch.
    pub fn lengths(&self, row: u64) -> Vec<u64> {
        let row = self.row_of(row);
        self.lengths.iter().map(|column| column.count(row)).collect()
    }

    /// [`InputBuilder::lengths`] of all rows.
    pub fn all_lengths(&self) -> Vec<Vec<u64>> {
        (0..self.rows).map(|row| self.lengths(row)).collect()
    }

    /// What was cut, by length; lengths where nothing was cut are left out.
    pub fn truncations(&self) -> &[Truncation] {
        &self.truncations
    }

    /// What users should know of their data, once.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The token ids of some rows one after another, and how many each has; none of what is no tokens.
    fn tokens(&self, source: &Source, rows: &[u64]) -> (Vec<i32>, Vec<u64>) {
        match source {
            Source::Length(length) => {
                let column = &self.lengths[*length];
                (column.gather(rows), rows.iter().map(|row| column.count(*row)).collect())
            }
            Source::Fixed(column) | Source::Along(column) => (column.gather(rows), rows.iter().map(|row| column.count(*row)).collect()),
            _ => Default::default(),
        }
    }

    /// The batch of some rows (numbers below [`InputBuilder::rows`], or those of copies), in their order. `random` is the key of the step.
    pub fn batch(&self, rows: &[u64], random: u64) -> Batch {
        let samples = rows.iter().map(|row| Sample { key: *row, lengths: self.lengths(*row) }).collect();
        let drawn: Vec<Key> = rows.iter().map(|row| Key { number: *row, copy: row / self.rows.max(1) }).collect();
        let rows: Vec<u64> = rows.iter().map(|row| self.row_of(*row)).collect();
        let rows = rows.as_slice();
        let data = |(name, source): &(String, Source)| (name.clone(), self.data(source, rows, &drawn, random));
        Batch { samples, inputs: self.inputs.iter().map(data).collect(), random }
    }

    /// The elements of an input for some rows; `drawn` says what is drawn for them.
    fn data(&self, source: &Source, rows: &[u64], drawn: &[Key], random: u64) -> InputData {
        match source {
            Source::Length(_) | Source::Fixed(_) | Source::Along(_) => InputData::I32(self.tokens(source, rows).0),
            Source::Masked { masking, wanted: OfMasked::Level, .. } => {
                InputData::F32(drawn.iter().map(|key| share(masking, *key, random) as f32).collect())
            }
            Source::Hidden { of, mask } => match self.data(of, rows, drawn, random) {
                InputData::I32(ids) => InputData::I32(ids.into_iter().map(|id| i32::from(id == *mask)).collect()),
                other => other,
            },
            Source::Masked { of, masking, wanted } => {
                let (mut ids, counts) = self.tokens(of, rows);
                let chosen = mask(&mut ids, drawn, counts.into_iter(), masking, random);
                InputData::I32(if matches!(wanted, OfMasked::Chosen) { chosen } else { ids })
            }
            Source::AllCounts(column, genes) => InputData::F32(column.dense(rows, *genes)),
            Source::TokenCounts(column) => InputData::F32(column.counts(rows)),
            Source::TokenTotals(column) => InputData::F32(column.totals(rows)),
            Source::TokenCells(column, what, fill) => InputData::I32(column.cells(rows, *what, *fill)),
            Source::TokenPlaces(column, what) => InputData::I32(column.places(rows, *what)),
            Source::TokenStructures(column) => InputData::F32(column.structures(rows)),
            Source::Class(values) => InputData::I32(rows.iter().map(|row| values.value(*row as usize)).collect()),
            Source::TokenLabels(labels, range) => {
                InputData::I32(rows.iter().flat_map(|row| of_positions(labels.row(*row), range, &self.lengths(*row))).collect())
            }
            Source::PairLabels(contacts, range) => {
                InputData::I32(rows.iter().flat_map(|row| of_pairs(contacts.row(*row), range, &self.lengths(*row))).collect())
            }
            Source::Numbers(numbers) => InputData::F32(rows.iter().flat_map(|row| numbers.row(*row)).map(|value| *value as f32).collect()),
            Source::Real(values) => InputData::F32(rows.iter().map(|row| values.value(*row as usize) as f32).collect()),
        }
    }
}

/// The one table that all lengths and inputs read.
fn only_table<'a>(lengths: &[LengthSpec], inputs: &[InputSpec], tables: &'a [Table]) -> Result<&'a Table, Diagnostic> {
    let mut used: Vec<u32> =
        lengths.iter().map(|length| length.data).chain(inputs.iter().filter_map(|input| input.source.data())).collect();
    used.sort_unstable();
    used.dedup();
    let table = match used.as_slice() {
        [] => tables.first(),
        [data] => tables.get(*data as usize),
        _ => {
            return Err(Diagnostic::error("E0534", "one program has inputs from several tables")
                .help("write everything that belongs to a sample in one row of one table"));
        }
    };
    table.ok_or_else(|| Diagnostic::error("E0534", "the plan names a table that was not read"))
}

/// Each letter must be a token of its own, so that labels of letters are labels of tokens.
fn check_letters(
    columns: &[Counted],
    range: &TokenRange,
    table: &Table,
    column: &str,
    letters: impl Fn(u64) -> u64,
) -> Result<(), Diagnostic> {
    let Some(Counted::Text(tokens)) = range.length.and_then(|length| columns.get(length.0 as usize)) else { return Ok(()) };
    let special = range.cut + range.before + range.after;
    let Some(row) = (0..table.rows()).find(|row| tokens.full[*row as usize] != letters(*row) + special) else { return Ok(()) };
    let message = format!(
        "{}, column `{column}`: {} labels, and the sequence has {} tokens",
        table.places().describe(row),
        letters(row),
        tokens.full[row as usize].saturating_sub(special)
    );
    Err(Diagnostic::error("E0563", message).help("a run of unknown characters is one token: correct the sequence, or leave out the row"))
}

/// The labels of letters at the positions of a range: none at special tokens, and those of the first letters where not all are there.
fn of_positions(labels: &[i32], range: &TokenRange, lengths: &[u64]) -> Vec<i32> {
    let mut all = vec![NO_LABEL; range.positions(lengths) as usize];
    let end = all.len().saturating_sub(range.after as usize);
    for (own, label) in all[..end].iter_mut().skip(range.before as usize).zip(labels) {
        *own = *label;
    }
    all
}

/// The matrix of contacts at the positions of a range.
fn of_pairs(pairs: &[[u32; 2]], range: &TokenRange, lengths: &[u64]) -> Vec<i32> {
    let side = range.positions(lengths) as usize;
    let (first, end) = (range.before as usize, side.saturating_sub(range.after as usize));
    let mut all = vec![NO_LABEL; side * side];
    for row in first..end {
        all[row * side + first..row * side + end].fill(0);
    }
    for [a, b] in pairs {
        let (a, b) = (first + *a as usize, first + *b as usize);
        if a < end && b < end {
            all[a * side + b] = 1;
            all[b * side + a] = 1;
        }
    }
    all
}

fn wrong_kind(input: &str, column: &str, kind: &str) -> Diagnostic {
    Diagnostic::error("E0534", format!("input `{input}` reads column `{column}` as {kind}, which it is not"))
}

/// The token ids of a column, all rows after one another.
#[derive(Debug)]
struct TokenColumn {
    tokens: Tokens,
    /// Where each row begins, and the end of the last one.
    starts: Vec<u64>,
    /// Tokens before truncation, by row.
    full: Vec<u64>,
}

#[derive(Debug)]
enum Tokens {
    U8(Vec<u8>),
    U16(Vec<u16>),
    I32(Vec<i32>),
}

/// Rows that one thread has tokenised.
struct Chunk {
    ids: Vec<i32>,
    counts: Vec<u64>,
    full: Vec<u64>,
}

impl TokenColumn {
    fn new(table: &Table, column: &Column, tokenizer: &Tokenizer, limit: Option<Limit>) -> Result<Self, Diagnostic> {
        let Values::Text(texts) = &column.values else { return Err(wrong_kind(tokenizer.name(), &column.spec.name, "text")) };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let size = texts.len().div_ceil(threads).max(1);
        let encode = |first: usize| {
            let mut chunk = Chunk { ids: Vec::new(), counts: Vec::new(), full: Vec::new() };
            for row in first..(first + size).min(texts.len()) {
                let before = chunk.ids.len();
                check_masks(table, column, row, texts.value(row), tokenizer)?;
                let full = tokenizer.encode_into(texts.value(row), limit, true, &mut chunk.ids).map_err(|unknown| {
                    let place = table.places().describe(row as u64);
                    Diagnostic::error(
                        "E0531",
                        format!(
                            "{place}, column `{}`: tokenizer `{}` does not know {:?} at position {}",
                            column.spec.header,
                            tokenizer.name(),
                            unknown.character,
                            unknown.position
                        ),
                    )
                    .help("correct the sequence, or use a tokenizer with a token for unknown characters")
                })?;
                chunk.counts.push((chunk.ids.len() - before) as u64);
                chunk.full.push(full);
            }
            Ok(chunk)
        };
        let encode = &encode;
        let chunks: Vec<Result<Chunk, Diagnostic>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..texts.len()).step_by(size).map(|first| scope.spawn(move || encode(first))).collect();
            handles.into_iter().map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        Self::join(chunks, tokenizer.vocabulary_size())
    }

    fn join(chunks: Vec<Result<Chunk, Diagnostic>>, vocabulary: usize) -> Result<Self, Diagnostic> {
        let chunks: Vec<Chunk> = chunks.into_iter().collect::<Result<_, _>>()?;
        let mut starts = vec![0];
        let mut end = 0;
        for count in chunks.iter().flat_map(|chunk| &chunk.counts) {
            end += count;
            starts.push(end);
        }
        let full = chunks.iter().flat_map(|chunk| chunk.full.iter().copied()).collect();
        let all = chunks.iter().flat_map(|chunk| chunk.ids.iter().copied());
        // An id may be outside the vocabulary (an unknown token that a one-hot vocabulary does not have), so the ids decide.
        let greatest = chunks.iter().flat_map(|chunk| chunk.ids.iter().copied()).max().unwrap_or(0);
        let least = chunks.iter().flat_map(|chunk| chunk.ids.iter().copied()).min().unwrap_or(0);
        let limit = i64::from(greatest).max(vocabulary as i64 - 1);
        let tokens = if least < 0 || limit > i64::from(u16::MAX) {
            Tokens::I32(all.collect())
        } else if limit > i64::from(u8::MAX) {
            Tokens::U16(all.map(|id| id as u16).collect())
        } else {
            Tokens::U8(all.map(|id| id as u8).collect())
        };
        Ok(Self { tokens, starts, full })
    }

    fn range(&self, row: u64) -> std::ops::Range<usize> {
        self.starts[row as usize] as usize..self.starts[row as usize + 1] as usize
    }

    fn count(&self, row: u64) -> u64 {
        self.range(row).len() as u64
    }

    fn gather(&self, rows: &[u64]) -> Vec<i32> {
        let mut ids = Vec::with_capacity(rows.iter().map(|row| self.range(*row).len()).sum());
        for row in rows {
            let range = self.range(*row);
            match &self.tokens {
                Tokens::U8(all) => ids.extend(all[range].iter().map(|id| i32::from(*id))),
                Tokens::U16(all) => ids.extend(all[range].iter().map(|id| i32::from(*id))),
                Tokens::I32(all) => ids.extend_from_slice(&all[range]),
            }
        }
        ids
    }

    /// Every row must have as many tokens as it has in the column `beside`.
    fn check_beside(&self, beside: &Self, name: &str, column: &Column, table: &Table) -> Result<(), Diagnostic> {
        let Some(row) = (0..self.full.len()).find(|row| self.full[*row] != beside.full[*row]) else { return Ok(()) };
        let place = table.places().describe(row as u64);
        let (own, other) = (self.full[row], beside.full[row]);
        let message =
            format!("{place}: column `{}` has {own} tokens, and `{name}`, which it is compared with, has {other}", column.spec.header);
        Err(Diagnostic::error("E0573", message).help("both sequences have one token for each position; correct the row"))
    }

    fn check_count(&self, expected: u64, column: &Column, table: &Table) -> Result<(), Diagnostic> {
        let rows = self.full.len() as u64;
        let Some(row) = (0..rows).find(|row| self.count(*row) != expected).map(|row| row as usize) else { return Ok(()) };
        let place = table.places().describe(row as u64);
        let message = format!(
            "{place}, column `{}`: the sequence has {} tokens, and every row must have {expected}",
            column.spec.header, self.full[row]
        );
        Err(Diagnostic::error("E0532", message).help("unknown or white-space characters change the number of tokens; correct the row"))
    }
}

/// A mask in a sequence of letters must be one that the tokenizer knows, since its own letters would be read otherwise.
fn check_masks(table: &Table, column: &Column, row: usize, text: &str, tokenizer: &Tokenizer) -> Result<(), Diagnostic> {
    if !matches!(column.spec.kind, ColumnKind::Sequence { alphabet, .. } if alphabet != Alphabet::Text) {
        return Ok(());
    }
    let Some(mask) = MASKS.iter().find(|mask| text.contains(**mask) && !tokenizer.knows(mask)) else { return Ok(()) };
    let place = table.places().describe(row as u64);
    let message = format!("{place}, column `{}`: tokenizer `{}` has no `{mask}`", column.spec.header, tokenizer.name());
    Err(Diagnostic::error("E0574", message).help(match MASKS.iter().find(|other| tokenizer.knows(other)) {
        Some(own) => format!("its mask is written `{own}`"),
        None => "use a backbone that was trained with masks".to_owned(),
    }))
}

/// How much of a sequence is read.
fn limit(length: &LengthSpec) -> Option<Limit> {
    length.max_length.map(|tokens| Limit { tokens, window: length.policy == LengthPolicy::Window })
}

/// What the length's policy says about rows that were cut.
fn check_policy(
    full: &[u64],
    (index, length): (usize, &LengthSpec),
    column: &Column,
    table: &Table,
) -> Result<Option<Truncation>, Diagnostic> {
    let Some(max_length) = length.max_length else { return Ok(None) };
    let rows = full.iter().filter(|count| **count > max_length).count() as u64;
    let Some((row, longest)) = full.iter().enumerate().max_by_key(|(row, count)| (**count, std::cmp::Reverse(*row))) else {
        return Ok(None);
    };
    if rows == 0 {
        return Ok(None);
    }
    if length.policy != LengthPolicy::Error {
        return Ok(Some(Truncation { length: length.name.clone(), index, rows, longest: *longest, max_length }));
    }
    let total = full.len();
    let header = &column.spec.header;
    let message = format!("{rows} of {total} sequences in column `{header}` have more than {max_length} tokens");
    Err(Diagnostic::error("E0530", message)
        .note(format!("the longest has {longest}: {}", table.places().describe(row as u64)))
        .help(format!("raise `max_length` to {longest} if the model allows it, or write `too_long = truncate` to cut them")))
}
