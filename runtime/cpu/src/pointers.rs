//! Where the buffers of a program are during a run, and scratch memory of threads.

use std::cell::Cell;

use crate::memory::AlignedBytes;
use crate::shapes::{BatchShapes, FormId};

/// What is read where a buffer has no elements: reads that are made but not used.
#[repr(align(64))]
struct Nothing(#[allow(dead_code)] [u8; 64]);

static NOTHING: Nothing = Nothing([0; 64]);

/// The first byte of each buffer of a program, in one run.
pub(crate) struct Buffers {
    starts: Vec<*mut u8>,
    forms: Vec<FormId>,
}

// SAFETY: the memory is held exclusively by the run; steps write what the plan gives them and nothing else.
unsafe impl Send for Buffers {}
// SAFETY: as above.
unsafe impl Sync for Buffers {}

impl Buffers {
    /// The starts of all buffers, and their forms.
    pub fn new(starts: Vec<*mut u8>, forms: Vec<FormId>) -> Self {
        Self { starts, forms }
    }

    /// The first element of a buffer, or of what a sample has in it. Where that is nothing, 64 readable bytes.
    pub fn start(&self, buffer: usize, sample: Option<usize>, shapes: &BatchShapes) -> *mut u8 {
        let (first, end) = self.range(buffer, sample, shapes);
        if first == end {
            return std::ptr::from_ref(&NOTHING).cast_mut().cast();
        }
        self.starts[buffer].wrapping_add(first * 4)
    }

    /// The number of elements of a buffer, or of what a sample has in it.
    pub fn count(&self, buffer: usize, sample: Option<usize>, shapes: &BatchShapes) -> usize {
        let (first, end) = self.range(buffer, sample, shapes);
        end - first
    }

    fn range(&self, buffer: usize, sample: Option<usize>, shapes: &BatchShapes) -> (usize, usize) {
        let offsets = shapes.offsets(self.forms[buffer]);
        match sample {
            // What is not per sample has one entry, whichever sample asks.
            Some(sample) if offsets.len() > 2 => (offsets[sample] as usize, offsets[sample + 1] as usize),
            _ => (0, shapes.elements(self.forms[buffer]) as usize),
        }
    }
}

thread_local! {
    static SCRATCH: Cell<AlignedBytes> = Cell::new(AlignedBytes::default());
}

/// Calls `work` with at least `bytes` bytes of scratch memory that this thread keeps for the next call.
pub(crate) fn with_scratch<T>(bytes: usize, work: impl FnOnce(*mut u8) -> T) -> T {
    let mut scratch = SCRATCH.take();
    if scratch.len() < bytes {
        scratch = AlignedBytes::new(bytes.next_power_of_two());
    }
    let result = work(scratch.as_mut_ptr());
    SCRATCH.set(scratch);
    result
}
