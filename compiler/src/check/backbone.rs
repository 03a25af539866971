//! Backbones: their options, their declarations, and their networks with the weights that they are loaded from.

use std::cell::RefCell;
use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::plan::{LengthPolicy, TokenizerKind};

use super::Checker;
use super::backbone_choice::choice;
use super::experiment::Network;
use super::expr::Scope;
use super::library::ItemRef;
use super::tokenizer::field_value;
use super::value::{AppliedBackbone, Env, Instance, Pending, PendingBackbone, Reads, Value, WeightsValue};
use crate::syntax::ast::{Arg, Body, Expr, ExprKind, ItemKind, Name};

/// Options that every backbone has, besides those of its declaration and its network.
pub(super) const BACKBONE_OPTIONS: [&str; 6] = ["max_length", "too_long", "frozen", "from_scratch", "weights", "hidden_states"];

pub const BACKBONE_FIELDS: [&str; 10] =
    ["input", "tokenizer", "weights", "expects", "prefixes", "aliases", "ignore", "optional", "max_length", "positions"];

/// What can be done with sequences that are longer than a backbone takes.
const TOO_LONG: [(&str, LengthPolicy); 3] =
    [("truncate", LengthPolicy::Truncate), ("window", LengthPolicy::Window), ("error", LengthPolicy::Error)];

impl Checker<'_> {
    /// A backbone with options: kept until it is given a column.
    pub fn pending_backbone(&mut self, item: ItemRef, args: &[Arg], span: Span, scope: &mut Scope) -> Value {
        let handle = self.library.item(item);
        let ItemKind::Backbone(backbone) = &handle.kind else { return Value::Error };
        if choice(backbone).is_some() {
            return match self.chosen_backbone(item, args, span, scope) {
                Some(chosen) => self.pending_backbone(chosen, args, span, scope),
                None => Value::Error,
            };
        }
        let network_params = self.network_params(item.file, &backbone.network);
        let mut known: Vec<String> = BACKBONE_OPTIONS.iter().map(|name| (*name).to_owned()).collect();
        known.extend(backbone.params.iter().map(|param| param.name.text.clone()));
        known.extend(network_params.iter().map(|param| param.name.text.clone()));
        let mut values = Vec::new();
        let mut frozen = Vec::new();
        // What is wrong with one option says nothing of the others: all are looked at.
        let mut ok = true;
        for arg in args {
            let Some(name) = &arg.name else {
                self.report(
                    Diagnostic::error("E0208", format!("the options of `{}` have names", handle.name.text))
                        .label(arg.value.span, "without a name")
                        .help("write `name = value`; a column flows in with `table.column |> backbone(…)`"),
                );
                ok = false;
                continue;
            };
            if values.iter().any(|(other, ..): &(String, Value, Span)| *other == name.text) {
                self.report(
                    Diagnostic::error("E0208", format!("`{}` is given twice", name.text))
                        .label(name.span, "again here")
                        .label(span, "in this call"),
                );
                ok = false;
                continue;
            }
            if !known.contains(&name.text) {
                self.unknown_option(&handle.name.text, name, known.iter().map(String::as_str));
                ok = false;
                continue;
            }
            let ty =
                backbone.params.iter().chain(&network_params).find(|param| param.name.text == name.text).and_then(|param| param.ty.clone());
            let value = if let ("frozen", ExprKind::List(_)) = (name.text.as_str(), &arg.value.kind) {
                let Some(names) = self.part_names("frozen", &arg.value, scope) else {
                    ok = false;
                    continue;
                };
                frozen = names;
                Value::Bool(Some(false))
            } else if name.text == "too_long" {
                match self.choice(&arg.value, &TOO_LONG) {
                    Some(LengthPolicy::Truncate) => Value::Variant(Some("truncate".to_owned())),
                    Some(LengthPolicy::Window) => Value::Variant(Some("window".to_owned())),
                    Some(LengthPolicy::Error) => Value::Variant(Some("error".to_owned())),
                    None => Value::Error,
                }
            } else {
                let value = self.eval_typed(&arg.value, ty.as_ref(), scope);
                let value = self.coerce(&name.text, value, ty.as_ref(), arg.value.span);
                if ty.is_none() { self.backbone_option(&name.text, value, arg.value.span) } else { value }
            };
            ok &= !value.is_error();
            values.push((name.text.clone(), value, arg.value.span));
        }
        if !ok {
            return Value::Error;
        }
        Value::Backbone(Rc::new(PendingBackbone {
            item,
            args: values,
            frozen,
            rewrites: Vec::new(),
            span,
            name: RefCell::new(None),
            applied: RefCell::new(None),
        }))
    }

    /// Has an option that every backbone has the kind of value that it takes?
    fn backbone_option(&mut self, name: &str, value: Value, span: Span) -> Value {
        let wanted = match (name, &value) {
            (_, Value::Error) => return Value::Error,
            ("frozen" | "from_scratch", Value::Bool(Some(_))) | ("max_length", Value::Int { .. } | Value::None) => return value,
            ("weights", Value::Weights(_) | Value::None) => return value,
            ("hidden_states", Value::List(items)) if items.iter().all(|item| matches!(item, Value::Int { .. })) => return value,
            ("hidden_states", _) => "a list of whole numbers, such as `[0, 6]`",
            ("frozen", _) => "`true`, `false` or a list of names of parts",
            ("from_scratch", _) => "`true` or `false`",
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

    /// Reads a backbone's declaration with the options given, and makes its network.
    pub fn place_backbone(&mut self, pending: &PendingBackbone) -> Option<AppliedBackbone> {
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
        self.use_folder(
            weights.as_ref().map(|(weights, _)| weights),
            reads_config(&backbone.network),
            weights.as_ref().map_or(pending.span, |(_, span)| *span),
        )?;
        if flag("from_scratch") {
            // An empty configuration: every setting has its default.
            self.config = Some(serde_json::Value::Object(serde_json::Map::new()));
        }
        if self.config.is_none() && reads_config(&backbone.network) {
            self.needs_configuration(&handle.name.text, weights.as_ref().map_or(pending.span, |(_, span)| *span));
            return None;
        }
        let place = weights.as_ref().map_or(pending.span, |(_, span)| *span);
        let (reads, reads_span) = self.backbone_input(&backbone.body, &handle.name, &mut scope)?;
        let tokenizer = self.backbone_tokenizer(&backbone.body, &handle.name, file)?;
        let of_genes = matches!(self.experiment.tokenizers[tokenizer].kind, TokenizerKind::Genes { .. });
        if of_genes != (reads == Reads::Counts) {
            let (reads, tokens) = if of_genes { ("text", "counts") } else { ("counts", "text") };
            let diagnostic =
                Diagnostic::error("E0321", format!("the backbone `{}` reads {reads} with a tokenizer of {tokens}", handle.name.text));
            self.report(
                diagnostic
                    .label(reads_span, "declared here")
                    .help("tokenizers of counts are those of the kinds all_genes, expressed_genes and ranked_genes"),
            );
            return None;
        }
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
                    .label(span, format!("{special} tokens are special"))
                    .help(format!("write a number above {special}")),
            );
            return None;
        }
        let policy = match option("too_long") {
            Some((Value::Variant(Some(text)), _)) => {
                TOO_LONG.iter().find(|(name, _)| *name == text).map_or(LengthPolicy::Truncate, |(_, policy)| *policy)
            }
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
            let aliases = self.backbone_aliases(&backbone.body, &mut scope)?;
            self.experiment.networks.push(Network { root: name.clone(), weights, prefixes, aliases, ignore, optional, span });
            if let Some(emission) = self.emission.as_mut() {
                emission.network = Some(self.experiment.networks.len() - 1);
            }
        }
        self.note_part(pending.span, &name, pending.item);
        self.tuning = self.tuning_of(pending, &name);
        let outer_trainable = std::mem::replace(&mut self.trainable, !flag("frozen") && pending.rewrites.is_empty());
        let instance = self.instantiate(&network, &name, "", Vec::new(), false);
        self.trainable = outer_trainable;
        let tuning = self.tuning.take();
        let tuned = match tuning.filter(|_| instance.is_some()) {
            Some(tuning) => self.end_tuning(tuning, &name),
            None => Some(()),
        };
        let mut expected = Some(());
        if let Some(instance) = &instance {
            self.check_vocabulary(instance, tokenizer, pending.span);
            expected = self.expected_settings(&backbone.body, &handle.name.text, place, file, instance);
        }
        if let Some(emission) = self.emission.as_mut() {
            emission.network = None;
        }
        self.config = None;
        self.weights_folder = None;
        tuned.and(expected)?;
        let instance = instance?;
        let asked = option("max_length").map_or(pending.span, |(_, span)| span);
        let max_length = self.within_positions(&backbone.body, &instance, max_length, asked)?;
        Some(AppliedBackbone { name, instance, tokenizer, reads, reads_span, max_length, policy, span: pending.span })
    }

    /// The most tokens, with those that the network has places for: the field `positions`, in which the network's own parameters have their values.
    fn within_positions(&mut self, body: &Body, instance: &Rc<Instance>, max_length: Option<u64>, span: Span) -> Option<Option<u64>> {
        let Some(expr) = field_value(body, "positions") else { return Some(max_length) };
        let mut scope = Scope { file: instance.item.file, env: instance.env.borrow().clone(), experiment: false, instance: None };
        let most = match self.eval(expr, &mut scope) {
            Value::None => return Some(max_length),
            Value::Int { size, .. } => size.as_constant().and_then(|size| u64::try_from(size).ok()),
            Value::Error => return None,
            _ => None,
        };
        let Some(most) = most else {
            let diagnostic = Diagnostic::error("E0317", "`positions` is a number of tokens, or `none`");
            self.report(diagnostic.label(expr.span, "this value"));
            return None;
        };
        match max_length {
            Some(asked) if asked > most => {
                let message = format!("`max_length` of {asked} is more than the network has positions for, which is {most}");
                self.report(Diagnostic::error("E0317", message).label(span, "too many tokens").help(format!("write {most} or less")));
                None
            }
            Some(asked) => Some(Some(asked)),
            None => Some(Some(most)),
        }
    }

    /// Has a network that says its number of words (`vocab`) a row for every token?
    fn check_vocabulary(&mut self, instance: &Instance, tokenizer: usize, span: Span) {
        let Some(Value::Int { size, .. }) = instance.env.borrow().get("vocab").cloned() else { return };
        let spec = &self.experiment.tokenizers[tokenizer];
        let tokens = spec.vocabulary.len() as i64;
        let Some(rows) = size.as_constant().filter(|rows| *rows < tokens) else { return };
        let message = format!("the tokenizer `{}` has {tokens} tokens, and the network's table of words {rows} rows", spec.name);
        let place = self.weights_span.unwrap_or(span);
        self.report(
            Diagnostic::error("E0329", message)
                .label(place, "the tokenizer and the network do not belong together")
                .help("take both from one checkpoint: its vocabulary has at most `vocab_size` tokens"),
        );
    }

    /// `aliases = [("stem.", "_trunk.1.")]`: pairs of texts.
    fn backbone_aliases(&mut self, body: &Body, scope: &mut Scope) -> Option<Vec<(String, String)>> {
        let Some(expr) = field_value(body, "aliases") else { return Some(Vec::new()) };
        let value = self.eval(expr, scope);
        let pair = |item: &Value| match item {
            Value::Tuple(pair) => match pair.as_slice() {
                [Value::Str(Some(key)), Value::Str(Some(stored))] => Some((key.clone(), stored.clone())),
                _ => None,
            },
            _ => None,
        };
        let pairs = match &value {
            Value::Error => return None,
            Value::List(items) => items.iter().map(pair).collect(),
            _ => None,
        };
        if pairs.is_none() {
            let diagnostic = Diagnostic::error("E0301", "`aliases` is a list of pairs of texts").label(expr.span, "this value");
            self.report(diagnostic.help("write `aliases = [(\"beginning of the key\", \"as it is stored\")]`"));
        }
        pairs
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
    pub fn use_folder(&mut self, weights: Option<&WeightsValue>, needs_config: bool, span: Span) -> Option<()> {
        self.config = None;
        self.weights_folder = None;
        self.weights_span = Some(span);
        let Some(weights) = weights else { return Some(()) };
        self.weights_folder = Some(weights.folder());
        // Files of the hub may have to be fetched: only where they are asked for.
        if matches!(weights, WeightsValue::Hub { .. }) && !needs_config {
            return Some(());
        }
        self.read_config(span)
    }

    /// Reads the `config.json` beside the weights, if there is one. `span`: what asks for it.
    pub fn read_config(&mut self, span: Span) -> Option<()> {
        let Some(folder) = self.weights_folder.clone() else { return Some(()) };
        let text = match self.world.folder_text(&folder, "config.json") {
            Ok(text) => text,
            Err(mut diagnostic) => {
                diagnostic.labels.insert(0, mgx_diag::Label { span, text: "these weights".to_owned() });
                self.report(diagnostic);
                return None;
            }
        };
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

    pub fn backbone_input(&mut self, body: &Body, name: &Name, scope: &mut Scope) -> Option<(Reads, Span)> {
        let Some(expr) = field_value(body, "input") else {
            self.report(
                Diagnostic::error("E0321", format!("the backbone `{}` does not say what it reads", name.text))
                    .label(name.span, "declared here")
                    .help("add `input = dna` (or rna, protein, text, alignment, counts)"),
            );
            return None;
        };
        if matches!(&expr.kind, ExprKind::Name(name) if name == "counts") {
            return Some((Reads::Counts, expr.span));
        }
        match self.eval(expr, scope) {
            Value::Alphabet(alphabet) => Some((Reads::Sequence(alphabet), expr.span)),
            Value::Error => None,
            other => {
                self.report(
                    Diagnostic::error(
                        "E0321",
                        format!("a backbone reads dna, rna, protein, text, alignment or counts, not {}", other.describe()),
                    )
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
