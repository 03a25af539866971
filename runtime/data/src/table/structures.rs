//! Numbers that are known of every residue: lists of lists in a column of Parquet, or files of NumPy that a column names.

use std::io::Read;
use std::path::Path;

use arrow::array::{Array, AsArray, Float32Array, LargeListArray, LargeStringArray};
use arrow::datatypes::{ArrowPrimitiveType, Float16Type, Float32Type};
use mgx_diag::Diagnostic;
use mgx_ir::plan::StructureSpec;

use super::places::Places;
use super::raw::{RawColumn, open, unreadable};

/// The numbers of all rows after one another.
#[derive(Clone, Debug)]
pub(crate) struct Structures {
    features: usize,
    numbers: Vec<f32>,
    /// Where each row begins in residues, and the end of the last one.
    starts: Vec<usize>,
}

impl Structures {
    /// Reads lists of residues, or the `.npy` files that texts name, relative to `folder`.
    ///
    /// # Errors
    /// E0510 for a file that is not there, E0544 for what does not hold `features` finite numbers for every residue.
    pub(super) fn read(values: RawColumn, spec: &StructureSpec, folder: &Path, places: &Places) -> Result<Self, Diagnostic> {
        let features = usize::try_from(spec.features).unwrap_or(usize::MAX);
        let mut all = Self { features, numbers: Vec::new(), starts: vec![0] };
        let place = |row: usize| format!("{}, column `{}`", places.describe(row as u64), spec.header);
        match values {
            RawColumn::Lists(lists) => all.push_lists(&lists, &place)?,
            RawColumn::Text(paths) => all.push_files(&paths, folder, &place)?,
            RawColumn::Number(_) => {
                return Err(Diagnostic::error("E0544", format!("{}: a number is no structure", place(0))).help(HELP));
            }
        }
        Ok(all)
    }

    /// How many residues a row has numbers of.
    pub fn residues(&self, row: usize) -> usize {
        self.starts[row + 1] - self.starts[row]
    }

    /// How many numbers a residue has.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The numbers of the first residues of a row, at most `residues` of them.
    pub fn of(&self, row: usize, residues: usize) -> &[f32] {
        let start = self.starts[row];
        &self.numbers[start * self.features..(start + residues.min(self.residues(row))) * self.features]
    }

    fn push_lists(&mut self, lists: &LargeListArray, place: &dyn Fn(usize) -> String) -> Result<(), Diagnostic> {
        for row in 0..lists.len() {
            if lists.is_null(row) {
                return Err(Diagnostic::error("E0517", format!("{}: the value is missing", place(row))).help(HELP));
            }
            let residues = lists.value(row);
            let residues = residues.as_list::<i64>();
            for residue in 0..residues.len() {
                let numbers = residues.value(residue);
                let numbers: &Float32Array = numbers.as_primitive::<Float32Type>();
                let count = if residues.is_null(residue) { 0 } else { numbers.len() - numbers.null_count() };
                if count != self.features {
                    return Err(wrong_width(&place(row), residue + 1, count, self.features));
                }
                self.numbers.extend_from_slice(numbers.values());
            }
            self.end_row(&|| place(row))?;
        }
        Ok(())
    }

    fn push_files(&mut self, paths: &LargeStringArray, folder: &Path, place: &dyn Fn(usize) -> String) -> Result<(), Diagnostic> {
        for (row, path) in paths.iter().enumerate() {
            let path = folder.join(path.unwrap_or_default().trim());
            let named = |diagnostic: Diagnostic| diagnostic.note(format!("named in {}", place(row)));
            let mut bytes = Vec::new();
            open(&path).map_err(named)?.read_to_end(&mut bytes).map_err(|error| named(unreadable(&path, &error)))?;
            let (shape, numbers) = numpy(&bytes).map_err(|problem| {
                let message = format!("{} is no file of numbers by residue: {problem}", path.display());
                named(Diagnostic::error("E0544", message).help(HELP))
            })?;
            if shape[1] != self.features {
                return Err(wrong_width(&place(row), 1, shape[1], self.features));
            }
            self.numbers.extend(numbers);
            self.end_row(&|| place(row))?;
        }
        Ok(())
    }

    fn end_row(&mut self, place: &dyn Fn() -> String) -> Result<(), Diagnostic> {
        let start = self.starts.last().map_or(0, |start| start * self.features);
        if let Some(at) = self.numbers[start..].iter().position(|number| !number.is_finite()) {
            let message = format!("{}: number {} of residue {} is not finite", place(), at % self.features + 1, at / self.features + 1);
            return Err(Diagnostic::error("E0544", message).help(HELP));
        }
        self.starts.push(self.numbers.len() / self.features);
        Ok(())
    }
}

const HELP: &str = "a structure is a list of numbers for every residue of the query: lists of lists in Parquet, or the path of a `.npy` file with axes (residue, feature)";

fn wrong_width(place: &str, residue: usize, found: usize, wanted: usize) -> Diagnostic {
    let message = format!("{place}: residue {residue} has {found} numbers, and the column promises {wanted}");
    Diagnostic::error("E0544", message).help("correct the file, or the number of `features` in the column's declaration")
}

/// The shape and the numbers of a file of NumPy's `save` with two axes, row after row. Format: numpy.lib.format.
fn numpy(bytes: &[u8]) -> Result<([usize; 2], Vec<f32>), String> {
    let version = bytes.strip_prefix(b"\x93NUMPY").and_then(|rest| rest.first()).ok_or("it does not begin as NumPy's files do")?;
    let (size, start) = match (version, bytes.get(8..12)) {
        (1, Some(size)) => (usize::from(u16::from_le_bytes([size[0], size[1]])), 10),
        (_, Some(size)) => (u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize, 12),
        _ => return Err("it is cut off".to_owned()),
    };
    let header = bytes.get(start..start + size).and_then(|header| std::str::from_utf8(header).ok()).ok_or("it is cut off")?;
    let field = |name: &str| Some(header.split_once(&format!("'{name}':"))?.1.trim_start());
    if !field("fortran_order").is_some_and(|order| order.starts_with("False")) {
        return Err("its axes are in Fortran's order (write it with `numpy.ascontiguousarray`)".to_owned());
    }
    let shape = field("shape").and_then(|text| text.strip_prefix('(')?.split_once(')')).map(|(sizes, _)| sizes).unwrap_or_default();
    let sizes: Vec<usize> = shape.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    let &[rows, columns] = sizes.as_slice() else { return Err(format!("its shape is ({shape}), and (residues, features) is wanted")) };
    let kind = field("descr").and_then(|text| text.strip_prefix('\'')?.split_once('\'')).map(|(kind, _)| kind).unwrap_or_default();
    let data = &bytes[start + size..];
    let numbers: Vec<f32> = match kind {
        "<f2" => data.chunks_exact(2).map(|b| <Float16Type as ArrowPrimitiveType>::Native::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        "<f4" => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        "<f8" => data.chunks_exact(8).map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32).collect(),
        _ => return Err(format!("its numbers are `{kind}`, and 16, 32 or 64-bit floats are wanted")),
    };
    if rows.checked_mul(columns) != Some(numbers.len()) {
        return Err(format!("it has {} numbers for a shape of ({shape})", numbers.len()));
    }
    Ok(([rows, columns], numbers))
}
