//! Which parameters of a network are trained: what is frozen by name, and what rewrites add.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use serde_json::Value as Json;

use super::Checker;
use super::library::ItemRef;
use super::part_names::PartName;
use super::rewrite::{Rewrite, Targets};
use super::value::PendingBackbone;
use crate::syntax::ast::ItemKind;

/// What is known of the network that is being made.
#[derive(Debug, Default)]
pub struct Tuning {
    /// Parts that are not trained.
    frozen: Vec<PartName>,
    pub rewrites: Vec<ActiveRewrite>,
    /// Stored names of all parts and parameters so far.
    stored: Vec<String>,
}

/// A rewrite of the network that is being made.
#[derive(Debug)]
pub struct ActiveRewrite {
    pub rewrite: Rc<Rewrite>,
    /// Index into the experiment's networks that have weights, where its parameters are stored.
    pub network: Option<usize>,
    /// Index into the experiment's adapters.
    pub adapter: usize,
    /// Stored names of the parts that it could change, and of those that it does.
    candidates: Vec<String>,
    changed: Vec<String>,
    /// What its first part says of the layout of PEFT.
    pub layout: Option<Json>,
}

/// Parameters that are trained beside a frozen network, as they are exchanged with other programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// The network's path in the program.
    pub root: String,
    /// The text of its `adapter_config.json`; none where the rewrite does not say how PEFT calls it.
    pub config: Option<String>,
}

impl Tuning {
    /// The rewrite that changes a part; none where the part stays as it is.
    ///
    /// # Errors
    /// `E0220` where two do.
    pub fn rewrite_for(&mut self, item: ItemRef, stored: &str) -> Result<Option<usize>, Diagnostic> {
        let mut found: Option<usize> = None;
        for at in 0..self.rewrites.len() {
            let active = &mut self.rewrites[at];
            if active.rewrite.of != item {
                continue;
            }
            active.candidates.push(stored.to_owned());
            if !active.rewrite.changes(stored) {
                continue;
            }
            active.changed.push(stored.to_owned());
            let place = active.rewrite.span();
            if let Some(other) = found.replace(at) {
                let found = Diagnostic::error("E0220", format!("`{stored}` would be rewritten twice")).label(place, "by this rewrite");
                return Err(found
                    .label(self.rewrites[other].rewrite.span(), "and by this one")
                    .help("name other `targets` in one of them"));
            }
        }
        if let Some(at) = found
            && let Some(name) = self.rewrites.iter().flat_map(|active| &active.rewrite.save).find(|name| name.names(stored))
        {
            let place = self.rewrites[at].rewrite.span();
            let found = Diagnostic::error("E0220", format!("`{stored}` would be rewritten and trained as it is"));
            return Err(found
                .label(name.span, "trained as it is")
                .label(place, "rewritten")
                .help("leave it out of `targets` or of `save`"));
        }
        Ok(found)
    }

    /// Takes note of a part or a parameter; is it frozen by its name?
    pub fn freezes(&mut self, stored: &str) -> bool {
        self.stored.push(stored.to_owned());
        self.frozen.iter().any(|name| name.names(stored))
    }

    /// The rewrite that has a part trained as it is.
    pub fn saved_by(&self, stored: &str) -> Option<&ActiveRewrite> {
        self.rewrites.iter().find(|active| active.rewrite.save.iter().any(|name| name.names(stored)))
    }
}

impl Checker<'_> {
    /// What is frozen and rewritten in the network of a backbone that is about to be made.
    pub fn tuning_of(&mut self, backbone: &PendingBackbone, root: &str) -> Option<Tuning> {
        if backbone.frozen.is_empty() && backbone.rewrites.is_empty() {
            return None;
        }
        let mut tuning = Tuning { frozen: backbone.frozen.clone(), ..Tuning::default() };
        for rewrite in &backbone.rewrites {
            let network = rewrite.weights.as_ref().map(|(weights, span)| {
                self.experiment.networks.push(super::Network {
                    root: root.to_owned(),
                    weights: weights.clone(),
                    prefixes: super::adapter_config::PREFIXES.iter().map(|prefix| (*prefix).to_owned()).collect(),
                    aliases: Vec::new(),
                    ignore: Vec::new(),
                    optional: Vec::new(),
                    span: *span,
                });
                self.experiment.networks.len() - 1
            });
            let adapter = self.experiment.adapters.len();
            self.experiment.adapters.push(Adapter { root: root.to_owned(), config: None });
            let rewrite = Rc::clone(rewrite);
            tuning.rewrites.push(ActiveRewrite { rewrite, network, adapter, candidates: Vec::new(), changed: Vec::new(), layout: None });
        }
        Some(tuning)
    }

    /// Enters a part of the network: is it trained, and with which adapter? Gives what [`leave_part`](Self::leave_part) takes.
    pub fn enter_part(&mut self, key: &str) -> PartPlace {
        let (network, adapter) = self.emission.as_ref().map_or((None, None), |emission| (emission.network, emission.adapter));
        let before = PartPlace { trainable: self.trainable, network, adapter };
        let Some(tuning) = self.tuning.as_mut().filter(|_| !key.is_empty()) else { return before };
        if tuning.freezes(key) {
            self.trainable = false;
        }
        if let Some(active) = tuning.saved_by(key) {
            self.trainable = true;
            if let Some(emission) = self.emission.as_mut() {
                emission.adapter = Some(active.adapter);
                emission.network = active.network.or(network);
            }
        }
        before
    }

    pub fn leave_part(&mut self, before: PartPlace) {
        self.trainable = before.trainable;
        if let Some(emission) = self.emission.as_mut() {
            (emission.network, emission.adapter) = (before.network, before.adapter);
        }
    }

    /// Reports names that mean nothing, and notes what was rewritten.
    pub fn end_tuning(&mut self, tuning: Tuning, whose: &str) -> Option<()> {
        let mut ok = true;
        for name in tuning.frozen.iter().chain(tuning.rewrites.iter().flat_map(|active| &active.rewrite.save)) {
            if !tuning.stored.iter().any(|stored| name.names(stored)) {
                self.no_such_part(name, whose, "part", &tuning.stored);
                ok = false;
            }
        }
        for active in tuning.rewrites {
            let kind = self.library.item(active.rewrite.of).name.text.clone();
            let misses = |name: &&PartName| !active.candidates.iter().any(|stored| name.names(stored));
            let missing: Vec<PartName> = match &active.rewrite.targets {
                Targets::Named(names) => names.iter().filter(misses).cloned().collect(),
                Targets::All => Vec::new(),
            };
            for name in &missing {
                self.no_such_part(name, whose, &format!("`{kind}`"), &active.candidates);
            }
            let handle = self.library.item(active.rewrite.pending.item);
            let others = if let ItemKind::Module(module) = &handle.kind { active.rewrite.other_names(module) } else { Vec::new() };
            for name in others.iter().filter(|name| !active.changed.iter().any(|stored| name.names(stored))) {
                self.no_such_part(name, whose, "rewritten part", &active.changed);
                ok = false;
            }
            if missing.is_empty() && active.changed.is_empty() {
                self.nothing_rewritten(whose, &kind, active.rewrite.span());
            }
            ok &= missing.is_empty() && !active.changed.is_empty();
            let config = super::adapter_config::completed(active.layout.unwrap_or_default(), &active.rewrite, &active.changed);
            self.experiment.adapters[active.adapter].config = config;
        }
        ok.then_some(())
    }

    fn nothing_rewritten(&mut self, whose: &str, kind: &str, span: Span) {
        let found = Diagnostic::error("E0219", format!("nothing of `{whose}` is rewritten")).label(span, "changes nothing");
        self.report(found.help(format!("it rewrites parts that are `{kind}`: name some of them in `targets`, or remove the rewrite")));
    }
}

/// How parameters were made before a part was entered.
#[derive(Clone, Copy, Debug)]
pub struct PartPlace {
    trainable: bool,
    network: Option<usize>,
    adapter: Option<usize>,
}
