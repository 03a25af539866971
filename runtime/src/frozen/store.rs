//! Kept values of a frozen part: a folder of files that are only ever added. Each file is there in full or not at all, has an index of its records, and every
//! record a checksum; several processes may write to a folder at once. What is damaged is not there.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mgx_diag::Diagnostic;
use mgx_weights::{cannot_write, write_atomically};
use sha2::{Digest, Sha256};

/// What a record is found by.
pub(super) type Key = [u8; 32];

/// First and last bytes of a file.
const MAGIC: &[u8; 8] = b"mgxfrz01";
const ENDING: &str = "frozen";
/// An entry of the index: key, offset, length, and the first bytes of the record's SHA-256.
const ENTRY: usize = 32 + 8 + 8 + 8;
/// The end of a file: offset and number of the entries, the SHA-256 of the index, and the magic.
const TRAILER: usize = 8 + 8 + 32 + 8;
/// Bytes that are collected before a file is written.
const FILE_BYTES: usize = 16 << 20;

/// Where a record is.
#[derive(Clone, Copy)]
struct Place {
    file: usize,
    offset: u64,
    length: u64,
    sum: [u8; 8],
}

/// An open folder.
pub(super) struct Store {
    folder: PathBuf,
    files: Vec<File>,
    places: HashMap<Key, Place>,
    /// Records that are not written yet.
    pending: HashMap<Key, Vec<u8>>,
    pending_bytes: usize,
}

impl Store {
    /// Opens a folder, which is made if it is not there.
    ///
    /// # Errors
    /// E0920 to E0922 if it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, Diagnostic> {
        fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        let mut store =
            Self { folder: folder.to_owned(), files: Vec::new(), places: HashMap::new(), pending: HashMap::new(), pending_bytes: 0 };
        let entries = fs::read_dir(folder).map_err(|error| cannot_write(folder, &error))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == ENDING)) {
            // A file that another version wrote, or a disk has damaged, holds nothing that could be used.
            let _ = store.add_file(path);
        }
        Ok(store)
    }

    fn add_file(&mut self, path: &Path) -> io::Result<()> {
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut trailer = [0; TRAILER];
        let end = size.checked_sub(TRAILER as u64).ok_or_else(damaged)?;
        file.read_exact_at(&mut trailer, end)?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| trailer[at + byte]));
        let (offset, count) = (number(0), number(8));
        let fits = count.checked_mul(ENTRY as u64).and_then(|bytes| bytes.checked_add(offset)) == Some(end);
        if trailer[TRAILER - 8..] != *MAGIC || !fits {
            return Err(damaged());
        }
        let mut index = vec![0; count as usize * ENTRY];
        file.read_exact_at(&mut index, offset)?;
        if Sha256::digest(&index)[..] != trailer[16..48] {
            return Err(damaged());
        }
        for entry in index.chunks_exact(ENTRY) {
            let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| entry[at + byte]));
            let place =
                Place { file: self.files.len(), offset: number(32), length: number(40), sum: std::array::from_fn(|byte| entry[48 + byte]) };
            if place.offset.checked_add(place.length).is_some_and(|last| last <= offset) {
                self.places.insert(std::array::from_fn(|byte| entry[byte]), place);
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// A record; none if it is not there, or damaged.
    pub fn get(&mut self, key: &Key) -> Option<Vec<u8>> {
        if let Some(found) = self.pending.get(key) {
            return Some(found.clone());
        }
        let place = *self.places.get(key)?;
        let read = || {
            let mut bytes = vec![0; usize::try_from(place.length).ok()?];
            self.files[place.file].read_exact_at(&mut bytes, place.offset).ok()?;
            (sum(&bytes) == place.sum).then_some(bytes)
        };
        let found = read();
        if found.is_none() {
            self.places.remove(key);
        }
        found
    }

    /// Keeps a record. They come to the disk in larger files.
    ///
    /// # Errors
    /// E0920 to E0922 if one cannot be written: what was not is no longer kept.
    pub fn put(&mut self, key: Key, record: Vec<u8>) -> Result<(), Diagnostic> {
        self.pending_bytes += record.len();
        self.pending.insert(key, record);
        if self.pending_bytes >= FILE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what was put.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn flush(&mut self) -> Result<(), Diagnostic> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.pending_bytes = 0;
        let mut records: Vec<(Key, Vec<u8>)> = self.pending.drain().collect();
        records.sort_unstable_by_key(|(key, _)| *key);
        let mut index = Vec::with_capacity(records.len() * ENTRY);
        let mut offset = 0_u64;
        for (key, record) in &records {
            index.extend_from_slice(key);
            index.extend_from_slice(&offset.to_le_bytes());
            index.extend_from_slice(&(record.len() as u64).to_le_bytes());
            index.extend_from_slice(&sum(record));
            offset += record.len() as u64;
        }
        let digest = Sha256::digest(&index);
        // Equal records have equal names: two processes that write the same do not disturb each other.
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let path = self.folder.join(format!("{name}.{ENDING}"));
        write_atomically(&path, |out| {
            records.iter().try_for_each(|(_, record)| out.write_all(record))?;
            out.write_all(&index)?;
            out.write_all(&offset.to_le_bytes())?;
            out.write_all(&(records.len() as u64).to_le_bytes())?;
            out.write_all(&digest)?;
            out.write_all(MAGIC)
        })?;
        self.add_file(&path).map_err(|error| cannot_write(&path, &error))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What cannot be written is computed again by who needs it.
        let _ = self.flush();
    }
}

fn sum(bytes: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(bytes);
    std::array::from_fn(|byte| digest[byte])
}

/// Removes the folders of `root` that were not used for longest, until all of them have at most `limit` bytes; `current` stays.
pub(super) fn evict(root: &Path, current: &Path, limit: u64) {
    let Ok(entries) = fs::read_dir(root) else { return };
    let mut folders: Vec<(std::time::SystemTime, u64, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let used = fs::metadata(&path).ok().filter(fs::Metadata::is_dir)?.modified().ok()?;
            let files = fs::read_dir(&path).ok()?;
            let bytes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum();
            Some((used, bytes, path))
        })
        .collect();
    folders.sort();
    let mut total: u64 = folders.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in folders.iter().filter(|(.., path)| path != current) {
        if total <= limit {
            return;
        }
        // Another process may be using it: its open files stay readable, and it computes what it does not find.
        if fs::remove_dir_all(path).is_ok() {
            total -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        [number; 32]
    }

    #[test]
    fn records_come_back_after_reopening_and_from_several_writers() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (Store::open(folder.path()).unwrap(), Store::open(folder.path()).unwrap());
        one.put(key(1), vec![1, 2, 3]).unwrap();
        two.put(key(2), vec![]).unwrap();
        two.put(key(1), vec![1, 2, 3]).unwrap();
        assert_eq!((one.get(&key(1)), one.get(&key(2))), (Some(vec![1, 2, 3]), None));
        drop((one, two));
        let mut all = Store::open(folder.path()).unwrap();
        assert_eq!((all.get(&key(1)), all.get(&key(2)), all.get(&key(3))), (Some(vec![1, 2, 3]), Some(vec![]), None));
    }

    #[test]
    fn damaged_files_hold_nothing_and_damaged_records_are_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.put(key(1), vec![7; 100]).unwrap();
        store.put(key(2), vec![8; 100]).unwrap();
        drop(store);
        let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let whole = fs::read(&path).unwrap();
        let with = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let mut store = Store::open(folder.path()).unwrap();
            (store.get(&key(1)), store.get(&key(2)))
        };
        for length in 0..whole.len() {
            assert_eq!(with(&whole[..length]), (None, None), "cut to {length} bytes");
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            let (one, two) = with(&changed);
            assert!(one.is_none_or(|record| record == [7; 100]) && two.is_none_or(|record| record == [8; 100]), "byte {place}");
        }
    }

    #[test]
    fn the_oldest_folders_make_room() {
        let root = tempfile::tempdir().unwrap();
        for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
            let mut store = Store::open(&root.path().join(name)).unwrap();
            store.put(key(1), vec![0; 1000]).unwrap();
            drop(store);
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + number as u64);
            File::open(root.path().join(name)).unwrap().set_modified(time).unwrap();
        }
        evict(root.path(), &root.path().join("a"), 2500);
        let left = |name: &str| root.path().join(name).exists();
        assert!(left("a") && !left("b") && left("c"), "the oldest one is in use");
    }
}
