//! Windows of a genome around variants: those that AIDO.ModelGenerator's data modules recorded for the same files.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{assert_says, class, column, data, sequence};
use mgx_data::Table;
use mgx_diag::Diagnostic;
use mgx_ir::plan::{Alphabet, DataSpec, FileFormat, WindowSpec};

/// Recorded with a window of 6: the reference, and what it becomes.
const RECORDED: [(&str, &str); 8] = [
    ("GTGATTTCGTTTC", "GTGATTCCGTTTC"),
    ("CTAGTNAANGGTG", "CTAGTNCANGGTG"),
    ("TTTCGTTTCTCGA", "TTTCGTATCTCGA"),
    ("TGTGATTTCGTTT", "TGTGATCTCGTTT"),
    ("TCGAAGTATTAAC", "TCGAAGAATTAAC"),
    ("NNTTGNCGTNTNC", "NNTTGNGGTNTNC"),
    ("TTTATNAATANNT", "TTTATNTATANNT"),
    ("TATTAACTTAGAT", "TATTAAATTAGAT"),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/variants")
}

fn spec(letters: u64, keep_mismatches: bool) -> DataSpec {
    let dna = |name: &str| column(name, sequence(Alphabet::Dna));
    let columns = vec![dna("masked"), column("effect", class(&["0", "1"])), dna("mutated"), dna("reference")];
    let [chromosome, start, end, reference, mutated] = ["chrom", "start", "end", "ref", "mutate"].map(str::to_owned);
    let windows = WindowSpec { genome: "ref.fa".to_owned(), letters, chromosome, start, end, reference, mutated, keep_mismatches };
    DataSpec { windows: Some(windows), ..data("var.tsv", FileFormat::Tsv, columns) }
}

/// The table of these rows, with the genome of the fixtures.
fn read(rows: &str, letters: u64) -> Result<Table, Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("var.tsv"), format!("chrom\tstart\tend\tref\tmutate\teffect\n{rows}")).unwrap();
    fs::copy(fixtures().join("ref.fa"), folder.path().join("ref.fa")).unwrap();
    Table::read(&spec(letters, false), folder.path())
}

#[test]
fn windows_are_those_that_were_recorded() {
    let table = Table::read(&spec(6, true), &fixtures()).unwrap();
    let text = |name: &str, row: usize| table.column(name).unwrap().text(row as u64).to_owned();
    for (row, (reference, mutated)) in RECORDED.into_iter().enumerate() {
        assert_eq!((text("reference", row).as_str(), text("mutated", row).as_str()), (reference, mutated), "row {row}");
        assert_eq!(text("masked", row), format!("{}[MASK]{}", &reference[..6], &reference[7..]), "row {row}");
    }
    assert_eq!(table.column("effect").unwrap().display(1), "1");
}

#[test]
fn columns_that_are_not_made_are_read_without_the_genome() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixtures().join("var.tsv"), folder.path().join("var.tsv")).unwrap();
    let table = Table::read_columns(&spec(6, true), folder.path(), |column| column.name == "effect").unwrap();
    assert_eq!(table.rows(), 8);
    assert_says(Table::read(&spec(6, true), folder.path()), "E0510", &["ref.fa"]);
}

#[test]
fn mistakes_are_told_with_their_rows() {
    assert!(read("chr2\t17\t18\tT\tG\t0\n", 6).is_ok());
    assert_says(
        read("chr2\t17\t18\tT\tG\t0\nchr2\t17\t18\tC\tG\t0\n", 6),
        "E0581",
        &["row 2", "has T there", "1 of 2", "mismatches = keep"],
    );
    assert_says(read("chr2\t17\t19\tT\tG\t0\n", 6), "E0580", &["row 1", "`end`", "`19`"]);
    assert_says(read("chr2\t17\t18\tTA\tG\t0\n", 6), "E0580", &["`ref`", "`TA`"]);
    assert_says(read("chr2\t17\t18\tT\t-\t0\n", 6), "E0580", &["`mutate`", "`-`"]);
    assert_says(read("chr2\t-3\t-2\tT\tA\t0\n", 6), "E0580", &["`start`", "`-3`"]);
    assert_says(read("2\t17\t18\tT\tG\t0\n", 6), "E0582", &["row 1", "no record `2`"]);
    assert_says(read("chr2\t17\t18\tT\tG\t0\n", 18), "E0582", &["row 1", "18 letters around place 17", "50"]);
    assert_says(read("chr2\t46\t47\tC\tG\t0\n", 6), "E0582", &["chr2"]);
    assert_says(read("chr2\t18446744073709551615\t3\tC\tG\t0\n", 6), "E0580", &["`end`"]);
}
