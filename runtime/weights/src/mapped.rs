//! Read-only memory maps of checkpoint files: the only unsafe code of this crate.
//!
//! Headers are read from the map. Large data is read from the file instead: pages of a map that were touched count as this process's
//! memory, so that weights would take their size on disk besides their size as parameters.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use mgx_diag::Diagnostic;

use crate::report::cannot_read;

/// A file and its bytes. Pages are read when they are touched, so a header costs little whatever the file's size.
#[derive(Debug)]
pub(crate) struct MappedFile {
    pub path: PathBuf,
    file: File,
    map: Mmap,
}

impl MappedFile {
    /// Maps a file. `E0900` if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Diagnostic> {
        let read = |error| cannot_read(path, &error);
        let file = File::open(path).map_err(read)?;
        if file.metadata().map_err(read)?.is_dir() {
            return Err(Diagnostic::error("E0900", format!("cannot read `{}`: it is a folder", path.display())));
        }
        // SAFETY: the map is read-only and private to this value. Another process that rewrites the file in place can change
        // the bytes under it; every value is checked or converted as it is read and any bit pattern is a valid u8. One that
        // truncates the file would end this process with SIGBUS; checkpoints are replaced by rename, never truncated.
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        Ok(Self { path: path.to_owned(), file, map })
    }

    /// All bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Fills `out` with the bytes from `offset` on, without keeping pages of the file.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    /// The path for messages.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }
}
