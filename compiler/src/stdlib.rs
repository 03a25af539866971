//! The standard library's text, as it was when the compiler was built.

/// A file of the library.
struct Source {
    module: &'static str,
    /// The name shown in diagnostics.
    shown: &'static str,
    text: &'static str,
    names: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

/// The shown name and the text of a module (`std::layers`).
pub fn source(module: &str) -> Option<(&'static str, &'static str)> {
    SOURCES.iter().find(|source| source.module == module).map(|source| (source.shown, source.text))
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
