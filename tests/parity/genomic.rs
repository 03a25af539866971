//! Enformer, Borzoi and Flashzoi: bases, stages of the trunk, the crop, heads, gradients, and batch normalisation in training.

use mgx_data::Encoding;
use mgx_ir::graph::{NodeId, Op};
use mgx_ir::plan::{Batch, InputData};
use mgx_tests::Outcome;
use mgx_tests::compare::{Account, norm};
use mgx_tests::golden::{Case, Stored, Tensors, strings};
use mgx_tests::machine::{Machine, Request, Results, SCALE, losses};
use mgx_tests::world::TestWorld;

use crate::encoder::{Encoder, Recorded};
use crate::tokens::encode;

/// A case of Enformer.
pub fn enformer(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    let trunk = |path: &str| format!("encoder.trunk.{path}");
    let cropped = open(case, "dna", "enformer_tracks", "", "out.human", false)?;
    let mut stages = vec![
        // The results that no part of their own gives have the paths of the network and of its second result.
        Stage::new("input_ids", first_select(&cropped)?, Shown::Whole),
        Stage::new("trunk.1", tap(&cropped, &trunk("stem_pool"))?, Shown::Transposed),
        Stage::new("trunk.2", tap(&cropped, &trunk("tower"))?, Shown::Transposed),
        Stage::new("trunk.4", tap(&cropped, &trunk("layer"))?, Shown::Whole),
        Stage::new("crop.last_hidden_state", tap(&cropped, "encoder.trunk")?, Shown::Last),
        Stage::new("head.human", cropped.network.tap("encoder")?, Shown::Last),
        Stage::new("head.mouse", cropped.network.tap("encoder#1")?, Shown::Last),
    ];
    check(&mut account, case, &expected, &cropped, &stages)?;
    let whole = open(case, "dna", "enformer", ", crop = false", "out", false)?;
    stages = vec![Stage::new("nocrop.last_hidden_state", whole.network.output("embedding")?, Shown::Whole)];
    check(&mut account, case, &expected, &whole, &stages)?;
    masks(&mut account, &expected, &["crop.out_attention_mask", "nocrop.out_attention_mask"], case)?;

    let network = open(case, "dna", "enformer", "", "out", false)?;
    gradients(&mut account, case, &network, &expected)?;
    let trained = open(case, "dna", "enformer", "", "out", true)?;
    in_training(&mut account, case, &trained, &expected)?;
    let frozen = open(case, "dna", "enformer", ", frozen = true", "out", true)?;
    account.check("a frozen backbone changes its running statistics", frozen.network.elaborated.updates.is_empty());
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// A case of Borzoi or Flashzoi, whose configuration says which.
pub fn borzoi(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let mut account = Account::default();
    let length = case.list("/batches")?[0][0].as_str().map_or(0, str::len);
    let kind = format!("dna(length = {length})");
    let options = borzoi_widths(case)?;
    let tracks = open(case, &kind, "borzoi_tracks", &options, "out.human", false)?;
    let stages = [
        Stage::new("conv_dna", tap(&tracks, "encoder.trunk.first")?, Shown::TransposedFirst),
        Stage::new("unet0", tap(&tracks, "encoder.trunk.tower")?, Shown::Transposed),
        Stage::new("before_crop", tap(&tracks, "encoder.trunk.smooth_fine")?, Shown::Transposed),
        Stage::new("last_hidden_state", tap(&tracks, "encoder.trunk")?, Shown::Whole),
        Stage::new("human", tracks.network.tap("encoder")?, Shown::Transposed),
        Stage::new("mouse", tracks.network.tap("encoder#1")?, Shown::Transposed),
    ];
    check(&mut account, case, &expected, &tracks, &stages)?;
    masks(&mut account, &expected, &["out_attention_mask"], case)?;
    let network = open(case, &kind, "borzoi_tracks", &options, "out.hidden", false)?;
    gradients(&mut account, case, &network, &expected)?;
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The widths of the case in place of the published ones, which are not in the configuration.
fn borzoi_widths(case: &Case) -> Outcome<String> {
    let width = |published: u64| {
        let pointer = format!("/widths/{published}");
        case.spec.pointer(&pointer).and_then(serde_json::Value::as_u64).ok_or_else(|| format!("case.json has no {pointer}"))
    };
    let tower = [width(608)?, width(736)?, width(896)?, width(1056)?];
    let rotated = case.spec["rotary_dim"].as_u64().ok_or("case.json has no rotary_dim")?;
    Ok(format!(
        ", stem = {}, widths = {tower:?}, deep = {}, features = {}, human = {}, mouse = {}, rotated = {rotated}",
        width(512)?,
        width(1280)?,
        width(1920)?,
        width(7611)?,
        width(2608)?
    ))
}

/// How a recorded tensor shows a value [positions, channels] of a sample.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    /// As it is.
    Whole,
    /// [channels, positions].
    Transposed,
    /// The same of the first positions alone.
    TransposedFirst,
    /// Its last positions: where an odd number of bins is cropped, the reference has one less than the target.
    Last,
}

/// A recorded tensor (after the batch's prefix) and the value that it shows.
struct Stage {
    recorded: &'static str,
    node: NodeId,
    shown: Shown,
}

impl Stage {
    fn new(recorded: &'static str, node: NodeId, shown: Shown) -> Self {
        Self { recorded, node, shown }
    }

    /// What of a sample's elements was recorded as `tensor`, in the recorded order.
    fn select(&self, own: &[f64], tensor: &Stored) -> Outcome<Vec<f64>> {
        let [_, a, b] = tensor.shape.as_slice() else { return Err(format!("`{}` has no three axes", self.recorded)) };
        let transposed = matches!(self.shown, Shown::Transposed | Shown::TransposedFirst);
        let (rows, width) = if transposed { (*b, *a) } else { (*a, *b) };
        let skipped = (own.len() / width).checked_sub(rows).ok_or_else(|| format!("`{}` has more positions than mgx", self.recorded))?;
        Ok(match self.shown {
            // Else the numbers of elements will differ, which fails.
            _ if transposed && (skipped == 0 || self.shown == Shown::TransposedFirst) => {
                (0..width).flat_map(|channel| (0..rows).map(move |row| own[row * width + channel])).collect()
            }
            Shown::Last if skipped == 1 => own[width..].to_vec(),
            _ => own.to_vec(),
        })
    }
}

/// The checkpoint of the case behind a backbone with further options, and what is asked of its result.
fn open(case: &Case, kind: &str, backbone: &str, options: &str, result: &str, training: bool) -> Outcome<Encoder> {
    let world = TestWorld { root: case.folder.clone(), ..TestWorld::default() };
    Encoder::with_mode(world, "std::backbones", kind, &format!("{backbone}(weights = folder(\".\"){options})"), result, training)
}

/// The value of a part, which may be that of a part within it: the last one below its path.
fn tap(encoder: &Encoder, path: &str) -> Outcome<NodeId> {
    let nodes = encoder.network.elaborated.graph.nodes.iter().enumerate();
    let below = |own: &str| own.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let found = nodes.rev().find(|(_, node)| node.path.as_deref().is_some_and(below));
    found.map(|(index, _)| NodeId(index as u32)).ok_or_else(|| format!("no value has a path below `{path}`"))
}

/// The vectors of the bases: the first choice that the network makes.
fn first_select(encoder: &Encoder) -> Outcome<NodeId> {
    let found = encoder.network.elaborated.graph.nodes.iter().position(|node| node.op == Op::Select);
    found.map(|index| NodeId(index as u32)).ok_or_else(|| "the network chooses nothing".to_owned())
}

fn recorded_batches(case: &Case, encoder: &Encoder) -> Outcome<Vec<Recorded>> {
    let encoded = |(index, batch)| {
        let rows = encode(&encoder.tokenizer, &strings(batch)?, None, true)?;
        Ok(Recorded { prefix: format!("b{index}"), rows })
    };
    case.list("/batches")?.iter().enumerate().map(encoded).collect()
}

/// Runs all batches and holds the stages against what was recorded; each sample alone must give the same bits, and the reference evaluator
/// must agree on the first sample of the batch of the fewest letters.
fn check(account: &mut Account, case: &Case, expected: &Tensors, encoder: &Encoder, stages: &[Stage]) -> Outcome<()> {
    let outputs = stages.iter().map(|stage| (stage.recorded.to_owned(), stage.node)).collect();
    let batches = recorded_batches(case, encoder)?;
    let all: Vec<Batch> = batches.iter().map(|recorded| encoder.batch(&recorded.rows)).collect();
    let request = Request { outputs, ..Request::default() };
    let machine = Machine::compile(&encoder.network, encoder.network.elaborated.graph.clone(), &request, &all.iter().collect::<Vec<_>>())?;
    let letters = |recorded: &&Recorded| recorded.rows.iter().map(|row| row.ids.len()).sum::<usize>();
    let fewest = batches.iter().min_by_key(letters).map(|recorded| recorded.prefix.as_str());
    for (recorded, batch) in batches.iter().zip(&all) {
        let prefix = recorded.prefix.as_str();
        let results = machine.run(&encoder.network, batch)?;
        encoder.check_alone(account, &machine, recorded, &results)?;
        for stage in stages {
            compare(account, case, expected, "", prefix, stage, &results)?;
        }
        if Some(prefix) == fewest {
            let evaluated = machine.evaluate(&encoder.network, &encoder.batch(&recorded.rows[..1]));
            for stage in stages {
                compare(account, case, expected, "the evaluator's ", prefix, stage, &evaluated)?;
            }
        }
    }
    Ok(())
}

fn compare(
    account: &mut Account,
    case: &Case,
    expected: &Tensors,
    whose: &str,
    prefix: &str,
    stage: &Stage,
    results: &Results,
) -> Outcome<()> {
    let name = format!("{prefix}.{}", stage.recorded);
    let tensor = expected.get(&name)?;
    let mut found = Vec::new();
    let samples = results.output(stage.recorded)?;
    for own in samples {
        found.extend(stage.select(own, tensor)?);
    }
    let recorded = &tensor.data[..tensor.data.len() / tensor.shape[0] * samples.len()];
    account.close(&format!("{whose}{name}"), &found, recorded, case.tolerance);
    Ok(())
}

/// The reference gives a mask of ones with as many columns as the crop has bins, also without the crop.
fn masks(account: &mut Account, expected: &Tensors, names: &[&str], case: &Case) -> Outcome<()> {
    for index in 0..case.list("/batches")?.len() {
        for name in names {
            let mask = expected.get(&format!("b{index}.{name}"))?;
            account.check(&format!("b{index}.{name} is not a mask of ones"), mask.data.iter().all(|value| *value == 1.0));
        }
    }
    Ok(())
}

/// `grad.*` of the mean square of what the backbone gives for the first batch, in evaluation.
fn gradients(account: &mut Account, case: &Case, encoder: &Encoder, expected: &Tensors) -> Outcome<()> {
    let rows = first_batch(case, encoder)?;
    let network = &encoder.network;
    let value = network.output("embedding")?;
    let mut batch = encoder.batch(&rows);
    let elements: usize = outputs(encoder, &batch, value)?.iter().map(Vec::len).sum();
    batch.inputs.insert(SCALE.to_owned(), InputData::F32(vec![(1.0 / elements as f64) as f32]));
    let (graph, loss) = losses::squares(network.elaborated.graph.clone(), value);
    let machine = Machine::compile(network, graph, &Request { loss: Some(loss), ..Request::default() }, &[&batch])?;
    let keys: Vec<&str> = expected.below("grad.").into_iter().filter(|key| *key != "loss").collect();
    let mut largest = 0.0_f64;
    for key in &keys {
        largest = largest.max(norm(expected.get(&format!("grad.{key}"))?.data.iter().copied()));
    }
    for (whose, results) in [("", machine.run(network, &batch)?), ("the evaluator's ", machine.evaluate(network, &batch))] {
        account.close(&format!("{whose}grad.loss"), &[results.loss()?], &expected.get("grad.loss")?.data, case.tolerance);
        for key in &keys {
            let index =
                network.params.iter().position(|param| param.key == *key).ok_or_else(|| format!("no parameter has the key `{key}`"))?;
            let found = results.gradients.get(&index).ok_or_else(|| format!("`{key}` has no gradient"))?;
            account.gradient(&format!("{whose}grad.{key}"), found, &expected.get(&format!("grad.{key}"))?.data, largest);
        }
    }
    Ok(())
}

fn first_batch(case: &Case, encoder: &Encoder) -> Outcome<Vec<Encoding>> {
    encode(&encoder.tokenizer, &strings(&case.list("/batches")?[0])?, None, true)
}

/// A value of a batch, by sample.
fn outputs(encoder: &Encoder, batch: &Batch, node: NodeId) -> Outcome<Vec<Vec<f64>>> {
    let request = Request { outputs: vec![("value".to_owned(), node)], ..Request::default() };
    let machine = Machine::compile(&encoder.network, encoder.network.elaborated.graph.clone(), &request, &[batch])?;
    Ok(machine.run(&encoder.network, batch)?.output("value")?.to_vec())
}

/// `train_mode.*`: what the first batch gives in training, by the batch's own statistics, and the running ones that the step leaves.
fn in_training(account: &mut Account, case: &Case, encoder: &Encoder, expected: &Tensors) -> Outcome<()> {
    let network = &encoder.network;
    let batch = encoder.batch(&first_batch(case, encoder)?);
    let mut wanted = vec![("last_hidden_state".to_owned(), network.output("embedding")?)];
    for key in expected.below("train_mode.").into_iter().filter(|key| *key != "last_hidden_state") {
        let update = network.elaborated.updates.iter().find(|(param, _)| network.params[param.0 as usize].key == key);
        wanted.push((key.to_owned(), update.ok_or_else(|| format!("a training step leaves nothing in `{key}`"))?.1));
    }
    let request = Request { outputs: wanted.clone(), ..Request::default() };
    let machine = Machine::compile(network, network.elaborated.graph.clone(), &request, &[&batch])?;
    for (whose, results) in [("", machine.run(network, &batch)?), ("the evaluator's ", machine.evaluate(network, &batch))] {
        for (key, _) in &wanted {
            let name = format!("train_mode.{key}");
            account.close(&format!("{whose}{name}"), &results.output(key)?.concat(), &expected.get(&name)?.data, case.tolerance);
        }
    }
    Ok(())
}
