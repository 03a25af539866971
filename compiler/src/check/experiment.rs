//! Experiments: data flows through backbones and adapters into a task.

use std::cell::RefCell;
use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, Graph, Length, LengthId, NodeId, Op, Output};
use mgx_ir::plan::{
    Alphabet, BatchSpec, ColumnKind, DataSpec, InputSource, InputSpec, LengthPolicy, LengthSpec, MetricKind, MetricSpec, OutputKind,
    OutputSpec, TokenizerSpec,
};

use super::axes::{Given, tensor_type};
use super::call::Args;
use super::data::Table;
use super::expr::Scope;
use super::library::ItemRef;
use super::settings::{PredictSettings, TrainSettings};
use super::size::{Atom, Size};
use super::tokenizer::{field_value, one_token_a_letter};
use super::value::{AppliedBackbone, Column, Env, Pending, PendingBackbone, Tensor, TokenLayout, Value, WeightsValue};
use super::{Checker, Emission, ParamInfo};
use crate::syntax::ast::{Arg, Body, Expr, ExprKind, FieldKind, ItemKind, MemberKind, Module, ModuleRole, Name};

/// What is known of the experiment at hand.
#[derive(Debug, Default)]
pub struct ExperimentState {
    pub seed: u64,
    pub tables: Vec<Table>,
    tokenizers: Vec<TokenizerSpec>,
    lengths: Vec<LengthSpec>,
    inputs: Vec<InputSpec>,
    networks: Vec<Network>,
    /// Names of parts that are taken.
    part_names: Vec<String>,
    task: Option<TaskOutputs>,
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
    pub loss_span: Option<Span>,
    pub outputs: Vec<OutputSpec>,
    pub metrics: Vec<MetricSpec>,
}

/// An experiment, evaluated: its graph and everything around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Elaborated {
    pub name: String,
    pub seed: u64,
    pub graph: Graph,
    pub params: Vec<ParamInfo>,
    pub data: Vec<DataSpec>,
    pub tokenizers: Vec<TokenizerSpec>,
    pub lengths: Vec<LengthSpec>,
    pub inputs: Vec<InputSpec>,
    pub networks: Vec<Network>,
    pub task: TaskOutputs,
    pub train: Option<TrainSettings>,
    pub predict: PredictSettings,
    pub batch: BatchSpec,
}

/// A parameter of a task that a label column is given for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    axes: &'a [crate::syntax::ast::AxisExpr],
    /// Where the column is given.
    place: Span,
    is_class: bool,
    task: &'a str,
    /// The tensors that the task was given before, and where.
    tensors: &'a [(Tensor, Span)],
}

/// The word of an alphabet in a column's type.
fn alphabet_word(alphabet: Alphabet) -> &'static str {
    match alphabet {
        Alphabet::Dna => "dna",
        Alphabet::Rna => "rna",
        Alphabet::Protein => "protein",
        Alphabet::Text => "text",
    }
}

/// Options that every backbone has, besides those of its declaration and its network.
const BACKBONE_OPTIONS: [&str; 5] = ["max_length", "too_long", "frozen", "from_scratch", "weights"];
pub const BACKBONE_FIELDS: [&str; 7] = ["input", "tokenizer", "weights", "prefixes", "ignore", "optional", "max_length"];
/// Samples of a batch where nothing is said.
const DEFAULT_BATCH: u64 = 32;

impl Checker<'_> {
    /// Evaluates an experiment with its real sizes and builds its graph; `None` if there was an error.
    pub fn elaborate(&mut self, item: ItemRef, training: bool) -> Option<Elaborated> {
        let handle = self.library.item(item);
        let ItemKind::Experiment(body) = &handle.kind else { return None };
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
        if let Some(expr) = field_value(body, "seed") {
            self.experiment.seed = self.whole(expr, &mut scope).unwrap_or(0);
        }
        for field in &body.fields {
            match &field.kind {
                FieldKind::Value(_) if field.name.text == "seed" => {}
                FieldKind::Value(expr) if field.name.text == "task" => self.task(expr, &mut scope),
                FieldKind::Value(expr) => {
                    let value = self.eval(expr, &mut scope);
                    match &value {
                        Value::Pending(pending) => *pending.name.borrow_mut() = Some(field.name.text.clone()),
                        Value::Backbone(backbone) => *backbone.name.borrow_mut() = Some(field.name.text.clone()),
                        // A bare name stands for the part with its defaults.
                        Value::Item(_) => {
                            let call = Expr { kind: ExprKind::Call(Box::new(expr.clone()), Vec::new()), span: expr.span };
                            let value = self.eval(&call, &mut scope);
                            match &value {
                                Value::Backbone(backbone) => *backbone.name.borrow_mut() = Some(field.name.text.clone()),
                                Value::Pending(pending) => *pending.name.borrow_mut() = Some(field.name.text.clone()),
                                _ => {}
                            }
                            scope.env.set(&field.name.text, value);
                            continue;
                        }
                        _ => {}
                    }
                    let value = self.named_size(&field.name.text, value);
                    scope.env.set(&field.name.text, value);
                }
                FieldKind::Block(_) => {}
                FieldKind::Typed { .. } => {
                    self.report(
                        Diagnostic::error("E0318", "an experiment has no typed fields")
                            .label(field.span, "here")
                            .help("columns are declared in `data`; write `name = value`"),
                    );
                }
            }
        }
        let train = self.train_settings(body, item.file);
        let (predict, batch) = self.predict_settings(body, item.file);
        self.known_blocks(body);
        // A file that could not be read in full may well have had one.
        let is_whole = !self.library.has_errors(handle.name.span.file);
        if self.experiment.task.is_none() && self.errors() == errors_before && is_whole {
            self.report(
                Diagnostic::error("E0507", format!("the experiment `{}` has no task", handle.name.text))
                    .label(handle.name.span, "declared here")
                    .help("say what it is for: `task = classification(logits, table.label)`"),
            );
        }
        let emission = self.emission.take()?;
        if self.errors() != errors_before {
            return None;
        }
        let state = std::mem::take(&mut self.experiment);
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
        let batch = train.as_ref().map_or(batch.unwrap_or(BatchSpec::Samples(DEFAULT_BATCH)), |train| train.batch);
        Some(Elaborated {
            name: handle.name.text.clone(),
            seed: state.seed,
            graph: emission.graph,
            params: emission.params,
            data: state.tables.into_iter().map(|table| table.spec).collect(),
            tokenizers: state.tokenizers,
            lengths: state.lengths,
            inputs: state.inputs,
            networks: state.networks,
            task,
            train,
            predict,
            batch,
        })
    }

    fn errors(&self) -> usize {
        self.reported + self.library.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count()
    }

    /// A backbone with options: kept until it is given a column.
    pub fn pending_backbone(&mut self, item: ItemRef, args: &[Arg], span: Span, scope: &mut Scope) -> Value {
        let handle = self.library.item(item);
        let ItemKind::Backbone(backbone) = &handle.kind else { return Value::Error };
        let network_params = self.network_params(item.file, &backbone.network);
        let mut known: Vec<String> = BACKBONE_OPTIONS.iter().map(|name| (*name).to_owned()).collect();
        known.extend(backbone.params.iter().map(|param| param.name.text.clone()));
        known.extend(network_params.iter().map(|param| param.name.text.clone()));
        let mut values = Vec::new();
        for arg in args {
            let Some(name) = &arg.name else {
                self.report(
                    Diagnostic::error("E0208", format!("the options of `{}` have names", handle.name.text))
                        .label(arg.value.span, "without a name")
                        .help("write `name = value`; a column flows in with `table.column |> backbone(…)`"),
                );
                return Value::Error;
            };
            if values.iter().any(|(other, ..): &(String, Value, Span)| *other == name.text) {
                self.report(
                    Diagnostic::error("E0208", format!("`{}` is given twice", name.text))
                        .label(name.span, "again here")
                        .label(span, "in this call"),
                );
                return Value::Error;
            }
            if !known.contains(&name.text) {
                self.unknown_option(&handle.name.text, name, known.iter().map(String::as_str));
                return Value::Error;
            }
            let ty =
                backbone.params.iter().chain(&network_params).find(|param| param.name.text == name.text).and_then(|param| param.ty.clone());
            let value = if name.text == "too_long" {
                match self.choice(&arg.value, &[("truncate", LengthPolicy::Truncate), ("error", LengthPolicy::Error)]) {
                    Some(LengthPolicy::Truncate) => Value::Variant(Some("truncate".to_owned())),
                    Some(LengthPolicy::Error) => Value::Variant(Some("error".to_owned())),
                    None => Value::Error,
                }
            } else {
                let value = self.eval_typed(&arg.value, ty.as_ref(), scope);
                let value = self.coerce(&name.text, value, ty.as_ref(), arg.value.span);
                if ty.is_none() { self.backbone_option(&name.text, value, arg.value.span) } else { value }
            };
            if value.is_error() {
                return Value::Error;
            }
            values.push((name.text.clone(), value, arg.value.span));
        }
        Value::Backbone(Rc::new(PendingBackbone { item, args: values, span, name: RefCell::new(None), applied: RefCell::new(None) }))
    }

    /// Has an option that every backbone has the kind of value that it takes?
    fn backbone_option(&mut self, name: &str, value: Value, span: Span) -> Value {
        let wanted = match (name, &value) {
            (_, Value::Error) => return Value::Error,
            ("frozen" | "from_scratch", Value::Bool(Some(_))) | ("max_length", Value::Int { .. } | Value::None) => return value,
            ("weights", Value::Weights(_) | Value::None) => return value,
            ("frozen" | "from_scratch", _) => "`true` or `false`",
            ("max_length", _) => "a whole number or `none`",
            _ => "`folder(\"…\")`, `hub(\"…\")` or `none`",
        };
        let is = value.describe();
        self.report(Diagnostic::error("E0301", format!("`{name}` is {wanted}, not {is}")).label(span, format!("is {is}")));
        Value::Error
    }

    /// The parameters of the module that a backbone's `: Network(…)` names.
    fn network_params(&mut self, file: usize, network: &Expr) -> Vec<crate::syntax::ast::Param> {
        let ExprKind::Call(callee, _) = &network.kind else { return Vec::new() };
        let ExprKind::Name(name) = &callee.kind else { return Vec::new() };
        let Some(item) = self.library.lookup(file, name) else { return Vec::new() };
        match &self.library.item(item).kind {
            ItemKind::Module(module) => module.params.clone(),
            _ => Vec::new(),
        }
    }

    /// Applies a backbone or an adapter to its input.
    pub fn apply(&mut self, head: &Value, inputs: Vec<(Value, Span)>, span: Span) -> Value {
        if inputs.iter().any(|(value, _)| value.is_error()) {
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

    fn part_name(&mut self, wanted: String) -> String {
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
    fn apply_module(&mut self, pending: &Rc<Pending>, inputs: Vec<(Value, Span)>, span: Span) -> Value {
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
                let mut args = pending.args.clone();
                for (param, (value, place)) in function.params.iter().zip(&inputs) {
                    if let (Some(ty), Value::Tensor(tensor)) = (&param.ty, value) {
                        self.infer_sizes(module, ty, tensor, &mut args, *place);
                    }
                }
                let bound_name = pending.name.borrow().clone();
                let name = self.part_name(bound_name.unwrap_or_else(|| handle.name.text.clone()));
                let placed =
                    Pending { item: pending.item, args, span: pending.span, name: RefCell::new(None), instance: RefCell::new(None) };
                let outer_trainable = std::mem::replace(&mut self.trainable, true);
                let instance = self.instantiate(&placed, &name, "", false);
                self.trainable = outer_trainable;
                let Some(instance) = instance else { return Value::Error };
                *pending.instance.borrow_mut() = Some(Rc::clone(&instance));
                instance
            }
        };
        let args: Args = inputs.into_iter().map(|(value, span)| (None, value, span)).collect();
        self.call_instance(&instance, "forward", args, span)
    }

    /// Binds module parameters that stand as axes in a signature to the axes of the tensor at their places.
    fn infer_sizes(
        &mut self,
        module: &Module,
        ty: &crate::syntax::ast::TypeExpr,
        tensor: &Tensor,
        args: &mut Vec<(String, Value, Span)>,
        span: Span,
    ) {
        use crate::syntax::ast::AxisExpr;
        let Some((_, entries)) = tensor_type(ty) else { return };
        let rest = entries.iter().position(|entry| matches!(entry, AxisExpr::Rest(_)));
        for (index, entry) in entries.iter().enumerate() {
            let AxisExpr::Size(Expr { kind: ExprKind::Name(name), .. }) = entry else { continue };
            let wanted = module.params.iter().any(|param| param.name.text == *name && param.default.is_none());
            if !wanted || args.iter().any(|(other, ..)| other == name) {
                continue;
            }
            let place = match rest {
                Some(rest) if index > rest => (tensor.axes.len() + index).checked_sub(entries.len()),
                _ => Some(index),
            };
            if let Some(axis) = place.and_then(|place| tensor.axes.get(place)) {
                let size = self.axis_size(*axis);
                args.push((name.clone(), Value::Int { size, axis: Some(*axis) }, span));
            }
        }
    }

    fn apply_backbone(&mut self, backbone: &Rc<PendingBackbone>, column: &Column, place: Span, span: Span) -> Value {
        let existing = backbone.applied.borrow().clone();
        let applied = match existing {
            Some(applied) => applied,
            None => {
                let Some(applied) = self.place_backbone(backbone) else { return Value::Error };
                let applied = Rc::new(applied);
                *backbone.applied.borrow_mut() = Some(Rc::clone(&applied));
                applied
            }
        };
        let spec = self.experiment.tables[column.data].spec.columns[column.column].clone();
        let ColumnKind::Sequence { alphabet, length, .. } = spec.kind else {
            self.report(
                Diagnostic::error("E0319", format!("`{}` is not a sequence", spec.name))
                    .label(place, "given to a backbone")
                    .label(column.span, "declared here"),
            );
            return Value::Error;
        };
        if alphabet != applied.alphabet {
            self.wrong_alphabet(&spec.name, alphabet, place, column.span, (&applied, backbone.span));
            return Value::Error;
        }
        let Some(ids) = self.token_input(column, &spec.name, length, &applied) else { return Value::Error };
        self.call_instance(&applied.instance, "forward", vec![(None, Value::Tensor(ids), place)], span)
    }

    fn wrong_alphabet(
        &mut self,
        name: &str,
        alphabet: Alphabet,
        place: Span,
        declared: Span,
        (applied, backbone): (&AppliedBackbone, Span),
    ) {
        let show = |alphabet: Alphabet| match alphabet {
            Alphabet::Dna => "DNA",
            Alphabet::Rna => "RNA",
            Alphabet::Protein => "protein",
            Alphabet::Text => "text",
        };
        let (has, reads) = (show(alphabet), show(applied.alphabet));
        // Where the backbone is one of the standard library, the user's naming of it says more than its declaration.
        let reader = if self.is_std_span(applied.alphabet_span) { backbone } else { applied.alphabet_span };
        let article = if reads == "RNA" { "an" } else { "a" };
        self.report(
            Diagnostic::error("E0320", format!("{article} {reads} backbone cannot read the {has} column `{name}`"))
                .label(place, format!("this is {has}"))
                .label(reader, format!("`{}` reads {reads}", applied.name))
                .label(declared, format!("declared {has} here"))
                .help(format!("use a backbone for {has}, or a column of {reads}")),
        );
    }

    /// The sequence columns of some lengths (of all, where none are named) that promise no length: name, word of the alphabet, and where they are declared.
    pub fn ragged_columns(&self, lengths: Option<&[LengthId]>) -> Vec<(String, &'static str, Span)> {
        let mut columns: Vec<(String, &'static str, Span)> = Vec::new();
        for (id, length) in self.experiment.lengths.iter().enumerate() {
            let table = self.experiment.tables.get(length.data as usize);
            let Some(table) = table.filter(|_| lengths.is_none_or(|wanted| wanted.contains(&LengthId(id as u32)))) else { continue };
            for (column, span) in table.spec.columns.iter().zip(&table.column_spans) {
                if let ColumnKind::Sequence { alphabet, length: None, .. } = &column.kind
                    && column.name == length.column
                    && !columns.iter().any(|(_, _, other)| other == span)
                {
                    columns.push((column.name.clone(), alphabet_word(*alphabet), *span));
                }
            }
        }
        columns
    }

    /// The token ids of a column: an input of the graph, i[seq].
    fn token_input(&mut self, column: &Column, column_name: &str, length: Option<u64>, applied: &AppliedBackbone) -> Option<Tensor> {
        let tokenizer = &self.experiment.tokenizers[applied.tokenizer];
        let special = (tokenizer.prefix.len() + tokenizer.suffix.len()) as u64;
        let layout = TokenLayout { prefix: tokenizer.prefix.len() as u64, suffix: tokenizer.suffix.len() as u64 };
        let fixed = length.filter(|_| one_token_a_letter(tokenizer, applied.alphabet)).map(|letters| letters + special);
        let fixed =
            fixed.filter(|tokens| applied.policy == LengthPolicy::Truncate || applied.max_length.is_none_or(|most| *tokens <= most));
        let fixed = fixed.map(|tokens| applied.max_length.map_or(tokens, |most| tokens.min(most)));
        let name = format!("{}.{}.ids", applied.name, column_name);
        let (size, source) = match fixed {
            Some(tokens) => (
                Size::constant(tokens as i64),
                InputSource::FixedTokens {
                    data: column.data as u32,
                    column: column_name.to_owned(),
                    tokenizer: applied.tokenizer as u32,
                    tokens,
                },
            ),
            None => {
                let id = LengthId(self.experiment.lengths.len() as u32);
                self.experiment.lengths.push(LengthSpec {
                    name: column_name.to_owned(),
                    data: column.data as u32,
                    column: column_name.to_owned(),
                    tokenizer: applied.tokenizer as u32,
                    max_length: applied.max_length,
                    policy: applied.policy,
                });
                if let Some(emission) = self.emission.as_mut() {
                    emission.graph.lengths.push(Length { name: column_name.to_owned() });
                }
                (Size::atom(Atom::Length(id, column_name.to_owned())), InputSource::Tokens { length: id })
            }
        };
        let axis = self.new_axis("seq", size);
        self.axes[axis.0 as usize].layout = Some(layout);
        self.experiment.inputs.push(InputSpec { name: name.clone(), source });
        Some(self.emit(Op::Input { name }, &[], DType::I32, vec![axis], true))
    }

    /// Reads a backbone's declaration with the options given, and makes its network.
    fn place_backbone(&mut self, pending: &PendingBackbone) -> Option<AppliedBackbone> {
        let handle = self.library.item(pending.item);
        let ItemKind::Backbone(backbone) = &handle.kind else { return None };
        let file = pending.item.file;
        let option = |name: &str| pending.args.iter().find(|(other, ..)| other == name).map(|(_, value, span)| (value.clone(), *span));
        let mut scope = Scope { file, env: Env::default(), experiment: false, instance: None };
        for field in &backbone.body.fields {
            if !BACKBONE_FIELDS.contains(&field.name.text.as_str()) {
                self.unknown_option("backbone", &field.name, BACKBONE_FIELDS.into_iter());
                return None;
            }
        }
        for param in &backbone.params {
            let value = match (option(&param.name.text), &param.default) {
                (Some((value, _)), _) => value,
                (None, Some(default)) => {
                    let value = self.eval_typed(default, param.ty.as_ref(), &mut scope);
                    self.coerce(&param.name.text, value, param.ty.as_ref(), default.span)
                }
                (None, None) => {
                    self.missing_argument(&handle.name.text, &param.name, pending.span);
                    return None;
                }
            };
            scope.env.set(&param.name.text, value);
        }
        let flag = |name: &str| matches!(option(name), Some((Value::Bool(Some(true)), _)));
        let weights = self.backbone_weights(&backbone.body, option("weights"), flag("from_scratch"), pending, &mut scope)?;
        self.use_folder(weights.as_ref().map(|(weights, _)| weights), weights.as_ref().map_or(pending.span, |(_, span)| *span))?;
        if self.config.is_none() && reads_config(&backbone.network) {
            let diagnostic = Diagnostic::error(
                "E0315",
                format!("`{}` has the sizes of a checkpoint, and none is given that can be read here", handle.name.text),
            );
            let place = weights.as_ref().map_or(pending.span, |(_, span)| *span);
            let help = "give it a folder with a `config.json`: `weights = folder(\"models/…\")`";
            self.report(diagnostic.label(place, "needs a folder of weights with its configuration").help(help));
            return None;
        }
        let (alphabet, alphabet_span) = self.backbone_input(&backbone.body, &handle.name, &mut scope)?;
        let tokenizer = self.backbone_tokenizer(&backbone.body, &handle.name, file)?;
        let declared_length = match field_value(&backbone.body, "max_length") {
            None => None,
            Some(expr) => Some(self.whole(expr, &mut scope)?),
        };
        let max_length = match option("max_length") {
            Some((Value::Int { size, .. }, span)) => match size.as_constant().and_then(|value| u64::try_from(value).ok()) {
                Some(number) => Some(number),
                None => {
                    self.report(
                        Diagnostic::error("E0317", format!("a number of tokens is wanted, not {size}")).label(span, "out of range"),
                    );
                    return None;
                }
            },
            Some(_) => None,
            None => declared_length,
        };
        let special = (self.experiment.tokenizers[tokenizer].prefix.len() + self.experiment.tokenizers[tokenizer].suffix.len()) as u64;
        if let (Some(most), Some((_, span))) = (max_length, option("max_length"))
            && most <= special
        {
            self.report(
                Diagnostic::error("E0317", format!("`max_length` of {most} leaves no room for the sequence"))
                    .label(span, format!("{special} tokens are special")),
            );
            return None;
        }
        let policy = match option("too_long") {
            Some((Value::Variant(Some(text)), _)) if text == "error" => LengthPolicy::Error,
            _ => LengthPolicy::Truncate,
        };
        let bound_name = pending.name.borrow().clone();
        let name = self.part_name(bound_name.unwrap_or_else(|| handle.name.text.clone()));
        let network = self.network_with(&backbone.network, pending, &mut scope)?;
        if let Some((weights, span)) = weights {
            let list = |checker: &mut Self, field: &str, scope: &mut Scope| -> Vec<String> {
                match field_value(&backbone.body, field).map(|expr| checker.eval(expr, scope)) {
                    Some(Value::List(items)) => {
                        items.iter().filter_map(|item| if let Value::Str(text) = item { text.clone() } else { None }).collect()
                    }
                    _ => Vec::new(),
                }
            };
            let (prefixes, ignore, optional) =
                (list(self, "prefixes", &mut scope), list(self, "ignore", &mut scope), list(self, "optional", &mut scope));
            self.experiment.networks.push(Network { root: name.clone(), weights, prefixes, ignore, optional, span });
            if let Some(emission) = self.emission.as_mut() {
                emission.network = Some(self.experiment.networks.len() - 1);
            }
        }
        let outer_trainable = std::mem::replace(&mut self.trainable, !flag("frozen"));
        let instance = self.instantiate(&network, &name, "", false);
        self.trainable = outer_trainable;
        if let Some(emission) = self.emission.as_mut() {
            emission.network = None;
        }
        self.config = None;
        self.weights_folder = None;
        Some(AppliedBackbone { name, instance: instance?, tokenizer, alphabet, alphabet_span, max_length, policy })
    }

    /// The weights that apply: the option, else the declaration, unless it starts from scratch.
    fn backbone_weights(
        &mut self,
        body: &Body,
        option: Option<(Value, Span)>,
        from_scratch: bool,
        pending: &PendingBackbone,
        scope: &mut Scope,
    ) -> Option<Option<(WeightsValue, Span)>> {
        if from_scratch {
            return Some(None);
        }
        let (value, span) = match (option, field_value(body, "weights")) {
            (Some(given), _) => given,
            (None, Some(expr)) => (self.eval(expr, scope), expr.span),
            (None, None) => return Some(None),
        };
        let span = if self.is_std(span) { pending.span } else { span };
        match value {
            Value::Weights(weights) => Some(Some((weights, span))),
            Value::None => Some(None),
            Value::Error => None,
            other => {
                self.report(
                    Diagnostic::error("E0301", format!("weights are `folder(\"…\")` or `hub(\"…\")`, not {}", other.describe()))
                        .label(span, "this value"),
                );
                None
            }
        }
    }

    fn is_std(&self, span: Span) -> bool {
        self.library.sources.name(span.file).starts_with("std/")
    }

    /// Makes `config(…)` and `file(…)` those of a folder of weights.
    fn use_folder(&mut self, weights: Option<&WeightsValue>, span: Span) -> Option<()> {
        self.config = None;
        self.weights_folder = None;
        let Some(WeightsValue::Folder(folder)) = weights else { return Some(()) };
        let text = match self.world.folder_text(folder, "config.json") {
            Ok(text) => text,
            Err(mut diagnostic) => {
                diagnostic.labels.insert(0, mgx_diag::Label { span, text: "these weights".to_owned() });
                self.report(diagnostic);
                return None;
            }
        };
        self.weights_folder = Some(folder.clone());
        if let Some(text) = text {
            match serde_json::from_str(&text) {
                Ok(config) => self.config = Some(config),
                Err(error) => {
                    self.report(
                        Diagnostic::error("E0315", format!("`{folder}/config.json` is not JSON: {error}")).label(span, "these weights"),
                    );
                    return None;
                }
            }
        }
        Some(())
    }

    pub fn backbone_input(&mut self, body: &Body, name: &Name, scope: &mut Scope) -> Option<(Alphabet, Span)> {
        let Some(expr) = field_value(body, "input") else {
            self.report(
                Diagnostic::error("E0321", format!("the backbone `{}` does not say what it reads", name.text))
                    .label(name.span, "declared here")
                    .help("add `input = dna` (or rna, protein, text)"),
            );
            return None;
        };
        match self.eval(expr, scope) {
            Value::Alphabet(alphabet) => Some((alphabet, expr.span)),
            Value::Error => None,
            other => {
                self.report(
                    Diagnostic::error("E0321", format!("a backbone reads dna, rna, protein or text, not {}", other.describe()))
                        .label(expr.span, "this value"),
                );
                None
            }
        }
    }

    fn backbone_tokenizer(&mut self, body: &Body, name: &Name, file: usize) -> Option<usize> {
        let item = self.tokenizer_item(body, name, file)?;
        let spec = self.tokenizer(item)?;
        if let Some(index) = self.experiment.tokenizers.iter().position(|other| *other == spec) {
            return Some(index);
        }
        self.experiment.tokenizers.push(spec);
        Some(self.experiment.tokenizers.len() - 1)
    }

    /// The tokenizer that a backbone's declaration names.
    pub fn tokenizer_item(&mut self, body: &Body, name: &Name, file: usize) -> Option<ItemRef> {
        let Some(expr) = field_value(body, "tokenizer") else {
            let diagnostic =
                Diagnostic::error("E0321", format!("the backbone `{}` has no tokenizer", name.text)).label(name.span, "declared here");
            self.report(diagnostic.help("add `tokenizer = name_of_a_tokenizer`"));
            return None;
        };
        let mut scope = Scope { file, env: Env::default(), experiment: false, instance: None };
        match self.eval(expr, &mut scope) {
            Value::Item(item) if matches!(self.library.item(item).kind, ItemKind::Tokenizer(_)) => Some(item),
            Value::Error => None,
            other => {
                let what = match &other {
                    Value::Item(item) => format!("`{}`", self.library.item(*item).name.text),
                    _ => other.describe().to_owned(),
                };
                let diagnostic = Diagnostic::error("E0321", format!("a backbone reads through a tokenizer, not {what}"));
                self.report(diagnostic.label(expr.span, "this value").help("name a declaration `tokenizer name { … }`"));
                None
            }
        }
    }

    /// The module that a backbone's declaration calls as its network.
    pub fn network_module(&mut self, file: usize, network: &Expr) -> Option<ItemRef> {
        let callee = match &network.kind {
            ExprKind::Call(callee, _) => callee,
            ExprKind::Error => return None,
            _ => network,
        };
        let mut scope = Scope { file, env: Env::default(), experiment: false, instance: None };
        match self.eval(callee, &mut scope) {
            Value::Item(item) if matches!(self.library.item(item).kind, ItemKind::Module(_)) && callee.span != network.span => Some(item),
            Value::Error => None,
            _ => {
                let diagnostic = Diagnostic::error("E0321", "the network of a backbone is a call of a module")
                    .label(network.span, "not a call of a module");
                self.report(diagnostic.help("write `backbone name: Network(hidden = 64) { … }`"));
                None
            }
        }
    }

    /// The network's call with the user's overrides put in.
    fn network_with(&mut self, network: &Expr, pending: &PendingBackbone, scope: &mut Scope) -> Option<Rc<Pending>> {
        self.network_module(scope.file, network)?;
        let Value::Pending(base) = self.eval(network, scope) else { return None };
        let ItemKind::Module(module) = &self.library.item(base.item).kind.clone() else { return None };
        let mut args = base.args.clone();
        for (name, value, span) in &pending.args {
            if module.params.iter().any(|param| param.name.text == *name) && !scope.env.vars.iter().any(|(other, _)| other == name) {
                args.retain(|(other, ..)| other != name);
                args.push((name.clone(), value.clone(), *span));
            }
        }
        Some(Rc::new(Pending { item: base.item, args, span: pending.span, name: RefCell::new(None), instance: RefCell::new(None) }))
    }

    /// `task = classification(logits, table.label)`.
    fn task(&mut self, expr: &Expr, scope: &mut Scope) {
        let ExprKind::Call(callee, args) = &expr.kind else {
            self.report(
                Diagnostic::error("E0507", "a task is a call")
                    .label(expr.span, "not a task")
                    .help("write `task = classification(logits, table.label)`"),
            );
            return;
        };
        let item = match self.eval(callee, scope) {
            Value::Item(item) => item,
            Value::Error => return,
            other => {
                self.report(Diagnostic::error("E0507", format!("{} is not a task", other.describe())).label(callee.span, "not a task"));
                return;
            }
        };
        let handle = self.library.item(item);
        let module = match &handle.kind {
            ItemKind::Module(module) if module.role == ModuleRole::Task => module,
            _ => {
                let diagnostic =
                    Diagnostic::error("E0507", format!("`{}` is not a task", handle.name.text)).label(callee.span, "not a task");
                self.report(
                    diagnostic
                        .label(handle.name.span, "declared here")
                        .help("tasks are declared with `task`; the library's are in `std::tasks`"),
                );
                return;
            }
        };
        let args = self.eval_args_for(&module.params, None, args, scope);
        if args.iter().any(|(_, value, _)| value.is_error()) {
            return;
        }
        let Some(slots) = self.arrange(&handle.name.text, &module.params, args, expr.span) else { return };
        let mut task_scope = Scope { file: item.file, env: Env::default(), experiment: false, instance: None };
        let mut targets = Vec::new();
        let mut tensors: Vec<(Tensor, Span)> = Vec::new();
        let mut bound = Vec::new();
        for (param, slot) in module.params.iter().zip(slots) {
            let (value, place) = match (slot, &param.default) {
                (Some(given), _) => given,
                (None, Some(default)) => (self.eval_typed(default, param.ty.as_ref(), &mut task_scope), default.span),
                (None, None) => {
                    self.missing_argument(&handle.name.text, &param.name, expr.span);
                    return;
                }
            };
            let value = self.coerce(&param.name.text, value, param.ty.as_ref(), place);
            let value = match (value, param.ty.as_ref().and_then(tensor_type)) {
                (Value::Error, _) => return,
                (Value::Column(column), Some((_, axes))) => {
                    let is_class = param.ty.as_ref().and_then(tensor_type).is_some_and(|(dtype, _)| dtype == DType::I32);
                    let wanted = Wanted { axes, place, is_class, task: &handle.name.text, tensors: &tensors };
                    let Some((name, tensor)) = self.target(&column, &wanted, &mut task_scope) else { return };
                    targets.push((param.name.text.clone(), name));
                    Value::Tensor(tensor)
                }
                (Value::Tensor(tensor), Some((_, axes))) => {
                    match self.match_axes(
                        axes,
                        Given { tensor: &tensor, span: place, param: &param.name },
                        &mut task_scope,
                        None,
                        &mut bound,
                    ) {
                        Some(tensor) => {
                            tensors.push((tensor.clone(), place));
                            Value::Tensor(tensor)
                        }
                        None => return,
                    }
                }
                (Value::Column(column), None) => {
                    let spec = &self.experiment.tables[column.data].spec.columns[column.column];
                    let diagnostic = Diagnostic::error("E0319", format!("`{}` of this task takes no label column", param.name.text));
                    self.report(diagnostic.label(place, format!("`{}` is a column", spec.name)).label(param.name.span, "declared here"));
                    return;
                }
                (value, _) => value,
            };
            task_scope.env.set(&param.name.text, value);
        }
        self.task_members(module, &targets, &mut task_scope);
    }

    /// The label of a sample: a class number i[], or numbers f[outputs].
    fn target(&mut self, column: &Column, param: &Wanted<'_>, scope: &mut Scope) -> Option<(String, Tensor)> {
        let Wanted { axes, place, .. } = *param;
        let table = self.experiment.tables[column.data].spec.clone();
        let spec = &table.columns[column.column];
        let name = format!("{}.{}", table.name, spec.name);
        let wanted = match axes {
            [crate::syntax::ast::AxisExpr::Size(expr)] => match self.eval(expr, scope) {
                Value::Int { axis: Some(axis), .. } => axis,
                Value::Error => return None,
                other => {
                    self.not_a_size(&other, expr.span);
                    return None;
                }
            },
            _ => {
                self.report(
                    Diagnostic::error("E0509", "the label of a task has one axis, such as `class[classes]`")
                        .label(place, "this label is given for it"),
                );
                return None;
            }
        };
        let size = self.axis_size(wanted);
        let outputs = param.tensors.iter().find(|(tensor, _)| tensor.axes.contains(&wanted)).map(|(_, span)| *span);
        match &spec.kind {
            ColumnKind::Class { .. } | ColumnKind::Real if matches!(spec.kind, ColumnKind::Class { .. }) != param.is_class => {
                let (has, takes, help) = if param.is_class {
                    ("a number", "a class", format!("declare `{}: class(…)`, or use a task for numbers, such as `regression`", spec.name))
                } else {
                    ("a class", "a number", format!("declare `{}: real`, or use a task for classes, such as `classification`", spec.name))
                };
                let diagnostic =
                    Diagnostic::error("E0319", format!("the label of `{}` is {takes}, and `{}` is {has}", param.task, spec.name));
                self.report(diagnostic.label(place, format!("this is {has}")).label(column.span, "declared here").help(help));
                None
            }
            ColumnKind::Class { names } => {
                if size.as_constant() != Some(names.len() as i64) {
                    let shown = if names.len() <= 8 { format!(": {}", names.join(", ")) } else { String::new() };
                    let diagnostic = Diagnostic::error("E0501", format!("{size} outputs for {} classes", names.len()))
                        .label(outputs.unwrap_or(place), format!("{size} outputs"))
                        .label(place, format!("`{}` has {} classes{shown}", spec.name, names.len()))
                        .label(column.span, "declared here");
                    self.report(diagnostic.help(format!("give the adapter `outputs = {}`", names.len())));
                    return None;
                }
                self.axes[wanted.0 as usize].classes = Some(Rc::new(names.clone()));
                self.experiment.inputs.push(InputSpec {
                    name: name.clone(),
                    source: InputSource::Class { data: column.data as u32, column: spec.name.clone() },
                });
                let tensor = self.emit(Op::Input { name: name.clone() }, &[], DType::I32, Vec::new(), true);
                Some((spec.name.clone(), tensor))
            }
            ColumnKind::Real => {
                if size.as_constant() != Some(1) {
                    let diagnostic = Diagnostic::error("E0501", format!("{size} outputs for one number"))
                        .label(outputs.unwrap_or(place), format!("{size} outputs"))
                        .label(place, format!("`{}` is one number", spec.name))
                        .label(column.span, "declared here");
                    self.report(diagnostic.help("give the adapter `outputs = 1`"));
                    return None;
                }
                self.experiment.inputs.push(InputSpec {
                    name: name.clone(),
                    source: InputSource::Real { data: column.data as u32, column: spec.name.clone() },
                });
                let tensor = self.emit(Op::Input { name }, &[], DType::F32, Vec::new(), true);
                let tensor = self.emit(Op::Broadcast, &[&tensor], DType::F32, vec![wanted], true);
                Some((spec.name.clone(), tensor))
            }
            _ => {
                self.report(
                    Diagnostic::error("E0319", format!("`{}` is not a label", spec.name))
                        .label(place, "used as a label")
                        .label(column.span, "declared here")
                        .help("labels are `class(…)` and `real` columns"),
                );
                None
            }
        }
    }

    fn task_members(&mut self, module: &Module, targets: &[(String, String)], scope: &mut Scope) {
        let mut task = TaskOutputs::default();
        for member in &module.members {
            match &member.kind {
                MemberKind::Let(expr) => {
                    let value = self.eval(expr, scope);
                    let value = self.named_size(&member.name.text, value);
                    scope.env.set(&member.name.text, value);
                }
                MemberKind::Part { value: expr, .. } if member.name.text == "loss" => {
                    let value = self.eval(expr, scope);
                    let Some(loss) = self.operand(&value, Some(DType::F32), expr.span) else { return };
                    if !loss.axes.is_empty() || loss.dtype != DType::F32 {
                        let shown = self.show_tensor(&loss);
                        self.report(
                            Diagnostic::error("E0401", "the loss of a sample is one number")
                                .label(expr.span, format!("is {shown}"))
                                .help("sum or average over its axes"),
                        );
                        continue;
                    }
                    task.loss = loss.node;
                    task.loss_span = Some(self.call_site);
                }
                MemberKind::Output(expr) => {
                    let value = self.eval(expr, scope);
                    let Some(tensor) = self.operand(&value, Some(DType::F32), expr.span) else { return };
                    let classes = tensor.axes.last().and_then(|axis| self.axis(*axis).classes.clone());
                    let kind = match classes {
                        Some(names) => OutputKind::Probabilities { names: names.to_vec() },
                        None if targets.is_empty() => OutputKind::Embedding,
                        None => OutputKind::Values,
                    };
                    if let (Some(emission), Some(node)) = (self.emission.as_mut(), tensor.node) {
                        emission.graph.outputs.push(Output { name: member.name.text.clone(), node });
                    }
                    task.outputs.push(OutputSpec { name: member.name.text.clone(), kind });
                    scope.env.set(&member.name.text, Value::Tensor(tensor));
                }
                MemberKind::Metric(expr) => match metric(&member.name.text, expr, targets) {
                    Some(spec) if task.outputs.iter().any(|output| output.name == spec.prediction) => task.metrics.push(spec),
                    Some(spec) => {
                        let outputs: Vec<&str> = task.outputs.iter().map(|output| output.name.as_str()).collect();
                        let diagnostic = Diagnostic::error(
                            "E0509",
                            format!("the metric compares `{}`, which is no output of the task", spec.prediction),
                        );
                        self.report(
                            diagnostic
                                .label(expr.span, "in this metric")
                                .help(format!("its outputs up to here are: {}", outputs.join(", "))),
                        );
                    }
                    None => self
                        .report(Diagnostic::error("E0509", "a metric is `kind(output, label)`").label(expr.span, "not a metric").help(
                        "kinds are accuracy, macro_f1, mcc, auroc, mse, mae, r2, pearson, spearman; the label is a parameter of the task",
                    )),
                },
                _ => self.report(
                    Diagnostic::error("E0509", "a task has `loss`, `output`s, `metric`s and `let`s").label(member.span, "not one of them"),
                ),
            }
        }
        self.experiment.task = Some(task);
    }
}

/// Does an expression ask for `config(…)` of the checkpoint?
fn reads_config(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call(callee, args) => {
            matches!(&callee.kind, ExprKind::Name(name) if name == "config") || args.iter().any(|arg| reads_config(&arg.value))
        }
        ExprKind::Binary(_, _, a, b) => reads_config(a) || reads_config(b),
        ExprKind::Unary(_, a) => reads_config(a),
        ExprKind::If(condition, yes, no) => [condition, yes, no].into_iter().any(|part| reads_config(part)),
        ExprKind::Match(subject, arms) => reads_config(subject) || arms.iter().any(|(_, value)| reads_config(value)),
        ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().any(reads_config),
        _ => false,
    }
}

fn metric(name: &str, expr: &Expr, targets: &[(String, String)]) -> Option<MetricSpec> {
    let ExprKind::Call(callee, args) = &expr.kind else { return None };
    let ExprKind::Name(kind) = &callee.kind else { return None };
    let kind = match kind.as_str() {
        "accuracy" => MetricKind::Accuracy,
        "macro_f1" => MetricKind::MacroF1,
        "mcc" => MetricKind::Mcc,
        "auroc" => MetricKind::Auroc,
        "mse" => MetricKind::Mse,
        "mae" => MetricKind::Mae,
        "r2" => MetricKind::R2,
        "pearson" => MetricKind::Pearson,
        "spearman" => MetricKind::Spearman,
        _ => return None,
    };
    let word = |arg: &Arg| if let ExprKind::Name(name) = &arg.value.kind { Some(name.clone()) } else { None };
    let [prediction, target] = args.as_slice() else { return None };
    let target = word(target)?;
    let target = targets.iter().find(|(param, _)| *param == target).map(|(_, column)| column.clone())?;
    Some(MetricSpec { name: name.to_owned(), kind, prediction: word(prediction)?, target })
}
