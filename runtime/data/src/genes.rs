//! Counts of genes as tokens: alignment to a gene list, and which genes of a cell become tokens, as [`GeneOrder`] says.

use std::collections::HashMap;

use mgx_diag::Diagnostic;
use mgx_ir::genes::GeneNames;
use mgx_ir::graph::round_to_bf16;
use mgx_ir::plan::{CellNumber, GeneOrder, TokenizerKind, TokenizerSpec};

use crate::table::{Column, Counts, Table, Values, shown};

/// Which gene of the list each gene of a table is.
struct Alignment {
    /// By the place in [`Counts::genes`]; `None` for genes that the list does not have, and for the second of a gene.
    ids: Vec<Option<u32>>,
    /// The gene that holds totals, where the tokenizer names one and the table has it.
    total: Option<u32>,
    /// Genes of the table that stand there for the second time: their names.
    repeated: Vec<String>,
}

impl Alignment {
    fn new(counts: &Counts, spec: &TokenizerSpec, total: Option<&String>) -> Self {
        let names = GeneNames::new(spec);
        let mut first: HashMap<u32, usize> = HashMap::new();
        let mut repeated = Vec::new();
        let mut ids = Vec::with_capacity(counts.genes().len());
        for (place, name) in counts.genes().iter().enumerate() {
            let id = names.find(name).filter(|id| *first.entry(*id).or_insert(place) == place);
            if id.is_none() && names.find(name).is_some() {
                repeated.push(name.clone());
            }
            ids.push(id);
        }
        let total = total.and_then(|total| counts.genes().iter().position(|name| name == total)).map(|place| place as u32);
        Self { ids, total, repeated }
    }

    /// The genes of a cell by the list, in its order, with their counts; and the cell's total where the table has it.
    fn cell(&self, counts: &Counts, row: usize) -> (Vec<(u32, f32)>, Option<f32>) {
        let mut genes: Vec<(u32, f32)> =
            counts.row(row).filter_map(|(place, count)| self.ids[place as usize].map(|id| (id, count))).collect();
        genes.sort_unstable_by_key(|(id, _)| *id);
        let total = self.total.map(|total| counts.row(row).find(|(place, _)| *place == total).map_or(0.0, |(_, count)| count));
        (genes, total)
    }
}

/// The tokens of a column of counts, all rows after one another.
#[derive(Debug, Default)]
pub(crate) struct GeneColumn {
    ids: Vec<i32>,
    counts: Vec<f32>,
    totals: Vec<f32>,
    /// The place of its cell in the sample, by token; [`NO_CELL`] for tokens that fill the sample up.
    cells: Vec<u32>,
    /// The row in the table of each cell of each sample.
    rows: Vec<Vec<u32>>,
    /// Where each row begins, and the end of the last one.
    starts: Vec<usize>,
    /// Tokens of the row's own cell.
    own: Vec<u64>,
    /// Tokens before truncation.
    pub full: Vec<u64>,
    coordinates: Vec<(f64, f64)>,
    /// What users should know of the alignment.
    pub warnings: Vec<Diagnostic>,
}

const NO_CELL: u32 = u32::MAX;

impl GeneColumn {
    /// Aligns and encodes all rows.
    ///
    /// # Errors
    /// E0534 for a column that holds no counts or a tokenizer of text, E0535 where the list has none of the table's genes, E0537 for a cell
    /// in which none of the list's genes was counted.
    pub fn new(table: &Table, column: &Column, spec: &TokenizerSpec, max_length: Option<u64>) -> Result<Self, Diagnostic> {
        let (Values::Counts(counts), TokenizerKind::Genes { order, normalized, .. }) = (&column.values, &spec.kind) else {
            let message = format!("tokenizer `{}` cannot read the column `{}`", spec.name, column.spec.name);
            return Err(Diagnostic::error("E0534", message));
        };
        let total = if let GeneOrder::Expressed { total, .. } = order { total.as_ref() } else { None };
        let alignment = Alignment::new(counts, spec, total);
        if alignment.ids.iter().all(Option::is_none) {
            return Err(no_overlap(counts, spec, column));
        }
        let mut tokens = Self { starts: vec![0], ..Self::default() };
        tokens.warn_repeated(&alignment, column);
        tokens.warn_other_scale(&alignment, counts, column, &spec.name, *normalized);
        for row in 0..counts.rows() {
            let sample: Vec<u32> = std::iter::once(row as u32).chain(counts.neighbors(row).iter().copied()).collect();
            for (place, cell) in sample.iter().enumerate() {
                let (genes, total) = alignment.cell(counts, *cell as usize);
                if genes.is_empty() && place == 0 {
                    return Err(nothing_counted(table, column, spec, row));
                }
                tokens.push_cell(spec, order, place as u32, &genes, total, max_length);
                if place == 0 {
                    tokens.own.push((tokens.ids.len() - tokens.starts[row]) as u64);
                }
            }
            tokens.end_row(spec, order);
            tokens.rows.push(sample);
        }
        tokens.coordinates = (0..counts.rows()).map(|row| counts.coordinates(row)).collect();
        Ok(tokens)
    }

    fn push(&mut self, id: i32, count: f32, total: f32, cell: u32) {
        self.ids.push(id);
        self.counts.push(count);
        self.totals.push(total);
        self.cells.push(cell);
    }

    fn push_cell(
        &mut self,
        spec: &TokenizerSpec,
        order: &GeneOrder,
        cell: u32,
        genes: &[(u32, f32)],
        total: Option<f32>,
        max_length: Option<u64>,
    ) {
        let before = self.ids.len();
        let sum = || genes.iter().map(|(_, count)| f64::from(*count)).sum::<f64>() as f32;
        match order {
            GeneOrder::All => {
                let sum = sum();
                genes.iter().for_each(|(id, count)| self.push(*id as i32, *count, sum, cell));
            }
            GeneOrder::Expressed { appended, appended_above, bf16, .. } => {
                let narrow = |count: f32| if *bf16 { round_to_bf16(f64::from(count)) as f32 } else { count };
                let sum = || genes.iter().map(|(_, count)| f64::from(narrow(*count))).sum::<f64>() as f32;
                let total = narrow(total.unwrap_or_else(sum));
                genes.iter().for_each(|(id, count)| self.push(*id as i32, narrow(*count), total, cell));
                if f64::from(total) > *appended_above {
                    let first = spec.vocabulary.len() as i32;
                    (0..*appended as i32).for_each(|extra| self.push(first + extra, 0.0, total, cell));
                }
            }
            GeneOrder::Ranked { scale } => {
                let sum = sum();
                let value = |(id, count): &(u32, f32)| f64::from(*count) / scale.get(*id as usize).copied().unwrap_or(1.0);
                let mut ranked: Vec<&(u32, f32)> = genes.iter().collect();
                ranked.sort_by(|a, b| value(b).total_cmp(&value(a)));
                let special = spec.prefix.len() + spec.suffix.len();
                let most = max_length.map_or(usize::MAX, |most| (most as usize).saturating_sub(special));
                spec.prefix.iter().for_each(|id| self.push(*id, 0.0, sum, cell));
                ranked.into_iter().take(most).for_each(|(id, count)| self.push(*id as i32, *count, sum, cell));
                spec.suffix.iter().for_each(|id| self.push(*id, 0.0, sum, cell));
                self.full.push((genes.len() + special) as u64);
                return;
            }
        }
        if cell == 0 {
            self.full.push(0);
        }
        if let Some(full) = self.full.last_mut() {
            *full += (self.ids.len() - before) as u64;
        }
    }

    /// Fills the sample up.
    fn end_row(&mut self, spec: &TokenizerSpec, order: &GeneOrder) {
        if let GeneOrder::Expressed { appended, multiple, .. } = order {
            let start = self.starts.last().copied().unwrap_or(0);
            let fill = spec.vocabulary.len() as i32 + *appended as i32;
            while !(self.ids.len() - start).is_multiple_of((*multiple).max(1) as usize) {
                self.push(fill, 0.0, 0.0, NO_CELL);
            }
        }
        self.starts.push(self.ids.len());
    }

    fn range(&self, row: u64) -> std::ops::Range<usize> {
        self.starts[row as usize]..self.starts[row as usize + 1]
    }

    /// Tokens of a row; of its own cell alone where `own_cell`.
    pub fn count(&self, row: u64, own_cell: bool) -> u64 {
        if own_cell { self.own[row as usize] } else { self.range(row).len() as u64 }
    }

    /// The tokens of rows; of their own cells alone where `own_cell`.
    pub fn ids(&self, rows: &[u64], own_cell: bool) -> Vec<i32> {
        rows.iter().flat_map(|row| &self.ids[self.range(*row)][..self.count(*row, own_cell) as usize]).copied().collect()
    }

    pub fn counts(&self, rows: &[u64]) -> Vec<f32> {
        rows.iter().flat_map(|row| &self.counts[self.range(*row)]).copied().collect()
    }

    pub fn totals(&self, rows: &[u64]) -> Vec<f32> {
        rows.iter().flat_map(|row| &self.totals[self.range(*row)]).copied().collect()
    }

    pub fn cells(&self, rows: &[u64], what: CellNumber, fill: i32) -> Vec<i32> {
        let number = |row: u64, cell: u32| {
            if cell == NO_CELL {
                return fill;
            }
            let (x, y) = self.coordinates[self.rows[row as usize][cell as usize] as usize];
            match what {
                CellNumber::Index => cell as i32,
                CellNumber::X => x as i32,
                CellNumber::Y => y as i32,
            }
        };
        rows.iter().flat_map(|row| self.cells[self.range(*row)].iter().map(|cell| number(*row, *cell))).collect()
    }

    /// The counts of all genes of the list.
    pub fn dense(&self, rows: &[u64], genes: u64) -> Vec<f32> {
        let genes = genes as usize;
        let mut all = vec![0.0; rows.len() * genes];
        for (row, values) in rows.iter().zip(all.chunks_exact_mut(genes.max(1))) {
            for at in self.range(*row) {
                values[self.ids[at] as usize] = self.counts[at];
            }
        }
        all
    }

    fn warn_repeated(&mut self, alignment: &Alignment, column: &Column) {
        let Some(first) = alignment.repeated.first() else { return };
        let message = match alignment.repeated.len() {
            1 => format!("`{}`: the gene `{}` stands in the table more than once", column.spec.name, shown(first)),
            more => format!("`{}`: {more} genes stand in the table more than once, `{}` for one", column.spec.name, shown(first)),
        };
        let help = "of each the first is read; add the others to it, or remove them";
        self.warnings.push(Diagnostic::warning("W0552", message).help(help));
    }
}

/// How much of a column is not whole, above which it is taken for normalised: counts corrected for ambient RNA have a few such numbers.
const MOSTLY: f64 = 0.5;

impl GeneColumn {
    /// Are these counts where normalised expression is wanted, or the other way round? Both are numbers from 0 up, and a network computes with either.
    fn warn_other_scale(&mut self, alignment: &Alignment, counts: &Counts, column: &Column, tokenizer: &str, normalized: bool) {
        let (mut numbers, mut broken, mut example) = (0_u64, 0_u64, None);
        for row in 0..counts.rows() {
            for (place, number) in counts.row(row).filter(|(place, _)| alignment.ids[*place as usize].is_some()) {
                numbers += 1;
                if number.fract() != 0.0 {
                    broken += 1;
                    example.get_or_insert((place, number));
                }
            }
        }
        let name = &column.spec.name;
        let warning = match example {
            Some((place, number)) if !normalized && broken as f64 > MOSTLY * numbers as f64 => {
                let share = 100 * broken / numbers.max(1);
                Diagnostic::warning("W0555", format!("`{name}` does not look like counts: {share} % of its numbers above 0 are not whole"))
                    .note(format!("`{}` is {number}, for one", shown(&counts.genes()[place as usize])))
                    .note(format!("`{tokenizer}` wants counts as they were measured; the network normalises them itself"))
                    .help("give the raw counts, or use a backbone for normalised expression, such as `scfoundation_normalized`")
            }
            None if normalized && numbers > 0 => {
                Diagnostic::warning("W0555", format!("`{name}` does not look like normalised expression: all of its numbers are whole"))
                    .note(format!("`{tokenizer}` wants log(1 + counts per ten thousand)"))
                    .help("give normalised expression, or use a backbone for counts, such as `scfoundation`")
            }
            _ => return,
        };
        self.warnings.push(warning);
    }
}

fn no_overlap(counts: &Counts, spec: &TokenizerSpec, column: &Column) -> Diagnostic {
    let some = |names: &[String]| names.iter().take(3).map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
    Diagnostic::error("E0535", format!("none of the genes of `{}` is in the list of `{}`", column.spec.name, spec.name))
        .note(format!("the table has {}", some(counts.genes())))
        .note(format!("the list has {}", some(&spec.vocabulary[spec.vocabulary.len().saturating_sub(3)..])))
        .help("name genes as the list does: by symbol or by Ensembl identifier")
}

fn nothing_counted(table: &Table, column: &Column, spec: &TokenizerSpec, row: usize) -> Diagnostic {
    let place = table.places().describe(row as u64);
    Diagnostic::error("E0537", format!("{place}: no gene of the list of `{}` was counted in this cell", spec.name))
        .note(format!("column `{}`: all its counts are zero, so that it has no total to be divided by", column.spec.name))
        .help("remove cells without counts before training")
}
