//! Our side of the comparisons: runs the experiment of a file, named as the file, on a batch when told to on standard input (`forward 3`,
//! `step 3`) and answers with the seconds it took. Parameters are drawn, not read.
//!
//! With `profile N` as further arguments it instead times N rounds of a batch in the middle, forward and (where it trains) step.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use mgx_compiler::check::{World, elaborate};
use mgx_compiler::passes::list_program;
use mgx_compiler::plan;
use mgx_cpu::{AlignedBytes, Executable, Memory};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{Batch, FileFormat, InputData, Plan, Program, StepKind};
use mgx_runtime::{Data, DataSource};

struct Folder<'a>(&'a Path);

impl World for Folder<'_> {
    fn source(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(self.0.join(path)).map_err(|error| error.to_string())
    }

    fn table_header(&self, path: &str, format: FileFormat) -> Result<Vec<String>, Diagnostic> {
        mgx_data::header(&self.0.join(path), format)
    }

    fn folder_text(&self, _: &str, _: &str) -> Result<Option<String>, Diagnostic> {
        Ok(None)
    }
}

struct Bench {
    plan: Plan,
    data: Data,
    memory: Memory,
    forward: Executable,
    /// Gradient and update, where the experiment trains.
    training: Option<(Executable, Executable)>,
    batches: Vec<Vec<u64>>,
    steps: u64,
}

impl Bench {
    fn new(file: &Path) -> Result<Self, String> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let world = Folder(folder);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let show = |(sources, found): (mgx_diag::SourceMap, Vec<Diagnostic>)| mgx_diag::render(&found, &sources, false);
        let experiment = file.file_stem().unwrap_or_default().to_string_lossy();
        let evaluation = elaborate(&world, &name, &[], &experiment, false).map_err(show)?;
        let training = elaborate(&world, &name, &[], &experiment, true).map_err(show)?;
        let say = |diagnostic: Diagnostic| diagnostic.message;
        let source = DataSource {
            data: &evaluation.data,
            tokenizers: &evaluation.tokenizers,
            lengths: &evaluation.lengths,
            inputs: &evaluation.inputs,
            folder,
            labels: true,
        };
        let data = Data::read(&source).map_err(say)?;
        let plan = plan::build(&evaluation, Some(&training), &data.capacity(evaluation.batch)).map_err(say)?;
        let mut rows = data.all_rows();
        rows.sort_by_key(|row| data.cost(*row));
        let batches = rows.chunks(8).map(<[u64]>::to_vec).collect();
        let bytes = |size: u64| AlignedBytes::new(usize::try_from(size).unwrap_or(usize::MAX));
        let mut memory = Memory {
            params: bytes(plan.memory.params),
            gradients: bytes(plan.memory.gradients),
            state: plan.optimizer.iter().flat_map(|optimizer| &optimizer.state).map(|_| bytes(plan.memory.gradients)).collect(),
            arena: bytes(plan.memory.activations),
        };
        mgx_runtime::init::init(&plan.params, 0, &|_| true, &mut memory.params).map_err(say)?;
        let compile = |program: Option<&Program>| Executable::new(program.ok_or("a program is missing")?).map_err(say);
        let forward = compile(plan.evaluate.as_ref().or(Some(&plan.predict)))?;
        let training = match &plan.optimizer {
            Some(optimizer) => Some((compile(plan.gradient.as_ref())?, compile(Some(&optimizer.update))?)),
            None => None,
        };
        Ok(Self { plan, data, memory, forward, training, batches, steps: 0 })
    }

    fn batch(&self, index: usize, scalars: &[(&str, f32)]) -> Batch {
        let rows = &self.batches[index % self.batches.len()];
        let mut batch = self.data.inputs().batch(rows, self.steps);
        for (name, value) in scalars {
            batch.inputs.insert((*name).to_owned(), InputData::F32(vec![*value]));
        }
        batch
    }

    fn forward(&mut self, index: usize) -> Result<(), Diagnostic> {
        let batch = self.batch(index, &[]);
        self.forward.run(&mut self.memory, &batch)
    }

    fn step(&mut self, index: usize) -> Result<(), Diagnostic> {
        let Some((gradient, update)) = &self.training else { return Ok(()) };
        self.steps += 1;
        let batch = self.batch(index, &[("loss_scale", 0.125)]);
        self.memory.gradients.fill(0);
        gradient.run(&mut self.memory, &batch)?;
        let scalars = [("learning_rate", 1e-4), ("step", self.steps as f32), ("gradient_scale", 1.0)];
        let scalars =
            Batch { inputs: scalars.map(|(name, value)| (name.to_owned(), InputData::F32(vec![value]))).into(), ..Batch::default() };
        update.run(&mut self.memory, &scalars)
    }

    /// Prints what the steps of a program take, by kind, and the dearest ones.
    fn print_profile(&mut self, what: &str, index: usize) -> Result<(), Diagnostic> {
        let batch = self.batch(index, &[("loss_scale", 0.125)]);
        let evaluated = self.plan.evaluate.as_ref().unwrap_or(&self.plan.predict);
        let (executable, program) = match (&self.training, &self.plan.gradient) {
            (Some((gradient, _)), Some(program)) if what != "forward" => (gradient, program),
            _ => (&self.forward, evaluated),
        };
        let seconds = executable.profile(&mut self.memory, &batch)?;
        let listing = list_program(program);
        let lines: Vec<&str> = listing.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).collect();
        let mut by_kind: BTreeMap<&str, f64> = BTreeMap::new();
        let mut order: Vec<usize> = (0..seconds.len()).collect();
        for (step, seconds) in program.steps.iter().zip(&seconds) {
            let kind = match &step.kind {
                StepKind::Fused(_) => "fused",
                StepKind::Contract(_) | StepKind::Routed(_) | StepKind::RoutedOuter(_) => "products",
                StepKind::Attention(_) => "attention",
                StepKind::AttentionGrad(_) => "attention gradient",
                StepKind::Scatter(_) => "scatter",
            };
            *by_kind.entry(kind).or_default() += seconds;
        }
        for (kind, seconds) in by_kind {
            println!("  {kind:<20} {:.2} ms", seconds * 1e3);
        }
        order.sort_by(|a, b| seconds[*b].total_cmp(&seconds[*a]));
        for index in order.into_iter().take(16) {
            println!("  step {index:<4} {:8.3} ms  {}", seconds[index] * 1e3, lines.get(index).unwrap_or(&""));
        }
        Ok(())
    }

    /// Seconds of one batch.
    fn timed(&mut self, what: &str, index: usize) -> Result<f64, Diagnostic> {
        let start = Instant::now();
        if what == "forward" {
            self.forward(index)?
        } else {
            self.step(index)?
        }
        Ok(start.elapsed().as_secs_f64())
    }
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("give the path of encoder.mgx")?;
    let mut bench = Bench::new(Path::new(&file))?;
    let say = |diagnostic: Diagnostic| diagnostic.message;
    if let Some(rounds) = arguments.nth(1).and_then(|rounds| rounds.parse::<usize>().ok()) {
        let middle = bench.batches.len() / 2;
        let tokens: u64 = bench.batches[middle].iter().map(|row| bench.data.cost(*row)).sum();
        println!("{} parameters, {tokens} tokens", bench.plan.params.len());
        let all = if bench.training.is_some() { ["forward", "step"].as_slice() } else { &["forward"] };
        for what in all.iter().copied() {
            let mut times = (0..rounds).map(|_| bench.timed(what, middle)).collect::<Result<Vec<_>, _>>().map_err(say)?;
            times.sort_by(f64::total_cmp);
            println!("{what}: best {:.4} s, median {:.4} s", times[0], times[times.len() / 2]);
            bench.print_profile(what, middle).map_err(say)?;
        }
        return Ok(());
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let Some((what, index)) = line.split_once(' ') else { continue };
        let seconds = bench.timed(what, index.parse().unwrap_or(0)).map_err(say)?;
        println!("{seconds}");
        std::io::stdout().flush().map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
