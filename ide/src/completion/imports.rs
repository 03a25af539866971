//! Names of other files, in `use` and elsewhere.

use std::collections::BTreeSet;

use mgx_compiler::check::{LibraryFile, import_edit, library_files, library_import};
use mgx_compiler::syntax::ast::Item;

use super::{Completion, Place};
use crate::names::{NameKind, item_kind};

impl Place<'_, '_> {
    /// After `use` and some names of it: folders, files and names of the library.
    pub(super) fn imports(&self, segments: &[String]) -> Vec<Completion> {
        let path = segments.join("::");
        if path.is_empty() {
            return vec![Completion::new("std", NameKind::Namespace, 0).insert("std::$0").detail("the standard library")];
        }
        let mut found = Vec::new();
        let mut folders = BTreeSet::new();
        for file in library_files() {
            let Some(rest) = file.module.strip_prefix(&path).filter(|rest| rest.is_empty() || rest.starts_with("::")) else { continue };
            if let Some(folder) = rest.split("::").nth(1) {
                folders.insert(folder.to_owned());
            }
            // The library itself has no names: its folders do.
            if path != "std" {
                found.extend(file.syntax().items.iter().map(|item| named(item, 0, file.module)));
            }
        }
        found.extend(folders.iter().map(|folder| Completion::new(folder, NameKind::Namespace, 1).insert(format!("{folder}::$0"))));
        found.extend(self.names_of_file(&path));
        found
    }

    /// Names of a file of the user's, where it is one that the program imports already.
    fn names_of_file(&self, path: &str) -> Vec<Completion> {
        let relative = format!("{}.mgx", path.replace("::", "/"));
        let file = self.program.analysis.files.iter().find(|file| !file.is_std && file.path == relative);
        file.map_or_else(Vec::new, |file| file.syntax.items.iter().map(|item| named(item, 0, &file.path)).collect())
    }

    /// Declarations of these kinds: those that the file sees, and those of the library with the import that they need.
    pub(super) fn of_kinds(&self, kinds: &[NameKind]) -> Vec<Completion> {
        let mut found = self.seen(kinds);
        found.extend(self.importable(kinds));
        found
    }

    /// Declarations of these kinds that the file sees.
    pub(super) fn seen(&self, kinds: &[NameKind]) -> Vec<Completion> {
        let analysis = self.program.analysis;
        let file = &analysis.files[self.program.file];
        let prelude = analysis.files.first().into_iter().flat_map(|prelude| &prelude.names);
        let visible = file.names.iter().chain(prelude.filter(|(name, _)| !file.names.contains_key(*name)));
        let wanted = visible.filter(|(_, item)| kinds.contains(&item_kind(analysis.item(**item))));
        wanted
            .map(|(name, item)| {
                let mut completion = named(analysis.item(*item), 1, &analysis.files[item.file].path);
                completion.insert = completion.insert.replacen(&completion.label, name, 1);
                completion.label.clone_from(name);
                completion
            })
            .collect()
    }

    /// Declarations of the library of these kinds that the file does not see yet.
    fn importable(&self, kinds: &[NameKind]) -> Vec<Completion> {
        let file = &self.program.analysis.files[self.program.file];
        let mut found = Vec::new();
        for library in library_files() {
            let syntax = library.syntax();
            let wanted = syntax.items.iter().filter(|item| kinds.contains(&item_kind(item)) && !file.names.contains_key(&item.name.text));
            found.extend(wanted.filter_map(|item| self.with_import(item, &library)));
        }
        found
    }

    fn with_import(&self, item: &Item, library: &LibraryFile) -> Option<Completion> {
        let import = library_import(&item.name.text)?;
        let edit = import_edit(&self.program.analysis.sources, self.program.syntax(), self.program.source(), &import);
        let mut completion = named(item, 3, library.module);
        completion.import = Some(edit);
        Some(completion)
    }
}

/// A declaration by its name.
fn named(item: &Item, rank: u8, from: &str) -> Completion {
    let kind = item_kind(item);
    let mut completion = Completion::new(&item.name.text, kind, rank).detail(from);
    completion.doc.clone_from(&item.doc);
    completion
}

/// The backbones of the library with what they read, where their declarations say it by a word.
pub fn library_backbones() -> Vec<(String, String)> {
    let files: Vec<_> = library_files().map(|file| file.syntax()).collect();
    let items = files.iter().flat_map(|file| &file.items);
    items.filter_map(|item| Some((item.name.text.clone(), super::members::reads(item)?))).collect()
}
