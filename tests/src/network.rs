//! A program of a test, checked and with values for its parameters.

use mgx_compiler::check::{Elaborated, TraceInput, elaborate, trace};
use mgx_compiler::plan::build;
use mgx_cpu::AlignedBytes;
use mgx_diag::{Diagnostic, SourceMap, render};
use mgx_ir::graph::NodeId;
use mgx_ir::plan::{ParamSpec, Plan};
use mgx_weights::{LoadReport, load_opened, open_all, parameter_slices};

use crate::world::{PROGRAM, TestWorld};
use crate::{Outcome, shown};

/// The name of the experiment in a test's program.
pub const EXPERIMENT: &str = "test";

/// A checked program and its parameters.
pub struct Network {
    pub elaborated: Elaborated,
    /// As the compiler places them, in the order of the graph's parameters.
    pub params: Vec<ParamSpec>,
    /// The parameter memory.
    pub memory: AlignedBytes,
}

impl Network {
    /// The experiment `test` of the program, with the weights that it names.
    ///
    /// # Errors
    /// What the checker or the loader finds. A stored tensor that nothing asks for is an error here.
    pub fn experiment(world: &TestWorld, training: bool) -> Outcome<Self> {
        let elaborated = elaborate(world, PROGRAM, &[], EXPERIMENT, training).map_err(found)?;
        let mut network = Self::new(elaborated)?;
        let plan = network.plan()?;
        let checkpoints = open_all(&plan.weights, &world.root).map_err(|diagnostic| shown(&diagnostic))?;
        let report = load_opened(&network.params, &plan.weights, &checkpoints, &mut network.memory);
        let LoadReport { weights } = report.map_err(|diagnostic| shown(&diagnostic))?;
        match weights.iter().find(|report| !report.unexpected.is_empty()) {
            Some(report) => Err(format!("tensors of the checkpoint that nothing asks for: {}", report.unexpected.join(", "))),
            None => Ok(network),
        }
    }

    /// A part by itself, with all parameters zero; see [`trace`].
    ///
    /// # Errors
    /// What the checker finds.
    pub fn part(world: &TestWorld, part: &str, inputs: &[TraceInput], training: bool) -> Outcome<Self> {
        Self::new(trace(world, PROGRAM, part, inputs, training).map_err(found)?)
    }

    fn new(elaborated: Elaborated) -> Outcome<Self> {
        let mut network = Self { elaborated, params: Vec::new(), memory: AlignedBytes::default() };
        let plan = network.plan()?;
        network.memory = AlignedBytes::new(plan.memory.params as usize);
        network.params = plan.params;
        Ok(network)
    }

    /// The plan for prediction, without room for any batch.
    fn plan(&self) -> Outcome<Plan> {
        build(&self.elaborated, None, &[]).map_err(|diagnostic| shown(&diagnostic))
    }

    /// Gives every parameter the values that `value` has for it; `None` leaves one as it is.
    ///
    /// # Errors
    /// Those of `value`, and where the number of elements is not the parameter's.
    pub fn fill(&mut self, mut value: impl FnMut(usize, &ParamSpec) -> Outcome<Option<Vec<f32>>>) -> Outcome<()> {
        let slices = parameter_slices(&self.params, &mut self.memory).map_err(|diagnostic| shown(&diagnostic))?;
        for (index, (param, slice)) in self.params.iter().zip(slices).enumerate() {
            let Some(values) = value(index, param)? else { continue };
            if values.len() * 4 != slice.len() {
                return Err(format!("{} elements for parameter `{}` of shape {:?}", values.len(), param.path, param.shape));
            }
            for (bytes, value) in slice.as_chunks_mut::<4>().0.iter_mut().zip(values) {
                *bytes = value.to_le_bytes();
            }
        }
        Ok(())
    }

    /// The elements of each parameter.
    pub fn values(&self) -> Vec<Vec<f64>> {
        let place = |param: &ParamSpec| param.offset as usize / 4..param.offset as usize / 4 + param.elements() as usize;
        self.params.iter().map(|param| self.memory.as_f32()[place(param)].iter().map(|value| f64::from(*value)).collect()).collect()
    }

    /// The value with a path.
    ///
    /// # Errors
    /// Where there is none.
    pub fn tap(&self, path: &str) -> Outcome<NodeId> {
        let nodes = &self.elaborated.graph.nodes;
        let found = nodes.iter().position(|node| node.path.as_deref() == Some(path));
        found.map(|index| NodeId(index as u32)).ok_or_else(|| {
            let paths: Vec<&str> = nodes.iter().filter_map(|node| node.path.as_deref()).collect();
            format!("no value has the path `{path}`; there are: {}", paths.join(", "))
        })
    }

    /// The named output of the graph.
    ///
    /// # Errors
    /// Where there is none.
    pub fn output(&self, name: &str) -> Outcome<NodeId> {
        self.elaborated.graph.output(name).ok_or_else(|| format!("the graph has no output `{name}`"))
    }

    /// The input of the graph whose name ends so, and its name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn input(&self, ending: &str) -> Outcome<(String, NodeId)> {
        let nodes = self.elaborated.graph.nodes.iter().enumerate();
        let mut inputs = nodes.filter_map(|(index, node)| match &node.op {
            mgx_ir::graph::Op::Input { name } if name.ends_with(ending) => Some((name.clone(), NodeId(index as u32))),
            _ => None,
        });
        inputs.next().ok_or_else(|| format!("the graph has no input `…{ending}`"))
    }
}

fn found((sources, diagnostics): (SourceMap, Vec<Diagnostic>)) -> String {
    format!("the program does not check:\n{}", render(&diagnostics, &sources, false))
}
