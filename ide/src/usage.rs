//! Where a name is used, and whether it can be given another.

use mgx_diag::Span;

use crate::Program;
use crate::names::{Occurrence, Target, occurrences};

/// Why a name cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRename {
    /// There is no name at the place.
    NoName,
    /// It is a word of the language, or of the library.
    NotOwn,
}

/// The name at an offset of the file.
pub fn name_at(program: &Program<'_>, offset: u32) -> Option<Occurrence> {
    let found = occurrences(program).into_iter().filter(|name| name.span.start <= offset && offset <= name.span.end);
    // Between two names, as in `a.b`, the one that begins.
    found.max_by_key(|name| name.span.start)
}

/// The places in this file of what is declared at `declared`, the declaration itself included.
pub fn uses(program: &Program<'_>, declared: Span) -> Vec<Occurrence> {
    occurrences(program).into_iter().filter(|name| name.target == Target::Declared(declared) || name.alias == Some(declared)).collect()
}

/// The name at an offset, if it can be changed: what is declared where, and the place of the name asked for. A name that an import gives is changed for
/// this file alone.
///
/// # Errors
/// The reason.
pub fn can_rename(program: &Program<'_>, offset: u32) -> Result<(Span, Span), NoRename> {
    let name = name_at(program, offset).ok_or(NoRename::NoName)?;
    if let Some(alias) = name.alias {
        return Ok((alias, name.span));
    }
    let Target::Declared(declared) = name.target else { return Err(NoRename::NotOwn) };
    let file = program.analysis.file_of(declared.file).ok_or(NoRename::NoName)?;
    if program.analysis.files[file].is_std { Err(NoRename::NotOwn) } else { Ok((declared, name.span)) }
}
