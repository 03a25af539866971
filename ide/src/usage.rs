//! Where a name is used, and whether it can be given another.

use mgx_compiler::syntax::ast::{FieldKind, ItemKind};
use mgx_diag::Span;

use crate::Program;
use crate::names::{NameKind, Occurrence, Target, occurrences};

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

/// Where a column is declared among these places that the table's file has under the same name: the end of its type, where `at "name"` then says so.
pub fn stored_here(program: &Program<'_>, places: &[Occurrence]) -> Option<Span> {
    let declared = places.iter().find(|place| place.declares() && place.kind == NameKind::Column)?.span;
    let tables = program.syntax().items.iter().filter_map(|item| if let ItemKind::Data(data) = &item.kind { Some(data) } else { None });
    let field = tables.flat_map(|data| &data.body.fields).find(|field| field.name.span == declared)?;
    match &field.kind {
        FieldKind::Typed { ty, at: None } => Some(Span { start: ty.span.end, ..ty.span }),
        _ => None,
    }
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
