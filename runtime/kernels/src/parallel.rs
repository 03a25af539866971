//! Sharing memory between the tasks of a kernel, and scratch memory that outlives a call.

use std::cell::RefCell;

use rayon::prelude::*;

/// A pointer that tasks share. They write disjoint parts of what it points to.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

// SAFETY: a pointer is plain data; who writes through it says why the parts are disjoint.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(memory: &mut [f32]) -> Self {
        Self(memory.as_mut_ptr())
    }

    pub(crate) fn pointer(self) -> *mut f32 {
        self.0
    }
}

/// Runs `task(0) … task(count − 1)`, in the threads of the pool when `parallel`.
pub(crate) fn for_each(count: usize, parallel: bool, task: impl Fn(usize) + Send + Sync) {
    if parallel && count > 1 && rayon::current_num_threads() > 1 {
        (0..count).into_par_iter().with_max_len(1).for_each(task);
    } else {
        (0..count).for_each(task);
    }
}

/// A cache line of numbers.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "read as a slice of numbers")] [f32; LINE_NUMBERS]);

const LINE_NUMBERS: usize = 16;

/// Memory that begins with a cache line, so that no vector at a multiple of its width spans two lines (which halves the
/// speed of reading it).
#[derive(Clone, Debug, Default)]
pub(crate) struct Aligned(Vec<Line>);

impl Aligned {
    /// At least `length` zeros.
    pub(crate) fn zeros(length: usize) -> Self {
        Self(vec![Line([0.0; LINE_NUMBERS]); length.div_ceil(LINE_NUMBERS)])
    }

    pub(crate) fn numbers(&self) -> &[f32] {
        // SAFETY: a line is nothing but its numbers.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE_NUMBERS) }
    }

    pub(crate) fn numbers_mut(&mut self) -> &mut [f32] {
        // SAFETY: a line is nothing but its numbers.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE_NUMBERS) }
    }
}

thread_local! {
    static KEPT: RefCell<Vec<Aligned>> = const { RefCell::new(Vec::new()) };
}

/// Numbers of any content for the time of a call, aligned to a cache line.
///
/// Fresh memory costs a page fault for each page, so every thread keeps its buffers for later calls. A buffer is taken out while it
/// is in use: nested calls, also by a task that this thread picks up meanwhile, get another. (A value and no function that takes a
/// closure, because a closure's body may lose the target features of the function around it.)
pub(crate) struct Scratch {
    buffer: Aligned,
    length: usize,
}

impl Scratch {
    pub(crate) fn new(length: usize) -> Self {
        let mut buffer = KEPT.with_borrow_mut(Vec::pop).unwrap_or_default();
        if buffer.numbers().len() < length {
            buffer = Aligned::zeros(length);
        }
        Self { buffer, length }
    }

    pub(crate) fn numbers(&mut self) -> &mut [f32] {
        &mut self.buffer.numbers_mut()[..self.length]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        // At the end of the thread there is nothing left to keep it in.
        let _ = KEPT.try_with(|kept| kept.borrow_mut().push(buffer));
    }
}
