//! `mgxc plan` on networks of published sizes: the parameters that the public implementations count, without the memory for them.

use std::fs;
use std::process::Command;

/// The summary of an experiment that embeds sequences of a kind with a backbone.
fn summary(kind: &str, backbone: &str, result: &str) -> serde_json::Value {
    summary_of(kind, 8, backbone, result)
}

/// The same with one sequence of so many letters.
fn summary_of(kind: &str, letters: usize, backbone: &str, result: &str) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = backbone.split('(').next().unwrap_or(backbone);
    let program = format!(
        "use std::backbones::{name}\nuse std::tasks::embed\ndata rows = table(\"rows.tsv\") {{\n  sequence: {kind}\n}}\n\
         experiment sizes {{\n  encoder = {backbone}\n  hidden = rows.sequence |> encoder\n  task = embed({result})\n}}\n"
    );
    fs::write(folder.path().join("sizes.mgx"), program).expect("a file");
    let row = ["A", "C", "G"].repeat(letters.div_ceil(3)).concat();
    fs::write(folder.path().join("rows.tsv"), format!("sequence\n{}\n", &row[..letters])).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_mgxc"))
        .args(["plan", "sizes.mgx", "--json"])
        .current_dir(folder.path())
        .output()
        .expect("mgxc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    plan["summary"].clone()
}

#[test]
fn parameters_of_published_sizes_are_those_of_the_public_code() {
    let small = "hidden = 1280, layers = 33, heads = 20, ffn = 3392, norm = \"layer_norm\", max_positions = 1024";
    let large = "hidden = 2048, layers = 32, heads = 32, ffn = 5440, norm = \"layer_norm\", max_positions = 1024";
    let cases = [
        ("aido_rna_650m".to_owned(), "hidden", 646_730_112u64),
        ("aido_rna_1b600m".to_owned(), "hidden", 1_607_393_280),
        (format!("aido_rna_masked_lm(from_scratch = true, {small})"), "hidden.logits", 648_372_368),
        (format!("aido_rna_masked_lm(from_scratch = true, {large})"), "hidden.logits", 1_611_593_744),
    ];
    for (backbone, result, expected) in cases {
        let summary = summary("rna", &backbone, result);
        assert_eq!(summary["parameters_total"], expected, "{backbone}");
        assert!(
            summary["flops_forward"].as_u64().is_some_and(|flops| flops > 2 * expected),
            "{backbone}: a product is two operations for each parameter and token"
        );
    }
}

/// 16 billion parameters, of which a token uses two of eight experts: what the public class counts, and its card says.
#[test]
fn active_parameters_of_a_mixture_are_counted() {
    let cases = [("aido_protein_16b", "hidden", 0), ("aido_protein2structoken_16b", "hidden.logits", 512 * 2304)];
    for (backbone, result, head) in cases {
        let summary = summary("protein", backbone, result);
        assert_eq!(summary["parameters_total"], 16_059_195_648u64 + head, "{backbone}");
        assert_eq!(summary["parameters_active"], 4_589_201_664u64 + head, "{backbone}");
    }
    // Over an alignment, the same network.
    let summary = summary("alignment", "aido_protein_rag_16b", "hidden");
    assert_eq!((&summary["parameters_total"], &summary["parameters_active"]), (&16_059_195_648u64.into(), &4_589_201_664u64.into()));
}

/// Counted in `enformer-pytorch` 0.8.12 and `borzoi-pytorch` 0.5.1; for Flashzoi with the sizes of flash-attention's module in place of the attention's.
#[test]
fn networks_of_long_sequences_have_the_published_parameters() {
    let borzoi = "from_scratch = true";
    let cases = [
        (196_608, "enformer(from_scratch = true)".to_owned(), "hidden", 229_845_504u64),
        (196_608, "enformer_tracks(from_scratch = true)".to_owned(), "hidden.human", 251_221_292),
        (524_288, format!("borzoi({borzoi})"), "hidden", 171_271_968),
        (524_288, format!("borzoi_tracks({borzoi})"), "hidden.human", 185_892_699),
        (524_288, format!("borzoi_tracks({borzoi}, mouse = 2608)"), "hidden.mouse", 190_902_667),
        (524_288, format!("flashzoi({borzoi})"), "hidden", 177_448_736),
    ];
    for (letters, backbone, result, expected) in cases {
        let summary = summary_of(&format!("dna(length = {letters})"), letters, &backbone, result);
        assert_eq!(summary["parameters_total"], expected, "{backbone}");
    }
}

/// With both heads, and without the table of positions that rotary networks store and never use.
#[test]
fn parameters_of_esm2_are_those_of_the_public_code() {
    let sizes = [
        ("8m", 320, 6, 20, 7_512_474u64),
        ("35m", 480, 12, 20, 33_501_394),
        ("150m", 640, 30, 20, 148_140_154),
        ("650m", 1280, 33, 20, 651_043_254),
        ("3b", 2560, 36, 40, 2_839_005_634),
        ("15b", 5120, 48, 40, 15_129_100_194),
    ];
    for (name, hidden, layers, heads, expected) in sizes {
        let ffn = 4 * hidden;
        let sized = format!("hidden = {hidden}, layers = {layers}, heads = {heads}, ffn = {ffn}, position = rotary, contacts = true");
        let both = summary("protein", &format!("esm2_masked_lm(from_scratch = true, {sized})"), "hidden.logits");
        assert_eq!(both["parameters_total"], expected, "{name} with its heads");
        let of_heads = hidden * hidden + 3 * hidden + 33 + layers * heads + 1;
        let bare = summary("protein", &format!("esm2_{name}(from_scratch = true)"), "hidden");
        assert_eq!(bare["parameters_total"], expected - of_heads, "{name}");
    }
}

/// The public code's modules, counted by their sizes: soft bins, 19,266 positions, layers without biases, the last norm.
#[test]
fn parameters_of_cell_networks_are_those_of_their_sizes() {
    for (backbone, expected) in [("aido_cell_3m", 3_623_228u64), ("aido_cell_10m", 11_006_524), ("aido_cell_100m", 99_452_220)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = format!(
            "use std::backbones::{backbone}\nuse std::tasks::embed\ndata rows = table(\"rows.csv\") {{\n  cells: counts\n}}\n\
             experiment sizes {{\n  hidden = rows.cells |> {backbone}(from_scratch = true)\n  task = embed(hidden)\n}}\n"
        );
        fs::write(folder.path().join("sizes.mgx"), program).expect("a file");
        fs::write(folder.path().join("rows.csv"), "A1BG,ENSG00000148584.9\n3,1\n").expect("a file");
        let output = Command::new(env!("CARGO_BIN_EXE_mgxc")).args(["plan", "sizes.mgx", "--json"]).current_dir(folder.path()).output();
        let output = output.expect("mgxc starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(plan["summary"]["parameters_total"], expected, "{backbone}");
    }
}
