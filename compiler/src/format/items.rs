//! Files and declarations.

use mgx_grammar::Rule;

use super::bodies::lead_lines;
use super::doc::Doc;
use super::{Formatter, Part, WIDTH, first_token, parts};
use crate::syntax::tree::Node;

/// What stands before the braces of a declaration.
#[derive(Default)]
struct Header {
    /// `module Name`.
    name: Vec<Doc>,
    params: Option<Doc>,
    /// `of Linear`, `-> f[seq, hidden]`.
    middle: Vec<Doc>,
    conditions: Option<Doc>,
}

impl Formatter<'_> {
    /// A whole file.
    pub(super) fn file(&mut self) -> Doc {
        let tree = self.tree;
        let mut docs = Vec::new();
        let mut previous: Option<(Rule, bool)> = None;
        for node in tree.root.nodes() {
            let mut lead = first_token(node).map(|first| self.comments.take_lead(first.span.start)).unwrap_or_default();
            let doc = match node.kind {
                Rule::use_item => self.use_item(node),
                _ => self.item(node),
            };
            let is_short = !doc.is_forced && doc.width <= WIDTH && lead.comments.is_empty();
            if let Some((kind, was_short)) = previous {
                let together = (kind, node.kind) == (Rule::use_item, Rule::use_item) || (kind == node.kind && was_short && is_short);
                let first_blank = lead.comments.first_mut().map_or(&mut lead.after_blank, |first| &mut first.after_blank);
                *first_blank |= !together;
            }
            docs.extend(lead_lines(lead, previous.is_none()));
            docs.extend([doc, Doc::hard()]);
            previous = Some((node.kind, is_short));
        }
        let mut end = self.comments.take_end();
        end.after_blank = false;
        docs.extend(lead_lines(end, previous.is_none()));
        Doc::concat(docs)
    }

    fn use_item(&mut self, node: &Node) -> Doc {
        let mut docs = Vec::new();
        for part in parts(node) {
            match part {
                Part::Token(_) if self.is(part, "use") => docs.extend([self.part(part), Doc::text(" ")]),
                Part::Token(_) if self.is(part, "as") => docs.extend([Doc::text(" "), self.part(part), Doc::text(" ")]),
                part => docs.push(self.part(part)),
            }
        }
        Doc::concat(docs)
    }

    fn item(&mut self, node: &Node) -> Doc {
        let Some(inner) = node.nodes().next() else { return self.joined(node) };
        match inner.kind {
            Rule::module_item | Rule::function => self.function(inner),
            Rule::backbone_item => self.backbone(inner),
            _ => self.plain_item(inner),
        }
    }

    /// `data splice = table("splice.tsv") { fields }`, `experiment longer(epochs: int = 50) = splice_sites(lr = 1e-3) with { fields }`.
    fn plain_item(&mut self, node: &Node) -> Doc {
        let mut docs = Vec::new();
        for (at, part) in parts(node).enumerate() {
            let is_params = matches!(part, Part::Node(node) if node.kind == Rule::params);
            if at > 0 && !is_params {
                docs.push(Doc::text(" "));
            }
            docs.push(self.part_or_body(part));
        }
        Doc::group(Doc::concat(docs))
    }

    /// `backbone big(dropout: float = 0.0): RnaBert(layers = 33) { fields }`: parameters are broken only where they alone are too long.
    fn backbone(&mut self, node: &Node) -> Doc {
        let mut docs = Vec::new();
        let mut width = 0;
        for (at, part) in parts(node).enumerate() {
            let doc = match part {
                Part::Node(params) if params.kind == Rule::params => {
                    let before = width;
                    let is_short = before + self.slice(params.span).chars().count() < WIDTH * 2 / 3;
                    self.bracketed(params, !is_short)
                }
                part => {
                    if at > 0 && !self.is(part, ":") {
                        docs.push(Doc::text(" "));
                    }
                    self.part_or_body(part)
                }
            };
            width += doc.width + 1;
            docs.push(doc);
        }
        Doc::group(Doc::concat(docs))
    }

    /// `= splice_sites(lr = 1e-3)`
    pub(super) fn base(&mut self, node: &Node) -> Doc {
        let mut docs = Vec::new();
        for (at, part) in parts(node).enumerate() {
            if at == 1 {
                docs.push(Doc::text(" "));
            }
            docs.push(self.part(part));
        }
        Doc::concat(docs)
    }

    fn part_or_body(&mut self, part: Part<'_>) -> Doc {
        match part {
            Part::Node(body) if matches!(body.kind, Rule::field_body | Rule::member_body) => self.body(body),
            part => self.part(part),
        }
    }

    /// A function, or a module or one of its relatives.
    pub(super) fn function(&mut self, node: &Node) -> Doc {
        let mut header = Header::default();
        let mut body = Doc::nothing();
        for part in parts(node) {
            match part {
                Part::Token(token) => {
                    if !header.name.is_empty() {
                        header.name.push(Doc::text(" "));
                    }
                    header.name.push(self.token(token));
                }
                Part::Node(params) if params.kind == Rule::params => header.params = Some(self.bracketed(params, true)),
                Part::Node(clause) if clause.kind == Rule::where_clause => header.conditions = Some(self.where_clause(clause)),
                Part::Node(block) if block.kind == Rule::block => {
                    let on_one_line = self.is_on_one_line(block);
                    body = self.block(block, on_one_line);
                }
                Part::Node(members) if members.kind == Rule::member_body => body = self.body(members),
                Part::Node(middle) => header.middle.extend([Doc::text(" "), self.node(middle)]),
            }
        }
        let mut docs = self.header(header);
        docs.push(body);
        Doc::group(Doc::concat(docs))
    }

    /// A header on one line; else its conditions on a line of their own; else its parameters too, one a line.
    fn header(&self, header: Header) -> Vec<Doc> {
        let signature: Vec<Doc> = header.name.into_iter().chain(header.params).chain(header.middle).collect();
        let signature = Doc::concat(signature);
        let Some(conditions) = header.conditions else { return vec![signature, Doc::text(" ")] };
        let width = self.indent + signature.width;
        let is_short = signature.is_forced || width + 1 + conditions.width + 2 <= WIDTH;
        if is_short || width > WIDTH {
            return vec![signature, Doc::text(" "), conditions, Doc::text(" ")];
        }
        vec![signature, Doc::indent(Doc::concat(vec![Doc::hard(), conditions])), Doc::hard()]
    }

    /// `where hidden % heads == 0, heads > 0`
    fn where_clause(&mut self, node: &Node) -> Doc {
        let mut docs = Vec::new();
        let mut conditions = Vec::new();
        let has_comments = self.comments.any_in(node.span.start, node.span.end);
        let mut all = parts(node).peekable();
        while let Some(part) = all.next() {
            match part {
                Part::Token(comma) if self.is(part, ",") => {
                    let (behind, comments) = self.around_comma(comma);
                    let is_last = all.peek().is_none();
                    conditions.extend((!is_last).then(|| Doc::text(",")));
                    conditions.extend(behind);
                    conditions.extend((!is_last).then(|| if has_comments { Doc::hard() } else { Doc::line(1) }));
                    conditions.extend(comments.into_iter().map(Doc::own_line));
                }
                Part::Token(word) => docs.extend([self.token(word), Doc::text(" ")]),
                Part::Node(condition) => conditions.push(self.node(condition)),
            }
        }
        docs.push(Doc::indent(Doc::concat(conditions)));
        Doc::group(Doc::concat(docs))
    }
}
