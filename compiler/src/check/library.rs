//! The files of a program: the user's, what they import, and the standard library.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use mgx_diag::{Diagnostic, FileId, SourceMap, Span, nearest};

use super::world::World;
use crate::stdlib;
use crate::syntax::{ast, parse};

/// A declaration: which file, which item of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemRef {
    pub file: usize,
    pub item: usize,
}

/// A file with what its names mean.
pub struct LoadedFile {
    pub ast: Rc<ast::File>,
    /// The syntax before values from the command line and of sweeps were put in.
    pub written: Rc<ast::File>,
    /// Names declared or imported here.
    pub names: BTreeMap<String, ItemRef>,
    /// Names that could not be imported, which is reported once, at the import.
    pub lost: BTreeSet<String>,
    pub is_std: bool,
    pub source: FileId,
    /// Path of a user's file, module path of one of the library.
    pub path: String,
}

/// All files loaded so far. Each is parsed once.
pub struct Library<'w> {
    world: &'w dyn World,
    pub sources: SourceMap,
    pub files: Vec<LoadedFile>,
    pub(super) by_path: BTreeMap<String, Option<usize>>,
    by_source: BTreeMap<FileId, usize>,
    pub diagnostics: Vec<Diagnostic>,
}

/// The file of the standard library that every file sees without importing it.
const PRELUDE: &str = "std::prelude";
/// The most files of a program; a folder that contains itself would give any number.
const MAX_FILES: usize = 512;

impl<'w> Library<'w> {
    /// An empty library with the prelude loaded.
    pub fn new(world: &'w dyn World) -> Self {
        let mut library = Self {
            world,
            sources: stdlib::sources(),
            files: Vec::new(),
            by_path: BTreeMap::new(),
            by_source: BTreeMap::new(),
            diagnostics: Vec::new(),
        };
        library.load_std(PRELUDE);
        library
    }

    /// Loads a user's file by its path.
    pub fn load_path(&mut self, path: &str) -> Option<usize> {
        self.load_user(path)
            .map_err(|reason| {
                let diagnostic = Diagnostic::error("E0201", format!("cannot read `{path}`: {reason}"));
                self.diagnostics.push(diagnostic.help("give the path of an .mgx file"));
            })
            .ok()
    }

    /// A user's file, or why it cannot be had.
    fn load_user(&mut self, path: &str) -> Result<usize, String> {
        if let Some(index) = self.by_path.get(path) {
            return index.ok_or_else(|| "it could not be read before".to_owned());
        }
        if self.files.len() >= MAX_FILES {
            return Err(format!("the program has more than {MAX_FILES} files"));
        }
        let loaded = self.world.source(path).map(|text| self.load_text(path, text));
        if loaded.is_err() {
            self.by_path.insert(path.to_owned(), None);
        }
        loaded
    }

    fn load_text(&mut self, path: &str, text: String) -> usize {
        let source = self.sources.add(path.to_owned(), text);
        let parsed = parse(source, self.sources.text(source));
        self.diagnostics.extend(parsed.diagnostics);
        self.add_file(path, source, Rc::new(parsed.file), false)
    }

    fn add_file(&mut self, path: &str, source: FileId, ast: Rc<ast::File>, is_std: bool) -> usize {
        let index = self.files.len();
        self.by_path.insert(path.to_owned(), Some(index));
        self.by_source.insert(source, index);
        let (names, lost) = (BTreeMap::new(), BTreeSet::new());
        let path_name = path.to_owned();
        self.files.push(LoadedFile { written: Rc::clone(&ast), ast: Rc::clone(&ast), names, lost, is_std, source, path: path_name });
        self.declare(index, &ast);
        for item in &ast.uses {
            self.import(index, path, item);
        }
        index
    }

    /// Has a source errors of syntax?
    pub fn has_errors(&self, file: FileId) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.is_error() && diagnostic.labels.iter().any(|label| label.span.file == file))
    }

    /// Is something wrong with how the text at a place is written?
    pub fn has_errors_in(&self, span: Span) -> bool {
        let first = |diagnostic: &Diagnostic| diagnostic.labels.first().is_some_and(|label| span.contains(label.span));
        self.diagnostics.iter().any(|diagnostic| diagnostic.is_error() && first(diagnostic))
    }

    /// Is it a source of the standard library?
    pub fn is_std_source(&self, file: FileId) -> bool {
        stdlib::is_source(file)
    }

    fn load_std(&mut self, path: &str) -> Option<usize> {
        if let Some(index) = self.by_path.get(path) {
            return *index;
        }
        let (source, ast) = stdlib::parsed(path)?;
        Some(self.add_file(path, source, ast, true))
    }

    fn declare(&mut self, file: usize, ast: &ast::File) {
        let mut places: BTreeMap<&str, Span> = BTreeMap::new();
        for (item, declaration) in ast.items.iter().enumerate() {
            let name = &declaration.name;
            if let Some(first) = places.get(name.text.as_str()) {
                self.diagnostics.push(
                    Diagnostic::error("E0202", format!("`{}` is declared twice", name.text))
                        .label(name.span, "again here")
                        .label(*first, "first here")
                        .help("give one of them another name"),
                );
                continue;
            }
            places.insert(&name.text, name.span);
            self.files[file].names.insert(name.text.clone(), ItemRef { file, item });
        }
    }

    fn import(&mut self, file: usize, importer: &str, item: &ast::Use) {
        let path = item.path.iter().map(|name| name.text.as_str()).collect::<Vec<_>>();
        // `use std::backbones::aido_rna_650m`: the last segment is a name of the module before it; a folder of the library
        // re-exports what its files declare.
        for wanted in &item.names {
            let target = if path.first() == Some(&"std") {
                self.find_std(&path, &wanted.name.text).ok_or(stdlib::names(&path.join("::")))
            } else {
                let Some(target) = self.imported_file(importer, &path, item) else {
                    self.lose(file, wanted);
                    continue;
                };
                // What a file imports is for itself.
                let declared = || self.files[target].names.iter().filter(|(_, item)| item.file == target);
                let found = declared().find(|(name, _)| **name == wanted.name.text).map(|(_, item)| *item);
                found.ok_or_else(|| declared().map(|(name, _)| name.clone()).collect())
            };
            let target = match target {
                Ok(target) => target,
                Err(known) => {
                    self.unknown_import(&path, wanted, &known, item.span);
                    self.lose(file, wanted);
                    continue;
                }
            };
            let name = wanted.alias.as_ref().unwrap_or(&wanted.name);
            if let Some(other) = self.files[file].names.insert(name.text.clone(), target)
                && other != target
            {
                let mut diagnostic = Diagnostic::error("E0202", format!("`{}` is declared or imported twice", name.text))
                    .label(name.span, "this import takes a name that is in use")
                    .help(format!("import it under another name: `{} as other`", wanted.name.text));
                if other.file == file {
                    diagnostic = diagnostic.label(self.files[file].ast.items[other.item].name.span, "declared here");
                }
                self.diagnostics.push(diagnostic);
            }
        }
    }

    /// The user's file that `use folder::file::name` takes a name of: `folder/file.mgx` beside the file that says so.
    fn imported_file(&mut self, importer: &str, path: &[&str], item: &ast::Use) -> Option<usize> {
        let folder = importer.rsplit_once('/').map_or("", |(folder, _)| folder);
        let relative = format!("{}{}{}.mgx", folder, if folder.is_empty() { "" } else { "/" }, path.join("/"));
        match self.load_user(&relative) {
            Ok(target) => Some(target),
            Err(reason) => {
                let place = item.path.first().zip(item.path.last()).map_or(item.span, |(first, last)| first.span.to(last.span));
                let diagnostic = Diagnostic::error("E0201", format!("cannot read `{relative}`: {reason}")).label(place, "imported here");
                let help = match item.names.first().and_then(|wanted| Self::std_import(&wanted.name.text)) {
                    Some(import) => format!("the standard library has it: `{import}`"),
                    None => "a path that does not begin with `std` names a file beside this one".to_owned(),
                };
                self.diagnostics.push(diagnostic.help(help));
                None
            }
        }
    }

    fn lose(&mut self, file: usize, wanted: &ast::UseName) {
        self.files[file].lost.insert(wanted.alias.as_ref().unwrap_or(&wanted.name).text.clone());
    }

    fn find_std(&mut self, path: &[&str], name: &str) -> Option<ItemRef> {
        let joined = path.join("::");
        if let Some(file) = self.load_std(&joined)
            && let Some(item) = self.files[file].names.get(name).filter(|item| item.file == file)
        {
            return Some(*item);
        }
        // The name of a declaration tells its file in most cases; ask the others of the folder after that.
        for candidate in stdlib::declaring(&joined, name) {
            if let Some(file) = self.load_std(candidate)
                && let Some(item) = self.files[file].ast.items.iter().position(|item| item.name.text == name)
            {
                return Some(ItemRef { file, item });
            }
        }
        None
    }

    /// Which optimizers or schedules the library has, for people.
    pub fn parts_of_role(&mut self, role: ast::ModuleRole) -> String {
        let (word, module) = match role {
            ast::ModuleRole::Optimizer => ("optimizers", "std::optimizers"),
            _ => ("schedules", "std::schedules"),
        };
        let Some(file) = self.load_std(module) else { return format!("`{module}` has {word}") };
        let is_one = |item: &&ast::Item| matches!(&item.kind, ast::ItemKind::Module(module) if module.role == role);
        let names: Vec<&str> = self.files[file].ast.items.iter().filter(is_one).map(|item| item.name.text.as_str()).collect();
        format!("{word} of `{module}` are {}", names.join(", "))
    }

    fn unknown_import(&mut self, path: &[&str], wanted: &ast::UseName, known: &[String], span: Span) {
        let joined = path.join("::");
        let is_group = wanted.alias.is_some() || self.sources.slice(span).contains('{');
        let mut diagnostic =
            Diagnostic::error("E0203", format!("there is no `{}` in `{joined}`", wanted.name.text)).label(wanted.name.span, "not found");
        if let Some(import) = Self::std_import(&wanted.name.text) {
            diagnostic = diagnostic.help(format!("it is in another module: `{import}`"));
            if !is_group {
                diagnostic = diagnostic.change_to(span, &import);
            }
        } else if let Some(near) = nearest(&wanted.name.text, known.iter().map(String::as_str)) {
            diagnostic = diagnostic.did_you_mean(wanted.name.span, near);
        } else if !known.is_empty() {
            diagnostic = diagnostic.help(format!("`{joined}` has: {}", known.join(", ")));
        } else if path.first() == Some(&"std") {
            diagnostic = diagnostic
                .label(span, "the standard library has no such module")
                .help(format!("the standard library has: {}", stdlib::modules().collect::<Vec<_>>().join(", ")));
        }
        self.diagnostics.push(diagnostic);
    }

    /// The declaration that a place is in: its name, and where that stands.
    pub fn item_at(&self, span: Span) -> Option<(&str, Span)> {
        let items = self.files.iter().flat_map(|file| &file.ast.items);
        items
            .filter(|item| item.span.file == span.file && item.span.start <= span.start && span.end <= item.span.end)
            .map(|item| (item.name.text.as_str(), item.name.span))
            .next()
    }

    /// How a name of the standard library is imported: of its folder, which shows what its files declare.
    pub fn std_import(name: &str) -> Option<String> {
        let module = stdlib::declaring("std", name).into_iter().next()?;
        let folder = module.split("::").take(2).collect::<Vec<_>>().join("::");
        Some(format!("use {folder}::{name}"))
    }

    /// The file that a text is the text of; a value from the command line belongs to none.
    pub fn file_of(&self, source: FileId) -> Option<usize> {
        self.by_source.get(&source).copied()
    }

    /// What a name means in a file: declared, imported, or of the prelude.
    pub fn lookup(&self, file: usize, name: &str) -> Option<ItemRef> {
        self.files[file].names.get(name).or_else(|| self.files[0].names.get(name)).copied()
    }

    /// All names that a file sees, for suggestions.
    pub fn visible(&self, file: usize) -> impl Iterator<Item = &str> {
        self.files[file].names.keys().chain(self.files[0].names.keys()).map(String::as_str)
    }

    /// The syntax of a declaration: its file's tree, kept alive, and the index in it.
    pub fn item(&self, item: ItemRef) -> ItemHandle {
        ItemHandle { file: Rc::clone(&self.files[item.file].ast), item: item.item }
    }
}

/// A declaration whose syntax stays alive as long as this does.
#[derive(Clone)]
pub struct ItemHandle {
    file: Rc<ast::File>,
    item: usize,
}

impl std::ops::Deref for ItemHandle {
    type Target = ast::Item;

    fn deref(&self) -> &ast::Item {
        &self.file.items[self.item]
    }
}
