//! The programs of a case, and the steps that they do.

use mgx_compiler::check::{Elaborated, elaborate};
use mgx_compiler::plan::build;
use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_data::{InputBuilder, Table, Tokenizer};
use mgx_diag::Diagnostic;
use mgx_eval::eval_scalars;
use mgx_ir::graph::{NodeId, Output};
use mgx_ir::plan::{Batch, InputData, InputSpec, OptimizerSpec, ParamSpec, Plan};
use mgx_tests::golden::Case;
use mgx_tests::network::{EXPERIMENT, Network};
use mgx_tests::world::{PROGRAM, TestWorld};
use mgx_tests::{Outcome, shown};

use super::exact::Exact;
use super::program::Program;
use super::reference_name;
use super::rows::{RowTable, Rows};

/// The output of the adapter, as it goes into the task.
pub const RAW: &str = "raw";
/// The output of each sample's loss.
const LOSS: &str = "loss";
/// The output of how much each sample's loss counts.
const WEIGHT: &str = "weight";

/// The plan of a case with its programs, data and memory.
pub struct Training {
    pub plan: Plan,
    pub table: Table,
    pub tokenizers: Vec<Tokenizer>,
    pub memory: Memory,
    /// The inputs that prediction does not read.
    pub labels: Vec<InputSpec>,
    inputs: InputBuilder,
    gradient: Executable,
    norm: Executable,
    update: Executable,
    evaluate: Executable,
    frozen: Option<Executable>,
    /// As it is in training, and the elements of every parameter at the start.
    experiment: Elaborated,
    start: Vec<Vec<f64>>,
}

/// What a group of batches did: a loss for each batch; the learning rate and the norm of the gradient before clipping.
pub struct Step {
    pub losses: Vec<f64>,
    pub learning_rate: f64,
    pub norm: f64,
}

impl Training {
    /// `batches` are all that will be computed.
    pub fn new(case: &Case, program: &Program, rows: &RowTable, batches: &[&Rows]) -> Outcome<Self> {
        let world =
            TestWorld { program: program.text.clone(), header: program.header(), root: case.folder.clone(), ..TestWorld::default() };
        let mut network = Network::experiment(&world, false)?;
        let state = case.tensors("init_state.safetensors")?;
        let initial = |_, param: &ParamSpec| match param.weights {
            Some(_) => Ok(None),
            None => Ok(Some(state.get(&reference_name(program, param))?.f32())),
        };
        network.fill(initial)?;
        let node = result_of(&network, program.predictions())?;
        network.elaborated.graph.outputs.push(Output { name: RAW.to_owned(), node });
        let with_dropout = elaborate(&world, PROGRAM, &[], EXPERIMENT, true).map_err(|_| "the experiment does not check for training")?;
        let experiment = &network.elaborated;
        let table = rows.read(experiment.data.first().ok_or("the experiment reads no table")?)?;
        let tables = std::slice::from_ref(&table);
        let inputs = InputBuilder::new(&experiment.tokenizers, &experiment.lengths, &experiment.inputs, tables);
        let inputs = inputs.map_err(|diagnostic| shown(&diagnostic))?;
        let capacity: Vec<_> = batches.iter().map(|rows| rows.iter().map(|row| inputs.lengths(*row)).collect()).collect();
        let plan = build(experiment, Some(&with_dropout), &capacity).map_err(|diagnostic| shown(&diagnostic))?;
        let OptimizerSpec { update, norm, state, .. } = plan.optimizer.as_ref().ok_or("the plan does not train")?;
        let compile = |program| Executable::new(program).map_err(|diagnostic: Diagnostic| shown(&diagnostic));
        let gradients = || AlignedBytes::new(plan.memory.gradients as usize);
        let tokenizers = experiment.tokenizers.iter().map(|spec| Tokenizer::new(spec).map_err(|diagnostic| shown(&diagnostic)));
        let predicted = experiment.prediction_inputs();
        let labels = experiment.inputs.iter().filter(|input| !predicted.contains(input)).cloned().collect();
        Ok(Self {
            start: network.values(),
            experiment: with_dropout,
            labels,
            tokenizers: tokenizers.collect::<Outcome<_>>()?,
            memory: Memory {
                params: network.memory,
                gradients: gradients(),
                state: state.iter().map(|_| gradients()).collect(),
                arena: AlignedBytes::new(plan.memory.activations as usize),
            },
            gradient: compile(plan.gradient.as_ref().ok_or("the plan has no gradients")?)?,
            norm: compile(norm)?,
            update: compile(update)?,
            evaluate: compile(plan.evaluate.as_ref().ok_or("the task has no loss")?)?,
            frozen: plan.frozen.as_ref().map(|frozen| compile(&frozen.program)).transpose()?,
            inputs,
            table,
            plan,
        })
    }

    /// The same training in doubles, from the start.
    pub fn exact(&self) -> Outcome<Exact> {
        Exact::new(&self.experiment, self.start.clone())
    }

    /// Goes back to the start, or to where the training in doubles is.
    pub fn restart(&mut self, exact: Option<&Exact>) {
        let values = exact.map_or(&self.start, Exact::params);
        let memory = self.memory.params.as_f32_mut();
        for (param, values) in self.plan.params.iter().zip(values) {
            let start = param.offset as usize / 4;
            memory[start..start + values.len()].iter_mut().zip(values).for_each(|(place, value)| *place = *value as f32);
        }
    }

    /// One step of the training in doubles, and the parameters after it.
    pub fn exact_step(&mut self, exact: &mut Exact, number: usize, batches: &[Rows]) -> Outcome<Step> {
        let inputs: Vec<Batch> = batches.iter().map(|rows| self.batch(rows)).collect();
        let step = exact.step(number, &inputs)?;
        self.restart(Some(exact));
        Ok(step)
    }

    /// The inputs of some rows.
    pub fn batch(&self, rows: &Rows) -> Batch {
        self.inputs.batch(rows, 0)
    }

    /// The same with the values of what is frozen.
    fn whole_batch(&mut self, rows: &Rows) -> Outcome<Batch> {
        let mut batch = self.batch(rows);
        if let (Some(frozen), Some(spec)) = (&self.frozen, &self.plan.frozen) {
            frozen.run(&mut self.memory, &batch).map_err(|diagnostic| shown(&diagnostic))?;
            for value in &spec.values {
                let data = frozen.output(&self.memory, &batch, &value.name).map_err(|diagnostic| shown(&diagnostic))?;
                batch.inputs.insert(value.name.clone(), data);
            }
        }
        Ok(batch)
    }

    /// The named outputs of a batch without dropout, one after another.
    pub fn evaluate(&mut self, rows: &Rows, names: &[&str]) -> Outcome<Vec<Vec<f64>>> {
        let batch = self.whole_batch(rows)?;
        self.evaluate.run(&mut self.memory, &batch).map_err(|diagnostic| shown(&diagnostic))?;
        names.iter().map(|name| value(&self.evaluate, &self.memory, &batch, name)).collect()
    }

    /// The loss of a batch without dropout: the mean of its samples', by their weights where they have any.
    pub fn loss(&mut self, rows: &Rows) -> Outcome<f64> {
        let weighted = self.plan.evaluate.as_ref().is_some_and(|program| program.outputs.iter().any(|output| output.name == WEIGHT));
        let losses = self.evaluate(rows, &[LOSS])?.remove(0);
        let weights = if weighted { self.evaluate(rows, &[WEIGHT])?.remove(0) } else { vec![1.0; losses.len()] };
        Ok(loss_of(&losses, &weights))
    }

    /// One optimizer step, numbered from 0.
    pub fn step(&mut self, number: usize, batches: &[Rows]) -> Outcome<Step> {
        let train = self.plan.train.clone().ok_or("the plan does not train")?;
        let total_steps = train.max_steps.unwrap_or_default() as f64;
        let factor = eval_scalars(&train.schedule, &[("step", number as f64), ("total_steps", total_steps)]);
        let learning_rate = train.learning_rate * factor.first().ok_or("the schedule has no factor")?.1;
        self.memory.gradients.fill(0);
        let mut losses = Vec::new();
        for rows in batches {
            let mut batch = self.whole_batch(rows)?;
            set(&mut batch, "loss_scale", 1.0 / (rows.len() as f64 * train.accumulate as f64));
            self.gradient.run(&mut self.memory, &batch).map_err(|diagnostic| shown(&diagnostic))?;
            losses.push(value(&self.gradient, &self.memory, &batch, LOSS)?[0]);
        }
        let mut scalars = Batch::default();
        self.norm.run(&mut self.memory, &scalars).map_err(|diagnostic| shown(&diagnostic))?;
        let norm = value(&self.norm, &self.memory, &scalars, "norm")?[0];
        set(&mut scalars, "gradient_scale", train.clip_norm.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0)));
        let optimizer = self.plan.optimizer.as_ref().ok_or("the plan does not train")?;
        for (name, value) in eval_scalars(&optimizer.scalars, &[("learning_rate", learning_rate), ("step", number as f64 + 1.0)]) {
            set(&mut scalars, &name, value);
        }
        self.update.run(&mut self.memory, &scalars).map_err(|diagnostic| shown(&diagnostic))?;
        Ok(Step { losses, learning_rate, norm })
    }
}

/// The loss of a batch from those of its samples.
pub fn loss_of(losses: &[f64], weights: &[f64]) -> f64 {
    losses.iter().zip(weights).map(|(loss, weight)| loss * weight).sum::<f64>() / weights.iter().sum::<f64>()
}

/// The last value of a part: where its result is that of a part of it, the value has that part's path.
fn result_of(network: &Network, part: &str) -> Outcome<NodeId> {
    let own = |path: &str| path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let found = network.elaborated.graph.nodes.iter().rposition(|node| node.path.as_deref().is_some_and(own));
    found.map(|index| NodeId(index as u32)).ok_or_else(|| format!("no value has the path `{part}`"))
}

fn set(batch: &mut Batch, name: &str, value: f64) {
    batch.inputs.insert(name.to_owned(), InputData::F32(vec![value as f32]));
}

/// The elements of an output after a run.
fn value(executable: &Executable, memory: &Memory, batch: &Batch, name: &str) -> Outcome<Vec<f64>> {
    match executable.output(memory, batch, name).map_err(|diagnostic| shown(&diagnostic))? {
        InputData::F32(values) => Ok(values.iter().map(|value| f64::from(*value)).collect()),
        InputData::I32(_) => Err(format!("`{name}` is of whole numbers")),
    }
}
