//! All expressions of a piece of syntax, outer before inner.

use super::ast::{
    Arg, AxisExpr, Body, Expr, ExprKind, FieldKind, Function, Item, ItemKind, Member, MemberKind, Param, TypeExpr, TypeExprKind,
};

/// Visits every expression of a declaration.
pub fn each_expr<'a>(item: &'a Item, visit: &mut dyn FnMut(&'a Expr)) {
    match &item.kind {
        ItemKind::Module(module) => {
            params(&module.params, visit);
            module.conditions.iter().for_each(|condition| expr(condition, visit));
            module.members.iter().for_each(|item| member(item, visit));
        }
        ItemKind::Function(item) => function(item, visit),
        ItemKind::Backbone(backbone) => {
            params(&backbone.params, visit);
            expr(&backbone.network, visit);
            body(&backbone.body, visit);
        }
        ItemKind::Data(data) => {
            expr(&data.source, visit);
            body(&data.body, visit);
        }
        ItemKind::Tokenizer(item) => body(item, visit),
        ItemKind::Experiment(experiment) => {
            params(&experiment.params, visit);
            experiment.base.iter().for_each(|base| each_arg(&base.args, visit));
            body(&experiment.body, visit);
        }
    }
}

/// Visits an expression and all within it.
pub fn expr<'a>(outer: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    visit(outer);
    match &outer.kind {
        ExprKind::Member(base, _) | ExprKind::Unary(_, base) => expr(base, visit),
        ExprKind::Index(first, second)
        | ExprKind::Binary(_, _, first, second)
        | ExprKind::Pipe(first, second)
        | ExprKind::With(first, second) => {
            expr(first, visit);
            expr(second, visit);
        }
        ExprKind::Call(callee, args) => {
            expr(callee, visit);
            each_arg(args, visit);
        }
        ExprKind::If(condition, yes, no) => [condition, yes, no].into_iter().for_each(|part| expr(part, visit)),
        ExprKind::Match(subject, arms) => {
            expr(subject, visit);
            for (pattern, result) in arms {
                pattern.iter().for_each(|pattern| expr(pattern, visit));
                expr(result, visit);
            }
        }
        ExprKind::Block(bindings, result) => {
            bindings.iter().for_each(|binding| expr(&binding.value, visit));
            expr(result, visit);
        }
        ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().for_each(|item| expr(item, visit)),
        ExprKind::Record(fields) => fields.iter().for_each(|(_, value)| expr(value, visit)),
        ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Bool(_)
        | ExprKind::Str(_)
        | ExprKind::None
        | ExprKind::Name(_)
        | ExprKind::Error => {}
    }
}

fn each_arg<'a>(args: &'a [Arg], visit: &mut dyn FnMut(&'a Expr)) {
    args.iter().for_each(|arg| expr(&arg.value, visit));
}

/// Visits the expressions of fields.
pub fn body<'a>(outer: &'a Body, visit: &mut dyn FnMut(&'a Expr)) {
    for field in &outer.fields {
        match &field.kind {
            FieldKind::Value(value) => expr(value, visit),
            FieldKind::Typed { ty, at } => {
                type_expr(ty, visit);
                at.iter().for_each(|key| expr(key, visit));
            }
            FieldKind::Block(inner) => body(inner, visit),
        }
    }
}

fn params<'a>(params: &'a [Param], visit: &mut dyn FnMut(&'a Expr)) {
    for param in params {
        param.ty.iter().for_each(|ty| type_expr(ty, visit));
        param.default.iter().for_each(|default| expr(default, visit));
    }
}

/// Visits the expressions of a function.
pub fn function<'a>(function: &'a Function, visit: &mut dyn FnMut(&'a Expr)) {
    params(&function.params, visit);
    function.result.iter().for_each(|ty| type_expr(ty, visit));
    function.conditions.iter().for_each(|condition| expr(condition, visit));
    expr(&function.body, visit);
}

/// Visits the expressions of a member of a module.
pub fn member<'a>(member: &'a Member, visit: &mut dyn FnMut(&'a Expr)) {
    match &member.kind {
        MemberKind::Let(value) | MemberKind::Output(value) | MemberKind::Metric(value) => expr(value, visit),
        MemberKind::Param { ty, init, condition, at } => {
            type_expr(ty, visit);
            [init, condition, at].into_iter().flatten().for_each(|part| expr(part, visit));
        }
        MemberKind::State { ty, init, at } => {
            type_expr(ty, visit);
            [init, at].into_iter().flatten().for_each(|part| expr(part, visit));
        }
        MemberKind::Part { repeat, value, condition, at } => {
            repeat.iter().for_each(|repeat| expr(&repeat.count, visit));
            expr(value, visit);
            [condition, at].into_iter().flatten().for_each(|part| expr(part, visit));
        }
        MemberKind::Function(item) => function(item, visit),
    }
}

fn type_expr<'a>(outer: &'a TypeExpr, visit: &mut dyn FnMut(&'a Expr)) {
    match &outer.kind {
        TypeExprKind::Named { type_args, args, axes, .. } => {
            type_args.iter().for_each(|ty| type_expr(ty, visit));
            each_arg(args, visit);
            for axis in axes.iter().flatten() {
                if let AxisExpr::Size(size) = axis {
                    expr(size, visit);
                }
            }
        }
        TypeExprKind::Optional(inner) | TypeExprKind::List(inner) => type_expr(inner, visit),
        TypeExprKind::Record(fields) => fields.iter().for_each(|(_, ty)| type_expr(ty, visit)),
        TypeExprKind::Error => {}
    }
}
