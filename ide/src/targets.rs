//! The parts of a backbone's network by the names that they are stored under, as far as they can be told without its sizes.

use std::collections::BTreeSet;

use mgx_compiler::check::ItemRef;
use mgx_compiler::syntax::ast::{Expr, ExprKind, ItemKind, MemberKind};

use crate::Program;
use crate::options::network;

/// Networks within networks that are looked into.
const DEPTH: u32 = 12;

/// The short names (`query`, `dense`) of the parts of a backbone that are of the module `of`; of any, where it is none.
pub fn part_names(program: &Program<'_>, backbone: ItemRef, of: Option<ItemRef>) -> BTreeSet<String> {
    let mut walk = Walk { program, of, names: BTreeSet::new(), seen: BTreeSet::new() };
    if let Some(network) = network(program, backbone) {
        walk.module(network, DEPTH);
    }
    walk.names
}

struct Walk<'p, 'a> {
    program: &'p Program<'a>,
    of: Option<ItemRef>,
    names: BTreeSet<String>,
    seen: BTreeSet<ItemRef>,
}

impl Walk<'_, '_> {
    fn module(&mut self, item: ItemRef, depth: u32) {
        let ItemKind::Module(module) = &self.program.analysis.item(item).kind else { return };
        if depth == 0 || !self.seen.insert(item) {
            return;
        }
        for member in &module.members {
            let MemberKind::Part { value, at, .. } = &member.kind else { continue };
            for part in made(value) {
                let Some(part) = self.program.analysis.lookup(item.file, part) else { continue };
                if self.of.is_none_or(|of| of == part) {
                    self.names.insert(short_name(at.as_ref(), &member.name.text));
                }
                self.module(part, depth - 1);
            }
        }
    }
}

/// The names of the modules that an expression makes a part of.
fn made(value: &Expr) -> Vec<&str> {
    match &value.kind {
        ExprKind::Call(callee, _) => made(callee),
        ExprKind::Name(name) => vec![name],
        ExprKind::If(_, yes, no) => [made(yes), made(no)].concat(),
        ExprKind::Match(_, arms) => arms.iter().flat_map(|(_, result)| made(result)).collect(),
        ExprKind::Block(_, result) => made(result),
        _ => Vec::new(),
    }
}

/// The last word of the key under which a part is stored, or its own name.
fn short_name(at: Option<&Expr>, name: &str) -> String {
    let Some(Expr { kind: ExprKind::Str(key), .. }) = at else { return name.to_owned() };
    let words = key.rsplit('.').find(|word| !word.is_empty() && !word.contains('{') && word.parse::<u64>().is_err());
    words.unwrap_or(name).to_owned()
}
