//! A check for editors: with what was found out about every expression, and the files with what their names mean.

use std::collections::BTreeMap;
use std::rc::Rc;

use mgx_diag::{Diagnostic, Edit, FileId, SourceMap, Span};

use super::library::{ItemRef, Library};
use super::record::{Fact, Record};
use super::{Checked, Checker, World};
use crate::stdlib;
use crate::syntax::ast;

/// A program with everything that is known of it.
pub struct Analysis {
    pub sources: SourceMap,
    pub diagnostics: Vec<Diagnostic>,
    /// The files of the program, those of the library that it uses among them; [`ItemRef::file`] counts them.
    pub files: Vec<File>,
    /// Which of them was asked for; none if it could not be read.
    pub root: Option<usize>,
    /// Of expressions of the user's own files, by their places.
    pub facts: BTreeMap<Span, Fact>,
    /// Paths of the user's files that were read or looked for.
    pub read: Vec<String>,
}

/// A file of a program.
pub struct File {
    /// Path of a user's file, module path (`std::layers::basic`) of one of the library.
    pub path: String,
    pub source: FileId,
    /// As it is written, without the values of sweeps.
    pub syntax: Rc<ast::File>,
    pub is_std: bool,
    /// Names declared or imported here.
    pub names: BTreeMap<String, ItemRef>,
}

impl Analysis {
    /// The declaration that is referred to.
    pub fn item(&self, item: ItemRef) -> &ast::Item {
        &self.files[item.file].syntax.items[item.item]
    }

    /// What a name means in a file: declared, imported, or of the prelude.
    pub fn lookup(&self, file: usize, name: &str) -> Option<ItemRef> {
        self.files[file].names.get(name).or_else(|| self.files.first()?.names.get(name)).copied()
    }

    /// The file of a source.
    pub fn file_of(&self, source: FileId) -> Option<usize> {
        self.files.iter().position(|file| file.source == source)
    }
}

/// Checks a file and everything it imports, and keeps what is found out on the way.
pub fn analyze(world: &dyn World, path: &str) -> Analysis {
    let mut checker = Checker::new(world);
    checker.record = Some(Record::default());
    let (checked, library, record) = super::check_with(checker, path, &[]);
    let Checked { sources, diagnostics, .. } = checked;
    let root = library.path_index(path);
    let read = library.user_paths();
    let files = library.files.into_iter().map(|file| File {
        path: file.path,
        source: file.source,
        syntax: file.written,
        is_std: file.is_std,
        names: file.names,
    });
    Analysis { sources, diagnostics, files: files.collect(), root, facts: record.unwrap_or_default().facts, read }
}

impl Library<'_> {
    /// The file of a path, if it could be read.
    fn path_index(&self, path: &str) -> Option<usize> {
        self.files.iter().position(|file| !file.is_std && file.path == path)
    }

    fn user_paths(&self) -> Vec<String> {
        self.by_path.keys().filter(|path| !path.starts_with("std::")).cloned().collect()
    }
}

/// A file of the standard library.
pub struct LibraryFile {
    /// `std::layers::basic`.
    pub module: &'static str,
    /// The name that diagnostics show: `std/layers/basic.mgx`.
    pub shown: &'static str,
    /// Its place among the sources of any program.
    pub source: FileId,
    pub text: &'static str,
}

impl LibraryFile {
    /// What it says, which is read when it is asked for, and once in a thread.
    pub fn syntax(&self) -> Rc<ast::File> {
        stdlib::parsed(self.module).map_or_else(Rc::default, |(_, syntax)| syntax)
    }
}

/// All files of the standard library.
pub fn library_files() -> impl Iterator<Item = LibraryFile> {
    stdlib::modules().filter_map(|module| {
        let (source, shown, text) = stdlib::source(module)?;
        Some(LibraryFile { module, shown, source, text })
    })
}

/// How a name of the standard library is imported: `use std::adapters::mlp_pool`.
pub fn library_import(name: &str) -> Option<String> {
    Library::std_import(name)
}

/// The edit that adds a line `use …` to a file.
pub fn import_edit(sources: &SourceMap, file: &ast::File, source: FileId, import: &str) -> Edit {
    super::fixes::import_edit(sources.text(source), &file.uses, source, import)
}
