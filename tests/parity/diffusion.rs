//! Masked diffusion, also under conditions: tokens, logits, losses, every state of filling in, and what comes of it. All by the runtime, from tables as users have them.

use mgx_data::{Encoding, Part, Tokenizer};
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Stored, Tensors, strings};
use mgx_tests::world::TestWorld;
use serde_json::Value as Json;

use crate::denoising::Denoising;
use crate::encoder::Encoder;
use crate::masked_lm::RNABERT;
use crate::sessions::{Column, Program, Run};
use crate::tokens::{check_masks, encode, without_padding};

const MASK: &str = "[MASK]";
const USES: [&str; 6] = [
    "std::adapters::conditional_lm",
    "std::backbones::aido_rna_masked_lm",
    "std::optimizers::adamw",
    "std::tasks::diffusion",
    "std::tasks::embed",
    "std::tasks::masked_lm",
];

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let other = case.json("expected.json")?;
    let mut account = Account::default();
    let conditional = case.spec.get("adapter").is_some();
    // Batched, the reference's adapter attends across samples; each sample by itself was recorded as well.
    let prefix = if conditional { "along_sequence.conditional" } else { "diffusion" };
    let rows = Rows::new(case)?;
    let check = Check { case, expected: &expected, other: &other, prefix, rows };
    check.inputs(&mut account)?;
    check.losses(&mut account)?;
    for steps in case.list("/num_denoise_steps")? {
        check.filling(&mut account, steps.as_u64().ok_or("a number of steps is none")?)?;
    }
    if conditional {
        check.masked_lm(&mut account)?;
        expected.pass_over("conditional.");
        expected.pass_over("mlm.");
    }
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// The noised copies of all samples, one after another.
struct Rows {
    sequences: Vec<String>,
    targets: Vec<String>,
    importance: Vec<f64>,
    /// Numbers of each row that it is conditioned on.
    conditions: Vec<Vec<f64>>,
}

impl Rows {
    fn new(case: &Case) -> Outcome<Self> {
        let batch = &case.spec["batch"];
        let all = |name: &str| -> Outcome<Vec<Json>> {
            let samples = batch[name].as_array().ok_or_else(|| format!("the batch has no `{name}`"))?;
            Ok(samples.iter().flat_map(|copies| copies.as_array().into_iter().flatten()).cloned().collect())
        };
        let conditions = if batch.get("labels").is_some() { all("labels")? } else { Vec::new() };
        Ok(Self {
            sequences: strings(&Json::Array(all("sequences")?))?,
            targets: strings(&Json::Array(all("target_sequences")?))?,
            importance: numbers(&Json::Array(all("posterior_weights")?))?,
            conditions: conditions.iter().map(numbers).collect::<Outcome<_>>()?,
        })
    }
}

fn numbers(list: &Json) -> Outcome<Vec<f64>> {
    let items = list.as_array().ok_or_else(|| format!("no list of numbers: {list}"))?;
    items.iter().map(|item| item.as_f64().ok_or_else(|| format!("no number: {item}"))).collect()
}

struct Check<'a> {
    case: &'a Case,
    expected: &'a Tensors,
    other: &'a Json,
    prefix: &'a str,
    rows: Rows,
}

impl Check<'_> {
    fn name(&self, what: &str) -> String {
        format!("{}.{what}", self.prefix)
    }

    fn recorded(&self, what: &str) -> Outcome<f64> {
        let value = &self.other[&self.name(what)];
        value.as_f64().ok_or_else(|| format!("`{}` is {value}", self.name(what)))
    }

    /// The experiment with a task on `logits`.
    fn experiment(&self, task: &str, rest: &str) -> Program {
        let rows = &self.rows;
        let text = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>();
        let mut columns = vec![
            Column { name: "sequence".into(), kind: "rna".into(), values: rows.sequences.clone() },
            Column { name: "target".into(), kind: "rna".into(), values: rows.targets.clone() },
            Column { name: "importance".into(), kind: "real".into(), values: text(&rows.importance) },
        ];
        if let Some(first) = rows.conditions.first() {
            let values = rows.conditions.iter().map(|row| text(row).join(",")).collect();
            columns.push(Column { name: "condition".into(), kind: format!("real(count = {})", first.len()), values });
        }
        Program { uses: USES.map(str::to_owned).to_vec(), columns, fields: format!("{}  task = {task}\n{rest}", self.network()) }
    }

    /// Logits of the backbone's own head, or of the adapter with that head, whose own parameters are all that is trained.
    fn network(&self) -> String {
        let folder = self.case.text("/backbone/path");
        let Some(adapter) = self.case.spec.get("adapter") else {
            return format!(
                "  encoder = aido_rna_masked_lm(weights = folder(\"{folder}\"))\n  out = rows.sequence |> encoder\n  logits = out.logits\n"
            );
        };
        format!(
            "  encoder = aido_rna_masked_lm(weights = folder(\"{folder}\"), frozen = true)\n  out = rows.sequence |> encoder\n  \
             logits = (out.hidden, rows.condition) |> conditional_lm(decoder = encoder.head, heads = {}, ffn = {}, layers = {}, dropout_rate = 0.0)\n",
            adapter["nhead"], adapter["dim_feedforward"], adapter["num_layers"]
        )
    }

    /// Runs the program with the parameters of the adapter whose names begin so.
    fn run(&self, program: &Program, adapter: &str) -> Outcome<Run> {
        let mut run = Run::new(&self.case.folder, program)?;
        if self.case.spec.get("adapter").is_some() {
            let state = self.case.tensors("adapter.safetensors")?;
            run.restore(|param| match param.weights {
                Some(_) => Ok(None),
                None => Ok(Some(state.get(&format!("{adapter}.{}", param.key))?.f32())),
            })?;
        }
        Ok(run)
    }

    fn diffusion(&self, steps: u64, options: &str) -> String {
        let temperature = self.temperature();
        format!(
            "diffusion(logits, rows.target, importance = rows.importance, steps = {steps}, temperature = {temperature:?}, special = true{options})"
        )
    }

    fn temperature(&self) -> f64 {
        self.case.spec["sampling_temperature"].as_f64().unwrap_or(1.0)
    }

    /// The backbone with its head, by itself.
    fn encoder(&self) -> Outcome<Encoder> {
        let world = TestWorld { root: self.case.folder.join(self.case.text("/backbone/path")), ..TestWorld::default() };
        Encoder::new(world, RNABERT.kind, RNABERT.backbone, "out.logits")
    }

    fn mask(&self, tokenizer: &Tokenizer) -> Outcome<i32> {
        Ok(tokenizer.encode(MASK, None, false).map_err(|_| "the tokenizer has no mask")?.ids[0])
    }

    fn encoded(&self, tokenizer: &Tokenizer, texts: &[String]) -> Outcome<Vec<Encoding>> {
        encode(tokenizer, texts, None, true)
    }

    /// Tokens, masks, weights, and logits.
    fn inputs(&self, account: &mut Account) -> Outcome<()> {
        let mut run = self.run(&self.experiment("embed(logits)", ""), "cd")?;
        let tokenizer = run.tokenizer()?;
        let rows = self.encoded(&tokenizer, &self.rows.sequences)?;
        check_masks(account, self.expected, &self.name("collated"), &rows)?;
        let targets = self.encoded(&tokenizer, &self.rows.targets)?;
        let mask = self.mask(&tokenizer)?;
        let ids = |rows: &[Encoding]| rows.iter().flat_map(|row| row.ids.iter().map(|id| f64::from(*id))).collect::<Vec<_>>();
        let masks = |rows: &[Encoding]| ids(rows).iter().map(|id| f64::from(u8::from(*id == f64::from(mask)))).collect::<Vec<_>>();
        for (what, found) in [("target_ids", ids(&targets)), ("target_masks", masks(&targets)), ("input_masks", masks(&rows))] {
            let recorded = without_padding(self.expected.get(&self.name(&format!("collated.{what}")))?, &targets)?;
            account.equal(what, &found, &recorded);
        }
        let weights = self.expected.get(&self.name("collated.posterior_weights"))?;
        account.close("posterior weights", &self.rows.importance, &weights.data, self.case.tolerance);
        if !self.rows.conditions.is_empty() {
            let labels = self.expected.get(&self.name("collated.labels"))?;
            account.close("conditions", &self.rows.conditions.concat(), &labels.data, self.case.tolerance);
        }
        let recorded = without_padding(self.expected.get(&self.name("logits"))?, &rows)?;
        account.close("logits", &run.output("embedding")?, &recorded, self.case.tolerance);
        Ok(())
    }

    /// The loss of a training step, with weights as they are and divided by their sum, and the accuracy of the first step.
    fn losses(&self, account: &mut Account) -> Outcome<()> {
        let count = self.rows.sequences.len();
        let train = format!(
            "  train {{\n    max_steps = 1\n    optimizer = adamw(lr = 1e-3)\n    shuffle = false\n    batch_size = {count}\n  }}\n"
        );
        for (norm, options) in [(0, ""), (1, ", normalize = true")] {
            let mut run = self.run(&self.experiment(&self.diffusion(1, options), &train), "cd")?;
            let evaluation = run.evaluate(Part::Test)?;
            let accuracy = evaluation.metrics.get("first_accuracy").ok_or("the task has no accuracy")?;
            account.close(
                "accuracy in training",
                &[accuracy],
                &[self.recorded(&format!("train_accuracy_norm{norm}"))?],
                self.case.tolerance,
            );
            account.close(
                "loss in training",
                &run.train_losses()?,
                &[self.recorded(&format!("train_loss_norm{norm}"))?],
                self.case.tolerance,
            );
        }
        Ok(())
    }

    /// Every state of filling in, what is written, and the loss and the accuracy of evaluation.
    fn filling(&self, account: &mut Account, steps: u64) -> Outcome<()> {
        let what = format!("denoise{steps}");
        let recorded = &self.other[&self.name(&what)];
        let mut run = self.run(&self.experiment(&self.diffusion(steps, ""), ""), "cd")?;
        let tokenizer = run.tokenizer()?;
        let evaluation = run.evaluate(Part::Test)?;
        let filled = evaluation.predictions.filled.as_ref().ok_or("nothing was filled in")?;
        let rows = self.encoded(&tokenizer, &self.rows.sequences)?;
        let targets = self.encoded(&tokenizer, &self.rows.targets)?;
        let state = |step: u64| -> Vec<f64> {
            let of_row = |(row, filled): (&Encoding, &mgx_data::FilledRow)| {
                let mut ids = row.ids.clone();
                for mask in filled.masks.iter().filter(|mask| mask.step > 0 && mask.step <= step) {
                    ids[mask.place as usize] = filled.ids[mask.place as usize];
                }
                ids.into_iter().map(f64::from).collect::<Vec<_>>()
            };
            rows.iter().zip(&filled.rows).flat_map(of_row).collect()
        };
        let mut states = Vec::new();
        while let Some(tensor) = self.expected.find(&self.name(&format!("{what}.state{}", states.len()))) {
            states.push(without_padding(tensor, &rows)?);
        }
        let losses = numbers(&recorded["step_losses"])?;
        account.equal(&format!("states of {what}"), &states.len(), &(losses.len() + 1));
        for (step, recorded) in states.iter().enumerate() {
            account.equal(&format!("state {step} of {what}"), &state(step as u64), recorded);
        }
        let written = |ids: &[i32]| reference_text(&tokenizer.text(ids));
        let texts: Vec<String> = filled.rows.iter().map(|row| written(&row.ids)).collect();
        account.equal(&format!("predictions of {what}"), &texts, &strings(&recorded["predictions"])?);
        let targets_shown: Vec<String> = targets.iter().map(|target| written(&target.ids)).collect();
        account.equal(&format!("targets of {what}"), &targets_shown, &strings(&recorded["sequences"])?);
        let loss = evaluation.metrics.loss.ok_or("the task has no loss")?;
        account.close(
            &format!("recorded loss of {what}"),
            &[losses.iter().sum()],
            &[recorded["val_loss"].as_f64().ok_or("no loss")?],
            self.case.tolerance,
        );
        if self.case.spec.get("adapter").is_none() {
            let encoder = self.encoder()?;
            let mask = self.mask(&tokenizer)?;
            let (importance, temperature) = (self.rows.importance.as_slice(), self.temperature());
            let denoising = Denoising { encoder: &encoder, mask, targets: &targets, importance, steps, temperature };
            let rows_of = |state: &Vec<f64>| {
                let mut ids = state.iter().map(|id| *id as i32);
                rows.iter().map(|row| Encoding { ids: ids.by_ref().take(row.ids.len()).collect(), ..Encoding::default() }).collect()
            };
            let before: Vec<Vec<Encoding>> = states[..losses.len()].iter().map(rows_of).collect();
            account.close(&format!("losses of {what}"), &denoising.losses(&before, true)?, &losses, self.case.tolerance);
            let own = denoising.losses(&before, false)?.iter().sum();
            account.close(&format!("loss of {what}, of known tokens"), &[loss], &[own], self.case.tolerance);
        }
        if !self.rows.targets.iter().any(|target| target.contains(MASK)) {
            account.close(&format!("loss of {what}"), &[loss], &[losses.iter().sum()], self.case.tolerance);
        }
        let found = evaluation.metrics.get("accuracy").ok_or("the task has no accuracy")?;
        let last = states.last().ok_or("no state was recorded")?;
        let own = recovered(&states[0], last, &targets, f64::from(self.mask(&tokenizer)?));
        account.close(&format!("accuracy of {what}"), &[found], &[own], self.case.tolerance);
        if let Some(accuracy) = recorded["val_accuracy"].as_f64() {
            account.close(&format!("accuracy of {what}"), &[found], &[accuracy], self.case.tolerance);
        }
        Ok(())
    }

    /// A masked language model under conditions.
    fn masked_lm(&self, account: &mut Account) -> Outcome<()> {
        let mlm = &self.case.spec["mlm"];
        let conditions = numbers(&mlm["labels"])?.into_iter().map(|number| vec![number]).collect();
        let (sequences, targets) = (strings(&mlm["sequences"])?, strings(&mlm["target_sequences"])?);
        let importance = vec![1.0; sequences.len()];
        let check = Check { rows: Rows { sequences, targets, importance, conditions }, ..*self };
        let mut run = check.run(&check.experiment("embed(logits)", ""), "mlm")?;
        let rows = check.encoded(&run.tokenizer()?, &check.rows.sequences)?;
        let recorded: &Stored = self.expected.get("along_sequence.mlm.logits")?;
        account.close("logits under conditions", &run.output("embedding")?, &without_padding(recorded, &rows)?, self.case.tolerance);
        let mut run = check.run(&check.experiment("masked_lm(logits, rows.target, over = all)", ""), "mlm")?;
        let loss = run.evaluate(Part::Test)?.metrics.loss.ok_or("the task has no loss")?;
        let recorded = self.other["along_sequence.mlm.loss"].as_f64().ok_or("no loss of the masked language model")?;
        account.close("loss under conditions", &[loss], &[recorded], self.case.tolerance);
        Ok(())
    }
}

/// The share of masks whose token is known that became it, the mean over the rows with such masks; the reference divides by zero in others.
fn recovered(before: &[f64], after: &[f64], targets: &[Encoding], mask: f64) -> f64 {
    let (mut start, mut total, mut rows) = (0, 0.0, 0.0);
    for target in targets {
        let (mut right, mut count) = (0.0, 0.0);
        for (place, id) in (start..).zip(&target.ids) {
            if before[place] == mask && f64::from(*id) != mask {
                count += 1.0;
                right += f64::from(u8::from(after[place] == f64::from(*id)));
            }
        }
        start += target.ids.len();
        if count > 0.0 {
            total += right / count;
            rows += 1.0;
        }
    }
    total / rows
}

/// A sequence as the reference writes it: without its special tokens, and with a point for a mask.
fn reference_text(text: &str) -> String {
    ["[CLS]", "[SEP]", "[PAD]"].iter().fold(text.to_owned(), |text, token| text.replace(token, "")).replace(MASK, ".")
}
