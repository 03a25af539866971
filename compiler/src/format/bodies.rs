//! What stands in braces: fields, members, statements and arms.

use mgx_grammar::Rule;

use super::comments::Lead;
use super::doc::{Doc, Kind};
use super::{Formatter, Part, first_token, parts, print};
use crate::syntax::tree::{Node, Token};

/// A field, a member, a statement or an arm.
struct Entry<'a> {
    node: &'a Node,
    lead: Lead,
    comma: Option<Token>,
}

/// Names of one run, which stand below each other: those before `=`, or those before `:`.
#[derive(Clone, Copy, PartialEq)]
enum Aligned {
    Value,
    Type,
}

impl Formatter<'_> {
    /// Did the author write all of it on one line?
    pub(super) fn is_on_one_line(&self, node: &Node) -> bool {
        !self.slice(node.span).contains('\n') && node.nodes().all(|child| child.kind != Rule::let_binding)
    }

    /// The body of a function, a branch or an arm.
    pub(super) fn block(&mut self, node: &Node, on_one_line: bool) -> Doc {
        self.braces(node, on_one_line, 1)
    }

    /// The members or fields of a declaration or field.
    pub(super) fn body(&mut self, node: &Node) -> Doc {
        let on_one_line = self.is_on_one_line(node);
        self.braces(node, on_one_line, 2)
    }

    /// Braces and what they hold: one entry a line, or all on one line with `gap` blanks between them. The group around them decides.
    pub(super) fn braces(&mut self, node: &Node, on_one_line: bool, gap: usize) -> Doc {
        let mut tokens = node.tokens();
        let (Some(open), Some(close)) = (tokens.next(), node.tokens().last()) else { return self.joined(node) };
        let mut entries = self.entries(node);
        let line = |blanks| if on_one_line { Doc::line(blanks) } else { Doc::hard() };
        let mut docs = vec![self.token(open)];
        let pads = self.padding(&entries);
        let count = entries.len();
        self.indent += print::INDENT;
        let mut inner = Vec::new();
        let mut before: Vec<String> = Vec::new();
        for (at, entry) in entries.iter_mut().enumerate() {
            inner.push(if at == 0 { line(1) } else { line(gap) });
            inner.extend(before.drain(..).map(Doc::own_line));
            if inner.last().is_some_and(|doc| matches!(doc.kind, Kind::OwnLine(_))) {
                inner.push(Doc::hard());
            }
            let lead = std::mem::take(&mut entry.lead);
            inner.extend(lead_lines(lead, at == 0));
            inner.push(self.entry(entry.node, pads[at]));
            if node.kind == Rule::arms {
                inner.push(if at + 1 == count { Doc::if_broken(",") } else { Doc::text(",") });
            }
            if let Some(comma) = entry.comma {
                let (behind, comments) = self.around_comma(comma);
                inner.extend(behind);
                before = comments;
            }
        }
        self.indent -= print::INDENT;
        let mut end = self.comments.take_lead(close.span.start);
        end.after_blank = false;
        inner.extend(before.into_iter().map(Doc::own_line));
        if !end.comments.is_empty() {
            inner.push(Doc::hard());
            inner.extend(lead_lines(end, count == 0));
            inner.pop();
        }
        let is_empty = inner.is_empty();
        docs.push(Doc::indent(Doc::concat(inner)));
        if !is_empty {
            docs.push(line(1));
        }
        docs.push(self.token(close));
        Doc::concat(docs)
    }

    fn entries<'n>(&mut self, node: &'n Node) -> Vec<Entry<'n>> {
        let mut entries: Vec<Entry<'n>> = Vec::new();
        for part in parts(node) {
            match part {
                Part::Node(node) => {
                    let lead = first_token(node).map(|first| self.comments.take_lead(first.span.start)).unwrap_or_default();
                    entries.push(Entry { node, lead, comma: None });
                }
                Part::Token(token) if self.is(part, ",") => {
                    if let Some(entry) = entries.last_mut() {
                        entry.comma = Some(token);
                    }
                }
                Part::Token(_) => {}
            }
        }
        entries
    }

    /// How many blanks stand behind the name of each entry, so that those of a run end in one column.
    fn padding(&self, entries: &[Entry<'_>]) -> Vec<usize> {
        let names: Vec<Option<(Aligned, usize)>> = entries.iter().map(|entry| self.aligned_name(entry.node)).collect();
        let mut pads = vec![0; entries.len()];
        let mut start = 0;
        while start < entries.len() {
            let kind = names[start].map(|(kind, _)| kind);
            let goes_on = |at: &usize| {
                let lead = &entries[*at].lead;
                kind.is_some() && names[*at].map(|(kind, _)| kind) == kind && lead.comments.is_empty() && !lead.after_blank
            };
            let end = (start + 1..entries.len()).find(|at| !goes_on(at)).unwrap_or(entries.len());
            let widest = names[start..end].iter().flatten().map(|(_, width)| *width).max().unwrap_or(0);
            for at in start..end {
                pads[at] = names[at].map_or(0, |(_, width)| widest - width);
            }
            start = end;
        }
        pads
    }

    fn aligned_name(&self, node: &Node) -> Option<(Aligned, usize)> {
        let inner = node.nodes().next()?;
        let kind = match inner.kind {
            Rule::value_field | Rule::part_member => Aligned::Value,
            Rule::typed_field | Rule::storage_member => Aligned::Type,
            _ => return None,
        };
        Some((kind, self.slice(first_token(inner)?.span).chars().count()))
    }

    fn entry(&mut self, node: &Node, padding: usize) -> Doc {
        let inner = match (node.kind, node.nodes().next()) {
            (Rule::field | Rule::member, Some(inner)) => inner,
            _ => node,
        };
        match inner.kind {
            Rule::function => self.function(inner),
            Rule::block_field => {
                let mut docs = Vec::new();
                for part in parts(inner) {
                    match part {
                        Part::Token(name) => docs.extend([self.token(name), Doc::text(" ")]),
                        Part::Node(body) => docs.push(self.body(body)),
                    }
                }
                Doc::group(Doc::concat(docs))
            }
            Rule::arm => self.arm(inner),
            _ => self.spaced(inner, Some(padding)),
        }
    }

    fn arm(&mut self, node: &Node) -> Doc {
        let mut docs = Vec::new();
        for (at, part) in parts(node).enumerate() {
            if at > 0 {
                docs.push(Doc::text(" "));
            }
            docs.push(match part {
                Part::Node(block) if block.kind == Rule::block => {
                    let on_one_line = self.is_on_one_line(block);
                    self.block(block, on_one_line)
                }
                part => self.part(part),
            });
        }
        Doc::group(Doc::concat(docs))
    }
}

/// The comments before an entry, each on its line, with the empty lines between them. None stands between documentation and what it documents.
pub(super) fn lead_lines(lead: Lead, is_first: bool) -> Vec<Doc> {
    let mut docs = Vec::new();
    let mut after_doc = false;
    for (at, comment) in lead.comments.iter().enumerate() {
        if comment.after_blank && !(at == 0 && is_first) && !(after_doc && comment.is_doc) {
            docs.extend([Doc::blank(), Doc::hard()]);
        }
        docs.extend([Doc::text(comment.text.clone()), Doc::hard()]);
        after_doc = comment.is_doc;
    }
    if lead.after_blank && !(lead.comments.is_empty() && is_first) && !after_doc {
        docs.extend([Doc::blank(), Doc::hard()]);
    }
    docs
}
