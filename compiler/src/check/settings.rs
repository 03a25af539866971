//! `train { … }` and `predict { … }`.

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, Graph, NodeId, Op, Output, Type};
use mgx_ir::plan::{BatchSpec, EarlyStop, LogFormat, Monitor};

use super::expr::Scope;
use super::sweep::SWEEP;
use super::value::{AxisRef, Pending, Tensor, Value};
use super::{Checker, Emission};
use crate::syntax::ast::{Arg, Body, Expr, ExprKind, Field, FieldKind, ItemKind, MemberKind, ModuleRole, Name};

/// `train { … }`, evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSettings {
    pub span: Span,
    pub epochs: Option<u64>,
    pub max_steps: Option<u64>,
    pub batch: BatchSpec,
    pub learning_rate: f64,
    pub optimizer_name: String,
    /// Inputs `param`, `gradient` and the states over one axis `n`, scalars `learning_rate` and `step`; outputs `param` and the states.
    pub optimizer: Graph,
    /// Names of the states.
    pub states: Vec<String>,
    /// Scalars: inputs `step`, `total_steps`; output `factor`.
    pub schedule: Graph,
    pub clip_norm: Option<f64>,
    pub accumulate: u64,
    pub shuffle: bool,
    pub monitor: String,
    pub mode: Monitor,
    pub early_stop: Option<EarlyStop>,
    pub log_every: u64,
    pub log: Vec<LogFormat>,
    pub checkpoint_every: Option<u64>,
    /// Where it is asked for that the backward pass computes the layers' values again.
    pub gradient_checkpointing: Option<Span>,
    pub keep: u64,
}

/// `predict { … }`, evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PredictSettings {
    /// Is it written in the program?
    pub declared: bool,
    /// The part of the table that is predicted: `train`, `valid`, `test` or `all`.
    pub on: Option<String>,
}

pub const TRAIN_FIELDS: [&str; 19] = [
    "epochs",
    "max_steps",
    "batch_size",
    "batch_tokens",
    "optimizer",
    "schedule",
    "clip_norm",
    "accumulate",
    "shuffle",
    "monitor",
    "mode",
    "patience",
    "min_delta",
    "log_every",
    "unfreeze",
    "log",
    "checkpoint_every",
    "gradient_checkpointing",
    "keep_best",
];

/// Blocks of an experiment.
pub(super) const EXPERIMENT_BLOCKS: [&str; 3] = ["train", "predict", SWEEP];

pub const PREDICT_FIELDS: [&str; 3] = ["on", "batch_size", "batch_tokens"];

/// When training stops early, as far as it is written.
#[derive(Default)]
struct StopSettings {
    patience: Option<u64>,
    min_delta: f64,
    mode: Option<Monitor>,
}

impl Checker<'_> {
    pub fn train_settings(&mut self, body: &Body, scope: &mut Scope) -> Option<TrainSettings> {
        let (block, span) = self.block(body, "train")?;
        let mut settings = TrainSettings {
            span,
            epochs: None,
            max_steps: None,
            batch: BatchSpec::Samples(32),
            learning_rate: 0.0,
            optimizer_name: String::new(),
            optimizer: Graph::default(),
            states: Vec::new(),
            schedule: constant_schedule(),
            clip_norm: None,
            accumulate: 1,
            shuffle: true,
            monitor: "valid_loss".to_owned(),
            mode: Monitor::Min,
            early_stop: None,
            log_every: 50,
            log: Vec::new(),
            checkpoint_every: None,
            gradient_checkpointing: None,
            keep: 1,
        };
        self.unique_fields(block);
        let mut stop = StopSettings::default();
        let mut ok = true;
        for field in &block.fields {
            ok &= self.train_field(field, &mut settings, &mut stop, scope).is_some();
        }
        // Where a setting is not understood, it may have been the one that is missing.
        let understood = block.fields.iter().all(|field| TRAIN_FIELDS.contains(&field.name.text.as_str()));
        let is_there = |name: &str| block.fields.iter().any(|field| field.name.text == name);
        if !understood || self.library.has_errors_in(block.span) {
            return None;
        }
        if !is_there("epochs") && !is_there("max_steps") {
            self.report(
                Diagnostic::error("E0550", "`train` does not say how long")
                    .label(span, "in this block")
                    .help("add `epochs = 10` or `max_steps = 1000`")
                    .fix_if("Add `epochs = 10`", self.library.add_field(block, "epochs = 10")),
            );
            ok = false;
        }
        if !is_there("optimizer") {
            let import = "use std::optimizers::adamw";
            let imported = self.library.lookup(scope.file, "adamw").is_some();
            let needed = if imported { None } else { self.library.add_import(span, import) };
            let added = self.library.add_field(block, "optimizer = adamw(lr = 1e-3)");
            self.report(
                Diagnostic::error("E0550", "`train` has no optimizer")
                    .label(span, "in this block")
                    .help(format!("add `optimizer = adamw(lr = 1e-3)` and `{import}`"))
                    .fix_all("Add `optimizer = adamw(lr = 1e-3)`", needed.into_iter().chain(added).collect()),
            );
            ok = false;
        }
        ok &= self.one_batch_size(block);
        if let (Some(field), None) = (named(block, "min_delta"), stop.patience) {
            self.without_effect(field, "training stops early only with `patience`", "add `patience = 3`");
        }
        if !ok || self.library.has_errors(span.file) {
            return None;
        }
        // A loss or an error is better when it is smaller; every other metric when it is greater.
        let small = ["valid_loss", "valid_mse", "valid_mae"].contains(&settings.monitor.as_str());
        settings.mode = stop.mode.unwrap_or(if small { Monitor::Min } else { Monitor::Max });
        settings.early_stop = stop.patience.map(|patience| EarlyStop { patience, min_delta: stop.min_delta });
        Some(settings)
    }

    /// A batch is counted in samples or in tokens.
    fn one_batch_size(&mut self, block: &Body) -> bool {
        let (Some(samples), Some(tokens)) = (named(block, "batch_size"), named(block, "batch_tokens")) else { return true };
        let diagnostic = Diagnostic::error("E0591", "`batch_size` and `batch_tokens` exclude each other");
        let diagnostic = diagnostic.label(tokens.name.span, "counts tokens").label(samples.name.span, "counts samples");
        let edit = self.library.without_line(tokens.span);
        self.report(diagnostic.help("remove one of them").fix("Remove `batch_tokens`", edit));
        false
    }

    /// Warns of a setting that changes nothing.
    fn without_effect(&mut self, field: &Field, why: &str, help: &str) {
        let diagnostic = Diagnostic::warning("W0560", format!("`{}` has no effect: {why}", field.name.text));
        let edit = self.library.without_line(field.span);
        self.report(diagnostic.label(field.name.span, "changes nothing").help(help).fix("Remove it", edit));
    }

    /// Reads one setting of `train`.
    fn train_field(&mut self, field: &Field, settings: &mut TrainSettings, stop: &mut StopSettings, scope: &mut Scope) -> Option<()> {
        let FieldKind::Value(expr) = &field.kind else {
            self.not_a_setting("train", field, &TRAIN_FIELDS);
            return None;
        };
        match field.name.text.as_str() {
            "epochs" => settings.epochs = Some(self.positive(expr, scope)?),
            "max_steps" => settings.max_steps = Some(self.positive(expr, scope)?),
            "batch_size" => settings.batch = BatchSpec::Samples(self.positive(expr, scope)?),
            "batch_tokens" => settings.batch = BatchSpec::Tokens(self.positive(expr, scope)?),
            "optimizer" => self.optimizer(expr, settings, scope)?,
            "schedule" => settings.schedule = self.schedule(expr, scope)?,
            "unfreeze" => self.unfreezing(expr, scope)?,
            "clip_norm" => settings.clip_norm = Some(self.number_in(expr, scope, f64::MIN_POSITIVE, f64::MAX)?),
            "accumulate" => settings.accumulate = self.positive(expr, scope)?,
            "shuffle" => settings.shuffle = self.truth(expr, scope)?,
            "monitor" => settings.monitor = self.monitor(expr)?,
            "mode" => stop.mode = Some(self.choice(expr, &[("min", Monitor::Min), ("max", Monitor::Max)])?),
            "patience" => stop.patience = Some(self.positive(expr, scope)?),
            "min_delta" => stop.min_delta = self.number_in(expr, scope, 0.0, f64::MAX)?,
            "log_every" => settings.log_every = self.positive(expr, scope)?,
            "log" => settings.log = self.log_formats(expr)?,
            "checkpoint_every" => settings.checkpoint_every = Some(self.positive(expr, scope)?),
            "gradient_checkpointing" => settings.gradient_checkpointing = self.truth(expr, scope)?.then_some(expr.span),
            "keep_best" => settings.keep = self.positive(expr, scope)?,
            _ => {
                self.unknown_option("train", &field.name, TRAIN_FIELDS.into_iter());
                return None;
            }
        }
        Some(())
    }

    /// Reports blocks of an experiment that mean nothing, and settings without a block.
    pub fn known_blocks(&mut self, body: &Body) {
        let known = EXPERIMENT_BLOCKS;
        for field in &body.fields {
            let name = field.name.text.as_str();
            match &field.kind {
                FieldKind::Block(_) if !known.contains(&name) => self.unknown_option("experiment", &field.name, known.into_iter()),
                FieldKind::Value(_) if known.contains(&name) => {
                    let diagnostic = Diagnostic::error("E0318", format!("`{name}` is a block")).label(field.name.span, "not a value");
                    self.report(diagnostic.help(format!("write `{name} {{ … }}`")));
                }
                _ => {}
            }
        }
    }

    fn block<'a>(&mut self, body: &'a Body, name: &str) -> Option<(&'a Body, Span)> {
        body.fields.iter().find(|field| field.name.text == name).and_then(|field| match &field.kind {
            FieldKind::Block(block) => Some((block, field.name.span)),
            _ => None,
        })
    }

    /// `valid_loss`, or `valid_` and the name of a metric of the task.
    fn monitor(&mut self, expr: &Expr) -> Option<String> {
        // Without a task nothing is known of its metrics; that it is missing is reported elsewhere.
        let metrics: Vec<String> = self.experiment.task_metrics()?;
        let mut choices = vec!["valid_loss".to_owned()];
        choices.extend(metrics.iter().map(|name| format!("valid_{name}")));
        let pairs: Vec<(&str, &str)> = choices.iter().map(|name| (name.as_str(), name.as_str())).collect();
        self.choice(expr, &pairs).map(str::to_owned)
    }

    /// `csv`, or a list of such names.
    fn log_formats(&mut self, expr: &Expr) -> Option<Vec<LogFormat>> {
        let formats = [("csv", LogFormat::Csv), ("tensorboard", LogFormat::Tensorboard)];
        match &expr.kind {
            ExprKind::List(items) => items.iter().map(|item| self.choice(item, &formats)).collect(),
            _ => self.choice(expr, &formats).map(|format| vec![format]),
        }
    }

    pub fn predict_settings(&mut self, body: &Body, scope: &mut Scope) -> (PredictSettings, Option<BatchSpec>) {
        let mut settings = PredictSettings::default();
        let mut batch = None;
        let Some((block, _)) = self.block(body, "predict") else { return (settings, batch) };
        settings.declared = true;
        self.unique_fields(block);
        self.one_batch_size(block);
        if self.block(body, "train").is_some() {
            for field in ["batch_size", "batch_tokens"].into_iter().filter_map(|name| named(block, name)) {
                self.without_effect(field, "an experiment that is trained predicts in the batches of `train`", "set it in `train`");
            }
        }
        for field in &block.fields {
            let FieldKind::Value(expr) = &field.kind else {
                self.not_a_setting("predict", field, &PREDICT_FIELDS);
                continue;
            };
            match field.name.text.as_str() {
                "on" => {
                    settings.on =
                        self.choice(expr, &[("train", "train"), ("valid", "valid"), ("test", "test"), ("all", "all")]).map(str::to_owned)
                }
                "batch_size" => batch = self.positive(expr, scope).map(BatchSpec::Samples),
                "batch_tokens" => batch = self.positive(expr, scope).map(BatchSpec::Tokens),
                _ => self.unknown_option("predict", &field.name, PREDICT_FIELDS.into_iter()),
            }
        }
        (settings, batch)
    }

    /// A part of a given role with its options, made with a graph of its own.
    fn role_part(&mut self, expr: &Expr, role: ModuleRole, what: &str, scope: &mut Scope) -> Option<(std::rc::Rc<Pending>, String)> {
        let (callee, args): (&Expr, &[Arg]) = match &expr.kind {
            ExprKind::Call(callee, args) => (callee, args),
            _ => (expr, &[]),
        };
        let value = self.eval(callee, scope);
        let Value::Item(item) = value else {
            if !value.is_error() {
                let diagnostic = Diagnostic::error("E0301", format!("{} is not {what}", value.describe()));
                let diagnostic = diagnostic.label(expr.span, "this value").help(self.library.parts_of_role(role));
                self.report(diagnostic);
            }
            return None;
        };
        let handle = self.library.item(item);
        let module = match &handle.kind {
            ItemKind::Module(module) if module.role == role => module,
            _ => {
                let diagnostic =
                    Diagnostic::error("E0301", format!("`{}` is not {what}", handle.name.text)).label(callee.span, "this value");
                let diagnostic = diagnostic.label(handle.name.span, "declared here").help(self.library.parts_of_role(role));
                self.report(diagnostic);
                return None;
            }
        };
        let Value::Pending(pending) = self.pending_module(item, module, None, args, expr.span, scope) else { return None };
        Some((pending, handle.name.text.clone()))
    }

    fn optimizer(&mut self, expr: &Expr, settings: &mut TrainSettings, scope: &mut Scope) -> Option<()> {
        let (pending, name) = self.role_part(expr, ModuleRole::Optimizer, "an optimizer", scope)?;
        settings.optimizer_name = name;
        settings.learning_rate = self.learning_rate(&pending, &settings.optimizer_name, expr.span)?;
        let handle = self.library.item(pending.item);
        let ItemKind::Module(module) = &handle.kind else { return None };
        let states: Vec<String> = module
            .members
            .iter()
            .filter(|member| matches!(member.kind, MemberKind::State { .. }))
            .map(|member| member.name.text.clone())
            .collect();
        let outer = self.emission.replace(Emission::default());
        // The trainable memory as one vector; its length is put in when the plan is made.
        let axis = self.vector_axis("n");
        let vectors = ["param", "gradient"].into_iter().map(str::to_owned).chain(states.iter().cloned());
        let mut args: Vec<(Option<Name>, Value, Span)> = vectors.map(|name| self.named_input(&name, vec![axis], expr.span)).collect();
        args.extend(["learning_rate", "step"].map(|name| self.named_input(name, Vec::new(), expr.span)));
        let result = self.call_role(&pending, "update", args, expr.span);
        let emission = std::mem::replace(&mut self.emission, outer)?;
        let mut graph = emission.graph;
        for (name, node) in result? {
            graph.outputs.push(Output { name, node });
        }
        let wanted = std::iter::once("param").chain(states.iter().map(String::as_str));
        let missing: Vec<&str> = wanted.filter(|name| !graph.outputs.iter().any(|output| output.name == *name)).collect();
        if !missing.is_empty() {
            let message = format!("`update` of `{}` does not give {}", handle.name.text, missing.join(", "));
            let diagnostic = Diagnostic::error("E0551", message).label(expr.span, "used here").label(handle.name.span, "declared here");
            self.report(diagnostic.help("the result of `update` is a record of `param` and every state: `(param = …, m = …)`"));
            return None;
        }
        settings.optimizer = graph;
        settings.states = states;
        Some(())
    }

    /// The learning rate that an optimizer is given: zero or more.
    fn learning_rate(&mut self, pending: &Pending, name: &str, span: Span) -> Option<f64> {
        let Some((_, value, place)) = pending.args.iter().find(|(name, ..)| name == "lr") else {
            self.report(
                Diagnostic::error("E0207", format!("`{name}` needs `lr`"))
                    .label(span, "`lr` is missing")
                    .help(format!("give it a learning rate: `{name}(lr = 1e-3)`")),
            );
            return None;
        };
        let rate = self.as_number(value);
        if let Some(wrong) = rate.filter(|rate| !(*rate >= 0.0 && rate.is_finite())) {
            let diagnostic = Diagnostic::error("E0317", format!("a learning rate is zero or greater, not {wrong}"));
            self.report(diagnostic.label(*place, "out of range").help("write `lr = 1e-3`"));
            return None;
        }
        rate
    }

    fn schedule(&mut self, expr: &Expr, scope: &mut Scope) -> Option<Graph> {
        let (pending, _) = self.role_part(expr, ModuleRole::Schedule, "a schedule", scope)?;
        let outer = self.emission.replace(Emission::default());
        let args = ["step", "total_steps"].map(|name| self.named_input(name, Vec::new(), expr.span)).to_vec();
        let result = self.call_role(&pending, "factor", args, expr.span);
        let emission = std::mem::replace(&mut self.emission, outer)?;
        let mut graph = emission.graph;
        for (_, node) in result? {
            graph.outputs.push(Output { name: "factor".to_owned(), node });
        }
        Some(graph)
    }

    fn vector_axis(&mut self, name: &str) -> AxisRef {
        self.new_axis(name, super::size::Size::constant(1))
    }

    fn named_input(&mut self, name: &str, axes: Vec<AxisRef>, span: Span) -> (Option<Name>, Value, Span) {
        let tensor = self.emit(Op::Input { name: name.to_owned() }, &[], DType::F32, axes, false);
        (Some(Name { text: name.to_owned(), span }), Value::Tensor(tensor), span)
    }

    /// Calls a function of an optimizer or a schedule; gives its results by name.
    fn call_role(
        &mut self,
        pending: &Pending,
        function: &str,
        mut args: Vec<(Option<Name>, Value, Span)>,
        span: Span,
    ) -> Option<Vec<(String, NodeId)>> {
        let handle = self.library.item(pending.item);
        let ItemKind::Module(module) = &handle.kind else { return None };
        // What the function does not ask for, it is not given.
        let wanted: Vec<&str> = module
            .members
            .iter()
            .filter(|member| member.name.text == function)
            .find_map(|member| if let MemberKind::Function(function) = &member.kind { Some(function) } else { None })
            .map(|function| function.params.iter().map(|param| param.name.text.as_str()).collect())
            .unwrap_or_default();
        args.retain(|(name, ..)| name.as_ref().is_some_and(|name| wanted.contains(&name.text.as_str())));
        let instance = self.instantiate(pending, "", "", Vec::new(), false)?;
        match self.call_instance(&instance, function, args, span) {
            Value::Tensor(Tensor { node: Some(node), .. }) => Some(vec![("param".to_owned(), node)]),
            Value::Record(fields) => fields
                .iter()
                .map(|(name, value)| match value {
                    Value::Tensor(Tensor { node: Some(node), .. }) => Some((name.clone(), *node)),
                    _ => None,
                })
                .collect(),
            value @ (Value::Float(_) | Value::Int { .. }) => {
                let tensor = self.operand(&value, Some(DType::F32), span)?;
                tensor.node.map(|node| vec![("factor".to_owned(), node)])
            }
            Value::Error => None,
            other => {
                let message = format!("`{function}` of `{}` gives {}, not numbers", handle.name.text, other.describe());
                self.report(Diagnostic::error("E0551", message).label(span, "used here").label(handle.name.span, "declared here"));
                None
            }
        }
    }
}

/// The schedule where none is given: the factor is 1.
fn constant_schedule() -> Graph {
    let mut graph = Graph::default();
    let ty = Type { dtype: DType::F32, axes: Vec::new(), per_sample: false };
    let node = graph.add_node(mgx_ir::graph::Node { op: Op::Const(1.0), inputs: Vec::new(), ty, path: None, spans: Vec::new() });
    graph.outputs.push(Output { name: "factor".to_owned(), node });
    graph
}

/// The field of a name.
fn named<'a>(block: &'a Body, name: &str) -> Option<&'a Field> {
    block.fields.iter().find(|field| field.name.text == name)
}
