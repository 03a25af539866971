//! Masks in sequences, sequences as labels, and tokens that are masked on their way to a network.

mod common;

use common::{column, data, sequence};
use mgx_data::{InputBuilder, Table};
use mgx_diag::Diagnostic;
use mgx_ir::graph::LengthId;
use mgx_ir::plan::{
    Alphabet, Casing, FileFormat, InputData, InputSource, InputSpec, LengthPolicy, LengthSpec, MaskSpec, TokenizerKind, TokenizerSpec,
    Unknown,
};

/// With `mask` as the last token.
fn tokenizer(mask: &str) -> TokenizerSpec {
    TokenizerSpec {
        name: "dna".into(),
        kind: TokenizerKind::Greedy { unknown: Unknown::Run { id: 1 }, separator: None },
        casing: Casing::Keep,
        replace: vec![],
        vocabulary: ["[CLS]", "[UNK]", "A", "C", "G", "T", mask].map(str::to_owned).to_vec(),
        special: vec![],
        prefix: vec![0],
        suffix: vec![],
    }
}

fn inputs(lines: &str, mask: &str, sources: &[InputSource]) -> Result<InputBuilder, Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.tsv"), format!("hidden\twhole\n{lines}")).unwrap();
    let columns = vec![column("hidden", sequence(Alphabet::Dna)), column("whole", sequence(Alphabet::Dna))];
    let tables = [Table::read(&data("t.tsv", FileFormat::Tsv, columns), folder.path())?];
    let length = LengthSpec {
        name: "seq".into(),
        data: 0,
        column: "hidden".into(),
        tokenizer: 0,
        max_length: None,
        policy: LengthPolicy::Error,
        own_cell: false,
    };
    let specs: Vec<InputSpec> =
        sources.iter().enumerate().map(|(number, source)| InputSpec { name: number.to_string(), source: source.clone() }).collect();
    InputBuilder::new(&[tokenizer(mask)], &[length], &specs, &tables)
}

fn whole() -> InputSource {
    InputSource::TokensAlong { length: LengthId(0), column: "whole".into() }
}

fn seen() -> InputSource {
    InputSource::Tokens { length: LengthId(0) }
}

#[test]
fn a_mask_in_a_sequence_is_one_token_beside_its_letter() {
    let builder = inputs("A[MASK]GT\tACGT\nAC\tAC\n", "[MASK]", &[seen(), whole()]).unwrap();
    let batch = builder.batch(&[0, 1], 0);
    assert_eq!(batch.inputs["0"], InputData::I32(vec![0, 2, 6, 4, 5, 0, 2, 3]));
    assert_eq!(batch.inputs["1"], InputData::I32(vec![0, 2, 3, 4, 5, 0, 2, 3]));
}

#[test]
fn masks_and_labels_that_do_not_fit_are_reported() {
    let found = inputs("AC\tAC\nA[MASK]GT\tACG\n", "[MASK]", &[seen(), whole()]).unwrap_err();
    assert!(found.code.0 == "E0573" && found.message.contains("row 2 (line 3)"), "{found:?}");
    let found = inputs("AC\tAC\nA[MASK]GT\tACGT\n", "<mask>", &[seen()]).unwrap_err();
    assert!(found.code.0 == "E0574" && found.help.iter().any(|help| help.contains("`<mask>`")), "{found:?}");
    assert_eq!(inputs("A[CLS]GT\tACGT\n", "[MASK]", &[seen()]).unwrap_err().code.0, "E0513");
}

#[test]
fn what_was_chosen_is_what_changed() {
    let tokenizer = tokenizer("[MASK]");
    let masking = MaskSpec {
        seed: 1,
        rate: 0.3,
        keep: 0.0,
        random: 0.0,
        copies: None,
        mask: tokenizer.mask().unwrap(),
        special: tokenizer.special_tokens(),
        vocabulary: 7,
    };
    assert_eq!((masking.mask, masking.special.as_slice()), (6, [0, 1, 6].as_slice()));
    let masked = InputSource::Masked { of: Box::new(seen()), masking: masking.clone() };
    let chosen = InputSource::Chosen { of: Box::new(seen()), masking };
    let lines = "ACGTACGTAC\tACGTACGTAC\n".repeat(20);
    let builder = inputs(&lines, "[MASK]", &[masked, chosen, whole()]).unwrap();
    let rows: Vec<u64> = (0..20).collect();
    let lists = |random| {
        let batch = builder.batch(&rows, random);
        ["0", "1", "2"].map(|name| match &batch.inputs[name] {
            InputData::I32(values) => values.clone(),
            InputData::F32(_) => panic!("ids are whole numbers"),
        })
    };
    let [masked, chosen, whole] = lists(5);
    assert_eq!(chosen.iter().sum::<i32>(), 60, "three of ten letters in every row");
    for ((masked, chosen), whole) in masked.iter().zip(&chosen).zip(&whole) {
        assert_eq!(*masked, if *chosen == 1 { 6 } else { *whole });
    }
    assert!(lists(5)[1] == chosen && lists(6)[1] != chosen, "a mask is of its step");
}
