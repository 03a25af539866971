//! Rewrites of networks: `backbone with lora(rank = 16, targets = [query, value])`.
//!
//! A rewrite is declared like a module, `of` the module whose parts it changes. A part that is rewritten stands in the old one's place: it has the old one's
//! sizes and options under their names, the old one itself as `base`, and parameters of its own beside the old ones. What was there is frozen, what is new is
//! trained.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use serde_json::Value as Json;

use super::Checker;
use super::expr::Scope;
use super::instance::join;
use super::library::ItemRef;
use super::part_names::PartName;
use super::tuning::Tuning;
use super::value::{AxisRef, Env, Instance, Pending, PendingBackbone, Value, WeightsValue};
use crate::syntax::ast::{Arg, Expr, ExprKind, ItemKind, MemberKind, Module, ModuleRole, Name};

/// What every rewrite takes besides the parameters that it declares.
pub(super) const REWRITE_OPTIONS: [&str; 3] = ["targets", "save", "weights"];

/// The word for all parts that a rewrite could change.
const ALL: &str = "all_linear";

/// A rewrite with its options.
#[derive(Debug)]
pub struct Rewrite {
    pub pending: Rc<Pending>,
    /// The module whose parts it changes.
    pub of: ItemRef,
    pub targets: Targets,
    /// Parts that are trained as they are.
    pub save: Vec<PartName>,
    /// Where its parameters are stored, and where the program says so.
    pub weights: Option<(WeightsValue, Span)>,
    /// The `adapter_config.json` beside them; an empty object where there are none.
    pub config: Json,
}

/// Which parts are changed.
#[derive(Debug)]
pub enum Targets {
    All,
    Named(Vec<PartName>),
}

impl Rewrite {
    /// The place of its call.
    pub fn span(&self) -> Span {
        self.pending.span
    }

    /// Names of parts among its own options.
    pub fn other_names(&self, module: &Module) -> Vec<PartName> {
        let lists = self.pending.args.iter().filter(|(name, ..)| {
            module.params.iter().any(|param| param.name.text == *name && param.ty.as_ref().is_some_and(super::arguments::is_names))
        });
        let names = lists.flat_map(|(_, value, span)| {
            let items = if let Value::List(items) = value { items.to_vec() } else { Vec::new() };
            let texts = items.into_iter().filter_map(|item| if let Value::Str(text) = item { text } else { None });
            texts.map(|text| PartName { text, span: *span }).collect::<Vec<_>>()
        });
        names.collect()
    }

    /// Is the part of this stored name changed?
    pub fn changes(&self, stored: &str) -> bool {
        match &self.targets {
            Targets::All => true,
            Targets::Named(names) => names.iter().any(|name| name.names(stored)),
        }
    }
}

impl Checker<'_> {
    /// `part with rewrite(…)`.
    pub fn eval_with(&mut self, part: &Expr, rewrite: &Expr, scope: &mut Scope) -> Value {
        let (callee, args): (&Expr, &[Arg]) = match &rewrite.kind {
            ExprKind::Call(callee, args) => (callee, args),
            _ => (rewrite, &[]),
        };
        let head = self.eval(callee, scope);
        let backbone = match self.eval(part, scope) {
            Value::Item(item) if matches!(self.library.item(item).kind, ItemKind::Backbone(_)) => {
                self.pending_backbone(item, &[], part.span, scope)
            }
            other => other,
        };
        if head.is_error() || backbone.is_error() {
            return Value::Error;
        }
        let Value::Item(item) = head else { return self.no_rewrite(callee, part, head.describe()) };
        let handle = self.library.item(item);
        let ItemKind::Module(module) = &handle.kind else { return self.no_rewrite(callee, part, "a declaration of another kind") };
        if module.role != ModuleRole::Rewrite {
            return self.no_rewrite(callee, part, "a module");
        }
        let Value::Backbone(backbone) = backbone else {
            let message = format!("a backbone can be rewritten, not {}", backbone.describe());
            let found = Diagnostic::error("E0209", message).label(part.span, "this part").label(rewrite.span, "rewritten here");
            self.report(found.help("write `backbone(…) with rewrite(…)`; adapters are trained as they are"));
            return Value::Error;
        };
        if backbone.applied.borrow().is_some() {
            let found = Diagnostic::error("E0209", "this backbone is in use already").label(part.span, "used before it is rewritten");
            self.report(found.help("rewrite it where it is set: `encoder = backbone(…) with rewrite(…)`"));
            return Value::Error;
        }
        let frozen = backbone.frozen_span();
        if let Some(place) = frozen {
            let message = format!("`frozen` and `{}` contradict each other", handle.name.text);
            let found = Diagnostic::error("E0557", message).label(place, "says what is not trained").label(rewrite.span, "says what is");
            self.report(found.help("remove `frozen`: a rewrite freezes everything but what it adds, and the parts under `save`"));
            return Value::Error;
        }
        let Some(made) = self.rewrite_with(item, module, args, rewrite.span, scope) else { return Value::Error };
        let mut rewrites = backbone.rewrites.clone();
        rewrites.push(Rc::new(made));
        Value::Backbone(Rc::new(PendingBackbone {
            item: backbone.item,
            args: backbone.args.clone(),
            frozen: Vec::new(),
            rewrites,
            span: backbone.span,
            name: RefCell::new(None),
            applied: RefCell::new(None),
        }))
    }

    fn no_rewrite(&mut self, callee: &Expr, part: &Expr, is: &str) -> Value {
        let shown = self.library.sources.slice(callee.span).to_owned();
        let found = Diagnostic::error("E0209", format!("`{shown}` is {is}, not a rewrite")).label(callee.span, "not a rewrite");
        self.report(
            found.label(part.span, "of this part").help("rewrites of the library are in `std::rewrites`: `use std::rewrites::lora`"),
        );
        Value::Error
    }

    /// A rewrite's call: its own parameters, and the options that all have.
    fn rewrite_with(&mut self, item: ItemRef, module: &Module, args: &[Arg], span: Span, scope: &mut Scope) -> Option<Rewrite> {
        let handle = self.library.item(item);
        let of = self.rewritten_module(item)?;
        let is_option = |arg: &&Arg| arg.name.as_ref().is_some_and(|name| REWRITE_OPTIONS.contains(&name.text.as_str()));
        let (options, own): (Vec<&Arg>, Vec<&Arg>) = args.iter().partition(is_option);
        let option = |name: &str| options.iter().find(|arg| arg.name.as_ref().is_some_and(|other| other.text == name)).copied();
        if let Some(doubled) = options.iter().enumerate().find(|(at, arg)| options[..*at].iter().any(|other| other.name_is(arg))) {
            let message = format!("an option of `{}` is given twice", handle.name.text);
            self.report(Diagnostic::error("E0208", message).label(doubled.1.value.span, "again here").label(span, "in this call"));
            return None;
        }
        let weights = match option("weights") {
            None => None,
            Some(arg) => match self.eval(&arg.value, scope) {
                Value::Weights(weights) => Some((weights, arg.value.span)),
                Value::None => None,
                Value::Error => return None,
                other => {
                    let message = format!("`weights` is `folder(\"…\")` or `hub(\"…\")`, not {}", other.describe());
                    self.report(Diagnostic::error("E0301", message).label(arg.value.span, "this value"));
                    return None;
                }
            },
        };
        let config = self.adapter_config(weights.as_ref())?;
        let targets = match option("targets") {
            Some(Arg { value: Expr { kind: ExprKind::Name(name), .. }, .. }) if name == ALL => Targets::All,
            Some(arg) => Targets::Named(self.part_names("targets", &arg.value, scope)?),
            None => self.stored_targets(&handle.name.text, &config, span)?,
        };
        let save = match option("save") {
            Some(arg) => self.part_names("save", &arg.value, scope)?,
            None => stored_names(&config, "modules_to_save", span),
        };
        let own: Vec<Arg> = own.into_iter().cloned().collect();
        let Value::Pending(pending) = self.pending_module(item, module, None, &own, span, scope) else { return None };
        Some(Rewrite { pending, of, targets, save, weights, config })
    }

    /// The module that a rewrite's declaration names.
    pub fn rewritten_module(&mut self, item: ItemRef) -> Option<ItemRef> {
        let handle = self.library.item(item);
        let ItemKind::Module(Module { of: Some(name), .. }) = &handle.kind else { return None };
        let found = self.library.lookup(item.file, &name.text);
        let is_module = |item: &ItemRef| match &self.library.item(*item).kind {
            ItemKind::Module(module) => matches!(module.role, ModuleRole::Module | ModuleRole::Adapter),
            _ => false,
        };
        if let Some(found) = found.filter(is_module) {
            return Some(found);
        }
        if self.library.files[item.file].lost.contains(&name.text) {
            self.reported += 1;
            return None;
        }
        let message = format!("`{}` is not a module that can be rewritten", name.text);
        let diagnostic = Diagnostic::error("E0209", message).label(name.span, "not a module");
        self.report(match super::library::Library::std_import(&name.text) {
            Some(import) if found.is_none() => {
                let added = self.library.add_import(name.span, &import);
                diagnostic.help(format!("import it: `{import}`")).fix_if(format!("Add `{import}`"), added)
            }
            _ => diagnostic.help("name a `module` that this file declares or imports: `use std::layers::basic::Linear`"),
        });
        None
    }

    /// The targets that are stored with the weights, where the program names none.
    fn stored_targets(&mut self, name: &str, config: &Json, span: Span) -> Option<Targets> {
        let targets = stored_names(config, "target_modules", span);
        if targets.is_empty() {
            let found = Diagnostic::error("E0207", format!("`{name}` needs `targets`")).label(span, "which parts?");
            self.report(found.help(format!("write `targets = [query, value]`, or `targets = {ALL}`")));
            return None;
        }
        Some(Targets::Named(targets))
    }

    /// Reports that a part's own parameter is taken from it, where the part is rewritten: what takes it would not see the change.
    pub fn used_elsewhere(&mut self, part: &str, name: &Name, place: Span) -> Value {
        let message = format!("`{part}` cannot be rewritten: its `{}` is used elsewhere too", name.text);
        let found = Diagnostic::error("E0220", message).label(name.span, "shared").label(place, "taken from a part that is rewritten");
        self.report(found.help("leave this part out of `targets`"));
        Value::Error
    }

    /// Replaces a part of a network: `base` by what the rewrite makes of it.
    pub fn rewritten(&mut self, rewrite: &Rewrite, base: &Rc<Instance>) -> Option<Rc<Instance>> {
        let (handle, of) = (self.library.item(rewrite.pending.item), self.library.item(base.item));
        let (ItemKind::Module(module), ItemKind::Module(of)) = (&handle.kind, &of.kind) else { return None };
        if let Some(member) = module.members.iter().find(|member| clashes(&member.kind, of, &member.name.text)) {
            let message = format!("`{}` has a `{}` already", self.library.item(base.item).name.text, member.name.text);
            self.report(Diagnostic::error("E0202", message).label(member.name.span, "give it another name"));
            return None;
        }
        let instance = Rc::new(Instance {
            item: rewrite.pending.item,
            path: base.path.clone(),
            key: base.key.clone(),
            keys: Vec::new(),
            shallow: false,
            env: RefCell::new(Env::default()),
            outer: RefCell::new(Vec::new()),
            repeated: Cell::new(false),
            calls: Cell::new(0),
        });
        let mut scope = Scope { file: rewrite.pending.item.file, env: Env::default(), experiment: false, instance: None };
        let mut inner: Vec<(AxisRef, AxisRef)> = Vec::new();
        let known: Vec<(String, Value)> = base.env.borrow().vars.clone();
        for param in &of.params {
            let Some((name, value)) = known.iter().find(|(name, _)| *name == param.name.text) else { continue };
            let value = match value {
                Value::Int { size, axis: Some(own) } => {
                    let axis = self.axis_beside(name, *own, base, &instance);
                    inner.push((*own, axis));
                    Value::Int { size: size.clone(), axis: Some(axis) }
                }
                Value::Tensor(_) => continue,
                other => other.clone(),
            };
            scope.env.set(name, value);
        }
        let base = Instance {
            item: base.item,
            path: join(&base.path, "base"),
            key: base.key.clone(),
            keys: base.keys.clone(),
            shallow: base.shallow,
            env: base.env.clone(),
            outer: RefCell::new(inner),
            repeated: Cell::new(false),
            calls: Cell::new(0),
        };
        scope.env.set("base", Value::Part(Rc::new(base)));
        // Of a part by itself nothing is stored.
        scope.env.set("part", Value::Str(Some(instance.key.clone()).filter(|key| !key.is_empty())));
        self.fill_instance(&rewrite.pending, &instance, scope)
    }

    /// The axis of a rewritten part for a size of the part that was there.
    fn axis_beside(&mut self, name: &str, own: AxisRef, base: &Instance, instance: &Instance) -> AxisRef {
        let info = self.axis(own).clone();
        let axis = self.new_axis(name, info.size);
        let outer = base.outer.borrow().iter().find(|(inner, _)| *inner == own).map(|(_, outer)| *outer);
        let made = &mut self.axes[axis.0 as usize];
        (made.layout, made.classes, made.origin) = (info.layout, info.classes, outer);
        self.axes[own.0 as usize].origin = Some(axis);
        instance.outer.borrow_mut().extend(outer.map(|outer| (axis, outer)));
        axis
    }

    /// A part of a network that is being made, as the rewrites of the network want it.
    pub fn place_tuned(
        &mut self,
        pending: &Pending,
        path: &str,
        key: &str,
        keys: Vec<(String, String)>,
        shallow: bool,
    ) -> Option<Rc<Instance>> {
        let whole = keys.is_empty();
        let wanted = match self.tuning.as_mut().filter(|_| whole) {
            None => None,
            Some(tuning) => match tuning.rewrite_for(pending.item, key) {
                Ok(wanted) => wanted,
                Err(both) => {
                    self.report(both);
                    return None;
                }
            },
        };
        let base = self.instantiate(pending, path, key, keys, shallow)?;
        let Some(index) = wanted else { return Some(base) };
        // What the rewrite itself is made of is not rewritten.
        let mut tuning = self.tuning.take()?;
        let made = self.rewritten_with(&mut tuning, index, &base);
        self.tuning = Some(tuning);
        made
    }

    fn rewritten_with(&mut self, tuning: &mut Tuning, index: usize, base: &Rc<Instance>) -> Option<Rc<Instance>> {
        let active = &mut tuning.rewrites[index];
        let rewrite = Rc::clone(&active.rewrite);
        let config = self.config.replace(rewrite.config.clone());
        let folder = self.weights_folder.take();
        let trainable = std::mem::replace(&mut self.trainable, true);
        let places = self
            .emission
            .as_mut()
            .map(|emission| (std::mem::replace(&mut emission.network, active.network), emission.adapter.replace(active.adapter)));
        let made = self.rewritten(&rewrite, base);
        if let (Some(emission), Some((network, adapter))) = (self.emission.as_mut(), places) {
            (emission.network, emission.adapter) = (network, adapter);
        }
        (self.trainable, self.weights_folder, self.config) = (trainable, folder, config);
        let made = made?;
        if active.layout.is_none() {
            let record = made.env.borrow().get("peft").cloned();
            active.layout = Some(record.as_ref().map_or(Json::Null, super::adapter_config::json));
            let layout = active.layout.clone().unwrap_or_default();
            self.check_adapter_config(&rewrite, &layout)?;
        }
        Some(made)
    }
}

/// The names in a list of a configuration.
fn stored_names(config: &Json, key: &str, span: Span) -> Vec<PartName> {
    let texts = config.get(key).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    texts.map(|text| PartName { text: text.to_owned(), span }).collect()
}

/// Does the module that is rewritten store something under this name as well?
fn clashes(kind: &MemberKind, of: &Module, name: &str) -> bool {
    let stores = |kind: &MemberKind| matches!(kind, MemberKind::Param { .. } | MemberKind::State { .. } | MemberKind::Part { .. });
    stores(kind) && (name == "base" || of.members.iter().any(|member| member.name.text == name && stores(&member.kind)))
}

impl Arg {
    /// Has another argument the same name?
    fn name_is(&self, other: &Self) -> bool {
        self.name.as_ref().map(|name| &name.text) == other.name.as_ref().map(|name| &name.text)
    }
}
