//! Names that can stand in an expression, and the options of calls.

use mgx_compiler::check::{FactKind, ItemRef, words};
use mgx_compiler::syntax::ast::{Expr, ExprKind, Function, Item, ItemKind, MemberKind, TypeExpr, TypeExprKind};
use mgx_compiler::syntax::walk;

use super::fields::{calls, chosen};
use super::{Completion, Place};
use crate::names::{NameKind, choices};
use crate::options::{common_options, params};
use crate::signature::param_text;
use crate::targets::part_names;

impl Place<'_, '_> {
    /// Everything that can stand in an expression here.
    pub(super) fn expressions(&self) -> Vec<Completion> {
        let mut found = self.locals();
        if self.is_in_experiment() {
            found.extend(self.of_kinds(&[NameKind::Table, NameKind::Backbone, NameKind::Adapter]));
            found.extend(
                self.of_kinds(&[NameKind::Function, NameKind::Module]).into_iter().filter(|completion| completion.import.is_none()),
            );
        } else {
            let kinds = [NameKind::Module, NameKind::Adapter, NameKind::Function, NameKind::Tokenizer, NameKind::Backbone];
            found.extend(self.seen(&kinds));
        }
        found.extend(self.builtins(4));
        found.extend(words().constants.iter().map(|name| Completion::new(name, NameKind::Builtin, 5)));
        found
    }

    pub(super) fn builtins(&self, rank: u8) -> Vec<Completion> {
        let mut found = calls(&words().functions);
        found.iter_mut().for_each(|completion| completion.rank = rank);
        found
    }

    /// Names that the experiment, module or function around binds before the place.
    fn locals(&self) -> Vec<Completion> {
        if self.is_in_experiment() {
            return self.bindings(&[]);
        }
        let Some(item) = self.item() else { return Vec::new() };
        let declared = self.program.analysis.item(item);
        let mut found = Vec::new();
        let mut add = |name: &str, kind| found.push(Completion::new(name, kind, 0));
        for param in params(self.program, item) {
            add(&param.name.text, NameKind::Parameter);
        }
        if let ItemKind::Module(module) = &declared.kind {
            for member in &module.members {
                let is_function = matches!(member.kind, MemberKind::Function(_));
                add(&member.name.text, if is_function { NameKind::Function } else { NameKind::Member });
            }
        }
        for name in self.lets(declared) {
            add(&name, NameKind::Local);
        }
        found
    }

    /// Parameters and `let`s of the function that the place is in.
    fn lets(&self, item: &Item) -> Vec<String> {
        let mut names = Vec::new();
        let mut of_function = |function: &Function, end: u32| {
            if function.body.span.start <= self.offset && self.offset <= end {
                names.extend(function.params.iter().map(|param| param.name.text.clone()));
                walk::expr(&function.body, &mut |expr| {
                    if let ExprKind::Block(bindings, _) = &expr.kind {
                        let before = bindings.iter().filter(|binding| binding.value.span.end <= self.offset);
                        names.extend(before.flat_map(|binding| binding.names.iter().map(|name| name.text.clone())));
                    }
                });
            }
        };
        match &item.kind {
            ItemKind::Function(function) => of_function(function, item.span.end),
            ItemKind::Module(module) => {
                for member in &module.members {
                    if let MemberKind::Function(function) = &member.kind {
                        of_function(function, member.span.end);
                    }
                }
            }
            _ => {}
        }
        names
    }

    /// Fields of the experiment at hand that stand before the place; of these kinds, where some are named.
    pub(super) fn bindings(&self, kinds: &[FactKind]) -> Vec<Completion> {
        let Some(body) = self.experiment() else { return Vec::new() };
        let before = body.fields.iter().filter(|field| field.span.end < self.offset && !crate::names::is_setting(&field.name.text));
        let mut found = Vec::new();
        for field in before {
            let Some(value) = self.bound(&field.name.text) else { continue };
            let fact = self.program.analysis.facts.get(&value);
            if !kinds.is_empty() && !fact.is_some_and(|fact| kinds.contains(&fact.kind)) {
                continue;
            }
            let mut completion = Completion::new(&field.name.text, NameKind::Binding, 0);
            completion.detail = fact.map(|fact| fact.shown.clone());
            found.push(completion);
        }
        found
    }

    /// The declaration that is called by a name.
    fn callee(&self, callee: &str) -> Option<ItemRef> {
        self.program.analysis.lookup(self.program.file, callee)
    }

    /// Options of a call that are not given yet.
    pub(super) fn options(&self, callee: &str) -> Vec<Completion> {
        let given = self.given_options();
        let option =
            |name: &str, detail: String| Completion::new(name, NameKind::Parameter, 0).insert(format!("{name} = $0")).detail(detail);
        let mut found: Vec<Completion> = match self.callee(callee) {
            Some(item) => {
                let own = params(self.program, item).into_iter().map(|param| option(&param.name.text, param_text(self.program, param)));
                own.chain(common_options(self.program, item).iter().map(|(name, ty)| option(name, format!("{name}: {ty}")))).collect()
            }
            None => words().options.get(callee).into_iter().flatten().map(|name| option(name, format!("option of `{callee}`"))).collect(),
        };
        found.retain(|completion| !given.contains(&completion.label));
        found
    }

    /// Names of the options that stand in the call around the place.
    fn given_options(&self) -> Vec<String> {
        let Some(item) = self.item() else { return Vec::new() };
        let mut found: Vec<String> = Vec::new();
        let mut size = u32::MAX;
        let here = |expr: &Expr| expr.span.start <= self.offset && self.offset <= expr.span.end;
        walk::each_expr(self.program.analysis.item(item), &mut |expr| {
            if let ExprKind::Call(_, args) = &expr.kind
                && here(expr)
                && expr.span.end - expr.span.start <= size
            {
                size = expr.span.end - expr.span.start;
                let named = args.iter().filter_map(|arg| arg.name.as_ref());
                let elsewhere = named.filter(|name| !(name.span.start <= self.offset && self.offset <= name.span.end));
                found = elsewhere.map(|name| name.text.clone()).collect();
            }
        });
        found
    }

    /// Values that stand in a call without a name.
    pub(super) fn positional(&self, callee: &str) -> Vec<Completion> {
        if words().columns.contains(&callee) || words().sources.contains(&callee) || ["random", "folds"].contains(&callee) {
            return Vec::new();
        }
        let mut found = self.expressions();
        for completion in &mut found {
            completion.rank += 2;
        }
        found
    }

    /// After `option =` in a call.
    pub(super) fn option_values(&self, callee: &str, option: &str) -> Vec<Completion> {
        match (callee, option) {
            ("random" | "folds", "stratify" | "group") | ("class" | "contacts", "each") => return self.own_columns(),
            ("random" | "folds", "like") => return chosen(&["mgx", "numpy"]),
            (_, "format") => return chosen(&words().choices.remove("format").unwrap_or_default()),
            (_, "empty") => return chosen(&["allow", "error"]),
            (_, "mismatches") => return chosen(&["error", "keep"]),
            _ => {}
        }
        let Some(item) = self.callee(callee) else { return self.expressions() };
        let in_list = matches!(self.cursor.frames.last(), Some(crate::cursor::Frame::List));
        if ["targets", "save", "frozen"].contains(&option) {
            let mut found = self.stored_parts(item, option, in_list);
            if option == "frozen" && !in_list {
                found.iter_mut().for_each(|completion| completion.rank = 1);
                found.extend(chosen(&["true", "false"]));
            }
            return found;
        }
        if option == "weights" {
            return calls(&["folder", "hub"]);
        }
        let own = params(self.program, item).into_iter().find(|param| param.name.text == option);
        if let Some(ty) = own.and_then(|param| param.ty.as_ref()) {
            let found = typed(ty);
            if !found.is_empty() {
                return found;
            }
        }
        match common_options(self.program, item).iter().find(|(name, _)| *name == option) {
            Some((_, "bool")) => chosen(&["true", "false"]),
            Some((_, ty)) if ty.starts_with("enum(") => {
                let words = ty.trim_start_matches("enum(").trim_end_matches(')');
                chosen(&words.split(", ").collect::<Vec<_>>())
            }
            _ => self.expressions(),
        }
    }

    /// Columns of the table that the place is in.
    fn own_columns(&self) -> Vec<Completion> {
        match self.item().map(|item| &self.program.analysis.item(item).kind) {
            Some(ItemKind::Data(data)) => self.columns(data),
            _ => Vec::new(),
        }
    }

    /// Parts of the network at hand by their stored names: for a rewrite, those that it can change.
    fn stored_parts(&self, callee: ItemRef, option: &str, in_list: bool) -> Vec<Completion> {
        let of = match &self.program.analysis.item(callee).kind {
            ItemKind::Module(module) => module.of.as_ref().and_then(|of| self.program.analysis.lookup(callee.file, &of.text)),
            _ => None,
        };
        let is_backbone = |name: &str| {
            let item = self.bound(name).and_then(|value| self.program.analysis.facts.get(&value)?.item).or_else(|| self.callee(name));
            item.filter(|item| matches!(self.program.analysis.item(*item).kind, ItemKind::Backbone(_)))
        };
        let Some(backbone) = self.cursor.statement.iter().rev().find_map(|name| is_backbone(name)) else { return Vec::new() };
        let names = part_names(self.program, backbone, if option == "targets" { of } else { None });
        let mut found: Vec<Completion> = names.iter().map(|name| Completion::new(name, NameKind::Choice, 0)).collect();
        if !in_list {
            found.iter_mut().for_each(|completion| completion.insert = format!("[{}$0]", completion.label));
            if option == "targets" {
                found.push(Completion::new("all_linear", NameKind::Choice, 1));
            }
        }
        found
    }
}

/// The words of a type that has few values.
fn typed(ty: &TypeExpr) -> Vec<Completion> {
    let words = choices(ty);
    if !words.is_empty() {
        return chosen(&words);
    }
    match &ty.kind {
        TypeExprKind::Optional(inner) => typed(inner),
        TypeExprKind::Named { name, .. } if name.text == "bool" => chosen(&["true", "false"]),
        TypeExprKind::Named { name, .. } if name.text == "init" => {
            calls(&["normal", "uniform", "constant"]).into_iter().chain(chosen(&["zeros", "ones"])).collect()
        }
        _ => Vec::new(),
    }
}
