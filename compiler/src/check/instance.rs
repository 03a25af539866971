//! Parts: modules with arguments, placed in the program with their parameters.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, GraphParam, Node, Op, ParamId, Type};
use mgx_ir::plan::Init;

use super::axes::{Given, tensor_type};
use super::call::Args;
use super::expr::Scope;
use super::library::ItemRef;
use super::size::Size;
use super::value::{AxisRef, Env, Instance, Pending, Tensor, Value};
use super::{Checker, ParamInfo};
use crate::syntax::ast::{Arg, Expr, ExprKind, ItemKind, Member, MemberKind, Module, ModuleRole, Name, Param, Repeat};

/// `a.b`, or whichever is not empty.
pub fn join(path: &str, name: &str) -> String {
    match (path.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => path.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

/// Where a parameter or a state stands.
struct Place {
    /// In the program.
    path: String,
    /// In the checkpoint.
    key: String,
    state: bool,
}

impl Checker<'_> {
    /// A call of a module: its arguments are bound; it gets its place later.
    pub fn pending_module(
        &mut self,
        item: ItemRef,
        module: &Module,
        first: Option<(Value, Span)>,
        args: &[Arg],
        span: Span,
        scope: &mut Scope,
    ) -> Value {
        let args = self.eval_args_for(&module.params, first, args, scope);
        self.pending_with(item, &module.params, args, span)
    }

    pub fn pending_with(&mut self, item: ItemRef, params: &[Param], args: Args, span: Span) -> Value {
        let name = self.library.item(item).name.text.clone();
        // What is wrong with one argument says nothing of the others: all are looked at.
        let named = args.clone();
        let Some(slots) = self.arrange(&name, params, args, span) else {
            for (name, value, place) in named {
                if let Some(param) = name.and_then(|name| params.iter().find(|param| param.name.text == name.text)) {
                    self.coerce(&param.name.text, value, param.ty.as_ref(), place);
                }
            }
            return Value::Error;
        };
        let mut bound = Vec::new();
        let mut ok = true;
        for (param, slot) in params.iter().zip(slots) {
            let Some((value, place)) = slot else { continue };
            let value = self.coerce(&param.name.text, value, param.ty.as_ref(), place);
            ok &= !value.is_error();
            bound.push((param.name.text.clone(), value, place));
        }
        if !ok {
            return Value::Error;
        }
        Value::Pending(Rc::new(Pending { item, args: bound, span, name: RefCell::new(None), instance: RefCell::new(None) }))
    }

    /// Reports options that a part needs and that no input could tell, where its input is not known.
    pub fn missing_options(&mut self, pending: &Pending) {
        use super::axes::tensor_type;
        use crate::syntax::ast::AxisExpr;
        let handle = self.library.item(pending.item);
        let ItemKind::Module(module) = &handle.kind else { return };
        let forward = module.members.iter().find_map(|member| match &member.kind {
            MemberKind::Function(function) if member.name.text == "forward" => Some(function),
            _ => None,
        });
        let types = forward.into_iter().flat_map(|function| &function.params).filter_map(|param| param.ty.as_ref());
        let axes: Vec<&AxisExpr> = types.filter_map(tensor_type).flat_map(|(_, axes)| axes).collect();
        let told =
            |name: &str| axes.iter().any(|axis| matches!(axis, AxisExpr::Size(size) if size.kind == ExprKind::Name(name.to_owned())));
        for param in module.params.iter().filter(|param| param.default.is_none() && !told(&param.name.text)) {
            if !pending.args.iter().any(|(name, ..)| *name == param.name.text) {
                self.missing_argument(&handle.name.text, &param.name, pending.span);
            }
        }
    }

    /// Places a module at a path: binds its parameters, checks its conditions, makes its members.
    pub fn instantiate(
        &mut self,
        pending: &Pending,
        path: &str,
        key: &str,
        keys: Vec<(String, String)>,
        shallow: bool,
    ) -> Option<Rc<Instance>> {
        self.depth += 8;
        let before = self.enter_part(key);
        let instance = if self.goes_on(pending.span) { self.instantiate_bounded(pending, path, key, keys, shallow) } else { None };
        self.leave_part(before);
        self.depth -= 8;
        instance
    }

    fn instantiate_bounded(
        &mut self,
        pending: &Pending,
        path: &str,
        key: &str,
        keys: Vec<(String, String)>,
        shallow: bool,
    ) -> Option<Rc<Instance>> {
        let handle = self.library.item(pending.item);
        let ItemKind::Module(module) = &handle.kind else { return None };
        let members = module.members.iter().map(|member| &member.name);
        // In a task, a `let` may help the `loss` of the same name, and an output and its metric share theirs.
        if module.role != ModuleRole::Task && !self.unique_names(members) {
            return None;
        }
        if let Some((name, _)) = keys.iter().find(|(name, _)| !module.members.iter().any(|member| member.name.text == *name)) {
            let diagnostic = Diagnostic::error("E0205", format!("`{}` has no part `{name}`", handle.name.text));
            self.report(diagnostic.label(pending.span, format!("a key is given for `{name}`")).label(handle.name.span, "declared here"));
            return None;
        }
        let instance = Rc::new(Instance {
            item: pending.item,
            path: path.to_owned(),
            key: key.to_owned(),
            keys,
            shallow,
            env: RefCell::new(Env::default()),
            outer: RefCell::new(Vec::new()),
            repeated: Cell::new(false),
            calls: Cell::new(0),
        });
        let scope = Scope { file: pending.item.file, env: Env::default(), experiment: false, instance: None };
        self.fill_instance(pending, &instance, scope)
    }

    /// Gives a part its parameters and its members. `scope` may have names already.
    pub fn fill_instance(&mut self, pending: &Pending, instance: &Rc<Instance>, mut scope: Scope) -> Option<Rc<Instance>> {
        let handle = self.library.item(pending.item);
        let ItemKind::Module(module) = &handle.kind else { return None };
        let mut bound: Vec<AxisRef> = Vec::new();
        for param in &module.params {
            let given = pending.args.iter().find(|(name, ..)| *name == param.name.text);
            let (value, place) = match (given, &param.default) {
                (Some((_, value, place)), _) => (value.clone(), *place),
                (None, Some(default)) => {
                    let value = self.eval_typed(default, param.ty.as_ref(), &mut scope);
                    (self.coerce(&param.name.text, value, param.ty.as_ref(), default.span), default.span)
                }
                (None, None) => {
                    self.missing_argument(&handle.name.text, &param.name, pending.span);
                    return None;
                }
            };
            let value = match value {
                Value::Error => return None,
                Value::Int { size, axis } => {
                    let inner = self.new_axis(&param.name.text, size.clone());
                    if let Some(outer) = axis {
                        self.axes[inner.0 as usize].origin = Some(outer);
                        self.axes[inner.0 as usize].layout = self.axis(outer).layout;
                        self.axes[inner.0 as usize].classes = self.axis(outer).classes.clone();
                        instance.outer.borrow_mut().push((inner, outer));
                    }
                    Value::Int { size, axis: Some(inner) }
                }
                Value::Tensor(tensor) => match param.ty.as_ref().and_then(tensor_type) {
                    Some((_, axes)) => Value::Tensor(self.match_axes(
                        axes,
                        Given { tensor: &tensor, span: place, param: &param.name },
                        &mut scope,
                        Some(instance),
                        &mut bound,
                    )?),
                    None => Value::Tensor(tensor),
                },
                other => other,
            };
            scope.env.set(&param.name.text, value);
        }
        for condition in &module.conditions {
            if !self.hold(condition, &mut scope, pending.span) {
                return None;
            }
        }
        let mut ok = true;
        for member in &module.members {
            ok &= self.member_value(member, instance, &mut scope);
        }
        *instance.env.borrow_mut() = scope.env;
        ok.then(|| Rc::clone(instance))
    }

    /// Makes one member; false if that failed.
    fn member_value(&mut self, member: &Member, instance: &Rc<Instance>, scope: &mut Scope) -> bool {
        let name = &member.name.text;
        let value = match &member.kind {
            MemberKind::Let(expr) => {
                let value = self.eval(expr, scope);
                self.named_size(name, value)
            }
            MemberKind::Function(_) | MemberKind::Output(_) | MemberKind::Metric(_) => return true,
            // In a task, `loss = …` is evaluated when the task is.
            MemberKind::Part { .. } if self.role_of(instance.item) == Some(ModuleRole::Task) => return true,
            _ if instance.shallow => return true,
            MemberKind::Param { ty, init, condition, at } => {
                if let Some(condition) = condition {
                    match self.eval(condition, scope) {
                        Value::Bool(Some(false)) => {
                            scope.env.set(name, Value::Absent);
                            return true;
                        }
                        Value::Error => return false,
                        _ => {}
                    }
                }
                let init = match init {
                    None => Value::Init(Init::Constant(0.0)),
                    Some(init) => self.eval(init, scope),
                };
                let Some(key) = self.member_key(instance, at.as_ref(), name, scope) else { return false };
                let place = Place { path: join(&instance.path, name), key: join(&instance.key, &key), state: false };
                self.parameter(ty, &init, init_span(member), place, scope)
            }
            // An optimizer's state comes to its update as an argument.
            MemberKind::State { .. } if self.role_of(instance.item) == Some(ModuleRole::Optimizer) => return true,
            MemberKind::State { .. } if matches!(self.role_of(instance.item), Some(ModuleRole::Task | ModuleRole::Schedule)) => {
                self.report(
                    Diagnostic::error("E0211", "state is for networks and optimizers")
                        .label(member.span, "kept by nobody here")
                        .help("what is kept from step to step belongs to a `module`, an `adapter` or an `optimizer`"),
                );
                return false;
            }
            MemberKind::State { ty, init, at } => {
                let init = match init {
                    None => Value::Init(Init::Constant(0.0)),
                    Some(init) => self.eval(init, scope),
                };
                let Some(key) = self.key(at.as_ref(), name, scope) else { return false };
                let place = Place { path: join(&instance.path, name), key: join(&instance.key, &key), state: true };
                self.parameter(ty, &init, init_span(member), place, scope)
            }
            MemberKind::Part { repeat, value, condition, at } => {
                if let Some(condition) = condition {
                    match self.eval(condition, scope) {
                        Value::Bool(Some(false)) => {
                            scope.env.set(name, Value::Absent);
                            return true;
                        }
                        Value::Error => return false,
                        _ => {}
                    }
                }
                match repeat {
                    Some(repeat) => self.repeated(name, repeat, value, at.as_ref(), instance, scope),
                    None => {
                        let part = self.eval(value, scope);
                        let Some((key, keys)) = self.part_keys(instance, at.as_ref(), name, scope) else { return false };
                        self.place(part, &join(&instance.path, name), &join(&instance.key, &key), keys)
                    }
                }
            }
        };
        let ok = !value.is_error();
        scope.env.set(name, value);
        ok
    }

    fn role_of(&self, item: ItemRef) -> Option<ModuleRole> {
        match &self.library.item(item).kind {
            ItemKind::Module(module) => Some(module.role),
            _ => None,
        }
    }

    /// A part that is written without a place gets one; other values stay what they are (`decoder = embedding.weight`).
    fn place(&mut self, part: Value, path: &str, key: &str, keys: Vec<(String, String)>) -> Value {
        match part {
            Value::Pending(pending) => {
                let shallow = self.emission.is_none();
                self.place_tuned(&pending, path, key, keys, shallow).map_or(Value::Error, Value::Part)
            }
            other => other,
        }
    }

    fn repeated(
        &mut self,
        name: &str,
        repeat: &Repeat,
        value: &Expr,
        at: Option<&Expr>,
        instance: &Rc<Instance>,
        scope: &mut Scope,
    ) -> Value {
        let count = match self.eval(&repeat.count, scope) {
            Value::Int { size, .. } => match self.facts.apply(&size).as_constant() {
                Some(count) if count < 0 => {
                    self.report(
                        Diagnostic::error("E0317", format!("a part cannot be repeated {count} times"))
                            .label(repeat.count.span, "less than zero"),
                    );
                    return Value::Error;
                }
                count => count,
            },
            Value::Error => return Value::Error,
            other => {
                self.report(
                    Diagnostic::error("E0304", format!("a number of repetitions is an integer, not {}", other.describe()))
                        .label(repeat.count.span, "this value"),
                );
                return Value::Error;
            }
        };
        // Checked by itself, a module has an unknown number of parts: one stands for all.
        let known = count.unwrap_or(1);
        let mut parts = Vec::new();
        for index in 0..known {
            if !self.goes_on(repeat.span) {
                return Value::Error;
            }
            let depth = scope.env.vars.len();
            if let Some(index_name) = &repeat.index {
                scope.env.set(
                    &index_name.text,
                    if count.is_some() { Value::int(index) } else { Value::Int { size: self.unknown_size(&index_name.text), axis: None } },
                );
            }
            let part = self.eval(value, scope);
            let key = match at {
                None => Some((format!("{name}.{index}"), Vec::new())),
                Some(_) => self.part_keys(instance, at, name, scope),
            };
            scope.env.vars.truncate(depth);
            let Some((key, keys)) = key else { return Value::Error };
            match self.place(part, &format!("{}[{index}]", join(&instance.path, name)), &join(&instance.key, &key), keys) {
                Value::Part(part) => {
                    part.repeated.set(true);
                    parts.push(part);
                }
                Value::Error => return Value::Error,
                other => {
                    self.report(
                        Diagnostic::error("E0312", format!("{} cannot be repeated", other.describe())).label(value.span, "not a part"),
                    );
                    return Value::Error;
                }
            }
        }
        Value::Parts(Rc::new(parts))
    }

    /// The key of a member: the one that the whole gives it, or its own.
    fn member_key(&mut self, instance: &Instance, at: Option<&Expr>, name: &str, scope: &mut Scope) -> Option<String> {
        match instance.keys.iter().find(|(member, _)| member == name) {
            Some((_, key)) => Some(key.clone()),
            None => self.key(at, name, scope),
        }
    }

    /// The key of a part, and those that it gives to its members: `at { up: "up_{e}", down: "down_{e}" }` adds nothing of its own.
    fn part_keys(
        &mut self,
        instance: &Instance,
        at: Option<&Expr>,
        name: &str,
        scope: &mut Scope,
    ) -> Option<(String, Vec<(String, String)>)> {
        let Some(Expr { kind: ExprKind::Record(entries), .. }) = at else {
            return Some((self.member_key(instance, at, name, scope)?, Vec::new()));
        };
        let mut keys = Vec::new();
        for (member, expr) in entries {
            keys.push((member.text.clone(), self.key(Some(expr), &member.text, scope)?));
        }
        Some((String::new(), keys))
    }

    /// The key in the checkpoint: the text after `at`, or the member's name.
    fn key(&mut self, at: Option<&Expr>, name: &str, scope: &mut Scope) -> Option<String> {
        match at {
            None => Some(name.to_owned()),
            Some(expr) => match self.eval(expr, scope) {
                Value::Str(Some(text)) => Some(text),
                Value::Str(None) => Some(String::new()),
                Value::Error => None,
                other => {
                    self.report(
                        Diagnostic::error("E0301", format!("`at` takes a text, not {}", other.describe())).label(expr.span, "this value"),
                    );
                    None
                }
            },
        }
    }

    fn parameter(&mut self, ty: &crate::syntax::ast::TypeExpr, init: &Value, init_span: Span, place: Place, scope: &mut Scope) -> Value {
        let Place { path, key, state } = place;
        let Some((DType::F32, entries)) = tensor_type(ty) else {
            self.report(Diagnostic::error("E0301", "a parameter is a tensor `f[…]`").label(ty.span, "this type"));
            return Value::Error;
        };
        let mut start = None;
        let init = match init {
            Value::Init(init) => *init,
            Value::Tensor(tensor) if !tensor.per_sample && tensor.dtype == DType::F32 => {
                start = Some(tensor.clone());
                Init::Constant(0.0)
            }
            Value::Error => return Value::Error,
            Value::Float(None) => Init::Constant(0.0),
            other => {
                self.report(
                    Diagnostic::error("E0301", format!("a parameter starts from an initialisation, not {}", other.describe()))
                        .label(init_span, "this value")
                        .help("write `zeros`, `ones`, `constant(c)`, `normal(std)`, `uniform(bound)` or `identity(scale)`"),
                );
                return Value::Error;
            }
        };
        let Some(axes) = self.declared_axes(entries, scope, true) else { return Value::Error };
        let axes: Vec<AxisRef> = axes.into_iter().flatten().collect();
        self.span = ty.span;
        let shown: Vec<String> = axes.iter().map(|axis| self.axis(*axis).name.clone()).collect();
        let sizes: Vec<Option<u64>> =
            axes.iter().map(|axis| self.axis_size(*axis).as_constant().and_then(|size| u64::try_from(size).ok())).collect();
        let spans = vec![self.span];
        let frozen = self.tuning.as_mut().is_some_and(|tuning| tuning.freezes(&key));
        let trainable = self.trainable && !state && !frozen;
        let graph_axes: Option<Vec<_>> = axes.iter().map(|axis| self.axis(*axis).graph).collect();
        let span = ty.span;
        if self.emission.is_none() {
            return if self.possible_axes(&axes) {
                Value::Tensor(Tensor { dtype: DType::F32, axes, per_sample: false, node: None })
            } else {
                Value::Error
            };
        }
        let (Some(graph_axes), Some(shape)) = (graph_axes, sizes.into_iter().collect::<Option<Vec<u64>>>()) else {
            let diagnostic = self.ragged_parameter(Some(&axes), span);
            self.report(diagnostic);
            return Value::Error;
        };
        if !self.possible_axes(&axes) {
            return Value::Error;
        }
        let Some(emission) = self.emission.as_mut() else { return Value::Error };
        let id = ParamId(emission.graph.params.len() as u32);
        let has_weights = emission.network.is_some();
        emission.graph.params.push(GraphParam { path: path.clone(), axes: graph_axes.clone(), trainable });
        emission.params.push(ParamInfo {
            path,
            key,
            axes: shown,
            shape,
            init,
            trainable,
            state,
            chosen: None,
            network: emission.network,
            adapter: emission.adapter,
            from_epoch: 0,
        });
        let ty = Type { dtype: DType::F32, axes: graph_axes, per_sample: false };
        let node = emission.graph.add_node(Node { op: Op::Param(id), inputs: Vec::new(), ty, path: None, spans });
        if let Some(start) = start.filter(|_| !has_weights)
            && self.starts_from(id, &axes, &start, init_span).is_none()
        {
            return Value::Error;
        }
        Value::Tensor(Tensor { dtype: DType::F32, axes, per_sample: false, node: Some(node) })
    }

    /// Notes that a parameter starts from a value that is computed from others.
    fn starts_from(&mut self, id: ParamId, axes: &[AxisRef], start: &Tensor, span: Span) -> Option<()> {
        if start.axes.len() != axes.len() || !axes.iter().all(|axis| start.axes.contains(axis)) {
            let shown = self.show_tensor(start);
            self.report(Diagnostic::error("E0401", "a parameter starts from a value with its own axes").label(span, format!("is {shown}")));
            return None;
        }
        let start = self.permute(start, axes.to_vec());
        self.emission.as_mut()?.starts.insert(id, start.node?);
        Some(())
    }

    /// What is said of a parameter whose size, or whose start, depends on the length of a sample: which columns are to blame, and what helps. Axes without such a
    /// size have one that no axis can have.
    pub fn ragged_parameter(&self, axes: Option<&[AxisRef]>, span: Span) -> Diagnostic {
        let part = self.library.item_at(span).map_or_else(|| "a part".to_owned(), |(name, _)| format!("`{name}`"));
        let sizes: Vec<Size> = axes.into_iter().flatten().map(|axis| self.axis_size(*axis)).collect();
        if axes.is_some() && !sizes.iter().any(Size::is_ragged) {
            let impossible =
                sizes.iter().find(|size| size.as_constant().is_none_or(|size| size < 0)).map_or_else(String::new, Size::to_string);
            return Diagnostic::error("E0407", format!("a parameter of {part} has the impossible size {impossible}"))
                .label(span, "this parameter");
        }
        let message = format!("the parameters of {part} depend on the length of a sequence, which differs from sample to sample");
        let mut diagnostic = Diagnostic::error("E0403", message).label(span, "parameters are the same for all samples");
        let lengths = axes.map(|_| sizes.iter().flat_map(Size::lengths).collect::<Vec<_>>());
        for (name, word, place) in self.ragged_columns(lengths.as_deref()) {
            diagnostic = diagnostic.label(place, format!("the sequences of `{name}` may differ in length"));
            diagnostic = diagnostic.help(format!(
                "if they all have one length, promise it: `{name}: {word}(length = 60)`; if not, use a part that pools over the sequence"
            ));
        }
        diagnostic
    }

    /// A member of a part of which only the signature is known.
    pub fn declared_member(&mut self, instance: &Rc<Instance>, name: &Name) -> Value {
        let handle = self.library.item(instance.item);
        let ItemKind::Module(module) = &handle.kind else { return Value::Error };
        let Some(member) = module.members.iter().find(|member| member.name.text == name.text) else {
            let known: Vec<&str> = module.members.iter().map(|member| member.name.text.as_str()).collect();
            let mut diagnostic =
                Diagnostic::error("E0205", format!("`{}` has no part `{}`", handle.name.text, name.text)).label(name.span, "not found");
            if let Some(near) = mgx_diag::nearest(&name.text, known) {
                diagnostic = diagnostic.did_you_mean(name.span, near);
            }
            self.report(diagnostic);
            return Value::Error;
        };
        let mut scope = Scope { file: instance.item.file, env: instance.env.borrow().clone(), experiment: false, instance: None };
        match &member.kind {
            MemberKind::Param { ty, .. } | MemberKind::State { ty, .. } => {
                let value = self.declared_value(ty, &mut scope, false);
                if let Value::Tensor(tensor) = &value {
                    let outer = instance.outer.borrow().clone();
                    let pairs: Vec<_> =
                        tensor.axes.iter().filter_map(|axis| outer.iter().find(|(inner, _)| inner == axis).copied()).collect();
                    return Value::Tensor(self.rename(tensor, &pairs));
                }
                value
            }
            MemberKind::Part { value, repeat: None, .. } => {
                let part = self.eval(value, &mut scope);
                self.place(part, "", "", Vec::new())
            }
            _ => Value::Error,
        }
    }
}

fn init_span(member: &Member) -> Span {
    match &member.kind {
        MemberKind::Param { init: Some(init), .. } | MemberKind::State { init: Some(init), .. } => init.span,
        _ => member.span,
    }
}
