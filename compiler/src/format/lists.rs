//! What stands in brackets, separated by commas.

use mgx_grammar::Rule;

use super::doc::Doc;
use super::{Formatter, Part, first_token, parts};
use crate::syntax::tree::{Node, Token};

/// A part of a list: what it is, and where it begins.
struct Entry<'a> {
    part: Part<'a>,
    /// The comma after it.
    comma: Option<Token>,
}

/// The brackets and parts of a list.
struct List<'a> {
    open: Token,
    entries: Vec<Entry<'a>>,
    close: Token,
}

impl Formatter<'_> {
    /// A list in brackets. If it is not `breakable` it stays on one line, unless there are comments in it.
    pub(super) fn bracketed(&mut self, node: &Node, breakable: bool) -> Doc {
        let Some(list) = self.list(node) else { return self.joined(node) };
        let blanks = usize::from(node.kind == Rule::key_record);
        let has_comments = self.comments.any_in(list.open.span.end, list.close.span.start);
        if list.entries.is_empty() || (!has_comments && (!breakable || self.is_hugged(&list))) {
            return self.unbroken(&list, blanks);
        }
        if !has_comments && list.entries.len() > 1 && list.entries.iter().all(|entry| self.is_plain(entry.part)) {
            return self.filled(&list);
        }
        self.one_a_line(node, &list, blanks, has_comments)
    }

    fn list<'a>(&self, node: &'a Node) -> Option<List<'a>> {
        let mut all = parts(node);
        let Some(Part::Token(open)) = all.next() else { return None };
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut close = None;
        for part in all {
            match part {
                Part::Token(token) if self.is(part, ",") => {
                    if let Some(entry) = entries.last_mut() {
                        entry.comma = Some(token);
                    }
                }
                Part::Token(token) if token.span.end == node.span.end => close = Some(token),
                _ => entries.push(Entry { part, comma: None }),
            }
        }
        Some(List { open, entries, close: close? })
    }

    /// All of it on one line, apart from what its parts do.
    fn unbroken(&mut self, list: &List<'_>, blanks: usize) -> Doc {
        let mut docs = vec![self.token(list.open)];
        let lead = self.comments.take_lead(list.close.span.start);
        if !lead.comments.is_empty() {
            let comments = lead.comments.into_iter().map(|comment| Doc::own_line(comment.text)).collect();
            docs.extend([Doc::indent(Doc::concat(comments)), Doc::hard()]);
        }
        for (at, entry) in list.entries.iter().enumerate() {
            docs.push(Doc::text(if at == 0 { " ".repeat(blanks) } else { ", ".to_owned() }));
            docs.push(self.part(entry.part));
        }
        docs.push(Doc::text(" ".repeat(if list.entries.is_empty() { 0 } else { blanks })));
        docs.push(self.token(list.close));
        Doc::concat(docs)
    }

    /// Short parts, as many on a line as fit.
    fn filled(&mut self, list: &List<'_>) -> Doc {
        let open = self.token(list.open);
        let items = list.entries.iter().map(|entry| self.part(entry.part)).collect();
        let inner = Doc::indent(Doc::concat(vec![Doc::line(0), Doc::fill(items), Doc::if_broken(",")]));
        let close = self.token(list.close);
        Doc::group(Doc::concat(vec![open, inner, Doc::line(0), close]))
    }

    fn one_a_line(&mut self, node: &Node, list: &List<'_>, blanks: usize, has_comments: bool) -> Doc {
        let open = self.token(list.open);
        let mut docs = vec![if has_comments { Doc::hard() } else { Doc::line(blanks) }];
        let mut before = Vec::new();
        for (at, entry) in list.entries.iter().enumerate() {
            if at > 0 {
                if self.begins_after_blank(entry.part) {
                    docs.push(Doc::blank());
                }
                docs.push(Doc::line(1));
            }
            docs.append(&mut before);
            docs.push(self.part(entry.part));
            let is_last = at + 1 == list.entries.len();
            match (is_last, node.kind) {
                (false, _) => docs.push(Doc::text(",")),
                // A comma would make a tuple of it.
                (true, Rule::paren) if list.entries.len() == 1 && self.is_unnamed(entry.part) => {}
                (true, Rule::list_type | Rule::index) => {}
                (true, _) => docs.push(Doc::if_broken(",")),
            }
            if let Some(comma) = entry.comma {
                let (behind, comments) = self.around_comma(comma);
                docs.extend(behind);
                before = comments.into_iter().map(Doc::own_line).collect();
            }
        }
        docs.append(&mut before);
        let lead = self.comments.take_lead(list.close.span.start);
        for comment in lead.comments {
            if comment.after_blank {
                docs.extend([Doc::blank(), Doc::hard()]);
            }
            docs.push(Doc::own_line(comment.text));
        }
        let close = self.token(list.close);
        Doc::group(Doc::concat(vec![open, Doc::indent(Doc::concat(docs)), Doc::line(blanks), close]))
    }

    /// Does an empty line stand before a part? It is kept where each part has its own line.
    fn begins_after_blank(&self, part: Part<'_>) -> bool {
        let first = match part {
            Part::Token(token) => Some(token),
            Part::Node(node) => first_token(node),
        };
        first.is_some_and(|first| self.comments.is_after_blank(first.span.start))
    }

    /// Is the one part of a list a list itself, so that both brackets stand together?
    fn is_hugged(&self, list: &List<'_>) -> bool {
        let &[Entry { part: Part::Node(mut node), .. }] = list.entries.as_slice() else { return false };
        loop {
            let mut inner = parts(node);
            match (node.kind, inner.next(), inner.next()) {
                (Rule::paren | Rule::list | Rule::if_expr | Rule::match_expr, ..) => return true,
                (Rule::arg | Rule::expr | Rule::operand, Some(Part::Node(only)), None) => node = only,
                _ => return false,
            }
        }
    }

    /// A word, a number, a text or a path of names, also with a name: `hidden`, `eps = 1e-5`, `"A"`, `encoder.weight`.
    fn is_plain(&self, part: Part<'_>) -> bool {
        let Part::Node(node) = part else { return true };
        let count = parts(node).count();
        let has_plain_parts = parts(node).all(|part| self.is_plain(part));
        match node.kind {
            Rule::arg => (count == 1 || count == 3) && has_plain_parts,
            Rule::expr | Rule::use_name => count == 1 && has_plain_parts,
            Rule::operand | Rule::access => has_plain_parts,
            _ => false,
        }
    }

    fn is_unnamed(&self, part: Part<'_>) -> bool {
        matches!(part, Part::Node(node) if parts(node).count() == 1)
    }
}
