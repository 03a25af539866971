//! Hidden states of chosen layers: what is asked for is computed, and no more.

mod files_world;

use files_world::Files;
use mgx_compiler::check::{check, elaborate};
use mgx_compiler::plan::build;

/// The operations of a forward pass over a protein of 30 tokens, and the names of the outputs.
fn forward(encoder: &str, result: &str) -> (u64, Vec<String>) {
    let mut files = Files::default();
    let name = encoder.split('(').next().expect("a name");
    let program = format!(
        "use std::backbones::{name}\nuse std::tasks::embed\ndata t = table(\"t.csv\") {{\n  sequence: protein\n}}\n\
         experiment e {{\n  out  = t.sequence |> {encoder}\n  task = embed({result})\n}}\n"
    );
    files.0.insert("e.mgx".to_owned(), program);
    let checked = check(&files, "e.mgx", &[]);
    assert!(checked.is_ok(), "{:?}", checked.diagnostics);
    let evaluation = elaborate(&files, "e.mgx", &[], "e", false).map_err(|(_, found)| found).expect("no errors");
    let lengths = vec![30; evaluation.lengths.len()];
    let plan = build(&evaluation, None, &[vec![lengths]]).expect("a plan");
    (plan.flops_forward, plan.outputs.iter().map(|output| output.name.clone()).collect())
}

#[test]
fn layers_after_the_last_one_asked_for_are_not_computed() {
    let of = |options: &str, result: &str| forward(&format!("esm2_8m(weights = none{options})"), result).0;
    let all = of("", "out");
    let three = of(", hidden_states = [1, 3]", "out.hidden_states");
    // The network with so many layers; it normalises what it gives, which the third state is not.
    let short = of(", layers = 3", "out");
    assert!(three < short && three > short * 9 / 10, "{three} operations for 3 layers, {short} of a network with 3");
    assert!(three * 2 > all * 9 / 10 && three * 2 < all * 11 / 10, "{three} of {all} operations for 3 of 6 layers");
    assert_eq!(of(", hidden_states = [-1]", "out.hidden_states"), all, "the last state is what the network gives");
    // Beside the result, states cost nothing.
    assert_eq!(of(", hidden_states = [1, 3]", "out.hidden"), all, "asking for states changes nothing else");
}

#[test]
fn states_are_outputs_by_the_number_of_their_layer() {
    let outputs = |encoder: &str| forward(encoder, "out.hidden_states").1;
    assert_eq!(
        outputs("esm2_8m(weights = none, hidden_states = [0, 3, -1])"),
        ["embedding_layer_0", "embedding_layer_3", "embedding_layer_6"]
    );
    assert_eq!(outputs("aido_protein_debug(hidden_states = [1])"), ["embedding_layer_1"]);
}

/// The states of every encoder have the axes of what it gives: they can be added.
#[test]
fn states_have_the_axes_of_the_result() {
    let small = "hidden = 16, layers = 2, heads = 2, ffn = 16";
    let cases = [
        ("protein", format!("esm2_8m(weights = none, {small}")),
        ("protein", format!("aido_protein_16b(weights = none, {small}")),
        ("protein", format!("aido_protein_masked_lm(from_scratch = true, {small}")),
        ("alignment", format!("aido_protein_rag_3b(weights = none, {small}")),
        ("rna", format!("aido_rna_650m(weights = none, {small}")),
        ("rna", format!("aido_rna_sequence_classifier(from_scratch = true, {small}")),
        ("text", "bert(weights = folder(\"model\")".to_owned()),
        ("text", "roberta_masked_lm(weights = folder(\"model\")".to_owned()),
        ("counts", format!("aido_cell_3m(weights = none, {small}")),
        ("counts", format!("aido_tissue_3m(weights = none, {small}")),
        ("counts", "scfoundation(weights = none, hidden = 16, layers = 2, heads = 2".to_owned()),
        ("counts", format!("geneformer(from_scratch = true, {small}, layer = -1")),
    ];
    for (kind, encoder) in cases {
        let name = encoder.split('(').next().expect("a name");
        let mut files = Files::default();
        files.0.insert("t.csv".to_owned(), "sequence,x,y,A1BG,A1CF\n".to_owned());
        files.0.insert("model/config.json".to_owned(), CONFIG.to_owned());
        files.0.insert("model/vocab.txt".to_owned(), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned());
        let kind = if name == "aido_tissue_3m" { "counts(neighbors = 2, x = \"x\", y = \"y\")" } else { kind };
        let program = format!(
            "use std::backbones::{name}\nuse std::tasks::embed\ndata t = table(\"t.csv\") {{\n  sequence: {kind}\n}}\n\
             experiment e {{\n  out  = t.sequence |> {encoder}, hidden_states = [0, 1, 2])\n  \
             states = out.hidden_states\n  task = embed(out.hidden + states.layer_0 + states.layer_1 + states.layer_2)\n}}\n"
        );
        files.0.insert("e.mgx".to_owned(), program);
        let checked = check(&files, "e.mgx", &[]);
        let found = mgx_diag::render(&checked.diagnostics, &checked.sources, false);
        assert!(checked.is_ok(), "{encoder}:\n{found}");
        let graph = &checked.experiments[0].graph;
        let output = graph.outputs.first().expect("an output").node;
        assert_eq!(graph.nodes[output.0 as usize].ty.axes.len(), 2, "{encoder}: the sum has more axes than a state");
    }
}

/// A small encoder of texts.
const CONFIG: &str = r#"{"vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 20}"#;

#[test]
fn attention_is_stored_only_for_contacts() {
    let of = |options: &str, result: &str| {
        let options = format!("from_scratch = true, hidden = 32, layers = 2, heads = 4, ffn = 64, position = rotary{options}");
        forward(&format!("esm2_masked_lm({options})"), result).0
    };
    let plain = of("", "out.logits");
    assert_eq!(of(", contacts = true", "out.logits"), plain, "logits cost the same with the head of contact prediction");
    assert!(of(", contacts = true", "out.contacts") > 0);
}
