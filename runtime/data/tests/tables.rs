//! Reading tables: what is right is read, what is wrong is said in the words of the file.

mod common;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float32Array, Float64Array, Int64Array, StringArray};
use common::{assert_says, class, column, data, parquet_bytes, read_bytes, sequence};
use mgx_data::{Part, Table, Values, format_of, header, split};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{Alphabet, ColumnKind, ColumnSpec, EmptyPolicy, FileFormat, SplitSpec};

fn read_csv(text: &str, columns: Vec<ColumnSpec>) -> Result<Table, Diagnostic> {
    read_bytes(text.as_bytes(), FileFormat::Csv, columns)
}

#[test]
fn reads_quotes_blank_lines_and_windows_line_ends() {
    let text = "\u{FEFF}id,x,label,seq\r\n\"a, \"\"b\"\"\",1.5,EI,acgt\r\n\r\n\"two\nlines\",-2e3,N,NNN\r\n";
    let columns = vec![
        column("seq", sequence(Alphabet::Dna)),
        column("label", class(&["EI", "N"])),
        column("x", ColumnKind::Real),
        column("id", ColumnKind::Text),
    ];
    let table = read_csv(text, columns).unwrap();
    assert_eq!(table.rows(), 2);
    assert_eq!(table.column("id").unwrap().text(0), "a, \"b\"");
    assert_eq!(table.column("id").unwrap().text(1), "two\nlines");
    assert_eq!(table.column("seq").unwrap().text(1), "NNN");
    assert_eq!(table.column("label").unwrap().display(1), "N");
    assert_eq!(table.column("x").unwrap().display(1), "-2000");
}

#[test]
fn reads_only_wanted_columns() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.tsv"), "seq\tother\nAC\t1\n").unwrap();
    let spec = data("a.tsv", FileFormat::Tsv, vec![column("seq", sequence(Alphabet::Dna)), column("label", class(&["a"]))]);
    let table = Table::read_columns(&spec, folder.path(), |column| column.name == "seq").unwrap();
    assert_eq!(table.columns().len(), 1);
    assert_eq!(header(&folder.path().join("a.tsv"), FileFormat::Tsv).unwrap(), ["seq", "other"]);
    assert_says(Table::read(&spec, folder.path()), "E0512", &["no column `label`", "`seq`, `other`"]);
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("splice.tsv"), "a\n1\n").unwrap();
    let spec = |path: &str| data(path, FileFormat::Tsv, vec![column("a", ColumnKind::Real)]);
    assert_says(Table::read(&spec("splcie.tsv"), folder.path()), "E0510", &["there is no file", "did you mean `splice.tsv`"]);
    assert_says(Table::read(&spec("no/splice.tsv"), folder.path()), "E0510", &["there is no folder"]);
    assert_says(Table::read(&spec("."), folder.path()), "E0510", &["is a folder"]);
    assert_eq!(format_of(Path::new("a/b.FA")).unwrap(), FileFormat::Fasta);
    let unknown = format_of(Path::new("a.xlsx")).unwrap_err();
    assert_eq!(unknown.code.0, "E0511");
    assert!(unknown.help.unwrap().contains(".csv") && mgx_diag::explain("E0511").is_some());
}

#[test]
fn columns_that_are_missing_or_twice() {
    let label = || vec![column("label", class(&["a", "b"]))];
    assert_says(read_csv("sequence,lable\nA,a\n", label()), "E0512", &["no column `label`", "`sequence`, `lable`", "did you mean `lable`"]);
    assert_says(read_csv("sequence\tlabel\nA\ta\n", label()), "E0512", &["read the file as tsv"]);
    assert_says(read_csv("label,label\na,b\n", label()), "E0525", &["more than one column `label`"]);
}

#[test]
fn letters_of_another_alphabet() {
    let dna = || vec![column("seq", sequence(Alphabet::Dna))];
    let place = "row 2 (line 3) of data.txt, column `seq`";
    assert_says(
        read_csv("seq\nACGT\nACGU\nUU\n", dna()),
        "E0513",
        &[place, "'U' at position 4 is not a letter of dna", "declare it rna", "2 rows"],
    );
    assert_says(read_csv("seq\nACGT\nMKLV\n", dna()), "E0513", &["'L' at position 3", "looks like protein"]);
    assert_says(read_csv("seq\nACGT\nAC GT\n", dna()), "E0513", &["' ' at position 3", "white space"]);
    assert_says(read_csv("seq\nACGT\nACé\n", dna()), "E0513", &["'é' at position 3"]);
    let rna = vec![column("seq", sequence(Alphabet::Rna))];
    assert_says(read_csv("seq\n\"ACG\"\n\nACGT\n", rna), "E0513", &["row 2 (line 4)", "declare it dna"]);
}

#[test]
fn sequences_of_wrong_length() {
    let kind = |length, empty| ColumnKind::Sequence { alphabet: Alphabet::Dna, length, empty };
    let read = |text: &str, length, empty| read_csv(text, vec![column("seq", kind(length, empty)), column("x", ColumnKind::Real)]);
    assert_says(read("seq,x\nACG,1\n,2\n", None, EmptyPolicy::Error), "E0514", &["row 2", "the sequence is empty"]);
    assert_says(read("seq,x\nACG,1\nAC,2\n", Some(3), EmptyPolicy::Error), "E0515", &["row 2", "has 2 letters, and 3"]);
    let table = read("seq,x\nACG,1\n,2\n", Some(3), EmptyPolicy::Allow).unwrap();
    assert_eq!(table.column("seq").unwrap().text(1), "");
}

#[test]
fn messages_stay_short() {
    let names: Vec<String> = (0..1000).map(|gene| format!("gene{gene}")).collect();
    let text = format!("{}\n{}\n", names.join(","), vec!["1"; 1000].join(","));
    assert_says(read_csv(&text, vec![column("sequence", ColumnKind::Text)]), "E0512", &["`gene19` and 980 more"]);
    let long = format!("label\n\"a\nb{}\"\n", "x".repeat(10_000));
    let found = read_csv(&long, vec![column("label", class(&["a", "b"]))]).unwrap_err();
    assert!(found.message.len() < 200 && !found.message.contains('\n'), "{}", found.message);
}

#[test]
fn classes_and_numbers() {
    let label = || vec![column("label", class(&["EI", "IE", "N"]))];
    assert_says(read_csv("label\nEI\nNN\n", label()), "E0516", &["row 2", "`NN` is not one", "`EI`, `IE`, `N`", "did you mean `N`"]);
    assert_says(read_csv("label\nEI\n\" N\"\n", label()), "E0516", &["remove the white space"]);
    assert_says(read_csv("a,label\n1,EI\n2,\n", label()), "E0517", &["row 2 (line 3)", "the value is missing"]);
    let real = || vec![column("y", ColumnKind::Real)];
    assert_says(read_csv("a,y\n1,2\n1,\n", real()), "E0517", &["row 2"]);
    assert_says(read_csv("y\n2\nhigh\n", real()), "E0518", &["row 2", "`high` is not a number"]);
    assert_says(read_csv("y\n2\nNaN\n", real()), "E0518", &["not a finite number"]);
    for number in ["inf", "-Infinity", "+inf"] {
        assert_says(read_csv(&format!("y\n2\n{number}\n"), real()), "E0518", &["row 2", number, "not a finite number"]);
    }
    assert_says(read_csv("y\n2\n-1e39\n", real()), "E0518", &["row 2", "`-1e39` is too large"]);
    assert_says(read_csv("y\n2\n\"1,5\"\n", real()), "E0518", &["decimal point"]);
    assert_says(read_csv("y\n2\nNA\n", real()), "E0518", &["seems to be missing"]);
}

#[test]
fn numbers_of_several_and_of_parquet_files_are_finite_too() {
    let list = || vec![column("y", ColumnKind::Reals { count: 2, headers: Vec::new() })];
    assert!(read_csv("y\n\"[1, 2]\"\n", list()).is_ok());
    for (text, code, part) in [
        ("\"[1, NaN]\"", "E0518", "`NaN` is not a finite number"),
        ("\"1,inf\"", "E0518", "`inf` is not a finite number"),
        ("\"1,1e40\"", "E0518", "`1e40` is too large"),
        ("\"1,2,3\"", "E0560", "3 numbers"),
        ("1", "E0560", "1 numbers"),
    ] {
        assert_says(read_csv(&format!("y\n{text}\n"), list()), code, &["row 1", part]);
    }
    let each = vec![column("y", ColumnKind::Reals { count: 2, headers: vec!["a".into(), "b".into()] })];
    assert_says(read_csv("a,b\n1,2\n3,-inf\n", each), "E0518", &["row 2", "`b`"]);
    let labels = || vec![column("y", ColumnKind::Labels { names: vec!["p".into(), "q".into()], headers: Vec::new() })];
    assert_says(read_csv("y\n\"1,2\"\n", labels()), "E0561", &["row 1", "`q`"]);
    assert_says(read_csv("y\n\"1,nan\"\n", labels()), "E0518", &["row 1"]);
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e39] {
        let bytes = parquet_bytes(vec![("y", Arc::new(Float64Array::from(vec![1.0, number])))]);
        assert_says(read_bytes(&bytes, FileFormat::Parquet, vec![column("y", ColumnKind::Real)]), "E0518", &["row 2"]);
    }
}

#[test]
fn damaged_text() {
    let columns = || vec![column("a", ColumnKind::Text)];
    assert_says(read_csv("a,b\n1,2\n3\n", columns()), "E0519", &["row 2 (line 3)", "has 1 field where the header has 2"]);
    assert_says(read_csv("a,b\n1,2,3\n", columns()), "E0519", &["row 1 (line 2)", "3 fields", "double quotes"]);
    assert_says(read_csv("a,b\n", columns()), "E0520", &["has no rows"]);
    assert_says(read_csv("", columns()), "E0520", &["is empty"]);
    assert_says(read_bytes(b"a\nok\n\xE4\n", FileFormat::Csv, columns()), "E0523", &["row 2 (line 3)", "iconv"]);
    assert_says(read_bytes(b"\xFF\xFEa\0\n\0", FileFormat::Csv, columns()), "E0523", &["UTF-16"]);
    assert_says(read_bytes(b"\x1F\x8B\x08\0", FileFormat::Csv, columns()), "E0524", &["compressed"]);
}

#[test]
fn split_columns() {
    let folder = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        std::fs::write(folder.path().join("a.csv"), text).unwrap();
        let mut spec = data("a.csv", FileFormat::Csv, vec![column("y", ColumnKind::Real)]);
        spec.split = SplitSpec::Column { header: "part".into() };
        let table = Table::read(&spec, folder.path()).unwrap();
        split(&table, &spec.split)
    };
    let parts = read("y,part\n1,train\n2,validation\n3,train\n4,valid\n").unwrap();
    assert_eq!((parts.rows(Part::Train).unwrap(), parts.rows(Part::Valid).unwrap()), (&[0, 2][..], &[1, 3][..]));
    assert_eq!(parts.rows(Part::Test).unwrap_err().code.0, "E0522");
    let wrong = read("y,part\n1,train\n2,trian\n").unwrap_err();
    assert_eq!((wrong.code.0, wrong.help.as_deref()), ("E0526", Some("did you mean `train`?")));
    assert!(wrong.message.contains("row 2 (line 3)"));
}

#[test]
fn fasta() {
    let columns =
        || vec![column("sequence", sequence(Alphabet::Protein)), column("id", ColumnKind::Text), column("description", ColumnKind::Text)];
    let table = read_bytes(b">P1 first protein\nMKLV\r\nAC*\n>P2\nGG\n", FileFormat::Fasta, columns()).unwrap();
    let value = |name: &str, row| table.column(name).unwrap().text(row).to_owned();
    assert_eq!((value("sequence", 0), value("id", 0), value("description", 0)), ("MKLVAC*".into(), "P1".into(), "first protein".into()));
    assert_eq!((value("sequence", 1), value("description", 1)), ("GG".into(), String::new()));
    assert_says(read_bytes(b">P1\nMKL\n>P2\nMK1\n", FileFormat::Fasta, columns()), "E0513", &["record 2 (`P2`)", "'1' at position 3"]);
    assert_says(read_bytes(b"MKL\n", FileFormat::Fasta, columns()), "E0524", &["definition line"]);
    assert_says(read_bytes(b"", FileFormat::Fasta, columns()), "E0520", &["no rows"]);
    assert_says(read_bytes(b">P1\n\xE4\n", FileFormat::Fasta, columns()), "E0523", &["record 1"]);
    let wrong = vec![column("seq", sequence(Alphabet::Protein))];
    assert_says(read_bytes(b">P1\nMKL\n", FileFormat::Fasta, wrong), "E0512", &["`id`, `description`, `sequence`"]);
}

#[test]
fn parquet_tables() {
    let bytes = parquet_bytes(vec![
        ("y", Arc::new(Float32Array::from(vec![Some(0.5), None])) as ArrayRef),
        ("fold", Arc::new(Int64Array::from(vec![0, 1]))),
        ("seq", Arc::new(StringArray::from(vec!["ACG", "UU"]))),
        ("raw", Arc::new(BinaryArray::from(vec![&b"a"[..], b"b"]))),
    ]);
    let read = |columns| read_bytes(&bytes, FileFormat::Parquet, columns);
    let table = read(vec![column("seq", sequence(Alphabet::Text)), column("fold", class(&["0", "1"]))]).unwrap();
    assert_eq!(table.column("seq").unwrap().text(1), "UU");
    assert!(matches!(&table.column("fold").unwrap().values, Values::Class(values) if values.values().as_ref() == [0, 1]));
    let real = read(vec![column("fold", ColumnKind::Real)]).unwrap();
    assert_eq!(real.column("fold").unwrap().display(1), "1");
    assert_says(read(vec![column("y", ColumnKind::Real)]), "E0517", &["row 2 of data.txt", "column `y`"]);
    assert_says(read(vec![column("seq", sequence(Alphabet::Dna))]), "E0513", &["row 2 of data.txt", "'U' at position 1"]);
    assert_says(read(vec![column("raw", ColumnKind::Text)]), "E0528", &["`raw`", "Binary"]);
    assert_says(read(vec![column("sequence", ColumnKind::Text)]), "E0512", &["`y`, `fold`, `seq`, `raw`"]);
    assert_says(read_bytes(&bytes[..40], FileFormat::Parquet, vec![column("y", ColumnKind::Real)]), "E0524", &["Parquet"]);
}

#[test]
fn a_byte_order_mark_before_a_quoted_header_is_no_part_of_it() {
    let table = read_csv("\u{FEFF}\"id\",x\na,1\n", vec![column("id", ColumnKind::Text)]).unwrap();
    assert_eq!(table.column("id").unwrap().text(0), "a");
}

/// Damage at any place of a Parquet file is an error or goes unnoticed; it is never a panic.
#[test]
fn damaged_parquet_does_not_panic() {
    let text: Vec<String> = (0..50).map(|row| format!("ACGT{row}")).collect();
    let bytes = parquet_bytes(vec![
        ("y", Arc::new(Float32Array::from_iter_values((0..50_u8).map(f32::from))) as ArrayRef),
        ("seq", Arc::new(StringArray::from(text))),
    ]);
    let mut refused = 0;
    for place in 0..bytes.len() {
        for change in [0x01, 0x80, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[place] ^= change;
            let columns = vec![column("seq", sequence(Alphabet::Text)), column("y", ColumnKind::Real)];
            refused += usize::from(read_bytes(&damaged, FileFormat::Parquet, columns).is_err());
        }
    }
    assert!(refused > 100, "{refused}");
}

proptest::proptest! {
    /// No bytes make a reader panic.
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        for format in [FileFormat::Csv, FileFormat::Tsv, FileFormat::Fasta, FileFormat::Parquet] {
            let _ = read_bytes(&bytes, format, vec![column("sequence", sequence(Alphabet::Protein))]);
            let mut with_header = b"sequence,x\n".to_vec();
            with_header.extend_from_slice(&bytes);
            let _ = read_bytes(&with_header, format, vec![column("sequence", sequence(Alphabet::Text))]);
        }
    }
}
