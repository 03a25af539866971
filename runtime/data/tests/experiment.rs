//! The path of an experiment's data, on the project's real examples: read, split, tokenise, batch, write.

mod common;

use std::collections::HashMap;

use arrow::array::{AsArray, FixedSizeListArray, ListArray};
use arrow::datatypes::{Float32Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use common::{class, column, data, examples, sequence};
use mgx_data::{
    Batching, ColumnSummary, Embeddings, FilledColumns, FilledRow, FilledToken, InputBuilder, Limit, OutputValues, Split, Table, Tokenizer,
    capacity, check_training_classes, cost, evaluation_batches, prediction_columns, profile, split, write_embeddings,
};
use mgx_ir::graph::LengthId;
use mgx_ir::plan::{
    Alphabet, BatchSpec, Casing, ColumnKind, DataSpec, FileFormat, Generator, InputData, InputSource, InputSpec, LengthPolicy, LengthSpec,
    OutputKind, OutputSpec, SplitSpec, TokenizerKind, TokenizerSpec, Unknown,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn splice() -> DataSpec {
    let mut spec =
        data("splice.tsv", FileFormat::Tsv, vec![column("sequence", sequence(Alphabet::Dna)), column("label", class(&["EI", "IE", "N"]))]);
    spec.split = SplitSpec::Random {
        train: 0.8,
        valid: 0.1,
        test: 0.1,
        seed: 42,
        stratify: Some("label".into()),
        group: Some("sequence".into()),
        like: Generator::Mgx,
    };
    spec
}

fn dna_tokenizer() -> TokenizerSpec {
    TokenizerSpec {
        name: "dna".into(),
        kind: TokenizerKind::Greedy { unknown: Unknown::Run { id: 4 }, separator: None },
        casing: Casing::Keep,
        replace: vec![],
        vocabulary: ["[PAD]", "[MASK]", "[CLS]", "[SEP]", "[UNK]", "A", "G", "C", "T", "U", "N"].map(str::to_owned).to_vec(),
        special: vec![],
        prefix: vec![2],
        suffix: vec![3],
    }
}

fn length(max_length: Option<u64>, policy: LengthPolicy) -> LengthSpec {
    LengthSpec { name: "seq".into(), data: 0, column: "sequence".into(), tokenizer: 0, max_length, policy, own_cell: false }
}

fn inputs() -> Vec<InputSpec> {
    vec![
        InputSpec { name: "tokens".into(), source: InputSource::Tokens { length: LengthId(0) } },
        InputSpec { name: "label".into(), source: InputSource::Class { data: 0, column: "label".into() } },
    ]
}

#[test]
fn splice_is_split_by_class_and_sequence() {
    let spec = splice();
    let table = Table::read(&spec, &examples()).unwrap();
    assert_eq!(table.rows(), 3186);
    let parts = split(&table, &spec.split).unwrap();
    check_training_classes(&table, &parts.train).unwrap();
    let Split { train, valid, test } = &parts;
    assert_eq!((train.len(), valid.len(), test.len()), (2549, 319, 318));

    let mut part_of: HashMap<&str, usize> = HashMap::new();
    for (number, part) in [train, valid, test].into_iter().enumerate() {
        for row in part {
            assert_eq!(*part_of.entry(table.column("sequence").unwrap().text(*row)).or_insert(number), number, "a sequence in two parts");
        }
        for (class, rows) in [("EI", 767.0), ("IE", 765.0), ("N", 1654.0)] {
            let found = part.iter().filter(|row| table.column("label").unwrap().display(**row) == class).count() as f64;
            let share = part.len() as f64 / 3186.0;
            assert!((found - share * rows).abs() < 4.0, "{found} {class} in part {number}");
        }
    }
    assert_eq!(part_of.len(), 3001, "185 sequences occur twice");
}

#[test]
fn batches_hold_the_tokens_of_their_rows() {
    let table = Table::read(&splice(), &examples()).unwrap();
    let tokenizers = [dna_tokenizer()];
    let tables = [table];
    let builder = InputBuilder::new(&tokenizers, &[length(Some(40), LengthPolicy::Truncate)], &inputs(), &tables).unwrap();
    assert_eq!(builder.truncations()[0].rows, 3186);
    assert_eq!(builder.truncations()[0].longest, 62);
    assert!(builder.all_lengths().iter().all(|lengths| lengths == &[40]));

    let rows = [17, 3, 3000];
    let batch = builder.batch(&rows, 99);
    assert_eq!(batch.samples.iter().map(|sample| sample.key).collect::<Vec<_>>(), rows);
    let tokenizer = Tokenizer::new(&tokenizers[0]).unwrap();
    let expected: Vec<i32> = rows
        .iter()
        .flat_map(|row| tokenizer.encode(tables[0].column("sequence").unwrap().text(*row), Some(Limit::first(40)), true).unwrap().ids)
        .collect();
    assert_eq!(batch.inputs["tokens"], InputData::I32(expected));
    let InputData::I32(classes) = &batch.inputs["label"] else { panic!("classes are numbers") };
    let names = ["EI", "IE", "N"];
    for (row, class) in rows.iter().zip(classes) {
        assert_eq!(tables[0].column("label").unwrap().display(*row), names[*class as usize]);
    }
}

#[test]
fn a_plan_that_names_what_it_does_not_have_is_refused() {
    let tables = [Table::read(&splice(), &examples()).unwrap()];
    let without = InputBuilder::new(&[], &[length(Some(40), LengthPolicy::Truncate)], &inputs(), &tables).unwrap_err();
    assert_eq!(without.code.0, "E0534", "{without:?}");
}

#[test]
fn sequences_that_do_not_fit_are_reported() {
    let tables = [Table::read(&splice(), &examples()).unwrap()];
    let tokenizers = [dna_tokenizer()];
    let long = InputBuilder::new(&tokenizers, &[length(Some(40), LengthPolicy::Error)], &inputs(), &tables).unwrap_err();
    assert_eq!(long.code.0, "E0530");
    assert!(long.message.contains("3186 of 3186") && long.notes[0].contains("62"), "{long:?}");

    let mut strict = dna_tokenizer();
    strict.kind = TokenizerKind::Greedy { unknown: Unknown::Error, separator: None };
    strict.vocabulary[6] = "X".into();
    let unknown = InputBuilder::new(&[strict], &[length(None, LengthPolicy::Error)], &inputs(), &tables).unwrap_err();
    assert_eq!(unknown.code.0, "E0531");
    assert!(unknown.message.contains("row 1 (line 2)") && unknown.message.contains("'G' at position 4"), "{unknown:?}");

    let fixed = |tokens| {
        let source = InputSource::FixedTokens { data: 0, column: "sequence".into(), tokenizer: 0, tokens };
        InputBuilder::new(&tokenizers, &[], &[InputSpec { name: "x".into(), source }], &tables)
    };
    assert_eq!(fixed(63).unwrap_err().code.0, "E0532");
    // Sequences of one length may be longer than a backbone takes.
    assert!(matches!(&fixed(60).unwrap().batch(&[0, 1], 0).inputs["x"], InputData::I32(ids) if ids.len() == 120));
    assert!(matches!(&fixed(62).unwrap().batch(&[0, 1], 0).inputs["x"], InputData::I32(ids) if ids.len() == 124));
}

#[test]
fn peptides_of_all_lengths_fit_the_planned_capacity() {
    let spec = data("amp.csv", FileFormat::Csv, vec![column("sequence", sequence(Alphabet::Protein)), column("label", ColumnKind::Text)]);
    let table = Table::read(&spec, &examples()).unwrap();
    let lengths: Vec<Vec<u64>> = (0..table.rows()).map(|row| vec![table.column("sequence").unwrap().text(row).len() as u64]).collect();
    let rows: Vec<u64> = (0..table.rows()).collect();
    let costs = |row: u64| cost(&lengths[row as usize]);
    for spec in [BatchSpec::Tokens(4096), BatchSpec::Samples(64)] {
        let batching = Batching { spec, seed: 1, shuffle: true };
        let tokens = |batch: &Vec<u64>| batch.iter().map(|row| costs(*row)).sum::<u64>();
        let real = batching.epoch(&rows, costs, 0).iter().chain(&evaluation_batches(spec, &rows, costs)).map(tokens).max().unwrap();
        let candidates = capacity(&lengths, spec);
        let planned = candidates.iter().map(|samples| samples.iter().map(|lengths| lengths[0]).sum::<u64>()).max().unwrap();
        assert!(real <= planned && planned as f64 <= real as f64 * 1.02, "{real} of {planned} in {} candidates", candidates.len());
    }
}

#[test]
fn the_profile_counts() {
    let profile = profile(&splice(), &examples()).unwrap();
    assert_eq!((profile.rows, profile.duplicates, profile.bytes), (3186, 185, 202_265));
    assert_eq!(profile.sha256.len(), 64);
    let ColumnSummary::Sequence { shortest, longest, total, lengths, letters } = &profile.columns[0].summary else { panic!("a sequence") };
    assert_eq!((*shortest, *longest, *total, lengths.len()), (60, 60, 191_160, 1));
    assert_eq!(letters.iter().map(|letter| letter.count).sum::<u64>(), 191_160);
    let ColumnSummary::Class { classes } = &profile.columns[1].summary else { panic!("classes") };
    assert_eq!(classes.iter().map(|class| class.rows).collect::<Vec<_>>(), [767, 765, 1654]);
    let text = serde_json::to_string(&profile).unwrap();
    assert_eq!(serde_json::from_str::<mgx_data::DataProfile>(&text).unwrap(), profile);
}

fn read_back(path: &std::path::Path) -> RecordBatch {
    let file = std::fs::File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().next().unwrap().unwrap()
}

fn small_table() -> (tempfile::TempDir, Table) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "name,label,y\nr1,a,1\n\"r\t2\",b,2\nr3,a,0.1\n").unwrap();
    let columns = vec![column("label", class(&["a", "b"])), column("name", ColumnKind::Text), column("y", ColumnKind::Real)];
    let table = Table::read(&data("a.csv", FileFormat::Csv, columns), folder.path()).unwrap();
    (folder, table)
}

#[test]
fn predictions_come_out_in_row_order() {
    let (folder, table) = small_table();
    let class_spec = OutputSpec { name: "probability".into(), kind: OutputKind::Probabilities { names: vec!["a".into(), "b".into()] } };
    let value_spec = OutputSpec { name: "y".into(), kind: OutputKind::Values };
    let outputs = [
        OutputValues { spec: &class_spec, values: &[0.25, 0.75, 0.9, 0.1, 0.5, 0.5], width: 2, items: None },
        OutputValues { spec: &value_spec, values: &[3.0, 1.0, 2.0], width: 1, items: None },
    ];
    let predictions = prediction_columns(&table, &[2, 0, 1], &outputs, None, &[]).unwrap();
    let tsv = folder.path().join("out/predictions.tsv");
    predictions.write_tsv(&tsv).unwrap();
    let text = std::fs::read_to_string(&tsv).unwrap();
    let expected = "row\tname\tlabel\ty\tprobability.a\tprobability.b\tpredicted\toutput.y\n\
        1\tr1\ta\t1\t0.9\t0.1\ta\t1\n2\t\"r\t2\"\tb\t2\t0.5\t0.5\ta\t2\n3\tr3\ta\t0.1\t0.25\t0.75\tb\t3\n";
    assert_eq!(text, expected);

    let path = folder.path().join("predictions.parquet");
    predictions.write_parquet(&path).unwrap();
    assert_eq!(&read_back(&path), predictions.batch());

    let wrong = [OutputValues { spec: &value_spec, values: &[3.0], width: 1, items: None }];
    assert_eq!(prediction_columns(&table, &[0, 1], &wrong, None, &[]).unwrap_err().code.0, "E0542");
    let blocked = predictions.write_tsv(&tsv.join("below-a-file.tsv")).unwrap_err();
    assert_eq!(blocked.code.0, "E0540");
}

#[test]
fn filled_sequences_come_out_in_row_order_with_lists() {
    let (folder, table) = small_table();
    let spec = TokenizerSpec {
        name: "words".into(),
        kind: TokenizerKind::WordPiece { unknown: 0 },
        casing: Casing::Keep,
        replace: vec![],
        vocabulary: ["[MASK]", "a", ",", "##b"].map(str::to_owned).to_vec(),
        special: vec![0],
        prefix: vec![],
        suffix: vec![],
    };
    let token = |place, step, best: &[(i32, f32)]| FilledToken { place, step, best: best.to_vec() };
    let rows = [
        FilledRow { ids: vec![1, 3, 2], masks: vec![token(1, 2, &[(3, 0.5)]), token(2, 1, &[(2, 0.75)])] },
        FilledRow { ids: vec![2, 0], masks: vec![token(1, 0, &[])] },
        FilledRow { ids: vec![1], masks: vec![] },
    ];
    let columns =
        |words| FilledColumns { name: "filled", rows: &rows, tokenizer: Tokenizer::new(&spec).unwrap(), words, best: 1, in_steps: true };
    let predictions = prediction_columns(&table, &[2, 0, 1], &[], Some(&columns(true)), &[]).unwrap();
    let tsv = folder.path().join("filled.tsv");
    predictions.write_tsv(&tsv).unwrap();
    let expected = "row\tname\tlabel\ty\tfilled\tfilled.place\tfilled.token.1\tfilled.score.1\tfilled.step\n\
        1\tr1\ta\t1\t, [MASK]\t1\t\t0\t0\n2\t\"r\t2\"\tb\t2\ta\t\t\t\t\n3\tr3\ta\t0.1\tab ,\t1,2\t##b ,\t0.5,0.75\t2,1\n";
    assert_eq!(std::fs::read_to_string(&tsv).unwrap(), expected);
    let path = folder.path().join("filled.parquet");
    predictions.write_parquet(&path).unwrap();
    assert_eq!(&read_back(&path), predictions.batch());
    let letters = prediction_columns(&table, &[2, 0, 1], &[], Some(&columns(false)), &[]).unwrap();
    assert_eq!(letters.batch()["filled"].as_string::<i64>().value(2), "ab,");
}

#[test]
fn embeddings_come_out_in_row_order() {
    let (folder, table) = small_table();
    let path = folder.path().join("e.parquet");
    let mut embeddings =
        Embeddings { name: "mean".into(), width: 2, per_token: false, rows: vec![(2, vec![5.0, 6.0]), (0, vec![1.0, 2.0])] };
    write_embeddings(&path, &table, &embeddings).unwrap();
    let batch = read_back(&path);
    assert_eq!(batch["row"].as_primitive::<UInt64Type>().values().as_ref(), [1, 3]);
    assert_eq!(batch["name"].as_string::<i64>().value(1), "r3");
    let vectors: &FixedSizeListArray = batch["mean"].as_fixed_size_list();
    assert_eq!(vectors.values().as_primitive::<Float32Type>().values().as_ref(), [1.0, 2.0, 5.0, 6.0]);

    embeddings.per_token = true;
    embeddings.rows = vec![(1, vec![1.0; 4]), (0, vec![2.0; 2])];
    write_embeddings(&path, &table, &embeddings).unwrap();
    let batch = read_back(&path);
    let lists: &ListArray = batch["mean"].as_list();
    assert_eq!((lists.value_length(0), lists.value_length(1)), (1, 2));

    embeddings.rows = vec![(0, vec![1.0; 3])];
    assert_eq!(write_embeddings(&path, &table, &embeddings).unwrap_err().code.0, "E0542");
}
