//! Networks of cells from the files of their repositories, as they are published: through the binary, from the hub's cache and offline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens").join(case)
}

fn case(name: &str) -> Json {
    serde_json::from_str(&fs::read_to_string(golden(name).join("case.json")).expect("a case")).expect("JSON")
}

/// A folder with an experiment that embeds the cells of `rows.csv`, whose genes have these names.
fn workspace(encoder: &str, genes: &[String], counts: &Json) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = encoder.split('(').next().unwrap_or(encoder);
    let program = format!(
        "use std::backbones::{name}\nuse std::tasks::embed\ndata rows = table(\"rows.csv\") {{\n  cells: counts\n}}\n\
         experiment e {{\n  encoder = {encoder}\n  hidden = rows.cells |> encoder\n  task = embed(hidden)\n}}\n"
    );
    fs::write(folder.path().join("e.mgx"), program).expect("a file");
    let line = |row: &Json| row.as_array().expect("a row").iter().map(Json::to_string).collect::<Vec<_>>().join(",");
    let rows: Vec<String> = counts.as_array().expect("rows").iter().map(line).collect();
    fs::write(folder.path().join("rows.csv"), format!("{}\n{}\n", genes.join(","), rows.join("\n"))).expect("a file");
    folder
}

/// Files of a repository in the hub's cache of a workspace, by their path in it.
fn publish(workspace: &TempDir, repository: &str, files: &[(&str, &Path)]) {
    let folder = workspace.path().join(format!("hub/models--{}", repository.replace('/', "--")));
    fs::create_dir_all(folder.join("refs")).expect("a folder");
    fs::write(folder.join("refs/main"), COMMIT).expect("a file");
    for (name, source) in files {
        let path = folder.join("snapshots").join(COMMIT).join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::copy(source, path).expect("a copy");
    }
}

fn mgxc(workspace: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mgxc"));
    command.args(arguments).current_dir(workspace.path());
    command.env("HF_HUB_OFFLINE", "1").env("HF_HUB_CACHE", workspace.path().join("hub")).output().expect("mgxc starts")
}

#[track_caller]
fn passed(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!warned.contains("[W"), "{warned}");
}

#[track_caller]
fn refused(output: &Output, code: &str, text: &str) {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && errors.contains(&format!("[{code}]")) && errors.contains(text), "{errors}");
}

/// The first symbols of a list of the library, with which tables of so many genes are made.
fn symbols(list: &str, count: usize) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib/genes").join(format!("{list}.tsv"));
    let text = fs::read_to_string(path).expect("a list");
    text.lines().skip(1).take(count).map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn scfoundation_reads_either_section_of_its_published_file() {
    let spec = case("scfoundation");
    let genes = spec["num_genes"].as_u64().expect("a number") as usize;
    let encoder = &spec["model_config"]["encoder"];
    let sizes = format!(
        "hidden = {}, layers = {}, heads = {}, bins = {}",
        encoder["hidden_dim"], encoder["depth"], encoder["heads"], spec["model_config"]["bin_num"]
    );
    let names = symbols("scfoundation", genes);
    let (list, checkpoint) = (names.join("\n"), golden("scfoundation").join("models.ckpt"));
    for section in ["cell", "gene"] {
        // A repository that has a list of genes of its own beside the file is taken from a folder.
        let encoder =
            format!("scfoundation(genes = {genes}, {sizes}, section = {section}, weights = folder(\"model\", file = \"models.ckpt\"))");
        let workspace = workspace(&encoder, &names, &spec["counts"]);
        fs::create_dir(workspace.path().join("model")).expect("a folder");
        fs::copy(&checkpoint, workspace.path().join("model/models.ckpt")).expect("a copy");
        fs::write(workspace.path().join("model/genes.txt"), &list).expect("a file");
        passed(&mgxc(&workspace, &["check", "e.mgx"]));
        passed(&mgxc(&workspace, &["run", "e.mgx"]));
    }
    // From the hub: the file of the repository is found, and it is of another size than the published one.
    for section in ["cell", "gene"] {
        let workspace = workspace(&format!("scfoundation({sizes}, section = {section})"), &names, &spec["counts"]);
        publish(&workspace, "genbio-ai/scFoundation", &[("models.ckpt", &checkpoint), ("other.ckpt", &checkpoint)]);
        refused(&mgxc(&workspace, &["check", "e.mgx"]), "E0916", &format!("{section}.state_dict.model.pos_emb.weight"));
    }
    let workspace = workspace(&format!("scfoundation({sizes})"), &names, &spec["counts"]);
    publish(&workspace, "genbio-ai/scFoundation", &[("other.ckpt", &checkpoint)]);
    refused(&mgxc(&workspace, &["run", "e.mgx"]), "E0553", "genbio-ai/scFoundation");
}

#[test]
fn scimilarity_reads_its_published_folder() {
    let spec = case("scimilarity");
    let genes = spec["n_genes"].as_u64().expect("a number") as usize;
    let sizes = format!("hidden = {}, latent = {}", spec["hidden_dim"], spec["latent_dim"]);
    let names = symbols("scimilarity", genes);
    let published = golden("scimilarity").join("model_v1.1");
    let (encoder, decoder) = (published.join("encoder.ckpt"), published.join("decoder.ckpt"));
    // The folder with its list of genes.
    let local = workspace(
        &format!("scimilarity(genes = {genes}, {sizes}, weights = folder(\"model_v1.1\", file = \"encoder.ckpt\"))"),
        &names,
        &spec["counts"],
    );
    let folder = local.path().join("model_v1.1");
    fs::create_dir(&folder).expect("a folder");
    fs::copy(&encoder, folder.join("encoder.ckpt")).expect("a copy");
    fs::copy(&decoder, folder.join("decoder.ckpt")).expect("a copy");
    fs::write(folder.join("layer_sizes.json"), "{}").expect("a file");
    fs::write(folder.join("gene_order.tsv"), names.join("\n") + "\n").expect("a file");
    passed(&mgxc(&local, &["check", "e.mgx"]));
    passed(&mgxc(&local, &["run", "e.mgx"]));
    // The repository: the encoder's file in its folder is read, beside the decoder's.
    let hub = workspace(&format!("scimilarity({sizes})"), &names, &spec["counts"]);
    publish(&hub, "genbio-ai/scimilarity", &[("model_v1.1/encoder.ckpt", &encoder), ("model_v1.1/decoder.ckpt", &decoder)]);
    refused(&mgxc(&hub, &["check", "e.mgx"]), "E0916", "network.0.1.weight");
}

/// Ensembl identifiers of any version mean the genes of a list of symbols, and of a gene's columns the first is read.
#[test]
fn identifiers_of_genes_are_aligned_with_symbols() {
    let sizes = "from_scratch = true, layers = 1, hidden = 4, heads = 1, ffn = 4";
    let genes = ["ENSG00000121410.12", "A1CF", "A1BG"].map(str::to_owned);
    let counts = serde_json::json!([[3, 1, 5]]);
    let workspace = workspace(&format!("geneformer({sizes})"), &genes, &counts);
    let output = mgxc(&workspace, &["plan", "e.mgx"]);
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && warned.contains("W0552") && warned.contains("`A1BG`"), "{warned}");
    let plan = mgxc(&workspace, &["plan", "e.mgx", "--json"]).stdout;
    let list = fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib/genes/geneformer.tsv")).expect("a list").len() as usize;
    assert!(plan.len() < list * 3 / 2, "a list stands once in a plan of {} bytes", plan.len());
}
