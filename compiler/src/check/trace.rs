//! A part by itself: its graph for inputs of given types, without data and task. For tests and tools.

use mgx_diag::{Diagnostic, SourceMap};
use mgx_ir::graph::{DType, Length, LengthId, Op, Output};
use mgx_ir::plan::{BatchSpec, InputSpec};

use super::experiment::{Elaborated, TaskOutputs};
use super::expr::Scope;
use super::settings::PredictSettings;
use super::size::{Atom, Size};
use super::value::{AxisRef, Env, TokenLayout, Value};
use super::{Checker, Emission, World};
use crate::syntax::parse_expr;

/// An input of a traced part, one value for each sample.
#[derive(Clone, Debug)]
pub struct TraceInput {
    pub name: String,
    pub dtype: DType,
    pub axes: Vec<TraceAxis>,
}

/// An axis of a traced input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceAxis {
    Static(String, u64),
    /// A length that each sample brings; `special` tokens stand first and last. Inputs share it where they name it the same.
    Ragged {
        name: String,
        special: (u64, u64),
    },
    /// Another axis as long as the ragged one named `of`, which an axis before it is.
    Twin {
        name: String,
        of: String,
    },
}

/// Evaluates `part`, an expression such as `mlp_pool(hidden = [11], outputs = 3)` or `MyModule(hidden = 8)` with the names of the file `path`, and applies it to
/// the inputs; or, where `part` is a dataflow such as `(query, context) |> cross_attention(heads = 4)`, evaluates it with the inputs under their names. The outputs are `output`, or the names of the record that it gives; [`Elaborated::lengths`] stays empty, and the lengths of a batch are those of
/// the ragged axes in order.
///
/// # Errors
/// What the checker finds.
pub fn trace(
    world: &dyn World,
    path: &str,
    part: &str,
    inputs: &[TraceInput],
    training: bool,
) -> Result<Elaborated, (SourceMap, Vec<Diagnostic>)> {
    let mut checker = Checker::new(world);
    let Some(file) = checker.load(path, &[]) else { return Err(checker.finish()) };
    match checker.trace(file, part, inputs, training) {
        Some(elaborated) if !checker.diagnostics.iter().any(Diagnostic::is_error) => Ok(elaborated),
        _ => Err(checker.finish()),
    }
}

impl Checker<'_> {
    fn trace(&mut self, file: usize, part: &str, inputs: &[TraceInput], training: bool) -> Option<Elaborated> {
        let source = self.library.sources.add("part", part);
        let (expr, diagnostics) = parse_expr(source, part);
        self.diagnostics.extend(diagnostics);
        let expr = expr?;
        self.emission = Some(Emission { training, ..Emission::default() });
        let mut scope = Scope { file, env: Env::default(), experiment: true, instance: None };
        let mut values = Vec::new();
        let mut ragged = Vec::new();
        for input in inputs {
            let axes = input.axes.iter().map(|axis| self.trace_axis(axis, &mut ragged)).collect();
            let tensor = self.emit(Op::Input { name: input.name.clone() }, &[], input.dtype, axes, true);
            scope.env.set(&input.name, Value::Tensor(tensor.clone()));
            values.push((Value::Tensor(tensor), expr.span));
        }
        let result = match self.eval(&expr, &mut scope) {
            flow @ (Value::Tensor(_) | Value::Record(_)) => flow,
            part => self.apply(&part, values, expr.span),
        };
        let emission = self.emission.as_mut()?;
        let fields: Vec<(String, Value)> = match &result {
            Value::Record(fields) => fields.to_vec(),
            other => vec![("output".to_owned(), other.clone())],
        };
        for (name, value) in fields {
            let Value::Tensor(tensor) = value else { return None };
            emission.graph.outputs.push(Output { name, node: tensor.node? });
        }
        let emission = self.emission.take()?;
        Some(Elaborated {
            name: "trace".to_owned(),
            seed: 0,
            precision: mgx_ir::plan::Precision::F32,
            products: mgx_ir::plan::Precision::F32,
            graph: emission.graph,
            params: emission.params,
            layers: emission.layers,
            updates: emission.updates.into_iter().collect(),
            starts: emission.starts.into_iter().collect(),
            fits: Vec::new(),
            data: Vec::new(),
            tokenizers: Vec::new(),
            lengths: Vec::new(),
            length_spans: Vec::new(),
            inputs: Vec::<InputSpec>::new(),
            networks: Vec::new(),
            adapters: Vec::new(),
            task: TaskOutputs::default(),
            train: None,
            predict: PredictSettings::default(),
            batch: BatchSpec::Samples(1),
        })
    }

    /// The axis of an input; `ragged` are the ragged ones that there are.
    fn trace_axis(&mut self, axis: &TraceAxis, ragged: &mut Vec<(TraceAxis, AxisRef)>) -> AxisRef {
        if let Some((_, known)) = ragged.iter().find(|(other, _)| other == axis) {
            return *known;
        }
        match axis {
            TraceAxis::Static(name, size) => self.new_axis(name, Size::constant(*size as i64)),
            TraceAxis::Ragged { name, special } => {
                let id = LengthId(self.emission.as_ref().map_or(0, |emission| emission.graph.lengths.len()) as u32);
                if let Some(emission) = self.emission.as_mut() {
                    emission.graph.lengths.push(Length { name: name.clone() });
                }
                let place = self.new_axis(name, Size::atom(Atom::Length(id, name.clone())));
                self.axes[place.0 as usize].layout = Some(TokenLayout { prefix: special.0, suffix: special.1 });
                ragged.push((axis.clone(), place));
                place
            }
            TraceAxis::Twin { name, of } => {
                let first = ragged.iter().find(|(other, _)| matches!(other, TraceAxis::Ragged { name, .. } if name == of));
                let size = first.map_or(Size::constant(0), |(_, first)| self.axis_size(*first));
                let place = self.new_axis(name, size);
                ragged.push((axis.clone(), place));
                place
            }
        }
    }
}
