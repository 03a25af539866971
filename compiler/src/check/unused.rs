//! What is declared, imported or named in a file and never used: warnings, where nothing is wrong with the file.
//!
//! A name that begins with `_` is meant not to be used. A file without experiments is there for others and is not looked at; and what a
//! comment of the file names may be put in from the command line (`--set encoder=…`).

use std::collections::BTreeSet;

use mgx_diag::{Diagnostic, Edit};

use super::Checker;
use crate::syntax::ast::{
    Arg, AxisExpr, Body, Expr, ExprKind, FieldKind, File, Function, Item, ItemKind, Member, MemberKind, Module, ModuleRole, Name, Param,
    TypeExprKind, Use,
};
use crate::syntax::walk;

/// Fields of an experiment that mean something by themselves.
const OWN_FIELDS: [&str; 3] = ["seed", "precision", "task"];
/// Members of a task that mean something by themselves.
const TASK_MEMBERS: [&str; 2] = ["loss", "weight"];

impl Checker<'_> {
    /// Warns of what a file never uses.
    pub fn report_unused(&mut self, ast: &File) {
        let mut uses = Uses::default();
        ast.items.iter().for_each(|item| uses.item(item));
        let comments = ast.items.first().map(|item| words_of_comments(self.library.sources.text(item.span.file))).unwrap_or_default();
        let is_used = |name: &Name| name.text.starts_with('_') || uses.names.contains(name.text.as_str()) || comments.contains(&name.text);
        if !ast.items.iter().any(|item| matches!(item.kind, ItemKind::Experiment(_))) {
            return;
        }
        for item in &ast.uses {
            self.unused_imports(item, &is_used);
        }
        for item in ast.items.iter().filter(|item| !matches!(item.kind, ItemKind::Experiment(_)) && !is_used(&item.name)) {
            self.unused_item(item);
        }
        for item in &ast.items {
            match &item.kind {
                ItemKind::Module(module) => self.unused_in_module(item, module, &uses),
                ItemKind::Function(function) => self.unused_in_function(function),
                ItemKind::Backbone(backbone) => self.unused_params(&backbone.params, &Uses::of(item)),
                ItemKind::Experiment(experiment) => {
                    self.unused_params(&experiment.params, &uses);
                    // Those of another experiment are changed, and used by what is taken over from it.
                    if experiment.base.is_none() && !uses.bases.contains(item.name.text.as_str()) {
                        self.unused_fields(&experiment.body);
                    }
                }
                ItemKind::Data(_) | ItemKind::Tokenizer(_) => {}
            }
        }
    }

    fn unused_imports(&mut self, item: &Use, is_used: &dyn Fn(&Name) -> bool) {
        let unused: Vec<&Name> = item.names.iter().map(|wanted| wanted.alias.as_ref().unwrap_or(&wanted.name)).collect();
        let unused: Vec<&Name> = unused.into_iter().filter(|name| !is_used(name)).collect();
        for name in &unused {
            let edit = if unused.len() == item.names.len() {
                self.library.without_line(item.span)
            } else {
                self.library.without_argument(name.span)
            };
            let diagnostic = Diagnostic::warning("W0201", format!("`{}` is imported and never used", name.text));
            self.report(diagnostic.label(name.span, "never used").help("remove it").fix("Remove the import", edit));
        }
    }

    fn unused_item(&mut self, item: &Item) {
        let (code, what) = match &item.kind {
            ItemKind::Data(_) => ("W0202", "the table"),
            ItemKind::Function(_) => ("W0203", "the function"),
            ItemKind::Backbone(_) => ("W0203", "the backbone"),
            ItemKind::Tokenizer(_) => ("W0203", "the tokenizer"),
            _ => ("W0203", "the module"),
        };
        let diagnostic = Diagnostic::warning(code, format!("no experiment uses {what} `{}`", item.name.text));
        self.report(silenced(diagnostic.label(item.name.span, "never used"), &item.name));
    }

    fn unused_params(&mut self, params: &[Param], uses: &Uses<'_>) {
        let is_unused = |param: &&Param| {
            let name = param.name.text.as_str();
            !name.starts_with('_') && !uses.names.contains(name) && !binds_axes(param)
        };
        for param in params.iter().filter(is_unused) {
            let diagnostic = Diagnostic::warning("W0205", format!("the parameter `{}` is never used", param.name.text));
            self.report(silenced(diagnostic.label(param.name.span, "never used"), &param.name));
        }
    }

    fn unused_fields(&mut self, body: &Body) {
        for (place, field) in body.fields.iter().enumerate() {
            let FieldKind::Value(_) = &field.kind else { continue };
            if OWN_FIELDS.contains(&field.name.text.as_str()) {
                continue;
            }
            let mut others = Uses::default();
            for (_, other) in body.fields.iter().enumerate().filter(|(other, _)| *other != place) {
                others.fields(std::slice::from_ref(other));
            }
            self.unused_binding(&field.name, &others);
        }
    }

    fn unused_binding(&mut self, name: &Name, uses: &Uses<'_>) {
        if name.text.starts_with('_') || uses.names.contains(name.text.as_str()) {
            return;
        }
        let diagnostic = Diagnostic::warning("W0204", format!("`{}` is never used", name.text));
        self.report(silenced(diagnostic.label(name.span, "set here"), name));
    }

    fn unused_in_module(&mut self, item: &Item, module: &Module, file: &Uses<'_>) {
        // An optimizer has its learning rate for whoever reads it there.
        let params: Vec<Param> =
            module.params.iter().filter(|param| module.role != ModuleRole::Optimizer || param.name.text != "lr").cloned().collect();
        self.unused_params(&params, &Uses::of(item));
        for (place, member) in module.members.iter().enumerate() {
            if let MemberKind::Function(function) = &member.kind {
                self.unused_in_function(function);
            }
            if !is_binding(module, member) || file.members.contains(member.name.text.as_str()) {
                continue;
            }
            let mut others = Uses { arguments: true, ..Uses::default() };
            for other in module.members.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, other)| other) {
                walk::member(other, &mut |expr| others.expr(expr));
            }
            self.unused_binding(&member.name, &others);
        }
    }

    fn unused_in_function(&mut self, function: &Function) {
        let mut uses = Uses::default();
        walk::function(function, &mut |expr| uses.expr(expr));
        self.unused_params(&function.params, &uses);
        let mut unused = Vec::new();
        walk::expr(&function.body, &mut |expr| {
            if let ExprKind::Block(bindings, result) = &expr.kind {
                for (place, binding) in bindings.iter().enumerate() {
                    let mut later = Uses::default();
                    bindings[place + 1..].iter().map(|binding| &binding.value).chain([&**result]).for_each(|expr| later.all(expr));
                    let names = binding.names.iter().filter(|name| !name.text.starts_with('_'));
                    unused.extend(names.filter(|name| !later.names.contains(name.text.as_str())).cloned());
                }
            }
        });
        for name in unused {
            self.unused_binding(&name, &Uses::default());
        }
    }
}

/// Is a member of a module there for other members alone?
fn is_binding(module: &Module, member: &Member) -> bool {
    match &member.kind {
        MemberKind::Let(_) | MemberKind::Param { .. } | MemberKind::State { .. } => true,
        // A second name of a part is there for checkpoints.
        MemberKind::Part { value, .. } => {
            let is_own = module.role == ModuleRole::Task && TASK_MEMBERS.contains(&member.name.text.as_str());
            !(is_own || matches!(value.kind, ExprKind::Member(..)))
        }
        MemberKind::Output(_) | MemberKind::Metric(_) | MemberKind::Function(_) => false,
    }
}

/// A tensor may be there for the axes that its type names.
fn binds_axes(param: &Param) -> bool {
    let Some(TypeExprKind::Named { axes: Some(axes), .. }) = param.ty.as_ref().map(|ty| &ty.kind) else { return false };
    axes.iter().any(|axis| matches!(axis, AxisExpr::Size(_)))
}

fn silenced(diagnostic: Diagnostic, name: &Name) -> Diagnostic {
    let silent = format!("_{}", name.text);
    let edit = Edit::before(name.span, "_");
    diagnostic.help(format!("remove it, or call it `{silent}` if that is meant")).fix(format!("Call it `{silent}`"), edit)
}

/// The names that expressions use.
#[derive(Default)]
struct Uses<'a> {
    names: BTreeSet<&'a str>,
    /// Names after a dot.
    members: BTreeSet<&'a str>,
    /// Experiments that others are made from.
    bases: BTreeSet<&'a str>,
    /// Do the names of arguments count (`remember(y, running = value)`)?
    arguments: bool,
}

impl<'a> Uses<'a> {
    fn of(item: &'a Item) -> Self {
        let mut uses = Self::default();
        uses.item(item);
        uses
    }

    fn item(&mut self, item: &'a Item) {
        match &item.kind {
            ItemKind::Module(Module { of: Some(of), .. }) => {
                self.names.insert(&of.text);
            }
            ItemKind::Experiment(experiment) => {
                self.bases.extend(experiment.base.iter().map(|base| base.name.text.as_str()));
                self.names.extend(experiment.base.iter().map(|base| base.name.text.as_str()));
            }
            _ => {}
        }
        walk::each_expr(item, &mut |expr| self.expr(expr));
    }

    fn fields(&mut self, fields: &'a [crate::syntax::ast::Field]) {
        for field in fields {
            match &field.kind {
                FieldKind::Value(value) => self.all(value),
                FieldKind::Typed { .. } => {}
                FieldKind::Block(inner) => walk::body(inner, &mut |expr| self.expr(expr)),
            }
        }
    }

    /// An expression with all within it.
    fn all(&mut self, expr: &'a Expr) {
        walk::expr(expr, &mut |inner| self.expr(inner));
    }

    /// An expression by itself.
    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Name(name) => {
                self.names.insert(name);
            }
            ExprKind::Member(_, name) => {
                self.members.insert(&name.text);
            }
            ExprKind::Str(text) => self.names.extend(names_in_braces(text)),
            ExprKind::Call(_, args) if self.arguments => {
                self.names.extend(args.iter().filter_map(|arg: &Arg| arg.name.as_ref()).map(|name| name.text.as_str()));
            }
            _ => {}
        }
    }
}

/// `i` of `"layer.{i}"`.
fn names_in_braces(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

/// The words of a text that stand in comments.
fn words_of_comments(text: &str) -> BTreeSet<String> {
    let comments = text.lines().filter_map(|line| line.split_once("//")).map(|(_, comment)| comment);
    let words = comments.flat_map(|comment| comment.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
