//! Scores of variants of a genome through the binary: nothing is trained, what has labels is measured.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = r#"
use std::backbones::{aido_dna, aido_dna_masked_lm}
use std::tasks::{variant_difference, variant_distance}

data calls = variants("calls.tsv", genome = "genome.fa", window = 4, chromosome = "CHROM") {
  name: id
  reference: dna
  mutated: dna
  masked: dna
  effect: class("benign", "pathogenic")
}

experiment difference {
  encoder = aido_dna_masked_lm(from_scratch = true, hidden = 16, layers = 1, heads = 2, ffn = 16)
  out     = calls.masked |> encoder
  task    = variant_difference(out.logits, calls.reference, calls.mutated, calls.effect)
}

experiment distance {
  encoder   = aido_dna(from_scratch = true, hidden = 16, layers = 2, heads = 2, ffn = 16, hidden_states = [0, -1])
  reference = calls.reference |> encoder
  mutated   = calls.mutated |> encoder
  task      = variant_distance(reference.hidden_states, mutated.hidden_states, calls.effect)
}
"#;

/// Letter 8 of chr1 is T: the first two variants are of its strand, the third of the other.
const CALLS: &str = "name\tCHROM\tstart\tend\tref\tmutate\teffect\nv1\tchr1\t8\t9\tT\tA\tbenign\nv2\tchr1\t8\t9\tT\tC\tpathogenic\n\
                     v3\tchr1\t8\t9\tA\tG\tpathogenic\n";

fn workspace(calls: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("e.mgx", PROGRAM);
    write("calls.tsv", calls);
    write("genome.fa", ">chr1 the only one\nACGTACGG\ntACGTACG\n");
    folder
}

fn mgxc(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mgxc")).args(arguments).current_dir(folder.path()).output().expect("mgxc starts")
}

/// The predictions of a run as rows of fields by their headers.
fn column(folder: &TempDir, name: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.path().join("out/predictions.tsv")).expect("predictions");
    let mut lines = text.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let place = header.iter().position(|own| own == name).unwrap_or_else(|| panic!("no column {name} in {header:?}"));
    lines.map(|line| line[place].clone()).collect()
}

#[test]
fn variants_are_scored_and_measured_without_training() {
    let folder = workspace(CALLS);
    for (experiment, outputs, metrics) in [
        ("difference", vec!["score"], vec!["auroc", "auprc"]),
        ("distance", vec!["l1_layer_0", "l2_layer_2", "cosine_layer_0"], vec!["l1_auroc_layer_0", "cosine_auprc_layer_2"]),
    ] {
        let output = mgxc(&folder, &["run", "e.mgx", "--experiment", experiment, "--out", "out"]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        assert!(!errors.contains("loss"), "{errors}");
        let test: Value = serde_json::from_slice(&fs::read(folder.path().join("out/test.json")).expect("metrics")).expect("JSON");
        assert!(test["metrics"].get("loss").is_none(), "{test}");
        assert!(metrics.iter().all(|name| test["metrics"][name].is_number()), "{test}");
        assert_eq!(column(&folder, "name"), ["v1", "v2", "v3"]);
        for name in outputs {
            let scores = column(&folder, name);
            // The second and the third are the same change, written for either strand.
            assert!(scores[1] == scores[2] && scores[0] != scores[1], "{name}: {scores:?}");
        }
        let report = mgxc(&folder, &["report", "out"]);
        assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
        fs::remove_dir_all(folder.path().join("out")).expect("a folder");
    }
}

#[test]
fn scores_are_predicted_without_labels() {
    let unlabelled: String = CALLS.lines().map(|line| format!("{}\t\n", line.rsplit_once('\t').expect("fields").0)).collect();
    let folder = workspace(&unlabelled.replacen("\t\n", "\teffect\n", 1));
    let refused = mgxc(&folder, &["run", "e.mgx", "--experiment", "difference", "--out", "out"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("[E0517]"));
    let output = mgxc(&folder, &["run", "e.mgx", "--experiment", "difference", "--out", "out", "--stage", "predict"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(column(&folder, "score").len(), 3);
}

#[test]
fn a_genome_of_another_version_is_refused() {
    let folder = workspace(&CALLS.replace("\tT\tC", "\tG\tC"));
    let output = mgxc(&folder, &["run", "e.mgx", "--experiment", "difference", "--out", "out"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("[E0581]") && errors.contains("row 2"), "{errors}");
}
