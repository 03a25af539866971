//! The rows of an experiment: its tables, how they are split, and what a row costs.
//!
//! All samples come from one table, the *main* one. Reading checks every value, tokenises every row and divides the rows; after that the
//! data cannot fail.

use std::path::Path;

use mgx_data::{InputBuilder, Part, Split, Table, Truncation, capacity, cost, header, split};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{BatchSpec, ColumnSpec, DataSpec, InputSource, InputSpec, LengthSpec, SplitSpec, TokenizerSpec};

/// What is to be read, in the words of a plan.
#[derive(Clone, Copy, Debug)]
pub struct DataSource<'a> {
    pub data: &'a [DataSpec],
    pub tokenizers: &'a [TokenizerSpec],
    pub lengths: &'a [LengthSpec],
    /// Those of all programs, or of prediction alone.
    pub inputs: &'a [InputSpec],
    /// The folder of the experiment's file, where relative paths start.
    pub folder: &'a Path,
    /// Without labels, columns of labels that no input needs are not read and need not be there (prediction). Where a table lacks one, or the column
    /// that its split is made by, it is not split: all rows are in all parts.
    pub labels: bool,
}

/// Tables that are read, checked, tokenised and split.
#[derive(Debug)]
pub struct Data {
    tables: Vec<Table>,
    main: usize,
    inputs: InputBuilder,
    split: Split,
    /// Tokens of the longest input that is equally long for all rows.
    fixed_tokens: u64,
    /// The file of the main table, where it could not be split for want of labels.
    whole: Option<String>,
}

impl Data {
    /// Reads everything that the source names.
    ///
    /// # Errors
    /// Those of `mgx-data`: E0510 to E0534.
    pub fn read(source: &DataSource) -> Result<Self, Diagnostic> {
        let is_input = |column: &ColumnSpec| source.inputs.iter().any(|input| input.source.column() == Some(&column.name));
        let specs: Vec<DataSpec> = source.data.iter().map(|spec| splittable(spec, source, &is_input)).collect::<Result<_, _>>()?;
        let read = |spec: &DataSpec| {
            let splits = |column: &ColumnSpec| spec.split.columns().any(|name| *name == column.name);
            let wanted = |column: &ColumnSpec| source.labels || !column.kind.is_label() || is_input(column) || splits(column);
            Table::read_columns(spec, source.folder, wanted)
        };
        let tables: Vec<Table> = specs.iter().map(read).collect::<Result<_, _>>()?;
        let builder = InputBuilder::new(source.tokenizers, source.lengths, source.inputs, &tables)?;
        let main = main_table(source.lengths, source.inputs);
        let missing =
            || Diagnostic::error("E0941", "the plan reads no table").help("this is a fault of mgx: please report it with the program");
        let (spec, table) = specs.get(main).zip(tables.get(main)).ok_or_else(missing)?;
        let split = split(table, &spec.split)?;
        let whole = source.data.get(main).is_some_and(|before| before.split != spec.split).then(|| spec.path.clone());
        let fixed_tokens = source.inputs.iter().map(fixed_length).max();
        Ok(Self { tables, main, inputs: builder, split, fixed_tokens: fixed_tokens.unwrap_or(0), whole })
    }

    /// The table that the samples come from.
    pub fn table(&self) -> &Table {
        &self.tables[self.main]
    }

    /// All tables, by the index in `Plan::data`.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Makes batches of rows.
    pub fn inputs(&self) -> &InputBuilder {
        &self.inputs
    }

    /// How the rows are divided.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The file that was to be split and could not be, for want of labels that prediction does without; none where all is as the program says.
    pub fn whole(&self) -> Option<&str> {
        self.whole.as_deref()
    }

    /// The rows of a part. E0522 if it has none.
    pub fn rows(&self, part: Part) -> Result<&[u64], Diagnostic> {
        self.split.rows(part)
    }

    /// Every row of the table.
    pub fn all_rows(&self) -> Vec<u64> {
        (0..self.inputs.rows()).collect()
    }

    /// What users should know of their data.
    pub fn warnings(&self) -> &[Diagnostic] {
        self.inputs.warnings()
    }

    /// What was cut to its `max_length`.
    pub fn truncations(&self) -> &[Truncation] {
        self.inputs.truncations()
    }

    /// Tokens of a row as batches count them: its longest input, at least 1.
    pub fn cost(&self, row: u64) -> u64 {
        cost(&self.inputs.lengths(row)).max(self.fixed_tokens)
    }

    /// The candidates for the largest batch (lengths of each sample, by `LengthId`), for which a plan has memory. Those of
    /// [`mgx_data::capacity`]; inputs that are equally long for all rows count in a token budget too.
    pub fn capacity(&self, spec: BatchSpec) -> Vec<Vec<Vec<u64>>> {
        // A batch of training may have all copies of its longest row.
        let copies = usize::try_from(self.inputs.copies()).unwrap_or(usize::MAX);
        let lengths: Vec<Vec<u64>> = self.inputs.all_lengths().into_iter().flat_map(|row| std::iter::repeat_n(row, copies)).collect();
        let ragged = lengths.first().is_some_and(|lengths| !lengths.is_empty());
        match spec {
            BatchSpec::Tokens(budget) if !ragged => capacity(&lengths, BatchSpec::Samples((budget / self.fixed_tokens.max(1)).max(1))),
            spec => capacity(&lengths, spec),
        }
    }
}

/// A table as it is read: without its split where labels are not needed, and the file lacks one or the column that the split is made by.
fn splittable(spec: &DataSpec, source: &DataSource, is_input: &impl Fn(&ColumnSpec) -> bool) -> Result<DataSpec, Diagnostic> {
    if source.labels || spec.split == SplitSpec::None || spec.windows.is_some() {
        return Ok(spec.clone());
    }
    let header = header(&source.folder.join(&spec.path), spec.format)?;
    let has = |wanted: &str| header.iter().any(|header| header == wanted);
    let labels = spec.columns.iter().filter(|column| column.kind.is_label() && !is_input(column));
    if labels.flat_map(ColumnSpec::headers).all(|header| has(header)) && spec.split.header().is_none_or(has) {
        return Ok(spec.clone());
    }
    Ok(DataSpec { split: SplitSpec::None, ..spec.clone() })
}

/// Tokens of an input that is equally long for all rows; 0 for others.
fn fixed_length(input: &InputSpec) -> u64 {
    match input.source {
        InputSource::FixedTokens { tokens, .. } => tokens,
        InputSource::AllCounts { genes, .. } => genes,
        _ => 0,
    }
}

/// The index of the table that lengths and inputs read; [`InputBuilder::new`] has made sure that it is one.
fn main_table(lengths: &[LengthSpec], inputs: &[InputSpec]) -> usize {
    lengths.first().map(|length| length.data).or_else(|| inputs.iter().find_map(|input| input.source.data())).unwrap_or(0) as usize
}
