//! Alignments: a row of a table becomes the tokens of all its rows, each with its column and its row.

mod common;

use mgx_data::{InputBuilder, Table};
use mgx_diag::Diagnostic;
use mgx_ir::graph::LengthId;
use mgx_ir::plan::{
    AlignedPlace, AlignmentFormat, Casing, ColumnKind, EmptyPolicy, FileFormat, InputData, InputSource, InputSpec, LengthPolicy,
    LengthSpec, StructureSpec, TokenizerKind, TokenizerSpec, Unknown,
};

/// Ids of the residues: A 1, C 2, D 3; what is unknown is 4, the suffix 5, and a prefix would be 6.
fn tokenizer(unknown: Unknown, prefix: Vec<i32>) -> TokenizerSpec {
    TokenizerSpec {
        name: "residues".into(),
        kind: TokenizerKind::Greedy { unknown, separator: None },
        casing: Casing::Keep,
        replace: vec![],
        vocabulary: ["[PAD]", "A", "C", "D", "X", "[SEP]", "[CLS]"].map(str::to_owned).to_vec(),
        special: vec![],
        prefix,
        suffix: vec![5],
    }
}

fn alignment(files: Option<AlignmentFormat>, features: Option<u64>) -> ColumnKind {
    let structure = features.map(|features| StructureSpec { header: "known".into(), features });
    ColumnKind::Alignment { files, structure, empty: EmptyPolicy::Error }
}

fn build(
    name: &str,
    rows: &[&str],
    tokenizer: TokenizerSpec,
    max_length: Option<u64>,
    policy: LengthPolicy,
) -> Result<InputBuilder, Diagnostic> {
    let folder = std::env::temp_dir().join(format!("mgx-alignments-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("rows.tsv"), format!("family\n{}\n", rows.join("\n"))).unwrap();
    let table = Table::read(&common::data("rows.tsv", FileFormat::Tsv, vec![common::column("family", alignment(None, None))]), &folder);
    std::fs::remove_dir_all(&folder).unwrap();
    inputs_of(table?, tokenizer, max_length, policy, &[])
}

/// The tokens of the table's column `family`, their places, and what else is asked for.
fn inputs_of(
    table: Table,
    tokenizer: TokenizerSpec,
    max_length: Option<u64>,
    policy: LengthPolicy,
    more: &[InputSpec],
) -> Result<InputBuilder, Diagnostic> {
    let length =
        |own_cell| LengthSpec { name: "family".into(), data: 0, column: "family".into(), tokenizer: 0, max_length, policy, own_cell };
    let input = |name: &str, source| InputSpec { name: name.into(), source };
    let place = |what| InputSource::TokenPlaces { length: LengthId(0), what };
    let mut inputs = vec![
        input("ids", InputSource::Tokens { length: LengthId(0) }),
        input("column", place(AlignedPlace::Column)),
        input("row", place(AlignedPlace::Row)),
        input("query", InputSource::Tokens { length: LengthId(1) }),
    ];
    inputs.extend_from_slice(more);
    InputBuilder::new(&[tokenizer], &[length(false), length(true)], &inputs, &[table])
}

fn values(builder: &InputBuilder, rows: &[u64], name: &str) -> Vec<i32> {
    match &builder.batch(rows, 0).inputs[name] {
        InputData::I32(values) => values.clone(),
        InputData::F32(_) => panic!("`{name}` holds numbers"),
    }
}

const RUN: Unknown = Unknown::Run { id: 4 };

#[test]
fn gaps_are_left_out_and_places_kept() {
    let builder = build("places", &["ACD|-C-|D-A", "DD"], tokenizer(RUN, vec![]), None, LengthPolicy::Error).unwrap();
    assert_eq!(values(&builder, &[0], "ids"), [1, 2, 3, 2, 3, 1, 5]);
    assert_eq!(values(&builder, &[0], "column"), [0, 1, 2, 1, 0, 2, 0]);
    assert_eq!(values(&builder, &[0], "row"), [0, 0, 0, 1, 2, 2, 0]);
    assert_eq!(values(&builder, &[0], "query"), [1, 2, 3]);
    assert_eq!(builder.all_lengths(), [[7, 3], [3, 2]]);
    // A batch is its samples after one another.
    assert_eq!(values(&builder, &[1, 0], "column"), [0, 1, 0, 0, 1, 2, 1, 0, 2, 0]);
    assert_eq!(values(&builder, &[1, 0], "query"), [3, 3, 1, 2, 3]);
}

#[test]
fn the_suffix_takes_the_place_of_the_first_residue_that_is_cut() {
    let build = |name, most| build(name, &["ACD|-C-|D-A"], tokenizer(RUN, vec![]), Some(most), LengthPolicy::Truncate).unwrap();
    let builder = build("cut", 5);
    assert_eq!(values(&builder, &[0], "ids"), [1, 2, 3, 2, 5]);
    assert_eq!(values(&builder, &[0], "column"), [0, 1, 2, 1, 0]);
    assert_eq!(values(&builder, &[0], "row"), [0, 0, 0, 1, 2]);
    assert_eq!((builder.truncations()[0].rows, builder.truncations()[0].longest), (1, 7));
    assert_eq!(builder.truncations().len(), 1, "both lengths are of one column");
    // A query that is cut itself has no special token.
    let builder = build("cut-query", 3);
    assert_eq!(values(&builder, &[0], "ids"), [1, 2, 5]);
    assert_eq!(values(&builder, &[0], "query"), [1, 2]);
    assert!(build("uncut", 7).truncations().is_empty());
}

#[test]
fn a_prefix_belongs_to_the_query() {
    let builder = build("prefix", &["A-D|AC-"], tokenizer(RUN, vec![6]), None, LengthPolicy::Error).unwrap();
    assert_eq!(values(&builder, &[0], "ids"), [6, 1, 3, 1, 2, 5]);
    assert_eq!(values(&builder, &[0], "column"), [0, 0, 2, 0, 1, 0]);
    assert_eq!(values(&builder, &[0], "query"), [6, 1, 3]);
}

#[test]
fn unknown_residues_keep_their_places() {
    let builder = build("unknown", &["AWWD|WW--"], tokenizer(RUN, vec![]), None, LengthPolicy::Error).unwrap();
    assert_eq!(values(&builder, &[0], "ids"), [1, 4, 4, 3, 4, 4, 5]);
    assert_eq!(values(&builder, &[0], "column"), [0, 1, 2, 3, 0, 1, 0]);
    let refused = build("refused", &["AC|-W"], tokenizer(Unknown::Error, vec![]), None, LengthPolicy::Error).unwrap_err();
    assert_eq!(refused.code.0, "E0531");
    assert!(refused.message.contains("column 2 of row 1"), "{}", refused.message);
}

#[test]
fn wrong_alignments_are_refused_with_their_place() {
    let build = |name, text, most| build(name, &["AC", text], tokenizer(RUN, vec![]), most, LengthPolicy::Error).unwrap_err();
    let short = build("short", "ACD|AC", None);
    assert_eq!(short.code.0, "E0539");
    assert!(
        short.message.contains("row 2 of rows.tsv") && short.message.contains("has 2 columns, and the query has 3"),
        "{}",
        short.message
    );
    assert_eq!(build("end", "ACD|", None).code.0, "E0539");
    assert_eq!(build("letter", "AC1", None).code.0, "E0513");
    assert_eq!(build("long", "ACD|A-D", Some(5)).code.0, "E0530");
}

/// A table in a folder of its own, `data/rows.tsv`, beside files by name.
fn with_files(files: &[(&str, &[u8])], kind: ColumnKind, table: &str) -> Result<Table, Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join("data").join(name), bytes).unwrap();
    }
    std::fs::write(folder.path().join("data/rows.tsv"), table).unwrap();
    Table::read(&common::data("data/rows.tsv", FileFormat::Tsv, vec![common::column("family", kind)]), folder.path())
}

fn read(table: Table, more: &[InputSpec], most: Option<u64>) -> Result<InputBuilder, Diagnostic> {
    inputs_of(table, tokenizer(RUN, vec![]), most, LengthPolicy::Truncate, more)
}

#[test]
fn files_are_read_as_the_same_rows_in_the_table() {
    let a3m = b"#3\t1\n>query\nAC\nD\n>x\n-aaC..-\n>y\nD-A\n";
    let table = with_files(&[("a.a3m", a3m)], alignment(Some(AlignmentFormat::A3m), None), "family\na.a3m\n").unwrap();
    assert_eq!(table.column("family").unwrap().text(0), "a.a3m", "predictions name the file");
    let builder = read(table, &[], None).unwrap();
    assert_eq!(values(&builder, &[0], "ids"), [1, 2, 3, 2, 3, 1, 5]);
    assert_eq!(values(&builder, &[0], "column"), [0, 1, 2, 1, 0, 2, 0]);
    assert_eq!(values(&builder, &[0], "row"), [0, 0, 0, 1, 2, 2, 0]);
    let fasta = alignment(Some(AlignmentFormat::Fasta), None);
    let table = with_files(&[("a.afa", b">q\nACD\n>x\n.C-\n>y\nD-A")], fasta, "family\na.afa\n").unwrap();
    assert_eq!(values(&read(table, &[], None).unwrap(), &[0], "ids"), [1, 2, 3, 2, 3, 1, 5]);
}

#[test]
fn files_that_are_no_alignments_are_refused_with_their_line() {
    let kind = || alignment(Some(AlignmentFormat::A3m), None);
    let refused = |bytes: &[u8]| with_files(&[("a.a3m", bytes)], kind(), "family\na.a3m\n").unwrap_err();
    for (bytes, code, says) in [
        (&b">q\nACD\n>x\nAC\n"[..], "E0543", "line 3 of"),
        (b">q\nAC1\n", "E0543", "line 2 of"),
        (b"ACD\n", "E0543", "line 1 of"),
        (b"", "E0543", "no sequence"),
        (b">q\nACD\n>x\n\xFF\n", "E0523", "line 4 of"),
    ] {
        let found = refused(bytes);
        assert_eq!(found.code.0, code, "{}", found.message);
        assert!(found.message.contains(says) && found.message.contains("a.a3m"), "{}", found.message);
        assert!(found.notes.iter().any(|note| note.contains("row 1 (line 2) of rows.tsv")), "{:?}", found.notes);
    }
    assert_eq!(with_files(&[], kind(), "family\nb.a3m\n").unwrap_err().code.0, "E0510");
    assert_eq!(with_files(&[], kind(), "id\tfamily\n1\t\n").unwrap_err().code.0, "E0514");
}

/// The bytes of a file of NumPy with 32-bit floats.
fn npy(rows: usize, numbers: &[f32]) -> Vec<u8> {
    let columns = numbers.len() / rows.max(1);
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

fn features() -> InputSpec {
    InputSpec { name: "features".into(), source: InputSource::TokenStructures { length: LengthId(1), features: 2 } }
}

fn numbers(builder: &InputBuilder, rows: &[u64]) -> Vec<f32> {
    match &builder.batch(rows, 0).inputs["features"] {
        InputData::F32(values) => values.clone(),
        InputData::I32(_) => panic!("whole numbers"),
    }
}

#[test]
fn structures_are_of_the_query_s_residues() {
    let files = [("a.npy", npy(3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])), ("b.npy", npy(2, &[7.0, 8.0, 9.5, 10.0]))];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let table = "family\tknown\nACD|-C-\ta.npy\nA-D|ACD\tb.npy\n";
    let table = || with_files(&files, alignment(None, Some(2)), table).unwrap();
    let builder = read(table(), &[features()], None).unwrap();
    assert_eq!(numbers(&builder, &[0]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(numbers(&builder, &[1, 0])[..6], [7.0, 8.0, 9.5, 10.0, 1.0, 2.0], "none for a gap of the query");
    // What is cut of the query is cut of its structure.
    assert_eq!(numbers(&read(table(), &[features()], Some(3)).unwrap(), &[0]), [1.0, 2.0, 3.0, 4.0]);
    // Other tokens before the query have none.
    let prefixed = inputs_of(table(), tokenizer(RUN, vec![6]), None, LengthPolicy::Error, &[features()]).unwrap();
    assert_eq!(numbers(&prefixed, &[1]), [0.0, 0.0, 7.0, 8.0, 9.5, 10.0]);
}

#[test]
fn structures_that_do_not_fit_are_refused() {
    let refused = |bytes: Vec<u8>| {
        let table = with_files(&[("a.npy", &bytes)], alignment(None, Some(2)), "family\tknown\nACD|-C-\ta.npy\n");
        let found = table.and_then(|table| read(table, &[features()], None)).unwrap_err();
        assert_eq!(found.code.0, "E0544", "{}", found.message);
        found.message
    };
    assert!(refused(npy(2, &[1.0, 2.0, 3.0, 4.0])).contains("has 3 residues, and its structure 2"));
    assert!(refused(npy(3, &[1.0; 9])).contains("has 3 numbers, and the column promises 2"));
    assert!(refused(npy(3, &[1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0])).contains("number 2 of residue 2"));
    assert!(refused(npy(3, &[1.0; 6])[..70].to_vec()).contains("a.npy"));
    assert!(refused(b"text".to_vec()).contains("does not begin"));
    let table = with_files(&[], alignment(None, Some(2)), "family\tknown\nACD|-C-\ta.npy\n");
    assert_eq!(table.unwrap_err().code.0, "E0510");
}

#[test]
fn structures_are_read_from_lists_of_lists() {
    use arrow::array::{ArrayRef, Float32Builder, Float64Builder, ListBuilder, StringArray};
    let lists = |rows: &[&[&[f64]]]| -> ArrayRef {
        let mut builder = ListBuilder::new(ListBuilder::new(Float64Builder::new()));
        for row in rows {
            for residue in *row {
                builder.values().append_value(residue.iter().map(|number| Some(*number)));
            }
            builder.append(true);
        }
        std::sync::Arc::new(builder.finish())
    };
    let read_lists = |known: ArrayRef| {
        let families: ArrayRef = std::sync::Arc::new(StringArray::from(vec!["ACD|-C-", "AD"]));
        let bytes = common::parquet_bytes(vec![("family", families), ("known", known)]);
        let table = common::read_bytes(&bytes, FileFormat::Parquet, vec![common::column("family", alignment(None, Some(2)))]);
        table.and_then(|table| read(table, &[features()], None))
    };
    let builder = read_lists(lists(&[&[&[1.0, 2.0], &[3.0, 4.0], &[5.0, 6.0]], &[&[7.0, 8.0], &[9.0, 0.5]]])).unwrap();
    assert_eq!(numbers(&builder, &[1, 0]), [7.0, 8.0, 9.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let short = read_lists(lists(&[&[&[1.0, 2.0], &[3.0], &[5.0, 6.0]], &[&[7.0, 8.0], &[9.0, 0.5]]])).unwrap_err();
    assert!(short.code.0 == "E0544" && short.message.contains("row 1") && short.message.contains("residue 2 has 1"), "{}", short.message);
    let mut flat = ListBuilder::new(Float32Builder::new());
    flat.append_value([Some(1.0)]);
    flat.append_value([Some(1.0)]);
    assert_eq!(read_lists(std::sync::Arc::new(flat.finish())).unwrap_err().code.0, "E0544");
}
