//! Checking: names, types, axes; and building the graph of an experiment on the way.
//!
//! A module is checked by itself, once, with sizes that are unknown ([`size`]). An experiment is evaluated with its real sizes, which checks it and
//! builds its graph ([`experiment`]). Problems are collected; what could not be evaluated absorbs everything that depends on it.

mod adapter_config;
mod alone;
mod analysis;
mod arguments;
mod axes;
mod backbone;
mod backbone_choice;
mod builtins;
mod call;
mod checkpoint_settings;
mod column_input;
mod compose;
mod conditions;
mod counts;
mod data;
mod data_source;
mod experiment;
mod expr;
mod fields;
mod fill;
mod fixes;
mod gene_tokenizer;
mod hidden_states;
mod instance;
mod invoke;
mod label_columns;
mod layers;
mod library;
mod operators;
mod overrides;
mod part_names;
mod plain_values;
mod record;
mod resolve;
mod rewrite;
mod routing;
mod rows;
mod settings;
mod size;
mod split;
mod structures;
mod sweep;
mod target;
mod task;
mod task_members;
mod tensor;
mod token_columns;
mod tokenizer;
mod tokenizer_file;
mod trace;
mod tuning;
mod unfreezing;
mod unused;
mod value;
mod words;
mod world;

pub use analysis::{Analysis, File, LibraryFile, analyze, import_edit, library_files, library_import};
pub use compose::Template;
pub use experiment::{Elaborated, Network, TaskOutputs};
pub use library::ItemRef;
pub use record::{Fact, FactKind, PartSize};
pub use settings::{PredictSettings, TrainSettings};
pub use sweep::Sweep;
pub use trace::{TraceAxis, TraceInput, trace};
pub use tuning::Adapter;
pub use value::{HUB_PREFIX, WeightsValue as WeightsSource};
pub use words::{Words, words};
pub use world::{RowPlace, World};

use std::collections::BTreeMap;
use std::ops::Range;

use mgx_diag::{Diagnostic, SourceMap, Span};
use mgx_ir::graph::{AxisId, Graph, GraphParam, NodeId, ParamId};
use mgx_ir::plan::Init;

use crate::syntax::ast::ItemKind;
use library::Library;
use size::Facts;
use value::AxisInfo;

/// A parameter as the checker finds it, in the order of the graph's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamInfo {
    pub path: String,
    /// Key in the public checkpoint, relative to its network.
    pub key: String,
    pub axes: Vec<String>,
    pub shape: Vec<u64>,
    pub init: Init,
    pub trainable: bool,
    /// A state: kept from step to step, not learned.
    pub state: bool,
    /// Where it belongs to one of several parts among which is chosen: how many are, and of how many.
    pub chosen: Option<(u64, u64)>,
    /// Index into the experiment's networks that have weights.
    pub network: Option<usize>,
    /// Index into the experiment's adapters, where it is trained beside a frozen network.
    pub adapter: Option<usize>,
    /// Epochs before it is trained.
    pub from_epoch: u64,
}

impl ParamInfo {
    /// A state of a task, of one number; `key` is how the reference stores it.
    fn state_of_task(path: String, key: &str, init: Init) -> Self {
        Self {
            path,
            key: key.to_owned(),
            axes: Vec::new(),
            shape: Vec::new(),
            init,
            trainable: false,
            state: true,
            chosen: None,
            network: None,
            adapter: None,
            from_epoch: 0,
        }
    }
}

/// The graph being built.
#[derive(Debug, Default)]
pub struct Emission {
    pub graph: Graph,
    pub params: Vec<ParamInfo>,
    pub training: bool,
    /// The nodes of each call of a repeated part, and where the outermost one begins whose call goes on.
    pub layers: Vec<Range<u32>>,
    layer: Option<u32>,
    /// What a training step leaves in each state that it changes.
    pub updates: BTreeMap<ParamId, NodeId>,
    /// The values that parameters start from which are computed from others.
    pub starts: BTreeMap<ParamId, NodeId>,
    /// The network whose parameters are being made.
    pub network: Option<usize>,
    /// The adapter whose parameters are being made.
    pub adapter: Option<usize>,
}

/// One pass over a program.
pub struct Checker<'w> {
    world: &'w dyn World,
    library: Library<'w>,
    diagnostics: Vec<Diagnostic>,
    axes: Vec<AxisInfo>,
    facts: Facts,
    /// Axes of sizes that are bound inside functions, by their places and sizes.
    local_axes: Vec<((Span, size::Size), value::AxisRef)>,
    emission: Option<Emission>,
    /// The expression that is being evaluated.
    span: Span,
    /// The innermost expression of the user's own files around it.
    call_site: Span,
    depth: u32,
    /// Expressions evaluated since the last module or experiment began.
    steps: u32,
    /// Tables whose declarations are being read.
    reading: Vec<ItemRef>,
    /// Every table that was read without a finding, and whether it is as the first experiment that uses it sees it.
    sound_tables: Vec<(bool, data::Table)>,
    /// Errors reported so far, those that were reported before included.
    reported: usize,
    next_var: u32,
    next_site: u32,
    /// Values that stand for the parameters of several parts, by their nodes.
    routed: std::collections::HashMap<mgx_ir::graph::NodeId, routing::Routed>,
    /// Are the parameters being made to be trained?
    trainable: bool,
    /// What is frozen and rewritten in the network that is being made.
    tuning: Option<tuning::Tuning>,
    /// `config.json` and folder of the checkpoint that the network being made is loaded from.
    config: Option<serde_json::Value>,
    weights_folder: Option<String>,
    /// Where the program names that folder.
    weights_span: Option<Span>,
    experiment: experiment::ExperimentState,
    recording: hidden_states::Recording,
    /// Notes for an editor, where they are wanted.
    record: Option<record::Record>,
}

/// Members of a sweep that are checked for an editor, which wants an answer after every letter; `mgxc check` checks all.
const MEMBERS_WHILE_TYPING: u64 = 4;

/// As many findings are kept; nobody reads more.
const MAX_DIAGNOSTICS: usize = 200;

/// A value given on the command line: `train.batch_size=16`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub path: String,
    pub value: String,
}

/// The names of the language's own functions, which everything else is written with.
pub fn function_names() -> &'static [&'static str] {
    builtins::NAMES
}

/// What a check found.
pub struct Checked {
    pub sources: SourceMap,
    pub diagnostics: Vec<Diagnostic>,
    /// The experiments of the file that are free of errors, as they are evaluated (without dropout), in order.
    pub experiments: Vec<Elaborated>,
    /// The names of all experiments of the file.
    pub names: Vec<String>,
    /// Those that lack values of parameters, which are there for others to be made from.
    pub templates: Vec<Template>,
    /// Those that are sweeps; `experiments` has the member that the overrides choose (`sweep=3`), or the first.
    pub sweeps: Vec<Sweep>,
    /// The other members of sweeps, where the overrides choose none.
    pub others: Vec<Elaborated>,
    /// The file's text as it is run: with the values from the command line, and absolute paths.
    pub resolved: String,
    /// The user's files that it imports, by their paths from its folder, with absolute paths in them.
    pub imported: Vec<(String, String)>,
}

impl Checked {
    /// Was no error found?
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Checks a file and everything it imports.
pub fn check(world: &dyn World, path: &str, overrides: &[Override]) -> Checked {
    check_with(Checker::new(world), path, overrides).0
}

fn check_with<'w>(mut checker: Checker<'w>, path: &str, overrides: &[Override]) -> (Checked, Library<'w>, Option<record::Record>) {
    let file = checker.library.load_path(path);
    let mut experiments = Vec::new();
    let (mut names, mut templates) = (Vec::new(), Vec::new());
    let (mut sweeps, mut others) = (Vec::new(), Vec::new());
    let (mut resolved, mut imported) = (String::new(), Vec::new());
    if let Some(file) = file {
        let original = std::rc::Rc::clone(&checker.library.files[file].ast);
        let member = overrides::apply_overrides(&mut checker, file, overrides);
        let written = std::rc::Rc::clone(&checker.library.files[file].ast);
        compose::compose(&mut checker, file);
        let composed = std::rc::Rc::clone(&checker.library.files[file].ast);
        let chosen = sweep::apply_sweeps(&mut checker, file, &composed, member.as_ref());
        let ast = std::rc::Rc::clone(&checker.library.files[file].ast);
        if let Some(item) = original.items.first() {
            let as_run = compose::as_run(&written, &ast, &chosen);
            resolved = resolve::resolved_text(checker.world, &checker.library.sources, item.span.file, &original, &as_run);
        }
        sweeps = chosen.into_iter().map(|(sweep, ..)| sweep).collect();
        imported = resolve::imported_texts(checker.world, &checker.library, file);
        for (item, declaration) in ast.items.iter().enumerate() {
            let item = ItemRef { file, item };
            match &declaration.kind {
                ItemKind::Module(_) => checker.check_module(item),
                ItemKind::Data(_) => {
                    checker.restart();
                    checker.table_of(item);
                }
                ItemKind::Experiment(experiment) if !experiment.missing().is_empty() => {
                    checker.check_template(experiment, file);
                    templates.push(Template::new(&declaration.name, experiment));
                }
                ItemKind::Experiment(experiment) if experiment.base.is_some() => {}
                ItemKind::Experiment(_) => {
                    names.push(declaration.name.text.clone());
                    experiments.extend(checker.elaborate(item, false));
                    // The first member stands for the others in the notes.
                    let record = checker.record.take();
                    let own = sweeps.iter().find(|sweep| sweep.experiment == declaration.name.text).filter(|_| member.is_none());
                    let members = own.map_or(1, |sweep| sweep.members.len() as u64);
                    let checked = if record.is_some() { members.min(MEMBERS_WHILE_TYPING) } else { members };
                    for member in 1..checked {
                        let chosen = sweep::Chosen { experiment: Some(declaration.name.text.clone()), member };
                        sweep::apply_sweeps(&mut checker, file, &composed, Some(&chosen));
                        others.extend(checker.elaborate(item, false));
                    }
                    checker.record = record;
                }
                ItemKind::Function(_) => checker.check_function(item),
                ItemKind::Backbone(_) => checker.check_backbone(item),
                ItemKind::Tokenizer(_) => {}
            }
            checker.end_notes();
        }
        if checker.errors() == 0 {
            checker.report_unused(&original);
        }
        checker.check_rows();
    }
    let record = checker.record.take();
    let (sources, diagnostics, library) = checker.finish_with_library();
    (Checked { sources, diagnostics, experiments, names, templates, sweeps, others, resolved, imported }, library, record)
}

/// Evaluates one experiment of a file as it is in training (`training = true`: with dropout) or in evaluation.
///
/// # Errors
/// Everything that [`check`] would find.
pub fn elaborate(
    world: &dyn World,
    path: &str,
    overrides: &[Override],
    experiment: &str,
    training: bool,
) -> Result<Elaborated, (SourceMap, Vec<Diagnostic>)> {
    let mut checker = Checker::new(world);
    let elaborated = checker.load(path, overrides).and_then(|file| {
        let item = checker.experiment_named(file, experiment)?;
        checker.elaborate(item, training)
    });
    match elaborated {
        Some(elaborated) if !checker.diagnostics.iter().any(Diagnostic::is_error) => Ok(elaborated),
        _ => Err(checker.finish()),
    }
}

impl<'w> Checker<'w> {
    fn new(world: &'w dyn World) -> Self {
        let library = Library::new(world);
        let span = Span { file: mgx_diag::FileId(0), start: 0, end: 0 };
        Self {
            world,
            library,
            diagnostics: Vec::new(),
            axes: Vec::new(),
            facts: Facts::default(),
            local_axes: Vec::new(),
            emission: None,
            span,
            call_site: span,
            depth: 0,
            steps: 0,
            reading: Vec::new(),
            sound_tables: Vec::new(),
            reported: 0,
            next_var: 0,
            next_site: 0,
            routed: std::collections::HashMap::new(),
            trainable: true,
            tuning: None,
            config: None,
            weights_folder: None,
            weights_span: None,
            experiment: experiment::ExperimentState::default(),
            recording: hidden_states::Recording::default(),
            record: None,
        }
    }

    /// Adds a state of the task to the graph's parameters.
    fn add_task_state(&mut self, param: ParamInfo, axes: Vec<AxisId>) -> Option<ParamId> {
        let emission = self.emission.as_mut()?;
        let id = ParamId(emission.graph.params.len() as u32);
        emission.graph.params.push(GraphParam { path: param.path.clone(), axes, trainable: false });
        emission.params.push(param);
        Some(id)
    }

    /// Begins to count what is evaluated anew.
    fn restart(&mut self) {
        self.depth = 0;
        self.steps = 0;
        self.facts = Facts::default();
    }

    fn load(&mut self, path: &str, overrides: &[Override]) -> Option<usize> {
        let file = self.library.load_path(path)?;
        let member = overrides::apply_overrides(self, file, overrides);
        compose::compose(self, file);
        let composed = std::rc::Rc::clone(&self.library.files[file].ast);
        sweep::apply_sweeps(self, file, &composed, member.as_ref());
        Some(file)
    }

    /// An experiment of a file.
    fn experiment_named(&mut self, file: usize, name: &str) -> Option<ItemRef> {
        let ast = std::rc::Rc::clone(&self.library.files[file].ast);
        let experiments = || ast.items.iter().enumerate().filter(|(_, item)| matches!(item.kind, ItemKind::Experiment(_)));
        if let Some((item, declaration)) = experiments().find(|(_, item)| item.name.text == name) {
            if let ItemKind::Experiment(experiment) = &declaration.kind
                && !experiment.missing().is_empty()
            {
                self.report(Template::new(&declaration.name, experiment).cannot_run());
                return None;
            }
            return Some(ItemRef { file, item });
        }
        let known: Vec<&str> = experiments().map(|(_, item)| item.name.text.as_str()).collect();
        let diagnostic = Diagnostic::error("E0213", format!("there is no experiment `{name}`"));
        self.report(match mgx_diag::nearest(name, known.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => diagnostic.help("the file has no experiments"),
            None => diagnostic.help(format!("the file has: {}", known.join(", "))),
        });
        None
    }

    fn finish(self) -> (SourceMap, Vec<Diagnostic>) {
        let (sources, diagnostics, _) = self.finish_with_library();
        (sources, diagnostics)
    }

    fn finish_with_library(mut self) -> (SourceMap, Vec<Diagnostic>, Library<'w>) {
        let mut diagnostics = std::mem::take(&mut self.library.diagnostics);
        for diagnostic in self.diagnostics {
            if !diagnostics.contains(&diagnostic) {
                diagnostics.push(diagnostic);
            }
        }
        (self.library.sources.clone(), diagnostics, self.library)
    }

    /// Takes note of a finding; the same finding at the same place is kept once.
    fn report(&mut self, mut diagnostic: Diagnostic) {
        self.reported += usize::from(diagnostic.is_error());
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            return;
        }
        // A finding inside the standard library is a finding about the user's call of it.
        let inside = diagnostic.labels.first().is_some_and(|label| self.is_std_span(label.span));
        if inside && !self.is_std_span(self.call_site) && !diagnostic.labels.iter().any(|label| label.span == self.call_site) {
            let text = "found while this is evaluated".to_owned();
            diagnostic.labels.insert(0, mgx_diag::Label { span: self.call_site, text });
        }
        // Nobody mends the library to make an experiment right.
        diagnostic.fixes.retain(|fix| !fix.edits.iter().any(|edit| self.library.is_std_source(edit.span.file)));
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    fn is_std_span(&self, span: Span) -> bool {
        self.library.is_std_source(span.file)
    }
}
