//! Names of parts as users give them: those under which checkpoints store the parts, whole or from some dot on.

use mgx_diag::{Diagnostic, Span, nearest};

use super::Checker;
use super::expr::Scope;
use super::value::Value;
use crate::syntax::ast::{Expr, ExprKind};

/// `query`, `"output.dense"`, `"layer.*.attention"`: the parts whose stored name is this, or ends with a dot and this. A `*` stands for any text within
/// one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartName {
    pub text: String,
    pub span: Span,
}

impl PartName {
    /// Is a stored name one of those that are meant?
    pub fn names(&self, stored: &str) -> bool {
        let wanted: Vec<&str> = self.text.split('.').collect();
        let segments: Vec<&str> = stored.split('.').collect();
        let Some(skipped) = segments.len().checked_sub(wanted.len()) else { return false };
        wanted.iter().zip(&segments[skipped..]).all(|(pattern, segment)| fits(pattern, segment))
    }

    /// Is something of this stored name, or in a part of it, meant?
    pub fn names_within(&self, stored: &str) -> bool {
        self.names(stored) || stored.match_indices('.').any(|(at, _)| self.names(&stored[..at]))
    }

    /// Does it mean several parts by a pattern?
    pub fn is_pattern(&self) -> bool {
        self.text.contains('*')
    }
}

/// Does a text match a pattern in which `*` stands for any text?
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

/// Names that a message lists at most.
const LISTED: usize = 24;

impl Checker<'_> {
    /// A list of names, written bare (`[query, output.dense]`) or as texts (`["layer.*.attention"]`).
    pub fn part_names(&mut self, what: &str, expr: &Expr, scope: &mut Scope) -> Option<Vec<PartName>> {
        let ExprKind::List(items) = &expr.kind else {
            let found = Diagnostic::error("E0301", format!("`{what}` is a list of names of parts")).label(expr.span, "not a list");
            let found = match &expr.kind {
                ExprKind::Name(_) | ExprKind::Str(_) => {
                    let text = format!("[{}]", self.library.sources.slice(expr.span));
                    found.change_to(expr.span, &text)
                }
                _ => found,
            };
            self.report(found.help(format!("write `{what} = [query, value]`")));
            return None;
        };
        items.iter().map(|item| self.part_name_of(item, scope)).collect()
    }

    fn part_name_of(&mut self, expr: &Expr, scope: &mut Scope) -> Option<PartName> {
        let text = match bare(expr) {
            Some(text) => text,
            None => match self.eval(expr, scope) {
                Value::Str(Some(text)) => text,
                Value::Error => return None,
                other => {
                    let message = format!("a part is named by a word or a text, not by {}", other.describe());
                    self.report(Diagnostic::error("E0301", message).label(expr.span, "this value"));
                    return None;
                }
            },
        };
        if text.is_empty() || text.split('.').any(str::is_empty) {
            let found = Diagnostic::error("E0301", format!("`{text}` is not a name of a part")).label(expr.span, "has an empty segment");
            self.report(found.help("write the names of parts with single dots between them: `\"layer.0.attention\"`"));
            return None;
        }
        Some(PartName { text, span: expr.span })
    }

    /// Reports a name that means none of the parts there are.
    pub fn no_such_part(&mut self, name: &PartName, whose: &str, kind: &str, stored: &[String]) {
        let mut short: Vec<&str> = Vec::new();
        for known in stored {
            let last = known.rsplit('.').find(|segment| segment.parse::<u64>().is_err()).unwrap_or(known);
            if !short.contains(&last) {
                short.push(last);
            }
        }
        let message = format!("`{}` names no {kind} of `{whose}`", name.text);
        let found = Diagnostic::error("E0219", message).label(name.span, "matches nothing");
        let list = |names: &[&str]| {
            let more = names.len().saturating_sub(LISTED);
            let shown = names.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
            if more == 0 { shown } else { format!("{shown} and {more} more") }
        };
        let found = match nearest(&name.text, short.iter().copied().chain(stored.iter().map(String::as_str))) {
            Some(near) => {
                let is_text = self.library.sources.slice(name.span).starts_with('"');
                let text = if is_text { format!("\"{near}\"") } else { near.to_owned() };
                found.help(format!("did you mean `{near}`? There are: {}", list(&short))).change_to(name.span, &text)
            }
            None if short.is_empty() => found.help(format!("`{whose}` has no {kind}")),
            None => found.help(format!("there are: {}", list(&short))),
        };
        self.report(found);
    }
}

/// `query`, or `output.dense`.
fn bare(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Member(base, name) => Some(format!("{}.{}", bare(base)?, name.text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_parts_by_whole_segments() {
        let span = Span { file: mgx_diag::FileId(0), start: 0, end: 0 };
        let names = |text: &str, stored: &str| PartName { text: text.to_owned(), span }.names(stored);
        assert!(names("query", "encoder.layer.0.attention.self.query"));
        assert!(names("query", "query"));
        assert!(names("output.dense", "layer.0.attention.output.dense"));
        assert!(!names("dense", "layer.0.mlp.dense_h_to_4h_0"));
        assert!(!names("layer.1", "encoder.layer.11"));
        assert!(!names("encoder.query", "encoder.layer.0.query"));
        assert!(!names("a.b.c", "b.c"));
        assert!(names("dense_*", "mlp.dense_h_to_4h_0"));
        assert!(names("layer.*.query", "encoder.layer.31.query"));
        assert!(!names("layer.*.query", "encoder.layer.31.attention.query"));
        assert!(names("d*_4h_*", "dense_h_to_4h_12"));
        assert!(!names("a*a", "a"));
        let within = |text: &str, stored: &str| PartName { text: text.to_owned(), span }.names_within(stored);
        assert!(within("layer.0", "encoder.layer.0.query.weight") && within("encoder", "encoder.layer.0.query.weight"));
        assert!(!within("layer.0", "encoder.layer.01.query.weight"));
    }
}
