//! What the host and generated kernels agree on.

/// Arguments of one call of a kernel.
#[repr(C)]
pub(crate) struct KernelArgs {
    /// First element of each buffer of the kernel, of the sample where the kernel runs for each on its own.
    pub buffers: *const *mut u8,
    /// Sizes, in the order of the kernel's table.
    pub sizes: *const i64,
    /// Keys of random numbers: by site, then by sample where the samples are in one loop.
    pub keys: *const u64,
    /// Scratch memory: tiles of [`TILE`] elements, then rows of `scratch_row` bytes.
    pub scratch: *mut u8,
    /// Results of reductions over rows: by reduction, then column.
    pub results: *const u32,
    /// Where such reductions are accumulated, laid out like `results`, as if they began at column 0.
    pub partials: *mut u32,
    pub row_begin: i64,
    pub row_end: i64,
    pub column_begin: i64,
    pub column_end: i64,
    pub scratch_row: i64,
    /// Number of columns of the results.
    pub columns: i64,
    /// Number of columns of the partial results.
    pub partial_columns: i64,
    /// Number of keys of each site.
    pub keys_per_site: i64,
}

/// A generated kernel: computes the given rows and columns.
pub(crate) type KernelFn = unsafe extern "C" fn(*const KernelArgs);

/// Elements of a tile: what a primitive works on at a time. A tile of each operand stays in the first-level cache.
pub(crate) const TILE: i64 = 256;

/// Byte offset of a field of [`KernelArgs`].
macro_rules! field {
    ($name:ident) => {
        std::mem::offset_of!(crate::fused::abi::KernelArgs, $name) as i32
    };
}
pub(crate) use field;
