//! AIDO.Protein-RAG through the binary: alignments in files, with what is known of structures.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

const ENCODER: &str = "aido_protein_rag(from_scratch = true, hidden = 16, layers = 2, heads = 2, ffn = 16, structure = 2)";

/// An experiment on two proteins, `1.a3m` and `2.a3m`, with structures `1.npy` and `2.npy`.
fn workspace(column: &str, encoder: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = format!(
        "use std::backbones::aido_protein_rag\nuse std::tasks::embed\ndata rows = table(\"rows.csv\") {{\n  family: {column} at \"file\"\n}}\n\
         experiment e {{\n  encoder = {encoder}\n  hidden = rows.family |> encoder\n  task = embed(hidden)\n}}\n"
    );
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("a file");
    write("e.mgx", program.as_bytes());
    write("rows.csv", b"file,known\n1.a3m,1.npy\n2.a3m,2.npy\n");
    write("1.a3m", b">q\nMKV\n>a\nM-aaV\n");
    write("2.a3m", b">q\nMKVL\n");
    write("1.npy", &npy(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    write("2.npy", &npy(&[1.0; 8]));
    folder
}

/// A file of NumPy with rows of two 32-bit floats.
fn npy(numbers: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 2), }}\n", numbers.len() / 2);
    let begin = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    begin.into_iter().chain(numbers.iter().flat_map(|number| number.to_le_bytes())).collect()
}

fn mgxc(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mgxc")).args(arguments).current_dir(folder.path()).output().expect("mgxc starts")
}

/// The embeddings of a run.
#[track_caller]
fn embeddings(folder: &TempDir) -> Vec<u8> {
    let output = mgxc(folder, &["run", "e.mgx", "--out", "out"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = fs::read(folder.path().join("out/embeddings.safetensors")).expect("embeddings");
    fs::remove_dir_all(folder.path().join("out")).expect("a folder");
    bytes
}

#[track_caller]
fn refused(folder: &TempDir, command: &str, code: &str, texts: &[&str]) {
    let output = mgxc(folder, &[command, "e.mgx"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && errors.contains(&format!("[{code}]")), "{errors}");
    assert!(texts.iter().all(|text| errors.contains(text)), "{errors}");
}

#[test]
fn structures_of_files_reach_the_network() {
    let column = "alignment(files = a3m, structure = \"known\", features = 2)";
    let folder = workspace(column, ENCODER);
    let first = embeddings(&folder);
    assert_eq!(first, embeddings(&folder), "a run says the same again");
    fs::write(folder.path().join("2.npy"), npy(&[2.0; 8])).expect("a file");
    assert_ne!(first, embeddings(&folder), "another structure gives other numbers");
    fs::write(folder.path().join("1.a3m"), ">q\nMKV\n>a\nM-aV\n>b\nM--\n>c\nMK\n").expect("a file");
    refused(&folder, "run", "E0543", &["line 7", "1.a3m", "row 1"]);
}

#[test]
fn structures_and_networks_that_do_not_fit_are_refused() {
    let with = |column: &str, encoder: &str| workspace(column, encoder);
    let plain = ENCODER.replace(", structure = 2", "");
    embeddings(&with("alignment(files = a3m)", &plain));
    refused(&with("alignment(files = a3m)", ENCODER), "check", "E0320", &["family", "structure"]);
    refused(&with("alignment(files = a3m, structure = \"known\", features = 3)", ENCODER), "check", "E0320", &["2 features", "3"]);
    refused(&with("alignment(files = a3m, structure = \"known\", features = 2)", &plain), "check", "E0320", &["structure = 2"]);
    refused(&with("alignment(files = a3m, structure = \"known\")", ENCODER), "check", "E0317", &["features"]);
    refused(&with("alignment(files = a3m, structure = \"konwn\", features = 2)", ENCODER), "check", "E0512", &["known"]);
    refused(&with("alignment(files = sto)", &plain), "check", "E0313", &["a3m"]);
}
