//! Compiled programs and their runs.

use std::collections::HashMap;
use std::time::Instant;

use mgx_diag::Diagnostic;
use mgx_ir::graph::DType;
use mgx_ir::plan::{Batch, Buffer, BufferId, FusedStep, InputData, Program, ReduceSpace, StepKind, Storage};
use mgx_kernels::matmul::widen;
use rayon::prelude::*;

use crate::checks::Checks;
use crate::fused::canonical::{Canonical, canonical};
use crate::fused::expand::Reject;
use crate::fused::jit::{self, Code};
use crate::fused::launch::{self, Kernel, Launch};
use crate::fused::space::Space;
use crate::memory::Memory;
use crate::pointers::Buffers;
use crate::shapes::{self, BatchShapes, Shapes};
use crate::steps::attention::{Attention, AttentionGrad};
use crate::steps::contract::Contraction;
use crate::steps::convolution::Convolution;
use crate::steps::routed::{Routed, RoutedOuter};
use crate::steps::scatter::Scatter;

/// A program lowered for this CPU: generated kernels and a list of steps. It can run from several threads, each with a memory of its own.
pub struct Executable {
    buffers: Vec<Buffer>,
    /// By buffer, the buffer that has the storage.
    roots: Vec<usize>,
    /// By buffer, the name of the input that it is.
    input_names: HashMap<usize, String>,
    outputs: Vec<(String, usize)>,
    shapes: Shapes,
    lengths: usize,
    checks: Checks,
    kernels: Vec<Kernel>,
    steps: Vec<StepCode>,
    arena_bytes: u64,
    /// Owns the machine code that `kernels` point to.
    _code: Code,
}

enum StepCode {
    Fused(Launch),
    Contract(Contraction),
    Convolution(Convolution),
    Attention(Attention),
    AttentionGrad(Box<AttentionGrad>),
    Scatter(Scatter),
    Routed(Box<Routed>),
    RoutedOuter(Box<RoutedOuter>),
}

/// Fused steps on the way to kernels.
#[derive(Default)]
struct Fusion {
    numbers: HashMap<String, usize>,
    forms: Vec<Canonical>,
}

impl Executable {
    /// Lowers and compiles a program.
    ///
    /// # Errors
    /// Where the program breaks the rules of `mgx_ir::plan` (E0800), or code cannot be generated for this machine (E0801, E0802).
    pub fn new(program: &Program) -> Result<Self, Diagnostic> {
        let mut shapes = Shapes::new(program)?;
        let roots = roots(program)?;
        let mut checks = Checks::default();
        let mut fusion = Fusion::default();
        let mut bound = Vec::with_capacity(program.steps.len());
        for step in &program.steps {
            if let StepKind::Fused(step) = &step.kind {
                check_stores(program, &roots, step)?;
                checks.add(program, &mut shapes, step)?;
                let (form, binding) = canonical(program, step)?;
                bound.push(Some((fusion.number(form), binding)));
            } else {
                bound.push(None);
            }
        }
        let spaces: Vec<Space> = fusion.forms.par_iter().map(space).collect::<Result<_, _>>()?;
        let code = jit::compile(&spaces)?;
        let kernels: Vec<Kernel> = spaces
            .iter()
            .zip(&fusion.forms)
            .zip(&code.kernels)
            .map(|((space, form), functions)| {
                Kernel::new(space, form.step.reduce == (ReduceSpace::Outer { batch: true }), functions.clone())
            })
            .collect();
        let mut steps = Vec::with_capacity(program.steps.len());
        for (step, bound) in program.steps.iter().zip(bound) {
            steps.push(match (&step.kind, bound) {
                (_, Some((number, binding))) => StepCode::Fused(kernels[number].launch(number, binding, &mut shapes)),
                (StepKind::Contract(step), _) if step.windows.is_some() => {
                    StepCode::Convolution(Convolution::new(program, &mut shapes, step)?)
                }
                (StepKind::Contract(step), _) => StepCode::Contract(Contraction::new(program, &mut shapes, step)?),
                (StepKind::Attention(step), _) => StepCode::Attention(Attention::new(program, &mut shapes, step)?),
                (StepKind::AttentionGrad(step), _) => StepCode::AttentionGrad(AttentionGrad::new(program, &mut shapes, step)?.into()),
                (StepKind::Scatter(step), _) => StepCode::Scatter(Scatter::new(program, &mut shapes, step)?),
                (StepKind::Routed(step), _) => StepCode::Routed(Routed::new(program, &mut shapes, step)?.into()),
                (StepKind::RoutedOuter(step), _) => StepCode::RoutedOuter(RoutedOuter::new(program, &mut shapes, step)?.into()),
                (StepKind::Fused(_), None) => return Err(shapes::malformed("a fused step has no kernel")),
            });
        }
        Ok(Self {
            buffers: program.buffers.clone(),
            roots,
            input_names: program.inputs.iter().map(|input| (input.buffer.0 as usize, input.name.clone())).collect(),
            outputs: outputs(program)?,
            lengths: shapes::lengths_needed(&shapes),
            shapes,
            checks,
            kernels,
            steps,
            arena_bytes: program.arena_bytes,
            _code: code,
        })
    }

    /// Bytes of arena that the program needs.
    pub fn arena_bytes(&self) -> u64 {
        self.arena_bytes
    }

    /// Runs the program on a batch. Inputs are read from the batch by name; scalars are F32 of one element.
    ///
    /// # Errors
    /// Before anything is computed: where a sample lacks lengths (E0803), an input is missing (E0804) or of another size or type (E0805), a
    /// memory is too small for this batch (E0806), or lengths do not fit the program (E0807).
    pub fn run(&self, memory: &mut Memory, batch: &Batch) -> Result<(), Diagnostic> {
        self.run_with(memory, batch, &mut |_| {})
    }

    /// As [`Executable::run`], and gives the seconds that each step of the program took.
    ///
    /// # Errors
    /// As there.
    pub fn profile(&self, memory: &mut Memory, batch: &Batch) -> Result<Vec<f64>, Diagnostic> {
        let mut seconds = Vec::with_capacity(self.steps.len());
        let mut last = Instant::now();
        self.run_with(memory, batch, &mut |_| {
            let now = Instant::now();
            seconds.push((now - last).as_secs_f64());
            last = now;
        })?;
        Ok(seconds)
    }

    fn run_with(&self, memory: &mut Memory, batch: &Batch, done: &mut (dyn FnMut(usize) + Send)) -> Result<(), Diagnostic> {
        let shapes = BatchShapes::new(&self.shapes, self.lengths, batch)?;
        self.checks.run(&shapes)?;
        let buffers = self.place(memory, batch, &shapes)?;
        if rayon::current_thread_index().is_some() {
            return self.run_steps(&buffers, &shapes, batch, done);
        }
        // From within the pool, sharing a step's work does not wait for another thread to wake up.
        let mut result = Ok(());
        rayon::scope(|_| result = self.run_steps(&buffers, &shapes, batch, done));
        result
    }

    fn run_steps(
        &self,
        buffers: &Buffers,
        shapes: &BatchShapes,
        batch: &Batch,
        done: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(), Diagnostic> {
        for (index, step) in self.steps.iter().enumerate() {
            match step {
                StepCode::Fused(step) => launch::run(&self.kernels[step.kernel], step, buffers, shapes, batch),
                StepCode::Contract(step) => step.run(buffers, shapes)?,
                StepCode::Convolution(step) => step.run(buffers, shapes)?,
                StepCode::Attention(step) => step.run(buffers, shapes)?,
                StepCode::AttentionGrad(step) => step.run(buffers, shapes)?,
                StepCode::Scatter(step) => step.run(buffers, shapes)?,
                StepCode::Routed(step) => step.run(buffers, shapes)?,
                StepCode::RoutedOuter(step) => step.run(buffers, shapes)?,
            }
            done(index);
        }
        Ok(())
    }

    /// A copy of a named output after a run on `batch`: the samples one after another.
    ///
    /// # Errors
    /// Where there is no such output (E0808), or the batch or the memory is not that of the run (E0803 to E0806).
    pub fn output(&self, memory: &Memory, batch: &Batch, name: &str) -> Result<InputData, Diagnostic> {
        let Some((_, buffer)) = self.outputs.iter().find(|(output, _)| output == name) else {
            let names: Vec<&str> = self.outputs.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Diagnostic::error("E0808", format!("the program has no output `{name}`"))
                .note(format!("its outputs are: {}", names.join(", "))));
        };
        let shapes = BatchShapes::new(&self.shapes, self.lengths, batch)?;
        let bytes = shapes.elements(self.shapes.form(*buffer)) * 4;
        let root = self.roots[*buffer];
        let (memory, offset) = match self.buffers[root].storage {
            Storage::Arena { offset, .. } => (&memory.arena, offset),
            Storage::Param { offset } => (&memory.params, offset),
            Storage::ParamBf16 { offset } => return halves(&self.buffers[root], &memory.params, offset, bytes / 2),
            Storage::Gradient { offset } => (&memory.gradients, offset),
            Storage::State { slot, offset } => match memory.state.get(slot as usize) {
                Some(state) => (state, offset),
                None => return Err(too_small(&self.buffers[root], bytes, 0)),
            },
            Storage::Input => return self.input(root, batch).cloned(),
            Storage::Alias(_) => return Err(shapes::malformed(format!("output `{name}` has no storage"))),
        };
        let end = offset.saturating_add(bytes);
        let Some(place) = memory.get(offset as usize..end as usize) else {
            return Err(too_small(&self.buffers[root], end, memory.len() as u64));
        };
        let words = place.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
        Ok(match self.buffers[*buffer].ty.dtype {
            DType::F32 => InputData::F32(words.map(f32::from_le_bytes).collect()),
            DType::I32 | DType::Bool => InputData::I32(words.map(i32::from_le_bytes).collect()),
        })
    }

    fn input<'a>(&self, buffer: usize, batch: &'a Batch) -> Result<&'a InputData, Diagnostic> {
        let Some(name) = self.input_names.get(&buffer) else {
            return Err(shapes::malformed(format!("no input brings buffer `{}`", self.buffers[buffer].name)));
        };
        batch.inputs.get(name).ok_or_else(|| Diagnostic::error("E0804", format!("the batch does not bring the input `{name}`")))
    }

    /// Where each buffer is in this run. Every one is checked to be large enough for the batch.
    fn place(&self, memory: &mut Memory, batch: &Batch, shapes: &BatchShapes) -> Result<Buffers, Diagnostic> {
        let forms: Vec<usize> = (0..self.buffers.len()).map(|buffer| self.shapes.form(buffer)).collect();
        let mut starts: Vec<*mut u8> = Vec::with_capacity(self.buffers.len());
        for (number, buffer) in self.buffers.iter().enumerate() {
            let root = self.roots[number];
            if root != number {
                self.check_alias(number, root, shapes)?;
            }
            let element = if matches!(self.buffers[root].storage, Storage::ParamBf16 { .. }) { 2 } else { 4 };
            let bytes = shapes.elements(forms[number]).saturating_mul(element);
            let (start, offset, len) = match self.buffers[root].storage {
                Storage::Arena { offset, bytes: reserved } => {
                    if bytes > reserved {
                        return Err(too_small(buffer, bytes, reserved));
                    }
                    (memory.arena.as_mut_ptr(), offset, memory.arena.len())
                }
                Storage::Param { offset } | Storage::ParamBf16 { offset } => (memory.params.as_mut_ptr(), offset, memory.params.len()),
                Storage::Gradient { offset } => (memory.gradients.as_mut_ptr(), offset, memory.gradients.len()),
                Storage::State { slot, offset } => match memory.state.get_mut(slot as usize) {
                    Some(state) => (state.as_mut_ptr(), offset, state.len()),
                    None => return Err(too_small(buffer, bytes, 0)),
                },
                Storage::Input => {
                    starts.push(self.place_input(root, batch, bytes / 4)?);
                    continue;
                }
                Storage::Alias(_) => return Err(shapes::malformed(format!("buffer `{}` has no storage", buffer.name))),
            };
            let end = offset.saturating_add(bytes);
            if end > len as u64 {
                return Err(too_small(buffer, end, len as u64));
            }
            starts.push(start.wrapping_add(offset as usize));
        }
        Ok(Buffers::new(starts, forms))
    }

    fn check_alias(&self, buffer: usize, root: usize, shapes: &BatchShapes) -> Result<(), Diagnostic> {
        let (form, root_form) = (self.shapes.form(buffer), self.shapes.form(root));
        if form == root_form || shapes.offsets(form) == shapes.offsets(root_form) {
            return Ok(());
        }
        let (name, other) = (&self.buffers[buffer].name, &self.buffers[root].name);
        Err(shapes::malformed(format!("`{name}` is an alias of `{other}` and of another size")))
    }

    fn place_input(&self, buffer: usize, batch: &Batch, elements: u64) -> Result<*mut u8, Diagnostic> {
        let data = self.input(buffer, batch)?;
        let (start, len, floats): (*const u8, usize, bool) = match data {
            InputData::F32(data) => (data.as_ptr().cast(), data.len(), true),
            InputData::I32(data) => (data.as_ptr().cast(), data.len(), false),
        };
        let name = self.input_names.get(&buffer).map_or("", String::as_str);
        if len as u64 != elements {
            let message = format!("the input `{name}` has {len} elements where this batch has {elements}");
            return Err(Diagnostic::error("E0805", message));
        }
        if floats != (self.buffers[buffer].ty.dtype == DType::F32) {
            let (is, due) = if floats { ("numbers", "integers") } else { ("integers", "numbers") };
            return Err(Diagnostic::error("E0805", format!("the input `{name}` is of {is} where the program reads {due}")));
        }
        // Nothing is written to it: stores to inputs are refused when the program is compiled.
        Ok(start.cast_mut())
    }
}

impl Fusion {
    /// The number of a form, equal for equal ones.
    fn number(&mut self, form: Canonical) -> usize {
        let forms = &mut self.forms;
        *self.numbers.entry(form.key()).or_insert_with(|| {
            forms.push(form);
            forms.len() - 1
        })
    }
}

fn space(form: &Canonical) -> Result<Space, Diagnostic> {
    Space::new(form).map_err(|reject| match reject {
        Reject::Malformed(message) => shapes::malformed(message),
        Reject::Samples => shapes::malformed("a fused step that is not per sample depends on sizes of a sample"),
    })
}

/// By buffer, the buffer whose storage it shares.
fn roots(program: &Program) -> Result<Vec<usize>, Diagnostic> {
    let root = |number: usize| {
        let mut root = number;
        for _ in 0..program.buffers.len() {
            match program.buffers.get(root).map(|buffer| buffer.storage) {
                Some(Storage::Alias(BufferId(next))) => root = next as usize,
                Some(_) => return Ok(root),
                None => break,
            }
        }
        Err(shapes::malformed(format!("buffer `{}` is an alias of nothing", program.buffers[number].name)))
    };
    (0..program.buffers.len()).map(root).collect()
}

fn check_stores(program: &Program, roots: &[usize], step: &FusedStep) -> Result<(), Diagnostic> {
    for store in &step.stores {
        let root = roots.get(store.buffer.0 as usize).map(|root| program.buffers[*root].storage);
        if matches!(root, None | Some(Storage::Input | Storage::ParamBf16 { .. })) {
            return Err(shapes::malformed(format!("a step stores to buffer {}, which cannot be written", store.buffer.0)));
        }
        let axes = program.buffers[store.buffer.0 as usize].ty.axes.len();
        let (outer, inner) = (step.outer.len(), step.inner.len());
        let complete = match step.reduce {
            ReduceSpace::None => axes == outer + inner,
            ReduceSpace::Inner => axes == outer + inner || axes == outer,
            ReduceSpace::Outer { .. } => axes == inner,
        };
        if !complete {
            return Err(shapes::malformed(format!("a step over {outer} and {inner} axes stores to buffer {} of {axes}", store.buffer.0)));
        }
    }
    Ok(())
}

fn outputs(program: &Program) -> Result<Vec<(String, usize)>, Diagnostic> {
    let output = |output: &mgx_ir::plan::ProgramInput| match program.buffers.get(output.buffer.0 as usize) {
        Some(_) => Ok((output.name.clone(), output.buffer.0 as usize)),
        None => Err(shapes::malformed(format!("output `{}` has no buffer", output.name))),
    };
    program.outputs.iter().map(output).collect()
}

/// A parameter that is stored as bfloat16, widened.
fn halves(buffer: &Buffer, memory: &[u8], offset: u64, bytes: u64) -> Result<InputData, Diagnostic> {
    let end = offset.saturating_add(bytes);
    let place = memory.get(offset as usize..end as usize).ok_or_else(|| too_small(buffer, end, memory.len() as u64))?;
    Ok(InputData::F32(place.as_chunks::<2>().0.iter().map(|half| widen(u16::from_le_bytes(*half))).collect()))
}

fn too_small(buffer: &Buffer, needed: u64, available: u64) -> Diagnostic {
    Diagnostic::error("E0806", format!("`{}` needs {needed} bytes for this batch and has {available}", buffer.name))
        .help("use batches of at most the size that the plan was made for")
}
