//! Pages read from declarations.

use mgx_diag::Span;

use super::{Entry, Page, PageKind};
use crate::syntax::ast::{
    Arg, Backbone, Body, Expr, ExprKind, FieldKind, Function, Item, ItemKind, MemberKind, Module, ModuleRole, Param, TypeExprKind,
};

/// The kind of a declaration; modules of the library are called by their folders besides.
pub(super) fn kind(kind: &ItemKind) -> PageKind {
    match kind {
        ItemKind::Module(module) => match module.role {
            ModuleRole::Module => PageKind::Layer,
            ModuleRole::Adapter => PageKind::Adapter,
            ModuleRole::Task => PageKind::Task,
            ModuleRole::Optimizer => PageKind::Optimizer,
            ModuleRole::Schedule => PageKind::Schedule,
            ModuleRole::Rewrite => PageKind::Rewrite,
        },
        ItemKind::Function(_) => PageKind::Function,
        ItemKind::Backbone(_) => PageKind::Backbone,
        ItemKind::Tokenizer(_) => PageKind::Tokenizer,
        ItemKind::Data(_) | ItemKind::Experiment(_) => PageKind::Declaration,
    }
}

/// The page of any declaration. `text` is that of its file; `module_of` finds the declaration of a network by its name, and the text of its file.
pub fn declaration_page<'t>(item: &Item, text: &'t str, module_of: &dyn Fn(&str) -> Option<(Item, &'t str)>) -> Page {
    let reader = Reader { text };
    let mut page = Page {
        name: item.name.text.clone(),
        kind: kind(&item.kind),
        signature: reader.signature(item),
        doc: item.doc.clone().unwrap_or_default(),
        about: None,
        module: None,
        import: None,
        options: Vec::new(),
        common_options: Vec::new(),
        takes: Vec::new(),
        gives: Vec::new(),
        weights: None,
        parameters: None,
    };
    match &item.kind {
        ItemKind::Module(module) => reader.module(&mut page, module),
        ItemKind::Function(function) => (page.takes, page.gives) = reader.function(function),
        ItemKind::Backbone(backbone) => reader.backbone(&mut page, backbone, module_of),
        ItemKind::Experiment(experiment) => page.options = reader.params(&experiment.params),
        ItemKind::Tokenizer(_) | ItemKind::Data(_) => {}
    }
    page
}

/// The comment at the head of a file.
pub(super) fn about(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("// ")).collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}

/// Reads parts of a file as they are written, on one line.
struct Reader<'t> {
    text: &'t str,
}

impl<'t> Reader<'t> {
    fn slice(&self, span: Span) -> String {
        let text = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        // A list that was broken over lines.
        let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ["(", "["].iter().fold(joined, |text, open| text.replace(&format!("{open} "), open)).replace(", )", ")").replace(", ]", "]")
    }

    /// The declaration up to its braces.
    fn signature(&self, item: &Item) -> String {
        let start = item.span.start as usize;
        let end = match &item.kind {
            ItemKind::Backbone(Backbone { body, .. }) | ItemKind::Tokenizer(body) => body.span.start as usize,
            ItemKind::Data(data) => data.body.span.start as usize,
            ItemKind::Experiment(experiment) => experiment.body.span.start as usize,
            ItemKind::Module(_) => start + self.braces_at(start),
            ItemKind::Function(function) => start + self.braces_at(start).min((function.body.span.start as usize).saturating_sub(start)),
        };
        let head = Span { start: start as u32, end: end.max(start) as u32, ..item.span };
        let text = self.slice(head);
        text.trim_end().trim_end_matches('{').trim_end().to_owned()
    }

    /// How far the brace that opens a body is: the first one outside of all brackets that no text holds.
    fn braces_at(&self, start: usize) -> usize {
        let rest = self.text.get(start..).unwrap_or_default();
        let (mut depth, mut at) = (0usize, 0);
        while let Some((_, length)) = crate::syntax::scan::next_token(&rest[at..]) {
            match &rest[at..at + length] {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                "{" if depth == 0 => return at,
                _ => {}
            }
            at += length;
        }
        rest.len()
    }

    fn params(&self, params: &[Param]) -> Vec<Entry> {
        let entry = |param: &Param| Entry {
            name: param.name.text.clone(),
            ty: param.ty.as_ref().map_or_else(String::new, |ty| self.slice(ty.span)),
            default: param.default.as_ref().map(|default| self.slice(default.span)),
            doc: None,
        };
        params.iter().map(entry).collect()
    }

    fn module(&self, page: &mut Page, module: &Module) {
        page.options = self.params(&module.params);
        if module.role == ModuleRole::Task {
            // What has axes flows in; the rest is set.
            let is_tensor = |param: &&Param| {
                matches!(param.ty.as_ref().map(|ty| &ty.kind), Some(TypeExprKind::Named { axes: Some(_), .. } | TypeExprKind::Record(_)))
            };
            let tensors: Vec<&str> = module.params.iter().filter(is_tensor).map(|param| param.name.text.as_str()).collect();
            (page.takes, page.options) =
                std::mem::take(&mut page.options).into_iter().partition(|one| tensors.contains(&one.name.as_str()));
        }
        for member in &module.members {
            let name = member.name.text.clone();
            let made = |ty: &str| Entry { name: name.clone(), ty: ty.to_owned(), ..Entry::default() };
            match &member.kind {
                MemberKind::Output(_) => page.gives.push(made("output")),
                MemberKind::Metric(_) => page.gives.push(made("metric")),
                MemberKind::Function(function) if ["forward", "update", "factor"].contains(&name.as_str()) => {
                    (page.takes, page.gives) = self.function(function);
                }
                _ => {}
            }
        }
    }

    fn function(&self, function: &Function) -> (Vec<Entry>, Vec<Entry>) {
        let result = function.result.as_ref().map(|result| match &result.kind {
            TypeExprKind::Record(fields) => {
                let one = |(name, ty): &(crate::syntax::ast::Name, crate::syntax::ast::TypeExpr)| Entry {
                    name: name.text.clone(),
                    ty: self.slice(ty.span),
                    ..Entry::default()
                };
                fields.iter().map(one).collect()
            }
            _ => vec![Entry { ty: self.slice(result.span), ..Entry::default() }],
        });
        (self.params(&function.params), result.unwrap_or_default())
    }

    fn backbone(&self, page: &mut Page, backbone: &Backbone, module_of: &dyn Fn(&str) -> Option<(Item, &'t str)>) {
        page.options = self.params(&backbone.params);
        page.weights = field(&backbone.body, "weights").and_then(|weights| match &weights.kind {
            ExprKind::Call(_, args) => args.iter().find_map(|arg| match &arg.value.kind {
                ExprKind::Str(name) if arg.name.is_none() => Some(name.clone()),
                _ => None,
            }),
            _ => None,
        });
        let input = field(&backbone.body, "input").map(|input| self.slice(input.span));
        page.takes.extend(input.map(|input| Entry { name: "column".to_owned(), ty: input, ..Entry::default() }));
        let ExprKind::Call(network, args) = &backbone.network.kind else { return };
        let ExprKind::Name(network) = &network.kind else { return };
        let Some((item, text)) = module_of(network) else { return };
        let ItemKind::Module(module) = &item.kind else { return };
        let there = Reader { text };
        for (at, mut option) in there.params(&module.params).into_iter().enumerate() {
            if let Some(given) = given(args, at, &option.name) {
                option.default = Some(self.slice(given.span));
            }
            if page.options.iter().all(|own| own.name != option.name) {
                page.options.push(option);
            }
        }
        let forward = module.members.iter().find_map(|member| match &member.kind {
            MemberKind::Function(function) if member.name.text == "forward" => Some(function),
            _ => None,
        });
        page.gives = forward.map(|forward| there.function(forward).1).unwrap_or_default();
    }
}

/// The argument of a parameter, by its name or its place.
fn given<'a>(args: &'a [Arg], place: usize, name: &str) -> Option<&'a Expr> {
    let by_name = args.iter().find(|arg| arg.name.as_ref().is_some_and(|other| other.text == name));
    by_name.or_else(|| args.get(place).filter(|arg| arg.name.is_none())).map(|arg| &arg.value)
}

fn field<'a>(body: &'a Body, name: &str) -> Option<&'a Expr> {
    body.fields.iter().filter(|field| field.name.text == name).find_map(|field| match &field.kind {
        FieldKind::Value(value) => Some(value),
        _ => None,
    })
}
