//! Sizes of buffers: which expressions a program's sizes are (known when it is compiled), and what they are for a batch.

use std::collections::HashMap;

use mgx_diag::Diagnostic;
use mgx_ir::graph::{AxisId, Extent, SizeExpr};
use mgx_ir::plan::{Batch, Buffer, BufferId, Program, Storage};

/// A size that depends on the sample, by its number in [`Shapes`].
pub(crate) type SizeId = usize;

/// How many elements a sample has in a buffer: the product of a constant and of sizes. Equal forms have equal numbers.
pub(crate) type FormId = usize;

/// Is a buffer stored as bfloat16?
pub(crate) fn is_bf16(program: &Program, id: BufferId) -> bool {
    let mut storage = program.buffers.get(id.0 as usize).map(|buffer| buffer.storage);
    // Aliases are at most as long as there are buffers.
    for _ in 0..program.buffers.len() {
        let Some(Storage::Alias(root)) = storage else { break };
        storage = program.buffers.get(root.0 as usize).map(|buffer| buffer.storage);
    }
    matches!(storage, Some(Storage::ParamBf16 { .. }))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Form {
    per_sample: bool,
    constant: u64,
    /// Sorted.
    sizes: Vec<SizeId>,
}

/// All distinct sizes of a program and the forms of its buffers.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    sizes: Vec<SizeExpr>,
    size_ids: HashMap<SizeExpr, SizeId>,
    forms: Vec<Form>,
    form_ids: HashMap<Form, FormId>,
    /// By buffer.
    buffers: Vec<FormId>,
}

impl Shapes {
    /// The sizes of all buffers of a program.
    pub fn new(program: &Program) -> Result<Self, Diagnostic> {
        let mut shapes = Self::default();
        for buffer in &program.buffers {
            let form = shapes.add_buffer(program, buffer)?;
            shapes.buffers.push(form);
        }
        Ok(shapes)
    }

    /// The number of a size.
    pub fn size(&mut self, expr: &SizeExpr) -> SizeId {
        if let Some(id) = self.size_ids.get(expr) {
            return *id;
        }
        self.sizes.push(expr.clone());
        self.size_ids.insert(expr.clone(), self.sizes.len() - 1);
        self.sizes.len() - 1
    }

    /// The form of a buffer.
    pub fn form(&self, buffer: usize) -> FormId {
        self.buffers[buffer]
    }

    fn add_buffer(&mut self, program: &Program, buffer: &Buffer) -> Result<FormId, Diagnostic> {
        let mut form = Form { per_sample: buffer.ty.per_sample, constant: 1, sizes: Vec::new() };
        for axis in &buffer.ty.axes {
            match extent(program, *axis)? {
                Extent::Static(size) => form.constant = form.constant.saturating_mul(*size),
                Extent::Ragged(_) if !buffer.ty.per_sample => {
                    return Err(malformed(format!("buffer `{}` is not per sample but has a ragged axis", buffer.name)));
                }
                Extent::Ragged(expr) => form.sizes.push(self.size(expr)),
            }
        }
        form.sizes.sort_unstable();
        if let Some(id) = self.form_ids.get(&form) {
            return Ok(*id);
        }
        self.forms.push(form.clone());
        self.form_ids.insert(form, self.forms.len() - 1);
        Ok(self.forms.len() - 1)
    }
}

/// The extent of an axis of a program.
pub(crate) fn extent(program: &Program, axis: AxisId) -> Result<&Extent, Diagnostic> {
    let found = program.axes.get(axis.0 as usize).map(|axis| &axis.extent);
    found.ok_or_else(|| malformed(format!("there is no axis {}", axis.0)))
}

/// A program that breaks the rules of programs.
pub(crate) fn malformed(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("E0800", format!("the program is malformed: {}", message.into())).help("this is a fault of mgx: please report it")
}

/// The sizes of a program for one batch.
pub(crate) struct BatchShapes {
    samples: usize,
    /// By size, then sample.
    values: Vec<u64>,
    /// By form: where each sample's elements start, and the end.
    offsets: Vec<Vec<u64>>,
}

impl BatchShapes {
    /// Evaluates all sizes. A sample that lacks lengths is an error.
    pub fn new(shapes: &Shapes, lengths: usize, batch: &Batch) -> Result<Self, Diagnostic> {
        for (number, sample) in batch.samples.iter().enumerate() {
            if sample.lengths.len() < lengths {
                let message = format!("sample {number} of the batch has {} lengths, the program needs {lengths}", sample.lengths.len());
                return Err(Diagnostic::error("E0803", message));
            }
        }
        let samples = batch.samples.len();
        let mut values = Vec::with_capacity(shapes.sizes.len() * samples);
        for size in &shapes.sizes {
            values.extend(batch.samples.iter().map(|sample| size.eval(&sample.lengths)));
        }
        let mut all = Self { samples, values, offsets: Vec::new() };
        all.offsets = shapes.forms.iter().map(|form| all.starts(form)).collect();
        Ok(all)
    }

    fn starts(&self, form: &Form) -> Vec<u64> {
        if !form.per_sample {
            return vec![0, form.constant];
        }
        let mut start = 0u64;
        let mut starts = Vec::with_capacity(self.samples + 1);
        starts.push(0);
        for sample in 0..self.samples {
            let elements = form.sizes.iter().fold(form.constant, |product, size| product.saturating_mul(self.value(*size, sample)));
            start = start.saturating_add(elements);
            starts.push(start);
        }
        starts
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// A size for a sample.
    pub fn value(&self, size: SizeId, sample: usize) -> u64 {
        self.values[size * self.samples + sample]
    }

    /// Where each sample's elements start, and the end; `[0, elements]` for what is not per sample.
    pub fn offsets(&self, form: FormId) -> &[u64] {
        &self.offsets[form]
    }

    /// Number of elements of all samples.
    pub fn elements(&self, form: FormId) -> u64 {
        self.offsets[form].last().copied().unwrap_or(0)
    }
}

/// How many lengths a sample must bring for these sizes.
pub(crate) fn lengths_needed(shapes: &Shapes) -> usize {
    fn needed(expr: &SizeExpr) -> usize {
        match expr {
            SizeExpr::Length(id) => id.0 as usize + 1,
            SizeExpr::Const(_) => 0,
            SizeExpr::Add(a, b)
            | SizeExpr::Sub(a, b)
            | SizeExpr::Mul(a, b)
            | SizeExpr::Div(a, b)
            | SizeExpr::CeilDiv(a, b)
            | SizeExpr::Min(a, b) => needed(a).max(needed(b)),
        }
    }
    shapes.sizes.iter().map(needed).max().unwrap_or(0)
}
