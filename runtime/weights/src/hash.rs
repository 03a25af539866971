//! Content hashes of files, for the lock file and for checkpoint manifests.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use mgx_diag::Diagnostic;
use sha2::{Digest, Sha256};

use crate::report::cannot_read;

/// The SHA-256 of a file's bytes as 64 lower-case hexadecimal digits (FIPS 180-4). Reads in blocks, whatever the file's size.
/// `E0900` if it cannot be read.
pub fn file_hash(path: &Path) -> Result<String, Diagnostic> {
    let mut file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    let mut hasher = Sha256::new();
    let mut block = vec![0u8; 1 << 18];
    loop {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(count) => hasher.update(&block[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot_read(path, &error)),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_the_standard_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, b"abc").unwrap();
        assert_eq!(file_hash(&path).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(file_hash(&folder.path().join("none")).unwrap_err().code.0, "E0900");
    }
}
