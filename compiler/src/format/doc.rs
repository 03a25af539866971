//! What is to be laid out: pieces of text, and where lines may end.
//!
//! A [`Doc`] is a text that can be written in two ways: *flat*, on one line, or *broken*, where its line ends are. A group is flat where it
//! fits (Wadler's "A prettier printer"); what holds a comment is never flat, but for one behind its end. The printer is in `print`.

/// A piece of text to be laid out, with what decides if it fits.
#[derive(Clone, Debug)]
pub(super) struct Doc {
    pub(super) kind: Kind,
    /// How many characters it takes on one line.
    pub(super) width: usize,
    /// It cannot stand on one line.
    pub(super) is_forced: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Text(String),
    /// A line end where broken; this many blanks where flat.
    Line,
    /// A line end always.
    Hard,
    /// An empty line at the next line end, where broken.
    Blank,
    /// Text where broken, nothing where flat.
    IfBroken(String),
    Concat(Vec<Doc>),
    /// Lines in it begin two blanks further right.
    Indent(Box<Doc>),
    /// Flat where it fits.
    Group(Box<Doc>),
    /// As many parts as fit on each line, where broken. A comma stands between them.
    Fill(Vec<Doc>),
    /// A comment that ends the line it stands on, and the column it began at.
    Trailing(String, usize),
    /// A comment on a line of its own.
    OwnLine(String),
}

impl Doc {
    pub(super) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { width: text.chars().count(), kind: Kind::Text(text), is_forced: false }
    }

    pub(super) fn nothing() -> Self {
        Self::concat(Vec::new())
    }

    /// A line end where broken, `blanks` blanks where flat.
    pub(super) fn line(blanks: usize) -> Self {
        Self { kind: Kind::Line, width: blanks, is_forced: false }
    }

    pub(super) fn hard() -> Self {
        Self { kind: Kind::Hard, width: 0, is_forced: true }
    }

    pub(super) fn blank() -> Self {
        Self { kind: Kind::Blank, width: 0, is_forced: false }
    }

    pub(super) fn if_broken(text: impl Into<String>) -> Self {
        Self { kind: Kind::IfBroken(text.into()), width: 0, is_forced: false }
    }

    pub(super) fn concat(parts: Vec<Self>) -> Self {
        let width = parts.iter().map(|part| part.width).sum();
        let is_forced = parts.iter().any(|part| part.is_forced);
        Self { kind: Kind::Concat(parts), width, is_forced }
    }

    pub(super) fn indent(inner: Self) -> Self {
        Self { width: inner.width, is_forced: inner.is_forced, kind: Kind::Indent(Box::new(inner)) }
    }

    pub(super) fn group(inner: Self) -> Self {
        Self { width: inner.width, is_forced: inner.is_forced, kind: Kind::Group(Box::new(inner)) }
    }

    /// Parts without comments, a comma and a blank between them.
    pub(super) fn fill(parts: Vec<Self>) -> Self {
        let width = parts.iter().map(|part| part.width + 2).sum::<usize>().saturating_sub(2);
        Self { kind: Kind::Fill(parts), width, is_forced: false }
    }

    pub(super) fn trailing(comment: impl Into<String>, column: usize) -> Self {
        Self { kind: Kind::Trailing(comment.into(), column), width: 0, is_forced: false }
    }

    pub(super) fn own_line(comment: impl Into<String>) -> Self {
        Self { kind: Kind::OwnLine(comment.into()), width: 0, is_forced: true }
    }

    /// How many characters stand before the first line end, and if there is one, where the doc is printed broken.
    pub(super) fn head(&self) -> (usize, bool) {
        match &self.kind {
            Kind::Line | Kind::Hard | Kind::OwnLine(_) => (0, true),
            Kind::Group(_) | Kind::Fill(_) | Kind::Text(_) if !self.is_forced => (self.width, false),
            Kind::IfBroken(text) => (text.chars().count(), false),
            Kind::Indent(inner) | Kind::Group(inner) => inner.head(),
            Kind::Concat(parts) => {
                let mut width = 0;
                for part in parts {
                    let (more, ends) = part.head();
                    width += more;
                    if ends {
                        return (width, true);
                    }
                }
                (width, false)
            }
            Kind::Text(_) | Kind::Fill(_) | Kind::Blank | Kind::Trailing(..) => (self.width, false),
        }
    }
}
