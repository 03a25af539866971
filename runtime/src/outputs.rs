//! The outputs of a program for the rows of a stage, gathered from batches in any order.

use std::collections::HashMap;

use mgx_diag::Diagnostic;
use mgx_ir::graph::{Axis, Extent};
use mgx_ir::plan::{InputData, Program, Sample};

use crate::memory::fault;

/// The values of one output, a row after the other in the order of the stage's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Collected {
    pub name: String,
    /// Numbers of a row; of a token where `per_token`.
    pub width: usize,
    /// Does a row have as many vectors as it has tokens?
    pub per_token: bool,
    pub rows: Vec<Vec<f32>>,
}

impl Collected {
    /// All rows after one another.
    pub fn flat(&self) -> Vec<f32> {
        self.rows.concat()
    }
}

/// Gathers one output.
pub(crate) struct Collector {
    layout: Layout,
    collected: Collected,
}

/// How a sample's values are stored: static axes, with at most one ragged axis between them, or ragged axes alone.
struct Layout {
    per_sample: bool,
    before: usize,
    ragged: Vec<Extent>,
    after: usize,
}

impl Collector {
    /// For `rows` rows.
    ///
    /// # Errors
    /// E0948 for an output with several ragged axes and others; E0941 if there is no such output.
    pub fn new(program: &Program, name: &str, rows: usize) -> Result<Self, Diagnostic> {
        let missing = || fault(format_args!("it has no output `{name}`"));
        let output = program.outputs.iter().find(|output| output.name == name).ok_or_else(missing)?;
        let ty = &program.buffers.get(output.buffer.0 as usize).ok_or_else(missing)?.ty;
        let mut layout = Layout { per_sample: ty.per_sample, before: 1, ragged: Vec::new(), after: 1 };
        let axes: Vec<&Axis> = ty.axes.iter().filter_map(|axis| program.axes.get(axis.0 as usize)).collect();
        for axis in &axes {
            match &axis.extent {
                Extent::Static(size) if layout.ragged.is_empty() => layout.before *= *size as usize,
                Extent::Static(size) => layout.after *= *size as usize,
                extent => layout.ragged.push(extent.clone()),
            }
        }
        if layout.ragged.len() > 1 && axes.len() > layout.ragged.len() {
            let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
            return Err(Diagnostic::error("E0948", format!("output `{name}` has axes [{}]", names.join(", ")))
                .note("an output has one axis that differs from row to row, or such axes alone")
                .help("reduce the others first, for example by a mean"));
        }
        let width = layout.before * layout.after;
        let collected = Collected { name: name.to_owned(), width, per_token: !layout.ragged.is_empty(), rows: vec![Vec::new(); rows] };
        Ok(Self { layout, collected })
    }

    /// The output's name.
    pub fn name(&self) -> &str {
        &self.collected.name
    }

    /// Takes a batch's values; `places` says which of the stage's rows its samples are.
    ///
    /// # Errors
    /// E0941 if the values are not those of the samples.
    pub fn take(&mut self, values: &InputData, samples: &[Sample], places: &[usize]) -> Result<(), Diagnostic> {
        let total = match values {
            InputData::F32(values) => values.len(),
            InputData::I32(values) => values.len(),
        };
        let mut start = 0;
        for (sample, place) in samples.iter().zip(places) {
            let tokens: usize = self.layout.ragged.iter().map(|extent| extent.eval(&sample.lengths) as usize).product();
            let count = tokens * self.collected.width;
            let first = if self.layout.per_sample { start } else { 0 };
            let own = first..first + count;
            let own: Option<Vec<f32>> = match values {
                InputData::F32(values) => values.get(own).map(<[f32]>::to_vec),
                InputData::I32(values) => values.get(own).map(|values| values.iter().map(|value| *value as f32).collect()),
            };
            let (Some(own), Some(row)) = (own, self.collected.rows.get_mut(*place)) else {
                return Err(fault(format_args!("output `{}` has {total} values for {} samples", self.collected.name, samples.len())));
            };
            *row = self.layout.tokens_first(own, tokens);
            start += count;
        }
        Ok(())
    }

    /// What was gathered.
    pub fn finish(self) -> Collected {
        self.collected
    }
}

impl Layout {
    /// The same values with the ragged axis first.
    fn tokens_first(&self, values: Vec<f32>, tokens: usize) -> Vec<f32> {
        if self.ragged.is_empty() || self.before == 1 {
            return values;
        }
        let mut moved = Vec::with_capacity(values.len());
        for token in 0..tokens {
            for outer in 0..self.before {
                moved.extend_from_slice(&values[(outer * tokens + token) * self.after..][..self.after]);
            }
        }
        moved
    }
}

/// The place of each row in a list of rows.
pub(crate) fn places(rows: &[u64]) -> HashMap<u64, usize> {
    rows.iter().enumerate().map(|(place, row)| (*row, place)).collect()
}

#[cfg(test)]
mod tests {
    use mgx_ir::graph::{AxisId, DType, LengthId, SizeExpr, Type};
    use mgx_ir::plan::{Buffer, BufferId, ProgramInput, Storage};

    use super::*;

    fn program(extents: &[Option<u64>]) -> Program {
        let extent = |size: &Option<u64>| size.map_or(Extent::Ragged(SizeExpr::Length(LengthId(0))), Extent::Static);
        let axes = extents.iter().enumerate().map(|(at, size)| Axis { name: format!("a{at}"), extent: extent(size) }).collect();
        let ty = Type { dtype: DType::F32, axes: (0..extents.len() as u32).map(AxisId).collect(), per_sample: true };
        Program {
            axes,
            buffers: vec![Buffer { name: "out".into(), ty, storage: Storage::Arena { offset: 0, bytes: 0 } }],
            outputs: vec![ProgramInput { name: "out".into(), buffer: BufferId(0) }],
            ..Program::default()
        }
    }

    fn samples(lengths: &[u64]) -> Vec<Sample> {
        lengths.iter().enumerate().map(|(key, length)| Sample { key: key as u64, lengths: vec![*length] }).collect()
    }

    #[test]
    fn rows_come_out_in_order_and_tokens_first() {
        let mut collector = Collector::new(&program(&[Some(2), None]), "out", 2).unwrap();
        // Sample of 3 tokens for row 1, of 1 token for row 0; stored [2, tokens].
        let values = InputData::F32(vec![1.0, 2.0, 3.0, 10.0, 20.0, 30.0, 7.0, 70.0]);
        collector.take(&values, &samples(&[3, 1]), &[1, 0]).unwrap();
        let collected = collector.finish();
        assert!(collected.per_token && collected.width == 2);
        assert_eq!(collected.rows, [vec![7.0, 70.0], vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0]]);
    }

    #[test]
    fn outputs_that_no_file_holds_are_refused() {
        let found = Collector::new(&program(&[None, Some(2), None]), "out", 1).err().unwrap();
        assert_eq!(found.code.0, "E0948");
        assert_eq!(Collector::new(&program(&[]), "other", 1).err().unwrap().code.0, "E0941");
        let mut short = Collector::new(&program(&[Some(2)]), "out", 1).unwrap();
        assert_eq!(short.take(&InputData::F32(vec![1.0]), &samples(&[0]), &[0]).unwrap_err().code.0, "E0941");
    }
}
