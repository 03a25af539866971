//! Whatever bytes of a valid file change, opening and reading it gives an error or tensors, never a panic.

mod common;

use std::sync::LazyLock;

use common::{fixture, open_bytes, read_all, safetensors_bytes, torch_zip};
use proptest::prelude::*;

static VALID: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let header = concat!(
        r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"#,
        r#""b":{"dtype":"F16","shape":[2],"data_offsets":[16,20]},"c":{"dtype":"U8","shape":[],"data_offsets":[20,21]}}"#
    );
    let mut files = vec![safetensors_bytes(header, &[7; 21])];
    for name in ["mixed.pt", "mixed_protocol4.pt", "mixed_legacy.bin", "lightning.ckpt", "sections.pt"] {
        files.push(std::fs::read(fixture(name)).unwrap());
    }
    for file in &files {
        open_bytes(file).unwrap();
    }
    files
});

/// One change of a file.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Flip(usize, u8),
    Truncate(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
    Large(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<usize>();
    prop_oneof![
        4 => (at, any::<u8>()).prop_map(|(at, value)| Change::Set(at, value)),
        4 => (at, 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => at.prop_map(Change::Truncate),
        1 => (at, 1usize..20).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (at, 1usize..40).prop_map(|(at, count)| Change::Repeat(at, count)),
        1 => at.prop_map(Change::Large),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let length = bytes.len();
    if length == 0 {
        return;
    }
    match *change {
        Change::Set(at, value) => bytes[at % length] = value,
        Change::Flip(at, bit) => bytes[at % length] ^= 1 << bit,
        Change::Truncate(at) => bytes.truncate(at % length),
        Change::Remove(at, count) => drop(bytes.drain(at % length..(at % length + count).min(length))),
        Change::Repeat(at, count) => {
            let piece = bytes[at % length..(at % length + count).min(length)].to_vec();
            bytes.splice(at % length..at % length, piece);
        }
        Change::Large(at) => bytes.iter_mut().skip(at % length).take(8).for_each(|byte| *byte = 0xff),
    }
}

fn open_and_read(bytes: &[u8]) {
    if let Ok(checkpoint) = open_bytes(bytes) {
        let _ = read_all(&checkpoint);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(which in 0usize..6, changes in prop::collection::vec(change(), 1..6)) {
        let mut bytes = VALID[which].clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        open_and_read(&bytes);
    }

    /// Inside an archive most changes break the archive itself, so pickles are also changed before they are packed.
    #[test]
    fn mutated_pickles_never_panic(changes in prop::collection::vec(change(), 1..6)) {
        let mut pickle = PICKLE.clone();
        changes.iter().for_each(|change| apply(&mut pickle, change));
        open_and_read(&torch_zip(&pickle, &[("0", &[1; 96]), ("1", &[1; 8]), ("2", &[1; 8])]));
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0usize..4) {
        let start: &[u8] = [b"PK\x03\x04".as_slice(), b"\x80\x02\x8a\x0a", &[60, 0, 0, 0, 0, 0, 0, 0], b""][magic];
        bytes.splice(0..0, start.iter().copied());
        open_and_read(&bytes);
        open_and_read(&torch_zip(&bytes, &[("0", &[1; 40])]));
    }
}

/// The pickle of `mixed.pt`, which the archive holds uncompressed.
static PICKLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    use std::io::Read as _;
    let bytes = std::fs::read(fixture("mixed.pt")).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut pickle = Vec::new();
    archive.by_name("mixed/data.pkl").unwrap().read_to_end(&mut pickle).unwrap();
    pickle
});
