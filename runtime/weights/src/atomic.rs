//! Files that are there in full or not at all.
//!
//! A new file is written beside its place under a temporary name, brought to the disk, and renamed: rename within a folder is atomic
//! on POSIX systems, and the folder is synchronised after it so that the name survives a power cut. A temporary file is locked while it
//! is written; the lock ends with its process, so a later writer can tell a file that a killed process left from one in use.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use mgx_diag::Diagnostic;

use crate::report::cannot_write;

/// What stands in a temporary name between the name it is for and the process that writes it.
const TEMPORARY: &str = ".tmp-";

/// Writes a file in full or not at all: on any error, also a killed process or a full disk, the file that was there before stays.
/// Temporary files that killed processes left for the same name are removed first.
///
/// # Errors
/// `E0921`: no space; `E0922`: not allowed; `E0920`: any other failure.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> Result<(), Diagnostic> {
    remove_stale_files(path);
    let temporary = temporary_path(path);
    let result = write_temporary(&temporary, write).and_then(|file| {
        std::fs::rename(&temporary, path)?;
        drop(file);
        sync_folder(folder_of(path))
    });
    result.map_err(|error| {
        // Best effort: the next writer removes what is left.
        let _ = std::fs::remove_file(&temporary);
        cannot_write(path, &error)
    })
}

fn write_temporary(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    // File systems without locks lose only the removal of stale files.
    let _ = file.try_lock();
    let mut writer = BufWriter::with_capacity(1 << 20, &file);
    write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    file.sync_all()?;
    Ok(file)
}

/// Brings a folder's names to the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that a path's last name is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A hidden name beside `path` that no other writer, in this process or another, uses.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut name = temporary_stem(path);
    name.push(format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    folder_of(path).join(name)
}

/// Is this a name that [`temporary_path`] gives for some path?
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b".") && bytes.windows(TEMPORARY.len()).any(|window| window == TEMPORARY.as_bytes())
}

fn temporary_stem(path: &Path) -> OsString {
    let mut stem = OsString::from(".");
    stem.push(path.file_name().unwrap_or(OsStr::new("file")));
    stem.push(TEMPORARY);
    stem
}

/// Removes temporary files for `path` whose writer is gone. Best effort: what cannot be removed does no harm.
fn remove_stale_files(path: &Path) {
    let stem = temporary_stem(path);
    let Ok(entries) = std::fs::read_dir(folder_of(path)) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(stem.as_encoded_bytes()) {
            continue;
        }
        let unused = File::open(entry.path()).is_ok_and(|file| !matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        if unused {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomically(&path, |writer| writer.write_all(b"old")).unwrap();
        let full = write_atomically(&path, |writer| {
            writer.write_all(&vec![1; 3 << 20])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(full.unwrap_err().code.0, "E0921");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("a.bin");
        assert_eq!(write_atomically(&path, |_| Ok(())).unwrap_err().code.0, "E0920");
    }

    #[test]
    fn stale_files_go_and_files_in_use_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        std::fs::write(folder.path().join(".a.bin.tmp-1-0"), b"left by a killed process").unwrap();
        std::fs::write(folder.path().join(".b.bin.tmp-1-0"), b"of another name").unwrap();
        let in_use = File::create(folder.path().join(".a.bin.tmp-2-0")).unwrap();
        in_use.try_lock().unwrap();
        write_atomically(&path, |writer| writer.write_all(b"new")).unwrap();
        assert_eq!(names(folder.path()), [".a.bin.tmp-2-0", ".b.bin.tmp-1-0", "a.bin"]);
    }
}
