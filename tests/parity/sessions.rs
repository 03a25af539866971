//! Experiments over small tables, run by the runtime as a user's are.

use std::collections::BTreeMap;
use std::path::Path;

use mgx_compiler::check::{Elaborated, elaborate};
use mgx_compiler::plan::build;
use mgx_data::{Part, Tokenizer};
use mgx_diag::Diagnostic;
use mgx_ir::plan::ParamSpec;
use mgx_runtime::{Data, DataSource, Evaluation, Predictions, ProgressMode, RunFolder, Session, Settings, Strictness};
use mgx_tests::network::EXPERIMENT;
use mgx_tests::world::{PROGRAM, TestWorld};
use mgx_tests::{Outcome, shown};
use mgx_weights::{TensorData, save};
use tempfile::TempDir;

const TABLE: &str = "rows.tsv";
const PARAMETERS: &str = "parameters.safetensors";

/// A column of the table `rows`.
pub struct Column {
    pub name: String,
    /// Its type in the program.
    pub kind: String,
    pub values: Vec<String>,
}

/// An experiment over the table `rows`.
pub struct Program {
    /// What it imports: `std::tasks::fill_mask`.
    pub uses: Vec<String>,
    pub columns: Vec<Column>,
    /// What stands in the experiment.
    pub fields: String,
}

impl Program {
    fn text(&self) -> String {
        let columns: String = self.columns.iter().map(|column| format!("  {}: {}\n", column.name, column.kind)).collect();
        let uses: String = self.uses.iter().map(|name| format!("use {name}\n")).collect();
        format!("{uses}\ndata rows = table(\"{TABLE}\") {{\n{columns}}}\n\nexperiment {EXPERIMENT} {{\n{}}}\n", self.fields)
    }

    fn table(&self) -> String {
        let line = |values: Vec<&str>| values.join("\t") + "\n";
        let rows = self.columns.first().map_or(0, |column| column.values.len());
        let lines = (0..rows).map(|row| line(self.columns.iter().map(|column| column.values[row].as_str()).collect()));
        std::iter::once(line(self.columns.iter().map(|column| column.name.as_str()).collect())).chain(lines).collect()
    }
}

/// A session with its table in a folder of its own.
pub struct Run {
    session: Session,
    folder: TempDir,
}

fn said(diagnostic: Diagnostic) -> String {
    shown(&diagnostic)
}

impl Run {
    /// `root` is where the program's folders of weights are.
    pub fn new(root: &Path, program: &Program) -> Outcome<Self> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        std::fs::write(folder.path().join(TABLE), program.table()).map_err(|error| error.to_string())?;
        let header = program.columns.iter().map(|column| column.name.clone()).collect();
        let world = TestWorld { program: program.text(), header, root: root.to_owned(), ..TestWorld::default() };
        let elaborated = |training| {
            let found = elaborate(&world, PROGRAM, &[], EXPERIMENT, training);
            found.map_err(|(sources, found)| format!("the program does not check:\n{}", mgx_diag::render(&found, &sources, false)))
        };
        let evaluation: Elaborated = elaborated(false)?;
        let training = evaluation.train.is_some().then(|| elaborated(true)).transpose()?;
        let source = DataSource {
            data: &evaluation.data,
            tokenizers: &evaluation.tokenizers,
            lengths: &evaluation.lengths,
            inputs: &evaluation.inputs,
            folder: folder.path(),
            labels: true,
        };
        let data = Data::read(&source).map_err(said)?;
        let plan = build(&evaluation, training.as_ref(), &data.capacity(evaluation.batch)).map_err(said)?;
        let weights = Some(plan.weights.iter().map(|weights| root.join(&weights.folder)).collect());
        let settings = Settings { folder: folder.path().to_owned(), weights, progress: ProgressMode::Quiet, ..Settings::default() };
        Ok(Self { session: Session::new(plan, data, settings).map_err(said)?, folder })
    }

    /// Takes the parameters that `value` has values for, and all others from their weights.
    pub fn restore(&mut self, value: impl Fn(&ParamSpec) -> Outcome<Option<Vec<f32>>>) -> Outcome<()> {
        let params = self.session.plan().params.clone();
        let values = params.iter().map(|param| Ok(value(param)?.map(|values| (param, values)))).collect::<Outcome<Vec<_>>>()?;
        let values: Vec<_> = values.into_iter().flatten().collect();
        let tensors = values.iter().map(|(param, values)| (param.path.clone(), param.shape.clone(), TensorData::F32(values)));
        let path = self.folder.path().join(PARAMETERS);
        save(&path, tensors, &BTreeMap::new()).map_err(said)?;
        self.session.restore(&path, Strictness::Strict).map(|_| ()).map_err(said)
    }

    /// The first tokenizer.
    pub fn tokenizer(&self) -> Outcome<Tokenizer> {
        Tokenizer::new(self.session.plan().tokenizers.first().ok_or("the plan has no tokenizer")?).map_err(said)
    }

    /// What the task gives for all rows.
    pub fn predict(&mut self) -> Outcome<Predictions> {
        let rows = self.session.data().all_rows();
        self.session.predict(&rows).map_err(said)
    }

    /// All elements of an output for all rows.
    pub fn output(&mut self, name: &str) -> Outcome<Vec<f64>> {
        let predictions = self.predict()?;
        let output = predictions.outputs.iter().find(|output| output.name == name).ok_or_else(|| format!("there is no output `{name}`"))?;
        Ok(output.flat().into_iter().map(f64::from).collect())
    }

    pub fn evaluate(&mut self, part: Part) -> Outcome<Evaluation> {
        self.session.evaluate(part).map_err(said)
    }

    /// The losses of the steps that training logs. The parameters are changed.
    pub fn train_losses(&mut self) -> Outcome<Vec<f64>> {
        let run = RunFolder::create(&self.folder.path().join("run"), self.session.plan(), "").map_err(said)?;
        self.session.fit(&run, false).map_err(said)?;
        let events = std::fs::read_to_string(run.path().join("metrics.jsonl")).map_err(|error| error.to_string())?;
        let mut losses = Vec::new();
        for line in events.lines() {
            let event: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            if event["kind"] == "train" {
                losses.extend(event["loss"].as_f64());
            }
        }
        Ok(losses)
    }
}
