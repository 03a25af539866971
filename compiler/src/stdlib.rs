//! The standard library's text, as it was when the compiler was built.

use std::cell::RefCell;
use std::rc::Rc;

use mgx_diag::{FileId, SourceMap};

use crate::syntax::ast::File;
use crate::syntax::parsed_before;

/// A file of the library.
struct Source {
    module: &'static str,
    /// The name shown in diagnostics.
    shown: &'static str,
    text: &'static str,
    /// What the grammar finds in the text: parsing it takes longer than checking most programs.
    events: &'static [u8],
    names: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

thread_local! {
    /// The files that were parsed before: their text never changes, and editors check at every keystroke.
    static PARSED: RefCell<Vec<Option<Rc<File>>>> = RefCell::new(vec![None; SOURCES.len()]);
    static MAP: SourceMap = {
        let mut sources = SourceMap::default();
        for source in SOURCES {
            sources.add_static(source.shown, source.text);
        }
        sources
    };
}

/// All files of the library as sources: those of a program come after them.
pub fn sources() -> SourceMap {
    MAP.with(SourceMap::clone)
}

/// Is it a source of the library?
pub fn is_source(file: FileId) -> bool {
    (file.0 as usize) < SOURCES.len()
}

/// A module (`std::layers`): its source in [`sources`], and its syntax, which is free of errors.
pub fn parsed(module: &str) -> Option<(FileId, Rc<File>)> {
    let index = SOURCES.iter().position(|source| source.module == module)?;
    let file = FileId(index as u32);
    let known = PARSED.with(|parsed| parsed.borrow()[index].clone());
    let syntax = known.unwrap_or_else(|| {
        let syntax = Rc::new(parsed_before(file, SOURCES[index].text, SOURCES[index].events));
        PARSED.with(|parsed| parsed.borrow_mut()[index] = Some(Rc::clone(&syntax)));
        syntax
    });
    Some((file, syntax))
}

/// A module's place in [`sources`], its shown name and its text.
pub fn source(module: &str) -> Option<(FileId, &'static str, &'static str)> {
    let index = SOURCES.iter().position(|source| source.module == module)?;
    Some((FileId(index as u32), SOURCES[index].shown, SOURCES[index].text))
}

/// All modules.
pub fn modules() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|source| source.module)
}

fn below(module: &str) -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().filter(move |source| source.module.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

/// The modules at or below a path that declare a name: a folder shows what its files declare.
pub fn declaring(module: &str, name: &str) -> Vec<&'static str> {
    below(module).filter(|source| source.names.contains(&name)).map(|source| source.module).collect()
}

/// All names declared at or below a path, sorted.
pub fn names(module: &str) -> Vec<String> {
    let mut names: Vec<String> = below(module).flat_map(|source| source.names.iter().map(|name| (*name).to_owned())).collect();
    names.sort();
    names
}

/// A list of genes: a header line, then a line for each gene in the order of the models that use it, with tabs between its columns.
pub fn gene_list(name: &str) -> Option<&'static str> {
    GENES.iter().find(|(other, _)| *other == name).map(|(_, text)| *text)
}

/// Names of all lists of genes.
pub fn gene_lists() -> impl Iterator<Item = &'static str> {
    GENES.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;

    #[test]
    fn the_library_is_free_of_errors_of_syntax() {
        for (index, source) in SOURCES.iter().enumerate() {
            let parsed = parse(FileId(index as u32), source.text);
            assert!(parsed.diagnostics.is_empty(), "{}: {:?}", source.shown, parsed.diagnostics);
            assert_eq!(sources().text(FileId(index as u32)), source.text);
            let (_, syntax) = super::parsed(source.module).expect("a module");
            assert_eq!(*syntax, parsed.file, "{}: as it was parsed when the compiler was built", source.shown);
        }
    }
}
