//! AIDO.Protein-RAG: tokens and places of an alignment, and the encoder with places in two dimensions and numbers of structures.

use std::collections::BTreeMap;

use mgx_compiler::check::{TraceAxis, TraceInput};
use mgx_data::{InputBuilder, Table};
use mgx_ir::graph::{DType, Graph, GraphBuilder, NodeId, ReduceOp, UnaryOp};
use mgx_ir::plan::{Batch, InputData, Sample};
use mgx_tests::compare::{Account, norm};
use mgx_tests::golden::{Case, Stored, Tensors, strings};
use mgx_tests::machine::{Machine, Request, SCALE};
use mgx_tests::network::Network;
use mgx_tests::world::TestWorld;
use mgx_tests::{Outcome, shown};
use serde_json::Value as Json;

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let encoder = Encoder::new(case)?;
    let mut account = Account::default();
    for (index, most) in case.list("/rag/max_lengths")?.iter().enumerate() {
        let prefix = format!("rag{index}");
        let most = most.as_u64().ok_or("no maximal length")?;
        aligned(&mut account, case, &encoder, &expected, &prefix, most)?;
        // Structures as whole numbers: a defect of the reference.
        expected.pass_over(&format!("{prefix}.int."));
    }
    direct(&mut account, case, &encoder, &expected)?;
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The network by itself, with the case's weights and logits over its own table.
struct Encoder {
    network: Network,
    hidden: usize,
    vocab: usize,
    layers: usize,
}

/// A sample: tokens with their places, and the numbers of a structure's residues (as many as the first tokens).
struct Tokens {
    ids: Vec<i32>,
    columns: Vec<i32>,
    rows: Vec<i32>,
    features: Vec<f32>,
    residues: usize,
}

impl Encoder {
    fn new(case: &Case) -> Outcome<Self> {
        let config = case.json("config.json")?;
        let number = |name: &str| config[name].as_u64().ok_or_else(|| format!("config.json has no {name}"));
        let (hidden, structure, layers, vocab) =
            (number("hidden_size")?, number("str_embedding_in")?, number("num_hidden_layers")?, number("vocab_size")?);
        let norm = if config["normalization_type"] == "LayerNorm" { "layer_norm" } else { "rms_norm" };
        let moe = |name: &str| if config["moe"] == true { number(name) } else { Ok(0) };
        let program = format!(
            "use std::backbones::fm4bio::{{Fm4Bio, Fm4BioOutput}}\n\n\
             module WithLogits(structure: dim) {{\n  \
               encoder = Fm4Bio(vocab = {vocab}, hidden = {hidden}, layers = {layers}, heads = {}, ffn = {}, activation = {}, norm = {norm}, bias = {}, \
               scaled = {}, experts = {}, chosen = {}, eps = {:?}, plane = true, structure = structure) at \"\"\n  \
               output = Fm4BioOutput({hidden}, {vocab}, table = encoder.embeddings.word.weight)\n\n  \
               fn forward(ids: i[seq], column: i[seq], row: i[seq], features: f[residue, structure]) {{\n    \
                 let x = encoder(ids, column, row, features)\n    (hidden = x, logits = output(x))\n  }}\n}}\n",
            number("num_attention_heads")?,
            number("intermediate_size")?,
            config["hidden_act"].as_str().ok_or("config.json has no hidden_act")?,
            config["add_linear_bias"],
            config["apply_residual_connection_post_layernorm"],
            moe("num_experts")?,
            moe("experts_per_token")?,
            config["layer_norm_eps"].as_f64().ok_or("config.json has no layer_norm_eps")?,
        );
        let world = TestWorld { program, ..TestWorld::default() };
        let ragged = |name: &str, special| TraceAxis::Ragged { name: name.to_owned(), special };
        let by_token = |name: &str| TraceInput { name: name.to_owned(), dtype: DType::I32, axes: vec![ragged("seq", (0, 1))] };
        let axes = vec![ragged("residue", (0, 0)), TraceAxis::Static("structure".to_owned(), structure)];
        let features = TraceInput { name: "features".to_owned(), dtype: DType::F32, axes };
        let inputs = [by_token("ids"), by_token("column"), by_token("row"), features];
        let mut network = Network::part(&world, &format!("WithLogits(structure = {structure})"), &inputs, false)?;
        let state = case.tensors("model.safetensors")?;
        network.fill(|_, param| Ok(Some(state.get(&format!("bert.{}", param.key))?.f32())))?;
        let left = state.forgotten();
        if !left.is_empty() {
            return Err(format!("stored parameters that were not loaded: {}", left.join(", ")));
        }
        Ok(Self { network, hidden: hidden as usize, vocab: vocab as usize, layers: layers as usize })
    }

    /// All recorded values by their names: layers, what the last norm gives, logits.
    fn taps(&self) -> Outcome<Vec<(String, NodeId)>> {
        let mut taps = vec![("hidden_states.0".to_owned(), self.network.tap("WithLogits.encoder.embeddings")?)];
        for layer in 1..self.layers {
            taps.push((format!("hidden_states.{layer}"), self.network.tap(&format!("WithLogits.encoder.layer[{}]", layer - 1))?));
        }
        let last = self.network.output("hidden")?;
        taps.push((format!("hidden_states.{}", self.layers), last));
        taps.push(("last_hidden_state".to_owned(), last));
        taps.push(("logits".to_owned(), self.network.output("logits")?));
        Ok(taps)
    }
}

fn batch(samples: &[Tokens]) -> Batch {
    let sample =
        |(key, tokens): (usize, &Tokens)| Sample { key: key as u64, lengths: vec![tokens.ids.len() as u64, tokens.residues as u64] };
    let numbers = |of: fn(&Tokens) -> &[i32]| InputData::I32(samples.iter().flat_map(of).copied().collect());
    let inputs = BTreeMap::from([
        ("ids".to_owned(), numbers(|tokens| &tokens.ids)),
        ("column".to_owned(), numbers(|tokens| &tokens.columns)),
        ("row".to_owned(), numbers(|tokens| &tokens.rows)),
        ("features".to_owned(), InputData::F32(samples.iter().flat_map(|tokens| &tokens.features).copied().collect())),
    ]);
    Batch { samples: samples.iter().enumerate().map(sample).collect(), inputs, random: 0 }
}

/// `process_batch` of an alignment as a table's column through `aido_protein_rag`, and its tokens with the structure through the encoder.
fn aligned(account: &mut Account, case: &Case, encoder: &Encoder, expected: &Tensors, prefix: &str, most: u64) -> Outcome<()> {
    let get = |what: &str| expected.get(&format!("{prefix}.{what}"));
    let (backbone, inputs) = column(case, most)?;
    let batch_of = inputs.batch(&[0], 0);
    let input = |ending: &str| -> Outcome<Vec<i32>> {
        match batch_of.inputs.get(&backbone.input(ending)?.0) {
            Some(InputData::I32(values)) => Ok(values.clone()),
            _ => Err(format!("the batch has no input `{ending}`")),
        }
    };
    let (ids, columns, rows, query) = (input(".ids")?, input(".column")?, input(".row")?, input(".query")?);
    let wide = |values: &[i32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
    let places = get("position_ids")?;
    let (first, second) = places.data.split_at(places.data.len() / 2);
    account.equal(&format!("{prefix}.input_ids"), &wide(&ids), &get("input_ids")?.data);
    account.equal(&format!("columns of {prefix}"), &wide(&columns).as_slice(), &first);
    account.equal(&format!("rows of {prefix}"), &wide(&rows).as_slice(), &second);
    let marks = |own: &dyn Fn(usize) -> bool, count: usize| (0..count).map(|at| f64::from(u8::from(own(at)))).collect::<Vec<_>>();
    account.equal(&format!("{prefix}.attention_mask"), &marks(&|_| true, ids.len()), &get("attention_mask")?.data);
    account.equal(
        &format!("{prefix}.special_tokens_mask"),
        &marks(&|at| at + 1 == ids.len(), ids.len()),
        &get("special_tokens_mask")?.data,
    );
    account.equal(&format!("{prefix}.query_tokens_mask"), &marks(&|at| at < query.len(), ids.len()), &get("query_tokens_mask")?.data);
    account.equal(&format!("{prefix}.float.out_attention_mask"), &marks(&|_| true, query.len()), &get("float.out_attention_mask")?.data);

    let features = numbers(&case.spec["rag"]["str_emb"])?;
    let residues = features.len().min(ids.len());
    let recorded = get("input_str_embeds")?;
    let mut whole: Vec<f64> = features[..residues].concat().iter().map(|value| f64::from(*value).trunc() + 0.0).collect();
    whole.resize(recorded.data.len(), 0.0);
    account.equal(&format!("{prefix}.input_str_embeds, whole"), &whole, &recorded.data);
    let unknown = vec![0.0; features[..residues].concat().len()];
    let bare = Tokens { ids: ids.clone(), columns: columns.clone(), rows: rows.clone(), features: unknown, residues };
    without_structure(account, case, encoder, &bare, (&backbone, &batch_of), &format!("{prefix} without a structure"))?;
    let tokens = [Tokens { ids, columns, rows, features: features[..residues].concat(), residues }];
    let taps: Vec<(String, NodeId)> = encoder.taps()?.into_iter().filter(|(name, _)| name != "logits").collect();
    let request = Request { outputs: taps.clone(), ..Request::default() };
    let batch = batch(&tokens);
    let network = &encoder.network;
    let machine = Machine::compile(network, network.elaborated.graph.clone(), &request, &[&batch])?;
    for (whose, results) in [("", machine.run(network, &batch)?), ("the evaluator's ", machine.evaluate(network, &batch))] {
        for (name, _) in &taps {
            let found = &results.output(name)?[0][..query.len() * encoder.hidden];
            account.close(&format!("{whose}{prefix}.float.{name}"), found, &get(&format!("float.{name}"))?.data, case.tolerance);
        }
    }
    Ok(())
}

/// What the backbone gives for the table's row is what the encoder gives for the query's tokens with zeros for a structure.
fn without_structure(
    account: &mut Account,
    case: &Case,
    encoder: &Encoder,
    tokens: &Tokens,
    (backbone, row): (&Network, &Batch),
    what: &str,
) -> Outcome<()> {
    let own = backbone.output("embedding")?;
    let request = |node| Request { outputs: vec![("hidden".to_owned(), node)], ..Request::default() };
    let machine = Machine::compile(backbone, backbone.elaborated.graph.clone(), &request(own), &[row])?;
    let found = machine.run(backbone, row)?.output("hidden")?.concat();
    let network = &encoder.network;
    let batch = batch(std::slice::from_ref(tokens));
    let machine = Machine::compile(network, network.elaborated.graph.clone(), &request(network.output("hidden")?), &[&batch])?;
    let all = machine.run(network, &batch)?.output("hidden")?.concat();
    account.close(what, &found, all.get(..found.len()).ok_or("more tokens of the query than tokens")?, case.tolerance);
    account.check(&format!("{what}: nothing was computed"), !found.is_empty());
    Ok(())
}

/// The case's alignment in a table whose column flows through `aido_protein_rag`.
fn column(case: &Case, most: u64) -> Outcome<(Network, InputBuilder)> {
    let mut alignment = vec![case.text("/rag/sequence").to_owned()];
    alignment.extend(strings(&case.spec["rag"]["msa"])?);
    let program = format!(
        "use std::backbones::aido_protein_rag\nuse std::tasks::embed\n\ndata rows = table(\"rows.tsv\") {{\n  family: alignment\n}}\n\n\
         experiment test {{\n  encoder = aido_protein_rag(weights = folder(\".\"), max_length = {most})\n  \
         out = rows.family |> encoder\n  task = embed(out)\n}}\n"
    );
    let world = TestWorld { program, header: vec!["family".to_owned()], root: case.folder.clone(), ..TestWorld::default() };
    let network = Network::experiment(&world, false)?;
    let elaborated = &network.elaborated;
    let folder = std::env::temp_dir().join(format!("mgx-parity-{}-{}-{most}", std::process::id(), case.name.replace('/', "-")));
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(problem)?;
    std::fs::write(folder.join("rows.tsv"), format!("family\n{}\n", alignment.join("|"))).map_err(problem)?;
    let read = || -> Result<InputBuilder, mgx_diag::Diagnostic> {
        let tables = elaborated.data.iter().map(|spec| Table::read(spec, &folder)).collect::<Result<Vec<_>, _>>()?;
        InputBuilder::new(&elaborated.tokenizers, &elaborated.lengths, &elaborated.inputs, &tables)
    };
    let inputs = read().map_err(|diagnostic| shown(&diagnostic));
    std::fs::remove_dir_all(&folder).map_err(problem)?;
    Ok((network, inputs?))
}

fn numbers(rows: &Json) -> Outcome<Vec<Vec<f32>>> {
    let row = |row: &Json| -> Outcome<Vec<f32>> {
        let values = row.as_array().ok_or("a row is no list")?;
        values.iter().map(|value| value.as_f64().map(|value| value as f32).ok_or_else(|| format!("no number: {value}"))).collect()
    };
    rows.as_array().ok_or("no rows")?.iter().map(row).collect()
}

/// Direct calls of the encoder with places and structures of all tokens: values, the bits of a sample alone, and gradients.
fn direct(account: &mut Account, case: &Case, encoder: &Encoder, expected: &Tensors) -> Outcome<()> {
    let get = |what: &str| expected.get(&format!("direct.{what}"));
    let mask = get("attention_mask")?;
    let (ids, places, features) = (get("input_ids")?, get("position_ids")?, get("inputs_str_embeds")?);
    let width = ids.shape[1];
    let mut samples = Vec::new();
    for row in 0..mask.shape[0] {
        let length = mask.row(row)?.iter().sum::<f64>() as usize;
        let whole = |values: &[f64]| values[..length].iter().map(|value| *value as i32).collect::<Vec<_>>();
        let (columns, rows) = places.row(row)?.split_at(width);
        let numbers = features.row(row)?[..length * features.shape[2]].iter().map(|value| *value as f32).collect();
        let tokens = Tokens { ids: whole(ids.row(row)?), columns: whole(columns), rows: whole(rows), features: numbers, residues: length };
        samples.push(tokens);
    }
    let lengths: Vec<usize> = samples.iter().map(|tokens| tokens.ids.len()).collect();
    let positions: usize = lengths.iter().sum();
    let taps = encoder.taps()?;
    let network = &encoder.network;
    let (graph, loss) = loss(encoder, network.elaborated.graph.clone())?;
    let request = Request { outputs: taps.clone(), loss: Some(loss), ..Request::default() };
    let scale = InputData::F32(vec![(1.0 / positions as f64) as f32]);
    let scaled = |samples: &[Tokens]| {
        let mut batch = batch(samples);
        batch.inputs.insert(SCALE.to_owned(), scale.clone());
        batch
    };
    let packed = scaled(&samples);
    let machine = Machine::compile(network, graph, &request, &[&packed])?;
    let results = machine.run(network, &packed)?;
    let largest = expected
        .below("direct.grad.")
        .iter()
        .filter(|key| **key != "loss")
        .try_fold(0.0_f64, |largest, key| Ok::<f64, String>(largest.max(norm(get(&format!("grad.{key}"))?.data.iter().copied()))))?;
    for (whose, results) in [("", &results), ("the evaluator's ", &machine.evaluate(network, &packed))] {
        for (name, _) in &taps {
            account.close(&format!("{whose}direct.{name}"), &results.output(name)?.concat(), &real(get(name)?, &lengths)?, case.tolerance);
        }
        account.close(&format!("{whose}direct.grad.loss"), &[results.loss()?], &get("grad.loss")?.data, case.tolerance);
        for key in expected.below("direct.grad.").into_iter().filter(|key| *key != "loss") {
            let index =
                network.params.iter().position(|param| param.key == key).ok_or_else(|| format!("no parameter has the key `{key}`"))?;
            let found = results.gradients.get(&index).ok_or_else(|| format!("`{key}` has no gradient"))?;
            account.gradient(&format!("{whose}direct.grad.{key}"), found, &get(&format!("grad.{key}"))?.data, largest);
        }
    }
    for (row, tokens) in samples.iter().enumerate() {
        let alone = machine.run(network, &scaled(std::slice::from_ref(tokens)))?;
        for (name, _) in &taps {
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            let same = bits(&alone.output(name)?[0]) == bits(&results.output(name)?[row]);
            account.check(&format!("direct.{name} of row {row} has other bits alone than packed"), same);
        }
    }
    Ok(())
}

/// Sum of squares of the hidden states by their features and of tanh of the logits by theirs; the batch's scale divides by the positions.
fn loss(encoder: &Encoder, graph: Graph) -> Outcome<(Graph, NodeId)> {
    let (hidden, logits) = (encoder.network.output("hidden")?, encoder.network.output("logits")?);
    let mut b = GraphBuilder::from_graph(graph);
    let square = b.mul(hidden, hidden);
    let tanh = b.unary(UnaryOp::Tanh, logits);
    let share = |b: &mut GraphBuilder, x: NodeId, features: usize| {
        let axes = b.ty(x).axes.clone();
        let sum = b.reduce(ReduceOp::Sum, x, &axes, false);
        let factor = b.constant(1.0 / features as f64);
        b.mul(sum, factor)
    };
    let squares = share(&mut b, square, encoder.hidden);
    let heads = share(&mut b, tanh, encoder.vocab);
    let loss = b.add2(squares, heads);
    Ok((b.finish(), loss))
}

/// What stands before the padding.
fn real(tensor: &Stored, lengths: &[usize]) -> Outcome<Vec<f64>> {
    let width: usize = tensor.shape[2..].iter().product();
    let mut all = Vec::new();
    for (row, length) in lengths.iter().enumerate() {
        all.extend_from_slice(&tensor.row(row)?[..length * width]);
    }
    Ok(all)
}
