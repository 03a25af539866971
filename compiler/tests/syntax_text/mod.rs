//! The abstract syntax as short text: one line a declaration, member or field; expressions in prefix form.

use std::fmt::Write as _;

use mgx_compiler::syntax::ast::{
    Arg, AxisExpr, Body, Expr, ExprKind, FieldKind, File, Function, ItemKind, Member, MemberKind, Module, Name, Param, TypeExpr,
    TypeExprKind,
};

/// The text of a file.
pub fn file(file: &File) -> String {
    let mut out = String::new();
    for one in &file.uses {
        let names = join(&one.names, " ", |name| match &name.alias {
            Some(alias) => format!("{}->{}", name.name.text, alias.text),
            None => name.name.text.clone(),
        });
        let _ = writeln!(out, "use {} : {names}", join(&one.path, "/", |name| name.text.clone()));
    }
    for item in &file.items {
        doc(&mut out, 0, item.doc.as_deref());
        let name = &item.name.text;
        match &item.kind {
            ItemKind::Module(module) => module_text(&mut out, name, module),
            ItemKind::Function(one) => {
                let _ = writeln!(out, "fn {name} {}", function(one));
            }
            ItemKind::Backbone(one) => {
                let _ = writeln!(out, "backbone {name} {} : {}", params(&one.params), expr(&one.network));
                body(&mut out, 1, &one.body);
            }
            ItemKind::Tokenizer(fields) => {
                let _ = writeln!(out, "tokenizer {name}");
                body(&mut out, 1, fields);
            }
            ItemKind::Data(one) => {
                let _ = writeln!(out, "data {name} = {}", expr(&one.source));
                body(&mut out, 1, &one.body);
            }
            ItemKind::Experiment(one) => {
                let base = one.base.as_ref().map(|base| format!(" = {} ({})", base.name.text, join(&base.args, ", ", arg)));
                let _ = writeln!(
                    out,
                    "experiment {name}{}{}",
                    if one.params.is_empty() { String::new() } else { format!(" {}", params(&one.params)) },
                    base.unwrap_or_default()
                );
                body(&mut out, 1, &one.body);
            }
        }
    }
    out
}

fn doc(out: &mut String, indent: usize, doc: Option<&str>) {
    if let Some(doc) = doc {
        let _ = writeln!(out, "{}doc {doc:?}", "  ".repeat(indent));
    }
}

fn module_text(out: &mut String, name: &str, module: &Module) {
    let _ = writeln!(out, "{:?} {name} {}{}", module.role, params(&module.params), conditions(&module.conditions));
    for member in &module.members {
        doc(out, 1, member.doc.as_deref());
        let _ = writeln!(out, "  {}", member_text(member));
    }
}

/// One member on one line.
pub fn member_text(member: &Member) -> String {
    let name = &member.name.text;
    let option = |word: &str, value: &Option<Expr>| value.as_ref().map_or_else(String::new, |value| format!(" {word} {}", expr(value)));
    match &member.kind {
        MemberKind::Let(value) => format!("let {name} = {}", expr(value)),
        MemberKind::Param { ty, init, condition, at } => {
            format!("param {name}: {}{}{}{}", type_text(ty), option("=", init), option("if", condition), option("at", at))
        }
        MemberKind::State { ty, init, at } => format!("state {name}: {}{}{}", type_text(ty), option("=", init), option("at", at)),
        MemberKind::Part { repeat, value, condition, at } => {
            let repeat = repeat.as_ref().map_or_else(String::new, |repeat| {
                let index = repeat.index.as_ref().map_or("", |name| name.text.as_str());
                format!("repeat {} as {index:?} of ", expr(&repeat.count))
            });
            format!("part {name} = {repeat}{}{}{}", expr(value), option("if", condition), option("at", at))
        }
        MemberKind::Output(value) => format!("output {name} = {}", expr(value)),
        MemberKind::Metric(value) => format!("metric {name} = {}", expr(value)),
        MemberKind::Function(one) => format!("fn {name} {}", function(one)),
    }
}

fn function(one: &Function) -> String {
    let result = one.result.as_ref().map_or_else(String::new, |result| format!(" -> {}", type_text(result)));
    format!("{}{result}{} {}", params(&one.params), conditions(&one.conditions), expr(&one.body))
}

fn conditions(all: &[Expr]) -> String {
    if all.is_empty() { String::new() } else { format!(" where {}", join(all, ", ", expr)) }
}

fn params(all: &[Param]) -> String {
    let one = |param: &Param| {
        let ty = param.ty.as_ref().map_or_else(String::new, |ty| format!(": {}", type_text(ty)));
        let default = param.default.as_ref().map_or_else(String::new, |value| format!(" = {}", expr(value)));
        format!("{}{ty}{default}", param.name.text)
    };
    format!("({})", join(all, ", ", one))
}

/// Fields, one a line.
fn body(out: &mut String, indent: usize, fields: &Body) {
    for field in &fields.fields {
        doc(out, indent, field.doc.as_deref());
        let _ = write!(out, "{}{}", "  ".repeat(indent), field.name.text);
        match &field.kind {
            FieldKind::Value(value) => {
                let _ = writeln!(out, " = {}", expr(value));
            }
            FieldKind::Typed { ty, at } => {
                let at = at.as_ref().map_or_else(String::new, |at| format!(" at {}", expr(at)));
                let _ = writeln!(out, ": {}{at}", type_text(ty));
            }
            FieldKind::Block(inner) => {
                out.push('\n');
                body(out, indent + 1, inner);
            }
        }
    }
}

fn type_text(ty: &TypeExpr) -> String {
    match &ty.kind {
        TypeExprKind::Named { name, type_args, args, axes } => {
            let mut out = name.text.clone();
            if !type_args.is_empty() {
                let _ = write!(out, "<{}>", join(type_args, ", ", type_text));
            }
            if !args.is_empty() {
                let _ = write!(out, "({})", join(args, ", ", arg));
            }
            if let Some(axes) = axes {
                let axis = |axis: &AxisExpr| match axis {
                    AxisExpr::Rest(_) => "..".to_owned(),
                    AxisExpr::Size(size) => expr(size),
                };
                let _ = write!(out, "[{}]", join(axes, ", ", axis));
            }
            out
        }
        TypeExprKind::Optional(inner) => format!("{}?", type_text(inner)),
        TypeExprKind::List(inner) => format!("[{}]", type_text(inner)),
        TypeExprKind::Record(fields) => format!("({})", join(fields, ", ", |(name, ty)| format!("{}: {}", name.text, type_text(ty)))),
        TypeExprKind::Error => "<error>".to_owned(),
    }
}

fn arg(arg: &Arg) -> String {
    match &arg.name {
        Some(name) => format!("{}={}", name.text, expr(&arg.value)),
        None => expr(&arg.value),
    }
}

/// An expression in prefix form.
pub fn expr(value: &Expr) -> String {
    let names = |names: &[Name]| join(names, ", ", |name| name.text.clone());
    match &value.kind {
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Float(value) => format!("{value:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Str(value) => format!("{value:?}"),
        ExprKind::None => "none".to_owned(),
        ExprKind::Name(name) => name.clone(),
        ExprKind::Member(base, name) => format!("{}.{}", expr(base), name.text),
        ExprKind::Index(base, index) => format!("{}[{}]", expr(base), expr(index)),
        ExprKind::Call(callee, args) => format!("{}({})", expr(callee), join(args, ", ", arg)),
        ExprKind::Unary(operator, inner) => format!("({operator:?} {})", expr(inner)),
        ExprKind::Binary(operator, _, left, right) => format!("({operator:?} {} {})", expr(left), expr(right)),
        ExprKind::Pipe(left, right) => format!("(|> {} {})", expr(left), expr(right)),
        ExprKind::With(left, right) => format!("(with {} {})", expr(left), expr(right)),
        ExprKind::If(condition, then, otherwise) => format!("(if {} {} {})", expr(condition), expr(then), expr(otherwise)),
        ExprKind::Match(subject, arms) => {
            let one = |(pattern, value): &(Option<Expr>, Expr)| {
                format!("{} => {}", pattern.as_ref().map_or_else(|| "_".to_owned(), expr), expr(value))
            };
            format!("(match {} {})", expr(subject), join(arms, ", ", one))
        }
        ExprKind::Block(lets, result) => {
            let lets = join(lets, "; ", |one| format!("let {} = {}", names(&one.names), expr(&one.value)));
            format!("{{{lets}; {}}}", expr(result))
        }
        ExprKind::List(values) => format!("[{}]", join(values, ", ", expr)),
        ExprKind::Tuple(values) => format!("(tuple {})", join(values, ", ", expr)),
        ExprKind::Record(fields) => {
            format!("(record {})", join(fields, ", ", |(name, value)| format!("{}={}", name.text, expr(value))))
        }
        ExprKind::Error => "<error>".to_owned(),
    }
}

fn join<T>(all: &[T], separator: &str, one: impl Fn(&T) -> String) -> String {
    all.iter().map(one).collect::<Vec<_>>().join(separator)
}
