//! Fields of braces and what they choose among.

use mgx_compiler::check::{ItemRef, words};
use mgx_compiler::syntax::ast::{Body, Expr, ExprKind, FieldKind, ItemKind, MemberKind};

use super::{Completion, Place};
use crate::names::NameKind;

/// What begins a declaration.
pub fn declarations() -> Vec<Completion> {
    let snippets = [
        ("use", "use std::$0", "a name of another file"),
        ("data", "data $0 = table(\"\") {\n}", "a table"),
        ("experiment", "experiment $0 {\n}", "an experiment"),
        ("module", "module $0() {\n}", "a network"),
        ("adapter", "adapter $0() {\n}", "a network on top of a backbone"),
        ("backbone", "backbone $0: () {\n}", "a network that reads a column"),
        ("task", "task $0() {\n}", "a loss with outputs and metrics"),
        ("tokenizer", "tokenizer $0 {\n}", "from text to tokens"),
        ("optimizer", "optimizer $0() {\n}", "how parameters are changed"),
        ("schedule", "schedule $0() {\n}", "the learning rate by step"),
        ("rewrite", "rewrite $0() of Linear {\n}", "what is put in the place of parts of a network"),
        ("fn", "fn $0() -> f[..] {\n}", "a function"),
    ];
    snippets.map(|(word, insert, detail)| Completion::new(word, NameKind::Setting, 1).insert(insert).detail(detail)).to_vec()
}

/// What begins a member of a module.
pub fn members() -> Vec<Completion> {
    [("let", "let $0 = "), ("fn", "fn forward(x: f[$0]) -> f[] {\n  }"), ("output", "output $0 = "), ("metric", "metric $0 = ")]
        .map(|(word, insert)| Completion::new(word, NameKind::Setting, 1).insert(insert))
        .to_vec()
}

/// Names that are followed by a call's brackets.
pub fn calls(names: &[&str]) -> Vec<Completion> {
    names.iter().map(|name| Completion::new(name, NameKind::Builtin, 0).insert(format!("{name}($0)"))).collect()
}

pub fn chosen(words: &[&str]) -> Vec<Completion> {
    words.iter().map(|word| Completion::new(word, NameKind::Choice, 0)).collect()
}

/// Fields that are braces themselves.
const BLOCKS: [&str; 3] = ["train", "predict", "sweep"];

impl Place<'_, '_> {
    /// The declaration that the place is in, as far as it could be read.
    pub(super) fn item(&self) -> Option<ItemRef> {
        let file = self.program.file;
        let items = &self.program.syntax().items;
        let item = items.iter().rposition(|item| item.span.start <= self.offset)?;
        Some(ItemRef { file, item })
    }

    /// The body of the experiment that the place is in.
    pub(super) fn experiment(&self) -> Option<&Body> {
        match &self.program.analysis.item(self.item()?).kind {
            ItemKind::Experiment(experiment) => Some(&experiment.body),
            _ => None,
        }
    }

    /// Names of the fields that the block has already, but for the one at the place.
    fn given(&self, block: &str) -> Vec<&str> {
        let Some(item) = self.item() else { return Vec::new() };
        let body = match &self.program.analysis.item(item).kind {
            ItemKind::Experiment(experiment) => &experiment.body,
            ItemKind::Tokenizer(body) => body,
            ItemKind::Backbone(backbone) => &backbone.body,
            ItemKind::Data(data) => &data.body,
            ItemKind::Module(_) | ItemKind::Function(_) => return Vec::new(),
        };
        let inner = body.fields.iter().find_map(|field| match &field.kind {
            FieldKind::Block(inner) if field.name.text == block => Some(inner),
            _ => None,
        });
        let fields = &inner.unwrap_or(body).fields;
        let here = |start: u32, end: u32| start <= self.offset && self.offset <= end;
        fields.iter().filter(|field| !here(field.name.span.start, field.name.span.end)).map(|field| field.name.text.as_str()).collect()
    }

    pub(super) fn block_fields(&self, block: &str) -> Vec<Completion> {
        let given = self.given(block);
        let known = words().fields.remove(block).unwrap_or_default();
        let field = |name: &&str| {
            let insert = if BLOCKS.contains(name) { format!("{name} {{\n    $0\n  }}") } else { format!("{name} = $0") };
            Completion::new(name, NameKind::Setting, 0).insert(insert)
        };
        known.iter().filter(|name| !given.contains(name)).map(field).collect()
    }

    /// In a sweep: the fields of the experiment.
    pub(super) fn swept_fields(&self) -> Vec<Completion> {
        let Some(body) = self.experiment() else { return Vec::new() };
        let fields = body.fields.iter().filter(|field| field.name.text != "sweep");
        let swept = fields.map(|field| {
            let insert = match &field.kind {
                FieldKind::Block(_) => format!("{} {{\n      $0\n    }}", field.name.text),
                _ => format!("{} = [$0]", field.name.text),
            };
            Completion::new(&field.name.text, NameKind::Binding, 0).insert(insert)
        });
        swept.collect()
    }

    /// In a table: columns of the file that are not declared yet, and the split.
    pub(super) fn data_fields(&self) -> Vec<Completion> {
        let given = self.given("");
        let mut found: Vec<Completion> = self
            .header()
            .iter()
            .filter(|name| !given.contains(&name.as_str()))
            .map(|name| {
                let word: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                let insert = if word == *name { format!("{name}: $0") } else { format!("{word}: $0 at \"{name}\"") };
                Completion::new(name, NameKind::Column, 0).insert(insert).detail("column of the file")
            })
            .collect();
        if !given.contains(&"split") {
            found.push(Completion::new("split", NameKind::Setting, 1).insert("split = $0"));
        }
        found
    }

    /// The columns of the file that the table at the place names.
    fn header(&self) -> Vec<String> {
        let Some(item) = self.item() else { return Vec::new() };
        let ItemKind::Data(data) = &self.program.analysis.item(item).kind else { return Vec::new() };
        let ExprKind::Call(_, args) = &data.source.kind else { return Vec::new() };
        match args.first().map(|arg| &arg.value.kind) {
            Some(ExprKind::Str(path)) => (self.headers)(path),
            _ => Vec::new(),
        }
    }

    /// Inside a text after `at`: columns of the file.
    pub(super) fn header_names(&self, follows_at: bool) -> Vec<Completion> {
        let in_data = self.head().first() == Some(&"data");
        if !(follows_at && in_data) {
            return Vec::new();
        }
        self.header().iter().map(|name| Completion::new(name, NameKind::Column, 0)).collect()
    }

    /// After `name:`.
    pub(super) fn types(&self, _name: &str) -> Vec<Completion> {
        let words = words();
        let head = self.head();
        let of_types = |types: &[&str], rank| types.iter().map(|name| Completion::new(name, NameKind::Type, rank)).collect::<Vec<_>>();
        if head.first() == Some(&"data") && self.cursor.frames.len() == 1 {
            return of_types(&words.columns, 0);
        }
        let mut found = of_types(&words.types, 0);
        found.extend(words.tensor_types.iter().map(|name| Completion::new(name, NameKind::Type, 1).insert(format!("{name}[$0]"))));
        if matches!(head.first(), Some(&("module" | "adapter" | "task" | "optimizer" | "rewrite"))) && self.cursor.frames.len() == 1 {
            found.push(Completion::new("param", NameKind::Setting, 0).insert("param f[$0]"));
            found.push(Completion::new("state", NameKind::Setting, 0).insert("state f[$0]"));
        }
        found
    }

    /// The words that a field chooses among.
    pub(super) fn field_choices(&self, block: &str, field: &str) -> Vec<Completion> {
        let known = words();
        match (block, field) {
            ("train", "monitor") => self.monitored(),
            ("train", "mode") => chosen(&["min", "max"]),
            ("train", "log") => chosen(&["csv", "tensorboard"]),
            ("train", "shuffle" | "gradient_checkpointing") => chosen(&["true", "false"]),
            ("predict", "on") => chosen(&["train", "valid", "test", "all"]),
            ("backbone", "input") => chosen(&["dna", "rna", "protein", "text", "alignment", "counts"]),
            _ => known.choices.get(field).map(|words| chosen(words)).unwrap_or_default(),
        }
    }

    /// What can be monitored: the loss, and the metrics of the task at hand.
    fn monitored(&self) -> Vec<Completion> {
        let task = self.experiment().and_then(|body| body.fields.iter().find(|field| field.name.text == "task"));
        let mut metrics = Vec::new();
        if let Some(FieldKind::Value(Expr { kind: ExprKind::Call(callee, _), .. })) = task.map(|field| &field.kind)
            && let ExprKind::Name(name) = &callee.kind
            && let Some(item) = self.program.analysis.lookup(self.program.file, name)
            && let ItemKind::Module(module) = &self.program.analysis.item(item).kind
        {
            let named = module.members.iter().filter(|member| matches!(member.kind, MemberKind::Metric(_)));
            metrics.extend(named.map(|member| format!("valid_{}", member.name.text)));
        }
        let words = std::iter::once("valid_loss").chain(metrics.iter().map(String::as_str));
        words.map(|word| Completion::new(word, NameKind::Choice, 0)).collect()
    }
}
