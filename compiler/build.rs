//! Puts the standard library (`stdlib/**/*.mgx`) into the compiler as text, by module path (`std::backbones::rnabert`), with what the grammar finds in it and
//! the names that each file declares;
//! and its lists of genes (`stdlib/genes/*.tsv`), by name.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR")).join("../stdlib");
    let root = root.canonicalize().expect("the stdlib folder exists");
    println!("cargo:rerun-if-changed={}", root.display());
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut table = String::from("const SOURCES: &[Source] = &[\n");
    for path in files {
        println!("cargo:rerun-if-changed={}", path.display());
        let relative = path.strip_prefix(&root).expect("below the root").with_extension("");
        let module = format!("std::{}", relative.to_string_lossy().replace('/', "::"));
        let shown = format!("std/{}.mgx", relative.to_string_lossy());
        let text = fs::read_to_string(&path).expect("a source file");
        let names: Vec<&str> = text.lines().filter_map(declared).collect();
        let pairs = mgx_grammar::parse_file(&text).expect("a file of the library is not nested deeply");
        let packed = mgx_grammar::pack(mgx_grammar::events(pairs)).expect("a file of the library is not large");
        let events = out.join(format!("{}.events", module.replace("::", ".")));
        fs::write(&events, packed).expect("OUT_DIR is writable");
        writeln!(
            table,
            "    Source {{ module: {module:?}, shown: {shown:?}, text: include_str!({path:?}), events: include_bytes!({events:?}), names: &{names:?} }},"
        )
        .expect("writing to a string");
    }
    table.push(']');
    let mut genes: Vec<PathBuf> =
        fs::read_dir(root.join("genes")).expect("the lists of genes").map(|entry| entry.expect("a list").path()).collect();
    genes.sort();
    table.push_str(";\nconst GENES: &[(&str, &str)] = &[\n");
    for path in genes {
        println!("cargo:rerun-if-changed={}", path.display());
        let name = path.file_stem().expect("a file name").to_string_lossy().into_owned();
        writeln!(table, "    ({name:?}, include_str!({path:?})),").expect("writing to a string");
    }
    table.push_str("];\n");
    fs::write(out.join("stdlib.rs"), table).expect("OUT_DIR is writable");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the library") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "mgx") {
            files.push(path);
        }
    }
}

/// The name that a line declares: declarations begin at the start of a line.
fn declared(line: &str) -> Option<&str> {
    let (keyword, rest) = line.split_once(' ')?;
    let keywords = ["module", "adapter", "task", "optimizer", "schedule", "rewrite", "fn", "backbone", "tokenizer"];
    keywords.contains(&keyword).then(|| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(rest))
}
