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

/// Calls `work` with `length` numbers of scratch memory of any content.
///
/// Fresh memory costs a page fault for each page, so every thread keeps its buffers for later calls. A buffer is taken out while it
/// is in use: nested calls, also by a task that this thread picks up meanwhile, get another.
pub(crate) fn with_scratch<R>(length: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local! {
        static KEPT: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    }
    let mut buffer = KEPT.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < length {
        buffer = vec![0.0; length];
    }
    let result = work(&mut buffer[..length]);
    KEPT.with_borrow_mut(|kept| kept.push(buffer));
    result
}
