//! Secondary structures that follow from probabilities of pairs by a threshold, which is tuned where the validation part is evaluated in training.

use std::io::Write;
use std::path::{Path, PathBuf};

use mgx_data::{Comparison, Contacts, Metric, Pair, Table, Targets, Undefined, Values, base_pairs, connectivity_table, write_atomically};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{ColumnKind, MetricKind, MetricSpec, OutputKind, StructureOutput};
use mgx_weights::parameter_slices;

use crate::memory::fault;
use crate::outputs::Collected;
use crate::session::Session;

/// The structures of an output, for some rows in their order.
#[derive(Clone, Debug)]
pub struct Structures {
    pub output: String,
    /// The column of the sequences.
    pub sequence: String,
    pub pairs: Vec<Vec<Pair>>,
}

impl Structures {
    /// The pairs of each row as text: `[[0, 7], [2, 12]]`.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |pairs: &Vec<Pair>| {
            let pairs: Vec<String> = pairs.iter().map(|[a, b]| format!("[{a}, {b}]")).collect();
            format!("[{}]", pairs.join(", "))
        };
        self.pairs.iter().map(text).collect()
    }

    /// Writes a connectivity table for each row into a folder `structures`: `12.ct`, by the row's number from 1, with the row's first identifier for a title. Gives
    /// the folder.
    ///
    /// # Errors
    /// E0540, E0541.
    pub(crate) fn write(&self, rows: &[u64], table: &Table, folder: &Path) -> Result<PathBuf, Diagnostic> {
        let folder = folder.join("structures");
        let sequences = table.column(&self.sequence).ok_or_else(|| fault(format_args!("`{}` was not read", self.sequence)))?;
        let title = table.columns().iter().find(|column| column.spec.kind == ColumnKind::Text);
        for (row, pairs) in rows.iter().zip(&self.pairs) {
            let number = row + 1;
            let title = title.map_or_else(|| format!("row {number}"), |column| column.text(*row).to_owned());
            let text = connectivity_table(&title, sequences.text(*row), pairs);
            write_atomically(&folder.join(format!("{number}.ct")), |file| file.write_all(text.as_bytes()))?;
        }
        Ok(folder)
    }
}

impl Session {
    /// The outputs that are structures.
    fn structure_outputs(&self) -> Vec<(String, StructureOutput)> {
        let outputs = self.plan.outputs.iter();
        let own = outputs.filter_map(|output| match &output.kind {
            OutputKind::Structure(spec) => Some((output.name.clone(), spec.clone())),
            _ => None,
        });
        own.collect()
    }

    fn threshold(&self, spec: &StructureOutput) -> Result<f64, Diagnostic> {
        let param = self.plan.params.get(spec.threshold as usize).ok_or_else(|| fault("it has no threshold"))?;
        let value = self.memory.params.as_f32().get(param.offset as usize / 4);
        value.map(|value| f64::from(*value)).ok_or_else(|| fault("it has no threshold"))
    }

    /// A metric of an output's structures.
    pub(crate) fn structure_metric(
        &self,
        spec: &MetricSpec,
        contacts: &Contacts,
        rows: &[u64],
        output: &Collected,
    ) -> Result<Result<Metric, Undefined>, Diagnostic> {
        let found = self.structure_outputs().into_iter().find(|(name, _)| *name == spec.prediction);
        let (_, structure) = found.ok_or_else(|| fault(format_args!("metric `{}` is of no structure", spec.name)))?;
        self.compare_structures((spec.kind, self.threshold(&structure)?), &structure, contacts, rows, output)
    }

    fn compare_structures(
        &self,
        (kind, threshold): (MetricKind, f64),
        structure: &StructureOutput,
        contacts: &Contacts,
        rows: &[u64],
        output: &Collected,
    ) -> Result<Result<Metric, Undefined>, Diagnostic> {
        let sequences = self.sequences(structure, rows)?;
        let pairs: Vec<&[Pair]> = rows.iter().map(|row| contacts.row(*row)).collect();
        let items: Vec<usize> = output.rows.iter().map(Vec::len).collect();
        let targets = Targets::Structures { pairs: &pairs, sequences: &sequences, threshold };
        Ok(Metric::new(kind, &Comparison { values: &output.flat(), width: 1, targets, items: Some(&items) }))
    }

    fn sequences(&self, structure: &StructureOutput, rows: &[u64]) -> Result<Vec<&str>, Diagnostic> {
        let table = self.data.tables().get(structure.data as usize);
        let column = table.and_then(|table| table.column(&structure.sequence));
        let column = column.ok_or_else(|| fault(format_args!("`{}` was not read", structure.sequence)))?;
        Ok(rows.iter().map(|row| column.text(*row)).collect())
    }

    /// Sets each threshold to the candidate with the greatest mean F1 score over these rows; of equal ones the first.
    pub(crate) fn tune_thresholds(&mut self, rows: &[u64], outputs: &[Collected]) -> Result<(), Diagnostic> {
        for (name, structure) in self.structure_outputs() {
            let metrics = self.plan.metrics.iter();
            let Some(spec) = metrics.clone().find(|spec| spec.prediction == name && spec.kind.is_of_structures()) else { continue };
            let output =
                outputs.iter().find(|output| output.name == name).ok_or_else(|| fault(format_args!("`{name}` was not computed")))?;
            let column = self.data.table().column(&spec.target).map(|column| &column.values);
            let Some(Values::Contacts(contacts)) = column else { continue };
            let mut best: Option<(f64, f64)> = None;
            for candidate in &structure.candidates {
                let metric = self.compare_structures((MetricKind::StructureF1, *candidate), &structure, contacts, rows, output)?;
                if let Ok(value) = metric.and_then(|metric| metric.value())
                    && best.is_none_or(|(greatest, _)| value > greatest)
                {
                    best = Some((value, *candidate));
                }
            }
            let Some((_, threshold)) = best else { continue };
            let mut slices = parameter_slices(&self.plan.params, &mut self.memory.params)?;
            if let Some(slice) = slices.get_mut(structure.threshold as usize) {
                slice.copy_from_slice(&(threshold as f32).to_ne_bytes());
            }
        }
        Ok(())
    }

    /// The structures of the outputs that are some.
    pub(crate) fn structures(&self, rows: &[u64], outputs: &[Collected]) -> Result<Vec<Structures>, Diagnostic> {
        let of_output = |(name, structure): (String, StructureOutput)| {
            let output =
                outputs.iter().find(|output| output.name == name).ok_or_else(|| fault(format_args!("`{name}` was not computed")))?;
            let (threshold, sequences) = (self.threshold(&structure)?, self.sequences(&structure, rows)?);
            let pairs = output.rows.iter().zip(sequences).map(|(own, sequence)| base_pairs(own, sequence, threshold)).collect();
            Ok(Structures { output: name, sequence: structure.sequence, pairs })
        };
        self.structure_outputs().into_iter().map(of_output).collect()
    }
}
