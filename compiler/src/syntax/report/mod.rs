//! Says what is wrong where the tree has error nodes.
//!
//! The kind of an error node, the node it lies in and the tokens on both sides are all that a message needs; names of grammar rules never
//! reach it. One mistake often leaves several error nodes behind, so of those on one line, and of those with nothing sound between them,
//! the first alone is reported.

mod characters;
mod lines;
mod lists;
mod missing;
mod surroundings;

use mgx_diag::{Code, Diagnostic, Edit};
use mgx_grammar::Rule;

use super::tree::{Element, Node, Token, TokenKind, Tree, is_error};
use surroundings::Surroundings;

/// Adds the diagnostics of the error nodes to those found while reading the abstract syntax; in order of their places.
pub(super) fn with_syntax_errors(tree: &Tree, found_while_reading: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut places = Vec::new();
    if tree.has_errors() {
        collect(&tree.root, None, &mut places);
    }
    let (mut findings, mut diagnostics) = (Vec::new(), Vec::new());
    for diagnostic in found_while_reading {
        // What may be a consequence of text that does not fit is weighed with it; a number that is too large is always one.
        match diagnostic.labels.first() {
            Some(first) if is_structural(diagnostic.code) => {
                findings.push(Finding { anchor: first.span.start, end: first.span.end, unclosed: None, is_line: false, diagnostic });
            }
            _ => diagnostics.push(diagnostic),
        }
    }
    if !places.is_empty() {
        let surroundings = Surroundings::new(tree);
        findings.extend(places.iter().filter_map(|place| finding(&surroundings, place)));
    }
    findings.sort_by_key(|finding| finding.anchor);
    diagnostics.extend(first_causes(tree, findings));
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |label| label.span.start));
    diagnostics
}

fn is_structural(code: Code) -> bool {
    matches!(code.0, "E0101" | "E0107" | "E0109" | "E0110" | "E0119" | "E0120")
}

/// An error node, or a token that is wrong by itself, and the node around it.
struct Place<'a> {
    wrong: Wrong<'a>,
    parent: Option<&'a Node>,
}

enum Wrong<'a> {
    Node(&'a Node),
    Token(Token),
}

/// A diagnostic with the stretch of text it explains.
struct Finding {
    /// Where the mistake was noticed.
    anchor: u32,
    end: u32,
    /// For a bracket that is not closed: where it stands, and if it is a brace.
    unclosed: Option<(u32, bool)>,
    /// A whole line that does not fit.
    is_line: bool,
    diagnostic: Diagnostic,
}

fn collect<'a>(node: &'a Node, parent: Option<&'a Node>, out: &mut Vec<Place<'a>>) {
    if is_error(node.kind) {
        out.push(Place { wrong: Wrong::Node(node), parent });
    }
    for child in &node.children {
        match child {
            Element::Node(child) => collect(child, Some(node), out),
            Element::Token(token) if token.kind == TokenKind::UnterminatedString => {
                out.push(Place { wrong: Wrong::Token(*token), parent: Some(node) });
            }
            Element::Token(_) => {}
        }
    }
}

fn finding(around: &Surroundings<'_>, place: &Place<'_>) -> Option<Finding> {
    let node = match place.wrong {
        Wrong::Node(node) => node,
        Wrong::Token(token) => return Some(unterminated_string(token)),
    };
    let parent = place.parent?;
    let diagnostic = match node.kind {
        Rule::unclosed => return missing::unclosed(around, node, parent),
        // The list around it is reported from its first fault on.
        Rule::error_in_list => return None,
        Rule::error_item => lines::error_item(around, node),
        Rule::error_line => lines::error_line(around, node, parent),
        Rule::error_header => lines::error_header(around, node, parent),
        Rule::error_arm => lines::error_arm(around, node),
        Rule::bare_assign => lines::bare_assign(around, node)?,
        Rule::stray_assign => lines::stray_assign(node)?,
        Rule::loose_args | Rule::loose_params => lists::loose(around, node, parent),
        Rule::error_rest => lists::error_rest(around, node, parent),
        _ => missing::missing(around, node, parent),
    };
    // An assignment is a mistake in itself, but what it assigns is sound.
    let end = if matches!(node.kind, Rule::bare_assign | Rule::stray_assign) { node.span.start } else { node.span.end };
    let is_line = matches!(node.kind, Rule::error_item | Rule::error_line);
    let anchor = node.tokens().next().filter(|_| is_line).map_or(node.span.start, |first| first.span.start);
    Some(Finding { anchor, end, unclosed: None, is_line, diagnostic })
}

fn unterminated_string(token: Token) -> Finding {
    let diagnostic = Diagnostic::error("E0103", "the string has no end")
        .label(token.span, "no `\"` before the end of the line")
        .help("add `\"`; a line end inside a string is written `\\n`")
        .fix("Add `\"`", Edit::after(token.span, "\""));
    Finding { anchor: token.span.start, end: token.span.end, unclosed: None, is_line: false, diagnostic }
}

/// Is the mistake in a line known, so that it is not just more of the text before it?
fn says_what_it_is(diagnostic: &Diagnostic) -> bool {
    let is_specific = !matches!(diagnostic.code.0, "E0101" | "E0122");
    is_specific || diagnostic.help.as_ref().is_some_and(|help| help.starts_with("did you mean"))
}

/// Leaves out what follows from a mistake reported before. `findings` are in order of their anchors.
fn first_causes(tree: &Tree, findings: Vec<Finding>) -> Vec<Diagnostic> {
    let text = tree.text();
    let line_ends: Vec<u32> = text.match_indices('\n').map(|(at, _)| at as u32).collect();
    let line = |at: u32| line_ends.partition_point(|end| *end < at);
    let only_trivia = |from: u32, to: u32| {
        let between = text.get(from as usize..(to as usize).max(from as usize)).unwrap_or("");
        Surroundings::is_trivia(between)
    };
    let mut kept: Vec<Diagnostic> = Vec::new();
    let mut lines_with_errors: Vec<usize> = Vec::new();
    let mut previous: Option<(u32, bool)> = None;
    for finding in findings {
        let has_error = |at: u32| lines_with_errors.binary_search(&line(at)).is_ok();
        let follows_up = previous.is_some_and(|(end, _)| only_trivia(end, finding.anchor));
        let after_unclosed = previous.is_some_and(|(_, unclosed)| unclosed);
        let is_consequence = match finding.unclosed {
            // A brace that encloses a mistake is not closed for a reason of its own.
            Some((opener, true)) => has_error(opener) || (follows_up && after_unclosed),
            Some((opener, false)) => has_error(opener) || has_error(finding.anchor) || follows_up,
            None => has_error(finding.anchor) || (follows_up && !(finding.is_line && says_what_it_is(&finding.diagnostic))),
        };
        let end = previous.map_or(finding.end, |(end, _)| end.max(finding.end));
        previous = Some((end, finding.unclosed.is_some()));
        if !is_consequence {
            let at = line(finding.anchor);
            if lines_with_errors.last() != Some(&at) {
                lines_with_errors.push(at);
            }
            kept.push(finding.diagnostic);
        }
    }
    kept
}
