//! Comments and empty lines, by the word or sign they belong to.

use std::collections::HashMap;

use crate::syntax::tree::{Token, TokenKind, Tree};

/// A comment on a line of its own.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    pub(super) text: String,
    pub(super) is_doc: bool,
    /// An empty line stands before it.
    pub(super) after_blank: bool,
}

/// What stands before a token, on lines of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Lead {
    pub(super) comments: Vec<Comment>,
    /// An empty line stands between the last comment, or the token before, and this token.
    pub(super) after_blank: bool,
}

/// The comments of a file. Each is taken once.
#[derive(Default)]
pub(super) struct Comments {
    leads: HashMap<u32, Lead>,
    /// Comments behind a token on its line, with their columns; by the token's end.
    trailing: HashMap<u32, (String, usize)>,
    /// Where all comments begin, in order.
    starts: Vec<u32>,
}

/// Where what stands at the end of the file is kept.
const END: u32 = u32::MAX;

impl Comments {
    pub(super) fn new(tree: &Tree) -> Self {
        let mut comments = Self::default();
        let mut lead = Lead::default();
        let mut line_ends = 0;
        let mut previous: Option<Token> = None;
        for token in tree.tokens() {
            let text = tree.slice(token.span);
            match token.kind {
                TokenKind::Space => line_ends += text.matches('\n').count(),
                TokenKind::Comment | TokenKind::Doc => {
                    comments.starts.push(token.span.start);
                    let comment = text.trim_end().to_owned();
                    match previous {
                        Some(before) if line_ends == 0 => {
                            comments.trailing.insert(before.span.end, (comment, column(tree, token)));
                        }
                        _ => {
                            let is_doc = token.kind == TokenKind::Doc;
                            lead.comments.push(Comment { text: comment, is_doc, after_blank: line_ends > 1 });
                        }
                    }
                    line_ends = 0;
                    previous = None;
                }
                _ => {
                    lead.after_blank = line_ends > 1;
                    comments.leads.insert(token.span.start, std::mem::take(&mut lead));
                    line_ends = 0;
                    previous = Some(token);
                }
            }
        }
        comments.leads.insert(END, lead);
        comments
    }

    /// What stands before a token, if nobody took it yet.
    pub(super) fn take_lead(&mut self, start: u32) -> Lead {
        self.leads.remove(&start).unwrap_or_default()
    }

    /// What stands at the end of the file.
    pub(super) fn take_end(&mut self) -> Lead {
        self.take_lead(END)
    }

    /// The comment behind a token on its line, and the column it begins at.
    pub(super) fn take_trailing(&mut self, end: u32) -> Option<(String, usize)> {
        self.trailing.remove(&end)
    }

    /// Does an empty line stand before a token and its comments?
    pub(super) fn is_after_blank(&self, start: u32) -> bool {
        self.leads.get(&start).is_some_and(|lead| lead.comments.first().map_or(lead.after_blank, |first| first.after_blank))
    }

    /// Does a comment begin between two places?
    pub(super) fn any_in(&self, start: u32, end: u32) -> bool {
        let first = self.starts.partition_point(|at| *at < start);
        self.starts.get(first).is_some_and(|at| *at < end)
    }
}

/// How many characters stand before a token on its line.
fn column(tree: &Tree, token: Token) -> usize {
    let before = &tree.text()[..token.span.start as usize];
    before[before.rfind('\n').map_or(0, |end| end + 1)..].chars().count()
}
