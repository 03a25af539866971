//! The bytes a program works on, and reads and writes of whole buffers, each checked.

use mgx_ir::graph::DType;
use mgx_ir::plan::{Batch, Buffer, BufferId, Program, Storage};

use crate::graph::{input, value_of};
use crate::scope::BatchScope;
use crate::tensor::{Tensor, Value};

/// The memories of a stage: little-endian 4-byte elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramMemory {
    pub params: Vec<u8>,
    pub gradients: Vec<u8>,
    /// By slot.
    pub state: Vec<Vec<u8>>,
    /// Made as large as a program needs when it runs.
    pub arena: Vec<u8>,
}

impl ProgramMemory {
    /// Memories that hold these parameters, each at its byte offset, rounded to f32; everything else is empty.
    pub fn with_params(params: &[Vec<f64>], offsets: &[u64]) -> Self {
        let mut memory = Self::default();
        for (elements, offset) in params.iter().zip(offsets) {
            let start = *offset as usize;
            let bytes: Vec<u8> = elements.iter().flat_map(|element| (*element as f32).to_le_bytes()).collect();
            memory.params.resize(memory.params.len().max(start + bytes.len()), 0);
            memory.params[start..start + bytes.len()].copy_from_slice(&bytes);
        }
        memory
    }
}

/// Which bytes a buffer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub region: Region,
    pub offset: u64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    Arena,
    Param,
    /// The same memory, with elements of two bytes.
    ParamBf16,
    Gradient,
    State(u32),
    Input,
}

impl Place {
    /// Do two buffers share bytes?
    pub fn overlaps(&self, other: &Self) -> bool {
        self.region == other.region
            && self.region != Region::Input
            && self.offset < other.offset + other.bytes
            && other.offset < self.offset + self.bytes
    }
}

/// A word of the arena that nothing has been written to in this run.
const NEVER: u32 = u32::MAX;

/// A program at work: its memory, and who wrote each word of the arena last.
pub(super) struct Machine<'a> {
    pub program: &'a Program,
    pub batch: &'a Batch,
    memory: &'a mut ProgramMemory,
    /// By word of the arena, the buffer (not an alias) that was last written there.
    writers: Vec<u32>,
    /// What is being done, for messages.
    pub doing: String,
}

impl<'a> Machine<'a> {
    /// Poisons the arena: every byte is 0xFF, a NaN in f32.
    pub fn new(program: &'a Program, memory: &'a mut ProgramMemory, batch: &'a Batch) -> Self {
        let bytes = program.arena_bytes as usize;
        memory.arena.clear();
        memory.arena.resize(bytes, 0xFF);
        Self { program, batch, memory, writers: vec![NEVER; bytes.div_ceil(4)], doing: String::from("start") }
    }

    /// Stops with a description of the step.
    pub fn fail(&self, message: impl std::fmt::Display) -> ! {
        panic!("{}: {message}", self.doing)
    }

    /// Stops unless `holds`.
    pub fn check(&self, holds: bool, message: impl Fn() -> String) {
        if !holds {
            self.fail(message());
        }
    }

    /// A buffer by its number.
    pub fn buffer(&self, id: BufferId) -> &'a Buffer {
        self.program.buffers.get(id.0 as usize).unwrap_or_else(|| self.fail(format!("there is no buffer {}", id.0)))
    }

    /// What operations need to know about this batch.
    pub fn scope(&self) -> BatchScope<'a> {
        BatchScope { axes: &self.program.axes, batch: self.batch, round: true }
    }

    /// The buffer whose storage a buffer shares: itself, or what it is an alias of.
    pub fn root(&self, id: BufferId) -> BufferId {
        match self.buffer(id).storage {
            Storage::Alias(root) => root,
            _ => id,
        }
    }

    /// The bytes that a buffer takes with this batch, checked against where it is stored.
    pub fn place(&self, id: BufferId) -> Place {
        let buffer = self.buffer(id);
        let elements: u64 = self.extents(id).iter().map(|shape| shape.iter().product::<usize>() as u64).sum();
        let storage = self.buffer(self.root(id)).storage;
        let bytes = elements * if matches!(storage, Storage::ParamBf16 { .. }) { 2 } else { 4 };
        let (region, offset, available) = match storage {
            Storage::Arena { offset, bytes } => (Region::Arena, offset, bytes),
            Storage::Param { offset } => (Region::Param, offset, (self.memory.params.len() as u64).saturating_sub(offset)),
            Storage::ParamBf16 { offset } => (Region::ParamBf16, offset, (self.memory.params.len() as u64).saturating_sub(offset)),
            Storage::Gradient { offset } => (Region::Gradient, offset, (self.memory.gradients.len() as u64).saturating_sub(offset)),
            Storage::State { slot, offset } => {
                let length = self.memory.state.get(slot as usize).map_or(0, Vec::len) as u64;
                (Region::State(slot), offset, length.saturating_sub(offset))
            }
            Storage::Input => (Region::Input, 0, u64::MAX),
            Storage::Alias(_) => self.fail(format!("buffer `{}` is an alias of an alias", buffer.name)),
        };
        self.check(bytes <= available, || format!("buffer `{}` takes {bytes} bytes and has {available}", buffer.name));
        Place { region, offset, bytes }
    }

    /// The extents of a buffer's axes: of one tensor, or of one for each sample.
    pub fn extents(&self, id: BufferId) -> Vec<Vec<usize>> {
        let ty = &self.buffer(id).ty;
        self.scope().all(ty.per_sample).iter().map(|place| place.shape(&ty.axes)).collect()
    }

    /// What a buffer holds. Every word must have been written last through this buffer or one that shares its storage.
    pub fn read(&self, id: BufferId) -> Value {
        let buffer = self.buffer(id);
        let place = self.place(id);
        let words = match place.region {
            Region::Input => return self.read_input(id),
            Region::Arena => {
                self.check_writers(id, place);
                &self.memory.arena
            }
            Region::Param => &self.memory.params,
            Region::ParamBf16 => return self.read_bf16(id, place),
            Region::Gradient => &self.memory.gradients,
            Region::State(slot) => &self.memory.state[slot as usize],
        };
        let mut words = words[place.offset as usize..(place.offset + place.bytes) as usize].as_chunks::<4>().0.iter();
        let tensor = |shape: Vec<usize>| {
            let own = words.by_ref().take(shape.iter().product());
            let data = own.map(|word| decode(*word, buffer.ty.dtype)).collect();
            Tensor { dtype: buffer.ty.dtype, axes: buffer.ty.axes.clone(), shape, data }
        };
        value_of(self.extents(id).into_iter().map(tensor).collect(), buffer.ty.per_sample)
    }

    /// Writes a value to a buffer in the buffer's order of axes, rounded to its element type; or adds it to what is there.
    pub fn write(&mut self, id: BufferId, value: &Value, accumulate: bool) {
        let buffer = self.buffer(id);
        let per_sample = matches!(value, Value::PerSample(_));
        self.check(per_sample == buffer.ty.per_sample, || format!("`{}` and what is stored there differ in being per sample", buffer.name));
        let before = accumulate.then(|| self.read(id));
        let mut words = Vec::new();
        for (sample, (tensor, shape)) in value.tensors().iter().zip(self.extents(id)).enumerate() {
            self.check(tensor.dtype == buffer.ty.dtype, || {
                format!("`{}` holds {:?}, not {:?}", buffer.name, buffer.ty.dtype, tensor.dtype)
            });
            let same = tensor.axes.len() == buffer.ty.axes.len() && buffer.ty.axes.iter().all(|axis| tensor.axes.contains(axis));
            self.check(same, || format!("`{}` has axes {:?}, not {:?}", buffer.name, buffer.ty.axes, tensor.axes));
            let mut stored = tensor.permuted(&buffer.ty.axes);
            self.check(stored.shape == shape, || format!("`{}` has extents {shape:?}, not {:?}", buffer.name, stored.shape));
            if let Some(before) = &before {
                for (sum, old) in stored.data.iter_mut().zip(&before.of_sample(sample).data) {
                    *sum += old;
                }
            }
            words.extend(stored.data.iter().flat_map(|element| encode(*element, buffer.ty.dtype)));
        }
        let place = self.place(id);
        let root = self.root(id).0;
        let range = place.offset as usize..(place.offset + place.bytes) as usize;
        self.check(range.len() == words.len(), || format!("`{}` takes {} bytes, {} were computed", buffer.name, range.len(), words.len()));
        match place.region {
            Region::Arena => {
                self.writers[range.start / 4..range.end / 4].fill(root);
                self.memory.arena[range].copy_from_slice(&words);
            }
            Region::Param => self.memory.params[range].copy_from_slice(&words),
            Region::ParamBf16 => self.fail(format!("`{}` is stored as bfloat16 and cannot be written", buffer.name)),
            Region::Gradient => self.memory.gradients[range].copy_from_slice(&words),
            Region::State(slot) => self.memory.state[slot as usize][range].copy_from_slice(&words),
            Region::Input => self.fail(format!("`{}` is an input and cannot be written", buffer.name)),
        }
    }

    /// Reads a parameter that is stored as bfloat16, the upper half of an f32.
    fn read_bf16(&self, id: BufferId, place: Place) -> Value {
        let ty = &self.buffer(id).ty;
        let bytes = &self.memory.params[place.offset as usize..(place.offset + place.bytes) as usize];
        let mut halves = bytes.as_chunks::<2>().0.iter();
        let tensor = |shape: Vec<usize>| {
            let own = halves.by_ref().take(shape.iter().product());
            let data = own.map(|half| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*half)) << 16))).collect();
            Tensor { dtype: ty.dtype, axes: ty.axes.clone(), shape, data }
        };
        value_of(self.extents(id).into_iter().map(tensor).collect(), ty.per_sample)
    }

    /// Reads an input from the batch: under the root's type, then as the words under this buffer's axes.
    fn read_input(&self, id: BufferId) -> Value {
        let root = self.root(id);
        let source = self.program.inputs.iter().find(|input| input.buffer == root);
        let source = source.unwrap_or_else(|| self.fail(format!("no input brings buffer `{}`", self.buffer(root).name)));
        let stored = input(self.scope(), &source.name, &self.buffer(root).ty);
        let ty = &self.buffer(id).ty;
        let tensors = stored.tensors().iter().zip(self.extents(id));
        let tensors = tensors.map(|(tensor, shape)| Tensor { axes: ty.axes.clone(), shape, ..tensor.clone() }).collect();
        value_of(tensors, ty.per_sample)
    }

    fn check_writers(&self, id: BufferId, place: Place) {
        let root = self.root(id).0;
        for word in place.offset / 4..(place.offset + place.bytes) / 4 {
            let writer = self.writers[word as usize];
            if writer != root {
                let name = &self.buffer(id).name;
                let cause = match writer {
                    NEVER => String::from("was never written"),
                    writer => format!("was overwritten by `{}` (buffer {writer})", self.buffer(BufferId(writer)).name),
                };
                self.fail(format!("reads `{name}` (buffer {}), of which the word at byte {} {cause}", id.0, word * 4));
            }
        }
    }
}

fn decode(word: [u8; 4], dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::from_le_bytes(word)),
        DType::I32 | DType::Bool => f64::from(i32::from_le_bytes(word)),
    }
}

fn encode(element: f64, dtype: DType) -> [u8; 4] {
    match dtype {
        DType::F32 => (element as f32).to_le_bytes(),
        DType::I32 | DType::Bool => (element as i32).to_le_bytes(),
    }
}
