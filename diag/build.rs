//! Turns `docs/errors/*.md` into the table behind [`explain`]: a code exists when its page does.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let pages = Path::new(&root).join("../docs/errors");
    println!("cargo:rerun-if-changed={}", pages.display());
    let mut names: Vec<_> = fs::read_dir(&pages)
        .expect("docs/errors exists")
        .map(|entry| entry.expect("docs/errors is readable").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "md"))
        .collect();
    names.sort();
    let mut table = String::from("&[\n");
    for path in names {
        let code = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let path = path.canonicalize().expect("the page exists");
        writeln!(table, "    ({code:?}, include_str!({path:?})),").expect("writing to a string");
    }
    table.push(']');
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("pages.rs");
    fs::write(out, table).expect("OUT_DIR is writable");
}
