//! Columns that are made of columns of DNA and RNA as a table is read.

use std::fs;

use mgx_data::Table;
use mgx_ir::plan::{
    Alphabet, ColumnKind, ColumnSpec, Conversion, ConversionStep, DataSpec, EmptyPolicy, FileFormat, SplitSpec, StopPolicy,
};

const TRANSLATE: ConversionStep = ConversionStep::Translate { stop: StopPolicy::End, drop_partial: true };

fn made(name: &str, alphabet: Alphabet, steps: Vec<ConversionStep>) -> ColumnSpec {
    ColumnSpec {
        name: name.to_owned(),
        header: "cds".to_owned(),
        kind: ColumnKind::Sequence { alphabet, length: None, empty: EmptyPolicy::Error },
        conversion: Some(Conversion { from: Alphabet::Dna, length: None, steps }),
    }
}

/// Reads a table with the column `cds` and what is made of it.
fn read(name: &str, rows: &str, columns: Vec<ColumnSpec>) -> Result<Table, mgx_diag::Diagnostic> {
    let folder = std::env::temp_dir().join(format!("mgx-conversions-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("genes.tsv"), format!("cds\n{rows}")).unwrap();
    let spec = DataSpec {
        name: "genes".to_owned(),
        path: "genes.tsv".to_owned(),
        format: FileFormat::Tsv,
        columns,
        split: SplitSpec::None,
        windows: None,
        letters: None,
    };
    let table = Table::read(&spec, &folder);
    fs::remove_dir_all(&folder).unwrap();
    table
}

#[test]
fn several_columns_are_made_of_one() {
    let plain = ColumnSpec { conversion: None, ..made("cds", Alphabet::Dna, Vec::new()) };
    let columns = vec![
        plain,
        made("rna", Alphabet::Rna, vec![ConversionStep::Transcribe]),
        made("other", Alphabet::Rna, vec![ConversionStep::ReverseComplement, ConversionStep::Transcribe]),
        made("protein", Alphabet::Protein, vec![ConversionStep::Transcribe, TRANSLATE]),
    ];
    let table = read("several", "ATGGCCTAAGG\natggaR\n", columns).unwrap();
    let row = |row| ["cds", "rna", "other", "protein"].map(|name| table.column(name).unwrap().text(row).to_owned());
    assert_eq!(row(0), ["ATGGCCTAAGG", "AUGGCCUAAGG", "CCUUAGGCCAU", "MA"]);
    assert_eq!(row(1), ["atggaR", "auggaR", "Yuccau", "ME"]);
}

#[test]
fn what_cannot_be_converted_is_named_with_its_row() {
    let strict = ConversionStep::Translate { stop: StopPolicy::Error, drop_partial: false };
    let refused = |name, rows, step| read(name, rows, vec![made("made", Alphabet::Protein, vec![step])]).unwrap_err();
    for (name, rows, step, text) in [
        ("partial", "ATG\nATGG\n", strict, "row 2 (line 3)"),
        ("stop", "ATGTAAATG\n", strict, "position 4"),
        ("mask", "AT[MASK]\n", ConversionStep::Transcribe, "no base"),
        ("empty", "TAA\n", strict, "no protein"),
    ] {
        let found = refused(name, rows, step);
        assert!(found.code.0 == "E0589" && found.message.contains(text), "{name}: {found:?}");
    }
    // What the file holds is checked before it is converted.
    assert_eq!(refused("letters", "AUG\n", ConversionStep::Transcribe).code.0, "E0513");
}
