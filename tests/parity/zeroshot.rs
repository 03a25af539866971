//! Scores of variants without training: differences of log-probabilities and distances of hidden states, from tables of sequences.

use mgx_data::{Comparison, InputBuilder, Metric, Targets, Tokenizer};
use mgx_ir::plan::{InputSpec, MetricSpec};
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors, strings};
use mgx_tests::machine::{Machine, Request, Results};
use mgx_tests::network::{EXPERIMENT, Network};
use mgx_tests::world::TestWorld;
use mgx_tests::{Outcome, shown};
use serde_json::Value as Json;

use crate::tokens::{check_masks, encode};
use crate::training::convention;
use crate::training::rows::RowTable;

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let other = case.json("expected.json")?;
    let mut account = Account::default();
    match case.text("/reference").rsplit('.').next() {
        Some("ZeroshotPredictionDiff") => differences(&mut account, case, &expected, &other)?,
        Some("ZeroshotPredictionDistance") => distances(&mut account, case, &expected, &other)?,
        other => return Err(format!("the task {other:?} is not known")),
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// Whose an output is, and its numbers for each row.
type Named<'a> = (&'static str, &'a [Vec<f64>]);

/// A score for each row, and what the labels say about them.
struct Scored {
    network: Network,
    /// From the CPU backend, and from the reference evaluator where it was asked.
    results: Vec<(&'static str, Results)>,
    classes: Vec<i32>,
}

impl Scored {
    /// An experiment over a table, as a user writes it. `fields` is what stands in the experiment; `evaluates`, whether the reference evaluator runs it too.
    fn new(case: &Case, rows: &RowTable, fields: &str, evaluates: bool) -> Outcome<Self> {
        let family = case.text("/backbone/family");
        if family != "rnabert" {
            return Err(format!("the family {family} is not known"));
        }
        let columns: String = rows.header().iter().filter(|name| *name != "label").map(|name| format!("  {name}: dna\n")).collect();
        let program = format!(
            "use std::backbones::{{aido_dna, aido_dna_masked_lm}}\nuse std::layers::pooling::residue_mean\n\
             use std::tasks::{{embed, variant_difference, variant_distance}}\n\n\
             data rows = table(\"rows.tsv\") {{\n{columns}  label: class(\"0\", \"1\")\n}}\n\n\
             experiment {EXPERIMENT} {{\n{}}}\n",
            fields.replace("FOLDER", case.text("/backbone/path"))
        );
        let world = TestWorld { program, header: rows.header(), root: case.folder.clone(), ..TestWorld::default() };
        let network = Network::experiment(&world, false)?;
        let experiment = &network.elaborated;
        let table = rows.read(experiment.data.first().ok_or("the experiment reads no table")?)?;
        let tables = std::slice::from_ref(&table);
        let all: Vec<u64> = (0..table.rows()).collect();
        let batch_of = |inputs: &[InputSpec]| {
            let builder = InputBuilder::new(&experiment.tokenizers, &experiment.lengths, inputs, tables);
            Ok::<_, String>(builder.map_err(|diagnostic| shown(&diagnostic))?.batch(&all, 0))
        };
        let (batch, labelled) = (batch_of(&experiment.prediction_inputs())?, batch_of(&experiment.inputs)?);
        let outputs = experiment.graph.outputs.iter().map(|output| (output.name.clone(), output.node)).collect();
        let request = Request { outputs, ..Request::default() };
        let machine = Machine::compile(&network, experiment.graph.clone(), &request, &[&batch])?;
        let mgx_data::Values::Class(values) = &table.column("label").ok_or("the labels were not read")?.values else {
            return Err("the labels are no classes".to_owned());
        };
        let classes = all.iter().map(|row| values.value(*row as usize)).collect();
        // The scores need what prediction reads alone.
        let mut results = vec![("", machine.run(&network, &batch)?)];
        if evaluates {
            results.push(("the evaluator's ", machine.evaluate(&network, &labelled)));
        }
        Ok(Self { network, results, classes })
    }

    /// An output for each row, and whose it is.
    fn outputs(&self, name: &str) -> Outcome<Vec<Named<'_>>> {
        self.results.iter().map(|(whose, results)| Ok((*whose, results.output(name)?))).collect()
    }

    /// An output for each row from the CPU backend.
    fn output(&self, name: &str) -> Outcome<&[Vec<f64>]> {
        self.results.first().ok_or("nothing was run")?.1.output(name)
    }

    fn metrics(&self) -> &[MetricSpec] {
        &self.network.elaborated.task.metrics
    }

    /// A metric of the task.
    fn metric(&self, name: &str) -> Outcome<f64> {
        let spec = self.metrics().iter().find(|spec| spec.name == name).ok_or_else(|| format!("the task has no metric `{name}`"))?;
        let values = self.output(&spec.prediction)?;
        let values: Vec<f32> = values.concat().into_iter().map(|value| value as f32).collect();
        let comparison = Comparison { values: &values, width: 1, targets: Targets::Classes(&self.classes), items: None };
        let metric = Metric::new(spec.kind, &comparison).map_err(|reason| format!("`{name}`: {reason}"))?;
        Ok(metric.value().unwrap_or_else(|_| convention(spec.kind)))
    }
}

fn labels(case: &Case) -> Outcome<Vec<String>> {
    Ok(case.list("/batch/labels")?.iter().map(Json::to_string).collect())
}

fn numbers(value: &Json) -> Outcome<Vec<f64>> {
    value.as_array().ok_or("no list of numbers")?.iter().map(|value| value.as_f64().ok_or_else(|| format!("no number: {value}"))).collect()
}

/// The site of a sequence, as the reference has it: the middle.
fn with_middle(text: &str, letter: &str) -> String {
    let middle = text.chars().count() / 2;
    text.chars().enumerate().map(|(at, own)| if at == middle { letter.to_owned() } else { own.to_string() }).collect()
}

fn differences(account: &mut Account, case: &Case, expected: &Tensors, other: &Json) -> Outcome<()> {
    let list = |name: &str| strings(&case.spec["batch"][name]);
    let (whole, labels) = (list("sequences")?, labels(case)?);
    let site = |letters: Vec<String>| whole.iter().zip(letters).map(|(text, letter)| with_middle(text, &letter)).collect::<Vec<_>>();
    let (reference, mutated) = (site(list("refs")?), site(list("mutations")?));
    for (name, read) in [("plain", whole.clone()), ("masked", strings(&case.spec["masked"])?)] {
        let rows = RowTable::of_columns(&[("sequence", &read), ("reference", &reference), ("mutated", &mutated), ("label", &labels)]);
        let encoder = "  encoder = aido_dna_masked_lm(weights = folder(\"FOLDER\"))\n  out = rows.sequence |> encoder\n";
        let task = "  task = variant_difference(out.logits, rows.reference, rows.mutated, rows.label)\n";
        let scored = Scored::new(case, &rows, &format!("{encoder}{task}"), true)?;
        let recorded = numbers(&other[name]["score"])?;
        for (whose, scores) in scored.outputs("score")? {
            account.close(&format!("{whose}{name} score"), &scores.concat(), &recorded, case.tolerance);
        }
        for (recorded, own) in [("AUROC", "auroc"), ("AUPRC", "auprc")] {
            let value = other[name]["metrics"][recorded].as_f64().ok_or("no metric was recorded")?;
            account.close(&format!("{name} {recorded}"), &[scored.metric(own)?], &[value], case.tolerance);
        }
        check_tokens(account, case, &scored, expected, name, &read)?;
        let logits = Scored::new(case, &rows, &format!("{encoder}  task = embed(out.logits)\n"), false)?;
        let found = logits.output("embedding")?;
        let recorded = expected.get(&format!("{name}.logits"))?;
        for (row, found) in found.iter().enumerate() {
            let width = *recorded.shape.last().ok_or("the logits have no shape")?;
            let inner = found.get(width..found.len() - width).ok_or("a row has no letters")?;
            account.close(&format!("{name}.logits of row {row}"), inner, recorded.row(row)?, case.tolerance);
        }
    }
    Ok(())
}

/// Token ids of what was read and of the letters at the site.
fn check_tokens(account: &mut Account, case: &Case, scored: &Scored, expected: &Tensors, name: &str, read: &[String]) -> Outcome<()> {
    let spec = scored.network.elaborated.tokenizers.first().ok_or("the experiment has no tokenizer")?;
    let tokenizer = Tokenizer::new(spec).map_err(|diagnostic| shown(&diagnostic))?;
    check_masks(account, expected, name, &encode(&tokenizer, read, None, true)?)?;
    for (recorded, letters) in [("ref_ids", "refs"), ("mutation_ids", "mutations")] {
        let encoded = encode(&tokenizer, &strings(&case.spec["batch"][letters])?, None, false)?;
        let ids: Vec<f64> = encoded.iter().flat_map(|letter| &letter.ids).map(|id| f64::from(*id)).collect();
        account.equal(&format!("{name}.{recorded}"), &ids, &expected.get(&format!("{name}.{recorded}"))?.data);
    }
    let classes: Vec<f64> = scored.classes.iter().map(|class| f64::from(*class)).collect();
    account.equal(&format!("{name}.labels"), &classes, &expected.get(&format!("{name}.labels"))?.data);
    Ok(())
}

fn distances(account: &mut Account, case: &Case, expected: &Tensors, other: &Json) -> Outcome<()> {
    let list = |name: &str| strings(&case.spec["batch"][name]);
    let (reference, mutated, labels) = (list("ref_sequences")?, list("mutation_sequences")?, labels(case)?);
    for (key, recorded) in other.as_object().ok_or("nothing was recorded")? {
        let steps = (0..).map_while(|step| recorded.get(format!("step{step}"))).collect::<Vec<_>>();
        // Of batches after the first, a shared reference is the first sample's.
        let shared = vec![reference[0].clone(); reference.len()];
        let is_shared = key.ends_with("shared1");
        let of_step = |step: usize| if is_shared && step > 0 { &shared } else { &reference };
        let all = |column: &dyn Fn(usize) -> Vec<String>| (0..steps.len()).flat_map(column).collect::<Vec<_>>();
        let columns = [all(&|step| of_step(step).clone()), all(&|_| mutated.clone()), all(&|_| labels.clone())];
        let rows = RowTable::of_columns(&[("reference", &columns[0]), ("mutated", &columns[1]), ("label", &columns[2])]);
        let layers = layers(steps.first().ok_or("no step was recorded")?)?;
        let several = key.starts_with("all1");
        let states = (0..layers).map(|layer| if several { layer.to_string() } else { "-1".to_owned() }).collect::<Vec<_>>().join(", ");
        let part = if several { "hidden_states" } else { "hidden" };
        let flow = format!(
            "  encoder = aido_dna(weights = folder(\"FOLDER\"), hidden_states = [{states}])\n\
             \x20 reference = rows.reference |> encoder\n  mutated = rows.mutated |> encoder\n"
        );
        let task = format!("  task = variant_distance(reference.{part}, mutated.{part}, rows.label)\n");
        let scored = Scored::new(case, &rows, &format!("{flow}{task}"), true)?;
        let field = |layer: usize| if several { format!("_layer_{layer}") } else { String::new() };
        for layer in 0..layers {
            for (norm, own) in [("L1", "l1"), ("L2", "l2"), ("cosine", "cosine")] {
                let wanted = steps.iter().map(|step| scores(step, norm, layer)).collect::<Outcome<Vec<_>>>()?.concat();
                let what = format!("{key} {norm} of layer {layer}");
                for (whose, found) in scored.outputs(&format!("{own}{}", field(layer)))? {
                    account.close(&format!("{whose}{what}"), &found.concat(), &wanted, case.tolerance);
                }
            }
        }
        // The reference counts the hidden states from 1, and leaves the last one out where there are several.
        for (name, value) in recorded["metrics"].as_object().ok_or("no metrics were recorded")? {
            let (metric, number) = name.split_once("_layer_").ok_or_else(|| format!("`{name}` is of no layer"))?;
            let layer = number.parse::<usize>().map_err(|_| format!("`{name}` is of no layer"))? - 1;
            let found = scored.metric(&format!("{}{}", metric.to_lowercase(), field(layer)))?;
            account.close(&format!("{key} {name}"), &[found], &[value.as_f64().ok_or("no number")?], case.tolerance);
        }
        for (side, column) in ["reference", "mutated"].into_iter().enumerate() {
            let embed = Scored::new(case, &rows, &format!("{flow}  task = embed(map(residue_mean, {column}.{part}))\n"), false)?;
            for layer in 0..layers {
                let found = embed.output(&format!("embedding{}", field(layer)))?;
                for (step, own) in found.chunks(reference.len()).enumerate() {
                    let name = format!("{key}.step{step}.embeddings");
                    let tensor = expected.get(&name)?;
                    let place = side * layers + layer;
                    let size = own.len() * own[0].len();
                    let wanted = tensor.data.get(place * size..(place + 1) * size).ok_or("an embedding is missing")?;
                    account.close(&format!("{name} of {column}, layer {layer}"), &own.concat(), wanted, case.tolerance);
                }
            }
        }
    }
    Ok(())
}

/// How many hidden states were scored.
fn layers(step: &Json) -> Outcome<usize> {
    let numbers = numbers(&step["num_layer"])?;
    Ok(numbers.into_iter().fold(0.0, f64::max) as usize + 1)
}

/// The recorded scores of a norm and a layer, in the order of the samples.
fn scores(step: &Json, norm: &str, layer: usize) -> Outcome<Vec<f64>> {
    let (norms, layers, scores) = (strings(&step["norm_type"])?, numbers(&step["num_layer"])?, numbers(&step["score"])?);
    let rows = norms.iter().zip(&layers).zip(scores);
    Ok(rows.filter(|((own, number), _)| *own == norm && **number as usize == layer).map(|(_, score)| score).collect())
}
