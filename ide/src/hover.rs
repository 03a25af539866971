//! What is at a place: its type with the numbers of its axes, how many parameters it has, and its documentation.

use mgx_compiler::check::{Fact, FactKind, ItemRef, PartSize};
use mgx_compiler::pages::{count_parameters, library_pages};
use mgx_compiler::syntax::ast::ExprKind;
use mgx_compiler::syntax::ast::{FieldKind, Item, ItemKind, LetBinding, MemberKind};
use mgx_compiler::syntax::scan::next_token;
use mgx_compiler::syntax::walk;
use mgx_diag::Span;

use crate::Program;
use crate::cursor::{Cursor, Frame};
use crate::names::{NameKind, Occurrence, Target, declaration, occurrences};

/// What there is to say of a place, in Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    pub span: Span,
    pub markdown: String,
}

/// What is at an offset of the file.
pub fn hover(program: &Program<'_>, offset: u32) -> Option<Hover> {
    let touches = |span: Span| span.start <= offset && offset <= span.end;
    let names = occurrences(program);
    if let Some(name) = names.iter().find(|name| touches(name.span)) {
        let markdown = of_name(program, name)?;
        return Some(Hover { span: name.span, markdown });
    }
    let facts = program.analysis.facts.iter().filter(|(span, _)| span.file == program.source() && touches(**span));
    let (span, fact) = facts.min_by_key(|(span, _)| span.end - span.start)?;
    let is_word = program.slice(*span).starts_with(|c: char| c.is_alphanumeric());
    // A literal says what it is itself.
    (!is_word || program.slice(*span).contains(' ')).then(|| Hover { span: *span, markdown: of_fact(None, fact) })
}

fn of_name(program: &Program<'_>, name: &Occurrence) -> Option<String> {
    let fact = fact_of(program, name);
    let word = program.slice(name.span);
    let Target::Declared(declared) = name.target else {
        return match name.kind {
            NameKind::Builtin => Some(with_type(&of_language(word), fact)),
            NameKind::Setting => setting(program, name),
            NameKind::Choice | NameKind::Type | NameKind::Namespace => None,
            _ => fact.map(|fact| of_fact(Some(word), fact)),
        };
    };
    let item = declaration(program, declared)?;
    let declaration = program.analysis.item(item);
    if declaration.name.span == declared {
        return Some(of_item(program, item, fact));
    }
    let mut text = match fact {
        Some(fact) => of_fact(Some(word), fact),
        None => code(&declared_text(program, declared)),
    };
    let in_library = program.analysis.files[item.file].is_std && name.kind == NameKind::Parameter;
    let option = in_library.then(|| library_pages(&format!("{}.{word}", declaration.name.text)).into_iter().next()).flatten();
    if let Some(doc) = member_doc(declaration, declared).or(option.map(|page| page.doc)) {
        text.push_str(&format!("\n\n{doc}"));
    }
    if !in_library && !matches!(name.kind, NameKind::Binding | NameKind::Local | NameKind::Axis) {
        text.push_str(&format!("\n\nof `{}`", declaration.name.text));
    }
    Some(text)
}

/// A declaration: its head, its documentation, where it is, and what is known of the value at hand.
fn of_item(program: &Program<'_>, item: ItemRef, fact: Option<&Fact>) -> String {
    let declaration = program.analysis.item(item);
    let mut text = code(&head(program, declaration));
    let file = &program.analysis.files[item.file];
    if let Some(size) = fact.and_then(|fact| fact.size) {
        text.push_str(&format!("\n\n{}", shown_size(size)));
    } else if let (ItemKind::Backbone(_), true) = (&declaration.kind, file.is_std) {
        let pages = library_pages(&format!("{}::{}", file.path, declaration.name.text));
        if let Some(parameters) = pages.first().and_then(count_parameters) {
            text.push_str(&format!("\n\n{}", shown_size(PartSize { parameters, trained: parameters })));
        }
    }
    if let Some(doc) = &declaration.doc {
        text.push_str(&format!("\n\n{}", doc.trim()));
    }
    if item.file != program.file {
        text.push_str(&format!("\n\n`{}`", file.path));
    }
    text
}

/// What is known of the value that a name stands for here.
pub fn fact_of<'a>(program: &Program<'a>, name: &Occurrence) -> Option<&'a Fact> {
    let facts = &program.analysis.facts;
    if let Some(value) = bound_value(program, name.span) {
        return facts.get(&value);
    }
    if let Some(fact) = facts.get(&name.span).filter(|fact| fact.size.is_some() || !is_called(program, name.span)) {
        return Some(fact);
    }
    // `base.name` is an expression that ends with the name, and `name(…)` one that begins with it.
    let own = facts.iter().filter(|(span, _)| span.file == name.span.file);
    let around = own.filter(|(span, _)| {
        (span.end == name.span.end && span.start < name.span.start)
            || (span.start == name.span.start && span.end > name.span.end && is_called(program, name.span))
    });
    around.min_by_key(|(span, _)| span.end - span.start).map(|(_, fact)| fact)
}

fn is_called(program: &Program<'_>, name: Span) -> bool {
    program.text()[name.end as usize..].starts_with('(')
}

/// The value that a name is bound to, where it stands before its `=`.
pub fn bound_value(program: &Program<'_>, name: Span) -> Option<Span> {
    let item = program.syntax().items.iter().find(|item| item.span.contains(name))?;
    let mut found = None;
    match &item.kind {
        ItemKind::Experiment(experiment) => {
            let field = experiment.body.fields.iter().find(|field| field.name.span == name);
            if let Some(FieldKind::Value(value)) = field.map(|field| &field.kind) {
                found = Some(value.span);
            }
        }
        ItemKind::Module(module) => {
            let member = module.members.iter().find(|member| member.name.span == name);
            if let Some(MemberKind::Let(value) | MemberKind::Part { value, .. } | MemberKind::Output(value)) =
                member.map(|member| &member.kind)
            {
                found = Some(value.span);
            }
        }
        _ => {}
    }
    if found.is_none() {
        walk::each_expr(item, &mut |expr| {
            if let ExprKind::Block(bindings, _) = &expr.kind {
                let is_it = |binding: &&LetBinding| matches!(binding.names.as_slice(), [only] if only.span == name);
                found = found.or(bindings.iter().find(is_it).map(|binding| binding.value.span));
            }
        });
    }
    found
}

fn of_fact(name: Option<&str>, fact: &Fact) -> String {
    let shown = match name {
        Some(name) => format!("{name}: {}", fact.shown),
        None => fact.shown.clone(),
    };
    let mut text = code(&shown);
    if let Some(size) = fact.size {
        text.push_str(&format!("\n\n{}", shown_size(size)));
    }
    text
}

fn with_type(text: &str, fact: Option<&Fact>) -> String {
    match fact.filter(|fact| fact.kind != FactKind::Declaration) {
        Some(fact) => format!("{text}\n\n{}", of_fact(None, fact)),
        None => text.to_owned(),
    }
}

/// A function of the language, as the specification has it.
fn of_language(word: &str) -> String {
    match library_pages(word).into_iter().find(|page| page.module.is_none()) {
        Some(page) => format!("{}\n\n{}", code(&page.signature), page.doc),
        None => code(&format!("{word}(…)")),
    }
}

/// A field or an option that the language gives a meaning: by the braces or the call that it stands in.
fn setting(program: &Program<'_>, name: &Occurrence) -> Option<String> {
    let cursor = Cursor::at(program.text(), name.span.start);
    let owner = match cursor.frames.last()? {
        Frame::Call { callee, .. } => callee.clone(),
        Frame::Block { head } => head.first()?.clone(),
        Frame::List | Frame::Index => return None,
    };
    let page = library_pages(&format!("{owner}.{}", program.slice(name.span))).into_iter().next()?;
    Some(format!("{}\n\n{}", code(&page.signature), page.doc))
}

fn code(text: &str) -> String {
    format!("```mgx\n{text}\n```")
}

/// "1,234 parameters, 12 of them trained".
pub fn shown_size(size: PartSize) -> String {
    let number = |number: u64| {
        let digits = number.to_string();
        let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
        groups.join(",")
    };
    match size {
        PartSize { parameters: 0, .. } => "no parameters".to_owned(),
        PartSize { parameters: 1, .. } => "1 parameter".to_owned(),
        PartSize { parameters, trained } if parameters == trained => format!("{} parameters", number(parameters)),
        PartSize { parameters, trained: 0 } => format!("{} parameters, frozen", number(parameters)),
        PartSize { parameters, trained } => format!("{} parameters, {} of them trained", number(parameters), number(trained)),
    }
}

/// A declaration up to its braces.
pub fn head(program: &Program<'_>, item: &Item) -> String {
    let text = program.slice(item.span);
    let mut at = 0;
    let mut depth = 0;
    while let Some((_, length)) = next_token(&text[at..]) {
        match &text[at..at + length] {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "{" if depth <= 0 => break,
            _ => {}
        }
        at += length;
    }
    text[..at].trim_end().to_owned()
}

/// The line of a parameter, member, field or column, as it is declared.
fn declared_text(program: &Program<'_>, declared: Span) -> String {
    let text = program.analysis.sources.text(declared.file);
    let rest = &text[declared.start as usize..];
    let mut at = 0;
    let mut depth = 0;
    while let Some((kind, length)) = next_token(&rest[at..]) {
        let token = &rest[at..at + length];
        match token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" | "," if depth == 0 => break,
            ")" | "]" | "}" => depth -= 1,
            _ if kind.is_trivia() && depth == 0 && (token.contains('\n') || token.starts_with("//")) => break,
            _ => {}
        }
        at += length;
    }
    rest[..at].trim_end().to_owned()
}

fn member_doc(item: &Item, declared: Span) -> Option<String> {
    let doc = match &item.kind {
        ItemKind::Module(module) => module.members.iter().find(|member| member.name.span == declared)?.doc.clone(),
        ItemKind::Data(data) => data.body.fields.iter().find(|field| field.name.span == declared)?.doc.clone(),
        ItemKind::Experiment(experiment) => experiment.body.fields.iter().find(|field| field.name.span == declared)?.doc.clone(),
        _ => None,
    };
    doc.map(|doc| doc.trim().to_owned())
}
