//! Experiments: data flows through backbones and adapters into a task.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{Graph, NodeId, Op, ParamId};
use mgx_ir::plan::{BatchSpec, DataSpec, FitSpec, InputSpec, LengthSpec, MetricSpec, OutputSpec, Precision, TokenizerSpec};

use super::axes::tensor_type;
use super::call::Args;
use super::data::Table;
use super::expr::Scope;
use super::layers;
use super::library::ItemRef;
use super::settings::{PredictSettings, TrainSettings};
use super::token_columns::TokenInput;
use super::tokenizer::field_value;
use super::tuning::Adapter;
use super::value::{Env, Pending, Tensor, Value, WeightsValue};
use super::{Checker, Emission, ParamInfo};
use crate::syntax::ast::{Expr, ExprKind, ItemKind, MemberKind, Module, Name, Param};

/// What is known of the experiment at hand.
#[derive(Debug, Default)]
pub struct ExperimentState {
    pub seed: u64,
    pub precision: Precision,
    pub products: Precision,
    pub tables: Vec<Table>,
    pub tokenizers: Vec<TokenizerSpec>,
    pub lengths: Vec<LengthSpec>,
    /// Where the backbone of each length is used.
    pub length_spans: Vec<Span>,
    pub inputs: Vec<InputSpec>,
    /// The inputs that are token ids of a column.
    pub token_inputs: Vec<TokenInput>,
    /// How often training uses each row in an epoch, and where that is said.
    pub copies: Option<(u64, Span)>,
    /// Columns of numbers that flow into parts, by the name of the input.
    pub number_inputs: Vec<(String, Tensor)>,
    pub networks: Vec<Network>,
    pub adapters: Vec<Adapter>,
    /// Statistics of the training labels, each with the state that holds it.
    pub fits: Vec<(FitSpec, Tensor)>,
    /// Names of parts that are taken.
    part_names: Vec<String>,
    pub task: Option<TaskOutputs>,
}

impl ExperimentState {
    /// Names of the task's metrics, if there is a task.
    pub fn task_metrics(&self) -> Option<Vec<String>> {
        let task = self.task.as_ref()?;
        Some(task.metrics.iter().map(|metric| metric.name.clone()).collect())
    }
}

/// A network with weights of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Path in the program.
    pub root: String,
    pub weights: WeightsValue,
    pub prefixes: Vec<String>,
    /// Beginnings of keys, with those that they may be stored under.
    pub aliases: Vec<(String, String)>,
    pub ignore: Vec<String>,
    pub optional: Vec<String>,
    /// Where the weights are named.
    pub span: Span,
}

/// What the task gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskOutputs {
    /// The loss of a sample: f[].
    pub loss: Option<NodeId>,
    /// What metrics are computed from beside the outputs: a number of each sample, by name.
    pub measured: Vec<(String, NodeId)>,
    pub loss_span: Option<Span>,
    /// How much a sample's loss counts in an average: f[]; all alike without it.
    pub weight: Option<NodeId>,
    pub outputs: Vec<OutputSpec>,
    pub metrics: Vec<MetricSpec>,
}

/// An experiment, evaluated: its graph and everything around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Elaborated {
    pub name: String,
    pub seed: u64,
    /// How parameters are stored that are not trained.
    pub precision: Precision,
    /// What numbers products take: F32 as they are, or rounded to bfloat16.
    pub products: Precision,
    pub graph: Graph,
    pub params: Vec<ParamInfo>,
    /// The nodes of each call of a repeated part: a layer.
    pub layers: Vec<Range<u32>>,
    /// What a training step leaves in each state that it changes; empty where the experiment is evaluated.
    pub updates: Vec<(ParamId, NodeId)>,
    /// The values that parameters without weights start from which are computed from others.
    pub starts: Vec<(ParamId, NodeId)>,
    /// Statistics of the training labels that states start from.
    pub fits: Vec<FitSpec>,
    pub data: Vec<DataSpec>,
    pub tokenizers: Vec<TokenizerSpec>,
    pub lengths: Vec<LengthSpec>,
    /// Where the backbone of each length is used.
    pub length_spans: Vec<Span>,
    pub inputs: Vec<InputSpec>,
    pub networks: Vec<Network>,
    pub adapters: Vec<Adapter>,
    pub task: TaskOutputs,
    pub train: Option<TrainSettings>,
    pub predict: PredictSettings,
    pub batch: BatchSpec,
}

impl Elaborated {
    /// The inputs that the task's outputs depend on: what prediction reads. All others are labels.
    pub fn prediction_inputs(&self) -> Vec<InputSpec> {
        let mut needed = vec![false; self.graph.nodes.len()];
        for output in &self.graph.outputs {
            needed[output.node.0 as usize] = true;
        }
        let mut named = Vec::new();
        for index in (0..needed.len()).rev() {
            if !needed[index] {
                continue;
            }
            let node = &self.graph.nodes[index];
            for input in &node.inputs {
                needed[input.0 as usize] = true;
            }
            if let Op::Input { name } = &node.op {
                named.push(name.as_str());
            }
        }
        self.inputs.iter().filter(|input| named.contains(&input.name.as_str())).cloned().collect()
    }
}

/// The values of `precision`: how what is not trained is stored, and which numbers products take.
pub(super) const PRECISIONS: [(&str, (Precision, Precision)); 3] =
    [("f32", (Precision::F32, Precision::F32)), ("bf16", (Precision::Bf16, Precision::F32)), ("mixed", (Precision::F32, Precision::Bf16))];

/// Samples of a batch where nothing is said.
const DEFAULT_BATCH: u64 = 32;

impl Checker<'_> {
    /// Evaluates an experiment with its real sizes and builds its graph; `None` if there was an error.
    pub fn elaborate(&mut self, item: ItemRef, training: bool) -> Option<Elaborated> {
        let handle = self.library.item(item);
        let ItemKind::Experiment(experiment) = &handle.kind else { return None };
        let body = &experiment.body;
        let errors_before = self.errors();
        self.restart();
        self.span = handle.name.span;
        self.call_site = handle.name.span;
        self.experiment = ExperimentState::default();
        self.axes.clear();
        self.unique_fields(body);
        self.local_axes.clear();
        self.next_site = 0;
        self.emission = Some(Emission { training, ..Emission::default() });
        let mut scope = Scope { file: item.file, env: Env::default(), experiment: true, instance: None };
        self.parameters(&experiment.params, &mut scope);
        if let Some(expr) = field_value(body, "seed") {
            self.experiment.seed = self.whole(expr, &mut scope).unwrap_or(0);
        }
        if let Some(expr) = field_value(body, "precision") {
            (self.experiment.precision, self.experiment.products) = self.choice(expr, &PRECISIONS).unwrap_or_default();
        }
        self.fields(body, &mut scope);
        let train = self.train_settings(body, &mut scope);
        let (predict, batch) = self.predict_settings(body, &mut scope);
        self.known_blocks(body);
        // A file that could not be read in full may well have had one.
        let is_whole = !self.library.has_errors(handle.name.span.file);
        if field_value(body, "task").is_none() && is_whole {
            self.report(
                Diagnostic::error("E0507", format!("the experiment `{}` has no task", handle.name.text))
                    .label(handle.name.span, "declared here")
                    .help("say what it is for: `task = classification(logits, table.label)`"),
            );
        }
        let emission = self.emission.take()?;
        self.note_sizes(&emission);
        self.end_notes();
        if self.errors() != errors_before {
            return None;
        }
        let state = std::mem::take(&mut self.experiment);
        state.tables.iter().for_each(|table| self.keep_sound(table, true));
        let task = state.task?;
        let has_loss = task.loss.is_some();
        if let (Some(settings), false) = (&train, has_loss) {
            let mut diagnostic = Diagnostic::error("E0508", "this task has nothing to train for").label(settings.span, "trained here");
            if let Some(expr) = field_value(body, "task") {
                diagnostic = diagnostic.label(expr.span, "this task has no loss");
            }
            self.report(diagnostic.help("remove `train { … }`, or use a task with a label, such as `classification(logits, table.label)`"));
            return None;
        }
        if state.precision == Precision::Bf16 && train.is_some() && emission.params.iter().all(|param| param.trainable || param.state) {
            let diagnostic = Diagnostic::error("E0328", "`precision = bf16` stores what is not trained, and everything here is trained");
            let span = field_value(body, "precision").map_or(handle.name.span, |expr| expr.span);
            self.report(
                diagnostic
                    .label(span, "has nothing to store")
                    .help("freeze the backbone (`frozen = true`), or round what products take: `precision = mixed`"),
            );
            return None;
        }
        if let Some(span) = train.as_ref().and_then(|train| train.gradient_checkpointing)
            && !layers::are_trained(&emission)
        {
            self.no_layers(span, &emission);
        }
        let batch = train.as_ref().map_or(batch.unwrap_or(BatchSpec::Samples(DEFAULT_BATCH)), |train| train.batch);
        Some(Elaborated {
            name: handle.name.text.clone(),
            seed: state.seed,
            precision: state.precision,
            products: state.products,
            graph: emission.graph,
            params: emission.params,
            layers: emission.layers,
            updates: emission.updates.into_iter().collect(),
            starts: emission.starts.into_iter().collect(),
            fits: state.fits.into_iter().map(|(spec, _)| spec).collect(),
            data: state.tables.into_iter().map(|table| table.spec).collect(),
            tokenizers: state.tokenizers,
            lengths: state.lengths,
            length_spans: state.length_spans,
            inputs: state.inputs,
            networks: state.networks,
            adapters: state.adapters,
            task,
            train,
            predict,
            batch,
        })
    }

    pub fn errors(&self) -> usize {
        self.reported + self.library.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count()
    }

    /// Applies a backbone or an adapter to its input.
    pub fn apply(&mut self, head: &Value, inputs: Vec<(Value, Span)>, span: Span) -> Value {
        if inputs.iter().any(|(value, _)| value.is_error()) {
            if let Value::Pending(pending) = head {
                self.missing_options(pending);
            }
            return Value::Error;
        }
        match head {
            Value::Backbone(backbone) => match inputs.as_slice() {
                [(Value::Column(column), place)] => self.apply_backbone(backbone, column, *place, span),
                [(other, place)] => {
                    self.report(
                        Diagnostic::error("E0301", format!("a backbone reads a sequence column, not {}", other.describe()))
                            .label(*place, format!("is {}", other.describe()))
                            .help("write `table.column |> backbone`"),
                    );
                    Value::Error
                }
                _ => {
                    let diagnostic = Diagnostic::error("E0208", format!("a backbone reads one column, not {}", inputs.len()))
                        .label(span, "in this call");
                    self.report(diagnostic.help("write `table.column |> backbone`, once for each column"));
                    Value::Error
                }
            },
            Value::Pending(pending) => self.apply_module(pending, inputs, span),
            _ => Value::Error,
        }
    }

    pub fn part_name(&mut self, wanted: String) -> String {
        let mut name = wanted.clone();
        let mut count = 2;
        while self.experiment.part_names.contains(&name) {
            name = format!("{wanted}_{count}");
            count += 1;
        }
        self.experiment.part_names.push(name.clone());
        name
    }

    /// An adapter learns the sizes that it was not given from its input.
    pub fn apply_module(&mut self, pending: &Rc<Pending>, mut inputs: Vec<(Value, Span)>, span: Span) -> Value {
        for (value, place) in &mut inputs {
            if let Value::Column(column) = value {
                let Some(numbers) = self.numbers_input(column) else { return self.no_numbers(column, *place) };
                *value = Value::Tensor(numbers);
            }
        }
        let handle = self.library.item(pending.item);
        let ItemKind::Module(module) = &handle.kind else { return Value::Error };
        let existing = pending.instance.borrow().clone();
        let instance = match existing {
            Some(instance) => instance,
            None => {
                let Some(function) = module.members.iter().find_map(|member| match &member.kind {
                    MemberKind::Function(function) if member.name.text == "forward" => Some(function),
                    _ => None,
                }) else {
                    self.report(
                        Diagnostic::error("E0312", format!("`{}` cannot be applied", handle.name.text)).label(span, "it has no `forward`"),
                    );
                    return Value::Error;
                };
                if let Some(missing) = function.params.get(inputs.len()).filter(|param| param.default.is_none()) {
                    self.missing_input(&handle.name.text, &function.params, &missing.name, inputs.len(), span);
                    return Value::Error;
                }
                let mut args = pending.args.clone();
                for (param, (value, place)) in function.params.iter().zip(&inputs) {
                    if let (Some(ty), Value::Tensor(tensor)) = (&param.ty, value)
                        && !self.infer_sizes(&handle.name, module, ty, tensor, &mut args, *place)
                    {
                        return Value::Error;
                    }
                }
                let bound_name = pending.name.borrow().clone();
                let name = self.part_name(bound_name.unwrap_or_else(|| handle.name.text.clone()));
                let placed =
                    Pending { item: pending.item, args, span: pending.span, name: RefCell::new(None), instance: RefCell::new(None) };
                let outer_trainable = std::mem::replace(&mut self.trainable, true);
                let instance = self.instantiate(&placed, &name, "", Vec::new(), false);
                self.trainable = outer_trainable;
                let Some(instance) = instance else { return Value::Error };
                self.note_part(pending.span, &name, pending.item);
                *pending.instance.borrow_mut() = Some(Rc::clone(&instance));
                instance
            }
        };
        let args: Args = inputs.into_iter().map(|(value, span)| (None, value, span)).collect();
        self.call_instance(&instance, "forward", args, span)
    }

    fn missing_input(&mut self, part: &str, params: &[Param], missing: &Name, given: usize, span: Span) {
        let required: Vec<&str> = params.iter().filter(|param| param.default.is_none()).map(|param| param.name.text.as_str()).collect();
        let inputs = if given == 1 { "1 input".to_owned() } else { format!("{given} inputs") };
        self.report(
            Diagnostic::error("E0207", format!("`{part}` needs the input `{}`", missing.text))
                .label(span, format!("{inputs} instead of {}", required.len()))
                .label(missing.span, "declared here")
                .help(format!("several inputs flow in as a tuple: `({}) |> {part}`", required.join(", "))),
        );
    }

    /// Binds module parameters that stand as axes in a signature to the axes of the tensor at their places; false, and a finding, where it lacks such an axis.
    fn infer_sizes(
        &mut self,
        part: &Name,
        module: &Module,
        ty: &crate::syntax::ast::TypeExpr,
        tensor: &Tensor,
        args: &mut Vec<(String, Value, Span)>,
        span: Span,
    ) -> bool {
        use crate::syntax::ast::AxisExpr;
        let Some((_, entries)) = tensor_type(ty) else { return true };
        let rest = entries.iter().position(|entry| matches!(entry, AxisExpr::Rest(_)));
        for (index, entry) in entries.iter().enumerate() {
            let AxisExpr::Size(Expr { kind: ExprKind::Name(name), .. }) = entry else { continue };
            // A size that is `none` where it is left out stands for an input that may be left out.
            let open = |default: Option<&Expr>| default.is_none_or(|expr| matches!(expr.kind, ExprKind::None));
            let wanted = module.params.iter().any(|param| param.name.text == *name && open(param.default.as_ref()));
            if !wanted || args.iter().any(|(other, ..)| other == name) {
                continue;
            }
            let place = match rest {
                Some(rest) if index > rest => (tensor.axes.len() + index).checked_sub(entries.len()),
                _ => Some(index),
            };
            let Some(axis) = place.and_then(|place| tensor.axes.get(place)) else {
                let (shown, takes) = (self.show_tensor(tensor), self.library.sources.slice(ty.span).to_owned());
                let diagnostic = Diagnostic::error("E0401", format!("`{}` takes {takes}, and this value lacks `{name}`", part.text));
                let diagnostic = diagnostic.label(span, format!("is {shown}")).label(ty.span, "declared here");
                self.report(diagnostic.help(format!("give `{}` a value with these axes, or leave it out", part.text)));
                return false;
            };
            let size = self.axis_size(*axis);
            args.push((name.clone(), Value::Int { size, axis: Some(*axis) }, span));
        }
        true
    }
}
