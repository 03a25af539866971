//! Secondary structures of RNA: a folder of files is learned, the threshold is tuned on the validation part and kept, structures are measured and written.

mod common;

use std::path::Path;

use common::session;
use mgx_data::{Part, Values, base_pairs, pair_scores};
use mgx_runtime::{RunFolder, Strictness};
use mgx_weights::Checkpoint;

const PROGRAM: &str = r#"
use std::adapters::{outer_concat, resnet_2d}
use std::backbones::aido_rna
use std::optimizers::adamw
use std::tasks::secondary_structure

data rnas = structures("rnas", longest = 20) {
  name: id
  sequence: rna
  pairs: contacts(each = sequence)
  split = column("part")
}

experiment small {
  seed    = 5
  encoder = aido_rna(from_scratch = true, hidden = 16, layers = 1, heads = 2, ffn = 16)
  logits  = rnas.sequence |> encoder |> outer_concat(over = residues) |> resnet_2d(channels = 8, blocks = 1)
  task    = secondary_structure(logits, rnas.pairs)
  train {
    epochs     = 2
    batch_size = 2
    optimizer  = adamw(lr = 1e-2)
    monitor    = valid_f1
  }
}
"#;

/// Hairpins in the three formats, in the folders of their parts.
fn write_files(folder: &Path) {
    let write = |name: &str, text: &str| {
        let path = folder.join("rnas").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("train/a.st", "GGCAAAAGCC\n(((....)))\n");
    write("train/b.bpseq", "1 G 8\n2 C 7\n3 A 0\n4 A 0\n5 A 0\n6 A 0\n7 G 2\n8 C 1\n");
    write("train/deeper/c.st", "AUGCAAAAGCAU\n((((....))))\n");
    write("train/long.st", &format!("{}\n{}\n", "A".repeat(21), ".".repeat(21)));
    write(
        "valid/d.ct",
        "9 d\n1 G 0 2 9 1\n2 G 1 3 8 2\n3 A 2 4 0 3\n4 A 3 5 0 4\n5 A 4 6 0 5\n6 A 5 7 0 6\n7 A 6 8 0 7\n8 C 7 9 2 8\n9 T 8 0 1 9\n",
    );
    write("test/e.st", "GCGAAAACGC\n(((....)))\n");
    write("test/f.st", "GGAAAAAUCC\n((......))\n");
    write("test/notes.txt", "not a structure");
}

#[test]
fn structures_are_learned_measured_and_written() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let (mut trained, _) = session(folder.path(), PROGRAM, "small");
    assert_eq!(trained.data().split().train.len(), 3, "the long one is left out");
    let run = RunFolder::create(&folder.path().join("run"), trained.plan(), PROGRAM).unwrap();
    trained.fit(&run, false).unwrap();
    let lock = std::fs::read_to_string(folder.path().join("run/lock.json")).unwrap();
    assert!(lock.contains("rnas/valid/d.ct"), "{lock}");
    let mut threshold = [0.0];
    Checkpoint::open_file(&folder.path().join("run/model.safetensors")).unwrap().read_f32("task.threshold", &mut threshold).unwrap();
    let step = (f64::from(threshold[0]) * 100.0).round();
    assert!((f64::from(threshold[0]) - step / 100.0).abs() < 1e-6 && (1.0..=29.0).contains(&step), "{threshold:?}");

    // The threshold is the first with the greatest mean score over the validation part, with the parameters that are kept.
    let (mut fresh, _) = session(folder.path(), PROGRAM, "small");
    fresh.restore(&folder.path().join("run"), Strictness::Strict).unwrap();
    let valid = fresh.evaluate(Part::Valid).unwrap();
    let table = fresh.data().table();
    let sequence = table.column("sequence").unwrap();
    let Values::Contacts(contacts) = &table.column("pairs").unwrap().values else { panic!("no pairs") };
    let row = fresh.data().split().valid[0];
    assert_eq!(sequence.text(row), "GGAAAAACU");
    let probabilities = &valid.predictions.outputs.iter().find(|output| output.name == "structure").unwrap().rows[0];
    let score = |threshold: f64| pair_scores(contacts.row(row), &base_pairs(probabilities, sequence.text(row), threshold)).f1;
    let best = (1..30).map(|step| score(0.01 * f64::from(step))).fold(0.0, f64::max);
    assert!(best > 0.0);
    assert!((valid.metrics.get("f1").unwrap() - best).abs() < 1e-9, "{:?} for {best}", valid.metrics.get("f1"));

    // The loss is the mean over the pairs of the upper triangle, of each sequence.
    let side = 9;
    let mut sum = 0.0;
    for (first, second) in (0..side).flat_map(|first| (first + 1..side).map(move |second| (first, second))) {
        let probability = f64::from(probabilities[first * side + second]);
        let is_pair = contacts.row(row).contains(&[first as u32, second as u32]);
        sum -= if is_pair { probability.ln() } else { (1.0 - probability).ln() };
    }
    let loss = valid.metrics.loss.unwrap();
    assert!((loss - sum / 36.0).abs() < 1e-5, "{loss} for {}", sum / 36.0);

    let rows = fresh.data().split().test.clone();
    let predictions = fresh.predict(&rows).unwrap();
    fresh.write_predictions(&predictions, folder.path()).unwrap();
    let table = std::fs::read_to_string(folder.path().join("predictions.tsv")).unwrap();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    let place = lines[0].iter().position(|name| *name == "structure").expect("a column of structures");
    for (index, (row, pairs)) in rows.iter().zip(&predictions.structures[0].pairs).enumerate() {
        let text: Vec<String> = pairs.iter().map(|[a, b]| format!("[{a}, {b}]")).collect();
        assert_eq!(lines[index + 1][place], format!("[{}]", text.join(", ")));
        let file = std::fs::read_to_string(folder.path().join(format!("structures/{}.ct", row + 1))).unwrap();
        let partners: Vec<usize> = file.lines().skip(1).map(|line| line.split('\t').nth(4).unwrap().parse().unwrap()).collect();
        assert_eq!(partners.len(), 10);
        assert!(pairs.iter().all(|[a, b]| partners[*a as usize] == *b as usize + 1 && partners[*b as usize] == *a as usize + 1));
        assert_eq!(partners.iter().filter(|partner| **partner > 0).count(), 2 * pairs.len());
    }
}
