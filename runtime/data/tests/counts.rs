//! Columns of counts: what is read from wide tables and from triples, what is refused, and which gene each column is.

mod common;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, StringArray, UInt8Array, UInt16Array};
use common::{assert_says, data, parquet_bytes, read_bytes};
use mgx_data::{InputBuilder, Table, Values};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{
    Casing, ColumnKind, ColumnSpec, CountSource, FileFormat, GeneOrder, InputData, InputSource, InputSpec, TokenizerKind, TokenizerSpec,
};

fn read_csv(text: &str, columns: Vec<ColumnSpec>) -> Result<Table, Diagnostic> {
    read_bytes(text.as_bytes(), FileFormat::Csv, columns)
}

fn counts(source: CountSource) -> ColumnSpec {
    ColumnSpec { name: "cells".into(), header: "cell".into(), kind: ColumnKind::Counts { source, neighbors: None }, conversion: None }
}

fn wide(genes: &[&str]) -> ColumnSpec {
    counts(CountSource::Wide { genes: genes.iter().map(|gene| (*gene).to_owned()).collect() })
}

#[test]
fn counts_are_read_from_wide_tables() {
    let table = read_csv("cell,B,A,B\nx,1,0,4\ny,0,2.5,0\n", vec![wide(&["A", "B"])]).unwrap();
    let Values::Counts(counts) = &table.column("cells").unwrap().values else { panic!("no counts") };
    assert_eq!(counts.genes(), ["B", "A", "B"], "all columns of the names, in the order of the file");
    assert_eq!(counts.row(0).collect::<Vec<_>>(), [(0, 1.0), (2, 4.0)]);
    assert_eq!(counts.row(1).collect::<Vec<_>>(), [(1, 2.5)]);
    for (text, code, says) in [
        ("cell,A\nx,-1\n", "E0536", "row 1"),
        ("cell,A\nx,inf\n", "E0536", "not finite"),
        ("cell,A\nx,\n", "E0517", "missing"),
        ("cell,A\nx,many\n", "E0518", "`many`"),
        ("cell,B\nx,1\n", "E0512", "`A`"),
    ] {
        assert_says(read_csv(text, vec![wide(&["A"])]), code, &[says]);
    }
}

#[test]
fn counts_are_read_from_triples() {
    let folder = tempfile::tempdir().unwrap();
    let read = |cells: &str, triples: &str| {
        std::fs::write(folder.path().join("a.csv"), cells).unwrap();
        std::fs::write(folder.path().join("t.tsv"), triples).unwrap();
        let name = |text: &str| text.to_owned();
        let (path, format) = (name("t.tsv"), FileFormat::Tsv);
        let source = CountSource::Long { path, format, cell: name("cell"), gene: name("gene"), count: name("count") };
        Table::read(&data("a.csv", FileFormat::Csv, vec![counts(source)]), folder.path())
    };
    let head = "cell\tgene\tcount\n";
    let table = read("cell\nx\ny\n", &format!("{head}y\tA\t2\nz\tA\t9\nx\tB\t1\ny\tB\t3\n")).unwrap();
    let Values::Counts(counts) = &table.column("cells").unwrap().values else { panic!("no counts") };
    assert_eq!(counts.genes(), ["A", "B"]);
    assert_eq!(counts.row(0).collect::<Vec<_>>(), [(1, 1.0)]);
    assert_eq!(counts.row(1).collect::<Vec<_>>(), [(0, 2.0), (1, 3.0)]);
    assert_says(read("cell\nx\nx\n", &format!("{head}x\tA\t1\n")), "E0538", &["twice"]);
    assert_says(read("cell\nx\n", &format!("{head}q\tA\t1\n")), "E0538", &["no cell of the table", "`q`"]);
    assert_says(read("cell\nx\n", &format!("{head}x\tA\t1\nx\tA\t2\n")), "E0538", &["row 2 (line 3) of t.tsv"]);
    assert_says(read("cell\nx\n", &format!("{head}x\tA\t-1\n")), "E0536", &["negative"]);
}

#[test]
fn counts_are_read_from_parquet() {
    let cells = || Arc::new(StringArray::from(vec!["x", "y"])) as ArrayRef;
    let read = |genes: Vec<(&str, ArrayRef)>| {
        let columns = std::iter::once(("cell", cells())).chain(genes).collect();
        read_bytes(&parquet_bytes(columns), FileFormat::Parquet, vec![wide(&["A", "B"])])
    };
    let types: [ArrayRef; 6] = [
        Arc::new(Int64Array::from(vec![3, 0])),
        Arc::new(Int32Array::from(vec![3, 0])),
        Arc::new(UInt16Array::from(vec![3, 0])),
        Arc::new(UInt8Array::from(vec![3, 0])),
        Arc::new(Float32Array::from(vec![3.0, 0.0])),
        Arc::new(Float64Array::from(vec![3.0, 0.0])),
    ];
    for values in types {
        let table = read(vec![("B", Arc::clone(&values)), ("A", Arc::new(Float32Array::from(vec![0.5, 7.0])))]).unwrap();
        let Values::Counts(counts) = &table.column("cells").unwrap().values else { panic!("no counts") };
        assert_eq!(counts.row(0).collect::<Vec<_>>(), [(0, 3.0), (1, 0.5)], "{}", values.data_type());
        assert_eq!(counts.row(1).collect::<Vec<_>>(), [(1, 7.0)], "{}", values.data_type());
    }
    let with = |a: ArrayRef| read(vec![("A", a), ("B", Arc::new(Int64Array::from(vec![1, 1])))]);
    let place = "row 2 of data.txt, column `A`";
    assert_says(with(Arc::new(Int32Array::from(vec![Some(1), None]))), "E0517", &[place]);
    assert_says(with(Arc::new(Float32Array::from(vec![1.0, -0.5]))), "E0536", &[place, "negative"]);
    assert_says(with(Arc::new(Float64Array::from(vec![1.0, f64::NAN]))), "E0536", &[place, "not finite"]);
    assert_says(with(Arc::new(StringArray::from(vec!["1", "2"]))), "E0518", &["column `A`", "text"]);
}

#[test]
fn triples_are_read_from_parquet() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "cell\nx\ny\n").unwrap();
    let read = |numbers: ArrayRef| {
        let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let columns = vec![("barcode", text(["y", "x"])), ("symbol", text(["B", "A"])), ("n", numbers)];
        std::fs::write(folder.path().join("t.parquet"), parquet_bytes(columns)).unwrap();
        let name = |text: &str| text.to_owned();
        let (path, format) = (name("t.parquet"), FileFormat::Parquet);
        let source = CountSource::Long { path, format, cell: name("barcode"), gene: name("symbol"), count: name("n") };
        Table::read(&data("a.csv", FileFormat::Csv, vec![counts(source)]), folder.path())
    };
    for values in [Arc::new(Int64Array::from(vec![3, 4])) as ArrayRef, Arc::new(Float32Array::from(vec![3.0, 4.0]))] {
        let table = read(values).unwrap();
        let Values::Counts(counts) = &table.column("cells").unwrap().values else { panic!("no counts") };
        assert_eq!(counts.genes(), ["B", "A"]);
        assert_eq!((counts.row(0).collect::<Vec<_>>(), counts.row(1).collect::<Vec<_>>()), (vec![(1, 4.0)], vec![(0, 3.0)]));
    }
    assert_says(read(Arc::new(Int64Array::from(vec![Some(3), None]))), "E0517", &["row 2 of", "t.parquet", "column `n`"]);
    assert_says(read(Arc::new(Float32Array::from(vec![-3.0, 1.0]))), "E0536", &["row 1 of", "negative"]);
}

/// The counts of a wide table by a list of three genes, whose other names are Ensembl identifiers.
fn aligned(text: &str, genes: &[&str]) -> Result<InputBuilder, Diagnostic> {
    aligned_as(text, genes, false)
}

fn aligned_as(text: &str, genes: &[&str], normalized: bool) -> Result<InputBuilder, Diagnostic> {
    let list = |names: [&str; 3]| names.map(str::to_owned).to_vec();
    let tokenizer = TokenizerSpec {
        name: "genes".into(),
        kind: TokenizerKind::Genes { order: GeneOrder::All, names: list(["ENSG01", "ENSG02", ""]), normalized },
        casing: Casing::Keep,
        replace: vec![],
        vocabulary: list(["A", "B", "C"]),
        special: vec![],
        prefix: vec![],
        suffix: vec![],
    };
    let source = InputSource::AllCounts { data: 0, column: "cells".into(), tokenizer: 0, genes: 3 };
    let input = InputSpec { name: "counts".into(), source };
    InputBuilder::new(&[tokenizer], &[], &[input], &[read_csv(text, vec![wide(genes)])?])
}

fn row(inputs: &InputBuilder, row: u64) -> Vec<f32> {
    match &inputs.batch(&[row], 0).inputs["counts"] {
        InputData::F32(counts) => counts.clone(),
        InputData::I32(_) => panic!("counts are whole numbers"),
    }
}

#[test]
fn genes_are_found_by_symbol_and_by_identifier_of_any_version() {
    let inputs = aligned("cell,C,ENSG02.7,ENSG01\nx,1,2,3\n", &["C", "ENSG02.7", "ENSG01"]).unwrap();
    assert_eq!(row(&inputs, 0), [3.0, 2.0, 1.0]);
    assert!(inputs.warnings().is_empty());
}

#[test]
fn normalised_expression_for_counts_and_counts_for_normalised_expression_are_told() {
    let warned = |text: &str, normalized: bool| -> Vec<String> {
        let inputs = aligned_as(text, &["A", "B"], normalized).unwrap();
        assert!(inputs.warnings().iter().all(|warning| warning.code.0 == "W0555"));
        inputs.warnings().iter().map(|warning| warning.message.clone()).collect()
    };
    let (counts, normalised) = ("cell,A,B\nx,3,0\ny,0,12\n", "cell,A,B\nx,1.25,0\ny,3,2.5\n");
    assert!(warned(counts, false).is_empty() && warned(normalised, true).is_empty());
    assert!(warned(normalised, false)[0].contains("66 % of its numbers"), "{:?}", warned(normalised, false));
    assert!(warned(counts, true)[0].contains("all of its numbers are whole"), "{:?}", warned(counts, true));
    // A few corrected counts are still counts.
    assert!(warned("cell,A,B\nx,3,2.5\ny,1,12\n", false).is_empty());
}

#[test]
fn the_first_column_of_a_gene_is_read_and_the_others_are_named() {
    let inputs = aligned("cell,B,ENSG02.1,A\nx,1,20,3\n", &["B", "ENSG02.1", "A"]).unwrap();
    assert_eq!(row(&inputs, 0), [3.0, 1.0, 0.0], "the first of a gene's columns, not their sum");
    let [warning] = inputs.warnings() else { panic!("{:?}", inputs.warnings()) };
    assert_eq!(warning.code.0, "W0552");
    assert!(warning.message.contains("`ENSG02.1`"), "{}", warning.message);
    assert!(mgx_diag::explain("W0552").is_some());
    let inputs = aligned("cell,A,A,B,B,B\nx,1,2,3,4,5\n", &["A", "B"]).unwrap();
    assert_eq!(row(&inputs, 0), [1.0, 3.0, 0.0]);
    assert!(inputs.warnings()[0].message.contains("3 genes"), "{}", inputs.warnings()[0].message);
}

#[test]
fn cells_without_counts_are_refused_with_their_place() {
    let empty = aligned("cell,A,B\nx,1,0\ny,0,0\n", &["A", "B"]).unwrap_err();
    assert_eq!(empty.code.0, "E0537");
    assert!(empty.message.contains("row 2 of data.txt"), "{}", empty.message);
    assert!(mgx_diag::explain("E0537").is_some());
    let foreign = aligned("cell,Q\nx,1\n", &["Q"]).unwrap_err();
    assert_eq!(foreign.code.0, "E0535");
}
