//! Sequences whose masks were filled in, as columns of the predictions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, LargeStringArray, ListArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use mgx_diag::Diagnostic;

use crate::tokenizer::Tokenizer;

/// A token that was a mask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilledToken {
    /// Its place among the tokens of the row, from 0, those that the tokenizer adds counted.
    pub place: u64,
    /// The step in which it was filled in, from 1; 0 where it was not.
    pub step: u64,
    /// The best tokens with their scores, as they were when it was filled in.
    pub best: Vec<(i32, f32)>,
}

/// A row whose masks were filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilledRow {
    /// All token ids, as they are now.
    pub ids: Vec<i32>,
    /// What was masked, in the order of the row.
    pub masks: Vec<FilledToken>,
}

/// An output that fills in masks. Columns: `NAME`, the sequence; `NAME.place`, a list of the places of its masks, from 0 for the first token of the sequence;
/// for each of the `best` tokens `NAME.token.1` and `NAME.score.1`, lists of as many; with `in_steps`, `NAME.step`, the step of each.
#[derive(Debug)]
pub struct FilledColumns<'a> {
    pub name: &'a str,
    /// In the order of the stage's row list.
    pub rows: &'a [FilledRow],
    pub tokenizer: Tokenizer,
    /// Is it text with words? Otherwise no spaces are written.
    pub words: bool,
    pub best: usize,
    pub in_steps: bool,
}

impl FilledColumns<'_> {
    /// The columns with their names, the rows in the order `order`.
    ///
    /// # Errors
    /// E0542 if lists are too long for a file.
    pub(super) fn columns(&self, order: &[usize]) -> Result<Vec<(String, ArrayRef)>, Diagnostic> {
        let rows: Vec<&FilledRow> = order.iter().filter_map(|row| self.rows.get(*row)).collect();
        let counts = || OffsetBuffer::from_lengths(rows.iter().map(|row| row.masks.len()));
        let list = |values: ArrayRef| {
            let field = Arc::new(Field::new("item", values.data_type().clone(), false));
            let lists = ListArray::try_new(field, counts(), values, None);
            let failed = |error| Diagnostic::error("E0542", format!("output `{}` makes no lists: {error}", self.name));
            lists.map(|lists| Arc::new(lists) as ArrayRef).map_err(failed)
        };
        let masks = || rows.iter().flat_map(|row| &row.masks);
        let numbers = |of: &dyn Fn(&FilledToken) -> u64| list(Arc::new(UInt64Array::from_iter_values(masks().map(of))));
        let before = self.tokenizer.added().0.len() as u64;
        let texts = rows.iter().map(|row| {
            let text = self.tokenizer.text(&row.ids);
            if self.words { text } else { text.split_whitespace().collect() }
        });
        let mut columns: Vec<(String, ArrayRef)> = vec![(self.name.to_owned(), Arc::new(LargeStringArray::from_iter_values(texts)))];
        columns.push((format!("{}.place", self.name), numbers(&|token| token.place.saturating_sub(before))?));
        for rank in 0..self.best {
            let of_rank = || masks().map(move |token| token.best.get(rank).copied());
            let name = |(id, _): (i32, f32)| self.tokenizer.tokens(&[id]).concat();
            let tokens = LargeStringArray::from_iter_values(of_rank().map(|best| best.map(name).unwrap_or_default()));
            let scores = Float32Array::from_iter_values(of_rank().map(|best| best.map_or(0.0, |(_, score)| score)));
            columns.push((format!("{}.token.{}", self.name, rank + 1), list(Arc::new(tokens))?));
            columns.push((format!("{}.score.{}", self.name, rank + 1), list(Arc::new(scores))?));
        }
        if self.in_steps {
            columns.push((format!("{}.step", self.name), numbers(&|token| token.step)?));
        }
        Ok(columns)
    }
}

/// A list as a TSV file has it: numbers between commas, tokens (which may be a comma, and have no spaces) between spaces.
pub(super) fn listed(values: &ArrayRef) -> Option<String> {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float32Type, UInt64Type};
    let joined = |texts: Vec<String>| texts.join(",");
    Some(match values.data_type() {
        DataType::Float32 => joined(values.as_primitive::<Float32Type>().values().iter().map(f32::to_string).collect()),
        DataType::UInt64 => joined(values.as_primitive::<UInt64Type>().values().iter().map(u64::to_string).collect()),
        DataType::LargeUtf8 => values.as_string::<i64>().iter().flatten().collect::<Vec<_>>().join(" "),
        _ => return None,
    })
}
