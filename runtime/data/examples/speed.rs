//! Measures tokenising and reading. `cargo run --release -p mgx-data --example speed`

use std::time::Instant;

use mgx_data::{Table, Tokenizer, header};
use mgx_ir::plan::{
    Alphabet, Casing, ColumnKind, ColumnSpec, DataSpec, EmptyPolicy, FileFormat, SplitSpec, TokenizerKind, TokenizerSpec, Unknown,
};

fn tokenizer(kind: TokenizerKind, vocabulary: &[&str]) -> Tokenizer {
    let spec = TokenizerSpec {
        name: "speed".into(),
        kind,
        casing: Casing::Keep,
        replace: vec![],
        vocabulary: vocabulary.iter().map(|token| (*token).to_owned()).collect(),
        special: vec![0, 1],
        prefix: vec![],
        suffix: vec![],
    };
    Tokenizer::new(&spec).unwrap_or_else(|found| panic!("{found:?}"))
}

/// Best of five, in MB of text per second on one core.
fn megabytes_per_second(tokenizer: &Tokenizer, text: &str) -> f64 {
    let mut ids = Vec::with_capacity(text.len());
    let run = |ids: &mut Vec<i32>| {
        ids.clear();
        let start = Instant::now();
        tokenizer.encode_into(text, None, true, ids).unwrap_or_else(|found| panic!("{found:?}"));
        start.elapsed().as_secs_f64()
    };
    let seconds = (0..5).map(|_| run(&mut ids)).fold(f64::INFINITY, f64::min);
    text.len() as f64 / 1e6 / seconds
}

fn main() {
    let text: String = (0_u32..20_000_000).map(|index| ['A', 'C', 'G', 'T'][(index.wrapping_mul(2_654_435_761) >> 30) as usize]).collect();
    let greedy = tokenizer(
        TokenizerKind::Greedy { unknown: Unknown::Run { id: 1 }, separator: None },
        &["[MASK]", "[UNK]", "A", "C", "G", "T", "N"],
    );
    println!("greedy, one byte per token: {:.0} MB/s", megabytes_per_second(&greedy, &text));
    let longer = tokenizer(
        TokenizerKind::Greedy { unknown: Unknown::Run { id: 1 }, separator: None },
        &["[MASK]", "[UNK]", "A", "C", "G", "T", "ACG", "TT"],
    );
    println!("greedy, tokens of several letters: {:.0} MB/s", megabytes_per_second(&longer, &text));
    let spaced: String = text.chars().take(2_000_000).flat_map(|letter| [letter, ' ']).collect();
    let words = tokenizer(TokenizerKind::WordPiece { unknown: 1 }, &["[MASK]", "[UNK]", "A", "C", "G", "T"]);
    println!("wordpiece, letters as words: {:.0} MB/s", megabytes_per_second(&words, &spaced));

    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let rows: String = (0..200_000).map(|row| format!("{}\tEI\n", &text[row * 60..row * 60 + 60])).collect();
    std::fs::write(folder.path().join("a.tsv"), format!("sequence\tlabel\n{rows}")).unwrap_or_else(|error| panic!("{error}"));
    let column = |name: &str, kind| ColumnSpec { name: name.into(), header: name.into(), kind, conversion: None };
    let sequence = ColumnKind::Sequence { alphabet: Alphabet::Dna, length: None, empty: EmptyPolicy::Error };
    let spec = DataSpec {
        name: "a".into(),
        path: "a.tsv".into(),
        format: FileFormat::Tsv,
        columns: vec![column("sequence", sequence), column("label", ColumnKind::Class { names: vec!["EI".into(), "N".into()] })],
        windows: None,
        letters: None,
        split: SplitSpec::None,
    };
    let start = Instant::now();
    let table = Table::read(&spec, folder.path()).unwrap_or_else(|found| panic!("{found:?}"));
    let seconds = start.elapsed().as_secs_f64();
    println!("reading and checking {} rows of TSV: {:.0} MB/s", table.rows(), rows.len() as f64 / 1e6 / seconds);
    let start = Instant::now();
    let names = header(&folder.path().join("a.tsv"), FileFormat::Tsv).unwrap_or_else(|found| panic!("{found:?}"));
    println!("header {names:?}: {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
}
