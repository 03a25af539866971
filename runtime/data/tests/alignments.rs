//! Alignments: a row of a table becomes the tokens of all its rows, each with its column and its row.

mod common;

use mgx_data::{InputBuilder, Table};
use mgx_diag::Diagnostic;
use mgx_ir::graph::LengthId;
use mgx_ir::plan::{
    AlignedPlace, Alphabet, Casing, FileFormat, InputData, InputSource, InputSpec, LengthPolicy, LengthSpec, TokenizerKind, TokenizerSpec,
    Unknown,
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
    let table = Table::read(
        &common::data("rows.tsv", FileFormat::Tsv, vec![common::column("family", common::sequence(Alphabet::Alignment))]),
        &folder,
    );
    std::fs::remove_dir_all(&folder).unwrap();
    let length =
        |own_cell| LengthSpec { name: "family".into(), data: 0, column: "family".into(), tokenizer: 0, max_length, policy, own_cell };
    let input = |name: &str, source| InputSpec { name: name.into(), source };
    let place = |what| InputSource::TokenPlaces { length: LengthId(0), what };
    let inputs = [
        input("ids", InputSource::Tokens { length: LengthId(0) }),
        input("column", place(AlignedPlace::Column)),
        input("row", place(AlignedPlace::Row)),
        input("query", InputSource::Tokens { length: LengthId(1) }),
    ];
    InputBuilder::new(&[tokenizer], &[length(false), length(true)], &inputs, &[table?])
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
