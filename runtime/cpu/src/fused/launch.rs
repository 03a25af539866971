//! Running a kernel over the samples of a batch: what each call is given, and how the work is cut into calls.
//!
//! Where work is cut depends on sizes alone, never on the number of threads, and for what is per sample on the sample's own sizes alone:
//! results have the same bits in any batch and on any machine with the same instructions.

use mgx_ir::graph::{DType, ReduceOp};
use mgx_ir::plan::Batch;
use mgx_ir::random::site_key;
use rayon::prelude::*;

use super::abi::KernelArgs;
use super::canonical::Binding;
use super::emit::{Role, ScratchSize};
use super::expand::Samples;
use super::expr::SizeKey;
use super::index::{Atom, Poly};
use super::jit::CompiledFunction;
use super::primitives;
use super::space::{Shape, Space};
use crate::pointers::{Buffers, with_scratch};
use crate::shapes::{BatchShapes, Shapes, SizeId};

/// Elements of one call, about: large enough for a call to cost nothing, small enough to share among threads.
const GRAIN: i64 = 16 * 1024;

/// Elements that one partial result of a reduction over rows stands for, about.
const PARTIAL_GRAIN: i64 = 128 * 1024;

/// Columns of one partial result: as many as stay in the first-level cache.
const PARTIAL_COLUMNS: i64 = 4 * 1024;

/// Elements after results that may be read, though never used: a vector.
const SPARE: usize = 4;

/// A compiled kernel and how to run it.
pub(crate) struct Kernel {
    shape: Shape,
    samples: Samples,
    rows: HostSize,
    columns: HostSize,
    sizes: Vec<SizeKey>,
    reductions: Vec<(ReduceOp, DType)>,
    /// Are the reductions over all samples?
    over_batch: bool,
    functions: Vec<CompiledFunction>,
}

/// A kernel with what it works on in a program.
pub(crate) struct Launch {
    pub kernel: usize,
    binding: Binding,
    sizes: Vec<SizeSource>,
}

/// A product of sizes and a constant, summed.
struct HostSize(Vec<(Vec<usize>, i64)>);

enum SizeSource {
    Sample(SizeId),
    Samples,
    Total(SizeId),
}

impl HostSize {
    fn new(space: &Space, poly: &Poly) -> Self {
        let size = |atom| match space.exprs.indices.atom(atom) {
            Atom::Size(number) => *number as usize,
            // Extents are products of sizes alone.
            other => unreachable!("an extent holds {other:?}"),
        };
        Self(poly.terms.iter().map(|(atoms, value)| (atoms.iter().map(|atom| size(*atom)).collect(), *value)).collect())
    }

    fn eval(&self, sizes: &[i64]) -> i64 {
        self.0.iter().map(|(factors, constant)| factors.iter().fold(*constant, |product, at| product.saturating_mul(sizes[*at]))).sum()
    }
}

impl Kernel {
    /// A kernel for a space.
    pub fn new(space: &Space, over_batch: bool, functions: Vec<CompiledFunction>) -> Self {
        Self {
            shape: space.shape,
            samples: space.samples,
            rows: HostSize::new(space, &space.rows),
            columns: HostSize::new(space, &space.columns),
            sizes: space.exprs.sizes.clone(),
            reductions: space.exprs.reductions.iter().map(|reduction| (reduction.op, reduction.dtype)).collect(),
            over_batch,
            functions,
        }
    }

    /// Binds the kernel, of this number, to a program.
    pub fn launch(&self, number: usize, binding: Binding, shapes: &mut Shapes) -> Launch {
        let sizes = self.sizes.iter().map(|key| match key {
            SizeKey::Sample(expr) => SizeSource::Sample(shapes.size(expr)),
            SizeKey::Samples => SizeSource::Samples,
            SizeKey::Total(expr) => SizeSource::Total(shapes.size(expr)),
        });
        let sizes = sizes.collect();
        Launch { kernel: number, binding, sizes }
    }
}

/// What the calls for one sample, or for all, have in common.
struct Bound {
    buffers: Vec<*mut u8>,
    sizes: Vec<i64>,
    keys: Vec<u64>,
    keys_per_site: i64,
    rows: i64,
    columns: i64,
}

// SAFETY: the pointers are to memory that the run holds exclusively; calls write disjoint parts of it, as the plan says.
unsafe impl Send for Bound {}
// SAFETY: as above.
unsafe impl Sync for Bound {}

/// Rows and columns of one call.
#[derive(Clone, Copy)]
struct Piece {
    bound: usize,
    rows: (i64, i64),
    columns: (i64, i64),
}

/// What one partial result is of.
struct Chunk {
    group: usize,
    pieces: Vec<Piece>,
    columns: (i64, i64),
}

/// What shares results of reductions over rows.
struct Group {
    /// Columns of the results.
    columns: i64,
    results: Vec<u32>,
}

/// Memory that reductions over rows use in a call: results, partial results as if they began at column 0, and their strides.
#[derive(Clone, Copy)]
struct Accumulators {
    results: *const u32,
    partials: *mut u32,
    stride: i64,
    partial_stride: i64,
}

impl Accumulators {
    fn none() -> Self {
        Self { results: std::ptr::null(), partials: std::ptr::null_mut(), stride: 0, partial_stride: 0 }
    }
}

/// Everything of one launch.
struct Run<'a> {
    kernel: &'a Kernel,
    launch: &'a Launch,
    buffers: &'a Buffers,
    shapes: &'a BatchShapes,
    batch: &'a Batch,
}

/// Runs a kernel over a batch.
pub(crate) fn run(kernel: &Kernel, launch: &Launch, buffers: &Buffers, shapes: &BatchShapes, batch: &Batch) {
    let run = Run { kernel, launch, buffers, shapes, batch };
    let bounds: Vec<Bound> = match kernel.samples {
        Samples::Each => (0..shapes.samples()).map(|sample| run.bind(Some(sample))).collect(),
        _ => vec![run.bind(None)],
    };
    match kernel.shape {
        Shape::Map | Shape::Rows => run.whole(&bounds),
        Shape::Columns | Shape::All => run.reduce(&bounds),
    }
}

impl Run<'_> {
    fn bind(&self, sample: Option<usize>) -> Bound {
        let size = |source: &SizeSource| match source {
            SizeSource::Sample(size) => sample.map_or(0, |sample| self.shapes.value(*size, sample)),
            SizeSource::Samples => self.shapes.samples() as u64,
            SizeSource::Total(size) => (0..self.shapes.samples()).map(|sample| self.shapes.value(*size, sample)).sum(),
        };
        let sizes: Vec<i64> = self.launch.sizes.iter().map(|source| size(source) as i64).collect();
        let buffers = self.launch.binding.buffers.iter().map(|buffer| self.buffers.start(buffer.0 as usize, sample, self.shapes)).collect();
        let dense = self.kernel.samples == Samples::Dense;
        let keys_per_site = if dense { self.shapes.samples().max(1) } else { 1 };
        let mut keys = Vec::with_capacity(self.launch.binding.sites.len() * keys_per_site);
        for (site, per_sample) in &self.launch.binding.sites {
            for place in 0..keys_per_site {
                let owner = if dense { Some(place) } else { sample };
                let owner = owner.filter(|_| *per_sample).and_then(|owner| self.batch.samples.get(owner));
                keys.push(site_key(self.batch.random, *site, owner.map_or(0, |sample| sample.key)));
            }
        }
        let (rows, columns) = (self.kernel.rows.eval(&sizes), self.kernel.columns.eval(&sizes));
        Bound { buffers, sizes, keys, keys_per_site: keys_per_site as i64, rows, columns }
    }

    fn whole(&self, bounds: &[Bound]) {
        let Some(function) = self.kernel.functions.first() else { return };
        let mut pieces = Vec::new();
        let mut work = 0i64;
        for (number, bound) in bounds.iter().enumerate() {
            work = work.saturating_add(bound.rows.saturating_mul(bound.columns.max(1)));
            let width = match self.kernel.shape {
                Shape::Map if bound.columns > 2 * GRAIN => GRAIN,
                _ => bound.columns.max(1),
            };
            let height = (GRAIN / width).max(1);
            for rows in ranges(bound.rows, height) {
                // A row without columns still has a result.
                let columns = if bound.columns == 0 { vec![(0, 0)] } else { ranges(bound.columns, width).collect() };
                pieces.extend(columns.into_iter().map(|columns| Piece { bound: number, rows, columns }));
            }
        }
        let call = |piece: &Piece| self.call(function, &bounds[piece.bound], *piece, Accumulators::none());
        if pieces.len() > 1 && work > 2 * GRAIN && rayon::current_num_threads() > 1 {
            pieces.par_iter().for_each(call);
        } else {
            pieces.iter().for_each(call);
        }
    }

    fn reduce(&self, bounds: &[Bound]) {
        let all = self.kernel.shape == Shape::All;
        let shared = self.kernel.over_batch || self.kernel.samples != Samples::Each;
        // Over a batch, what comes after the reduction belongs to no sample.
        let common = (shared && self.kernel.samples == Samples::Each).then(|| self.bind(None));
        let group_bounds: Vec<&Bound> = match &common {
            Some(bound) => vec![bound],
            None => bounds.iter().collect(),
        };
        let mut groups: Vec<Group> = group_bounds.iter().map(|bound| self.group(if all { 1 } else { bound.columns })).collect();
        for function in &self.kernel.functions {
            match function.role {
                Role::Partial(_) => {
                    let chunks = self.chunks(bounds, &groups, shared);
                    let partials = self.partials(function, bounds, &chunks, &groups);
                    for (chunk, partial) in chunks.iter().zip(partials) {
                        self.add(function.role, &mut groups[chunk.group], chunk, &partial);
                    }
                }
                _ => self.finish(function, &group_bounds, &groups),
            }
        }
    }

    fn group(&self, columns: i64) -> Group {
        let identities = self.kernel.reductions.iter().map(|(op, dtype)| primitives::identity(*op, *dtype));
        let mut results: Vec<u32> = identities.flat_map(|identity| std::iter::repeat_n(identity, columns as usize)).collect();
        // A read under a condition that does not hold is of the first elements, also where there are none.
        results.resize(results.len() + SPARE, 0);
        Group { columns, results }
    }

    /// Cuts the rows (and columns) of each group into chunks, in order.
    fn chunks(&self, bounds: &[Bound], groups: &[Group], shared: bool) -> Vec<Chunk> {
        let mut chunks: Vec<Chunk> = Vec::new();
        for (group, of) in groups.iter().enumerate() {
            let members = if shared { 0..bounds.len() } else { group..group + 1 };
            match self.kernel.shape {
                Shape::All => self.chunk_all(bounds, members, group, &mut chunks),
                _ => {
                    for columns in ranges(of.columns, PARTIAL_COLUMNS) {
                        let height = (PARTIAL_GRAIN / (columns.1 - columns.0)).max(16);
                        let pieces = members
                            .clone()
                            .flat_map(|bound| ranges(bounds[bound].rows, height).map(move |rows| Piece { bound, rows, columns }));
                        gather(pieces, height * (columns.1 - columns.0), group, columns, &mut chunks);
                    }
                }
            }
        }
        chunks
    }

    fn chunk_all(&self, bounds: &[Bound], members: std::ops::Range<usize>, group: usize, chunks: &mut Vec<Chunk>) {
        let pieces = members.flat_map(|number| {
            let bound = &bounds[number];
            let width = if bound.columns > PARTIAL_GRAIN { PARTIAL_GRAIN } else { bound.columns.max(1) };
            let height = (PARTIAL_GRAIN / width).max(1);
            ranges(bound.rows, height)
                .flat_map(move |rows| ranges(bound.columns, width).map(move |columns| Piece { bound: number, rows, columns }))
        });
        gather(pieces, PARTIAL_GRAIN, group, (0, 1), chunks);
    }

    fn partials(&self, function: &CompiledFunction, bounds: &[Bound], chunks: &[Chunk], groups: &[Group]) -> Vec<Vec<u32>> {
        let compute = |chunk: &Chunk| {
            let group = &groups[chunk.group];
            let width = chunk.columns.1 - chunk.columns.0;
            let mut partial = self.group(width).results;
            for piece in &chunk.pieces {
                let accumulators = Accumulators {
                    results: group.results.as_ptr(),
                    partials: partial.as_mut_ptr().wrapping_sub(chunk.columns.0 as usize),
                    stride: group.columns,
                    partial_stride: width,
                };
                self.call(function, &bounds[piece.bound], *piece, accumulators);
            }
            partial
        };
        let work: i64 = chunks.iter().flat_map(|chunk| &chunk.pieces).map(Piece::work).sum();
        if chunks.len() > 1 && work > 2 * GRAIN && rayon::current_num_threads() > 1 {
            chunks.par_iter().map(compute).collect()
        } else {
            chunks.iter().map(compute).collect()
        }
    }

    /// Adds a partial result of a round to the results.
    fn add(&self, role: Role, group: &mut Group, chunk: &Chunk, partial: &[u32]) {
        let width = (chunk.columns.1 - chunk.columns.0) as usize;
        debug_assert!(matches!(role, Role::Partial(_)));
        for (number, (op, dtype)) in self.kernel.reductions.iter().enumerate() {
            let start = number * group.columns as usize + chunk.columns.0 as usize;
            let results = &mut group.results[start..start + width];
            // Reductions of other rounds hold the reduction of nothing here.
            for (result, value) in results.iter_mut().zip(&partial[number * width..(number + 1) * width]) {
                *result = primitives::combine(*op, *dtype, *result, *value);
            }
        }
    }

    fn finish(&self, function: &CompiledFunction, bounds: &[&Bound], groups: &[Group]) {
        let mut pieces = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let columns = if group.columns == 0 { vec![(0, 0)] } else { ranges(group.columns, GRAIN).collect() };
            pieces.extend(columns.into_iter().map(|columns| Piece { bound: number, rows: (0, 1), columns }));
        }
        let call = |piece: &Piece| {
            let group = &groups[piece.bound];
            let accumulators = Accumulators { results: group.results.as_ptr(), stride: group.columns, ..Accumulators::none() };
            self.call(function, bounds[piece.bound], *piece, accumulators);
        };
        if pieces.iter().map(Piece::work).sum::<i64>() > 2 * GRAIN && rayon::current_num_threads() > 1 {
            pieces.par_iter().for_each(call);
        } else {
            pieces.iter().for_each(call);
        }
    }

    fn call(&self, function: &CompiledFunction, bound: &Bound, piece: Piece, accumulators: Accumulators) {
        let ScratchSize { rows, tiles } = function.scratch;
        let scratch_row = (bound.columns as usize * 4).next_multiple_of(64);
        with_scratch(rows * scratch_row + tiles, |scratch| {
            let args = KernelArgs {
                buffers: bound.buffers.as_ptr(),
                sizes: bound.sizes.as_ptr(),
                keys: bound.keys.as_ptr(),
                scratch,
                results: accumulators.results,
                partials: accumulators.partials,
                row_begin: piece.rows.0,
                row_end: piece.rows.1,
                column_begin: piece.columns.0,
                column_end: piece.columns.1,
                scratch_row: scratch_row as i64,
                columns: accumulators.stride,
                partial_columns: accumulators.partial_stride,
                keys_per_site: bound.keys_per_site,
            };
            // SAFETY: the kernel was generated for these arguments. Every buffer holds all elements of this batch, which has been checked
            // when the run began; conditional reads stay inside by construction; scratch memory is as large as the code asks for.
            unsafe { (function.call)(&args) }
        });
    }
}

impl Piece {
    fn work(&self) -> i64 {
        (self.rows.1 - self.rows.0).saturating_mul((self.columns.1 - self.columns.0).max(1))
    }
}

/// `0..end` in steps.
fn ranges(end: i64, step: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..end.max(0)).step_by(step.max(1) as usize).map(move |start| (start, (start + step).min(end)))
}

/// Puts pieces into chunks of at least `grain` elements (the last may have less).
fn gather(pieces: impl Iterator<Item = Piece>, grain: i64, group: usize, columns: (i64, i64), chunks: &mut Vec<Chunk>) {
    let mut current: Vec<Piece> = Vec::new();
    let mut work = 0;
    for piece in pieces {
        work += piece.work();
        current.push(piece);
        if work >= grain {
            chunks.push(Chunk { group, pieces: std::mem::take(&mut current), columns });
            work = 0;
        }
    }
    if !current.is_empty() {
        chunks.push(Chunk { group, pieces: current, columns });
    }
}
