//! The memory that programs work on: zeroed allocations aligned to 64 bytes.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Alignment of every allocation, in bytes: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;

/// Bytes at an address that is a multiple of 64, zero at first.
pub struct AlignedBytes {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the allocation is owned, and shared access to it only reads.
unsafe impl Send for AlignedBytes {}
// SAFETY: as above.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// Allocates `len` zero bytes.
    pub fn new(len: usize) -> Self {
        if len == 0 {
            return Self { start: NonNull::<Line>::dangling().cast(), len };
        }
        let layout = Self::layout(len);
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout) };
        match NonNull::new(start) {
            Some(start) => Self { start, len },
            None => handle_alloc_error(layout),
        }
    }

    fn layout(len: usize) -> Layout {
        // Only a length beyond the address space is refused, which no machine can allocate either.
        Layout::from_size_align(len, ALIGNMENT).unwrap_or_else(|_| handle_alloc_error(Layout::new::<Line>()))
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is it of no bytes?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes as f32 elements (a rest of less than four bytes is left out).
    pub fn as_f32(&self) -> &[f32] {
        // SAFETY: the allocation is aligned for f32, is initialised, and every bit pattern is a f32.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len / 4) }
    }

    /// The bytes as f32 elements, to write.
    pub fn as_f32_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_f32`, and the access is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len / 4) }
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl std::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` initialised bytes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl std::ops::DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the access is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for AlignedBytes {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated in `new` with the same layout.
            unsafe { dealloc(self.start.as_ptr(), Self::layout(self.len)) }
        }
    }
}

impl Default for AlignedBytes {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Clone for AlignedBytes {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl std::fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

#[repr(align(64))]
struct Line;

/// The memories of an experiment. The arena is shared by its programs and as large as the largest needs.
#[derive(Debug, Default)]
pub struct Memory {
    pub params: AlignedBytes,
    pub gradients: AlignedBytes,
    /// The optimizer's state, by slot, each laid out like the gradients.
    pub state: Vec<AlignedBytes>,
    pub arena: AlignedBytes,
}
